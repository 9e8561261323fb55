//! Finding exported functions and calling them.

use crate::border::{exported, guard, slice, text};
use crate::deadline::Deadline;
use crate::entered;
use crate::exec_env::{ExecEnv, exec_env};
use crate::failure::Failure;
use crate::instance::{FunctionRecord, InstanceRecord, record};
use crate::natives::link;
use crate::values::{CValue, Kind, cells_of, from_cells, kind_of, to_bits, to_cells};
use runtime::{Func, Val, ValType};
use std::ffi::c_char;
use std::ptr;

/// The start functions of WASI commands and reactors' mains, in the order of preference.
const MAINS: [&str; 3] = ["_start", "__main_argc_argv", "main"];

/// Calls a function by an environment.
pub(crate) fn call(env: &ExecEnv, func: Func, args: &[Val], result_count: usize) -> Result<Vec<Val>, Failure> {
    let record = env.record();
    record.clear();
    let mut results = vec![Val::I32(0); result_count];
    let deadline = Deadline::of(env);
    record.with(|mut context| {
        let outcome = entered::call(&record.shared, env, || func.call(&mut context, args, &mut results));
        if deadline.is_some_and(Deadline::end) {
            // It came too late, and must not hit the next call.
            context.clear_timeout();
        }
        outcome
    })??;
    Ok(results)
}

/// Calls a function with arguments in cells, where the results are left.
///
/// # Safety
///
/// `cells` must be null or lead to as many cells as the larger of arguments and results takes; references as for
/// [`from_cells`].
pub(crate) unsafe fn call_with_cells(
    env: &ExecEnv,
    function: &FunctionRecord,
    count: u32,
    cells: *mut u32,
) -> Result<(), Failure> {
    let FunctionRecord { func, params, results } = function;
    let needed: usize = params.iter().map(cells_of).sum();
    if needed != count as usize {
        return Err(Failure::argument(format!("expected {needed} argument cells, found {count}")));
    }
    let result_cells: usize = results.iter().map(cells_of).sum();
    if cells.is_null() && needed + result_cells > 0 {
        return Err(Failure::argument("the cells are null"));
    }
    // SAFETY: as the caller promises.
    let mut rest = unsafe { slice(cells, needed) };
    let mut args = Vec::with_capacity(params.len());
    for ty in params {
        let (own, others) = rest.split_at(cells_of(ty));
        // SAFETY: as the caller promises.
        args.push(unsafe { from_cells(own, ty)? });
        rest = others;
    }
    let values = call(env, *func, &args, results.len())?;
    let mut at = cells;
    for (value, ty) in values.into_iter().zip(results) {
        let bits = to_bits(env, value);
        // SAFETY: as the caller promises.
        let own = unsafe { std::slice::from_raw_parts_mut(at, cells_of(ty)) };
        to_cells(bits, own);
        at = at.wrapping_add(cells_of(ty));
    }
    Ok(())
}

/// Calls a function with arguments and room for results as `wasm_val_t`.
///
/// # Safety
///
/// The pointers must be null or lead to as many values; references as for [`CValue::to_val`].
pub(crate) unsafe fn call_with_values(
    env: &ExecEnv,
    function: &FunctionRecord,
    results: (*mut CValue, u32),
    args: (*const CValue, u32),
) -> Result<(), Failure> {
    let FunctionRecord { func, params, results: result_types } = function;
    // SAFETY: as the caller promises.
    let given = unsafe { slice(args.0, args.1 as usize) };
    if given.len() != params.len() {
        return Err(Failure::argument(format!("expected {} arguments, found {}", params.len(), given.len())));
    }
    let room = if results.0.is_null() { 0 } else { results.1 as usize };
    if room < result_types.len() {
        return Err(Failure::argument(format!("expected room for {} results, found {room}", result_types.len())));
    }
    // SAFETY: as the caller promises.
    let args = given.iter().zip(params).map(|(arg, ty)| unsafe { arg.to_val(ty) });
    let args: Vec<Val> = args.collect::<Result<_, _>>()?;
    let values = call(env, *func, &args, result_types.len())?;
    for (index, (value, ty)) in values.into_iter().zip(result_types).enumerate() {
        let value = CValue::from_val(env, value, ty)?;
        // SAFETY: as the caller promises; the room was checked.
        unsafe { results.0.add(index).write(value) };
    }
    Ok(())
}

