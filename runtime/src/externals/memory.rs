//! Linear memories.

use super::{SharedMemory, Stored};
use crate::error::{ArgumentError, Error};
use crate::store::{AsContext, AsContextMut, StoreContext, StoreContextMut, StoreInner};
use crate::types::MemoryType;
use crate::vm::memory::MemoryData;
use std::sync::Arc;

/// Why a shared memory cannot be borrowed.
const SHARED: &str = "the bytes of a shared memory cannot be borrowed";

/// A linear memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Memory(pub(crate) Stored);

impl Memory {
    /// Makes a memory of its minimal size, zeroed.
    ///
    /// # Errors
    ///
    /// If there is no room for it.
    pub fn new(mut store: impl AsContextMut, ty: MemoryType) -> Result<Self, Error> {
        let mut context = store.as_context_mut();
        let inner = context.inner_mut();
        inner.memories.push(MemoryData::new(ty.raw())?);
        Ok(Self(Stored::new(inner, inner.memories.len() - 1)))
    }

    /// Makes a shared memory an item of a store, for a module to import.
    ///
    /// # Errors
    ///
    /// If the memory belongs to another engine.
    pub fn from_shared(mut store: impl AsContextMut, memory: &SharedMemory) -> Result<Self, ArgumentError> {
        let mut context = store.as_context_mut();
        let inner = context.inner_mut();
        if !memory.engine().same(&inner.engine) {
            return Err(ArgumentError::WrongStore);
        }
        inner.memories.push(MemoryData::shared(memory.data_arc()));
        Ok(Self(Stored::new(inner, inner.memories.len() - 1)))
    }

    /// The memory apart from its store, if its type is shared.
    ///
    /// # Panics
    ///
    /// If the memory belongs to another store.
    #[must_use]
    pub fn as_shared(&self, store: impl AsContext) -> Option<SharedMemory> {
        let context = store.as_context();
        let inner = context.inner();
        let memory = inner.memories[self.0.index(inner)].as_shared()?;
        Some(SharedMemory::from_parts(inner.engine.clone(), Arc::clone(memory)))
    }

    /// The contents. Other threads of the store stop, from this on until the caller gives the store up.
    ///
    /// # Panics
    ///
    /// If the memory belongs to another store; if it is shared, since its bytes may change at any time: see
    /// [`Memory::as_shared`].
    #[must_use]
    pub fn data<'a, T: 'a>(&self, store: impl Into<StoreContext<'a, T>>) -> &'a [u8] {
        let inner = store.into().inner();
        inner.threads.stop_until_release();
        inner.memories[self.0.index(inner)].bytes().expect(SHARED)
    }

    /// The contents. Other threads of the store stop, from this on until the caller gives the store up.
    ///
    /// # Panics
    ///
    /// If the memory belongs to another store; if it is shared, since its bytes may change at any time: see
    /// [`Memory::as_shared`].
    pub fn data_mut<'a, T: 'a>(&self, store: impl Into<StoreContextMut<'a, T>>) -> &'a mut [u8] {
        let inner = &mut store.into().0.inner;
        let number = self.0.index(inner);
        inner.threads.stop_until_release();
        inner.memories[number].bytes_mut().expect(SHARED)
    }

    /// Address of the first byte, which never changes. The [`Memory::data_size`] bytes from there on are accessible as
    /// long as the store is; code may read and write them at any time.
    ///
    /// # Panics
    ///
    /// If the memory belongs to another store.
    #[must_use]
    pub fn data_ptr(&self, store: impl AsContext) -> *mut u8 {
        let context = store.as_context();
        let inner = context.inner();
        inner.memories[self.0.index(inner)].base_address()
    }

    /// The contents, as of [`Memory::data`], and the embedder's data, both at once.
    ///
    /// # Panics
    ///
    /// If the memory belongs to another store; if it is shared, since its bytes may change at any time: see
    /// [`Memory::as_shared`].
    pub fn data_and_store_mut<'a, T: 'a>(&self, store: impl Into<StoreContextMut<'a, T>>) -> (&'a mut [u8], &'a mut T) {
        let data = store.into().0;
        let number = self.0.index(&data.inner);
        data.inner.threads.stop_until_release();
        (data.inner.memories[number].bytes_mut().expect(SHARED), &mut data.data)
    }

    /// Size in pages.
    ///
    /// # Panics
    ///
    /// If the memory belongs to another store.
    #[must_use]
    pub fn size(&self, store: impl AsContext) -> u64 {
        let context = store.as_context();
        let inner = context.inner();
        inner.memories[self.0.index(inner)].pages()
    }

    /// Size of a page in bytes: the unit of [`size`](Self::size) and [`grow`](Self::grow).
    ///
    /// # Panics
    ///
    /// If the memory belongs to another store.
    #[must_use]
    pub fn page_size(&self, store: impl AsContext) -> u64 {
        self.ty(store).page_bytes()
    }

    /// Size in bytes.
    ///
    /// # Panics
    ///
    /// If the memory belongs to another store.
    #[must_use]
    pub fn data_size(&self, store: impl AsContext) -> u64 {
        let context = store.as_context();
        let inner = context.inner();
        inner.memories[self.0.index(inner)].len_bytes()
    }

    /// Adds `delta` pages of zeros and returns the old size in pages.
    ///
    /// # Errors
    ///
    /// If the memory cannot grow that far, or belongs to another store.
    pub fn grow(&self, mut store: impl AsContextMut, delta: u64) -> Result<u64, Error> {
        let mut context = store.as_context_mut();
        let inner = context.inner_mut();
        let number = self.0.number(inner)? as usize;
        let memory = &inner.memories[number];
        let from = memory.pages();
        Ok(memory.grow(delta).ok_or(ArgumentError::Grow { from, delta })?)
    }

    /// Copies bytes out, from `offset` on.
    ///
    /// # Errors
    ///
    /// If the range is out of bounds, or the memory belongs to another store. Nothing is copied then.
    pub fn read(&self, store: impl AsContext, offset: u64, buffer: &mut [u8]) -> Result<(), ArgumentError> {
        let context = store.as_context();
        let inner = context.inner();
        let memory = &inner.memories[self.0.number(inner)? as usize];
        let (len, bytes) = (buffer.len() as u64, memory.len_bytes());
        memory.read(offset, buffer).ok_or(ArgumentError::MemoryRange { offset, len, bytes })
    }

    /// Copies bytes in, from `offset` on.
    ///
    /// # Errors
    ///
    /// If the range is out of bounds, or the memory belongs to another store. Nothing is copied then.
    pub fn write(&self, mut store: impl AsContextMut, offset: u64, buffer: &[u8]) -> Result<(), ArgumentError> {
        let mut context = store.as_context_mut();
        let inner = context.inner_mut();
        let number = self.0.number(inner)? as usize;
        let memory = &inner.memories[number];
        let (len, bytes) = (buffer.len() as u64, memory.len_bytes());
        memory.write(offset, buffer).ok_or(ArgumentError::MemoryRange { offset, len, bytes })
    }

    /// The type, with the current size as minimum.
    ///
    /// # Panics
    ///
    /// If the memory belongs to another store.
    #[must_use]
    pub fn ty(&self, store: impl AsContext) -> MemoryType {
        self.type_in(store.as_context().inner())
    }

    pub(super) fn type_in(&self, inner: &StoreInner) -> MemoryType {
        MemoryType::from_raw(inner.memories[self.0.index(inner)].ty())
    }
}
