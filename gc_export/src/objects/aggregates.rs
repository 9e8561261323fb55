//! Structs and arrays.

use super::building::{Building, default_of};
use super::handle::{self, Object, Reference, object};
use super::types::{TypeRecord, heap_type};
use crate::border::exported;
use crate::exec_env::{ExecEnv, exec_env};
use crate::failure::Failure;
use runtime::{AnyRef, ArrayType, FieldType, HeapType, StorageType, StructType, Val, ValType};
use std::ptr;

/// `wasm_value_t`.
#[repr(C)]
#[derive(Clone, Copy)]
pub union CWasmValue {
    i32: i32,
    i64: i64,
    f32: u32,
    f64: u64,
    v128: [u8; 16],
    gc_obj: *const Object,
}

impl CWasmValue {
    /// The value for a field or element.
    ///
    /// # Safety
    ///
    /// The field of the union that the type means must be set, a reference as for [`object`].
    unsafe fn to_val(self, storage: &StorageType) -> Result<Val, Failure> {
        // SAFETY: as the caller promises.
        Ok(unsafe {
            match storage {
                StorageType::I8 | StorageType::I16 | StorageType::Val(ValType::I32) => Val::I32(self.i32),
                StorageType::Val(ValType::I64) => Val::I64(self.i64),
                StorageType::Val(ValType::F32) => Val::F32(self.f32),
                StorageType::Val(ValType::F64) => Val::F64(self.f64),
                StorageType::Val(ValType::V128) => Val::V128(u128::from_le_bytes(self.v128).into()),
                StorageType::Val(ty) => handle::from_c(self.gc_obj, ty)?,
            }
        })
    }

    /// The value of a field or element. A reference goes to the instance's own environment, or the one that calls.
    fn from_val(owner: &Object, value: Val, storage: &StorageType, sign_extend: bool) -> Self {
        let mut all = Self { v128: [0; 16] };
        match (value, storage) {
            (Val::I32(value), StorageType::I8) if sign_extend => all.i32 = i32::from(value as i8),
            (Val::I32(value), StorageType::I8) => all.i32 = i32::from(value as u8),
            (Val::I32(value), StorageType::I16) if sign_extend => all.i32 = i32::from(value as i16),
            (Val::I32(value), StorageType::I16) => all.i32 = i32::from(value as u16),
            (Val::I32(value), _) => all.i32 = value,
            (Val::I64(value), _) => all.i64 = value,
            (Val::F32(bits), _) => all.f32 = bits,
            (Val::F64(bits), _) => all.f64 = bits,
            (Val::V128(vector), _) => all.v128 = vector.as_u128().to_le_bytes(),
            (reference, _) => all.gc_obj = owner.sibling(reference),
        }
        all
    }
}

/// The fields of a struct, or the element of an array, for an index.
fn field_type(heap: &HeapType, index: usize) -> Option<FieldType> {
    match heap {
        HeapType::ConcreteStruct(ty) => ty.fields().nth(index),
        HeapType::ConcreteArray(ty) => Some(ty.element()),
        _ => None,
    }
}

/// Reads a field or an element.
fn get(owner: &Object, index: u32, of_array: bool) -> Result<Val, Failure> {
    match owner.reference() {
        Reference::Building(building) => {
            building.get(index).ok_or_else(|| Failure::argument(format!("field {index} is not set, or there is none")))
        }
        _ => {
            let any = owner.to_any()?;
            Ok(owner.record().with(|context| match of_array {
                true => any.element(context, index),
                false => any.field(context, index as usize),
            })??)
        }
    }
}

/// Sets a field or an element.
fn set(owner: &Object, index: u32, value: Val, of_array: bool) -> Result<(), Failure> {
    let value = match owner.change(|reference| match reference {
        Reference::Building(building) if index < building.len() => {
            building.set(index, value);
            None
        }
        _ => Some(value),
    }) {
        Some(value) => value,
        None => return Ok(()),
    };
    if let Reference::Building(building) = owner.reference() {
        return Err(Failure::argument(format!("index {index} is out of bounds of {} elements", building.len())));
    }
    let any = owner.to_any()?;
    Ok(owner.record().with(|context| match of_array {
        true => any.set_element(context, index, &value),
        false => any.set_field(context, index as usize, &value),
    })??)
}