/// Runs a WASI command or a main function. A program that ends itself with a status has run.
fn run_main(record: &InstanceRecord) -> Result<Option<i32>, Failure> {
    let mut found = None;
    for name in MAINS {
        found = record.function(name)?;
        if found.is_some() {
            break;
        }
    }
    let Some(function) = found else { return Err(Failure::argument("there is no main function")) };
    // SAFETY: the record of a function lives as long as the instance's.
    let function = unsafe { &*function };
    if !function.params.is_empty() {
        return Err(Failure::argument("a main function with parameters needs WASI"));
    }
    let values = call(record.singleton(), function.func, &[], function.results.len())?;
    Ok(values.first().and_then(Val::i32))
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_lookup_function(
    instance: *const InstanceRecord,
    name: *const c_char,
) -> *const FunctionRecord {
    guard(ptr::null(), || {
        // SAFETY: null, or an instance and a string by the header.
        let (Some(record), Some(name)) = (unsafe { (record(instance), text(name)) }) else { return ptr::null() };
        record.check(record.function(&name)).flatten().unwrap_or(ptr::null())
    })
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_call_wasm(
    env: *const ExecEnv,
    function: *const FunctionRecord,
    count: u32,
    cells: *mut u32,
) -> bool {
    guard(false, || {
        // SAFETY: null, or an environment and a function by the header.
        let (Some(env), Some(function)) = (unsafe { (exec_env(env), function.as_ref()) }) else { return false };
        // SAFETY: cells as of the header.
        let outcome = unsafe { call_with_cells(env, function, count, cells) };
        env.record().check(outcome).is_some()
    })
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_call_wasm_a(
    env: *const ExecEnv,
    function: *const FunctionRecord,
    result_count: u32,
    results: *mut CValue,
    arg_count: u32,
    args: *const CValue,
) -> bool {
    guard(false, || {
        // SAFETY: null, or an environment and a function by the header.
        let (Some(env), Some(function)) = (unsafe { (exec_env(env), function.as_ref()) }) else { return false };
        // SAFETY: values as of the header.
        let outcome = unsafe { call_with_values(env, function, (results, result_count), (args, arg_count)) };
        env.record().check(outcome).is_some()
    })
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_application_execute_main(
    instance: *const InstanceRecord,
    count: i32,
    arguments: *mut *mut c_char,
) -> bool {
    guard(false, || {
        // SAFETY: null, or an instance by the header.
        let Some(record) = (unsafe { record(instance) }) else { return false };
        match run_main(record) {
            Ok(Some(result)) if count > 0 && !arguments.is_null() => {
                // SAFETY: the header says that the result overwrites the first argument.
                unsafe { arguments.cast::<i32>().write(result) };
                true
            }
            Ok(_) => true,
            Err(failure) => {
                let has_exited = matches!(failure.kind, crate::failure::FailureKind::Exit(_));
                record.fail(failure);
                if has_exited {
                    record.clear();
                }
                has_exited
            }
        }
    })
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_func_get_param_count(
    function: *const FunctionRecord,
    _instance: *const InstanceRecord,
) -> u32 {
    // SAFETY: null, or a function by the header.
    guard(0, || unsafe { function.as_ref() }.map_or(0, |function| function.params.len() as u32))
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_func_get_param_types(
    function: *const FunctionRecord,
    _instance: *const InstanceRecord,
    kinds: *mut Kind,
) {
    // SAFETY: null, or a function and room for its kinds by the header.
    guard((), || unsafe { function.as_ref().into_iter().for_each(|function| write_kinds(&function.params, kinds)) });
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_func_get_result_count(
    function: *const FunctionRecord,
    _instance: *const InstanceRecord,
) -> u32 {
    // SAFETY: null, or a function by the header.
    guard(0, || unsafe { function.as_ref() }.map_or(0, |function| function.results.len() as u32))
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_func_get_result_types(
    function: *const FunctionRecord,
    _instance: *const InstanceRecord,
    kinds: *mut Kind,
) {
    // SAFETY: null, or a function and room for its kinds by the header.
    guard((), || unsafe { function.as_ref().into_iter().for_each(|function| write_kinds(&function.results, kinds)) });
}

/// # Safety
///
/// There must be room for as many kinds.
unsafe fn write_kinds(types: &[ValType], kinds: *mut Kind) {
    for (index, ty) in types.iter().enumerate().filter(|_| !kinds.is_null()) {
        // SAFETY: as the caller promises.
        unsafe { kinds.add(index).write(kind_of(ty)) };
    }
}

/// The start function of a WASI command.
fn start_function(record: &InstanceRecord) -> *const FunctionRecord {
    if !link::is_wasi(&record.shared.code) {
        return ptr::null();
    }
    record.check(record.function(MAINS[0])).flatten().unwrap_or(ptr::null())
}

exported! {
    fn wasm_runtime_is_wasi_mode(instance: *const InstanceRecord) -> bool = false,
        record(instance).is_some_and(|record| link::is_wasi(&record.shared.code));
    fn wasm_runtime_lookup_wasi_start_function(instance: *const InstanceRecord) -> *const FunctionRecord
        = ptr::null(), record(instance).map_or(ptr::null(), start_function);
}
