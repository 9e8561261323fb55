//! WebAssembly types as embedders see them.
//!
//! Types are canonical within an [`Engine`]: two function types are equal if the specification says that they
//! are the same type, whichever modules they came from. Concrete types are handles into the engine's registry,
//! cheap to clone and to compare. [`Display`](std::fmt::Display) writes all of them in the notation of the text
//! format; a concrete type inside another one appears as `$` and its number in the engine.

mod append_vec;
mod composite;
mod display;
mod group_hash;
mod item;
pub(crate) mod matching;
pub(crate) mod registry;

pub use composite::{ArrayType, FieldType, FuncType, StorageType, StructType};
pub use item::{ExportType, ExternType, GlobalType, ImportType, MemoryType, TableType, TagType};
pub use registry::TypeError;

use crate::Engine;
use dolmen_abi::types as raw;

/// A value type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ValType {
    I32,
    I64,
    F32,
    F64,
    V128,
    Ref(RefType),
}

/// A reference type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RefType {
    nullable: bool,
    heap: HeapType,
}

/// A heap type: what a reference refers to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HeapType {
    Any,
    Eq,
    I31,
    Struct,
    ConcreteStruct(StructType),
    Array,
    ConcreteArray(ArrayType),
    None,
    Func,
    ConcreteFunc(FuncType),
    NoFunc,
    Extern,
    NoExtern,
    Exn,
    NoExn,
    /// Structs of just this type, not of a subtype.
    ExactStruct(StructType),
    /// Arrays of just this type, not of a subtype.
    ExactArray(ArrayType),
    /// Functions of just this type, not of a subtype.
    ExactFunc(FuncType),
}

impl ValType {
    /// `funcref`.
    pub const FUNCREF: Self = Self::Ref(RefType::FUNCREF);
    /// `externref`.
    pub const EXTERNREF: Self = Self::Ref(RefType::EXTERNREF);
    /// `anyref`.
    pub const ANYREF: Self = Self::Ref(RefType::new(true, HeapType::Any));
    /// `eqref`.
    pub const EQREF: Self = Self::Ref(RefType::new(true, HeapType::Eq));
    /// `i31ref`.
    pub const I31REF: Self = Self::Ref(RefType::new(true, HeapType::I31));
    /// `structref`.
    pub const STRUCTREF: Self = Self::Ref(RefType::new(true, HeapType::Struct));
    /// `arrayref`.
    pub const ARRAYREF: Self = Self::Ref(RefType::new(true, HeapType::Array));
    /// `exnref`.
    pub const EXNREF: Self = Self::Ref(RefType::new(true, HeapType::Exn));

    /// Whether values of this type are references.
    #[must_use]
    pub fn is_ref(&self) -> bool {
        matches!(self, Self::Ref(_))
    }

    /// The reference type, if it is one.
    #[must_use]
    pub fn as_ref(&self) -> Option<&RefType> {
        match self {
            Self::Ref(ty) => Some(ty),
            _ => None,
        }
    }

    /// Whether each value of this type is also one of `other`.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ref(sub), Self::Ref(sup)) => sub.matches(sup),
            _ => self == other,
        }
    }

    /// Whether the type has a default value: all have but references that cannot be null.
    #[must_use]
    pub fn is_defaultable(&self) -> bool {
        self.as_ref().is_none_or(RefType::is_nullable)
    }

    /// From the form in which the registry keeps types.
    pub(crate) fn from_raw(engine: &Engine, ty: raw::ValType) -> Self {
        match ty {
            raw::ValType::I32 => Self::I32,
            raw::ValType::I64 => Self::I64,
            raw::ValType::F32 => Self::F32,
            raw::ValType::F64 => Self::F64,
            raw::ValType::V128 => Self::V128,
            raw::ValType::Ref(ty) => Self::Ref(RefType::from_raw(engine, ty)),
        }
    }

    /// Into the form in which the registry of `engine` keeps types.
    ///
    /// # Errors
    ///
    /// If the type belongs to another engine.
    pub(crate) fn to_raw(&self, engine: &Engine) -> Result<raw::ValType, TypeError> {
        Ok(match self {
            Self::I32 => raw::ValType::I32,
            Self::I64 => raw::ValType::I64,
            Self::F32 => raw::ValType::F32,
            Self::F64 => raw::ValType::F64,
            Self::V128 => raw::ValType::V128,
            Self::Ref(ty) => raw::ValType::Ref(ty.to_raw(engine)?),
        })
    }
}

impl RefType {
    /// `funcref`.
    pub const FUNCREF: Self = Self::new(true, HeapType::Func);
    /// `externref`.
    pub const EXTERNREF: Self = Self::new(true, HeapType::Extern);

    /// A reference to `heap`, or null if `nullable`.
    #[must_use]
    pub const fn new(nullable: bool, heap: HeapType) -> Self {
        Self { nullable, heap }
    }

    /// Whether null is among the values.
    #[must_use]
    pub fn is_nullable(&self) -> bool {
        self.nullable
    }

    /// What is referred to.
    #[must_use]
    pub fn heap_type(&self) -> &HeapType {
        &self.heap
    }

    /// Whether each value of this type is also one of `other`.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        (other.nullable || !self.nullable) && self.heap.matches(&other.heap)
    }

    pub(crate) fn from_raw(engine: &Engine, ty: raw::RefType) -> Self {
        Self { nullable: ty.nullable, heap: HeapType::from_raw(engine, ty.heap) }
    }

    pub(crate) fn to_raw(&self, engine: &Engine) -> Result<raw::RefType, TypeError> {
        Ok(raw::RefType { nullable: self.nullable, heap: self.heap.to_raw(engine)? })
    }
}

