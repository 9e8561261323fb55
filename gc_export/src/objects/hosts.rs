//! `i31`, and pointers of C's as references.
//!
//! A pointer of C's is a host's value in the store, which is dropped when the collector finds it dead: then its
//! finalizer runs, if it has one. That may be in the middle of a collection, so it must not use the store.

use super::handle::{self, Object, Reference, i31_to_c, object};
use crate::border::exported;
use crate::entered;
use crate::exec_env::{ExecEnv, exec_env};
use crate::failure::Failure;
use crate::instance::StoreShared;
use runtime::{AnyRef, ExternRef, Val, ValType};
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

/// What is done with a pointer of C's that nobody refers to any more.
type Finalizer = unsafe extern "C" fn(*mut c_void);

/// A pointer of C's in a store.
struct HostPointer {
    pointer: *mut c_void,
    finalizer: Option<Finalizer>,
    store: Arc<StoreShared>,
}

// SAFETY: the pointer is only handed back and to its finalizer, which the header allows from any thread.
unsafe impl Send for HostPointer {}
// SAFETY: as above.
unsafe impl Sync for HostPointer {}

impl Drop for HostPointer {
    fn drop(&mut self) {
        if let Some(finalizer) = self.finalizer {
            entered::without_store(&raw const *self.store, || {
                // SAFETY: the finalizer takes the pointer, by the header, and does not unwind.
                unsafe { finalizer(self.pointer) };
            });
        }
    }
}

fn new_host(env: &ExecEnv, pointer: *mut c_void, finalizer: Option<Finalizer>) -> Result<ExternRef, Failure> {
    let value = HostPointer { pointer, finalizer, store: Arc::clone(&env.record().shared) };
    Ok(env.record().with(|context| ExternRef::new(context, value))??)
}

/// Makes a reference of a pointer, in one of the two hierarchies.
///
/// # Safety
///
/// As the header says.
unsafe fn new_for_c(
    env: *const ExecEnv,
    pointer: *mut c_void,
    finalizer: Option<Finalizer>,
    as_any: bool,
) -> *const Object {
    // SAFETY: as the caller promises.
    let Some(env) = (unsafe { exec_env(env) }) else { return ptr::null() };
    let Some(value) = env.record().check(new_host(env, pointer, finalizer)) else { return ptr::null() };
    let reference = if as_any { Reference::Any(value.into()) } else { Reference::Extern(value) };
    env.handles.add(env.record(), reference)
}

/// The pointer that a reference holds; null if it is another.
///
/// # Safety
///
/// As for [`object`].
unsafe fn value_of(pointer: *const Object) -> *mut c_void {
    // SAFETY: as the caller promises.
    let Some(owner) = (unsafe { object(pointer) }) else { return ptr::null_mut() };
    let value = match owner.reference() {
        Reference::Extern(value) => value,
        Reference::Any(any) => any.into(),
        _ => return ptr::null_mut(),
    };
    let found = owner.record().with(|context| {
        let value = value.data(&context).ok().flatten()?.downcast_ref::<HostPointer>()?;
        Some(value.pointer)
    });
    owner.record().check(found).flatten().unwrap_or(ptr::null_mut())
}

/// `any.convert_extern`: in the scope of the reference that is converted.
///
/// # Safety
///
/// As for [`object`].
unsafe fn internalise(pointer: *const Object) -> *const Object {
    // SAFETY: as the caller promises.
    let Some(owner) = (unsafe { object(pointer) }) else { return pointer };
    match owner.reference() {
        Reference::Extern(value) => owner.sibling(AnyRef::from(value).into()),
        _ => ptr::null(),
    }
}

/// `extern.convert_any`.
///
/// # Safety
///
/// As for [`object`] and the environment.
unsafe fn externalise(env: *const ExecEnv, pointer: *const Object) -> *const Object {
    // SAFETY: as the caller promises.
    let Some(env) = (unsafe { exec_env(env) }) else { return ptr::null() };
    // SAFETY: as the caller promises.
    let value = match unsafe { handle::from_c(pointer, &ValType::ANYREF) } {
        Ok(Val::AnyRef(Some(any))) => Ok(any),
        Ok(Val::AnyRef(None)) => return ptr::null(),
        Ok(_) => Err(Failure::argument("the reference is of another hierarchy than any")),
        Err(failure) => Err(failure),
    };
    let value = env.record().check(value).map(ExternRef::from);
    value.map_or(ptr::null(), |value| env.handles.add(env.record(), Reference::Extern(value)))
}

exported! {
    fn wasm_i31_obj_new(value: u32) -> usize = 0, i31_to_c(value).addr();
    fn wasm_i31_obj_get_value(i31: usize, sign_extend: bool) -> u32 = 0, {
        let bits = (i31 >> 1) as u32 & 0x7fff_ffff;
        if sign_extend { ((bits << 1).cast_signed() >> 1).cast_unsigned() } else { bits }
    };
    fn wasm_externref_obj_new(env: *const ExecEnv, pointer: *const c_void) -> *const Object = ptr::null(),
        new_for_c(env, pointer.cast_mut(), None, false);
    fn wasm_anyref_obj_new(env: *const ExecEnv, pointer: *const c_void) -> *const Object = ptr::null(),
        new_for_c(env, pointer.cast_mut(), None, true);
    fn dolmen_externref_new(
        env: *const ExecEnv, pointer: *mut c_void, finalizer: Option<Finalizer>
    ) -> *const Object = ptr::null(), new_for_c(env, pointer, finalizer, false);
    fn wasm_externref_obj_get_value(pointer: *const Object) -> *const c_void = ptr::null(), value_of(pointer);
    fn wasm_anyref_obj_get_value(pointer: *const Object) -> *const c_void = ptr::null(), value_of(pointer);
    fn wasm_externref_obj_to_internal_obj(pointer: *const Object) -> *const Object = ptr::null(),
        internalise(pointer);
    fn wasm_internal_obj_to_externref_obj(env: *const ExecEnv, pointer: *const Object) -> *const Object
        = ptr::null(), externalise(env, pointer);
}
