//! Tracing: from the roots to everything reachable.
//!
//! An object is marked when the first reference to it is seen, and scanned once after that: its lines are marked
//! over its exact size and the objects it refers to are visited.
//!
//! | module | what |
//! |---|---|
//! | this one | a trace from begin to end, by the thread that collects |
//! | [`marker`], [`hot`] | one thread that marks: its stack, and the inner loop |
//! | [`remembered`], [`card`] | the list of dirty cards, and what they hold |
//! | [`team`] | how threads share a trace |
//! | [`crew`], [`assistant`] | where they come from |
//!
//! **Speed.** Whether a reference is null, an `i31`, or marked already cannot be predicted, so `visit` has no
//! branch: what is no object is turned into word 0, whose mark bit is always set, and the stack pointer moves by
//! the bit found. The loads of several visits then overlap. A short queue behind the stack gives the header of an
//! object time to arrive in the cache. The loop's variables live in registers.
//!
//! **Several threads.** A trace begins with the thread that collects, which marks as if it was the only one. When it has
//! marked `parallel_from_objects` objects, or there are many dirty cards, it opens a session of the heap's team and
//! calls for helpers, unless a stopped mutator stands by. From then on mark bits are set by atomic operations, so each object is scanned by the one
//! thread that found its bit clear. Each thread has a stack of its own; whoever has plenty gives some of the oldest of it to whoever
//! has nothing, and halves what is left of its arrays. The roots are visited by the thread that collects.
//!
//! **Memory is bounded.** Arrays are scanned chunk by chunk, so their elements do not flood the stack. When the
//! stack cannot grow, an object stays marked and its block is noted; once all stacks are empty, all marked objects of
//! noted blocks are scanned again. Each such round marks at least one object more, so the rounds end even if the
//! stack has no memory at all. Scanning an object twice is harmless but for the count of live bytes, which is then
//! made anew from the marks.
//!
//! **Time is bounded** if a [`Limit`] says so: when it is late, whatever is marked but not scanned is counted, its lines
//! are marked and the cards of its references dirtied, so that the next minor collection visits them. Such a trace has
//! one thread.
//!
//! Invariants: all mutators are stopped and their buffers retired. A trace ends at what is marked when it starts:
//! immortal objects, and the old ones in a minor collection, in which those that may refer to young objects are
//! scanned beforehand ([`remembered`]). Lines of what is not marked are not marked either.

#![allow(unsafe_code, reason = "helpers get at the trace by its address")]

mod assistant;
mod card;
mod crew;
mod hot;
mod marker;
pub mod prefetch;
mod remembered;
mod stack;
mod sync;
mod team;

pub use assistant::Assistant;
pub use crew::of as crew_of;
pub use remembered::Remembered;
pub use stack::MarkStack;
pub use sync::spin;

use crate::barrier::CardTable;
use crate::block::{Block, BlockState, BlockTable};
use crate::interface::to_runtime::TypeTable;
use crate::options::HeapOptions;
use crate::space::Space;
use crew::Crew;
use dolmen_abi::object::TYPE_WORD_OFFSET;
use marker::{CHUNK_ELEMENTS, Elements, Marker};
use remembered::Dirty;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The threads that may mark a heap.
pub type MarkTeam = team::Team<Job, Parcel>;

/// What a dirty card is counted as, in objects.
const CARD_OBJECTS: u32 = 32;

/// Waits for helpers that were called, where they are awaited, and how long one is.
const AWAIT_TIMES: u32 = 1000;
const AWAIT_TIME: Duration = Duration::from_micros(50);

/// What all threads that work on a trace know and count together.
pub struct Trace<'a> {
    space: &'a Space,
    types: &'a dyn TypeTable,
    team: &'a Arc<MarkTeam>,
    crew: &'static Crew,
    /// What may be left to mark is where [`young`](crate::space::young) says.
    is_minor: bool,
    remembered: Remembered,
    /// Entries of a mark stack at most.
    stack_entries: usize,
    /// Objects that one thread marks alone before others may take part.
    alone_objects: u32,
    /// Bytes of the objects scanned.
    live_bytes: AtomicU64,
    /// A block was noted for a rescan since this was last cleared.
    has_lost: AtomicBool,
    ever_lost: AtomicBool,
}

