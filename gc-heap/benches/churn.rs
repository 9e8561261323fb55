//! How fast the heap allocates and collects, without a compiler in the way: `cargo bench -p dolmen-gc-heap`.
//!
//! Each program prints nanoseconds per object, the share of the time spent in pauses, and marking speed. Numbers are
//! of one run; compare runs on the same machine only.

#[path = "../tests/load/mod.rs"]
#[allow(dead_code, reason = "each user prints or checks a part of it")]
mod load;
#[path = "../tests/mock/mod.rs"]
mod mock;

use dolmen_gc_heap::{Collection, HeapOptions, Scope, Stats};
use load::Server;
use mock::{I8, I32, I64, MockTypes, REF, Rng, World};
use std::time::{Duration, Instant};

fn main() {
    let filter = std::env::args().skip(1).find(|a| !a.starts_with('-')).unwrap_or_default();
    let programs: [Program; 10] = [
        ("live_tree", live_tree),
        ("hash_table", hash_table),
        ("old_records", old_records),
        ("fragmentation", fragmentation),
        ("binary_trees", binary_trees),
        ("garbage", garbage),
        ("random_graph", random_graph),
        ("long_list", long_list),
        ("mixed_sizes", mixed_sizes),
        ("large_arrays", large_arrays),
    ];
    for (name, program) in programs.iter().filter(|(name, _)| name.contains(&filter)) {
        program().print(name);
    }
}

