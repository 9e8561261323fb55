//! A hint to the processor that memory will be needed.

#![allow(unsafe_code, reason = "prefetch instructions")]

/// Starts to bring the cache line at `address` near. Any address will do.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn prefetch(address: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch reads nothing and never faults.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
}

/// Starts to bring the cache line at `address` near. Any address will do.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub fn prefetch(address: *const u8) {
    // SAFETY: a prefetch reads nothing and never faults.
    unsafe { std::arch::asm!("prfm pldl1keep, [{}]", in(reg) address, options(nostack, preserves_flags)) };
}

/// Starts to bring the cache line at `address` near, to be written before another processor reads it. Any address will do.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn prefetch_to_write(address: *const u8) {
    // SAFETY: as above. Processors that do not have the instruction do nothing.
    unsafe { std::arch::asm!("prefetchw [{}]", in(reg) address, options(nostack, preserves_flags)) };
}

/// Starts to bring the cache line at `address` near, to be written before another processor reads it. Any address will do.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub fn prefetch_to_write(address: *const u8) {
    // SAFETY: a prefetch reads nothing and never faults.
    unsafe { std::arch::asm!("prfm pstl1keep, [{}]", in(reg) address, options(nostack, preserves_flags)) };
}

/// Does nothing where no instruction is known.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
pub fn prefetch(_address: *const u8) {}

/// Does nothing where no instruction is known.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
pub fn prefetch_to_write(_address: *const u8) {}
