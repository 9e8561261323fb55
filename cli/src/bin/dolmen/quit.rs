//! What the program's threads are doing, on `SIGQUIT`.
//!
//! A program that hangs is asked with `kill -QUIT` (or Ctrl-\\) where it is: each thread's state and what it is calling
//! go to standard error, and the program goes on. The handler of the signal only writes to a pipe (`signal-hook`);
//! everything else is done by a thread that reads from it, as from any other OS thread.
//!
//! Threads of a program with several are stopped for it; the only thread of a program answers at its next poll.

use crate::ending;
use crate::output;
use anyhow::Result;
use dolmen::{Frame, Store, ThreadControl, ThreadId, ThreadState};
use signal_hook::consts::SIGQUIT;
use signal_hook::iterator::Signals;
use std::thread;
use std::time::Duration;

/// How long the only thread has to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Watches for the signal until the process ends.
///
/// # Errors
///
/// If the system refuses the signal or a thread.
pub fn watch<T>(store: &Store<T>, program: String) -> Result<()> {
    let control = store.thread_control();
    let mut signals = Signals::new([SIGQUIT])?;
    let dump_each = move || signals.forever().for_each(|_| dump(&control, &program));
    thread::Builder::new().name("sigquit".into()).spawn(dump_each)?;
    Ok(())
}

fn dump(control: &ThreadControl, program: &str) {
    let states = control.states();
    output::say(format_args!("threads: {}", states.len()));
    // States come first: stopping the threads waits for a host function that has the store.
    states.iter().for_each(|&(thread, state)| output::say(format_args!("{thread}: {}", describe(state))));
    if let Some(mut suspended) = control.suspend_all() {
        suspended.world().backtraces().iter().for_each(|(thread, frames)| say_frames(*thread, frames, program));
        return;
    }
    for (thread, _) in states {
        match control.backtrace(thread, PATIENCE) {
            Some(frames) => say_frames(thread, &frames, program),
            None => output::say(format_args!("{thread} runs no code, or code without polls")),
        }
    }
}

fn say_frames(thread: ThreadId, frames: &[Frame], program: &str) {
    output::say(format_args!("{thread} is calling:"));
    frames.iter().for_each(|frame| output::say(format_args!("  {}", ending::describe_frame(frame, program))));
}

fn describe(state: ThreadState) -> &'static str {
    match state {
        ThreadState::Runs => "runs",
        ThreadState::Waits => "sleeps until it is notified, or a descriptor is ready, or a time has come",
        ThreadState::InHost => "is in a host function, or waits for the store",
        ThreadState::UsesStore => "has the store",
        ThreadState::Suspended => "is suspended",
    }
}
