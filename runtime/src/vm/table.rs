//! Tables: arrays of references that can grow.

use super::cell::SharedCell;
use crate::error::StoreError;
use dolmen_abi::context::TableDef;
use dolmen_abi::types::TableType;
use std::ptr::NonNull;

/// Most elements that a table has (limit of the JavaScript embedding).
pub(crate) const MAX_TABLE_ELEMENTS: u64 = 10_000_000;

/// A table of a store.
#[derive(Debug)]
pub(crate) struct TableData {
    /// With canonical type indices.
    ty: TableType,
    elements: Vec<u32>,
    def: SharedCell<TableDef>,
}

impl TableData {
    /// Makes a table of its type's minimal size, with `init` in each element.
    ///
    /// # Errors
    ///
    /// If the size exceeds the limit, or there is no memory for it.
    pub(crate) fn new(ty: TableType, init: u32) -> Result<Self, StoreError> {
        let mut table = Self { ty, elements: Vec::new(), def: SharedCell::new(TableDef { base: 0, len: 0 }) };
        let count = ty.limits.min;
        table.extend(count, init).ok_or(StoreError::Limit { what: "table", count, limit: MAX_TABLE_ELEMENTS })?;
        Ok(table)
    }

    /// The type, with the current size as its minimum and canonical type indices.
    pub(crate) fn ty(&self) -> TableType {
        let mut ty = self.ty;
        ty.limits.min = self.elements.len() as u64;
        ty
    }

    /// The elements as reference words.
    pub(crate) fn elements(&self) -> &[u32] {
        &self.elements
    }

    /// The elements as reference words.
    pub(crate) fn elements_mut(&mut self) -> &mut [u32] {
        &mut self.elements
    }

    /// Grows by `delta` elements `init` and returns the old size, or `None` if that is not possible.
    pub(crate) fn grow(&mut self, delta: u64, init: u32) -> Option<u64> {
        let old = self.elements.len() as u64;
        let len = old.checked_add(delta)?;
        if self.ty.limits.max.is_some_and(|max| len > max) {
            return None;
        }
        self.extend(delta, init)?;
        Some(old)
    }

    /// The definition that compiled code reads.
    pub(crate) fn def(&self) -> NonNull<TableDef> {
        self.def.address()
    }

    fn extend(&mut self, delta: u64, init: u32) -> Option<()> {
        let len = (self.elements.len() as u64).checked_add(delta).filter(|&len| len <= MAX_TABLE_ELEMENTS)?;
        self.elements.try_reserve(delta as usize).ok()?;
        self.elements.resize(len as usize, init);
        self.def.set(TableDef { base: self.elements.as_mut_ptr() as u64, len });
        Some(())
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
        assert_eq!(table.elements(), [8, 8, 4, 4, 4]);
        assert_eq!(table.grow(1, 0), None);
        assert_eq!(table.grow(u64::MAX, 0), None);
        assert_eq!(table.ty().limits.min, 5);
        let mut table = TableData::new(ty(0, None), 0).unwrap();
        assert_eq!(table.grow(MAX_TABLE_ELEMENTS + 1, 0), None);
        assert_eq!(table.grow(1, 0), Some(0));
        assert!(TableData::new(ty(u64::from(u32::MAX), None), 0).is_err());
    }
}
