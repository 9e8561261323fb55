//! Modules: artifacts in memory or in a file, and what a module's instances get of WASI.

use crate::border::{copy_message, guard, set, slice, string_bytes, text};
use crate::engine::engine;
use crate::externals::Externals;
use crate::failure::{Failure, FailureKind};
use crate::objects::types::TypeRecord;
use runtime::Module;
use runtime::wasi::{InputStream, OutputStream, WasiCtx};
use std::ffi::{c_char, c_int};
use std::fs::File;
use std::os::fd::BorrowedFd;
use std::ptr;
use std::sync::{Mutex, OnceLock, PoisonError};

/// A `wasm_module_t`.
pub(crate) struct ModuleRecord {
    pub(crate) module: Module,
    wasi: Mutex<WasiArguments>,
    types: OnceLock<Vec<TypeRecord>>,
    externals: OnceLock<Externals>,
}

/// What `wasm_runtime_set_wasi_args` has set.
#[derive(Clone, Default)]
struct WasiArguments {
    arguments: Vec<Vec<u8>>,
    /// `KEY=VALUE` strings.
    environment: Vec<Vec<u8>>,
    /// Number of directories that were asked for.
    directories: u32,
    /// Standard input, output and error; -1 for those of the process.
    streams: [i64; 3],
}

impl ModuleRecord {
    pub(crate) fn new(module: Module) -> Self {
        let wasi = WasiArguments { streams: [-1; 3], ..WasiArguments::default() };
        Self { module, wasi: Mutex::new(wasi), types: OnceLock::new(), externals: OnceLock::new() }
    }

    /// The module's types, by index.
    pub(crate) fn types(&self) -> &[TypeRecord] {
        self.types.get_or_init(|| TypeRecord::all(&self.module))
    }

    /// The module's imports and exports.
    pub(crate) fn externals(&self) -> &Externals {
        self.externals.get_or_init(|| Externals::of(&self.module))
    }

    /// What a new instance may see of the world.
    pub(crate) fn wasi_context(&self) -> Result<WasiCtx, Failure> {
        let wasi = self.wasi.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if wasi.directories > 0 {
            return Err(Failure::argument("WASI directories are not supported"));
        }
        let mut context = WasiCtx::new().inherit_stdio();
        for argument in wasi.arguments {
            context = context.arg(argument);
        }
        for variable in wasi.environment {
            let (key, value) = split_variable(&variable);
            context = context.env(key, value);
        }
        let [input, output, error] = wasi.streams;
        if let Some(file) = duplicate(input)? {
            context = context.stdin(InputStream::File(file));
        }
        if let Some(file) = duplicate(output)? {
            context = context.stdout(OutputStream::File(file));
        }
        if let Some(file) = duplicate(error)? {
            context = context.stderr(OutputStream::File(file));
        }
        Ok(context)
    }
}

/// `KEY=VALUE`.
fn split_variable(variable: &[u8]) -> (&[u8], &[u8]) {
    match variable.iter().position(|&byte| byte == b'=') {
        Some(place) => (&variable[..place], &variable[place + 1..]),
        None => (variable, &[]),
    }
}

/// The file of a descriptor that C has given; `None` for a negative one.
fn duplicate(descriptor: i64) -> Result<Option<File>, Failure> {
    let Ok(descriptor) = c_int::try_from(descriptor) else { return Ok(None) };
    if descriptor < 0 {
        return Ok(None);
    }
    // SAFETY: the descriptor is open during this call, as the header asks; if not, duplicating it fails.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let owned = borrowed.try_clone_to_owned();
    let owned =
        owned.map_err(|error| Failure::argument(format!("cannot use file descriptor {descriptor}: {error}")))?;
    Ok(Some(File::from(owned)))
}

fn load(load: impl FnOnce(&runtime::Engine) -> Result<Module, runtime::LoadError>) -> Result<ModuleRecord, Failure> {
    let engine = engine().map_err(|error| Failure::new(FailureKind::Resource, error.to_string()))?;
    let module = load(&engine).map_err(|error| Failure::new(FailureKind::Load, error.to_string()))?;
    Ok(ModuleRecord::new(module))
}

