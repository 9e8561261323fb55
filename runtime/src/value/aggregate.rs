//! Structs and arrays, made and used by the embedder.
//!
//! What the instructions of compiled code do inline is done here with checks: of types, mutability and bounds. A store
//! of a reference is told to the collector. Values are turned into reference words only when everything that may
//! collect is over, since a collection may move what handles refer to.
//!
//! Other threads may run code meanwhile that uses the same object; what races with it is as in code: a field has one of
//! the values that were written to it.

use super::Val;
use super::reference::{AnyRef, Reference};
use crate::error::{ArgumentError, Error, Place, StoreError};
use crate::store::{AsContextMut, StoreInner};
use crate::types::{ArrayType, StructType};
use crate::vm::object;
use dolmen_abi::layout::{array_size_bytes, struct_layout};
use dolmen_abi::object::ARRAY_ELEMENTS_OFFSET;
use dolmen_abi::types::{CompositeType, FieldType, StorageType, ValType};
use dolmen_gc_heap::{AllocError, ObjRef};

/// A field or an element of an object: what it holds, and where.
#[derive(Clone, Copy, Debug)]
struct Slot {
    field: FieldType,
    /// Bytes from the start of the object.
    offset: u32,
}

/// The elements of a new array.
#[derive(Clone, Copy)]
enum Elements<'e, 'v> {
    All(&'v Val),
    Each(&'e dyn Fn(u32) -> &'v Val),
}

impl<'v> Elements<'_, 'v> {
    fn get(self, index: u32) -> &'v Val {
        match self {
            Self::All(value) => value,
            Self::Each(value) => value(index),
        }
    }
}

impl AnyRef {
    /// Makes a struct with these values in its fields (`struct.new`). Packed fields take the low bits of an `i32`.
    ///
    /// # Errors
    ///
    /// If number or types of the values are wrong, the type has a custom descriptor, something belongs elsewhere, or the
    /// heap is full.
    pub fn new_struct(mut store: impl AsContextMut, ty: &StructType, fields: &[Val]) -> Result<Self, Error> {
        let mut context = store.as_context_mut();
        let inner = context.inner_mut();
        if !ty.engine().same(&inner.engine) {
            return Err(ArgumentError::WrongStore.into());
        }
        let slots = struct_slots(inner, ty.canonical())?;
        if fields.len() != slots.len() {
            return Err(ArgumentError::ArgumentCount { expected: slots.len(), found: fields.len() }.into());
        }
        let places = slots.iter().zip(fields).enumerate();
        // Checked before anything is allocated.
        places.clone().try_for_each(|(index, (slot, value))| slot.bits(inner, value, Place::Field(index)).map(drop))?;
        let type_word = inner.engine.types().entry(ty.canonical()).type_word;
        let (heap, mut runtime) = inner.heap_and_runtime();
        let object = heap.alloc_struct(&mut runtime, type_word).map_err(StoreError::Heap)?;
        for (index, (slot, value)) in places {
            let bits = slot.bits(inner, value, Place::Field(index))?;
            slot.write(inner, object, bits);
        }
        Ok(fresh(inner, object))
    }

    /// Makes an array of `len` elements, each of them `value` (`array.new`).
    ///
    /// # Errors
    ///
    /// If the value is of the wrong type, something belongs elsewhere, or the heap is full.
    pub fn new_array(mut store: impl AsContextMut, ty: &ArrayType, value: &Val, len: u32) -> Result<Self, Error> {
        new_array(store.as_context_mut().inner_mut(), ty, len, Elements::All(value))
    }

    /// Makes an array of these elements (`array.new_fixed`).
    ///
    /// # Errors
    ///
    /// As of [`AnyRef::new_array`], and if there are too many.
    pub fn new_array_fixed(mut store: impl AsContextMut, ty: &ArrayType, elements: &[Val]) -> Result<Self, Error> {
        let too_many = ArgumentError::OutOfBounds { index: elements.len() as u64, len: u32::MAX.into() };
        let len = u32::try_from(elements.len()).map_err(|_| too_many)?;
        new_array(store.as_context_mut().inner_mut(), ty, len, Elements::Each(&|index| &elements[index as usize]))
    }

