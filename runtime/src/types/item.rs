//! Types of what modules import and export.

use super::matching::memory_matches;
use super::registry::{TypeError, map_ref_type, map_val_type};
use super::{FuncType, RefType, ValType};
use crate::Engine;
use dolmen_abi::types as raw;

/// Binary logarithm of the page size of memories without a custom one.
const LOG_WASM_PAGE_BYTES: u32 = 16;

/// The type of a global.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GlobalType {
    content: ValType,
    mutable: bool,
}

/// The type of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableType {
    element: RefType,
    limits: raw::Limits,
    index64: bool,
}

/// The type of a linear memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryType(raw::MemoryType);

/// The type of an exception tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TagType {
    func: FuncType,
}

/// The type of something that is imported or exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExternType {
    Func(FuncType),
    Global(GlobalType),
    Table(TableType),
    Memory(MemoryType),
    Tag(TagType),
}

/// An import of a module.
#[derive(Clone, Debug)]
pub struct ImportType<'module> {
    pub(crate) module: &'module str,
    pub(crate) name: &'module str,
    pub(crate) ty: ExternType,
}

/// An export of a module.
#[derive(Clone, Debug)]
pub struct ExportType<'module> {
    pub(crate) name: &'module str,
    pub(crate) ty: ExternType,
}

impl GlobalType {
    /// A global that holds values of type `content`.
    #[must_use]
    pub fn new(content: ValType, mutable: bool) -> Self {
        Self { content, mutable }
    }

    /// The type of the value.
    #[must_use]
    pub fn content(&self) -> &ValType {
        &self.content
    }

    /// Whether the value can be changed.
    #[must_use]
    pub fn is_mutable(&self) -> bool {
        self.mutable
    }

    pub(crate) fn from_raw(engine: &Engine, ty: raw::GlobalType) -> Self {
        Self { content: ValType::from_raw(engine, ty.value), mutable: ty.mutable }
    }

    pub(crate) fn to_raw(&self, engine: &Engine) -> Result<raw::GlobalType, TypeError> {
        Ok(raw::GlobalType { value: self.content.to_raw(engine)?, mutable: self.mutable })
    }
}

impl TableType {
    /// A table of `min` to `max` elements with 32-bit indices.
    #[must_use]
    pub fn new(element: RefType, min: u32, max: Option<u32>) -> Self {
        let limits = raw::Limits { min: min.into(), max: max.map(Into::into) };
        Self { element, limits, index64: false }
    }

    /// A table of `min` to `max` elements with 64-bit indices.
    #[must_use]
    pub fn new64(element: RefType, min: u64, max: Option<u64>) -> Self {
        Self { element, limits: raw::Limits { min, max }, index64: true }
    }

    /// The elements' type.
    #[must_use]
    pub fn element(&self) -> &RefType {
        &self.element
    }

    /// Number of elements at the start.
    #[must_use]
    pub fn minimum(&self) -> u64 {
        self.limits.min
    }

    /// Number of elements that it cannot grow beyond.
    #[must_use]
    pub fn maximum(&self) -> Option<u64> {
        self.limits.max
    }

    /// Whether indices are 64 bits wide.
    #[must_use]
    pub fn is_64(&self) -> bool {
        self.index64
    }

    pub(crate) fn from_raw(engine: &Engine, ty: raw::TableType) -> Self {
        Self { element: RefType::from_raw(engine, ty.element), limits: ty.limits, index64: ty.index64 }
    }

    pub(crate) fn to_raw(&self, engine: &Engine) -> Result<raw::TableType, TypeError> {
        Ok(raw::TableType { element: self.element.to_raw(engine)?, limits: self.limits, index64: self.index64 })
    }
}

impl MemoryType {
    /// A memory of `min` to `max` pages of 64 KiB with 32-bit addresses.
    #[must_use]
    pub fn new(min: u32, max: Option<u32>) -> Self {
        Self::with(min.into(), max.map(Into::into), false)
    }

    /// A memory of `min` to `max` pages of 64 KiB with 64-bit addresses.
    #[must_use]
    pub fn new64(min: u64, max: Option<u64>) -> Self {
        Self::with(min, max, true)
    }

    fn with(min: u64, max: Option<u64>, index64: bool) -> Self {
        let limits = raw::Limits { min, max };
        Self(raw::MemoryType { limits, index64, shared: false, log_page_bytes: LOG_WASM_PAGE_BYTES })
    }

    /// The same numbers of pages, but of one byte each.
    #[must_use]
    pub fn with_byte_pages(self) -> Self {
        Self(raw::MemoryType { log_page_bytes: 0, ..self.0 })
    }

