//! Seats (`src/thread/seat.rs`) under `loom`: OS threads of an embedder's that take turns to be threads of a store, in every
//! interleaving of small programs, up to a number of preemptions.
//!
//! What runs are the runtime's seats, list of threads, end of a store and stop protocol, in a store of which nothing else is
//! left ([`seats`]). Seats touch the embedder's data when they are in the store, and their part of a heap in code; a
//! collection touches all parts. `loom` reports two touches that nothing orders, and deadlocks. So a seat that enters a
//! store that is not free, or is gone, one whose record goes while it is in use, or a wake-up that is lost fails here.
//!
//! | a seat that is | stop | suspension | interruption | the store goes | another seat is made, or goes |
//! |---|---|---|---|---|---|
//! | outside | [`stop_against_entering`] | [`suspension_against_entering`] | [`interrupt_against_entering`] | [`the_store_goes_before_a_seat_enters`] | [`seats_take_turns`], [`a_seat_goes_while_others_enter`] |
//! | entering | [`stop_against_entering`] | [`suspension_against_entering`] | [`interrupt_against_entering`] | [`the_store_goes_before_a_seat_enters`] | [`a_seat_makes_another`], [`a_seat_goes_while_others_enter`] |
//! | in the store | – (who stops has the store) | [`suspension_against_entering`] | [`interrupt_against_entering`] | – (who drops has the store) | [`a_seat_goes_in_the_store`] |
//! | in code | [`stop_against_code`] | [`suspension_against_code`] | [`interrupt_against_code`] | [`the_store_goes_while_a_seat_runs_code`] | [`a_seat_makes_another`] |
//! | going | [`stop_against_going`] | [`suspension_against_going`] | [`interrupt_against_going`] | [`the_store_goes_while_a_seat_goes`] | [`a_seat_goes_while_others_enter`] |
//!
//! A test program of its own, as `world_model.rs`, whose table has the states of members that seats are built on.

mod seats;

#[path = "../src/thread/list.rs"]
#[allow(dead_code, reason = "the model uses a part of the list")]
mod list;
#[path = "../src/thread/seat.rs"]
mod seat;
#[path = "../src/thread/unlocked.rs"]
#[allow(dead_code, reason = "the model uses a part of it")]
mod unlocked;
#[path = "../src/thread/world.rs"]
#[allow(dead_code, reason = "the model uses a part of the protocol")]
mod world;

use loom::thread;
use seat::Seat;
use seats::{Cell, OwnedThread, Store, Thread};
use std::sync::Arc;
use world::{MemberId, World};

/// What [`world`] and [`unlocked`] take for the standard library's.
#[path = "loom_sync/mod.rs"]
mod sync;

/// What [`seat`] takes for the runtime's.
mod spawn {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ThreadId(pub(crate) super::MemberId);
}

/// What [`unlocked`] takes for the runtime's: nobody sleeps but at gates.
mod interrupt {
    pub(crate) fn interrupt(world: &super::World) {
        world.interrupt(&mut |_| ());
    }
}

mod error {
    pub(crate) use crate::seats::{Error, StoreError};
}

mod store {
    pub(crate) use crate::seats::{Store, StoreContextMut, StoreData, StoreInner};
}

mod trap {
    pub(crate) use crate::seats::StoreCode;
}

/// Most involuntary switches between threads in one interleaving.
const PREEMPTIONS: usize = 3;

/// The embedder's data.
#[derive(Default)]
struct Data {
    entries: Cell,
}

/// The first seat, and the parts of the heap.
struct Model {
    first: Seat<Data>,
    world: Arc<World>,
    parts: Arc<[Cell; 2]>,
}

impl Model {
    fn new() -> Self {
        let store = Store::new(Data::default());
        let world = Arc::clone(store.threads().world());
        Self { first: Seat::new(store), world, parts: Arc::default() }
    }

    /// A seat beside the first, by which nobody is in the store.
    fn seat(&mut self) -> Seat<Data> {
        self.first.enter(|mut context| context.seat()).unwrap().unwrap()
    }

