//! Turning a stack that ran out into a trap.
//!
//! Compiled code that uses up its native or shadow stack touches a guard, and the kernel sends a signal. The
//! handler installed here recognises the case, points the interrupted code at [`raise_fault`](entry::raise_fault) and
//! returns: everything else (backtrace, leaving the activation) happens after the signal, in an ordinary
//! context, on the raise stack. So the handler only compares addresses and is trivially async-signal-safe.
//!
//! A fault is a stack overflow exactly if it hits a guard of the activation that runs on this OS thread
//! ([`CURRENT`]) while compiled code, or a C function that it calls, runs in it. Every other fault
//! goes to the handler that was there before. If it is a host function that has used up the stack, which is fatal,
//! a message says so first.
//!
//! The handler cannot run on the stack that is used up: each OS thread that enters compiled code gets an
//! alternate signal stack ([`ensure_signal_stack`]).

use super::activation::Activation;
use super::entry;
use crate::os::{Mapping, PAGE_BYTES, Protection};
use std::cell::{Cell, RefCell};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;

/// Size of an alternate signal stack. The kernel's frame alone takes up to about 12 KiB where vector registers
/// are large, and the handlers of others may run on it.
const SIGNAL_STACK_BYTES: usize = 64 << 10;

/// The signals that a guard can raise.
const SIGNALS: [libc::c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

thread_local! {
    /// The innermost activation on this OS thread; null outside.
    static CURRENT: Cell<*const Activation> = const { Cell::new(ptr::null()) };

    /// The signal stack that this module gave the OS thread.
    static SIGNAL_STACK: RefCell<Option<SignalStack>> = const { RefCell::new(None) };
}

/// The handlers that were installed before ours, in the order of [`SIGNALS`].
static PREVIOUS: OnceLock<[libc::sigaction; SIGNALS.len()]> = OnceLock::new();

/// An alternate signal stack above a guard page; gone with its OS thread.
struct SignalStack(Mapping);

impl SignalStack {
    fn start(&self) -> *mut libc::c_void {
        self.0.base().as_ptr().wrapping_add(PAGE_BYTES).cast()
    }
}

impl Drop for SignalStack {
    fn drop(&mut self) {
        if current_signal_stack().is_ok_and(|stack| stack.ss_sp == self.start()) {
            let disable = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
            // SAFETY: the argument is a valid description; no handler of ours runs while the OS thread ends.
            unsafe { libc::sigaltstack(&raw const disable, ptr::null_mut()) };
        }
    }
}

/// The activation whose guards the handler watches.
pub(super) fn current() -> *const Activation {
    CURRENT.get()
}

/// Makes `activation` the one whose guards the handler watches, and returns the one that it watched before.
pub(super) fn set_current(activation: *const Activation) -> *const Activation {
    CURRENT.replace(activation)
}

/// Installs the handler, once per process.
///
/// # Errors
///
/// Those of `sigaction`.
pub(super) fn install() -> io::Result<()> {
    static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| install_all().map_err(|e| e.raw_os_error().unwrap_or(libc::EINVAL)));
    installed.map_err(io::Error::from_raw_os_error)
}

