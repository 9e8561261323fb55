//! The border between Rust and compiled code, on x86-64.
//!
//! Four pieces of assembly are all that touches the stack pointer:
//!
//! | piece | from → to |
//! |---|---|
//! | [`enter`] | Rust → compiled code; also the place where every activation ends |
//! | [`gate!`], [`preserving_gate!`] | compiled code → one builtin in Rust, and back |
//! | [`raise`] | compiled code that must not go on → its landing pad, or the end of its activation |
//! | [`raise_fault`] | the same for code that the signal handler has stopped |
//!
//! `enter` leaves an *activation record* on the stack of its caller and links it in
//! [`ThreadContext::entry_frame`]:
//!
//! ```text
//! +0   previous record
//! +8   exit_pc, exit_sp of the builtin call around this activation (0 if there is none)
//! +24  shadow_top on entry
//! +32  r15 r14 r13 r12 rbx rbp, return address
//! ```
//!
//! Invariants:
//! - [`ThreadContext::exit_pc`] is 0 exactly while compiled code (or a C function that it calls) runs.
//! - No Rust frame lies between a raise and where it lands: a builtin returns to its gate before the gate raises.
//! - A gate leaves the caller's frame pointer at `exit_sp - 16` ([`GATE_FRAME_POINTER_OFFSET`]), so that a walk
//!   can start at any builtin call.

use super::Thread;
use crate::unwind::{Registers, SavedRegister};
use core::arch::naked_asm;
use core::mem::offset_of;
use dolmen_abi::context::{ThreadContext, ValueSlot};
use dolmen_abi::trap::TrapCode;

/// Distance below `exit_sp` at which a gate saves the caller's frame pointer.
pub(crate) const GATE_FRAME_POINTER_OFFSET: u64 = 16;

/// The words of an activation record that Rust reads.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct ActivationRecord {
    /// Address of the record around this one, or 0.
    pub(crate) previous: u64,
    /// Return address of the builtin call that this activation is nested in, or 0.
    pub(crate) exit_pc: u64,
    /// Stack pointer at that call.
    pub(crate) exit_sp: u64,
}

/// Why a builtin does not return to its caller: the second word of [`Outcome`], and what [`raise`] is told.
/// Other values are [`TrapCode`]s.
pub(crate) mod reason {
    /// The builtin returns.
    pub(crate) const NONE: u32 = 0;
    /// The exception in `pending_exception` looks for its handler.
    pub(crate) const EXCEPTION: u32 = u32::MAX;
    /// The activation ends; the thread has recorded why.
    pub(crate) const RECORDED: u32 = u32::MAX - 1;
    /// The stack is used up, found by the signal handler.
    pub(crate) const FAULT: u32 = u32::MAX - 2;
}

/// How [`enter`] ended.
pub(crate) mod status {
    /// The code returned.
    pub(crate) const RETURNED: u32 = 0;
    /// An exception reached the end of the activation; it is in `pending_exception`.
    pub(crate) const EXCEPTION: u32 = 1;
    /// The thread has recorded why the activation ended.
    pub(crate) const RECORDED: u32 = 2;
}

/// What a builtin's Rust function returns to its gate: `rax` and `edx`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Outcome {
    /// The result for compiled code.
    pub(crate) value: u64,
    /// [`reason::NONE`], or why compiled code does not go on.
    pub(crate) reason: u32,
}

impl Outcome {
    /// Whether the builtin returns.
    pub(crate) fn is_return(self) -> bool {
        self.reason == reason::NONE
    }
}

/// An entry trampoline: `entry(thread, instance, code, slots)`, C convention.
pub(crate) type EntryTrampoline = u64;

/// Calls an entry trampoline and returns its [`status`].
///
/// `stack_top` is where the native stack starts, or 0 to stay on the current one.
///
/// # Safety
///
/// `thread` must be the live context of the running thread with a valid `runtime`; `entry` the trampoline of
/// `code`'s machine signature; `code` and `instance` must belong together; `slots` must hold valid arguments and
/// have room for the results; `stack_top`, if not 0, must be the 16-aligned end of unused, writable stack. No
/// reference to what builtins change may be live across the call.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn enter(
    thread: *mut ThreadContext,
    instance: u64,
    code: u64,
    slots: *mut ValueSlot,
    entry: EntryTrampoline,
    stack_top: u64,
) -> u32 {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "push qword ptr [rdi + {shadow_top}]",
        "push qword ptr [rdi + {exit_sp}]",
        "push qword ptr [rdi + {exit_pc}]",
        "push qword ptr [rdi + {entry_frame}]",
        "mov [rdi + {entry_frame}], rsp",
        "mov qword ptr [rdi + {exit_pc}], 0",
        "mov rbx, rdi",
        // Ten pushes leave the stack pointer 8 off its alignment.
        "sub rsp, 8",
        "test r9, r9",
        "cmovnz rsp, r9",
        "call r8",
        "xor eax, eax",
        "jmp {leave}",
        shadow_top = const offset_of!(ThreadContext, shadow_top),
        exit_sp = const offset_of!(ThreadContext, exit_sp),
        exit_pc = const offset_of!(ThreadContext, exit_pc),
        entry_frame = const offset_of!(ThreadContext, entry_frame),
        leave = sym leave,
    )
}

