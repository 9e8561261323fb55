//! The card table: where mutators note that they stored a reference.
//!
//! ```text
//! after struct.field = reference:     card_base[struct >> LOG_CARD_REF_UNITS] = CARD_DIRTY
//! after array[i] = reference:         card_base[(array + ARRAY_ELEMENTS_REF_UNITS + i) >> LOG_CARD_REF_UNITS] = CARD_DIRTY
//! ```
//!
//! One byte stands for `1 << LOG_CARD_BYTES` bytes of the region. A collection that looks at young objects only finds the old
//! ones that may refer to them by the dirty cards ([`crate::trace`]), and cleans all. The table is reserved for the
//! whole region and takes memory as it is touched.
//!
//! Collectors without a remembered set read no cards, but code compiled with the barrier runs on them, and its
//! stores must go somewhere.
//!
//! Invariant of collectors that need the barrier: whenever the mutators are stopped, each reference from an
//! object that survived a collection to one that did not yet is in a dirty card.

#![allow(unsafe_code, reason = "a table over the region, written by compiled code")]

use crate::block::{Block, LOG_BLOCK_BYTES};
use crate::line;
use crate::os::{Mapping, System};
use dolmen_abi::collector::{CARD_DIRTY, LOG_CARD_BYTES, LOG_CARD_REF_UNITS};
use std::io;
use std::ops::Range;

/// Binary logarithm of the cards of a block.
const LOG_CARDS_PER_BLOCK: u32 = LOG_BLOCK_BYTES - LOG_CARD_BYTES;

/// Blocks whose cards stand for those of all.
const SAMPLE_BLOCKS: u32 = 32;

/// The cards of one block.
type BlockCards = [u8; 1 << LOG_CARDS_PER_BLOCK];

const _: () = assert!(1 << LOG_CARDS_PER_BLOCK == u128::BITS, "the dirty cards of a block are a 128-bit mask");

/// The card table of a heap.
#[derive(Debug)]
pub struct CardTable {
    table: Mapping,
}

impl CardTable {
    /// Clean cards for a region of `blocks` blocks.
    pub fn new(system: &mut System, blocks: u32) -> io::Result<Self> {
        Ok(Self { table: system.map_table(u64::from(blocks) << LOG_CARDS_PER_BLOCK)? })
    }

    /// Address of the card of reference word 0.
    pub fn base(&self) -> u64 {
        self.table.base() as u64
    }

    /// Dirties the cards of the units `start..end`.
    ///
    /// # Panics
    ///
    /// If they are not in the region.
    pub fn dirty(&self, start: u32, end: u32) {
        for card in start >> LOG_CARD_REF_UNITS..((end - 1) >> LOG_CARD_REF_UNITS) + 1 {
            assert!(u64::from(card) < self.table.bytes(), "card {card} beyond the region");
            // SAFETY: the byte lies inside the table (checked); whoever else writes it now writes the same value.
            unsafe { self.table.base().add(card as usize).write_volatile(CARD_DIRTY) };
        }
    }

    /// Whether the card of a unit is dirty. The mutators are stopped.
    pub fn is_dirty(&self, unit: u32) -> bool {
        let block = Block::of_unit(unit);
        let card = (unit >> LOG_CARD_REF_UNITS) as usize % size_of::<BlockCards>();
        self.blocks(block..Block(block.0 + 1))[0][card] == CARD_DIRTY
    }

    /// The first of these blocks that has a dirty card. The mutators are stopped.
    pub fn next_dirty(&self, blocks: Range<Block>) -> Option<Block> {
        let is_dirty = |cards: &BlockCards| {
            let (words, _) = cards.as_chunks::<8>();
            words.iter().fold(0, |all, word| all | u64::from_ne_bytes(*word)) != 0
        };
        let start = blocks.start.0;
        self.blocks(blocks).iter().position(is_dirty).map(|n| Block(start + n as u32))
    }

