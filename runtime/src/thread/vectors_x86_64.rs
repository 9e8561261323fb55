//! Vector registers across gates, on x86-64.
//!
//! A gate that preserves all registers has to save those that Rust code, or the C library's `memset`, may use. Which there
//! are depends on the processor, not on the code that calls: the C library chooses its functions by the processor, too.
//! Plain moves are an order of magnitude faster than `xsave` (12 against 170 ns on Zen 5).

use core::arch::naked_asm;
use core::sync::atomic::{AtomicU32, Ordering};

/// Bytes of the area that [`save`] fills: 32 registers of 64 bytes, 8 masks of 8.
pub(crate) const AREA_BYTES: usize = 32 * 64 + 8 * 8;

/// The registers that there are.
mod extent {
    /// `xmm0` to `xmm15`.
    pub(super) const SSE: u32 = 0;
    /// `ymm0` to `ymm15`.
    pub(super) const AVX: u32 = 1;
    /// `zmm0` to `zmm31` and `k0` to `k7`.
    pub(super) const AVX512: u32 = 2;
}

/// One of [`extent`]; always set to the same.
static EXTENT: AtomicU32 = AtomicU32::new(extent::SSE);

/// Finds out which registers there are; to be called before compiled code runs.
pub(crate) fn detect() {
    EXTENT.store(detected(), Ordering::Relaxed);
}

/// What this processor has. Masks of 64 bits need AVX-512BW; [`crate::cpu`] refuses code for AVX-512 without it.
fn detected() -> u32 {
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
        extent::AVX512
    } else if is_x86_feature_detected!("avx") {
        extent::AVX
    } else {
        extent::SSE
    }
}

/// Saves the vector registers in [`AREA_BYTES`] above its return address. Changes r11 and flags, and the upper parts of the
/// registers, so that code for SSE does not wait for them.
///
/// # Safety
///
/// For gates only: this is no function of any calling convention.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn save() {
    naked_asm!(
        "mov r11d, [rip + {extent}]",
        "cmp r11d, {avx}",
        "ja {save_avx512}",
        "je {save_avx}",
        "jmp {save_sse}",
        extent = sym EXTENT,
        avx = const extent::AVX,
        save_avx512 = sym save_avx512,
        save_avx = sym save_avx,
        save_sse = sym save_sse,
    )
}

/// Loads what [`save`] has saved, from the same place. Changes r11 and flags.
///
/// # Safety
///
/// As for [`save`].
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn restore() {
    naked_asm!(
        "mov r11d, [rip + {extent}]",
        "cmp r11d, {avx}",
        "ja {restore_avx512}",
        "je {restore_avx}",
        "jmp {restore_sse}",
        extent = sym EXTENT,
        avx = const extent::AVX,
        restore_avx512 = sym restore_avx512,
        restore_avx = sym restore_avx,
        restore_sse = sym restore_sse,
    )
}

/// Defines the two functions of an extent.
macro_rules! save_and_restore {
    ($save:ident: $($saving:literal),*; $restore:ident: $($restoring:literal),*) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $save() {
            naked_asm!($($saving,)* "ret")
        }

        #[unsafe(naked)]
        unsafe extern "C" fn $restore() {
            naked_asm!($($restoring,)* "ret")
        }
    };
}

save_and_restore! {
    save_sse:
        ".irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
        "movups [rsp + 8 + 16 * \\i], xmm\\i",
        ".endr";
    restore_sse:
        ".irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
        "movups xmm\\i, [rsp + 8 + 16 * \\i]",
        ".endr"
}

save_and_restore! {
    save_avx:
        ".irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
        "vmovups [rsp + 8 + 32 * \\i], ymm\\i",
        ".endr",
        "vzeroupper";
    restore_avx:
        ".irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
        "vmovups ymm\\i, [rsp + 8 + 32 * \\i]",
        ".endr"
}

