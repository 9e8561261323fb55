//! Which blocks to empty, and whether to: the policy that [`crate::options`] states.

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
    /// Shared blocks should have no more bytes than this afterwards.
    used_bytes: u64,
    /// Most bytes to copy.
    pub copy_bytes: u64,
    /// Blocks fuller than this many percent are not emptied.
    max_source_percent: u64,
}

/// A block and the bytes of the objects in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    live_bytes: u32,
    block: Block,
    /// Bytes of its free lines.
    hole_bytes: u32,
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
            return Some(Self { used_bytes: 0, copy_bytes: u64::MAX, max_source_percent: 100 });
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
        is_due.then(|| Self { used_bytes: live_bytes + waste, copy_bytes, max_source_percent })
    }
}

/// Bytes of the large objects.
fn large_bytes(space: &Space, objects: &Objects) -> u64 {
    let starts = space.blocks.iter().filter(|&block| space.blocks.state(block) == BlockState::Large);
    starts.map(|block| u64::from(objects.bytes_of(large::object_in(block)))).sum()
}

/// The sparsest blocks, as many as the goal asks for and memory allows to copy; whether memory was the limit.
fn sparsest(space: &mut Space, objects: &Objects, pins: &Pins, goal: Goal) -> Option<(Vec<Block>, bool)> {
    let (candidates, hole_bytes) = candidates(space, objects, pins, goal.max_source_percent)?;
    let mut used = space.shared_bytes();
    let mut room = hole_bytes + u64::from(space.unused_blocks()) * u64::from(BLOCK_BYTES);
    let (mut copied, mut is_short) = (0, false);
    let enough = candidates.iter().take_while(|candidate| {
        copied += u64::from(candidate.live_bytes);
        room = room.saturating_sub(u64::from(candidate.hole_bytes));
        let is_wanted = used > goal.used_bytes && copied <= goal.copy_bytes;
        is_short = is_wanted && copied > room;
        used -= u64::from(BLOCK_BYTES - candidate.live_bytes);
        is_wanted && !is_short
    });
    let count = enough.count();
    let mut order = Vec::new();
    order.try_reserve_exact(count).ok()?;
    order.extend(candidates[..count].iter().map(|candidate| candidate.block));
    Some((order, is_short))
}

/// The blocks that are sparse enough to be emptied, the sparsest first, and the bytes of the holes of all.
fn candidates(space: &mut Space, objects: &Objects, pins: &Pins, max_percent: u64) -> Option<(Vec<Candidate>, u64)> {
    let (mut candidates, mut all_hole_bytes) = (Vec::new(), 0);
    for block in space.blocks.iter() {
        if !space.blocks.state(block).has_lines() {
            continue;
        }
        let hole_bytes = used_mask(space.lines.of_block(block)).count_zeros() * LINE_BYTES;
        all_hole_bytes += u64::from(hole_bytes);
        let (mut live_bytes, mut count) = (0, 0);
        objects.walk(space, block, |_, unit| {
            live_bytes += objects.bytes_of(unit);
            count += 1;
        });
        let is_sparse = u64::from(live_bytes) * 100 <= u64::from(BLOCK_BYTES) * max_percent;
        if is_sparse && count > pins.of_block(block).len() {
            candidates.try_reserve(1).ok()?;
            candidates.push(Candidate { live_bytes, block, hole_bytes });
        }
    }
    candidates.sort_unstable();
    Some((candidates, all_hole_bytes))
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
