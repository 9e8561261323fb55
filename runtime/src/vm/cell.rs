//! A value at a fixed address that compiled code reads and writes.

use std::ptr::NonNull;

/// A value that compiled code knows the address of. It stays there until the cell is dropped.
#[derive(Debug)]
pub(crate) struct SharedCell<T: Copy> {
    value: NonNull<T>,
}

// SAFETY: the cell owns its value, which it hands out only by copy.
unsafe impl<T: Copy + Send> Send for SharedCell<T> {}
// SAFETY: through a shared reference the value can only be copied; it changes through `set`, which needs
// exclusive access, or by compiled code, which runs only while its store is exclusively borrowed.
unsafe impl<T: Copy + Sync> Sync for SharedCell<T> {}

impl<T: Copy> SharedCell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: NonNull::from(Box::leak(Box::new(value))) }
    }

    pub(crate) fn get(&self) -> T {
        // SAFETY: the value lives as long as the cell; nobody writes to it meanwhile (see `Sync`).
        unsafe { self.value.read() }
    }

    pub(crate) fn set(&mut self, value: T) {
        // SAFETY: the value lives as long as the cell; access is exclusive.
        unsafe { self.value.write(value) };
    }

    /// The address for compiled code.
    pub(crate) fn address(&self) -> NonNull<T> {
        self.value
    }
}

impl<T: Copy> Drop for SharedCell<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from a leaked box in `new`, and is freed only here.
        drop(unsafe { Box::from_raw(self.value.as_ptr()) });
    }
}
