//! Blocks: the unit in which the heap takes and frees memory, and the table of their states.
//!
//! The region is divided into blocks of [`BLOCK_BYTES`]. Small and medium objects share blocks; a large object
//! has a run of blocks to itself. The table knows what each block is used for, whether its memory must be zeroed
//! before it is handed out, and which blocks are free, as a bitmap in which runs are found.
//!
//! ```text
//! Free ──take──► Full ──sweep──► Recyclable ──(holes handed out, marked again)──► …
//!   ▲                └──────────────┴─── no marked line left ──► Free
//!   ├──take──► Large, LargeRest … ──object dead──► Free
//!   └──take──► Immortal
//! ```
//!
//! Invariants: block 0 is never used, so that reference word 0 names nothing; the table covers the blocks below
//! the *frontier*, all beyond it are untouched; a bit of the bitmap is set exactly if the block's state is
//! [`BlockState::Free`]. The table knows nothing of addresses or of marks.

use dolmen_abi::reference::LOG_REF_SCALE;
use std::sync::atomic::{AtomicU64, Ordering};

/// Binary logarithm of [`BLOCK_BYTES`].
pub const LOG_BLOCK_BYTES: u32 = 15;

/// Size of a block, in bytes.
pub const BLOCK_BYTES: u32 = 1 << LOG_BLOCK_BYTES;

/// Binary logarithm of the reference units of a block.
pub const LOG_BLOCK_UNITS: u32 = LOG_BLOCK_BYTES - LOG_REF_SCALE;

/// Reference units of a block.
pub const BLOCK_UNITS: u32 = 1 << LOG_BLOCK_UNITS;

/// A block by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Block(pub u32);

/// What a block is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockState {
    Free,
    /// Objects, and holes for more.
    Recyclable,
    /// Objects; no hole to offer before the next collection.
    Full,
    /// Start of a large object.
    Large,
    /// Continuation of a large object.
    LargeRest,
    Immortal,
    /// Never used.
    Reserved,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    state: BlockState,
    /// Whether the memory may hold anything but zeros.
    dirty: bool,
    /// Recyclable: lines of the largest hole at most.
    largest_hole: u8,
}

/// The states of all blocks below the frontier.
#[derive(Debug)]
pub struct BlockTable {
    entries: Vec<Entry>,
    /// Bit `b % 64` of word `b / 64`: block `b` is free.
    free: Vec<u64>,
    /// Bit `b % 64` of word `b / 64`: block `b` has memory that was handed out since the last collection.
    fresh: Vec<u64>,
    /// Bit `b % 64` of word `b / 64`: block `b` has a marked object that was left unscanned.
    rescan: Vec<AtomicU64>,
    free_count: u32,
    dirty_count: u32,
    /// No word below this one has a bit set.
    first_free_word: usize,
    limit: u32,
}

impl Block {
    /// The block of this reference word.
    #[inline]
    pub const fn of_unit(unit: u32) -> Self {
        Self(unit >> LOG_BLOCK_UNITS)
    }

    /// Reference word of the block's first byte.
    #[inline]
    pub const fn start_unit(self) -> u32 {
        self.0 << LOG_BLOCK_UNITS
    }

    /// Distance of the block from the heap base, in bytes.
    pub const fn offset(self) -> u64 {
        (self.0 as u64) << LOG_BLOCK_BYTES
    }
}

impl BlockState {
    /// Name for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Recyclable => "recyclable",
            Self::Full => "full",
            Self::Large => "large",
            Self::LargeRest => "large (rest)",
            Self::Immortal => "immortal",
            Self::Reserved => "reserved",
        }
    }

    /// Whether objects that share the block are marked by lines.
    pub fn has_lines(self) -> bool {
        matches!(self, Self::Recyclable | Self::Full)
    }
}

impl BlockTable {
    /// A table for a region of `limit` blocks, of which none is known but the reserved one.
    pub fn new(limit: u32) -> Self {
        let reserved = Entry { state: BlockState::Reserved, dirty: false, largest_hole: 0 };
        Self {
            entries: vec![reserved],
            free: vec![0],
            fresh: vec![0],
            rescan: vec![AtomicU64::new(0)],
            free_count: 0,
            dirty_count: 0,
            first_free_word: 0,
            limit,
        }
    }

    /// Number of the first block that was never used.
    pub fn frontier(&self) -> u32 {
        self.entries.len() as u32
    }

    /// The first block that was never used.
    pub fn frontier_block(&self) -> Block {
        Block(self.frontier())
    }

    /// Number of blocks of the region.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Number of free blocks below the frontier.
    pub fn free_count(&self) -> u32 {
        self.free_count
    }

    /// Number of blocks whose memory was taken from the system and not given back.
    pub fn dirty_count(&self) -> u32 {
        self.dirty_count
    }