    /// Makes an array of `len` elements, each of them what `value` says for its index. It may be asked several times.
    ///
    /// # Errors
    ///
    /// As of [`AnyRef::new_array`].
    pub fn new_array_with<'v>(
        mut store: impl AsContextMut,
        ty: &ArrayType,
        len: u32,
        value: impl Fn(u32) -> &'v Val,
    ) -> Result<Self, Error> {
        new_array(store.as_context_mut().inner_mut(), ty, len, Elements::Each(&value))
    }

    /// The value of a field (`struct.get`), packed ones zero-extended.
    ///
    /// # Errors
    ///
    /// If it is no struct, has no such field, or belongs to another store.
    pub fn field(&self, mut store: impl AsContextMut, index: usize) -> Result<Val, ArgumentError> {
        let mut context = store.as_context_mut();
        let inner = context.inner_mut();
        let (object, slot) = self.field_slot(inner, index)?;
        Ok(slot.read(inner, object))
    }

    /// Sets a field (`struct.set`). Packed ones take the low bits of an `i32`.
    ///
    /// # Errors
    ///
    /// As of [`AnyRef::field`]; if the field is immutable, or the value of the wrong type.
    pub fn set_field(&self, mut store: impl AsContextMut, index: usize, value: &Val) -> Result<(), ArgumentError> {
        let mut context = store.as_context_mut();
        let inner = context.inner_mut();
        let (object, slot) = self.field_slot(inner, index)?;
        slot.set(inner, object, value, Place::Field(index))
    }

    /// The value of an element (`array.get`), packed ones zero-extended.
    ///
    /// # Errors
    ///
    /// If it is no array, has no such element, or belongs to another store.
    pub fn element(&self, mut store: impl AsContextMut, index: u32) -> Result<Val, ArgumentError> {
        let mut context = store.as_context_mut();
        let inner = context.inner_mut();
        let (object, slot) = self.element_slot(inner, index)?;
        Ok(slot.read(inner, object))
    }

    /// Sets an element (`array.set`). Packed ones take the low bits of an `i32`.
    ///
    /// # Errors
    ///
    /// As of [`AnyRef::element`]; if the elements are immutable, or the value of the wrong type.
    pub fn set_element(&self, mut store: impl AsContextMut, index: u32, value: &Val) -> Result<(), ArgumentError> {
        let mut context = store.as_context_mut();
        let inner = context.inner_mut();
        let (object, slot) = self.element_slot(inner, index)?;
        slot.set(inner, object, value, Place::Element(index))
    }

    fn field_slot(&self, store: &StoreInner, index: usize) -> Result<(ObjRef, Slot), ArgumentError> {
        let (object, canonical) = self.aggregate(store, Self::is_struct, "a struct")?;
        let slots = struct_slots(store, canonical)?;
        let bounds = ArgumentError::OutOfBounds { index: index as u64, len: slots.len() as u64 };
        Ok((object, *slots.get(index).ok_or(bounds)?))
    }

    fn element_slot(&self, store: &StoreInner, index: u32) -> Result<(ObjRef, Slot), ArgumentError> {
        let (object, canonical) = self.aggregate(store, Self::is_array, "an array")?;
        let len = object::array_length(&store.heap, object);
        if index >= len {
            return Err(ArgumentError::OutOfBounds { index: index.into(), len: len.into() });
        }
        Ok((object, element_slot(element_type(store, canonical)?, index)))
    }

    /// The object and its canonical type, if it is of a kind.
    fn aggregate(
        &self,
        store: &StoreInner,
        is_kind: impl FnOnce(&Self) -> bool,
        expected: &'static str,
    ) -> Result<(ObjRef, u32), ArgumentError> {
        let other = ArgumentError::Reference { expected, found: "another object" };
        match self.as_reference() {
            Reference::Object(handle) if is_kind(self) => {
                let object = handle.object(store)?;
                let type_word = object::type_word(&store.heap, object);
                Ok((object, store.engine.types().canonical_of_word(type_word).ok_or(other)?))
            }
            _ => Err(other),
        }
    }
}