    /// A memory of `min` to `max` pages of 64 KiB with 32-bit addresses that threads may share.
    #[must_use]
    pub fn shared(min: u32, max: u32) -> Self {
        let Self(unshared) = Self::new(min, Some(max));
        Self(raw::MemoryType { shared: true, ..unshared })
    }

    /// Number of pages at the start.
    #[must_use]
    pub fn minimum(&self) -> u64 {
        self.0.limits.min
    }

    /// Number of pages that it cannot grow beyond.
    #[must_use]
    pub fn maximum(&self) -> Option<u64> {
        self.0.limits.max
    }

    /// Whether addresses are 64 bits wide.
    #[must_use]
    pub fn is_64(&self) -> bool {
        self.0.index64
    }

    /// Whether threads may share it.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.0.shared
    }

    /// Size of a page in bytes.
    #[must_use]
    pub fn page_bytes(&self) -> u64 {
        1 << self.0.log_page_bytes
    }

    pub(crate) fn from_raw(ty: raw::MemoryType) -> Self {
        Self(ty)
    }

    pub(crate) fn raw(&self) -> raw::MemoryType {
        self.0
    }
}

impl TagType {
    /// A tag whose exceptions carry what `func` takes as parameters.
    #[must_use]
    pub fn new(func: FuncType) -> Self {
        Self { func }
    }

    /// The function type: its parameters are the exception's payload.
    #[must_use]
    pub fn func(&self) -> &FuncType {
        &self.func
    }
}

impl ExternType {
    /// Whether an item of this type can be imported as `other`.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Func(sub), Self::Func(sup)) => sub.matches(sup),
            (Self::Global(sub), Self::Global(sup)) => {
                sub.mutable == sup.mutable
                    && sub.content.matches(&sup.content)
                    && (!sub.mutable || sup.content.matches(&sub.content))
            }
            (Self::Table(sub), Self::Table(sup)) => {
                sub.index64 == sup.index64
                    && super::matching::limits_match(sub.limits, sup.limits)
                    && sub.element.matches(&sup.element)
                    && sup.element.matches(&sub.element)
            }
            (Self::Memory(sub), Self::Memory(sup)) => memory_matches(sub.0, sup.0),
            (Self::Tag(sub), Self::Tag(sup)) => sub == sup,
            _ => false,
        }
    }

    /// From a module's description; `types` are the canonical indices of the module's types.
    ///
    /// # Errors
    ///
    /// If the module has no such type, or not of that kind.
    pub(crate) fn from_module(engine: &Engine, types: &[u32], ty: &raw::ExternType) -> Result<Self, TypeError> {
        let canonical = &mut |index: u32| types.get(index as usize).copied().ok_or(TypeError::UnknownType { index });
        let func = |raw::TypeIdx(index): raw::TypeIdx| {
            let canonical = canonical(index)?;
            let is_func = engine.types().func_type(canonical).is_some();
            if is_func {
                Ok(FuncType::from_canonical(engine, canonical))
            } else {
                Err(TypeError::UnknownType { index })
            }
        };
        Ok(match *ty {
            raw::ExternType::Func(ty) => Self::Func(func(ty)?),
            raw::ExternType::Tag(ty) => Self::Tag(TagType::new(func(ty)?)),
            raw::ExternType::Memory(ty) => Self::Memory(MemoryType(ty)),
            raw::ExternType::Global(ty) => {
                let value = map_val_type(ty.value, canonical)?;
                Self::Global(GlobalType::from_raw(engine, raw::GlobalType { value, ..ty }))
            }
            raw::ExternType::Table(ty) => {
                let element = map_ref_type(ty.element, canonical)?;
                Self::Table(TableType::from_raw(engine, raw::TableType { element, ..ty }))
            }
        })
    }
}

impl<'module> ImportType<'module> {
    /// Name of the module that is imported from.
    #[must_use]
    pub fn module(&self) -> &'module str {
        self.module
    }

    /// Name of what is imported.
    #[must_use]
    pub fn name(&self) -> &'module str {
        self.name
    }

    /// What it must be.
    #[must_use]
    pub fn ty(&self) -> ExternType {
        self.ty.clone()
    }
}

impl<'module> ExportType<'module> {
    /// Name of what is exported.
    #[must_use]
    pub fn name(&self) -> &'module str {
        self.name
    }

    /// What it is.
    #[must_use]
    pub fn ty(&self) -> ExternType {
        self.ty.clone()
    }
}
