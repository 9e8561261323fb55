//! A loaded module: an artifact whose checks are all passed, with its types made canonical.
//!
//! The description in an artifact is data from outside, so before anything uses it, every index in it is
//! checked against what it counts, and every code offset against the code section. Later stages rely on that
//! and index without a thought.

mod check;

use crate::artifact::{self, LoadError, Sections};
use crate::code_memory::{CodeMemory, MappedTables};
use crate::engine::Engine;
use crate::store::TrampolineCode;
use crate::trap::StoreCode;
use crate::types::registry::{SignatureId, TypeError, map_ref_type, map_val_type};
use crate::types::{ExportType, ExternType, FuncType, HeapType, ImportType};
use dolmen_abi::artifact::{HASH_BYTES, Header};
use dolmen_abi::collector::Protocol;
use dolmen_abi::context::InstanceLayout;
use dolmen_abi::meta::{ExternIdx, ModuleMeta, Names};
use dolmen_abi::signature::MachineSignature;
use dolmen_abi::types as raw;
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// Compiled code that can be instantiated. Cheap to clone.
///
/// An artifact is native code. Loading one finds damage and files that do not fit, but not malice: load only
/// what a compiler that you trust has written.
#[derive(Clone)]
pub struct Module {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    code: CodeMemory,
    sections: Sections,
    unwind: MappedTables,
    header: Header,
    meta: ModuleMeta,
    layout: InstanceLayout,
    spaces: IndexSpaces,
    trampolines: HashMap<SignatureId, TrampolineCode>,
    exports: HashMap<String, usize>,
    names: OnceLock<Names>,
}

/// Types of a module with canonical type indices.
#[derive(Debug, Default)]
pub(crate) struct IndexSpaces {
    /// Canonical index of each type.
    pub(crate) types: Vec<u32>,
    /// Canonical type of each function.
    pub(crate) funcs: Vec<u32>,
    pub(crate) tables: Vec<raw::TableType>,
    pub(crate) globals: Vec<raw::GlobalType>,
    /// Canonical function type of each tag.
    pub(crate) tags: Vec<u32>,
}

impl Module {
    /// Loads an artifact from memory; the bytes are copied.
    ///
    /// # Errors
    ///
    /// If the bytes are no artifact that this machine and this engine can run.
    pub fn deserialize(engine: &Engine, artifact: &[u8]) -> Result<Self, LoadError> {
        let sections = artifact::find_sections(artifact)?;
        Self::load(engine, CodeMemory::from_bytes(artifact).map_err(LoadError::Map)?, sections)
    }

    /// Loads an artifact from a file, which is mapped: it must not be changed as long as the module exists.
    /// Replacing it by another file of the same name is no change.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or is no artifact that this machine and this engine can run.
    pub fn deserialize_file(engine: &Engine, path: impl AsRef<Path>) -> Result<Self, LoadError> {
        let path = path.as_ref();
        let io = |source| LoadError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let code = CodeMemory::from_file(&file).map_err(io)?;
        let sections = artifact::find_sections(code.bytes())?;
        Self::load(engine, code, sections)
    }

