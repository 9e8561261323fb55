//! What was registered with `wasm_runtime_register_natives`.
//!
//! The list belongs to the process; what is registered last under a name wins. Instances that exist already keep the
//! functions that they were linked to.

use super::NativeSymbol;
use super::signature::Signature;
use crate::border::{guard, slice, text};
use std::ffi::{c_char, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A C function that modules can import.
#[derive(Clone, Debug)]
pub(crate) struct Native {
    module: String,
    name: String,
    pub(crate) function: *mut c_void,
    /// `None` if the import's type says all.
    pub(crate) signature: Option<Signature>,
    pub(crate) attachment: *mut c_void,
    /// Whether it takes all arguments as an array.
    pub(crate) is_raw: bool,
    /// The array of C's that it came from.
    array: *const NativeSymbol,
}

// SAFETY: the addresses are only called and handed back, which the header allows from any thread.
unsafe impl Send for Native {}
// SAFETY: as above.
unsafe impl Sync for Native {}

static NATIVES: Mutex<Vec<Native>> = Mutex::new(Vec::new());

fn lock() -> MutexGuard<'static, Vec<Native>> {
    NATIVES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The function for an import.
pub(crate) fn find(module: &str, name: &str) -> Option<Native> {
    lock().iter().rev().find(|native| native.module == module && native.name == name).cloned()
}

/// Forgets all.
pub(crate) fn clear() {
    lock().clear();
}

/// Adds functions; none if one of them is no good.
///
/// # Safety
///
/// The strings and the array, of `count` symbols, must be as the header says.
pub(crate) unsafe fn register(module: *const c_char, symbols: *const NativeSymbol, count: u32, is_raw: bool) -> bool {
    // SAFETY: as the caller promises.
    let (Some(module), array) = (unsafe { (text(module), slice(symbols, count as usize)) }) else { return false };
    let native = |symbol: &NativeSymbol| {
        // SAFETY: as the caller promises.
        let (name, signature) = unsafe { (text(symbol.symbol)?, text(symbol.signature)) };
        let signature = match signature {
            Some(signature) => Some(Signature::parse(&signature)?),
            None => None,
        };
        let (function, attachment) = (symbol.func_ptr, symbol.attachment);
        let module = module.clone();
        (!function.is_null()).then_some(Native {
            module,
            name,
            function,
            signature,
            attachment,
            is_raw,
            array: symbols,
        })
    };
    match array.iter().map(native).collect::<Option<Vec<_>>>() {
        Some(natives) => {
            lock().extend(natives);
            true
        }
        None => false,
    }
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_register_natives(
    module: *const c_char,
    symbols: *const NativeSymbol,
    count: u32,
) -> bool {
    // SAFETY: as of the header.
    guard(false, || unsafe { register(module, symbols, count, false) })
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_register_natives_raw(
    module: *const c_char,
    symbols: *const NativeSymbol,
    count: u32,
) -> bool {
    // SAFETY: as of the header.
    guard(false, || unsafe { register(module, symbols, count, true) })
}

/// See `wasm_export.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasm_runtime_unregister_natives(module: *const c_char, symbols: *const NativeSymbol) -> bool {
    guard(false, || {
        // SAFETY: null, or a string by the header.
        let Some(module) = (unsafe { text(module) }) else { return false };
        let mut natives = lock();
        let before = natives.len();
        natives.retain(|native| native.module != module || native.array != symbols);
        natives.len() < before
    })
}
