//! The remembered set: old objects that may refer to young ones, found by dirty cards.
//!
//! A card is a line, so no card holds both old and young objects: a dirty card without a line of survivors is one that
//! a mutator has written to what it had just made, which is most of them.
//!
//! ```text
//! list:   for each block with dirty cards: clean them; keep those that survivors touch
//! visit:  what the objects in the cards kept refer to (`card`)
//! ```
//!
//! The list is made before anything is marked, because lines tell survivors of earlier collections from others only until
//! then; it also says how much there is to do. Threads take blocks from it one by one. It is bounded: what does not fit is
//! visited by one thread alone, before.

use crate::barrier::CardTable;
use crate::block::{Block, BlockState};
use crate::large;
use crate::line::{self, LOG_LINE_BYTES};
use crate::space::Space;
use dolmen_abi::collector::{LOG_CARD_BYTES, LOG_CARD_REF_UNITS};
use dolmen_abi::reference::NULL_REF;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

const _: () = assert!(LOG_CARD_BYTES == LOG_LINE_BYTES, "a card is a line");

/// Blocks that a thread takes from the list at once.
const BATCH_BLOCKS: usize = 8;

/// The list of blocks with dirty cards, on their way to the threads that visit them.
#[derive(Debug, Default)]
pub struct Remembered {
    blocks: Vec<Dirty>,
    /// Index of the first block that no thread has taken.
    next: AtomicUsize,
    /// Number of dirty cards in the list.
    cards: u32,
    /// Blocks from here on are not in the list.
    unlisted: Option<Block>,
}

/// The dirty cards of a block that survivors touch.
#[derive(Clone, Copy, Debug)]
pub struct Dirty {
    pub block: Block,
    /// The large object that the block is part of, or null.
    pub large: u32,
    pub cards: u128,
}

/// Finds dirty cards block by block, and cleans them.
pub struct DirtyBlocks<'a> {
    cards: &'a CardTable,
    space: &'a Space,
    from: Block,
    /// The start of the large object that was met last.
    large: Block,
}

impl Remembered {
    /// Lists the dirty cards of at most `max_blocks` blocks and cleans them.
    pub fn take(cards: &CardTable, space: &Space, max_blocks: usize) -> Self {
        let mut list = Self::default();
        let mut found = DirtyBlocks::new(cards, space, Block(0));
        while list.blocks.len() < max_blocks && list.blocks.try_reserve(1).is_ok() {
            let Some(dirty) = found.next() else { return list };
            list.cards += dirty.cards.count_ones();
            list.blocks.push(dirty);
        }
        list.unlisted = Some(found.from);
        list
    }

    /// Number of dirty cards in the list.
    pub fn cards(&self) -> u32 {
        self.cards
    }

    /// The first block that may have dirty cards and is not in the list.
    pub fn unlisted(&self) -> Option<Block> {
        self.unlisted
    }

    /// The next blocks that no thread has taken.
    pub fn next(&self) -> Option<&[Dirty]> {
        // Which thread takes which block does not matter; the list was made before the threads were called.
        let index = self.next.fetch_add(BATCH_BLOCKS, Ordering::Relaxed);
        self.blocks.get(index..)?.chunks(BATCH_BLOCKS).next()
    }

    /// Dirties the cards of all blocks that were not taken.
    pub fn put_back(&self, cards: &CardTable) {
        while let Some(blocks) = self.next() {
            let dirty = blocks.iter().flat_map(|dirty| ranges(dirty.block, dirty.cards));
            dirty.for_each(|range| cards.dirty(range.start, range.end));
        }
    }
}

impl<'a> DirtyBlocks<'a> {
    pub fn new(cards: &'a CardTable, space: &'a Space, from: Block) -> Self {
        Self { cards, space, from, large: Block(0) }
    }

    /// The next block that has dirty cards which survivors touch.
    pub fn next(&mut self) -> Option<Dirty> {
        let Space { blocks, lines, marks, .. } = self.space;
        while let Some(block) = self.cards.next_dirty(self.from..blocks.frontier_block()) {
            self.from = Block(block.0 + 1);
            let mut dirty = Dirty { block, large: NULL_REF, cards: self.cards.take(block) };
            match blocks.state(block) {
                BlockState::Recyclable | BlockState::Full => dirty.cards &= line::live_mask(lines.of_block(block)),
                BlockState::Large | BlockState::LargeRest => {
                    self.large = self.start_of_large(block);
                    dirty.large = large::object_in(self.large);
                    dirty.cards = if marks.get(dirty.large) { dirty.cards } else { 0 };
                }
                // Immortal objects refer to immortal ones only.
                BlockState::Free | BlockState::Immortal | BlockState::Reserved => dirty.cards = 0,
            }
            if dirty.cards != 0 {
                return Some(dirty);
            }
        }
        None
    }

    /// The start of the large object that `block` is part of.
    fn start_of_large(&self, block: Block) -> Block {
        let is_start = |&b: &u32| self.space.blocks.state(Block(b)) != BlockState::LargeRest;
        let start = (self.large.0.max(1)..=block.0).rev().find(is_start);
        start.map_or(self.large, Block)
    }
}

/// The units of each dirty card of a block.
pub(super) fn ranges(block: Block, dirty: u128) -> impl Iterator<Item = Range<u32>> {
    let mut left = dirty;
    std::iter::from_fn(move || {
        let card = left.trailing_zeros();
        left &= left.wrapping_sub(1);
        let start = block.start_unit() + (card << LOG_CARD_REF_UNITS);
        (card < u128::BITS).then(|| start..start + (1 << LOG_CARD_REF_UNITS))
    })
}