    /// The engine that the module was loaded into.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// What an instance needs, in order.
    pub fn imports(&self) -> impl ExactSizeIterator<Item = ImportType<'_>> {
        self.inner.meta.imports.iter().map(|import| ImportType {
            module: &import.module,
            name: &import.name,
            ty: self.extern_type(&import.ty),
        })
    }

    /// What an instance offers, in order.
    pub fn exports(&self) -> impl ExactSizeIterator<Item = ExportType<'_>> {
        self.inner
            .meta
            .exports
            .iter()
            .map(|export| ExportType { name: &export.name, ty: self.export_type(export.index) })
    }

    /// The export with this name.
    #[must_use]
    pub fn get_export(&self, name: &str) -> Option<ExternType> {
        self.export_index(name).map(|index| self.export_type(index))
    }

    /// The type with an index of the module's, as what a reference to it refers to.
    #[must_use]
    pub fn get_type(&self, index: u32) -> Option<HeapType> {
        let &canonical = self.inner.spaces.types.get(index as usize)?;
        Some(HeapType::from_raw(&self.inner.engine, raw::HeapType::Concrete(raw::TypeIdx(canonical))))
    }

    /// How many types the module has: indices of [`Module::get_type`].
    #[must_use]
    pub fn type_count(&self) -> u32 {
        self.inner.spaces.types.len() as u32
    }

    /// The module's name, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        self.names().module.clone()
    }

    /// The name of a function by its index, if it has one.
    #[must_use]
    pub fn func_name(&self, func: u32) -> Option<String> {
        let funcs = &self.names().funcs;
        let place = funcs.binary_search_by_key(&func, |&(index, _)| index).ok()?;
        Some(funcs[place].1.clone())
    }

    /// Whether the code counts what it does: see [`Store::profiles`](crate::Store::profiles).
    #[must_use]
    pub fn counts(&self) -> bool {
        self.inner.meta.profile.is_some()
    }

    /// Contents of the custom sections with this name, in the module's order. Sections that cannot be read are not
    /// there.
    pub fn custom_sections<'m>(&'m self, name: &str) -> impl Iterator<Item = &'m [u8]> {
        let section = &self.inner.code.bytes()[self.inner.sections.custom.clone()];
        let sections: Vec<(&'m str, &'m [u8])> = postcard::from_bytes(section).unwrap_or_default();
        sections.into_iter().filter(move |&(own, _)| own == name).map(|(_, bytes)| bytes)
    }

    /// Version of the compiler that made the code.
    #[must_use]
    pub fn compiler_version(&self) -> &str {
        &self.inner.header.compiler_version
    }

    /// BLAKE3 hash of the WebAssembly module that the code was made from.
    #[must_use]
    pub fn source_hash(&self) -> &[u8; HASH_BYTES] {
        &self.inner.header.source_hash
    }

    /// Whether loops and recursions poll for requests to stop.
    #[must_use]
    pub fn has_polls(&self) -> bool {
        self.inner.header.polls
    }

    /// What the code does for the collector.
    pub(crate) fn protocol(&self) -> Protocol {
        self.inner.header.protocol
    }

    pub(crate) fn meta(&self) -> &ModuleMeta {
        &self.inner.meta
    }

    pub(crate) fn layout(&self) -> &InstanceLayout {
        &self.inner.layout
    }

    pub(crate) fn spaces(&self) -> &IndexSpaces {
        &self.inner.spaces
    }

    /// Kind and index of the export with this name.
    pub(crate) fn export_index(&self, name: &str) -> Option<ExternIdx> {
        let place = *self.inner.exports.get(name)?;
        Some(self.inner.meta.exports[place].index)
    }

    /// Type of an import in the API's form.
    pub(crate) fn extern_type(&self, ty: &raw::ExternType) -> ExternType {
        match ExternType::from_module(&self.inner.engine, &self.inner.spaces.types, ty) {
            Ok(ty) => ty,
            Err(error) => unreachable!("checked when the module was loaded: {error}"),
        }
    }

    /// Addresses of a defined function: its entry trampoline and its code. `None` for an imported one.
    pub(crate) fn defined_code(&self, func: u32) -> Option<(u64, u64)> {
        let inner = &self.inner;
        let defined = (func as usize).checked_sub(inner.meta.imported_funcs())?;
        let signature = inner.engine.types().entry(inner.spaces.funcs[func as usize]).signature?;
        let entry = inner.trampolines.get(&signature)?.entry;
        Some((entry, self.code_address(inner.meta.code_offsets[defined])))
    }

    /// Address of the entry trampoline of `() -> ()`, and those of the functions that initialise an instance.
    pub(crate) fn init_code(&self) -> Option<(u64, impl Iterator<Item = u64>)> {
        let nothing = MachineSignature { params: Vec::new(), results: Vec::new() };
        let signature = self.inner.engine.types().signature_id(&nothing);
        let entry = self.inner.trampolines.get(&signature)?.entry;
        Some((entry, self.inner.meta.init_funcs.iter().map(|&offset| self.code_address(offset))))
    }

    /// The module's trampolines.
    pub(crate) fn trampolines(&self) -> impl Iterator<Item = (SignatureId, TrampolineCode)> {
        self.inner.trampolines.iter().map(|(&signature, &code)| (signature, code))
    }

    /// Address and length of each data segment.
    pub(crate) fn data(&self) -> impl Iterator<Item = (u64, u64)> {
        let start = self.inner.code.address(self.inner.sections.data.start);
        self.inner.meta.data.iter().map(move |segment| (start + segment.offset, segment.len_bytes))
    }

    /// Makes the code known to the unwinder of a store.
    pub(crate) fn register_code(&self, code: &mut StoreCode) {
        self.inner.code.register(self.inner.unwind, self.clone(), code);
    }

    fn load(engine: &Engine, mut code: CodeMemory, sections: Sections) -> Result<Self, LoadError> {
        let header = artifact::check_header(code.bytes(), &sections, engine.collector())?;
        let meta = artifact::read_meta(code.bytes(), &sections)?;
        check::check_meta(&meta, sections.text.len(), sections.data.len())?;
        let spaces = IndexSpaces::new(engine, &meta)?;
        code.seal(sections.text.clone()).map_err(LoadError::Map)?;
        let unwind = code.unwind_tables(sections.unwind.clone())?;
        let text = code.text_address();
        let address = |offset: u32| text + u64::from(offset);
        let trampolines: HashMap<_, _> = meta
            .trampolines
            .iter()
            .map(|t| {
                let code = TrampolineCode { entry: address(t.entry), host_call: address(t.host_call) };
                (engine.types().signature_id(&t.signature), code)
            })
            .collect();
        check::check_trampolines(engine, &meta, &spaces, &trampolines)?;
        let exports = meta.exports.iter().enumerate().map(|(place, export)| (export.name.clone(), place)).collect();
        let inner = Inner {
            layout: InstanceLayout::new(&meta),
            engine: engine.clone(),
            code,
            sections,
            unwind,
            header,
            meta,
            spaces,
            trampolines,
            exports,
            names: OnceLock::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    fn export_type(&self, index: ExternIdx) -> ExternType {
        let (engine, meta) = (&self.inner.engine, &self.inner.meta);
        let raw = match index {
            ExternIdx::Func(func) => {
                let canonical = self.inner.spaces.funcs[func as usize];
                return ExternType::Func(FuncType::from_canonical(engine, canonical));
            }
            ExternIdx::Table(table) => raw::ExternType::Table(meta.tables[table as usize]),
            ExternIdx::Memory(memory) => raw::ExternType::Memory(meta.memories[memory as usize]),
            ExternIdx::Global(global) => raw::ExternType::Global(meta.globals[global as usize]),
            ExternIdx::Tag(tag) => raw::ExternType::Tag(meta.tags[tag as usize]),
        };
        self.extern_type(&raw)
    }

    /// Canonical types with the names that the module gives them.
    pub(crate) fn type_names(&self) -> impl Iterator<Item = (u32, &str)> {
        let types = &self.inner.spaces.types;
        self.names().types.iter().filter_map(|(index, name)| Some((*types.get(*index as usize)?, name.as_str())))
    }

    /// The names, read when they are first asked for. Names that cannot be read are no names: they are only for
    /// people.
    fn names(&self) -> &Names {
        let inner = &self.inner;
        inner
            .names
            .get_or_init(|| postcard::from_bytes(&inner.code.bytes()[inner.sections.names.clone()]).unwrap_or_default())
    }

    fn code_address(&self, offset: u32) -> u64 {
        self.inner.code.text_address() + u64::from(offset)
    }
}

impl IndexSpaces {
    fn new(engine: &Engine, meta: &ModuleMeta) -> Result<Self, TypeError> {
        let mut types = Vec::with_capacity(meta.type_count());
        for group in &meta.rec_groups {
            engine.types().add_group(group, &mut types)?;
        }
        let canonical = &mut |index: u32| types.get(index as usize).copied().ok_or(TypeError::UnknownType { index });
        let mut func = |&raw::TypeIdx(index): &raw::TypeIdx| {
            let canonical = canonical(index)?;
            engine.types().func_type(canonical).map(|_| canonical).ok_or(TypeError::UnknownType { index })
        };
        let funcs = meta.funcs.iter().map(&mut func).collect::<Result<_, _>>()?;
        let tags = meta.tags.iter().map(&mut func).collect::<Result<_, _>>()?;
        let table = |ty: &raw::TableType| {
            let element = map_ref_type(ty.element, canonical)?;
            Ok::<_, TypeError>(raw::TableType { element, ..*ty })
        };
        let tables = meta.tables.iter().map(table).collect::<Result<_, _>>()?;
        let global = |ty: &raw::GlobalType| {
            let value = map_val_type(ty.value, canonical)?;
            Ok::<_, TypeError>(raw::GlobalType { value, ..*ty })
        };
        let globals = meta.globals.iter().map(global).collect::<Result<_, _>>()?;
        for import in &meta.imports {
            ExternType::from_module(engine, &types, &import.ty)?;
        }
        Ok(Self { types, funcs, tables, globals, tags })
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meta = &self.inner.meta;
        f.debug_struct("Module")
            .field("imports", &meta.imports.len())
            .field("exports", &meta.exports.len())
            .field("funcs", &meta.funcs.len())
            .finish_non_exhaustive()
    }
}