    /// All blocks below the frontier but the reserved one.
    pub fn iter(&self) -> impl Iterator<Item = Block> + use<> {
        (1..self.frontier()).map(Block)
    }

    pub fn state(&self, block: Block) -> BlockState {
        self.entries[block.0 as usize].state
    }

    /// Changes between states that are not free.
    pub fn set_state(&mut self, block: Block, state: BlockState) {
        debug_assert!(state != BlockState::Free && self.state(block) != BlockState::Free);
        self.entries[block.0 as usize].state = state;
    }

    /// Makes a block in use recyclable; no hole of it has more than `largest_hole` lines.
    pub fn set_recyclable(&mut self, block: Block, largest_hole: usize) {
        self.set_state(block, BlockState::Recyclable);
        self.entries[block.0 as usize].largest_hole = largest_hole as u8;
    }

    /// Notes that a block in use has a hole of `lines` lines.
    pub fn add_hole(&mut self, block: Block, lines: usize) {
        let largest = match self.state(block) {
            BlockState::Recyclable => usize::from(self.entries[block.0 as usize].largest_hole),
            _ => 0,
        };
        self.set_recyclable(block, largest.max(lines));
    }

    /// The first recyclable block at or after `from` that may have a hole of `lines` lines.
    pub fn next_recyclable(&self, from: Block, lines: usize) -> Option<Block> {
        let tail = self.entries.get(from.0 as usize..)?;
        let fits = |e: &Entry| e.state == BlockState::Recyclable && usize::from(e.largest_hole) >= lines;
        tail.iter().position(fits).map(|n| Block(from.0 + n as u32))
    }

    pub fn is_dirty(&self, block: Block) -> bool {
        self.entries[block.0 as usize].dirty
    }

    /// Notes whether the block's memory may hold anything but zeros.
    pub fn set_dirty(&mut self, block: Block, dirty: bool) {
        let entry = &mut self.entries[block.0 as usize];
        if entry.dirty != dirty {
            entry.dirty = dirty;
            self.dirty_count = if dirty { self.dirty_count + 1 } else { self.dirty_count - 1 };
        }
    }

    /// Notes that memory of the block is handed out.
    pub fn set_fresh(&mut self, block: Block) {
        self.fresh[block.0 as usize / 64] |= 1 << (block.0 % 64);
    }

    /// Whether memory of the block was handed out since the last collection.
    pub fn is_fresh(&self, block: Block) -> bool {
        self.fresh[block.0 as usize / 64] >> (block.0 % 64) & 1 != 0
    }

