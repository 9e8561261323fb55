//! Values into and out of the 16-byte slots that trampolines, globals and tables understand.
//!
//! Checking comes first: a value reaches a slot only if it is of the slot's type, because compiled code believes
//! its types.

use super::{AnyRef, ExnRef, ExternRef, Val};
use crate::error::{ArgumentError, Place};
use crate::externals::Func;
use crate::store::StoreInner;
use crate::types::ValType;
use crate::vm::object;
use dolmen_abi::context::ValueSlot;
use dolmen_abi::reference::{NULL_REF, is_i31};
use dolmen_abi::type_desc::Kind;
use dolmen_abi::types as raw;
use dolmen_gc_heap::ObjRef;

impl Val {
    /// The value of type `ty` (with canonical type indices) in a slot. References are rooted.
    pub(crate) fn from_slot(store: &mut StoreInner, ty: raw::ValType, slot: ValueSlot) -> Self {
        Self::from_bits(store, ty, u128::from(slot.0[0]) | u128::from(slot.0[1]) << 64)
    }

    /// The value of type `ty` (with canonical type indices) in the low bits. References are rooted.
    pub(crate) fn from_bits(store: &mut StoreInner, ty: raw::ValType, bits: u128) -> Self {
        match ty {
            raw::ValType::I32 => Self::I32(bits as i32),
            raw::ValType::I64 => Self::I64(bits as i64),
            raw::ValType::F32 => Self::F32(bits as u32),
            raw::ValType::F64 => Self::F64(bits as u64),
            raw::ValType::V128 => Self::V128(bits.into()),
            raw::ValType::Ref(ty) => reference_from_word(store, ty.heap, bits as u32),
        }
    }

    /// The value in a slot, if it is of type `ty` (with canonical type indices).
    ///
    /// # Errors
    ///
    /// If it is of another type or belongs to another store.
    pub(crate) fn to_slot(
        &self,
        store: &StoreInner,
        ty: raw::ValType,
        place: Place,
    ) -> Result<ValueSlot, ArgumentError> {
        let bits = match (self, ty) {
            (Self::I32(value), raw::ValType::I32) => u128::from(value.cast_unsigned()),
            (Self::I64(value), raw::ValType::I64) => u128::from(value.cast_unsigned()),
            (Self::F32(bits), raw::ValType::F32) => u128::from(*bits),
            (Self::F64(bits), raw::ValType::F64) => u128::from(*bits),
            (Self::V128(vector), raw::ValType::V128) => vector.as_u128(),
            (_, raw::ValType::Ref(ty)) => match self.word_of_type(store, ty)? {
                Some(word) => u128::from(word),
                None => return Err(self.type_error(store, raw::ValType::Ref(ty), place)),
            },
            _ => return Err(self.type_error(store, ty, place)),
        };
        Ok(ValueSlot([bits as u64, (bits >> 64) as u64]))
    }

    /// The reference word, if the value is a reference of this type.
    fn word_of_type(&self, store: &StoreInner, ty: raw::RefType) -> Result<Option<u32>, ArgumentError> {
        let types = store.engine.types();
        let (word, top) = match self {
            Self::FuncRef(func) => (func.as_ref().map(|func| func.word(store)), raw::HeapType::Func),
            Self::AnyRef(any) => (any.as_ref().map(|any| any.word(store)), raw::HeapType::Any),
            Self::ExternRef(value) => (value.as_ref().map(|value| value.word(store)), raw::HeapType::Extern),
            Self::ExnRef(exn) => (exn.as_ref().map(|exn| exn.word(store)), raw::HeapType::Exn),
            _ => return Ok(None),
        };
        if types.top(ty.heap) != top {
            return Ok(None);
        }
        let Some(word) = word.transpose()? else {
            return Ok(ty.nullable.then_some(NULL_REF));
        };
        // Within the extern and exn hierarchies all references are of the top type.
        let own = match top {
            raw::HeapType::Extern | raw::HeapType::Exn => top,
            _ => heap_type_of(store, word),
        };
        Ok(types.heap_matches(own, ty.heap).then_some(word))
    }

    fn type_error(&self, store: &StoreInner, expected: raw::ValType, place: Place) -> ArgumentError {
        let expected = ValType::from_raw(&store.engine, expected).to_string();
        let found = match self {
            Self::I32(_) => "i32",
            Self::I64(_) => "i64",
            Self::F32(_) => "f32",
            Self::F64(_) => "f64",
            Self::V128(_) => "v128",
            Self::FuncRef(None) => "nullfuncref",
            Self::FuncRef(Some(_)) => "a function of another type",
            Self::AnyRef(None) => "nullref",
            Self::AnyRef(Some(any)) if any.is_i31() => "(ref i31)",
            Self::AnyRef(Some(any)) if any.is_struct() => "(ref struct)",
            Self::AnyRef(Some(any)) if any.is_array() => "(ref array)",
            Self::AnyRef(Some(_)) => "(ref any)",
            Self::ExternRef(None) => "nullexternref",
            Self::ExternRef(Some(_)) => "(ref extern)",
            Self::ExnRef(None) => "nullexnref",
            Self::ExnRef(Some(_)) => "(ref exn)",
        };
        ArgumentError::Type { place, expected, found: found.to_owned() }
    }
}

/// The reference that a word is, in the hierarchy of `heap`. It is rooted.
pub(crate) fn reference_from_word(store: &mut StoreInner, heap: raw::HeapType, word: u32) -> Val {
    match store.engine.types().top(heap) {
        raw::HeapType::Func => Val::FuncRef(Func::from_word(store, word)),
        raw::HeapType::Extern => Val::ExternRef(ExternRef::from_word(store, word)),
        raw::HeapType::Exn => Val::ExnRef(ExnRef::from_word(store, word)),
        _ => Val::AnyRef(AnyRef::from_word(store, word)),
    }
}

/// The most specific heap type of an object or `i31` of the `any` or `func` hierarchy.
fn heap_type_of(store: &StoreInner, word: u32) -> raw::HeapType {
    let Some(object) = ObjRef::from_word(word) else {
        debug_assert!(is_i31(word));
        return raw::HeapType::I31;
    };
    let type_word = object::type_word(&store.heap, object);
    match (Kind::of_type_word(type_word), store.engine.types().canonical_of_word(type_word)) {
        (Some(Kind::Struct | Kind::Array | Kind::Func), Some(index)) => raw::HeapType::Exact(raw::TypeIdx(index)),
        _ => raw::HeapType::Any,
    }
}
