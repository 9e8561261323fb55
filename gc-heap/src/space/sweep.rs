//! Sweeping: what a collection left unmarked becomes memory again.
//!
//! Objects are not touched: a block without a marked line is free, one with unmarked lines offers holes. Dead
//! large objects free their runs. After a minor collection only what was handed out since the one before can have
//! become free, so no other block is looked at. Then memory that the program will not need before the next collection goes
//! back to the system ([`crate::options`] states the policy).
//!
//! With poisoning on, everything unmarked is filled with [`POISON_BYTE`], so that a stale reference leads to a
//! type word that names no type.

use super::Space;
use crate::block::{BLOCK_UNITS, Block, BlockState, LOG_BLOCK_BYTES};
use crate::large;
use crate::line::{
    LINE_FREE, LINE_LIVE, LINES_PER_BLOCK, LOG_LINE_UNITS, largest_hole, line_range, next_hole, used_mask,
};
use crate::stats::Scope;
use dolmen_abi::reference::REF_UNIT_BYTES;

/// What freed memory is filled with: as a type word it names no kind.
pub const POISON_BYTE: u8 = 0xf5;

/// Frees what is not marked after a mark phase of this scope.
pub fn sweep(space: &mut Space, scope: Scope, poison: bool) {
    match scope {
        Scope::Minor => sweep_fresh(space, poison),
        Scope::Major => sweep_all(space, poison),
    }
    large::sweep(space, scope, &mut |space, start, count| {
        if poison {
            let end = Block(start.0 + count - 1).start_unit() + BLOCK_UNITS;
            space.region.fill(start.start_unit(), end, POISON_BYTE);
        }
    });
}

fn sweep_all(space: &mut Space, poison: bool) {
    for block in space.blocks.iter() {
        if space.blocks.state(block).has_lines() {
            sweep_block(space, block, poison);
        }
    }
    let mut from = Block(0);
    while let Some(block) = space.blocks.take_fresh(from) {
        from = block;
    }
}

/// Sweeps the blocks that memory was handed out from. Lines that are still fresh hold nothing marked.
pub fn sweep_fresh(space: &mut Space, poison: bool) {
    let mut from = Block(0);
    while let Some(block) = space.blocks.take_fresh(from) {
        for line in space.lines.of_block_mut(block) {
            *line = if *line == LINE_LIVE { LINE_LIVE } else { LINE_FREE };
        }
        sweep_block(space, block, poison);
        from = block;
    }
}

/// Sweeps a block from which objects were taken away; `bytes_of` tells the size of one that is left.
pub fn sweep_again(space: &mut Space, block: Block, bytes_of: &dyn Fn(u32) -> u32, poison: bool) {
    space.lines.of_block_mut(block).fill(LINE_FREE);
    for unit in space.marks.iter_block(block) {
        let lines = line_range(unit, unit + bytes_of(unit) / REF_UNIT_BYTES);
        space.lines.of_block_mut(block)[lines].fill(LINE_LIVE);
    }
    sweep_block(space, block, poison);
}

/// Gives free memory beyond `keep_bytes` back if it exceeds that by `slack_bytes`, highest addresses first.
pub fn release(space: &mut Space, keep_bytes: u64, slack_bytes: u64) {
    let blocks = |bytes: u64| u32::try_from(bytes >> LOG_BLOCK_BYTES).unwrap_or(u32::MAX);
    let is_kept =
        |space: &Space, b: u32| space.blocks.state(Block(b)) == BlockState::Free && space.blocks.is_dirty(Block(b));
    let frontier = space.blocks.frontier();
    let kept = (1..frontier).filter(|&b| is_kept(space, b)).count() as u32;
    let keep = blocks(keep_bytes);
    if kept <= keep.saturating_add(blocks(slack_bytes)) {
        return;
    }
    let mut excess = kept - keep;
    let mut end = frontier;
    while excess > 0 && end > 1 {
        let start = (1..end).rev().take(excess as usize).take_while(|&b| is_kept(space, b)).last();
        let Some(start) = start else {
            end -= 1;
            continue;
        };
        if !space.region.release(Block(start), end - start) {
            return;
        }
        (start..end).for_each(|b| space.blocks.set_dirty(Block(b), false));
        excess -= end - start;
        end = start;
    }
}

fn sweep_block(space: &mut Space, block: Block, poison: bool) {
    let used = used_mask(space.lines.of_block(block));
    if poison {
        poison_holes(space, block, used);
    }
    match used.count_ones() as usize {
        0 => space.blocks.free(block),
        LINES_PER_BLOCK => space.blocks.set_state(block, BlockState::Full),
        _ => space.blocks.set_recyclable(block, largest_hole(used)),
    }
}

fn poison_holes(space: &mut Space, block: Block, used: u128) {
    let unit = |line: usize| block.start_unit() + ((line as u32) << LOG_LINE_UNITS);
    let mut from = 0;
    while let Some(hole) = next_hole(used, from) {
        space.region.fill(unit(hole.start), unit(hole.end), POISON_BYTE);
        from = hole.end;
    }
}