impl Slot {
    /// The type of values that go in and come out.
    fn value_type(self) -> ValType {
        match self.field.storage {
            StorageType::I8 | StorageType::I16 => ValType::I32,
            StorageType::Val(ty) => ty,
        }
    }

    /// The bits of a value for this place.
    fn bits(self, store: &StoreInner, value: &Val, place: Place) -> Result<u128, ArgumentError> {
        let slot = value.to_slot(store, self.value_type(), place)?;
        Ok(u128::from(slot.0[0]) | u128::from(slot.0[1]) << u64::BITS)
    }

    fn read(self, store: &mut StoreInner, object: ObjRef) -> Val {
        let bits = object::read_bytes(&store.heap, object, self.offset, self.field.storage.log_bytes());
        Val::from_bits(store, self.value_type(), bits)
    }

    fn write(self, store: &mut StoreInner, object: ObjRef, bits: u128) {
        object::write_bytes(&mut store.heap, object, self.offset, self.field.storage.log_bytes(), bits);
    }

    /// Checks a value and stores it.
    fn set(self, store: &mut StoreInner, object: ObjRef, value: &Val, place: Place) -> Result<(), ArgumentError> {
        if !self.field.mutable {
            return Err(ArgumentError::Immutable { place });
        }
        let bits = self.bits(store, value, place)?;
        self.write(store, object, bits);
        if self.value_type().is_ref() {
            store.heap.post_write_barrier(object, self.offset, 1);
        }
        Ok(())
    }
}

/// The fields of a struct type.
fn struct_slots(store: &StoreInner, canonical: u32) -> Result<Vec<Slot>, ArgumentError> {
    let entry = store.engine.types().entry(canonical);
    let CompositeType::Struct(fields) = &entry.sub.composite else { return Err(ArgumentError::WrongStore) };
    if entry.descriptor_at.is_some() {
        return Err(ArgumentError::InvalidType { ty: format!("${canonical}"), reason: "it has a custom descriptor" });
    }
    let offsets = struct_layout(fields, None).offsets;
    Ok(fields.iter().zip(offsets).map(|(&field, offset)| Slot { field, offset }).collect())
}

fn element_type(store: &StoreInner, canonical: u32) -> Result<FieldType, ArgumentError> {
    match store.engine.types().entry(canonical).sub.composite {
        CompositeType::Array(field) => Ok(field),
        _ => Err(ArgumentError::WrongStore),
    }
}

/// An element that the array has.
fn element_slot(field: FieldType, index: u32) -> Slot {
    Slot { field, offset: ARRAY_ELEMENTS_OFFSET + (index << field.storage.log_bytes()) }
}

fn new_array(inner: &mut StoreInner, ty: &ArrayType, len: u32, elements: Elements<'_, '_>) -> Result<AnyRef, Error> {
    if !ty.engine().same(&inner.engine) {
        return Err(ArgumentError::WrongStore.into());
    }
    let field = element_type(inner, ty.canonical())?;
    // Before billions of elements are looked at.
    if array_size_bytes(field.storage.log_bytes(), len).is_none() {
        return Err(StoreError::Heap(AllocError::TooLarge { length: len }).into());
    }
    let bits =
        |inner: &StoreInner, index| Slot { field, offset: 0 }.bits(inner, elements.get(index), Place::Element(index));
    // Checked before anything is allocated.
    let different = if let Elements::All(_) = elements { 1 } else { len };
    (0..different).try_for_each(|index| bits(inner, index).map(drop))?;
    let type_word = inner.engine.types().entry(ty.canonical()).type_word;
    let (heap, mut runtime) = inner.heap_and_runtime();
    let object = heap.alloc_array(&mut runtime, type_word, len).map_err(StoreError::Heap)?;
    for index in 0..len {
        let bits = bits(inner, index)?;
        element_slot(field, index).write(inner, object, bits);
    }
    Ok(fresh(inner, object))
}

/// The handle of an object that was just made.
fn fresh(store: &mut StoreInner, object: ObjRef) -> AnyRef {
    object::publish();
    AnyRef::from_word(store, object.word()).expect("an object is not null")
}
