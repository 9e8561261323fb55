//! Offsets in objects, which wrap around at 2^32.
//!
//! The problem: to LLVM a reference is a pointer of 32 bits, and so is an address in an object. It takes a sum of indices
//! apart, `p + 4 * (x + y)` becomes `(p + 4 * x) + 4 * y`, and if it does not know that the sum does not wrap, neither part
//! says so (`nuw`). Each of them may then be anything; only together, modulo 2^32, they are inside the object. Addresses of
//! 64 bits do not wrap there: of `a[x - 0x40000000]` only `p + 4 * x` is left, because the other part is a multiple of 2^32,
//! and with `x` not much larger than `0x40000000` that is 4 GiB behind the array.
//!
//! So an addition is *exact* if it says that it does not wrap, or if what it adds is small. Where others have a part in an
//! address, [`super::address`] computes the offset in 32 bits, starting at the reference, and extends it. For this, merges of
//! addresses with such a part, or to which such a part is added, become merges of references and of offsets here:
//!
//! ```text
//!   %p = phi (%a + 4 * %x), (%b + 4 * %y)    ──►    %r = phi %a, %b
//!                                                   %o = phi 4 * %x, 4 * %y
//!                                                   %p = %r + %o
//! ```

use super::bases::find_derived;
use super::cfg::{self, Cfg};
use crate::llvm::{Builder, LlvmError, Op, Opcode, TypeKind, Value};
use crate::translate::unit::Unit;
use rustc_hash::{FxHashMap, FxHashSet};

/// What a small index is below, and not below when it is negative: the sum of some of them, times the largest element, is far
/// from wrapping.
const SMALL: i64 = 1 << 24;

/// Whether adding in 64 bits gives what a `getelementptr` adds in 32.
pub(super) fn is_exact(gep: Value) -> bool {
    gep.gep_is_unsigned() || gep.operands().skip(1).all(is_small)
}

fn is_small(index: Value) -> bool {
    match index.const_int() {
        Some(constant) => (-SMALL..SMALL).contains(&constant),
        None => {
            index.is_instruction()
                && index.opcode() == Opcode::ZExt
                && index.ty().vector_len().is_none()
                && index.operand(0).ty().size_bytes() <= 2
        }
    }
}

/// Whether an instruction is an addition that is not exact.
fn may_wrap(instruction: Value) -> bool {
    instruction.opcode() == Opcode::GetElementPtr && !is_exact(instruction)
}

/// The additions that an address is made by, last one first.
fn additions(pointer: Value) -> impl Iterator<Item = Value> {
    let addition = |value: Value| (value.is_instruction() && value.opcode() == Opcode::GetElementPtr).then_some(value);
    std::iter::successors(addition(pointer), move |gep| addition(gep.operand(0)))
}

/// What a chain of additions starts at.
pub(super) fn start_of(pointer: Value) -> Value {
    additions(pointer).last().map_or(pointer, |first| first.operand(0))
}

/// Whether an addition that is not exact has a part in an address, since the last merge.
pub(super) fn wraps(pointer: Value) -> bool {
    additions(pointer).any(may_wrap)
}

/// The offset that a chain of additions adds to its start, modulo 2^32, computed at the builder's position.
pub(super) fn offset_of(unit: &Unit<'_, '_>, b: &Builder<'_>, pointer: Value) -> Result<Value, LlvmError> {
    let types = unit.types;
    additions(pointer).try_fold(types.i32.zero(), |sum, gep| {
        let index = gep.operand(1);
        if gep.operand_count() != 2 || index.ty() != types.i32 {
            return Err(LlvmError(format!("address with other indices: {}", gep.print())));
        }
        let size = types.i32.int(gep.gep_source_type().size_bytes().into());
        Ok(b.binary(Op::Add, b.binary(Op::Mul, index, size), sum))
    })
}