/// Ends the innermost activation: the thread context in `rbx`, the status in `eax`.
#[unsafe(naked)]
unsafe extern "C" fn leave() {
    naked_asm!(
        "mov rsp, [rbx + {entry_frame}]",
        "pop qword ptr [rbx + {entry_frame}]",
        "pop qword ptr [rbx + {exit_pc}]",
        "pop qword ptr [rbx + {exit_sp}]",
        "pop qword ptr [rbx + {shadow_top}]",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
        shadow_top = const offset_of!(ThreadContext, shadow_top),
        exit_sp = const offset_of!(ThreadContext, exit_sp),
        exit_pc = const offset_of!(ThreadContext, exit_pc),
        entry_frame = const offset_of!(ThreadContext, entry_frame),
    )
}

/// Stops compiled code at a call that does not return: the thread context in `rdi`, the [`reason`] in `edx`, the
/// call's return address on top of the stack, callee-saved registers as the caller had them.
///
/// Runs [`unwind`](crate::trap::unwind) on the raise stack and goes where it says.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn raise() {
    naked_asm!(
        "mov rcx, [rsp]",
        "lea r8, [rsp + 8]",
        "jmp {common}",
        common = sym raise_common,
    )
}

/// Stops compiled code at an instruction: the thread context in `rdi`, the [`reason`] in `edx`, the
/// instruction's address in `rsi`.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn raise_fault() {
    naked_asm!(
        // The fault may have stopped a backwards copy.
        "cld",
        "mov rcx, rsi",
        "mov r8, rsp",
        "jmp {common}",
        common = sym raise_common,
    )
}

/// [`raise`] with the program counter in `rcx` and the stack pointer in `r8`.
#[unsafe(naked)]
unsafe extern "C" fn raise_common() {
    naked_asm!(
        "mov rsp, [rdi + {raise_stack}]",
        "sub rsp, {registers_bytes}",
        "mov [rsp + {rbx}], rbx",
        "mov [rsp + {rbp}], rbp",
        "mov [rsp + {r12}], r12",
        "mov [rsp + {r13}], r13",
        "mov [rsp + {r14}], r14",
        "mov [rsp + {r15}], r15",
        "mov [rsp + {pc}], rcx",
        "mov [rsp + {sp}], r8",
        "mov rbx, rdi",
        "mov rsi, rsp",
        "call {unwind}",
        "test eax, eax",
        "jnz {leave}",
        "mov rdx, rsp",
        "mov rbx, [rdx + {rbx}]",
        "mov rbp, [rdx + {rbp}]",
        "mov r12, [rdx + {r12}]",
        "mov r13, [rdx + {r13}]",
        "mov r14, [rdx + {r14}]",
        "mov r15, [rdx + {r15}]",
        "mov rsp, [rdx + {sp}]",
        "jmp qword ptr [rdx + {pc}]",
        raise_stack = const offset_of!(Thread, raise_stack),
        registers_bytes = const REGISTERS_BYTES,
        rbx = const saved_offset(SavedRegister::Rbx),
        rbp = const saved_offset(SavedRegister::Rbp),
        r12 = const saved_offset(SavedRegister::R12),
        r13 = const saved_offset(SavedRegister::R13),
        r14 = const saved_offset(SavedRegister::R14),
        r15 = const saved_offset(SavedRegister::R15),
        pc = const offset_of!(Registers, pc),
        sp = const offset_of!(Registers, sp),
        unwind = sym crate::trap::unwind,
        leave = sym leave,
    )
}

/// Makes a signal handler return to [`raise_fault`] instead of the code that it interrupted.
///
/// # Safety
///
/// `ucontext` must be the handler's third argument, and the interrupted code compiled code of `thread` or a C
/// function that it calls.
pub(crate) unsafe fn redirect_to_raise(ucontext: *mut libc::c_void, thread: *mut ThreadContext) {
    // SAFETY: the kernel passes a `ucontext_t`, and nobody else refers to it.
    let registers = unsafe { &mut (*ucontext.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    registers[libc::REG_RDI as usize] = thread as i64;
    registers[libc::REG_RSI as usize] = registers[libc::REG_RIP as usize];
    registers[libc::REG_RDX as usize] = i64::from(reason::FAULT);
    registers[libc::REG_RIP as usize] = raise_fault as *const () as i64;
}

/// The gate of the builtin `trap`: `edx` is the reason because it is the trap code.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn trap_gate() {
    naked_asm!(
        "mov edx, esi",
        "jmp {raise}",
        raise = sym raise,
    )
}

/// The gate of the builtin `throw`.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn throw_gate() {
    naked_asm!(
        "mov [rdi + {pending}], esi",
        "mov edx, {exception}",
        "jmp {raise}",
        pending = const offset_of!(ThreadContext, pending_exception),
        exception = const reason::EXCEPTION,
        raise = sym raise,
    )
}

