//! Numeric operators: constants, comparisons, arithmetic and bits of `i32`, `i64`, `f32`, `f64`.
//!
//! The problem: LLVM's instructions leave undefined what WebAssembly defines. Division by zero and overflow trap
//! here, so they get explicit checks; shift counts are masked. For floats, LLVM promises less than WebAssembly
//! about NaN: an operator with a NaN operand must give a *quiet* NaN, but LLVM simplifies `x * 1` to `x`, be `x`
//! a signalling NaN or not. No operator ever has fast-math flags, and beyond that:
//!
//! - an operator with a constant operand that makes it an identity (`x * 1`, `x - 0`, …) is emitted as
//!   constrained intrinsic, which says that floating-point exceptions are observable: it keeps the instruction;
//! - minimum and maximum are made of comparisons, since `llvm.minimum` passes signalling NaNs on unchanged on
//!   x86-64 (and is slower there).
//!
//! What remains: where an identity only shows after inlining or in a local variable, LLVM may pass a signalling
//! NaN through. All other bits of all results are exact.
//!
//! [`rule`] is the table: operator to rule and type. Reference: WebAssembly 3.0, section 4.3 "Numerics".

use crate::error::CompileError;
use crate::llvm::{C_CC, Cast, FloatPredicate, IntPredicate, Op, Type, Value, attribute_index};
use crate::translate::function::FunctionTranslator;
use crate::translate::unit::Types;
use dolmen_abi::trap::TrapCode;
use dolmen_abi::types::ValType::{self, F32, F64, I32, I64};
use wasmparser::Operator;

