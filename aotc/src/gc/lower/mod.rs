//! Late lowering of references: from optimised IR with abstract references to IR that LLVM can emit.
//!
//! The problem: roots must be found by the collector at every safepoint, but the values that are live there, and
//! the safepoints that are left, are known only after optimisation. So the optimiser works on references as
//! opaque pointers of an address space of their own, and this pass, which runs once at its end, makes the
//! collector's view explicit, function by function:
//!
//! 0. [`effects`]: what LLVM has found out about functions is forgotten.
//!    [`invariants`]: what lies in the instance context and never changes is loaded as that again.
//!    [`undefined`]: references that LLVM left undefined become null. [`vectors`]: vectors of pointers into objects
//!    become their lanes.
//! 1. [`strips`], [`polls`]: every loop that could run long without a safepoint gets a poll, short ones in every
//!    so many rounds.
//! 2. [`bases`]: every pointer into an object is traced back to the object's reference; where control flow
//!    merges such pointers, their references are merged beside them.
//! 3. [`liveness`]: which references are needed after each safepoint, counting uses through derived pointers.
//! 4. [`frame`]: a shadow stack slot for each reference that is live across a call, shared between references
//!    that are never live together; one store for each, as late and as far outside loops as its calls allow.
//! 5. [`expand`]: allocation and poll markers become inline sequences; references that are live across their slow
//!    paths only are pushed there. [`fences`] order what they store, where the processor does not.
//! 6. [`address`]: accesses through references become accesses at `heap_base + (reference << 2) + offset`, and
//!    barrier markers stores to the card table. Copies of a few elements become loops ([`copy`]).
//!
//! Invariants afterwards: no instruction accesses memory through a reference; loads from objects are no longer
//! invariant, so that code generation cannot move one past a safepoint at which its object is no root.

mod address;
mod barrier;
mod bases;
mod copy;
mod effects;
mod expand;
mod fences;
mod frame;
mod invariants;
mod liveness;
mod offsets;
mod polls;
mod remembered;
mod strips;
#[cfg(test)]
mod tests;
mod undefined;
mod vectors;

use super::cfg;
use crate::llvm::{Builder, LlvmError, Opcode, Type, TypeKind, Value};
use crate::returns;
use crate::translate::unit::Unit;
pub(super) use strips::is_short;

/// Lowers every function of the unit's LLVM module.
///
/// # Errors
///
/// LLVM's optimiser produced something that this pass does not know: a bug of this compiler.
pub(crate) fn lower(unit: &Unit<'_, '_>) -> Result<(), LlvmError> {
    let functions: Vec<_> = unit.llvm.functions().into_iter().filter(|f| f.is_definition()).collect();
    let expansions = expand::Expansions::new(unit);
    for function in functions {
        lower_function(unit, &expansions, function)?;
    }
    Ok(())
}

fn lower_function(
    unit: &Unit<'_, '_>,
    expansions: &expand::Expansions<'_, '_, '_>,
    function: Value,
) -> Result<(), LlvmError> {
    effects::forget(function);
    invariants::restore(unit, function);
    returns::split(unit, function, |i| is_safepoint(i) && !is_marker(i));
    undefined::define(unit, function);
    let mut cfg = cfg::Cfg::new(function);
    check_variables(&cfg)?;
    if vectors::take_apart(unit, &cfg)? {
        cfg = cfg::Cfg::new(function);
    }
    if offsets::split_merges(unit, &cfg)? {
        cfg = cfg::Cfg::new(function);
    }
    if unit.polls {
        let unpolled = strips::cut(unit, &cfg);
        if !unpolled.is_empty() {
            cfg = cfg::Cfg::new(function);
        }
        polls::insert(unit, expansions, &cfg, &unpolled);
    }
    // They go once liveness is used.
    let useless_barriers = remembered::useless_barriers(unit, &cfg);
    let bases = bases::Bases::compute(unit, &cfg)?;
    let liveness = liveness::Liveness::compute(unit, &cfg, &bases);
    let frame = frame::Frame::plan(&cfg, &bases, &liveness);
    frame.emit(unit, function, &cfg, &liveness);
    let fenced = fences::find(unit, &cfg, &bases);
    expand::expand(expansions, function, &cfg, &liveness, &frame, &fenced);
    useless_barriers.into_iter().for_each(Value::erase);
    address::lower(unit, function, &cfg, &bases)
}

