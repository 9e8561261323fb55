//! The space: the heap region with its side tables, and what can be taken from it.
//!
//! All objects of a heap live in one region of blocks. Beside it stand tables indexed by the same offsets: mark
//! bits (where survivors start), line marks (what memory they touch), block states. This module hands out
//! memory as blocks, runs of blocks and holes; which of them an allocation gets is decided in
//! [`crate::alloc`], what becomes free again in [`sweep`].
//!
//! Invariants: memory that is handed out is zero, or a [`Piece`] that says whether it is; its block is dirty from then
//! on; its lines are [`LINE_FRESH`] if it is shared by small objects.

pub mod ahead;
pub mod mark_bits;
pub mod region;
pub mod sweep;
pub mod young;

use crate::block::{BLOCK_BYTES, BLOCK_UNITS, Block, BlockState, BlockTable, LOG_BLOCK_BYTES};
use crate::large::{self, LargeObjects};
use crate::line::{LINE_FREE, LINE_FRESH, LINE_LIVE, LOG_LINE_UNITS, LineTable, line_range, next_hole, used_mask};
use crate::os::System;
use ahead::{Ahead, MAX_AHEAD_BYTES, Pages};
use dolmen_abi::reference::NULL_REF;
use mark_bits::MarkBits;
use region::{Region, SMALL_PAGES_BYTES};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use young::YoungLines;

/// Memory for small objects: a hole, or a whole block.
#[derive(Debug)]
pub struct Piece {
    pub units: Range<u32>,
    /// Whether the memory is zero already.
    pub is_zero: bool,
}

/// Blocks that are kept for copies of objects: where the last block is full of sparse ones, nothing could be moved
/// together any more.
#[derive(Debug)]
struct Reserve {
    blocks: u32,
    /// It may be taken for anything: nothing else is left, or objects are being copied.
    is_open: bool,
}

/// The region of a heap with its tables.
#[derive(Debug)]
pub struct Space {
    pub region: Region,
    pub marks: MarkBits,
    pub lines: LineTable,
    pub blocks: BlockTable,
    pub large: LargeObjects,
    /// As a minor collection found them when it began.
    pub young: YoungLines,
    /// A minor collection has stopped early: survivors may share their lines with fresh objects.
    pub is_unswept: bool,
    reserve: Reserve,
    system: System,
    /// Whether huge pages were asked for; not before the heap needs some, so that a small one has few mappings.
    has_huge_pages: bool,
    ahead: Ahead,
    /// The frontier has come into another huge page since this was last cleared.
    has_entered_page: bool,
}

impl Space {
    /// Reserves a space of `max_bytes` bytes, whole blocks, of which `reserve_bytes` are kept for copies.
    pub fn new(mut system: System, max_bytes: u64, reserve_bytes: u64) -> io::Result<Self> {
        let limit = 1 + (max_bytes >> LOG_BLOCK_BYTES) as u32;
        let reserve = Reserve { blocks: reserve_bytes.div_ceil(u64::from(BLOCK_BYTES)) as u32, is_open: false };
        let mut marks = MarkBits::new(&mut system, limit)?;
        // Null is always marked: the tracer need not tell it from an object seen before.
        marks.set(NULL_REF);
        let region = Region::reserve(&mut system, limit)?;
        Ok(Self {
            ahead: region.ahead(),
            has_entered_page: false,
            region,
            marks,
            lines: LineTable::new(&mut system, limit)?,
            blocks: BlockTable::new(limit),
            large: LargeObjects::default(),
            young: YoungLines::default(),
            is_unswept: false,
            reserve,
            system,
            has_huge_pages: false,
        })
    }

    /// Where side tables of others come from.
    pub fn system(&mut self) -> &mut System {
        &mut self.system
    }

