//! Linear memories.
//!
//! The address space that a memory may grow into is reserved when it is made, so that growing is making more
//! pages accessible and the base does not move. Only if the system refuses that much address space, the memory
//! is confined to what it grants: growing then fails earlier, which the specification allows at any time.
//!
//! A shared memory is made by an engine rather than a store, and each store that uses it has a reference to the
//! same [`LinearMemory`], whose definition compiled code of all of them reads. Since it neither moves nor shrinks,
//! it can grow while code runs: first the pages are made accessible, then the size is published.

use super::cell::SharedCell;
use crate::error::StoreError;
use crate::os::{Mapping, Protection, round_up};
use dolmen_abi::context::MemoryDef;
use dolmen_abi::types::MemoryType;
use std::cell::UnsafeCell;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most bytes that a memory with 32-bit addresses has; the number of its pages must fit 32 bits, too.
const MAX_BYTES_32: u64 = 1 << 32;

/// Most bytes that a memory with 64-bit addresses has here.
const MAX_BYTES_64: u64 = 1 << 36;

/// A linear memory. A shared one belongs to several stores, and code of several threads uses it at once.
#[derive(Debug)]
pub(crate) struct LinearMemory {
    ty: MemoryType,
    def: SharedCell<MemoryDef>,
    base: NonNull<u8>,
    /// Locked while the memory grows.
    mapping: Mutex<Mapping>,
}

/// A linear memory of a store.
#[derive(Debug)]
pub(crate) struct MemoryData(Arc<LinearMemory>);

// SAFETY: the memory is a mapping that lives as long as it does; its bytes are handed out as raw addresses only.
unsafe impl Send for LinearMemory {}
// SAFETY: as above; its size is atomic, and growth is under a lock.
unsafe impl Sync for LinearMemory {}

impl LinearMemory {
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
        let base = mapping.base();
        let def = SharedCell::new(MemoryDef { base: base.as_ptr() as u64, len_bytes: 0 });
        let memory = Self { ty, def, base, mapping: Mutex::new(mapping) };
        let committed = memory.commit(&mut memory.lock(), min_bytes);
        committed.map_err(|source| StoreError::Map { what: "a memory", bytes: min_bytes, source })?;
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

    /// Current size in bytes. Never shrinks.
    pub(crate) fn len_bytes(&self) -> u64 {
        // Acquire: whoever sees a size finds that many bytes accessible.
        self.def.len_bytes().load(Ordering::Acquire)
    }

    /// Grows by `delta` pages of zeros and returns the old size in pages, or `None` if that is not possible.
    pub(crate) fn grow(&self, delta: u64) -> Option<u64> {
        let mut mapping = self.lock();
        let old = self.pages();
        let pages = old.checked_add(delta)?;
        if self.ty.limits.max.is_some_and(|max| pages > max) {
            return None;
        }
        let len_bytes = pages.checked_shl(self.ty.log_page_bytes)?;
        if len_bytes >> self.ty.log_page_bytes != pages || len_bytes > max_bytes(self.ty) {
            return None;
        }
        self.commit(&mut mapping, len_bytes).ok()?;
        Some(old)
    }

    /// The contents: bytes that other threads may write to at any time if the memory is shared.
    pub(crate) fn bytes(&self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.base, self.len_bytes() as usize)
    }

    /// Address of the first byte.
    pub(crate) fn base_address(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// The contents, byte by byte.
    pub(crate) fn cells(&self) -> &[UnsafeCell<u8>] {
        // SAFETY: the bytes are accessible and initialised, and cells allow that others write to them.
        unsafe { &*(self.bytes().as_ptr() as *const [UnsafeCell<u8>]) }
    }

    /// Address of `len_bytes` bytes from `offset` on, or `None` if the memory does not have them.
    pub(crate) fn address(&self, offset: u64, len_bytes: u64) -> Option<NonNull<u8>> {
        let end = offset.checked_add(len_bytes)?;
        // SAFETY: the offset is inside the mapping, or at its end.
        (end <= self.len_bytes()).then(|| unsafe { self.base.add(offset as usize) })
    }

    /// Copies bytes out, from `offset` on; `None` if the memory does not have them.
    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8]) -> Option<()> {
        let source = self.address(offset, buffer.len() as u64)?;
        // SAFETY: both ranges are valid for their length and apart. What other threads write meanwhile may come
        // out in part; the copy is a call of the C library, which makes no assumption about the bytes.
        unsafe { libc::memcpy(buffer.as_mut_ptr().cast(), source.as_ptr().cast(), buffer.len()) };
        Some(())
    }

    /// Copies bytes in, from `offset` on; `None` if the memory does not have room for them.
    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> Option<()> {
        let target = self.address(offset, bytes.len() as u64)?;
        // SAFETY: as in `read`.
        unsafe { libc::memcpy(target.as_ptr().cast(), bytes.as_ptr().cast(), bytes.len()) };
        Some(())
    }

    fn lock(&self) -> MutexGuard<'_, Mapping> {
        self.mapping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the first `len_bytes` accessible.
    fn commit(&self, mapping: &mut Mapping, len_bytes: u64) -> std::io::Result<()> {
        if len_bytes > mapping.len_bytes() as u64 {
            return Err(std::io::ErrorKind::OutOfMemory.into());
        }
        let start = (self.len_bytes() as usize) & !(crate::os::PAGE_BYTES - 1);
        let end = round_up(len_bytes as usize).ok_or(std::io::ErrorKind::OutOfMemory)?;
        mapping.protect(start, end - start, Protection::ReadWrite)?;
        // Release: see `len_bytes`.
        self.def.len_bytes().store(len_bytes, Ordering::Release);
        Ok(())
    }
}

