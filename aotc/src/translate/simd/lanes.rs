//! Constants, single lanes, and lanes in another order.
//!
//! LLVM's IR has no shuffle whose order is only known when it executes. `i8x16.swizzle` gives 0 for indices from
//! 16 on, and `pshufb` for those whose highest bit is set, which a saturating addition of `0x70` makes the same.
//! Where there is no such instruction, the bytes are looked up one by one.

use super::{Shape, V128_BYTES};
use crate::llvm::{Cast, IntPredicate, Value};
use crate::translate::function::FunctionTranslator;
use dolmen_abi::types::ValType::{self, F32, F64, I32, I64};
use wasmparser::Operator;

/// What an indices' saturating addition brings to at least `0x80` from 16 on, and to less below.
const OUT_OF_RANGE: u64 = 0x70;

fn splat_row(operator: &Operator<'_>) -> Option<Shape> {
    Some(match operator {
        Operator::I8x16Splat => Shape::I8x16,
        Operator::I16x8Splat => Shape::I16x8,
        Operator::I32x4Splat => Shape::I32x4,
        Operator::I64x2Splat => Shape::I64x2,
        Operator::F32x4Splat => Shape::F32x4,
        Operator::F64x2Splat => Shape::F64x2,
        _ => return None,
    })
}

/// Shape, lane, extension of packed lanes, and type of the result.
fn extract_row(operator: &Operator<'_>) -> Option<(Shape, u8, Option<Cast>, ValType)> {
    use Cast::{SExt, ZExt};
    use Operator as O;
    Some(match *operator {
        O::I8x16ExtractLaneS { lane } => (Shape::I8x16, lane, Some(SExt), I32),
        O::I8x16ExtractLaneU { lane } => (Shape::I8x16, lane, Some(ZExt), I32),
        O::I16x8ExtractLaneS { lane } => (Shape::I16x8, lane, Some(SExt), I32),
        O::I16x8ExtractLaneU { lane } => (Shape::I16x8, lane, Some(ZExt), I32),
        O::I32x4ExtractLane { lane } => (Shape::I32x4, lane, None, I32),
        O::I64x2ExtractLane { lane } => (Shape::I64x2, lane, None, I64),
        O::F32x4ExtractLane { lane } => (Shape::F32x4, lane, None, F32),
        O::F64x2ExtractLane { lane } => (Shape::F64x2, lane, None, F64),
        _ => return None,
    })
}

fn replace_row(operator: &Operator<'_>) -> Option<(Shape, u8)> {
    use Operator as O;
    Some(match *operator {
        O::I8x16ReplaceLane { lane } => (Shape::I8x16, lane),
        O::I16x8ReplaceLane { lane } => (Shape::I16x8, lane),
        O::I32x4ReplaceLane { lane } => (Shape::I32x4, lane),
        O::I64x2ReplaceLane { lane } => (Shape::I64x2, lane),
        O::F32x4ReplaceLane { lane } => (Shape::F32x4, lane),
        O::F64x2ReplaceLane { lane } => (Shape::F64x2, lane),
        _ => return None,
    })
}

impl FunctionTranslator<'_, '_, '_> {
    /// Translates the operator if it is of this family.
    pub(super) fn translate_simd_lanes(&mut self, operator: &Operator<'_>) -> bool {
        if let Some(shape) = splat_row(operator) {
            let lane = self.pop_lane(shape);
            let vector = self.splat(lane, shape);
            self.push_vector(vector);
        } else if let Some((shape, lane, extend, ty)) = extract_row(operator) {
            let vector = self.pop_shape(shape);
            let lane = self.b.extract_element(vector, self.i32(lane.into()));
            let value = extend.map_or(lane, |cast| self.b.cast(cast, lane, self.unit.types.i32));
            self.push(value, ty);
        } else if let Some((shape, lane)) = replace_row(operator) {
            let value = self.pop_lane(shape);
            let vector = self.pop_shape(shape);
            let vector = self.b.insert_element(vector, value, self.i32(lane.into()));
            self.push_vector(vector);
        } else {
            return self.translate_simd_order(operator);
        }
        true
    }

    fn translate_simd_order(&mut self, operator: &Operator<'_>) -> bool {
        let result = match *operator {
            Operator::V128Const { value } => self.vector_constant(Shape::I8x16, *value.bytes()),
            Operator::I8x16Shuffle { lanes } => {
                let (rhs, lhs) = (self.pop(), self.pop());
                self.shuffle(lhs, rhs, lanes.into_iter().map(u32::from))
            }
            Operator::I8x16Swizzle => {
                let (indices, bytes) = (self.pop(), self.pop());
                self.swizzle(bytes, indices)
            }
            _ => return false,
        };
        self.push_vector(result);
        true
    }

    /// Pops a number that becomes a lane: the low bits of it, for packed lanes.
    fn pop_lane(&mut self, shape: Shape) -> Value {
        let value = self.pop();
        match shape {
            Shape::I8x16 | Shape::I16x8 => self.b.cast(Cast::Trunc, value, self.lane_type(shape)),
            _ => value,
        }
    }

    /// The bytes with these indices; 0 for indices from 16 on.
    pub(super) fn swizzle(&self, bytes: Value, indices: Value) -> Value {
        if self.unit.ssse3 {
            let offset = self.splat_constant(Shape::I8x16, OUT_OF_RANGE);
            let indices = self.call_intrinsic("llvm.uadd.sat", &[indices.ty()], &[indices, offset]);
            return self.call_intrinsic("llvm.x86.ssse3.pshuf.b.128", &[], &[bytes, indices]);
        }
        let size = self.splat_constant(Shape::I8x16, V128_BYTES as u64);
        let is_inside = self.b.icmp(IntPredicate::Ult, indices, size);
        let inside = self.b.select(is_inside, indices, indices.ty().zero());
        let mut found = bytes.ty().poison();
        for lane in (0..Shape::I8x16.lanes()).map(|lane| self.i32(lane)) {
            let byte = self.b.extract_element(bytes, self.b.extract_element(inside, lane));
            found = self.b.insert_element(found, byte, lane);
        }
        self.b.select(is_inside, found, bytes.ty().zero())
    }
}
