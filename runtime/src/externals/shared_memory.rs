//! Linear memories that several stores, and the threads of each, use at once.
//!
//! A shared memory belongs to an engine. To use it in a store, make it an item of that store
//! ([`Memory::from_shared`](crate::Memory::from_shared)); a module's own shared memory is got out of its store by
//! [`Memory::as_shared`](crate::Memory::as_shared).

use crate::engine::Engine;
use crate::error::{ArgumentError, Error, StoreError};
use crate::types::MemoryType;
use crate::vm::memory::LinearMemory;
use crate::vm::waiters::{self, Expected, WaitResult};
use std::cell::UnsafeCell;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

/// A linear memory that threads share. Cheap to clone: clones are the same memory.
#[derive(Clone, Debug)]
pub struct SharedMemory {
    engine: Engine,
    memory: Arc<LinearMemory>,
}

impl SharedMemory {
    /// Makes a memory of its minimal size, zeroed.
    ///
    /// # Errors
    ///
    /// If the type is not shared, or there is no room for it.
    pub fn new(engine: &Engine, ty: MemoryType) -> Result<Self, Error> {
        if !ty.is_shared() {
            return Err(ArgumentError::NotShared.into());
        }
        let memory = LinearMemory::new(ty.raw()).map_err(|error: StoreError| Error::from(error))?;
        Ok(Self { engine: engine.clone(), memory: Arc::new(memory) })
    }

    /// The type, with the current size as minimum.
    #[must_use]
    pub fn ty(&self) -> MemoryType {
        MemoryType::from_raw(self.memory.ty())
    }

    /// Size in pages.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.memory.pages()
    }

    /// Size in bytes.
    #[must_use]
    pub fn data_size(&self) -> usize {
        self.memory.len_bytes() as usize
    }

    /// The contents, which other threads may read and write at any time.
    #[must_use]
    pub fn data(&self) -> &[UnsafeCell<u8>] {
        self.memory.cells()
    }

    /// Adds `delta` pages of zeros and returns the old size in pages. Code that runs sees the new size soon, and at
    /// the latest when it synchronises with this thread.
    ///
    /// # Errors
    ///
    /// If the memory cannot grow that far.
    pub fn grow(&self, delta: u64) -> Result<u64, Error> {
        let from = self.memory.pages();
        Ok(self.memory.grow(delta).ok_or(ArgumentError::Grow { from, delta })?)
    }

    /// Copies bytes out, from `offset` on. What other threads write meanwhile may come out in part.
    ///
    /// # Errors
    ///
    /// If the range is out of bounds. Nothing is copied then.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ArgumentError> {
        let error = self.out_of_bounds(offset, buffer.len() as u64);
        self.memory.read(offset, buffer).ok_or(error)
    }

    /// Copies bytes in, from `offset` on. Other threads may see a part of it.
    ///
    /// # Errors
    ///
    /// If the range is out of bounds. Nothing is copied then.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), ArgumentError> {
        self.memory.write(offset, bytes).ok_or_else(|| self.out_of_bounds(offset, bytes.len() as u64))
    }

    /// Wakes at most `count` threads that wait at an address (`memory.atomic.notify`); returns how many.
    ///
    /// # Errors
    ///
    /// If the address is out of bounds or not a multiple of 4.
    pub fn atomic_notify(&self, address: u64, count: u32) -> Result<u32, ArgumentError> {
        Ok(waiters::notify(self.aligned(address, 4)?.as_ptr() as u64, count))
    }

    /// Waits while the 32-bit value at an address is `expected` (`memory.atomic.wait32`); without a timeout for as
    /// long as it takes. Must not be called by a host function while other threads need its store.
    ///
    /// # Errors
    ///
    /// If the address is out of bounds or not a multiple of 4.
    pub fn atomic_wait32(
        &self,
        address: u64,
        expected: u32,
        timeout: Option<Duration>,
    ) -> Result<WaitResult, ArgumentError> {
        let place = self.aligned(address, 4)?;
        Ok(waiters::wait_in(&self.memory, place, Expected::I32(expected), timeout))
    }

    /// Waits while the 64-bit value at an address is `expected` (`memory.atomic.wait64`), as
    /// [`SharedMemory::atomic_wait32`] does.
    ///
    /// # Errors
    ///
    /// If the address is out of bounds or not a multiple of 8.
    pub fn atomic_wait64(
        &self,
        address: u64,
        expected: u64,
        timeout: Option<Duration>,
    ) -> Result<WaitResult, ArgumentError> {
        let place = self.aligned(address, 8)?;
        Ok(waiters::wait_in(&self.memory, place, Expected::I64(expected), timeout))
    }

    /// The engine that the memory belongs to.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn from_parts(engine: Engine, memory: Arc<LinearMemory>) -> Self {
        Self { engine, memory }
    }

    pub(crate) fn data_arc(&self) -> Arc<LinearMemory> {
        Arc::clone(&self.memory)
    }

    fn aligned(&self, address: u64, bytes: u64) -> Result<NonNull<u8>, ArgumentError> {
        let place = self.memory.address(address, bytes).filter(|_| address.is_multiple_of(bytes));
        place.ok_or_else(|| self.out_of_bounds(address, bytes))
    }

    fn out_of_bounds(&self, offset: u64, len: u64) -> ArgumentError {
        ArgumentError::MemoryRange { offset, len, bytes: self.memory.len_bytes() }
    }
}
