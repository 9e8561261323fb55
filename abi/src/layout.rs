//! Where the fields of a struct type and the elements of an array type lie.
//!
//! Fields stand in declaration order, each at the next offset of its natural alignment (at most that of an
//! object), so a subtype's object starts with its supertype's object. The compiler and the runtime both call
//! these functions: no offset is stored in the artifact.

use crate::object::{ARRAY_ELEMENTS_OFFSET, EXN_PAYLOAD_OFFSET, MAX_OBJECT_BYTES, STRUCT_FIELDS_OFFSET};
use crate::reference::OBJECT_ALIGN_BYTES;
use crate::types::{FieldType, StorageType, ValType};

/// The layout of a struct or of an exception's payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StructLayout {
    /// Byte offset of each field from the start of the object.
    pub offsets: Vec<u32>,
    /// Size of an object, in bytes, a multiple of [`OBJECT_ALIGN_BYTES`].
    pub size_bytes: u32,
    /// Byte offsets of the fields that hold references, ascending.
    pub ref_offsets: Vec<u32>,
}

/// Layout of a struct with these fields.
#[must_use]
pub fn struct_layout(fields: &[FieldType]) -> StructLayout {
    layout_from(STRUCT_FIELDS_OFFSET, fields.iter().map(|f| f.storage))
}

/// Layout of the exception object of a tag with these parameters.
#[must_use]
pub fn exception_layout(params: &[ValType]) -> StructLayout {
    layout_from(EXN_PAYLOAD_OFFSET, params.iter().map(|&p| StorageType::Val(p)))
}

fn layout_from(start: u32, fields: impl Iterator<Item = StorageType>) -> StructLayout {
    let mut end = start;
    let mut offsets = Vec::new();
    let mut ref_offsets = Vec::new();
    for storage in fields {
        let bytes = 1 << storage.log_bytes();
        let offset = end.next_multiple_of(bytes.min(OBJECT_ALIGN_BYTES));
        offsets.push(offset);
        if storage.is_ref() {
            ref_offsets.push(offset);
        }
        end = offset + bytes;
    }
    StructLayout { offsets, size_bytes: end.next_multiple_of(OBJECT_ALIGN_BYTES), ref_offsets }
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
        let full = struct_layout(&all);
        for n in 0..all.len() {
            assert_eq!(struct_layout(&all[..n]).offsets, full.offsets[..n]);
        }
        assert_eq!(full.offsets, [4, 8, 16, 24, 40]);
        assert_eq!(full.size_bytes, 48);
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
