//! Functions as references.

use super::handle::{Object, Reference, object};
use super::types::TypeRecord;
use crate::border::exported;
use crate::calls::{call_with_cells, call_with_values};
use crate::exec_env::{ExecEnv, exec_env};
use crate::failure::Failure;
use crate::instance::FunctionRecord;
use crate::values::CValue;
use std::ptr;

/// The function that a reference is.
///
/// # Safety
///
/// As for [`object`].
unsafe fn function(pointer: *const Object) -> Result<FunctionRecord, Failure> {
    // SAFETY: as the caller promises.
    let owner = unsafe { object(pointer) }.ok_or_else(|| Failure::argument("the function is null"))?;
    match owner.reference() {
        Reference::Func(func) => owner.record().with(|context| FunctionRecord::new(&context, func)),
        _ => Err(Failure::argument("the reference is no function")),
    }
}

/// # Safety
///
/// As for [`function`] and the environment; whatever `call` asks for besides.
unsafe fn called(
    env: *const ExecEnv,
    pointer: *const Object,
    call: impl FnOnce(&ExecEnv, &FunctionRecord) -> Result<(), Failure>,
) -> bool {
    // SAFETY: as the caller promises.
    let Some(env) = (unsafe { exec_env(env) }) else { return false };
    // SAFETY: as the caller promises.
    let outcome = unsafe { function(pointer) }.and_then(|function| call(env, &function));
    env.record().check(outcome).is_some()
}

exported! {
    fn wasm_func_obj_get_func_type(pointer: *const Object) -> *const TypeRecord = ptr::null(),
        super::types::wasm_obj_get_defined_type(pointer);
    fn wasm_runtime_call_func_ref(env: *const ExecEnv, pointer: *const Object, count: u32, cells: *mut u32) -> bool
        = false, called(env, pointer, |env, function| call_with_cells(env, function, count, cells));
    fn wasm_runtime_call_func_ref_a(
        env: *const ExecEnv, pointer: *const Object,
        result_count: u32, results: *mut CValue, arg_count: u32, args: *const CValue,
    ) -> bool = false, called(env, pointer, |env, function| {
        call_with_values(env, function, (results, result_count), (args, arg_count))
    });
}
