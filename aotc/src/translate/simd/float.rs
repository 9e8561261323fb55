//! Arithmetic of float lanes. What [`crate::translate::numeric`] says of NaN holds for each lane.

use super::Shape::{self, F32x4, F64x2};
use crate::llvm::{FloatPredicate, Value};
use crate::translate::function::FunctionTranslator;
use crate::translate::numeric::{ADD_FLOATS, DIV_FLOATS, FloatOp, MAXIMUM, MINIMUM, MUL_FLOATS, SUB_FLOATS};
use wasmparser::Operator;

/// How an operator becomes LLVM's.
#[derive(Clone, Copy)]
enum Rule {
    /// An intrinsic of one operand that does exactly what the operator does.
    Unary(&'static str),
    Negate,
    Binary(FloatOp),
    Minimum,
    Maximum,
    /// The second operand if it compares so to the first one, else the first: also of NaNs and zeros.
    Pseudo(FloatPredicate),
}

const PSEUDO_MIN: Rule = Rule::Pseudo(FloatPredicate::Olt);
const PSEUDO_MAX: Rule = Rule::Pseudo(FloatPredicate::Ogt);

/// The rule of an operator and its shape; `None` for operators of other families.
fn rule(operator: &Operator<'_>) -> Option<(Rule, Shape)> {
    use Operator as O;
    use Rule::{Binary, Maximum, Minimum, Negate, Unary};
    Some(match operator {
        O::F32x4Ceil => (Unary("llvm.ceil"), F32x4),
        O::F32x4Floor => (Unary("llvm.floor"), F32x4),
        O::F32x4Trunc => (Unary("llvm.trunc"), F32x4),
        O::F32x4Nearest => (Unary("llvm.roundeven"), F32x4),
        O::F32x4Abs => (Unary("llvm.fabs"), F32x4),
        O::F32x4Sqrt => (Unary("llvm.sqrt"), F32x4),
        O::F32x4Neg => (Negate, F32x4),
        O::F32x4Add => (Binary(ADD_FLOATS), F32x4),
        O::F32x4Sub => (Binary(SUB_FLOATS), F32x4),
        O::F32x4Mul => (Binary(MUL_FLOATS), F32x4),
        O::F32x4Div => (Binary(DIV_FLOATS), F32x4),
        O::F32x4Min => (Minimum, F32x4),
        O::F32x4Max => (Maximum, F32x4),
        O::F32x4PMin => (PSEUDO_MIN, F32x4),
        O::F32x4PMax => (PSEUDO_MAX, F32x4),
        O::F64x2Ceil => (Unary("llvm.ceil"), F64x2),
        O::F64x2Floor => (Unary("llvm.floor"), F64x2),
        O::F64x2Trunc => (Unary("llvm.trunc"), F64x2),
        O::F64x2Nearest => (Unary("llvm.roundeven"), F64x2),
        O::F64x2Abs => (Unary("llvm.fabs"), F64x2),
        O::F64x2Sqrt => (Unary("llvm.sqrt"), F64x2),
        O::F64x2Neg => (Negate, F64x2),
        O::F64x2Add => (Binary(ADD_FLOATS), F64x2),
        O::F64x2Sub => (Binary(SUB_FLOATS), F64x2),
        O::F64x2Mul => (Binary(MUL_FLOATS), F64x2),
        O::F64x2Div => (Binary(DIV_FLOATS), F64x2),
        O::F64x2Min => (Minimum, F64x2),
        O::F64x2Max => (Maximum, F64x2),
        O::F64x2PMin => (PSEUDO_MIN, F64x2),
        O::F64x2PMax => (PSEUDO_MAX, F64x2),
        _ => return None,
    })
}

impl FunctionTranslator<'_, '_, '_> {
    /// Translates the operator if it is of this family.
    pub(super) fn translate_simd_float(&mut self, operator: &Operator<'_>) -> bool {
        let Some((rule, shape)) = rule(operator) else { return false };
        let result = match rule {
            Rule::Unary(intrinsic) => {
                let operand = self.pop_shape(shape);
                self.call_intrinsic(intrinsic, &[operand.ty()], &[operand])
            }
            Rule::Negate => {
                let operand = self.pop_shape(shape);
                self.b.fneg(operand)
            }
            _ => {
                let (rhs, lhs) = (self.pop_shape(shape), self.pop_shape(shape));
                self.float_binary(rule, lhs, rhs)
            }
        };
        self.push_vector(result);
        true
    }

    fn float_binary(&self, rule: Rule, lhs: Value, rhs: Value) -> Value {
        match rule {
            Rule::Binary(operation) => self.float_arithmetic(operation, lhs, rhs),
            Rule::Minimum => self.min_max(MINIMUM, lhs, rhs),
            Rule::Maximum => self.min_max(MAXIMUM, lhs, rhs),
            Rule::Pseudo(better) => self.b.select(self.b.fcmp(better, rhs, lhs), rhs, lhs),
            Rule::Unary(_) | Rule::Negate => unreachable!("operators of these rules have one operand"),
        }
    }
}
