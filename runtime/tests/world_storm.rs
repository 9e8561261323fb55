//! The stop protocol (`src/thread/world.rs`) on threads of the operating system, with plain accesses to what it protects.
//!
//! `loom` tries all interleavings of small programs (`world_model.rs`); here many members do everything at random, with
//! the standard library's locks. Members touch their part of a heap while they run, the holder touches the store's, and
//! who has stopped the world touches all: with ordinary loads and stores, so that `cargo xtask sanitize --thread` sees
//! each access that the protocol does not order. Without it, updates that are lost fail the test.
//!
//! Compiled code is no part of this: ThreadSanitizer sees what the Rust compiler has instrumented only.

use std::cell::UnsafeCell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use world::{INTERRUPT, MemberId, Poll, StoreAddress, WaitsAt, World};

/// What [`world`] takes for its own.
mod sync {
    pub(crate) use std::sync::atomic::{AtomicU32, Ordering};
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

    pub(crate) const SPINS: u32 = 100;
    pub(crate) const STOP_SPINS: u32 = 100;

    /// One that looks once.
    #[derive(Debug, Default)]
    pub(crate) struct Assistant;

    impl Assistant {
        pub(crate) fn stand_by(&self, is_over: impl Fn() -> bool) {
            if !is_over() {
                std::thread::yield_now();
            }
        }
    }

    pub(crate) fn spin(_: u32) {
        std::thread::yield_now();
    }

    pub(crate) fn cores() -> usize {
        2
    }
}

#[path = "../src/thread/world.rs"]
#[allow(dead_code, reason = "the test uses a part of the protocol")]
mod world;

const STORE: StoreAddress = StoreAddress(std::ptr::null_mut());

const MEMBERS: usize = 6;

/// What each member does, one after the other.
const STEPS: u32 = 4000;

/// A number that the protocol protects.
#[derive(Default)]
struct Cell(UnsafeCell<u64>);

// SAFETY: that accesses are ordered is what is tested.
unsafe impl Sync for Cell {}

impl Cell {
    fn touch(&self) {
        // SAFETY: as above.
        unsafe { *self.0.get() += 1 };
    }

    fn get(&self) -> u64 {
        // SAFETY: as above.
        unsafe { *self.0.get() }
    }
}

struct Fixture {
    world: World,
    polls: Vec<AtomicU32>,
    heap: [Cell; MEMBERS],
    store: Cell,
    stops: Cell,
}

/// Numbers that look random.
fn next(random: &mut u32) -> u32 {
    *random ^= *random << 13;
    *random ^= *random >> 17;
    *random ^= *random << 5;
    *random >> 8
}

impl Fixture {
    fn poll(&self, member: usize) -> Poll {
        // SAFETY: the word lives as long as the fixture, which outlives all members.
        unsafe { Poll::new(NonNull::from(&self.polls[member])) }
    }

    /// Runs code: rounds with a poll each. Begins and ends in the state host.
    fn run(&self, id: MemberId, member: usize, rounds: u32) -> u64 {
        self.world.enter_code(id);
        for _ in 0..rounds {
            self.heap[member].touch();
            if self.polls[member].load(Ordering::Relaxed) != 0 {
                self.world.pause(id);
                self.polls[member].fetch_and(!INTERRUPT, Ordering::SeqCst);
            }
        }
        self.world.leave_code(id);
        rounds.into()
    }

    /// Stops the world, perhaps twice, and touches everything.
    fn collect(&self, id: MemberId, is_nested: bool) {
        self.world.acquire(id);
        self.store.touch();
        self.world.stop_until_release(id);
        if is_nested {
            self.world.stop(id);
        }
        self.stops.touch();
        self.heap.iter().for_each(Cell::touch);
        if is_nested {
            self.world.resume(id);
        }
        self.heap.iter().for_each(Cell::touch);
        self.world.give_up(id, STORE);
    }

    /// What a member does; returns how often it has touched its part and the store's.
    fn live(&self, member: usize, mut random: u32) -> [u64; 2] {
        let mut id = self.world.join(self.poll(member));
        let mut touched = [0, 0];
        for _ in 0..STEPS {
            match next(&mut random) % 16 {
                0 => {
                    self.collect(id, random.is_multiple_of(3));
                    touched[1] += 1;
                }
                1..4 => {
                    self.world.acquire(id);
                    self.store.touch();
                    touched[1] += 1;
                    // As a builtin that returns to code.
                    self.world.run(id, STORE);
                    self.heap[member].touch();
                    touched[0] += 1;
                    self.world.leave_code(id);
                }
                4 => {
                    self.world.leave(id);
                    id = self.world.join(self.poll(member));
                }
                5 => {
                    self.world.set_waits_at(id, Some(WaitsAt::Descriptor(0)));
                    std::thread::yield_now();
                    self.world.set_waits_at(id, None);
                }
                _ => touched[0] += self.run(id, member, next(&mut random) % 50),
            }
        }
        self.world.leave(id);
        touched
    }

    /// Suspends members, interrupts, and looks at who there is.
    fn disturb(&self, is_over: &AtomicBool) {
        let mut random = 77;
        while !is_over.load(Ordering::Relaxed) {
            let members = self.world.members();
            let other = members[next(&mut random) as usize % members.len()];
            if other.number() != 0 && self.world.suspend(other) {
                assert!(self.world.states().len() <= MEMBERS + 1);
                self.world.resume_member(other);
            }
            self.world.interrupt(&mut |_| ());
            std::thread::yield_now();
        }
    }
}

#[test]
fn members_do_everything_at_once() {
    let polls: Vec<_> = (0..=MEMBERS).map(|_| AtomicU32::new(0)).collect();
    // SAFETY: the words live as long as the fixture: moving the list does not move them.
    let (world, first) = World::new(unsafe { Poll::new(NonNull::from(&polls[MEMBERS])) }, sync::Assistant);
    let fixture = Fixture { world, polls, heap: Default::default(), store: Cell::default(), stops: Cell::default() };
    let is_over = AtomicBool::new(false);
    let touched: Vec<_> = std::thread::scope(|scope| {
        let fixture = &fixture;
        let members: Vec<_> =
            (0..MEMBERS).map(|member| scope.spawn(move || fixture.live(member, 99 + member as u32))).collect();
        let disturber = scope.spawn(|| fixture.disturb(&is_over));
        fixture.world.give_up(first, STORE);
        let touched = members.into_iter().map(|member| member.join().unwrap()).collect();
        is_over.store(true, Ordering::Relaxed);
        disturber.join().unwrap();
        touched
    });
    fixture.world.acquire(first);
    let stops = fixture.stops.get();
    assert!(stops > 0);
    for (cell, [own, _]) in fixture.heap.iter().zip(&touched) {
        assert_eq!(cell.get(), own + 2 * stops);
    }
    assert_eq!(fixture.store.get(), touched.iter().map(|[_, store]| store).sum::<u64>());
}
