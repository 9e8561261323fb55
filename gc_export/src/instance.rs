//! Instances, each with a store of its own, and how C code gets into the store.
//!
//! A `wasm_module_inst_t` is an [`InstanceRecord`]: an instance, and a [`Seat`] in its store behind a lock. The first
//! record owns the store; `wasm_runtime_spawn_exec_env` makes others of the same instance, with a seat each, so that
//! their threads run in parallel. Everything that needs the store goes through [`InstanceRecord::with`], which either
//! finds that this OS thread has the store already ([`crate::entered`]), or enters it by the record's seat,
//! one OS thread at a time.
//!
//! Records are counted: execution environments keep theirs alive, so that the order in which C code ends them does not
//! matter. What C holds is one count.

use crate::border::{c_string, copy_message, guard, panic_message, text};
use crate::entered::{self, Entrance};
use crate::exec_env::ExecEnv;
use crate::failure::{Failure, FailureKind};
use crate::modules::ModuleRecord;
use crate::natives::link;
use runtime::wasi::{ProgramThreads, WasiCtx};
use runtime::{
    Func, Instance, InterruptHandle, Memory, Module, Seat, Store, StoreContextMut, ThreadControl, ThreadId, ValType,
};
use std::collections::HashMap;
use std::ffi::{CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The library's data in a store.
#[derive(Debug)]
pub(crate) struct HostState {
    pub(crate) wasi: WasiCtx,
}

/// What all records of a store share.
pub(crate) struct StoreShared {
    pub(crate) module: *const ModuleRecord,
    /// The module itself, whatever becomes of its record.
    pub(crate) code: Module,
    pub(crate) control: ThreadControl,
    /// `None` if the module was compiled without polls.
    pub(crate) interrupt: Option<InterruptHandle>,
    /// Set when the first of its code runs that can be seen from here.
    pub(crate) instance: OnceLock<Instance>,
    exit_status: AtomicU32,
}

// SAFETY: the address of the module's record is handed back to C, and not used otherwise.
unsafe impl Send for StoreShared {}
// SAFETY: as above; all else may be shared.
unsafe impl Sync for StoreShared {}

/// A `wasm_module_inst_t`.
pub(crate) struct InstanceRecord {
    pub(crate) shared: Arc<StoreShared>,
    /// `None` of a record for a thread that the program has started itself, which is in the store whenever C code runs.
    seat: Option<Mutex<Seat<HostState>>>,
    /// The thread of the store that the seat is.
    pub(crate) thread: Option<ThreadId>,
    state: Mutex<RecordState>,
    custom_data: AtomicPtr<c_void>,
    singleton: OnceLock<Box<ExecEnv>>,
    /// Kept so that the program can start threads.
    _threads: Option<ProgramThreads<HostState>>,
}

/// What changes in a record.
#[derive(Default)]
struct RecordState {
    /// What `wasm_runtime_get_exception` returns.
    exception: Option<CString>,
    /// Why the last call failed, if it did.
    failure: Option<Failure>,
    /// By name. Boxed, because C holds their addresses.
    functions: HashMap<String, Box<FunctionRecord>>,
}

/// A `wasm_function_inst_t`; lives as long as the record of the instance.
#[derive(Clone, Debug)]
pub(crate) struct FunctionRecord {
    pub(crate) func: Func,
    pub(crate) params: Vec<ValType>,
    pub(crate) results: Vec<ValType>,
}

impl InstanceRecord {
    /// Makes a store and an instance of a module in it.
    pub(crate) fn instantiate(module: &ModuleRecord) -> Result<Arc<Self>, Failure> {
        let mut store = Store::new(module.module.engine(), HostState { wasi: module.wasi_context()? })?;
        let interrupt = if module.module.has_polls() { Some(store.interrupt_handle()?) } else { None };
        let shared = Arc::new(StoreShared {
            module,
            code: module.module.clone(),
            control: store.thread_control(),
            interrupt,
            instance: OnceLock::new(),
            exit_status: AtomicU32::new(0),
        });
        let mut linker = link::linker(&module.module, &shared)?;
        let threads = if ProgramThreads::<HostState>::are_wanted(&module.module) {
            Some(ProgramThreads::define(&mut linker, &mut store, &module.module)?)
        } else {
            None
        };
        let record = Self::new(shared, Some(Seat::new(store)), threads);
        let env = ptr::from_ref(record.singleton());
        let instance = record.with(|mut context| {
            entered::call(&record.shared, env, || linker.instantiate(&mut context, &module.module))
        })??;
        // The start function may have set it to the same.
        let _ = record.shared.instance.set(instance);
        Ok(record)
    }

    /// Another record of the same instance, with a seat of its own.
    pub(crate) fn another(&self) -> Result<Arc<Self>, Failure> {
        let seat = self.with(|mut context| context.seat())??;
        let record = Self::new(Arc::clone(&self.shared), Some(seat), None);
        record.custom_data.store(self.custom_data(), Ordering::Release);
        Ok(record)
    }

    /// A record for C functions that a thread of the program's own calls.
    pub(crate) fn without_seat(shared: Arc<StoreShared>) -> Arc<Self> {
        Self::new(shared, None, None)
    }

    fn new(
        shared: Arc<StoreShared>,
        seat: Option<Seat<HostState>>,
        threads: Option<ProgramThreads<HostState>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared,
            thread: seat.as_ref().map(Seat::id),
            seat: seat.map(Mutex::new),
            state: Mutex::default(),
            custom_data: AtomicPtr::new(ptr::null_mut()),
            singleton: OnceLock::new(),
            _threads: threads,
        })
    }

    /// Does `work` with the store, which it must not ask for again but through C functions that it calls. A panic is
    /// a failure.
    pub(crate) fn with<R>(&self, work: impl FnOnce(StoreContextMut<'_, HostState>) -> R) -> Result<R, Failure> {
        let busy = || Failure::unavailable("this thread is in the store, but must not use it now");
        let gone = || Failure::unavailable("the store is gone");
        let shared = &*self.shared;
        let done = catch_unwind(AssertUnwindSafe(|| match entered::entrance(shared) {
            Entrance::Borrowed(borrow) => Ok(entered::without_store(shared, || borrow.context(work))),
            Entrance::Busy => Err(busy()),
            Entrance::Outside => {
                let mut seat = self.seat.as_ref().ok_or_else(gone)?.lock().unwrap_or_else(PoisonError::into_inner);
                entered::without_store(shared, || seat.enter(work)).ok_or_else(gone)
            }
        }));
        done.unwrap_or_else(|payload| Err(Failure::new(FailureKind::Internal, panic_message(&*payload))))
    }

    /// Does `work`, which uses other ways into the store, or takes its time, while this thread does not have it.
    pub(crate) fn unlocked<R>(&self, work: impl FnOnce() -> R) -> Result<R, Failure> {
        match entered::entrance(&self.shared) {
            Entrance::Outside => Ok(work()),
            _ => self.with(|mut context| context.unlocked(work)),
        }
    }

    /// The execution environment that calls without one use.
    pub(crate) fn singleton(&self) -> &ExecEnv {
        self.singleton.get_or_init(|| Box::new(ExecEnv::of_record(self)))
    }

    /// The memory that addresses are meant for.
    pub(crate) fn memory(&self, context: &StoreContextMut<'_, HostState>) -> Option<Memory> {
        self.shared.instance.get()?.default_memory(context)
    }

    /// Notes why something failed.
    pub(crate) fn fail(&self, failure: Failure) {
        if let FailureKind::Exit(status) = failure.kind {
            self.shared.exit_status.store(status, Ordering::Release);
        }
        let mut state = self.state();
        state.exception = Some(c_string(&format!("Exception: {}", failure.message)));
        state.failure = Some(failure);
    }

    /// Notes why something failed, if it did.
    pub(crate) fn check<R>(&self, outcome: Result<R, Failure>) -> Option<R> {
        outcome.map_err(|failure| self.fail(failure)).ok()
    }

    /// Forgets what failed.
    pub(crate) fn clear(&self) {
        let mut state = self.state();
        state.exception = None;
        state.failure = None;
    }

    /// What failed, taken out; its message stays.
    pub(crate) fn take_failure(&self) -> Option<Failure> {
        self.state().failure.take()
    }

    /// The message of what failed, if something has, without the word in front.
    pub(crate) fn message(&self) -> Option<String> {
        let state = self.state();
        let text = state.exception.as_ref()?.to_string_lossy();
        Some(text.strip_prefix("Exception: ").unwrap_or(&text).to_owned())
    }

    pub(crate) fn custom_data(&self) -> *mut c_void {
        self.custom_data.load(Ordering::Acquire)
    }

    /// The record of an exported function.
    pub(crate) fn function(&self, name: &str) -> Result<Option<*const FunctionRecord>, Failure> {
        if let Some(found) = self.state().functions.get(name) {
            return Ok(Some(&raw const **found));
        }
        let Some(&instance) = self.shared.instance.get() else { return Ok(None) };
        let found = self.with(|mut context| {
            let func = instance.get_func(&mut context, name)?;
            Some(FunctionRecord::new(&context, func))
        })?;
        let Some(found) = found else { return Ok(None) };
        let mut state = self.state();
        let record = state.functions.entry(name.to_owned()).or_insert_with(|| Box::new(found));
        Ok(Some(&raw const **record))
    }

    fn state(&self) -> MutexGuard<'_, RecordState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FunctionRecord {
    pub(crate) fn new(context: &StoreContextMut<'_, HostState>, func: Func) -> Self {
        let ty = func.ty(context);
        Self { func, params: ty.params().collect(), results: ty.results().collect() }
    }
}