/// [`get`] for C.
///
/// # Safety
///
/// As the header says.
unsafe fn get_for_c(pointer: *const Object, index: u32, sign_extend: bool, out: *mut CWasmValue, of_array: bool) {
    // SAFETY: as the caller promises.
    let (Some(owner), Some(heap)) = (unsafe { (object(pointer), heap_type(pointer)) }) else { return };
    let Some(value) = owner.record().check(get(owner, index, of_array)) else { return };
    let Some(field) = field_type(&heap, index as usize) else { return };
    let value = CWasmValue::from_val(owner, value, &field.storage, sign_extend);
    // SAFETY: as the caller promises.
    unsafe { crate::border::set(out, value) };
}

/// [`set`] for C.
///
/// # Safety
///
/// As the header says.
unsafe fn set_for_c(pointer: *const Object, index: u32, value: *const CWasmValue, of_array: bool) {
    // SAFETY: as the caller promises.
    let (Some(owner), Some(heap)) = (unsafe { (object(pointer), heap_type(pointer)) }) else { return };
    // SAFETY: as the caller promises.
    let Some(value) = (unsafe { value.as_ref() }) else { return };
    let outcome = match field_type(&heap, index as usize) {
        // SAFETY: as the caller promises.
        Some(field) => unsafe { value.to_val(&field.storage) }.and_then(|value| set(owner, index, value, of_array)),
        None => Err(Failure::argument(format!("there is no field {index}"))),
    };
    owner.record().check(outcome);
}

fn new_struct(env: &ExecEnv, ty: &HeapType) -> Result<*const Object, Failure> {
    let HeapType::ConcreteStruct(ty) = ty else { return Err(Failure::argument("the type is no struct type")) };
    let reference = match Building::new_struct(ty) {
        Some(building) => Reference::Building(building),
        None => Reference::Any(make_struct(env, ty)?),
    };
    Ok(env.handles.add(env.record(), reference))
}

fn make_struct(env: &ExecEnv, ty: &StructType) -> Result<AnyRef, Failure> {
    let fields: Vec<Val> = ty.fields().filter_map(|field| default_of(&field)).collect();
    Ok(env.record().with(|context| AnyRef::new_struct(context, ty, &fields))??)
}

/// # Safety
///
/// The value must be null or as the header says.
unsafe fn new_array(
    env: &ExecEnv,
    ty: &HeapType,
    len: u32,
    value: *const CWasmValue,
) -> Result<*const Object, Failure> {
    let HeapType::ConcreteArray(ty) = ty else { return Err(Failure::argument("the type is no array type")) };
    // SAFETY: as the caller promises.
    let value = match unsafe { value.as_ref() } {
        // SAFETY: as the caller promises.
        Some(value) => unsafe { value.to_val(&ty.element().storage)? },
        None => default_of(&ty.element()).ok_or_else(|| Failure::argument("the elements have no default"))?,
    };
    let reference = match Building::new_array(ty, &value, len) {
        Some(building) => Reference::Building(building),
        None => Reference::Any(make_array(env, ty, &value, len)?),
    };
    Ok(env.handles.add(env.record(), reference))
}

fn make_array(env: &ExecEnv, ty: &ArrayType, value: &Val, len: u32) -> Result<AnyRef, Failure> {
    Ok(env.record().with(|context| AnyRef::new_array(context, ty, value, len))??)
}

/// The type with an index of the module of an environment.
fn type_at(env: &ExecEnv, index: u32) -> Result<HeapType, Failure> {
    let none = || Failure::argument(format!("the module has no type {index}"));
    env.record().shared.code.get_type(index).ok_or_else(none)
}