type Program = (&'static str, fn() -> Outcome);

struct Outcome {
    time: Duration,
    objects: u64,
    stats: Stats,
    /// Pauses of minor collections, ascending.
    minor: Vec<Duration>,
}

impl Outcome {
    fn print(&self, name: &str) {
        let Stats { total_pause, max_pause, live_bytes, peak_heap_bytes, allocated_bytes, .. } = self.stats;
        let seconds = self.time.as_secs_f64();
        println!(
            "{name:14} {seconds:6.3} s  {:6.2} ns/object  {:7.0} MB/s  {:4} collections  {:4.1} % in pauses  \
             longest {:6.2} ms  live {:5} MiB  peak {:5} MiB",
            seconds * 1e9 / self.objects as f64,
            allocated_bytes as f64 / 1e6 / seconds,
            self.stats.collections(),
            100.0 * total_pause.as_secs_f64() / seconds,
            max_pause.as_secs_f64() * 1e3,
            live_bytes >> 20,
            peak_heap_bytes >> 20,
        );
        if !self.minor.is_empty() {
            let ms = |percent: usize| self.minor[(self.minor.len() - 1) * percent / 100].as_secs_f64() * 1e3;
            println!(
                "  {} minor pauses: median {:.2} ms, 90th percentile {:.2}, 99th {:.2}, longest {:.2}",
                self.minor.len(),
                ms(50),
                ms(90),
                ms(99),
                ms(100)
            );
        }
    }
}

fn run(world: &mut World, program: impl FnOnce(&mut World) -> u64) -> Outcome {
    let start = Instant::now();
    let objects = program(world);
    let time = start.elapsed();
    let is_minor = |c: &&Collection| c.scope == Scope::Minor;
    let mut minor: Vec<Duration> = world.runtime.log.iter().filter(is_minor).map(|c| c.phases.total()).collect();
    minor.sort_unstable();
    Outcome { time, objects, stats: world.heap.stats(), minor }
}

/// The defaults, with a record of each collection, and as many threads as the variable `GC_THREADS` says.
fn options() -> HeapOptions {
    let threads = std::env::var("GC_THREADS").ok().map(|text| text.parse().expect("a number of threads"));
    HeapOptions { log: true, threads, ..HeapOptions::default() }
}

/// Nodes of 16 bytes: a long-lived tree of depth 18, and many short-lived ones.
fn binary_trees() -> Outcome {
    let mut types = MockTypes::new();
    let node = types.add_struct(&[REF, REF]);
    let mut world = World::new(options(), types);
    const DEPTH: u32 = 18;
    run(&mut world, |w| {
        let mut objects = 0;
        let stretch = tree(w, node, DEPTH + 1, &mut objects);
        assert_eq!(check(w, stretch), (1 << (DEPTH + 2)) - 1);
        let long = tree(w, node, DEPTH, &mut objects);
        w.runtime.roots.push(long);
        for depth in (4..=DEPTH).step_by(2) {
            for _ in 0..1 << (DEPTH - depth + 4) {
                let short = tree(w, node, depth, &mut objects);
                assert_eq!(check(w, short), (1 << (depth + 1)) - 1);
            }
        }
        objects
    })
}

fn tree(w: &mut World, node: u32, depth: u32, objects: &mut u64) -> u32 {
    if depth > 0 {
        let left = tree(w, node, depth - 1, objects);
        w.runtime.roots.push(left);
        let right = tree(w, node, depth - 1, objects);
        w.runtime.roots.push(right);
    }
    let object = w.alloc_known_struct(node, 16);
    *objects += 1;
    if depth > 0 {
        let right = w.runtime.roots.pop().unwrap();
        let left = w.runtime.roots.pop().unwrap();
        w.store(object, 4, left);
        w.store(object, 8, right);
    }
    object
}

fn check(w: &World, object: u32) -> u64 {
    let left = w.read(object, 4);
    if left == 0 { 1 } else { 1 + check(w, left) + check(w, w.read(object, 8)) }
}

/// A tree of 33 million nodes, 512 MiB, and ten major collections of it.
fn live_tree() -> Outcome {
    let mut types = MockTypes::new();
    let node = types.add_struct(&[REF, REF]);
    let mut world = World::new(options(), types);
    run(&mut world, |w| {
        let mut objects = 0;
        let root = tree(w, node, 24, &mut objects);
        w.runtime.roots.push(root);
        for _ in 0..10 {
            let before = w.heap.stats().total_pause;
            w.collect();
            let seconds = (w.heap.stats().total_pause - before).as_secs_f64();
            let rate = w.heap.stats().live_bytes as f64 / seconds / 1e9;
            println!("  major: {:.1} ms, {rate:.2} GB/s of live objects", seconds * 1e3);
        }
        println!("  one thread reads memory at {:.1} GB/s", read_rate());
        objects
    })
}

/// Gigabytes that one thread reads from memory each second: what marking can be compared with.
fn read_rate() -> f64 {
    const WORDS: usize = (512 << 20) / size_of::<u64>();
    let memory = vec![1_u64; WORDS];
    let start = Instant::now();
    std::hint::black_box(memory.iter().fold(0_u64, |sum, word| sum.wrapping_add(*word)));
    (WORDS * size_of::<u64>()) as f64 / start.elapsed().as_secs_f64() / 1e9
}

/// Maps with chains, 300,000 entries of four objects, built one after the other: nearly all of what a minor collection
/// sees survives, in random order, and is remembered by cards of a large array.
fn hash_table() -> Outcome {
    let mut types = MockTypes::new();
    let node = types.add_struct(&[I32, REF, REF, REF]);
    let (key, value) = (types.add_struct(&[I32, REF]), types.add_struct(&[I32]));
    let (chars, table) = (types.add_array(I8), types.add_array(REF));
    let mut world = World::new(options(), types);
    run(&mut world, |w| {
        const MAPS: u64 = 10;
        const ENTRIES: u64 = 300_000;
        let mut rng = Rng::new(1);
        w.runtime.roots.extend([0; 3]);
        for _ in 0..MAPS {
            w.runtime.roots[0] = w.alloc_array(table, 1 << 19).unwrap();
            for _ in 0..ENTRIES {
                w.runtime.roots[1] = w.alloc_array(chars, 8 + rng.below(16) as u32).unwrap();
                let key = w.alloc_known_struct(key, 16);
                w.store(key, 8, w.runtime.roots[1]);
                w.runtime.roots[1] = key;
                w.runtime.roots[2] = w.alloc_known_struct(value, 8);
                let node = w.alloc_known_struct(node, 24);
                let [table, key, value] = w.runtime.roots[..3] else { unreachable!("three roots") };
                let slot = 8 + 4 * rng.below(1 << 19) as u32;
                w.store(node, 8, key);
                w.store(node, 12, value);
                w.store(node, 16, w.read(table, slot));
                w.store(table, slot, node);
            }
        }
        MAPS * ENTRIES * 4
    })
}

/// Records all over 24 MiB of old memory get new payloads at random, and little else survives: the price of dirty cards.
fn old_records() -> Outcome {
    let mut types = MockTypes::new();
    let record = types.add_struct(&[REF, I32, I32, REF, REF, REF, REF]);
    let payload = types.add_struct(&[REF, I64]);
    let (name, children) = (types.add_array(I8), types.add_array(REF));
    let mut world = World::new(options(), types);
    run(&mut world, |w| {
        const RECORDS: u64 = 200_000;
        const UPDATES: u64 = 6_000_000;
        let mut rng = Rng::new(1);
        let vtable = w.alloc_known_struct(payload, 24);
        let all = w.alloc_array(children, RECORDS as u32).unwrap();
        w.runtime.roots.extend([vtable, all, 0]);
        let slot = |n: u64| 8 + 4 * n as u32;
        for n in 0..RECORDS {
            let made = w.alloc_known_struct(record, 32);
            w.store(w.runtime.roots[1], slot(n), made);
            w.store(made, 4, w.runtime.roots[0]);
            let array = w.alloc_array(name, 8 + rng.below(16) as u32).unwrap();
            w.store(w.read(w.runtime.roots[1], slot(n)), 16, array);
            let array = w.alloc_array(children, 4).unwrap();
            let made = w.read(w.runtime.roots[1], slot(n));
            w.store(made, 28, array);
            for child in 0..4 {
                w.store(array, slot(child), w.read(w.runtime.roots[1], slot(rng.below(n + 1))));
            }
        }
        for _ in 0..UPDATES {
            let new = w.alloc_known_struct(payload, 24);
            w.store(new, 4, w.runtime.roots[0]);
            w.store(w.read(w.runtime.roots[1], slot(rng.below(RECORDS))), 20, new);
            for _ in 0..4 {
                std::hint::black_box(w.alloc_known_struct(payload, 24));
            }
        }
        RECORDS * 3 + UPDATES * 5
    })
}

/// An hour of a server's load, about 64 MiB of live data; prints how much larger than the live data the heap was at most
/// after a major collection, a minute after the other.
fn fragmentation() -> Outcome {
    const MINUTES: u64 = 60;
    const ENTRIES: u64 = 400_000;
    let mut server = Server::new(HeapOptions::default(), ENTRIES);
    let (mut used, mut resident): (f64, f64) = (0.0, 0.0);
    let start = Instant::now();
    for _ in 0..MINUTES {
        server.run_minute();
        let sample = server.sample();
        used = used.max(sample.ratio());
        resident = resident.max(resident_bytes() as f64 / sample.live_bytes as f64);
    }
    let stats = server.world.heap.stats();
    println!(
        "  at most {used:.2} bytes of blocks in use and {resident:.2} bytes resident for each live byte; {} MiB moved in {} \
         major collections",
        stats.moved_bytes >> 20,
        stats.major,
    );
    Outcome { time: start.elapsed(), objects: MINUTES * ENTRIES, stats, minor: Vec::new() }
}

/// Resident memory of the process; 0 where the system does not tell.
fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).map_or(0, |pages| pages * PAGE_BYTES)
}