/// The record at a pointer of C's.
///
/// # Safety
///
/// The pointer must be null or a `wasm_module_inst_t` that has not ended.
pub(crate) unsafe fn record<'a>(pointer: *const InstanceRecord) -> Option<&'a InstanceRecord> {
    // SAFETY: as the caller promises.
    unsafe { pointer.as_ref() }
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_instantiate(
    module: *const ModuleRecord,
    _stack_size: u32,
    _heap_size: u32,
    error: *mut c_char,
    error_size: u32,
) -> *const InstanceRecord {
    guard(ptr::null(), || {
        // SAFETY: null, or a module by the header.
        let made = match unsafe { module.as_ref() } {
            Some(module) => InstanceRecord::instantiate(module),
            None => Err(Failure::argument("the module is null")),
        };
        match made {
            Ok(record) => Arc::into_raw(record),
            Err(failure) => {
                // SAFETY: the buffer has that size, by the header.
                unsafe { copy_message(&failure.message, error, error_size) };
                ptr::null()
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
pub unsafe extern "C" fn wasm_runtime_deinstantiate(instance: *const InstanceRecord) {
    guard((), || {
        // SAFETY: null, or an instance by the header.
        let Some(found) = (unsafe { record(instance) }) else { return };
        if matches!(entered::entrance(&found.shared), Entrance::Outside) {
            // SAFETY: C held this count, and gives it up.
            drop(unsafe { Arc::from_raw(instance) });
        }
    });
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_get_module(instance: *const InstanceRecord) -> *const ModuleRecord {
    // SAFETY: null, or an instance by the header.
    guard(ptr::null(), || unsafe { record(instance) }.map_or(ptr::null(), |record| record.shared.module))
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_get_exception(instance: *const InstanceRecord) -> *const c_char {
    guard(ptr::null(), || {
        // SAFETY: null, or an instance by the header.
        let Some(record) = (unsafe { record(instance) }) else { return ptr::null() };
        record.state().exception.as_ref().map_or(ptr::null(), |message| message.as_ptr())
    })
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_set_exception(instance: *const InstanceRecord, exception: *const c_char) {
    guard((), || {
        // SAFETY: null, or an instance by the header.
        let Some(record) = (unsafe { record(instance) }) else { return };
        // SAFETY: null, or a string by the header.
        match unsafe { text(exception) } {
            Some(message) => record.fail(Failure::new(FailureKind::Native, message)),
            None => record.clear(),
        }
    });
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_clear_exception(instance: *const InstanceRecord) {
    // SAFETY: null, or an instance by the header.
    guard((), || unsafe { record(instance) }.into_iter().for_each(InstanceRecord::clear));
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_terminate(instance: *const InstanceRecord) {
    guard((), || {
        // SAFETY: null, or an instance by the header.
        let handle = unsafe { record(instance) }.and_then(|record| record.shared.interrupt.as_ref());
        handle.into_iter().for_each(InterruptHandle::interrupt);
    });
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_set_custom_data(instance: *const InstanceRecord, data: *mut c_void) {
    guard((), || {
        // SAFETY: null, or an instance by the header.
        let record = unsafe { record(instance) };
        record.into_iter().for_each(|record| record.custom_data.store(data, Ordering::Release));
    });
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_get_custom_data(instance: *const InstanceRecord) -> *mut c_void {
    // SAFETY: null, or an instance by the header.
    guard(ptr::null_mut(), || unsafe { record(instance) }.map_or(ptr::null_mut(), InstanceRecord::custom_data))
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_get_wasi_exit_code(instance: *const InstanceRecord) -> u32 {
    guard(0, || {
        // SAFETY: null, or an instance by the header.
        unsafe { record(instance) }.map_or(0, |record| record.shared.exit_status.load(Ordering::Acquire))
    })
}
