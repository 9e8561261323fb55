//! Mark bits: one bit for each place where an object can start.
//!
//! A set bit says that an object starts there and survived the last collection (or is immortal). Headers hold
//! no mark, so compiled code can treat them as immutable; and since only starts are marked, the bitmap is also
//! how objects are found inside a block.
//!
//! Invariant: outside a collection the set bits are exactly the starts of the survivors of the last one and of
//! the immortal objects; fresh objects have none.

#![allow(unsafe_code, reason = "a table over the region, indexed by reference words")]

use crate::block::{Block, LOG_BLOCK_BYTES};
use crate::os::{HUGE_PAGE_BYTES, Mapping, System};
use dolmen_abi::reference::{LOG_OBJECT_ALIGN, LOG_REF_SCALE};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// Binary logarithm of the reference units that one bit stands for.
const LOG_BIT_UNITS: u32 = LOG_OBJECT_ALIGN - LOG_REF_SCALE;

/// Binary logarithm of the bits of a word of the table.
const LOG_WORD_BITS: u32 = 6;

/// Binary logarithm of the words of a block.
const LOG_BLOCK_WORDS: u32 = LOG_BLOCK_BYTES - LOG_OBJECT_ALIGN - LOG_WORD_BITS;

/// Words of the bits of a block.
pub const WORDS_PER_BLOCK: usize = 1 << LOG_BLOCK_WORDS;

/// The bitmap.
#[derive(Debug)]
pub struct MarkBits {
    table: Mapping,
}

/// One word of the bitmap and where it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MarkWord {
    bits: u64,
    /// Reference word that the first bit stands for.
    first: u32,
}

impl MarkWord {
    /// The reference words of the marked objects, ascending.
    pub fn units(self) -> impl Iterator<Item = u32> {
        let mut bits = self.bits;
        std::iter::from_fn(move || {
            let bit = bits.trailing_zeros();
            bits &= bits.wrapping_sub(1);
            (bit < u64::BITS).then(|| self.first + (bit << LOG_BIT_UNITS))
        })
    }
}

impl MarkBits {
    /// Bits for a region of `blocks` blocks, all clear.
    pub fn new(system: &mut System, blocks: u32) -> io::Result<Self> {
        Ok(Self { table: system.map_table((u64::from(blocks) << LOG_BLOCK_WORDS) * size_of::<u64>() as u64)? })
    }

    /// Asks for huge pages behind the first.
    pub fn prefer_huge_pages(&self) {
        self.table.prefer_huge_pages_from(HUGE_PAGE_BYTES);
    }

    /// Address of the first word, for the tracer.
    pub fn base(&self) -> *mut u64 {
        self.table.base().cast()
    }

    /// Address of the word of an object, for prefetches.
    #[inline]
    pub fn address_of(&self, unit: u32) -> *const u8 {
        self.base().wrapping_add(position(unit).0).cast()
    }

    /// Whether the object at this reference word is marked. False beyond the region.
    pub fn get(&self, unit: u32) -> bool {
        let (word, bit) = position(unit);
        word < self.word_count() && self.word(word) & bit != 0
    }

    /// Marks the object; false if it was marked before.
    pub fn set(&mut self, unit: u32) -> bool {
        let (word, bit) = position(unit);
        let word = &mut self.words_mut()[word];
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Takes the mark of an object away.
    pub fn unset(&mut self, unit: u32) {
        let (word, bit) = position(unit);
        self.words_mut()[word] &= !bit;
    }

    /// Sets the bits of the units `start..end`, which are not empty; false if one of them was set before.
    pub fn set_range(&mut self, start: u32, end: u32) -> bool {
        let ((first, start_bit), (last, end_bit)) = (position(start), position(end - 1));
        // All bits from `start_bit` up, all bits up to `end_bit`.
        let (from, to) = (start_bit.wrapping_neg(), end_bit | (end_bit - 1));
        let words = &mut self.words_mut()[first..=last];
        let mut were_clear = true;
        for (i, word) in words.iter_mut().enumerate() {
            let mask = (if i == 0 { from } else { u64::MAX }) & (if first + i == last { to } else { u64::MAX });
            were_clear &= *word & mask == 0;
            *word |= mask;
        }
        were_clear
    }

    /// The words of the bits of a block.
    pub fn block_words(&self, block: Block) -> &[u64] {
        let start = (block.0 as usize) << LOG_BLOCK_WORDS;
        &self.words()[start..start + WORDS_PER_BLOCK]
    }

    /// How many marked objects start in a block.
    pub fn count(&self, block: Block) -> u32 {
        self.block_words(block).iter().map(|word| word.count_ones()).sum()
    }

    /// Clears the bits of the blocks `start..end`.
    pub fn clear(&mut self, start: Block, end: Block) {
        let range = (start.0 as usize) << LOG_BLOCK_WORDS..(end.0 as usize) << LOG_BLOCK_WORDS;
        self.words_mut()[range].fill(0);
    }

    /// The reference words of the marked objects that start in a block, ascending.
    pub fn iter_block(&self, block: Block) -> impl Iterator<Item = u32> + use<'_> {
        (0..WORDS_PER_BLOCK).flat_map(move |index| self.word_of_block(block, index).units())
    }