impl MemoryData {
    /// Makes a memory of its type's minimal size, zeroed.
    ///
    /// # Errors
    ///
    /// As of [`LinearMemory::new`].
    pub(crate) fn new(ty: MemoryType) -> Result<Self, StoreError> {
        Ok(Self(Arc::new(LinearMemory::new(ty)?)))
    }

    /// A memory that other stores have, too.
    pub(crate) fn shared(memory: Arc<LinearMemory>) -> Self {
        Self(memory)
    }

    /// The memory, to share it, if it may be shared.
    pub(crate) fn as_shared(&self) -> Option<&Arc<LinearMemory>> {
        self.0.ty.shared.then_some(&self.0)
    }

    /// The contents, unless other threads may write to them: the memory is not shared.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        // SAFETY: the bytes are accessible and initialised; they belong to one store, whose compiled code does not
        // run while the store is borrowed.
        (!self.0.ty.shared).then(|| unsafe { self.0.bytes().as_ref() })
    }

    /// The contents, as by [`MemoryData::bytes`].
    pub(crate) fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        // SAFETY: as in `bytes`; access is exclusive.
        (!self.0.ty.shared).then(|| unsafe { self.0.bytes().as_mut() })
    }

    /// The definition that compiled code reads.
    pub(crate) fn def(&self) -> NonNull<MemoryDef> {
        self.0.def.address()
    }
}

impl Deref for MemoryData {
    type Target = LinearMemory;

    fn deref(&self) -> &LinearMemory {
        &self.0
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
        let base = memory.bytes().unwrap().as_ptr();
        memory.bytes_mut().unwrap()[65535] = 7;
        assert_eq!(memory.grow(2), Some(1));
        assert_eq!(memory.grow(1), None);
        assert_eq!(memory.grow(u64::MAX), None);
        assert_eq!(memory.bytes().unwrap().as_ptr(), base);
        assert_eq!((memory.bytes().unwrap()[65535], memory.bytes().unwrap()[3 * 65536 - 1]), (7, 0));
        assert_eq!(memory.ty().limits.min, 3);
    }

    #[test]
    fn four_gibibytes_are_the_limit() {
        let memory = MemoryData::new(ty(0, None, 16)).unwrap();
        assert_eq!(memory.grow(65537), None);
        assert_eq!(memory.grow(65536), Some(0));
        assert_eq!(memory.len_bytes(), 1 << 32);
        assert!(matches!(MemoryData::new(ty(65537, None, 16)), Err(StoreError::Limit { .. })));
        assert!(matches!(MemoryData::new(ty(u64::MAX, None, 16)), Err(StoreError::Limit { .. })));
    }

    #[test]
    fn pages_of_one_byte() {
        let mut memory = MemoryData::new(ty(5, None, 0)).unwrap();
        assert_eq!(memory.bytes().unwrap().len(), 5);
        assert_eq!(memory.grow(5000), Some(5));
        memory.bytes_mut().unwrap()[5004] = 1;
        assert_eq!(memory.pages(), 5005);
        // One page more could not be told from failure.
        assert_eq!(memory.grow((1 << 32) - 5005), None);
        assert_eq!(memory.grow((1 << 32) - 5006), Some(5005));
    }
}
