//! Subtyping between canonical types (specification 3.0, "Matching").
//!
//! The shapes of `dolmen_abi::types` serve here too, with canonical indices in the place of a module's.

use super::registry::TypeRegistry;
use dolmen_abi::types::{CompositeType, GlobalType, HeapType, Limits, MemoryType, RefType, TableType, ValType};

impl TypeRegistry {
    /// Whether the canonical type `sub` is `sup` or below it.
    pub(crate) fn is_subtype(&self, sub: u32, sup: u32) -> bool {
        if sub == sup {
            return true;
        }
        let depth = self.entry(sup).supers.len() - 1;
        self.entry(sub).supers.get(depth) == Some(&sup)
    }

    /// Whether heap type `sub` matches `sup`.
    pub(crate) fn heap_matches(&self, sub: HeapType, sup: HeapType) -> bool {
        if let (HeapType::Concrete(a), HeapType::Concrete(b)) = (sub, sup) {
            return self.is_subtype(a.0, b.0);
        }
        if let (HeapType::Exact(a), HeapType::Concrete(b)) = (sub, sup) {
            return self.is_subtype(a.0, b.0);
        }
        if sub == sup {
            return true;
        }
        match sup {
            HeapType::Any => self.top(sub) == HeapType::Any,
            HeapType::Eq => self.top(sub) == HeapType::Any && sub != HeapType::Any,
            HeapType::I31 => sub == HeapType::None,
            HeapType::Struct | HeapType::Array => sub == HeapType::None || self.abstract_kind(sub) == sup,
            HeapType::Func | HeapType::Extern | HeapType::Exn => self.top(sub) == sup,
            HeapType::Concrete(_) | HeapType::Exact(_) => sub == self.bottom(sup),
            HeapType::None | HeapType::NoFunc | HeapType::NoExtern | HeapType::NoExn => false,
        }
    }

    /// Whether reference type `sub` matches `sup`.
    pub(crate) fn ref_matches(&self, sub: RefType, sup: RefType) -> bool {
        (sup.nullable || !sub.nullable) && self.heap_matches(sub.heap, sup.heap)
    }

    /// Whether value type `sub` matches `sup`.
    pub(crate) fn val_matches(&self, sub: ValType, sup: ValType) -> bool {
        match (sub, sup) {
            (ValType::Ref(sub), ValType::Ref(sup)) => self.ref_matches(sub, sup),
            _ => sub == sup,
        }
    }

    /// Whether global type `sub` matches `sup`.
    pub(crate) fn global_matches(&self, sub: GlobalType, sup: GlobalType) -> bool {
        sub.mutable == sup.mutable
            && self.val_matches(sub.value, sup.value)
            && (!sub.mutable || self.val_matches(sup.value, sub.value))
    }

    /// Whether table type `sub` matches `sup`.
    pub(crate) fn table_matches(&self, sub: TableType, sup: TableType) -> bool {
        sub.index64 == sup.index64
            && limits_match(sub.limits, sup.limits)
            && self.ref_matches(sub.element, sup.element)
            && self.ref_matches(sup.element, sub.element)
    }

    /// The top of the hierarchy that a heap type is in.
    pub(crate) fn top(&self, heap: HeapType) -> HeapType {
        match heap {
            HeapType::Any | HeapType::Eq | HeapType::I31 | HeapType::Struct | HeapType::Array | HeapType::None => {
                HeapType::Any
            }
            HeapType::Func | HeapType::NoFunc => HeapType::Func,
            HeapType::Extern | HeapType::NoExtern => HeapType::Extern,
            HeapType::Exn | HeapType::NoExn => HeapType::Exn,
            HeapType::Concrete(_) | HeapType::Exact(_) => match self.abstract_kind(heap) {
                HeapType::Func => HeapType::Func,
                _ => HeapType::Any,
            },
        }
    }

    fn bottom(&self, heap: HeapType) -> HeapType {
        match self.top(heap) {
            HeapType::Func => HeapType::NoFunc,
            HeapType::Extern => HeapType::NoExtern,
            HeapType::Exn => HeapType::NoExn,
            _ => HeapType::None,
        }
    }

    /// The abstract type right above a concrete one; any other type as it is.
    pub(crate) fn abstract_kind(&self, heap: HeapType) -> HeapType {
        match heap {
            HeapType::Concrete(index) | HeapType::Exact(index) => match self.entry(index.0).sub.composite {
                CompositeType::Func(_) => HeapType::Func,
                CompositeType::Struct(_) => HeapType::Struct,
                CompositeType::Array(_) => HeapType::Array,
            },
            other => other,
        }
    }
}

/// Whether memory type `sub` matches `sup`.
pub(crate) fn memory_matches(sub: MemoryType, sup: MemoryType) -> bool {
    sub.index64 == sup.index64
        && sub.shared == sup.shared
        && sub.log_page_bytes == sup.log_page_bytes
        && limits_match(sub.limits, sup.limits)
}

/// Whether limits `sub` lie within `sup`.
pub(super) fn limits_match(sub: Limits, sup: Limits) -> bool {
    sub.min >= sup.min && sup.max.is_none_or(|sup_max| sub.max.is_some_and(|sub_max| sub_max <= sup_max))
}
