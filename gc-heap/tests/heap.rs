//! What a runtime relies on, one promise per test.

mod mock;

use dolmen_abi::collector::{AllocBuffer, Collector};
use dolmen_abi::object::{ARRAY_ELEMENTS_OFFSET, ARRAY_LENGTH_OFFSET, MAX_OBJECT_BYTES};
use dolmen_abi::reference::{REF_UNIT_BYTES, i31_new};
use dolmen_gc_heap::options::{LARGEST_MAX_BYTES, Refused};
use dolmen_gc_heap::verify::Holder;
use dolmen_gc_heap::{AllocError, Cause, Heap, HeapOptions, ObjRef, Scope, Tuning, TypeTable, VerifyError};
use mock::{I8, I32, I64, MockRuntime, MockTypes, REF, Rng, World};
use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

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
        node: types.add_struct(&[REF, REF, I32]),
        bytes: types.add_array(I8),
        refs: types.add_array(REF),
        host: types.add_extern(),
    };
    (World::new(options, types), words)
}

fn sized(max_bytes: u64) -> HeapOptions {
    HeapOptions { max_bytes, ..HeapOptions::default() }
}

fn is_out_of_memory(error: &AllocError) -> bool {
    matches!(error, AllocError::OutOfMemory { .. })
}

#[test]
fn a_heap_can_move_between_threads() {
    fn check<T: Send>() {}
    check::<Heap>();
}

#[test]
fn a_fresh_heap_takes_no_memory() {
    let (w, _) = world(HeapOptions::default());
    assert_eq!(w.heap.stats().heap_bytes, 0);
    assert!(!w.heap.is_object(0) && !w.heap.is_object(i31_new(5)) && !w.heap.is_object(0x2000));
}

#[test]
fn small_objects_are_allocated_inline_between_refills() {
    let (mut w, t) = world(HeapOptions::default());
    let first = w.alloc_struct(t.node).unwrap();
    let buffer = w.runtime.buffer;
    assert!(buffer.limit - buffer.cursor > 8000 && buffer.cursor == first + 4);
    let second = w.alloc_struct(t.node).unwrap();
    assert_eq!(second, first + 4);
    assert_eq!(w.heap.stats().allocated_bytes, BLOCK);
    w.collect();
    assert_eq!(w.runtime.buffer, AllocBuffer::default());
    assert_eq!(w.heap.stats().allocated_bytes, 32);
    assert_eq!(w.heap.stats().live_bytes, 0);
}

#[test]
fn types_are_checked() {
    let (mut w, t) = world(HeapOptions::default());
    let World { heap, runtime, .. } = &mut w;
    for word in [0, 1, t.bytes, t.node + 4096, u32::MAX] {
        assert!(matches!(heap.alloc_struct(runtime, word), Err(AllocError::NoSuchType { .. })));
    }
    assert!(matches!(heap.alloc_array(runtime, t.node, 1), Err(AllocError::NoSuchType { .. })));
    assert!(matches!(heap.alloc_extern(runtime, t.node, 1), Err(AllocError::NoSuchType { .. })));
    assert!(matches!(heap.alloc_immortal(runtime, 0, 32), Err(AllocError::NoSuchType { .. })));
}

#[test]
fn arrays_have_a_largest_size() {
    let (mut w, t) = world(sized(8 << 30));
    assert!(matches!(w.alloc_array(t.refs, u32::MAX), Err(AllocError::TooLarge { length: u32::MAX })));
    let longest = MAX_OBJECT_BYTES as u32 - 8;
    assert!(matches!(w.alloc_array(t.bytes, longest + 1), Err(AllocError::TooLarge { .. })));
    let array = w.alloc_array(t.bytes, longest).unwrap();
    w.runtime.roots.push(array);
    w.write(array, longest + 4, 7);
    w.collect();
    assert_eq!(w.read(array, longest + 4), 7);
    assert_eq!(w.heap.stats().live_bytes, MAX_OBJECT_BYTES);
    w.runtime.roots.clear();
    w.collect();
    assert_eq!(w.heap.stats().live_bytes, 0);
    let Tuning { min_budget_bytes, release_slack_bytes, .. } = w.heap.options().tuning;
    let kept = w.heap.stats().heap_bytes;
    assert!(kept <= min_budget_bytes + release_slack_bytes, "{kept} bytes kept");
}

