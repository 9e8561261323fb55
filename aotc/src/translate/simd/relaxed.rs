//! Relaxed SIMD, in the specification's *deterministic profile*: the same results on every CPU.
//!
//! For each operator the specification lists several behaviours that an implementation may choose from; of each
//! list the first one is the profile's. `docs/relaxed-simd.md` tells which they are. Most operators are then the
//! same as one of SIMD's. Reference: WebAssembly 3.0, section 4.3 "Relaxed Operations", and its appendix
//! "Profiles".

use super::Shape::{self, F32x4, F64x2, I8x16, I16x8, I32x4};
use super::convert::Sign;
use crate::llvm::{Cast, Op, Value};
use crate::translate::function::FunctionTranslator;
use crate::translate::numeric::{ADD_FLOATS, MAXIMUM, MINIMUM, MUL_FLOATS};
use wasmparser::Operator;

impl FunctionTranslator<'_, '_, '_> {
    /// Translates the operator if it is of this family.
    pub(super) fn translate_simd_relaxed(&mut self, operator: &Operator<'_>) -> bool {
        use Operator as O;
        let result = match operator {
            O::I8x16RelaxedSwizzle => {
                let (indices, bytes) = (self.pop(), self.pop());
                self.swizzle(bytes, indices)
            }
            O::I8x16RelaxedLaneselect
            | O::I16x8RelaxedLaneselect
            | O::I32x4RelaxedLaneselect
            | O::I64x2RelaxedLaneselect => self.pop_bitselect(),
            O::I16x8RelaxedQ15mulrS => self.pop_fixed15(),
            O::I16x8RelaxedDotI8x16I7x16S => self.pop_relaxed_dot(),
            O::I32x4RelaxedDotI8x16I7x16AddS => {
                let addend = self.pop_shape(I32x4);
                let products = self.pop_relaxed_dot();
                let sums = self.add_pairs(products, Cast::SExt, I32x4);
                self.b.binary(Op::Add, sums, addend)
            }
            _ => return self.translate_simd_relaxed_float(operator),
        };
        self.push_vector(result);
        true
    }

    fn translate_simd_relaxed_float(&mut self, operator: &Operator<'_>) -> bool {
        use Operator as O;
        let result = match operator {
            O::I32x4RelaxedTruncF32x4S => self.pop_saturated(F32x4, Sign::Signed),
            O::I32x4RelaxedTruncF32x4U => self.pop_saturated(F32x4, Sign::Unsigned),
            O::I32x4RelaxedTruncF64x2SZero => self.pop_saturated(F64x2, Sign::Signed),
            O::I32x4RelaxedTruncF64x2UZero => self.pop_saturated(F64x2, Sign::Unsigned),
            O::F32x4RelaxedMadd => self.pop_multiply_add(F32x4, |_, factor| factor),
            O::F32x4RelaxedNmadd => self.pop_multiply_add(F32x4, |this, factor| this.b.fneg(factor)),
            O::F64x2RelaxedMadd => self.pop_multiply_add(F64x2, |_, factor| factor),
            O::F64x2RelaxedNmadd => self.pop_multiply_add(F64x2, |this, factor| this.b.fneg(factor)),
            O::F32x4RelaxedMin | O::F64x2RelaxedMin => {
                let (rhs, lhs) = self.pop_floats(matches!(operator, O::F32x4RelaxedMin));
                self.min_max(MINIMUM, lhs, rhs)
            }
            O::F32x4RelaxedMax | O::F64x2RelaxedMax => {
                let (rhs, lhs) = self.pop_floats(matches!(operator, O::F32x4RelaxedMax));
                self.min_max(MAXIMUM, lhs, rhs)
            }
            _ => return false,
        };
        self.push_vector(result);
        true
    }

    fn pop_floats(&mut self, single: bool) -> (Value, Value) {
        let shape = if single { F32x4 } else { F64x2 };
        (self.pop_shape(shape), self.pop_shape(shape))
    }

    fn pop_saturated(&mut self, shape: Shape, sign: Sign) -> Value {
        let operand = self.pop_shape(shape);
        if shape == F32x4 { self.saturate(operand, sign) } else { self.saturate_low(operand, sign) }
    }

    /// Pops two factors and an addend; the product is rounded before the addition.
    fn pop_multiply_add(&mut self, shape: Shape, first: impl Fn(&Self, Value) -> Value) -> Value {
        let (addend, rhs, lhs) = (self.pop_shape(shape), self.pop_shape(shape), self.pop_shape(shape));
        let lhs = first(self, lhs);
        let product = self.float_arithmetic(MUL_FLOATS, lhs, rhs);
        self.float_arithmetic(ADD_FLOATS, product, addend)
    }

    /// Pops two vectors of signed bytes; gives the sums of the products of neighbours, saturated.
    fn pop_relaxed_dot(&mut self) -> Value {
        let (rhs, lhs) = (self.pop_shape(I8x16), self.pop_shape(I8x16));
        let [even_lhs, odd_lhs] = self.split_pairs(lhs, Cast::SExt, I16x8);
        let [even_rhs, odd_rhs] = self.split_pairs(rhs, Cast::SExt, I16x8);
        let products = [(even_lhs, even_rhs), (odd_lhs, odd_rhs)].map(|(a, b)| self.b.binary(Op::Mul, a, b));
        self.call_intrinsic("llvm.sadd.sat", &[products[0].ty()], &products)
    }
}
