//! References that LLVM leaves undefined become null.
//!
//! The problem: what no path can need, LLVM calls undefined: arms of phis, the lanes of a vector that is not filled
//! yet, lanes that a shuffle does not name. To the collector every live reference is a root, needed or not: an
//! undefined one in a slot is whatever the slot or register held before, and following that is following a
//! reference to an object that is gone. So each gets a value that is no object, in the one place where it is
//! mentioned; afterwards no reference in the function is undefined.

use crate::llvm::{Builder, Opcode, TypeKind, Value};
use crate::translate::unit::Unit;

/// Defines all references that instructions of a function take as operands.
pub(super) fn define(unit: &Unit<'_, '_>, function: Value) {
    for instruction in function.blocks().into_iter().flat_map(|block| block.instructions()) {
        for index in 0..instruction.operand_count() {
            let operand = instruction.operand(index);
            if let Some(defined) = defined(unit, operand) {
                instruction.set_operand(index, defined);
            }
        }
        define_shuffle(unit, instruction);
    }
}

/// A constant with null for each undefined reference in it, if there is one.
fn defined(unit: &Unit<'_, '_>, value: Value) -> Option<Value> {
    if !value.is_constant() {
        return None;
    }
    let ty = value.ty();
    match ty.kind() {
        TypeKind::Ref => value.is_undefined().then(|| ty.zero()),
        TypeKind::RefVector(_) | TypeKind::Struct if value.is_undefined() => Some(ty.zero()),
        TypeKind::RefVector(len) => {
            let lanes: Option<Vec<_>> = (0..len).map(|lane| value.constant_lane(lane)).collect();
            let lanes = lanes.filter(|lanes| lanes.iter().any(|lane| lane.is_undefined()))?;
            let lanes: Vec<_> = lanes.into_iter().map(|lane| defined(unit, lane).unwrap_or(lane)).collect();
            Some(unit.context.vector_const(&lanes))
        }
        TypeKind::Struct => {
            let fields: Option<Vec<_>> = (0..ty.struct_fields().len()).map(|i| value.constant_lane(i as u32)).collect();
            let fields = fields.filter(|fields| fields.iter().any(|&field| defined(unit, field).is_some()))?;
            let fields: Vec<_> = fields.into_iter().map(|field| defined(unit, field).unwrap_or(field)).collect();
            Some(unit.context.struct_const(&fields))
        }
        _ => None,
    }
}

/// Lets a shuffle of references take lane 0 where it may take any.
fn define_shuffle(unit: &Unit<'_, '_>, shuffle: Value) {
    if shuffle.opcode() != Opcode::ShuffleVector || !matches!(shuffle.ty().kind(), TypeKind::RefVector(_)) {
        return;
    }
    let mask = shuffle.shuffle_mask();
    if mask.iter().all(Option::is_some) {
        return;
    }
    let b = Builder::new(unit.context);
    b.position_before(shuffle);
    let lanes: Vec<_> = mask.iter().map(|lane| unit.types.i32.int(lane.unwrap_or(0).into())).collect();
    let full = b.shuffle_vector(shuffle.operand(0), shuffle.operand(1), unit.context.vector_const(&lanes));
    shuffle.replace_all_uses_with(full);
    shuffle.erase();
}
