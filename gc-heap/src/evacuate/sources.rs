//! Which blocks to empty, and whether to: the policy that [`crate::options`] states.
//!
//! How many bytes the objects of a block have is known only from their headers, and a walk over the headers of the whole
//! heap takes as long as a third of an evacuation. So blocks are put into order by an estimate, from their mark bits and
//! lines, and the headers of those are walked whose turn comes.

use super::BlockSet;
use super::copy::Pins;
use super::objects::Objects;
use crate::block::{BLOCK_BYTES, Block, BlockState};
use crate::large;
use crate::line::{LINE_BYTES, used_mask};
use crate::space::Space;
use crate::state::HeapState;
use crate::stats::Cause;

/// Blocks fuller than this many percent are not worth emptying.
const MAX_SOURCE_PERCENT: u64 = 80;

/// The same when memory is short.
const MAX_PRESSED_SOURCE_PERCENT: u64 = 95;

/// When memory is exhausted, waste is left of this fraction of what the maximum leaves above the live bytes at most.
const PRESSED_WASTE_FRACTION: u64 = 3;

/// The blocks that an evacuation empties.
#[derive(Debug)]
pub struct Sources {
    order: Vec<Block>,
    set: BlockSet,
    /// There would be more if there were memory for the copies.
    pub is_short: bool,
}

/// How much to evacuate, by the objects and blocks that are shared.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// Bytes of the objects.
    live_bytes: u64,
    /// Shared blocks should have no more bytes than this afterwards.
    used_bytes: u64,
    /// Most bytes to copy.
    pub copy_bytes: u64,
    /// Blocks fuller than this many percent are not emptied.
    max_source_percent: u64,
}

/// A block and about how many bytes the objects in it have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    about_bytes: u32,
    block: Block,
    /// Bytes of its free lines.
    hole_bytes: u32,
    objects: u32,
}

impl Sources {
    /// Chooses sources and closes their holes to allocation; `None` if nothing should be moved, or if there is no memory
    /// for the lists.
    pub fn choose(heap: &mut HeapState, objects: &Objects, pins: &Pins, goal: Goal) -> Option<Self> {
        let (order, is_short) = if heap.options.stress.is_some() {
            (stressed(heap)?, false)
        } else {
            sparsest(&mut heap.space, objects, pins, goal)?
        };
        let mut set = BlockSet::below(heap.space.blocks.frontier_block())?;
        for &block in &order {
            set.insert(block);
            heap.space.blocks.set_state(block, BlockState::Full);
        }
        Some(Self { order, set, is_short })
    }

    /// The sources, the one to empty first first.
    pub fn in_order(&self) -> &[Block] {
        &self.order
    }

    pub fn set(&self) -> &BlockSet {
        &self.set
    }
}

impl Goal {
    /// What to reach after a major collection; `None` if that is so already.
    pub fn of(heap: &HeapState, objects: &Objects, cause: Cause) -> Option<Self> {
        if heap.options.stress.is_some() {
            return Some(Self { live_bytes: 0, used_bytes: 0, copy_bytes: u64::MAX, max_source_percent: 100 });
        }
        let tuning = &heap.options.tuning;
        let live_bytes = heap.stats.live_bytes.saturating_sub(large_bytes(&heap.space, objects));
        let percent = |percent: u64| live_bytes.saturating_mul(percent) / 100;
        let mut waste = percent(tuning.evacuate_to_percent);
        let is_pressed = cause == Cause::Exhausted || heap.space.used_bytes() > heap.options.soft_max_bytes;
        if cause == Cause::Exhausted {
            waste = waste.min(heap.options.max_bytes.saturating_sub(heap.stats.live_bytes) / PRESSED_WASTE_FRACTION);
        }
        let (from, copy_bytes) = if is_pressed {
            (waste, live_bytes)
        } else {
            let copy = percent(tuning.evacuate_copy_percent).max(tuning.evacuate_copy_bytes);
            (percent(tuning.evacuate_from_percent) + tuning.evacuate_slack_bytes, copy)
        };
        let is_due = heap.space.shared_bytes() > live_bytes.saturating_add(from);
        let max_source_percent = if is_pressed { MAX_PRESSED_SOURCE_PERCENT } else { MAX_SOURCE_PERCENT };
        is_due.then(|| Self { live_bytes, used_bytes: live_bytes + waste, copy_bytes, max_source_percent })
    }

