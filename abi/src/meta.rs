//! The description of a module in its artifact: what the runtime must know to link, instantiate and introspect
//! it. The compiler writes it, the loader reads it; both compute [`InstanceLayout`](crate::context::InstanceLayout)
//! from it.
//!
//! All constant expressions are compiled: [`ModuleMeta::init_funcs`] are functions of signature `() -> ()` that
//! instantiation runs in order, before the start function. They initialise, in the order of the specification,
//! globals, prototypes, tables, the element segments whose elements are expressions, and then perform the active element
//! and data segments (`table_init` + `elem_drop`, `memory_init` + `data_drop`).

use crate::profile::ProfileLayout;
use crate::prototype::Prototype;
use crate::signature::MachineSignature;
use crate::types::{ExternType, GlobalType, MemoryType, RecGroup, RefType, SubType, TableType, TypeIdx};
use serde::{Deserialize, Serialize};

/// The kind and index of an exported item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExternIdx {
    Func(u32),
    Table(u32),
    Memory(u32),
    Global(u32),
    Tag(u32),
}

/// An import.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Import {
    pub module: String,
    pub name: String,
    pub ty: ExternType,
    /// Whether a function must be of just this type, not of a subtype.
    pub exact: bool,
}

/// An export.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Export {
    pub name: String,
    pub index: ExternIdx,
}

/// A data segment: a range of the artifact's data section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSegment {
    pub offset: u64,
    pub len_bytes: u64,
}

/// An element segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ElemSegment {
    pub element: RefType,
    pub items: ElemItems,
}

/// The elements of a segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ElemItems {
    /// Functions, by function index; each is in [`ModuleMeta::func_refs`].
    Funcs(Vec<u32>),
    /// This many elements that the init functions set; null until then.
    Exprs(u32),
}

/// The trampolines of a machine signature; offsets into the code section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trampolines {
    pub signature: MachineSignature,
    pub entry: u32,
    pub host_call: u32,
}

/// Code offset of a function that has no code: nothing refers to it, and all its calls were inlined.
pub const NO_CODE: u32 = u32::MAX;

/// The description of a module.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModuleMeta {
    /// The type index space, in order.
    pub rec_groups: Vec<RecGroup>,
    /// In order; the imported items come first in each index space.
    pub imports: Vec<Import>,
    pub exports: Vec<Export>,
    /// The function index space: type of each function.
    pub funcs: Vec<TypeIdx>,
    /// Offset into the code section of each defined function, by function index less the imported ones, or [`NO_CODE`].
    pub code_offsets: Vec<u32>,
    /// The table index space.
    pub tables: Vec<TableType>,
    /// The memory index space.
    pub memories: Vec<MemoryType>,
    /// The global index space.
    pub globals: Vec<GlobalType>,
    /// The tag index space: function type of each tag.
    pub tags: Vec<TypeIdx>,
    pub data: Vec<DataSegment>,
    pub elems: Vec<ElemSegment>,
    /// Functions that need a function object (exported, referenced or in an element segment), ascending. The
    /// instance has their references in this order.
    pub func_refs: Vec<u32>,
    /// One for each machine signature of a function type of the module, ascending.
    pub trampolines: Vec<Trampolines>,
    /// Code offsets of the functions that initialise an instance, in order.
    pub init_funcs: Vec<u32>,
    pub start: Option<u32>,
    /// What fresh structs begin with; by type, ascending.
    pub prototypes: Vec<Prototype>,
    /// What the code counts, if it was compiled to.
    pub profile: Option<ProfileLayout>,
}

/// Names for traces, in a section of their own so that loading a module does not read them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    pub module: Option<String>,
    pub funcs: NameMap,
    pub types: NameMap,
    pub tables: NameMap,
    pub memories: NameMap,
    pub globals: NameMap,
    pub elems: NameMap,
    pub data: NameMap,
    pub tags: NameMap,
    /// By function.
    pub locals: IndirectNameMap,
    /// By function.
    pub labels: IndirectNameMap,
    /// By type.
    pub fields: IndirectNameMap,
}

/// Names by index, ascending; absent for what has no name.
pub type NameMap = Vec<(u32, String)>;

/// Names of what something else has, by the index of that; ascending.
pub type IndirectNameMap = Vec<(u32, NameMap)>;

impl ModuleMeta {
    /// Number of types in the type index space.
    #[must_use]
    pub fn type_count(&self) -> usize {
        self.rec_groups.iter().map(|g| g.types.len()).sum()
    }

    /// The types of the type index space, in order.
    pub fn types(&self) -> impl Iterator<Item = &SubType> {
        self.rec_groups.iter().flat_map(|g| &g.types)
    }

    /// Number of imported functions.
    #[must_use]
    pub fn imported_funcs(&self) -> usize {
        self.imports.iter().filter(|i| matches!(i.ty, ExternType::Func(_))).count()
    }

    /// Number of imported globals.
    #[must_use]
    pub fn imported_globals(&self) -> usize {
        self.imports.iter().filter(|i| matches!(i.ty, ExternType::Global(_))).count()
    }

    /// Number of imported tables.
    #[must_use]
    pub fn imported_tables(&self) -> usize {
        self.imports.iter().filter(|i| matches!(i.ty, ExternType::Table(_))).count()
    }

    /// Number of imported memories.
    #[must_use]
    pub fn imported_memories(&self) -> usize {
        self.imports.iter().filter(|i| matches!(i.ty, ExternType::Memory(_))).count()
    }

    /// Number of imported tags.
    #[must_use]
    pub fn imported_tags(&self) -> usize {
        self.imports.iter().filter(|i| matches!(i.ty, ExternType::Tag(_))).count()
    }
}