impl HeapType {
    /// Whether each object of this type is also one of `other`.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        let Some(engine) = self.engine().or_else(|| other.engine()) else {
            return self == other || abstract_matches(self, other);
        };
        match (self.to_raw(engine), other.to_raw(engine)) {
            (Ok(sub), Ok(sup)) => engine.types().heap_matches(sub, sup),
            _ => false,
        }
    }

    /// The top of the hierarchy that this type is in: any, func, extern or exn.
    #[must_use]
    pub fn top(&self) -> Self {
        match self {
            Self::Any
            | Self::Eq
            | Self::I31
            | Self::Struct
            | Self::ConcreteStruct(_)
            | Self::ExactStruct(_)
            | Self::Array
            | Self::ConcreteArray(_)
            | Self::ExactArray(_)
            | Self::None => Self::Any,
            Self::Func | Self::ConcreteFunc(_) | Self::ExactFunc(_) | Self::NoFunc => Self::Func,
            Self::Extern | Self::NoExtern => Self::Extern,
            Self::Exn | Self::NoExn => Self::Exn,
        }
    }

    fn engine(&self) -> Option<&Engine> {
        match self {
            Self::ConcreteStruct(ty) | Self::ExactStruct(ty) => Some(ty.engine()),
            Self::ConcreteArray(ty) | Self::ExactArray(ty) => Some(ty.engine()),
            Self::ConcreteFunc(ty) | Self::ExactFunc(ty) => Some(ty.engine()),
            _ => None,
        }
    }

    pub(crate) fn from_raw(engine: &Engine, ty: raw::HeapType) -> Self {
        match ty {
            raw::HeapType::Any => Self::Any,
            raw::HeapType::Eq => Self::Eq,
            raw::HeapType::I31 => Self::I31,
            raw::HeapType::Struct => Self::Struct,
            raw::HeapType::Array => Self::Array,
            raw::HeapType::None => Self::None,
            raw::HeapType::Func => Self::Func,
            raw::HeapType::NoFunc => Self::NoFunc,
            raw::HeapType::Extern => Self::Extern,
            raw::HeapType::NoExtern => Self::NoExtern,
            raw::HeapType::Exn => Self::Exn,
            raw::HeapType::NoExn => Self::NoExn,
            raw::HeapType::Concrete(raw::TypeIdx(index)) => match engine.types().entry(index).sub.composite {
                raw::CompositeType::Func(_) => Self::ConcreteFunc(FuncType::from_canonical(engine, index)),
                raw::CompositeType::Struct(_) => Self::ConcreteStruct(StructType::from_canonical(engine, index)),
                raw::CompositeType::Array(_) => Self::ConcreteArray(ArrayType::from_canonical(engine, index)),
            },
            raw::HeapType::Exact(raw::TypeIdx(index)) => match engine.types().entry(index).sub.composite {
                raw::CompositeType::Func(_) => Self::ExactFunc(FuncType::from_canonical(engine, index)),
                raw::CompositeType::Struct(_) => Self::ExactStruct(StructType::from_canonical(engine, index)),
                raw::CompositeType::Array(_) => Self::ExactArray(ArrayType::from_canonical(engine, index)),
            },
        }
    }

    pub(crate) fn to_raw(&self, engine: &Engine) -> Result<raw::HeapType, TypeError> {
        if self.engine().is_some_and(|own| !own.same(engine)) {
            return Err(TypeError::WrongEngine);
        }
        let concrete = |index: u32| raw::HeapType::Concrete(raw::TypeIdx(index));
        let exact = |index: u32| raw::HeapType::Exact(raw::TypeIdx(index));
        Ok(match self {
            Self::Any => raw::HeapType::Any,
            Self::Eq => raw::HeapType::Eq,
            Self::I31 => raw::HeapType::I31,
            Self::Struct => raw::HeapType::Struct,
            Self::ConcreteStruct(ty) => concrete(ty.canonical()),
            Self::Array => raw::HeapType::Array,
            Self::ConcreteArray(ty) => concrete(ty.canonical()),
            Self::None => raw::HeapType::None,
            Self::Func => raw::HeapType::Func,
            Self::ConcreteFunc(ty) => concrete(ty.canonical()),
            Self::NoFunc => raw::HeapType::NoFunc,
            Self::Extern => raw::HeapType::Extern,
            Self::NoExtern => raw::HeapType::NoExtern,
            Self::Exn => raw::HeapType::Exn,
            Self::NoExn => raw::HeapType::NoExn,
            Self::ExactStruct(ty) => exact(ty.canonical()),
            Self::ExactArray(ty) => exact(ty.canonical()),
            Self::ExactFunc(ty) => exact(ty.canonical()),
        })
    }
}

/// Subtyping of two different abstract heap types.
fn abstract_matches(sub: &HeapType, sup: &HeapType) -> bool {
    match sup {
        HeapType::Any | HeapType::Func | HeapType::Extern | HeapType::Exn => sub.top() == *sup,
        HeapType::Eq => sub.top() == HeapType::Any && *sub != HeapType::Any,
        HeapType::I31 | HeapType::Struct | HeapType::Array => *sub == HeapType::None,
        _ => false,
    }
}
