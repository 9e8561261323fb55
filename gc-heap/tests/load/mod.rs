//! An hour in the life of a server, compressed: the load that fragmentation is judged by.
//!
//! A table holds the live objects; a random one is replaced at a time. What makes heaps fragment is all here:
//!
//! - *mixed sizes*: structs of 16 bytes beside arrays of up to 8 KiB, now and then a large object;
//! - *drift*: the sizes that are common change, so holes of one phase do not fit the next;
//! - *random deaths*: nothing that was allocated together dies together;
//! - *tides*: most of the table is emptied, at random places, and filled again.
//!
//! A simulated minute is so many replacements as the table has entries: the whole live data turn over once a minute.

use super::mock::{I64, MockTypes, REF, Rng, World};
use dolmen_gc_heap::HeapOptions;

/// Minutes from one tide to the next.
const TIDE_MINUTES: u64 = 10;

/// Of the table's entries that many percent are emptied by a tide.
const TIDE_PERCENT: u64 = 70;

/// One allocation in so many is a large object.
const LARGE_INTERVAL: u64 = 20_000;

/// The store of the server.
pub struct Server {
    pub world: World,
    rng: Rng,
    entries: u64,
    /// Slot 0 of the runtime's slots is the table.
    minute: u64,
    node: u32,
    numbers: u32,
}

/// The heap at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub minute: u64,
    pub live_bytes: u64,
    pub used_bytes: u64,
}

impl Server {
    /// A server whose table has `entries` entries, about 170 bytes of live data each at high tide.
    pub fn new(options: HeapOptions, entries: u64) -> Self {
        let mut types = MockTypes::new();
        let (node, numbers, table) = (types.add_struct(&[REF, I64]), types.add_array(I64), types.add_array(REF));
        let mut world = World::new(options, types);
        let table = world.alloc_array(table, entries as u32).unwrap();
        world.runtime.slots.push(table);
        Self { world, rng: Rng::new(1), entries, minute: 0, node, numbers }
    }

    /// Runs for a minute.
    pub fn run_minute(&mut self) {
        self.minute += 1;
        if self.minute.is_multiple_of(TIDE_MINUTES) {
            self.ebb();
        }
        for _ in 0..self.entries {
            let object = self.make();
            let entry = self.rng.below(self.entries);
            self.set(entry, object);
        }
    }

    /// Empties entries at random.
    pub fn ebb(&mut self) {
        for entry in 0..self.entries {
            if self.rng.below(100) < TIDE_PERCENT {
                self.set(entry, 0);
            }
        }
    }

    /// What a collection of the whole heap leaves.
    pub fn sample(&mut self) -> Sample {
        self.world.collect();
        let heap = &self.world.heap;
        Sample { minute: self.minute, live_bytes: heap.stats().live_bytes, used_bytes: heap.used_bytes() }
    }

    /// Checks that every entry's object is what it was made as.
    pub fn check(&self) {
        let table = self.world.runtime.slots[0];
        for entry in 0..self.entries as u32 {
            let object = self.world.read(table, 8 + 4 * entry);
            let stamp = if object == 0 { continue } else { self.world.bytes_of(object) };
            if self.world.types.get(self.world.read(object, 0)).word == self.numbers && stamp > 8 {
                assert_eq!(self.world.read(object, stamp - 8), stamp, "entry {entry}");
            }
        }
    }

    fn set(&mut self, entry: u64, object: u32) {
        let table = self.world.runtime.slots[0];
        self.world.store(table, 8 + 4 * entry as u32, object);
    }

    fn make(&mut self) -> u32 {
        if self.rng.below(4) == 0 {
            return self.world.alloc_struct(self.node).unwrap();
        }
        let magnitude = (self.rng.below(6) + self.minute % 5).min(9);
        let elements = if self.rng.below(LARGE_INTERVAL) == 0 { 8000 } else { self.rng.below(2 << magnitude) };
        let array = self.world.alloc_array(self.numbers, elements as u32).unwrap();
        let bytes = self.world.bytes_of(array);
        if bytes > 8 {
            self.world.write(array, bytes - 8, bytes);
        }
        array
    }
}

impl Sample {
    /// Blocks in use per live byte.
    pub fn ratio(&self) -> f64 {
        self.used_bytes as f64 / self.live_bytes as f64
    }
}
