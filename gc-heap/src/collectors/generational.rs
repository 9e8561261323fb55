//! Generational mark-region collection with sticky mark bits.
//!
//! Most objects die young, so most collections look at young objects only: those without a mark bit. What survives
//! keeps its bit and is old. Old objects that were written to since the last collection are
//! found by their cards ([`crate::barrier`]). A *minor* collection costs time for the survivors among the young, the
//! roots, the dirty cards, and the blocks that memory was handed out from, however large the heap is. A *major*
//! one marks anew, as [`super::marksweep`] does.
//!
//! When to do which is told in [`crate::options`].

use super::cycle::{self, Plan};
use super::{Collect, major_budget_bytes, max_room_bytes, soft_room_bytes};
use crate::interface::to_runtime::Runtime;
use crate::options::{MIN_NURSERY_BYTES, Tuning};
use crate::state::HeapState;
use crate::stats::{Cause, Collection, Scope};
use crate::verify::VerifyError;

/// Under allocation stress one collection in so many is major.
const STRESS_MAJOR_INTERVAL: u64 = 4;

/// A program is building something when no more than one byte in so many died.
const BUILDING_DEAD_FRACTION: u64 = 32;

/// Who builds something will build on: so much of what lives is expected to be handed out soon.
const BUILDING_AHEAD_FRACTION: u64 = 8;

/// A program that dirties a card for each object of so many bytes is looked at again before there are too many, as
/// near as the smallest step lets it.
const CARD_OBJECT_BYTES: u64 = 16;

/// The smallest step between two looks is such a part of the largest.
const CARD_CHECK_FRACTION: u64 = 4;

/// A minor collection in parts ends when so many nurseries were handed out.
const MAX_PART_NURSERIES: u64 = 2;

/// Collects the young objects, and the whole heap when it has grown.
#[derive(Debug, Default)]
pub struct Generational {
    /// When the next collection is major.
    major_at: Option<MajorAt>,
    /// The last collection stopped early: the next part of it is due when so many bytes were handed out since the last
    /// that was finished.
    next_part_at_bytes: Option<u64>,
    /// Bytes to hand out before the next minor collection, by how much survived the last one.
    paced_bytes: Option<u64>,
    dirty_cards: DirtyCards,
}

/// How many cards the program has dirtied since the last collection.
#[derive(Debug, Default)]
struct DirtyCards {
    /// Cards that were dirty when it ended: those of what is on the shadow stack.
    before: u64,
    /// The next look is due when so many bytes were handed out since then.
    next_check_bytes: u64,
}

/// A major collection is due when so much is left after a minor one.
#[derive(Clone, Copy, Debug)]
struct MajorAt {
    live_bytes: u64,
    /// Of blocks.
    used_bytes: u64,
    /// Of blocks, if one now is cheap beside what the program has done since the last.
    early_used_bytes: u64,
    last: LastMajor,
}

/// What the last major collection left.
#[derive(Clone, Copy, Debug)]
struct LastMajor {
    live_bytes: u64,
    /// Of blocks.
    used_bytes: u64,
    /// Bytes of all objects until then.
    allocated_bytes: u64,
}

impl MajorAt {
    fn after_major(heap: &HeapState) -> Self {
        let budget = major_budget_bytes(heap);
        let used_bytes = settled_bytes(heap);
        let room = heap.options.max_bytes.saturating_sub(used_bytes) / 4 * 3;
        let live_bytes = heap.stats.live_bytes;
        let early_budget = heap.options.tuning.min_early_budget_bytes.max(live_bytes);
        let allocated_bytes = heap.allocator.allocated_bytes();
        Self {
            live_bytes: live_bytes + budget,
            used_bytes: used_bytes + budget.min(room),
            early_used_bytes: (used_bytes + early_budget).max(heap.options.initial_bytes),
            last: LastMajor { live_bytes, used_bytes, allocated_bytes },
        }
    }

    fn next(self) -> Self {
        Self { live_bytes: 0, ..self }
    }

    fn earlier(self, other: Self) -> Self {
        Self {
            live_bytes: self.live_bytes.min(other.live_bytes),
            used_bytes: self.used_bytes.min(other.used_bytes),
            ..self
        }
    }

