//! Reading sections one by one into the module's description.

use super::call_trees::CallTrees;
use super::constants::Constants;
use super::hints::BranchHints;
use super::merged::Merged;
use super::nests::Nests;
use super::values::StoredValues;
use super::{Body, InitStep, Module, collect_func_refs, names, types};
use crate::error::CompileError;
use dolmen_abi::meta::{DataSegment, ElemItems, ElemSegment, Export, ExternIdx, Import, ModuleMeta, Names};
use dolmen_abi::types::{ExternType, HeapType, RecGroup, RefType, SubType, TypeIdx};
use std::collections::BTreeSet;
use wasmparser::{
    ConstExpr, DataKind, DataSectionReader, ElementItems, ElementKind, ElementSectionReader, ExportSectionReader,
    ExternalKind, GlobalSectionReader, ImportSectionReader, Payload, TableInit, TableSectionReader, TypeRef,
    TypeSectionReader,
};

/// What was read so far.
#[derive(Default)]
pub(super) struct Sections<'a> {
    meta: ModuleMeta,
    names: Names,
    hints: BranchHints,
    custom: Vec<(&'a str, &'a [u8])>,
    data: Vec<u8>,
    types: Vec<SubType>,
    pub(super) bodies: Vec<Body<'a>>,
    globals: Vec<InitStep<'a>>,
    tables: Vec<InitStep<'a>>,
    elem_items: Vec<InitStep<'a>>,
    active_elems: Vec<InitStep<'a>>,
    active_data: Vec<InitStep<'a>>,
    func_refs: BTreeSet<u32>,
}

