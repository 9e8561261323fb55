//! What collections free, and when they happen, to the byte: leaks and thrift that no wrong result would show.

mod mock;

use dolmen_abi::collector::Collector;
use dolmen_gc_heap::{AllocError, HeapOptions, Tuning};
use mock::{I8, I64, MockTypes, REF, Rng, World};

const BLOCK: u64 = 32 << 10;

struct Words {
    node: u32,
    bytes: u32,
    refs: u32,
    host: u32,
}

fn world(options: HeapOptions) -> (World, Words) {
    let mut types = MockTypes::new();
    let words = Words {
        node: types.add_struct(&[REF, I64]),
        bytes: types.add_array(I8),
        refs: types.add_array(REF),
        host: types.add_extern(),
    };
    (World::new(options, types), words)
}

/// Makes a table with a node in each entry.
fn table(w: &mut World, t: &Words, nodes: u32) {
    let table = w.alloc_array(t.refs, nodes).unwrap();
    w.runtime.roots.push(table);
    for entry in 0..nodes {
        let node = w.alloc_struct(t.node).unwrap();
        w.store(table, 8 + 4 * entry, node);
    }
}

/// Makes nodes of which one in eight takes a random entry of the table, so that every line has a survivor.
fn churn(w: &mut World, t: &Words, nodes: u32, made: u32) -> Result<(), AllocError> {
    let table = w.runtime.roots[0];
    let mut rng = Rng::new(u64::from(made));
    for _ in 0..made {
        let node = w.alloc_struct(t.node)?;
        if rng.below(8) == 0 {
            w.store(table, 8 + 4 * rng.below(u64::from(nodes)) as u32, node);
        }
    }
    Ok(())
}

#[test]
fn minor_collections_free_what_is_young_beside_what_is_old() {
    let tuning = Tuning { nursery_bytes: 1 << 20, min_nursery_bytes: 1 << 20, nursery_percent: 0, ..Tuning::default() };
    let (mut w, t) = world(HeapOptions { tuning, ..HeapOptions::default() });
    for data in 0..3 {
        let large = w.alloc_array(t.bytes, 100_000).unwrap();
        let host = w.alloc_extern(t.host, data).unwrap();
        w.runtime.roots.extend([large, host]);
    }
    w.collect();
    let old_bytes = w.heap.used_bytes();
    for data in 3..6 {
        w.alloc_array(t.bytes, 100_000).unwrap();
        w.alloc_extern(t.host, data).unwrap();
    }
    assert!(w.heap.used_bytes() >= old_bytes + 3 * 100_000);
    while w.heap.stats().minor == 0 {
        w.alloc_struct(t.node).unwrap();
    }
    assert_eq!(w.heap.stats().major, 1);
    assert_eq!(w.runtime.dropped, [3, 4, 5]);
    // The node that did not fit any more has a block.
    assert!(w.heap.used_bytes() <= old_bytes + BLOCK, "{} bytes in use, {old_bytes} before", w.heap.used_bytes());
}

#[test]
fn blocks_that_minor_collections_leave_in_use_are_growth() {
    const NODES: u32 = 100_000;
    let tuning =
        Tuning { nursery_bytes: 256 << 10, nursery_percent: 0, min_budget_bytes: 2 << 20, ..Tuning::default() };
    let (mut w, t) = world(HeapOptions { initial_bytes: 0, tuning, ..HeapOptions::default() });
    table(&mut w, &t, NODES);
    churn(&mut w, &t, NODES, 40 * NODES).unwrap();
    let stats = w.heap.stats();
    // 2 MB live, 40 % more in blocks, and as much as the budget again.
    assert!(stats.minor > 5 * stats.major && stats.peak_heap_bytes < 6 << 20, "{stats:?}");
}

#[test]
fn what_is_kept_for_copies_is_kept_again_after_the_heap_was_full() {
    const NODES: u32 = 100_000;
    for collector in [Collector::Generational, Collector::MarkSweep] {
        let max_bytes = u64::from(NODES) * 20 * 5 / 4;
        let (mut w, t) = world(HeapOptions { collector, max_bytes, initial_bytes: 0, ..HeapOptions::default() });
        w.runtime.roots.push(0);
        let error = loop {
            match w.alloc_struct(t.node) {
                Ok(node) => {
                    w.store(node, 4, w.runtime.roots[0]);
                    w.runtime.roots[0] = node;
                }
                Err(error) => break error,
            }
        };
        assert!(matches!(error, AllocError::OutOfMemory { .. }), "{error}");
        assert!(w.heap.used_bytes() > max_bytes - BLOCK, "{} of {max_bytes} bytes in use", w.heap.used_bytes());
        w.runtime.roots.clear();
        w.collect();
        table(&mut w, &t, NODES);
        churn(&mut w, &t, NODES, 10 * NODES).unwrap();
        assert!(w.heap.stats().moved_bytes > 0);
    }
}

#[test]
fn a_soft_limit_makes_less_waste_worth_moving() {
    let ratio = |soft_max_bytes: u64| {
        let (mut w, t) = world(HeapOptions { soft_max_bytes, ..HeapOptions::default() });
        for _ in 0..200_000 {
            let node = w.alloc_struct(t.node).unwrap();
            w.runtime.slots.push(node);
        }
        let mut rng = Rng::new(1);
        w.runtime.slots.retain(|_| rng.below(4) != 0);
        w.collect();
        w.heap.used_bytes() as f64 / w.heap.stats().live_bytes as f64
    };
    let (free, limited) = (ratio(u64::MAX), ratio(1));
    assert!((1.3..1.4).contains(&free) && limited < 1.25, "{free} and {limited}");
}
