//! The primitives that [`world`](super::world), [`seat`](super::seat) and [`unlocked`](super::unlocked) are built on: the
//! standard library's, and `loom`'s in their model tests.

pub(crate) use dolmen_gc_heap::{Assistant, spin};
use std::num::NonZeroUsize;
use std::sync::OnceLock;
pub(crate) use std::sync::atomic::{AtomicU32, Ordering};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
pub(crate) use std::thread::sleep;

/// How often [`spin`] is called before sleeping: for a few microseconds, in which a buffer is refilled.
pub(crate) const SPINS: u32 = 300;

/// The same for who stops the world: for some tens of microseconds, in which running members get to a safepoint.
pub(crate) const STOP_SPINS: u32 = 3000;

/// Processors that there are for this process.
pub(crate) fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, NonZeroUsize::get))
}
