//! Exception tags.

use super::Stored;
use crate::error::{ArgumentError, Error};
use crate::store::{AsContext, AsContextMut, StoreInner};
use crate::types::{FuncType, TagType};

/// A tag: what exceptions are told apart by. Each tag is another one, whatever its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag(pub(crate) Stored);

impl Tag {
    /// Makes a tag.
    ///
    /// # Errors
    ///
    /// If the type belongs to another engine, or has results.
    pub fn new(mut store: impl AsContextMut, ty: &TagType) -> Result<Self, Error> {
        let mut context = store.as_context_mut();
        let inner = context.inner_mut();
        if !ty.func().engine().same(&inner.engine) {
            return Err(ArgumentError::WrongStore.into());
        }
        if ty.func().results().len() != 0 {
            return Err(ArgumentError::InvalidType { ty: ty.to_string(), reason: "a tag has no results" }.into());
        }
        inner.tags.push(ty.func().canonical());
        Ok(Self(Stored::new(inner, inner.tags.len() - 1)))
    }

    /// The type.
    ///
    /// # Panics
    ///
    /// If the tag belongs to another store.
    #[must_use]
    pub fn ty(&self, store: impl AsContext) -> TagType {
        self.type_in(store.as_context().inner())
    }

    pub(super) fn type_in(&self, inner: &StoreInner) -> TagType {
        TagType::new(FuncType::from_canonical(&inner.engine, inner.tags[self.0.index(inner)]))
    }

    pub(crate) fn from_number(store: &StoreInner, number: u32) -> Self {
        Self(Stored::new(store, number as usize))
    }
}
