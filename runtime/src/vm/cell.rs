//! A value at a fixed address that compiled code reads and writes.

use dolmen_abi::context::{MemoryDef, TableDef};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// A value that compiled code knows the address of. It stays there until the cell is dropped.
#[derive(Debug)]
pub(crate) struct SharedCell<T: Copy> {
    value: NonNull<T>,
}

// SAFETY: the cell owns its value, of which it hands out nothing but the address.
unsafe impl<T: Copy + Send> Send for SharedCell<T> {}
// SAFETY: through a shared reference nothing but atomic parts of the value can be used.
unsafe impl<T: Copy + Sync> Sync for SharedCell<T> {}

impl<T: Copy> SharedCell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: NonNull::from(Box::leak(Box::new(value))) }
    }

    /// The address for compiled code.
    pub(crate) fn address(&self) -> NonNull<T> {
        self.value
    }
}

impl SharedCell<MemoryDef> {
    /// The size, which other threads may change at any time if the memory is shared.
    pub(crate) fn len_bytes(&self) -> &AtomicU64 {
        // SAFETY: the field lives as long as the cell, is aligned, and changes by atomic accesses only.
        unsafe { AtomicU64::from_ptr(&raw mut (*self.value.as_ptr()).len_bytes) }
    }
}

impl SharedCell<TableDef> {
    /// The number of elements, which code of other threads may read at any time.
    pub(crate) fn table_len(&self) -> &AtomicU64 {
        // SAFETY: the field lives as long as the cell, is aligned, and changes by atomic accesses only.
        unsafe { AtomicU64::from_ptr(&raw mut (*self.value.as_ptr()).len) }
    }
}

impl<T: Copy> Drop for SharedCell<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from a leaked box in `new`, and is freed only here.
        drop(unsafe { Box::from_raw(self.value.as_ptr()) });
    }
}
