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

use crate::evacuate::{Moved, evacuate};
use crate::interface::to_runtime::Runtime;
use crate::roots;
use crate::space::sweep;
use crate::state::HeapState;
use crate::stats::{Cause, Collection, Phases, Scope};
use crate::trace::Tracer;
use crate::verify::VerifyError;
use std::time::{Duration, Instant};

/// What the collector that runs a cycle decides.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub scope: Scope,
    pub cause: Cause,
    /// Bytes that the program may be handed before the next major collection, given the bytes that live.
    pub keep_bytes: fn(&HeapState) -> u64,
}

/// Runs a collection and counts it.
///
/// # Errors
///
/// What the verifier found, if it is on.
pub fn run(heap: &mut HeapState, runtime: &mut dyn Runtime, plan: Plan) -> Result<(), VerifyError> {
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
    Ok(())
}

fn collect_stopped(heap: &mut HeapState, runtime: &mut dyn Runtime, plan: Plan) -> Result<Collection, VerifyError> {
    let Plan { scope, cause, keep_bytes } = plan;
    let mut phases = Phases::default();
    heap.note_heap_size();
    let allocated_bytes = heap.allocator.handed_out_bytes();
    let before_bytes = heap.stats.live_bytes + allocated_bytes;
    heap.retire_buffers(runtime);
    let verifies = heap.verify_if_due(runtime)?;

    heap.stats.live_bytes = mark(heap, runtime, scope, &mut phases);
    if verifies {
        heap.verifier.check_marks(&heap.space, scope)?;
    }

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
    heap.allocator.restart();
    phases.release = clock.lap();
    if verifies {
        heap.verifier.check_blocks(&heap.space)?;
    }

    heap.note_heap_size();
    let (live_bytes, heap_bytes) = (heap.stats.live_bytes, heap.stats.heap_bytes);
    Ok(Collection {
        number: 0,
        scope,
        cause,
        before_bytes,
        allocated_bytes,
        live_bytes,
        heap_bytes,
        moved_bytes: moved.bytes,
        phases,
    })
}

/// Marks what is reachable, or what is of the young objects; the bytes of all marked objects but the immortal ones.
pub fn mark(heap: &mut HeapState, runtime: &mut dyn Runtime, scope: Scope, phases: &mut Phases) -> u64 {
    let HeapState { space, cards, types, mark_stack, .. } = heap;
    let mut clock = Clock::start();
    let mut marked_bytes = heap.stats.live_bytes;
    if scope == Scope::Major {
        space.clear_marks();
        marked_bytes = 0;
        if let Some(cards) = cards {
            cards.clean(space.blocks.frontier_block());
        }
    }
    let mut tracer = Tracer::new(space, &**types, mark_stack, marked_bytes);
    if let (Scope::Minor, Some(cards)) = (scope, cards.as_mut()) {
        tracer.visit_remembered(cards);
    }
    phases.prepare = clock.lap();
    roots::mark_roots(runtime, &mut tracer, cards.as_ref());
    phases.roots = clock.lap();
    let marked_bytes = tracer.finish();
    phases.trace = clock.lap();
    marked_bytes
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
