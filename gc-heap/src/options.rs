//! Every knob of a heap in one place.
//!
//! [`HeapOptions`] is what embedders choose. [`Tuning`] holds the numbers behind the policies; the defaults
//! are documented here and nowhere else, and tests shrink them to reach rare paths with small heaps.
//!
//! **Pacing.** A major collection is due when the bytes handed out since the last one exceed the *budget*
//! `max(min_budget_bytes, live * growth_percent / 100, initial_bytes - live)`, or when no memory is left. With
//! `generational` only what survives minor collections counts for that, in bytes of objects or in blocks that they keep
//! in use, whichever is more; and a minor collection is due whenever a *nursery* was handed out. Blocks count because a
//! few survivors on each line keep a whole nursery in use, which only a major collection gives back: big_heap (23 MiB
//! live) kept up to 274 MiB resident before they did, and 136 MiB since, and its calls took 356 and 296 ms.
//!
//! **Early major collections.** Where little lives, a major collection takes some tenths of a millisecond, and small holes
//! between survivors that have died since cost more: each is a slow path of allocation, and memory far apart. So with
//! `generational` one is also due when blocks have grown by `max(min_early_budget_bytes, live)`, if
//! `early_growth_fraction` times the growth and `early_live_fraction` times what lived were allocated since the last: most
//! has died, and marking is cheap beside the program's work. A program that builds something large has none before the
//! budget ends. script with nurseries of 4 MiB took 345 ms and 61 MiB without, 313 ms and 14 MiB with them.
//!
//! **Nursery.** It begins small, so that the program's memory stays in the cache. It grows where that lets more die: it is
//! `nursery_survivors` times as large as what survived the last one, at least half and at most twice as large as that; at
//! least `min_nursery_bytes`, and `mutator_nursery_bytes` more for each further thread, because all must be stopped; at
//! most `max(nursery_bytes, live * nursery_percent / 100)`. (`docs/gc.md` has times by size of the nursery.)
//!
//! A program that *builds* something keeps nearly all that it allocates, whatever the nursery's size. As long as of 32 bytes
//! 31 survive a nursery of one thread, and before anything is known, it is `building_nursery_bytes`: what survives is marked
//! while it is in the cache, in a short pause. With 2 MiB, list_sort had two of 2.3 to 3.1 ms, 12 with a median of 0.24 ms
//! since, which take as long in all. Calls of binary_trees took 281 and 244 ms, of big_heap 284 and 213 ms, share 13.9 and
//! 14.7 %; hashmap: share 10.7 and 12.0 % (three processes with three calls, in turns).
//!
//! The maximum grows with what lives because programs that build something large keep nearly all they allocate:
//! each minor collection then costs as much as it can, and is the cheaper the more has died before it. The
//! collector's share of all cycles, measured with nurseries of 32 and of 64 MiB: binary_trees 4.5 and 2.7 %, hashmap
//! 12 and 8 %, big_heap (23 MiB live) 22 and 12 %.
//!
//! Both stay within the *room* that the limits leave above the live bytes: the budget takes three quarters of it, a
//! nursery one (at least [`MIN_NURSERY_BYTES`]). So a heap near its maximum is collected as a whole in time, rather
//! than by ever smaller nurseries until no memory is left. The *soft limit* leaves at least `soft_growth_percent` percent of
//! the live bytes; it may change at any time, and a heap that is above it then is collected as a whole next time.
//!
//! **Pauses.** A minor collection takes as long as what survives it needs. So the next nursery is no larger than that
//! `minor_survivor_bytes` would survive it if the share of survivors stayed what it was, but for `min_nursery_bytes`.
//! With 4, 3 and 2 MiB (EPYC, Zen 5, 2 cores, 4 processes with 3 calls, in turns): hashmap 99th percentile 5.6, 5.4 and 4.4
//! ms, share of run time 13.3, 13.8 and 14.8 %; binary_trees 0.9, 2.4 and 1.2 ms, 9.5, 18.5 and 17.4 %.
//!
//! It also visits each card that the program has dirtied, which takes some tens of nanoseconds. So a nursery ends early
//! when more than `max(max_dirty_cards, handed out / dirty_card_bytes)` have become dirty since the last collection. A
//! sample of the cards tells, every `card_check_bytes`, and more often when one card for each object would soon be too
//! many. hashmap overwrites values all over its table: without that it dirtied up to 93,000 for each nursery. With limits
//! of 44, 36 and 28 Ki cards the 99th percentile of its pauses is 2.9, 2.2 and 1.9 ms, and its share 12.5 % (ten
//! processes, in turns); in minutes when the host was busy and no helper came, it was 4.4 ms with the first and 3.2 with
//! the second. big_heap allocates 130 bytes for each card that it dirties: there short nurseries would cost much time,
//! since the longer one is, the more often is the same card dirtied.
//!
//! Who sets a *minor pause* gets shorter ones at the price of time: a minor collection that has marked for so long stops
//! early (`collectors/cycle.rs`) and goes on when `max(min_step_bytes, marked / 2)` further bytes were handed out, where
//! `marked` is what it marked. When two nurseries were handed out before one has finished, it finishes however long it
//! takes, and so does every one while a limit keeps nurseries small. The longer the steps, the less often is a card
//! visited that the program dirties all the time; the shorter, the sooner a collection finishes. With 5 ms, hashmap's
//! 99th percentile is 5.6 ms and its calls take 1.03 times as long, but those of big_heap 1.30 times.
//!
//! With full collections only, the work of a collection is proportional to what lives, so a budget
//! proportional to it keeps the collector's share of the run time constant. The smallest budget is a compromise
//! for heaps of some MiB: big_heap (23 MiB live) spent 17.8 % of its run time in the collector with 48 MiB and 14.7 % with
//! 80, two major collections in three calls instead of four, and 140 and 172 MiB of memory. With 96 instead of 80 MiB,
//! three processes of four calls in turns, it was 10.2 to 13.4 instead of 9.7 to 16.1 %, in 164 MiB, and that of
//! binary_trees 9.9 instead of 13.0 %, in 153 instead of 123 MiB. Where little lives, early collections keep a heap
//! smaller than that.
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
//! much as it takes. `reserve_percent` percent of the maximum are kept for the copies until a collection of the whole
//! heap has found nothing else; then objects get them, too.
//!
//! **Giving memory back.** After a collection free blocks worth one budget stay, since the program will need
//! them before the next collection; what is beyond that goes back to the system once it exceeds
//! `release_slack_bytes`, or makes the heap larger than the soft limit, highest addresses first.