/// A collection's walk over the heap, by the thread that collects.
pub struct Tracer<'a> {
    trace: &'a Trace<'a>,
    marker: Marker<'a>,
    session: Option<Session<'a>>,
    marked_bytes: u64,
}

/// The end of the time for a trace.
#[derive(Clone, Copy)]
pub struct Limit<'a> {
    pub deadline: Instant,
    /// Objects scanned between two looks at the clock.
    pub check_objects: u32,
    pub cards: &'a CardTable,
}

/// What a trace has found.
pub struct Traced {
    /// Bytes of all marked objects but immortal ones.
    pub marked_bytes: u64,
    /// Nothing reachable is left unmarked.
    pub is_finished: bool,
}

/// The trace that a team works on.
#[derive(Clone, Copy)]
pub struct Job(*const Trace<'static>);

/// Work that a thread gives to another: marked objects that were not scanned, or elements of an array.
pub enum Parcel {
    Objects(Vec<u32>),
    Elements(Elements),
}

/// An open session of the team; the drop closes it.
struct Session<'a>(&'a MarkTeam);

// SAFETY: a trace is shared by threads (`Job::new` asks for `Sync`), and a job is nothing but its address.
unsafe impl Send for Job {}

impl Job {
    fn new<'a>(trace: &Trace<'a>) -> Self
    where
        Trace<'a>: Sync,
    {
        Self(std::ptr::from_ref(trace).cast())
    }

    /// The trace.
    ///
    /// # Safety
    ///
    /// The session must be open, and the trace must not be used after that.
    unsafe fn trace<'a>(self) -> &'a Trace<'a> {
        // SAFETY: the trace lives until its session is closed, and the caller uses it no longer.
        unsafe { &*self.0.cast() }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The team of a heap with these options.
pub fn team_of(options: &HeapOptions) -> Arc<MarkTeam> {
    Arc::new(MarkTeam::new(options.threads().saturating_sub(1), options.awaits_helpers()))
}

impl<'a> Trace<'a> {
    /// A trace over a space; a minor one with what old objects may remember.
    pub fn new(
        space: &'a Space,
        types: &'a dyn TypeTable,
        team: &'a Arc<MarkTeam>,
        remembered: Option<Remembered>,
        options: &HeapOptions,
    ) -> Self {
        Self {
            space,
            types,
            team,
            crew: crew::of(options),
            is_minor: remembered.is_some(),
            remembered: remembered.unwrap_or_default(),
            stack_entries: options.tuning.mark_stack_entries,
            alone_objects: if options.awaits_helpers() { 0 } else { options.tuning.parallel_from_objects },
            live_bytes: AtomicU64::new(0),
            has_lost: AtomicBool::new(false),
            ever_lost: AtomicBool::new(false),
        }
    }

    /// Blocks with dirty cards that no thread has taken yet.
    fn next_dirty(&self) -> Option<&[Dirty]> {
        self.remembered.next()
    }

    /// Notes that a marked object will not be scanned for lack of memory.
    fn lose(&self, unit: u32) {
        self.space.blocks.request_rescan(Block::of_unit(unit));
        // Both are read when all threads have run out of work, which orders them.
        self.has_lost.store(true, Ordering::Relaxed);
        self.ever_lost.store(true, Ordering::Relaxed);
    }
}

impl<'a> Tracer<'a> {
    /// A tracer over a space in which the mortal marked objects are of `marked_bytes` bytes.
    pub fn new(trace: &'a Trace<'a>, stack: &'a mut MarkStack, marked_bytes: u64, limit: Option<Limit<'a>>) -> Self {
        let mut tracer = Self { trace, marker: Marker::new(trace, stack), session: None, marked_bytes };
        if let Some(limit) = limit {
            tracer.marker.set_limit(limit);
        }
        tracer
    }

    /// Visits what old objects in dirty cards refer to, as many as there is time for.
    pub fn visit_remembered(&mut self, cards: &CardTable) {
        self.visit_unlisted(cards);
        let objects = self.trace.remembered.cards().saturating_mul(CARD_OBJECTS);
        if objects >= self.trace.alone_objects && self.may_open() {
            self.open();
        }
        while self.session.is_none() && !self.marker.check_clock() {
            let Some(dirty) = self.trace.next_dirty() else { return };
            self.marker.visit_dirty::<false>(dirty);
            self.drain_if_long();
        }
        if self.session.is_some() {
            self.marker.visit_remembered();
        } else {
            self.trace.remembered.put_back(cards);
        }
    }