fn install_all() -> io::Result<()> {
    let mut previous = [empty_action(); SIGNALS.len()];
    for (&signal, slot) in SIGNALS.iter().zip(&mut previous) {
        // SAFETY: a null action only queries; the result goes to a valid place.
        if unsafe { libc::sigaction(signal, ptr::null(), slot) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // The handler reads the previous ones, so they are in place before it is.
    let _ = PREVIOUS.set(previous);
    let mut action = empty_action();
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    for signal in SIGNALS {
        // SAFETY: the action names a handler of the right type that upholds what handlers must.
        if unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Gives the OS thread an alternate signal stack that is large enough, unless it has one from here already.
///
/// # Errors
///
/// Those of `mmap` and `sigaltstack`; or if the OS thread is ending and has dropped its signal stack already.
pub(super) fn ensure_signal_stack() -> io::Result<()> {
    let ensured = SIGNAL_STACK.try_with(|slot| {
        let mut slot = slot.borrow_mut();
        if slot.is_some() {
            return Ok(());
        }
        let present = current_signal_stack()?;
        if present.ss_flags & libc::SS_DISABLE == 0 && present.ss_size >= SIGNAL_STACK_BYTES {
            return Ok(());
        }
        let mut mapping = Mapping::reserve(PAGE_BYTES + SIGNAL_STACK_BYTES, Protection::None)?;
        mapping.protect(PAGE_BYTES, SIGNAL_STACK_BYTES, Protection::ReadWrite)?;
        let owned = SignalStack(mapping);
        let stack = libc::stack_t { ss_sp: owned.start(), ss_flags: 0, ss_size: SIGNAL_STACK_BYTES };
        // SAFETY: the stack is ours and lives until the OS thread ends, when `SignalStack` takes it back.
        if unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        *slot = Some(owned);
        Ok(())
    });
    ensured.map_err(|_| io::Error::other("the OS thread is ending"))?
}

/// The handler of [`SIGNALS`].
extern "C" fn handler(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let activation = CURRENT.get();
    // SAFETY: the kernel passes a valid record of the fault.
    let (address, is_fault) = unsafe { ((*info).si_addr() as u64, (*info).si_code > 0) };
    // SAFETY: `CURRENT` is null or an activation in `Thread::call`, which outlives the code that it runs. The handler
    // interrupts that code, so nobody changes what is read here but as the activation expects.
    match unsafe { activation.as_ref() } {
        Some(activation) if is_fault && activation.is_guard(address) && activation.runs_compiled_code() => {
            // SAFETY: the kernel passes the interrupted context, and it is compiled code (or a C function it
            // calls) of this thread that stopped.
            unsafe { entry::redirect_to_raise(context, activation.context()) };
        }
        activation => {
            if activation.is_some_and(|activation| activation.is_guard(address)) {
                report_host_overflow();
            }
            // SAFETY: the arguments are the ones this handler was called with.
            unsafe { chain(signal, info, context, is_fault) }
        }
    }
}

/// Says why the process is about to die: Rust code cannot be stopped where it is.
fn report_host_overflow() {
    const MESSAGE: &[u8] = b"dolmen: a host function exhausted the native stack (see Config::max_stack_bytes)\n";
    // SAFETY: `write` may be called in a handler, and the message is valid for its length. If nobody can read it,
    // there is nothing else to be done.
    unsafe { libc::write(libc::STDERR_FILENO, MESSAGE.as_ptr().cast(), MESSAGE.len()) };
}

/// Does what would have happened without our handler.
///
/// A fault happens again when the handler has returned, and then meets what is installed by then. A signal that another
/// process or `raise` has sent does not, so it is sent once more if the previous handler has left it to the default
/// action, as Rust's standard library does with faults that it does not know.
///
/// # Safety
///
/// The arguments must be those of a signal handler that runs right now, the last one whether the signal is a fault.
unsafe fn chain(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void, is_fault: bool) {
    let index = SIGNALS.iter().position(|&s| s == signal);
    let previous = PREVIOUS.get().zip(index).map_or_else(empty_action, |(actions, i)| actions[i]);
    match previous.sa_sigaction {
        // The kernel does not let a program ignore a fault either.
        libc::SIG_IGN if !is_fault => return,
        libc::SIG_DFL | libc::SIG_IGN => {
            let default = empty_action();
            // SAFETY: the action is valid; the instruction then faults again and meets the default.
            unsafe { libc::sigaction(signal, &raw const default, ptr::null_mut()) };
        }
        function if previous.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: SA_SIGINFO says that the function has this type.
            let function: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                unsafe { std::mem::transmute(function) };
            function(signal, info, context);
        }
        function => {
            // SAFETY: without SA_SIGINFO the function has this type.
            let function: extern "C" fn(libc::c_int) = unsafe { std::mem::transmute(function) };
            function(signal);
        }
    }
    if !is_fault && has_default_action(signal) {
        // SAFETY: `raise` may be called in a handler; the signal arrives when this one has returned.
        unsafe { libc::raise(signal) };
    }
}

fn has_default_action(signal: libc::c_int) -> bool {
    let mut current = empty_action();
    // SAFETY: a null action only queries, which a handler may do; the result goes to a valid place.
    unsafe { libc::sigaction(signal, ptr::null(), &raw mut current) == 0 && current.sa_sigaction == libc::SIG_DFL }
}

fn current_signal_stack() -> io::Result<libc::stack_t> {
    let mut stack = MaybeUninit::uninit();
    // SAFETY: a null argument only queries; the result goes to a valid place.
    if unsafe { libc::sigaltstack(ptr::null(), stack.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded and has filled it.
    Ok(unsafe { stack.assume_init() })
}

fn empty_action() -> libc::sigaction {
    // SAFETY: all zero is the default action with an empty mask.
    unsafe { MaybeUninit::zeroed().assume_init() }
}
