//! Which blocks to empty, and whether to: the policy that [`crate::options`] states.

use super::BlockSet;
use super::objects::Objects;
use crate::block::{BLOCK_BYTES, Block, BlockState};
use crate::space::Space;
use crate::state::HeapState;
use crate::stats::Cause;

/// Blocks fuller than this many percent are not worth emptying.
const MAX_SOURCE_PERCENT: u64 = 80;

/// The blocks that an evacuation empties.
#[derive(Debug)]
pub struct Sources {
    order: Vec<Block>,
    set: BlockSet,
}

/// How much to evacuate, by the objects and blocks that are shared.
#[derive(Clone, Copy, Debug)]
struct Goal {
    /// Shared blocks should have no more bytes than this afterwards.
    used_bytes: u64,
    /// Most bytes to copy.
    copy_bytes: u64,
}

/// A block and the bytes of the objects in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    live_bytes: u32,
    block: Block,
}

impl Sources {
    /// Chooses sources and closes their holes to allocation; `None` if nothing should be moved, or if there is no memory
    /// for the lists.
    pub fn choose(heap: &mut HeapState, objects: &Objects, cause: Cause) -> Option<Self> {
        let order = if heap.options.stress.is_some() {
            stressed(heap)?
        } else {
            let used_bytes = heap.space.shared_bytes();
            let goal = Goal::of(heap, objects, used_bytes, cause)?;
            sparsest(&mut heap.space, objects, used_bytes, goal)?
        };
        let mut set = BlockSet::below(heap.space.blocks.frontier_block())?;
        for &block in &order {
            set.insert(block);
            heap.space.blocks.set_state(block, BlockState::Full);
        }
        Some(Self { order, set })
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
    fn of(heap: &HeapState, objects: &Objects, used_bytes: u64, cause: Cause) -> Option<Self> {
        let tuning = &heap.options.tuning;
        let live_bytes = heap.stats.live_bytes.saturating_sub(large_bytes(&heap.space, objects));
        let percent = |percent: u64| live_bytes.saturating_mul(percent) / 100;
        let is_pressed = cause == Cause::Exhausted || heap.space.used_bytes() > heap.options.soft_max_bytes;
        let (from, copy) = if is_pressed {
            (percent(tuning.evacuate_to_percent), live_bytes)
        } else {
            let copy = percent(tuning.evacuate_copy_percent).max(tuning.evacuate_copy_bytes);
            (percent(tuning.evacuate_from_percent) + tuning.evacuate_slack_bytes, copy)
        };
        let is_due = used_bytes > live_bytes.saturating_add(from);
        is_due.then(|| Self { used_bytes: live_bytes + percent(tuning.evacuate_to_percent), copy_bytes: copy })
    }
}

/// Bytes of the large objects.
fn large_bytes(space: &Space, objects: &Objects) -> u64 {
    let starts = space.blocks.iter().filter(|&block| space.blocks.state(block) == BlockState::Large);
    starts.map(|block| u64::from(objects.bytes_of(block.start_unit()))).sum()
}

/// The sparsest blocks, as many as the goal asks for.
fn sparsest(space: &mut Space, objects: &Objects, used_bytes: u64, goal: Goal) -> Option<Vec<Block>> {
    let mut candidates = Vec::new();
    for block in space.blocks.iter() {
        if !space.blocks.state(block).has_lines() {
            continue;
        }
        let mut live_bytes = 0;
        objects.walk(space, block, |_, unit| live_bytes += objects.bytes_of(unit));
        if u64::from(live_bytes) * 100 <= u64::from(BLOCK_BYTES) * MAX_SOURCE_PERCENT {
            candidates.try_reserve(1).ok()?;
            candidates.push(Candidate { live_bytes, block });
        }
    }
    candidates.sort_unstable();
    let (mut used, mut copied) = (used_bytes, 0);
    let enough = candidates.iter().take_while(|candidate| {
        let is_wanted = used > goal.used_bytes && copied + u64::from(candidate.live_bytes) <= goal.copy_bytes;
        used -= u64::from(BLOCK_BYTES - candidate.live_bytes);
        copied += u64::from(candidate.live_bytes);
        is_wanted
    });
    let count = enough.count();
    let mut order = Vec::new();
    order.try_reserve_exact(count).ok()?;
    order.extend(candidates[..count].iter().map(|candidate| candidate.block));
    Some(order)
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
