//! Functions, of modules and of the host.

use super::Stored;
use crate::call::{self, HostClosure};
use crate::error::{ArgumentError, Error};
use crate::store::{AsContext, AsContextMut, Caller, StoreInner};
use crate::types::FuncType;
use crate::value::Val;
use dolmen_gc_heap::ObjRef;

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Func {
    /// The reference word of its object, which never moves or dies.
    object: Stored,
}

impl Func {
    /// Makes a function of the host's. It is handed as many results as its type has, to be overwritten.
    ///
    /// # Errors
    ///
    /// If the type belongs to another engine, or the heap is full.
    pub fn new<T: 'static>(
        mut store: impl AsContextMut<Data = T>,
        ty: FuncType,
        closure: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        call::new_host_func(store.as_context_mut().0, ty, HostClosure::new(closure))
    }

    /// Calls the function. `results` must have as many entries as the function has results; what they hold is
    /// overwritten.
    ///
    /// # Errors
    ///
    /// If number or types of the arguments are wrong, or why the function did not return.
    pub fn call(&self, mut store: impl AsContextMut, args: &[Val], results: &mut [Val]) -> Result<(), Error> {
        call::call(store.as_context_mut().0, *self, args, results)
    }

    /// The function's type.
    ///
    /// # Panics
    ///
    /// If it belongs to another store.
    #[must_use]
    pub fn ty(&self, store: impl AsContext) -> FuncType {
        self.type_in(store.as_context().inner())
    }

    pub(super) fn type_in(&self, inner: &StoreInner) -> FuncType {
        match call::function(inner, *self) {
            Ok((_, canonical)) => FuncType::from_canonical(&inner.engine, canonical),
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn from_word(store: &StoreInner, word: u32) -> Option<Self> {
        ObjRef::from_word(word).map(|object| Self::from_object(store, object))
    }

    pub(crate) fn from_object(store: &StoreInner, object: ObjRef) -> Self {
        Self { object: Stored::new(store, object.word() as usize) }
    }

    pub(crate) fn word(&self, store: &StoreInner) -> Result<u32, ArgumentError> {
        self.object.number(store)
    }
}
