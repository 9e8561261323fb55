//! Unboxed scalars: an `i31` is a reference word with its low bit set.

use crate::llvm::{Cast, Op, Value};
use crate::translate::function::FunctionTranslator;
use dolmen_abi::reference::{I31_TAG, LOG_I31_SHIFT};
use dolmen_abi::trap::TrapCode;
use dolmen_abi::types::{HeapType, RefType, ValType};
use wasmparser::Operator;

const I31: ValType = ValType::Ref(RefType { nullable: false, heap: HeapType::I31 });

impl FunctionTranslator<'_, '_, '_> {
    /// Translates the operator if it is of this family.
    pub(crate) fn translate_i31(&mut self, operator: &Operator<'_>) -> bool {
        match operator {
            Operator::RefI31 | Operator::RefI31Shared => self.translate_ref_i31(),
            Operator::I31GetS => self.translate_i31_get(Op::AShr),
            Operator::I31GetU => self.translate_i31_get(Op::LShr),
            _ => return false,
        }
        true
    }

    fn translate_ref_i31(&mut self) {
        let value = self.pop();
        let shifted = self.b.binary(Op::Shl, value, self.i32(LOG_I31_SHIFT));
        let word = self.b.binary(Op::Or, shifted, self.i32(I31_TAG));
        let reference = self.b.cast(Cast::IntToPtr, word, self.unit.types.reference);
        self.push(reference, I31);
    }

    fn translate_i31_get(&mut self, shift: Op) {
        let operand = self.stack.pop();
        self.trap_if_null(operand, TrapCode::NullI31Reference);
        let word = self.reference_word(operand.value);
        let value = self.b.binary(shift, word, self.i32(LOG_I31_SHIFT));
        self.push(value, ValType::I32);
    }

    /// The 32 bits of a reference.
    pub(crate) fn reference_word(&self, reference: Value) -> Value {
        self.b.cast(Cast::PtrToInt, reference, self.unit.types.i32)
    }
}
