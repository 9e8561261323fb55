//! Calls of host functions.

use super::{Outcome, Raise, Result, run_storeless, thread_of};
use crate::call::HostFunc;
use crate::error::Error;
use crate::store::StoreInner;
use crate::thread::Thread;
use dolmen_abi::context::{ThreadContext, ValueSlot};

/// [`run`](super::run) for a host function, whose arguments and results lie in slots.
///
/// # Safety
///
/// As for `run` and [`HostFunc::invoke`].
pub(super) unsafe fn run_host_call(context: *mut ThreadContext, func: u64, slots: *mut ValueSlot) -> Outcome {
    let thread = thread_of(context);
    // SAFETY: a context is the start of its thread's record.
    let is_shared = unsafe { (*thread.as_ptr()).is_shared() };
    // SAFETY: the slots hold arguments.
    let words = if is_shared { unsafe { HostFunc::argument_words(func, slots) } } else { Vec::new() };
    // SAFETY: the thread runs, and has the store that `Thread::call` was given.
    let store = unsafe { Thread::take_store(thread, &words) };
    // SAFETY: as the caller promises.
    let outcome = unsafe { run_storeless(context, || host_call(store, func, slots)) };
    // The function may have made the store a shared one.
    // SAFETY: as above.
    let is_shared = unsafe { (*thread.as_ptr()).is_shared() };
    // SAFETY: the slots hold results.
    let words = if is_shared && outcome.is_return() { unsafe { HostFunc::result_words(func, slots) } } else { vec![] };
    // SAFETY: as above; the function has ended.
    unsafe { Thread::release_store(thread, store, &words) };
    outcome
}

/// Calls the host function whose record is at `func`. An exception that it returns as an error is thrown in its
/// caller, so that wasm code can catch it; any other error ends the caller's activation.
///
/// # Safety
///
/// As for [`HostFunc::invoke`].
pub(super) unsafe fn host_call(store: *mut StoreInner, func: u64, slots: *mut ValueSlot) -> Result<()> {
    // SAFETY: as the caller promises.
    match unsafe { HostFunc::invoke(func, store, slots) } {
        Ok(()) => Ok(()),
        Err(Error::Exception(exception)) => {
            // SAFETY: the host function has returned, so nobody else uses the store.
            let word = exception.exn.word(unsafe { &*store });
            // From here to `pending_exception` nothing is allocated, so the reference need not be rooted.
            Err(word.map_or_else(|error| Raise::Error(Box::new(error.into())), Raise::Exception))
        }
        Err(error) => Err(Raise::Error(Box::new(error))),
    }
}