/// Loops over arrays load whole cache lines at once.
#[test]
fn elements_of_long_arrays_start_cache_lines() {
    let (mut w, t) = world(HeapOptions { verify: true, ..HeapOptions::default() });
    for length in (8 << 10..80 << 10).step_by(1003).chain([(16 << 10) - 8, (32 << 10) - 64, (32 << 10) - 63]) {
        w.alloc_struct(t.node).unwrap();
        let array = w.alloc_array(t.bytes, length).unwrap();
        assert_eq!((u64::from(array) * u64::from(REF_UNIT_BYTES) + u64::from(ARRAY_ELEMENTS_OFFSET)) % 64, 0);
        w.write(array, ARRAY_ELEMENTS_OFFSET + length / 4 * 4 - 4, length);
        w.runtime.roots.push(array);
    }
    w.collect();
    for array in w.runtime.roots.clone() {
        let length = w.read(array, ARRAY_LENGTH_OFFSET);
        assert_eq!(w.read(array, ARRAY_ELEMENTS_OFFSET + length / 4 * 4 - 4), length);
    }
}

#[test]
fn reaches_sixteen_gib() {
    let (mut w, t) = world(sized(u64::MAX));
    assert_eq!(w.heap.options().max_bytes, LARGEST_MAX_BYTES);
    let mut arrays = Vec::new();
    while let Ok(array) = w.alloc_array(t.bytes, 2_000_000_000) {
        w.runtime.roots.push(array);
        arrays.push(array);
    }
    assert_eq!(arrays.len(), 8);
    // What is left above them goes to small objects, linked downwards.
    let mut last = 0;
    while let Ok(node) = w.alloc_array(t.refs, 2000) {
        w.store(node, 8, last);
        w.runtime.roots.truncate(8);
        w.runtime.roots.push(node);
        last = node;
    }
    assert!(u64::from(last) << 2 > (16 << 30) - 50_000, "last object at {last:#x}");
    w.collect();
    let mut length = 0;
    while last != 0 {
        assert_eq!(w.read(last, 4), 2000);
        last = w.read(last, 8);
        length += 1;
    }
    assert!(length > 10_000);
}

#[test]
fn out_of_memory_leaves_the_heap_usable() {
    for collector in Collector::NAMES.iter().map(|&(_, collector)| collector) {
        let (mut w, t) = world(HeapOptions { collector, ..sized(1 << 20) });
        let error = loop {
            match w.alloc_struct(t.node) {
                Ok(object) => {
                    let next = w.runtime.roots.pop().unwrap_or(0);
                    w.store(object, 4, next);
                    w.runtime.roots.push(object);
                }
                Err(error) => break error,
            }
        };
        assert!(is_out_of_memory(&error), "{error}");
        assert!(is_out_of_memory(&w.alloc_array(t.bytes, 100_000).unwrap_err()));
        let mut length = 0;
        let mut at = w.runtime.roots[0];
        while at != 0 {
            length += 1;
            at = w.read(at, 4);
        }
        assert_eq!(length, (1 << 20) / 16, "every block is filled");
        w.runtime.roots.clear();
        assert_eq!(w.alloc_array(t.bytes, 500_000).is_ok(), collector != Collector::Null);
    }
}

#[test]
fn an_object_that_can_never_fit_causes_no_collection() {
    let (mut w, t) = world(sized(1 << 20));
    assert!(is_out_of_memory(&w.alloc_array(t.bytes, 2 << 20).unwrap_err()));
    assert_eq!(w.heap.stats().collections(), 0);
}

#[test]
fn a_nearly_full_heap_gives_up_instead_of_collecting_forever() {
    let (mut w, t) = world(sized(4 << 20));
    let live = w.alloc_array(t.bytes, (4 << 20) - 90 * 1024).unwrap();
    w.runtime.roots.push(live);
    // Two blocks are left, a bit more than one part in 64.
    for _ in 0..100_000 {
        w.alloc_struct(t.node).unwrap();
    }
    let collections = w.heap.stats().collections();
    assert!(collections > 20);
    // One block is left.
    let more = w.alloc_array(t.bytes, 30_000).unwrap();
    w.runtime.roots.push(more);
    let error = (0..100_000).find_map(|_| w.alloc_struct(t.node).err()).unwrap();
    assert!(is_out_of_memory(&error));
    assert!(w.heap.stats().collections() <= collections + 3);
    w.runtime.roots.pop();
    for _ in 0..100_000 {
        w.alloc_struct(t.node).unwrap();
    }
}