    /// Marks what these words refer to.
    pub fn visit_words(&mut self, words: &[u32]) {
        for chunk in words.chunks(CHUNK_ELEMENTS as usize) {
            self.drain_if_long();
            if self.session.is_some() {
                self.marker.visit_chunk::<true>(chunk.as_ptr(), chunk.len() as u32);
            } else {
                self.marker.visit_chunk::<false>(chunk.as_ptr(), chunk.len() as u32);
            }
        }
    }

    /// Marks everything reachable from what was visited, if there is time.
    pub fn finish(mut self) -> Traced {
        self.drain();
        let is_finished = !self.marker.is_late;
        // What was lost is in no card.
        (self.marker.limit, self.marker.is_late) = (None, false);
        self.finish_others();
        // All other threads are out of work, which orders what they wrote before this.
        while self.trace.has_lost.swap(false, Ordering::Relaxed) {
            self.rescan();
            self.finish_others();
        }
        drop(self.session.take());
        self.marker.count_live_bytes();
        self.marker.shrink();
        // As above.
        let marked_bytes = if self.trace.ever_lost.load(Ordering::Relaxed) {
            self.count_live_bytes()
        } else {
            self.marked_bytes + self.trace.live_bytes.load(Ordering::Relaxed)
        };
        Traced { marked_bytes, is_finished }
    }

    /// Visits the dirty cards for which the list had no room, before others may mark.
    fn visit_unlisted(&mut self, cards: &CardTable) {
        let Some(from) = self.trace.remembered.unlisted() else { return };
        let mut blocks = remembered::DirtyBlocks::new(cards, self.trace.space, from);
        while !self.marker.check_clock() {
            let Some(dirty) = blocks.next() else { return };
            self.marker.visit_dirty::<false>(&[dirty]);
        }
    }

    fn may_open(&self) -> bool {
        self.session.is_none() && self.marker.limit.is_none() && self.trace.team.places() > 0
    }

    /// Lets others take part.
    fn open(&mut self) {
        let Trace { team, crew, .. } = self.trace;
        team.open(Job::new(self.trace));
        self.session = Some(Session(team));
        self.marker.begin_to_share();
        if !team.has_assistants() {
            crew.call(team);
        }
        if team.is_patient() {
            (0..team.places()).for_each(|_| crew.call(team));
            let is_complete = |_: &u32| team.helpers() == team.places();
            let _ = (0..AWAIT_TIMES).inspect(|_| std::thread::sleep(AWAIT_TIME)).find(is_complete);
        }
    }

    fn drain_if_long(&mut self) {
        if self.marker.is_long() {
            self.drain();
        }
    }

    fn drain(&mut self) {
        if self.session.is_none() {
            self.marker.drain::<false>();
            if !self.marker.is_enough {
                return;
            }
            self.open();
        }
        self.marker.drain::<true>();
    }

    /// Takes part until no thread has work left.
    fn finish_others(&mut self) {
        if self.session.is_none() {
            return;
        }
        while let Some(parcel) = self.trace.team.take() {
            self.marker.adopt(parcel);
            self.marker.drain::<true>();
        }
    }

    /// Scans the marked objects of noted blocks again.
    fn rescan(&mut self) {
        let blocks: &BlockTable = &self.trace.space.blocks;
        for block in blocks.iter().filter(|&block| blocks.take_rescan(block)) {
            if self.session.is_some() {
                self.marker.rescan::<true>(block);
            } else {
                self.marker.rescan::<false>(block);
            }
            self.drain();
        }
    }

    fn count_live_bytes(&self) -> u64 {
        let Trace { space, .. } = self.trace;
        let mortal = space.blocks.iter().filter(|&b| space.blocks.state(b) != BlockState::Immortal);
        let hot = &self.marker.hot;
        let bytes = |unit| u64::from(hot.bytes_of(unit, hot.read_u32(unit, TYPE_WORD_OFFSET)));
        mortal.flat_map(|b| space.marks.iter_block(b)).map(bytes).sum()
    }
}
