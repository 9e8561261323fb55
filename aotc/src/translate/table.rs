//! Tables: access to elements, size, growth and the bulk operators.
//!
//! A table is reached as a memory is ([`super::memory`]): `instance ─ tables[index] ─► TableDef { base, len }`.
//! Its elements are references, four bytes each. Elements are roots that the runtime scans, so storing one needs
//! no barrier. Single accesses are inline; what touches many elements or changes the table calls the runtime.
//! Reference: WebAssembly 3.0, section 4.6 "Table instructions".

use crate::error::CompileError;
use crate::llvm::{IntPredicate, Ordering, Value};
use crate::translate::function::FunctionTranslator;
use crate::translate::memory::fixed_size;
use dolmen_abi::builtin::Builtin;
use dolmen_abi::context::TableDef;
use dolmen_abi::trap::TrapCode;
use dolmen_abi::types::{TableType, ValType};
use std::mem::offset_of;
use wasmparser::Operator;

impl FunctionTranslator<'_, '_, '_> {
    /// Translates the operator if it is of this family.
    pub(crate) fn translate_table(&mut self, operator: &Operator<'_>) -> Result<bool, CompileError> {
        match *operator {
            Operator::TableGet { table } => {
                let index = self.pop();
                let element = self.load_table_element(table, index, TrapCode::TableOutOfBounds);
                self.push(element, ValType::Ref(self.table_type(table).element));
            }
            Operator::TableSet { table } => self.translate_table_set(table),
            Operator::TableSize { table } => {
                let len = self.table_len(table);
                self.push_index(len, self.table_type(table).index64);
            }
            Operator::TableGrow { table } => self.translate_table_grow(table),
            Operator::TableFill { table } => self.translate_table_fill(table),
            Operator::TableCopy { dst_table, src_table } => self.translate_table_copy(dst_table, src_table),
            Operator::TableInit { elem_index, table } => self.translate_table_init(elem_index, table),
            Operator::ElemDrop { elem_index } => {
                self.call_builtin(Builtin::ElemDrop, &[self.instance, self.unit.index(elem_index)]);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Element `index`, an operand of either width; traps with `trap` if there is none.
    pub(crate) fn load_table_element(&mut self, table: u32, index: Value, trap: TrapCode) -> Value {
        let slot = self.table_slot(table, index, trap);
        let load = self.b.load(self.unit.types.reference, slot);
        self.unit.alias.tag(load, self.unit.metadata.tbaa, self.unit.alias.table);
        load
    }

    /// The native address of element `index`; traps with `trap` if there is none.
    pub(crate) fn table_slot(&mut self, table: u32, index: Value, trap: TrapCode) -> Value {
        let index = self.widen_index(index);
        let definition = self.table_definition(table);
        let base = self.load_definition(definition, self.unit.types.ptr, offset_of!(TableDef, base));
        let len = self.table_len(table);
        let outside = self.b.icmp(IntPredicate::Uge, index, len);
        self.trap_if(outside, trap);
        self.b.gep(self.unit.types.reference, base, index)
    }

    fn translate_table_set(&mut self, table: u32) {
        let element = self.pop();
        let index = self.pop();
        let slot = self.table_slot(table, index, TrapCode::TableOutOfBounds);
        let store = self.b.store(element, slot);
        self.unit.alias.tag(store, self.unit.metadata.tbaa, self.unit.alias.table);
    }

    fn translate_table_grow(&mut self, table: u32) {
        let delta = self.pop_index();
        let init = self.pop();
        let old = self.call_builtin(Builtin::TableGrow, &[self.instance, self.unit.index(table), init, delta]);
        self.push_index(old, self.table_type(table).index64);
    }

    fn translate_table_fill(&mut self, table: u32) {
        let len = self.pop_index();
        let element = self.pop();
        let dst = self.pop_index();
        self.call_builtin(Builtin::TableFill, &[self.instance, self.unit.index(table), dst, element, len]);
    }

    fn translate_table_copy(&mut self, dst_table: u32, src_table: u32) {
        let len = self.pop_index();
        let src = self.pop_index();
        let dst = self.pop_index();
        let args = [self.instance, self.unit.index(dst_table), self.unit.index(src_table), dst, src, len];
        self.call_builtin(Builtin::TableCopy, &args);
    }

    fn translate_table_init(&mut self, segment: u32, table: u32) {
        let len = self.pop();
        let src = self.pop();
        let dst = self.pop_index();
        let args = [self.instance, self.unit.index(table), self.unit.index(segment), dst, src, len];
        self.call_builtin(Builtin::TableInit, &args);
    }

    pub(crate) fn table_type(&self, table: u32) -> TableType {
        self.unit.module.meta.tables[table as usize]
    }

    /// The address of a table's [`TableDef`].
    fn table_definition(&mut self, table: u32) -> Value {
        self.definition(self.unit.layout.tables + 8 * table)
    }

    fn table_len(&mut self, table: u32) -> Value {
        match fixed_size(self.table_type(table).limits) {
            Some(len) => self.i64(len),
            None => {
                let definition = self.table_definition(table);
                let len = self.load_definition(definition, self.unit.types.i64, offset_of!(TableDef, len));
                if self.unit.fences {
                    // Whoever sees the length must see the elements, which may be ones that are never null.
                    len.set_ordering(Ordering::Acquire);
                }
                len
            }
        }
    }
}
