//! Arguments: instructions that leave a value of a type on the stack.

use super::Facts;
use crate::generate::Rng;
use wasm_encoder::{HeapType, Ieee32, Ieee64, Instruction};
use wasmparser::{AbstractHeapType, CompositeInnerType, RefType, StorageType, UnpackedIndex, ValType};

/// Integers at which arithmetic changes its mind.
const CORNERS: [i64; 12] = [0, 1, -1, 2, 7, 31, 0x7f, 0xffff, i32::MAX as i64, i32::MIN as i64, i64::MAX, i64::MIN];

/// Longest array that is made as an argument.
const MAX_ARRAY_LEN: u64 = 6;

/// Pushes a value of the type; `None` if none can be made here.
pub fn push_value(facts: &Facts, ty: ValType, rng: &mut Rng, body: &mut Vec<Instruction<'static>>) -> Option<()> {
    body.push(match ty {
        ValType::I32 => Instruction::I32Const(integer(rng) as i32),
        ValType::I64 => Instruction::I64Const(integer(rng)),
        ValType::F32 => Instruction::F32Const(Ieee32::from(float(rng) as f32)),
        ValType::F64 => Instruction::F64Const(Ieee64::from(float(rng))),
        ValType::V128 => Instruction::V128Const((i128::from(integer(rng)) << 64) ^ i128::from(integer(rng))),
        ValType::Ref(ty) => return push_reference(facts, ty, rng, body),
    });
    Some(())
}

fn integer(rng: &mut Rng) -> i64 {
    match rng.below(4) {
        0 => rng.bits() as i64,
        1 => rng.below(64) as i64,
        _ => CORNERS[rng.below(CORNERS.len() as u64) as usize],
    }
}

/// Not a NaN: the patterns of those that a module is given are not made canonical.
fn float(rng: &mut Rng) -> f64 {
    match rng.below(6) {
        0 => 0.0,
        1 => -0.0,
        2 => f64::INFINITY,
        3 => 1.5 * integer(rng) as f64,
        4 => 1e-40,
        _ => rng.below(1000) as f64 / 8.0 - 60.0,
    }
}

fn push_reference(facts: &Facts, ty: RefType, rng: &mut Rng, body: &mut Vec<Instruction<'static>>) -> Option<()> {
    if ty.is_nullable() && rng.one_in(4) {
        body.push(Instruction::RefNull(heap_type(facts, ty.heap_type())?));
        return Some(());
    }
    let made = match ty.heap_type() {
        wasmparser::HeapType::Abstract { ty: abstract_type, .. } => push_abstract(abstract_type, rng, body),
        wasmparser::HeapType::Concrete(UnpackedIndex::Id(id)) => {
            let index = facts.index_of(id)?;
            match &facts.sub_type(id).composite_type.inner {
                CompositeInnerType::Struct(ty) if ty.fields.iter().all(|field| defaultable(field.element_type)) => {
                    body.push(Instruction::StructNewDefault(index));
                    Some(())
                }
                CompositeInnerType::Array(ty) if defaultable(ty.0.element_type) => {
                    body.push(Instruction::I32Const(rng.below(MAX_ARRAY_LEN) as i32));
                    body.push(Instruction::ArrayNewDefault(index));
                    Some(())
                }
                _ => None,
            }
        }
        _ => None,
    };
    if made.is_none() && ty.is_nullable() {
        body.push(Instruction::RefNull(heap_type(facts, ty.heap_type())?));
        return Some(());
    }
    made
}

fn push_abstract(ty: AbstractHeapType, rng: &mut Rng, body: &mut Vec<Instruction<'static>>) -> Option<()> {
    let i31 = [Instruction::I32Const(integer(rng) as i32), Instruction::RefI31];
    match ty {
        AbstractHeapType::Any | AbstractHeapType::Eq | AbstractHeapType::I31 => body.extend(i31),
        AbstractHeapType::Extern => {
            body.extend(i31);
            body.push(Instruction::ExternConvertAny);
        }
        _ => return None,
    }
    Some(())
}

fn defaultable(ty: StorageType) -> bool {
    match ty {
        StorageType::Val(ValType::Ref(ty)) => ty.is_nullable(),
        _ => true,
    }
}

/// The encoder's form of a heap type.
pub fn heap_type(facts: &Facts, ty: wasmparser::HeapType) -> Option<HeapType> {
    Some(match ty {
        wasmparser::HeapType::Abstract { shared, ty } => HeapType::Abstract { shared, ty: ty.into() },
        wasmparser::HeapType::Concrete(UnpackedIndex::Id(id)) => HeapType::Concrete(facts.index_of(id)?),
        _ => return None,
    })
}

/// The encoder's form of a value type.
pub fn value_type(facts: &Facts, ty: ValType) -> Option<wasm_encoder::ValType> {
    Some(match ty {
        ValType::I32 => wasm_encoder::ValType::I32,
        ValType::I64 => wasm_encoder::ValType::I64,
        ValType::F32 => wasm_encoder::ValType::F32,
        ValType::F64 => wasm_encoder::ValType::F64,
        ValType::V128 => wasm_encoder::ValType::V128,
        // Nullable, so that the local needs no first value.
        ValType::Ref(ty) => wasm_encoder::ValType::Ref(wasm_encoder::RefType {
            nullable: true,
            heap_type: heap_type(facts, ty.heap_type())?,
        }),
    })
}
