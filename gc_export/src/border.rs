//! The border to C: panics, null pointers, strings.
//!
//! No panic may unwind into C, so every exported function runs in [`guard`], which returns a fallback instead: a panic
//! here is a bug of ours, whose message Rust's hook has printed. Pointers are checked for null where a header does not
//! say that they must not be; whether they are what the header asks for otherwise, nobody can check.

use std::any::Any;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does `work`; returns `fallback` if it panics.
pub(crate) fn guard<R>(fallback: R, work: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(fallback)
}

/// What a panic said.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".to_owned())
}

/// The text at a pointer, or `None` if that is null; what is not UTF-8 is replaced.
///
/// # Safety
///
/// The pointer must be null or lead to a string that ends with a zero byte.
pub(crate) unsafe fn text(pointer: *const c_char) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: as the caller promises.
    Some(unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
}

/// The bytes of a string at a pointer, without the zero; none if that is null.
///
/// # Safety
///
/// As for [`text`].
pub(crate) unsafe fn string_bytes(pointer: *const c_char) -> Vec<u8> {
    if pointer.is_null() {
        return Vec::new();
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(pointer) }.to_bytes().to_vec()
}

/// `count` items from a pointer on; none if it is null.
///
/// # Safety
///
/// The pointer must be null or lead to that many items, which nobody changes as long as the slice is used.
pub(crate) unsafe fn slice<'a, T>(pointer: *const T, count: usize) -> &'a [T] {
    if pointer.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: as the caller promises.
    unsafe { std::slice::from_raw_parts(pointer, count) }
}

/// A C string; a zero byte inside ends it.
pub(crate) fn c_string(text: &str) -> CString {
    let bytes = text.as_bytes();
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    CString::new(&bytes[..end]).unwrap_or_default()
}

/// Copies a message into a buffer of C's, cut to its size, with a zero at the end.
///
/// # Safety
///
/// The buffer must be null or have `size` bytes.
pub(crate) unsafe fn copy_message(message: &str, buffer: *mut c_char, size: u32) {
    if buffer.is_null() || size == 0 {
        return;
    }
    let message = c_string(message);
    let bytes = message.as_bytes();
    let count = bytes.len().min(size as usize - 1);
    // SAFETY: the buffer has room for `count` bytes and a zero.
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.cast(), count);
        buffer.add(count).write(0);
    }
}

/// Writes to a place of C's, unless it is null.
///
/// # Safety
///
/// The pointer must be null or valid for a write.
pub(crate) unsafe fn set<T>(pointer: *mut T, value: T) {
    if !pointer.is_null() {
        // SAFETY: as the caller promises.
        unsafe { pointer.write(value) };
    }
}

/// Exported functions that are an expression each: written out, their borders would hide what they do.
macro_rules! exported {
    ($(fn $name:ident($($arg:ident: $ty:ty),* $(,)?) -> $result:ty = $fallback:expr, $body:expr;)*) => {
        $(
            /// See the headers.
            ///
            /// # Safety
            ///
            /// As the header says.
            #[unsafe(no_mangle)]
            #[allow(unused_unsafe, reason = "some take no pointers")]
            pub unsafe extern "C" fn $name($($arg: $ty),*) -> $result {
                // SAFETY: pointers are as the header says.
                $crate::border::guard($fallback, || unsafe { $body })
            }
        )*
    };
}

pub(crate) use exported;
