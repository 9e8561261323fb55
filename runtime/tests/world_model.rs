//! The stop protocol (`src/thread/world.rs`) under `loom`: every interleaving of small programs, up to a number of preemptions.
//!
//! Each member has a cell that stands for its part of the heap, and touches it only while it runs; who has stopped
//! the world touches all cells; the holder touches the store's. `loom` reports two touches that nothing orders, and
//! deadlocks. So a stop that returns too early, a gate that lets a member through, or a lost wake-up fails here.
//!
//! | a member that is | request | resume | nested request | interruption |
//! |---|---|---|---|---|
//! | running | [`stop_against_running`] | [`two_stops`] (the holder itself) | [`nested_stops`] | [`interrupt_against_running`] |
//! | in host | [`stop_against_sleeping`] | [`stop_against_sleeping`] | [`nested_stops_against_sleeping`] | [`interrupt_against_sleep`] |
//! | stopped | [`suspension_against_stop`] | [`stop_against_running`] | [`nested_stops`] | [`interrupt_against_running`] |
//! | starting, ending | [`stop_against_start_and_end`] | [`stop_against_start_and_end`] | [`nested_stops_against_start_and_end`] | [`interrupt_against_start_and_end`] |
//! | waiting for the store | [`two_stops`] | [`two_stops`] | [`nested_stops_against_acquire`] | [`interrupt_against_acquire`] |
//!
//! What else may meet:
//!
//! | pair | program |
//! |---|---|
//! | suspended – running, suspended – stopping, suspended – holder | [`suspension_against_stop`] |
//! | suspended – suspended, suspended – host | [`two_suspensions`] |
//! | closed – suspended, closed – holder | [`closing_against_suspension`] |
//! | closed – stopping from outside | [`closing_against_control`] |
//! | interrupted – asleep, interrupted – falling asleep | [`interrupt_against_sleep`] |
//!
//! A test program of its own, since `loom` takes over the signals that the runtime's tests are about.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use std::ptr::NonNull;
use world::{INTERRUPT, MemberId, Poll, StoreAddress, WaitsAt, World};

/// What [`world`] takes for the standard library's.
#[path = "loom_sync/mod.rs"]
#[allow(dead_code, reason = "nobody sleeps in this model")]
mod sync;

#[path = "../src/thread/world.rs"]
#[allow(dead_code, reason = "the model uses a part of the protocol")]
mod world;

const STORE: StoreAddress = StoreAddress(std::ptr::null_mut());

/// Most involuntary switches between threads in one interleaving.
const PREEMPTIONS: usize = 3;

struct Model {
    world: World,
    first: MemberId,
    heap: [UnsafeCell<u32>; 2],
    store: UnsafeCell<u32>,
    polls: [Box<sync::AtomicU32>; 3],
}

// SAFETY: `loom` checks all accesses to the cells.
unsafe impl Send for Model {}
// SAFETY: as above.
unsafe impl Sync for Model {}

impl Model {
    fn new() -> Arc<Self> {
        let polls = std::array::from_fn(|_| Box::new(sync::AtomicU32::new(0)));
        let (world, first) = World::new(poll(&polls[0]), sync::Assistant);
        Arc::new(Self { world, first, heap: Default::default(), store: UnsafeCell::default(), polls })
    }

    fn join(&self, member: usize) -> MemberId {
        self.world.join(poll(&self.polls[member]))
    }

    fn touch(&self, part: usize) {
        // SAFETY: `loom` fails the test if another access is not ordered with this one.
        self.heap[part].with_mut(|word| unsafe { *word += 1 });
    }

    fn read(&self, part: usize) {
        // SAFETY: as in `touch`, but for other reads.
        self.heap[part].with(|word| assert!(unsafe { *word } < 100));
    }

    fn touch_all(&self) {
        self.touch(0);
        self.touch(1);
        self.touch_store();
    }

    fn touch_store(&self) {
        // SAFETY: as in `touch`.
        self.store.with_mut(|word| unsafe { *word += 1 });
    }

