//! What dirty cards hold: from the mark bits of old objects to the young objects that they refer to.
//!
//! The problem: a program that writes all over its old objects dirties tens of thousands of cards between two
//! collections. A card costs a few cache misses, and many branches that nobody can predict: which kind the next object
//! is, how many references it has, which of them are young (few). So cards pass through stages, and no stage waits for
//! memory or branches on what it finds:
//!
//! ```text
//! block: prefetch the mark bits of its dirty cards                                for some blocks at once
//! find:  mark bits -> the objects that start in the card, the one before; prefetch them
//! scan:  each object: type word -> descriptor -> a bit for each word of the card that is a reference
//!        each of these: keep the word if its line is young                                    some cards later
//! visit: mark and push what was kept, as elements of an array are                              when there are many
//! ```
//!
//! Of a struct only the header's card counts, and all its references are visited; of an array the elements in
//! dirty cards are, so the array that reaches into a card from before it is looked for, too.
//!
//! Objects that the same collection has marked may be scanned once more, which is harmless.

use super::hot::{Hot, object_or_null};
use super::marker::Marker;
use super::prefetch::prefetch;
use super::remembered::{Dirty, ranges};
use crate::space::mark_bits::MarkWord;
use crate::space::young::Young;
use dolmen_abi::collector::{ARRAY_ELEMENTS_REF_UNITS, LOG_CARD_REF_UNITS};
use dolmen_abi::object::{ARRAY_LENGTH_OFFSET, TYPE_WORD_OFFSET};
use dolmen_abi::reference::{LOG_REF_SCALE, NULL_REF};
use dolmen_abi::type_desc::REF_MAP_WORDS;
use std::ops::Range;

/// Cards between `find` and `scan`; a power of two.
const QUEUE_CARDS: usize = 4;

/// Units of a card.
const CARD_UNITS: u32 = 1 << LOG_CARD_REF_UNITS;

/// Units of a cache line.
const CACHE_LINE_UNITS: usize = 64 >> LOG_REF_SCALE;

/// Cards whose mark bits share a cache line.
const CACHE_LINE_CARDS: u32 = 16;

/// Words that one card can lead to: its own, and those behind it that are fields of its last struct.
const MAX_WORDS: usize = (CARD_UNITS + REF_MAP_WORDS) as usize;

/// Words that wait to be visited; a power of two.
const KEPT_WORDS: usize = 1024;

const _: () = assert!(CARD_UNITS == u64::BITS && REF_MAP_WORDS == u64::BITS, "a bit for each word of a card or a map");

/// A dirty card, and the objects that its words are of.
#[derive(Clone, Copy, Default)]
struct Card {
    start: u32,
    /// An object that starts before the card and may reach into it, or null.
    before: u32,
    /// The objects that start in it.
    starts: MarkWord,
}

/// References that may be to young objects without a mark.
struct Kept {
    words: [u32; KEPT_WORDS],
    len: usize,
}

