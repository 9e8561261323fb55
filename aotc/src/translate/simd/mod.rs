//! Vectors: the operators on `v128`, with those of relaxed SIMD.
//!
//! The problem: WebAssembly has one vector type, whose operators each see other lanes in it, and LLVM has a type
//! for each way to see it. A `v128` is `<16 x i8>` wherever it is stored, passed or merged; an operator casts it
//! to the [`Shape`] that it works on and its result back. [`FunctionTranslator::as_shape`] looks through the
//! casts, so chains of operators of one shape have none even without optimisation.
//!
//! Lane 0 is in the lowest bytes, on every target. Operators are plain vector IR that code generation knows to
//! turn into the target's instructions (`aotc/tests/filetests/simd` holds it to that). Exceptions are the lookup of
//! bytes and the rounded product of fixed-point numbers, whose instructions it does not find.
//!
//! One file for each family: [`memory`], [`lanes`], [`bits`], [`integer`], [`width`], [`float`], [`compare`],
//! [`convert`], [`relaxed`]. Reference: WebAssembly 3.0, section 4.3 "Numerics", "Vector Operations".

mod bits;
mod compare;
mod convert;
mod float;
mod integer;
mod lanes;
mod memory;
mod relaxed;
mod shape;
mod width;

use crate::error::CompileError;
use crate::llvm::{Cast, Opcode, Type, Value};
use crate::translate::function::FunctionTranslator;
use dolmen_abi::types::ValType;
use shape::Shape;
use wasmparser::Operator;

/// Bytes of a `v128`.
const V128_BYTES: usize = 16;

impl FunctionTranslator<'_, '_, '_> {
    /// Translates the operator if it is of this family.
    pub(crate) fn translate_simd(&mut self, operator: &Operator<'_>) -> Result<bool, CompileError> {
        Ok(self.translate_simd_memory(operator)?
            || self.translate_simd_lanes(operator)
            || self.translate_simd_bits(operator)
            || self.translate_simd_integer(operator)
            || self.translate_simd_width(operator)
            || self.translate_simd_float(operator)
            || self.translate_simd_compare(operator)
            || self.translate_simd_convert(operator)
            || self.translate_simd_relaxed(operator))
    }

    /// Pops a vector, seen in a shape.
    fn pop_shape(&mut self, shape: Shape) -> Value {
        let vector = self.pop();
        self.as_shape(vector, shape)
    }

    /// Pushes a vector of any shape.
    fn push_vector(&mut self, vector: Value) {
        let bytes = self.b.cast(Cast::BitCast, vector, self.unit.types.v128);
        self.push(bytes, ValType::V128);
    }

    /// A `v128` seen in a shape.
    fn as_shape(&self, vector: Value, shape: Shape) -> Value {
        let ty = self.shape_type(shape);
        if vector.is_instruction() && vector.opcode() == Opcode::BitCast && vector.operand(0).ty() == ty {
            return vector.operand(0);
        }
        match constant_bytes(vector) {
            Some(bytes) => self.vector_constant(shape, bytes),
            None => self.b.cast(Cast::BitCast, vector, ty),
        }
    }

    fn lane_type(&self, shape: Shape) -> Type {
        let types = &self.unit.types;
        match shape {
            Shape::I8x16 => types.i8,
            Shape::I16x8 => types.i16,
            Shape::I32x4 => types.i32,
            Shape::I64x2 => types.i64,
            Shape::F32x4 => types.f32,
            Shape::F64x2 => types.f64,
        }
    }

    fn shape_type(&self, shape: Shape) -> Type {
        self.lane_type(shape).vector(shape.lanes())
    }

    /// A constant of these bytes, lowest first.
    fn vector_constant(&self, shape: Shape, bytes: [u8; V128_BYTES]) -> Value {
        let lanes = bytes.chunks_exact(shape.lane_bytes()).map(|lane| {
            let mut wide = [0; 8];
            wide[..lane.len()].copy_from_slice(lane);
            self.lane_constant(shape, u64::from_le_bytes(wide))
        });
        self.unit.context.vector_const(&lanes.collect::<Vec<_>>())
    }

    /// A lane of these low bits.
    fn lane_constant(&self, shape: Shape, bits: u64) -> Value {
        match shape {
            Shape::F32x4 => self.unit.context.f32_const(bits as u32),
            Shape::F64x2 => self.unit.context.f64_const(bits),
            _ => self.lane_type(shape).int(bits),
        }
    }

    /// A vector whose lanes all are a constant of these low bits.
    fn splat_constant(&self, shape: Shape, bits: u64) -> Value {
        self.repeat_constant(self.lane_constant(shape, bits), shape.lanes())
    }

    /// A vector of `lanes` lanes that all are this constant.
    fn repeat_constant(&self, lane: Value, lanes: u32) -> Value {
        self.unit.context.vector_const(&vec![lane; lanes as usize])
    }

    /// A vector whose lanes all are a value of the lane's type.
    fn splat(&self, lane: Value, shape: Shape) -> Value {
        let ty = self.shape_type(shape);
        let first = self.b.insert_element(ty.poison(), lane, self.i32(0));
        self.shuffle(first, ty.poison(), std::iter::repeat_n(0, shape.lanes() as usize))
    }

    /// The lanes of `lhs` and `rhs`, counted through, with these numbers.
    fn shuffle(&self, lhs: Value, rhs: Value, lanes: impl Iterator<Item = u32>) -> Value {
        let lanes: Vec<_> = lanes.map(|lane| self.i32(lane)).collect();
        self.b.shuffle_vector(lhs, rhs, self.unit.context.vector_const(&lanes))
    }

    /// The lanes of one vector with these numbers.
    fn select_lanes(&self, vector: Value, lanes: impl Iterator<Item = u32>) -> Value {
        self.shuffle(vector, vector.ty().poison(), lanes)
    }
}

/// The bytes of a constant `v128`, lowest first.
fn constant_bytes(vector: Value) -> Option<[u8; V128_BYTES]> {
    let mut bytes = [0; V128_BYTES];
    for (lane, byte) in (0..).zip(&mut bytes) {
        *byte = vector.constant_lane(lane)?.const_int()? as u8;
    }
    Some(bytes)
}
