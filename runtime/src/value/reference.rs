//! Handles of heap objects: references that the embedder may keep.

use super::root::Root;
use crate::error::{ArgumentError, Error, StoreError};
use crate::externals::Tag;
use crate::store::{AsContext, AsContextMut, HostObjects, StoreId, StoreInner};
use crate::types::{ArrayType, HeapType, StructType};
use crate::value::Val;
use crate::vm::object;
use dolmen_abi::layout::exception_layout;
use dolmen_abi::reference::{i31_get_s, i31_get_u, i31_new, is_i31};
use dolmen_abi::type_desc::Kind;
use dolmen_gc_heap::ObjRef;
use std::any::Any;

/// A reference of the `any` hierarchy or the `extern` hierarchy: both are the same words.
#[derive(Clone, Debug)]
pub(super) enum Reference {
    I31(u32),
    Object(Handle),
}

/// An object that is kept alive.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    store: StoreId,
    root: Root,
    /// Immutable in the object, so a copy is as good.
    type_word: u32,
}

/// A reference that is not null of type `any`: a struct, an array, an `i31`, or a host value that went through
/// `any.convert_extern`.
#[derive(Clone, Debug)]
pub struct AnyRef(Reference);

/// A reference that is not null of type `extern`: a host value, or an `any` that went through
/// `extern.convert_any`.
#[derive(Clone, Debug)]
pub struct ExternRef(Reference);

/// A reference that is not null of type `exn`: an exception.
#[derive(Clone, Debug)]
pub struct ExnRef(Handle);

impl Reference {
    fn from_word(store: &mut StoreInner, word: u32) -> Option<Self> {
        if is_i31(word) {
            return Some(Self::I31(word));
        }
        Handle::from_word(store, word).map(Self::Object)
    }

    fn word(&self, store: &StoreInner) -> Result<u32, ArgumentError> {
        match self {
            Self::I31(word) => Ok(*word),
            Self::Object(handle) => handle.object(store).map(ObjRef::word),
        }
    }

    fn kind(&self) -> Option<Kind> {
        match self {
            Self::I31(_) => None,
            Self::Object(handle) => Kind::of_type_word(handle.type_word),
        }
    }
}

impl Handle {
    fn from_word(store: &mut StoreInner, word: u32) -> Option<Self> {
        let object = ObjRef::from_word(word)?;
        let type_word = object::type_word(&store.heap, object);
        Some(Self { store: store.id, root: store.roots.add(word), type_word })
    }

    pub(super) fn object(&self, store: &StoreInner) -> Result<ObjRef, ArgumentError> {
        store.check(self.store)?;
        ObjRef::from_word(self.root.word()).ok_or(ArgumentError::WrongStore)
    }
}

impl AnyRef {
    /// The `i31` with the low 31 bits of `value`.
    #[must_use]
    pub fn from_i31(value: i32) -> Self {
        Self(Reference::I31(i31_new(value.cast_unsigned())))
    }

    /// Whether it is an `i31`.
    #[must_use]
    pub fn is_i31(&self) -> bool {
        matches!(self.0, Reference::I31(_))
    }

    /// The value of the `i31`, sign-extended, if it is one.
    #[must_use]
    pub fn as_i31(&self) -> Option<i32> {
        if let Reference::I31(word) = self.0 { Some(i31_get_s(word)) } else { None }
    }

    /// The value of the `i31`, zero-extended, if it is one.
    #[must_use]
    pub fn as_i31_u(&self) -> Option<u32> {
        if let Reference::I31(word) = self.0 { Some(i31_get_u(word)) } else { None }
    }

    /// Whether it is a struct.
    #[must_use]
    pub fn is_struct(&self) -> bool {
        self.0.kind() == Some(Kind::Struct)
    }

    /// Whether it is an array.
    #[must_use]
    pub fn is_array(&self) -> bool {
        self.0.kind() == Some(Kind::Array)
    }

    /// Whether it is of type `eq`: an `i31`, a struct or an array.
    #[must_use]
    pub fn is_eq(&self) -> bool {
        self.is_i31() || self.is_struct() || self.is_array()
    }

    /// Whether it is a host value that went through `any.convert_extern`.
    #[must_use]
    pub fn is_extern(&self) -> bool {
        self.0.kind() == Some(Kind::Extern)
    }

    /// The most specific heap type that it has.
    ///
    /// # Panics
    ///
    /// If it refers to an object of another engine.
    #[must_use]
    pub fn ty(&self, store: impl AsContext) -> HeapType {
        let Reference::Object(handle) = &self.0 else { return HeapType::I31 };
        let engine = store.as_context().inner().engine.clone();
        let canonical = engine.types().canonical_of_word(handle.type_word);
        match (self.0.kind(), canonical) {
            (Some(Kind::Struct), Some(index)) => HeapType::ConcreteStruct(StructType::from_canonical(&engine, index)),
            (Some(Kind::Array), Some(index)) => HeapType::ConcreteArray(ArrayType::from_canonical(&engine, index)),
            _ => HeapType::Any,
        }
    }

