//! Reads a WebAssembly module in the binary format, without validating it.

use super::{Contents, Counts, Section};
use anyhow::{Context, Result, bail};
use dolmen_abi::meta::Import;
use dolmen_abi::types::{
    CompositeType, ExternType, FieldType, FuncType, GlobalType, HeapType, Limits, MemoryType, RecGroup, RefType,
    StorageType, SubType, TableType, TypeIdx, ValType,
};
use wasmparser::{
    AbstractHeapType, CompositeInnerType, ExternalKind, PackedIndex, Parser, Payload, TypeRef, UnpackedIndex,
};

/// Binary logarithm of the size of a page, in bytes.
const LOG_PAGE_BYTES: u32 = 16;

/// The index spaces, as far as exports need them.
#[derive(Debug, Default)]
struct Spaces {
    functions: Vec<TypeIdx>,
    tables: Vec<TableType>,
    memories: Vec<MemoryType>,
    globals: Vec<GlobalType>,
    tags: Vec<TypeIdx>,
}

/// Reads what is in a module.
///
/// # Errors
///
/// When it is malformed, or uses types that artifacts do not have.
pub fn read(bytes: &[u8]) -> Result<Contents> {
    let mut contents = Contents::default();
    let mut spaces = Spaces::default();
    let mut exports = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        note_section(&payload, &mut contents.sections);
        read_section(payload, &mut contents, &mut spaces, &mut exports)?;
    }
    for (name, kind, index) in exports {
        let ty = spaces.get(kind, index).with_context(|| format!("export {name:?} names an item that is not there"))?;
        contents.exports.push((name, ty));
    }
    contents.counts = Counts {
        functions: spaces.functions.len(),
        tables: spaces.tables.len(),
        memories: spaces.memories.len(),
        globals: spaces.globals.len(),
        tags: spaces.tags.len(),
        ..contents.counts
    };
    Ok(contents)
}

fn note_section(payload: &Payload<'_>, sections: &mut Vec<Section>) {
    let name = match payload {
        Payload::TypeSection(_) => "type",
        Payload::ImportSection(_) => "import",
        Payload::FunctionSection(_) => "function",
        Payload::TableSection(_) => "table",
        Payload::MemorySection(_) => "memory",
        Payload::TagSection(_) => "tag",
        Payload::GlobalSection(_) => "global",
        Payload::ExportSection(_) => "export",
        Payload::StartSection { .. } => "start",
        Payload::ElementSection(_) => "element",
        Payload::DataCountSection { .. } => "data count",
        Payload::DataSection(_) => "data",
        Payload::CodeSectionStart { .. } => "code",
        Payload::CustomSection(section) => &format!("custom {:?}", section.name()),
        _ => return,
    };
    if let Some((_, range)) = payload.as_section() {
        sections.push(Section { name: name.to_owned(), bytes: range.end - range.start });
    }
}

fn read_section(
    payload: Payload<'_>,
    contents: &mut Contents,
    spaces: &mut Spaces,
    exports: &mut Vec<(String, ExternalKind, u32)>,
) -> Result<()> {
    match payload {
        Payload::Version { encoding: wasmparser::Encoding::Component, .. } => bail!("components are not supported"),
        Payload::TypeSection(section) => {
            for group in section {
                contents.rec_groups.push(rec_group(group?)?);
            }
        }
        Payload::ImportSection(section) => {
            for import in section.into_imports() {
                let import = import?;
                let exact = matches!(import.ty, TypeRef::FuncExact(_));
                let ty = spaces.add(import.ty)?;
                let (module, name) = (import.module.to_owned(), import.name.to_owned());
                contents.imports.push(Import { module, name, ty, exact });
            }
        }
        Payload::FunctionSection(section) => {
            for index in section {
                spaces.functions.push(TypeIdx(index?));
            }
        }
        Payload::TableSection(section) => {
            for table in section {
                spaces.add(TypeRef::Table(table?.ty))?;
            }
        }
        Payload::MemorySection(section) => {
            for memory in section {
                spaces.add(TypeRef::Memory(memory?))?;
            }
        }
        Payload::TagSection(section) => {
            for tag in section {
                spaces.add(TypeRef::Tag(tag?))?;
            }
        }
        Payload::GlobalSection(section) => {
            for global in section {
                spaces.add(TypeRef::Global(global?.ty))?;
            }
        }
        Payload::ExportSection(section) => {
            for export in section {
                let export = export?;
                exports.push((export.name.to_owned(), export.kind, export.index));
            }
        }
        Payload::ElementSection(section) => contents.counts.element_segments = section.count() as usize,
        Payload::DataSection(section) => contents.counts.data_segments = section.count() as usize,
        Payload::CustomSection(section) if section.name() == "name" => contents.name = module_name(&section),
        _ => {}
    }
    Ok(())
}

/// The module's own name. The name section has no say in whether a module is well formed.
fn module_name(section: &wasmparser::CustomSectionReader<'_>) -> Option<String> {
    let wasmparser::KnownCustom::Name(names) = section.as_known() else { return None };
    names.into_iter().find_map(|name| match name {
        Ok(wasmparser::Name::Module { name, .. }) => Some(name.to_owned()),
        _ => None,
    })
}

