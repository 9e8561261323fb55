//! The primitives that [`team`](super::team) is built on: the standard library's, and `loom`'s in its model test.

pub(crate) use std::sync::atomic::{AtomicU32, Ordering};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

/// Looks at the news before a member without work sleeps or leaves: for some 50 microseconds, as long as it takes to
/// wake a thread.
pub(crate) const PATIENCE: u32 = 1000;

/// Looks between two offers of the processor to other threads.
const YIELD_INTERVAL: u32 = 64;

/// Waits a moment; the `n`-th time in a row.
pub fn spin(n: u32) {
    if n % YIELD_INTERVAL == YIELD_INTERVAL - 1 {
        std::thread::yield_now();
    } else {
        std::hint::spin_loop();
    }
}
