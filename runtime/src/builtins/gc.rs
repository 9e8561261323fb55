//! Allocation that does not fit the buffer, and the poll.

use super::Result;
use crate::store::StoreInner;

/// A struct or exception of this type word, zeroed but for its header.
pub(super) fn alloc_struct(store: &mut StoreInner, type_word: u32) -> Result<u32> {
    let (heap, mut runtime) = store.heap_and_runtime();
    Ok(heap.alloc_struct(&mut runtime, type_word)?.word())
}

/// An array of `length` elements, zeroed but for its header.
pub(super) fn alloc_array(store: &mut StoreInner, type_word: u32, length: u32) -> Result<u32> {
    let (heap, mut runtime) = store.heap_and_runtime();
    Ok(heap.alloc_array(&mut runtime, type_word, length)?.word())
}

/// Answers a poll request. With one thread there is nobody who could ask for more than that it is answered.
pub(super) fn safepoint_poll(store: &mut StoreInner) -> Result<()> {
    store.thread.context_mut().poll_request = 0;
    Ok(())
}
