//! Handles of concrete types: functions, structs, arrays.

use super::registry::TypeError;
use super::{HeapType, RefType, ValType};
use crate::Engine;
use dolmen_abi::types as raw;
use std::hash::{Hash, Hasher};

/// A concrete type of an engine.
#[derive(Clone)]
struct Handle {
    engine: Engine,
    canonical: u32,
}

/// A function type.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FuncType(Handle);

/// A struct type.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StructType(Handle);

/// An array type.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ArrayType(Handle);

/// The type of a field or an element as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StorageType {
    I8,
    I16,
    Val(ValType),
}

/// A field of a struct, or the element of an array.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldType {
    pub storage: StorageType,
    pub mutable: bool,
}

impl PartialEq for Handle {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical && self.engine.same(&other.engine)
    }
}

impl Eq for Handle {}

impl Hash for Handle {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.canonical.hash(state);
    }
}

impl Handle {
    fn entry(&self) -> &raw::SubType {
        &self.engine.types().entry(self.canonical).sub
    }
}

macro_rules! handle_methods {
    ($name:ident, $heap:ident) => {
        impl $name {
            /// The engine that the type belongs to.
            #[must_use]
            pub fn engine(&self) -> &Engine {
                &self.0.engine
            }

            /// Whether this type is `other` or a subtype of it.
            #[must_use]
            pub fn matches(&self, other: &Self) -> bool {
                self.0.engine.same(&other.0.engine)
                    && self.0.engine.types().is_subtype(self.0.canonical, other.0.canonical)
            }

            /// Whether no type can be a subtype of this one.
            #[must_use]
            pub fn is_final(&self) -> bool {
                self.0.entry().is_final
            }

            /// The declared supertype.
            #[must_use]
            pub fn supertype(&self) -> Option<Self> {
                self.0.entry().supertype.map(|raw::TypeIdx(index)| Self::from_canonical(&self.0.engine, index))
            }

            /// A reference type to it.
            #[must_use]
            pub fn to_ref(&self, nullable: bool) -> RefType {
                RefType::new(nullable, HeapType::$heap(self.clone()))
            }

            pub(crate) fn canonical(&self) -> u32 {
                self.0.canonical
            }

            pub(crate) fn from_canonical(engine: &Engine, canonical: u32) -> Self {
                Self(Handle { engine: engine.clone(), canonical })
            }
        }
    };
}

handle_methods!(FuncType, ConcreteFunc);
handle_methods!(StructType, ConcreteStruct);
handle_methods!(ArrayType, ConcreteArray);

impl FuncType {
    /// The function type with these parameters and results, final and without supertype: what `(func …)` means
    /// in the text format.
    ///
    /// # Panics
    ///
    /// Where [`FuncType::try_new`] fails.
    #[must_use]
    pub fn new(
        engine: &Engine,
        params: impl IntoIterator<Item = ValType>,
        results: impl IntoIterator<Item = ValType>,
    ) -> Self {
        match Self::try_new(engine, params, results) {
            Ok(ty) => ty,
            Err(error) => panic!("cannot make a function type: {error}"),
        }
    }

    /// The function type with these parameters and results, final and without supertype.
    ///
    /// # Errors
    ///
    /// If a type belongs to another engine, there are too many, or the engine has no room for more types.
    pub fn try_new(
        engine: &Engine,
        params: impl IntoIterator<Item = ValType>,
        results: impl IntoIterator<Item = ValType>,
    ) -> Result<Self, TypeError> {
        let func = raw::FuncType {
            params: params.into_iter().map(|ty| ty.to_raw(engine)).collect::<Result<_, _>>()?,
            results: results.into_iter().map(|ty| ty.to_raw(engine)).collect::<Result<_, _>>()?,
        };
        let canonical = engine.types().add_simple(raw::CompositeType::Func(func))?;
        Ok(Self::from_canonical(engine, canonical))
    }

    /// The parameters' types.
    pub fn params(&self) -> impl ExactSizeIterator<Item = ValType> {
        self.raw().params.iter().map(|&ty| ValType::from_raw(&self.0.engine, ty))
    }

    /// The results' types.
    pub fn results(&self) -> impl ExactSizeIterator<Item = ValType> {
        self.raw().results.iter().map(|&ty| ValType::from_raw(&self.0.engine, ty))
    }

    pub(crate) fn raw(&self) -> &raw::FuncType {
        match &self.0.entry().composite {
            raw::CompositeType::Func(func) => func,
            _ => unreachable!("a FuncType is made of function types only"),
        }
    }
}

impl StructType {
    /// The struct type with these fields, final and without supertype.
    ///
    /// # Errors
    ///
    /// As of [`FuncType::try_new`].
    pub fn new(engine: &Engine, fields: impl IntoIterator<Item = FieldType>) -> Result<Self, TypeError> {
        let fields = fields.into_iter().map(|field| field.to_raw(engine)).collect::<Result<_, _>>()?;
        Ok(Self::from_canonical(engine, engine.types().add_simple(raw::CompositeType::Struct(fields))?))
    }

    /// The fields in declaration order.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = FieldType> {
        let raw::CompositeType::Struct(fields) = &self.0.entry().composite else {
            unreachable!("a StructType is made of struct types only")
        };
        fields.iter().map(|&field| FieldType::from_raw(&self.0.engine, field))
    }
}

impl ArrayType {
    /// The array type with this element, final and without supertype.
    ///
    /// # Errors
    ///
    /// As of [`FuncType::try_new`].
    pub fn new(engine: &Engine, element: FieldType) -> Result<Self, TypeError> {
        let composite = raw::CompositeType::Array(element.to_raw(engine)?);
        Ok(Self::from_canonical(engine, engine.types().add_simple(composite)?))
    }

    /// The element's type.
    #[must_use]
    pub fn element(&self) -> FieldType {
        let raw::CompositeType::Array(field) = self.0.entry().composite else {
            unreachable!("an ArrayType is made of array types only")
        };
        FieldType::from_raw(&self.0.engine, field)
    }
}

impl FieldType {
    fn from_raw(engine: &Engine, field: raw::FieldType) -> Self {
        let storage = match field.storage {
            raw::StorageType::I8 => StorageType::I8,
            raw::StorageType::I16 => StorageType::I16,
            raw::StorageType::Val(ty) => StorageType::Val(ValType::from_raw(engine, ty)),
        };
        Self { storage, mutable: field.mutable }
    }

    fn to_raw(&self, engine: &Engine) -> Result<raw::FieldType, TypeError> {
        let storage = match &self.storage {
            StorageType::I8 => raw::StorageType::I8,
            StorageType::I16 => raw::StorageType::I16,
            StorageType::Val(ty) => raw::StorageType::Val(ty.to_raw(engine)?),
        };
        Ok(raw::FieldType { storage, mutable: self.mutable })
    }
}
