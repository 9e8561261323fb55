//! Every knob of a heap in one place.
//!
//! [`HeapOptions`] is what embedders choose. [`Tuning`] holds the numbers behind the policies; the defaults
//! are documented here and nowhere else, and tests shrink them to reach rare paths with small heaps.
//!
//! **Pacing.** A major collection is due when the bytes handed out since the last one exceed the *budget*
//! `max(min_budget_bytes, live * growth_percent / 100, initial_bytes - live)`, or when no memory is left. With
//! `generational` only what survives minor collections counts for that, and a minor collection is due whenever a
//! *nursery* of `max(nursery_bytes, live * nursery_percent / 100)` bytes was handed out.
//!
//! The nursery grows with what lives because programs that build something large keep nearly all they allocate:
//! each minor collection then costs as much as it can, and is the cheaper the more has died before it. The
//! collector's share of all cycles, measured with nurseries of 32 and of 64 MiB: binary_trees 4.5 and 2.7 %, hashmap
//! 12 and 8 %, big_heap (about 100 MiB live) 22 and 12 %.
//!
//! Both stay within the *room* that the limits leave above the live bytes: the budget takes three quarters of it, a
//! nursery one (at least [`MIN_NURSERY_BYTES`]). So a heap near its maximum is collected as a whole in time, rather
//! than by ever smaller nurseries until no memory is left. The *soft limit* leaves at least `soft_growth_percent` percent of
//! the live bytes.
//!
//! **Pauses.** How much survives a minor collection is not known before. So one that has marked for `minor_pause` stops
//! early (`collectors/cycle.rs`) and goes on when `max(min_step_bytes, marked / 2)` further bytes were handed
//! out, where `marked` is what it marked. When two nurseries were handed out before one has finished, it finishes
//! however long it takes, and so does every one while a limit keeps nurseries small. The longer the steps, the less often is a card visited that the program dirties all the time;
//! the shorter, the sooner a collection finishes. Share of run time in pauses, their 90th percentile and the longest,
//! without parts and with steps of 2, 4 and 8 MiB and an end after three nurseries, on a busy machine: binary_trees 5 % 1.7 and 6.3 ms; 5 % 2.0 and
//! 4.1; 5 % 1.6 and 4.5; 7 % 2.0 and 4.3; hashmap 11 % 30.5 and 30.5; 19 % 4.4 and 17.0; 15 % 4.2 and 28.1; 10 % 2.7
//! and 29.5; big_heap 12 % 20.2 and 20.2; 24 % 5.8 and 49.2; 18 % 6.8 and 34.1; 16 % 19.9 and 32.0. Smaller nurseries
//! (4 MiB) promote what soon dies: binary_trees 20 % in pauses.
//!
//! With full collections only, the work of a collection is proportional to what lives, so a budget
//! proportional to it keeps the collector's share of the run time constant. The smallest budget is a compromise
//! for small heaps: the workload binary_trees 18 (15 MiB live) took 2.40e9 user cycles with 32 MiB, 2.05e9 with
//! 64 MiB, 1.84e9 with 128 MiB (means of two runs), and 56, 75 and 145 MB of memory.
//!
//! **Giving up.** A heap that is nearly full of live objects would collect for every few allocations. When
//! `starved_collections` collections in a row were caused by exhaustion and each left less than one part in
//! `starved_fraction` of the maximum free, the allocation is out of memory even if a hole could be found.
//!
//! **Compaction.** After a major collection whose blocks that objects share have more than `evacuate_from_percent`
//! percent (and `evacuate_slack_bytes`) more bytes than the objects in them, the sparsest of these blocks are emptied
//! (`evacuate` tells how) until the excess is `evacuate_to_percent` percent. One collection copies at most
//! `evacuate_copy_percent` percent of the live bytes, or `evacuate_copy_bytes` if that is more. A collection because no
//! memory is left, or that leaves more blocks in use than the soft limit, begins at `evacuate_to_percent`, and copies as
//! much as it takes.
//!
//! **Giving memory back.** After a collection free blocks worth one budget stay, since the program will need
//! them before the next collection; what is beyond that goes back to the system once it exceeds
//! `release_slack_bytes`, or makes the heap larger than the soft limit, highest addresses first.

use crate::block::BLOCK_BYTES;
use dolmen_abi::collector::{Collector, MAX_ALLOC_LIMIT};
use dolmen_abi::reference::{MAX_HEAP_BYTES, REF_UNIT_BYTES};
use std::num::NonZeroU64;
use std::time::Duration;