/// How an operator becomes LLVM's.
#[derive(Clone, Copy)]
enum Rule {
    /// A constant of these bits.
    Const(u64),
    /// An instruction that does exactly what the operator does.
    Binary(Op),
    /// A division or remainder with its traps.
    Divide(Op),
    /// A shift whose count is taken modulo the width.
    Shift(Op),
    /// A funnel shift of the operand with itself, by intrinsic.
    Rotate(&'static str),
    /// An intrinsic that counts zeros, also those of zero.
    CountZeros(&'static str),
    /// An intrinsic of one operand that does exactly what the operator does.
    Unary(&'static str),
    EqualsZero,
    Compare(IntPredicate),
    CompareFloat(FloatPredicate),
    /// Arithmetic of floats.
    Float(FloatOp),
    Negate,
    CopySign,
    Minimum,
    Maximum,
}

const ADD: Rule = Rule::Float(ADD_FLOATS);
const SUB: Rule = Rule::Float(SUB_FLOATS);
const MUL: Rule = Rule::Float(MUL_FLOATS);
const DIV: Rule = Rule::Float(DIV_FLOATS);

/// Arithmetic of floats: the instruction, and the intrinsic that keeps it from being simplified.
pub(crate) type FloatOp = (Op, &'static str);

pub(crate) const ADD_FLOATS: FloatOp = (Op::FAdd, "llvm.experimental.constrained.fadd");
pub(crate) const SUB_FLOATS: FloatOp = (Op::FSub, "llvm.experimental.constrained.fsub");
pub(crate) const MUL_FLOATS: FloatOp = (Op::FMul, "llvm.experimental.constrained.fmul");
pub(crate) const DIV_FLOATS: FloatOp = (Op::FDiv, "llvm.experimental.constrained.fdiv");

/// Which of two floats is the less, and how bits that differ in the sign of zero combine: `-0` is the less.
pub(crate) const MINIMUM: (FloatPredicate, Op) = (FloatPredicate::Olt, Op::Or);

/// As [`MINIMUM`], for the greater.
pub(crate) const MAXIMUM: (FloatPredicate, Op) = (FloatPredicate::Ogt, Op::And);

/// The rule of a numeric operator and the type of its operands; `None` for operators of other families.
fn rule(operator: &Operator<'_>) -> Option<(Rule, ValType)> {
    constant_rule(operator)
        .or_else(|| int_rule(operator))
        .or_else(|| comparison_rule(operator))
        .or_else(|| float_rule(operator))
}

fn constant_rule(operator: &Operator<'_>) -> Option<(Rule, ValType)> {
    Some(match *operator {
        Operator::I32Const { value } => (Rule::Const(u64::from(value.cast_unsigned())), I32),
        Operator::I64Const { value } => (Rule::Const(value.cast_unsigned()), I64),
        Operator::F32Const { value } => (Rule::Const(value.bits().into()), F32),
        Operator::F64Const { value } => (Rule::Const(value.bits()), F64),
        _ => return None,
    })
}

fn int_rule(operator: &Operator<'_>) -> Option<(Rule, ValType)> {
    use Operator as O;
    use Rule::{Binary, CountZeros, Divide, Rotate, Shift, Unary};
    Some(match operator {
        O::I32Add => (Binary(Op::Add), I32),
        O::I32Sub => (Binary(Op::Sub), I32),
        O::I32Mul => (Binary(Op::Mul), I32),
        O::I32DivS => (Divide(Op::SDiv), I32),
        O::I32DivU => (Divide(Op::UDiv), I32),
        O::I32RemS => (Divide(Op::SRem), I32),
        O::I32RemU => (Divide(Op::URem), I32),
        O::I32And => (Binary(Op::And), I32),
        O::I32Or => (Binary(Op::Or), I32),
        O::I32Xor => (Binary(Op::Xor), I32),
        O::I32Shl => (Shift(Op::Shl), I32),
        O::I32ShrS => (Shift(Op::AShr), I32),
        O::I32ShrU => (Shift(Op::LShr), I32),
        O::I32Rotl => (Rotate("llvm.fshl"), I32),
        O::I32Rotr => (Rotate("llvm.fshr"), I32),
        O::I32Clz => (CountZeros("llvm.ctlz"), I32),
        O::I32Ctz => (CountZeros("llvm.cttz"), I32),
        O::I32Popcnt => (Unary("llvm.ctpop"), I32),
        O::I64Add => (Binary(Op::Add), I64),
        O::I64Sub => (Binary(Op::Sub), I64),
        O::I64Mul => (Binary(Op::Mul), I64),
        O::I64DivS => (Divide(Op::SDiv), I64),
        O::I64DivU => (Divide(Op::UDiv), I64),
        O::I64RemS => (Divide(Op::SRem), I64),
        O::I64RemU => (Divide(Op::URem), I64),
        O::I64And => (Binary(Op::And), I64),
        O::I64Or => (Binary(Op::Or), I64),
        O::I64Xor => (Binary(Op::Xor), I64),
        O::I64Shl => (Shift(Op::Shl), I64),
        O::I64ShrS => (Shift(Op::AShr), I64),
        O::I64ShrU => (Shift(Op::LShr), I64),
        O::I64Rotl => (Rotate("llvm.fshl"), I64),
        O::I64Rotr => (Rotate("llvm.fshr"), I64),
        O::I64Clz => (CountZeros("llvm.ctlz"), I64),
        O::I64Ctz => (CountZeros("llvm.cttz"), I64),
        O::I64Popcnt => (Unary("llvm.ctpop"), I64),
        _ => return None,
    })
}

fn comparison_rule(operator: &Operator<'_>) -> Option<(Rule, ValType)> {
    use Operator as O;
    use Rule::{Compare, CompareFloat, EqualsZero};
    Some(match operator {
        O::I32Eqz => (EqualsZero, I32),
        O::I32Eq => (Compare(IntPredicate::Eq), I32),
        O::I32Ne => (Compare(IntPredicate::Ne), I32),
        O::I32LtS => (Compare(IntPredicate::Slt), I32),
        O::I32LtU => (Compare(IntPredicate::Ult), I32),
        O::I32GtS => (Compare(IntPredicate::Sgt), I32),
        O::I32GtU => (Compare(IntPredicate::Ugt), I32),
        O::I32LeS => (Compare(IntPredicate::Sle), I32),
        O::I32LeU => (Compare(IntPredicate::Ule), I32),
        O::I32GeS => (Compare(IntPredicate::Sge), I32),
        O::I32GeU => (Compare(IntPredicate::Uge), I32),
        O::I64Eqz => (EqualsZero, I64),
        O::I64Eq => (Compare(IntPredicate::Eq), I64),
        O::I64Ne => (Compare(IntPredicate::Ne), I64),
        O::I64LtS => (Compare(IntPredicate::Slt), I64),
        O::I64LtU => (Compare(IntPredicate::Ult), I64),
        O::I64GtS => (Compare(IntPredicate::Sgt), I64),
        O::I64GtU => (Compare(IntPredicate::Ugt), I64),
        O::I64LeS => (Compare(IntPredicate::Sle), I64),
        O::I64LeU => (Compare(IntPredicate::Ule), I64),
        O::I64GeS => (Compare(IntPredicate::Sge), I64),
        O::I64GeU => (Compare(IntPredicate::Uge), I64),
        O::F32Eq => (CompareFloat(FloatPredicate::Oeq), F32),
        O::F32Ne => (CompareFloat(FloatPredicate::Une), F32),
        O::F32Lt => (CompareFloat(FloatPredicate::Olt), F32),
        O::F32Gt => (CompareFloat(FloatPredicate::Ogt), F32),
        O::F32Le => (CompareFloat(FloatPredicate::Ole), F32),
        O::F32Ge => (CompareFloat(FloatPredicate::Oge), F32),
        O::F64Eq => (CompareFloat(FloatPredicate::Oeq), F64),
        O::F64Ne => (CompareFloat(FloatPredicate::Une), F64),
        O::F64Lt => (CompareFloat(FloatPredicate::Olt), F64),
        O::F64Gt => (CompareFloat(FloatPredicate::Ogt), F64),
        O::F64Le => (CompareFloat(FloatPredicate::Ole), F64),
        O::F64Ge => (CompareFloat(FloatPredicate::Oge), F64),
        _ => return None,
    })
}

fn float_rule(operator: &Operator<'_>) -> Option<(Rule, ValType)> {
    use Operator as O;
    use Rule::{CopySign, Maximum, Minimum, Negate, Unary};
    Some(match operator {
        O::F32Abs => (Unary("llvm.fabs"), F32),
        O::F32Neg => (Negate, F32),
        O::F32Ceil => (Unary("llvm.ceil"), F32),
        O::F32Floor => (Unary("llvm.floor"), F32),
        O::F32Trunc => (Unary("llvm.trunc"), F32),
        O::F32Nearest => (Unary("llvm.roundeven"), F32),
        O::F32Sqrt => (Unary("llvm.sqrt"), F32),
        O::F32Add => (ADD, F32),
        O::F32Sub => (SUB, F32),
        O::F32Mul => (MUL, F32),
        O::F32Div => (DIV, F32),
        O::F32Min => (Minimum, F32),
        O::F32Max => (Maximum, F32),
        O::F32Copysign => (CopySign, F32),
        O::F64Abs => (Unary("llvm.fabs"), F64),
        O::F64Neg => (Negate, F64),
        O::F64Ceil => (Unary("llvm.ceil"), F64),
        O::F64Floor => (Unary("llvm.floor"), F64),
        O::F64Trunc => (Unary("llvm.trunc"), F64),
        O::F64Nearest => (Unary("llvm.roundeven"), F64),
        O::F64Sqrt => (Unary("llvm.sqrt"), F64),
        O::F64Add => (ADD, F64),
        O::F64Sub => (SUB, F64),
        O::F64Mul => (MUL, F64),
        O::F64Div => (DIV, F64),
        O::F64Min => (Minimum, F64),
        O::F64Max => (Maximum, F64),
        O::F64Copysign => (CopySign, F64),
        _ => return None,
    })
}

impl FunctionTranslator<'_, '_, '_> {
    /// Translates the operator if it is of this family.
    pub(crate) fn translate_numeric(&mut self, operator: &Operator<'_>) -> Result<bool, CompileError> {
        let Some((rule, ty)) = rule(operator) else { return Ok(false) };
        let result_ty = match rule {
            Rule::EqualsZero | Rule::Compare(_) | Rule::CompareFloat(_) => I32,
            _ => ty,
        };
        let result = match rule {
            Rule::Const(bits) => self.constant(ty, bits),
            Rule::CountZeros(_) | Rule::Unary(_) | Rule::EqualsZero | Rule::Negate => {
                let operand = self.pop();
                self.numeric_unary(rule, operand)
            }
            _ => {
                let rhs = self.pop();
                let lhs = self.pop();
                self.numeric_binary(rule, ty, lhs, rhs)
            }
        };
        self.push(result, result_ty);
        Ok(true)
    }

    fn numeric_unary(&self, rule: Rule, operand: Value) -> Value {
        let ty = operand.ty();
        match rule {
            Rule::Unary(intrinsic) => self.call_intrinsic(intrinsic, &[ty], &[operand]),
            Rule::CountZeros(intrinsic) => {
                let zero_is_poison = self.unit.types.i1.int(0);
                self.call_intrinsic(intrinsic, &[ty], &[operand, zero_is_poison])
            }
            Rule::EqualsZero => self.bool_to_i32(self.b.icmp(IntPredicate::Eq, operand, ty.zero())),
            Rule::Negate => self.b.fneg(operand),
            _ => unreachable!("operators of the other rules have two operands"),
        }
    }

    fn numeric_binary(&mut self, rule: Rule, ty: ValType, lhs: Value, rhs: Value) -> Value {
        match rule {
            Rule::Binary(op) => self.b.binary(op, lhs, rhs),
            Rule::Divide(op) => self.divide(op, ty, lhs, rhs),
            Rule::Shift(op) => {
                let count = self.b.binary(Op::And, rhs, self.constant(ty, bits_of(ty) - 1));
                self.b.binary(op, lhs, count)
            }
            Rule::Rotate(intrinsic) => self.call_intrinsic(intrinsic, &[lhs.ty()], &[lhs, lhs, rhs]),
            Rule::Compare(predicate) => self.bool_to_i32(self.b.icmp(predicate, lhs, rhs)),
            Rule::CompareFloat(predicate) => self.bool_to_i32(self.b.fcmp(predicate, lhs, rhs)),
            Rule::Float(operation) => self.float_arithmetic(operation, lhs, rhs),
            Rule::CopySign => self.call_intrinsic("llvm.copysign", &[lhs.ty()], &[lhs, rhs]),
            Rule::Minimum => self.min_max(MINIMUM, lhs, rhs),
            Rule::Maximum => self.min_max(MAXIMUM, lhs, rhs),
            _ => unreachable!("operators of the other rules have one operand or none"),
        }
    }

    /// A constant of these bits.
    fn constant(&self, ty: ValType, bits: u64) -> Value {
        match ty {
            F32 => self.unit.context.f32_const(bits as u32),
            F64 => self.unit.context.f64_const(bits),
            _ => self.lower_type(ty).int(bits),
        }
    }

    /// A float constant of type `ty`, which must be able to represent it.
    pub(crate) fn float_constant(&self, ty: ValType, value: f64) -> Value {
        let bits = if ty == F32 { (value as f32).to_bits().into() } else { value.to_bits() };
        self.constant(ty, bits)
    }

    /// Division or remainder: the divisor 0 traps, and so does the quotient that does not fit.
    fn divide(&mut self, op: Op, ty: ValType, lhs: Value, rhs: Value) -> Value {
        let is_zero = self.b.icmp(IntPredicate::Eq, rhs, rhs.ty().zero());
        self.trap_if(is_zero, TrapCode::IntegerDivideByZero);
        if matches!(op, Op::UDiv | Op::URem) {
            return self.b.binary(op, lhs, rhs);
        }
        let is_minus_one = self.b.icmp(IntPredicate::Eq, rhs, self.constant(ty, u64::MAX));
        if op == Op::SDiv {
            let least = self.constant(ty, 1 << (bits_of(ty) - 1));
            let is_least = self.b.icmp(IntPredicate::Eq, lhs, least);
            let overflows = self.b.binary(Op::And, is_minus_one, is_least);
            self.trap_if(overflows, TrapCode::IntegerOverflow);
            return self.b.binary(op, lhs, rhs);
        }
        // The remainder by -1 is that by 1, which cannot overflow.
        let divisor = self.b.select(is_minus_one, self.constant(ty, 1), rhs);
        self.b.binary(op, lhs, divisor)
    }

    /// Arithmetic of floats, or of vectors of floats, whose NaN results are quiet.
    pub(crate) fn float_arithmetic(&self, (op, constrained): FloatOp, lhs: Value, rhs: Value) -> Value {
        if self.is_identity(op, lhs, rhs) {
            self.call_constrained(constrained, &[lhs.ty()], &[lhs, rhs])
        } else {
            self.b.binary(op, lhs, rhs)
        }
    }

    /// Whether a constant operand can let LLVM simplify the operation to its other operand, negated or not, in
    /// any lane.
    fn is_identity(&self, op: Op, lhs: Value, rhs: Value) -> bool {
        if lhs.is_constant() == rhs.is_constant() {
            return false;
        }
        let is_zero = |value| self.has_lane(value, &[0.0, -0.0]);
        let is_one = |value| self.has_lane(value, &[1.0, -1.0]);
        match op {
            Op::FAdd => is_zero(lhs) || is_zero(rhs),
            Op::FSub => self.has_lane(lhs, &[-0.0]) || is_zero(rhs),
            Op::FMul => is_one(lhs) || is_one(rhs),
            Op::FDiv => is_one(rhs),
            _ => false,
        }
    }

    /// Whether a float, or a lane of a vector of floats, is one of these constants.
    fn has_lane(&self, value: Value, constants: &[f64]) -> bool {
        let is_one_of = |lane: Value| {
            let ty = if lane.ty() == self.unit.types.f32 { F32 } else { F64 };
            constants.iter().any(|&constant| lane == self.float_constant(ty, constant))
        };
        match value.ty().vector_len() {
            None => is_one_of(value),
            Some(len) => (0..len).filter_map(|lane| value.constant_lane(lane)).any(is_one_of),
        }
    }

    /// Minimum or maximum of floats, or of the lanes of vectors of them.
    ///
    /// ```text
    /// either NaN:  lhs + rhs
    /// otherwise:   bits(lhs < rhs ? lhs : rhs) | bits(rhs < lhs ? rhs : lhs)      (maximum: >, &)
    /// ```
    pub(crate) fn min_max(&self, (better, combine): (FloatPredicate, Op), lhs: Value, rhs: Value) -> Value {
        let bits_ty = self.bits_type(lhs.ty());
        let bits_of_better = |a: Value, b: Value| {
            let chosen = self.b.select(self.b.fcmp(better, a, b), a, b);
            self.b.cast(Cast::BitCast, chosen, bits_ty)
        };
        let bits = self.b.binary(combine, bits_of_better(lhs, rhs), bits_of_better(rhs, lhs));
        let ordered = self.b.cast(Cast::BitCast, bits, lhs.ty());
        let nan = self.float_arithmetic(ADD_FLOATS, lhs, rhs);
        let is_nan = self.b.fcmp(FloatPredicate::Uno, lhs, rhs);
        self.b.select(is_nan, nan, ordered)
    }

    /// The integer type of a float type's width, or a vector of it.
    fn bits_type(&self, float: Type) -> Type {
        let Types { i32, i64, f32, .. } = self.unit.types;
        match float.vector_len() {
            None if float == f32 => i32,
            None => i64,
            Some(len) if float == f32.vector(len) => i32.vector(len),
            Some(len) => i64.vector(len),
        }
    }

    /// Calls an intrinsic of LLVM, overloaded for these types.
    pub(crate) fn call_intrinsic(&self, name: &str, overloads: &[Type], args: &[Value]) -> Value {
        let intrinsic = self.unit.intrinsic(name, overloads);
        self.b.call(intrinsic.function_type(), intrinsic, args, C_CC)
    }

    /// Calls a constrained floating-point intrinsic: it rounds to nearest, and LLVM keeps it even where only
    /// exceptions or the quieting of NaN tell it from simpler code.
    pub(crate) fn call_constrained(&self, name: &str, overloads: &[Type], args: &[Value]) -> Value {
        let context = self.unit.context;
        let mut all = args.to_vec();
        all.extend(["round.tonearest", "fpexcept.maytrap"].map(|mode| context.metadata_string(mode).as_value()));
        let call = self.call_intrinsic(name, overloads, &all);
        call.add_call_attribute(attribute_index::FUNCTION, context.enum_attribute("strictfp", 0));
        call
    }

    fn bool_to_i32(&self, condition: Value) -> Value {
        self.b.cast(Cast::ZExt, condition, self.unit.types.i32)
    }
}

/// Width of an integer type in bits.
fn bits_of(ty: ValType) -> u64 {
    if ty == I32 { 32 } else { 64 }
}
