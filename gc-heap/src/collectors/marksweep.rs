//! Mark-sweep: every collection is of the whole heap, with the world stopped.
//!
//! ```text
//! stop ─► retire buffers ─► clear marks ─► mark from roots ─► find dead host objects ─► sweep ─► release ─► resume
//! ```
//!
//! The budget between collections grows with what lives ([`crate::options`]); there is no barrier and nothing
//! moves. The other collectors are judged by this one.

use super::Collect;
use crate::interface::to_runtime::Runtime;
use crate::options::HeapOptions;
use crate::space::sweep;
use crate::state::HeapState;
use crate::stats::{Cause, Collection, Scope};
use crate::verify::VerifyError;
use std::time::Instant;

/// Collects the whole heap each time.
pub struct MarkSweep;

impl Collect for MarkSweep {
    fn is_due(&self, heap: &HeapState, bytes: u64) -> bool {
        let used = heap.allocator.handed_out_bytes();
        used > 0 && used + bytes > budget_bytes(&heap.options, heap.stats.live_bytes)
    }

    fn collect(&mut self, heap: &mut HeapState, runtime: &mut dyn Runtime, cause: Cause) -> Result<(), VerifyError> {
        let start = Instant::now();
        runtime.stop_mutators();
        let stopping = start.elapsed();
        let collected = collect_stopped(heap, runtime, cause);
        runtime.resume_mutators();
        let mut collection = collected?;
        collection.pause += stopping;
        heap.host_objects.drop_dead(runtime);
        heap.stats.major += 1;
        collection.number = heap.stats.collections();
        heap.stats.total_pause += collection.pause;
        heap.stats.max_pause = heap.stats.max_pause.max(collection.pause);
        if heap.options.log {
            runtime.log_collection(&collection);
        }
        Ok(())
    }
}

fn collect_stopped(heap: &mut HeapState, runtime: &mut dyn Runtime, cause: Cause) -> Result<Collection, VerifyError> {
    heap.note_heap_size();
    let before_bytes = heap.stats.live_bytes + heap.allocator.handed_out_bytes();
    heap.retire_buffers(runtime);
    let verifies = heap.verify_if_due(runtime)?;

    let start = Instant::now();
    heap.stats.live_bytes = heap.mark(runtime);
    let mark = start.elapsed();
    if verifies {
        heap.verifier.check_marks(&heap.space)?;
    }

    let start = Instant::now();
    heap.host_objects.find_dead(&heap.space);
    let poison = heap.poisons();
    sweep::sweep(&mut heap.space, poison);
    let keep = budget_bytes(&heap.options, heap.stats.live_bytes);
    sweep::release(&mut heap.space, keep, heap.options.tuning.release_slack_bytes);
    heap.allocator.restart();
    let sweep = start.elapsed();
    if verifies {
        heap.verifier.check_blocks(&heap.space)?;
    }

    heap.note_heap_size();
    let (live_bytes, heap_bytes) = (heap.stats.live_bytes, heap.stats.heap_bytes);
    let (number, scope, pause) = (0, Scope::Major, mark + sweep);
    Ok(Collection { number, scope, cause, before_bytes, live_bytes, heap_bytes, pause, mark, sweep })
}

/// Bytes that may be handed out before the next collection.
fn budget_bytes(options: &HeapOptions, live_bytes: u64) -> u64 {
    let growth = live_bytes.saturating_mul(options.tuning.growth_percent) / 100;
    let initial = options.initial_bytes.saturating_sub(live_bytes);
    options.tuning.min_budget_bytes.max(growth).max(initial)
}