#[test]
fn every_refusal_of_the_system_is_an_error() {
    let mut built = 0;
    let onwards = (1..40).map(|from| Refused { from, to: u64::MAX });
    let single = (1..80).map(|from| Refused { from, to: from + 1 });
    for refused in onwards.chain(single) {
        let mut types = MockTypes::new();
        let (node, bytes) = (types.add_struct(&[REF, I64]), types.add_array(I8));
        let tuning = Tuning { refused, min_budget_bytes: 1 << 20, ..Tuning::default() };
        let options = HeapOptions { tuning, initial_bytes: 0, ..sized(64 << 20) };
        let types = Arc::new(types);
        let heap = match Heap::new(options, Arc::clone(&types) as Arc<dyn TypeTable>) {
            Ok(heap) => heap,
            Err(error) => {
                assert!(matches!(error, AllocError::Reserve { .. }), "{error}");
                continue;
            }
        };
        built += 1;
        let mut w = World { heap, runtime: MockRuntime::default(), types };
        let mut failures = 0;
        for i in 0..3000 {
            let made = if i % 3 == 0 { w.alloc_array(bytes, 20_000 + i) } else { w.alloc_struct(node) };
            match made {
                Ok(object) => w.runtime.roots.push(object),
                Err(error) => {
                    assert!(is_out_of_memory(&error), "{error}");
                    failures += 1;
                    w.runtime.roots.clear();
                }
            }
        }
        assert!(failures > 0 || refused.from > 5 || refused.to != u64::MAX, "nothing was refused");
        if let Err(error) = w.heap.ensure_card_table() {
            assert!(matches!(error, AllocError::Reserve { .. }), "{error}");
        }
        match w.heap.verify(&mut w.runtime) {
            Ok(()) => {}
            Err(error) => assert_eq!(*error, VerifyError::NoMemory),
        }
    }
    assert!(built > 100);
}

#[test]
fn host_objects_are_dropped_once() {
    let (mut w, t) = world(HeapOptions::default());
    for data in 0..100 {
        let object = w.alloc_extern(t.host, data).unwrap();
        assert_eq!(w.read(object, 8), data as u32);
        if data % 2 == 0 {
            w.runtime.roots.push(object);
        }
    }
    w.collect();
    w.runtime.dropped.sort_unstable();
    assert_eq!(w.runtime.dropped, (0..100).filter(|d| d % 2 == 1).collect::<Vec<_>>());
    w.runtime.dropped.clear();
    w.runtime.roots.truncate(10);
    w.collect();
    assert_eq!(w.runtime.dropped.len(), 40);
    w.heap.drop_host_objects(&mut w.runtime);
    w.heap.drop_host_objects(&mut w.runtime);
    assert_eq!(w.runtime.dropped.len(), 50);
}

/// Host objects whose mark bits threads race for: four in five are in five elements of a table, until others replace them.
#[test]
fn host_objects_are_dropped_once_by_threads_that_mark_together() {
    const ELEMENTS: u32 = 5000;
    const MADE: u64 = 20_000;
    for collector in [Collector::Generational, Collector::MarkSweep] {
        let (threads, stress) = (NonZeroU32::new(4), NonZeroU64::new(64));
        let (mut w, t) = world(HeapOptions { collector, threads, stress, ..HeapOptions::default() });
        let table = w.alloc_array(t.refs, ELEMENTS).unwrap();
        w.runtime.roots.push(table);
        let mut held = vec![None; ELEMENTS as usize];
        for data in 0..MADE {
            let host = w.alloc_extern(t.host, data).unwrap();
            for copy in (0..5).filter(|_| data % 5 != 0) {
                let at = (data as u32 * 7 + copy * (ELEMENTS / 5)) % ELEMENTS;
                w.store(table, ARRAY_ELEMENTS_OFFSET + at * 4, host);
                held[at as usize] = Some(data);
            }
        }
        w.collect();
        let stats = w.heap.stats();
        assert!(stats.major > 50 && (stats.minor > 100 || collector == Collector::MarkSweep), "{stats:?}");
        let held: BTreeSet<u64> = held.into_iter().flatten().collect();
        let dead: Vec<u64> = (0..MADE).filter(|data| !held.contains(data)).collect();
        w.runtime.dropped.sort_unstable();
        assert_eq!(w.runtime.dropped, dead);
        w.runtime.dropped.clear();
        w.runtime.roots.clear();
        w.collect();
        w.runtime.dropped.sort_unstable();
        assert_eq!(w.runtime.dropped, held.into_iter().collect::<Vec<_>>());
    }
}

