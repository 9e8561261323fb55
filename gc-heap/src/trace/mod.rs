//! Tracing: from the roots to everything reachable.
//!
//! An object is marked when the first reference to it is seen, and scanned once after that: its lines are marked
//! over its exact size and the objects it refers to are visited.
//!
//! ```text
//! visit(word):  set the mark bit; push the word; if it was new, keep the push
//! scan(object): type word -> descriptor -> size, references; mark lines; visit each reference
//! drain:        while the stack has objects: prefetch one, scan the one prefetched some steps ago
//! ```
//!
//! **Speed.** Whether a reference is null, an `i31`, or marked already cannot be predicted, so `visit` has no
//! branch: what is no object is turned into word 0, whose mark bit is always set, and the stack pointer moves by
//! the bit found. The loads of several visits then overlap. A short queue behind the stack gives the header of an
//! object time to arrive in the cache. The loop's variables live in registers: they are a copy of [`Hot`], written
//! back around the rare paths.
//!
//! **Memory is bounded.** Arrays are scanned chunk by chunk, so their elements do not flood the stack. When the
//! stack cannot grow, an object stays marked and its block is noted; once the stack is empty, all marked objects of
//! noted blocks are scanned again. Each such round marks at least one object more, so the rounds end even if the
//! stack has no memory at all. Scanning an object twice is harmless but for the count of live bytes, which is then
//! made anew from the marks.
//!
//! **Time is bounded** if a [`Limit`] says so: when it is late, whatever is marked but not scanned is counted, its lines
//! are marked and the cards of its references dirtied, so that the next minor collection visits them.
//!
//! Invariants: all mutators are stopped and their buffers retired. A trace ends at what is marked when it starts:
//! immortal objects, and the old ones in a minor collection, in which those that may refer to young objects are
//! scanned beforehand ([`remembered`]). Lines of what is not marked are not marked either.

#![allow(unsafe_code, reason = "reads object memory and writes side tables at machine speed")]

pub mod prefetch;
mod remembered;
mod stack;

pub use stack::MarkStack;

use crate::barrier::CardTable;
use crate::block::{Block, BlockState, BlockTable};
use crate::interface::to_runtime::TypeTable;
use crate::large::MAX_SHARED_BYTES;
use crate::line::{LINE_LIVE, LOG_LINE_UNITS};
use crate::space::Space;
use crate::space::mark_bits::{WORDS_PER_BLOCK, position};
use dolmen_abi::collector::ARRAY_ELEMENTS_REF_UNITS;
use dolmen_abi::object::{ARRAY_ELEMENTS_OFFSET, ARRAY_LENGTH_OFFSET, EXTERN_BYTES, FUNC_BYTES, TYPE_WORD_OFFSET};
use dolmen_abi::reference::{I31_TAG, LOG_REF_SCALE, OBJECT_ALIGN_BYTES, REF_BYTES, REF_UNIT_BYTES, is_object};
use dolmen_abi::type_desc::{Kind, REF_MAP_WORDS, TypeDesc};
use prefetch::prefetch;
use std::time::Instant;

/// Elements of an array that are scanned at once.
const CHUNK_ELEMENTS: u32 = 1024;

/// Elements of an array ahead of the visited one whose mark bits are prefetched.
const PREFETCH_ELEMENTS: u32 = 16;

/// Objects between prefetch and scan; a power of two.
const QUEUE_OBJECTS: usize = 16;

/// While roots are visited, the stack is drained when it has more entries.
const ROOT_DRAIN_ENTRIES: usize = 64 << 10;

/// A collection's walk over the heap.
pub struct Tracer<'a> {
    hot: Hot,
    space: &'a mut Space,
    types: &'a dyn TypeTable,
    stack: &'a mut MarkStack,
    /// Arrays that were scanned up to an element.
    arrays: Vec<ArrayRest>,
    /// When to stop early, and the cards that then remember what is left.
    limit: Option<Limit<'a>>,
    is_late: bool,
    /// A block was noted for a rescan since this was last cleared.
    lost: bool,
    ever_lost: bool,
}

/// The end of the time for a trace.
#[derive(Clone, Copy)]
pub struct Limit<'a> {
    pub deadline: Instant,
    /// Objects scanned between two looks at the clock.
    pub check_objects: u32,
    pub cards: &'a CardTable,
}

/// What a trace has found.
pub struct Traced {
    /// Bytes of all marked objects but immortal ones.
    pub marked_bytes: u64,
    /// Nothing reachable is left unmarked.
    pub is_finished: bool,
}

