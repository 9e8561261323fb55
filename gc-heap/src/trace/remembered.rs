//! The remembered set: old objects that may refer to young ones, found by dirty cards.
//!
//! A card is a line, so no card holds both old and young objects: a dirty card without a line of survivors is one that
//! a mutator has written to what it had just made, which is most of them. Of a struct only the header's card counts, and all its references are visited; of an array the elements in
//! dirty cards are, so the array that reaches into a card from before it is looked for, too.
//!
//! ```text
//! list:   for each block with dirty cards: clean them; keep those that survivors touch
//! visit:  shared block:  for each card kept: the array that reaches into it from before; the marked objects that start
//!                        in it
//!         large object:  its elements in the cards kept, or all references of a struct
//! ```
//!
//! The list is made before anything is marked, because lines tell survivors of earlier collections from others only until
//! then; it also says how much there is to do. Threads take blocks from it one by one. It is bounded: what does not fit is
//! visited by one thread alone, before.
//!
//! Objects that the same collection has marked may be visited once more, which is harmless.

use super::marker::Marker;
use super::prefetch::prefetch;
use crate::barrier::CardTable;
use crate::block::{Block, BlockState};
use crate::large;
use crate::line::{self, LOG_LINE_BYTES};
use crate::space::Space;
use dolmen_abi::collector::{ARRAY_ELEMENTS_REF_UNITS, LOG_CARD_BYTES, LOG_CARD_REF_UNITS};
use dolmen_abi::object::{ARRAY_ELEMENTS_OFFSET, ARRAY_LENGTH_OFFSET, TYPE_WORD_OFFSET};
use dolmen_abi::reference::{LOG_REF_SCALE, NULL_REF};
use dolmen_abi::type_desc::{Kind, TypeDesc};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

const _: () = assert!(LOG_CARD_BYTES == LOG_LINE_BYTES, "a card is a line");

/// Dirty cards ahead of the visited one whose memory is prefetched.
const PREFETCH_CARDS: usize = 4;

/// Units of a cache line.
const CACHE_LINE_UNITS: usize = 64 >> LOG_REF_SCALE;

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
    block: Block,
    /// The large object that the block is part of, or null.
    large: u32,
    cards: u128,
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

    /// The next block that no thread has taken.
    pub fn next(&self) -> Option<Dirty> {
        // Which thread takes which block does not matter; the list was made before the threads were called.
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        self.blocks.get(index).copied()
    }

    /// Dirties the cards of all blocks that were not taken.
    pub fn put_back(&self, cards: &CardTable) {
        while let Some(dirty) = self.next() {
            ranges(dirty.block, dirty.cards).for_each(|range| cards.dirty(range.start, range.end));
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

impl Marker<'_> {
    /// Visits what old objects in dirty cards refer to.
    pub(super) fn visit_dirty<const SHARED: bool>(&mut self, dirty: Dirty) {
        let mut ahead = ranges(dirty.block, dirty.cards);
        ahead.by_ref().take(PREFETCH_CARDS).for_each(|card| self.prefetch_card(&card));
        for range in ranges(dirty.block, dirty.cards) {
            ahead.next().iter().for_each(|card| self.prefetch_card(card));
            if dirty.large == NULL_REF {
                self.visit_card::<SHARED>(&range);
            } else {
                self.visit_range::<SHARED>(dirty.large, &range);
            }
        }
    }

    fn prefetch_card(&self, card: &Range<u32>) {
        let units = card.clone().step_by(CACHE_LINE_UNITS);
        units.for_each(|unit| prefetch(self.hot.at(unit, 0)));
    }

    fn visit_card<const SHARED: bool>(&mut self, card: &Range<u32>) {
        let marks = &self.trace.space.marks;
        if let Some(before) = marks.last_before(card.start) {
            self.visit_range::<SHARED>(before, card);
        }
        let mut hot = self.hot;
        for unit in marks.starts_in(card) {
            if !hot.visit_if_simple::<SHARED>(unit) {
                self.hot = hot;
                self.visit_range::<SHARED>(unit, card);
                hot = self.hot;
            }
        }
        self.hot = hot;
    }

    /// Visits the references of an object that belong to the units of one card.
    fn visit_range<const SHARED: bool>(&mut self, unit: u32, card: &Range<u32>) {
        let type_word = self.hot.read_u32(unit, TYPE_WORD_OFFSET);
        let desc: &TypeDesc = self.hot.desc(type_word);
        match Kind::of_type_word(type_word) {
            Some(Kind::Struct | Kind::Exn) if card.contains(&unit) => self.visit_fields::<SHARED>(unit, desc),
            Some(Kind::Array) if desc.elem_is_ref != 0 => {
                let first = unit + ARRAY_ELEMENTS_REF_UNITS;
                // An array may end where the region does: units up to there do not wrap.
                let end = (first + self.hot.read_u32(unit, ARRAY_LENGTH_OFFSET)).min(card.end);
                let start = first.max(card.start);
                if start < end {
                    let elements = self.hot.at(unit, ARRAY_ELEMENTS_OFFSET).cast::<u32>();
                    self.visit_chunk::<SHARED>(elements.wrapping_add((start - first) as usize), end - start);
                }
            }
            _ => {}
        }
    }
}

/// The units of each dirty card of a block.
fn ranges(block: Block, dirty: u128) -> impl Iterator<Item = Range<u32>> {
    let mut left = dirty;
    std::iter::from_fn(move || {
        let card = left.trailing_zeros();
        left &= left.wrapping_sub(1);
        let start = block.start_unit() + (card << LOG_CARD_REF_UNITS);
        (card < u128::BITS).then(|| start..start + (1 << LOG_CARD_REF_UNITS))
    })
}