/// Gives a module, or the reason why there is none, to C.
///
/// # Safety
///
/// The buffer must be null or have that size.
unsafe fn give(loaded: Result<ModuleRecord, Failure>, error: *mut c_char, error_size: u32) -> *mut ModuleRecord {
    match loaded {
        Ok(module) => Box::into_raw(Box::new(module)),
        Err(failure) => {
            // SAFETY: as the caller promises.
            unsafe { copy_message(&failure.message, error, error_size) };
            ptr::null_mut()
        }
    }
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_load(
    bytes: *const u8,
    size: u32,
    error: *mut c_char,
    error_size: u32,
) -> *mut ModuleRecord {
    guard(ptr::null_mut(), || {
        // SAFETY: null, or that many bytes by the header.
        let bytes = unsafe { slice(bytes, size as usize) };
        // SAFETY: as of the header.
        unsafe { give(load(|engine| Module::deserialize(engine, bytes)), error, error_size) }
    })
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_load_file(
    path: *const c_char,
    error: *mut c_char,
    error_size: u32,
) -> *mut ModuleRecord {
    guard(ptr::null_mut(), || {
        // SAFETY: null, or a string by the header.
        let loaded = match unsafe { text(path) } {
            Some(path) => load(|engine| Module::deserialize_file(engine, path)),
            None => Err(Failure::argument("the path is null")),
        };
        // SAFETY: as of the header.
        unsafe { give(loaded, error, error_size) }
    })
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_unload(module: *mut ModuleRecord) {
    guard((), || {
        if !module.is_null() {
            // SAFETY: `give` has leaked the box, and C gives it up.
            drop(unsafe { Box::from_raw(module) });
        }
    });
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_get_custom_section(
    module: *const ModuleRecord,
    name: *const c_char,
    length: *mut u32,
) -> *const u8 {
    guard(ptr::null(), || {
        // SAFETY: null, or a module and a string by the header.
        let (Some(module), Some(name)) = (unsafe { (module.as_ref(), text(name)) }) else { return ptr::null() };
        let Some(section) = module.module.custom_sections(&name).next() else { return ptr::null() };
        // SAFETY: null, or a place by the header.
        unsafe { set(length, section.len() as u32) };
        section.as_ptr()
    })
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_set_wasi_args_ex(
    module: *const ModuleRecord,
    _directories: *const *const c_char,
    directory_count: u32,
    _mapped_directories: *const *const c_char,
    mapped_directory_count: u32,
    environment: *const *const c_char,
    environment_count: u32,
    arguments: *const *const c_char,
    argument_count: c_int,
    input: i64,
    output: i64,
    error: i64,
) {
    guard((), || {
        // SAFETY: null, or a module by the header.
        let Some(module) = (unsafe { module.as_ref() }) else { return };
        // SAFETY: arrays of that many strings, by the header.
        let strings = |pointer: *const *const c_char, count: usize| unsafe {
            slice(pointer, count).iter().map(|&string| string_bytes(string)).collect()
        };
        let wasi = WasiArguments {
            arguments: strings(arguments, usize::try_from(argument_count).unwrap_or(0)),
            environment: strings(environment, environment_count as usize),
            directories: directory_count.saturating_add(mapped_directory_count),
            streams: [input, output, error],
        };
        *module.wasi.lock().unwrap_or_else(PoisonError::into_inner) = wasi;
    });
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_set_wasi_args(
    module: *const ModuleRecord,
    directories: *const *const c_char,
    directory_count: u32,
    mapped_directories: *const *const c_char,
    mapped_directory_count: u32,
    environment: *const *const c_char,
    environment_count: u32,
    arguments: *const *const c_char,
    argument_count: c_int,
) {
    // SAFETY: as of the header.
    unsafe {
        wasm_runtime_set_wasi_args_ex(
            module,
            directories,
            directory_count,
            mapped_directories,
            mapped_directory_count,
            environment,
            environment_count,
            arguments,
            argument_count,
            -1,
            -1,
            -1,
        );
    }
}