    /// Takes one block for objects that share it; all its lines are fresh.
    pub fn take_shared_block(&mut self) -> Option<Piece> {
        if !self.may_take(1) || (self.blocks.free_count() == 0 && !self.grow(1)) {
            return None;
        }
        let block = self.blocks.take_one(BlockState::Full)?;
        let is_zero = !self.blocks.is_dirty(block);
        self.blocks.set_dirty(block, true);
        self.lines.of_block_mut(block).fill(LINE_FRESH);
        self.blocks.set_fresh(block);
        Some(Piece { units: block.start_unit()..block.start_unit() + BLOCK_UNITS, is_zero })
    }

    /// Takes `count` zeroed blocks in a row: the first in state `first`, the others in state `rest`.
    pub fn take_run(&mut self, count: u32, first: BlockState, rest: BlockState) -> Option<Block> {
        if !self.may_take(count) {
            return None;
        }
        let start = self.blocks.find_run(count).or_else(|| {
            let tail = self.blocks.free_tail();
            let start = Block(self.blocks.frontier() - tail);
            self.grow(count - tail).then_some(start)
        })?;
        self.blocks.take(start, first);
        for block in start.0 + 1..start.0 + count {
            self.blocks.take(Block(block), rest);
        }
        self.prepare(start, count);
        Some(start)
    }

    /// Takes the first hole of at least `min_lines` lines at or after line `from` of a recyclable block.
    pub fn take_hole(&mut self, block: Block, from: usize, min_lines: usize) -> Option<Piece> {
        let lines = self.lines.of_block_mut(block);
        let used = used_mask(lines);
        let mut hole = next_hole(used, from)?;
        while hole.len() < min_lines {
            hole = next_hole(used, hole.end)?;
        }
        lines[hole.clone()].fill(LINE_FRESH);
        self.blocks.set_fresh(block);
        let unit = |line: usize| block.start_unit() + ((line as u32) << LOG_LINE_UNITS);
        Some(Piece { units: unit(hole.start)..unit(hole.end), is_zero: false })
    }

    /// Takes whole lines of a buffer's unused rest `units` back; the units taken back.
    pub fn give_back(&mut self, units: Range<u32>) -> Range<u32> {
        let start = units.start.next_multiple_of(1 << LOG_LINE_UNITS);
        if start >= units.end {
            return units.end..units.end;
        }
        let block = Block::of_unit(start);
        let lines = line_range(start, units.end);
        let length = lines.len();
        self.lines.of_block_mut(block)[lines].fill(LINE_FREE);
        self.blocks.add_hole(block, length);
        start..units.end
    }

    /// Whether an object may start here: a survivor, an immortal or large object, or memory handed out since the
    /// last collection.
    pub fn may_hold_object(&self, unit: u32) -> bool {
        let block = Block::of_unit(unit);
        if block.0 >= self.blocks.frontier() {
            return false;
        }
        match self.blocks.state(block) {
            BlockState::Large => unit == large::object_in(block),
            BlockState::Immortal => self.marks.get(unit),
            BlockState::Recyclable | BlockState::Full => self.marks.get(unit) || self.is_fresh(unit, unit + 1),
            BlockState::Free | BlockState::LargeRest | BlockState::Reserved => false,
        }
    }

    /// Whether the units `start..end` of a shared block may be of an object without a mark.
    pub fn is_fresh(&self, start: u32, end: u32) -> bool {
        let is_unswept = self.is_unswept && self.blocks.is_fresh(Block::of_unit(start));
        let may_be = |&line: &u8| line == LINE_FRESH || (is_unswept && line == LINE_LIVE);
        self.lines.of_units(start, end).iter().all(may_be)
    }

    /// Bytes of the region that hold objects or are kept for them.
    pub fn heap_bytes(&self) -> u64 {
        u64::from(self.blocks.dirty_count()) << LOG_BLOCK_BYTES
    }

    /// Bytes of the blocks that objects share.
    pub fn shared_bytes(&self) -> u64 {
        (self.blocks.iter().filter(|&b| self.blocks.state(b).has_lines()).count() as u64) << LOG_BLOCK_BYTES
    }

