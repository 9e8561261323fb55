//! Arrays from segments. All bounds are checked before anything is allocated or written. Long ranges are worked on in
//! pieces, as in [`super::table`].

use super::memory::{data_segment, number};
use super::table::in_pieces;
use super::{Raise, Reference, Result};
use crate::store::StoreInner;
use crate::vm::object;
use dolmen_abi::object::ARRAY_ELEMENTS_OFFSET;
use dolmen_abi::reference::REF_BYTES;
use dolmen_abi::trap::TrapCode;
use dolmen_gc_heap::{Heap, ObjRef};
use std::ops::Range;

const DATA_OUT_OF_BOUNDS: Raise = Raise::Trap(TrapCode::MemoryOutOfBounds);
const ELEM_OUT_OF_BOUNDS: Raise = Raise::Trap(TrapCode::TableOutOfBounds);
const ARRAY_OUT_OF_BOUNDS: Raise = Raise::Trap(TrapCode::ArrayOutOfBounds);

/// An array of `length` elements from the bytes of a data segment from `offset` on.
pub(super) fn array_new_data(
    store: &mut StoreInner,
    instance: u64,
    type_word: u32,
    segment: u32,
    offset: u32,
    length: u32,
) -> Result<Reference> {
    let bytes = (length as usize) << log_elem_bytes(store, type_word);
    let source = data_segment(store, instance, segment).get(range(offset, bytes)).ok_or(DATA_OUT_OF_BOUNDS)?;
    let array = new_array(store, type_word, length)?;
    copy_bytes(store, array, 0, source)?;
    object::publish();
    Ok(Reference(array.word()))
}

/// An array of `length` references from the elements of a segment from `offset` on.
pub(super) fn array_new_elem(
    store: &mut StoreInner,
    instance: u64,
    type_word: u32,
    segment: u32,
    offset: u32,
    length: u32,
) -> Result<Reference> {
    let source = range(offset, length as usize);
    segment_elements(store, instance, segment).get(source.clone()).ok_or(ELEM_OUT_OF_BOUNDS)?;
    let array = new_array(store, type_word, length)?;
    // The segment is read after the allocation, whose collector may have moved what it refers to.
    copy_references(store, array, 0, instance, segment, source)?;
    object::publish();
    Ok(Reference(array.word()))
}

/// Copies bytes of a data segment over elements.
pub(super) fn array_init_data(
    store: &mut StoreInner,
    instance: u64,
    array: u32,
    segment: u32,
    dst: u32,
    src: u32,
    len: u32,
) -> Result<()> {
    let array = array_at(store, array, dst, len)?;
    let log_bytes = log_elem_bytes(store, object::type_word(&store.heap, array));
    let bytes = (len as usize) << log_bytes;
    let source = data_segment(store, instance, segment).get(range(src, bytes)).ok_or(DATA_OUT_OF_BOUNDS)?;
    copy_bytes(store, array, (dst as usize) << log_bytes, source)
}

/// Copies references of an element segment over elements, with the collector's barrier.
pub(super) fn array_init_elem(
    store: &mut StoreInner,
    instance: u64,
    array: u32,
    segment: u32,
    dst: u32,
    src: u32,
    len: u32,
) -> Result<()> {
    let array = array_at(store, array, dst, len)?;
    let source = range(src, len as usize);
    segment_elements(store, instance, segment).get(source.clone()).ok_or(ELEM_OUT_OF_BOUNDS)?;
    copy_references(store, array, dst, instance, segment, source)
}

fn new_array(store: &mut StoreInner, type_word: u32, length: u32) -> Result<ObjRef> {
    let (heap, mut runtime) = store.heap_and_runtime();
    Ok(heap.alloc_array(&mut runtime, type_word, length)?)
}

/// The live array at a word, if it has `len` elements from `start` on.
fn array_at(store: &StoreInner, word: u32, start: u32, len: u32) -> Result<ObjRef> {
    let array = ObjRef::from_word(word).ok_or(Raise::Trap(TrapCode::NullArrayReference))?;
    let length = object::array_length(&store.heap, array);
    let end = start.checked_add(len).ok_or(ARRAY_OUT_OF_BOUNDS)?;
    if end <= length { Ok(array) } else { Err(ARRAY_OUT_OF_BOUNDS) }
}

/// Copies bytes over the elements of an array that has room for them behind `start` bytes.
fn copy_bytes(store: &mut StoreInner, array: ObjRef, start: usize, source: &[u8]) -> Result<()> {
    in_pieces(store, source.len(), |store, piece| {
        // SAFETY: the caller has checked that the elements are inside the live array; nothing is allocated meanwhile.
        let target = unsafe { elements(&mut store.heap, array, start + piece.start, piece.len()) };
        target.copy_from_slice(&source[piece]);
    })
}

/// Copies elements of a segment, `source` of which exist, into an array that has room for them from `dst` on, with the
/// collector's barrier.
fn copy_references(
    store: &mut StoreInner,
    array: ObjRef,
    dst: u32,
    instance: u64,
    segment: u32,
    source: Range<usize>,
) -> Result<()> {
    in_pieces(store, source.len(), |store, piece| {
        let words = &store.instances[number(instance) as usize].elems[segment as usize][source.clone()][piece.clone()];
        let start = (dst + piece.start as u32) * REF_BYTES;
        // SAFETY: as in `copy_bytes`.
        let target = unsafe { elements(&mut store.heap, array, start as usize, size_of_val(words)) };
        for (slot, word) in target.chunks_exact_mut(REF_BYTES as usize).zip(words) {
            slot.copy_from_slice(&word.to_ne_bytes());
        }
        store.heap.post_write_barrier(array, ARRAY_ELEMENTS_OFFSET + start, piece.len() as u32);
    })
}

fn segment_elements(store: &StoreInner, instance: u64, segment: u32) -> &[u32] {
    &store.instances[number(instance) as usize].elems[segment as usize]
}

/// Bytes of an array's elements.
///
/// # Safety
///
/// The array must be live, and must have `len` bytes of elements from `start` on.
unsafe fn elements(heap: &mut Heap, array: ObjRef, start: usize, len: usize) -> &mut [u8] {
    let first = heap.address(array).wrapping_add(ARRAY_ELEMENTS_OFFSET as usize + start);
    // SAFETY: as the caller promises; the heap's memory is initialised, and the heap is exclusively borrowed.
    unsafe { std::slice::from_raw_parts_mut(first, len) }
}

fn log_elem_bytes(store: &StoreInner, type_word: u32) -> u8 {
    store.engine.types().region().descriptor(type_word).expect("a type word of compiled code").log_elem_bytes
}

fn range(start: u32, len: usize) -> Range<usize> {
    start as usize..start as usize + len
}
