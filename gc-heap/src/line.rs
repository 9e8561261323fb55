//! Lines: the unit in which memory inside a block is reused.
//!
//! A block is divided into lines of [`LINE_BYTES`]. A collection marks every line that a live object touches
//! (exactly: the size is at hand when an object is scanned); runs of unmarked lines are the *holes* that
//! allocation buffers are cut from. One byte per line, in a side table over the whole region:
//!
//! | value | meaning |
//! |---|---|
//! | [`LINE_FREE`] | holds nothing live; may be handed out |
//! | [`LINE_LIVE`] | a survivor of the last collection touches it |
//! | [`LINE_FRESH`] | handed out since the last collection: only fresh objects, or none yet |
//!
//! Invariants: holes are whole lines, so no line holds both survivors and fresh objects; lines of blocks that are
//! free, large or immortal are all [`LINE_FREE`].

#![allow(unsafe_code, reason = "a table over the region, indexed by reference words")]

use crate::block::{Block, LOG_BLOCK_BYTES, LOG_BLOCK_UNITS};
use crate::os::{HUGE_PAGE_BYTES, Mapping, System};
use dolmen_abi::reference::LOG_REF_SCALE;
use std::io;
use std::ops::Range;

/// Binary logarithm of [`LINE_BYTES`].
pub const LOG_LINE_BYTES: u32 = 8;

/// Size of a line, in bytes.
pub const LINE_BYTES: u32 = 1 << LOG_LINE_BYTES;

/// Binary logarithm of the reference units of a line.
pub const LOG_LINE_UNITS: u32 = LOG_LINE_BYTES - LOG_REF_SCALE;

/// Binary logarithm of [`LINES_PER_BLOCK`].
pub const LOG_LINES_PER_BLOCK: u32 = LOG_BLOCK_BYTES - LOG_LINE_BYTES;

/// Lines of a block.
pub const LINES_PER_BLOCK: usize = 1 << LOG_LINES_PER_BLOCK;

pub const LINE_FREE: u8 = 0;
pub const LINE_LIVE: u8 = 1;
pub const LINE_FRESH: u8 = 2;

/// The lines of one block.
pub type BlockLines = [u8; LINES_PER_BLOCK];

/// The table of line marks.
#[derive(Debug)]
pub struct LineTable {
    table: Mapping,
}

impl LineTable {
    /// A table for a region of `blocks` blocks.
    pub fn new(system: &mut System, blocks: u32) -> io::Result<Self> {
        Ok(Self { table: system.map_table(u64::from(blocks) << LOG_LINES_PER_BLOCK)? })
    }

    /// Asks for huge pages behind the first.
    pub fn prefer_huge_pages(&self) {
        self.table.prefer_huge_pages_from(HUGE_PAGE_BYTES);
    }

    /// Address of the byte of line 0, for the tracer.
    pub fn base(&self) -> *mut u8 {
        self.table.base()
    }

    pub fn of_block(&self, block: Block) -> &BlockLines {
        let at = self.index(block);
        // SAFETY: `index` checks that the block's bytes lie inside the table, which is always readable;
        // `&self` excludes writers.
        unsafe { &*self.table.base().add(at).cast::<BlockLines>() }
    }

    pub fn of_block_mut(&mut self, block: Block) -> &mut BlockLines {
        let at = self.index(block);
        // SAFETY: `index` checks that the block's bytes lie inside the table, which is always writable;
        // `&mut self` excludes other users.
        unsafe { &mut *self.table.base().add(at).cast::<BlockLines>() }
    }

    /// The lines of the reference units `start..end` of one block.
    pub fn of_units(&self, start: u32, end: u32) -> &[u8] {
        let block = Block::of_unit(start);
        &self.of_block(block)[line_range(start, end)]
    }

    /// Makes every line of the blocks below `frontier` free.
    pub fn clear(&mut self, frontier: u32) {
        let bytes = (frontier as usize) << LOG_LINES_PER_BLOCK;
        assert!(bytes as u64 <= self.table.bytes());
        // SAFETY: the bytes lie inside the table (checked), and `&mut self` excludes other users.
        unsafe { self.table.base().write_bytes(LINE_FREE, bytes) };
    }

