//! What a reference is.

use super::handle::{Object, Reference, is_i31, object};
use super::types::heap_type;
use crate::border::exported;
use runtime::{AnyRef, HeapType};

/// Whether a reference of the `any` hierarchy is a host's value.
///
/// # Safety
///
/// As for [`object`].
unsafe fn is_host_any(pointer: *const Object) -> bool {
    // SAFETY: as the caller promises.
    let reference = unsafe { object(pointer) }.map(Object::reference);
    matches!(reference, Some(Reference::Any(any)) if any.is_extern())
}

/// # Safety
///
/// As for [`object`].
unsafe fn is_eq(pointer: *const Object) -> bool {
    // SAFETY: as the caller promises.
    unsafe { heap_type(pointer) }.is_some_and(|found| found.matches(&HeapType::Eq))
}

/// `ref.eq`. Objects in the making are made, since code could compare them, too.
///
/// # Safety
///
/// As for [`object`].
unsafe fn equal(a: *const Object, b: *const Object) -> bool {
    if a == b {
        return true;
    }
    // SAFETY: as the caller promises.
    let (Some(first), Some(second)) = (unsafe { (object(a), object(b)) }) else { return false };
    let any = |object: &Object| match object.reference() {
        Reference::Extern(value) => Some(AnyRef::from(value)),
        Reference::Func(_) | Reference::Exn(_) => None,
        _ => object.record().check(object.to_any()),
    };
    match (first.reference(), second.reference()) {
        (Reference::Func(a), Reference::Func(b)) => a == b,
        _ => any(first).zip(any(second)).is_some_and(|(a, b)| a.same(&b)),
    }
}

/// Whether it is no host's value, nor an exception.
///
/// # Safety
///
/// As for [`object`].
unsafe fn is_internal(pointer: *const Object) -> bool {
    // SAFETY: as the caller promises.
    match unsafe { heap_type(pointer) } {
        None | Some(HeapType::Extern | HeapType::Exn) => false,
        Some(_) => true,
    }
}

exported! {
    fn wasm_obj_is_struct_obj(pointer: *const Object) -> bool = false,
        heap_type(pointer).is_some_and(|found| found.matches(&HeapType::Struct));
    fn wasm_obj_is_array_obj(pointer: *const Object) -> bool = false,
        heap_type(pointer).is_some_and(|found| found.matches(&HeapType::Array));
    fn wasm_obj_is_func_obj(pointer: *const Object) -> bool = false,
        heap_type(pointer).is_some_and(|found| found.matches(&HeapType::Func));
    fn wasm_obj_is_i31_obj(pointer: *const Object) -> bool = false, is_i31(pointer);
    fn wasm_obj_is_externref_obj(pointer: *const Object) -> bool = false,
        matches!(object(pointer).map(Object::reference), Some(Reference::Extern(_)));
    fn wasm_obj_is_anyref_obj(pointer: *const Object) -> bool = false, is_host_any(pointer);
    fn wasm_obj_is_internal_obj(pointer: *const Object) -> bool = false, is_internal(pointer);
    fn wasm_obj_is_eq_obj(pointer: *const Object) -> bool = false, is_eq(pointer);
    fn dolmen_obj_equal(a: *const Object, b: *const Object) -> bool = false, equal(a, b);
}
