//! The remembered set: old objects that may refer to young ones, found by dirty cards.
//!
//! A card is a line, so no card holds both old and young objects: a dirty card without a line of survivors is one that
//! a mutator has written to what it had just made, which is most of them. Of a struct only the header's card counts, and all its references are visited; of an array the elements in
//! dirty cards are, so the array that reaches into a card from before it is looked for, too.
//!
//! ```text
//! for each block with dirty cards: clean them
//!     shared block:  for each dirty card that survivors touch: the array that reaches into it from before; the marked
//!                    objects that start in it
//!     large object:  if marked: its elements in dirty cards, or all references of a struct
//! ```
//!
//! Objects that the same collection has marked may be visited once more, which is harmless.

use super::Tracer;
use crate::barrier::CardTable;
use crate::block::{Block, BlockState};
use crate::line::{self, LOG_LINE_BYTES};
use dolmen_abi::collector::{ARRAY_ELEMENTS_REF_UNITS, LOG_CARD_BYTES, LOG_CARD_REF_UNITS};
use dolmen_abi::object::{ARRAY_ELEMENTS_OFFSET, ARRAY_LENGTH_OFFSET, TYPE_WORD_OFFSET};
use dolmen_abi::type_desc::{Kind, TypeDesc};
use std::ops::Range;

const _: () = assert!(LOG_CARD_BYTES == LOG_LINE_BYTES, "a card is a line");

impl Tracer<'_> {
    /// Visits what old objects in dirty cards refer to, and cleans the cards, as many as there is time for.
    pub fn visit_remembered(&mut self, cards: &CardTable) {
        let frontier = Block(self.space.blocks.frontier());
        let mut large = Block(0);
        let mut from = Block(0);
        while let Some(block) = cards.next_dirty(from..frontier) {
            from = Block(block.0 + 1);
            let dirty = cards.take(block);
            match self.space.blocks.state(block) {
                BlockState::Recyclable | BlockState::Full => self.visit_shared_block(block, dirty),
                BlockState::Large | BlockState::LargeRest => {
                    large = self.start_of_large(large, block);
                    if self.space.marks.get(large.start_unit()) {
                        ranges(block, dirty).for_each(|range| self.visit_range(large.start_unit(), &range));
                    }
                }
                // Immortal objects refer to immortal ones only.
                BlockState::Free | BlockState::Immortal | BlockState::Reserved => {}
            }
            self.drain_if_long();
            self.check_clock();
            if self.is_late {
                return;
            }
        }
    }

    fn visit_shared_block(&mut self, block: Block, dirty: u128) {
        let old = line::live_mask(self.space.lines.of_block(block));
        for range in ranges(block, dirty & old) {
            if let Some(before) = self.space.marks.last_before(range.start) {
                self.visit_range(before, &range);
            }
            let mut hot = self.hot;
            for unit in self.space.marks.starts_in(&range) {
                if !hot.visit_if_simple(unit) {
                    self.hot = hot;
                    self.visit_range(unit, &range);
                    hot = self.hot;
                }
            }
            self.hot = hot;
        }
    }

    /// The start of the large object that `block` is part of; `last` is that of the one before.
    fn start_of_large(&self, last: Block, block: Block) -> Block {
        let is_start = |&b: &u32| self.space.blocks.state(Block(b)) != BlockState::LargeRest;
        let start = (last.0.max(1)..=block.0).rev().find(is_start);
        start.map_or(last, Block)
    }

    /// Visits the references of an object that belong to the units of one card.
    fn visit_range(&mut self, unit: u32, card: &Range<u32>) {
        let type_word = self.hot.read_u32(unit, TYPE_WORD_OFFSET);
        let desc: &TypeDesc = self.hot.desc(type_word);
        match Kind::of_type_word(type_word) {
            Some(Kind::Struct | Kind::Exn) if card.contains(&unit) => self.visit_fields(unit, desc),
            Some(Kind::Array) if desc.elem_is_ref != 0 => {
                let first = unit + ARRAY_ELEMENTS_REF_UNITS;
                // An array may end where the region does: units up to there do not wrap.
                let end = (first + self.hot.read_u32(unit, ARRAY_LENGTH_OFFSET)).min(card.end);
                let start = first.max(card.start);
                if start < end {
                    let elements = self.hot.at(unit, ARRAY_ELEMENTS_OFFSET).cast::<u32>();
                    self.visit_chunk(elements.wrapping_add((start - first) as usize), end - start);
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
