//! Conversions between numeric types.
//!
//! The problem: LLVM's conversions from float to integer are undefined outside the integer's range. The trapping
//! operators check first, against the nearest floats outside the range, which are exact; the saturating ones are
//! intrinsics. Promotion and demotion quiet NaNs, as all float operators must: see [`super::numeric`].
//!
//! [`rule`] is the table: operator to rule and result type. Reference: WebAssembly 3.0, section 4.3
//! "Conversions".

use crate::error::CompileError;
use crate::llvm::{Cast, FloatPredicate, Op, Opcode, Type, Value};
use crate::translate::function::FunctionTranslator;
use dolmen_abi::trap::TrapCode;
use dolmen_abi::types::ValType::{self, F32, F64, I32, I64};
use wasmparser::Operator;

/// How an operator becomes LLVM's.
#[derive(Clone, Copy)]
enum Rule {
    /// An instruction that does exactly what the operator does.
    Cast(Cast),
    /// Sign extension of this many low bits.
    ExtendLow(u32),
    /// Float to integer with traps.
    Truncate(Cast, Range),
    /// Float to the nearest integer in range, NaN to 0, by intrinsic.
    Saturate(&'static str),
    Demote,
}

/// Which floats of a type truncate to integers of a type: those between two floats, both exclusive.
#[derive(Clone, Copy)]
struct Range {
    from: ValType,
    low: f64,
    high: f64,
}

const F32_TO_I32: Range = Range { from: F32, low: -2_147_483_904.0, high: 2_147_483_648.0 };
const F64_TO_I32: Range = Range { from: F64, low: -2_147_483_649.0, high: 2_147_483_648.0 };
const F32_TO_I64: Range = Range { from: F32, low: -9_223_373_136_366_403_584.0, high: 9_223_372_036_854_775_808.0 };
const F64_TO_I64: Range = Range { from: F64, low: -9_223_372_036_854_777_856.0, high: 9_223_372_036_854_775_808.0 };
const F32_TO_U32: Range = Range { from: F32, low: -1.0, high: 4_294_967_296.0 };
const F64_TO_U32: Range = Range { from: F64, low: -1.0, high: 4_294_967_296.0 };
const F32_TO_U64: Range = Range { from: F32, low: -1.0, high: 18_446_744_073_709_551_616.0 };
const F64_TO_U64: Range = Range { from: F64, low: -1.0, high: 18_446_744_073_709_551_616.0 };

const SATURATE_SIGNED: Rule = Rule::Saturate("llvm.fptosi.sat");
const SATURATE_UNSIGNED: Rule = Rule::Saturate("llvm.fptoui.sat");

/// The rule of a conversion and the type of its result; `None` for operators of other families.
fn rule(operator: &Operator<'_>) -> Option<(Rule, ValType)> {
    use Operator as O;
    use Rule::{Demote, ExtendLow, Truncate};
    Some(match operator {
        O::I32WrapI64 => (Rule::Cast(Cast::Trunc), I32),
        O::I64ExtendI32S => (Rule::Cast(Cast::SExt), I64),
        O::I64ExtendI32U => (Rule::Cast(Cast::ZExt), I64),
        O::I32Extend8S => (ExtendLow(8), I32),
        O::I32Extend16S => (ExtendLow(16), I32),
        O::I64Extend8S => (ExtendLow(8), I64),
        O::I64Extend16S => (ExtendLow(16), I64),
        O::I64Extend32S => (ExtendLow(32), I64),
        O::I32TruncF32S => (Truncate(Cast::FpToSi, F32_TO_I32), I32),
        O::I32TruncF32U => (Truncate(Cast::FpToUi, F32_TO_U32), I32),
        O::I32TruncF64S => (Truncate(Cast::FpToSi, F64_TO_I32), I32),
        O::I32TruncF64U => (Truncate(Cast::FpToUi, F64_TO_U32), I32),
        O::I64TruncF32S => (Truncate(Cast::FpToSi, F32_TO_I64), I64),
        O::I64TruncF32U => (Truncate(Cast::FpToUi, F32_TO_U64), I64),
        O::I64TruncF64S => (Truncate(Cast::FpToSi, F64_TO_I64), I64),
        O::I64TruncF64U => (Truncate(Cast::FpToUi, F64_TO_U64), I64),
        O::I32TruncSatF32S | O::I32TruncSatF64S => (SATURATE_SIGNED, I32),
        O::I32TruncSatF32U | O::I32TruncSatF64U => (SATURATE_UNSIGNED, I32),
        O::I64TruncSatF32S | O::I64TruncSatF64S => (SATURATE_SIGNED, I64),
        O::I64TruncSatF32U | O::I64TruncSatF64U => (SATURATE_UNSIGNED, I64),
        O::F32ConvertI32S | O::F32ConvertI64S => (Rule::Cast(Cast::SiToFp), F32),
        O::F32ConvertI32U | O::F32ConvertI64U => (Rule::Cast(Cast::UiToFp), F32),
        O::F64ConvertI32S | O::F64ConvertI64S => (Rule::Cast(Cast::SiToFp), F64),
        O::F64ConvertI32U | O::F64ConvertI64U => (Rule::Cast(Cast::UiToFp), F64),
        O::F32DemoteF64 => (Demote, F32),
        O::F64PromoteF32 => (Rule::Cast(Cast::FpExt), F64),
        O::I32ReinterpretF32 => (Rule::Cast(Cast::BitCast), I32),
        O::I64ReinterpretF64 => (Rule::Cast(Cast::BitCast), I64),
        O::F32ReinterpretI32 => (Rule::Cast(Cast::BitCast), F32),
        O::F64ReinterpretI64 => (Rule::Cast(Cast::BitCast), F64),
        _ => return None,
    })
}

impl FunctionTranslator<'_, '_, '_> {
    /// Translates the operator if it is of this family.
    pub(crate) fn translate_convert(&mut self, operator: &Operator<'_>) -> Result<bool, CompileError> {
        let Some((rule, result_ty)) = rule(operator) else { return Ok(false) };
        let operand = self.pop();
        let ty = self.lower_type(result_ty);
        let result = match rule {
            Rule::Cast(cast) => self.b.cast(cast, operand, ty),
            Rule::ExtendLow(bits) => {
                let low = self.b.cast(Cast::Trunc, operand, self.unit.context.int_type(bits));
                self.b.cast(Cast::SExt, low, ty)
            }
            Rule::Truncate(cast, range) => {
                self.trap_unless_in_range(operand, range);
                self.b.cast(cast, operand, ty)
            }
            Rule::Saturate(intrinsic) => self.call_intrinsic(intrinsic, &[ty, operand.ty()], &[operand]),
            Rule::Demote => self.demote(operand, ty),
        };
        self.push(result, result_ty);
        Ok(true)
    }

