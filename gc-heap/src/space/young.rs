//! Young lines: where objects without a mark may start, in a small table.
//!
//! The problem: nearly all that dirty cards hold are references to old objects, each of which shows its age by a mark bit
//! somewhere in a table of a 64th of the heap, too large for the nearest caches. But lines hold either old or young
//! objects. A bit for each line is a 2048th of the heap, and few of its words are ever looked at.
//!
//! ```text
//! fresh block:   its lines that no survivor touches; all, while survivors may share lines with fresh objects
//! large object:  the line of its header, if it has survived no collection
//! ```
//!
//! The table is made when a minor collection begins, from the lists of blocks that memory was handed out from and of
//! large objects, and cleared when it ends. What is marked in between keeps its bit.
//!
//! Invariant: during a minor trace each object without a mark starts in a line whose bit is set; else all are clear.

use super::Space;
use crate::block::Block;
use crate::large;
use crate::line::{LINES_PER_BLOCK, LOG_LINE_UNITS, live_mask};

/// Binary logarithm of the bits of a word.
const LOG_WORD_LINES: u32 = 6;

/// Words of a block.
const WORDS_PER_BLOCK: usize = LINES_PER_BLOCK >> LOG_WORD_LINES;

/// A bit for each line of the blocks below the frontier.
#[derive(Debug, Default)]
pub struct YoungLines {
    words: Vec<u64>,
}

/// The table during a trace.
#[derive(Clone, Copy)]
pub struct Young<'a>(&'a [u64]);

impl Young<'_> {
    /// Whether an object here may have no mark. False for null.
    #[inline(always)]
    pub fn may_hold(self, unit: u32) -> bool {
        let line = unit >> LOG_LINE_UNITS;
        self.0.get((line >> LOG_WORD_LINES) as usize).is_some_and(|word| word >> (line % u64::BITS) & 1 != 0)
    }
}

impl YoungLines {
    /// Makes room for the lines of the blocks below `frontier`; false if there is no memory.
    pub fn reserve(&mut self, frontier: u32) -> bool {
        let words = (frontier as usize * WORDS_PER_BLOCK).max(self.words.len());
        let has_memory = self.words.try_reserve(words - self.words.len()).is_ok();
        if has_memory {
            self.words.resize(words, 0);
        }
        has_memory
    }

    /// The table to look things up in.
    pub fn view(&self) -> Young<'_> {
        Young(&self.words)
    }

    fn set_block(&mut self, block: Block, lines: u128) {
        let start = block.0 as usize * WORDS_PER_BLOCK;
        (self.words[start], self.words[start + 1]) = (lines as u64, (lines >> u64::BITS) as u64);
    }
}

const _: () = assert!(WORDS_PER_BLOCK == 2, "the mask of a block's lines is two words");

/// Notes which lines are young now. The mutators are stopped, and their buffers retired.
pub fn fill(space: &mut Space) {
    let Space { young, blocks, lines, large, is_unswept, .. } = space;
    for block in blocks.fresh().filter(|&block| blocks.state(block).has_lines()) {
        let old = if *is_unswept { 0 } else { live_mask(lines.of_block(block)) };
        young.set_block(block, !old);
    }
    for start in large.young() {
        let line = (large::object_in(start) >> LOG_LINE_UNITS) as usize % LINES_PER_BLOCK;
        young.set_block(start, 1 << line);
    }
}

/// Forgets it when the trace has ended and nothing is swept yet.
pub fn clear(space: &mut Space) {
    let Space { young, blocks, large, .. } = space;
    blocks.fresh().chain(large.young()).for_each(|block| young.set_block(block, 0));
    debug_assert!(young.words.iter().all(|&word| word == 0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::{LINE_FREE, LINE_LIVE};
    use crate::options::Refused;
    use crate::os::System;

    #[test]
    fn lines_without_survivors_are_young() {
        let mut space = Space::new(System::new(Refused::NONE), 1 << 20, 0).unwrap();
        let shared = space.take_shared_block().unwrap().units.start;
        let old = space.take_shared_block().unwrap().units.start;
        let (large, _) = (large::alloc(&mut space, 1 << 16).unwrap(), large::alloc(&mut space, 1 << 16).unwrap());
        let line = 1 << LOG_LINE_UNITS;
        space.lines.of_block_mut(Block::of_unit(shared))[..2].copy_from_slice(&[LINE_LIVE, LINE_FREE]);
        space.lines.of_block_mut(Block::of_unit(old)).fill(LINE_LIVE);
        let young = |space: &mut Space, units: &[u32]| {
            fill(space);
            let found = units.iter().map(|&unit| space.young.view().may_hold(unit)).collect::<Vec<_>>();
            clear(space);
            found
        };
        let units = [0, shared, shared + line - 2, shared + line, old, large, large + line, u32::MAX - 1];
        assert_eq!(young(&mut space, &units), [false, false, false, true, false, true, false, false]);
        space.is_unswept = true;
        assert_eq!(young(&mut space, &units), [false, true, true, true, true, true, false, false]);
    }
}