impl<'a> Sections<'a> {
    /// Takes one payload that the validator accepted.
    pub(super) fn read(&mut self, payload: Payload<'a>) -> Result<(), CompileError> {
        match payload {
            Payload::TypeSection(reader) => self.read_types(reader),
            Payload::ImportSection(reader) => self.read_imports(reader),
            Payload::FunctionSection(reader) => {
                for ty in reader {
                    self.meta.funcs.push(TypeIdx(ty?));
                }
                Ok(())
            }
            Payload::TableSection(reader) => self.read_tables(reader),
            Payload::MemorySection(reader) => {
                for memory in reader.into_iter_with_offsets() {
                    let (_, memory) = memory?;
                    self.meta.memories.push(types::memory_type(&memory));
                }
                Ok(())
            }
            Payload::TagSection(reader) => {
                for tag in reader {
                    self.meta.tags.push(TypeIdx(tag?.func_type_idx));
                }
                Ok(())
            }
            Payload::GlobalSection(reader) => self.read_globals(reader),
            Payload::ExportSection(reader) => self.read_exports(reader),
            Payload::StartSection { func, .. } => {
                self.meta.start = Some(func);
                self.func_refs.insert(func);
                Ok(())
            }
            Payload::ElementSection(reader) => self.read_elements(reader),
            Payload::DataSection(reader) => self.read_data(reader),
            Payload::CustomSection(custom) => {
                match custom.as_known() {
                    wasmparser::KnownCustom::Name(reader) => self.names = names::read(reader),
                    wasmparser::KnownCustom::BranchHints(reader) => self.hints = BranchHints::read(reader),
                    _ => {}
                }
                self.custom.push((custom.name(), custom.data()));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The module, after its last payload.
    pub(super) fn finish(mut self) -> Module<'a> {
        self.meta.func_refs = self.func_refs.into_iter().collect();
        let init = [self.globals, self.tables, self.elem_items, self.active_elems, self.active_data].concat();
        let canonical = types::canonical_indices(&self.meta.rec_groups);
        Module {
            meta: self.meta,
            names: self.names,
            hints: self.hints,
            profiling: Default::default(),
            custom: self.custom,
            data: self.data,
            types: self.types,
            canonical,
            bodies: self.bodies,
            init,
            constants: Constants::default(),
            stored_values: StoredValues::default(),
            call_trees: CallTrees::default(),
            merged: Merged::default(),
            nests: Nests::default(),
        }
    }

    fn read_types(&mut self, reader: TypeSectionReader<'a>) -> Result<(), CompileError> {
        for group in reader {
            let group: Vec<SubType> = group?
                .into_types_and_offsets()
                .map(|(offset, ty)| types::sub_type(&ty, offset))
                .collect::<Result<_, _>>()?;
            self.types.extend(group.iter().cloned());
            self.meta.rec_groups.push(RecGroup { types: group });
        }
        Ok(())
    }

    fn read_imports(&mut self, reader: ImportSectionReader<'a>) -> Result<(), CompileError> {
        for imports in reader {
            for import in imports? {
                let (offset, import) = import?;
                let ty = match import.ty {
                    TypeRef::Func(ty) | TypeRef::FuncExact(ty) => ExternType::Func(TypeIdx(ty)),
                    TypeRef::Table(ty) => ExternType::Table(types::table_type(&ty, offset)?),
                    TypeRef::Memory(ty) => ExternType::Memory(types::memory_type(&ty)),
                    TypeRef::Global(ty) => ExternType::Global(types::global_type(&ty, offset)?),
                    TypeRef::Tag(ty) => ExternType::Tag(TypeIdx(ty.func_type_idx)),
                };
                match ty {
                    ExternType::Func(ty) => self.meta.funcs.push(ty),
                    ExternType::Table(ty) => self.meta.tables.push(ty),
                    ExternType::Memory(ty) => self.meta.memories.push(ty),
                    ExternType::Global(ty) => self.meta.globals.push(ty),
                    ExternType::Tag(ty) => self.meta.tags.push(ty),
                }
                let exact = matches!(import.ty, TypeRef::FuncExact(_));
                self.meta.imports.push(Import { module: import.module.into(), name: import.name.into(), ty, exact });
            }
        }
        Ok(())
    }

    fn read_tables(&mut self, reader: TableSectionReader<'a>) -> Result<(), CompileError> {
        for table in reader.into_iter_with_offsets() {
            let (offset, table) = table?;
            if let TableInit::Expr(value) = table.init {
                collect_func_refs(&value, &mut self.func_refs)?;
                self.tables.push(InitStep::Table { table: self.meta.tables.len() as u32, value });
            }
            self.meta.tables.push(types::table_type(&table.ty, offset)?);
        }
        Ok(())
    }

    fn read_globals(&mut self, reader: GlobalSectionReader<'a>) -> Result<(), CompileError> {
        for global in reader.into_iter_with_offsets() {
            let (offset, global) = global?;
            collect_func_refs(&global.init_expr, &mut self.func_refs)?;
            self.globals.push(InitStep::Global { global: self.meta.globals.len() as u32, value: global.init_expr });
            self.meta.globals.push(types::global_type(&global.ty, offset)?);
        }
        Ok(())
    }

    fn read_exports(&mut self, reader: ExportSectionReader<'a>) -> Result<(), CompileError> {
        for export in reader {
            let export = export?;
            let index = match export.kind {
                ExternalKind::Func | ExternalKind::FuncExact => {
                    self.func_refs.insert(export.index);
                    ExternIdx::Func(export.index)
                }
                ExternalKind::Table => ExternIdx::Table(export.index),
                ExternalKind::Memory => ExternIdx::Memory(export.index),
                ExternalKind::Global => ExternIdx::Global(export.index),
                ExternalKind::Tag => ExternIdx::Tag(export.index),
            };
            self.meta.exports.push(Export { name: export.name.into(), index });
        }
        Ok(())
    }

    fn read_elements(&mut self, reader: ElementSectionReader<'a>) -> Result<(), CompileError> {
        for element in reader.into_iter_with_offsets() {
            let (offset, element) = element?;
            let segment = self.meta.elems.len() as u32;
            let (ty, items) = self.read_element_items(segment, element.items, offset)?;
            let len = match &items {
                ElemItems::Funcs(funcs) => funcs.len() as u32,
                ElemItems::Exprs(count) => *count,
            };
            self.meta.elems.push(ElemSegment { element: ty, items });
            match element.kind {
                ElementKind::Active { table_index, offset_expr } => {
                    let table = table_index.unwrap_or(0);
                    self.active_elems.push(InitStep::ActiveElem { segment, table, offset: offset_expr, len });
                }
                ElementKind::Declared => self.active_elems.push(InitStep::ElemDrop { segment }),
                ElementKind::Passive => {}
            }
        }
        Ok(())
    }

    fn read_element_items(
        &mut self,
        segment: u32,
        items: ElementItems<'a>,
        offset: u64,
    ) -> Result<(RefType, ElemItems), CompileError> {
        match items {
            ElementItems::Functions(reader) => {
                let funcs = reader.into_iter().collect::<Result<Vec<u32>, _>>()?;
                self.func_refs.extend(&funcs);
                Ok((RefType { nullable: false, heap: HeapType::Func }, ElemItems::Funcs(funcs)))
            }
            ElementItems::Expressions(ty, reader) => {
                let ty = types::ref_type(ty, offset)?;
                let values = reader.into_iter().collect::<Result<Vec<ConstExpr<'a>>, _>>()?;
                let funcs: Option<Vec<u32>> = values.iter().map(plain_ref_func).collect();
                for value in &values {
                    collect_func_refs(value, &mut self.func_refs)?;
                }
                if let Some(funcs) = funcs {
                    return Ok((ty, ElemItems::Funcs(funcs)));
                }
                let count = values.len() as u32;
                self.elem_items.extend(values.into_iter().enumerate().map(|(index, value)| InitStep::ElemItem {
                    segment,
                    index: index as u32,
                    value,
                }));
                Ok((ty, ElemItems::Exprs(count)))
            }
        }
    }

    fn read_data(&mut self, reader: DataSectionReader<'a>) -> Result<(), CompileError> {
        for data in reader {
            let data = data?;
            let segment = self.meta.data.len() as u32;
            let (offset, len_bytes) = (self.data.len() as u64, data.data.len() as u64);
            self.meta.data.push(DataSegment { offset, len_bytes });
            self.data.extend_from_slice(data.data);
            if let DataKind::Active { memory_index, offset_expr } = data.kind {
                self.active_data.push(InitStep::ActiveData {
                    segment,
                    memory: memory_index,
                    offset: offset_expr,
                    len: len_bytes as u32,
                });
            }
        }
        Ok(())
    }
}

/// The function of an expression that is one `ref.func` and nothing else.
fn plain_ref_func(expr: &ConstExpr<'_>) -> Option<u32> {
    let mut operators = expr.get_operators_reader().into_iter();
    match (operators.next(), operators.next()) {
        (Some(Ok(wasmparser::Operator::RefFunc { function_index })), Some(Ok(wasmparser::Operator::End))) => {
            Some(function_index)
        }
        _ => None,
    }
}
