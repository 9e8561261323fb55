//! Wide arithmetic: 128-bit sums and products in pairs of `i64`, low half first.
//!
//! Each operator is one instruction of LLVM on 128-bit integers, which knows the processor's carries and double-width
//! products. Reference: the wide-arithmetic proposal.

use crate::llvm::{Cast, Op, Type, Value};
use crate::translate::function::FunctionTranslator;
use dolmen_abi::types::ValType::I64;
use wasmparser::Operator;

impl FunctionTranslator<'_, '_, '_> {
    /// Translates the operator if it is of this family.
    pub(crate) fn translate_wide(&mut self, operator: &Operator<'_>) -> bool {
        match operator {
            Operator::I64Add128 => self.translate_pairs(Op::Add),
            Operator::I64Sub128 => self.translate_pairs(Op::Sub),
            Operator::I64MulWideS => self.translate_mul_wide(Cast::SExt),
            Operator::I64MulWideU => self.translate_mul_wide(Cast::ZExt),
            _ => return false,
        }
        true
    }

    fn translate_pairs(&mut self, op: Op) {
        let rhs = self.pop_pair();
        let lhs = self.pop_pair();
        let result = self.b.binary(op, lhs, rhs);
        self.push_pair(result);
    }

    fn translate_mul_wide(&mut self, widen: Cast) {
        let (rhs, lhs) = (self.pop(), self.pop());
        let [lhs, rhs] = [lhs, rhs].map(|factor| self.b.cast(widen, factor, self.wide_type()));
        let product = self.b.binary(Op::Mul, lhs, rhs);
        self.push_pair(product);
    }

    fn pop_pair(&mut self) -> Value {
        let (high, low) = (self.pop(), self.pop());
        let [low, high] = [low, high].map(|half| self.b.cast(Cast::ZExt, half, self.wide_type()));
        let high = self.b.binary(Op::Shl, high, self.half_bits());
        self.b.binary(Op::Or, low, high)
    }

    fn push_pair(&mut self, value: Value) {
        let low = self.b.cast(Cast::Trunc, value, self.unit.types.i64);
        let high = self.b.binary(Op::LShr, value, self.half_bits());
        let high = self.b.cast(Cast::Trunc, high, self.unit.types.i64);
        self.push(low, I64);
        self.push(high, I64);
    }

    fn wide_type(&self) -> Type {
        self.unit.context.int_type(2 * i64::BITS)
    }

    fn half_bits(&self) -> Value {
        self.wide_type().int(i64::BITS.into())
    }
}
