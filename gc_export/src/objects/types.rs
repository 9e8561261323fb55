//! Types of modules, as C sees them.
//!
//! A defined type is a [`TypeRecord`] of its module's, with everything that C can ask for in the form of C: a concrete
//! reference type is the index of a type of the same module. Types that a module does not have, C cannot name.

use super::handle::{Object, Reference, i31_of, object};
use crate::border::{exported, set};
use crate::modules::ModuleRecord;
use crate::values::{Kind, kind_of};
use runtime::{FieldType, FuncType, HeapType, Module, RefType, StorageType, ValType};
use std::ptr;

/// A `wasm_defined_type_t`, `wasm_func_type_t`, `wasm_struct_type_t` or `wasm_array_type_t`.
#[derive(Debug)]
pub(crate) struct TypeRecord {
    pub(crate) heap: HeapType,
    parts: Parts,
}

/// What a type consists of, in C's form.
#[derive(Debug)]
enum Parts {
    Func {
        params: Vec<Part>,
        results: Vec<Part>,
    },
    /// With whether each field is mutable.
    Struct(Vec<(CRefType, bool)>),
    Array((CRefType, bool)),
}

#[derive(Debug)]
struct Part {
    ty: CRefType,
    kind: Kind,
}

/// `wasm_ref_type_t`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CRefType {
    value_type: u8,
    nullable: bool,
    heap_type: i32,
}

/// `wasm_value_type_enum`.
mod value_type {
    pub(super) const I32: u8 = 0x7f;
    pub(super) const I64: u8 = 0x7e;
    pub(super) const F32: u8 = 0x7d;
    pub(super) const F64: u8 = 0x7c;
    pub(super) const V128: u8 = 0x7b;
    pub(super) const I8: u8 = 0x7a;
    pub(super) const I16: u8 = 0x79;
    pub(super) const NULLABLE: u8 = 0x6c;
    pub(super) const NON_NULLABLE: u8 = 0x6b;
    /// No type.
    pub(super) const NONE: u8 = 0;
}

/// Abstract heap types: as in `wasm_heap_type_enum`, and the value type of a nullable reference to each.
const ABSTRACT: [(HeapType, i32, u8); 12] = [
    (HeapType::Func, -0x10, 0x70),
    (HeapType::Extern, -0x11, 0x6f),
    (HeapType::Any, -0x12, 0x6e),
    (HeapType::Eq, -0x13, 0x6d),
    (HeapType::I31, -0x16, 0x6a),
    (HeapType::NoFunc, -0x17, 0x69),
    (HeapType::NoExtern, -0x18, 0x68),
    (HeapType::Struct, -0x19, 0x67),
    (HeapType::Array, -0x1a, 0x66),
    (HeapType::None, -0x1b, 0x65),
    (HeapType::Exn, -0x1c, 0x64),
    (HeapType::NoExn, -0x1d, 0x63),
];

impl CRefType {
    const NONE: Self = Self { value_type: value_type::NONE, nullable: false, heap_type: 0 };

    fn number(value_type: u8) -> Self {
        Self { value_type, ..Self::NONE }
    }

    fn of(module: &Module, ty: &ValType) -> Self {
        match ty {
            ValType::I32 => Self::number(value_type::I32),
            ValType::I64 => Self::number(value_type::I64),
            ValType::F32 => Self::number(value_type::F32),
            ValType::F64 => Self::number(value_type::F64),
            ValType::V128 => Self::number(value_type::V128),
            ValType::Ref(ty) => Self::of_ref(module, ty),
        }
    }

    fn of_ref(module: &Module, ty: &RefType) -> Self {
        let nullable = ty.is_nullable();
        let general = if nullable { value_type::NULLABLE } else { value_type::NON_NULLABLE };
        let known = ABSTRACT.iter().find(|(heap, ..)| heap == ty.heap_type());
        match known {
            Some(&(_, heap_type, short)) => {
                Self { value_type: if nullable { short } else { general }, nullable, heap_type }
            }
            None => {
                let index = index_of(module, ty.heap_type()).map_or(-1, u32::cast_signed);
                Self { value_type: general, nullable, heap_type: index }
            }
        }
    }

