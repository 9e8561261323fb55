//! One thread that marks: its stack, and the scan of objects.
//!
//! ```text
//! visit(word):  set the mark bit; push the word; if it was new, keep the push
//! scan(object): type word -> descriptor -> size, references; mark lines; visit each reference
//! drain:        while the stack has objects: prefetch one, scan the one prefetched some steps ago
//! look:         every so many objects, look up from that: has this taken so long that others should help, does
//!               another thread want work, is it late?
//! ```
//!
//! A marker knows whether others mark at the same time by the parameter `SHARED` of its methods.

#![allow(unsafe_code, reason = "moves entries of the stack; helpers get at the trace by its address")]

use super::hot::{Hot, object_or_null, read};
use super::prefetch::{prefetch, prefetch_to_write};
use super::stack::MarkStack;
use super::{Job, Limit, MarkTeam, Parcel, Trace};
use crate::block::Block;
use crate::space::mark_bits::WORDS_PER_BLOCK;
use dolmen_abi::collector::ARRAY_ELEMENTS_REF_UNITS;
use dolmen_abi::object::{ARRAY_ELEMENTS_OFFSET, ARRAY_LENGTH_OFFSET, TYPE_WORD_OFFSET};
use dolmen_abi::reference::{REF_BYTES, is_object};
use dolmen_abi::type_desc::{Kind, TypeDesc};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Elements of an array that are scanned at once.
pub(super) const CHUNK_ELEMENTS: u32 = 1024;

/// Elements of an array ahead of the visited one whose mark bits are prefetched.
const PREFETCH_ELEMENTS: usize = 16;

/// Objects between prefetch and scan; a power of two.
const QUEUE_OBJECTS: usize = 16;

/// While roots and cards are visited, the stack is drained when it has more entries.
const ROOT_DRAIN_ENTRIES: usize = 64 << 10;

/// Objects that a member scans between two looks at the others.
const LOOK_OBJECTS: u32 = 128;

/// Most objects of a parcel: 16 KiB.
const PARCEL_OBJECTS: usize = 4096;

/// A member that has so many objects calls for more helpers.
const CALL_OBJECTS: usize = 8;

/// A thread's part of a trace.
pub(super) struct Marker<'a> {
    pub hot: Hot,
    pub trace: &'a Trace<'a>,
    stack: &'a mut MarkStack,
    /// Arrays that were scanned up to an element.
    arrays: Vec<Elements>,
    /// When to stop early, and the cards that then remember what is left.
    pub limit: Option<Limit<'a>>,
    pub is_late: bool,
    /// This thread alone has marked so much that it should have help.
    pub is_enough: bool,
    /// Objects to scan until the next look.
    until_look: u32,
}

/// Elements of an array that are left to scan.
#[derive(Clone, Copy)]
pub struct Elements {
    unit: u32,
    next: u32,
    end: u32,
}

/// A helper's part in a session of a team: the bytes of the objects that it has scanned.
pub(super) fn help(team: &MarkTeam, job: Job, stack: &mut MarkStack) -> u64 {
    // SAFETY: the trace lives until the session is closed, which is after this member has left; it is not used after
    // that.
    let trace = unsafe { job.trace() };
    stack.set_limit(trace.stack_entries);
    let mut marker = Marker::new(trace, stack);
    marker.begin_to_share();
    let mut bytes = 0;
    loop {
        marker.visit_remembered();
        marker.drain::<true>();
        bytes += marker.count_live_bytes();
        match team.take_or_leave() {
            Some(parcel) => marker.adopt(parcel),
            None => break,
        }
    }
    stack.shrink();
    bytes
}

impl<'a> Marker<'a> {
    pub fn new(trace: &'a Trace<'a>, stack: &'a mut MarkStack) -> Self {
        let hot = Hot {
            heap: trace.space.region.base(),
            type_base: trace.types.type_base(),
            marks: trace.space.marks.base(),
            lines: trace.space.lines.base(),
            stack: stack.base(),
            len: 0,
            capacity: stack.capacity(),
            live_bytes: 0,
        };
        let until_look = trace.alone_objects.max(1);
        let (arrays, limit, is_late, is_enough) = (Vec::new(), None, false, false);
        Self { hot, trace, stack, arrays, limit, is_late, is_enough, until_look }
    }

    /// Sets the end of the time for this marker, which works alone.
    pub fn set_limit(&mut self, limit: Limit<'a>) {
        self.until_look = limit.check_objects;
        self.limit = Some(limit);
    }

