//! Typed errors for C: what `wasm_runtime_get_exception` tells in words.

use crate::backtrace::Backtrace;
use crate::border::{c_string, guard};
use crate::exec_env::{ExecEnv, exec_env};
use crate::failure::{Failure, FailureKind};
use crate::instance::{InstanceRecord, record};
use crate::objects::handle::{self, Object};
use runtime::Val;
use std::ffi::{CString, c_char, c_int};
use std::ptr;

/// A `dolmen_error_t`.
#[derive(Debug)]
pub(crate) struct ErrorRecord {
    kind: FailureKind,
    message: CString,
    backtrace: Backtrace,
}

impl ErrorRecord {
    fn new(failure: Failure) -> Self {
        let (message, backtrace) = (c_string(&failure.message), Backtrace::new(&failure.backtrace));
        Self { kind: failure.kind, message, backtrace }
    }

    /// The kind, as in `enum dolmen_error_kind`.
    fn number(&self) -> c_int {
        match self.kind {
            FailureKind::Trap(_) => 1,
            FailureKind::Exception(_) => 2,
            FailureKind::Exit(_) => 3,
            FailureKind::Native => 4,
            FailureKind::Link => 5,
            FailureKind::Argument => 6,
            FailureKind::Resource => 7,
            FailureKind::Load => 8,
            FailureKind::Unavailable => 9,
            FailureKind::Internal => 10,
        }
    }
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_take_error(instance: *const InstanceRecord) -> *mut ErrorRecord {
    guard(ptr::null_mut(), || {
        // SAFETY: null, or an instance by the header.
        let failure = unsafe { record(instance) }.and_then(InstanceRecord::take_failure);
        failure.map_or(ptr::null_mut(), |failure| Box::into_raw(Box::new(ErrorRecord::new(failure))))
    })
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_error_delete(error: *mut ErrorRecord) {
    guard((), || {
        if !error.is_null() {
            // SAFETY: `dolmen_take_error` has leaked the box, and C gives it up.
            drop(unsafe { Box::from_raw(error) });
        }
    });
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_error_kind(error: *const ErrorRecord) -> c_int {
    // SAFETY: null, or an error by the header.
    guard(0, || unsafe { error.as_ref() }.map_or(0, ErrorRecord::number))
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_error_message(error: *const ErrorRecord) -> *const c_char {
    // SAFETY: null, or an error by the header.
    guard(ptr::null(), || unsafe { error.as_ref() }.map_or(ptr::null(), |error| error.message.as_ptr()))
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_error_trap(error: *const ErrorRecord) -> c_int {
    // SAFETY: null, or an error by the header.
    guard(0, || match unsafe { error.as_ref() } {
        Some(ErrorRecord { kind: FailureKind::Trap(code), .. }) => *code as c_int,
        _ => 0,
    })
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_error_exit_status(error: *const ErrorRecord) -> u32 {
    // SAFETY: null, or an error by the header.
    guard(0, || match unsafe { error.as_ref() } {
        Some(ErrorRecord { kind: FailureKind::Exit(status), .. }) => *status,
        _ => 0,
    })
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_error_backtrace(error: *const ErrorRecord) -> *const Backtrace {
    // SAFETY: null, or an error by the header.
    guard(ptr::null(), || unsafe { error.as_ref() }.map_or(ptr::null(), |error| &raw const error.backtrace))
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_error_exception(error: *const ErrorRecord, env: *const ExecEnv) -> *const Object {
    // SAFETY: null, or an error and an environment by the header.
    guard(ptr::null(), || match unsafe { (error.as_ref(), exec_env(env)) } {
        (Some(ErrorRecord { kind: FailureKind::Exception(exception), .. }), Some(env)) => {
            handle::to_c(&env.handles, env.record(), Val::from(exception.exn.clone()))
        }
        _ => ptr::null(),
    })
}