    fn of_storage(module: &Module, storage: &StorageType) -> Self {
        match storage {
            StorageType::I8 => Self::number(value_type::I8),
            StorageType::I16 => Self::number(value_type::I16),
            StorageType::Val(ty) => Self::of(module, ty),
        }
    }

    /// The type that it means in a module.
    fn to_ref(self, module: &Module) -> Option<RefType> {
        let abstract_type = |(heap, number, short): &(HeapType, i32, u8)| {
            (self.value_type == *short || (self.is_general() && self.heap_type == *number)).then(|| heap.clone())
        };
        let heap = ABSTRACT.iter().find_map(abstract_type);
        let heap =
            heap.or_else(|| module.get_type(u32::try_from(self.heap_type).ok()?).filter(|_| self.is_general()))?;
        Some(RefType::new(self.nullable || !self.is_general(), heap))
    }

    fn is_general(self) -> bool {
        self.value_type == value_type::NULLABLE || self.value_type == value_type::NON_NULLABLE
    }
}

impl TypeRecord {
    /// All types of a module.
    pub(crate) fn all(module: &Module) -> Vec<Self> {
        (0..module.type_count()).filter_map(|index| Some(Self::new(module, module.get_type(index)?))).collect()
    }

    /// A function type that need not have an index.
    pub(crate) fn of_func(module: &Module, ty: FuncType) -> Self {
        Self::new(module, HeapType::ConcreteFunc(ty))
    }

    fn new(module: &Module, heap: HeapType) -> Self {
        let part = |ty: ValType| Part { ty: CRefType::of(module, &ty), kind: kind_of(&ty) };
        let field = |field: &FieldType| (CRefType::of_storage(module, &field.storage), field.mutable);
        let parts = match &heap {
            HeapType::ConcreteStruct(ty) => Parts::Struct(ty.fields().map(|own| field(&own)).collect()),
            HeapType::ConcreteArray(ty) => Parts::Array(field(&ty.element())),
            HeapType::ConcreteFunc(ty) => {
                Parts::Func { params: ty.params().map(part).collect(), results: ty.results().map(part).collect() }
            }
            _ => unreachable!("the types of a module are concrete"),
        };
        Self { heap, parts }
    }

    fn fields(&self) -> &[(CRefType, bool)] {
        match &self.parts {
            Parts::Struct(fields) => fields,
            Parts::Array(element) => std::slice::from_ref(element),
            Parts::Func { .. } => &[],
        }
    }

    fn side(&self, of_results: bool) -> &[Part] {
        match &self.parts {
            Parts::Func { results, .. } if of_results => results,
            Parts::Func { params, .. } => params,
            _ => &[],
        }
    }
}

/// The index of a type in a module that has it.
fn index_of(module: &Module, heap: &HeapType) -> Option<u32> {
    let concrete = match heap {
        HeapType::ExactStruct(ty) => HeapType::ConcreteStruct(ty.clone()),
        HeapType::ExactArray(ty) => HeapType::ConcreteArray(ty.clone()),
        HeapType::ExactFunc(ty) => HeapType::ConcreteFunc(ty.clone()),
        other => other.clone(),
    };
    (0..module.type_count()).find(|&index| module.get_type(index).as_ref() == Some(&concrete))
}

/// The most specific type of what a pointer of C's is; `None` for null.
///
/// # Safety
///
/// As for [`object`].
pub(super) unsafe fn heap_type(pointer: *const Object) -> Option<HeapType> {
    if i31_of(pointer).is_some() {
        return Some(HeapType::I31);
    }
    // SAFETY: as the caller promises.
    let object = unsafe { object(pointer)? };
    let record = object.record();
    match object.reference() {
        Reference::Any(any) => record.with(|context| any.ty(&context)).ok(),
        Reference::Func(func) => record.with(|context| HeapType::ConcreteFunc(func.ty(&context))).ok(),
        Reference::Extern(_) => Some(HeapType::Extern),
        Reference::Exn(_) => Some(HeapType::Exn),
        Reference::Building(building) => Some(building.ty()),
    }
}

/// The module of an object's instance, which must not have been unloaded.
///
/// # Safety
///
/// As for [`object`].
unsafe fn module_of<'a>(pointer: *const Object) -> Option<&'a ModuleRecord> {
    // SAFETY: as the caller promises; the header says that the module must still be loaded.
    unsafe { object(pointer)?.record().shared.module.as_ref() }
}

