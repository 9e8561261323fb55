//! `memory.atomic.wait` and `notify`.
//!
//! Compiled code has checked the address: it is that of an aligned value inside a shared memory. The queue of who
//! waits there is [`crate::vm::waiters`]. A thread that waits does not run: others may collect meanwhile. Interrupted,
//! it wakes and traps.

use super::gc::check_interrupt;
use super::{Result, Thread};
use crate::vm::waiters::{self, Expected};
use std::ptr::NonNull;
use std::time::Duration;

/// Wakes at most `count` threads; returns how many.
pub(super) fn memory_atomic_notify(address: u64, count: u32) -> Result<u32> {
    Ok(waiters::notify(address, count))
}

/// Waits while the value is `expected`; a negative timeout is none.
pub(super) fn memory_atomic_wait32(thread: NonNull<Thread>, address: u64, expected: u32, timeout: u64) -> Result<u32> {
    // SAFETY: compiled code has checked the address, and its store keeps the memory.
    unsafe { wait(thread, address, Expected::I32(expected), timeout) }
}

/// Waits while the value is `expected`; a negative timeout is none.
pub(super) fn memory_atomic_wait64(thread: NonNull<Thread>, address: u64, expected: u64, timeout: u64) -> Result<u32> {
    // SAFETY: as above.
    unsafe { wait(thread, address, Expected::I64(expected), timeout) }
}

/// # Safety
///
/// As for [`waiters::wait`]; the thread must be the running one.
unsafe fn wait(mut thread: NonNull<Thread>, address: u64, expected: Expected, timeout: u64) -> Result<u32> {
    let timeout = u64::try_from(timeout.cast_signed()).ok().map(Duration::from_nanos);
    // SAFETY: as the caller promises; no reference to the thread is alive while it waits.
    let outcome = unsafe { Thread::wait(thread, address, expected, timeout) };
    // SAFETY: the thread is the running one.
    check_interrupt(unsafe { thread.as_mut() })?;
    Ok(outcome as u32)
}
