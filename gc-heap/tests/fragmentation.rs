//! How large a heap is for what lives in it, after random deaths, drifting sizes and tides.

#[allow(dead_code, reason = "each user prints or checks a part of it")]
mod load;
mod mock;

use dolmen_abi::collector::Collector;
use dolmen_gc_heap::{HeapOptions, Tuning};
use load::Server;
use mock::{I32, I64, MockTypes, REF, Rng, World};

/// What blocks in use may have for each live byte.
const MAX_RATIO: f64 = 1.5;

/// Minutes of the load.
const MINUTES: u64 = 60;

/// Entries of the server's table.
const ENTRIES: u64 = 20_000;

fn small() -> Tuning {
    Tuning {
        nursery_bytes: 1 << 20,
        building_nursery_bytes: 1 << 20,
        min_budget_bytes: 2 << 20,
        release_slack_bytes: 1 << 20,
        ..Tuning::default()
    }
}

#[test]
fn an_hour_of_churn_keeps_the_heap_small() {
    for collector in [Collector::Generational, Collector::MarkSweep] {
        let mut server = Server::new(HeapOptions { collector, tuning: small(), ..HeapOptions::default() }, ENTRIES);
        for _ in 0..MINUTES {
            server.run_minute();
            let sample = server.sample();
            assert!(sample.ratio() <= MAX_RATIO, "{}: {sample:?}", collector.name());
        }
        server.check();
        assert!(server.world.heap.stats().moved_bytes > 0);
    }
}

#[test]
fn an_hour_of_churn_fits_a_heap_of_one_and_a_half_times_the_live_data() {
    let mut roomy = Server::new(HeapOptions { tuning: small(), ..HeapOptions::default() }, ENTRIES);
    let mut most = 0;
    for _ in 0..MINUTES {
        roomy.run_minute();
        most = most.max(roomy.sample().live_bytes);
    }
    for collector in [Collector::Generational, Collector::MarkSweep] {
        let max_bytes = most * 3 / 2;
        let options = HeapOptions { collector, max_bytes, initial_bytes: 0, tuning: small(), ..HeapOptions::default() };
        let mut tight = Server::new(options, ENTRIES);
        (0..MINUTES).for_each(|_| tight.run_minute());
        tight.check();
    }
}

/// Small objects that replace each other at random amid garbage: soon each line has a survivor, and no block a hole.
#[test]
fn a_heap_without_holes_is_compacted_before_it_is_out_of_memory() {
    const NODES: u32 = 100_000;
    for percent in [110, 125, 150, 200] {
        for collector in [Collector::Generational, Collector::MarkSweep] {
            let mut types = MockTypes::new();
            let (node, table) = (types.add_struct(&[REF, I64]), types.add_array(REF));
            let live_bytes = u64::from(NODES) * (16 + 4);
            let max_bytes = live_bytes * percent / 100;
            let options = HeapOptions { collector, max_bytes, initial_bytes: 0, ..HeapOptions::default() };
            let mut w = World::new(options, types);
            let table = w.alloc_array(table, NODES).unwrap();
            w.runtime.roots.push(table);
            let mut rng = Rng::new(percent);
            for i in 0..30 * NODES {
                let object = w.alloc_struct(node).unwrap_or_else(|error| panic!("{percent} %, {i} made: {error}"));
                let entry = if i < NODES { i } else { rng.below(u64::from(NODES)) as u32 };
                if i < NODES || rng.below(8) == 0 {
                    w.write(object, 8, entry);
                    w.store(table, 8 + 4 * entry, object);
                }
            }
            for entry in 0..NODES {
                assert_eq!(w.read(w.read(table, 8 + 4 * entry), 8), entry);
            }
            let stats = w.heap.stats();
            assert!(stats.moved_bytes > 0, "{percent} %: {stats:?}");
            // Each major collection has freed at least a third of what the maximum leaves, but for a few blocks.
            let majors = stats.allocated_bytes / ((max_bytes - live_bytes) / 3);
            assert!(percent < 125 || stats.major <= majors, "{percent} %: {stats:?}");
        }
    }
}

