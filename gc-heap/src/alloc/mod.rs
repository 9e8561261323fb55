//! Allocation behind the inline fast path: where the memory for the next objects comes from.
//!
//! Compiled code bumps through a buffer; when it ends, one of these provides:
//!
//! | object | memory |
//! |---|---|
//! | small: at most a line | the next hole of a recyclable block, in address order; then a free block |
//! | medium: at most half a block | the *overflow* buffer, cut from free blocks, so that holes are not skipped for it; a large enough hole if no block is free |
//! | large | a run of blocks of its own ([`crate::large`]) |
//! | immortal | a buffer of its own, in blocks that no collection touches |
//!
//! Any hole fits a small object, so a small allocation looks at no hole twice between collections.
//!
//! Invariants: memory in buffers is zero; buffers never cross a block's end; an [`Allocator`] knows nothing of
//! when to collect ([`crate::collectors`]) and of types.

use crate::block::{BLOCK_UNITS, Block, BlockState};
use crate::large::{self, MAX_SHARED_BYTES};
use crate::line::{LINE_BYTES, LINES_PER_BLOCK};
use crate::space::Space;
use dolmen_abi::collector::AllocBuffer;
use dolmen_abi::reference::REF_UNIT_BYTES;
use std::ops::Range;

/// Source of memory for objects.
#[derive(Debug)]
pub struct Allocator {
    /// Where the search for the next hole goes on.
    hole_block: Block,
    hole_line: usize,
    overflow: AllocBuffer,
    immortal: AllocBuffer,
    handed_out_bytes: u64,
    allocated_bytes: u64,
}

impl Allocator {
    pub fn new() -> Self {
        Self {
            hole_block: Block(1),
            hole_line: 0,
            overflow: AllocBuffer::default(),
            immortal: AllocBuffer::default(),
            handed_out_bytes: 0,
            allocated_bytes: 0,
        }
    }

    /// Bytes handed out since the last collection.
    pub fn handed_out_bytes(&self) -> u64 {
        self.handed_out_bytes
    }

    /// Bytes of all objects ever; what is left in buffers counts.
    pub fn allocated_bytes(&self) -> u64 {
        self.allocated_bytes
    }

    /// Memory for an object of `bytes` bytes, a multiple of the object alignment: its reference word. A small
    /// object refills `buffer`.
    pub fn alloc(&mut self, space: &mut Space, buffer: &mut AllocBuffer, bytes: u32) -> Option<u32> {
        if bytes > MAX_SHARED_BYTES {
            return self.alloc_large(space, bytes);
        }
        if let Some(object) = bump(buffer, bytes) {
            return Some(object);
        }
        if bytes > LINE_BYTES {
            return self.alloc_medium(space, buffer, bytes);
        }
        let memory = self.take_next_hole(space).or_else(|| take_block(space))?;
        self.replace(buffer, memory);
        bump(buffer, bytes)
    }

    /// Memory for an object that is never freed; its mark bit is set for good.
    pub fn alloc_immortal(&mut self, space: &mut Space, bytes: u32) -> Option<u32> {
        let object = match bump(&mut self.immortal, bytes) {
            Some(object) => object,
            None => {
                let count = large::blocks_of(bytes);
                let start = space.take_run(count, BlockState::Immortal, BlockState::Immortal)?.start_unit();
                if count > 1 {
                    start
                } else {
                    self.immortal = AllocBuffer { cursor: start, limit: start + BLOCK_UNITS };
                    bump(&mut self.immortal, bytes)?
                }
            }
        };
        space.marks.set(object);
        self.allocated_bytes += u64::from(bytes);
        Some(object)
    }

    /// Empties a buffer; what was left in it was never allocated.
    pub fn retire(&mut self, buffer: &mut AllocBuffer) {
        self.allocated_bytes -= u64::from(buffer.limit - buffer.cursor) * u64::from(REF_UNIT_BYTES);
        *buffer = AllocBuffer::default();
    }

