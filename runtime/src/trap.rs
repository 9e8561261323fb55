//! What happens when compiled code must not go on.
//!
//! A trap, a throw, an error or a panic of a host function arrive here as a *reason*
//! ([`entry::reason`](crate::thread::entry::reason)), on the raise stack, with the registers of the call that
//! does not return. [`unwind()`] decides: an exception that has a landing pad resumes there; everything else ends
//! the innermost activation, and [`Thread::call`] returns a [`Raised`].
//!
//! A backtrace is captured as bare addresses, before anything is unwound, and turned into function names later,
//! on the ordinary stack, when the trap reaches a caller in Rust ([`resolve`]).
//!
//! Invariants: nothing here calls compiled code or code of the embedder; an activation ends with either
//! `pending_exception` set (an exception) or [`Thread::set_raised`] called (everything else).

use crate::error::{Error, Frame, Trap};
use crate::module::Module;
use crate::thread::Thread;
use crate::thread::entry::{ActivationRecord, GATE_FRAME_POINTER_OFFSET, reason, status};
use crate::unwind::{self, CodeMap, Registers, SavedRegister};
use dolmen_abi::context::ThreadContext;
use dolmen_abi::trap::TrapCode;
use std::any::Any;

/// The code that a store can run, with the module that each piece belongs to.
pub(crate) type StoreCode = CodeMap<Module>;

/// Most frames of a backtrace: the innermost ones are kept.
const MAX_BACKTRACE_FRAMES: usize = 100;

/// Why an activation did not get to its end.
#[derive(Debug)]
pub(crate) enum Raised {
    /// The code trapped.
    Trap(RawTrap),
    /// An exception that no frame of the activation caught: its reference, not rooted.
    Exception(u32),
    /// An error of a host function, or a trap that has crossed one.
    Error(Error),
    /// A host function panicked; the panic goes on in the caller of the activation.
    Panic(Box<dyn Any + Send>),
}

/// A trap and the code addresses of the frames it happened in, innermost first.
#[derive(Debug)]
pub(crate) struct RawTrap {
    pub(crate) code: TrapCode,
    /// A message instead of the code's standard one.
    pub(crate) message: Option<String>,
    /// Addresses inside the instructions that were running: never one past a call.
    pub(crate) addresses: Vec<u64>,
}

impl RawTrap {
    /// A trap that happened nowhere.
    pub(crate) fn new(code: TrapCode) -> Self {
        Self { code, message: None, addresses: Vec::new() }
    }
}

/// The trap as the embedder sees it, with names.
pub(crate) fn resolve(code: &StoreCode, raw: &RawTrap) -> Trap {
    let standard = Trap::new(raw.code);
    let message = raw.message.clone().unwrap_or(standard.message);
    Trap { code: raw.code, message, backtrace: resolve_frames(code, &raw.addresses) }
}

/// The functions that code addresses lie in, with names.
pub(crate) fn resolve_frames(code: &StoreCode, addresses: &[u64]) -> Vec<Frame> {
    let frames = addresses.iter().filter_map(|&address| {
        let (module, code_offset, func_index) = code.function_at(address)?;
        let func_name = module.and_then(|module| module.func_name(func_index));
        let module_name = module.and_then(Module::name);
        Some(Frame { func_index, func_name, module_name, code_offset })
    });
    frames.collect()
}

/// The addresses of the frames of a thread that does not run, innermost first.
///
/// # Safety
///
/// The thread must be stopped, in a builtin or outside compiled code.
pub(crate) unsafe fn backtrace(thread: &Thread) -> Vec<u64> {
    // SAFETY: the context is live, and nobody writes to it.
    let call = unsafe {
        let context = &*thread.context();
        ActivationRecord { previous: context.entry_frame, exit_pc: context.exit_pc, exit_sp: context.exit_sp }
    };
    // SAFETY: the record describes the builtin call that the thread is in.
    let start = unsafe { exit_registers(&call, thread) };
    // SAFETY: as the caller promises.
    unsafe { capture_from(thread, start, Vec::new()) }
}

