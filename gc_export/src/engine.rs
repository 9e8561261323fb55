//! The engine of the process: `wasm_runtime_init` and its relatives, and the options of the heap.
//!
//! The interface that this library follows has one runtime per process. It is made by the first initialisation, or by
//! the first module that is loaded, and ends when as many `wasm_runtime_destroy` as initialisations have come; modules
//! and instances keep it alive as long as they need it.

use crate::border::guard;
use crate::natives::NativeSymbol;
use crate::natives::registry;
use runtime::{Collector, Config, Engine, EngineError};
use std::ffi::{c_char, c_int, c_void};
use std::num::NonZeroU64;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The process's runtime.
struct State {
    engine: Option<Engine>,
    initialisations: usize,
    config: Config,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);

/// `RuntimeInitArgs`.
#[repr(C)]
pub struct RuntimeInitArgs {
    mem_alloc_type: c_int,
    mem_alloc_option: MemAllocOption,
    native_module_name: *const c_char,
    native_symbols: *mut NativeSymbol,
    n_native_symbols: u32,
    max_thread_num: u32,
    ip_addr: [c_char; 128],
    unused: c_int,
    instance_port: c_int,
    fast_jit_code_cache_size: u32,
    gc_heap_size: u32,
    running_mode: c_int,
    llvm_jit_opt_level: u32,
    llvm_jit_size_level: u32,
    segue_flags: u32,
    enable_linux_perf: bool,
}

/// `MemAllocOption`, which is a union of as many pointers at most.
#[repr(C)]
struct MemAllocOption([*mut c_void; 4]);

/// `dolmen_options_t`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Options {
    collector: c_int,
    heap_max_bytes: u64,
    heap_initial_bytes: u64,
    heap_soft_max_bytes: u64,
    heap_minor_pause_ns: u64,
    max_stack_bytes: u64,
    gc_stress: u64,
    gc_verify: bool,
    gc_log: bool,
}

/// The engine; made if there is none.
pub(crate) fn engine() -> Result<Engine, EngineError> {
    let mut state = lock();
    let state = state.get_or_insert_with(State::new);
    state.engine()
}

fn lock() -> MutexGuard<'static, Option<State>> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn new() -> Self {
        Self { engine: None, initialisations: 0, config: Config::new() }
    }

    fn engine(&mut self) -> Result<Engine, EngineError> {
        if let Some(engine) = &self.engine {
            return Ok(engine.clone());
        }
        let engine = Engine::new(&self.config)?;
        self.engine = Some(engine.clone());
        Ok(engine)
    }
}

fn initialise(heap_max_bytes: Option<u64>) -> bool {
    let mut state = lock();
    let state = state.get_or_insert_with(State::new);
    if let (Some(bytes), None) = (heap_max_bytes, &state.engine) {
        state.config.heap_max_bytes(bytes);
    }
    let made = state.engine().is_ok();
    state.initialisations += usize::from(made);
    made
}

/// See `wasm_export.h`.
#[unsafe(no_mangle)]
pub extern "C" fn wasm_runtime_init() -> bool {
    guard(false, || initialise(None))
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_full_init(args: *mut RuntimeInitArgs) -> bool {
    guard(false, || {
        // SAFETY: null, or arguments by the header.
        let Some(args) = (unsafe { args.as_ref() }) else { return false };
        let heap = (args.gc_heap_size > 0).then_some(u64::from(args.gc_heap_size));
        if !initialise(heap) {
            return false;
        }
        // SAFETY: the array has as many symbols, by the header.
        args.n_native_symbols == 0
            || unsafe { registry::register(args.native_module_name, args.native_symbols, args.n_native_symbols, false) }
    })
}

/// See `wasm_export.h`.
#[unsafe(no_mangle)]
pub extern "C" fn wasm_runtime_destroy() {
    guard((), || {
        let mut state = lock();
        let Some(found) = state.as_mut() else { return };
        found.initialisations = found.initialisations.saturating_sub(1);
        if found.initialisations == 0 {
            *state = None;
            drop(state);
            registry::clear();
        }
    });
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_options_default(options: *mut Options) {
    let defaults = Options {
        collector: 0,
        heap_max_bytes: 0,
        heap_initial_bytes: 0,
        heap_soft_max_bytes: 0,
        heap_minor_pause_ns: 0,
        max_stack_bytes: 0,
        gc_stress: 0,
        gc_verify: false,
        gc_log: false,
    };
    // SAFETY: null, or a place for options by the header.
    unsafe { crate::border::set(options, defaults) };
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_set_options(options: *const Options) -> bool {
    guard(false, || {
        // SAFETY: null, or options by the header.
        let Some(options) = (unsafe { options.as_ref() }) else { return false };
        let Some(config) = config(options) else { return false };
        let mut state = lock();
        let state = state.get_or_insert_with(State::new);
        if state.engine.is_some() || Engine::new(&config).is_err() {
            return false;
        }
        state.config = config;
        true
    })
}

fn config(options: &Options) -> Option<Config> {
    let mut config = Config::new();
    config.collector(match options.collector {
        0 => Collector::DEFAULT,
        1 => Collector::Generational,
        2 => Collector::MarkSweep,
        3 => Collector::Null,
        _ => return None,
    });
    let given = |value: u64| (value > 0).then_some(value);
    given(options.heap_max_bytes).into_iter().for_each(|bytes| _ = config.heap_max_bytes(bytes));
    given(options.heap_initial_bytes).into_iter().for_each(|bytes| _ = config.heap_initial_bytes(bytes));
    given(options.heap_soft_max_bytes).into_iter().for_each(|bytes| _ = config.heap_soft_max_bytes(bytes));
    let pause = given(options.heap_minor_pause_ns).map(Duration::from_nanos);
    pause.into_iter().for_each(|time| _ = config.heap_minor_pause(time));
    if let Some(bytes) = given(options.max_stack_bytes) {
        config.max_stack_bytes(usize::try_from(bytes).ok()?);
    }
    config.gc_stress(NonZeroU64::new(options.gc_stress)).gc_verify(options.gc_verify).gc_log(options.gc_log);
    Some(config)
}