use crate::block::BLOCK_BYTES;
use dolmen_abi::collector::{Collector, MAX_ALLOC_LIMIT};
use dolmen_abi::reference::{MAX_HEAP_BYTES, REF_UNIT_BYTES};
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::OnceLock;
use std::thread;
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
    /// Time that a minor collection marks before it stops early, to go on later; none for as long as it takes.
    pub minor_pause: Option<Duration>,
    /// Threads that mark a heap at most; none for as many as the machine has cores. One marks without atomic operations.
    pub threads: Option<NonZeroU32>,
    /// Collect before every n-th allocation. If the number of threads is set, all of them take part each time.
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
    /// Bytes handed out between minor collections at most, or `nursery_percent` percent of the live bytes if that is more.
    pub nursery_bytes: u64,
    /// See `nursery_bytes`.
    pub nursery_percent: u64,
    /// Bytes handed out between minor collections, by those that survived the last one.
    pub nursery_survivors: u64,
    /// Bytes that should survive a minor collection, at most.
    pub minor_survivor_bytes: u64,
    /// Cards that a program may dirty before a minor collection is due,
    pub max_dirty_cards: u64,
    /// or one for each so many bytes handed out, if those are more.
    pub dirty_card_bytes: u64,
    /// Bytes handed out between two looks at the cards, at most.
    pub card_check_bytes: u64,
    /// Bytes handed out between minor collections, at least.
    pub min_nursery_bytes: u64,
    /// Bytes handed out before the first minor collection, and between those that find nearly everything alive.
    pub building_nursery_bytes: u64,
    /// So much more for each thread that allocates but the first.
    pub mutator_nursery_bytes: u64,
    /// Objects that a minor collection scans between two looks at the clock; it never stops before.
    pub pause_check_objects: u32,
    /// Bytes handed out between parts of a minor collection, at least.
    pub min_step_bytes: u64,
    /// Smallest budget in bytes.
    pub min_budget_bytes: u64,
    /// Budget in percent of the live bytes.
    pub growth_percent: u64,
    /// Growth in blocks after which a major collection is due if it is cheap, at least; it is so much as lives if that is
    /// more.
    pub min_early_budget_bytes: u64,
    /// It is cheap when as many times the growth was allocated since the last one,
    pub early_growth_fraction: u64,
    /// and as many times what lived then.
    pub early_live_fraction: u64,
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
    /// Part of the maximum that is kept for copies, in percent; whole blocks, rounded up.
    pub reserve_percent: u64,
    /// Free memory beyond the budget that a collection leaves alone.
    pub release_slack_bytes: u64,
    /// Entries that the mark stack may have; beyond that marked objects are found again by a scan of their
    /// blocks. Four bytes each.
    pub mark_stack_entries: usize,
    /// Objects that one thread marks in a collection before it calls for others.
    pub parallel_from_objects: u32,
    /// Collections wait for all threads before they mark in parallel, and always do; for tests.
    pub await_helpers: bool,
    /// Blocks in the list of those with dirty cards; 32 bytes each. One thread alone visits what does not fit.
    pub remembered_blocks: usize,
    /// Under stress the verifier passes over one collection for each so many objects of its last walk: below that
    /// number every collection is verified, above the verifier costs a constant per collection.
    pub verify_skip_objects: u64,
    /// Requests to the operating system for memory that are refused; for tests.
    pub refused: Refused,
    /// No thread that helps can be started; for tests.
    pub refuse_helpers: bool,
}

