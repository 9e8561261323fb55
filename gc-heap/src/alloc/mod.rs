//! Allocation behind the inline fast path: where the memory for the next objects comes from.
//!
//! Compiled code bumps through a buffer; when it ends, one of these provides:
//!
//! | object | memory |
//! |---|---|
//! | small: at most a line | the next hole of at least [`PREFERRED_HOLE_LINES`], in address order; then a free block; then any hole |
//! | medium: at most half a block | the *overflow* buffer, so that no hole is given up for it; that is refilled with the next hole that is large enough, then with a free block. What compiled code would not bump for starts a cache line with its elements |
//! | large | a run of blocks of its own ([`crate::large`]) |
//! | immortal | a buffer of its own, in blocks that no collection touches |
//!
//! Any hole fits a small object, but where survivors are strewn over blocks, holes of a line or two cost more than they
//! bring: a call for each, and memory that is far apart. They wait until no other memory is left, or until a major
//! collection moves the survivors together ([`crate::evacuate`]). Requests are classed by the power of two of their lines,
//! and each class goes through the holes once, so a search costs little even in a fragmented heap. When a mutator's
//! buffer is replaced before its end, whole lines of the rest are holes again.
//!
//! Invariants: memory in buffers is zero; buffers never cross a block's end; an [`Allocator`] knows nothing of
//! when to collect ([`crate::collectors`]) and of types.

pub mod stock;

use crate::block::{BLOCK_UNITS, Block, BlockState};
use crate::large::{self, MAX_SHARED_BYTES};
use crate::line::{LINE_BYTES, line_range};
use crate::space::{Piece, Space};
use dolmen_abi::collector::{AllocBuffer, MAX_INLINE_ALLOC_BYTES};
use dolmen_abi::reference::REF_UNIT_BYTES;
use std::ops::Range;
use stock::Stock;

/// Classes of hole sizes: class `k` serves requests of up to `1 << k` lines; [`SMALL_CLASS`] the small ones, and 0 when
/// memory is short.
const HOLE_CLASSES: usize = (MAX_SHARED_BYTES / LINE_BYTES + 1).next_power_of_two().ilog2() as usize + 1;

/// Lines of a hole that small objects are put in while there is other memory. Milliseconds of a call with 1, 4 and 16
/// (EPYC, Zen 5, 2 cores, two processes by turns): script 413, 344, 341; hashmap 246, 255, 297; binary_trees 218, 217, 219. With 4 and
/// 16, since blocks in use count as growth: script 335, 319; hashmap 216, 229; big_heap 304, 295; binary_trees 230, 234.
const PREFERRED_HOLE_LINES: usize = 4;

/// With fewer blocks left than this, mutators get what they need now and nothing ahead.
const MIN_UNUSED_BLOCKS: u32 = 1024;

/// The class of these holes.
const SMALL_CLASS: usize = PREFERRED_HOLE_LINES.ilog2() as usize;

/// Reference units of a line.
const LINE_UNITS: u32 = LINE_BYTES / REF_UNIT_BYTES;

/// Source of memory for objects.
#[derive(Debug)]
pub struct Allocator {
    /// Where the search for the next hole of each class goes on.
    cursors: [HoleCursor; HOLE_CLASSES],
    overflow: AllocBuffer,
    immortal: AllocBuffer,
    handed_out_bytes: u64,
    allocated_bytes: u64,
}

/// A place in the sequence of all lines.
#[derive(Clone, Copy, Debug)]
struct HoleCursor {
    block: Block,
    line: usize,
}

