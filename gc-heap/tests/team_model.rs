//! The protocol of the threads that mark (`src/trace/team.rs`) under `loom`: every interleaving of small programs, up to a
//! number of preemptions.
//!
//! Work is a number: who has `n` of it makes two pieces of `n - 1`, one of which it offers. Each piece touches a cell of
//! its own, and at the end the leader touches all. `loom` reports two touches that nothing orders, and deadlocks. So a
//! leader that believes all is done too early, work that is lost or done twice, or a helper that outlives the session
//! fails here.
//!
//! | what | program |
//! |---|---|
//! | a helper comes at any time, or never | [`interleavings::a_helper_may_be_late`] |
//! | two helpers, parcels from each to each | [`interleavings::two_helpers`] |
//! | the leader makes new work when all is done | [`interleavings::a_second_round`] |
//! | helpers that wait for the end | [`interleavings::patient_helpers`] |
//! | sessions follow each other, a helper comes between | [`interleavings::two_sessions`] |
//! | a mutator stands by | [`interleavings::an_assistant`] |
//! | the leader gives up with work left, and opens another session | [`interleavings::giving_up`] |
//!
//! Where work is to be shared, it must be so in some interleaving: a team that never shares loses nothing.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use std::sync::atomic::{AtomicU32, Ordering};
use team::Team;

/// What [`team`] takes for the standard library's.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU32, Ordering};
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};

    pub(crate) const PATIENCE: u32 = 1;

    pub(crate) fn spin(_: u32) {
        loom::thread::yield_now();
    }
}

#[path = "../src/trace/team.rs"]
#[allow(dead_code, reason = "the model uses a part of the protocol")]
mod team;

/// Most involuntary switches between threads in one interleaving.
const PREEMPTIONS: usize = 3;

/// Pieces of work that a session may have.
const PIECES: usize = 8;

/// A piece of work: pieces `first .. first + count`.
#[derive(Clone, Copy)]
struct Piece {
    first: usize,
    count: usize,
}

struct Model {
    team: Team<u32, Piece>,
    /// How often each piece was done.
    done: [UnsafeCell<u32>; PIECES],
    /// What only members of a session may read.
    trace: UnsafeCell<u32>,
}

// SAFETY: `loom` checks all accesses to the cells.
unsafe impl Send for Model {}
// SAFETY: as above.
unsafe impl Sync for Model {}

impl Model {
    fn new(helpers: u32, is_patient: bool) -> Arc<Self> {
        let team = Team::new(helpers, is_patient);
        Arc::new(Self { team, done: Default::default(), trace: UnsafeCell::new(0) })
    }

    fn read_trace(&self) {
        // SAFETY: `loom` fails the test if a write is not ordered with this read.
        self.trace.with(|trace| assert!(unsafe { *trace } < 100));
    }

    fn write_trace(&self) {
        // SAFETY: as above.
        self.trace.with_mut(|trace| unsafe { *trace += 1 });
    }

    /// Does a piece, giving half of it away if somebody wants it.
    fn work(&self, mut piece: Piece) {
        while piece.count > 0 {
            self.read_trace();
            if piece.count > 1 && self.team.wants() {
                self.team.offer(|| {
                    let count = piece.count / 2;
                    piece.count -= count;
                    Some(Piece { first: piece.first + piece.count, count })
                });
            }
            piece.count -= 1;
            // SAFETY: as above.
            self.done[piece.first + piece.count].with_mut(|done| unsafe { *done += 1 });
        }
    }

    /// Helps once; the number of parcels taken.
    fn help(&self) -> u32 {
        if self.team.join().is_none() {
            return 0;
        }
        self.read_trace();
        let mut taken = 0;
        while let Some(piece) = self.team.take_or_leave() {
            self.work(piece);
            taken += 1;
        }
        taken
    }

    fn lead(&self, piece: Piece) {
        self.work(piece);
        while let Some(piece) = self.team.take() {
            self.work(piece);
        }
    }

