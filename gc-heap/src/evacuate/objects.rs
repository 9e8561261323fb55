//! Objects during an evacuation, at machine speed: walks, headers, references, forwarding.
//!
//! Where an object was, [`FORWARDED`] stands in place of the type word, and the new reference word behind it. Both
//! fit: no object is smaller than its alignment.
//!
//! Invariant: units are those of marked objects, or of objects that were copied by this evacuation.

#![allow(unsafe_code, reason = "reads and writes object memory at machine speed")]

use crate::block::{BLOCK_BYTES, Block};
use crate::interface::to_runtime::TypeTable;
use crate::object::size_bytes;
use crate::space::Space;
use crate::space::mark_bits::WORDS_PER_BLOCK;
use crate::trace::prefetch::prefetch;
use dolmen_abi::collector::ARRAY_ELEMENTS_REF_UNITS;
use dolmen_abi::object::{ARRAY_LENGTH_OFFSET, TYPE_WORD_OFFSET};
use dolmen_abi::reference::{LOG_REF_SCALE, OBJECT_ALIGN_BYTES, REF_BYTES, REF_UNIT_BYTES};
use dolmen_abi::type_desc::{Kind, NO_TYPE_WORD, TypeDesc};
use std::ops::Range;

/// Stands in place of the type word of an object that was copied.
const FORWARDED: u32 = NO_TYPE_WORD;

/// Offset of the new reference word of an object that was copied, in bytes.
const FORWARD_OFFSET: u32 = 4;

const _: () = assert!(FORWARD_OFFSET + REF_BYTES <= OBJECT_ALIGN_BYTES, "every object has room for its new place");

/// Objects between the prefetch of a header and its use in a walk. The objects of a sparse block share no cache lines.
const PREFETCH_OBJECTS: usize = 24;

/// Most objects that a block can hold.
const MAX_OBJECTS: usize = (BLOCK_BYTES / OBJECT_ALIGN_BYTES) as usize;

/// Access to the objects of a stopped heap.
#[derive(Clone, Copy)]
pub struct Objects {
    heap: *mut u8,
    type_base: *const u8,
}

impl Objects {
    pub fn new(space: &Space, types: &dyn TypeTable) -> Self {
        Self { heap: space.region.base(), type_base: types.type_base() }
    }

    /// Calls `f` with the marked objects that start in a block, ascending, as the marks are now.
    #[inline]
    pub fn walk(&self, space: &mut Space, block: Block, mut f: impl FnMut(&mut Space, u32)) {
        let mut units = [0; MAX_OBJECTS];
        let mut count = 0;
        for index in 0..WORDS_PER_BLOCK {
            for unit in space.marks.word_of_block(block, index).units() {
                units[count] = unit;
                count += 1;
            }
        }
        let units = &units[..count];
        units.iter().take(PREFETCH_OBJECTS).for_each(|&unit| self.prefetch(unit));
        for (i, &unit) in units.iter().enumerate() {
            if let Some(&ahead) = units.get(i + PREFETCH_OBJECTS) {
                self.prefetch(ahead);
            }
            f(space, unit);
        }
    }

    /// Starts to bring what lies at a word near.
    #[inline]
    pub fn prefetch(&self, unit: u32) {
        prefetch(self.at(unit, 0));
    }

    /// Size of an object, in bytes.
    #[inline]
    pub fn bytes_of(&self, unit: u32) -> u32 {
        let type_word = self.read(unit, TYPE_WORD_OFFSET);
        let kind = Kind::of_type_word(type_word);
        size_bytes(kind, self.desc(type_word), || self.read(unit, ARRAY_LENGTH_OFFSET))
    }

    /// Copies an object of `bytes` bytes to memory that holds nothing, and leaves its new place where it was.
    pub fn move_to(&self, from: u32, to: u32, bytes: u32) {
        // SAFETY: the object lies at `from`, and `to` is memory that was handed out for it: another place.
        unsafe { self.at(from, 0).copy_to_nonoverlapping(self.at(to, 0), bytes as usize) };
        self.write(from, TYPE_WORD_OFFSET, FORWARDED);
        self.write(from, FORWARD_OFFSET, to);
    }

    /// Where an object is now.
    #[inline]
    pub fn forward(&self, unit: u32) -> u32 {
        if self.read(unit, TYPE_WORD_OFFSET) == FORWARDED { self.read(unit, FORWARD_OFFSET) } else { unit }
    }

    /// Calls `f` with the place of each reference of a struct or exception.
    pub fn for_each_field(&self, unit: u32, types: &dyn TypeTable, mut f: impl FnMut(u32)) {
        let desc = self.desc_of(unit);
        // Arrays have an empty map.
        let mut map = desc.ref_map;
        while map != 0 {
            f(unit + map.trailing_zeros());
            map &= map - 1;
        }
        if desc.ref_list_len != 0 {
            types.with_ref_list(desc.ref_list_start, desc.ref_list_len, &mut |offsets| {
                offsets.iter().for_each(|&offset| f(unit + offset / REF_UNIT_BYTES));
            });
        }
    }

    /// The places of the elements of an array of references.
    #[inline]
    pub fn elements_of(&self, array: u32) -> Range<u32> {
        let start = array + ARRAY_ELEMENTS_REF_UNITS;
        start..start + self.read(array, ARRAY_LENGTH_OFFSET)
    }

    #[inline]
    pub fn desc_of<'t>(&self, unit: u32) -> &'t TypeDesc {
        self.desc(self.read(unit, TYPE_WORD_OFFSET))
    }

    /// The reference at a place in an object.
    #[inline]
    pub fn slot(&self, at: u32) -> u32 {
        self.read(at, 0)
    }

    /// Lets a reference of an object name the new place of what it names.
    #[inline]
    pub fn forward_slot(&self, at: u32) {
        self.write(at, 0, self.forward(self.read(at, 0)));
    }

    #[inline]
    fn desc<'t>(&self, type_word: u32) -> &'t TypeDesc {
        // SAFETY: `type_word` is the header of a live object, so a descriptor that outlives the heap lies there
        // (contract of `TypeTable`).
        unsafe { &*self.type_base.add(type_word as usize).cast::<TypeDesc>() }
    }

    #[inline]
    fn read(&self, unit: u32, offset: u32) -> u32 {
        // SAFETY: the word is part of an object in committed memory, or of the memory that one was copied from.
        unsafe { self.at(unit, offset).cast::<u32>().read() }
    }

    #[inline]
    fn write(&self, unit: u32, offset: u32, value: u32) {
        // SAFETY: as in `read`; the mutators are stopped, and nobody else writes to objects.
        unsafe { self.at(unit, offset).cast::<u32>().write(value) };
    }

    #[inline]
    fn at(&self, unit: u32, offset: u32) -> *mut u8 {
        self.heap.wrapping_add(((unit as usize) << LOG_REF_SCALE) + offset as usize)
    }
}