/// Nothing survives: the price of the allocator alone.
fn garbage() -> Outcome {
    let mut types = MockTypes::new();
    let node = types.add_struct(&[REF, REF]);
    let mut world = World::new(options(), types);
    run(&mut world, |w| {
        const OBJECTS: u64 = 100_000_000;
        for _ in 0..OBJECTS {
            std::hint::black_box(w.alloc_known_struct(node, 16));
        }
        OBJECTS
    })
}

/// A table of 4 million entries whose objects point at random others and are replaced at random.
fn random_graph() -> Outcome {
    let mut types = MockTypes::new();
    let node = types.add_struct(&[REF, REF, I32, REF]);
    let table = types.add_array(REF);
    let mut world = World::new(options(), types);
    run(&mut world, |w| {
        const ENTRIES: u64 = 4_000_000;
        const OBJECTS: u64 = 40_000_000;
        let mut rng = Rng::new(1);
        let table = w.alloc_array(table, ENTRIES as u32).unwrap();
        w.runtime.roots.push(table);
        for _ in 0..OBJECTS {
            let object = w.alloc_known_struct(node, 24);
            let other = w.read(table, 8 + 4 * rng.below(ENTRIES) as u32);
            // Only young objects point at older ones, and chains are cut.
            if other != 0 {
                w.store(other, 4, 0);
            }
            w.store(object, 4, other);
            w.store(table, 8 + 4 * rng.below(ENTRIES) as u32, object);
        }
        OBJECTS
    })
}

/// 50 million nodes with a payload each: nothing may grow with the depth of the graph.
fn long_list() -> Outcome {
    let mut types = MockTypes::new();
    let node = types.add_struct(&[REF, REF]);
    let payload = types.add_struct(&[I32]);
    let mut world = World::new(options(), types);
    run(&mut world, |w| {
        const NODES: u64 = 50_000_000;
        w.runtime.roots.push(0);
        for _ in 0..NODES {
            let object = w.alloc_known_struct(node, 16);
            w.store(object, 4, w.runtime.roots[0]);
            w.runtime.roots[0] = object;
            let load = w.alloc_known_struct(payload, 8);
            w.store(object, 8, load);
        }
        w.collect();
        2 * NODES
    })
}

/// Objects of 16 bytes to 8 KiB of which a random tenth of a window lives.
fn mixed_sizes() -> Outcome {
    let mut types = MockTypes::new();
    let numbers = types.add_array(I64);
    let table = types.add_array(REF);
    let mut world = World::new(options(), types);
    run(&mut world, |w| {
        const WINDOW: u64 = 200_000;
        const OBJECTS: u64 = 8_000_000;
        let mut rng = Rng::new(1);
        let table = w.alloc_array(table, WINDOW as u32).unwrap();
        w.runtime.roots.push(table);
        for i in 0..OBJECTS {
            let magnitude = rng.below(10);
            let object = w.alloc_array(numbers, rng.below(2 << magnitude) as u32).unwrap();
            if i % 10 == 0 {
                w.store(table, 8 + 4 * rng.below(WINDOW) as u32, object);
            }
        }
        OBJECTS
    })
}

/// Arrays of 20 KiB to 2 MiB, a few of which live.
fn large_arrays() -> Outcome {
    let mut types = MockTypes::new();
    let numbers = types.add_array(I64);
    let mut world = World::new(options(), types);
    run(&mut world, |w| {
        const OBJECTS: u64 = 20_000;
        let mut rng = Rng::new(1);
        w.runtime.roots.resize(64, 0);
        for _ in 0..OBJECTS {
            let magnitude = rng.below(7);
            let object = w.alloc_array(numbers, 2500 + rng.below(2048 << magnitude) as u32).unwrap();
            w.runtime.roots[rng.below(64) as usize] = object;
        }
        OBJECTS
    })
}