    /// Asserts that the first pieces were done `times` times each.
    fn check(&self, pieces: usize, times: u32) {
        for done in &self.done[..pieces] {
            // SAFETY: as above.
            done.with_mut(|done| assert_eq!(unsafe { *done }, times));
        }
    }

    /// How often these pieces were done.
    fn count(&self, pieces: std::ops::Range<usize>) -> u32 {
        // SAFETY: as above.
        self.done[pieces].iter().map(|done| done.with(|done| unsafe { *done })).sum()
    }

    fn session(&self, pieces: usize) {
        self.write_trace();
        self.team.open(0);
        self.lead(Piece { first: 0, count: pieces });
        self.check(pieces, 1);
        self.team.close();
        self.write_trace();
    }
}

/// Checks a program, which returns how many parcels helpers have taken: some, in some interleavings.
fn check(preemptions: usize, program: impl Fn() -> u32 + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    let taken = std::sync::Arc::new(AtomicU32::new(0));
    let counter = std::sync::Arc::clone(&taken);
    builder.check(move || _ = counter.fetch_add(program(), Ordering::Relaxed));
    assert!(taken.load(Ordering::Relaxed) > 0, "no helper has ever taken a parcel");
}

fn helper(model: &Arc<Model>) -> thread::JoinHandle<u32> {
    let model = Arc::clone(model);
    thread::spawn(move || model.help())
}

/// The programs. Sanitizers pass over them: they see nothing that `loom` does not, and take hours.
mod interleavings {
    use super::*;

    #[test]
    fn a_helper_may_be_late() {
        check(PREEMPTIONS, || {
            let model = Model::new(1, false);
            let helper = helper(&model);
            model.session(4);
            helper.join().unwrap()
        });
    }

    #[test]
    fn two_helpers() {
        check(PREEMPTIONS, || {
            let model = Model::new(2, false);
            let helpers = [helper(&model), helper(&model)];
            model.session(2);
            helpers.into_iter().map(|helper| helper.join().unwrap()).sum()
        });
    }

    #[test]
    fn a_second_round() {
        check(PREEMPTIONS, || {
            let model = Model::new(1, false);
            let helper = helper(&model);
            model.write_trace();
            model.team.open(0);
            model.lead(Piece { first: 0, count: 2 });
            model.check(2, 1);
            model.lead(Piece { first: 0, count: 3 });
            model.check(2, 2);
            model.team.close();
            model.write_trace();
            helper.join().unwrap()
        });
    }

    #[test]
    fn patient_helpers() {
        check(PREEMPTIONS, || {
            let model = Model::new(1, true);
            let helper = helper(&model);
            model.session(3);
            helper.join().unwrap()
        });
    }

    #[test]
    fn two_sessions() {
        check(PREEMPTIONS, || {
            let model = Model::new(1, false);
            let helper = helper(&model);
            for times in 1..=2 {
                model.write_trace();
                model.team.open(0);
                model.lead(Piece { first: 0, count: 2 });
                model.check(2, times);
                model.team.close();
            }
            model.write_trace();
            helper.join().unwrap()
        });
    }

    #[test]
    fn an_assistant() {
        check(PREEMPTIONS, || {
            let model = Model::new(1, false);
            assert!(model.team.stand_by() && model.team.has_assistants());
            let assistant = Arc::clone(&model);
            let assistant = thread::spawn(move || {
                let taken = if assistant.team.is_open() { assistant.help() } else { 0 };
                assistant.team.stand_down();
                taken
            });
            model.session(4);
            assert!(!model.team.is_open());
            let taken = assistant.join().unwrap();
            assert!(!model.team.has_assistants() && model.team.reserve_place(), "the place is free again");
            taken
        });
    }

    #[test]
    fn giving_up() {
        check(PREEMPTIONS, || {
            let model = Model::new(1, false);
            let helper = helper(&model);
            model.team.open(0);
            model.work(Piece { first: 4, count: 3 });
            model.team.close();
            model.write_trace();
            // What was left is done by nobody.
            let done = model.count(4..7);
            model.session(2);
            assert_eq!(model.count(4..7), done);
            helper.join().unwrap()
        });
    }
}