/// Decides where a thread goes on whose code stopped for `why` with these registers. Returns 0 with the registers
/// of a landing pad, or the [`status`] that the innermost activation ends with.
///
/// # Safety
///
/// To be called by [`entry::raise`](crate::thread::entry::raise) alone: `context` is that of the running
/// thread, `registers` are those of its compiled code.
pub(crate) unsafe extern "C" fn unwind(context: *mut ThreadContext, registers: *mut Registers, why: u32) -> u32 {
    // SAFETY: a context is the start of its thread's record. The code that used the record is not running.
    let thread = unsafe { &mut *context.cast::<Thread>() };
    // SAFETY: the registers are the caller's, for us alone.
    let registers = unsafe { &mut *registers };
    let stack = thread.native_stack_at(registers.sp);
    match why {
        reason::RECORDED => {
            // SAFETY: the registers are those of this thread's code, which does not run.
            unsafe { trace_host_trap(thread, registers) };
            status::RECORDED
        }
        reason::EXCEPTION => {
            let (code, sites) = thread.code_and_sites();
            // SAFETY: the registers are those of a call in loaded code, on the native stack.
            let found = unsafe { unwind::find_landing_pad(code, sites, registers, &stack) };
            if found { status::RETURNED } else { status::EXCEPTION }
        }
        _ => {
            let code = match why {
                reason::FAULT => TrapCode::StackOverflow,
                // No other number is ever raised.
                _ => TrapCode::from_u32(why).unwrap_or(TrapCode::Unreachable),
            };
            // SAFETY: the registers are those of this thread's code, which does not run.
            let addresses = unsafe { capture(thread, registers, why == reason::FAULT) };
            thread.set_raised(Raised::Trap(RawTrap { code, message: None, addresses }));
            status::RECORDED
        }
    }
}

/// Gives a trap that a host function made, rather than compiled code, the backtrace of the host function's call.
///
/// # Safety
///
/// As for [`capture`].
unsafe fn trace_host_trap(thread: &mut Thread, registers: &Registers) {
    match thread.take_raised() {
        Some(Raised::Error(Error::Trap(trap))) if trap.backtrace.is_empty() => {
            // SAFETY: as the caller promises.
            let addresses = unsafe { capture(thread, registers, false) };
            thread.set_raised(Raised::Trap(RawTrap { code: trap.code, message: Some(trap.message), addresses }));
        }
        Some(raised) => thread.set_raised(raised),
        None => {}
    }
}

/// The addresses of the frames of all activations of a thread, from the call, or the faulting instruction, at
/// `registers` on.
///
/// # Safety
///
/// `registers` must be those of the innermost compiled code of the thread, which must not be running.
unsafe fn capture(thread: &Thread, registers: &Registers, is_fault: bool) -> Vec<u64> {
    let stack = thread.native_stack_at(registers.sp);
    let mut addresses = Vec::new();
    let mut start = Some(*registers);
    if is_fault {
        addresses.push(registers.pc);
        // SAFETY: the stack is the thread's, which does not run.
        start = unsafe { thread.code().fault_caller(registers, &stack) };
    }
    // SAFETY: as the caller promises.
    unsafe { capture_from(thread, start, addresses) }
}

/// [`capture`] from a call on, behind addresses that are known already.
///
/// # Safety
///
/// As for `capture`.
unsafe fn capture_from(thread: &Thread, mut start: Option<Registers>, mut addresses: Vec<u64>) -> Vec<u64> {
    // SAFETY: the context is live.
    let mut record = unsafe { (*thread.context()).entry_frame };
    loop {
        if let Some(registers) = start {
            let stack = thread.native_stack_at(registers.sp);
            // SAFETY: the registers are those of a call on the thread's stack.
            unsafe {
                unwind::walk(thread.code(), registers, &stack, &mut |return_address| {
                    addresses.push(return_address - 1);
                    addresses.len() < MAX_BACKTRACE_FRAMES
                });
            }
        }
        if record == 0 || addresses.len() >= MAX_BACKTRACE_FRAMES {
            return addresses;
        }
        // SAFETY: `entry_frame` and `previous` are 0 or activation records on stacks in use.
        let activation = unsafe { &*(record as *const ActivationRecord) };
        // SAFETY: the record describes a builtin call of this thread.
        start = unsafe { exit_registers(activation, thread) };
        record = activation.previous;
    }
}

/// The registers, as far as a walk needs them, of the builtin call that an activation is nested in.
///
/// # Safety
///
/// The record must be one of the thread's, which must not run.
unsafe fn exit_registers(activation: &ActivationRecord, thread: &Thread) -> Option<Registers> {
    let saved = activation.exit_sp.checked_sub(GATE_FRAME_POINTER_OFFSET)?;
    if activation.exit_pc == 0 || !thread.native_stack_at(saved).contains(&saved) {
        return None;
    }
    let mut registers = Registers { pc: activation.exit_pc, sp: activation.exit_sp, ..Registers::default() };
    // SAFETY: the gate has saved the frame pointer there, inside the stack.
    registers.saved[SavedRegister::Rbp as usize] = unsafe { (saved as *const u64).read() };
    Some(registers)
}