/// Large arrays, each of which alone refers to many objects, some to other such arrays: members of the team give halves of
/// what is left of them away.
#[test]
fn large_arrays_are_marked_by_several_threads() {
    const ARRAYS: u32 = 40;
    const ELEMENTS: u32 = 5000;
    for threads in [1, 2, 4] {
        let mut options = HeapOptions { threads: NonZeroU32::new(threads), verify: true, ..HeapOptions::default() };
        options.tuning.await_helpers = true;
        let (mut w, t) = world(options);
        w.runtime.roots.push(0);
        for _ in 0..ARRAYS {
            let array = w.alloc_array(t.refs, ELEMENTS).unwrap();
            // The array before is found in the middle of this one.
            w.store(array, ARRAY_ELEMENTS_OFFSET + ELEMENTS / 2 * 4, w.runtime.roots[0]);
            w.runtime.roots[0] = array;
            for at in (0..ELEMENTS).filter(|at| *at != ELEMENTS / 2) {
                let node = w.alloc_struct(t.node).unwrap();
                w.store(w.runtime.roots[0], ARRAY_ELEMENTS_OFFSET + at * 4, node);
            }
        }
        for _ in 0..10 {
            w.collect();
            let array_bytes = u64::from((ARRAY_ELEMENTS_OFFSET + ELEMENTS * 4).next_multiple_of(8));
            assert_eq!(w.heap.stats().live_bytes, u64::from(ARRAYS) * (array_bytes + u64::from(ELEMENTS - 1) * 16));
        }
    }
}

#[test]
fn a_failed_host_object_is_not_dropped() {
    let (mut w, t) = world(HeapOptions { collector: Collector::Null, ..sized(BLOCK) });
    let mut made = 0;
    let error = loop {
        match w.alloc_extern(t.host, made) {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
    };
    assert!(is_out_of_memory(&error));
    assert_eq!(made, BLOCK / 16);
    w.heap.drop_host_objects(&mut w.runtime);
    w.runtime.dropped.sort_unstable();
    assert_eq!(w.runtime.dropped, (0..made).collect::<Vec<_>>());
}

#[test]
fn freed_memory_is_reused_and_given_back() {
    let tuning = Tuning { min_budget_bytes: 32 << 20, ..Tuning::default() };
    let options = HeapOptions { verify: true, initial_bytes: 0, tuning, ..HeapOptions::default() };
    let (mut w, t) = world(options);
    for _ in 0..100 {
        let array = w.alloc_array(t.bytes, 1 << 20).unwrap();
        w.runtime.roots.push(array);
    }
    w.collect();
    assert!(w.heap.stats().heap_bytes >= 100 << 20);
    w.runtime.roots.clear();
    w.collect();
    let after = w.heap.stats();
    assert!(after.heap_bytes <= 33 << 20, "{} bytes kept", after.heap_bytes);
    assert!(after.peak_heap_bytes >= 100 << 20);
    for _ in 0..1000 {
        let array = w.alloc_array(t.bytes, 1 << 20).unwrap();
        assert!((8..64).all(|offset| w.read(array, offset * 4) == 0));
    }
    assert!(w.heap.stats().heap_bytes <= 40 << 20);
}

#[test]
fn a_long_list_is_no_deep_recursion() {
    let tuning = Tuning { mark_stack_entries: 64 << 10, ..Tuning::default() };
    let (mut w, t) = world(HeapOptions { tuning, ..HeapOptions::default() });
    const NODES: u64 = 2_000_000;
    w.runtime.roots.push(0);
    for _ in 0..NODES {
        let node = w.alloc_struct(t.node).unwrap();
        w.store(node, 4, w.runtime.roots[0]);
        w.runtime.roots[0] = node;
        let payload = w.alloc_struct(t.node).unwrap();
        let node = w.runtime.roots[0];
        w.store(node, 8, payload);
    }
    w.collect();
    assert_eq!(w.heap.stats().live_bytes, 2 * NODES * 16);
}

#[test]
fn the_log_has_a_line_for_each_collection() {
    let (mut w, t) = world(HeapOptions { log: true, ..HeapOptions::default() });
    let node = w.alloc_struct(t.node).unwrap();
    w.runtime.roots.push(node);
    w.collect();
    w.collect();
    let lines: Vec<String> = w.runtime.log.iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[1].starts_with("gc 2 major (requested): 0 -> 0 KiB, heap 32 KiB, moved 0 KiB, pause "),
        "{}",
        lines[1]
    );
    assert_eq!(w.runtime.log[1].live_bytes, 16);
}

