//! Which references cross the boundary of a module.
//!
//! Types are structural and shared by all modules of a store, so an object or a function of a type that a module declares
//! may be another's, and another may have one of its own. What a module does itself then tells next to nothing. But most
//! programs give and take only numbers and memory. Such a module is *closed*: all references that it ever has are to what
//! its own instance made, and nobody else has one of those.
//!
//! What counts is imports and exports. Any exception may leave a module, and the host can look into it, so references in
//! exceptions cross. Host references (`externref`) may cross if the module never looks into one: the operators
//! `any.convert_extern` and `extern.convert_any` make them the same as others.
//!
//! Two instances of one module have nothing in common if it is closed, as references from one to the other would have to
//! cross.

use super::Module;
use dolmen_abi::meta::ExternIdx;
use dolmen_abi::types::{ExternType, HeapType, RefType, TypeIdx, ValType};

/// Which references cross.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Boundary {
    /// Any.
    Open,
    /// Host references only: the module is closed if it converts none.
    Opaque,
    /// None: the module is closed.
    Sealed,
}

impl Boundary {
    /// What imports, exports and tags of a module let through.
    pub(crate) fn of(module: &Module<'_>) -> Self {
        let mut boundary = Self::Sealed;
        for_each_crossing(module, |ty| {
            boundary = match ty {
                ValType::Ref(RefType { heap: HeapType::Extern | HeapType::NoExtern, .. }) if boundary != Self::Open => {
                    Self::Opaque
                }
                ValType::Ref(_) => Self::Open,
                _ => boundary,
            };
        });
        boundary
    }
}

/// Visits the types of all values that cross the boundary.
fn for_each_crossing(module: &Module<'_>, mut visit: impl FnMut(ValType)) {
    let meta = &module.meta;
    let of_func = |ty: TypeIdx, visit: &mut dyn FnMut(ValType)| {
        let ty = module.func_type(ty);
        ty.params.iter().chain(&ty.results).for_each(|&ty| visit(ty));
    };
    for import in &meta.imports {
        match import.ty {
            ExternType::Func(ty) | ExternType::Tag(ty) => of_func(ty, &mut visit),
            ExternType::Table(ty) => visit(ValType::Ref(ty.element)),
            ExternType::Global(ty) => visit(ty.value),
            ExternType::Memory(_) => {}
        }
    }
    for export in &meta.exports {
        match export.index {
            ExternIdx::Func(func) => of_func(meta.funcs[func as usize], &mut visit),
            ExternIdx::Table(table) => visit(ValType::Ref(meta.tables[table as usize].element)),
            ExternIdx::Global(global) => visit(meta.globals[global as usize].value),
            ExternIdx::Memory(_) | ExternIdx::Tag(_) => {}
        }
    }
    meta.tags.iter().for_each(|&tag| of_func(tag, &mut visit));
}