/// Makes an object with an environment, or fails in its instance.
///
/// # Safety
///
/// The environment must be null or as the header says.
unsafe fn made(env: *const ExecEnv, make: impl FnOnce(&ExecEnv) -> Result<*const Object, Failure>) -> *const Object {
    // SAFETY: as the caller promises.
    let Some(env) = (unsafe { exec_env(env) }) else { return ptr::null() };
    env.record().check(make(env)).unwrap_or(ptr::null())
}

/// Number of elements; 0 of what is no array.
///
/// # Safety
///
/// As the header says.
unsafe fn length(pointer: *const Object) -> u32 {
    // SAFETY: as the caller promises.
    let Some(owner) = (unsafe { object(pointer) }) else { return 0 };
    let found = match owner.reference() {
        Reference::Building(building) => Ok(building.len()),
        Reference::Any(any) => {
            owner.record().with(|context| any.array_len(&context)).and_then(|len| len.map_err(Failure::from))
        }
        _ => Err(Failure::argument("the object is no array")),
    };
    owner.record().check(found).unwrap_or(0)
}

/// Copies elements; in the right order where the arrays are one.
///
/// # Safety
///
/// As the header says.
unsafe fn copy(target: (*const Object, u32), source: (*const Object, u32), count: u32) {
    // SAFETY: as the caller promises.
    let (Some(to), Some(from)) = (unsafe { (object(target.0), object(source.0)) }) else { return };
    // SAFETY: as the caller promises.
    let (room, there) = unsafe { (length(target.0), length(source.0)) };
    let fits = |start: u32, len: u32| start.checked_add(count).is_some_and(|end| end <= len);
    let outcome = if fits(target.1, room) && fits(source.1, there) {
        let copy_one = |at: u32| set(to, target.1 + at, get(from, source.1 + at, true)?, true);
        // What is copied is read before it is overwritten.
        if target.1 > source.1 { (0..count).rev().try_for_each(copy_one) } else { (0..count).try_for_each(copy_one) }
    } else {
        Err(Failure::argument("the elements to copy are out of bounds"))
    };
    to.record().check(outcome);
}

exported! {
    fn wasm_struct_obj_new_with_typeidx(env: *const ExecEnv, index: u32) -> *const Object = ptr::null(),
        made(env, |env| new_struct(env, &type_at(env, index)?));
    fn wasm_struct_obj_new_with_type(env: *const ExecEnv, ty: *const TypeRecord) -> *const Object = ptr::null(),
        ty.as_ref().map_or(ptr::null(), |ty| made(env, |env| new_struct(env, &ty.heap)));
    fn wasm_struct_obj_set_field(pointer: *const Object, index: u32, value: *const CWasmValue) -> () = (),
        set_for_c(pointer, index, value, false);
    fn wasm_struct_obj_get_field(
        pointer: *const Object, index: u32, sign_extend: bool, value: *mut CWasmValue
    ) -> () = (), get_for_c(pointer, index, sign_extend, value, false);
    fn wasm_array_obj_new_with_typeidx(
        env: *const ExecEnv, index: u32, length: u32, value: *const CWasmValue
    ) -> *const Object = ptr::null(), made(env, |env| new_array(env, &type_at(env, index)?, length, value));
    fn wasm_array_obj_new_with_type(
        env: *const ExecEnv, ty: *const TypeRecord, length: u32, value: *const CWasmValue
    ) -> *const Object = ptr::null(),
        ty.as_ref().map_or(ptr::null(), |ty| made(env, |env| new_array(env, &ty.heap, length, value)));
    fn wasm_array_obj_set_elem(pointer: *const Object, index: u32, value: *const CWasmValue) -> () = (),
        set_for_c(pointer, index, value, true);
    fn wasm_array_obj_get_elem(
        pointer: *const Object, index: u32, sign_extend: bool, value: *mut CWasmValue
    ) -> () = (), get_for_c(pointer, index, sign_extend, value, true);
    fn wasm_array_obj_length(pointer: *const Object) -> u32 = 0, length(pointer);
    fn wasm_array_obj_copy(
        target: *const Object, target_index: u32, source: *const Object, source_index: u32, count: u32
    ) -> () = (), copy((target, target_index), (source, source_index), count);
}
