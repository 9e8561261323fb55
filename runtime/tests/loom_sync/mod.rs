//! What the models of the runtime's protocols take for its `sync`: the primitives of `loom`.

pub(crate) use loom::sync::atomic::{AtomicU32, Ordering};
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};

pub(crate) const SPINS: u32 = 1;
pub(crate) const STOP_SPINS: u32 = 1;

/// One that looks once.
#[derive(Debug, Default)]
pub(crate) struct Assistant;

impl Assistant {
    pub(crate) fn stand_by(&self, is_over: impl Fn() -> bool) {
        if !is_over() {
            loom::thread::yield_now();
        }
    }
}

pub(crate) fn spin(_: u32) {
    loom::thread::yield_now();
}

pub(crate) fn cores() -> usize {
    2
}

pub(crate) fn sleep(_: std::time::Duration) {
    loom::thread::yield_now();
}
