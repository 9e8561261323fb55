//! From `wasmparser`'s types to those of the artifact.
//!
//! The artifact's types have exactly what WebAssembly 3.0 has; what `wasmparser` knows beyond it is refused here
//! with a name. What is shared and what is not is the same to it: validation has kept them apart.

use crate::error::CompileError;
use dolmen_abi::types::{
    CompositeType, FieldType, FuncType, GlobalType, HeapType, Limits, MemoryType, RecGroup, RefType, StorageType,
    SubType, TableType, TypeIdx, ValType,
};
use std::collections::HashMap;
use wasmparser::{AbstractHeapType, CompositeInnerType, PackedIndex, UnpackedIndex};

pub(crate) fn type_idx(index: UnpackedIndex, offset: u64) -> Result<TypeIdx, CompileError> {
    match index.as_module_index() {
        Some(index) => Ok(TypeIdx(index)),
        None => Err(CompileError::unsupported(offset, "a type index outside the module")),
    }
}

pub(crate) fn heap_type(ty: wasmparser::HeapType, offset: u64) -> Result<HeapType, CompileError> {
    use wasmparser::HeapType as W;
    Ok(match ty {
        W::Concrete(index) => HeapType::Concrete(type_idx(index, offset)?),
        W::Abstract { ty, .. } => match ty {
            AbstractHeapType::Any => HeapType::Any,
            AbstractHeapType::Eq => HeapType::Eq,
            AbstractHeapType::I31 => HeapType::I31,
            AbstractHeapType::Struct => HeapType::Struct,
            AbstractHeapType::Array => HeapType::Array,
            AbstractHeapType::None => HeapType::None,
            AbstractHeapType::Func => HeapType::Func,
            AbstractHeapType::NoFunc => HeapType::NoFunc,
            AbstractHeapType::Extern => HeapType::Extern,
            AbstractHeapType::NoExtern => HeapType::NoExtern,
            AbstractHeapType::Exn => HeapType::Exn,
            AbstractHeapType::NoExn => HeapType::NoExn,
            AbstractHeapType::Cont | AbstractHeapType::NoCont => {
                return Err(CompileError::unsupported(offset, "continuation types"));
            }
        },
        W::Exact(index) => HeapType::Exact(type_idx(index, offset)?),
    })
}

pub(crate) fn ref_type(ty: wasmparser::RefType, offset: u64) -> Result<RefType, CompileError> {
    Ok(RefType { nullable: ty.is_nullable(), heap: heap_type(ty.heap_type(), offset)? })
}

pub(crate) fn val_type(ty: wasmparser::ValType, offset: u64) -> Result<ValType, CompileError> {
    Ok(match ty {
        wasmparser::ValType::I32 => ValType::I32,
        wasmparser::ValType::I64 => ValType::I64,
        wasmparser::ValType::F32 => ValType::F32,
        wasmparser::ValType::F64 => ValType::F64,
        wasmparser::ValType::V128 => ValType::V128,
        wasmparser::ValType::Ref(ty) => ValType::Ref(ref_type(ty, offset)?),
    })
}

fn field_type(ty: wasmparser::FieldType, offset: u64) -> Result<FieldType, CompileError> {
    let storage = match ty.element_type {
        wasmparser::StorageType::I8 => StorageType::I8,
        wasmparser::StorageType::I16 => StorageType::I16,
        wasmparser::StorageType::Val(ty) => StorageType::Val(val_type(ty, offset)?),
    };
    Ok(FieldType { storage, mutable: ty.mutable })
}

fn val_types(types: &[wasmparser::ValType], offset: u64) -> Result<Vec<ValType>, CompileError> {
    types.iter().map(|&ty| val_type(ty, offset)).collect()
}

pub(crate) fn func_type(ty: &wasmparser::FuncType, offset: u64) -> Result<FuncType, CompileError> {
    Ok(FuncType { params: val_types(ty.params(), offset)?, results: val_types(ty.results(), offset)? })
}

pub(crate) fn sub_type(ty: &wasmparser::SubType, offset: u64) -> Result<SubType, CompileError> {
    let composite = match &ty.composite_type.inner {
        CompositeInnerType::Func(func) => CompositeType::Func(func_type(func, offset)?),
        CompositeInnerType::Array(array) => CompositeType::Array(field_type(array.0, offset)?),
        CompositeInnerType::Struct(fields) => {
            CompositeType::Struct(fields.fields.iter().map(|&f| field_type(f, offset)).collect::<Result<_, _>>()?)
        }
        CompositeInnerType::Cont(_) => return Err(CompileError::unsupported(offset, "continuation types")),
    };
    let index = |index: Option<&PackedIndex>| index.map(|index| type_idx(index.unpack(), offset)).transpose();
    Ok(SubType {
        is_final: ty.is_final,
        supertype: index(ty.supertype_idxs.first())?,
        descriptor: index(ty.composite_type.descriptor_idx.as_ref())?,
        describes: index(ty.composite_type.describes_idx.as_ref())?,
        composite,
    })
}

