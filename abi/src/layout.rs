//! Where the fields of a struct type and the elements of an array type lie.
//!
//! Fields stand in declaration order, each at the next offset of its natural alignment (at most that of an
//! object), so a subtype's object starts with its supertype's object. The compiler and the runtime both call
//! these functions: no offset is stored in the artifact.

use crate::object::{ARRAY_ELEMENTS_OFFSET, EXN_PAYLOAD_OFFSET, MAX_OBJECT_BYTES, STRUCT_FIELDS_OFFSET};
use crate::reference::{OBJECT_ALIGN_BYTES, REF_BYTES};
use crate::types::{FieldType, StorageType, SubType, ValType};

/// The layout of a struct or of an exception's payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StructLayout {
    /// Byte offset of each field from the start of the object.
    pub offsets: Vec<u32>,
    /// Size of an object, in bytes, a multiple of [`OBJECT_ALIGN_BYTES`].
    pub size_bytes: u32,
    /// Byte offsets of the fields that hold references, ascending; that of the custom descriptor among them.
    pub ref_offsets: Vec<u32>,
    /// Byte offset of the reference to the object's custom descriptor, if it has one.
    pub descriptor: Option<u32>,
}

/// Layout of a struct with these fields.
///
/// An object's custom descriptor is a hidden field in front of field `descriptor_at`: behind the fields of the last
/// supertype without descriptor, see [`descriptor_place`].
#[must_use]
pub fn struct_layout(fields: &[FieldType], descriptor_at: Option<usize>) -> StructLayout {
    layout_from(STRUCT_FIELDS_OFFSET, fields.iter().map(|f| f.storage), descriptor_at)
}

/// In front of which field the custom descriptor of a type's objects lies; given the type, and of its supertype the
/// number of fields and where its own descriptor lies.
#[must_use]
pub fn descriptor_place(ty: &SubType, supertype: Option<(usize, Option<usize>)>) -> Option<usize> {
    ty.descriptor?;
    let (fields, inherited) = supertype.unwrap_or_default();
    Some(inherited.unwrap_or(fields))
}

/// Layout of the exception object of a tag with these parameters.
#[must_use]
pub fn exception_layout(params: &[ValType]) -> StructLayout {
    layout_from(EXN_PAYLOAD_OFFSET, params.iter().map(|&p| StorageType::Val(p)), None)
}

fn layout_from(
    start: u32,
    fields: impl ExactSizeIterator<Item = StorageType>,
    descriptor_at: Option<usize>,
) -> StructLayout {
    let mut end = start;
    let mut offsets = Vec::new();
    let mut ref_offsets = Vec::new();
    let mut descriptor = None;
    let mut place_descriptor = |index: usize, end: &mut u32, ref_offsets: &mut Vec<u32>| {
        if descriptor_at == Some(index) {
            let offset = end.next_multiple_of(REF_BYTES);
            descriptor = Some(offset);
            ref_offsets.push(offset);
            *end = offset + REF_BYTES;
        }
    };
    let count = fields.len();
    for (index, storage) in fields.enumerate() {
        place_descriptor(index, &mut end, &mut ref_offsets);
        let bytes = 1 << storage.log_bytes();
        let offset = end.next_multiple_of(bytes.min(OBJECT_ALIGN_BYTES));
        offsets.push(offset);
        if storage.is_ref() {
            ref_offsets.push(offset);
        }
        end = offset + bytes;
    }
    place_descriptor(count, &mut end, &mut ref_offsets);
    StructLayout { descriptor, offsets, size_bytes: end.next_multiple_of(OBJECT_ALIGN_BYTES), ref_offsets }
}

/// Size in bytes of an array object with `length` elements of `1 << log_elem_bytes` bytes each, or `None` if
/// it exceeds [`MAX_OBJECT_BYTES`].
#[must_use]
pub fn array_size_bytes(log_elem_bytes: u32, length: u32) -> Option<u32> {
    let bytes = u64::from(ARRAY_ELEMENTS_OFFSET) + (u64::from(length) << log_elem_bytes);
    let bytes = bytes.next_multiple_of(u64::from(OBJECT_ALIGN_BYTES));
    (bytes <= MAX_OBJECT_BYTES).then_some(bytes as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(storage: StorageType) -> FieldType {
        FieldType { storage, mutable: true }
    }

    #[test]
    fn subtype_extends_supertype() {
        let all = [
            StorageType::I8,
            StorageType::Val(ValType::F64),
            StorageType::I16,
            StorageType::Val(ValType::V128),
            StorageType::Val(ValType::I32),
        ]
        .map(field);
        let full = struct_layout(&all, None);
        for n in 0..all.len() {
            assert_eq!(struct_layout(&all[..n], None).offsets, full.offsets[..n]);
        }
        assert_eq!(full.offsets, [4, 8, 16, 24, 40]);
        assert_eq!(full.size_bytes, 48);
    }

    #[test]
    fn descriptors_lie_behind_the_fields_of_plain_supertypes() {
        let fields = [StorageType::I8, StorageType::I8, StorageType::I16].map(field);
        let layout = struct_layout(&fields, Some(1));
        assert_eq!((layout.descriptor, layout.ref_offsets), (Some(8), vec![8]));
        assert_eq!(layout.offsets, [4, 12, 14]);
        assert_eq!(layout.offsets[0], struct_layout(&fields[..1], None).offsets[0]);
        assert_eq!(struct_layout(&fields[..1], Some(1)).descriptor, Some(8));
        let last = struct_layout(&[], Some(0));
        assert_eq!((last.descriptor, last.size_bytes), (Some(4), 8));
    }

    #[test]
    fn array_sizes_stop_at_the_limit() {
        assert_eq!(array_size_bytes(0, 0), Some(8));
        assert_eq!(array_size_bytes(1, 3), Some(16));
        assert_eq!(array_size_bytes(3, u32::MAX), None);
        assert_eq!(array_size_bytes(0, MAX_OBJECT_BYTES as u32 - 8), Some(MAX_OBJECT_BYTES as u32));
        assert_eq!(array_size_bytes(0, MAX_OBJECT_BYTES as u32 - 7), None);
    }
}
