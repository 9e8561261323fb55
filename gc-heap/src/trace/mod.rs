//! Tracing: from the roots to everything reachable.
//!
//! An object is marked when the first reference to it is seen, and scanned once after that: its lines are marked
//! over its exact size and the objects it refers to are visited.
//!
//! ```text
//! visit(word):  if object and mark bit clear: set it; push
//! scan(object): type word -> descriptor -> size, references; mark lines; visit each reference
//! drain:        while pop: scan;  then chunks of large arrays;  then blocks with lost entries
//! ```
//!
//! Memory is bounded. Arrays longer than a chunk are scanned chunk by chunk, so their elements do not flood the
//! stack. When the stack is full, the object stays marked and its block is noted; once the stack is empty, all
//! marked objects of noted blocks are scanned again. Each such round starts with an empty stack and ends with all
//! it found marked, so it makes progress even if the stack holds nothing at all. Scanning an object twice is
//! harmless but for the count of live bytes, which is then made anew from the marks.
//!
//! Invariants: all mutators are stopped and their buffers retired; mark bits and lines were cleared before, but
//! for immortal objects, which are thus never visited.

#![allow(unsafe_code, reason = "reads object memory and writes side tables at machine speed")]

mod stack;

pub use stack::MarkStack;

use crate::block::{Block, BlockState, BlockTable};
use crate::interface::to_runtime::TypeTable;
use crate::large::MAX_SHARED_BYTES;
use crate::line::{LINE_LIVE, LOG_LINE_UNITS};
use crate::space::Space;
use crate::space::mark_bits::{WORDS_PER_BLOCK, position};
use dolmen_abi::object::{ARRAY_ELEMENTS_OFFSET, ARRAY_LENGTH_OFFSET, EXTERN_BYTES, FUNC_BYTES, TYPE_WORD_OFFSET};
use dolmen_abi::reference::{LOG_REF_SCALE, OBJECT_ALIGN_BYTES, REF_BYTES, REF_UNIT_BYTES, is_object};
use dolmen_abi::type_desc::{Kind, TypeDesc};

/// Elements of an array that are scanned at once.
const CHUNK_ELEMENTS: u32 = 4096;

/// A collection's walk over the heap.
pub struct Tracer<'a> {
    heap: *const u8,
    type_base: *const u8,
    marks: *mut u64,
    lines: *mut u8,
    space: &'a mut Space,
    types: &'a dyn TypeTable,
    stack: &'a mut MarkStack,
    /// Large arrays that were scanned up to an element.
    arrays: Vec<ArrayRest>,
    live_bytes: u64,
    /// A block was noted for a rescan since this was last cleared.
    lost: bool,
    ever_lost: bool,
}

#[derive(Clone, Copy)]
struct ArrayRest {
    unit: u32,
    next: u32,
}

impl<'a> Tracer<'a> {
    /// A tracer over a space whose marks are clear.
    pub fn new(space: &'a mut Space, types: &'a dyn TypeTable, stack: &'a mut MarkStack) -> Self {
        Self {
            heap: space.region.base(),
            type_base: types.type_base(),
            marks: space.marks.base(),
            lines: space.lines.base(),
            space,
            types,
            stack,
            arrays: Vec::new(),
            live_bytes: 0,
            lost: false,
            ever_lost: false,
        }
    }

    /// Marks what these words refer to.
    pub fn visit_words(&mut self, words: &[u32]) {
        for &word in words {
            self.visit(word);
        }
    }

    /// Marks everything reachable from what was visited; the bytes of all marked objects but immortal ones.
    pub fn finish(mut self) -> u64 {
        self.drain();
        while std::mem::take(&mut self.lost) {
            for block in self.space.blocks.iter() {
                if self.space.blocks.take_rescan(block) {
                    self.rescan(block);
                    self.drain();
                }
            }
        }
        self.stack.shrink();
        if self.ever_lost { self.count_live_bytes() } else { self.live_bytes }
    }

    fn drain(&mut self) {
        loop {
            while let Some(unit) = self.stack.pop(self.heap) {
                self.scan(unit);
            }
            let Some(rest) = self.arrays.pop() else { return };
            let length = self.read_u32(rest.unit, ARRAY_LENGTH_OFFSET);
            self.scan_elements(rest.unit, rest.next, length);
        }
    }

    fn rescan(&mut self, block: Block) {
        for index in 0..WORDS_PER_BLOCK {
            let word = self.space.marks.word_of_block(block, index);
            word.units().for_each(|unit| self.scan(unit));
        }
    }

    fn count_live_bytes(&self) -> u64 {
        let blocks: &BlockTable = &self.space.blocks;
        let mortal = blocks.iter().filter(|&b| blocks.state(b) != BlockState::Immortal);
        mortal.flat_map(|b| self.space.marks.iter_block(b)).map(|unit| u64::from(self.bytes_of(unit))).sum()
    }

