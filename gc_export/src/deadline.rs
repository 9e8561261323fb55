//! Calls that may not take for ever.
//!
//! One thread of the process waits for the earliest deadline of all calls and interrupts the thread whose it is; it is
//! started with the first deadline and stays. A deadline is on the list as long as its call runs, under one lock with
//! the one that interrupts: once it is off, no interruption comes any more. One that has come after the code has
//! returned is taken back by the call.

use crate::exec_env::ExecEnv;
use runtime::{ThreadControl, ThreadId};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The deadline of a call.
#[derive(Debug)]
pub(crate) struct Deadline(Key);

/// By time, and by number where that is the same.
type Key = (Instant, u64);

/// Whom to interrupt.
#[derive(Debug)]
struct Call {
    control: ThreadControl,
    thread: ThreadId,
}

/// The deadlines of all calls.
#[derive(Debug, Default)]
struct Deadlines {
    waiting: Mutex<BTreeMap<Key, Call>>,
    changed: Condvar,
}

impl Deadline {
    /// The deadline of a call that an environment begins, if it has a timeout.
    pub(crate) fn of(env: &ExecEnv) -> Option<Self> {
        // Relaxed: set by the thread that calls.
        let timeout = Duration::from_nanos(env.timeout_ns.load(Ordering::Relaxed));
        let record = env.record();
        let thread = record.thread.filter(|_| !timeout.is_zero())?;
        let end = Instant::now().checked_add(timeout)?;
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        // Relaxed: only uniqueness matters.
        let key = (end, NUMBERS.fetch_add(1, Ordering::Relaxed));
        let deadlines = deadlines()?;
        deadlines.lock().insert(key, Call { control: record.shared.control.clone(), thread });
        deadlines.changed.notify_one();
        Some(Self(key))
    }

    /// Takes the deadline off; whether it has passed.
    pub(crate) fn end(self) -> bool {
        let has_passed = self.take();
        std::mem::forget(self);
        has_passed
    }

    fn take(&self) -> bool {
        deadlines().is_none_or(|deadlines| deadlines.lock().remove(&self.0).is_none())
    }
}

impl Drop for Deadline {
    /// After a panic, too.
    fn drop(&mut self) {
        self.take();
    }
}

impl Deadlines {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Call>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Interrupts whose time is over, for ever.
    fn watch(&self) {
        let mut waiting = self.lock();
        loop {
            let Some(entry) = waiting.first_entry() else {
                waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = entry.key().0.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let Call { control, thread } = entry.remove();
                control.time_out(thread);
            } else {
                let waited = self.changed.wait_timeout(waiting, left);
                waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }
}

/// The deadlines of the process; `None` if the system refuses the thread that watches them.
fn deadlines() -> Option<&'static Deadlines> {
    static DEADLINES: OnceLock<Option<&'static Deadlines>> = OnceLock::new();
    *DEADLINES.get_or_init(|| {
        let deadlines: &'static Deadlines = Box::leak(Box::default());
        let started = std::thread::Builder::new().name("dolmen deadlines".to_owned()).spawn(|| deadlines.watch());
        started.is_ok().then_some(deadlines)
    })
}

/// Whether calls can have deadlines.
pub(crate) fn can_be_watched() -> bool {
    deadlines().is_some()
}
