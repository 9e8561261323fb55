//! Objects of fixed shape in the heap: headers, functions, host objects, exceptions.
//!
//! Callers hold reference words of live objects: from a root, a table, a global, or fresh from the allocator.
//! Nothing here allocates, so nothing here collects.

use dolmen_abi::object::{
    ARRAY_LENGTH_OFFSET, EXN_TAG_ID_OFFSET, EXTERN_DATA_OFFSET, FUNC_BYTES, FUNC_CODE_OFFSET, FUNC_ENTRY_OFFSET,
    FUNC_INDEX_OFFSET, FUNC_INSTANCE_OFFSET, TYPE_WORD_OFFSET,
};
use dolmen_gc_heap::{AllocError, Heap, ObjRef, Runtime};
use std::sync::atomic::{Ordering, fence};

/// A function object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FuncObject {
    pub(crate) type_word: u32,
    /// Function index in the instance's module, or `NO_FUNC_INDEX` of a host function.
    pub(crate) func_index: u32,
    /// Address of the code; 0 of a host function whose signature no module has brought yet.
    pub(crate) code: u64,
    /// Address that the code takes as instance: a context, or a host function's record.
    pub(crate) instance: u64,
    /// Address of the entry trampoline; 0 as above.
    pub(crate) entry: u64,
}

/// Ends the making of objects and instances: who gets a reference to them that this thread stores later, even by a race,
/// finds them as they are now (`docs/threads.md`). Compiled code does the same behind its allocations.
pub(crate) fn publish() {
    // Release: what was stored is seen before the reference is, by loads through it, which depend on it. Nothing is needed on
    // x86-64 for that, and no instruction made.
    fence(Ordering::Release);
}

/// Makes a function object, which lives as long as the heap.
///
/// # Errors
///
/// If the heap is full.
pub(crate) fn new_func(heap: &mut Heap, runtime: &mut dyn Runtime, func: FuncObject) -> Result<ObjRef, AllocError> {
    let object = heap.alloc_immortal(runtime, func.type_word, FUNC_BYTES)?;
    write(heap, object, FUNC_INDEX_OFFSET, func.func_index);
    write(heap, object, FUNC_CODE_OFFSET, func.code);
    write(heap, object, FUNC_INSTANCE_OFFSET, func.instance);
    write(heap, object, FUNC_ENTRY_OFFSET, func.entry);
    publish();
    Ok(object)
}

/// Gives a host function's object the trampolines that it lacked.
pub(crate) fn set_func_code(heap: &mut Heap, object: ObjRef, code: u64, entry: u64) {
    write(heap, object, FUNC_CODE_OFFSET, code);
    write(heap, object, FUNC_ENTRY_OFFSET, entry);
}

/// Reads a function object.
pub(crate) fn func(heap: &Heap, object: ObjRef) -> FuncObject {
    FuncObject {
        type_word: type_word(heap, object),
        func_index: read(heap, object, FUNC_INDEX_OFFSET),
        code: read(heap, object, FUNC_CODE_OFFSET),
        instance: read(heap, object, FUNC_INSTANCE_OFFSET),
        entry: read(heap, object, FUNC_ENTRY_OFFSET),
    }
}

/// The type word of an object.
pub(crate) fn type_word(heap: &Heap, object: ObjRef) -> u32 {
    read(heap, object, TYPE_WORD_OFFSET)
}

/// The number of elements of an array.
pub(crate) fn array_length(heap: &Heap, object: ObjRef) -> u32 {
    read(heap, object, ARRAY_LENGTH_OFFSET)
}

/// The datum of a host object.
pub(crate) fn extern_data(heap: &Heap, object: ObjRef) -> u64 {
    read(heap, object, EXTERN_DATA_OFFSET)
}

/// The tag of an exception, as number in its store.
pub(crate) fn exn_tag_id(heap: &Heap, object: ObjRef) -> u32 {
    read(heap, object, EXN_TAG_ID_OFFSET)
}

/// Reads a field at a byte offset, of 1 to 16 bytes, into the low part of a slot.
pub(crate) fn read_bytes(heap: &Heap, object: ObjRef, offset: u32, log_bytes: u32) -> u128 {
    match log_bytes {
        0 => read::<u8>(heap, object, offset).into(),
        1 => read::<u16>(heap, object, offset).into(),
        2 => read::<u32>(heap, object, offset).into(),
        3 => read::<u64>(heap, object, offset).into(),
        _ => read(heap, object, offset),
    }
}

/// Writes the low 1 to 16 bytes of `bits` to a field at a byte offset. A reference is told to the collector by the
/// caller.
pub(crate) fn write_bytes(heap: &mut Heap, object: ObjRef, offset: u32, log_bytes: u32, bits: u128) {
    match log_bytes {
        0 => write(heap, object, offset, bits as u8),
        1 => write(heap, object, offset, bits as u16),
        2 => write(heap, object, offset, bits as u32),
        3 => write(heap, object, offset, bits as u64),
        _ => write(heap, object, offset, bits),
    }
}

fn read<T: Copy>(heap: &Heap, object: ObjRef, offset: u32) -> T {
    // SAFETY: the object is live (see the module's documentation) and of a kind that has a field there; 128-bit
    // fields are aligned to 8 bytes only.
    unsafe { heap.address(object).add(offset as usize).cast::<T>().read_unaligned() }
}

fn write<T: Copy>(heap: &Heap, object: ObjRef, offset: u32, value: T) {
    // SAFETY: as in `read`; the heap is exclusively borrowed by the callers.
    unsafe { heap.address(object).add(offset as usize).cast::<T>().write_unaligned(value) };
}