/// What the inner loop needs.
#[derive(Clone, Copy)]
struct Hot {
    heap: *const u8,
    type_base: *const u8,
    marks: *mut u64,
    lines: *mut u8,
    stack: *mut u32,
    len: usize,
    capacity: usize,
    live_bytes: u64,
}

#[derive(Clone, Copy)]
struct ArrayRest {
    unit: u32,
    next: u32,
}

impl<'a> Tracer<'a> {
    /// A tracer over a space in which the mortal marked objects are of `marked_bytes` bytes.
    pub fn new(
        space: &'a mut Space,
        types: &'a dyn TypeTable,
        stack: &'a mut MarkStack,
        marked_bytes: u64,
        limit: Option<Limit<'a>>,
    ) -> Self {
        let hot = Hot {
            heap: space.region.base(),
            type_base: types.type_base(),
            marks: space.marks.base(),
            lines: space.lines.base(),
            stack: stack.base(),
            len: 0,
            capacity: stack.capacity(),
            live_bytes: marked_bytes,
        };
        Self { hot, space, types, stack, arrays: Vec::new(), limit, is_late: false, lost: false, ever_lost: false }
    }

    /// Marks what these words refer to.
    pub fn visit_words(&mut self, words: &[u32]) {
        for chunk in words.chunks(CHUNK_ELEMENTS as usize) {
            self.drain_if_long();
            self.visit_chunk(chunk.as_ptr(), chunk.len() as u32);
        }
    }

    /// Marks everything reachable from what was visited, if there is time.
    pub fn finish(mut self) -> Traced {
        self.drain();
        let is_finished = !self.is_late;
        // What was lost is in no card.
        (self.limit, self.is_late) = (None, false);
        while std::mem::take(&mut self.lost) {
            for block in self.space.blocks.iter() {
                if self.space.blocks.take_rescan(block) {
                    self.rescan(block);
                    self.drain();
                }
            }
        }
        self.stack.shrink();
        let marked_bytes = if self.ever_lost { self.count_live_bytes() } else { self.hot.live_bytes };
        Traced { marked_bytes, is_finished }
    }

    fn drain_if_long(&mut self) {
        if self.hot.len > ROOT_DRAIN_ENTRIES {
            self.drain();
        }
    }

    fn drain(&mut self) {
        loop {
            self.drain_stack();
            if self.is_late {
                return self.leave_arrays();
            }
            let Some(rest) = self.arrays.pop() else { return };
            let length = self.hot.read_u32(rest.unit, ARRAY_LENGTH_OFFSET);
            self.scan_elements(rest.unit, rest.next, length);
        }
    }

    fn drain_stack(&mut self) {
        let mut hot = self.hot;
        let mut queue = [0_u32; QUEUE_OBJECTS];
        let (mut entered, mut left) = (0_usize, 0_usize);
        let mut until_check = self.limit.map_or(u32::MAX, |limit| limit.check_objects);
        loop {
            while hot.len > 0 && entered - left < QUEUE_OBJECTS {
                let unit = hot.pop();
                prefetch(hot.at(unit, 0));
                queue[entered % QUEUE_OBJECTS] = unit;
                entered += 1;
            }
            if entered == left {
                break;
            }
            let unit = queue[left % QUEUE_OBJECTS];
            left += 1;
            until_check -= 1;
            if until_check == 0 {
                until_check = self.check_clock();
            }
            if self.is_late {
                self.hot = hot;
                self.leave(unit);
                hot = self.hot;
                continue;
            }
            if !hot.scan_if_simple(unit) {
                self.hot = hot;
                self.scan(unit);
                hot = self.hot;
            }
        }
        self.hot = hot;
    }

    /// Notes whether it is late; the number of objects to scan until the next look.
    #[cold]
    fn check_clock(&mut self) -> u32 {
        let Some(limit) = self.limit else { return u32::MAX };
        self.is_late |= Instant::now() >= limit.deadline;
        limit.check_objects
    }

    /// Leaves a marked object to the next minor collection: counts it and dirties the cards of its references.
    fn leave(&mut self, unit: u32) {
        let type_word = self.hot.read_u32(unit, TYPE_WORD_OFFSET);
        let desc: &TypeDesc = self.hot.desc(type_word);
        self.hot.survive(unit, self.hot.bytes_of(unit, type_word));
        match Kind::of_type_word(type_word) {
            Some(Kind::Array) if desc.elem_is_ref != 0 => self.leave_elements(ArrayRest { unit, next: 0 }),
            Some(Kind::Struct | Kind::Exn) if desc.ref_map != 0 || desc.ref_list_len != 0 => {
                self.dirty(unit, unit + 1);
            }
            _ => {}
        }
    }

