//! Conversions between lanes of integers and floats.
//!
//! The problem: LLVM has an intrinsic for saturating truncation, but its code generation takes vectors of it
//! apart, lane by lane. So the lanes are brought into the range of the integers first, where a plain truncation is
//! defined:
//!
//! - a limit that is a float (all limits, from `f64`) is taken as minimum or maximum;
//! - the greatest integers are no `f32`: what is not below their successor, a power of two, is set aside and gets
//!   all bits of the greatest integer set afterwards.

use super::Shape::{self, F32x4, F64x2, I32x4, I64x2};
use crate::llvm::{Cast, FloatPredicate, Op, Opcode, Value};
use crate::translate::function::FunctionTranslator;
use wasmparser::Operator;

/// Whether integers have a sign.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Signed,
    Unsigned,
}

/// How an operator becomes LLVM's.
#[derive(Clone, Copy)]
enum Rule {
    /// `i32x4` to `f32x4`.
    Convert(Sign),
    /// The low half of `i32x4` to `f64x2`.
    ConvertLow(Sign),
    /// `f32x4` to the nearest number in `i32x4`, NaN to 0.
    Saturate(Sign),
    /// `f64x2` to the nearest number in the low half of `i32x4`, NaN to 0; the upper half is zero.
    SaturateLow(Sign),
    /// `f64x2` to the low half of `f32x4`; the upper half is zero.
    Demote,
    /// The low half of `f32x4` to `f64x2`.
    Promote,
}

fn rule(operator: &Operator<'_>) -> Option<Rule> {
    use Operator as O;
    use Sign::{Signed, Unsigned};
    Some(match operator {
        O::F32x4ConvertI32x4S => Rule::Convert(Signed),
        O::F32x4ConvertI32x4U => Rule::Convert(Unsigned),
        O::F64x2ConvertLowI32x4S => Rule::ConvertLow(Signed),
        O::F64x2ConvertLowI32x4U => Rule::ConvertLow(Unsigned),
        O::I32x4TruncSatF32x4S => Rule::Saturate(Signed),
        O::I32x4TruncSatF32x4U => Rule::Saturate(Unsigned),
        O::I32x4TruncSatF64x2SZero => Rule::SaturateLow(Signed),
        O::I32x4TruncSatF64x2UZero => Rule::SaturateLow(Unsigned),
        O::F32x4DemoteF64x2Zero => Rule::Demote,
        O::F64x2PromoteLowF32x4 => Rule::Promote,
        _ => return None,
    })
}

