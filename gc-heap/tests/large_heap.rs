//! Heaps beyond 4 GiB: references of 32 bits reach 16 GiB.
//!
//! Large arrays take the address space, and no memory, since nobody touches what is in them.

mod mock;

use dolmen_gc_heap::HeapOptions;
use dolmen_gc_heap::options::LARGEST_MAX_BYTES;
use mock::{I8, I32, MockTypes, REF, World};

/// Bytes of memory that the test takes: side tables of the whole region, above all.
const NEEDED_BYTES: u64 = 1 << 30;

/// Memory that the system has to give, or all of it where it does not tell.
fn available_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).map_or(u64::MAX, |kib| kib << 10)
}

#[test]
fn references_reach_16_gib() {
    if available_bytes() < NEEDED_BYTES {
        println!("skipped: this machine has no {NEEDED_BYTES} bytes of memory left");
        return;
    }
    const GIB: u64 = 1 << 30;
    let mut types = MockTypes::new();
    let (node, bytes) = (types.add_struct(&[REF, I32]), types.add_array(I8));
    let mut w = World::new(HeapOptions { max_bytes: LARGEST_MAX_BYTES, ..HeapOptions::default() }, types);
    let offset = |object: u32| u64::from(object) * 4;
    let mut arrays = Vec::new();
    w.runtime.slots.push(0);
    // Each array is followed by nodes that refer to those before: all over the region, in both directions.
    for i in 0..15_u32 {
        let array = w.alloc_array(bytes, (GIB - 64) as u32).unwrap();
        w.runtime.slots.push(array);
        arrays.push(array);
        w.write(array, 8, i);
        for j in 0..1000 {
            let made = w.alloc_struct(node).unwrap();
            w.write(made, 8, i * 1000 + j);
            w.store(made, 4, w.runtime.slots[0]);
            w.runtime.slots[0] = made;
        }
    }
    assert!(offset(arrays[14]) > 14 * GIB, "the last array is at {:#x}", offset(arrays[14]));
    let check = |w: &World| {
        let mut at = w.runtime.slots[0];
        for expected in (0..15_000).rev() {
            assert_eq!(w.read(at, 8), expected);
            at = w.read(at, 4);
        }
        assert_eq!(at, 0);
    };
    w.collect();
    check(&w);
    for (i, &array) in arrays.iter().enumerate() {
        assert_eq!((w.read(array, 4), w.read(array, 8)), ((GIB - 64) as u32, i as u32));
    }
    let live = w.heap.stats().live_bytes;
    assert!(live > 14 * GIB, "{live} bytes live");
    w.runtime.slots.truncate(1);
    w.collect();
    check(&w);
    assert_eq!(w.heap.stats().live_bytes, 15_000 * 16);
    assert!(w.heap.used_bytes() < 1 << 20, "{} bytes in use", w.heap.used_bytes());
}
