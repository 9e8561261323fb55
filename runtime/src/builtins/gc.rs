//! Allocation that does not fit the buffer, and the poll.

use super::{Raise, Reference, Result};
use crate::store::StoreInner;
use crate::thread::{Thread, report};
use dolmen_abi::trap::TrapCode;
use std::ptr::NonNull;

/// A struct or exception of this type word, zeroed but for its header.
pub(super) fn alloc_struct(store: &mut StoreInner, type_word: u32) -> Result<Reference> {
    check_interrupt(store.threads.current_mut())?;
    let (heap, mut runtime) = store.heap_and_runtime();
    let object = heap.alloc_struct(&mut runtime, type_word)?;
    sample(store, type_word);
    Ok(Reference(object.word()))
}

/// An array of `length` elements, zeroed but for its header.
pub(super) fn alloc_array(store: &mut StoreInner, type_word: u32, length: u32) -> Result<Reference> {
    check_interrupt(store.threads.current_mut())?;
    let (heap, mut runtime) = store.heap_and_runtime();
    let object = heap.alloc_array(&mut runtime, type_word, length)?;
    sample(store, type_word);
    Ok(Reference(object.word()))
}

/// Notes which type's allocation did not fit, if somebody wants to know.
fn sample(store: &mut StoreInner, type_word: u32) {
    if let Some(recorder) = &mut store.recorder {
        recorder.sample(type_word, store.heap.stats().allocated_bytes);
    }
}

/// Answers a poll request: tells where the thread is if it was asked, stops as long as somebody wants it, traps if it
/// was interrupted.
pub(super) fn safepoint_poll(mut thread: NonNull<Thread>) -> Result<()> {
    // SAFETY: the thread is the running one, and no reference to it is alive.
    unsafe {
        report::answer(thread);
        Thread::pause(thread);
        check_interrupt(thread.as_mut())
    }
}

/// Traps if the thread was interrupted. Loops that allocate have no other poll.
pub(super) fn check_interrupt(thread: &mut Thread) -> Result<()> {
    if thread.take_interrupt() { Err(Raise::Trap(TrapCode::Interrupt)) } else { Ok(()) }
}
