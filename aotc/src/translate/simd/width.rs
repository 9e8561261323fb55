//! Operators whose results have lanes of another width than their operands: extension, narrowing, products.
//!
//! All are written as what they are, in vectors as wide as the result needs: code generation finds the
//! instructions (`pmovsx`, `packss`, `pmaddwd`, `pmulhrsw`, …) that do several of the steps at once.

use super::Shape::{self, I8x16, I16x8, I32x4, I64x2};
use crate::llvm::{Cast, IntPredicate, Op, Value};
use crate::translate::function::FunctionTranslator;
use wasmparser::Operator;

/// Which lanes of a vector.
#[derive(Clone, Copy)]
enum Half {
    Low,
    High,
    Even,
    Odd,
}

/// How an operator becomes LLVM's. Its shape is that of the result.
#[derive(Clone, Copy)]
enum Rule {
    Extend(Half, Cast),
    /// The product of extended lanes.
    Multiply(Half, Cast),
    /// The sum of neighbours, extended.
    AddPairs(Cast),
    /// Signed lanes of twice the width to the nearest number, in the range of this cast's numbers.
    Narrow(Cast),
    /// The sum of the products of neighbours, extended as signed numbers.
    Dot,
    /// The product of fixed-point numbers with 15 bits behind the point, rounded.
    Fixed15,
}

/// The rule of an operator and the shape of its result; `None` for operators of other families.
fn rule(operator: &Operator<'_>) -> Option<(Rule, Shape)> {
    use Cast::{SExt, ZExt};
    use Half::{High, Low};
    use Operator as O;
    use Rule::{AddPairs, Dot, Extend, Fixed15, Multiply, Narrow};
    Some(match operator {
        O::I16x8ExtendLowI8x16S => (Extend(Low, SExt), I16x8),
        O::I16x8ExtendLowI8x16U => (Extend(Low, ZExt), I16x8),
        O::I16x8ExtendHighI8x16S => (Extend(High, SExt), I16x8),
        O::I16x8ExtendHighI8x16U => (Extend(High, ZExt), I16x8),
        O::I32x4ExtendLowI16x8S => (Extend(Low, SExt), I32x4),
        O::I32x4ExtendLowI16x8U => (Extend(Low, ZExt), I32x4),
        O::I32x4ExtendHighI16x8S => (Extend(High, SExt), I32x4),
        O::I32x4ExtendHighI16x8U => (Extend(High, ZExt), I32x4),
        O::I64x2ExtendLowI32x4S => (Extend(Low, SExt), I64x2),
        O::I64x2ExtendLowI32x4U => (Extend(Low, ZExt), I64x2),
        O::I64x2ExtendHighI32x4S => (Extend(High, SExt), I64x2),
        O::I64x2ExtendHighI32x4U => (Extend(High, ZExt), I64x2),
        O::I16x8ExtMulLowI8x16S => (Multiply(Low, SExt), I16x8),
        O::I16x8ExtMulLowI8x16U => (Multiply(Low, ZExt), I16x8),
        O::I16x8ExtMulHighI8x16S => (Multiply(High, SExt), I16x8),
        O::I16x8ExtMulHighI8x16U => (Multiply(High, ZExt), I16x8),
        O::I32x4ExtMulLowI16x8S => (Multiply(Low, SExt), I32x4),
        O::I32x4ExtMulLowI16x8U => (Multiply(Low, ZExt), I32x4),
        O::I32x4ExtMulHighI16x8S => (Multiply(High, SExt), I32x4),
        O::I32x4ExtMulHighI16x8U => (Multiply(High, ZExt), I32x4),
        O::I64x2ExtMulLowI32x4S => (Multiply(Low, SExt), I64x2),
        O::I64x2ExtMulLowI32x4U => (Multiply(Low, ZExt), I64x2),
        O::I64x2ExtMulHighI32x4S => (Multiply(High, SExt), I64x2),
        O::I64x2ExtMulHighI32x4U => (Multiply(High, ZExt), I64x2),
        O::I16x8ExtAddPairwiseI8x16S => (AddPairs(SExt), I16x8),
        O::I16x8ExtAddPairwiseI8x16U => (AddPairs(ZExt), I16x8),
        O::I32x4ExtAddPairwiseI16x8S => (AddPairs(SExt), I32x4),
        O::I32x4ExtAddPairwiseI16x8U => (AddPairs(ZExt), I32x4),
        O::I8x16NarrowI16x8S => (Narrow(SExt), I8x16),
        O::I8x16NarrowI16x8U => (Narrow(ZExt), I8x16),
        O::I16x8NarrowI32x4S => (Narrow(SExt), I16x8),
        O::I16x8NarrowI32x4U => (Narrow(ZExt), I16x8),
        O::I32x4DotI16x8S => (Dot, I32x4),
        O::I16x8Q15MulrSatS => (Fixed15, I16x8),
        _ => return None,
    })
}

/// The shape with lanes half as wide, or twice.
fn narrower(shape: Shape) -> Shape {
    match shape {
        I16x8 => I8x16,
        I32x4 => I16x8,
        I64x2 => I32x4,
        _ => unreachable!("no operator narrows lanes further, or those of floats"),
    }
}

fn wider(shape: Shape) -> Shape {
    match shape {
        I8x16 => I16x8,
        I16x8 => I32x4,
        _ => unreachable!("no operator narrows from wider lanes"),
    }
}