save_and_restore! {
    save_avx512:
        ".irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
        "vmovups [rsp + 8 + 64 * \\i], zmm\\i",
        ".endr",
        ".irp i,0,1,2,3,4,5,6,7",
        "kmovq [rsp + 8 + 2048 + 8 * \\i], k\\i",
        ".endr",
        "vzeroupper";
    restore_avx512:
        ".irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
        "vmovups zmm\\i, [rsp + 8 + 64 * \\i]",
        ".endr",
        ".irp i,0,1,2,3,4,5,6,7",
        "kmovq k\\i, [rsp + 8 + 2048 + 8 * \\i]",
        ".endr"
}

#[cfg(test)]
mod tests {
    use super::*;

    type Registers = [u8; AREA_BYTES];

    /// Of one extent: saving and restoring, and the test's own way to load and store the registers.
    struct Case {
        bytes: usize,
        save: unsafe extern "C" fn(),
        restore: unsafe extern "C" fn(),
        run: unsafe extern "C" fn(*const Registers, *mut Registers, unsafe extern "C" fn(), unsafe extern "C" fn()),
    }

    /// Defines a function that loads registers from its first argument, saves, clears and restores them by the last two,
    /// and stores them to the second.
    macro_rules! round_trip {
        ($name:ident: load $($load:literal),*; clear $($clear:literal),*; store $($store:literal),*) => {
            #[unsafe(naked)]
            unsafe extern "C" fn $name(
                before: *const Registers,
                after: *mut Registers,
                save: unsafe extern "C" fn(),
                restore: unsafe extern "C" fn(),
            ) {
                naked_asm!(
                    $($load,)*
                    "sub rsp, {area_bytes}",
                    "call rdx",
                    $($clear,)*
                    "call rcx",
                    "add rsp, {area_bytes}",
                    $($store,)*
                    "ret",
                    area_bytes = const AREA_BYTES,
                )
            }
        };
    }

    round_trip! {
        sse:
        load ".irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15", "movups xmm\\i, [rdi + 16 * \\i]", ".endr";
        clear ".irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15", "xorps xmm\\i, xmm\\i", ".endr";
        store ".irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15", "movups [rsi + 16 * \\i], xmm\\i", ".endr"
    }

    round_trip! {
        avx:
        load ".irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15", "vmovups ymm\\i, [rdi + 32 * \\i]", ".endr";
        clear "vzeroall";
        store ".irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15", "vmovups [rsi + 32 * \\i], ymm\\i", ".endr", "vzeroupper"
    }

    round_trip! {
        avx512:
        load ".irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31", "vmovups zmm\\i, [rdi + 64 * \\i]", ".endr",
            ".irp i,0,1,2,3,4,5,6,7", "kmovq k\\i, [rdi + 2048 + 8 * \\i]", ".endr";
        clear ".irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31", "vpxorq zmm\\i, zmm\\i, zmm\\i", ".endr",
            ".irp i,0,1,2,3,4,5,6,7", "kxorq k\\i, k\\i, k\\i", ".endr";
        store ".irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31", "vmovups [rsi + 64 * \\i], zmm\\i", ".endr",
            ".irp i,0,1,2,3,4,5,6,7", "kmovq [rsi + 2048 + 8 * \\i], k\\i", ".endr", "vzeroupper"
    }

    #[test]
    fn registers_come_back() {
        let cases = [
            Case { bytes: 16 * 16, save: save_sse, restore: restore_sse, run: sse },
            Case { bytes: 16 * 32, save: save_avx, restore: restore_avx, run: avx },
            Case { bytes: AREA_BYTES, save: save_avx512, restore: restore_avx512, run: avx512 },
        ];
        let before: Registers = std::array::from_fn(|i| (i % 251) as u8 + 1);
        for case in &cases[..=detected() as usize] {
            let mut after = [0; AREA_BYTES];
            // SAFETY: the processor has these registers; none that a C function preserves is changed.
            unsafe { (case.run)(&raw const before, &raw mut after, case.save, case.restore) };
            assert_eq!(after[..case.bytes], before[..case.bytes]);
        }
    }
}