    fn leave_arrays(&mut self) {
        while let Some(rest) = self.arrays.pop() {
            self.leave_elements(rest);
        }
    }

    fn leave_elements(&self, rest: ArrayRest) {
        let start = rest.unit + ARRAY_ELEMENTS_REF_UNITS;
        let length = self.hot.read_u32(rest.unit, ARRAY_LENGTH_OFFSET);
        if rest.next < length {
            self.dirty(start + rest.next, start + length);
        }
    }

    fn dirty(&self, start: u32, end: u32) {
        if let Some(limit) = self.limit {
            limit.cards.dirty(start, end);
        }
    }

    /// Scans any object, with or without room on the stack.
    #[inline(never)]
    fn scan(&mut self, unit: u32) {
        let type_word = self.hot.read_u32(unit, TYPE_WORD_OFFSET);
        let desc: &TypeDesc = self.hot.desc(type_word);
        self.hot.survive(unit, self.hot.bytes_of(unit, type_word));
        match Kind::of_type_word(type_word) {
            Some(Kind::Struct | Kind::Exn) => self.visit_fields(unit, desc),
            Some(Kind::Array) if desc.elem_is_ref != 0 => {
                let length = self.hot.read_u32(unit, ARRAY_LENGTH_OFFSET);
                self.scan_elements(unit, 0, length);
            }
            _ => {}
        }
    }

    /// Visits all references of a struct or exception.
    fn visit_fields(&mut self, unit: u32, desc: &TypeDesc) {
        let mut map = desc.ref_map;
        while map != 0 {
            self.visit_chunk(self.hot.at(unit, map.trailing_zeros() * REF_BYTES).cast(), 1);
            map &= map - 1;
        }
        if desc.ref_list_len != 0 {
            self.scan_ref_list(unit, desc);
        }
    }

    /// Visits one chunk of elements; the rest waits until the stack is empty.
    fn scan_elements(&mut self, unit: u32, start: u32, length: u32) {
        let mut end = length.min(start.saturating_add(CHUNK_ELEMENTS));
        if end < length {
            if self.arrays.try_reserve(1).is_ok() {
                self.arrays.push(ArrayRest { unit, next: end });
            } else {
                end = length;
            }
        }
        let first = self.hot.at(unit, ARRAY_ELEMENTS_OFFSET).cast::<u32>();
        self.visit_chunk(first.wrapping_add(start as usize), end - start);
    }

    #[cold]
    fn scan_ref_list(&mut self, unit: u32, desc: &TypeDesc) {
        let types = self.types;
        types.with_ref_list(desc.ref_list_start, desc.ref_list_len, &mut |offsets| {
            for &offset in offsets {
                self.visit_chunk(self.hot.at(unit, offset).cast(), 1);
            }
        });
    }

    /// Visits `count` words of a root array or of a live object.
    fn visit_chunk(&mut self, words: *const u32, count: u32) {
        if self.hot.capacity - self.hot.len < count as usize && !self.make_room(count) {
            self.visit_without_room(words, count);
            return;
        }
        let mut hot = self.hot;
        for i in 0..count {
            if i + PREFETCH_ELEMENTS < count {
                let ahead = read(words.wrapping_add((i + PREFETCH_ELEMENTS) as usize));
                prefetch(hot.marks.wrapping_add(position(ahead).0).cast());
            }
            // Arrays are mostly full or mostly empty: unlike in `visit` the branch is predicted, and a run of nulls
            // does not wait for itself at null's mark bit.
            let word = read(words.wrapping_add(i as usize));
            if is_object(word) {
                hot.visit(word);
            }
        }
        self.hot = hot;
    }

    #[cold]
    fn visit_without_room(&mut self, words: *const u32, count: u32) {
        for i in 0..count {
            // One entry may still fit where the chunk did not.
            let word = read(words.wrapping_add(i as usize));
            if self.hot.len < self.hot.capacity || self.make_room(1) {
                self.hot.visit(word);
            } else if self.hot.mark(object_or_null(word)) {
                self.space.blocks.request_rescan(Block::of_unit(word));
                (self.lost, self.ever_lost) = (true, true);
            }
        }
    }

    #[cold]
    fn make_room(&mut self, count: u32) -> bool {
        let done = self.stack.reserve(self.hot.len + count as usize);
        self.hot.stack = self.stack.base();
        self.hot.capacity = self.stack.capacity();
        done
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
        let bytes = |unit| u64::from(self.hot.bytes_of(unit, self.hot.read_u32(unit, TYPE_WORD_OFFSET)));
        mortal.flat_map(|b| self.space.marks.iter_block(b)).map(bytes).sum()
    }
}