    /// Runs code that touches its part of the heap before and after a poll; begins in the state host.
    fn run_code(&self, id: MemberId, part: usize) {
        self.world.enter_code(id);
        self.touch(part);
        if self.polls[part + 1].load(sync::Ordering::Relaxed) != 0 {
            self.world.pause(id);
        }
        self.touch(part);
        self.world.leave_code(id);
    }

    /// Uses the store with the world stopped; begins and ends in the state host.
    fn collect(&self, id: MemberId) {
        self.world.acquire(id);
        self.world.stop(id);
        self.touch_all();
        self.world.resume(id);
        self.touch_store();
        self.world.give_up(id, STORE);
    }
}

fn poll(word: &sync::AtomicU32) -> Poll {
    // SAFETY: the word lives as long as the model.
    unsafe { Poll::new(NonNull::from(word)) }
}

fn check(program: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(program);
}

/// Starts a thread that does something as a new member, which leaves in the end.
fn start(
    model: &Arc<Model>,
    member: usize,
    body: impl FnOnce(&Model, MemberId) + 'static,
) -> (thread::JoinHandle<()>, MemberId) {
    let id = model.join(member);
    let model = Arc::clone(model);
    let handle = thread::spawn(move || {
        body(&model, id);
        model.world.leave(id);
    });
    (handle, id)
}

#[test]
fn stop_against_running() {
    check(|| {
        let model = Model::new();
        let (a, _) = start(&model, 1, |model, id| model.run_code(id, 0));
        let (b, _) = start(&model, 2, |model, id| model.run_code(id, 1));
        model.world.stop(model.first);
        model.touch_all();
        model.world.resume(model.first);
        model.world.give_up(model.first, STORE);
        a.join().unwrap();
        b.join().unwrap();
    });
}

#[test]
fn two_stops() {
    check(|| {
        let model = Model::new();
        let (a, _) = start(&model, 1, |model, id| {
            model.run_code(id, 0);
            model.collect(id);
        });
        // The holder goes straight from the store to code, and takes it again.
        model.world.stop(model.first);
        model.touch_all();
        model.world.resume(model.first);
        model.world.run(model.first, STORE);
        model.touch(1);
        model.world.acquire(model.first);
        model.touch_store();
        model.world.give_up(model.first, STORE);
        model.collect(model.first);
        a.join().unwrap();
    });
}

#[test]
fn stop_against_sleeping() {
    check(|| {
        let model = Model::new();
        let (a, _) = start(&model, 1, |model, id| {
            model.world.enter_code(id);
            model.touch(0);
            // A sleep that ends at any time.
            model.world.leave_code(id);
            thread::yield_now();
            model.world.enter_code(id);
            model.touch(0);
            model.world.leave_code(id);
        });
        model.world.give_up(model.first, STORE);
        model.collect(model.first);
        a.join().unwrap();
    });
}

#[test]
fn stop_against_start_and_end() {
    check(|| {
        let model = Model::new();
        let (a, _) = start(&model, 1, |model, id| model.run_code(id, 0));
        let starter = {
            let model = Arc::clone(&model);
            thread::spawn(move || {
                let id = model.join(2);
                model.run_code(id, 1);
                model.world.leave(id);
            })
        };
        model.world.stop(model.first);
        model.touch_all();
        model.world.resume(model.first);
        model.world.give_up(model.first, STORE);
        a.join().unwrap();
        starter.join().unwrap();
    });
}

#[test]
fn suspension_against_stop() {
    check(|| {
        let model = Model::new();
        let (a, id) = start(&model, 1, |model, id| {
            model.run_code(id, 0);
            model.world.acquire(id);
            model.touch_store();
            model.world.give_up(id, STORE);
        });
        let suspender = {
            let model = Arc::clone(&model);
            thread::spawn(move || {
                if model.world.suspend(id) {
                    model.touch(0);
                    // False if the member has left, which it may from the state host.
                    model.world.resume_member(id);
                }
            })
        };
        model.world.stop(model.first);
        model.touch_store();
        model.world.resume(model.first);
        model.world.give_up(model.first, STORE);
        suspender.join().unwrap();
        a.join().unwrap();
        assert!(!model.world.suspend(id) && !model.world.resume_member(id));
    });
}