    /// Starts an OS thread that has a part of the heap.
    fn start<R: 'static>(&self, part: usize, body: impl FnOnce(&Cell) -> R + 'static) -> thread::JoinHandle<R> {
        let parts = Arc::clone(&self.parts);
        thread::spawn(move || body(&parts[part]))
    }

    /// Enters by the first seat and collects.
    fn collect(&mut self) {
        let [a, b] = &*self.parts;
        self.first.enter(|mut context| context.collect(&[a, b])).unwrap();
    }
}

fn check(program: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(program);
}

/// Enters, if the store is there, and touches the data.
fn visit(seat: &mut Seat<Data>) -> bool {
    seat.enter(|context| context.data().entries.touch()).is_some()
}

/// Enters, if the store is there, and calls code; whether that was interrupted.
fn call(seat: &mut Seat<Data>, part: &Cell, is_endless: bool) -> Option<bool> {
    seat.enter(|mut context| {
        let is_interrupted = context.call(part, is_endless);
        context.data().entries.touch();
        is_interrupted
    })
}

#[test]
fn seats_take_turns() {
    check(|| {
        let mut model = Model::new();
        let mut second = model.seat();
        // One OS thread after the other has the seat.
        let a = model.start(0, move |part| {
            assert_eq!(call(&mut second, part, false), Some(false));
            second
        });
        let mut third = model.seat();
        let b = model.start(1, move |_| visit(&mut third));
        assert!(visit(&mut model.first));
        let mut second = a.join().unwrap();
        assert!(visit(&mut second));
        assert!(b.join().unwrap());
        let entries = model.first.enter(|context| context.data().entries.get());
        assert_eq!(entries, Some(4));
    });
}

/// The first seat finds out that the store has others while one of them makes more.
#[test]
fn a_seat_makes_another() {
    check(|| {
        let mut model = Model::new();
        let mut second = model.seat();
        let a = model.start(0, move |_| {
            let mut third = second.enter(|mut context| context.seat()).unwrap().unwrap();
            visit(&mut third)
        });
        let part = &model.parts[1];
        assert_eq!(call(&mut model.first, part, false), Some(false));
        assert!(a.join().unwrap());
    });
}

#[test]
fn a_seat_goes_while_others_enter() {
    check(|| {
        let mut model = Model::new();
        let (second, mut third) = (model.seat(), model.seat());
        let a = model.start(0, move |_| drop(second));
        let b = model.start(1, move |part| call(&mut third, part, false));
        assert!(visit(&mut model.first));
        a.join().unwrap();
        assert_eq!(b.join().unwrap(), Some(false));
    });
}

/// Whoever drops a seat may be in the store by another, and does not wait for itself.
#[test]
fn a_seat_goes_in_the_store() {
    check(|| {
        let mut model = Model::new();
        let (second, mut third) = (model.seat(), model.seat());
        let a = model.start(0, move |part| {
            let called = call(&mut third, part, false);
            (called, third)
        });
        model.first.enter(|_| drop(second)).unwrap();
        let (called, third) = a.join().unwrap();
        assert_eq!(called, Some(false));
        assert_eq!(model.world.members().len(), 2);
        // It is removed before another is made.
        let _fourth = model.seat();
        let threads = model.first.enter(|context| context.0.inner.threads.spawned());
        assert_eq!(threads, Some(2));
        drop(third);
    });
}

#[test]
fn stop_against_entering() {
    check(|| {
        let mut model = Model::new();
        let mut second = model.seat();
        let a = model.start(0, move |_| visit(&mut second) && visit(&mut second));
        model.collect();
        assert!(a.join().unwrap());
    });
}

#[test]
fn stop_against_code() {
    check(|| {
        let mut model = Model::new();
        let (mut second, mut third) = (model.seat(), model.seat());
        let a = model.start(0, move |part| call(&mut second, part, false));
        let b = model.start(1, move |part| call(&mut third, part, false));
        model.collect();
        assert_eq!((a.join().unwrap(), b.join().unwrap()), (Some(false), Some(false)));
    });
}

#[test]
fn stop_against_going() {
    check(|| {
        let mut model = Model::new();
        let mut second = model.seat();
        let a = model.start(0, move |part| {
            call(&mut second, part, false);
            drop(second);
        });
        model.collect();
        a.join().unwrap();
    });
}

/// Suspends a seat's thread and resumes it; `false` if it has gone.
fn suspend(world: &World, id: MemberId, part: &Cell) -> bool {
    world.suspend(id) && {
        // The member does not run, and the part is nobody else's meanwhile.
        part.touch();
        world.resume_member(id)
    }
}

