//! Weak handles: references that do not keep their objects alive.
//!
//! A cache, or a table from objects to facts about them, must not be the reason that they stay. A [`WeakRef`] turns
//! into an ordinary reference as long as the object is there. When a collection frees the object, it clears the
//! handle first: none ever turns into another object at the same place. How long an object without other references
//! stays is the collector's affair; [`Store::gc`](crate::Store::gc) frees all there are.

use super::reference::Reference;
use super::root::Root;
use crate::error::ArgumentError;
use crate::store::{AsContextMut, StoreId};
use crate::value::{AnyRef, ExternRef};
use dolmen_abi::reference::NULL_REF;

/// A reference of type `any` or `extern` that does not keep its object alive.
#[derive(Clone, Debug)]
pub struct WeakRef(Weak);

#[derive(Clone, Debug)]
enum Weak {
    I31(u32),
    Object { store: StoreId, cell: Root },
}

impl AnyRef {
    /// A weak reference to the same object. That of an `i31` is as good as the `i31`.
    ///
    /// # Errors
    ///
    /// If it belongs to another store.
    pub fn downgrade(&self, mut store: impl AsContextMut) -> Result<WeakRef, ArgumentError> {
        let mut context = store.as_context_mut();
        let store = context.inner_mut();
        let word = self.word(store)?;
        Ok(WeakRef(match self.as_reference() {
            Reference::I31(word) => Weak::I31(*word),
            Reference::Object(_) => Weak::Object { store: store.id, cell: store.roots.add_weak(word) },
        }))
    }
}

impl ExternRef {
    /// A weak reference to the same object: [`AnyRef::downgrade`].
    ///
    /// # Errors
    ///
    /// If it belongs to another store.
    pub fn downgrade(&self, store: impl AsContextMut) -> Result<WeakRef, ArgumentError> {
        AnyRef::from(self.clone()).downgrade(store)
    }
}

impl WeakRef {
    /// The object, kept alive again; `None` if it was freed. `ExternRef::from` turns it into an `externref`.
    ///
    /// # Errors
    ///
    /// If it belongs to another store.
    pub fn upgrade(&self, mut store: impl AsContextMut) -> Result<Option<AnyRef>, ArgumentError> {
        let mut context = store.as_context_mut();
        let inner = context.inner_mut();
        match &self.0 {
            Weak::I31(word) => Ok(AnyRef::from_word(inner, *word)),
            Weak::Object { store, cell } => {
                inner.check(*store)?;
                let word = cell.word();
                Ok(if word == NULL_REF { None } else { AnyRef::from_word(inner, word) })
            }
        }
    }
}
