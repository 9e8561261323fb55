//! References of any kind: null, identity, functions, conversion between hierarchies, and branches on null.

use crate::error::CompileError;
use crate::llvm::{Cast, IntPredicate, Value};
use crate::module::constants::Constant;
use crate::translate::devirtualise::Fact;
use crate::translate::function::FunctionTranslator;
use dolmen_abi::trap::TrapCode;
use dolmen_abi::types::{HeapType, RefType, ValType};
use wasmparser::Operator;

impl FunctionTranslator<'_, '_, '_> {
    /// Translates the operator if it is of this family.
    pub(crate) fn translate_reference(&mut self, operator: &Operator<'_>) -> Result<bool, CompileError> {
        match *operator {
            Operator::RefNull { hty } => {
                let heap = crate::module::types::heap_type(hty, self.offset)?;
                self.push(self.unit.types.reference.zero(), ValType::Ref(RefType { nullable: true, heap }));
            }
            Operator::RefIsNull => {
                let reference = self.pop();
                let is_null = self.is_null(reference);
                self.push_bool(is_null);
            }
            Operator::RefFunc { function_index } => self.translate_ref_func(function_index),
            Operator::RefEq => {
                let (rhs, lhs) = (self.pop(), self.pop());
                let equal = self.b.icmp(IntPredicate::Eq, lhs, rhs);
                self.push_bool(equal);
            }
            Operator::RefAsNonNull => {
                let operand = self.stack.pop();
                self.trap_if_null(operand, TrapCode::NullReference);
                self.push(operand.value, non_null(operand.ty));
                self.stack.set_fact(operand.fact);
            }
            Operator::BrOnNull { relative_depth } => self.translate_br_on_null(relative_depth),
            Operator::BrOnNonNull { relative_depth } => self.translate_br_on_non_null(relative_depth),
            Operator::AnyConvertExtern => self.convert_hierarchy(HeapType::Any),
            Operator::ExternConvertAny => self.convert_hierarchy(HeapType::Extern),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Pushes a condition as `i32`.
    pub(crate) fn push_bool(&mut self, condition: Value) {
        let value = self.b.cast(Cast::ZExt, condition, self.unit.types.i32);
        self.push(value, ValType::I32);
    }

    fn translate_ref_func(&mut self, func: u32) {
        let reference = self.func_ref(func);
        self.push(reference, Self::ref_to(self.unit.module.meta.funcs[func as usize]));
        self.note_fact(Some(Fact::Is(Constant::Func(func))));
    }

    /// The instance's reference to a function that is declared to be referred to.
    pub(crate) fn func_ref(&self, func: u32) -> Value {
        self.load_instance(self.unit.types.reference, self.unit.func_ref_offset(func))
    }

    fn translate_br_on_null(&mut self, depth: u32) {
        let operand = self.stack.pop();
        let is_null = self.is_null(operand.value);
        self.branch_if(is_null, depth);
        self.push(operand.value, non_null(operand.ty));
        self.stack.set_fact(operand.fact);
    }

    fn translate_br_on_non_null(&mut self, depth: u32) {
        let operand = self.stack.pop();
        let is_null = self.is_null(operand.value);
        let not_null = self.b.icmp(IntPredicate::Eq, is_null, self.unit.types.i1.int(0));
        self.push(operand.value, non_null(operand.ty));
        self.branch_if(not_null, depth);
        self.stack.pop();
    }

    /// Both hierarchies share one encoding, so only the static type changes.
    fn convert_hierarchy(&mut self, heap: HeapType) {
        let operand = self.stack.pop();
        let nullable = !matches!(operand.ty, ValType::Ref(RefType { nullable: false, .. }));
        self.push(operand.value, ValType::Ref(RefType { nullable, heap }));
    }
}

/// The type without null.
pub(crate) fn non_null(ty: ValType) -> ValType {
    match ty {
        ValType::Ref(ty) => ValType::Ref(RefType { nullable: false, ..ty }),
        other => other,
    }
}