#[test]
fn the_budget_grows_with_what_lives() {
    let tuning = Tuning { min_budget_bytes: 1 << 20, ..Tuning::default() };
    let collector = Collector::MarkSweep;
    let options = HeapOptions { collector, tuning, initial_bytes: 4 << 20, log: true, ..HeapOptions::default() };
    let (mut w, t) = world(options);
    w.runtime.roots.push(0);
    while w.heap.stats().collections() < 5 {
        let node = w.alloc_struct(t.node).unwrap();
        w.store(node, 4, w.runtime.roots[0]);
        w.runtime.roots[0] = node;
    }
    let before: Vec<u64> = w.runtime.log.iter().map(|c| c.before_bytes >> 20).collect();
    assert!(w.runtime.log.iter().all(|c| c.cause == Cause::Budget));
    assert_eq!(before, [4, 8, 16, 32, 64], "each collection at twice the bytes of the one before");
}

#[test]
fn a_program_that_keeps_little_stays_small() {
    let (mut w, t) = world(HeapOptions::default());
    w.runtime.roots.resize(1000, 0);
    // What lives when a collection comes is strewn over many lines and dies soon after, when it is old.
    for i in 0..(256 << 20) / 16 {
        let node = w.alloc_struct(t.node).unwrap();
        if i % 8 == 0 {
            w.runtime.roots[i / 8 % 1000] = node;
        }
    }
    let stats = w.heap.stats();
    assert!(stats.peak_heap_bytes <= 6 << 20, "{stats:?}");
    assert!(stats.major > 0 && stats.major * 8 < stats.minor, "{stats:?}");
}

#[test]
fn a_soft_limit_may_change_while_the_heap_is_in_use() {
    const SOFT: u64 = 8 << 20;
    /// Makes garbage; the most bytes in use meanwhile.
    fn run(w: &mut World, t: &Words, objects: u64) -> u64 {
        let used = (0..objects).map(|_| {
            w.alloc_struct(t.node).unwrap();
            w.heap.used_bytes()
        });
        used.max().unwrap()
    }
    for collector in [Collector::Generational, Collector::MarkSweep] {
        let tuning = Tuning { min_nursery_bytes: 32 << 20, building_nursery_bytes: 32 << 20, ..Tuning::default() };
        let (mut w, t) = world(HeapOptions { collector, tuning, log: true, ..HeapOptions::default() });
        w.runtime.roots.push(0);
        for _ in 0..(4 << 20) / 16 {
            let node = w.alloc_struct(t.node).unwrap();
            w.store(node, 4, w.runtime.roots[0]);
            w.runtime.roots[0] = node;
        }
        assert!(run(&mut w, &t, 2_000_000) > 2 * SOFT);
        let major = w.heap.stats().major;
        w.heap.set_soft_max_bytes(SOFT);
        assert_eq!(w.heap.options().soft_max_bytes, SOFT);
        run(&mut w, &t, 100_000);
        let stats = w.heap.stats();
        assert!(stats.major > major && stats.heap_bytes <= SOFT, "a collection of the whole heap was due: {stats:?}");
        let used = run(&mut w, &t, 2_000_000);
        assert!(used <= SOFT, "{used} bytes in use");
        // A limit below what lives leaves room to go on.
        w.heap.set_soft_max_bytes(1 << 20);
        let used = run(&mut w, &t, 2_000_000);
        assert!(used <= 4 * SOFT / 5, "{used} bytes in use");
        w.heap.set_soft_max_bytes(u64::MAX);
        assert!(run(&mut w, &t, 4_000_000) > 2 * SOFT);
    }
}

/// A lower limit that the heap has not reached yet is kept all the same: what was planned by the old one is too late.
#[test]
fn a_lower_soft_limit_is_not_passed() {
    const SOFT: u64 = 20 << 20;
    let (mut w, t) = world(HeapOptions::default());
    let keep = |w: &mut World, nodes: u64| {
        for _ in 0..nodes {
            let node = w.alloc_struct(t.node).unwrap();
            w.store(node, 4, w.runtime.roots[0]);
            w.runtime.roots[0] = node;
        }
    };
    w.runtime.roots.push(0);
    keep(&mut w, 500_000);
    assert!(w.heap.stats().minor > 0 && w.heap.stats().major == 0);
    w.heap.set_soft_max_bytes(SOFT);
    // Each list dies, old, when the next one begins.
    for _ in 0..20 {
        w.runtime.roots[0] = 0;
        keep(&mut w, 300_000);
        let used = w.heap.used_bytes();
        assert!(used <= SOFT, "{used} bytes in use, {:?}", w.heap.stats());
    }
}

