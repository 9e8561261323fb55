//! Globals.

use super::Stored;
use crate::error::{ArgumentError, Error, Place, StoreError};
use crate::store::{AsContext, AsContextMut, StoreInner};
use crate::types::GlobalType;
use crate::value::Val;
use crate::vm::global::GlobalData;

/// A global variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Global(pub(crate) Stored);

impl Global {
    /// Makes a global.
    ///
    /// # Errors
    ///
    /// If the value is not of the type, or either belongs elsewhere.
    pub fn new(mut store: impl AsContextMut, ty: GlobalType, value: Val) -> Result<Self, Error> {
        let mut context = store.as_context_mut();
        let inner = context.inner_mut();
        let ty = ty.to_raw(&inner.engine).map_err(StoreError::Type)?;
        let slot = value.to_slot(inner, ty.value, Place::Global)?;
        inner.globals.push(GlobalData::new(ty, slot));
        Ok(Self(Stored::new(inner, inner.globals.len() - 1)))
    }

    /// The value.
    ///
    /// # Panics
    ///
    /// If the global belongs to another store.
    #[must_use]
    pub fn get(&self, mut store: impl AsContextMut) -> Val {
        let mut context = store.as_context_mut();
        let inner = context.inner_mut();
        let global = &inner.globals[self.0.index(inner)];
        let (ty, slot) = (global.ty().value, global.get());
        Val::from_slot(inner, ty, slot)
    }

    /// Sets the value.
    ///
    /// # Errors
    ///
    /// If the global is immutable, the value not of its type, or either belongs to another store.
    pub fn set(&self, mut store: impl AsContextMut, value: Val) -> Result<(), Error> {
        let mut context = store.as_context_mut();
        let inner = context.inner_mut();
        let number = self.0.number(inner)? as usize;
        let ty = inner.globals[number].ty();
        if !ty.mutable {
            return Err(ArgumentError::ImmutableGlobal.into());
        }
        let slot = value.to_slot(inner, ty.value, Place::Global)?;
        inner.globals[number].set(slot);
        Ok(())
    }

    /// The type.
    ///
    /// # Panics
    ///
    /// If the global belongs to another store.
    #[must_use]
    pub fn ty(&self, store: impl AsContext) -> GlobalType {
        self.type_in(store.as_context().inner())
    }

    pub(super) fn type_in(&self, inner: &StoreInner) -> GlobalType {
        GlobalType::from_raw(&inner.engine, inner.globals[self.0.index(inner)].ty())
    }
}