#[test]
fn a_soft_limit_holds_as_long_as_the_live_data_allow() {
    for collector in [Collector::Generational, Collector::MarkSweep] {
        let run = |soft_max_bytes: u64, entries: u64| {
            let options = HeapOptions { collector, soft_max_bytes, initial_bytes: 0, ..HeapOptions::default() };
            let mut server = Server::new(options, entries);
            let mut survivors = 0;
            for _ in 0..12 {
                server.run_minute();
                survivors = survivors.max(server.world.heap.stats().live_bytes);
            }
            server.check();
            (server.world.heap.stats().peak_heap_bytes, survivors)
        };
        let soft = 24 << 20;
        let (free, _) = run(u64::MAX, ENTRIES);
        let (limited, _) = run(soft, ENTRIES);
        assert!(free > 2 * soft && limited <= soft + soft / 8, "{limited} bytes rather than {free}");
        // Far more lives than the limit wants: the heap grows, but little beyond that.
        let (limited, survivors) = run(soft, 8 * ENTRIES);
        assert!(survivors > soft && limited < 2 * survivors, "{limited} bytes for survivors of {survivors}");
    }
}

#[test]
fn a_heap_that_shrinks_gives_memory_back() {
    let mut types = MockTypes::new();
    let node = types.add_struct(&[REF, I32, I64]);
    let options = HeapOptions { initial_bytes: 0, tuning: small(), ..HeapOptions::default() };
    let mut w = World::new(options, types);
    let mut rng = Rng::new(1);
    for _ in 0..1_000_000 {
        let object = w.alloc_struct(node).unwrap();
        w.runtime.slots.push(object);
    }
    w.collect();
    let before = w.heap.stats();
    // One in fifty stays, so every other block holds more than ten of them.
    w.runtime.slots.retain(|_| rng.below(50) == 0);
    w.collect();
    let after = w.heap.stats();
    assert!(before.live_bytes > 20 << 20 && after.live_bytes < before.live_bytes / 40, "{before:?} {after:?}");
    let used = w.heap.used_bytes();
    assert!(used as f64 <= MAX_RATIO * after.live_bytes as f64 + 65536.0, "{used} bytes in use, {after:?}");
    assert!(after.heap_bytes <= used + (4 << 20), "{used} bytes in use, {after:?}");
}

#[test]
fn pinned_objects_stay_and_handles_follow() {
    let mut types = MockTypes::new();
    let node = types.add_struct(&[REF, I32]);
    let options = HeapOptions { initial_bytes: 0, verify: true, tuning: small(), ..HeapOptions::default() };
    let mut w = World::new(options, types);
    let mut rng = Rng::new(7);
    for i in 0..400_000 {
        let object = w.alloc_struct(node).unwrap();
        w.write(object, 8, i);
        match rng.below(100) {
            0 => w.runtime.roots.push(object),
            1 => w.runtime.slots.push(object),
            2 => w.runtime.weak.push(object),
            3 => {
                w.runtime.slots.push(object);
                w.runtime.weak.push(object);
            }
            _ => {}
        }
    }
    let numbers = |w: &World, words: &[u32]| words.iter().map(|&word| w.read(word, 8)).collect::<Vec<_>>();
    let (roots, slots, weak) = (w.runtime.roots.clone(), w.runtime.slots.clone(), w.runtime.weak.clone());
    let kept: Vec<u32> = weak.iter().copied().filter(|word| slots.contains(word)).collect();
    let before = [numbers(&w, &roots), numbers(&w, &slots), numbers(&w, &kept)];
    w.collect();
    w.runtime.weak.retain(|&word| word != 0);
    let runtime = &w.runtime;
    assert_eq!([&runtime.roots, &runtime.slots, &runtime.weak].map(|words| numbers(&w, words)), before);
    assert_eq!(runtime.roots, roots);
    let moved = runtime.slots.iter().zip(&slots).filter(|(new, old)| new != old).count();
    assert!(moved * 4 > slots.len(), "{moved} of {} moved", slots.len());
}