impl Spaces {
    fn add(&mut self, ty: TypeRef) -> Result<ExternType> {
        Ok(match ty {
            TypeRef::Func(index) | TypeRef::FuncExact(index) => {
                self.functions.push(TypeIdx(index));
                ExternType::Func(TypeIdx(index))
            }
            TypeRef::Table(ty) => {
                let limits = Limits { min: ty.initial, max: ty.maximum };
                let ty = TableType { element: ref_type(ty.element_type)?, limits, index64: ty.table64 };
                self.tables.push(ty);
                ExternType::Table(ty)
            }
            TypeRef::Memory(ty) => {
                let ty = MemoryType {
                    limits: Limits { min: ty.initial, max: ty.maximum },
                    index64: ty.memory64,
                    shared: ty.shared,
                    log_page_bytes: ty.page_size_log2.unwrap_or(LOG_PAGE_BYTES),
                };
                self.memories.push(ty);
                ExternType::Memory(ty)
            }
            TypeRef::Global(ty) => {
                let ty = GlobalType { value: val_type(ty.content_type)?, mutable: ty.mutable };
                self.globals.push(ty);
                ExternType::Global(ty)
            }
            TypeRef::Tag(ty) => {
                self.tags.push(TypeIdx(ty.func_type_idx));
                ExternType::Tag(TypeIdx(ty.func_type_idx))
            }
        })
    }

    fn get(&self, kind: ExternalKind, index: u32) -> Option<ExternType> {
        let index = index as usize;
        match kind {
            ExternalKind::Func | ExternalKind::FuncExact => self.functions.get(index).copied().map(ExternType::Func),
            ExternalKind::Table => self.tables.get(index).copied().map(ExternType::Table),
            ExternalKind::Memory => self.memories.get(index).copied().map(ExternType::Memory),
            ExternalKind::Global => self.globals.get(index).copied().map(ExternType::Global),
            ExternalKind::Tag => self.tags.get(index).copied().map(ExternType::Tag),
        }
    }
}

fn rec_group(group: wasmparser::RecGroup) -> Result<RecGroup> {
    let types = group.into_types().map(|ty| {
        let supertype = ty.supertype_idxs.first().map(|index| type_index(index.unpack())).transpose()?;
        let composite = composite_type(&ty.composite_type.inner)?;
        let index = |index: Option<PackedIndex>| index.map(|index| type_index(index.unpack())).transpose();
        let descriptor = index(ty.composite_type.descriptor_idx)?;
        let describes = index(ty.composite_type.describes_idx)?;
        Ok(SubType { is_final: ty.is_final, supertype, descriptor, describes, composite })
    });
    Ok(RecGroup { types: types.collect::<Result<_>>()? })
}

fn composite_type(ty: &CompositeInnerType) -> Result<CompositeType> {
    let val_types = |types: &[wasmparser::ValType]| types.iter().map(|&ty| val_type(ty)).collect::<Result<_>>();
    Ok(match ty {
        CompositeInnerType::Func(ty) => {
            CompositeType::Func(FuncType { params: val_types(ty.params())?, results: val_types(ty.results())? })
        }
        CompositeInnerType::Struct(ty) => {
            CompositeType::Struct(ty.fields.iter().map(field_type).collect::<Result<_>>()?)
        }
        CompositeInnerType::Array(ty) => CompositeType::Array(field_type(&ty.0)?),
        CompositeInnerType::Cont(_) => bail!("continuation types are not supported"),
    })
}

fn field_type(ty: &wasmparser::FieldType) -> Result<FieldType> {
    let storage = match ty.element_type {
        wasmparser::StorageType::I8 => StorageType::I8,
        wasmparser::StorageType::I16 => StorageType::I16,
        wasmparser::StorageType::Val(ty) => StorageType::Val(val_type(ty)?),
    };
    Ok(FieldType { storage, mutable: ty.mutable })
}

fn val_type(ty: wasmparser::ValType) -> Result<ValType> {
    Ok(match ty {
        wasmparser::ValType::I32 => ValType::I32,
        wasmparser::ValType::I64 => ValType::I64,
        wasmparser::ValType::F32 => ValType::F32,
        wasmparser::ValType::F64 => ValType::F64,
        wasmparser::ValType::V128 => ValType::V128,
        wasmparser::ValType::Ref(ty) => ValType::Ref(ref_type(ty)?),
    })
}

fn ref_type(ty: wasmparser::RefType) -> Result<RefType> {
    let heap = match ty.heap_type() {
        wasmparser::HeapType::Abstract { ty, .. } => abstract_heap_type(ty)?,
        wasmparser::HeapType::Concrete(index) => HeapType::Concrete(type_index(index)?),
        wasmparser::HeapType::Exact(index) => HeapType::Exact(type_index(index)?),
    };
    Ok(RefType { nullable: ty.is_nullable(), heap })
}

fn abstract_heap_type(ty: AbstractHeapType) -> Result<HeapType> {
    Ok(match ty {
        AbstractHeapType::Any => HeapType::Any,
        AbstractHeapType::Eq => HeapType::Eq,
        AbstractHeapType::I31 => HeapType::I31,
        AbstractHeapType::Struct => HeapType::Struct,
        AbstractHeapType::Array => HeapType::Array,
        AbstractHeapType::None => HeapType::None,
        AbstractHeapType::Func => HeapType::Func,
        AbstractHeapType::NoFunc => HeapType::NoFunc,
        AbstractHeapType::Extern => HeapType::Extern,
        AbstractHeapType::NoExtern => HeapType::NoExtern,
        AbstractHeapType::Exn => HeapType::Exn,
        AbstractHeapType::NoExn => HeapType::NoExn,
        AbstractHeapType::Cont | AbstractHeapType::NoCont => bail!("continuation types are not supported"),
    })
}

fn type_index(index: UnpackedIndex) -> Result<TypeIdx> {
    index.as_module_index().map(TypeIdx).context("a type index is not one of the module")
}
