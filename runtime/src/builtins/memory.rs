//! Bulk operations on linear memories. All bounds are checked before the first byte is written.
//!
//! What need not change a memory's size works on its definition and needs no store, so that threads of one store
//! do not wait for each other. Long ranges are worked on in pieces, between which the thread can be stopped.

use super::gc::safepoint_poll;
use super::{Raise, Result, Thread};
use crate::store::StoreInner;
use crate::vm::context::instance_number;
use dolmen_abi::context::{DataDef, MemoryDef};
use dolmen_abi::trap::TrapCode;
use libc::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that are filled or copied without a look at the poll word: some ten microseconds, or a hundred if the system has
/// to find memory for them.
const PIECE_BYTES: usize = 256 << 10;

const OUT_OF_BOUNDS: Raise = Raise::Trap(TrapCode::MemoryOutOfBounds);

/// The old size in pages, or -1.
pub(super) fn memory_grow(store: &mut StoreInner, instance: u64, memory: u32, delta: u64) -> Result<u64> {
    Ok(store.memory_mut(number(instance), memory).grow(delta).unwrap_or(u64::MAX))
}

pub(super) fn memory_fill(thread: NonNull<Thread>, memory: u64, dst: u64, value: u32, len: u64) -> Result<()> {
    let target = place(memory, dst, len)?;
    in_pieces(thread, len, |offset, bytes| {
        // SAFETY: `place` has checked that the range is inside the memory, which does not shrink. Other threads may access
        // it meanwhile if it is shared, or shared by the threads of a store; the C library makes no assumption about the
        // bytes. So below.
        unsafe { libc::memset(target.byte_add(offset), (value as u8).into(), bytes) };
    })
}

pub(super) fn memory_copy(
    thread: NonNull<Thread>,
    dst_memory: u64,
    src_memory: u64,
    dst: u64,
    src: u64,
    len: u64,
) -> Result<()> {
    let (target, source) = (place(dst_memory, dst, len)?, place(src_memory, src, len)?);
    let is_down = target.addr() > source.addr();
    in_pieces(thread, len, |offset, bytes| {
        // Where the ranges overlap, no piece overwrites what is still to be copied.
        let offset = if is_down { len as usize - offset - bytes } else { offset };
        // SAFETY: as in `memory_fill`; the pieces may overlap.
        unsafe { libc::memmove(target.byte_add(offset), source.byte_add(offset), bytes) };
    })
}

pub(super) fn memory_init(
    thread: NonNull<Thread>,
    memory: u64,
    segment: u64,
    dst: u64,
    src: u32,
    len: u32,
) -> Result<()> {
    // SAFETY: compiled code passes a definition of its instance.
    let segment = unsafe { (segment as *const DataDef).read_volatile() };
    let (src, len) = (u64::from(src), u64::from(len));
    let target = place(memory, dst, len)?;
    if src + len > segment.len_bytes {
        return Err(OUT_OF_BOUNDS);
    }
    let source = segment.base.wrapping_add(src) as *const c_void;
    in_pieces(thread, len, |offset, bytes| {
        // SAFETY: as in `memory_fill`; the segment is a range of the module's artifact, which stays mapped.
        unsafe { libc::memcpy(target.byte_add(offset), source.byte_add(offset), bytes) };
    })
}

/// Does `work` for pieces of a range, given offset and size of each, and polls between them.
fn in_pieces(thread: NonNull<Thread>, len: u64, mut work: impl FnMut(usize, usize)) -> Result<()> {
    let len = len as usize;
    let mut done = 0;
    while len - done > PIECE_BYTES {
        work(done, PIECE_BYTES);
        done += PIECE_BYTES;
        // SAFETY: the thread is the running one.
        if unsafe { thread.as_ref() }.is_any_requested() {
            safepoint_poll(thread)?;
        }
    }
    work(done, len - done);
    Ok(())
}

pub(super) fn data_drop(segment: u64) -> Result<()> {
    // SAFETY: compiled code passes a definition of its instance, which no reference of ours refers to.
    unsafe { (&raw mut (*(segment as *mut DataDef)).len_bytes).write_volatile(0) };
    Ok(())
}

/// Address of `len` bytes from `start` on in the memory whose definition lies at an address.
fn place(memory: u64, start: u64, len: u64) -> Result<*mut c_void> {
    // SAFETY: compiled code passes the definition of a memory of its instance; the size changes by atomic accesses
    // only, the base never.
    let (base, size) = unsafe {
        let definition = memory as *mut MemoryDef;
        (
            (*definition).base,
            // Acquire: whoever sees a size finds that many bytes accessible.
            AtomicU64::from_ptr(&raw mut (*definition).len_bytes).load(Ordering::Acquire),
        )
    };
    let end = start.checked_add(len).filter(|&end| end <= size);
    end.map(|_| base.wrapping_add(start) as *mut c_void).ok_or(OUT_OF_BOUNDS)
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
