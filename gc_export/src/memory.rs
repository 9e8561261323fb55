//! Linear memory: addresses of a module and pointers of C's.
//!
//! A memory never moves, so a pointer into it is good as long as the instance is.

use crate::border::{guard, set};
use crate::calls;
use crate::failure::{Failure, FailureKind};
use crate::instance::{InstanceRecord, record};
use runtime::{TrapCode, Val, ValType};
use std::ffi::{c_char, c_void};
use std::ptr;

/// The functions that a module exports for C to get memory of it, in the order of preference.
const MALLOC_NAMES: [&str; 2] = ["malloc", "__new"];

/// The functions that give it back.
const FREE_NAMES: [&str; 2] = ["free", "__release"];

/// Where an instance's memory is, and how many bytes it has.
fn extent(record: &InstanceRecord) -> Option<(*mut u8, u64)> {
    let found = record.with(|context| {
        let memory = record.memory(&context)?;
        Some((memory.data_ptr(&context), memory.data_size(&context)))
    });
    found.ok().flatten()
}

fn out_of_bounds() -> Failure {
    Failure::new(FailureKind::Trap(TrapCode::MemoryOutOfBounds), TrapCode::MemoryOutOfBounds.message())
}

/// The pointer for an address, if `count` bytes are there.
fn to_native(record: &InstanceRecord, address: u64, count: u64) -> Option<*mut u8> {
    let (base, len) = extent(record)?;
    let end = address.checked_add(count)?;
    (end <= len).then(|| base.wrapping_add(address as usize))
}

/// The address for a pointer, if `count` bytes are there.
fn to_guest(record: &InstanceRecord, pointer: *const c_void, count: u64) -> Option<u64> {
    let (base, len) = extent(record)?;
    let address = (pointer.addr() as u64).checked_sub(base.addr() as u64)?;
    (address.checked_add(count)? <= len).then_some(address)
}

/// Whether something is so; if not, that is an exception of the instance.
fn validate(instance: *const InstanceRecord, holds: impl FnOnce(&InstanceRecord) -> bool) -> bool {
    guard(false, || {
        // SAFETY: null, or an instance by the header.
        let Some(record) = (unsafe { record(instance) }) else { return false };
        let holds = holds(record);
        if !holds {
            record.fail(out_of_bounds());
        }
        holds
    })
}

/// Calls the module's own allocator.
fn allocate(record: &InstanceRecord, size: u64) -> Result<u64, Failure> {
    let size_val = |ty: &ValType| match ty {
        ValType::I64 => Val::I64(size as i64),
        _ => Val::I32(size as i32),
    };
    for name in MALLOC_NAMES {
        let Some(function) = record.function(name)? else { continue };
        // SAFETY: the record of a function lives as long as the instance's.
        let function = unsafe { &*function };
        let args: Vec<Val> = match &function.params[..] {
            [size] => vec![size_val(size)],
            // AssemblyScript's takes a type number as well.
            [size, ValType::I32] => vec![size_val(size), Val::I32(0)],
            _ => continue,
        };
        let results = calls::call(record.singleton(), function.func, &args, function.results.len())?;
        return Ok(match results.first() {
            Some(Val::I32(address)) => address.cast_unsigned().into(),
            Some(Val::I64(address)) => address.cast_unsigned(),
            _ => 0,
        });
    }
    Err(Failure::argument("the module exports no malloc"))
}