    /// Whether a block with objects of so many bytes is worth emptying.
    fn is_sparse(self, live_bytes: u32) -> bool {
        u64::from(live_bytes) * 100 <= u64::from(BLOCK_BYTES) * self.max_source_percent
    }
}

/// Bytes of the large objects.
fn large_bytes(space: &Space, objects: &Objects) -> u64 {
    let starts = space.blocks.iter().filter(|&block| space.blocks.state(block) == BlockState::Large);
    starts.map(|block| u64::from(objects.bytes_of(large::object_in(block)))).sum()
}

/// The sparsest blocks, as many as the goal asks for and memory allows to copy; whether memory was the limit.
fn sparsest(space: &mut Space, objects: &Objects, pins: &Pins, goal: Goal) -> Option<(Vec<Block>, bool)> {
    let (candidates, hole_bytes) = candidates(space, goal)?;
    let mut used = space.shared_bytes();
    let mut room = hole_bytes + u64::from(space.unused_blocks()) * u64::from(BLOCK_BYTES);
    let mut copied = 0;
    let mut order = Vec::new();
    for Candidate { block, hole_bytes, .. } in candidates {
        if used <= goal.used_bytes {
            break;
        }
        let (live_bytes, count) = live(space, objects, block);
        if !goal.is_sparse(live_bytes) || count <= pins.of_block(block).len() {
            continue;
        }
        copied += u64::from(live_bytes);
        room = room.saturating_sub(u64::from(hole_bytes));
        if copied > goal.copy_bytes {
            break;
        }
        if copied > room {
            return Some((order, true));
        }
        used -= u64::from(BLOCK_BYTES - live_bytes);
        order.try_reserve(1).ok()?;
        order.push(block);
    }
    Some((order, false))
}

/// All shared blocks, those that seem sparsest first, and the bytes of the holes of all.
fn candidates(space: &Space, goal: Goal) -> Option<(Vec<Candidate>, u64)> {
    let (mut candidates, mut all_hole_bytes, mut all_objects) = (Vec::new(), 0, 0);
    for block in space.blocks.iter().filter(|&block| space.blocks.state(block).has_lines()) {
        let used_lines = used_mask(space.lines.of_block(block)).count_ones();
        let hole_bytes = BLOCK_BYTES - used_lines * LINE_BYTES;
        let objects = space.marks.count(block);
        all_hole_bytes += u64::from(hole_bytes);
        all_objects += u64::from(objects);
        candidates.try_reserve(1).ok()?;
        candidates.push(Candidate { about_bytes: 0, block, hole_bytes, objects });
    }
    let object_bytes = goal.live_bytes / all_objects.max(1);
    for candidate in &mut candidates {
        candidate.about_bytes = estimate(candidate.objects, object_bytes, BLOCK_BYTES - candidate.hole_bytes);
    }
    candidates.sort_unstable();
    Some((candidates, all_hole_bytes))
}

/// About how many bytes so many objects of a block have: objects are of the average size, unless they touch so many bytes
/// of lines that they must be larger. Two lines of each may be touched by no more than a word.
fn estimate(objects: u32, object_bytes: u64, used_bytes: u32) -> u32 {
    let average = (u64::from(objects) * object_bytes).min(u64::from(used_bytes)) as u32;
    average.max(used_bytes.saturating_sub(2 * objects * LINE_BYTES))
}

/// Bytes of the objects of a block, and how many there are.
fn live(space: &mut Space, objects: &Objects, block: Block) -> (u32, usize) {
    let (mut live_bytes, mut count) = (0, 0);
    objects.walk(space, block, |_, unit| {
        live_bytes += objects.bytes_of(unit);
        count += 1;
    });
    (live_bytes, count)
}

/// Under allocation stress, all shared blocks and about half of them in turn.
fn stressed(heap: &HeapState) -> Option<Vec<Block>> {
    let HeapState { space, stats, .. } = heap;
    let is_chosen = |block: &Block| {
        // Any number that looks different each time will do.
        let mixed = (stats.major.wrapping_mul(31) ^ u64::from(block.0)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        stats.major.is_multiple_of(2) || mixed >> 63 != 0
    };
    let mut order = Vec::new();
    for block in space.blocks.iter().filter(|&block| space.blocks.state(block).has_lines()).filter(is_chosen) {
        order.try_reserve(1).ok()?;
        order.push(block);
    }
    Some(order)
}
