//! Comparisons: all bits of a lane are set where they hold.

use super::Shape::{self, F32x4, F64x2, I8x16, I16x8, I32x4, I64x2};
use crate::llvm::{Cast, FloatPredicate, IntPredicate};
use crate::translate::function::FunctionTranslator;
use wasmparser::Operator;

fn integer_row(operator: &Operator<'_>) -> Option<(IntPredicate, Shape)> {
    use IntPredicate as P;
    use Operator as O;
    Some(match operator {
        O::I8x16Eq => (P::Eq, I8x16),
        O::I8x16Ne => (P::Ne, I8x16),
        O::I8x16LtS => (P::Slt, I8x16),
        O::I8x16LtU => (P::Ult, I8x16),
        O::I8x16GtS => (P::Sgt, I8x16),
        O::I8x16GtU => (P::Ugt, I8x16),
        O::I8x16LeS => (P::Sle, I8x16),
        O::I8x16LeU => (P::Ule, I8x16),
        O::I8x16GeS => (P::Sge, I8x16),
        O::I8x16GeU => (P::Uge, I8x16),
        O::I16x8Eq => (P::Eq, I16x8),
        O::I16x8Ne => (P::Ne, I16x8),
        O::I16x8LtS => (P::Slt, I16x8),
        O::I16x8LtU => (P::Ult, I16x8),
        O::I16x8GtS => (P::Sgt, I16x8),
        O::I16x8GtU => (P::Ugt, I16x8),
        O::I16x8LeS => (P::Sle, I16x8),
        O::I16x8LeU => (P::Ule, I16x8),
        O::I16x8GeS => (P::Sge, I16x8),
        O::I16x8GeU => (P::Uge, I16x8),
        O::I32x4Eq => (P::Eq, I32x4),
        O::I32x4Ne => (P::Ne, I32x4),
        O::I32x4LtS => (P::Slt, I32x4),
        O::I32x4LtU => (P::Ult, I32x4),
        O::I32x4GtS => (P::Sgt, I32x4),
        O::I32x4GtU => (P::Ugt, I32x4),
        O::I32x4LeS => (P::Sle, I32x4),
        O::I32x4LeU => (P::Ule, I32x4),
        O::I32x4GeS => (P::Sge, I32x4),
        O::I32x4GeU => (P::Uge, I32x4),
        O::I64x2Eq => (P::Eq, I64x2),
        O::I64x2Ne => (P::Ne, I64x2),
        O::I64x2LtS => (P::Slt, I64x2),
        O::I64x2GtS => (P::Sgt, I64x2),
        O::I64x2LeS => (P::Sle, I64x2),
        O::I64x2GeS => (P::Sge, I64x2),
        _ => return None,
    })
}

fn float_row(operator: &Operator<'_>) -> Option<(FloatPredicate, Shape)> {
    use FloatPredicate as P;
    use Operator as O;
    Some(match operator {
        O::F32x4Eq => (P::Oeq, F32x4),
        O::F32x4Ne => (P::Une, F32x4),
        O::F32x4Lt => (P::Olt, F32x4),
        O::F32x4Gt => (P::Ogt, F32x4),
        O::F32x4Le => (P::Ole, F32x4),
        O::F32x4Ge => (P::Oge, F32x4),
        O::F64x2Eq => (P::Oeq, F64x2),
        O::F64x2Ne => (P::Une, F64x2),
        O::F64x2Lt => (P::Olt, F64x2),
        O::F64x2Gt => (P::Ogt, F64x2),
        O::F64x2Le => (P::Ole, F64x2),
        O::F64x2Ge => (P::Oge, F64x2),
        _ => return None,
    })
}

impl FunctionTranslator<'_, '_, '_> {
    /// Translates the operator if it is of this family.
    pub(super) fn translate_simd_compare(&mut self, operator: &Operator<'_>) -> bool {
        let (holds, shape) = if let Some((predicate, shape)) = integer_row(operator) {
            let (rhs, lhs) = (self.pop_shape(shape), self.pop_shape(shape));
            (self.b.icmp(predicate, lhs, rhs), shape)
        } else if let Some((predicate, shape)) = float_row(operator) {
            let (rhs, lhs) = (self.pop_shape(shape), self.pop_shape(shape));
            (self.b.fcmp(predicate, lhs, rhs), shape)
        } else {
            return false;
        };
        let mask = self.b.cast(Cast::SExt, holds, self.shape_type(shape.as_integers()));
        self.push_vector(mask);
        true
    }
}
