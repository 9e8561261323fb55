//! The crew: threads of the process that help whichever heap calls.
//!
//! They also take memory from the system ahead of a program's need ([`ahead`](crate::space::ahead)).
//!
//! Most heaps are small and are marked by one thread before another has woken up. So there are no helpers until a
//! collection calls for one, and then they are shared by all heaps of the process: they sleep until a team
//! ([`team`](super::team)) calls, help it as long as it has work, and sleep again. They belong to no store, run no code
//! of programs or embedders, and end with the process. All signals are blocked in them.
//!
//! A call that cannot be served (no memory, no thread) is dropped: nobody waits for it, and the thread that collects does
//! all of the work.

#![allow(unsafe_code, reason = "signal masks")]

use super::MarkTeam;
use super::marker;
use super::stack::MarkStack;
use crate::options::HeapOptions;
use crate::space::ahead::Pages;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Stack of a helper: it does not recurse.
const STACK_BYTES: usize = 256 << 10;

pub struct Crew {
    state: Mutex<State>,
    called: Condvar,
    /// Starts a helper; false if there is none.
    start: fn(&'static Crew) -> bool,
}

/// What a helper is called for.
enum Call {
    Mark(Arc<MarkTeam>),
    Populate(Arc<Pages>),
}

struct State {
    calls: VecDeque<Call>,
    threads: u32,
    idle: usize,
}

/// The threads of the process.
static HELPERS: Crew = Crew::new(start);

/// A crew for which the system has no threads.
static NOBODY: Crew = Crew::new(|_| false);

/// The crew of a heap with these options.
pub fn of(options: &HeapOptions) -> &'static Crew {
    if options.tuning.refuse_helpers { &NOBODY } else { &HELPERS }
}

/// Starts a helper that blocks all signals.
fn start(crew: &'static Crew) -> bool {
    let mask = SignalMask::block_all();
    let started = thread::Builder::new().name("dolmen-gc".into()).stack_size(STACK_BYTES).spawn(|| crew.serve());
    drop(mask);
    started.is_ok()
}

