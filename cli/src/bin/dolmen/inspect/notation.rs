//! Types in the notation of the text format; concrete ones by their index.

use dolmen_abi::types::{
    CompositeType, ExternType, FieldType, FuncType, HeapType, Limits, RefType, StorageType, SubType, TypeIdx, ValType,
};

/// The kind of an item, as the text format names it.
#[must_use]
pub const fn kind(ty: &ExternType) -> &'static str {
    match ty {
        ExternType::Func(_) => "func",
        ExternType::Table(_) => "table",
        ExternType::Memory(_) => "memory",
        ExternType::Global(_) => "global",
        ExternType::Tag(_) => "tag",
    }
}

/// The type of an item; that of a function or tag is looked up in `types`.
#[must_use]
pub fn extern_type(ty: &ExternType, types: &[&SubType]) -> String {
    match ty {
        ExternType::Func(TypeIdx(index)) => format!("(func (type {index}){})", signature(*index, types)),
        ExternType::Tag(TypeIdx(index)) => format!("(tag (type {index}){})", signature(*index, types)),
        ExternType::Table(ty) => {
            format!("(table {}{} {})", index_type(ty.index64), limits(ty.limits), ref_type(ty.element))
        }
        ExternType::Memory(ty) => {
            let shared = if ty.shared { " shared" } else { "" };
            format!("(memory {}{}{shared})", index_type(ty.index64), limits(ty.limits))
        }
        ExternType::Global(ty) if ty.mutable => format!("(global (mut {}))", val_type(ty.value)),
        ExternType::Global(ty) => format!("(global {})", val_type(ty.value)),
    }
}

/// A type definition.
#[must_use]
pub fn sub_type(ty: &SubType) -> String {
    let composite = match &ty.composite {
        CompositeType::Func(ty) => format!("(func{})", func_type(ty)),
        CompositeType::Struct(fields) => {
            let fields: Vec<_> = fields.iter().map(|ty| format!(" (field {})", field_type(*ty))).collect();
            format!("(struct{})", fields.concat())
        }
        CompositeType::Array(element) => format!("(array {})", field_type(*element)),
    };
    let clause = |word: &str, index: Option<TypeIdx>| index.map(|TypeIdx(index)| format!("({word} {index}) "));
    let describes = clause("describes", ty.describes).unwrap_or_default();
    let descriptor = clause("descriptor", ty.descriptor).unwrap_or_default();
    let composite = format!("{describes}{descriptor}{composite}");
    match (ty.is_final, ty.supertype) {
        (true, None) => composite,
        (is_final, supertype) => {
            let is_final = if is_final { " final" } else { "" };
            let supertype = supertype.map(|TypeIdx(index)| format!(" {index}")).unwrap_or_default();
            format!("(sub{is_final}{supertype} {composite})")
        }
    }
}

fn signature(index: u32, types: &[&SubType]) -> String {
    match types.get(index as usize).map(|ty| &ty.composite) {
        Some(CompositeType::Func(ty)) => func_type(ty),
        _ => String::new(),
    }
}

fn func_type(ty: &FuncType) -> String {
    let list = |word: &str, types: &[ValType]| match types {
        [] => String::new(),
        _ => format!(" ({word} {})", types.iter().map(|&ty| val_type(ty)).collect::<Vec<_>>().join(" ")),
    };
    list("param", &ty.params) + &list("result", &ty.results)
}

fn field_type(ty: FieldType) -> String {
    let storage = match ty.storage {
        StorageType::I8 => "i8".to_owned(),
        StorageType::I16 => "i16".to_owned(),
        StorageType::Val(ty) => val_type(ty),
    };
    if ty.mutable { format!("(mut {storage})") } else { storage }
}

fn val_type(ty: ValType) -> String {
    match ty {
        ValType::I32 => "i32".into(),
        ValType::I64 => "i64".into(),
        ValType::F32 => "f32".into(),
        ValType::F64 => "f64".into(),
        ValType::V128 => "v128".into(),
        ValType::Ref(ty) => ref_type(ty),
    }
}

fn ref_type(ty: RefType) -> String {
    let null = if ty.nullable { "null " } else { "" };
    match ty.heap {
        HeapType::Concrete(TypeIdx(index)) => format!("(ref {null}{index})"),
        HeapType::Exact(TypeIdx(index)) => format!("(ref {null}(exact {index}))"),
        heap => format!("(ref {null}{})", abstract_heap_type(heap)),
    }
}

const fn abstract_heap_type(ty: HeapType) -> &'static str {
    match ty {
        HeapType::Any => "any",
        HeapType::Eq => "eq",
        HeapType::I31 => "i31",
        HeapType::Struct => "struct",
        HeapType::Array => "array",
        HeapType::None => "none",
        HeapType::Func => "func",
        HeapType::NoFunc => "nofunc",
        HeapType::Extern => "extern",
        HeapType::NoExtern => "noextern",
        HeapType::Exn => "exn",
        HeapType::NoExn => "noexn",
        HeapType::Concrete(_) | HeapType::Exact(_) => "concrete",
    }
}

fn limits(limits: Limits) -> String {
    match limits.max {
        Some(max) => format!("{} {max}", limits.min),
        None => limits.min.to_string(),
    }
}

const fn index_type(index64: bool) -> &'static str {
    if index64 { "i64 " } else { "" }
}
