//! Bulk operations on tables and element segments. All bounds are checked before the first element is written.
//!
//! Long ranges are worked on in pieces, between which the thread can be interrupted; it has the store all the time.

use super::gc::check_interrupt;
use super::memory::number;
use super::{Raise, Result};
use crate::store::StoreInner;
use crate::vm::table::{copy, set};
use dolmen_abi::trap::TrapCode;
use std::ops::Range;

/// Elements that are written without a look at whether the thread is interrupted: some ten microseconds.
const PIECE_ELEMENTS: usize = 64 << 10;

const OUT_OF_BOUNDS: Raise = Raise::Trap(TrapCode::TableOutOfBounds);

/// The old size, or -1.
pub(super) fn table_grow(store: &mut StoreInner, instance: u64, table: u32, init: u32, delta: u64) -> Result<u64> {
    Ok(store.table_mut(number(instance), table).grow(delta, init).unwrap_or(u64::MAX))
}

pub(super) fn table_fill(
    store: &mut StoreInner,
    instance: u64,
    table: u32,
    dst: u64,
    value: u32,
    len: u64,
) -> Result<()> {
    let range = range(dst, len)?;
    let table = store.instances[number(instance) as usize].tables[table as usize] as usize;
    store.tables[table].elements().get(range.clone()).ok_or(OUT_OF_BOUNDS)?;
    in_pieces(store, range.len(), |store, piece| {
        let elements = &store.tables[table].elements()[range.clone()];
        elements[piece].iter().for_each(|element| set(element, value));
    })
}

pub(super) fn table_copy(
    store: &mut StoreInner,
    instance: u64,
    dst_table: u32,
    src_table: u32,
    dst: u64,
    src: u64,
    len: u64,
) -> Result<()> {
    let (to, from) = (range(dst, len)?, range(src, len)?);
    let tables = &store.instances[number(instance) as usize].tables;
    let (to_table, from_table) = (tables[dst_table as usize] as usize, tables[src_table as usize] as usize);
    store.tables[from_table].elements().get(from.clone()).ok_or(OUT_OF_BOUNDS)?;
    store.tables[to_table].elements().get(to.clone()).ok_or(OUT_OF_BOUNDS)?;
    in_pieces(store, to.len(), |store, piece| {
        // Where the ranges overlap, no piece overwrites what is still to be copied.
        let piece = if dst > src { to.len() - piece.end..to.len() - piece.start } else { piece };
        let elements = |table: usize, range: &Range<usize>| &store.tables[table].elements()[range.clone()];
        copy(&elements(to_table, &to)[piece.clone()], &elements(from_table, &from)[piece]);
    })
}

pub(super) fn table_init(
    store: &mut StoreInner,
    instance: u64,
    table: u32,
    segment: u32,
    dst: u64,
    src: u32,
    len: u32,
) -> Result<()> {
    let (to, from) = (range(dst, len.into())?, range(src.into(), len.into())?);
    let instance = number(instance) as usize;
    let (segment, table) = (segment as usize, store.instances[instance].tables[table as usize] as usize);
    store.instances[instance].elems[segment].get(from.clone()).ok_or(OUT_OF_BOUNDS)?;
    store.tables[table].elements().get(to.clone()).ok_or(OUT_OF_BOUNDS)?;
    in_pieces(store, to.len(), |store, piece| {
        let source = &store.instances[instance].elems[segment][from.clone()][piece.clone()];
        let elements = &store.tables[table].elements()[to.clone()][piece];
        elements.iter().zip(source).for_each(|(element, &word)| set(element, word));
    })
}

pub(super) fn elem_drop(store: &mut StoreInner, instance: u64, segment: u32) -> Result<()> {
    store.instances[number(instance) as usize].elems[segment as usize] = Vec::new();
    Ok(())
}

/// Sets an element of a segment; the compiler knows the segment's length.
pub(super) fn elem_set(store: &mut StoreInner, instance: u64, segment: u32, index: u32, value: u32) -> Result<()> {
    store.instances[number(instance) as usize].elems[segment as usize][index as usize] = value;
    Ok(())
}

/// Does `work` for pieces of `0..len`, ascending; traps between two of them if the thread was interrupted.
pub(super) fn in_pieces(
    store: &mut StoreInner,
    len: usize,
    mut work: impl FnMut(&mut StoreInner, Range<usize>),
) -> Result<()> {
    let mut start = 0;
    while len - start > PIECE_ELEMENTS {
        work(store, start..start + PIECE_ELEMENTS);
        start += PIECE_ELEMENTS;
        check_interrupt(store.threads.current_mut())?;
    }
    work(store, start..len);
    Ok(())
}

/// The range of `len` elements from `start`.
fn range(start: u64, len: u64) -> Result<Range<usize>> {
    let end = start.checked_add(len).ok_or(OUT_OF_BOUNDS)?;
    Ok(start as usize..end as usize)
}
