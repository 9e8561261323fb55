//! The primitives that [`world`](super::world) is built on: the standard library's, and `loom`'s in its model test.

pub(crate) use std::hint::spin_loop as spin;
pub(crate) use std::sync::atomic::{AtomicU32, Ordering};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

/// How often [`spin`] is called before sleeping: for a few microseconds, in which a buffer is refilled.
pub(crate) const SPINS: u32 = 300;