    /// Whether a major collection is due.
    fn is_reached(&self, heap: &HeapState) -> bool {
        let used_bytes = settled_bytes(heap);
        heap.stats.live_bytes >= self.live_bytes
            || used_bytes >= self.used_bytes
            || (used_bytes >= self.early_used_bytes && self.last.is_cheap(heap, used_bytes))
    }
}

impl LastMajor {
    /// Whether marking what lives costs little beside what the program has allocated since, most of which has died.
    fn is_cheap(&self, heap: &HeapState, used_bytes: u64) -> bool {
        let Tuning { early_growth_fraction, early_live_fraction, .. } = heap.options.tuning;
        let grown_bytes = used_bytes.saturating_sub(self.used_bytes);
        let allocated_bytes = heap.allocator.allocated_bytes() - self.allocated_bytes;
        let live_bytes = self.live_bytes.saturating_mul(early_live_fraction);
        allocated_bytes >= grown_bytes.saturating_mul(early_growth_fraction).saturating_add(live_bytes)
    }
}

/// Bytes of the blocks in use but for what was handed out since the last collection.
fn settled_bytes(heap: &HeapState) -> u64 {
    heap.space.used_bytes().saturating_sub(heap.allocator.handed_out_bytes())
}

impl DirtyCards {
    fn after_collection(heap: &HeapState) -> Self {
        Self { before: estimate_dirty_cards(heap), next_check_bytes: heap.options.tuning.card_check_bytes }
    }

    /// Whether so many cards have become dirty that visiting them would take long; looks at them from time to time.
    fn are_many(&mut self, heap: &HeapState) -> bool {
        let used = heap.allocator.handed_out_bytes();
        if used < self.next_check_bytes {
            return false;
        }
        let Tuning { max_dirty_cards, dirty_card_bytes, card_check_bytes, .. } = heap.options.tuning;
        let dirty = estimate_dirty_cards(heap).saturating_sub(self.before);
        let left = max_dirty_cards.max(used / dirty_card_bytes).checked_sub(dirty);
        let step = left.unwrap_or(0) * CARD_OBJECT_BYTES;
        self.next_check_bytes = used + step.clamp(card_check_bytes / CARD_CHECK_FRACTION, card_check_bytes);
        left.is_none()
    }
}

fn estimate_dirty_cards(heap: &HeapState) -> u64 {
    heap.cards.as_ref().map_or(0, |cards| cards.estimate_dirty(heap.space.blocks.frontier_block()))
}

impl Collect for Generational {
    fn is_due(&mut self, heap: &HeapState, bytes: u64) -> bool {
        let used = heap.allocator.handed_out_bytes();
        if used == 0 {
            return false;
        }
        match self.next_part_at_bytes {
            Some(next_part_at_bytes) => used + bytes > next_part_at_bytes,
            None => used + bytes > self.nursery_bytes(heap) || self.dirty_cards.are_many(heap),
        }
    }

    fn expected_bytes(&self, heap: &HeapState) -> u64 {
        if self.paced_bytes == Some(heap.options.tuning.building_nursery_bytes) {
            let live_bytes = heap.stats.live_bytes;
            let until_major = self.major_at.map_or(0, |at| at.live_bytes.saturating_sub(live_bytes));
            return (live_bytes / BUILDING_AHEAD_FRACTION).min(until_major);
        }
        self.nursery_bytes(heap).saturating_sub(heap.allocator.handed_out_bytes())
    }

    fn collect(&mut self, heap: &mut HeapState, runtime: &mut dyn Runtime, cause: Cause) -> Result<(), VerifyError> {
        let scope = self.scope(heap, cause);
        let may_stop_early = matches!(cause, Cause::Budget | Cause::Stress) && !self.must_finish(heap);
        let (marked_before, swept_before) = (heap.stats.live_bytes, heap.swept_bytes);
        let plan = Plan { scope, cause, may_stop_early, keep_bytes: major_budget_bytes };
        let collection = cycle::run(heap, runtime, plan)?;
        self.next_part_at_bytes = (!collection.is_finished).then(|| {
            let marked = collection.live_bytes.saturating_sub(marked_before);
            let step = (marked / 2).max(heap.options.tuning.min_step_bytes);
            collection.allocated_bytes + step.min(nursery_bytes(heap))
        });
        if scope == Scope::Minor && collection.is_finished {
            self.pace(heap, &collection, collection.live_bytes.saturating_sub(swept_before));
        }
        self.dirty_cards = DirtyCards::after_collection(heap);
        if scope == Scope::Major {
            self.major_at = Some(MajorAt::after_major(heap));
        }
        Ok(())
    }

