//! Threads: environments for threads of C's, and threads that call a C function with one.

use crate::border::{guard, set};
use crate::exec_env::{self, ExecEnv, exec_env};
use crate::failure::{Failure, FailureKind};
use crate::instance::InstanceRecord;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Arc;
use std::thread::JoinHandle;

/// `wasm_thread_callback_t`.
type Callback = unsafe extern "C" fn(*const ExecEnv, *mut c_void) -> *mut c_void;

/// A `wasm_thread_t` leads here.
struct ThreadRecord {
    handle: JoinHandle<Pointer>,
    env: Arc<OwnEnv>,
}

/// An environment that a thread owns together with who joins it.
struct OwnEnv(ExecEnv);

/// A pointer of C's on its way to another thread.
#[derive(Clone, Copy)]
struct Pointer(*mut c_void);

// SAFETY: what it leads to is C's affair.
unsafe impl Send for Pointer {}

/// Makes an environment with a seat of its own.
fn spawn_env(env: &ExecEnv) -> Result<ExecEnv, Failure> {
    env.record().another().map(ExecEnv::owning)
}

fn spawn_thread(env: &ExecEnv, callback: Callback, argument: *mut c_void) -> Result<ThreadRecord, Failure> {
    let env = Arc::new(OwnEnv(spawn_env(env)?));
    let (own, argument) = (Arc::clone(&env), Pointer(argument));
    let body = move || {
        let argument = argument;
        // SAFETY: the callback takes an environment and the argument, by the header, and does not unwind.
        Pointer(unsafe { callback(&raw const own.0, argument.0) })
    };
    let handle = std::thread::Builder::new().name("dolmen C".to_owned()).spawn(body);
    let handle =
        handle.map_err(|error| Failure::new(FailureKind::Resource, format!("cannot start a thread: {error}")))?;
    Ok(ThreadRecord { handle, env })
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_spawn_exec_env(env: *const ExecEnv) -> *mut ExecEnv {
    guard(ptr::null_mut(), || {
        // SAFETY: null, or an environment by the header.
        let Some(env) = (unsafe { exec_env(env) }) else { return ptr::null_mut() };
        let spawned = env.record().check(spawn_env(env));
        spawned.map_or(ptr::null_mut(), |env| Box::into_raw(Box::new(env)))
    })
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_destroy_spawned_exec_env(env: *mut ExecEnv) {
    // SAFETY: as of the header.
    unsafe { exec_env::wasm_runtime_destroy_exec_env(env) };
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_spawn_thread(
    env: *const ExecEnv,
    thread: *mut usize,
    callback: Option<Callback>,
    argument: *mut c_void,
) -> c_int {
    guard(-1, || {
        // SAFETY: null, or an environment by the header.
        let (Some(env), Some(callback)) = (unsafe { (exec_env(env), callback) }) else { return -1 };
        if thread.is_null() {
            return -1;
        }
        match env.record().check(spawn_thread(env, callback, argument)) {
            Some(record) => {
                // SAFETY: a place by the header.
                unsafe { set(thread, Box::into_raw(Box::new(record)).expose_provenance()) };
                0
            }
            None => -1,
        }
    })
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_join_thread(thread: usize, result: *mut *mut c_void) -> c_int {
    guard(-1, || {
        let record = ptr::with_exposed_provenance_mut::<ThreadRecord>(thread);
        if record.is_null() {
            return -1;
        }
        // SAFETY: `wasm_runtime_spawn_thread` has leaked the box, and C gives it up.
        let ThreadRecord { handle, env } = *unsafe { Box::from_raw(record) };
        let shared = Arc::clone(&env.0.record().shared);
        // The thread may need the store that a function which joins has.
        let joined = InstanceRecord::without_seat(shared).unlocked(|| {
            let joined = handle.join();
            drop(env);
            joined
        });
        match joined {
            Ok(Ok(pointer)) => {
                // SAFETY: null, or a place by the header.
                unsafe { set(result, pointer.0) };
                0
            }
            _ => -1,
        }
    })
}
