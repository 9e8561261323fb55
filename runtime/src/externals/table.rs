//! Tables.

use super::Stored;
use crate::error::{ArgumentError, Error, Place, StoreError};
use crate::store::{AsContext, AsContextMut, StoreInner};
use crate::types::TableType;
use crate::value::{Val, reference_from_word};
use crate::vm::table::{self, TableData};
use dolmen_abi::types::ValType;

/// A table of references.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Table(pub(crate) Stored);

impl Table {
    /// Makes a table of its minimal size with `init` in each element.
    ///
    /// # Errors
    ///
    /// If the value is not of the element type, either belongs elsewhere, or the size is out of the question.
    pub fn new(mut store: impl AsContextMut, ty: TableType, init: Val) -> Result<Self, Error> {
        let mut context = store.as_context_mut();
        let inner = context.inner_mut();
        let ty = ty.to_raw(&inner.engine).map_err(StoreError::Type)?;
        let slot = init.to_slot(inner, ValType::Ref(ty.element), Place::Table)?;
        inner.tables.push(TableData::new(ty, slot.0[0] as u32)?);
        Ok(Self(Stored::new(inner, inner.tables.len() - 1)))
    }

    /// The element at an index, or `None` beyond the end.
    ///
    /// # Panics
    ///
    /// If the table belongs to another store.
    #[must_use]
    pub fn get(&self, mut store: impl AsContextMut, index: u64) -> Option<Val> {
        let mut context = store.as_context_mut();
        let inner = context.inner_mut();
        let table = &inner.tables[self.0.index(inner)];
        let word = table::get(table.elements().get(usize::try_from(index).ok()?)?);
        let heap = table.ty().element.heap;
        Some(reference_from_word(inner, heap, word))
    }

    /// Sets the element at an index.
    ///
    /// # Errors
    ///
    /// If the index is out of bounds, the value not of the element type, or either belongs to another store.
    pub fn set(&self, mut store: impl AsContextMut, index: u64, value: Val) -> Result<(), Error> {
        let mut context = store.as_context_mut();
        let inner = context.inner_mut();
        let (number, word) = self.element_word(inner, &value)?;
        let elements = inner.tables[number].elements();
        let len = elements.len() as u64;
        let element = usize::try_from(index).ok().and_then(|index| elements.get(index));
        table::set(element.ok_or(ArgumentError::OutOfBounds { index, len })?, word);
        Ok(())
    }

    /// Current number of elements.
    ///
    /// # Panics
    ///
    /// If the table belongs to another store.
    #[must_use]
    pub fn size(&self, store: impl AsContext) -> u64 {
        let context = store.as_context();
        let inner = context.inner();
        inner.tables[self.0.index(inner)].elements().len() as u64
    }

    /// Adds `delta` elements `init` and returns the old size.
    ///
    /// # Errors
    ///
    /// If the table cannot grow that far, the value is not of the element type, or either belongs to another
    /// store.
    pub fn grow(&self, mut store: impl AsContextMut, delta: u64, init: Val) -> Result<u64, Error> {
        let mut context = store.as_context_mut();
        let inner = context.inner_mut();
        let (number, word) = self.element_word(inner, &init)?;
        let table = &mut inner.tables[number];
        let from = table.elements().len() as u64;
        Ok(table.grow(delta, word).ok_or(ArgumentError::Grow { from, delta })?)
    }

    /// The type, with the current size as minimum.
    ///
    /// # Panics
    ///
    /// If the table belongs to another store.
    #[must_use]
    pub fn ty(&self, store: impl AsContext) -> TableType {
        self.type_in(store.as_context().inner())
    }

    pub(super) fn type_in(&self, inner: &StoreInner) -> TableType {
        TableType::from_raw(&inner.engine, inner.tables[self.0.index(inner)].ty())
    }

    /// The table's number and the word of a value for it.
    fn element_word(&self, inner: &StoreInner, value: &Val) -> Result<(usize, u32), ArgumentError> {
        let number = self.0.number(inner)? as usize;
        let element = inner.tables[number].ty().element;
        let slot = value.to_slot(inner, ValType::Ref(element), Place::Table)?;
        Ok((number, slot.0[0] as u32))
    }
}
