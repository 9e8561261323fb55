//! What the inner loop of marking needs, as values that fit into registers.
//!
//! The loop works on a copy of [`Hot`], which is written back around the rare paths. `SHARED` tells whether other threads
//! mark at the same time: mark bits are then set by atomic operations, lines by atomic stores. One thread alone needs
//! neither.

#![allow(unsafe_code, reason = "reads object memory and writes side tables at machine speed")]

use crate::large::MAX_SHARED_BYTES;
use crate::line::{LINE_LIVE, LOG_LINE_UNITS};
use crate::object::size_bytes;
use crate::space::mark_bits::position;
use crate::space::young::Young;
use dolmen_abi::object::{ARRAY_LENGTH_OFFSET, TYPE_WORD_OFFSET};
use dolmen_abi::reference::{I31_TAG, LOG_REF_SCALE, REF_BYTES, REF_UNIT_BYTES};
use dolmen_abi::type_desc::{Kind, REF_MAP_WORDS, TypeDesc};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Where memory and tables are, the stack, and the count of bytes.
#[derive(Clone, Copy)]
pub(super) struct Hot {
    pub heap: *const u8,
    pub type_base: *const u8,
    pub marks: *mut u64,
    pub lines: *mut u8,
    pub stack: *mut u32,
    pub len: usize,
    pub capacity: usize,
    pub live_bytes: u64,
}