    /// Number of elements, if it is an array.
    ///
    /// # Errors
    ///
    /// If it is none, or belongs to another store.
    pub fn array_len(&self, store: impl AsContext) -> Result<u32, ArgumentError> {
        let store = store.as_context();
        match &self.0 {
            Reference::Object(handle) if self.is_array() => {
                Ok(object::array_length(&store.inner().heap, handle.object(store.inner())?))
            }
            _ => Err(ArgumentError::Reference { expected: "an array", found: "another object" }),
        }
    }

    /// Whether both refer to the same object, or are equal `i31` values (`ref.eq`). Needs no store, and may be asked while
    /// other threads use it.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Reference::I31(a), Reference::I31(b)) => a == b,
            (Reference::Object(a), Reference::Object(b)) => a.store == b.store && a.root.same(&b.root, a.store),
            _ => false,
        }
    }

    pub(super) fn as_reference(&self) -> &Reference {
        &self.0
    }

    pub(crate) fn from_word(store: &mut StoreInner, word: u32) -> Option<Self> {
        Reference::from_word(store, word).map(Self)
    }

    pub(crate) fn word(&self, store: &StoreInner) -> Result<u32, ArgumentError> {
        self.0.word(store)
    }
}

impl ExternRef {
    /// Puts a value of the host into the store. It is dropped when the collector finds that nothing refers to
    /// it any more, or with the store.
    ///
    /// # Errors
    ///
    /// If the heap is full.
    pub fn new(mut store: impl AsContextMut, value: impl Any + Send + Sync) -> Result<Self, Error> {
        let mut context = store.as_context_mut();
        let inner = context.inner_mut();
        let type_word = inner.engine.types().extern_type_word();
        let number = inner.host_objects.insert(Box::new(value));
        let (heap, mut runtime) = inner.heap_and_runtime();
        match heap.alloc_extern(&mut runtime, type_word, number) {
            Ok(object) => {
                object::publish();
                let root = inner.roots.add(object.word());
                Ok(Self(Reference::Object(Handle { store: inner.id, root, type_word })))
            }
            Err(error) => {
                HostObjects::remove(&mut inner.host_objects, number);
                Err(StoreError::Heap(error).into())
            }
        }
    }

    /// The host's value; `None` if it is an `any` that went through `extern.convert_any`.
    ///
    /// # Errors
    ///
    /// If it belongs to another store.
    pub fn data<'a, T: 'a>(
        &self,
        store: impl Into<crate::StoreContext<'a, T>>,
    ) -> Result<Option<&'a (dyn Any + Send + Sync)>, ArgumentError> {
        let inner = store.into().inner();
        match &self.0 {
            Reference::Object(handle) if self.0.kind() == Some(Kind::Extern) => {
                let number = object::extern_data(&inner.heap, handle.object(inner)?);
                Ok(inner.host_objects.get(number))
            }
            _ => Ok(None),
        }
    }

    /// Whether it is a value of the host.
    #[must_use]
    pub fn is_host(&self) -> bool {
        self.0.kind() == Some(Kind::Extern)
    }

    pub(crate) fn from_word(store: &mut StoreInner, word: u32) -> Option<Self> {
        Reference::from_word(store, word).map(Self)
    }

    pub(crate) fn word(&self, store: &StoreInner) -> Result<u32, ArgumentError> {
        self.0.word(store)
    }
}

impl ExnRef {
    /// What was thrown.
    ///
    /// # Errors
    ///
    /// If it belongs to another store.
    pub fn tag(&self, store: impl AsContext) -> Result<Tag, ArgumentError> {
        let context = store.as_context();
        let inner = context.inner();
        Ok(Tag::from_number(inner, object::exn_tag_id(&inner.heap, self.0.object(inner)?)))
    }

    /// The payload.
    ///
    /// # Errors
    ///
    /// If it belongs to another store.
    pub fn fields(&self, mut store: impl AsContextMut) -> Result<Vec<Val>, ArgumentError> {
        let mut context = store.as_context_mut();
        let inner = context.inner_mut();
        let exn = self.0.object(inner)?;
        let tag = object::exn_tag_id(&inner.heap, exn);
        let engine = inner.engine.clone();
        let params = inner.tags.get(tag as usize).and_then(|&ty| engine.types().func_type(ty));
        let params = params.map_or(&[][..], |func| &func.params);
        let layout = exception_layout(params);
        let field = |(&ty, &offset)| {
            let log_bytes = dolmen_abi::types::StorageType::Val(ty).log_bytes();
            let bits = object::read_bytes(&inner.heap, exn, offset, log_bytes);
            (ty, bits)
        };
        let fields: Vec<_> = params.iter().zip(&layout.offsets).map(field).collect();
        Ok(fields.into_iter().map(|(ty, bits)| Val::from_bits(inner, ty, bits)).collect())
    }

    pub(crate) fn from_word(store: &mut StoreInner, word: u32) -> Option<Self> {
        Handle::from_word(store, word).map(Self)
    }

    pub(crate) fn word(&self, store: &StoreInner) -> Result<u32, ArgumentError> {
        self.0.object(store).map(ObjRef::word)
    }
}

/// `any.convert_extern`.
impl From<ExternRef> for AnyRef {
    fn from(value: ExternRef) -> Self {
        Self(value.0)
    }
}

/// `extern.convert_any`.
impl From<AnyRef> for ExternRef {
    fn from(value: AnyRef) -> Self {
        Self(value.0)
    }
}
