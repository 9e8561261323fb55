//! WebAssembly types as the artifact stores them.
//!
//! The same shapes as in the specification (3.0, "Types"), with type indices of the module. The runtime turns
//! them into engine-wide canonical types when it loads the module; the compiler computes layouts from them.

use serde::{Deserialize, Serialize};

/// Index of a type in its module's type index space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TypeIdx(pub u32);

/// A heap type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HeapType {
    Any,
    Eq,
    I31,
    Struct,
    Array,
    None,
    Func,
    NoFunc,
    Extern,
    NoExtern,
    Exn,
    NoExn,
    Concrete(TypeIdx),
    /// Just this type, without its subtypes.
    Exact(TypeIdx),
}

/// A reference type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RefType {
    pub nullable: bool,
    pub heap: HeapType,
}

/// A value type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ValType {
    I32,
    I64,
    F32,
    F64,
    V128,
    Ref(RefType),
}

/// The type of a field or an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StorageType {
    I8,
    I16,
    Val(ValType),
}

/// A field of a struct, or the element of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FieldType {
    pub storage: StorageType,
    pub mutable: bool,
}

/// A function type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FuncType {
    pub params: Vec<ValType>,
    pub results: Vec<ValType>,
}

/// A composite type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CompositeType {
    Func(FuncType),
    Struct(Vec<FieldType>),
    Array(FieldType),
}

/// A sub type: one member of a rec group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SubType {
    pub is_final: bool,
    pub supertype: Option<TypeIdx>,
    /// Of a struct type: the type of the custom descriptors that its objects have.
    pub descriptor: Option<TypeIdx>,
    /// Of a struct type: the type whose custom descriptors its objects are.
    pub describes: Option<TypeIdx>,
    pub composite: CompositeType,
}

/// A rec group: the unit of canonicalisation. Its members have consecutive type indices.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RecGroup {
    pub types: Vec<SubType>,
}

/// Limits of a table (elements) or a memory (pages).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub min: u64,
    pub max: Option<u64>,
}

/// A table type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableType {
    pub element: RefType,
    pub limits: Limits,
    /// Whether indices are 64 bits wide (memory64 proposal's tables).
    pub index64: bool,
}

/// A memory type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryType {
    /// In units of the page size.
    pub limits: Limits,
    /// Whether addresses are 64 bits wide.
    pub index64: bool,
    pub shared: bool,
    /// Binary logarithm of the page size in bytes; 16 unless custom page sizes are used.
    pub log_page_bytes: u32,
}

/// A global type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalType {
    pub value: ValType,
    pub mutable: bool,
}

/// The type of an import or export. Functions and tags name their function type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExternType {
    Func(TypeIdx),
    Table(TableType),
    Memory(MemoryType),
    Global(GlobalType),
    Tag(TypeIdx),
}

impl ValType {
    /// Whether values of this type are references.
    #[must_use]
    pub const fn is_ref(self) -> bool {
        matches!(self, Self::Ref(_))
    }
}

impl StorageType {
    /// Whether the collector must trace what is stored.
    #[must_use]
    pub const fn is_ref(self) -> bool {
        matches!(self, Self::Val(ValType::Ref(_)))
    }

    /// Binary logarithm of the size in memory, in bytes. The size is also the alignment, but for `v128`,
    /// which objects align to 8 bytes only.
    #[must_use]
    pub const fn log_bytes(self) -> u32 {
        match self {
            Self::I8 => 0,
            Self::I16 => 1,
            Self::Val(ValType::I32 | ValType::F32 | ValType::Ref(_)) => 2,
            Self::Val(ValType::I64 | ValType::F64) => 3,
            Self::Val(ValType::V128) => 4,
        }
    }

    /// The value type on the operand stack.
    #[must_use]
    pub const fn unpacked(self) -> ValType {
        match self {
            Self::I8 | Self::I16 => ValType::I32,
            Self::Val(v) => v,
        }
    }
}