/// A record at a pointer.
///
/// # Safety
///
/// Null, or valid.
unsafe fn at<'a, T>(pointer: *const T) -> Option<&'a T> {
    // SAFETY: as the caller promises.
    unsafe { pointer.as_ref() }
}

exported! {
    fn wasm_get_defined_type_count(module: *const ModuleRecord) -> u32 = 0,
        at(module).map_or(0, |module| module.module.type_count());
    fn wasm_get_defined_type(module: *const ModuleRecord, index: u32) -> *const TypeRecord = ptr::null(),
        at(module).and_then(|module| module.types().get(index as usize)).map_or(ptr::null(), ptr::from_ref);
    fn wasm_obj_get_defined_type(pointer: *const Object) -> *const TypeRecord = ptr::null(),
        defined_type(pointer).map_or(ptr::null(), ptr::from_ref);
    fn wasm_obj_get_defined_type_idx(module: *const ModuleRecord, pointer: *const Object) -> i32 = -1,
        at(module).zip(heap_type(pointer)).and_then(|(module, heap)| index_of(&module.module, &heap))
            .map_or(-1, u32::cast_signed);
    fn wasm_defined_type_is_func_type(ty: *const TypeRecord) -> bool = false,
        at(ty).is_some_and(|ty| matches!(ty.parts, Parts::Func { .. }));
    fn wasm_defined_type_is_struct_type(ty: *const TypeRecord) -> bool = false,
        at(ty).is_some_and(|ty| matches!(ty.parts, Parts::Struct(_)));
    fn wasm_defined_type_is_array_type(ty: *const TypeRecord) -> bool = false,
        at(ty).is_some_and(|ty| matches!(ty.parts, Parts::Array(_)));
    fn wasm_func_type_get_param_count(ty: *const TypeRecord) -> u32 = 0,
        at(ty).map_or(0, |ty| ty.side(false).len() as u32);
    fn wasm_func_type_get_result_count(ty: *const TypeRecord) -> u32 = 0,
        at(ty).map_or(0, |ty| ty.side(true).len() as u32);
    fn wasm_func_type_get_param_type(ty: *const TypeRecord, index: u32) -> CRefType = CRefType::NONE,
        at(ty).and_then(|ty| ty.side(false).get(index as usize)).map_or(CRefType::NONE, |part| part.ty);
    fn wasm_func_type_get_result_type(ty: *const TypeRecord, index: u32) -> CRefType = CRefType::NONE,
        at(ty).and_then(|ty| ty.side(true).get(index as usize)).map_or(CRefType::NONE, |part| part.ty);
    fn wasm_func_type_get_param_valkind(ty: *const TypeRecord, index: u32) -> Kind = Kind::MAX,
        at(ty).and_then(|ty| ty.side(false).get(index as usize)).map_or(Kind::MAX, |part| part.kind);
    fn wasm_func_type_get_result_valkind(ty: *const TypeRecord, index: u32) -> Kind = Kind::MAX,
        at(ty).and_then(|ty| ty.side(true).get(index as usize)).map_or(Kind::MAX, |part| part.kind);
    fn wasm_struct_type_get_field_count(ty: *const TypeRecord) -> u32 = 0,
        at(ty).map_or(0, |ty| ty.fields().len() as u32);
    fn wasm_struct_type_get_field_type(ty: *const TypeRecord, index: u32, mutable: *mut bool) -> CRefType
        = CRefType::NONE, field(ty, index, mutable);
    fn wasm_array_type_get_elem_type(ty: *const TypeRecord, mutable: *mut bool) -> CRefType
        = CRefType::NONE, field(ty, 0, mutable);
    fn wasm_defined_type_equal(a: *const TypeRecord, b: *const TypeRecord, _module: *const ModuleRecord) -> bool
        = false, at(a).zip(at(b)).is_some_and(|(a, b)| a.heap == b.heap);
    fn wasm_defined_type_is_subtype_of(
        sub: *const TypeRecord, sup: *const TypeRecord, _module: *const ModuleRecord
    ) -> bool = false, at(sub).zip(at(sup)).is_some_and(|(sub, sup)| sub.heap.matches(&sup.heap));
    fn wasm_ref_type_set_type_idx(ty: *mut CRefType, nullable: bool, index: i32) -> () = (),
        set(ty, CRefType {
            value_type: if nullable { value_type::NULLABLE } else { value_type::NON_NULLABLE },
            nullable,
            heap_type: index,
        });
    fn wasm_ref_type_set_heap_type(ty: *mut CRefType, nullable: bool, heap_type: i32) -> () = (),
        set(ty, abstract_ref(nullable, heap_type));
    fn wasm_ref_type_equal(a: *const CRefType, b: *const CRefType, module: *const ModuleRecord) -> bool = false,
        both(a, b, module).is_some_and(|(a, b)| a == b);
    fn wasm_ref_type_is_subtype_of(sub: *const CRefType, sup: *const CRefType, module: *const ModuleRecord) -> bool
        = false, both(sub, sup, module).is_some_and(|(sub, sup)| sub.matches(&sup));
    fn wasm_obj_is_instance_of_defined_type(
        pointer: *const Object, ty: *const TypeRecord, _module: *const ModuleRecord
    ) -> bool = false,
        heap_type(pointer).zip(at(ty)).is_some_and(|(found, ty)| found.matches(&ty.heap));
    fn wasm_obj_is_instance_of_type_idx(pointer: *const Object, index: u32, module: *const ModuleRecord) -> bool
        = false,
        heap_type(pointer).zip(at(module).and_then(|module| module.module.get_type(index)))
            .is_some_and(|(found, ty)| found.matches(&ty));
    fn wasm_obj_is_instance_of_ref_type(pointer: *const Object, ty: *const CRefType) -> bool = false,
        is_instance_of(pointer, ty);
}