impl Hot {
    /// Scans a struct or exception whose references are all in its map, if the stack has room for them.
    #[inline(always)]
    fn scan_if_simple(&mut self, unit: u32) -> bool {
        let Some(desc) = self.simple(unit) else { return false };
        self.survive(unit, desc.fixed_bytes);
        self.visit_map(unit, desc);
        true
    }

    /// Visits the references of such an object.
    #[inline(always)]
    fn visit_if_simple(&mut self, unit: u32) -> bool {
        let Some(desc) = self.simple(unit) else { return false };
        self.visit_map(unit, desc);
        true
    }

    /// The descriptor of a struct or exception whose references are all in its map, if the stack has room for them.
    #[inline(always)]
    fn simple<'t>(&self, unit: u32) -> Option<&'t TypeDesc> {
        let type_word = self.read_u32(unit, TYPE_WORD_OFFSET);
        let desc: &TypeDesc = self.desc(type_word);
        let is_simple =
            matches!(Kind::of_type_word(type_word), Some(Kind::Struct | Kind::Exn)) && desc.ref_list_len == 0;
        (is_simple && self.capacity - self.len >= REF_MAP_WORDS as usize).then_some(desc)
    }

    #[inline(always)]
    fn visit_map(&mut self, unit: u32, desc: &TypeDesc) {
        let mut map = desc.ref_map;
        while map != 0 {
            self.visit(self.read_u32(unit, map.trailing_zeros() * REF_BYTES));
            map &= map - 1;
        }
    }

    /// Marks and pushes the object that a word refers to, if it is one and not marked. There is room for one entry.
    #[inline(always)]
    fn visit(&mut self, word: u32) {
        let unit = object_or_null(word);
        let is_new = self.mark(unit);
        // SAFETY: callers made sure that `len` is below the capacity of the stack's memory.
        unsafe { self.stack.add(self.len).write(unit) };
        self.len += usize::from(is_new);
    }

    /// Sets the mark bit of an object or of null; whether it was clear.
    #[inline(always)]
    fn mark(&mut self, unit: u32) -> bool {
        let (index, bit) = position(unit);
        // SAFETY: `unit` is 0 or a reference found in a root or a live object, so it lies inside the region, for
        // all of which the table has bits; nobody else uses the table during a collection.
        let marks = unsafe { &mut *self.marks.add(index) };
        let is_new = *marks & bit == 0;
        *marks |= bit;
        is_new
    }

    /// Takes the last entry; there is one.
    #[inline(always)]
    fn pop(&mut self) -> u32 {
        self.len -= 1;
        // SAFETY: entries below the former length were written by `visit`.
        unsafe { self.stack.add(self.len).read() }
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

    fn bytes_of(&self, unit: u32, type_word: u32) -> u32 {
        let desc: &TypeDesc = self.desc(type_word);
        match Kind::of_type_word(type_word) {
            Some(Kind::Array) => {
                let length = u64::from(self.read_u32(unit, ARRAY_LENGTH_OFFSET));
                let bytes = u64::from(ARRAY_ELEMENTS_OFFSET) + (length << desc.log_elem_bytes);
                bytes.next_multiple_of(u64::from(OBJECT_ALIGN_BYTES)) as u32
            }
            Some(Kind::Func) => FUNC_BYTES,
            Some(Kind::Extern) => EXTERN_BYTES,
            _ => desc.fixed_bytes,
        }
    }

    #[inline(always)]
    fn desc<'t>(&self, type_word: u32) -> &'t TypeDesc {
        // SAFETY: `type_word` is the header of a live object, so a descriptor that outlives the heap lies there
        // (contract of `TypeTable`).
        unsafe { &*self.type_base.add(type_word as usize).cast::<TypeDesc>() }
    }

    #[inline(always)]
    fn read_u32(&self, unit: u32, offset: u32) -> u32 {
        read(self.at(unit, offset).cast())
    }

    #[inline(always)]
    fn at(&self, unit: u32, offset: u32) -> *const u8 {
        self.heap.wrapping_add(((unit as usize) << LOG_REF_SCALE) + offset as usize)
    }
}

/// The word if it names an object, else null.
#[inline(always)]
fn object_or_null(word: u32) -> u32 {
    word & (word & I31_TAG).wrapping_sub(1)
}

#[inline(always)]
fn read(word: *const u32) -> u32 {
    // SAFETY: private to this module, which passes addresses of words in root arrays and live objects only; mutators
    // are stopped.
    unsafe { word.read() }
}
