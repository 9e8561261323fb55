//! Handles of what modules import and export.
//!
//! A handle is a number and the store that it counts in, cheap to copy. Operations that can fail say so with an
//! error if a handle is used with another store; those that cannot fail otherwise panic.

mod func;
mod global;
mod memory;
mod shared_memory;
mod table;
mod tag;

pub use func::Func;
pub use global::Global;
pub use memory::Memory;
pub use shared_memory::SharedMemory;
pub use table::Table;
pub use tag::Tag;

use crate::error::ArgumentError;
use crate::store::{AsContext, StoreId, StoreInner};
use crate::types::ExternType;

/// Something that a module can import or export.
#[derive(Clone, Copy, Debug)]
pub enum Extern {
    Func(Func),
    Global(Global),
    Table(Table),
    Memory(Memory),
    Tag(Tag),
}

/// An item of a store by its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stored {
    store: StoreId,
    number: u32,
}

impl Stored {
    pub(crate) fn new(store: &StoreInner, number: usize) -> Self {
        Self { store: store.id, number: number as u32 }
    }

    /// The number, if the item belongs to this store.
    pub(crate) fn number(self, store: &StoreInner) -> Result<u32, ArgumentError> {
        store.check(self.store).map(|()| self.number)
    }

    /// The number.
    ///
    /// # Panics
    ///
    /// If the item belongs to another store.
    #[track_caller]
    pub(crate) fn index(self, store: &StoreInner) -> usize {
        store.expect(self.store);
        self.number as usize
    }
}

impl Extern {
    /// What it is.
    ///
    /// # Panics
    ///
    /// If it belongs to another store.
    #[must_use]
    pub fn ty(&self, store: impl AsContext) -> ExternType {
        self.type_in(store.as_context().inner())
    }

    pub(crate) fn type_in(&self, store: &StoreInner) -> ExternType {
        match self {
            Self::Func(func) => ExternType::Func(func.type_in(store)),
            Self::Global(global) => ExternType::Global(global.type_in(store)),
            Self::Table(table) => ExternType::Table(table.type_in(store)),
            Self::Memory(memory) => ExternType::Memory(memory.type_in(store)),
            Self::Tag(tag) => ExternType::Tag(tag.type_in(store)),
        }
    }

    /// The function, if it is one.
    #[must_use]
    pub fn into_func(self) -> Option<Func> {
        if let Self::Func(func) = self { Some(func) } else { None }
    }

    /// The global, if it is one.
    #[must_use]
    pub fn into_global(self) -> Option<Global> {
        if let Self::Global(global) = self { Some(global) } else { None }
    }

    /// The table, if it is one.
    #[must_use]
    pub fn into_table(self) -> Option<Table> {
        if let Self::Table(table) = self { Some(table) } else { None }
    }

    /// The memory, if it is one.
    #[must_use]
    pub fn into_memory(self) -> Option<Memory> {
        if let Self::Memory(memory) = self { Some(memory) } else { None }
    }

    /// The tag, if it is one.
    #[must_use]
    pub fn into_tag(self) -> Option<Tag> {
        if let Self::Tag(tag) = self { Some(tag) } else { None }
    }
}

impl From<Func> for Extern {
    fn from(func: Func) -> Self {
        Self::Func(func)
    }
}

impl From<Global> for Extern {
    fn from(global: Global) -> Self {
        Self::Global(global)
    }
}

impl From<Table> for Extern {
    fn from(table: Table) -> Self {
        Self::Table(table)
    }
}

impl From<Memory> for Extern {
    fn from(memory: Memory) -> Self {
        Self::Memory(memory)
    }
}

impl From<Tag> for Extern {
    fn from(tag: Tag) -> Self {
        Self::Tag(tag)
    }
}