fn release(record: &InstanceRecord, address: u64) -> Result<(), Failure> {
    for name in FREE_NAMES {
        let Some(function) = record.function(name)? else { continue };
        // SAFETY: the record of a function lives as long as the instance's.
        let function = unsafe { &*function };
        let arg = match &function.params[..] {
            [ValType::I64] => Val::I64(address as i64),
            [ValType::I32] => Val::I32(address as i32),
            _ => continue,
        };
        return calls::call(record.singleton(), function.func, &[arg], function.results.len()).map(drop);
    }
    Err(Failure::argument("the module exports no free"))
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_validate_app_addr(
    instance: *const InstanceRecord,
    address: u64,
    size: u64,
) -> bool {
    validate(instance, |record| to_native(record, address, size).is_some())
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_validate_app_str_addr(instance: *const InstanceRecord, address: u64) -> bool {
    validate(instance, |record| {
        let Some((base, len)) = extent(record) else { return false };
        // SAFETY: the bytes up to the memory's end are accessible; a volatile read, since code may write them.
        (address..len).any(|at| unsafe { base.add(at as usize).read_volatile() } == 0)
    })
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_validate_native_addr(
    instance: *const InstanceRecord,
    pointer: *mut c_void,
    size: u64,
) -> bool {
    validate(instance, |record| to_guest(record, pointer, size).is_some())
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_addr_app_to_native(instance: *const InstanceRecord, address: u64) -> *mut c_void {
    guard(ptr::null_mut(), || {
        // SAFETY: null, or an instance by the header.
        let found = unsafe { record(instance) }.and_then(|record| to_native(record, address, 1));
        found.map_or(ptr::null_mut(), |pointer| pointer.cast())
    })
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_addr_native_to_app(instance: *const InstanceRecord, pointer: *mut c_void) -> u64 {
    guard(0, || {
        // SAFETY: null, or an instance by the header.
        unsafe { record(instance) }.and_then(|record| to_guest(record, pointer, 1)).unwrap_or(0)
    })
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_get_app_addr_range(
    instance: *const InstanceRecord,
    address: u64,
    start: *mut u64,
    end: *mut u64,
) -> bool {
    guard(false, || {
        // SAFETY: null, or an instance by the header.
        match unsafe { record(instance) }.and_then(extent) {
            Some((_, len)) if address < len => {
                // SAFETY: null, or places by the header.
                unsafe {
                    set(start, 0);
                    set(end, len);
                }
                true
            }
            _ => false,
        }
    })
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_module_malloc(
    instance: *const InstanceRecord,
    size: u64,
    pointer: *mut *mut c_void,
) -> u64 {
    guard(0, || {
        // SAFETY: null, or a place by the header.
        unsafe { set(pointer, ptr::null_mut()) };
        // SAFETY: null, or an instance by the header.
        let Some(record) = (unsafe { record(instance) }) else { return 0 };
        let Some(address) = record.check(allocate(record, size)).filter(|&address| address != 0) else { return 0 };
        let Some(native) = to_native(record, address, size) else {
            record.fail(out_of_bounds());
            return 0;
        };
        // SAFETY: as above.
        unsafe { set(pointer, native.cast()) };
        address
    })
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_module_free(instance: *const InstanceRecord, address: u64) {
    guard((), || {
        // SAFETY: null, or an instance by the header.
        let Some(record) = (unsafe { record(instance) }) else { return };
        if address != 0 {
            record.check(release(record, address));
        }
    });
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_module_dup_data(
    instance: *const InstanceRecord,
    source: *const c_char,
    size: u64,
) -> u64 {
    guard(0, || {
        let mut native = ptr::null_mut();
        // SAFETY: as of the header.
        let address = unsafe { wasm_runtime_module_malloc(instance, size, &raw mut native) };
        if address != 0 && !source.is_null() {
            // SAFETY: both have `size` bytes: the source by the header, the memory of the module by `to_native`.
            unsafe { ptr::copy_nonoverlapping(source.cast::<u8>(), native.cast::<u8>(), size as usize) };
        }
        address
    })
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_enlarge_memory(instance: *const InstanceRecord, pages: u64) -> bool {
    guard(false, || {
        // SAFETY: null, or an instance by the header.
        let Some(record) = (unsafe { record(instance) }) else { return false };
        let grown = record.with(|mut context| Some(record.memory(&context)?.grow(&mut context, pages).is_ok()));
        matches!(grown, Ok(Some(true)))
    })
}