/// What an embedder chooses.
#[derive(Clone, Copy, Debug)]
pub struct HeapOptions {
    pub collector: Collector,
    /// Heap size up to which no collection happens.
    pub initial_bytes: u64,
    /// Size of the heap region: objects beyond it are out of memory. Rounded up to whole blocks; at most
    /// [`LARGEST_MAX_BYTES`].
    pub max_bytes: u64,
    /// Size above which the heap is collected earlier and compacted rather than to grow; it still does if the live
    /// objects need more.
    pub soft_max_bytes: u64,
    /// Collect before every n-th allocation.
    pub stress: Option<NonZeroU64>,
    /// Run the verifier around each collection, and fill freed memory with a pattern. With `stress` as well, a walk
    /// over many objects is made up for by collections without one ([`Tuning::verify_skip_objects`]).
    pub verify: bool,
    /// Report each collection to [`Runtime::log_collection`](crate::Runtime::log_collection).
    pub log: bool,
    pub tuning: Tuning,
}

/// The numbers behind the policies.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Bytes handed out between minor collections, at least.
    pub nursery_bytes: u64,
    /// Bytes handed out between minor collections, in percent of the live bytes.
    pub nursery_percent: u64,
    /// Time that a minor collection marks before it stops early.
    pub minor_pause: Duration,
    /// Objects that a minor collection scans between two looks at the clock; it never stops before.
    pub pause_check_objects: u32,
    /// Bytes handed out between parts of a minor collection, at least.
    pub min_step_bytes: u64,
    /// Smallest budget in bytes.
    pub min_budget_bytes: u64,
    /// Budget in percent of the live bytes.
    pub growth_percent: u64,
    /// Growth above the soft limit, in percent of the live bytes.
    pub soft_growth_percent: u64,
    /// See "giving up" in the module's documentation.
    pub starved_fraction: u64,
    /// See "giving up" in the module's documentation.
    pub starved_collections: u32,
    /// See "compaction" in the module's documentation.
    pub evacuate_from_percent: u64,
    /// See "compaction" in the module's documentation.
    pub evacuate_slack_bytes: u64,
    /// See "compaction" in the module's documentation.
    pub evacuate_to_percent: u64,
    /// See "compaction" in the module's documentation.
    pub evacuate_copy_percent: u64,
    /// See "compaction" in the module's documentation.
    pub evacuate_copy_bytes: u64,
    /// Free memory beyond the budget that a collection leaves alone.
    pub release_slack_bytes: u64,
    /// Entries that the mark stack may have; beyond that marked objects are found again by a scan of their
    /// blocks. Four bytes each.
    pub mark_stack_entries: usize,
    /// Under stress the verifier passes over one collection for each so many objects of its last walk: below that
    /// number every collection is verified, above the verifier costs a constant per collection.
    pub verify_skip_objects: u64,
    /// Number of the request to the operating system from which on all are refused; for tests.
    pub refuse_system_from: Option<u64>,
}

/// Default of [`HeapOptions::initial_bytes`].
pub const DEFAULT_INITIAL_BYTES: u64 = 48 << 20;

/// Default of [`HeapOptions::max_bytes`].
pub const DEFAULT_MAX_BYTES: u64 = 4 << 30;

/// However little memory is left, so much is handed out between minor collections.
pub const MIN_NURSERY_BYTES: u64 = 256 << 10;

/// Upper bound of [`HeapOptions::max_bytes`]: what references reach, less the first block, which null makes
/// unusable, and the last, so that no allocation cursor wraps.
pub const LARGEST_MAX_BYTES: u64 = MAX_HEAP_BYTES - 2 * BLOCK_BYTES as u64;

const _: () = assert!(BLOCK_BYTES as u64 + LARGEST_MAX_BYTES <= MAX_ALLOC_LIMIT as u64 * REF_UNIT_BYTES as u64);

impl Default for HeapOptions {
    fn default() -> Self {
        Self {
            collector: Collector::DEFAULT,
            initial_bytes: DEFAULT_INITIAL_BYTES,
            max_bytes: DEFAULT_MAX_BYTES,
            soft_max_bytes: u64::MAX,
            stress: None,
            verify: false,
            log: false,
            tuning: Tuning::default(),
        }
    }
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            nursery_bytes: 32 << 20,
            nursery_percent: 50,
            minor_pause: Duration::from_micros(2000),
            pause_check_objects: 256,
            min_step_bytes: 8 << 20,
            min_budget_bytes: 48 << 20,
            growth_percent: 100,
            soft_growth_percent: 20,
            starved_fraction: 64,
            starved_collections: 3,
            evacuate_from_percent: 40,
            evacuate_slack_bytes: 64 << 10,
            evacuate_to_percent: 20,
            evacuate_copy_percent: 50,
            evacuate_copy_bytes: 64 << 20,
            release_slack_bytes: 16 << 20,
            mark_stack_entries: 4 << 20,
            verify_skip_objects: 1024,
            refuse_system_from: None,
        }
    }
}
