//! C functions that modules import.

#[cfg(target_arch = "x86_64")]
#[path = "invoke_x86_64.rs"]
mod invoke;
pub(crate) mod link;
pub(crate) mod registry;
mod signature;

use std::ffi::{c_char, c_void};

/// `NativeSymbol`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NativeSymbol {
    pub(crate) symbol: *const c_char,
    pub(crate) func_ptr: *mut c_void,
    pub(crate) signature: *const c_char,
    pub(crate) attachment: *mut c_void,
}