    /// A heap above the limit is collected as a whole next time; one below it keeps its plan, unless a major collection
    /// now would lead to an earlier one.
    fn soft_limit_changed(&mut self, heap: &HeapState) {
        let is_above = heap.space.heap_bytes() > heap.options.soft_max_bytes;
        let now = MajorAt::after_major(heap);
        let planned = self.major_at.map(|planned| planned.earlier(now));
        self.major_at = if is_above { Some(planned.unwrap_or(now).next()) } else { planned };
    }
}

impl Generational {
    /// Bytes that may be handed out before the next minor collection.
    fn nursery_bytes(&self, heap: &HeapState) -> u64 {
        nursery_bytes(heap).min(self.paced_bytes.unwrap_or(heap.options.tuning.building_nursery_bytes))
    }

    /// Chooses the next nursery after a minor collection: so many times as large as what survived, at least half and at
    /// most twice as large as the last; but no larger than that `minor_survivor_bytes` would survive it if the share of
    /// survivors stayed. A small one where nothing dies anyway.
    fn pace(&mut self, heap: &HeapState, collection: &Collection, survivors: u64) {
        let tuning = &heap.options.tuning;
        let used = collection.allocated_bytes;
        if heap.mutators <= 1 && survivors >= used - used / BUILDING_DEAD_FRACTION {
            self.paced_bytes = Some(tuning.building_nursery_bytes);
            return;
        }
        let by_share = u128::from(used) * u128::from(tuning.minor_survivor_bytes) / u128::from(survivors.max(1));
        let wanted = survivors.saturating_mul(tuning.nursery_survivors).clamp(used / 2, used.saturating_mul(2));
        let paced = u64::try_from(by_share).unwrap_or(u64::MAX).min(wanted);
        self.paced_bytes = Some(paced.max(min_nursery_bytes(heap)));
    }

    /// Whether a minor collection must finish: it has been put off by parts for long, or memory is short, where
    /// nurseries are small and parts, which free nothing, would exhaust it before its end.
    fn must_finish(&self, heap: &HeapState) -> bool {
        let is_overdue = self.next_part_at_bytes.is_some()
            && heap.allocator.handed_out_bytes() > MAX_PART_NURSERIES * nursery_bytes(heap);
        is_overdue || nursery_bytes(heap) < wanted_nursery_bytes(heap)
    }

    fn scope(&mut self, heap: &HeapState, cause: Cause) -> Scope {
        let major_at = *self.major_at.get_or_insert_with(|| MajorAt::after_major(heap));
        let is_major = match cause {
            Cause::Budget => major_at.is_reached(heap),
            Cause::Stress => heap.stats.collections().is_multiple_of(STRESS_MAJOR_INTERVAL),
            Cause::Exhausted | Cause::Requested => true,
        };
        if is_major { Scope::Major } else { Scope::Minor }
    }
}

/// Bytes handed out between minor collections at least, where no limit is near.
fn min_nursery_bytes(heap: &HeapState) -> u64 {
    let others = heap.mutators.saturating_sub(1);
    heap.options.tuning.min_nursery_bytes + others * heap.options.tuning.mutator_nursery_bytes
}

/// Bytes that may be handed out before the next minor collection.
fn nursery_bytes(heap: &HeapState) -> u64 {
    let room = max_room_bytes(heap).min(soft_room_bytes(heap));
    wanted_nursery_bytes(heap).min((room / 4).max(MIN_NURSERY_BYTES))
}

/// The same where no limit is near.
fn wanted_nursery_bytes(heap: &HeapState) -> u64 {
    let Tuning { nursery_bytes, nursery_percent, .. } = heap.options.tuning;
    nursery_bytes.max(heap.stats.live_bytes.saturating_mul(nursery_percent) / 100)
}