/// # Safety
///
/// As for [`object`].
unsafe fn defined_type<'a>(pointer: *const Object) -> Option<&'a TypeRecord> {
    // SAFETY: as the caller promises.
    let (module, heap) = unsafe { (module_of(pointer)?, heap_type(pointer)?) };
    module.types().iter().find(|ty| ty.heap == heap)
}

/// # Safety
///
/// Null or valid, all of them.
unsafe fn field(ty: *const TypeRecord, index: u32, mutable: *mut bool) -> CRefType {
    // SAFETY: as the caller promises.
    let found = unsafe { at(ty) }.and_then(|ty| ty.fields().get(index as usize));
    let Some(&(ty, is_mutable)) = found else { return CRefType::NONE };
    // SAFETY: as the caller promises.
    unsafe { set(mutable, is_mutable) };
    ty
}

/// # Safety
///
/// Null or valid, all of them.
unsafe fn both(a: *const CRefType, b: *const CRefType, module: *const ModuleRecord) -> Option<(RefType, RefType)> {
    // SAFETY: as the caller promises.
    let (a, b, module) = unsafe { (at(a)?, at(b)?, at(module)?) };
    Some((a.to_ref(&module.module)?, b.to_ref(&module.module)?))
}

fn abstract_ref(nullable: bool, heap_type: i32) -> CRefType {
    let short = ABSTRACT.iter().find(|&&(_, number, _)| nullable && number == heap_type);
    let general = if nullable { value_type::NULLABLE } else { value_type::NON_NULLABLE };
    CRefType { value_type: short.map_or(general, |&(_, _, short)| short), nullable, heap_type }
}

/// # Safety
///
/// As for [`object`]; the type must be null or valid.
unsafe fn is_instance_of(pointer: *const Object, ty: *const CRefType) -> bool {
    // SAFETY: as the caller promises.
    let Some(ty) = (unsafe { at(ty) }) else { return false };
    // SAFETY: as the caller promises.
    let ty = match unsafe { module_of(pointer) } {
        Some(module) => ty.to_ref(&module.module),
        // Null or an `i31`, which are of abstract types only.
        None => ABSTRACT
            .iter()
            .find(|&&(_, number, short)| ty.value_type == short || (ty.is_general() && ty.heap_type == number))
            .map(|(heap, ..)| RefType::new(ty.nullable || !ty.is_general(), heap.clone())),
    };
    // SAFETY: as the caller promises.
    match (ty, unsafe { heap_type(pointer) }) {
        (Some(ty), Some(found)) => found.matches(ty.heap_type()),
        (Some(ty), None) => ty.is_nullable(),
        _ => false,
    }
}