    /// The `index`-th word of the bits of a block, as it is now.
    pub fn word_of_block(&self, block: Block, index: usize) -> MarkWord {
        let at = ((block.0 as usize) << LOG_BLOCK_WORDS) + index;
        MarkWord { bits: self.word(at), first: (at as u32) << (LOG_WORD_BITS + LOG_BIT_UNITS) }
    }

    /// The marked objects that start in `range`, as the bits are now. The range must lie within the units of one word of
    /// bits.
    #[inline]
    pub fn starts_in(&self, range: &Range<u32>) -> MarkWord {
        let (at, first_bit) = position(range.start);
        let bits = (range.end - range.start) >> LOG_BIT_UNITS;
        debug_assert!(first_bit.trailing_zeros() + bits <= u64::BITS);
        let mask = (u64::MAX >> (u64::BITS - bits)) * first_bit;
        MarkWord { bits: self.word(at) & mask, first: (at as u32) << (LOG_WORD_BITS + LOG_BIT_UNITS) }
    }

    /// The last marked object that starts before `unit` in the same block.
    pub fn last_before(&self, unit: u32) -> Option<u32> {
        let block = Block::of_unit(unit);
        let (at, bit) = position(unit);
        let start = (block.0 as usize) << LOG_BLOCK_WORDS;
        let found = |at: usize, word: u64| {
            word.checked_ilog2().map(|bit| ((at as u32) << LOG_WORD_BITS | bit) << LOG_BIT_UNITS)
        };
        found(at, self.word(at) & (bit - 1)).or_else(|| (start..at).rev().find_map(|at| found(at, self.word(at))))
    }

    /// A word as it is now; other threads may be marking.
    #[inline]
    fn word(&self, index: usize) -> u64 {
        assert!(index < self.word_count(), "mark word {index} beyond the region");
        // SAFETY: the word lies inside the table (checked), which is always accessible and page aligned; while several
        // threads use it they do so by atomic operations.
        let word = unsafe { AtomicU64::from_ptr(self.base().add(index)) };
        // A bit guards nothing: what an object holds was written before the mutators stopped.
        word.load(Ordering::Relaxed)
    }

    fn word_count(&self) -> usize {
        self.table.bytes() as usize / size_of::<u64>()
    }

    fn words(&self) -> &[u64] {
        // SAFETY: the table is always readable, page aligned, and its size is a multiple of a word's; `&self`
        // excludes writers.
        unsafe { std::slice::from_raw_parts(self.table.base().cast::<u64>(), self.table.bytes() as usize / 8) }
    }

    fn words_mut(&mut self) -> &mut [u64] {
        // SAFETY: the table is always writable, page aligned, and its size is a multiple of a word's;
        // `&mut self` excludes other users.
        unsafe { std::slice::from_raw_parts_mut(self.table.base().cast::<u64>(), self.table.bytes() as usize / 8) }
    }
}

/// Index of the word and mask of the bit of an object.
#[inline]
pub const fn position(unit: u32) -> (usize, u64) {
    let bit = unit >> LOG_BIT_UNITS;
    ((bit >> LOG_WORD_BITS) as usize, 1 << (bit % u64::BITS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Refused;

    #[test]
    fn marks_are_found_by_block() {
        let mut bits = MarkBits::new(&mut System::new(Refused::NONE), 4).unwrap();
        let block = Block(2).start_unit();
        for unit in [block, block + 2, block + 126, block + 128, Block(3).start_unit() - 2] {
            assert!(bits.set(unit));
            assert!(!bits.set(unit));
            assert!(bits.get(unit));
        }
        let found: Vec<u32> = bits.iter_block(Block(2)).map(|u| u - block).collect();
        assert_eq!(found, [0, 2, 126, 128, 8190]);
        let before = |unit| bits.last_before(block + unit).map(|u| u - block);
        assert_eq!([0, 2, 64, 128, 130, 8190].map(before), [None, Some(0), Some(2), Some(126), Some(128), Some(128)]);
        let starts = |range: Range<u32>| bits.starts_in(&(block + range.start..block + range.end)).units().count();
        assert_eq!([starts(0..64), starts(64..128), starts(128..256), starts(8064..8192)], [2, 1, 1, 1]);
        assert_eq!(bits.iter_block(Block(1)).count() + bits.iter_block(Block(3)).count(), 0);
        bits.clear(Block(2), Block(3));
        assert_eq!(bits.iter_block(Block(2)).count(), 0);
        assert!(!bits.get(u32::MAX - 1));
    }

    #[test]
    fn ranges_report_what_was_set() {
        let mut bits = MarkBits::new(&mut System::new(Refused::NONE), 4).unwrap();
        let block = Block(1).start_unit();
        assert!(bits.set_range(block + 2, block + 4));
        assert!(bits.set_range(block + 4, block + 300));
        assert!(!bits.set_range(block + 298, block + 302));
        assert!(bits.set_range(block, block + 2));
        let set: Vec<u32> = bits.iter_block(Block(1)).map(|u| u - block).collect();
        assert_eq!(set, (0..302).step_by(2).collect::<Vec<_>>());
    }
}
