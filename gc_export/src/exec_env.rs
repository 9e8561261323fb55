//! Execution environments: who calls code, with data of C's, and the references that it holds.

use crate::border::guard;
use crate::instance::{InstanceRecord, record};
use crate::objects::handle::Handles;
use crate::objects::lifetimes::LocalReference;
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// A `wasm_exec_env_t`.
pub(crate) struct ExecEnv {
    record: *const InstanceRecord,
    /// Keeps the record alive, unless the environment is the record's own.
    owner: Option<Arc<InstanceRecord>>,
    user_data: AtomicPtr<c_void>,
    attachment: AtomicPtr<c_void>,
    /// How long a call may take, in nanoseconds; 0 for as long as it takes.
    pub(crate) timeout_ns: AtomicU64,
    /// The innermost local reference of C's.
    pub(crate) locals: AtomicPtr<LocalReference>,
    pub(crate) handles: Handles,
}

// SAFETY: the record may be shared, and the pointers of C's are only handed back.
unsafe impl Send for ExecEnv {}
// SAFETY: as above.
unsafe impl Sync for ExecEnv {}

impl ExecEnv {
    /// A record's own.
    pub(crate) fn of_record(record: &InstanceRecord) -> Self {
        Self::new(record, None)
    }

    /// One that keeps the record alive.
    pub(crate) fn owning(record: Arc<InstanceRecord>) -> Self {
        Self::new(Arc::as_ptr(&record), Some(record))
    }

    fn new(record: *const InstanceRecord, owner: Option<Arc<InstanceRecord>>) -> Self {
        let null = || AtomicPtr::new(ptr::null_mut());
        Self {
            record,
            owner,
            user_data: null(),
            attachment: null(),
            timeout_ns: AtomicU64::new(0),
            locals: AtomicPtr::new(ptr::null_mut()),
            handles: Handles::default(),
        }
    }

    /// The instance.
    pub(crate) fn record(&self) -> &InstanceRecord {
        // SAFETY: `owner` keeps it alive, or it owns this environment.
        unsafe { &*self.record }
    }

    /// Does `work`, in which C functions find what was registered with the native function that runs.
    pub(crate) fn with_attachment<R>(&self, attachment: *mut c_void, work: impl FnOnce() -> R) -> R {
        // Relaxed: the environment is used by one thread at a time.
        let outer = self.attachment.swap(attachment, Ordering::Relaxed);
        let result = work();
        self.attachment.store(outer, Ordering::Relaxed);
        result
    }
}

/// The environment at a pointer of C's.
///
/// # Safety
///
/// The pointer must be null or a `wasm_exec_env_t` that has not ended.
pub(crate) unsafe fn exec_env<'a>(pointer: *const ExecEnv) -> Option<&'a ExecEnv> {
    // SAFETY: as the caller promises.
    unsafe { pointer.as_ref() }
}

/// Ends an environment that C owned, and its instance's record if that is the last of it.
pub(crate) fn end(env: Box<ExecEnv>) {
    let record = env.owner.clone();
    drop(env);
    drop(record);
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_create_exec_env(
    instance: *const InstanceRecord,
    _stack_size: u32,
) -> *mut ExecEnv {
    guard(ptr::null_mut(), || {
        if instance.is_null() {
            return ptr::null_mut();
        }
        // SAFETY: C holds a count of the record.
        let record = unsafe {
            Arc::increment_strong_count(instance);
            Arc::from_raw(instance)
        };
        Box::into_raw(Box::new(ExecEnv::owning(record)))
    })
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_destroy_exec_env(env: *mut ExecEnv) {
    guard((), || {
        if !env.is_null() {
            // SAFETY: the box was leaked when the environment was made, and C gives it up.
            end(unsafe { Box::from_raw(env) });
        }
    });
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_get_exec_env_singleton(instance: *const InstanceRecord) -> *const ExecEnv {
    // SAFETY: null, or an instance by the header.
    guard(ptr::null(), || unsafe { record(instance) }.map_or(ptr::null(), |record| record.singleton()))
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_get_module_inst(env: *const ExecEnv) -> *const InstanceRecord {
    // SAFETY: null, or an environment by the header.
    guard(ptr::null(), || unsafe { exec_env(env) }.map_or(ptr::null(), |env| env.record))
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_set_user_data(env: *const ExecEnv, data: *mut c_void) {
    // SAFETY: null, or an environment by the header.
    guard((), || unsafe { exec_env(env) }.into_iter().for_each(|env| env.user_data.store(data, Ordering::Release)));
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_get_user_data(env: *const ExecEnv) -> *mut c_void {
    let null = ptr::null_mut();
    // SAFETY: null, or an environment by the header.
    guard(null, || unsafe { exec_env(env) }.map_or(null, |env| env.user_data.load(Ordering::Acquire)))
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_get_function_attachment(env: *const ExecEnv) -> *mut c_void {
    let null = ptr::null_mut();
    // SAFETY: null, or an environment by the header.
    guard(null, || unsafe { exec_env(env) }.map_or(null, |env| env.attachment.load(Ordering::Relaxed)))
}