impl Hot {
    /// Scans a struct or exception whose references are all in its map, if the stack has room for them.
    #[inline(always)]
    pub fn scan_if_simple<const SHARED: bool>(&mut self, unit: u32) -> bool {
        let Some(desc) = self.simple(unit) else { return false };
        self.survive::<SHARED>(unit, desc.fixed_bytes);
        self.visit_map::<SHARED>(unit, desc);
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
    fn visit_map<const SHARED: bool>(&mut self, unit: u32, desc: &TypeDesc) {
        let mut map = desc.ref_map;
        while map != 0 {
            self.visit::<SHARED>(self.read_u32(unit, map.trailing_zeros() * REF_BYTES));
            map &= map - 1;
        }
    }

    /// Marks and pushes the object that a word refers to, if it is one and not marked. There is room for one entry.
    #[inline(always)]
    pub fn visit<const SHARED: bool>(&mut self, word: u32) {
        let unit = object_or_null(word);
        let is_new = self.mark::<SHARED>(unit);
        // SAFETY: callers made sure that `len` is below the capacity of the stack's memory.
        unsafe { self.stack.add(self.len).write(unit) };
        self.len += usize::from(is_new);
    }

    /// Pushes the object that a word refers to, if it is one that may be young. There is room for it.
    #[inline(always)]
    pub fn push_if_young(&mut self, word: u32, young: Young<'_>) {
        let unit = object_or_null(word);
        // SAFETY: callers made sure that `len` is below the capacity of the stack's memory.
        unsafe { self.stack.add(self.len).write(unit) };
        self.len += usize::from(young.may_hold(unit));
    }

    /// Pushes an object. There is room for it.
    pub fn push(&mut self, unit: u32) {
        // SAFETY: callers made sure that `len` is below the capacity of the stack's memory.
        unsafe { self.stack.add(self.len).write(unit) };
        self.len += 1;
    }

    /// Sets the mark bit of an object or of null; whether it was clear.
    #[inline(always)]
    pub fn mark<const SHARED: bool>(&mut self, unit: u32) -> bool {
        let (index, bit) = position(unit);
        if SHARED {
            // SAFETY: as below, but that other threads use the table, too, by atomic operations.
            let marks = unsafe { AtomicU64::from_ptr(self.marks.add(index)) };
            // The bit guards nothing: what an object holds was written before the mutators stopped. Most objects are
            // marked already, and looking at a word costs less than writing it.
            return marks.load(Ordering::Relaxed) & bit == 0 && marks.fetch_or(bit, Ordering::Relaxed) & bit == 0;
        }
        // SAFETY: `unit` is 0 or a reference found in a root or a live object, so it lies inside the region, for
        // all of which the table has bits; nobody else uses the table during a collection.
        let marks = unsafe { &mut *self.marks.add(index) };
        let is_new = *marks & bit == 0;
        *marks |= bit;
        is_new
    }

    /// Takes the last entry; there is one.
    #[inline(always)]
    pub fn pop(&mut self) -> u32 {
        self.len -= 1;
        // SAFETY: entries below the former length were written by `visit`.
        unsafe { self.stack.add(self.len).read() }
    }

    /// Counts a survivor and marks its lines.
    #[inline(always)]
    pub fn survive<const SHARED: bool>(&mut self, unit: u32, bytes: u32) {
        self.live_bytes += u64::from(bytes);
        if bytes > MAX_SHARED_BYTES {
            return;
        }
        let first = (unit >> LOG_LINE_UNITS) as usize;
        let last = ((unit + bytes / REF_UNIT_BYTES - 1) >> LOG_LINE_UNITS) as usize;
        if SHARED {
            for line in first..=last {
                // SAFETY: as below, but that other threads use the table, too, by atomic operations.
                let line = unsafe { AtomicU8::from_ptr(self.lines.add(line)) };
                // Lines are read when all members have ended, which orders them. One that is live already, as most are,
                // stays in the caches of all.
                if line.load(Ordering::Relaxed) != LINE_LIVE {
                    line.store(LINE_LIVE, Ordering::Relaxed);
                }
            }
            return;
        }
        // SAFETY: the lines are those of a live object, which lies inside the region, for all of which the table
        // has bytes; nobody else uses the table during a collection.
        unsafe { self.lines.add(first).write(LINE_LIVE) };
        if last != first {
            // SAFETY: as above.
            unsafe { self.lines.add(first).write_bytes(LINE_LIVE, last - first + 1) };
        }
    }

    /// Address of the word that holds the mark bit of what a word refers to, for prefetches.
    #[inline(always)]
    pub fn mark_word(&self, word: u32) -> *const u8 {
        self.marks.wrapping_add(position(word).0).cast()
    }

    pub fn bytes_of(&self, unit: u32, type_word: u32) -> u32 {
        let desc: &TypeDesc = self.desc(type_word);
        size_bytes(Kind::of_type_word(type_word), desc, || self.read_u32(unit, ARRAY_LENGTH_OFFSET))
    }

    #[inline(always)]
    pub fn desc<'t>(&self, type_word: u32) -> &'t TypeDesc {
        // SAFETY: `type_word` is the header of a live object, so a descriptor that outlives the heap lies there
        // (contract of `TypeTable`).
        unsafe { &*self.type_base.add(type_word as usize).cast::<TypeDesc>() }
    }

    #[inline(always)]
    pub fn read_u32(&self, unit: u32, offset: u32) -> u32 {
        read(self.at(unit, offset).cast())
    }

    #[inline(always)]
    pub fn at(&self, unit: u32, offset: u32) -> *const u8 {
        self.heap.wrapping_add(((unit as usize) << LOG_REF_SCALE) + offset as usize)
    }
}

/// The word if it names an object, else null.
#[inline(always)]
pub(super) fn object_or_null(word: u32) -> u32 {
    word & (word & I31_TAG).wrapping_sub(1)
}

#[inline(always)]
pub(super) fn read(word: *const u32) -> u32 {
    // SAFETY: private to the tracer, which passes addresses of words in root arrays and live objects only; mutators
    // are stopped.
    unsafe { word.read() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    const WORDS: usize = 512;
    const MARKERS: usize = 2;

    /// Where markers race for the bits.
    struct Marks(*mut u64);

    // SAFETY: markers use the bits by atomic operations.
    unsafe impl Sync for Marks {}

    impl Marks {
        /// Marks all units; how many were new.
        fn mark_all(&self) -> usize {
            let (null, nobody) = (std::ptr::null(), std::ptr::null_mut());
            let mut hot = Hot {
                heap: null,
                type_base: null,
                marks: self.0,
                lines: nobody,
                stack: std::ptr::null_mut(),
                len: 0,
                capacity: 0,
                live_bytes: 0,
            };
            (0..WORDS * UNITS_PER_WORD).filter(|&n| hot.mark::<true>((n * UNITS_PER_BIT) as u32)).count()
        }
    }

    /// One bit stands for so many units: the first unit whose bit is another tells.
    const UNITS_PER_BIT: usize = {
        let mut unit = 1;
        while position(unit).1 == position(0).1 {
            unit += 1;
        }
        unit as usize
    };
    const UNITS_PER_WORD: usize = 64;

    #[test]
    fn each_object_is_new_to_one_marker() {
        for _ in 0..200 {
            let mut words = vec![0_u64; WORDS];
            let (marks, start) = (Marks(words.as_mut_ptr()), AtomicUsize::new(0));
            let found: usize = std::thread::scope(|scope| {
                let race = || {
                    // Whoever sleeps here comes too late for a race.
                    start.fetch_add(1, Ordering::Relaxed);
                    (0..1_000_000).find(|_| start.load(Ordering::Relaxed) == MARKERS);
                    marks.mark_all()
                };
                let markers: Vec<_> = (0..MARKERS).map(|_| scope.spawn(race)).collect();
                markers.into_iter().map(|marker| marker.join().unwrap()).sum()
            });
            assert_eq!(found, WORDS * UNITS_PER_WORD);
            assert!(words.iter().all(|&word| word == u64::MAX));
        }
    }
}
