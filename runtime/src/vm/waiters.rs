//! Threads that wait for a value in a shared memory to change.
//!
//! The problem: a thread must go to sleep exactly if the value is still the expected one, and a notification that
//! comes right after that check must not be lost. So the check is made under the lock of the queue that
//! notifications take, too. The queue is the process-wide one of `parking_lot_core`, keyed by address: a shared
//! memory may be used by several stores, and does not move.
//!
//! A thread wakes by a notification or at its deadline, never spuriously. Threads wake in the order in which they
//! went to sleep. Reference: WebAssembly threads proposal, "Wait and Notify operators".

use super::memory::LinearMemory;
use parking_lot_core::{DEFAULT_UNPARK_TOKEN, FilterOp, ParkResult, ParkToken};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a waiting thread expects to find.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    I32(u32),
    I64(u64),
}

/// What became of waiting; the numbers are those of the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum WaitResult {
    /// Another thread notified.
    Ok = 0,
    /// The value was not the expected one; there was no waiting.
    Mismatch = 1,
    /// The time is over.
    TimedOut = 2,
}

impl Expected {
    fn size_bytes(self) -> usize {
        match self {
            Self::I32(_) => 4,
            Self::I64(_) => 8,
        }
    }

    /// Whether the value at an address is the expected one.
    ///
    /// # Safety
    ///
    /// As for [`wait`].
    unsafe fn is_at(self, address: u64) -> bool {
        // Sequentially consistent, as all atomic accesses of WebAssembly.
        match self {
            // SAFETY: as the caller promises.
            Self::I32(expected) => unsafe {
                AtomicU32::from_ptr(address as *mut u32).load(Ordering::SeqCst) == expected
            },
            // SAFETY: as the caller promises.
            Self::I64(expected) => unsafe {
                AtomicU64::from_ptr(address as *mut u64).load(Ordering::SeqCst) == expected
            },
        }
    }
}

/// Who waits.
pub(crate) struct Waiter<'a> {
    /// Tells it from others at the same address, for [`interrupt`].
    pub(crate) token: usize,
    /// Whether it is not to wait; asked under the queue's lock.
    pub(crate) is_interrupted: &'a dyn Fn() -> bool,
}

impl Waiter<'_> {
    /// Somebody who is never interrupted.
    pub(crate) const ANONYMOUS: Waiter<'static> = Waiter { token: 0, is_interrupted: &|| false };
}

/// Waits until another thread notifies or interrupts, if the value at an address is the expected one; without a
/// timeout for as long as it takes.
///
/// # Safety
///
/// The address must be that of an aligned value that stays accessible meanwhile.
pub(crate) unsafe fn wait(
    address: u64,
    expected: Expected,
    timeout: Option<Duration>,
    waiter: &Waiter<'_>,
) -> WaitResult {
    // A deadline beyond what the clock can express is none.
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    // SAFETY: the address is the key of the memory's own bytes, which nobody else parks at; the callbacks neither
    // panic nor call the queue.
    let result = unsafe {
        parking_lot_core::park(
            address as usize,
            // SAFETY: as the caller promises.
            || expected.is_at(address) && !(waiter.is_interrupted)(),
            || {},
            |_, _| {},
            ParkToken(waiter.token),
            deadline,
        )
    };
    match result {
        ParkResult::Unparked(_) => WaitResult::Ok,
        ParkResult::Invalid => WaitResult::Mismatch,
        ParkResult::TimedOut => WaitResult::TimedOut,
    }
}

/// Waits at a place in a memory, as [`wait`] does.
pub(crate) fn wait_in(
    memory: &LinearMemory,
    place: NonNull<u8>,
    expected: Expected,
    timeout: Option<Duration>,
) -> WaitResult {
    let (start, bytes) = (memory.bytes().as_ptr().addr(), memory.len_bytes() as usize);
    let offset = place.as_ptr().addr().wrapping_sub(start);
    assert!(offset.is_multiple_of(expected.size_bytes()) && offset < bytes, "outside the memory");
    // SAFETY: the place is an aligned one in the memory (asserted), which is borrowed and never shrinks.
    unsafe { wait(place.as_ptr() as u64, expected, timeout, &Waiter::ANONYMOUS) }
}

/// Wakes at most `count` of the threads that wait at an address, and returns how many.
pub(crate) fn notify(address: u64, count: u32) -> u32 {
    let mut left = count;
    let choose = |_| match left.checked_sub(1) {
        Some(rest) => {
            left = rest;
            FilterOp::Unpark
        }
        None => FilterOp::Stop,
    };
    // SAFETY: as in `wait`.
    let result = unsafe { parking_lot_core::unpark_filter(address as usize, choose, |_| DEFAULT_UNPARK_TOKEN) };
    result.unparked_threads as u32
}

/// Wakes one waiter, wherever it stands in the queue of an address; it finds itself interrupted.
pub(crate) fn interrupt(address: u64, token: usize) {
    let choose = |ParkToken(found)| if found == token { FilterOp::Unpark } else { FilterOp::Skip };
    // SAFETY: as in `wait`.
    unsafe { parking_lot_core::unpark_filter(address as usize, choose, |_| DEFAULT_UNPARK_TOKEN) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_by_mismatch_timeout_or_notification() {
        let value = AtomicU32::new(7);
        let address = value.as_ptr() as u64;
        let wait_for = |expected, timeout| {
            // SAFETY: the value outlives the call.
            unsafe { wait(address, Expected::I32(expected), timeout, &Waiter::ANONYMOUS) }
        };
        assert_eq!(wait_for(8, None), WaitResult::Mismatch);
        let start = Instant::now();
        assert_eq!(wait_for(7, Some(Duration::from_millis(20))), WaitResult::TimedOut);
        assert!(start.elapsed() >= Duration::from_millis(20));
        assert_eq!(notify(address, 1), 0);
        std::thread::scope(|scope| {
            let waiting: Vec<_> = (0..3).map(|_| scope.spawn(|| wait_for(7, None))).collect();
            let mut woken = 0;
            while woken < 3 {
                let now = notify(address, 2);
                assert!(now <= 2);
                woken += now;
            }
            for thread in waiting {
                assert_eq!(thread.join().unwrap(), WaitResult::Ok);
            }
        });
        assert_eq!(notify(address, u32::MAX), 0);
    }

    #[test]
    fn endless_timeouts_are_none() {
        let value = AtomicU64::new(1);
        let address = value.as_ptr() as u64;
        std::thread::scope(|scope| {
            // SAFETY: the value outlives the call.
            let waiting = scope.spawn(move || unsafe {
                wait(address, Expected::I64(1), Some(Duration::from_nanos(i64::MAX as u64)), &Waiter::ANONYMOUS)
            });
            while notify(address, 1) == 0 {
                std::thread::yield_now();
            }
            assert_eq!(waiting.join().unwrap(), WaitResult::Ok);
        });
    }
}
