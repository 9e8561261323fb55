//! The memory that a thread of wasm code runs on.
//!
//! Compiled code checks no stack pointer: it runs into memory that nobody may touch, and the signal handler
//! turns the fault into a trap. That needs stacks whose ends we know, so wasm never runs on the host's stack.
//! One mapping holds everything, which keeps a store at three entries of the kernel's mapping list:
//!
//! ```text
//! low                                                                               high
//! guard │ native stack, grows down ◄── │ raise stack ◄── │ shadow stack, grows up ──► │ guard
//! ```
//!
//! - The *native stack* serves compiled code, builtins and host functions.
//! - The *raise stack* serves the code that unwinds after a trap or a throw, which must work when the native
//!   stack is at its end.
//! - The *shadow stack* holds the references that are live across safepoints.
//!
//! Pages are committed when they are first touched.

use crate::os::{Mapping, PAGE_BYTES, Protection};
use std::io;
use std::ops::Range;

/// Size of the untouchable memory below the native stack. Compiled code and Rust probe each page of a large
/// frame, so that they cannot step over even one page of it; the rest is margin for C functions.
const LOW_GUARD_BYTES: usize = 64 << 10;

/// Size of the untouchable memory above the shadow stack. A frame has at most 64 Ki slots of 4 bytes.
const HIGH_GUARD_BYTES: usize = 1 << 20;

/// Size of the raise stack. What runs on it neither recurses nor calls code of the embedder.
const RAISE_STACK_BYTES: usize = 64 << 10;

/// What builtins and host functions can count on of the native stack.
const HOST_RESERVE_BYTES: usize = 256 << 10;

/// The least size of a native stack.
const MIN_STACK_BYTES: usize = HOST_RESERVE_BYTES + (64 << 10);

/// The largest size of a native stack.
const MAX_STACK_BYTES: usize = 1 << 40;

/// Native, raise and shadow stack of one thread.
#[derive(Debug)]
pub(crate) struct Stacks {
    mapping: Mapping,
    native_bytes: usize,
}

impl Stacks {
    /// Stacks of which the native one has about `native_bytes`; sizes outside the sensible range are clamped.
    ///
    /// # Errors
    ///
    /// The operating system's error if it has no memory or address space left.
    pub(crate) fn new(native_bytes: usize) -> io::Result<Self> {
        let native_bytes = native_bytes.clamp(MIN_STACK_BYTES, MAX_STACK_BYTES).next_multiple_of(PAGE_BYTES);
        let usable = native_bytes + RAISE_STACK_BYTES + native_bytes;
        let mut mapping = Mapping::reserve(LOW_GUARD_BYTES + usable + HIGH_GUARD_BYTES, Protection::None)?;
        mapping.protect(LOW_GUARD_BYTES, usable, Protection::ReadWrite)?;
        // SAFETY: the range is our own mapping; the advice changes no contents. It fails on kernels without huge
        // pages, which is as good: a store must not cost two huge pages.
        unsafe { libc::madvise(mapping.base().as_ptr().cast(), mapping.len_bytes(), libc::MADV_NOHUGEPAGE) };
        Ok(Self { mapping, native_bytes })
    }

    /// Addresses of the native stack.
    pub(crate) fn native(&self) -> Range<u64> {
        let start = self.start() + LOW_GUARD_BYTES as u64;
        start..start + self.native_bytes as u64
    }

    /// Addresses below the native stack that nobody may touch.
    pub(crate) fn native_guard(&self) -> Range<u64> {
        self.start()..self.native().start
    }

    /// The stack pointer below which no builtin or host function starts.
    pub(crate) fn native_limit(&self) -> u64 {
        self.native().start + HOST_RESERVE_BYTES as u64
    }

    /// End of the raise stack.
    pub(crate) fn raise_top(&self) -> u64 {
        self.native().end + RAISE_STACK_BYTES as u64
    }

    /// Addresses of the shadow stack.
    pub(crate) fn shadow(&self) -> Range<u64> {
        self.raise_top()..self.end() - HIGH_GUARD_BYTES as u64
    }

    /// Whether an access to this address means that a stack is used up.
    pub(crate) fn is_guard(&self, address: u64) -> bool {
        self.native_guard().contains(&address) || (self.shadow().end..self.end()).contains(&address)
    }

    fn start(&self) -> u64 {
        self.mapping.base().as_ptr() as u64
    }

    fn end(&self) -> u64 {
        self.start() + self.mapping.len_bytes() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_disjoint_and_guarded() {
        let stacks = Stacks::new(1 << 20).expect("stacks");
        let (native, shadow) = (stacks.native(), stacks.shadow());
        assert!(native.end < stacks.raise_top() && stacks.raise_top() == shadow.start);
        assert!(native.contains(&stacks.native_limit()));
        assert!(stacks.is_guard(native.start - 1) && stacks.is_guard(shadow.end));
        for inside in [native.start, native.end - 1, shadow.start, shadow.end - 1] {
            assert!(!stacks.is_guard(inside));
        }
        assert!(!stacks.is_guard(0) && !stacks.is_guard(shadow.end + HIGH_GUARD_BYTES as u64));
    }

    #[test]
    fn small_sizes_are_raised() {
        let stacks = Stacks::new(1).expect("stacks");
        assert!(stacks.native().start < stacks.native_limit() && stacks.native_limit() < stacks.native().end);
    }

    #[test]
    fn usable_memory_is_usable() {
        let stacks = Stacks::new(1 << 20).expect("stacks");
        let (native, shadow) = (stacks.native(), stacks.shadow());
        for address in [native.start, native.end - 8, stacks.raise_top() - 8, shadow.start, shadow.end - 8] {
            // SAFETY: the address is aligned, inside the writable part and used by nobody else.
            unsafe { (address as *mut u64).write(7) };
        }
    }
}