pub(crate) fn table_type(ty: &wasmparser::TableType, offset: u64) -> Result<TableType, CompileError> {
    Ok(TableType {
        element: ref_type(ty.element_type, offset)?,
        limits: Limits { min: ty.initial, max: ty.maximum },
        index64: ty.table64,
    })
}

pub(crate) fn memory_type(ty: &wasmparser::MemoryType) -> MemoryType {
    MemoryType {
        limits: Limits { min: ty.initial, max: ty.maximum },
        index64: ty.memory64,
        shared: ty.shared,
        log_page_bytes: ty.page_size_log2.unwrap_or(16),
    }
}

pub(crate) fn global_type(ty: &wasmparser::GlobalType, offset: u64) -> Result<GlobalType, CompileError> {
    Ok(GlobalType { value: val_type(ty.content_type, offset)?, mutable: ty.mutable })
}

/// For each type index, the least index of an equal type (iso-recursive equality: rec groups are equal if they
/// are the same up to references to themselves).
pub(crate) fn canonical_indices(groups: &[RecGroup]) -> Vec<u32> {
    let mut canonical: Vec<u32> = Vec::new();
    let mut first_start = HashMap::new();
    for group in groups {
        let start = canonical.len() as u32;
        // References into the group become relative, behind all indices that can occur otherwise.
        let rename = |idx: TypeIdx| match idx.0.checked_sub(start) {
            Some(relative) => TypeIdx(u32::MAX - relative),
            None => TypeIdx(canonical[idx.0 as usize]),
        };
        let key: Vec<SubType> = group.types.iter().map(|ty| rename_sub_type(ty, rename)).collect();
        let first = *first_start.entry(key).or_insert(start);
        canonical.extend(first..first + group.types.len() as u32);
    }
    canonical
}

fn rename_sub_type(ty: &SubType, rename: impl Fn(TypeIdx) -> TypeIdx) -> SubType {
    let value = |ty: &ValType| match *ty {
        ValType::Ref(RefType { nullable, heap: HeapType::Concrete(idx) }) => {
            ValType::Ref(RefType { nullable, heap: HeapType::Concrete(rename(idx)) })
        }
        ValType::Ref(RefType { nullable, heap: HeapType::Exact(idx) }) => {
            ValType::Ref(RefType { nullable, heap: HeapType::Exact(rename(idx)) })
        }
        other => other,
    };
    let field = |ty: &FieldType| FieldType {
        storage: match ty.storage {
            StorageType::Val(ty) => StorageType::Val(value(&ty)),
            packed => packed,
        },
        ..*ty
    };
    let composite = match &ty.composite {
        CompositeType::Func(func) => CompositeType::Func(FuncType {
            params: func.params.iter().map(value).collect(),
            results: func.results.iter().map(value).collect(),
        }),
        CompositeType::Struct(fields) => CompositeType::Struct(fields.iter().map(field).collect()),
        CompositeType::Array(element) => CompositeType::Array(field(element)),
    };
    SubType {
        is_final: ty.is_final,
        supertype: ty.supertype.map(&rename),
        descriptor: ty.descriptor.map(&rename),
        describes: ty.describes.map(&rename),
        composite,
    }
}

/// Whether what is stored is a reference that is never null.
pub(crate) fn is_non_null(storage: StorageType) -> bool {
    matches!(storage, StorageType::Val(ValType::Ref(RefType { nullable: false, .. })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(next: u32) -> RecGroup {
        let next = ValType::Ref(RefType { nullable: true, heap: HeapType::Concrete(TypeIdx(next)) });
        let field = FieldType { storage: StorageType::Val(next), mutable: true };
        RecGroup {
            types: vec![SubType {
                is_final: true,
                supertype: None,
                descriptor: None,
                describes: None,
                composite: CompositeType::Struct(vec![field]),
            }],
        }
    }

    #[test]
    fn equal_recursive_groups_share_an_index() {
        // Two lists of themselves, then a pointer to each of them.
        assert_eq!(canonical_indices(&[node(0), node(1), node(0), node(1)]), [0, 0, 2, 2]);
    }
}
