//! What threads are calling, as C sees it.

use crate::border::{c_string, guard, set};
use runtime::Frame;
use std::ffi::{CString, c_char};
use std::ptr;

/// A `dolmen_backtrace_t`: functions that are being called, innermost first.
#[derive(Debug)]
pub(crate) struct Backtrace {
    frames: Vec<OwnedFrame>,
}

#[derive(Debug)]
struct OwnedFrame {
    func_index: u32,
    code_offset: u32,
    func_name: Option<CString>,
    module_name: Option<CString>,
}

/// `dolmen_frame_t`.
#[repr(C)]
pub struct CFrame {
    func_index: u32,
    code_offset: u32,
    func_name: *const c_char,
    module_name: *const c_char,
}

impl Backtrace {
    pub(crate) fn new(frames: &[Frame]) -> Self {
        let frame = |frame: &Frame| OwnedFrame {
            func_index: frame.func_index,
            code_offset: frame.code_offset,
            func_name: frame.func_name.as_deref().map(c_string),
            module_name: frame.module_name.as_deref().map(c_string),
        };
        Self { frames: frames.iter().map(frame).collect() }
    }
}

fn pointer(text: Option<&CString>) -> *const c_char {
    text.map_or(ptr::null(), |text| text.as_ptr())
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_backtrace_length(backtrace: *const Backtrace) -> usize {
    // SAFETY: null, or a backtrace by the header.
    guard(0, || unsafe { backtrace.as_ref() }.map_or(0, |backtrace| backtrace.frames.len()))
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_backtrace_frame(backtrace: *const Backtrace, index: usize, frame: *mut CFrame) -> bool {
    guard(false, || {
        // SAFETY: null, or a backtrace by the header.
        let found = unsafe { backtrace.as_ref() }.and_then(|backtrace| backtrace.frames.get(index));
        let Some(found) = found else { return false };
        let (func_name, module_name) = (pointer(found.func_name.as_ref()), pointer(found.module_name.as_ref()));
        let value = CFrame { func_index: found.func_index, code_offset: found.code_offset, func_name, module_name };
        // SAFETY: null, or a place by the header.
        unsafe { set(frame, value) };
        true
    })
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_backtrace_delete(backtrace: *mut Backtrace) {
    guard((), || {
        if !backtrace.is_null() {
            // SAFETY: whoever made it for C has leaked the box, and C gives it up.
            drop(unsafe { Box::from_raw(backtrace) });
        }
    });
}
