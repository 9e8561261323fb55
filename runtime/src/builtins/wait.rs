//! `memory.atomic.wait` and `notify`.
//!
//! Compiled code has checked the address: it is that of an aligned value inside a shared memory. The queue of who
//! waits there is [`crate::vm::waiters`].

use super::Result;
use crate::vm::waiters::{self, Expected};
use std::time::Duration;

/// Wakes at most `count` threads; returns how many.
pub(super) fn memory_atomic_notify(address: u64, count: u32) -> Result<u32> {
    Ok(waiters::notify(address, count))
}

/// Waits while the value is `expected`; a negative timeout is none.
pub(super) fn memory_atomic_wait32(address: u64, expected: u32, timeout: u64) -> Result<u32> {
    // SAFETY: compiled code has checked the address, and its store keeps the memory.
    Ok(unsafe { waiters::wait(address, Expected::I32(expected), nanoseconds(timeout)) } as u32)
}

/// Waits while the value is `expected`; a negative timeout is none.
pub(super) fn memory_atomic_wait64(address: u64, expected: u64, timeout: u64) -> Result<u32> {
    // SAFETY: as above.
    Ok(unsafe { waiters::wait(address, Expected::I64(expected), nanoseconds(timeout)) } as u32)
}

fn nanoseconds(timeout: u64) -> Option<Duration> {
    u64::try_from(timeout.cast_signed()).ok().map(Duration::from_nanos)
}
