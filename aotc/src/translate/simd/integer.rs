//! Arithmetic of integer lanes, with results of the operands' width.

use super::Shape::{self, I8x16, I16x8, I32x4, I64x2};
use crate::llvm::{Cast, Op, Value};
use crate::translate::function::FunctionTranslator;
use wasmparser::Operator;

/// How an operator becomes LLVM's.
#[derive(Clone, Copy)]
enum Rule {
    /// An instruction that does exactly what the operator does.
    Binary(Op),
    /// An intrinsic of two operands that does exactly what the operator does.
    Intrinsic(&'static str),
    /// A shift of all lanes by one count, taken modulo their width.
    Shift(Op),
    /// The mean of two unsigned numbers, halves rounded up.
    Average,
    Absolute,
    Negate,
    CountOnes,
}

const ADD: Rule = Rule::Binary(Op::Add);
const SUB: Rule = Rule::Binary(Op::Sub);
const MUL: Rule = Rule::Binary(Op::Mul);
const SHL: Rule = Rule::Shift(Op::Shl);
const SHR_S: Rule = Rule::Shift(Op::AShr);
const SHR_U: Rule = Rule::Shift(Op::LShr);
const ADD_SAT_S: Rule = Rule::Intrinsic("llvm.sadd.sat");
const ADD_SAT_U: Rule = Rule::Intrinsic("llvm.uadd.sat");
const SUB_SAT_S: Rule = Rule::Intrinsic("llvm.ssub.sat");
const SUB_SAT_U: Rule = Rule::Intrinsic("llvm.usub.sat");
const MIN_S: Rule = Rule::Intrinsic("llvm.smin");
const MIN_U: Rule = Rule::Intrinsic("llvm.umin");
const MAX_S: Rule = Rule::Intrinsic("llvm.smax");
const MAX_U: Rule = Rule::Intrinsic("llvm.umax");

/// The rule of an operator and its shape; `None` for operators of other families.
fn rule(operator: &Operator<'_>) -> Option<(Rule, Shape)> {
    small_rule(operator).or_else(|| large_rule(operator))
}

fn small_rule(operator: &Operator<'_>) -> Option<(Rule, Shape)> {
    use Operator as O;
    Some(match operator {
        O::I8x16Abs => (Rule::Absolute, I8x16),
        O::I8x16Neg => (Rule::Negate, I8x16),
        O::I8x16Popcnt => (Rule::CountOnes, I8x16),
        O::I8x16Shl => (SHL, I8x16),
        O::I8x16ShrS => (SHR_S, I8x16),
        O::I8x16ShrU => (SHR_U, I8x16),
        O::I8x16Add => (ADD, I8x16),
        O::I8x16AddSatS => (ADD_SAT_S, I8x16),
        O::I8x16AddSatU => (ADD_SAT_U, I8x16),
        O::I8x16Sub => (SUB, I8x16),
        O::I8x16SubSatS => (SUB_SAT_S, I8x16),
        O::I8x16SubSatU => (SUB_SAT_U, I8x16),
        O::I8x16MinS => (MIN_S, I8x16),
        O::I8x16MinU => (MIN_U, I8x16),
        O::I8x16MaxS => (MAX_S, I8x16),
        O::I8x16MaxU => (MAX_U, I8x16),
        O::I8x16AvgrU => (Rule::Average, I8x16),
        O::I16x8Abs => (Rule::Absolute, I16x8),
        O::I16x8Neg => (Rule::Negate, I16x8),
        O::I16x8Shl => (SHL, I16x8),
        O::I16x8ShrS => (SHR_S, I16x8),
        O::I16x8ShrU => (SHR_U, I16x8),
        O::I16x8Add => (ADD, I16x8),
        O::I16x8AddSatS => (ADD_SAT_S, I16x8),
        O::I16x8AddSatU => (ADD_SAT_U, I16x8),
        O::I16x8Sub => (SUB, I16x8),
        O::I16x8SubSatS => (SUB_SAT_S, I16x8),
        O::I16x8SubSatU => (SUB_SAT_U, I16x8),
        O::I16x8Mul => (MUL, I16x8),
        O::I16x8MinS => (MIN_S, I16x8),
        O::I16x8MinU => (MIN_U, I16x8),
        O::I16x8MaxS => (MAX_S, I16x8),
        O::I16x8MaxU => (MAX_U, I16x8),
        O::I16x8AvgrU => (Rule::Average, I16x8),
        _ => return None,
    })
}

fn large_rule(operator: &Operator<'_>) -> Option<(Rule, Shape)> {
    use Operator as O;
    Some(match operator {
        O::I32x4Abs => (Rule::Absolute, I32x4),
        O::I32x4Neg => (Rule::Negate, I32x4),
        O::I32x4Shl => (SHL, I32x4),
        O::I32x4ShrS => (SHR_S, I32x4),
        O::I32x4ShrU => (SHR_U, I32x4),
        O::I32x4Add => (ADD, I32x4),
        O::I32x4Sub => (SUB, I32x4),
        O::I32x4Mul => (MUL, I32x4),
        O::I32x4MinS => (MIN_S, I32x4),
        O::I32x4MinU => (MIN_U, I32x4),
        O::I32x4MaxS => (MAX_S, I32x4),
        O::I32x4MaxU => (MAX_U, I32x4),
        O::I64x2Abs => (Rule::Absolute, I64x2),
        O::I64x2Neg => (Rule::Negate, I64x2),
        O::I64x2Shl => (SHL, I64x2),
        O::I64x2ShrS => (SHR_S, I64x2),
        O::I64x2ShrU => (SHR_U, I64x2),
        O::I64x2Add => (ADD, I64x2),
        O::I64x2Sub => (SUB, I64x2),
        O::I64x2Mul => (MUL, I64x2),
        _ => return None,
    })
}

impl FunctionTranslator<'_, '_, '_> {
    /// Translates the operator if it is of this family.
    pub(super) fn translate_simd_integer(&mut self, operator: &Operator<'_>) -> bool {
        let Some((rule, shape)) = rule(operator) else { return false };
        let result = match rule {
            Rule::Absolute | Rule::Negate | Rule::CountOnes => {
                let operand = self.pop_shape(shape);
                self.integer_unary(rule, operand)
            }
            Rule::Shift(op) => self.shift_lanes(op, shape),
            _ => {
                let (rhs, lhs) = (self.pop_shape(shape), self.pop_shape(shape));
                self.integer_binary(rule, shape, lhs, rhs)
            }
        };
        self.push_vector(result);
        true
    }

