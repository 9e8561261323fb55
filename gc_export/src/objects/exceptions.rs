//! Exceptions that modules throw.

use super::handle::{Object, Reference, object};
use crate::border::{exported, text};
use crate::exec_env::{ExecEnv, exec_env};
use crate::failure::Failure;
use crate::values::{CValue, kind_of};
use runtime::{ExnRef, Val};
use std::ffi::c_char;

/// The exception that a reference is.
///
/// # Safety
///
/// As for [`object`].
unsafe fn exception(pointer: *const Object) -> Result<ExnRef, Failure> {
    // SAFETY: as the caller promises.
    match unsafe { object(pointer) }.map(Object::reference) {
        Some(Reference::Exn(exn)) => Ok(exn),
        _ => Err(Failure::argument("the reference is no exception")),
    }
}

fn payload(env: &ExecEnv, exn: &ExnRef) -> Result<Vec<CValue>, Failure> {
    let (fields, types) = env.record().with(|mut context| {
        let fields = exn.fields(&mut context)?;
        let types: Vec<_> = fields.iter().map(|field: &Val| field.ty(&context)).collect();
        Ok::<_, runtime::ArgumentError>((fields, types))
    })??;
    let of_c = |(field, ty)| CValue::with_kind(env, field, kind_of(ty));
    fields.into_iter().zip(&types).map(of_c).collect()
}

/// # Safety
///
/// As the header says.
unsafe fn payload_for_c(env: *const ExecEnv, pointer: *const Object, values: *mut CValue, room: u32) -> i32 {
    // SAFETY: as the caller promises.
    let Some(env) = (unsafe { exec_env(env) }) else { return -1 };
    // SAFETY: as the caller promises.
    let outcome = unsafe { exception(pointer) }.and_then(|exn| payload(env, &exn));
    let Some(found) = env.record().check(outcome) else { return -1 };
    let room = if values.is_null() { 0 } else { room as usize };
    for (index, &value) in found.iter().enumerate().take(room) {
        // SAFETY: as the caller promises.
        unsafe { values.add(index).write(value) };
    }
    found.len() as i32
}

/// Whether an exception has the tag that the instance exports by a name.
///
/// # Safety
///
/// As the header says.
unsafe fn has_tag(env: *const ExecEnv, pointer: *const Object, name: *const c_char) -> bool {
    // SAFETY: as the caller promises.
    let (Some(env), Some(name)) = (unsafe { (exec_env(env), text(name)) }) else { return false };
    // SAFETY: as the caller promises.
    let outcome = unsafe { exception(pointer) }.and_then(|exn| {
        let record = env.record();
        record.with(|mut context| {
            let expected = record.shared.instance.get().and_then(|instance| instance.get_tag(&mut context, &name));
            Ok(expected.is_some() && expected == Some(exn.tag(&context)?))
        })?
    });
    env.record().check(outcome).unwrap_or(false)
}

exported! {
    fn dolmen_exception_payload(env: *const ExecEnv, pointer: *const Object, values: *mut CValue, room: u32) -> i32
        = -1, payload_for_c(env, pointer, values, room);
    fn dolmen_exception_has_tag(env: *const ExecEnv, pointer: *const Object, name: *const c_char) -> bool = false,
        has_tag(env, pointer, name);
}