    /// Bytes of the blocks in use.
    pub fn used_bytes(&self) -> u64 {
        u64::from(self.blocks.frontier() - 1 - self.blocks.free_count()) << LOG_BLOCK_BYTES
    }

    /// Bytes of the region below the frontier.
    pub fn frontier_bytes(&self) -> u64 {
        u64::from(self.blocks.frontier() - 1) << LOG_BLOCK_BYTES
    }

    /// Whether the frontier has come into another huge page since the last question.
    pub fn has_entered_page(&mut self) -> bool {
        std::mem::take(&mut self.has_entered_page)
    }

    /// Prepares for taking `bytes` bytes behind the frontier before the next collection; what a helper is to be called
    /// for, if it is.
    pub fn look_ahead(&mut self, bytes: u64) -> Option<&Arc<Pages>> {
        let blocks = (bytes.min(MAX_AHEAD_BYTES) >> LOG_BLOCK_BYTES) as u32;
        let end = self.blocks.frontier().saturating_add(blocks).min(self.blocks.limit());
        let is_committed = self.has_huge_pages && self.region.commit(&mut self.system, end);
        self.ahead.extend(if is_committed { Block(end).offset() } else { 0 })
    }

    /// Clears all marks but those of immortal objects, before a collection marks anew.
    pub fn clear_marks(&mut self) {
        let frontier = self.blocks.frontier();
        let is_immortal = |b: &u32| self.blocks.state(Block(*b)) == BlockState::Immortal;
        let mut at = 1;
        while at < frontier {
            let end = (at..frontier).find(is_immortal).unwrap_or(frontier);
            self.marks.clear(Block(at), Block(end));
            at = end + 1;
        }
        self.lines.clear(frontier);
    }

    /// Blocks that are not in use, those that the system was not asked for yet included.
    pub fn unused_blocks(&self) -> u32 {
        self.blocks.limit() - self.blocks.frontier() + self.blocks.free_count()
    }

    /// Lets the reserve be taken for anything, or keeps it for copies; how it was.
    pub fn set_reserve_open(&mut self, is_open: bool) -> bool {
        std::mem::replace(&mut self.reserve.is_open, is_open)
    }

    /// After a collection: keeps the reserve for copies again, if that leaves as much for others: a program that fills its heap to the last
    /// block is not to collect for each.
    pub fn close_reserve(&mut self) {
        self.reserve.is_open &= self.unused_blocks() < 2 * self.reserve.blocks;
    }

    fn may_take(&self, count: u32) -> bool {
        let kept = if self.reserve.is_open { 0 } else { self.reserve.blocks };
        u64::from(count) + u64::from(kept) <= u64::from(self.unused_blocks())
    }

    fn grow(&mut self, count: u32) -> bool {
        let Some(end) = self.blocks.frontier().checked_add(count) else { return false };
        if end > self.blocks.limit() || !self.region.commit(&mut self.system, end) {
            return false;
        }
        if !self.has_huge_pages && Block(end).offset() > SMALL_PAGES_BYTES {
            self.has_huge_pages = true;
            self.region.prefer_huge_pages();
            self.marks.prefer_huge_pages();
            self.lines.prefer_huge_pages();
        }
        self.has_entered_page |= self.ahead.enter(Block(end).offset());
        self.young.reserve(end) && self.blocks.extend(count)
    }

    /// Makes blocks that were just taken zero.
    fn prepare(&mut self, start: Block, count: u32) {
        let mut at = start.0;
        let end = start.0 + count;
        while at < end {
            let dirty = self.blocks.is_dirty(Block(at));
            let run_end = (at + 1..end).find(|&b| self.blocks.is_dirty(Block(b)) != dirty).unwrap_or(end);
            if dirty {
                self.region.zero(Block(at).start_unit(), Block(run_end - 1).start_unit() + BLOCK_UNITS);
            }
            at = run_end;
        }
        for block in start.0..end {
            self.blocks.set_dirty(Block(block), true);
        }
    }
}