    /// The blocks with fresh memory, ascending.
    pub fn fresh(&self) -> impl Iterator<Item = Block> + use<'_> {
        let bits = |mut word: u64| {
            std::iter::from_fn(move || {
                let bit = word.trailing_zeros();
                word &= word.wrapping_sub(1);
                (bit < u64::BITS).then_some(bit)
            })
        };
        self.fresh
            .iter()
            .enumerate()
            .flat_map(move |(at, &word)| bits(word).map(move |bit| Block(at as u32 * 64 + bit)))
    }

    /// The first block at or after `from` with fresh memory; forgets that it has.
    pub fn take_fresh(&mut self, from: Block) -> Option<Block> {
        let start = from.0 as usize / 64;
        let tail = self.fresh.get_mut(start..)?;
        let word = tail.iter().position(|&w| w != 0)?;
        let bit = tail[word].trailing_zeros();
        tail[word] &= tail[word] - 1;
        Some(Block(((start + word) * 64) as u32 + bit))
    }

    /// Notes that a marked object of the block must be scanned again.
    pub fn request_rescan(&self, block: Block) {
        // Read when the threads that mark have run out of work, which orders it.
        self.rescan[block.0 as usize / 64].fetch_or(1 << (block.0 % 64), Ordering::Relaxed);
    }

    /// Whether a rescan was requested; forgets it.
    pub fn take_rescan(&self, block: Block) -> bool {
        let (word, bit) = (&self.rescan[block.0 as usize / 64], 1 << (block.0 % 64));
        // As above.
        word.load(Ordering::Relaxed) & bit != 0 && word.fetch_and(!bit, Ordering::Relaxed) & bit != 0
    }

    /// Moves the frontier up by `count` free blocks. False if the region or memory for the table ends.
    pub fn extend(&mut self, count: u32) -> bool {
        let frontier = self.frontier();
        let Some(end) = frontier.checked_add(count).filter(|&end| end <= self.limit) else { return false };
        let words = (end as usize).div_ceil(64);
        if self.entries.try_reserve(count as usize).is_err()
            || self.free.try_reserve(words.saturating_sub(self.free.len())).is_err()
            || self.fresh.try_reserve(words.saturating_sub(self.fresh.len())).is_err()
            || self.rescan.try_reserve(words.saturating_sub(self.rescan.len())).is_err()
        {
            return false;
        }
        self.entries.resize(end as usize, Entry { state: BlockState::Free, dirty: false, largest_hole: 0 });
        self.free.resize(words.max(self.free.len()), 0);
        self.fresh.resize(words.max(self.fresh.len()), 0);
        self.rescan.resize_with(words.max(self.rescan.len()), AtomicU64::default);
        for block in frontier..end {
            self.set_free_bit(block);
        }
        true
    }

    /// Takes the lowest free block.
    pub fn take_one(&mut self, state: BlockState) -> Option<Block> {
        let tail = self.free.get(self.first_free_word..)?;
        let word = self.first_free_word + tail.iter().position(|&w| w != 0)?;
        self.first_free_word = word;
        let block = Block((word * 64) as u32 + self.free[word].trailing_zeros());
        self.take(block, state);
        Some(block)
    }

    /// Finds the lowest run of `count` free blocks below the frontier.
    pub fn find_run(&self, count: u32) -> Option<Block> {
        let mut start = self.first_free_word as u32 * 64;
        let mut length = 0;
        let mut at = start;
        while at < self.frontier() {
            let word = self.free[at as usize / 64] >> (at % 64);
            let zeros = word.trailing_zeros().min(64 - at % 64);
            if zeros > 0 {
                at += zeros;
                (start, length) = (at, 0);
                continue;
            }
            let ones = word.trailing_ones();
            at += ones;
            length += ones;
            if length >= count {
                return Some(Block(start));
            }
        }
        None
    }

    /// Number of free blocks directly below the frontier.
    pub fn free_tail(&self) -> u32 {
        let free = |&b: &u32| self.state(Block(b)) == BlockState::Free;
        (1..self.frontier()).rev().take_while(free).count() as u32
    }

    /// Number of blocks of the large object that starts at this block.
    pub fn large_blocks(&self, start: Block) -> u32 {
        let rest = self.entries[start.0 as usize + 1..].iter().take_while(|e| e.state == BlockState::LargeRest);
        1 + rest.count() as u32
    }

    /// Takes this free block.
    pub fn take(&mut self, block: Block, state: BlockState) {
        debug_assert_eq!(self.state(block), BlockState::Free);
        self.entries[block.0 as usize].state = state;
        self.free[block.0 as usize / 64] &= !(1 << (block.0 % 64));
        self.free_count -= 1;
    }

    /// Frees a block.
    pub fn free(&mut self, block: Block) {
        debug_assert_ne!(self.state(block), BlockState::Free);
        self.entries[block.0 as usize].state = BlockState::Free;
        self.set_free_bit(block.0);
    }

    fn set_free_bit(&mut self, block: u32) {
        let word = block as usize / 64;
        self.free[word] |= 1 << (block % 64);
        self.free_count += 1;
        self.first_free_word = self.first_free_word.min(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_lowest_first_and_finds_runs() {
        let mut table = BlockTable::new(1000);
        assert!(table.take_one(BlockState::Full).is_none());
        assert!(table.extend(200));
        assert_eq!(table.take_one(BlockState::Full), Some(Block(1)));
        assert_eq!(table.take_one(BlockState::Full), Some(Block(2)));
        assert_eq!(table.find_run(150), Some(Block(3)));
        table.take(Block(70), BlockState::Full);
        assert_eq!(table.find_run(67), Some(Block(3)));
        assert_eq!(table.find_run(68), Some(Block(71)));
        assert_eq!(table.find_run(130), Some(Block(71)));
        assert_eq!(table.find_run(131), None);
        table.free(Block(1));
        assert_eq!(table.find_run(1), Some(Block(1)));
        assert_eq!(table.free_tail(), 130);
        assert_eq!(table.free_count(), 198);
    }

    #[test]
    fn remembers_fresh_blocks() {
        let mut table = BlockTable::new(1000);
        assert!(table.extend(200));
        for block in [3, 4, 64, 199] {
            table.set_fresh(Block(block));
        }
        assert_eq!(table.fresh().collect::<Vec<_>>(), [3, 4, 64, 199].map(Block));
        assert_eq!(table.take_fresh(Block(1)), Some(Block(3)));
        assert_eq!(table.take_fresh(Block(3)), Some(Block(4)));
        assert_eq!(table.take_fresh(Block(4)), Some(Block(64)));
        assert_eq!(table.take_fresh(Block(64)), Some(Block(199)));
        assert_eq!(table.take_fresh(Block(1)), None);
    }

    #[test]
    fn ends_at_the_limit() {
        let mut table = BlockTable::new(10);
        assert!(table.extend(9));
        assert!(!table.extend(1));
        assert_eq!(table.find_run(9), Some(Block(1)));
        assert_eq!(table.find_run(10), None);
    }
}
