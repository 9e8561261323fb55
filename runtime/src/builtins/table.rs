//! Bulk operations on tables and element segments. All bounds are checked before the first element is written.

use super::memory::number;
use super::{Raise, Result};
use crate::store::StoreInner;
use crate::vm::table::{copy, set};
use dolmen_abi::trap::TrapCode;
use std::ops::Range;

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
    let elements = store.table_mut(number(instance), table).elements();
    elements.get(range(dst, len)?).ok_or(OUT_OF_BOUNDS)?.iter().for_each(|element| set(element, value));
    Ok(())
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
    let (dst, src) = (range(dst, len)?, range(src, len)?);
    let tables = &store.instances[number(instance) as usize].tables;
    let elements = |table: u32| store.tables[tables[table as usize] as usize].elements();
    let from = elements(src_table).get(src).ok_or(OUT_OF_BOUNDS)?;
    copy(elements(dst_table).get(dst).ok_or(OUT_OF_BOUNDS)?, from);
    Ok(())
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
    let instance = &store.instances[number(instance) as usize];
    let source = instance.elems[segment as usize].get(range(src.into(), len.into())?).ok_or(OUT_OF_BOUNDS)?;
    let table = &store.tables[instance.tables[table as usize] as usize];
    let elements = table.elements().get(range(dst, len.into())?).ok_or(OUT_OF_BOUNDS)?;
    elements.iter().zip(source).for_each(|(element, &word)| set(element, word));
    Ok(())
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

/// The range of `len` elements from `start`.
fn range(start: u64, len: u64) -> Result<Range<usize>> {
    let end = start.checked_add(len).ok_or(OUT_OF_BOUNDS)?;
    Ok(start as usize..end as usize)
}