impl FunctionTranslator<'_, '_, '_> {
    /// Translates the operator if it is of this family.
    pub(super) fn translate_simd_convert(&mut self, operator: &Operator<'_>) -> bool {
        let Some(rule) = rule(operator) else { return false };
        let result = match rule {
            Rule::Convert(sign) => {
                let operand = self.pop_shape(I32x4);
                self.b.cast(int_to_float(sign), operand, self.shape_type(F32x4))
            }
            Rule::ConvertLow(sign) => {
                let operand = self.pop_shape(I32x4);
                let low = self.select_lanes(operand, 0..F64x2.lanes());
                self.b.cast(int_to_float(sign), low, self.shape_type(F64x2))
            }
            Rule::Saturate(sign) => {
                let operand = self.pop_shape(F32x4);
                self.saturate(operand, sign)
            }
            Rule::SaturateLow(sign) => {
                let operand = self.pop_shape(F64x2);
                self.saturate_low(operand, sign)
            }
            Rule::Demote => {
                let operand = self.pop_shape(F64x2);
                self.demote_lanes(operand)
            }
            Rule::Promote => {
                let operand = self.pop_shape(F32x4);
                let low = self.select_lanes(operand, 0..F64x2.lanes());
                self.b.cast(Cast::FpExt, low, self.shape_type(F64x2))
            }
        };
        self.push_vector(result);
        true
    }

    /// `f32x4` to the nearest number in `i32x4`.
    pub(super) fn saturate(&self, operand: Value, sign: Sign) -> Value {
        let integers = self.shape_type(I32x4);
        let zero = operand.ty().zero();
        // No f32 is between the greatest integer and this one.
        let beyond = self.float_lanes(F32x4, if sign == Sign::Signed { 2_147_483_648.0 } else { 4_294_967_296.0 });
        let number = match sign {
            Sign::Signed => {
                let number = self.zero_for_nan(operand);
                self.limit(FloatPredicate::Ogt, number, self.float_lanes(F32x4, f64::from(i32::MIN)))
            }
            // NaN is not greater than zero, either.
            Sign::Unsigned => self.limit(FloatPredicate::Ogt, operand, zero),
        };
        let fits = self.b.fcmp(FloatPredicate::Olt, number, beyond);
        let inside = self.b.select(fits, number, zero);
        let truncated = self.b.cast(float_to_int(sign), inside, integers);
        let greatest = if sign == Sign::Signed { i32::MAX.cast_unsigned() } else { u32::MAX };
        self.b.select(fits, truncated, self.splat_constant(I32x4, greatest.into()))
    }

    /// `f64x2` to the nearest number in the low half of `i32x4`.
    pub(super) fn saturate_low(&self, operand: Value, sign: Sign) -> Value {
        let number = match sign {
            Sign::Signed => {
                let number = self.zero_for_nan(operand);
                self.limit(FloatPredicate::Ogt, number, self.float_lanes(F64x2, f64::from(i32::MIN)))
            }
            Sign::Unsigned => self.limit(FloatPredicate::Ogt, operand, operand.ty().zero()),
        };
        let greatest = if sign == Sign::Signed { f64::from(i32::MAX) } else { f64::from(u32::MAX) };
        let number = self.limit(FloatPredicate::Olt, number, self.float_lanes(F64x2, greatest));
        match sign {
            Sign::Signed => {
                let pair = self.unit.types.i32.vector(F64x2.lanes());
                let truncated = self.b.cast(Cast::FpToSi, number, pair);
                self.shuffle(truncated, pair.zero(), 0..I32x4.lanes())
            }
            Sign::Unsigned => self.low_words_of_integers(number),
        }
    }

    /// Floats from 0 to below 2^32 as integers: the sum with 2^52 has them in its lowest bits. There is no
    /// instruction for unsigned numbers that every CPU has.
    fn low_words_of_integers(&self, numbers: Value) -> Value {
        const TWO_TO_52: f64 = 4_503_599_627_370_496.0;
        let truncated = self.call_intrinsic("llvm.trunc", &[numbers.ty()], &[numbers]);
        let sum = self.b.binary(Op::FAdd, truncated, self.float_lanes(F64x2, TWO_TO_52));
        let words = self.b.cast(Cast::BitCast, sum, self.shape_type(I32x4));
        let low = (0..I64x2.lanes()).map(|lane| 2 * lane);
        self.shuffle(words, words.ty().zero(), low.chain(I32x4.lanes()..I32x4.lanes() + 2))
    }

    /// `f64x2` to the low half of `f32x4`. A promoted value must not come back as it was: it may be a signalling
    /// NaN.
    fn demote_lanes(&self, operand: Value) -> Value {
        let pair = self.unit.types.f32.vector(F64x2.lanes());
        let demoted = if operand.is_instruction() && operand.opcode() == Opcode::FpExt {
            self.call_constrained("llvm.experimental.constrained.fptrunc", &[pair, operand.ty()], &[operand])
        } else {
            self.b.cast(Cast::FpTrunc, operand, pair)
        };
        self.shuffle(demoted, pair.zero(), 0..F32x4.lanes())
    }

    fn zero_for_nan(&self, operand: Value) -> Value {
        let is_nan = self.b.fcmp(FloatPredicate::Uno, operand, operand);
        self.b.select(is_nan, operand.ty().zero(), operand)
    }

    /// The operand where it compares so to the limit, else the limit.
    fn limit(&self, inside: FloatPredicate, operand: Value, limit: Value) -> Value {
        self.b.select(self.b.fcmp(inside, operand, limit), operand, limit)
    }

    /// A vector whose lanes all are a constant that the lane's type has.
    fn float_lanes(&self, shape: Shape, constant: f64) -> Value {
        let bits = if shape == F32x4 { (constant as f32).to_bits().into() } else { constant.to_bits() };
        self.splat_constant(shape, bits)
    }
}

fn int_to_float(sign: Sign) -> Cast {
    if sign == Sign::Signed { Cast::SiToFp } else { Cast::UiToFp }
}

fn float_to_int(sign: Sign) -> Cast {
    if sign == Sign::Signed { Cast::FpToSi } else { Cast::FpToUi }
}
