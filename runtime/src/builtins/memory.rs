//! Bulk operations on linear memories. All bounds are checked before the first byte is written.

use super::{Raise, Result};
use crate::store::StoreInner;
use crate::vm::context::instance_number;
use dolmen_abi::context::DataDef;
use dolmen_abi::trap::TrapCode;
use std::ops::Range;

const OUT_OF_BOUNDS: Raise = Raise::Trap(TrapCode::MemoryOutOfBounds);

/// The old size in pages, or -1.
pub(super) fn memory_grow(store: &mut StoreInner, instance: u64, memory: u32, delta: u64) -> Result<u64> {
    Ok(store.memory_mut(number(instance), memory).grow(delta).unwrap_or(u64::MAX))
}

pub(super) fn memory_fill(
    store: &mut StoreInner,
    instance: u64,
    memory: u32,
    dst: u64,
    value: u32,
    len: u64,
) -> Result<()> {
    let bytes = store.memory_mut(number(instance), memory).bytes_mut();
    bytes.get_mut(range(dst, len)?).ok_or(OUT_OF_BOUNDS)?.fill(value as u8);
    Ok(())
}

pub(super) fn memory_copy(
    store: &mut StoreInner,
    instance: u64,
    dst_memory: u32,
    src_memory: u32,
    dst: u64,
    src: u64,
    len: u64,
) -> Result<()> {
    let (dst, src) = (range(dst, len)?, range(src, len)?);
    let memories = &store.instances[number(instance) as usize].memories;
    let numbers = [memories[dst_memory as usize] as usize, memories[src_memory as usize] as usize];
    if let Ok([to, from]) = store.memories.get_disjoint_mut(numbers) {
        let from = from.bytes().get(src).ok_or(OUT_OF_BOUNDS)?;
        to.bytes_mut().get_mut(dst).ok_or(OUT_OF_BOUNDS)?.copy_from_slice(from);
    } else {
        let bytes = store.memories[numbers[0]].bytes_mut();
        if dst.end > bytes.len() || src.end > bytes.len() {
            return Err(OUT_OF_BOUNDS);
        }
        bytes.copy_within(src, dst.start);
    }
    Ok(())
}

pub(super) fn memory_init(
    store: &mut StoreInner,
    instance: u64,
    memory: u32,
    segment: u32,
    dst: u64,
    src: u32,
    len: u32,
) -> Result<()> {
    let source = data_segment(store, instance, segment).get(range(src.into(), len.into())?).ok_or(OUT_OF_BOUNDS)?;
    let bytes = store.memory_mut(number(instance), memory).bytes_mut();
    bytes.get_mut(range(dst, len.into())?).ok_or(OUT_OF_BOUNDS)?.copy_from_slice(source);
    Ok(())
}

pub(super) fn data_drop(store: &mut StoreInner, instance: u64, segment: u32) -> Result<()> {
    let context = &mut store.instances[number(instance) as usize].context;
    context.set_data(segment as usize, DataDef { len_bytes: 0, ..context.data(segment as usize) });
    Ok(())
}

/// The bytes of a data segment: none if it was dropped.
pub(super) fn data_segment(store: &StoreInner, instance: u64, segment: u32) -> &'static [u8] {
    let DataDef { base, len_bytes } = store.instances[number(instance) as usize].context.data(segment as usize);
    if len_bytes == 0 {
        return &[];
    }
    // SAFETY: the definition is a range of the module's artifact, which is mapped read-only as long as the store
    // lives; the slice does not outlive the builtin that asks for it.
    unsafe { std::slice::from_raw_parts(base as *const u8, len_bytes as usize) }
}

/// The runtime's number of the instance whose context lies at an address.
pub(super) fn number(instance: u64) -> u32 {
    // SAFETY: compiled code passes its own instance context.
    unsafe { instance_number(instance) }
}

/// The range of `len` bytes or elements from `start`.
pub(super) fn range(start: u64, len: u64) -> Result<Range<usize>> {
    let end = start.checked_add(len).ok_or(OUT_OF_BOUNDS)?;
    Ok(start as usize..end as usize)
}
