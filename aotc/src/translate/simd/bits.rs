//! Bitwise operators, and questions about all lanes at once.

use super::Shape;
use crate::llvm::{Cast, IntPredicate, Op, Value};
use crate::translate::function::FunctionTranslator;
use dolmen_abi::types::ValType;
use wasmparser::Operator;

/// A question about a vector.
#[derive(Clone, Copy)]
enum Question {
    /// Whether any bit is set.
    AnyTrue,
    /// Whether no lane is zero.
    AllTrue(Shape),
    /// The highest bits of all lanes, that of lane 0 lowest.
    Bitmask(Shape),
}

fn question(operator: &Operator<'_>) -> Option<Question> {
    use Question::{AllTrue, AnyTrue, Bitmask};
    Some(match operator {
        Operator::V128AnyTrue => AnyTrue,
        Operator::I8x16AllTrue => AllTrue(Shape::I8x16),
        Operator::I16x8AllTrue => AllTrue(Shape::I16x8),
        Operator::I32x4AllTrue => AllTrue(Shape::I32x4),
        Operator::I64x2AllTrue => AllTrue(Shape::I64x2),
        Operator::I8x16Bitmask => Bitmask(Shape::I8x16),
        Operator::I16x8Bitmask => Bitmask(Shape::I16x8),
        Operator::I32x4Bitmask => Bitmask(Shape::I32x4),
        Operator::I64x2Bitmask => Bitmask(Shape::I64x2),
        _ => return None,
    })
}

impl FunctionTranslator<'_, '_, '_> {
    /// Translates the operator if it is of this family.
    pub(super) fn translate_simd_bits(&mut self, operator: &Operator<'_>) -> bool {
        if let Some(question) = question(operator) {
            let answer = self.answer(question);
            self.push(answer, ValType::I32);
            return true;
        }
        let result = match operator {
            Operator::V128Not => {
                let operand = self.pop_words();
                self.not(operand)
            }
            Operator::V128And => self.bitwise(Op::And),
            Operator::V128Or => self.bitwise(Op::Or),
            Operator::V128Xor => self.bitwise(Op::Xor),
            Operator::V128AndNot => {
                let (rhs, lhs) = (self.pop_words(), self.pop_words());
                let rhs = self.not(rhs);
                self.b.binary(Op::And, lhs, rhs)
            }
            Operator::V128Bitselect => self.pop_bitselect(),
            _ => return false,
        };
        self.push_vector(result);
        true
    }

    /// Pops a mask and two vectors: bits of the lower one where the mask is set, of the upper one elsewhere.
    pub(super) fn pop_bitselect(&mut self) -> Value {
        let (mask, otherwise, then) = (self.pop_words(), self.pop_words(), self.pop_words());
        let then = self.b.binary(Op::And, then, mask);
        let otherwise = self.b.binary(Op::And, otherwise, self.not(mask));
        self.b.binary(Op::Or, then, otherwise)
    }

    fn bitwise(&mut self, op: Op) -> Value {
        let (rhs, lhs) = (self.pop_words(), self.pop_words());
        self.b.binary(op, lhs, rhs)
    }

    /// Pops a vector in the shape in which LLVM knows bitwise instructions.
    fn pop_words(&mut self) -> Value {
        self.pop_shape(Shape::I64x2)
    }

    fn not(&self, words: Value) -> Value {
        self.b.binary(Op::Xor, words, self.splat_constant(Shape::I64x2, u64::MAX))
    }

    fn answer(&mut self, question: Question) -> Value {
        let types = self.unit.types;
        match question {
            Question::AnyTrue => {
                let vector = self.pop();
                let bits = self.unit.context.int_type(u128::BITS);
                let is_set = self.b.icmp(IntPredicate::Ne, self.b.cast(Cast::BitCast, vector, bits), bits.zero());
                self.b.cast(Cast::ZExt, is_set, types.i32)
            }
            Question::AllTrue(shape) => {
                let vector = self.pop_shape(shape);
                let zeros = self.mask(IntPredicate::Eq, vector, shape);
                let no_zero = self.b.icmp(IntPredicate::Eq, zeros, zeros.ty().zero());
                self.b.cast(Cast::ZExt, no_zero, types.i32)
            }
            Question::Bitmask(shape) => {
                let vector = self.pop_shape(shape);
                let negative = self.mask(IntPredicate::Slt, vector, shape);
                self.b.cast(Cast::ZExt, negative, types.i32)
            }
        }
    }

    /// A bit for each lane: whether it compares so to zero. That of lane 0 is the lowest.
    fn mask(&self, predicate: IntPredicate, vector: Value, shape: Shape) -> Value {
        let lanes = self.b.icmp(predicate, vector, vector.ty().zero());
        self.b.cast(Cast::BitCast, lanes, self.unit.context.int_type(shape.lanes()))
    }
}