#[test]
fn minor_collections_free_what_died_young_and_majors_the_rest() {
    let tuning = Tuning { nursery_bytes: 1 << 20, nursery_percent: 0, min_budget_bytes: 4 << 20, ..Tuning::default() };
    let (mut w, t) = world(HeapOptions { tuning, initial_bytes: 0, log: true, ..HeapOptions::default() });
    w.runtime.roots.push(0);
    for i in 0..4_000_000 {
        let node = w.alloc_struct(t.node).unwrap();
        if i % 4000 < 1000 {
            w.store(node, 4, w.runtime.roots[0]);
            w.runtime.roots[0] = if i % 100_000 == 0 { 0 } else { node };
        }
    }
    let stats = w.heap.stats();
    assert!(stats.minor >= 10 && stats.major >= 1 && stats.minor > 2 * stats.major, "{stats:?}");
    assert!(stats.peak_heap_bytes < 12 << 20, "{stats:?}");
    let minor = w.runtime.log.iter().filter(|c| c.scope == Scope::Minor);
    let whole = minor.clone().filter(|c| c.is_finished);
    assert!(whole.clone().count() > 10 && whole.clone().all(|c| c.live_bytes < c.before_bytes));
    assert!(minor.clone().all(|c| c.cause == Cause::Budget));
}

/// Parts of a minor collection that have no time free nothing: some two nurseries later one takes the time it needs.
#[test]
fn a_minor_collection_in_parts_comes_to_an_end() {
    let tuning = Tuning { nursery_bytes: 256 << 10, min_step_bytes: 16 << 10, ..Tuning::default() };
    let minor_pause = Some(std::time::Duration::ZERO);
    let (mut w, t) = world(HeapOptions { tuning, minor_pause, initial_bytes: 0, log: true, ..HeapOptions::default() });
    let kept = w.alloc_struct(t.node).unwrap();
    w.runtime.roots.push(kept);
    (0..1_000_000).for_each(|_| _ = w.alloc_struct(t.node).unwrap());
    let finished = w.runtime.log.iter().filter(|c| c.is_finished).count();
    assert!(finished >= 16 && w.runtime.log.len() > 2 * finished, "{finished} of {} parts", w.runtime.log.len());
    assert!(w.heap.stats().peak_heap_bytes <= 1 << 20, "{:?}", w.heap.stats());
}

#[test]
fn an_object_on_the_shadow_stack_stays_remembered() {
    let tuning = Tuning { nursery_bytes: 64 << 10, ..Tuning::default() };
    let (mut w, t) = world(HeapOptions { tuning, verify: true, ..HeapOptions::default() });
    let old = w.alloc_struct(t.node).unwrap();
    w.runtime.shadow_stack.push(old);
    while w.heap.stats().minor < 1 {
        w.alloc_struct(t.node).unwrap();
    }
    // An initialising store that the compiler delayed past the collection has no barrier.
    let young = w.alloc_struct(t.node).unwrap();
    w.write(old, 8, young);
    while w.heap.stats().minor < 2 {
        w.alloc_struct(t.node).unwrap();
    }
    assert_eq!(w.read(young, 0), t.node);
}

/// A heap gives up after some collections in a row that left it nearly full, not after as many in all.
#[test]
fn a_heap_that_had_room_again_does_not_give_up() {
    const MAX: u64 = 1 << 20;
    let tuning = Tuning { starved_fraction: 4, ..Tuning::default() };
    let collector = Collector::MarkSweep;
    let (mut w, t) = world(HeapOptions { collector, max_bytes: MAX, log: true, tuning, ..HeapOptions::default() });
    let count = |w: &World, cause: Cause| w.runtime.log.iter().filter(|c| c.cause == cause).count();
    // Makes garbage until there were so many more collections because of that.
    let collect = |w: &mut World, cause: Cause, times: usize| {
        let end = count(w, cause) + times;
        while count(w, cause) < end {
            w.alloc_struct(t.node).unwrap();
        }
    };
    for round in 0..3 {
        while (w.runtime.roots.len() as u64) * 16 < MAX / 5 * 4 {
            let node = w.alloc_struct(t.node).unwrap();
            w.runtime.roots.push(node);
        }
        collect(&mut w, Cause::Exhausted, tuning.starved_collections as usize - 1);
        w.runtime.roots.clear();
        w.collect();
        collect(&mut w, Cause::Budget, 1);
        assert!(w.heap.stats().live_bytes < MAX / 4, "round {round}: {:?}", w.heap.stats());
    }
}