    /// Empties the allocator's own buffers, before a collection.
    pub fn retire_own(&mut self) {
        let mut overflow = self.overflow;
        self.retire(&mut overflow);
        self.overflow = overflow;
    }

    /// Starts over after a collection has changed what is free.
    pub fn restart(&mut self) {
        (self.hole_block, self.hole_line) = (Block(1), 0);
        self.handed_out_bytes = 0;
    }

    fn alloc_large(&mut self, space: &mut Space, bytes: u32) -> Option<u32> {
        let object = large::alloc(space, bytes)?;
        self.handed_out_bytes += u64::from(bytes);
        self.allocated_bytes += u64::from(bytes);
        Some(object)
    }

    fn alloc_medium(&mut self, space: &mut Space, buffer: &mut AllocBuffer, bytes: u32) -> Option<u32> {
        if let Some(object) = bump(&mut self.overflow, bytes) {
            return Some(object);
        }
        let memory = match take_block(space) {
            // Nothing is skipped if there are no holes left: the mutator gets the block.
            Some(memory) if self.holes_end(space) => {
                self.replace(buffer, memory);
                return bump(buffer, bytes);
            }
            Some(memory) => memory,
            None => self.find_hole(space, bytes.div_ceil(LINE_BYTES) as usize)?,
        };
        let mut overflow = self.overflow;
        self.replace(&mut overflow, memory);
        self.overflow = overflow;
        bump(&mut self.overflow, bytes)
    }

    fn replace(&mut self, buffer: &mut AllocBuffer, memory: Range<u32>) {
        self.retire(buffer);
        let bytes = u64::from(memory.end - memory.start) * u64::from(REF_UNIT_BYTES);
        self.handed_out_bytes += bytes;
        self.allocated_bytes += bytes;
        *buffer = AllocBuffer { cursor: memory.start, limit: memory.end };
    }

    fn take_next_hole(&mut self, space: &mut Space) -> Option<Range<u32>> {
        while !self.holes_end(space) {
            if let Some(hole) = space.take_hole(self.hole_block, self.hole_line, 1) {
                let next = hole.end - self.hole_block.start_unit();
                self.hole_line = (next / (LINE_BYTES / REF_UNIT_BYTES)) as usize;
                return Some(hole);
            }
            space.blocks.set_state(self.hole_block, BlockState::Full);
            self.hole_line = LINES_PER_BLOCK;
        }
        None
    }

    /// Moves on to the next recyclable block with lines left to look at; true if there is none.
    fn holes_end(&mut self, space: &Space) -> bool {
        let frontier = space.blocks.frontier();
        while self.hole_block.0 < frontier {
            let recyclable = space.blocks.state(self.hole_block) == BlockState::Recyclable;
            if recyclable && self.hole_line < LINES_PER_BLOCK {
                return false;
            }
            self.hole_block.0 += 1;
            self.hole_line = 0;
        }
        true
    }

    /// Takes a hole of some size without giving up smaller ones.
    fn find_hole(&self, space: &mut Space, min_lines: usize) -> Option<Range<u32>> {
        (self.hole_block.0..space.blocks.frontier()).map(Block).find_map(|block| {
            let recyclable = space.blocks.state(block) == BlockState::Recyclable;
            if recyclable { space.take_hole(block, 0, min_lines) } else { None }
        })
    }
}

fn take_block(space: &mut Space) -> Option<Range<u32>> {
    let start = space.take_shared_block()?.start_unit();
    Some(start..start + BLOCK_UNITS)
}

/// What compiled code does inline.
pub fn bump(buffer: &mut AllocBuffer, bytes: u32) -> Option<u32> {
    let object = buffer.cursor;
    let end = object.checked_add(bytes / REF_UNIT_BYTES).filter(|&end| end <= buffer.limit)?;
    buffer.cursor = end;
    Some(object)
}