/// References must be values: what is in a variable in memory, the collector does not find.
fn check_variables(cfg: &cfg::Cfg) -> Result<(), LlvmError> {
    let holds_references = |ty: Type| matches!(ty.kind(), TypeKind::Ref | TypeKind::RefVector(_));
    let is_wrong = |i: &Value| i.opcode() == Opcode::Alloca && holds_references(i.allocated_type());
    match cfg.instructions.iter().flatten().copied().find(is_wrong) {
        None => Ok(()),
        Some(variable) => Err(LlvmError(format!("variable of references in memory: {}", variable.print()))),
    }
}

/// Whether a call can collect: not an intrinsic, not marked as leaf.
fn is_safepoint(instruction: Value) -> bool {
    if !matches!(instruction.opcode(), Opcode::Call | Opcode::Invoke)
        || instruction.has_call_string_attribute(crate::gc::markers::LEAF_CALL)
    {
        return false;
    }
    instruction.called_function().map(Value::name).is_none_or(|name| {
        let is_intrinsic = name.starts_with("llvm.");
        !is_intrinsic && !barrier::is_marker(&name)
    })
}

/// Whether a safepoint is a marker: only its slow path, expanded later, can collect.
fn is_marker(instruction: Value) -> bool {
    instruction.called_function().is_some_and(|callee| callee.name().starts_with("dolmen."))
}

/// Whether a call takes no longer than a few instructions do, or polls itself.
pub(super) fn is_quick_call(call: Value) -> bool {
    let Some(callee) = call.called_function() else { return false };
    let name = callee.name();
    is_marker(call) || name.starts_with("llvm.") && !name.starts_with("llvm.mem")
}

/// Whether a call is an allocation marker.
fn is_alloc_marker(instruction: Value) -> bool {
    instruction.is_instruction()
        && instruction.opcode() == Opcode::Call
        && instruction.called_function().is_some_and(|callee| callee.name().starts_with("dolmen.alloc"))
}

/// The references in a tracked value, taken out of it at the builder's position.
fn references_in(unit: &Unit<'_, '_>, b: &Builder<'_>, value: Value) -> Vec<Value> {
    match value.ty().kind() {
        TypeKind::RefVector(len) => (0..len).map(|i| b.extract_element(value, unit.types.i32.int(i.into()))).collect(),
        TypeKind::Struct => {
            let fields = value.ty().struct_fields();
            let refs = fields.iter().enumerate().filter(|(_, f)| f.kind() == TypeKind::Ref);
            refs.map(|(i, _)| b.extract_value(value, i as u32)).collect()
        }
        _ => vec![value],
    }
}

/// Whether a reference was loaded from an immutable global or a table of function references: the instance keeps the
/// object alive and where it is ([`dolmen_abi::collector`]), so compiled code need not.
fn is_kept_by_instance(unit: &Unit<'_, '_>, value: Value) -> bool {
    value.is_instruction()
        && value.opcode() == Opcode::Load
        && value.ty().kind() == TypeKind::Ref
        && value.operand(0).ty().kind() == TypeKind::Pointer
        && value.has_metadata(unit.metadata.invariant_load)
}

/// Number of references in a value of this type.
fn ref_count(value: Value) -> u32 {
    match value.ty().kind() {
        TypeKind::Ref => 1,
        TypeKind::RefVector(len) => len,
        TypeKind::Struct => value.ty().struct_fields().iter().filter(|f| f.kind() == TypeKind::Ref).count() as u32,
        _ => 0,
    }
}