/// Numbers of requests, from 1: those at least `from` and below `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    pub from: u64,
    pub to: u64,
}

impl Refused {
    pub const NONE: Self = Self { from: 0, to: 0 };
}

/// Default of [`HeapOptions::max_bytes`].
pub const DEFAULT_MAX_BYTES: u64 = 4 << 30;

/// However little memory is left, so much is handed out between minor collections.
pub const MIN_NURSERY_BYTES: u64 = 256 << 10;

/// Upper bound of [`HeapOptions::max_bytes`]: what references reach, less the first block, which null makes
/// unusable, and the last, so that no allocation cursor wraps.
pub const LARGEST_MAX_BYTES: u64 = MAX_HEAP_BYTES - 2 * BLOCK_BYTES as u64;

const _: () = assert!(BLOCK_BYTES as u64 + LARGEST_MAX_BYTES <= MAX_ALLOC_LIMIT as u64 * REF_UNIT_BYTES as u64);

/// Most threads that mark a heap unless the embedder asks for more.
const MAX_DEFAULT_THREADS: u32 = 16;

impl HeapOptions {
    /// Threads that mark a heap at most.
    pub(crate) fn threads(&self) -> u32 {
        static CORES: OnceLock<u32> = OnceLock::new();
        let cores = || thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
        self.threads.map_or_else(|| *CORES.get_or_init(|| cores().min(MAX_DEFAULT_THREADS)), NonZeroU32::get)
    }

    /// Whether all threads take part in each collection.
    pub(crate) fn awaits_helpers(&self) -> bool {
        self.tuning.await_helpers || (self.stress.is_some() && self.threads.is_some())
    }
}

impl Default for HeapOptions {
    fn default() -> Self {
        Self {
            collector: Collector::DEFAULT,
            initial_bytes: 0,
            max_bytes: DEFAULT_MAX_BYTES,
            soft_max_bytes: u64::MAX,
            minor_pause: None,
            threads: None,
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
            nursery_survivors: 32,
            minor_survivor_bytes: 4 << 20,
            max_dirty_cards: 28 << 10,
            dirty_card_bytes: 64,
            card_check_bytes: 256 << 10,
            min_nursery_bytes: 2 << 20,
            building_nursery_bytes: 768 << 10,
            mutator_nursery_bytes: 30 << 20,
            pause_check_objects: 256,
            min_step_bytes: 8 << 20,
            min_budget_bytes: 96 << 20,
            growth_percent: 100,
            min_early_budget_bytes: 2 << 20,
            early_growth_fraction: 4,
            early_live_fraction: 128,
            soft_growth_percent: 20,
            starved_fraction: 64,
            starved_collections: 3,
            evacuate_from_percent: 40,
            evacuate_slack_bytes: 64 << 10,
            evacuate_to_percent: 20,
            evacuate_copy_percent: 50,
            evacuate_copy_bytes: 64 << 20,
            reserve_percent: 3,
            release_slack_bytes: 16 << 20,
            mark_stack_entries: 4 << 20,
            parallel_from_objects: 64 << 10,
            await_helpers: false,
            remembered_blocks: 128 << 10,
            verify_skip_objects: 1024,
            refused: Refused::NONE,
            refuse_helpers: false,
        }
    }
}
