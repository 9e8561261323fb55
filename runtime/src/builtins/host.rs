//! Calls of host functions.

use super::{Raise, Result};
use crate::call::HostFunc;
use crate::error::Error;
use crate::store::StoreInner;
use dolmen_abi::context::ValueSlot;

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