    /// From now on others mark at the same time.
    pub fn begin_to_share(&mut self) {
        self.is_enough = false;
        self.until_look = LOOK_OBJECTS;
    }

    /// Visits dirty cards that no other member has, until there are none left.
    pub fn visit_remembered(&mut self) {
        while let Some(dirty) = self.trace.next_dirty() {
            self.visit_dirty::<true>(dirty);
            if self.is_long() {
                self.drain::<true>();
            }
        }
    }

    /// Whether the stack should be drained before more is visited.
    pub fn is_long(&self) -> bool {
        self.hot.len > ROOT_DRAIN_ENTRIES
    }

    /// Scans what was visited and all that is reachable from there, until nothing is left, or until one thread has
    /// marked enough alone, or until it is late: then the cards remember what is left.
    pub fn drain<const SHARED: bool>(&mut self) {
        while !self.is_late {
            self.drain_stack::<SHARED>();
            if self.is_enough {
                return;
            }
            match self.arrays.pop() {
                Some(rest) => self.scan_elements::<SHARED>(rest),
                // The stack is not empty then.
                None if self.is_late => {}
                None => return,
            }
        }
        self.leave_all();
    }

    fn drain_stack<const SHARED: bool>(&mut self) {
        let mut hot = self.hot;
        let mut queue = [0_u32; QUEUE_OBJECTS];
        let (mut entered, mut left) = (0_usize, 0_usize);
        let mut until_look = self.until_look;
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
            until_look -= 1;
            if until_look == 0 {
                self.hot = hot;
                until_look = self.look::<SHARED>();
                if self.is_late {
                    (left..entered).for_each(|at| self.leave(queue[at % QUEUE_OBJECTS]));
                    hot = self.hot;
                    break;
                }
                if self.is_enough {
                    (left..entered).for_each(|at| self.scan::<SHARED>(queue[at % QUEUE_OBJECTS]));
                    hot = self.hot;
                    break;
                }
                hot = self.hot;
            }
            let unit = queue[left % QUEUE_OBJECTS];
            left += 1;
            if !hot.scan_if_simple::<SHARED>(unit) {
                self.hot = hot;
                self.scan::<SHARED>(unit);
                hot = self.hot;
            }
        }
        self.hot = hot;
        self.until_look = until_look;
    }

    /// Looks up from the work; the number of objects to scan until the next look.
    #[cold]
    fn look<const SHARED: bool>(&mut self) -> u32 {
        if SHARED {
            self.share();
            return LOOK_OBJECTS;
        }
        if let Some(limit) = self.limit {
            self.is_late |= Instant::now() >= limit.deadline;
            return limit.check_objects;
        }
        self.is_enough = self.trace.team.places() > 0;
        u32::MAX
    }

    /// Whether it is late now.
    pub fn check_clock(&mut self) -> bool {
        self.is_late |= self.limit.is_some_and(|limit| Instant::now() >= limit.deadline);
        self.is_late
    }

    /// Gives work away if another member wants some and there is enough, or calls for a helper.
    fn share(&mut self) {
        let team = self.trace.team;
        if team.wants() {
            team.offer(|| self.parcel());
        } else if team.has_places() && (self.hot.len >= CALL_OBJECTS || !self.arrays.is_empty()) {
            self.trace.crew.call(team);
        }
    }

    /// Takes a part of the work out, of the oldest, which leads to most other: every second object, because the oldest
    /// half of a tree's may lead to nearly all of it, and whoever gives that away is out of work next.
    fn parcel(&mut self) -> Option<Parcel> {
        if let Some(oldest) = self.arrays.first_mut() {
            let half = (oldest.end - oldest.next) / 2;
            if half < CHUNK_ELEMENTS {
                return Some(Parcel::Elements(self.arrays.swap_remove(0)));
            }
            let end = std::mem::replace(&mut oldest.end, oldest.next + half);
            return Some(Parcel::Elements(Elements { next: oldest.end, end, ..*oldest }));
        }
        let count = (self.hot.len / 2).min(PARCEL_OBJECTS);
        let mut units = Vec::new();
        if count == 0 || units.try_reserve_exact(count).is_err() {
            return None;
        }
        // SAFETY: the stack has `len` entries, of which these are the lowest; nobody else refers to them now.
        let oldest = unsafe { std::slice::from_raw_parts_mut(self.hot.stack, 2 * count) };
        for i in 0..count {
            units.push(oldest[2 * i]);
            oldest[i] = oldest[2 * i + 1];
        }
        self.hot.len -= count;
        let moved = (self.hot.len - count).min(count);
        // SAFETY: as many of the highest entries move to where there is room now, or all that are left above it.
        unsafe { self.hot.stack.add(count).copy_from(self.hot.stack.add(self.hot.len + count - moved), moved) };
        Some(Parcel::Objects(units))
    }

    /// Takes on what another member has given away.
    pub fn adopt(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::Elements(elements) => self.scan_elements::<true>(elements),
            Parcel::Objects(units) => {
                let has_room = self.has_room(units.len() as u32);
                for unit in units {
                    if has_room {
                        self.hot.push(unit);
                    } else {
                        self.trace.lose(unit);
                    }
                }
            }
        }
    }

    /// Adds the count of bytes to the trace's; what was added.
    pub fn count_live_bytes(&mut self) -> u64 {
        let bytes = std::mem::take(&mut self.hot.live_bytes);
        // The sum is read when all members have ended, which orders it.
        self.trace.live_bytes.fetch_add(bytes, Ordering::Relaxed);
        bytes
    }

    /// Gives most of the stack's memory back.
    pub fn shrink(&mut self) {
        self.stack.shrink();
    }

    /// Leaves a marked object to the next minor collection: counts it and dirties the cards of its references.
    fn leave(&mut self, unit: u32) {
        let type_word = self.hot.read_u32(unit, TYPE_WORD_OFFSET);
        let desc: &TypeDesc = self.hot.desc(type_word);
        self.hot.survive::<false>(unit, self.hot.bytes_of(unit, type_word));
        match Kind::of_type_word(type_word) {
            Some(Kind::Array) if desc.elem_is_ref != 0 => {
                let end = self.hot.read_u32(unit, ARRAY_LENGTH_OFFSET);
                self.leave_elements(Elements { unit, next: 0, end });
            }
            Some(Kind::Struct | Kind::Exn) if desc.ref_map != 0 || desc.ref_list_len != 0 => {
                self.dirty(unit, unit + 1);
            }
            _ => {}
        }
    }

    fn leave_all(&mut self) {
        while self.hot.len > 0 {
            let unit = self.hot.pop();
            self.leave(unit);
        }
        while let Some(rest) = self.arrays.pop() {
            self.leave_elements(rest);
        }
    }

    fn leave_elements(&self, rest: Elements) {
        let start = rest.unit + ARRAY_ELEMENTS_REF_UNITS;
        if rest.next < rest.end {
            self.dirty(start + rest.next, start + rest.end);
        }
    }

    fn dirty(&self, start: u32, end: u32) {
        if let Some(limit) = self.limit {
            limit.cards.dirty(start, end);
        }
    }

    /// Scans any object, with or without room on the stack.
    #[inline(never)]
    fn scan<const SHARED: bool>(&mut self, unit: u32) {
        let type_word = self.hot.read_u32(unit, TYPE_WORD_OFFSET);
        let desc: &TypeDesc = self.hot.desc(type_word);
        self.hot.survive::<SHARED>(unit, self.hot.bytes_of(unit, type_word));
        match Kind::of_type_word(type_word) {
            Some(Kind::Struct | Kind::Exn) => self.visit_fields::<SHARED>(unit, desc),
            Some(Kind::Array) if desc.elem_is_ref != 0 => {
                let end = self.hot.read_u32(unit, ARRAY_LENGTH_OFFSET);
                self.scan_elements::<SHARED>(Elements { unit, next: 0, end });
            }
            _ => {}
        }
    }

    /// Visits all references of a struct or exception.
    pub fn visit_fields<const SHARED: bool>(&mut self, unit: u32, desc: &TypeDesc) {
        let mut map = desc.ref_map;
        while map != 0 {
            self.visit_chunk::<SHARED>(self.hot.at(unit, map.trailing_zeros() * REF_BYTES).cast(), 1);
            map &= map - 1;
        }
        if desc.ref_list_len != 0 {
            self.scan_ref_list::<SHARED>(unit, desc);
        }
    }

    /// Visits one chunk of elements; the rest waits until the stack is empty.
    fn scan_elements<const SHARED: bool>(&mut self, elements: Elements) {
        let Elements { unit, next, end } = elements;
        let mut chunk_end = end.min(next.saturating_add(CHUNK_ELEMENTS));
        if chunk_end < end {
            if self.arrays.try_reserve(1).is_ok() {
                self.arrays.push(Elements { next: chunk_end, ..elements });
            } else {
                chunk_end = end;
            }
        }
        let first = self.hot.at(unit, ARRAY_ELEMENTS_OFFSET).cast::<u32>().wrapping_add(next as usize);
        let count = chunk_end - next;
        if self.trace.is_minor && self.has_room(count) {
            self.visit_young::<SHARED>(first, count);
        } else {
            self.visit_chunk::<SHARED>(first, count);
        }
    }

    /// Visits what is young of `count` words of a live object, for which the stack has room: first pushes them without a
    /// look at their marks, then takes back what is marked. Tables of hash maps have nulls and old objects in no order, and
    /// their marks are far apart.
    fn visit_young<const SHARED: bool>(&mut self, words: *const u32, count: u32) {
        let mut hot = self.hot;
        let young = self.trace.space.young.view();
        for i in 0..count as usize {
            hot.push_if_young(read(words.wrapping_add(i)), young);
        }
        let pushed = hot.stack.wrapping_add(self.hot.len);
        self.visit_kept::<SHARED>(pushed, hot.len - self.hot.len);
    }

    /// Visits words that are young objects, most of them not marked yet, and for which the stack has room. They may be on
    /// it, above its end.
    pub fn visit_kept<const SHARED: bool>(&mut self, words: *const u32, count: usize) {
        let mut hot = self.hot;
        for i in 0..count {
            if i + PREFETCH_ELEMENTS < count {
                let ahead = hot.mark_word(read(words.wrapping_add(i + PREFETCH_ELEMENTS)));
                // Young objects are near each other, and so are their marks, which all members write.
                if SHARED { prefetch_to_write(ahead) } else { prefetch(ahead) }
            }
            hot.visit::<SHARED>(read(words.wrapping_add(i)));
        }
        self.hot = hot;
    }

    #[cold]
    fn scan_ref_list<const SHARED: bool>(&mut self, unit: u32, desc: &TypeDesc) {
        let types = self.trace.types;
        types.with_ref_list(desc.ref_list_start, desc.ref_list_len, &mut |offsets| {
            for &offset in offsets {
                self.visit_chunk::<SHARED>(self.hot.at(unit, offset).cast(), 1);
            }
        });
    }

    /// Visits `count` words of a root array or of a live object.
    pub fn visit_chunk<const SHARED: bool>(&mut self, words: *const u32, count: u32) {
        if !self.has_room(count) {
            self.visit_without_room::<SHARED>(words, count);
            return;
        }
        let (mut hot, count) = (self.hot, count as usize);
        for i in 0..count {
            if i + PREFETCH_ELEMENTS < count {
                let ahead = read(words.wrapping_add(i + PREFETCH_ELEMENTS));
                prefetch(hot.mark_word(ahead));
            }
            // Arrays are mostly full or mostly empty: unlike in `visit` the branch is predicted, and a run of nulls
            // does not wait for itself at null's mark bit.
            let word = read(words.wrapping_add(i));
            if is_object(word) {
                hot.visit::<SHARED>(word);
            }
        }
        self.hot = hot;
    }

    #[cold]
    pub fn visit_without_room<const SHARED: bool>(&mut self, words: *const u32, count: u32) {
        for i in 0..count {
            // One entry may still fit where the chunk did not.
            let word = read(words.wrapping_add(i as usize));
            if self.hot.len < self.hot.capacity || self.make_room(1) {
                self.hot.visit::<SHARED>(word);
            } else if self.hot.mark::<SHARED>(object_or_null(word)) {
                self.trace.lose(word);
            }
        }
    }

    /// Whether the stack has room for `count` more entries, or can be given it.
    pub fn has_room(&mut self, count: u32) -> bool {
        self.hot.capacity - self.hot.len >= count as usize || self.make_room(count)
    }

    #[cold]
    fn make_room(&mut self, count: u32) -> bool {
        let done = self.stack.reserve(self.hot.len + count as usize);
        self.hot.stack = self.stack.base();
        self.hot.capacity = self.stack.capacity();
        done
    }

    /// Scans all marked objects of a block.
    pub fn rescan<const SHARED: bool>(&mut self, block: Block) {
        for index in 0..WORDS_PER_BLOCK {
            let word = self.trace.space.marks.word_of_block(block, index);
            word.units().for_each(|unit| self.scan::<SHARED>(unit));
        }
    }
}