    /// Traps if a float cannot be truncated: invalid conversion for NaN, else overflow. What kind it is, is
    /// found out on the cold path.
    fn trap_unless_in_range(&mut self, value: Value, range: Range) {
        let above = self.b.fcmp(FloatPredicate::Ogt, value, self.float_constant(range.from, range.low));
        let below = self.b.fcmp(FloatPredicate::Olt, value, self.float_constant(range.from, range.high));
        let inside = self.b.binary(Op::And, above, below);
        let outside = self.b.binary(Op::Xor, inside, self.unit.types.i1.int(1));
        let (fails, go_on) = (self.new_block("out_of_range"), self.new_block(""));
        self.b.cond_br(outside, fails, go_on);
        self.b.position_at_end(fails);
        let is_nan = self.b.fcmp(FloatPredicate::Uno, value, value);
        self.trap_if(is_nan, TrapCode::InvalidConversion);
        self.trap(TrapCode::IntegerOverflow);
        self.b.position_at_end(go_on);
        self.reachable = true;
    }

    /// `f64` to `f32`. A promoted value must not come back as it was: it may be a signalling NaN.
    fn demote(&self, value: Value, ty: Type) -> Value {
        if value.is_instruction() && value.opcode() == Opcode::FpExt {
            self.call_constrained("llvm.experimental.constrained.fptrunc", &[ty, value.ty()], &[value])
        } else {
            self.b.cast(Cast::FpTrunc, value, ty)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bounds are the floats next to the range: their neighbours inside truncate to its ends.
    #[test]
    fn bounds_are_tight() {
        for (range, low, high) in [
            (F32_TO_I32, i32::MIN as i128, i32::MAX as i128),
            (F64_TO_I32, i32::MIN as i128, i32::MAX as i128),
            (F32_TO_I64, i64::MIN as i128, i64::MAX as i128),
            (F64_TO_I64, i64::MIN as i128, i64::MAX as i128),
            (F32_TO_U32, 0, u32::MAX as i128),
            (F64_TO_U32, 0, u32::MAX as i128),
            (F32_TO_U64, 0, u64::MAX as i128),
            (F64_TO_U64, 0, u64::MAX as i128),
        ] {
            let (up, down) = if range.from == F32 {
                assert_eq!(f64::from(range.low as f32), range.low);
                assert_eq!(f64::from(range.high as f32), range.high);
                (f64::from((range.low as f32).next_up()), f64::from((range.high as f32).next_down()))
            } else {
                (range.low.next_up(), range.high.next_down())
            };
            assert!((range.low.trunc() as i128) < low, "{} is outside", range.low);
            assert!((range.high.trunc() as i128) > high, "{} is outside", range.high);
            assert!(up.trunc() as i128 >= low, "{up} is inside");
            assert!(down.trunc() as i128 <= high, "{down} is inside");
        }
    }
}
