//! What modules import and export, as C sees it.
//!
//! A list of both is made when C first asks; its strings and types are the module's.

use crate::border::{c_string, exported, set, text};
use crate::modules::ModuleRecord;
use crate::natives::link::is_known;
use crate::objects::types::TypeRecord;
use crate::values::{Kind, kind_of};
use runtime::{ExternType, GlobalType, MemoryType, Module, TableType, ValType};
use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr;

/// The imports and exports of a module.
#[derive(Debug)]
pub(crate) struct Externals {
    imports: Vec<External>,
    exports: Vec<External>,
}

/// An import, or an export.
#[derive(Debug)]
struct External {
    /// Of an import.
    module: Option<CString>,
    name: CString,
    ty: TypeOf,
}

/// The type of an import or export; C has the addresses of what is inside.
#[derive(Debug)]
enum TypeOf {
    Func(Box<TypeRecord>),
    Table(Box<TableType>),
    Memory(Box<MemoryType>),
    Global(Box<GlobalType>),
    Tag,
}

/// `wasm_import_t`.
#[repr(C)]
pub struct CImport {
    module_name: *const c_char,
    name: *const c_char,
    kind: c_int,
    linked: bool,
    ty: *const c_void,
}

/// `wasm_export_t`.
#[repr(C)]
pub struct CExport {
    name: *const c_char,
    kind: c_int,
    ty: *const c_void,
}

impl Externals {
    pub(crate) fn of(module: &Module) -> Self {
        let external = |from: Option<&str>, name: &str, ty| External {
            module: from.map(c_string),
            name: c_string(name),
            ty: TypeOf::new(module, ty),
        };
        Self {
            imports: module
                .imports()
                .map(|import| external(Some(import.module()), import.name(), import.ty()))
                .collect(),
            exports: module.exports().map(|export| external(None, export.name(), export.ty())).collect(),
        }
    }
}

impl TypeOf {
    fn new(module: &Module, ty: ExternType) -> Self {
        match ty {
            ExternType::Func(ty) => Self::Func(Box::new(TypeRecord::of_func(module, ty))),
            ExternType::Table(ty) => Self::Table(Box::new(ty)),
            ExternType::Memory(ty) => Self::Memory(Box::new(ty)),
            ExternType::Global(ty) => Self::Global(Box::new(ty)),
            ExternType::Tag(_) => Self::Tag,
        }
    }

    /// As `wasm_import_export_kind_t`, and the address of the type.
    fn to_c(&self) -> (c_int, *const c_void) {
        match self {
            Self::Func(ty) => (0, ptr::from_ref(&**ty).cast()),
            Self::Table(ty) => (1, ptr::from_ref(&**ty).cast()),
            Self::Memory(ty) => (2, ptr::from_ref(&**ty).cast()),
            Self::Global(ty) => (3, ptr::from_ref(&**ty).cast()),
            Self::Tag => (4, ptr::null()),
        }
    }
}

/// # Safety
///
/// As the header says.
unsafe fn import(module: *const ModuleRecord, index: i32, out: *mut CImport) {
    // SAFETY: as the caller promises.
    let module = unsafe { module.as_ref() };
    let found = module.and_then(|module| module.externals().imports.get(usize::try_from(index).ok()?));
    let none = CImport { module_name: ptr::null(), name: ptr::null(), kind: 0, linked: false, ty: ptr::null() };
    let value = found.map_or(none, |import| {
        let (kind, ty) = import.ty.to_c();
        let from = import.module.as_ref();
        let linked =
            kind != 0 || from.is_some_and(|from| is_known(&from.to_string_lossy(), &import.name.to_string_lossy()));
        CImport {
            module_name: from.map_or(ptr::null(), |from| from.as_ptr()),
            name: import.name.as_ptr(),
            kind,
            linked,
            ty,
        }
    });
    // SAFETY: as the caller promises.
    unsafe { set(out, value) };
}

/// # Safety
///
/// As the header says.
unsafe fn export(module: *const ModuleRecord, index: i32, out: *mut CExport) {
    // SAFETY: as the caller promises.
    let module = unsafe { module.as_ref() };
    let found = module.and_then(|module| module.externals().exports.get(usize::try_from(index).ok()?));
    let none = CExport { name: ptr::null(), kind: 0, ty: ptr::null() };
    let value = found.map_or(none, |export| {
        let (kind, ty) = export.ty.to_c();
        CExport { name: export.name.as_ptr(), kind, ty }
    });
    // SAFETY: as the caller promises.
    unsafe { set(out, value) };
}

/// A number of elements or pages, as far as C has bits for it.
fn count(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

exported! {
    fn wasm_runtime_get_import_count(module: *const ModuleRecord) -> i32 = -1,
        module.as_ref().map_or(-1, |module| module.externals().imports.len() as i32);
    fn wasm_runtime_get_export_count(module: *const ModuleRecord) -> i32 = -1,
        module.as_ref().map_or(-1, |module| module.externals().exports.len() as i32);
    fn wasm_runtime_get_import_type(module: *const ModuleRecord, index: i32, out: *mut CImport) -> () = (),
        import(module, index, out);
    fn wasm_runtime_get_export_type(module: *const ModuleRecord, index: i32, out: *mut CExport) -> () = (),
        export(module, index, out);
    fn wasm_runtime_is_import_func_linked(module: *const c_char, name: *const c_char) -> bool = false,
        text(module).zip(text(name)).is_some_and(|(module, name)| is_known(&module, &name));
    fn wasm_global_type_get_valkind(ty: *const GlobalType) -> Kind = Kind::MAX,
        ty.as_ref().map_or(Kind::MAX, |ty| kind_of(ty.content()));
    fn wasm_global_type_get_mutable(ty: *const GlobalType) -> bool = false,
        ty.as_ref().is_some_and(GlobalType::is_mutable);
    fn wasm_memory_type_get_shared(ty: *const MemoryType) -> bool = false,
        ty.as_ref().is_some_and(MemoryType::is_shared);
    fn wasm_memory_type_get_init_page_count(ty: *const MemoryType) -> u32 = 0,
        ty.as_ref().map_or(0, |ty| count(ty.minimum()));
    fn wasm_memory_type_get_max_page_count(ty: *const MemoryType) -> u32 = 0,
        ty.as_ref().map_or(0, |ty| count(ty.maximum().unwrap_or(u64::MAX)));
    fn wasm_table_type_get_elem_kind(ty: *const TableType) -> Kind = Kind::MAX,
        ty.as_ref().map_or(Kind::MAX, |ty| kind_of(&ValType::Ref(ty.element().clone())));
    fn wasm_table_type_get_shared(_ty: *const TableType) -> bool = false, false;
    fn wasm_table_type_get_init_size(ty: *const TableType) -> u32 = 0,
        ty.as_ref().map_or(0, |ty| count(ty.minimum()));
    fn wasm_table_type_get_max_size(ty: *const TableType) -> u32 = 0,
        ty.as_ref().map_or(0, |ty| count(ty.maximum().unwrap_or(u64::MAX)));
}