#[test]
fn suspension_against_entering() {
    check(|| {
        let mut model = Model::new();
        let mut second = model.seat();
        let (id, world) = (second.id().0, Arc::clone(&model.world));
        let a = model.start(0, move |_| {
            let entered = visit(&mut second);
            (entered, second)
        });
        let b = model.start(1, move |part| suspend(&world, id, part));
        assert!(visit(&mut model.first));
        // The seat goes when both have ended.
        let (entered, _second) = a.join().unwrap();
        assert!(entered && b.join().unwrap());
    });
}

#[test]
fn suspension_against_code() {
    check(|| {
        let mut model = Model::new();
        let mut second = model.seat();
        let (id, world) = (second.id().0, Arc::clone(&model.world));
        let a = model.start(0, move |part| (call(&mut second, part, false), second));
        // The part of the suspended.
        let b = model.start(0, move |part| suspend(&world, id, part));
        assert!(visit(&mut model.first));
        let (called, _second) = a.join().unwrap();
        assert_eq!((called, b.join().unwrap()), (Some(false), true));
    });
}

#[test]
fn suspension_against_going() {
    check(|| {
        let mut model = Model::new();
        let second = model.seat();
        let (id, world) = (second.id().0, Arc::clone(&model.world));
        let a = model.start(0, move |_| drop(second));
        suspend(&world, id, &model.parts[0]);
        assert!(visit(&mut model.first));
        a.join().unwrap();
        assert!(!model.world.suspend(id));
    });
}

/// A seat that is interrupted before it runs code enters all the same, and its code traps then.
#[test]
fn interrupt_against_entering() {
    check(|| {
        let mut model = Model::new();
        let mut second = model.seat();
        let (id, world) = (second.id().0, Arc::clone(&model.world));
        let a = model.start(0, move |part| visit(&mut second) && call(&mut second, part, true) == Some(true));
        assert!(visit(&mut model.first));
        assert!(world.interrupt_member(id, &mut |_| ()));
        assert!(a.join().unwrap());
    });
}

#[test]
fn interrupt_against_code() {
    check(|| {
        let mut model = Model::new();
        let mut second = model.seat();
        let world = Arc::clone(&model.world);
        let a = model.start(0, move |part| call(&mut second, part, true));
        let b = model.start(1, move |_| world.interrupt(&mut |_| ()));
        model.collect();
        b.join().unwrap();
        assert_eq!(a.join().unwrap(), Some(true));
    });
}

#[test]
fn interrupt_against_going() {
    check(|| {
        let mut model = Model::new();
        let second = model.seat();
        let (id, world) = (second.id().0, Arc::clone(&model.world));
        let a = model.start(0, move |_| drop(second));
        world.interrupt_member(id, &mut |_| ());
        assert!(visit(&mut model.first));
        a.join().unwrap();
        assert!(!world.interrupt_member(id, &mut |_| ()));
    });
}

/// Whoever enters a store in time finds it whole, whoever comes later finds none.
#[test]
fn the_store_goes_before_a_seat_enters() {
    check(|| {
        let mut model = Model::new();
        let (mut second, mut third) = (model.seat(), model.seat());
        let a = model.start(0, move |_| {
            let entered = [visit(&mut second), visit(&mut second)];
            assert!(entered != [false, true]);
        });
        let b = model.start(1, move |_| {
            visit(&mut third);
        });
        drop(model.first);
        a.join().unwrap();
        b.join().unwrap();
    });
}

#[test]
fn the_store_goes_while_a_seat_runs_code() {
    check(|| {
        let mut model = Model::new();
        let mut second = model.seat();
        let a = model.start(0, move |part| {
            let called = call(&mut second, part, true);
            assert!(called != Some(false) && !visit(&mut second));
        });
        drop(model.first);
        a.join().unwrap();
    });
}

#[test]
fn the_store_goes_while_a_seat_goes() {
    check(|| {
        let mut model = Model::new();
        let (second, third) = (model.seat(), model.seat());
        let a = model.start(0, move |_| drop(second));
        let b = model.start(1, move |_| drop(third));
        drop(model.first);
        a.join().unwrap();
        b.join().unwrap();
    });
}