impl Marker<'_> {
    /// Visits what old objects in the dirty cards of these blocks refer to.
    pub(super) fn visit_dirty<const SHARED: bool>(&mut self, blocks: &[Dirty]) {
        blocks.iter().for_each(|dirty| self.prefetch_marks(dirty));
        let mut kept = Kept { words: [0; KEPT_WORDS], len: 0 };
        let mut queue = [Card::default(); QUEUE_CARDS];
        let mut entered = 0;
        for dirty in blocks {
            for range in ranges(dirty.block, dirty.cards) {
                let oldest = std::mem::replace(&mut queue[entered % QUEUE_CARDS], self.find(dirty, &range));
                entered += 1;
                if entered > QUEUE_CARDS {
                    self.scan_card::<SHARED>(&oldest, &mut kept);
                }
            }
        }
        for at in entered.saturating_sub(QUEUE_CARDS)..entered {
            self.scan_card::<SHARED>(&queue[at % QUEUE_CARDS], &mut kept);
        }
        self.visit_all::<SHARED>(&mut kept);
    }

    /// Visits all that was kept, and forgets it.
    fn visit_all<const SHARED: bool>(&mut self, kept: &mut Kept) {
        let count = std::mem::take(&mut kept.len);
        if self.has_room(count as u32) {
            self.visit_kept::<SHARED>(kept.words.as_ptr(), count);
        } else {
            self.visit_without_room::<SHARED>(kept.words.as_ptr(), count as u32);
        }
    }

    /// Starts to bring the mark bits of the dirty cards of a block near.
    fn prefetch_marks(&self, dirty: &Dirty) {
        let mut cards = dirty.cards;
        while cards != 0 {
            let line = cards.trailing_zeros() / CACHE_LINE_CARDS;
            let start = dirty.block.start_unit() + line * CACHE_LINE_CARDS * CARD_UNITS;
            prefetch(self.trace.space.marks.address_of(start));
            cards &= u128::MAX.checked_shl((line + 1) * CACHE_LINE_CARDS).unwrap_or(0);
        }
    }

    /// Finds the objects of a dirty card by their mark bits, and starts to bring them near.
    fn find(&self, dirty: &Dirty, range: &Range<u32>) -> Card {
        range.clone().step_by(CACHE_LINE_UNITS).for_each(|unit| prefetch(self.hot.at(unit, 0)));
        let marks = &self.trace.space.marks;
        let starts = marks.starts_in(range);
        let before = if starts.units().next() == Some(range.start) {
            NULL_REF
        } else if dirty.large != NULL_REF {
            if dirty.large < range.start { dirty.large } else { NULL_REF }
        } else {
            marks.last_before(range.start).unwrap_or(NULL_REF)
        };
        prefetch(self.hot.at(before, 0));
        Card { start: range.start, before, starts }
    }

    /// Keeps what is young of the references of a card.
    fn scan_card<const SHARED: bool>(&mut self, card: &Card, kept: &mut Kept) {
        if kept.len > KEPT_WORDS - MAX_WORDS {
            self.visit_all::<SHARED>(kept);
        }
        let hot = &self.hot;
        let desc_of = |unit| hot.desc(hot.read_u32(unit, TYPE_WORD_OFFSET));
        let length_of = |array| hot.read_u32(array, ARRAY_LENGTH_OFFSET);
        let (mut inside, mut behind, mut has_lists) = (0, 0, 0);
        if card.before != NULL_REF && desc_of(card.before).elem_is_ref != 0 {
            inside = element_words(card.before, length_of(card.before), card.start);
        }
        for unit in card.starts.units() {
            let desc = desc_of(unit);
            // Arrays have an empty map.
            let at = unit - card.start;
            inside |= desc.ref_map << at;
            behind |= desc.ref_map >> 1 >> (CARD_UNITS - 1 - at);
            has_lists |= desc.ref_list_len;
            if desc.elem_is_ref != 0 {
                inside |= element_words(unit, length_of(unit), card.start);
            }
        }
        let young = self.trace.space.young.view();
        kept.keep_all(hot, card.start, inside, young);
        kept.keep_all(hot, card.start + CARD_UNITS, behind, young);
        if has_lists != 0 {
            self.visit_lists::<SHARED>(card);
        }
    }

    /// Visits the references of a card's structs that are beyond the maps of their types.
    #[cold]
    fn visit_lists<const SHARED: bool>(&mut self, card: &Card) {
        for unit in card.starts.units() {
            let desc = self.hot.desc(self.hot.read_u32(unit, TYPE_WORD_OFFSET));
            self.visit_fields::<SHARED>(unit, desc);
        }
    }
}

impl Kept {
    /// Keeps what may be young of the words `start + i` for which bit `i` is set. There is room for them.
    #[inline(always)]
    fn keep_all(&mut self, hot: &Hot, start: u32, mut bits: u64, young: Young<'_>) {
        if bits == u64::MAX {
            (start..start + u64::BITS).for_each(|unit| self.keep(hot.read_u32(unit, 0), young));
            return;
        }
        while bits != 0 {
            self.keep(hot.read_u32(start + bits.trailing_zeros(), 0), young);
            bits &= bits - 1;
        }
    }

    #[inline(always)]
    fn keep(&mut self, word: u32, young: Young<'_>) {
        let unit = object_or_null(word);
        self.words[self.len % KEPT_WORDS] = unit;
        self.len += usize::from(young.may_hold(unit));
    }
}

/// A bit for each word of the card that is an element of an array of references.
#[inline(always)]
fn element_words(array: u32, length: u32, card_start: u32) -> u64 {
    let first = i64::from(array + ARRAY_ELEMENTS_REF_UNITS) - i64::from(card_start);
    let bits_below =
        |end: i64| 1_u64.checked_shl(end.clamp(0, i64::from(CARD_UNITS)) as u32).unwrap_or(0).wrapping_sub(1);
    bits_below(first + i64::from(length)) & !bits_below(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_a_card_are_those_inside() {
        const CARD: u32 = 5 * CARD_UNITS;
        const HEADER: u32 = ARRAY_ELEMENTS_REF_UNITS;
        let bits = |range: Range<u32>| range.fold(0, |bits, at| bits | 1_u64 << at);
        assert_eq!(element_words(CARD, 0, CARD), 0);
        assert_eq!(element_words(CARD, 3, CARD), bits(HEADER..HEADER + 3));
        assert_eq!(element_words(CARD + 10, 100, CARD), bits(10 + HEADER..CARD_UNITS));
        assert_eq!(element_words(CARD + CARD_UNITS - HEADER, 7, CARD), 0, "the elements are in the next card");
        assert_eq!(element_words(CARD - 10, 10, CARD), bits(0..HEADER));
        assert_eq!(element_words(CARD - 10, 10 - HEADER, CARD), 0, "it ends before the card");
        assert_eq!(element_words(CARD - 10, u32::MAX, CARD), u64::MAX);
        assert_eq!(element_words(CARD - 3 * CARD_UNITS, 3 * CARD_UNITS, CARD), bits(0..HEADER));
    }
}