impl Allocator {
    pub fn new() -> Self {
        Self {
            cursors: [HoleCursor::START; HOLE_CLASSES],
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
        if let Some(object) = self.bump_in_line(buffer, bytes) {
            return Some(object);
        }
        if bytes > LINE_BYTES {
            return self.alloc_medium(space, buffer, bytes);
        }
        let piece = self.take_hole(space, PREFERRED_HOLE_LINES);
        let piece = piece.or_else(|| space.take_shared_block()).or_else(|| self.take_hole(space, 1))?;
        self.replace(space, buffer, piece);
        bump(buffer, bytes)
    }

    /// Puts a piece into a mutator's stock, unless memory is short.
    pub fn stock_up(&mut self, space: &mut Space, stock: &mut Stock) -> bool {
        if space.unused_blocks() < MIN_UNUSED_BLOCKS {
            return false;
        }
        let piece = self.take_hole(space, PREFERRED_HOLE_LINES).or_else(|| space.take_shared_block());
        let Some(piece) = piece else { return false };
        self.count(&piece.units);
        stock.add(piece);
        true
    }

    /// Takes back what a mutator has in stock.
    pub fn retire_stock(&mut self, stock: &mut Stock) {
        self.allocated_bytes -= stock.retire();
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
        self.cursors = [HoleCursor::START; HOLE_CLASSES];
        self.handed_out_bytes = 0;
    }

    fn alloc_large(&mut self, space: &mut Space, bytes: u32) -> Option<u32> {
        let object = large::alloc(space, bytes)?;
        self.handed_out_bytes += u64::from(bytes);
        self.allocated_bytes += u64::from(bytes);
        Some(object)
    }

    fn alloc_medium(&mut self, space: &mut Space, buffer: &mut AllocBuffer, bytes: u32) -> Option<u32> {
        let mut overflow = self.overflow;
        let object = self.bump_in_line(&mut overflow, bytes);
        self.overflow = overflow;
        if object.is_some() {
            return object;
        }
        // A line more than needed, so that there is room for the object's place in it.
        let lines = bytes.div_ceil(LINE_BYTES) as usize + usize::from(bytes > MAX_INLINE_ALLOC_BYTES);
        let piece = self.take_hole(space, lines).or_else(|| space.take_shared_block())?;
        if self.small_holes_end(space) {
            // Small objects need the same kind of memory now.
            self.replace(space, buffer, piece);
            return self.bump_in_line(buffer, bytes);
        }
        self.replace(space, &mut overflow, piece);
        let object = self.bump_in_line(&mut overflow, bytes);
        self.overflow = overflow;
        object
    }

    /// Bumps for an object. One of more bytes than compiled code bumps for may be an array over which loops run: its
    /// elements start a cache line.
    fn bump_in_line(&mut self, buffer: &mut AllocBuffer, bytes: u32) -> Option<u32> {
        if bytes <= MAX_INLINE_ALLOC_BYTES {
            return bump(buffer, bytes);
        }
        let skipped = large::units_to_line(buffer.cursor);
        let mut behind = AllocBuffer { cursor: buffer.cursor.checked_add(skipped)?, ..*buffer };
        let object = bump(&mut behind, bytes)?;
        *buffer = behind;
        self.allocated_bytes -= u64::from(skipped) * u64::from(REF_UNIT_BYTES);
        Some(object)
    }

    /// Puts fresh memory into a buffer, zeroed; what is left of the old goes back.
    fn replace(&mut self, space: &mut Space, buffer: &mut AllocBuffer, Piece { units, is_zero }: Piece) {
        if buffer.cursor < buffer.limit {
            let returned = space.give_back(buffer.cursor..buffer.limit);
            self.handed_out_bytes -= bytes_of(&returned);
            for cursor in &mut self.cursors[..=SMALL_CLASS] {
                cursor.move_back_to(returned.clone());
            }
        }
        self.retire(buffer);
        self.count(&units);
        if !is_zero {
            space.region.zero(units.start, units.end);
        }
        *buffer = AllocBuffer { cursor: units.start, limit: units.end };
    }

    /// Counts memory that is handed out.
    fn count(&mut self, units: &Range<u32>) {
        self.handed_out_bytes += bytes_of(units);
        self.allocated_bytes += bytes_of(units);
    }

    /// Takes the next hole of at least `lines` lines.
    fn take_hole(&mut self, space: &mut Space, lines: usize) -> Option<Piece> {
        let class = lines.next_power_of_two().ilog2() as usize;
        let cursor = &mut self.cursors[class];
        while let Some(block) = cursor.find_block(space, lines) {
            if let Some(hole) = space.take_hole(block, cursor.line, lines) {
                cursor.line = ((hole.units.end - block.start_unit()) / LINE_UNITS) as usize;
                return Some(hole);
            }
            *cursor = HoleCursor { block: Block(block.0 + 1), line: 0 };
        }
        None
    }

    /// Whether the search for holes that small objects prefer has come to the end.
    fn small_holes_end(&mut self, space: &Space) -> bool {
        self.cursors[SMALL_CLASS].find_block(space, PREFERRED_HOLE_LINES).is_none()
    }
}

impl HoleCursor {
    const START: Self = Self { block: Block(1), line: 0 };

    /// Moves on to a block that may have a hole of this size, or to the frontier if there is none.
    fn find_block(&mut self, space: &Space, lines: usize) -> Option<Block> {
        let found = space.blocks.next_recyclable(self.block, lines);
        let block = found.unwrap_or(Block(space.blocks.frontier()));
        if block != self.block {
            *self = Self { block, line: 0 };
        }
        found
    }

    /// Lets the search see a hole in its current block that it has passed.
    fn move_back_to(&mut self, hole: Range<u32>) {
        if !hole.is_empty() && Block::of_unit(hole.start) == self.block {
            self.line = self.line.min(line_range(hole.start, hole.end).start);
        }
    }
}

fn bytes_of(units: &Range<u32>) -> u64 {
    u64::from(units.end - units.start) * u64::from(REF_UNIT_BYTES)
}

/// What compiled code does inline.
pub fn bump(buffer: &mut AllocBuffer, bytes: u32) -> Option<u32> {
    let object = buffer.cursor;
    let end = object.checked_add(bytes / REF_UNIT_BYTES).filter(|&end| end <= buffer.limit)?;
    buffer.cursor = end;
    Some(object)
}