    fn index(&self, block: Block) -> usize {
        let at = (block.0 as usize) << LOG_LINES_PER_BLOCK;
        assert!(((at + LINES_PER_BLOCK) as u64) <= self.table.bytes(), "block {} beyond the region", block.0);
        at
    }
}

/// The lines inside their block that the units `start..end` touch. `end` is in the same block or at its end.
pub fn line_range(start: u32, end: u32) -> Range<usize> {
    let first = start >> LOG_LINE_UNITS;
    let last = (end - 1) >> LOG_LINE_UNITS;
    debug_assert_eq!(start >> LOG_BLOCK_UNITS, (end - 1) >> LOG_BLOCK_UNITS);
    let in_block = |line: u32| line as usize % LINES_PER_BLOCK;
    in_block(first)..in_block(last) + 1
}

/// One bit for each line of a block that is not free.
pub fn used_mask(lines: &BlockLines) -> u128 {
    const _: () = assert!(LINE_LIVE | LINE_FRESH == 3, "two bits tell whether a line is free");
    let (words, _) = lines.as_chunks::<8>();
    words.iter().rev().fold(0, |mask, bytes| {
        let word = u64::from_le_bytes(*bytes);
        mask << 8 | u128::from(gather(word | word >> 1))
    })
}

/// One bit for each line of a block that survivors touch.
pub fn live_mask(lines: &BlockLines) -> u128 {
    const _: () = assert!(LINE_LIVE & 1 == 1 && LINE_FRESH & 1 == 0, "the lowest bit tells whether a line is live");
    low_bits(lines)
}

/// The lowest bits of 128 bytes.
pub fn low_bits(bytes: &[u8; 128]) -> u128 {
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().rev().fold(0, |mask, bytes| mask << 8 | u128::from(gather(u64::from_le_bytes(*bytes))))
}

/// The lowest bits of the eight bytes of a word.
fn gather(word: u64) -> u64 {
    const LOW_BITS: u64 = 0x0101_0101_0101_0101;
    // Multiplying moves the bits into the highest byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    (word & LOW_BITS).wrapping_mul(GATHER) >> 56
}

/// The first run of free lines at or after `from`.
pub fn next_hole(used: u128, from: usize) -> Option<Range<usize>> {
    let after = |from: usize| u128::MAX.checked_shl(from as u32).unwrap_or(0);
    let free = !used & after(from);
    let start = (free != 0).then(|| free.trailing_zeros() as usize)?;
    let end = (used & after(start)).trailing_zeros() as usize;
    Some(start..end)
}

/// Lines of the largest run of free lines.
pub fn largest_hole(used: u128) -> usize {
    let mut largest = 0;
    let mut from = 0;
    while let Some(hole) = next_hole(used, from) {
        largest = largest.max(hole.len());
        from = hole.end;
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_maximal_runs() {
        let mut lines = [LINE_LIVE; LINES_PER_BLOCK];
        lines[50] = LINE_FRESH;
        assert_eq!(next_hole(used_mask(&lines), 0), None);
        lines[3..7].fill(LINE_FREE);
        lines[120..].fill(LINE_FREE);
        let used = used_mask(&lines);
        assert_eq!(next_hole(used, 0), Some(3..7));
        assert_eq!(next_hole(used, 5), Some(5..7));
        assert_eq!(next_hole(used, 7), Some(120..128));
        assert_eq!(next_hole(used, 128), None);
        assert_eq!(used.count_ones(), 128 - 12);
        assert_eq!(largest_hole(used), 8);
        assert_eq!(largest_hole(0), 128);
        assert_eq!(next_hole(0, 127), Some(127..128));
    }

    #[test]
    fn an_object_touches_every_line_it_spans() {
        let units = 1 << LOG_LINE_UNITS;
        assert_eq!(line_range(0, 4), 0..1);
        assert_eq!(line_range(units - 4, units), 0..1);
        assert_eq!(line_range(units - 4, units + 4), 0..2);
        let block = 5 << LOG_BLOCK_UNITS;
        assert_eq!(line_range(block, block + (1 << LOG_BLOCK_UNITS)), 0..LINES_PER_BLOCK);
    }
}