impl Crew {
    const fn new(start: fn(&'static Self) -> bool) -> Self {
        let state = Mutex::new(State { calls: VecDeque::new(), threads: 0, idle: 0 });
        Self { state, called: Condvar::new(), start }
    }

    /// Calls one more helper for a team, if it has a place for one.
    pub fn call(&'static self, team: &Arc<MarkTeam>) {
        if team.reserve_place() && !self.pass_on(Call::Mark(Arc::clone(team)), team.places()) {
            team.dismiss();
        }
    }

    /// Calls a helper to populate pages, one of so many.
    pub fn call_for_memory(&'static self, pages: &Arc<Pages>, helpers: u32) {
        if !self.pass_on(Call::Populate(Arc::clone(pages)), helpers) {
            pages.dismiss();
        }
    }

    /// Passes a call on to one of so many helpers; false if nobody will answer.
    fn pass_on(&'static self, call: Call, helpers: u32) -> bool {
        let mut state = self.lock();
        if state.calls.try_reserve(1).is_err() {
            return false;
        }
        state.calls.push_back(call);
        if state.calls.len() <= state.idle {
            self.called.notify_one();
            return true;
        }
        let is_started = state.threads < helpers && (self.start)(self);
        state.threads += u32::from(is_started);
        if state.threads == 0 {
            state.calls.pop_back();
        }
        state.threads > 0
    }

    /// A helper's life.
    fn serve(&self) {
        let mut stack = MarkStack::new(0);
        loop {
            match self.next_call() {
                Call::Mark(team) => {
                    take_part(&team, &mut stack);
                    team.dismiss();
                }
                Call::Populate(pages) => self.populate(pages),
            }
        }
    }

    /// Populates a page; the next one when other calls have been answered.
    fn populate(&self, pages: Arc<Pages>) {
        let has_more = pages.populate_next();
        let mut state = self.lock();
        if has_more && state.calls.try_reserve(1).is_ok() {
            state.calls.push_back(Call::Populate(pages));
        } else {
            drop(state);
            pages.dismiss();
        }
    }

    fn next_call(&self) -> Call {
        let mut state = self.lock();
        state.idle += 1;
        loop {
            if let Some(call) = state.calls.pop_front() {
                state.idle -= 1;
                return call;
            }
            state = self.called.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Helps a team as long as a session is open and has work; the bytes of the objects scanned. The caller has a place.
pub fn take_part(team: &MarkTeam, stack: &mut MarkStack) -> u64 {
    let Some(job) = team.join() else { return 0 };
    // What it holds of the job would be lost, and the leader would wait for it for ever.
    let abort = AbortOnPanic;
    let bytes = marker::help(team, job, stack);
    std::mem::forget(abort);
    bytes
}

/// Ends the process when it is dropped.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        std::process::abort();
    }
}

/// The calling thread's signal mask of before, which a drop restores.
struct SignalMask {
    before: libc::sigset_t,
}

impl SignalMask {
    /// Blocks all signals of the calling thread; threads that it starts inherit that.
    fn block_all() -> Self {
        // SAFETY: a signal set is plain data, for which zeros are a value.
        let (mut all, mut before) = unsafe { std::mem::zeroed::<(libc::sigset_t, libc::sigset_t)>() };
        // SAFETY: `all` is a signal set to write to.
        unsafe { libc::sigfillset(&mut all) };
        // SAFETY: both sets are valid; blocking signals for a while is no more than to delay them.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before) };
        Self { before }
    }
}

impl Drop for SignalMask {
    fn drop(&mut self) {
        // SAFETY: the set is the one that was in force before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::team_of;
    use std::num::NonZeroU32;

    fn team(threads: u32) -> Arc<MarkTeam> {
        team_of(&HeapOptions { threads: NonZeroU32::new(threads), ..HeapOptions::default() })
    }

    #[test]
    fn calls_that_nobody_can_answer_are_dropped() {
        static CREW: Crew = Crew::new(|_| false);
        let team = team(3);
        (0..10).for_each(|_| CREW.call(&team));
        assert!(CREW.lock().calls.is_empty());
        assert!((0..2).all(|_| team.reserve_place()), "places are free again");
        assert!(!team.reserve_place());
    }

    #[test]
    fn helpers_that_there_are_answer_for_those_that_cannot_be_started() {
        static CREW: Crew = Crew::new(|_| false);
        // It is busy elsewhere.
        CREW.lock().threads = 1;
        let team = team(4);
        (0..10).for_each(|_| CREW.call(&team));
        let state = CREW.lock();
        assert_eq!((state.calls.len(), state.threads), (3, 1));
    }

    /// The masks of blocked signals of the threads that helpers are.
    fn masks() -> Vec<u64> {
        let threads = std::fs::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap().path());
        let read = |thread: &std::path::Path, file| std::fs::read_to_string(thread.join(file)).unwrap_or_default();
        let helpers = threads.filter(|thread| read(thread, "comm").trim() == "dolmen-gc");
        let status = helpers.map(|thread| read(&thread, "status"));
        status
            .filter_map(|text| u64::from_str_radix(text.split("SigBlk:").nth(1)?.split_whitespace().next()?, 16).ok())
            .collect()
    }

    #[test]
    fn helpers_get_no_signals() {
        static CREW: Crew = Crew::new(start);
        CREW.call(&team(2));
        assert_eq!(CREW.lock().threads, 1);
        let masks = std::iter::repeat_with(masks).find(|masks| !masks.is_empty()).unwrap();
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGALRM, libc::SIGPROF, libc::SIGUSR1] {
            assert!(masks.iter().all(|mask| mask >> (signal - 1) & 1 == 1), "signal {signal} in {masks:x?}");
        }
    }
}
