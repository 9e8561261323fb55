//! Values at the embedder's border.
//!
//! A [`Val`] owns what it refers to: references to objects are rooted handles, which the collector sees as long
//! as they exist, in whichever variable of the embedder's. A raw reference word never leaves the crate.

mod aggregate;
mod convert;
mod reference;
mod root;
mod vector;
mod weak;

pub(crate) use convert::reference_from_word;
pub use reference::{AnyRef, ExnRef, ExternRef};
pub(crate) use root::RootList;
pub use vector::V128;
pub use weak::WeakRef;

use crate::externals::Func;
use crate::store::AsContext;
use crate::types::{HeapType, RefType, ValType};

/// A value.
#[derive(Clone, Debug)]
pub enum Val {
    I32(i32),
    I64(i64),
    /// By its bits, so that NaNs keep theirs.
    F32(u32),
    /// By its bits, so that NaNs keep theirs.
    F64(u64),
    V128(V128),
    FuncRef(Option<Func>),
    AnyRef(Option<AnyRef>),
    ExternRef(Option<ExternRef>),
    ExnRef(Option<ExnRef>),
}

impl Val {
    /// The null reference of a heap type's hierarchy.
    #[must_use]
    pub fn null_ref(heap: &HeapType) -> Self {
        match heap.top() {
            HeapType::Func => Self::FuncRef(None),
            HeapType::Extern => Self::ExternRef(None),
            HeapType::Exn => Self::ExnRef(None),
            _ => Self::AnyRef(None),
        }
    }

    /// Zero or null; `None` for references that cannot be null.
    #[must_use]
    pub fn default_for(ty: &ValType) -> Option<Self> {
        Some(match ty {
            ValType::I32 => Self::I32(0),
            ValType::I64 => Self::I64(0),
            ValType::F32 => Self::F32(0),
            ValType::F64 => Self::F64(0),
            ValType::V128 => Self::V128(V128::default()),
            ValType::Ref(ty) if ty.is_nullable() => Self::null_ref(ty.heap_type()),
            ValType::Ref(_) => return None,
        })
    }

    /// The value's own type: the most specific one.
    ///
    /// # Panics
    ///
    /// If it refers to an object of another store.
    #[must_use]
    pub fn ty(&self, store: impl AsContext) -> ValType {
        let store = store.as_context();
        let reference = |heap: Option<HeapType>, bottom| match heap {
            Some(heap) => ValType::Ref(RefType::new(false, heap)),
            None => ValType::Ref(RefType::new(true, bottom)),
        };
        match self {
            Self::I32(_) => ValType::I32,
            Self::I64(_) => ValType::I64,
            Self::F32(_) => ValType::F32,
            Self::F64(_) => ValType::F64,
            Self::V128(_) => ValType::V128,
            Self::FuncRef(func) => {
                reference(func.map(|func| HeapType::ConcreteFunc(func.ty(&store))), HeapType::NoFunc)
            }
            Self::AnyRef(any) => reference(any.as_ref().map(|any| any.ty(&store)), HeapType::None),
            Self::ExternRef(value) => reference(value.as_ref().map(|_| HeapType::Extern), HeapType::NoExtern),
            Self::ExnRef(exn) => reference(exn.as_ref().map(|_| HeapType::Exn), HeapType::NoExn),
        }
    }

    /// The 32-bit integer, if it is one.
    #[must_use]
    pub fn i32(&self) -> Option<i32> {
        if let Self::I32(value) = self { Some(*value) } else { None }
    }

    /// The 64-bit integer, if it is one.
    #[must_use]
    pub fn i64(&self) -> Option<i64> {
        if let Self::I64(value) = self { Some(*value) } else { None }
    }

    /// The 32-bit float, if it is one.
    #[must_use]
    pub fn f32(&self) -> Option<f32> {
        if let Self::F32(bits) = self { Some(f32::from_bits(*bits)) } else { None }
    }

    /// The 64-bit float, if it is one.
    #[must_use]
    pub fn f64(&self) -> Option<f64> {
        if let Self::F64(bits) = self { Some(f64::from_bits(*bits)) } else { None }
    }

    /// The vector, if it is one.
    #[must_use]
    pub fn v128(&self) -> Option<V128> {
        if let Self::V128(vector) = self { Some(*vector) } else { None }
    }
}

impl From<i32> for Val {
    fn from(value: i32) -> Self {
        Self::I32(value)
    }
}

impl From<i64> for Val {
    fn from(value: i64) -> Self {
        Self::I64(value)
    }
}

impl From<f32> for Val {
    fn from(value: f32) -> Self {
        Self::F32(value.to_bits())
    }
}

impl From<f64> for Val {
    fn from(value: f64) -> Self {
        Self::F64(value.to_bits())
    }
}

impl From<V128> for Val {
    fn from(value: V128) -> Self {
        Self::V128(value)
    }
}

impl From<Func> for Val {
    fn from(value: Func) -> Self {
        Self::FuncRef(Some(value))
    }
}

impl From<AnyRef> for Val {
    fn from(value: AnyRef) -> Self {
        Self::AnyRef(Some(value))
    }
}

impl From<ExternRef> for Val {
    fn from(value: ExternRef) -> Self {
        Self::ExternRef(Some(value))
    }
}

impl From<ExnRef> for Val {
    fn from(value: ExnRef) -> Self {
        Self::ExnRef(Some(value))
    }
}
