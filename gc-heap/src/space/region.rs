//! The memory of the heap, by reference words.
//!
//! All access to object memory by the heap itself goes through here, so that the rest of the crate never computes
//! an address. The region is reserved whole; blocks below [`Region::committed`] are accessible.
//!
//! Invariant: object memory is shared with running compiled code, so no Rust reference to it is ever made; reads
//! and writes are of plain words through raw pointers.

#![allow(unsafe_code, reason = "reads and writes object memory")]

use super::ahead::Ahead;
use crate::block::{BLOCK_BYTES, Block};
use crate::os::{HUGE_PAGE_BYTES, Mapping, System};
use dolmen_abi::reference::{LOG_REF_SCALE, REF_UNIT_BYTES};
use std::io;
use std::sync::Arc;

/// Blocks that are made accessible at once, so that a growing heap makes few system calls.
const MIN_COMMIT_BLOCKS: u32 = (1 << 20) / BLOCK_BYTES;

/// So much of a region has small pages, so that a small heap takes little memory.
pub const SMALL_PAGES_BYTES: u64 = 4 << 20;

/// Blocks of a huge page; beyond the small pages commits end at a multiple.
const HUGE_PAGE_BLOCKS: u32 = (HUGE_PAGE_BYTES / BLOCK_BYTES as u64) as u32;

/// A growing heap commits this fraction of its size at once.
const COMMIT_FRACTION: u32 = 8;

/// The heap region.
#[derive(Debug)]
pub struct Region {
    mapping: Arc<Mapping>,
    blocks: u32,
    committed: u32,
}

impl Region {
    /// Reserves a region of `blocks` blocks.
    pub fn reserve(system: &mut System, blocks: u32) -> io::Result<Self> {
        let mapping = system.reserve(Block(blocks).offset())?;
        Ok(Self { mapping: Arc::new(mapping), blocks, committed: 1 })
    }

    /// Address of reference word 0.
    pub fn base(&self) -> *mut u8 {
        self.mapping.base()
    }

    /// Makes the blocks below `end` accessible. False if the system refuses.
    pub fn commit(&mut self, system: &mut System, end: u32) -> bool {
        if end <= self.committed {
            return true;
        }
        let mut generous = end.max(self.committed + (self.committed / COMMIT_FRACTION).max(MIN_COMMIT_BLOCKS));
        if Block(generous).offset() > SMALL_PAGES_BYTES {
            generous = generous.next_multiple_of(HUGE_PAGE_BLOCKS);
        }
        self.commit_exactly(system, generous.min(self.blocks)) || self.commit_exactly(system, end)
    }

    /// Asks for huge pages behind the first [`SMALL_PAGES_BYTES`].
    pub fn prefer_huge_pages(&self) {
        self.mapping.prefer_huge_pages_from(SMALL_PAGES_BYTES);
    }

    /// What takes memory for huge pages ahead of need.
    pub fn ahead(&self) -> Ahead {
        Ahead::new(Arc::clone(&self.mapping), SMALL_PAGES_BYTES)
    }

    /// Gives the memory of `count` blocks back; it reads as zero afterwards. False if the system refuses.
    pub fn release(&mut self, start: Block, count: u32) -> bool {
        debug_assert!(start.0 + count <= self.committed);
        self.mapping.release(start.offset(), Block(count).offset())
    }

    /// Zeroes the units `start..end`.
    pub fn zero(&mut self, start: u32, end: u32) {
        self.fill(start, end, 0);
    }

    /// Fills the units `start..end` with a byte.
    pub fn fill(&mut self, start: u32, end: u32, byte: u8) {
        self.check(start, end);
        let bytes = (end - start) as usize * REF_UNIT_BYTES as usize;
        // SAFETY: the range lies in committed memory (checked) and belongs to no object: callers hold the space
        // exclusively and pass memory that is not handed out.
        unsafe { self.at(start, 0).write_bytes(byte, bytes) };
    }

    /// The 32-bit word `offset` bytes into the object at `unit`; both are multiples of 4.
    pub fn read_u32(&self, unit: u32, offset: u32) -> u32 {
        self.check(unit + offset / REF_UNIT_BYTES, unit + offset / REF_UNIT_BYTES + 1);
        // SAFETY: the word lies in committed memory (checked) and is aligned.
        unsafe { self.at(unit, offset).cast::<u32>().read() }
    }

    /// The 64-bit word `offset` bytes into the object at `unit`; a multiple of 8.
    pub fn read_u64(&self, unit: u32, offset: u32) -> u64 {
        self.check(unit + offset / REF_UNIT_BYTES, unit + offset / REF_UNIT_BYTES + 2);
        // SAFETY: the word lies in committed memory (checked) and is aligned.
        unsafe { self.at(unit, offset).cast::<u64>().read() }
    }

    /// Writes a word of an object that nobody else sees yet.
    pub fn write_u32(&mut self, unit: u32, offset: u32, value: u32) {
        self.check(unit + offset / REF_UNIT_BYTES, unit + offset / REF_UNIT_BYTES + 1);
        // SAFETY: the word lies in committed memory (checked), is aligned and part of a fresh object.
        unsafe { self.at(unit, offset).cast::<u32>().write(value) };
    }

    /// Writes a word of an object that nobody else sees yet.
    pub fn write_u64(&mut self, unit: u32, offset: u32, value: u64) {
        self.check(unit + offset / REF_UNIT_BYTES, unit + offset / REF_UNIT_BYTES + 2);
        // SAFETY: the word lies in committed memory (checked), is aligned and part of a fresh object.
        unsafe { self.at(unit, offset).cast::<u64>().write(value) };
    }

    fn commit_exactly(&mut self, system: &mut System, end: u32) -> bool {
        let start = Block(self.committed).offset();
        let done = system.commit(&self.mapping, start, self.huge_page_end(Block(end).offset()) - start).is_ok();
        if done {
            self.committed = end;
        }
        done
    }

    /// The end of the huge page that `offset` is in, at which an accessible part must end: what is touched of a page
    /// that is not wholly accessible keeps it from ever being huge.
    fn huge_page_end(&self, offset: u64) -> u64 {
        if offset <= SMALL_PAGES_BYTES { offset } else { self.mapping.huge_page_end(offset) }
    }

    fn check(&self, start: u32, end: u32) {
        let first = Block(1).start_unit();
        assert!(
            first <= start && start <= end && u64::from(end) << LOG_REF_SCALE <= Block(self.committed).offset(),
            "units {start:#x}..{end:#x} are not in the heap"
        );
    }

    fn at(&self, unit: u32, offset: u32) -> *mut u8 {
        self.base().wrapping_add(((unit as usize) << LOG_REF_SCALE) + offset as usize)
    }
}
