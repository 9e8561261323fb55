//! Linear memories.
//!
//! The address space that a memory may grow into is reserved when it is made, so that growing is making more
//! pages accessible and the base does not move. Only if the system refuses that much address space, the memory
//! is confined to what it grants: growing then fails earlier, which the specification allows at any time.

use super::cell::SharedCell;
use crate::error::StoreError;
use crate::os::{Mapping, Protection, round_up};
use dolmen_abi::context::MemoryDef;
use dolmen_abi::types::MemoryType;
use std::ptr::NonNull;

/// Most bytes that a memory with 32-bit addresses has; the number of its pages must fit 32 bits, too.
const MAX_BYTES_32: u64 = 1 << 32;

/// Most bytes that a memory with 64-bit addresses has here.
const MAX_BYTES_64: u64 = 1 << 36;

/// A linear memory of a store.
#[derive(Debug)]
pub(crate) struct MemoryData {
    ty: MemoryType,
    def: SharedCell<MemoryDef>,
    mapping: Mapping,
}

impl MemoryData {
    /// Makes a memory of its type's minimal size, zeroed.
    ///
    /// # Errors
    ///
    /// If the size exceeds the limits, or the system has no room for it.
    pub(crate) fn new(ty: MemoryType) -> Result<Self, StoreError> {
        let limit = max_bytes(ty);
        let bytes = |pages: u64| pages.checked_shl(ty.log_page_bytes).filter(|b| b >> ty.log_page_bytes == pages);
        let min_bytes = bytes(ty.limits.min).filter(|&min| min <= limit).ok_or(StoreError::Limit {
            what: "memory (in pages)",
            count: ty.limits.min,
            limit: limit >> ty.log_page_bytes,
        })?;
        let max_bytes = ty.limits.max.and_then(bytes).map_or(limit, |max| max.clamp(min_bytes, limit));
        let mapping = reserve(min_bytes, max_bytes)?;
        let base = mapping.base().as_ptr() as u64;
        let mut memory = Self { ty, def: SharedCell::new(MemoryDef { base, len_bytes: 0 }), mapping };
        memory.commit(min_bytes).map_err(|source| StoreError::Map { what: "a memory", bytes: min_bytes, source })?;
        Ok(memory)
    }

    /// The type, with the current size as its minimum.
    pub(crate) fn ty(&self) -> MemoryType {
        let mut ty = self.ty;
        ty.limits.min = self.pages();
        ty
    }

    /// Current size in pages.
    pub(crate) fn pages(&self) -> u64 {
        self.len_bytes() >> self.ty.log_page_bytes
    }

    /// Current size in bytes.
    pub(crate) fn len_bytes(&self) -> u64 {
        self.def.get().len_bytes
    }

    /// Grows by `delta` pages of zeros and returns the old size in pages, or `None` if that is not possible.
    pub(crate) fn grow(&mut self, delta: u64) -> Option<u64> {
        let old = self.pages();
        let pages = old.checked_add(delta)?;
        if self.ty.limits.max.is_some_and(|max| pages > max) {
            return None;
        }
        let len_bytes = pages.checked_shl(self.ty.log_page_bytes)?;
        if len_bytes >> self.ty.log_page_bytes != pages || len_bytes > max_bytes(self.ty) {
            return None;
        }
        self.commit(len_bytes).ok()?;
        Some(old)
    }

    /// The contents.
    pub(crate) fn bytes(&self) -> &[u8] {
        let len_bytes = self.len_bytes() as usize;
        // SAFETY: `commit` made that many bytes accessible, initialised with zeros by the system; compiled code
        // does not run while the store is borrowed.
        unsafe { std::slice::from_raw_parts(self.mapping.base().as_ptr(), len_bytes) }
    }

    /// The contents.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        let len_bytes = self.len_bytes() as usize;
        // SAFETY: as in `bytes`; access is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.mapping.base().as_ptr(), len_bytes) }
    }

    /// The definition that compiled code reads.
    pub(crate) fn def(&self) -> NonNull<MemoryDef> {
        self.def.address()
    }

    /// Makes the first `len_bytes` accessible.
    fn commit(&mut self, len_bytes: u64) -> std::io::Result<()> {
        if len_bytes > self.mapping.len_bytes() as u64 {
            return Err(std::io::ErrorKind::OutOfMemory.into());
        }
        let MemoryDef { base, len_bytes: old } = self.def.get();
        let start = (old as usize) & !(crate::os::PAGE_BYTES - 1);
        let end = round_up(len_bytes as usize).ok_or(std::io::ErrorKind::OutOfMemory)?;
        self.mapping.protect(start, end - start, Protection::ReadWrite)?;
        self.def.set(MemoryDef { base, len_bytes });
        Ok(())
    }
}

/// Most bytes that memories of a type have here.
fn max_bytes(ty: MemoryType) -> u64 {
    if ty.index64 { MAX_BYTES_64 } else { MAX_BYTES_32.min(u64::from(u32::MAX) << ty.log_page_bytes) }
}

/// Reserves `max_bytes`, or as much as the system grants but no less than `min_bytes`.
fn reserve(min_bytes: u64, max_bytes: u64) -> Result<Mapping, StoreError> {
    let mut bytes = max_bytes;
    loop {
        match Mapping::reserve(bytes as usize, Protection::None) {
            Ok(mapping) => return Ok(mapping),
            Err(source) if bytes <= min_bytes => return Err(StoreError::Map { what: "a memory", bytes, source }),
            Err(_) => bytes = (bytes / 2).max(min_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dolmen_abi::types::Limits;

    fn ty(min: u64, max: Option<u64>, log_page_bytes: u32) -> MemoryType {
        MemoryType { limits: Limits { min, max }, index64: false, shared: false, log_page_bytes }
    }

    #[test]
    fn grows_in_place_up_to_its_maximum() {
        let mut memory = MemoryData::new(ty(1, Some(3), 16)).unwrap();
        let base = memory.bytes().as_ptr();
        memory.bytes_mut()[65535] = 7;
        assert_eq!(memory.grow(2), Some(1));
        assert_eq!(memory.grow(1), None);
        assert_eq!(memory.grow(u64::MAX), None);
        assert_eq!(memory.bytes().as_ptr(), base);
        assert_eq!((memory.bytes()[65535], memory.bytes()[3 * 65536 - 1]), (7, 0));
        assert_eq!(memory.ty().limits.min, 3);
    }

    #[test]
    fn four_gibibytes_are_the_limit() {
        let mut memory = MemoryData::new(ty(0, None, 16)).unwrap();
        assert_eq!(memory.grow(65537), None);
        assert_eq!(memory.grow(65536), Some(0));
        assert_eq!(memory.len_bytes(), 1 << 32);
        assert!(matches!(MemoryData::new(ty(65537, None, 16)), Err(StoreError::Limit { .. })));
        assert!(matches!(MemoryData::new(ty(u64::MAX, None, 16)), Err(StoreError::Limit { .. })));
    }

    #[test]
    fn pages_of_one_byte() {
        let mut memory = MemoryData::new(ty(5, None, 0)).unwrap();
        assert_eq!(memory.bytes().len(), 5);
        assert_eq!(memory.grow(5000), Some(5));
        memory.bytes_mut()[5004] = 1;
        assert_eq!(memory.pages(), 5005);
        // One page more could not be told from failure.
        assert_eq!(memory.grow((1 << 32) - 5005), None);
        assert_eq!(memory.grow((1 << 32) - 5006), Some(5005));
    }
}
