//! Values of the host that `externref`s hold.
//!
//! An object in the heap carries only a number; the value stands in a list here and is dropped when the
//! collector finds the object dead, or with the store.

use std::any::Any;
use std::fmt;

/// A value of the host.
pub(crate) type HostValue = Box<dyn Any + Send + Sync>;

/// The host's values of a store by number. Numbers are used again.
#[derive(Default)]
pub(crate) struct HostObjects {
    values: Vec<Option<HostValue>>,
    free: Vec<usize>,
}

impl HostObjects {
    /// Adds a value and returns its number.
    pub(crate) fn insert(&mut self, value: HostValue) -> u64 {
        if let Some(number) = self.free.pop() {
            self.values[number] = Some(value);
            return number as u64;
        }
        self.values.push(Some(value));
        self.values.len() as u64 - 1
    }

    /// The value with this number.
    pub(crate) fn get(&self, number: u64) -> Option<&(dyn Any + Send + Sync)> {
        self.values.get(number as usize)?.as_deref()
    }

    /// Takes a value out.
    pub(crate) fn remove(&mut self, number: u64) -> Option<HostValue> {
        let value = self.values.get_mut(number as usize)?.take()?;
        self.free.push(number as usize);
        Some(value)
    }
}

impl fmt::Debug for HostObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostObjects({})", self.values.len() - self.free.len())
    }
}
