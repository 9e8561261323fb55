//! One stop-the-world collection, major or minor: what the collectors share.
//!
//! ```text
//! stop ─► retire buffers ─► major: clear marks, clean cards    minor: visit what dirty cards remember
//!      ─► visit roots ─► trace ─► find dead host objects, clear weak handles ─► sweep ─► major: evacuate ─► release
//!      ─► resume ─► drop dead host objects
//! ```
//!
//! A minor collection keeps all marks: old objects count as live, and only objects made since the last collection
//! can be marked or freed. Survivors are old from then on, whether they survived a major or a minor collection.
//!
//! **Minor collections in parts.** How many young objects survive is not known before, and when nearly all do, marking
//! them takes long. So a minor collection may stop when its time is over, if the embedder has set one: what is marked but not scanned gets dirty
//! cards, as if the program had just written to it, and nothing is swept. That is a state like any other between
//! collections, with every reference from a marked object to an unmarked one in a dirty card, but that survivors share
//! lines with fresh objects ([`Space::is_unswept`](crate::space::Space)). The program goes on with new memory, and the
//! next minor collection visits what the cards remember, until one finishes and sweeps all that was handed out since
//! the last that did.

use crate::evacuate::{Moved, evacuate};
use crate::interface::to_runtime::Runtime;
use crate::options::Tuning;
use crate::roots;
use crate::space::{sweep, young};
use crate::state::HeapState;
use crate::stats::{Cause, Collection, Phases, Scope};
use crate::trace::{Limit, Remembered, Trace, Traced, Tracer};
use crate::verify::VerifyError;
use std::time::{Duration, Instant};

/// What the collector that runs a cycle decides.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub scope: Scope,
    pub cause: Cause,
    /// A minor collection may stop early, and the next one goes on.
    pub may_stop_early: bool,
    /// Bytes that the program may be handed before the next major collection, given the bytes that live.
    pub keep_bytes: fn(&HeapState) -> u64,
}

/// Runs a collection and counts it.
///
/// # Errors
///
/// What the verifier found, if it is on.
pub fn run(heap: &mut HeapState, runtime: &mut dyn Runtime, plan: Plan) -> Result<Collection, VerifyError> {
    let start = Instant::now();
    runtime.stop_mutators();
    let stop = start.elapsed();
    let collected = collect_stopped(heap, runtime, plan);
    runtime.resume_mutators();
    let mut collection = collected?;
    collection.phases.stop = stop;
    heap.host_objects.drop_dead(runtime);
    heap.stats.count(&mut collection);
    if heap.options.log {
        runtime.log_collection(&collection);
    }
    Ok(collection)
}

fn collect_stopped(heap: &mut HeapState, runtime: &mut dyn Runtime, plan: Plan) -> Result<Collection, VerifyError> {
    let Plan { scope, cause, .. } = plan;
    let mut phases = Phases::default();
    heap.note_heap_size();
    let allocated_bytes = heap.allocator.handed_out_bytes();
    let before_bytes = heap.swept_bytes + allocated_bytes;
    heap.retire_buffers(runtime);
    let verifies = heap.verify_if_due(runtime)?;

    let Traced { marked_bytes, is_finished } = mark(heap, runtime, plan, &mut phases);
    heap.stats.live_bytes = marked_bytes;
    heap.space.is_unswept = !is_finished;
    let mut moved = Moved::default();
    if is_finished {
        if verifies {
            heap.verifier.check_marks(&heap.space, scope)?;
        }
        moved = free_unmarked(heap, runtime, plan, verifies, &mut phases)?;
        if verifies {
            heap.verifier.check_blocks(&heap.space)?;
        }
    }

    heap.note_heap_size();
    let (live_bytes, heap_bytes) = (heap.stats.live_bytes, heap.stats.heap_bytes);
    Ok(Collection {
        number: 0,
        scope,
        cause,
        is_finished,
        before_bytes,
        allocated_bytes,
        live_bytes,
        heap_bytes,
        moved_bytes: moved.bytes,
        phases,
    })
}

/// Frees what a trace has not marked; after a major collection moves objects out of sparse blocks.
fn free_unmarked(
    heap: &mut HeapState,
    runtime: &mut dyn Runtime,
    plan: Plan,
    verifies: bool,
    phases: &mut Phases,
) -> Result<Moved, VerifyError> {
    let Plan { scope, cause, keep_bytes, .. } = plan;
    let mut clock = Clock::start();
    heap.host_objects.find_dead(&heap.space, scope);
    let marks = &heap.space.marks;
    runtime.clear_weak(&|word| marks.get(word));
    let poison = heap.poisons();
    sweep::sweep(&mut heap.space, scope, poison);
    phases.sweep = clock.lap();
    let mut moved = Moved::default();
    if scope == Scope::Major {
        moved = evacuate(heap, runtime, cause);
        phases.evacuate = clock.lap();
        if verifies && moved.objects > 0 {
            heap.verify(runtime)?;
            heap.verifier.check_marks(&heap.space, scope)?;
            clock = Clock::start();
        }
        let keep = keep_bytes(heap);
        let is_above_limit = heap.space.heap_bytes() > heap.options.soft_max_bytes;
        let slack = if is_above_limit { 0 } else { heap.options.tuning.release_slack_bytes };
        sweep::release(&mut heap.space, keep, slack);
    }
    heap.space.close_reserve();
    heap.allocator.restart();
    heap.swept_bytes = heap.stats.live_bytes;
    phases.release = clock.lap();
    Ok(moved)
}

/// Marks what is reachable, or what is of the young objects, if there is time.
pub fn mark(heap: &mut HeapState, runtime: &mut dyn Runtime, plan: Plan, phases: &mut Phases) -> Traced {
    let scope = plan.scope;
    let Tuning { pause_check_objects: check_objects, .. } = heap.options.tuning;
    let minor_pause = heap.options.minor_pause.filter(|_| scope == Scope::Minor && plan.may_stop_early);
    let HeapState { options, space, cards, types, mark_stack, team, .. } = heap;
    let mut clock = Clock::start();
    let mut marked_bytes = heap.stats.live_bytes;
    if scope == Scope::Major {
        space.clear_marks();
        marked_bytes = 0;
        if let Some(cards) = cards {
            cards.clean(space.blocks.frontier_block());
        }
    }
    let cards = cards.as_ref();
    if scope == Scope::Minor {
        young::fill(space);
    }
    let limit = cards.zip(minor_pause);
    let limit = limit.map(|(cards, pause)| Limit { deadline: clock.last + pause, check_objects, cards });
    let minor_cards = cards.filter(|_| scope == Scope::Minor);
    let remembered = minor_cards.map(|cards| Remembered::take(cards, space, options.tuning.remembered_blocks));
    let trace = Trace::new(space, &**types, team, remembered, options);
    let mut tracer = Tracer::new(&trace, mark_stack, marked_bytes, limit);
    if let Some(cards) = minor_cards {
        tracer.visit_remembered(cards);
    }
    phases.prepare = clock.lap();
    roots::mark_roots(runtime, &mut tracer, cards);
    phases.roots = clock.lap();
    let traced = tracer.finish();
    if scope == Scope::Minor {
        young::clear(space);
    }
    phases.trace = clock.lap();
    traced
}

/// Measures phases that follow each other.
struct Clock {
    last: Instant,
}

impl Clock {
    fn start() -> Self {
        Self { last: Instant::now() }
    }

    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.last, now)
    }
}
