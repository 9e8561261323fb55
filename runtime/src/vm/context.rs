//! Instance contexts: the block of memory that compiled code takes as its instance.
//!
//! [`InstanceLayout`] says what lies where. Instantiation fills the block once, with prototypes when globals have their
//! values; afterwards the runtime changes nothing in it but the definitions of data segments, and compiled code nothing
//! but the globals.

use super::global::GlobalData;
use dolmen_abi::context::{DataDef, ImportedFunc, InstanceHeader, InstanceLayout, MemoryDef, TableDef, ValueSlot};
use dolmen_abi::object::TYPE_WORD_OFFSET;
use dolmen_abi::prototype::{PROTOTYPE_BYTES, PROTOTYPE_WORD_OFFSETS};
use dolmen_abi::types::{GlobalType, TypeIdx};
use std::mem::offset_of;
use std::ptr::NonNull;

/// The memory of an instance context, zeroed when it is made. It does not move.
#[derive(Debug)]
pub(crate) struct InstanceContext {
    slots: NonNull<[ValueSlot]>,
    layout: InstanceLayout,
}

// SAFETY: the block belongs to its owner alone.
unsafe impl Send for InstanceContext {}
// SAFETY: through a shared reference values can only be copied out; compiled code writes only while its store is
// exclusively borrowed.
unsafe impl Sync for InstanceContext {}

/// What an instance context consists of: plain data, for which any bits are valid.
trait Plain: Copy {}

impl Plain for u32 {}
impl Plain for u64 {}
impl Plain for ImportedFunc {}
impl Plain for DataDef {}

impl InstanceContext {
    pub(crate) fn new(layout: InstanceLayout) -> Self {
        let slots = (layout.size_bytes as usize).div_ceil(size_of::<ValueSlot>());
        let block = vec![ValueSlot::default(); slots].into_boxed_slice();
        Self { slots: NonNull::from(Box::leak(block)), layout }
    }

    /// Address for compiled code.
    pub(crate) fn address(&self) -> NonNull<u8> {
        self.slots.cast()
    }

    pub(crate) fn set_header(&mut self, header: &InstanceHeader) {
        self.write(offset_of!(InstanceHeader, runtime), header.runtime);
        self.write(offset_of!(InstanceHeader, store), header.store);
    }

    pub(crate) fn set_type_word(&mut self, ty: usize, word: u32) {
        self.write(self.layout.type_words as usize + 4 * ty, word);
    }

    pub(crate) fn set_tag(&mut self, tag: usize, id: u32, exn_type_word: u32) {
        self.write(self.layout.tag_ids as usize + 4 * tag, id);
        self.write(self.layout.exn_type_words as usize + 4 * tag, exn_type_word);
    }

    pub(crate) fn set_imported_func(&mut self, func: usize, imported: ImportedFunc) {
        self.write(self.layout.imported_funcs as usize + size_of::<ImportedFunc>() * func, imported);
    }

    pub(crate) fn set_imported_global(&mut self, global: usize, address: NonNull<u8>) {
        self.write(self.layout.imported_globals as usize + 8 * global, address.as_ptr() as u64);
    }

    pub(crate) fn set_memory(&mut self, memory: usize, def: NonNull<MemoryDef>) {
        self.write(self.layout.memories as usize + 8 * memory, def.as_ptr() as u64);
    }

    pub(crate) fn set_table(&mut self, table: usize, def: NonNull<TableDef>) {
        self.write(self.layout.tables as usize + 8 * table, def.as_ptr() as u64);
    }

    /// Sets the reference at a position of the module's `func_refs`.
    pub(crate) fn set_func_ref(&mut self, position: usize, word: u32) {
        self.write(self.layout.func_refs as usize + 4 * position, word);
    }

    /// The reference at a position of the module's `func_refs`.
    pub(crate) fn func_ref(&self, position: usize) -> u32 {
        self.read(self.layout.func_refs as usize + 4 * position)
    }

    pub(crate) fn set_data(&mut self, segment: usize, def: DataDef) {
        self.write(self.layout.data as usize + size_of::<DataDef>() * segment, def);
    }

    pub(crate) fn data(&self, segment: usize) -> DataDef {
        self.read(self.layout.data as usize + size_of::<DataDef>() * segment)
    }

    /// The value of a global of reference type that the module defines, counted from the first of these.
    pub(crate) fn global_reference(&self, defined: usize) -> u32 {
        self.read(self.layout.globals[defined] as usize)
    }

    /// Fills the prototype at a position of the module's, of objects of the type, with what is behind the type word.
    pub(crate) fn set_prototype(&mut self, position: usize, ty: TypeIdx, words: [u32; PROTOTYPE_WORD_OFFSETS.len()]) {
        let prototype = self.layout.prototypes + PROTOTYPE_BYTES * position as u32;
        let type_word: u32 = self.read(self.layout.type_words as usize + 4 * ty.0 as usize);
        self.write((prototype + TYPE_WORD_OFFSET) as usize, type_word);
        for (offset, word) in PROTOTYPE_WORD_OFFSETS.into_iter().zip(words) {
            self.write((prototype + offset) as usize, word);
        }
    }

    /// A word of the counters of code that counts.
    pub(crate) fn counter(&self, word: u32) -> u64 {
        self.read(self.layout.counters as usize + 8 * word as usize)
    }

    /// A global that the module defines, counted from the first of these. It is good as long as the context,
    /// which the store keeps to its end.
    pub(crate) fn global(&self, defined: usize, ty: GlobalType) -> GlobalData {
        let value = self.place::<u32>(self.layout.globals[defined] as usize).cast();
        // SAFETY: the layout has room for a value of the module's type there, aligned to its size.
        unsafe { GlobalData::in_context(ty, value) }
    }

    fn write<T: Plain>(&mut self, offset: usize, value: T) {
        // SAFETY: `place` checked range and alignment; access is exclusive.
        unsafe { self.place(offset).write(value) };
    }

    fn read<T: Plain>(&self, offset: usize) -> T {
        // SAFETY: `place` checked range and alignment; the block is initialised and any bits are valid.
        unsafe { self.place(offset).read() }
    }

    fn place<T: Plain>(&self, offset: usize) -> NonNull<T> {
        let end = self.slots.len() * size_of::<ValueSlot>();
        assert!(offset.is_multiple_of(align_of::<T>()) && offset + size_of::<T>() <= end, "outside the context");
        // SAFETY: the offset lies inside the block (asserted).
        unsafe { self.slots.cast::<u8>().add(offset) }.cast()
    }
}

impl Drop for InstanceContext {
    fn drop(&mut self) {
        // SAFETY: the pointer came from a leaked box in `new`, and is freed only here.
        drop(unsafe { Box::from_raw(self.slots.as_ptr()) });
    }
}

/// The runtime's number of the instance whose context lies at an address.
///
/// # Safety
///
/// The address must be that of a live instance context, as compiled code passes it.
pub(crate) unsafe fn instance_number(context: u64) -> u32 {
    let header = context as *const InstanceHeader;
    // SAFETY: the caller's promise; the header is the start of each context.
    unsafe { (*header).runtime as u32 }
}