/// Each dirty card takes time in the next minor collection.
#[test]
fn a_nursery_ends_early_when_many_cards_are_dirty() {
    let tuning = Tuning { max_dirty_cards: 9000, card_check_bytes: 128 << 10, ..Tuning::default() };
    // Minor collections for 8 MiB of young objects: whether each is stored into an old one; whether many old ones are on
    // the shadow stack.
    let minors = |stored: bool, rooted: bool| {
        let (mut w, t) = world(HeapOptions { tuning, ..HeapOptions::default() });
        let array = w.alloc_array(t.refs, 256 << 10).unwrap();
        w.runtime.roots.push(array);
        for i in 0..256 << 10 {
            let node = w.alloc_struct(t.node).unwrap();
            w.store(w.runtime.roots[0], ARRAY_ELEMENTS_OFFSET + 4 * i, node);
        }
        if rooted {
            w.runtime.shadow_stack = (0..16 << 10).map(|i| w.read(array, ARRAY_ELEMENTS_OFFSET + 64 * i)).collect();
        }
        w.collect();
        let before = w.heap.stats().minor;
        for i in 0..(8 << 20) / 16 {
            let young = w.alloc_struct(t.node).unwrap();
            if stored {
                let old = w.read(array, ARRAY_ELEMENTS_OFFSET + 4 * (i * 1009 % (256 << 10)));
                w.store(old, 4, young);
            }
        }
        w.heap.stats().minor - before
    };
    let usual = minors(false, false);
    assert!((1..=6).contains(&usual), "{usual}");
    let many = minors(true, false);
    assert!((45..=60).contains(&many), "{many} minor collections, a card is dirtied for every 16 bytes");
    assert_eq!(minors(false, true), usual, "what is on the shadow stack is dirty all the time");
}

#[test]
fn nurseries_are_small_while_everything_survives() {
    // Minor collections for 16 MiB, of which one object in so many is kept.
    let minors = |kept_one_in: u32| {
        let (mut w, t) = world(HeapOptions::default());
        w.runtime.roots.push(0);
        for i in 0..(16 << 20) / 16 {
            let node = w.alloc_struct(t.node).unwrap();
            if i % kept_one_in == 0 {
                w.store(node, 4, w.runtime.roots[0]);
                w.runtime.roots[0] = node;
            }
        }
        w.heap.stats().minor
    };
    let [all, half] = [1, 2].map(minors);
    assert!((16..=24).contains(&all), "{all} where everything survives");
    assert!(half <= 8, "{half} where half survives");
}

#[test]
fn stores_into_a_large_array_are_remembered_by_element() {
    let tuning = Tuning { nursery_bytes: 256 << 10, ..Tuning::default() };
    let (mut w, t) = world(HeapOptions { tuning, verify: true, ..HeapOptions::default() });
    const LENGTH: u32 = 100_000;
    for length in [LENGTH, 3000] {
        let array = w.alloc_array(t.refs, length).unwrap();
        w.runtime.roots.push(array);
    }
    let mut rng = Rng::new(7);
    let mut expected = [vec![0; LENGTH as usize], vec![0; 3000]];
    for value in 0..50_000 {
        let which = rng.below(2) as usize;
        let index = rng.below(expected[which].len() as u64) as u32;
        let node = w.alloc_struct(t.node).unwrap();
        w.write(node, 12, value);
        w.store(w.runtime.roots[which], ARRAY_ELEMENTS_OFFSET + 4 * index, node);
        expected[which][index as usize] = node;
    }
    assert!(w.heap.stats().minor > 2);
    for (which, expected) in expected.iter().enumerate() {
        let read = |i| w.read(w.runtime.roots[which], ARRAY_ELEMENTS_OFFSET + 4 * i);
        let found: Vec<u32> = (0..expected.len() as u32).map(read).collect();
        assert_eq!(found, *expected);
        assert!(found.iter().all(|&n| n == 0 || w.read(n, 0) == t.node));
    }
}

#[test]
fn the_barrier_of_the_host_covers_what_it_wrote() {
    let (mut w, t) = world(HeapOptions { verify: true, ..HeapOptions::default() });
    let array = w.alloc_array(t.refs, 1000).unwrap();
    w.runtime.roots.push(array);
    w.collect();
    let young = w.alloc_struct(t.node).unwrap();
    (300..700).for_each(|i| w.write(array, ARRAY_ELEMENTS_OFFSET + 4 * i, young));
    assert!(w.heap.verify(&mut w.runtime).is_err());
    w.heap.post_write_barrier(ObjRef::from_word(array).unwrap(), ARRAY_ELEMENTS_OFFSET + 4 * 300, 400);
    w.heap.verify(&mut w.runtime).unwrap();
}