impl FunctionTranslator<'_, '_, '_> {
    /// Translates the operator if it is of this family.
    pub(super) fn translate_simd_width(&mut self, operator: &Operator<'_>) -> bool {
        let Some((rule, shape)) = rule(operator) else { return false };
        let result = match rule {
            Rule::Extend(half, cast) => {
                let operand = self.pop_shape(narrower(shape));
                self.extend(operand, half, cast, shape)
            }
            Rule::Multiply(half, cast) => {
                let (rhs, lhs) = (self.pop_shape(narrower(shape)), self.pop_shape(narrower(shape)));
                let extend = |operand| self.extend(operand, half, cast, shape);
                self.b.binary(Op::Mul, extend(lhs), extend(rhs))
            }
            Rule::AddPairs(cast) => {
                let operand = self.pop_shape(narrower(shape));
                self.add_pairs(operand, cast, shape)
            }
            Rule::Narrow(cast) => {
                let (rhs, lhs) = (self.pop_shape(wider(shape)), self.pop_shape(wider(shape)));
                self.narrow(lhs, rhs, cast, shape)
            }
            Rule::Dot => {
                let (rhs, lhs) = (self.pop_shape(narrower(shape)), self.pop_shape(narrower(shape)));
                let [even, odd] = [Half::Even, Half::Odd].map(|half| {
                    let extend = |operand| self.extend(operand, half, Cast::SExt, shape);
                    self.b.binary(Op::Mul, extend(lhs), extend(rhs))
                });
                self.b.binary(Op::Add, even, odd)
            }
            Rule::Fixed15 => self.pop_fixed15(),
        };
        self.push_vector(result);
        true
    }

    /// Half of the lanes, extended to those of `shape`.
    fn extend(&self, operand: Value, half: Half, cast: Cast, shape: Shape) -> Value {
        let number = |lane| match half {
            Half::Low => lane,
            Half::High => lane + shape.lanes(),
            Half::Even => 2 * lane,
            Half::Odd => 2 * lane + 1,
        };
        let lanes = self.select_lanes(operand, (0..shape.lanes()).map(number));
        self.b.cast(cast, lanes, self.shape_type(shape))
    }

    /// The sums of neighbouring lanes, extended to those of `shape`.
    pub(super) fn add_pairs(&self, operand: Value, cast: Cast, shape: Shape) -> Value {
        let [even, odd] = self.split_pairs(operand, cast, shape);
        self.b.binary(Op::Add, even, odd)
    }

    /// The even and the odd lanes, extended to those of `shape`, twice as wide: by shifts, since each pair is a lane
    /// of that shape already.
    pub(super) fn split_pairs(&self, operand: Value, cast: Cast, shape: Shape) -> [Value; 2] {
        let pairs = self.b.cast(Cast::BitCast, operand, self.shape_type(shape));
        let half = self.splat_constant(shape, (shape.lane_bits() / 2).into());
        let shift_right = if cast == Cast::SExt { Op::AShr } else { Op::LShr };
        let even_above = self.b.binary(Op::Shl, pairs, half);
        [even_above, pairs].map(|lanes| self.b.binary(shift_right, lanes, half))
    }

    /// The lanes of two vectors, each at the nearest number that a lane of `shape` can hold.
    fn narrow(&self, lhs: Value, rhs: Value, range: Cast, shape: Shape) -> Value {
        let wide = wider(shape);
        let bits = shape.lane_bits();
        let (least, greatest) = match range {
            Cast::SExt => (-1 << (bits - 1), (1 << (bits - 1)) - 1),
            _ => (0, (1_i64 << bits) - 1),
        };
        let lanes = self.shuffle(lhs, rhs, 0..shape.lanes());
        let limit = |number: i64| self.repeat_constant(self.lane_type(wide).int(number.cast_unsigned()), shape.lanes());
        let lanes = self.call_intrinsic("llvm.smax", &[lanes.ty()], &[lanes, limit(least)]);
        let lanes = self.call_intrinsic("llvm.smin", &[lanes.ty()], &[lanes, limit(greatest)]);
        self.b.cast(Cast::Trunc, lanes, self.shape_type(shape))
    }

    /// `(lhs * rhs + 2^14) >> 15`, saturated.
    ///
    /// Only -1 * -1 is out of range. It gives the least number, and nothing else does, so that number is replaced.
    pub(super) fn pop_fixed15(&mut self) -> Value {
        let (rhs, lhs) = (self.pop_shape(I16x8), self.pop_shape(I16x8));
        let product = if self.unit.ssse3 {
            self.call_intrinsic("llvm.x86.ssse3.pmul.hr.sw.128", &[], &[lhs, rhs])
        } else {
            self.rounded_product(lhs, rhs)
        };
        let least = self.splat_constant(I16x8, i16::MIN.cast_unsigned().into());
        let overflows = self.b.icmp(IntPredicate::Eq, product, least);
        self.b.binary(Op::Xor, product, self.b.cast(Cast::SExt, overflows, product.ty()))
    }

    /// The low bits of `(lhs * rhs + 2^14) >> 15`.
    fn rounded_product(&self, lhs: Value, rhs: Value) -> Value {
        let lane = self.unit.types.i32;
        let wide = lane.vector(I16x8.lanes());
        let constant = |number| self.repeat_constant(lane.int(number), I16x8.lanes());
        let widen = |value| self.b.cast(Cast::SExt, value, wide);
        let product = self.b.binary(Op::Mul, widen(lhs), widen(rhs));
        let rounded = self.b.binary(Op::Add, product, constant(1 << 14));
        self.b.cast(Cast::Trunc, self.b.binary(Op::LShr, rounded, constant(15)), lhs.ty())
    }
}
