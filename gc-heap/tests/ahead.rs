//! Memory ahead of a program: helpers populate it while the heap grows, and also when it is gone.

mod mock;

use dolmen_gc_heap::options::Refused;
use dolmen_gc_heap::{HeapOptions, Tuning};
use mock::{I32, MockTypes, REF, World};
use std::num::NonZeroU32;

/// Makes a list of so many nodes of 16 bytes.
fn grow(w: &mut World, node: u32, nodes: u32) {
    for i in 0..nodes {
        let made = w.alloc_struct(node).unwrap();
        w.write(made, 8, i);
        w.store(made, 4, w.runtime.slots[0]);
        w.runtime.slots[0] = made;
    }
}

fn check(w: &World, nodes: u32) {
    let mut at = w.runtime.slots[0];
    for expected in (0..nodes).rev() {
        assert_eq!(w.read(at, 8), expected);
        at = w.read(at, 4);
    }
    assert_eq!(at, 0);
}

fn world(tuning: Tuning, max_bytes: u64) -> (World, u32) {
    let mut types = MockTypes::new();
    let node = types.add_struct(&[REF, I32]);
    let options = HeapOptions { threads: NonZeroU32::new(3), max_bytes, tuning, ..HeapOptions::default() };
    let mut w = World::new(options, types);
    w.runtime.slots.push(0);
    (w, node)
}

#[test]
fn a_growing_heap_keeps_its_content() {
    const NODES: u32 = 3 << 20;
    let (mut w, node) = world(Tuning::default(), 1 << 30);
    grow(&mut w, node, NODES);
    check(&w, NODES);
    w.heap.verify(&mut w.runtime).unwrap();
    // What is ahead is no memory of the heap.
    assert!(w.heap.stats().peak_heap_bytes < (u64::from(NODES) * 16) + (1 << 20));
}

#[test]
fn heaps_may_go_before_their_helpers() {
    for _ in 0..20 {
        let (mut w, node) = world(Tuning::default(), 1 << 30);
        grow(&mut w, node, 10 << 16);
        check(&w, 10 << 16);
    }
}

#[test]
fn a_full_heap_has_nothing_ahead() {
    let (mut w, node) = world(Tuning::default(), 20 << 20);
    grow(&mut w, node, 1 << 20);
    check(&w, 1 << 20);
    assert!((0..1 << 20).any(|_| w.alloc_struct(node).map(|made| w.runtime.slots.push(made)).is_err()));
    assert!(w.heap.stats().peak_heap_bytes <= 20 << 20);
}

#[test]
fn what_is_refused_ahead_is_asked_for_again() {
    for from in 5..40 {
        let tuning = Tuning { refused: Refused { from, to: from + 1 }, ..Tuning::default() };
        let (mut w, node) = world(tuning, 1 << 30);
        grow(&mut w, node, 10 << 16);
        check(&w, 10 << 16);
    }
}