/// Defines the gate of a builtin: the function that compiled code calls, which
///
/// 1. records the call in `exit_sp` and `exit_pc`, or raises a stack overflow if the stack pointer is below
///    `stack_limit`;
/// 2. calls the Rust function with the same arguments, at most seven, of which the seventh is on the stack;
/// 3. returns the value of its [`Outcome`], or raises its reason.
macro_rules! gate {
    ($(#[$doc:meta])* $name:ident => $target:path) => {
        $(#[$doc])*
        #[unsafe(naked)]
        pub(crate) unsafe extern "C" fn $name() {
            core::arch::naked_asm!(
                "lea rax, [rsp + 8]",
                "mov [rdi + {exit_sp}], rax",
                "cmp rsp, [rdi + {stack_limit}]",
                "jb 2f",
                "mov rax, [rsp]",
                "mov [rdi + {exit_pc}], rax",
                "push rbp",
                "push rdi",
                // The seventh argument, or a word that nobody reads; it also aligns the stack.
                "push qword ptr [rsp + 24]",
                "call {target}",
                "add rsp, 8",
                "pop rdi",
                "pop rbp",
                "mov qword ptr [rdi + {exit_pc}], 0",
                "test edx, edx",
                "jnz {raise}",
                "ret",
                "2:",
                "mov edx, {overflow}",
                "jmp {raise}",
                exit_sp = const core::mem::offset_of!(dolmen_abi::context::ThreadContext, exit_sp),
                exit_pc = const core::mem::offset_of!(dolmen_abi::context::ThreadContext, exit_pc),
                stack_limit = const core::mem::offset_of!(dolmen_abi::context::ThreadContext, stack_limit),
                overflow = const dolmen_abi::trap::TrapCode::StackOverflow as u32,
                target = sym $target,
                raise = sym $crate::thread::entry::raise,
            )
        }
    };
}
pub(crate) use gate;

/// Defines the gate of a builtin that is called in [`Convention::PreserveAll`](dolmen_abi::builtin::Convention):
/// as [`gate!`], but the stack need not be aligned, and every register but r11 keeps its value. `keeping "rax"` is for
/// builtins without a result; `keeping "r11"`, of which nothing is expected, leaves the result in rax. The first argument,
/// which only builtins with a result have, comes in eax.
macro_rules! preserving_gate {
    ($(#[$doc:meta])* $name:ident => $target:path, keeping $kept:literal) => {
        $(#[$doc])*
        #[unsafe(naked)]
        pub(crate) unsafe extern "C" fn $name() {
            core::arch::naked_asm!(
                "lea r11, [rsp + 8]",
                "mov [rdi + {exit_sp}], r11",
                "cmp rsp, [rdi + {stack_limit}]",
                "jb 2f",
                "mov r11, [rsp]",
                "mov [rdi + {exit_pc}], r11",
                "push rbp",
                "push rdi",
                "push rax",
                "push rcx",
                "push rdx",
                "push rsi",
                "push r8",
                "push r9",
                "push r10",
                "mov esi, eax",
                "mov rbp, rsp",
                "and rsp, -64",
                "sub rsp, {vector_bytes}",
                "call {save_vectors}",
                "call {target}",
                "mov edi, edx",
                "call {restore_vectors}",
                "mov rsp, rbp",
                "pop r10",
                "pop r9",
                "pop r8",
                "pop rsi",
                "pop rdx",
                "pop rcx",
                concat!("pop ", $kept),
                "mov r11d, edi",
                "pop rdi",
                "pop rbp",
                "mov qword ptr [rdi + {exit_pc}], 0",
                "test r11d, r11d",
                "jnz 3f",
                "ret",
                "2:",
                "mov edx, {overflow}",
                "jmp {raise}",
                "3:",
                "mov edx, r11d",
                "jmp {raise}",
                vector_bytes = const $crate::thread::vectors::AREA_BYTES,
                save_vectors = sym $crate::thread::vectors::save,
                restore_vectors = sym $crate::thread::vectors::restore,
                exit_sp = const core::mem::offset_of!(dolmen_abi::context::ThreadContext, exit_sp),
                exit_pc = const core::mem::offset_of!(dolmen_abi::context::ThreadContext, exit_pc),
                stack_limit = const core::mem::offset_of!(dolmen_abi::context::ThreadContext, stack_limit),
                overflow = const dolmen_abi::trap::TrapCode::StackOverflow as u32,
                target = sym $target,
                raise = sym $crate::thread::entry::raise,
            )
        }
    };
}
pub(crate) use preserving_gate;

/// Room for [`Registers`], a multiple of the stack's alignment.
const REGISTERS_BYTES: usize = size_of::<Registers>().next_multiple_of(16);

/// Offset in [`Registers`] of a saved register.
const fn saved_offset(register: SavedRegister) -> usize {
    offset_of!(Registers, saved) + register as usize * 8
}

const _: () = assert!(TrapCode::ALL.len() < reason::FAULT as usize, "trap codes and reasons must differ");
const _: () = assert!(size_of::<ActivationRecord>() == 24);
