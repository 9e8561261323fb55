//! Globals: values in an instance context, or in a cell of the host's.

use super::cell::SharedCell;
use dolmen_abi::context::ValueSlot;
use dolmen_abi::types::{GlobalType, ValType};
use std::ptr::NonNull;

/// A global of a store.
#[derive(Debug)]
pub(crate) struct GlobalData {
    /// With canonical type indices.
    ty: GlobalType,
    value: NonNull<u8>,
    /// Where the value is, if it is not in an instance context.
    _own: Option<SharedCell<ValueSlot>>,
}

// SAFETY: the value belongs to the store that the global belongs to.
unsafe impl Send for GlobalData {}
// SAFETY: through a shared reference the value can only be copied; see `SharedCell`.
unsafe impl Sync for GlobalData {}

impl GlobalData {
    /// A global of the host's.
    pub(crate) fn new(ty: GlobalType, value: ValueSlot) -> Self {
        let own = SharedCell::new(value);
        Self { ty, value: own.address().cast(), _own: Some(own) }
    }

    /// A global whose value lies in an instance context.
    ///
    /// # Safety
    ///
    /// From `value` on there must be as many bytes as a value of the type has, aligned to their number, as long
    /// as the global is used.
    pub(crate) unsafe fn in_context(ty: GlobalType, value: NonNull<u8>) -> Self {
        Self { ty, value, _own: None }
    }

    /// The type, with canonical type indices.
    pub(crate) fn ty(&self) -> GlobalType {
        self.ty
    }

    /// The value in the low bytes of a slot.
    pub(crate) fn get(&self) -> ValueSlot {
        let mut slot = ValueSlot::default();
        let bytes = value_bytes(self.ty.value);
        // SAFETY: both ends have at least the value's size: see `in_context`, and a slot holds any value.
        unsafe { (&raw mut slot).cast::<u8>().copy_from_nonoverlapping(self.value.as_ptr(), bytes) };
        slot
    }

    /// Sets the value from the low bytes of a slot.
    pub(crate) fn set(&mut self, slot: ValueSlot) {
        let bytes = value_bytes(self.ty.value);
        // SAFETY: as in `get`; access is exclusive.
        unsafe { self.value.as_ptr().copy_from_nonoverlapping((&raw const slot).cast(), bytes) };
    }

    /// The value's reference word, if it is a reference.
    pub(crate) fn reference(&self) -> Option<u32> {
        self.ty.value.is_ref().then(|| self.get().0[0] as u32)
    }

    /// Address of the value, for compiled code.
    pub(crate) fn address(&self) -> NonNull<u8> {
        self.value
    }
}

/// Size of a value in a global, in bytes.
fn value_bytes(ty: ValType) -> usize {
    match ty {
        ValType::I32 | ValType::F32 | ValType::Ref(_) => 4,
        ValType::I64 | ValType::F64 => 8,
        ValType::V128 => 16,
    }
}
