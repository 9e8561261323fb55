//! The primitives that [`world`](super::world), [`seat`](super::seat) and [`unlocked`](super::unlocked) are built on: the
//! standard library's, and `loom`'s in their model tests.

pub(crate) use std::hint::spin_loop as spin;
pub(crate) use std::sync::atomic::{AtomicU32, Ordering};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
pub(crate) use std::thread::sleep;

/// How often [`spin`] is called before sleeping: for a few microseconds, in which a buffer is refilled.
pub(crate) const SPINS: u32 = 300;
