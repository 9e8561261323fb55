//! The shape of objects: how large they are and where their references lie.
//!
//! A header's type word leads to a descriptor that the engine wrote. This is the one place that turns the two
//! into a size and a list of references; the tracer and the evacuation have their own, inlined walks over the
//! references ([`crate::trace`], [`crate::evacuate`]).
//!
//! Invariant: a [`TypeDesc`] is only reached through a type word for which
//! [`TypeTable::contains`] holds, or that an object allocated by this heap carries.

#![allow(unsafe_code, reason = "reads type descriptors at addresses that the engine gives")]

use crate::interface::to_runtime::TypeTable;
use crate::space::region::Region;
use dolmen_abi::layout::array_size_bytes;
use dolmen_abi::object::{ARRAY_ELEMENTS_OFFSET, ARRAY_LENGTH_OFFSET, EXTERN_BYTES, FUNC_BYTES};
use dolmen_abi::reference::{OBJECT_ALIGN_BYTES, REF_BYTES, REF_UNIT_BYTES};
use dolmen_abi::type_desc::{Kind, TypeDesc};

/// An object of known type.
#[derive(Clone, Copy, Debug)]
pub struct Object<'t> {
    pub unit: u32,
    pub bytes: u32,
    pub desc: &'t TypeDesc,
    pub kind: Kind,
}

/// The descriptor of a type and its kind, or `None` if there is no such type.
pub fn type_desc(types: &dyn TypeTable, type_word: u32) -> Option<(Kind, &TypeDesc)> {
    let kind = Kind::of_type_word(type_word)?;
    if !types.contains(type_word) {
        return None;
    }
    let address = types.type_base().wrapping_add(type_word as usize).cast::<TypeDesc>();
    // SAFETY: `contains` says that a valid, immutable descriptor lies there as long as `types` lives (contract of
    // `TypeTable`).
    Some((kind, unsafe { &*address }))
}

/// Size of a live object, in bytes; `length` reads that of an array.
#[inline(always)]
pub fn size_bytes(kind: Option<Kind>, desc: &TypeDesc, length: impl FnOnce() -> u32) -> u32 {
    match kind {
        Some(Kind::Array) => {
            let bytes = u64::from(ARRAY_ELEMENTS_OFFSET) + (u64::from(length()) << desc.log_elem_bytes);
            bytes.next_multiple_of(u64::from(OBJECT_ALIGN_BYTES)) as u32
        }
        Some(Kind::Func) => FUNC_BYTES,
        Some(Kind::Extern) => EXTERN_BYTES,
        Some(Kind::Struct | Kind::Exn) | None => desc.fixed_bytes,
    }
}

impl<'t> Object<'t> {
    /// The object at `unit`, whose type word leads to this descriptor. `None` if it is an array of a length that no
    /// object can have.
    pub fn new(region: &Region, unit: u32, (kind, desc): (Kind, &'t TypeDesc)) -> Option<Self> {
        let bytes = match kind {
            Kind::Array => {
                let length = region.read_u32(unit, ARRAY_LENGTH_OFFSET);
                array_size_bytes(u32::from(desc.log_elem_bytes), length)?
            }
            _ => size_bytes(Some(kind), desc, || 0),
        };
        Some(Self { unit, bytes, desc, kind })
    }

    /// The word after the object.
    pub fn end_unit(&self) -> u32 {
        self.unit + self.bytes / REF_UNIT_BYTES
    }

    /// Visits each reference of the object: its offset in bytes and the word.
    pub fn for_each_ref(&self, region: &Region, types: &dyn TypeTable, mut visit: impl FnMut(u32, u32)) {
        let mut at = |offset: u32| visit(offset, region.read_u32(self.unit, offset));
        match self.kind {
            Kind::Array if self.desc.elem_is_ref != 0 => {
                let length = region.read_u32(self.unit, ARRAY_LENGTH_OFFSET);
                (0..length).for_each(|i| at(ARRAY_ELEMENTS_OFFSET + i * REF_BYTES));
            }
            Kind::Struct | Kind::Exn => {
                let mut map = self.desc.ref_map;
                while map != 0 {
                    at(map.trailing_zeros() * REF_BYTES);
                    map &= map - 1;
                }
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
