//! The shape of objects: how large they are and where their references lie.
//!
//! A header's type word leads to a descriptor that the engine wrote. This is the one place that turns the two
//! into a size and a list of references; the tracer has its own, inlined walk over the same facts
//! ([`crate::trace`]).
//!
//! Invariant: a [`TypeDesc`] is only reached through a type word for which
//! [`TypeTable::contains`] holds, or that an object allocated by this heap carries.

#![allow(unsafe_code, reason = "reads type descriptors at addresses that the engine gives")]

use crate::interface::to_runtime::TypeTable;
use crate::space::region::Region;
use dolmen_abi::layout::array_size_bytes;
use dolmen_abi::object::{ARRAY_ELEMENTS_OFFSET, ARRAY_LENGTH_OFFSET, EXTERN_BYTES, FUNC_BYTES, TYPE_WORD_OFFSET};
use dolmen_abi::reference::REF_BYTES;
use dolmen_abi::type_desc::{Kind, TypeDesc};

/// An object of known type.
#[derive(Clone, Copy, Debug)]
pub struct Object {
    pub unit: u32,
    pub type_word: u32,
    pub bytes: u32,
    pub desc: TypeDesc,
}

/// The descriptor of a type, or `None` if there is no such type.
pub fn type_desc(types: &dyn TypeTable, type_word: u32) -> Option<TypeDesc> {
    Kind::of_type_word(type_word)?;
    if !types.contains(type_word) {
        return None;
    }
    let address = types.type_base().wrapping_add(type_word as usize).cast::<TypeDesc>();
    // SAFETY: `contains` says that a valid, immutable descriptor lies there (contract of `TypeTable`).
    Some(unsafe { address.read() })
}

/// The object at `unit`, or the type word found there if it names no type. An array whose length no object can
/// have is an error too.
pub fn object_at(region: &Region, types: &dyn TypeTable, unit: u32) -> Result<Object, u32> {
    let type_word = region.read_u32(unit, TYPE_WORD_OFFSET);
    let desc = type_desc(types, type_word).ok_or(type_word)?;
    let bytes = match Kind::of_type_word(type_word) {
        Some(Kind::Array) => {
            let length = region.read_u32(unit, ARRAY_LENGTH_OFFSET);
            array_size_bytes(u32::from(desc.log_elem_bytes), length).ok_or(type_word)?
        }
        Some(Kind::Func) => FUNC_BYTES,
        Some(Kind::Extern) => EXTERN_BYTES,
        Some(Kind::Struct | Kind::Exn) => desc.fixed_bytes,
        None => return Err(type_word),
    };
    Ok(Object { unit, type_word, bytes, desc })
}

impl Object {
    /// Visits each reference of the object: its offset in bytes and the word.
    pub fn for_each_ref(&self, region: &Region, types: &dyn TypeTable, visit: &mut dyn FnMut(u32, u32)) {
        let mut at = |offset: u32| visit(offset, region.read_u32(self.unit, offset));
        match Kind::of_type_word(self.type_word) {
            Some(Kind::Array) if self.desc.elem_is_ref != 0 => {
                let length = region.read_u32(self.unit, ARRAY_LENGTH_OFFSET);
                (0..length).for_each(|i| at(ARRAY_ELEMENTS_OFFSET + i * REF_BYTES));
            }
            Some(Kind::Struct | Kind::Exn) => {
                let map = self.desc.ref_map;
                (0..u64::BITS).filter(|i| map >> i & 1 != 0).for_each(|i| at(i * REF_BYTES));
                if self.desc.ref_list_len > 0 {
                    types.with_ref_list(self.desc.ref_list_start, self.desc.ref_list_len, &mut |offsets| {
                        offsets.iter().for_each(|&offset| at(offset));
                    });
                }
            }
            _ => {}
        }
    }
}