    /// The dirty cards of a block as a mask; cleans them. The mutators are stopped.
    pub fn take(&self, block: Block) -> u128 {
        let at = (block.0 as usize) << LOG_CARDS_PER_BLOCK;
        assert!(((at + size_of::<BlockCards>()) as u64) <= self.table.bytes(), "block {} beyond the region", block.0);
        // SAFETY: the block's bytes lie inside the table (checked); the mutators are stopped, and the reference ends
        // here, in the one thread that collects.
        let cards = unsafe { &mut *self.table.base().add(at).cast::<BlockCards>() };
        let mask = line::low_bits(cards);
        cards.fill(0);
        mask
    }

    /// About how many cards of the blocks below the frontier are dirty, by a sample of [`SAMPLE_BLOCKS`] blocks. Mutators
    /// may run.
    pub fn estimate_dirty(&self, frontier: Block) -> u64 {
        let step = frontier.0.div_ceil(SAMPLE_BLOCKS).max(1);
        let sample = (1..frontier.0).step_by(step as usize);
        sample.map(|block| u64::from(self.count_dirty(Block(block)))).sum::<u64>() * u64::from(step)
    }

    /// The number of dirty cards of a block. Mutators may run.
    fn count_dirty(&self, block: Block) -> u32 {
        const _: () = assert!(CARD_DIRTY == 1, "the sum of a block's cards is the number of dirty ones");
        /// Multiplying adds all bytes into the highest.
        const SUM: u64 = 0x0101_0101_0101_0101;
        let at = (block.0 as usize) << LOG_CARDS_PER_BLOCK;
        assert!(((at + size_of::<BlockCards>()) as u64) <= self.table.bytes(), "block {} beyond the region", block.0);
        let cards = self.table.base().wrapping_add(at).cast::<u64>();
        let words = 0..size_of::<BlockCards>() / size_of::<u64>();
        // SAFETY: the words lie inside the table (checked) and are aligned, as it is to pages. Compiled code may write its
        // bytes meanwhile: a volatile read sees each as it was before or after.
        let sums = words.map(|word| unsafe { cards.add(word).read_volatile() }).sum::<u64>();
        (sums.wrapping_mul(SUM) >> 56) as u32
    }

    /// Cleans the cards of all blocks below the frontier. The mutators are stopped.
    pub fn clean(&mut self, frontier: Block) {
        let mut from = Block(0);
        while let Some(block) = self.next_dirty(from..frontier) {
            self.take(block);
            from = Block(block.0 + 1);
        }
    }

    fn blocks(&self, blocks: Range<Block>) -> &[BlockCards] {
        let count = blocks.end.0.saturating_sub(blocks.start.0) as usize;
        let at = (blocks.start.0 as usize) << LOG_CARDS_PER_BLOCK;
        let bytes = count << LOG_CARDS_PER_BLOCK;
        assert!((at + bytes) as u64 <= self.table.bytes(), "blocks beyond the region");
        // SAFETY: the bytes lie inside the table (checked); callers are promised that mutators are stopped, and
        // `&self` excludes other writers but `dirty`, which belongs to the caller's own thread.
        unsafe { std::slice::from_raw_parts(self.table.base().add(at).cast(), count) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Refused;

    #[test]
    fn a_sample_tells_how_many_cards_are_dirty() {
        let cards = CardTable::new(&mut System::new(Refused::NONE), 1001).unwrap();
        let estimate = |blocks: u32| cards.estimate_dirty(Block(blocks));
        assert_eq!((estimate(0), estimate(1), estimate(1001)), (0, 0, 0));
        let units = 1 << LOG_CARD_REF_UNITS;
        cards.dirty(Block(7).start_unit(), Block(7).start_unit() + 3 * units);
        assert_eq!((estimate(7), estimate(8)), (0, 3), "all blocks of a small heap count");
        for block in 1..1001 {
            // Eight in each block, not the same in all.
            for card in (block % 16..128).step_by(16) {
                let unit = Block(block).start_unit() + card * units;
                cards.dirty(unit, unit + 1);
            }
        }
        let found = estimate(1001);
        assert!((7_000..9_000).contains(&found), "{found} of 8000");
        cards.dirty(Block(1).start_unit(), Block(2).start_unit());
        assert_eq!(cards.estimate_dirty(Block(2)), 128, "all of a block");
    }
}
