//! Objects during an evacuation, at machine speed: headers, references, forwarding.
//!
//! Where an object was, [`FORWARDED`] stands in place of the type word, and the new reference word behind it. Both
//! fit: no object is smaller than its alignment.
//!
//! Invariant: units are those of marked objects, or of objects that were copied by this evacuation.

#![allow(unsafe_code, reason = "reads and writes object memory at machine speed")]

use crate::interface::to_runtime::TypeTable;
use crate::space::Space;
use dolmen_abi::object::{ARRAY_ELEMENTS_OFFSET, ARRAY_LENGTH_OFFSET, EXTERN_BYTES, FUNC_BYTES, TYPE_WORD_OFFSET};
use dolmen_abi::reference::{LOG_REF_SCALE, OBJECT_ALIGN_BYTES, REF_BYTES};
use dolmen_abi::type_desc::{Kind, NO_TYPE_WORD, TypeDesc};

/// Stands in place of the type word of an object that was copied.
const FORWARDED: u32 = NO_TYPE_WORD;

/// Offset of the new reference word of an object that was copied, in bytes.
const FORWARD_OFFSET: u32 = 4;

const _: () = assert!(FORWARD_OFFSET + REF_BYTES <= OBJECT_ALIGN_BYTES, "every object has room for its new place");

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

    /// Size of an object, in bytes.
    #[inline]
    pub fn bytes_of(&self, unit: u32) -> u32 {
        let type_word = self.read(unit, TYPE_WORD_OFFSET);
        let desc = self.desc(type_word);
        match Kind::of_type_word(type_word) {
            Some(Kind::Array) => {
                let length = u64::from(self.read(unit, ARRAY_LENGTH_OFFSET));
                let bytes = u64::from(ARRAY_ELEMENTS_OFFSET) + (length << desc.log_elem_bytes);
                bytes.next_multiple_of(u64::from(OBJECT_ALIGN_BYTES)) as u32
            }
            Some(Kind::Func) => FUNC_BYTES,
            Some(Kind::Extern) => EXTERN_BYTES,
            _ => desc.fixed_bytes,
        }
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

    /// Replaces each reference of an object by what `forward` makes of it.
    #[inline]
    pub fn rewrite(&self, unit: u32, types: &dyn TypeTable, forward: impl Fn(u32) -> u32) {
        let type_word = self.read(unit, TYPE_WORD_OFFSET);
        let desc = self.desc(type_word);
        let rewrite_at = |offset: u32| {
            let before = self.read(unit, offset);
            let after = forward(before);
            if after != before {
                self.write(unit, offset, after);
            }
        };
        match Kind::of_type_word(type_word) {
            Some(Kind::Struct | Kind::Exn) => {
                let mut map = desc.ref_map;
                while map != 0 {
                    rewrite_at(map.trailing_zeros() * REF_BYTES);
                    map &= map - 1;
                }
                if desc.ref_list_len != 0 {
                    types.with_ref_list(desc.ref_list_start, desc.ref_list_len, &mut |offsets| {
                        offsets.iter().for_each(|&offset| rewrite_at(offset));
                    });
                }
            }
            Some(Kind::Array) if desc.elem_is_ref != 0 => {
                let length = self.read(unit, ARRAY_LENGTH_OFFSET);
                (0..length).for_each(|i| rewrite_at(ARRAY_ELEMENTS_OFFSET + i * REF_BYTES));
            }
            _ => {}
        }
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