/// Of a struct the card of the header counts, wherever the field is.
#[test]
fn the_barrier_of_the_host_covers_the_header() {
    let mut types = MockTypes::new();
    let wide = types.add_struct(&[REF; 100]);
    let mut w = World::new(HeapOptions { verify: true, ..HeapOptions::default() }, types);
    let old = w.alloc_struct(wide).unwrap();
    w.runtime.roots.push(old);
    w.collect();
    let young = w.alloc_struct(wide).unwrap();
    w.write(old, 4 * 100, young);
    w.heap.post_write_barrier(ObjRef::from_word(old).unwrap(), 4 * 100, 1);
    w.heap.verify(&mut w.runtime).unwrap();
}

#[test]
fn cards_cover_the_region() {
    let (mut w, t) = world(HeapOptions::default());
    w.heap.ensure_card_table().unwrap();
    let base = w.heap.card_base();
    w.heap.ensure_card_table().unwrap();
    assert!(base != 0 && base == w.heap.card_base());
    let node = w.alloc_struct(t.node).unwrap();
    let last = (LARGEST_MAX_BYTES.min(w.heap.options().max_bytes) >> 2) as u32;
    for unit in [0, node, last] {
        w.dirty_card(unit);
    }
}

#[test]
fn the_verifier_names_the_holder_of_a_bad_reference() {
    let (mut w, t) = world(HeapOptions { verify: true, ..HeapOptions::default() });
    let (a, b) = (w.alloc_struct(t.node).unwrap(), w.alloc_struct(t.node).unwrap());
    w.store(a, 8, b);
    w.runtime.roots.extend([0, i31_new(9), a]);
    w.collect();
    let check = |w: &mut World, word: u32, expected: VerifyError| {
        w.store(a, 8, word);
        assert_eq!(*w.heap.verify(&mut w.runtime).unwrap_err(), expected);
        assert_eq!(*w.heap.collect(&mut w.runtime, Cause::Requested).unwrap_err(), expected);
    };
    let holder = Holder::Field { object: a, offset: 8 };
    let bad = |word: u32, reason| VerifyError::BadReference { holder, word, reason };
    check(&mut w, 0xffff_fff0, bad(0xffff_fff0, "outside the heap"));
    check(&mut w, 16, bad(16, "in a block without objects"));
    let header = |word: u32, type_word: u32| VerifyError::BadHeader { holder, word, type_word };
    check(&mut w, b + 2, header(b + 2, 0));
    check(&mut w, b + 1000, header(b + 1000, 0xf5f5_f5f5));
    w.write(b, 0, t.node + 4);
    check(&mut w, b, header(b, t.node + 4));
    w.write(b, 0, t.bytes);
    w.write(b, 4, 40_000);
    check(&mut w, b, bad(b, "an object that does not fit where it is"));
    w.write(b, 0, t.node);
    w.write(b, 4, 0);
    w.heap.verify(&mut w.runtime).unwrap();
    w.runtime.roots[1] = 0x7fff_fff0;
    let error = w.heap.verify(&mut w.runtime).unwrap_err();
    assert_eq!(error.to_string(), "root 1 (Global) holds 0x7ffffff0, which is outside the heap");
}

#[test]
fn the_verifier_finds_stale_and_overlapping_objects() {
    let (mut w, t) = world(HeapOptions { verify: true, ..HeapOptions::default() });
    let (kept, dead) = (w.alloc_struct(t.node).unwrap(), w.alloc_struct(t.node).unwrap());
    let large = w.alloc_array(t.bytes, 50_000).unwrap();
    w.runtime.roots.extend([kept, large]);
    w.collect();
    // On the line of a survivor the dead object's memory is as it was.
    w.runtime.roots.push(dead);
    let error = w.heap.verify(&mut w.runtime).unwrap_err();
    assert!(matches!(*error, VerifyError::BadReference { reason: "an object that was freed", .. }), "{error}");
    w.runtime.roots[2] = large + 8;
    let error = w.heap.verify(&mut w.runtime).unwrap_err();
    assert!(matches!(*error, VerifyError::BadReference { reason: "inside a large object", .. }), "{error}");
    w.runtime.roots[2] = large;
    let array = w.alloc_array(t.bytes, 100).unwrap();
    w.write(array, 16, t.node);
    w.runtime.roots.extend([array, array + 4]);
    let error = w.heap.verify(&mut w.runtime).unwrap_err();
    assert_eq!(*error, VerifyError::Overlap { first: array, first_bytes: 112, second: array + 4 });
}