#[test]
fn nested_stops() {
    check(|| {
        let model = Model::new();
        let (a, _) = start(&model, 1, |model, id| model.run_code(id, 0));
        model.world.stop_until_release(model.first);
        model.touch_all();
        model.world.stop(model.first);
        model.touch_all();
        model.world.resume(model.first);
        model.world.stop_until_release(model.first);
        model.touch_all();
        model.world.run(model.first, STORE);
        model.touch(1);
        model.world.leave_code(model.first);
        a.join().unwrap();
    });
}

#[test]
fn interrupt_against_sleep() {
    check(|| {
        let model = Model::new();
        // The queue of sleepers, as `crate::vm::waiters` has it: the condition is looked at under its lock.
        let queue = Arc::new((sync::Mutex::new(false), sync::Condvar::new()));
        let asleep = Arc::clone(&queue);
        let (a, _) = start(&model, 1, move |model, id| {
            model.world.set_waits_at(id, Some(WaitsAt::Address { address: 1, token: 1 }));
            let mut woken = asleep.0.lock().unwrap();
            if model.polls[1].load(sync::Ordering::SeqCst) & INTERRUPT == 0 {
                while !*woken {
                    woken = asleep.1.wait(woken).unwrap();
                }
            }
            drop(woken);
            model.world.set_waits_at(id, None);
        });
        model.world.interrupt(&mut |_| {
            *queue.0.lock().unwrap() = true;
            queue.1.notify_all();
        });
        a.join().unwrap();
    });
}

/// Two suspend the same member, which runs, sleeps and uses the store; it goes on when both have resumed it.
#[test]
fn two_suspensions() {
    check(|| {
        let model = Model::new();
        let (a, id) = start(&model, 1, |model, id| {
            model.run_code(id, 0);
            model.world.leave_code(id);
            model.world.enter_code(id);
            model.world.leave_code(id);
        });
        let suspend = move |model: &Model| {
            if model.world.suspend(id) {
                // Nobody else changes the part while the member does not run.
                model.read(0);
                model.world.resume_member(id);
            }
        };
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || suspend(&model))
        };
        suspend(&model);
        other.join().unwrap();
        a.join().unwrap();
    });
}

/// A store that is closed lets a suspended member go on, which nobody resumes any more.
#[test]
fn closing_against_suspension() {
    check(|| {
        let model = Model::new();
        let (a, id) = start(&model, 1, |model, id| {
            model.world.acquire(id);
            model.touch_store();
            model.world.run(id, STORE);
            model.touch(0);
            model.world.leave_code(id);
        });
        let suspender = {
            let model = Arc::clone(&model);
            thread::spawn(move || _ = model.world.suspend(id))
        };
        model.touch_store();
        model.world.close();
        model.world.give_up(model.first, STORE);
        suspender.join().unwrap();
        a.join().unwrap();
        assert!(!model.world.suspend(id));
    });
}

/// Whoever has no thread stops the world, unless the store is closed before.
#[test]
fn closing_against_control() {
    check(|| {
        let model = Model::new();
        let (a, _) = start(&model, 1, |model, id| model.run_code(id, 0));
        let control = {
            let model = Arc::clone(&model);
            thread::spawn(move || {
                let Some(id) = model.world.join_shared(poll(&model.polls[2])) else { return };
                if model.world.acquire_unless_closed(id).is_some() {
                    model.world.stop(id);
                    model.touch_all();
                    model.world.resume(id);
                    model.world.give_up(id, STORE);
                }
                model.world.leave(id);
            })
        };
        model.touch_store();
        model.world.close();
        model.world.give_up(model.first, STORE);
        model.world.acquire(model.first);
        model.touch_store();
        model.world.give_up(model.first, STORE);
        control.join().unwrap();
        a.join().unwrap();
        assert!(model.world.join_shared(poll(&model.polls[2])).is_none());
    });
}

/// A holder that stops the world, and stops it again, once until it gives the store up.
fn stop_twice(model: &Model) {
    model.world.stop_until_release(model.first);
    model.touch_all();
    model.world.stop(model.first);
    model.touch_all();
    model.world.resume(model.first);
    // Nobody goes on before the outer request ends.
    model.touch_all();
    model.world.give_up(model.first, STORE);
}

