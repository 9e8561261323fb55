//! Keeps records of collections and samples of allocations while the program runs.
//!
//! A collection costs one record. An allocation costs nothing while it is inline; when it is not, because the thread's
//! buffer is used up, the bytes of the next buffer are counted for its type. A program without a recorder pays a test
//! for null on that way, which takes a lock and a refill besides.

use super::GcCollection;
use dolmen_gc_heap::{Collection, Scope};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Records that are kept: beyond them a page would show nothing more. About 200 bytes each.
const MAX_COLLECTIONS: usize = 1 << 18;

/// What was recorded so far.
#[derive(Debug)]
pub(crate) struct Recorder {
    made: Instant,
    pub(super) collections: Vec<GcCollection>,
    pub(super) omitted: u64,
    /// Samples and bytes by type word.
    pub(super) samples: HashMap<u32, (u64, u64)>,
    /// Bytes handed out when the last sample was taken.
    allocated_bytes: u64,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self { made: Instant::now(), collections: Vec::new(), omitted: 0, samples: HashMap::new(), allocated_bytes: 0 }
    }

    /// Time since the store was made.
    pub(crate) fn elapsed(&self) -> Duration {
        self.made.elapsed()
    }

    /// Adds a collection that has just ended.
    pub(crate) fn add(&mut self, collection: &Collection) {
        if self.collections.len() == MAX_COLLECTIONS {
            self.omitted += 1;
            return;
        }
        self.collections.push(GcCollection {
            start: self.elapsed().saturating_sub(collection.phases.total()),
            is_major: collection.scope == Scope::Major,
            cause: collection.cause.name(),
            phases: collection.phases.list().to_vec(),
            before_bytes: collection.before_bytes,
            allocated_bytes: collection.allocated_bytes,
            live_bytes: collection.live_bytes,
            heap_bytes: collection.heap_bytes,
            moved_bytes: collection.moved_bytes,
        });
    }

    /// Counts what was handed out since the last sample, `allocated_bytes` being the sum until now, for a type.
    pub(crate) fn sample(&mut self, type_word: u32, allocated_bytes: u64) {
        let (samples, bytes) = self.samples.entry(type_word).or_default();
        *samples += 1;
        // Retired buffers are given back and counted less.
        *bytes += allocated_bytes.saturating_sub(self.allocated_bytes);
        self.allocated_bytes = allocated_bytes;
    }

    /// What was recorded: collections, those left out, samples.
    pub(crate) fn parts(&self) -> (Vec<GcCollection>, u64, &HashMap<u32, (u64, u64)>) {
        (self.collections.clone(), self.omitted, &self.samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_count_what_was_handed_out_since() {
        let mut recorder = Recorder::new();
        recorder.sample(8, 100);
        recorder.sample(16, 150);
        recorder.sample(8, 1150);
        // A collection retired a buffer.
        recorder.sample(16, 1100);
        assert_eq!(recorder.samples[&8], (2, 1100));
        assert_eq!(recorder.samples[&16], (2, 50));
    }
}
