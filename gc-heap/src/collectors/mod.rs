//! Collectors: when to collect, and how.
//!
//! A collector decides over [`HeapState`]; allocation, tracing, sweeping and verification are shared. To add one:
//! its name in [`dolmen_abi::collector::Collector`], a file here, an arm in [`new`].

pub mod cycle;
#[cfg(test)]
mod example;
mod generational;
mod marksweep;
mod null;

use crate::interface::to_runtime::Runtime;
use crate::options::{HeapOptions, MIN_NURSERY_BYTES};
use crate::state::HeapState;
use crate::stats::Cause;
use crate::verify::VerifyError;
use dolmen_abi::collector::Collector;

/// A collector of a heap.
pub trait Collect: Send {
    /// Whether to collect before `bytes` bytes are taken from the space.
    fn is_due(&mut self, heap: &HeapState, bytes: u64) -> bool;

    /// Bytes that will be handed out before the next collection, as far as that is known; memory is taken for them ahead.
    fn expected_bytes(&self, _heap: &HeapState) -> u64 {
        0
    }

    /// Collects as much as it can.
    ///
    /// # Errors
    ///
    /// What the verifier found, if it is on; the heap must not be used any more.
    fn collect(&mut self, heap: &mut HeapState, runtime: &mut dyn Runtime, cause: Cause) -> Result<(), VerifyError>;

    /// The soft limit has changed: what was planned by the old one may be too late. Collectors that plan nothing ahead
    /// have nothing to do.
    fn soft_limit_changed(&mut self, _heap: &HeapState) {}
}

/// Bytes that may be handed out, or survive minor collections, between two major ones.
fn major_budget_bytes(heap: &HeapState) -> u64 {
    let (options, live_bytes) = (&heap.options, heap.stats.live_bytes);
    let growth = live_bytes.saturating_mul(options.tuning.growth_percent) / 100;
    let initial = options.initial_bytes.saturating_sub(live_bytes);
    // A heap that is nearly full must be exhausted for the allocator to give up.
    let nearly_full = options.max_bytes / options.tuning.starved_fraction.max(1);
    let room = (max_room_bytes(heap) / 4 * 3).max(nearly_full).min(soft_room_bytes(heap) / 4 * 3);
    options.tuning.min_budget_bytes.max(growth).max(initial).min(room.max(MIN_NURSERY_BYTES))
}

/// Bytes that the maximum of the heap leaves.
fn max_room_bytes(heap: &HeapState) -> u64 {
    heap.options.max_bytes.saturating_sub(heap.stats.live_bytes)
}

/// Bytes that the soft limit of the heap leaves, or allows above it.
fn soft_room_bytes(heap: &HeapState) -> u64 {
    let HeapOptions { soft_max_bytes, tuning, .. } = heap.options;
    let live_bytes = heap.stats.live_bytes;
    let growth = live_bytes.saturating_mul(tuning.soft_growth_percent) / 100;
    soft_max_bytes.saturating_sub(live_bytes).max(growth)
}

/// The collector of that name.
pub fn new(collector: Collector) -> Box<dyn Collect> {
    match collector {
        Collector::Generational => Box::<generational::Generational>::default(),
        Collector::MarkSweep => Box::new(marksweep::MarkSweep),
        Collector::Null => Box::new(null::Null),
    }
}
