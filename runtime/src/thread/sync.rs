//! The primitives that [`world`](super::world) is built on: the standard library's, and `loom`'s in its model test.

pub(crate) use std::sync::atomic::{AtomicU32, Ordering};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
