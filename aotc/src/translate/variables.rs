//! Locals, globals, `drop` and `select`.

use crate::llvm::Value;
use crate::translate::devirtualise::Fact;
use crate::translate::function::FunctionTranslator;
use dolmen_abi::types::ValType;
use wasmparser::Operator;

impl FunctionTranslator<'_, '_, '_> {
    /// Translates the operator if it is of this family.
    pub(crate) fn translate_variable(&mut self, operator: &Operator<'_>) -> bool {
        match *operator {
            Operator::LocalGet { local_index } => self.translate_local_get(local_index),
            Operator::LocalSet { local_index } => self.translate_local_set(local_index),
            Operator::LocalTee { local_index } => self.translate_local_tee(local_index),
            Operator::GlobalGet { global_index } => self.translate_global_get(global_index),
            Operator::GlobalSet { global_index } => self.translate_global_set(global_index),
            Operator::Drop => drop(self.stack.pop()),
            Operator::Select => self.translate_select(None),
            Operator::TypedSelect { ty } => {
                self.translate_select(crate::module::types::val_type(ty, self.offset).ok());
            }
            _ => return false,
        }
        true
    }

    fn translate_local_get(&mut self, index: u32) {
        let local = self.locals[index as usize];
        let value = self.b.load(self.lower_type(local.ty), local.slot);
        self.push(value, local.ty);
        if index < self.param_count && local.ty.is_ref() {
            self.note_fact(Some(Fact::Param(index)));
        }
    }

    fn translate_local_set(&mut self, index: u32) {
        let value = self.pop();
        self.b.store(value, self.locals[index as usize].slot);
    }

    fn translate_local_tee(&mut self, index: u32) {
        let local = self.locals[index as usize];
        let operand = self.stack.pop();
        self.b.store(operand.value, local.slot);
        self.push(operand.value, local.ty);
    }

    fn translate_global_get(&mut self, index: u32) {
        let ty = self.unit.module.meta.globals[index as usize].value;
        let known = self.known_global(index);
        let value = known.and_then(|constant| self.constant_value(constant));
        let value = value.unwrap_or_else(|| self.load_global(index));
        self.push(value, ty);
        let variable = || self.unit.module.stored_values.global(index).map(|_| Fact::Variable(index));
        self.note_fact(known.map(Fact::Is).or_else(variable));
    }

    /// The value of a global, from memory.
    pub(crate) fn load_global(&self, index: u32) -> Value {
        let ty = self.unit.module.meta.globals[index as usize];
        let address = self.global_address(index);
        let load = self.b.load(self.lower_type(ty.value), address);
        if ty.mutable {
            self.unit.alias.tag(load, self.unit.metadata.tbaa, self.unit.alias.global);
        } else if !self.in_init {
            self.unit.mark_invariant(load);
            if let Some(offset) = self.unit.offset_in_instance(self.function, address) {
                self.unit.note_invariant_place(offset);
            }
        }
        load
    }

    fn translate_global_set(&mut self, index: u32) {
        let value = self.pop();
        self.store_global(index, value);
    }

    /// Stores into a global; for initialisation also into immutable ones.
    pub(crate) fn store_global(&mut self, index: u32, value: Value) {
        let address = self.global_address(index);
        let store = self.b.store(value, address);
        self.unit.alias.tag(store, self.unit.metadata.tbaa, self.unit.alias.global);
    }

    pub(crate) fn global_address(&self, index: u32) -> Value {
        let layout = &self.unit.layout;
        let imported = self.unit.module.meta.imported_globals() as u32;
        match index.checked_sub(imported) {
            None => self.load_instance(self.unit.types.ptr, layout.imported_globals + 8 * index),
            Some(defined) => {
                let offset = layout.globals[defined as usize];
                let ty = self.unit.module.meta.globals[index as usize].value;
                self.unit.instance_address(&self.b, self.instance, offset, self.lower_type(ty).size_bytes())
            }
        }
    }

    /// Selects by a condition; the type is given where operands are references.
    fn translate_select(&mut self, ty: Option<ValType>) {
        let condition = self.pop_condition();
        let otherwise = self.stack.pop();
        let then = self.stack.pop();
        let value = self.b.select(condition, then.value, otherwise.value);
        self.push(value, ty.unwrap_or(then.ty));
    }
}