    /// Marks and pushes the object that a word refers to, if any.
    #[inline(always)]
    fn visit(&mut self, word: u32) {
        if !is_object(word) {
            return;
        }
        let (index, bit) = position(word);
        // SAFETY: `word` is a reference found in a root or a live object, so it lies inside the region, for all
        // of which the table has bits; nobody else uses the table during a collection.
        let marks = unsafe { &mut *self.marks.add(index) };
        if *marks & bit != 0 {
            return;
        }
        *marks |= bit;
        if !self.stack.push(word) {
            self.lose(word);
        }
    }

    #[inline]
    fn scan(&mut self, unit: u32) {
        let type_word = self.read_u32(unit, TYPE_WORD_OFFSET);
        let desc = self.desc(type_word);
        match Kind::of_type_word(type_word) {
            Some(Kind::Struct | Kind::Exn) => {
                self.survive(unit, desc.fixed_bytes);
                let mut map = desc.ref_map;
                while map != 0 {
                    self.visit(self.read_u32(unit, map.trailing_zeros() * REF_BYTES));
                    map &= map - 1;
                }
                if desc.ref_list_len != 0 {
                    self.scan_ref_list(unit, desc);
                }
            }
            Some(Kind::Array) => {
                let length = self.read_u32(unit, ARRAY_LENGTH_OFFSET);
                self.survive(unit, array_bytes(desc, length));
                if desc.elem_is_ref != 0 {
                    self.scan_elements(unit, 0, length);
                }
            }
            Some(Kind::Func) => self.survive(unit, FUNC_BYTES),
            Some(Kind::Extern) => self.survive(unit, EXTERN_BYTES),
            None => debug_assert!(false, "object {unit:#x} has type word {type_word:#x}"),
        }
    }

    /// Visits one chunk of elements; the rest waits.
    fn scan_elements(&mut self, unit: u32, start: u32, length: u32) {
        let end = length.min(start.saturating_add(CHUNK_ELEMENTS));
        if end < length {
            if self.arrays.try_reserve(1).is_ok() {
                self.arrays.push(ArrayRest { unit, next: end });
            } else {
                (start..length).for_each(|i| self.visit(self.read_u32(unit, ARRAY_ELEMENTS_OFFSET + i * REF_BYTES)));
                return;
            }
        }
        for index in start..end {
            self.visit(self.read_u32(unit, ARRAY_ELEMENTS_OFFSET + index * REF_BYTES));
        }
    }

    #[cold]
    fn scan_ref_list(&mut self, unit: u32, desc: &TypeDesc) {
        let types = self.types;
        types.with_ref_list(desc.ref_list_start, desc.ref_list_len, &mut |offsets| {
            for &offset in offsets {
                self.visit(self.read_u32(unit, offset));
            }
        });
    }

    /// Counts a survivor and marks its lines.
    #[inline(always)]
    fn survive(&mut self, unit: u32, bytes: u32) {
        self.live_bytes += u64::from(bytes);
        if bytes > MAX_SHARED_BYTES {
            return;
        }
        let first = (unit >> LOG_LINE_UNITS) as usize;
        let last = ((unit + bytes / REF_UNIT_BYTES - 1) >> LOG_LINE_UNITS) as usize;
        // SAFETY: the lines are those of a live object, which lies inside the region, for all of which the table
        // has bytes; nobody else uses the table during a collection.
        unsafe { self.lines.add(first).write(LINE_LIVE) };
        if last != first {
            // SAFETY: as above.
            unsafe { self.lines.add(first).write_bytes(LINE_LIVE, last - first + 1) };
        }
    }

    #[cold]
    fn lose(&mut self, unit: u32) {
        self.space.blocks.request_rescan(Block::of_unit(unit));
        self.lost = true;
        self.ever_lost = true;
    }

    fn bytes_of(&self, unit: u32) -> u32 {
        let type_word = self.read_u32(unit, TYPE_WORD_OFFSET);
        let desc = self.desc(type_word);
        match Kind::of_type_word(type_word) {
            Some(Kind::Array) => array_bytes(desc, self.read_u32(unit, ARRAY_LENGTH_OFFSET)),
            Some(Kind::Func) => FUNC_BYTES,
            Some(Kind::Extern) => EXTERN_BYTES,
            _ => desc.fixed_bytes,
        }
    }

    #[inline(always)]
    fn desc(&self, type_word: u32) -> &'a TypeDesc {
        // SAFETY: `type_word` is the header of a live object, so a descriptor that outlives the tracer lies there
        // (contract of `TypeTable`).
        unsafe { &*self.type_base.add(type_word as usize).cast::<TypeDesc>() }
    }

    #[inline(always)]
    fn read_u32(&self, unit: u32, offset: u32) -> u32 {
        let at = ((unit as usize) << LOG_REF_SCALE) + offset as usize;
        // SAFETY: the word is part of a live object, which lies in committed memory; mutators are stopped.
        unsafe { self.heap.add(at).cast::<u32>().read() }
    }
}

#[inline(always)]
fn array_bytes(desc: &TypeDesc, length: u32) -> u32 {
    let bytes = u64::from(ARRAY_ELEMENTS_OFFSET) + (u64::from(length) << desc.log_elem_bytes);
    bytes.next_multiple_of(u64::from(OBJECT_ALIGN_BYTES)) as u32
}
