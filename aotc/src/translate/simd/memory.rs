//! Loads and stores of vectors, of parts of vectors, and of single lanes.
//!
//! Bounds are checked for exactly the bytes that the operator names, as for all accesses: see
//! [`crate::translate::memory`].

use super::{Shape, V128_BYTES};
use crate::error::CompileError;
use crate::llvm::{Cast, Value};
use crate::translate::function::FunctionTranslator;
use dolmen_abi::types::ValType;
use wasmparser::{MemArg, Operator};

/// How what was loaded becomes a vector.
#[derive(Clone, Copy)]
enum Load {
    Whole,
    /// Half as many bytes, of integers half as wide.
    Extend(Cast, Shape),
    /// One lane, repeated.
    Splat(Shape),
    /// Lane 0; the others are zero.
    Zero(Shape),
}

fn load_row(operator: &Operator<'_>) -> Option<(MemArg, Load)> {
    use Cast::{SExt, ZExt};
    use Load::{Extend, Splat, Whole, Zero};
    use Operator as O;
    use Shape::{I8x16, I16x8, I32x4, I64x2};
    Some(match *operator {
        O::V128Load { memarg } => (memarg, Whole),
        O::V128Load8x8S { memarg } => (memarg, Extend(SExt, I16x8)),
        O::V128Load8x8U { memarg } => (memarg, Extend(ZExt, I16x8)),
        O::V128Load16x4S { memarg } => (memarg, Extend(SExt, I32x4)),
        O::V128Load16x4U { memarg } => (memarg, Extend(ZExt, I32x4)),
        O::V128Load32x2S { memarg } => (memarg, Extend(SExt, I64x2)),
        O::V128Load32x2U { memarg } => (memarg, Extend(ZExt, I64x2)),
        O::V128Load8Splat { memarg } => (memarg, Splat(I8x16)),
        O::V128Load16Splat { memarg } => (memarg, Splat(I16x8)),
        O::V128Load32Splat { memarg } => (memarg, Splat(I32x4)),
        O::V128Load64Splat { memarg } => (memarg, Splat(I64x2)),
        O::V128Load32Zero { memarg } => (memarg, Zero(I32x4)),
        O::V128Load64Zero { memarg } => (memarg, Zero(I64x2)),
        _ => return None,
    })
}

/// What becomes of one lane.
#[derive(Clone, Copy)]
enum LaneAccess {
    Load,
    Store,
}

fn lane_row(operator: &Operator<'_>) -> Option<(MemArg, LaneAccess, Shape, u8)> {
    use LaneAccess::{Load, Store};
    use Operator as O;
    use Shape::{I8x16, I16x8, I32x4, I64x2};
    Some(match *operator {
        O::V128Load8Lane { memarg, lane } => (memarg, Load, I8x16, lane),
        O::V128Load16Lane { memarg, lane } => (memarg, Load, I16x8, lane),
        O::V128Load32Lane { memarg, lane } => (memarg, Load, I32x4, lane),
        O::V128Load64Lane { memarg, lane } => (memarg, Load, I64x2, lane),
        O::V128Store8Lane { memarg, lane } => (memarg, Store, I8x16, lane),
        O::V128Store16Lane { memarg, lane } => (memarg, Store, I16x8, lane),
        O::V128Store32Lane { memarg, lane } => (memarg, Store, I32x4, lane),
        O::V128Store64Lane { memarg, lane } => (memarg, Store, I64x2, lane),
        _ => return None,
    })
}

impl FunctionTranslator<'_, '_, '_> {
    /// Translates the operator if it is of this family.
    pub(super) fn translate_simd_memory(&mut self, operator: &Operator<'_>) -> Result<bool, CompileError> {
        if let Some((place, load)) = load_row(operator) {
            let vector = self.load_vector(place, load)?;
            self.push_vector(vector);
        } else if let Some((place, access, shape, lane)) = lane_row(operator) {
            let vector = self.pop_shape(shape);
            let lane = self.i32(lane.into());
            match access {
                LaneAccess::Load => {
                    let value = self.load_memory(place, self.lane_type(shape), shape.lane_bytes() as u64)?;
                    let vector = self.b.insert_element(vector, value, lane);
                    self.push_vector(vector);
                }
                LaneAccess::Store => {
                    let value = self.b.extract_element(vector, lane);
                    self.store_bytes(place, value, shape.lane_bytes())?;
                }
            }
        } else if let Operator::V128Store { memarg } = *operator {
            let vector = self.pop();
            self.store_bytes(memarg, vector, V128_BYTES)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn load_vector(&mut self, place: MemArg, load: Load) -> Result<Value, CompileError> {
        Ok(match load {
            Load::Whole => self.load_memory(place, self.lower_type(ValType::V128), V128_BYTES as u64)?,
            Load::Extend(cast, shape) => {
                let narrow = self.unit.context.int_type(shape.lane_bits() / 2).vector(shape.lanes());
                let lanes = self.load_memory(place, narrow, V128_BYTES as u64 / 2)?;
                self.b.cast(cast, lanes, self.shape_type(shape))
            }
            Load::Splat(shape) => {
                let lane = self.load_memory(place, self.lane_type(shape), shape.lane_bytes() as u64)?;
                self.splat(lane, shape)
            }
            Load::Zero(shape) => {
                let lane = self.load_memory(place, self.lane_type(shape), shape.lane_bytes() as u64)?;
                self.b.insert_element(self.shape_type(shape).zero(), lane, self.i32(0))
            }
        })
    }

    /// Pops an address and stores there; traps if the memory does not have the bytes.
    fn store_bytes(&mut self, place: MemArg, value: Value, bytes: usize) -> Result<(), CompileError> {
        let address = self.pop_address(place, bytes as u64)?;
        let store = self.b.store(value, address);
        self.mark_memory_access(store);
        Ok(())
    }
}
