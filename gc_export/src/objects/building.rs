//! Objects that C is still making.
//!
//! C makes a struct without values and then sets field by field, immutable ones, too; but an object of the heap must
//! never have null in a field that cannot be null, nor may an immutable field change that code has seen. So a struct
//! with such fields, or an array of immutable elements, is a list of values here until it is used as a reference for
//! the first time: passed to code, stored somewhere, or compared. Then it is made, at once with all its values. An
//! object whose fields are all mutable and can be null or zero is made right away.

use super::handle::Context;
use crate::failure::Failure;
use runtime::{AnyRef, ArrayType, FieldType, HeapType, StorageType, StructType, Val};
use std::collections::BTreeMap;

/// An object in the making.
#[derive(Clone, Debug)]
pub(crate) enum Building {
    /// `None` for fields that are not set and have no default.
    Struct(StructType, Vec<Option<Val>>),
    Array(ArrayBuilding),
}

/// An array in the making: as a rule few of its elements are set one by one, if it is large.
#[derive(Clone, Debug)]
pub(crate) struct ArrayBuilding {
    ty: ArrayType,
    len: u32,
    value: Val,
    set: BTreeMap<u32, Val>,
}

impl Building {
    /// A struct; `None` if it can be made right away.
    pub(super) fn new_struct(ty: &StructType) -> Option<Self> {
        let fields: Vec<Option<Val>> = ty.fields().map(|field| default_of(&field)).collect();
        let is_needed = fields.iter().any(Option::is_none) || ty.fields().any(|field| !field.mutable);
        is_needed.then(|| Self::Struct(ty.clone(), fields))
    }

    /// An array; `None` if it can be made right away.
    pub(super) fn new_array(ty: &ArrayType, value: &Val, len: u32) -> Option<Self> {
        let array = || ArrayBuilding { ty: ty.clone(), len, value: value.clone(), set: BTreeMap::new() };
        (!ty.element().mutable).then(|| Self::Array(array()))
    }

    /// Its type.
    pub(super) fn ty(&self) -> HeapType {
        match self {
            Self::Struct(ty, _) => HeapType::ConcreteStruct(ty.clone()),
            Self::Array(array) => HeapType::ConcreteArray(array.ty.clone()),
        }
    }

    /// Number of fields or elements.
    pub(super) fn len(&self) -> u32 {
        match self {
            Self::Struct(_, fields) => fields.len() as u32,
            Self::Array(array) => array.len,
        }
    }

    /// A field or an element; `None` if it is not set.
    pub(super) fn get(&self, index: u32) -> Option<Val> {
        match self {
            Self::Struct(_, fields) => fields.get(index as usize)?.clone(),
            Self::Array(array) => (index < array.len).then(|| array.get(index).clone()),
        }
    }

    /// Sets a field or an element that there is. Its type is checked when the object is made.
    pub(super) fn set(&mut self, index: u32, value: Val) {
        match self {
            Self::Struct(_, fields) => fields[index as usize] = Some(value),
            Self::Array(array) => _ = array.set.insert(index, value),
        }
    }

    /// Makes the object.
    pub(super) fn make(&self, context: Context<'_>) -> Result<AnyRef, Failure> {
        match self {
            Self::Struct(ty, fields) => {
                let unset = |index| Failure::argument(format!("field {index} of the struct is not set"));
                let fields = fields.iter().enumerate().map(|(index, field)| field.clone().ok_or_else(|| unset(index)));
                let fields: Vec<Val> = fields.collect::<Result<_, _>>()?;
                Ok(AnyRef::new_struct(context, ty, &fields)?)
            }
            Self::Array(array) => Ok(AnyRef::new_array_with(context, &array.ty, array.len, |index| array.get(index))?),
        }
    }
}

impl ArrayBuilding {
    fn get(&self, index: u32) -> &Val {
        self.set.get(&index).unwrap_or(&self.value)
    }
}

/// Zero or null; `None` for references that cannot be null.
pub(super) fn default_of(field: &FieldType) -> Option<Val> {
    match &field.storage {
        StorageType::I8 | StorageType::I16 => Some(Val::I32(0)),
        StorageType::Val(ty) => Val::default_for(ty),
    }
}
