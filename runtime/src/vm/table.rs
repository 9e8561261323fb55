//! Tables: arrays of references that can grow.
//!
//! As a memory's, the address space that a table may grow into is reserved when it is made, so that it grows in
//! place, while code of other threads uses it: first the new elements are written, then the length is published.
//! Compiled code that has loaded an old length traps where a later access need not have, as if it had come first.

use super::cell::SharedCell;
use crate::error::StoreError;
use crate::os::{Mapping, Protection};
use dolmen_abi::context::TableDef;
use dolmen_abi::reference::REF_BYTES;
use dolmen_abi::types::TableType;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// Most elements that a table has (limit of the JavaScript embedding).
pub(crate) const MAX_TABLE_ELEMENTS: u64 = 10_000_000;

/// A table of a store.
#[derive(Debug)]
pub(crate) struct TableData {
    /// With canonical type indices.
    ty: TableType,
    /// Room for `capacity` elements; zero, which is null, behind the last.
    mapping: Mapping,
    capacity: u64,
    len: u64,
    def: SharedCell<TableDef>,
}

impl TableData {
    /// Makes a table of its type's minimal size, with `init` in each element.
    ///
    /// # Errors
    ///
    /// If the size exceeds the limit, or there is no memory for it.
    pub(crate) fn new(ty: TableType, init: u32) -> Result<Self, StoreError> {
        let count = ty.limits.min;
        if count > MAX_TABLE_ELEMENTS {
            return Err(StoreError::Limit { what: "table", count, limit: MAX_TABLE_ELEMENTS });
        }
        let capacity = ty.limits.max.unwrap_or(MAX_TABLE_ELEMENTS).clamp(count, MAX_TABLE_ELEMENTS);
        let bytes = capacity * u64::from(REF_BYTES);
        let mapping = Mapping::reserve(bytes as usize, Protection::ReadWrite).map_err(|source| StoreError::Map {
            what: "a table",
            bytes,
            source,
        })?;
        let def = SharedCell::new(TableDef { base: mapping.base().as_ptr() as u64, len: 0 });
        let mut table = Self { ty, mapping, capacity, len: 0, def };
        table.extend(count, init);
        Ok(table)
    }

    /// The type, with the current size as its minimum and canonical type indices.
    pub(crate) fn ty(&self) -> TableType {
        let mut ty = self.ty;
        ty.limits.min = self.len;
        ty
    }

    /// The elements as reference words, which other threads may read and write at any time.
    pub(crate) fn elements(&self) -> &[AtomicU32] {
        // SAFETY: the elements lie in the mapping, aligned and initialised; atomics allow that others access them.
        unsafe { std::slice::from_raw_parts(self.mapping.base().cast().as_ptr(), self.len as usize) }
    }

    /// The elements as the collector uses them: other threads must be stopped.
    pub(crate) fn words_mut(&mut self) -> &mut [u32] {
        // SAFETY: as above; no other thread runs, and this one has the table exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.mapping.base().cast().as_ptr(), self.len as usize) }
    }

    /// Grows by `delta` elements `init` and returns the old size, or `None` if that is not possible.
    pub(crate) fn grow(&mut self, delta: u64, init: u32) -> Option<u64> {
        let old = self.len;
        old.checked_add(delta).filter(|&len| len <= self.capacity)?;
        self.extend(delta, init);
        Some(old)
    }

    /// The definition that compiled code reads.
    pub(crate) fn def(&self) -> NonNull<TableDef> {
        self.def.address()
    }

    /// Adds `delta` elements, for which there is room.
    fn extend(&mut self, delta: u64, init: u32) {
        let old = self.len as usize;
        self.len += delta;
        // What was never written is null already, and takes no memory.
        if init != 0 {
            self.elements()[old..].iter().for_each(|element| set(element, init));
        }
        // Release: whoever sees the length sees the elements.
        self.def.table_len().store(self.len, Ordering::Release);
    }
}

/// Reads an element.
pub(crate) fn get(element: &AtomicU32) -> u32 {
    // Relaxed: objects behind references are ordered by the dependency, see `docs/threads.md`.
    element.load(Ordering::Relaxed)
}

/// Writes an element.
pub(crate) fn set(element: &AtomicU32, word: u32) {
    // Release: whoever reads the reference finds the object whole.
    element.store(word, Ordering::Release);
}

/// Copies elements, which may be the same ones in part; both have the same number.
pub(crate) fn copy(to: &[AtomicU32], from: &[AtomicU32]) {
    let pairs = to.iter().zip(from);
    if to.as_ptr() <= from.as_ptr() {
        pairs.for_each(|(to, from)| set(to, get(from)));
    } else {
        pairs.rev().for_each(|(to, from)| set(to, get(from)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dolmen_abi::types::{HeapType, Limits, RefType};

    fn ty(min: u64, max: Option<u64>) -> TableType {
        let element = RefType { nullable: true, heap: HeapType::Func };
        TableType { element, limits: Limits { min, max }, index64: false }
    }

    #[test]
    fn grows_up_to_its_limits() {
        let mut table = TableData::new(ty(2, Some(5)), 8).unwrap();
        assert_eq!(table.grow(3, 4), Some(2));
        assert_eq!(table.words_mut(), [8, 8, 4, 4, 4]);
        assert_eq!(table.grow(1, 0), None);
        assert_eq!(table.grow(u64::MAX, 0), None);
        assert_eq!(table.ty().limits.min, 5);
        let mut table = TableData::new(ty(0, None), 0).unwrap();
        assert_eq!(table.grow(MAX_TABLE_ELEMENTS + 1, 0), None);
        assert_eq!(table.grow(1, 0), Some(0));
        assert!(TableData::new(ty(u64::from(u32::MAX), None), 0).is_err());
    }

    #[test]
    fn grows_in_place() {
        let mut table = TableData::new(ty(1, None), 6).unwrap();
        let base = table.words_mut().as_ptr();
        assert_eq!(table.grow(1_000_000, 0), Some(1));
        assert_eq!((table.words_mut().as_ptr(), table.words_mut()[0], table.words_mut()[1_000_000]), (base, 6, 0));
        assert_eq!(table.grow(MAX_TABLE_ELEMENTS - 1_000_001, 0), Some(1_000_001));
        assert_eq!(table.grow(1, 0), None);
    }

    #[test]
    fn copies_overlap() {
        let mut table = TableData::new(ty(5, None), 0).unwrap();
        for (element, word) in table.elements().iter().zip([2, 4, 6, 8, 10]) {
            set(element, word);
        }
        copy(&table.elements()[1..4], &table.elements()[..3]);
        assert_eq!(table.words_mut(), [2, 2, 4, 6, 10]);
        copy(&table.elements()[..3], &table.elements()[2..]);
        assert_eq!(table.words_mut(), [4, 6, 10, 6, 10]);
    }
}