/// Takes merges of addresses apart that are not exact; tells whether there were any.
///
/// # Errors
///
/// LLVM's optimiser produced something that this pass does not know: a bug of this compiler.
pub(super) fn split_merges(unit: &Unit<'_, '_>, cfg: &Cfg) -> Result<bool, LlvmError> {
    let in_order: Vec<_> = cfg.instructions.iter().flatten().copied().collect();
    if !in_order.iter().any(|&i| i.ty().kind() == TypeKind::Ref && may_wrap(i)) {
        return Ok(false);
    }
    let derived = find_derived(cfg);
    let merges = merges_that_wrap(&in_order, &derived);
    if merges.is_empty() {
        return Ok(false);
    }
    let b = Builder::new(unit.context);
    let mut split = FxHashMap::default();
    for &merge in in_order.iter().filter(|i| merges.contains(i) && i.opcode() == Opcode::Phi) {
        b.position_before(merge);
        split.insert(merge, Parts { reference: b.phi(unit.types.reference), offset: b.phi(unit.types.i32) });
    }
    // Selects and freezes come behind what they merge.
    for &merge in in_order.iter().filter(|i| merges.contains(i) && i.opcode() != Opcode::Phi) {
        b.position_before(merge);
        let part = |index: usize| parts(unit, &b, &split, merge.operand(index));
        let both = match merge.opcode() {
            Opcode::Select => {
                let (then, otherwise) = (part(1)?, part(2)?);
                let condition = merge.operand(0);
                Parts {
                    reference: b.select(condition, then.reference, otherwise.reference),
                    offset: b.select(condition, then.offset, otherwise.offset),
                }
            }
            _ => {
                let source = part(0)?;
                Parts { reference: b.freeze(source.reference), offset: b.freeze(source.offset) }
            }
        };
        split.insert(merge, both);
    }
    for &merge in in_order.iter().filter(|i| merges.contains(i) && i.opcode() == Opcode::Phi) {
        let both = split[&merge];
        let arriving = cfg::arriving(merge, |incoming, end| {
            b.position_before(end);
            parts(unit, &b, &split, incoming)
        })?;
        for (from, block) in arriving {
            both.reference.add_incoming(from.reference, block);
            both.offset.add_incoming(from.offset, block);
        }
    }
    replace(unit, cfg, &b, &in_order, &split);
    Ok(true)
}

/// A reference and an offset in its object, modulo 2^32.
#[derive(Clone, Copy)]
struct Parts {
    reference: Value,
    offset: Value,
}

/// The merges in which a part has been added that is not exact, or to which one is added.
fn merges_that_wrap(in_order: &[Value], derived: &FxHashSet<Value>) -> FxHashSet<Value> {
    let mut wraps: FxHashSet<Value> = FxHashSet::default();
    let mut changed = true;
    while changed {
        changed = false;
        for &pointer in in_order.iter().filter(|i| derived.contains(i) && i.ty().kind() == TypeKind::Ref) {
            if may_wrap(pointer) || pointer.operands().any(|operand| wraps.contains(&operand)) {
                changed |= wraps.insert(pointer);
            }
            // What it starts at has to be a reference; and what that merge starts at.
            if wraps.contains(&pointer) {
                for start in pointer.operands().map(start_of).filter(|start| derived.contains(start)) {
                    changed |= wraps.insert(start);
                }
            }
        }
    }
    wraps.retain(|pointer| matches!(pointer.opcode(), Opcode::Phi | Opcode::Select | Opcode::Freeze));
    wraps
}

/// The parts of an address, computed at the builder's position.
fn parts(
    unit: &Unit<'_, '_>,
    b: &Builder<'_>,
    split: &FxHashMap<Value, Parts>,
    pointer: Value,
) -> Result<Parts, LlvmError> {
    let start = start_of(pointer);
    let added = offset_of(unit, b, pointer)?;
    Ok(match split.get(&start) {
        Some(&Parts { reference, offset }) => Parts { reference, offset: b.binary(Op::Add, offset, added) },
        None => Parts { reference: start, offset: added },
    })
}

/// Puts the sum of its parts in each merge's place.
fn replace(unit: &Unit<'_, '_>, cfg: &Cfg, b: &Builder<'_>, in_order: &[Value], split: &FxHashMap<Value, Parts>) {
    let merges: Vec<_> = in_order.iter().copied().filter(|i| split.contains_key(i)).collect();
    for &merge in &merges {
        let Parts { reference, offset } = split[&merge];
        match merge.opcode() {
            Opcode::Phi => b.position_before(cfg.first_ordinary(cfg.index[&merge.block()])),
            _ => b.position_before(merge),
        }
        merge.replace_all_uses_with(b.gep_wrapping(unit.types.i8, reference, &[offset]));
    }
    merges.into_iter().for_each(Value::erase);
}