#[test]
fn nested_stops_against_sleeping() {
    check(|| {
        let model = Model::new();
        let (a, _) = start(&model, 1, |model, id| {
            model.run_code(id, 0);
            thread::yield_now();
            model.run_code(id, 0);
        });
        stop_twice(&model);
        a.join().unwrap();
    });
}

#[test]
fn nested_stops_against_start_and_end() {
    check(|| {
        let model = Model::new();
        let starters = [1, 2].map(|member| {
            let model = Arc::clone(&model);
            thread::spawn(move || {
                let id = model.join(member);
                model.run_code(id, member - 1);
                model.world.leave(id);
            })
        });
        stop_twice(&model);
        starters.into_iter().for_each(|starter| starter.join().unwrap());
    });
}

#[test]
fn nested_stops_against_acquire() {
    check(|| {
        let model = Model::new();
        let (a, _) = start(&model, 1, |model, id| {
            model.world.enter_code(id);
            model.touch(0);
            // From code, as a builtin does, and back to it.
            model.world.acquire(id);
            model.touch_store();
            model.world.run(id, STORE);
            model.touch(0);
            model.world.leave_code(id);
        });
        stop_twice(&model);
        a.join().unwrap();
    });
}

/// Takes an interruption of a member, as a poll does.
fn take_interrupt(model: &Model, member: usize) -> u32 {
    u32::from(model.polls[member].fetch_and(!INTERRUPT, sync::Ordering::SeqCst) & INTERRUPT != 0)
}

/// Interruptions while the member runs, stops and stands still: each of them is found, by a poll or later.
#[test]
fn interrupt_against_running() {
    check(|| {
        let model = Model::new();
        let found = Arc::new(sync::AtomicU32::new(0));
        let finding = Arc::clone(&found);
        let (a, _) = start(&model, 1, move |model, id| {
            model.world.enter_code(id);
            model.touch(0);
            if model.polls[1].load(sync::Ordering::Relaxed) != 0 {
                model.world.pause(id);
                finding.fetch_add(take_interrupt(model, 1), sync::Ordering::SeqCst);
            }
            model.touch(0);
            model.world.leave_code(id);
            finding.fetch_add(take_interrupt(model, 1), sync::Ordering::SeqCst);
        });
        let interrupter = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.world.interrupt(&mut |_| ()))
        };
        model.world.stop(model.first);
        model.touch_all();
        model.world.resume(model.first);
        model.world.give_up(model.first, STORE);
        interrupter.join().unwrap();
        a.join().unwrap();
        // The member may have left before.
        assert!(found.load(sync::Ordering::SeqCst) + take_interrupt(&model, 1) <= 1);
        assert_eq!(take_interrupt(&model, 0), 1);
    });
}

/// Who interrupts touches no poll word of a member that has left.
#[test]
fn interrupt_against_start_and_end() {
    check(|| {
        let model = Model::new();
        let starter = {
            let model = Arc::clone(&model);
            thread::spawn(move || {
                let id = model.join(1);
                model.run_code(id, 0);
                model.world.leave(id);
                // SAFETY: `loom` fails the test if an access to the word is not ordered with this one.
                unsafe { model.polls[1].unsync_load() };
            })
        };
        let interrupter = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.world.interrupt(&mut |_| ()))
        };
        model.world.stop(model.first);
        model.touch_all();
        model.world.resume(model.first);
        model.world.give_up(model.first, STORE);
        interrupter.join().unwrap();
        starter.join().unwrap();
    });
}

/// A member that waits for the store is interrupted: it gets the store, and finds the interruption when it has it.
#[test]
fn interrupt_against_acquire() {
    check(|| {
        let model = Model::new();
        let (a, _) = start(&model, 1, |model, id| {
            model.world.acquire(id);
            model.touch_store();
            model.world.run(id, STORE);
            model.touch(0);
            model.world.leave_code(id);
            model.world.acquire(id);
            // The interruption ended before the store was given up.
            assert_eq!(take_interrupt(model, 1), 1);
            model.world.give_up(id, STORE);
        });
        model.touch_store();
        model.world.interrupt(&mut |_| ());
        model.world.give_up(model.first, STORE);
        a.join().unwrap();
    });
}