    fn integer_unary(&self, rule: Rule, operand: Value) -> Value {
        let ty = operand.ty();
        match rule {
            Rule::Absolute => {
                let least_is_poison = self.unit.types.i1.int(0);
                self.call_intrinsic("llvm.abs", &[ty], &[operand, least_is_poison])
            }
            Rule::Negate => self.b.binary(Op::Sub, ty.zero(), operand),
            Rule::CountOnes => self.call_intrinsic("llvm.ctpop", &[ty], &[operand]),
            _ => unreachable!("operators of the other rules have two operands"),
        }
    }

    fn integer_binary(&self, rule: Rule, shape: Shape, lhs: Value, rhs: Value) -> Value {
        match rule {
            Rule::Binary(op) => self.b.binary(op, lhs, rhs),
            Rule::Intrinsic(name) => self.call_intrinsic(name, &[lhs.ty()], &[lhs, rhs]),
            Rule::Average => self.average(shape, lhs, rhs),
            _ => unreachable!("operators of the other rules have one operand, or a count"),
        }
    }

    /// Pops a count and a vector, and shifts each lane.
    fn shift_lanes(&mut self, op: Op, shape: Shape) -> Value {
        let count = self.pop();
        let vector = self.pop_shape(shape);
        let count = self.b.binary(Op::And, count, self.i32(shape.lane_bits() - 1));
        let cast = if shape == I64x2 { Cast::ZExt } else { Cast::Trunc };
        let lane = if shape == I32x4 { count } else { self.b.cast(cast, count, self.lane_type(shape)) };
        let counts = self.splat(lane, shape);
        self.b.binary(op, vector, counts)
    }

    /// In lanes of twice the width, which code generation knows as an average.
    fn average(&self, shape: Shape, lhs: Value, rhs: Value) -> Value {
        let wide_lane = self.unit.context.int_type(2 * shape.lane_bits());
        let wide = wide_lane.vector(shape.lanes());
        let one = self.repeat_constant(wide_lane.int(1), shape.lanes());
        let widen = |value| self.b.cast(Cast::ZExt, value, wide);
        let sum = self.b.binary(Op::Add, self.b.binary(Op::Add, widen(lhs), widen(rhs)), one);
        self.b.cast(Cast::Trunc, self.b.binary(Op::LShr, sum, one), self.shape_type(shape))
    }
}
