//! How long references live: local references, pins, scopes, weak references.

use super::handle::{self, Object, is_i31, object};
use crate::border::exported;
use crate::exec_env::{ExecEnv, exec_env};
use crate::failure::Failure;
use runtime::{AnyRef, ExternRef, Val, WeakRef};
use std::ptr;
use std::sync::atomic::Ordering;

/// `wasm_local_obj_ref_t`: a variable of C's, in a chain of the environment's.
#[repr(C)]
pub struct LocalReference {
    prev: *mut LocalReference,
    val: *const Object,
}

/// A `dolmen_weak_t`.
#[derive(Debug)]
pub struct WeakRecord {
    weak: WeakRef,
    /// Whether it comes back in the `extern` hierarchy.
    is_extern: bool,
}

/// # Safety
///
/// As the header says.
unsafe fn push(env: *const ExecEnv, local: *mut LocalReference) {
    // SAFETY: as the caller promises.
    let (Some(env), Some(variable)) = (unsafe { (exec_env(env), local.as_mut()) }) else { return };
    variable.val = ptr::null();
    // Relaxed: an environment is used by one thread at a time.
    variable.prev = env.locals.swap(local, Ordering::Relaxed);
}

/// # Safety
///
/// As the header says.
unsafe fn pop(env: *const ExecEnv) -> *mut LocalReference {
    // SAFETY: as the caller promises.
    let Some(env) = (unsafe { exec_env(env) }) else { return ptr::null_mut() };
    // Relaxed: as in `push`.
    let local = env.locals.load(Ordering::Relaxed);
    // SAFETY: C keeps variables as long as they are pushed, by the header.
    if let Some(variable) = unsafe { local.as_ref() } {
        env.locals.store(variable.prev, Ordering::Relaxed);
    }
    local
}

/// Ends scopes, but keeps one reference, in the scope around them.
///
/// # Safety
///
/// As the header says.
unsafe fn close(env: *const ExecEnv, mark: usize, keep: *const Object) -> *const Object {
    // SAFETY: as the caller promises.
    let Some(env) = (unsafe { exec_env(env) }) else { return ptr::null() };
    // SAFETY: as the caller promises.
    match unsafe { object(keep) } {
        Some(kept) => {
            kept.pin(true);
            env.handles.release(mark);
            kept.pin(false);
        }
        None => env.handles.release(mark),
    }
    keep
}

fn new_weak(object: &Object) -> Result<WeakRecord, Failure> {
    let value = object.to_val()?;
    let (weak, is_extern) = object.record().with(|context| match value {
        Val::AnyRef(Some(any)) => any.downgrade(context).map(|weak| (weak, false)).map_err(Failure::from),
        Val::ExternRef(Some(value)) => value.downgrade(context).map(|weak| (weak, true)).map_err(Failure::from),
        _ => Err(Failure::argument("functions and exceptions have no weak references")),
    })??;
    Ok(WeakRecord { weak, is_extern })
}

/// # Safety
///
/// As the header says.
unsafe fn new_weak_for_c(pointer: *const Object) -> *mut WeakRecord {
    // SAFETY: as the caller promises.
    let Some(object) = (unsafe { object(pointer) }) else { return ptr::null_mut() };
    let made = object.record().check(new_weak(object));
    made.map_or(ptr::null_mut(), |weak| Box::into_raw(Box::new(weak)))
}

/// # Safety
///
/// As the header says.
unsafe fn upgrade(env: *const ExecEnv, weak: *const WeakRecord) -> *const Object {
    // SAFETY: as the caller promises.
    let (Some(env), Some(weak)) = (unsafe { (exec_env(env), weak.as_ref()) }) else { return ptr::null() };
    let record = env.record();
    let found = record.with(|context| weak.weak.upgrade(context)).and_then(|found| found.map_err(Failure::from));
    let Some(any) = record.check(found).flatten() else { return ptr::null() };
    let value: Val = if weak.is_extern { ExternRef::from(any).into() } else { AnyRef::into(any) };
    handle::to_c(&env.handles, record, value)
}

/// # Safety
///
/// As the header says.
unsafe fn delete(weak: *mut WeakRecord) {
    if !weak.is_null() {
        // SAFETY: `new_weak_for_c` has leaked the box, and C gives it up.
        drop(unsafe { Box::from_raw(weak) });
    }
}

exported! {
    fn wasm_runtime_push_local_object_ref(env: *const ExecEnv, local: *mut LocalReference) -> () = (),
        push(env, local);
    fn wasm_runtime_pop_local_object_ref(env: *const ExecEnv) -> *mut LocalReference = ptr::null_mut(), pop(env);
    fn wasm_runtime_pop_local_object_refs(env: *const ExecEnv, count: u32) -> () = (),
        (0..count).for_each(|_| _ = pop(env));
    fn wasm_runtime_pin_object(_env: *const ExecEnv, pointer: *const Object) -> bool = false,
        is_i31(pointer) || object(pointer).is_some_and(|object| object.pin(true));
    fn wasm_runtime_unpin_object(_env: *const ExecEnv, pointer: *const Object) -> bool = false,
        is_i31(pointer) || object(pointer).is_some_and(|object| object.pin(false));
    fn dolmen_scope_open(env: *const ExecEnv) -> usize = 0, exec_env(env).map_or(0, |env| env.handles.mark());
    fn dolmen_scope_close(env: *const ExecEnv, mark: usize, keep: *const Object) -> *const Object = ptr::null(),
        close(env, mark, keep);
    fn dolmen_weak_new(pointer: *const Object) -> *mut WeakRecord = ptr::null_mut(), new_weak_for_c(pointer);
    fn dolmen_weak_get(env: *const ExecEnv, weak: *const WeakRecord) -> *const Object = ptr::null(),
        upgrade(env, weak);
    fn dolmen_weak_delete(weak: *mut WeakRecord) -> () = (), delete(weak);
}
