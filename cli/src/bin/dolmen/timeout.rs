//! Ending a program after some time.
//!
//! When the time is over, the store is interrupted, and the program traps at its next poll; if it sleeps or waits for
//! input, it wakes for that. A program that is in a system call that does not end has no poll before it gets back: after
//! a grace period the process ends without it.

use crate::ending;
use crate::output;
use anyhow::Result;
use dolmen::{Store, TrapCode};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

/// What a program that was interrupted gets to end by itself.
const GRACE: Duration = Duration::from_millis(500);

/// The time that a program has; dropped when the program has ended.
#[derive(Debug)]
pub struct Timeout {
    _ended: Sender<()>,
}

impl Timeout {
    /// Starts the time.
    ///
    /// # Errors
    ///
    /// If the store's code cannot be interrupted, or the system refuses a thread.
    pub fn start<T>(store: &mut Store<T>, timeout: Duration) -> Result<Self> {
        let handle = store.interrupt_handle()?;
        let (ended, wait) = mpsc::channel();
        thread::Builder::new().name("timeout".into()).spawn(move || {
            let is_over = |time| wait.recv_timeout(time) == Err(RecvTimeoutError::Timeout);
            if is_over(timeout) {
                handle.interrupt();
                if is_over(GRACE) {
                    output::say(format_args!("trap: {}", TrapCode::Interrupt.message()));
                    std::process::exit(ending::TRAPPED.into());
                }
            }
        })?;
        Ok(Self { _ended: ended })
    }
}
