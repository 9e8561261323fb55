//! What is done with inequalities: comparisons that are always true go, and stores are told apart from fixed elements.
//!
//! A *fixed* element is one that a loop loads from a place of its array that does not change, mostly the first. A store
//! in that loop to an element of the same array with another, variable index leaves the fixed one as it is. That is
//! assumed right in front of the store, which would be undefined behaviour if the index were poison.

use super::facts::Facts;
use super::prover::Prover;
use crate::gc::cfg::{BlockIdx, Cfg};
use crate::llvm::{Builder, IntPredicate, Opcode, TypeKind, Value};
use crate::translate::unit::Unit;

/// The greatest index of a fixed element.
const MAX_FIXED_INDEX: u64 = 7;

/// Comparisons that are looked at in one function.
const MAX_COMPARISONS: usize = 500;

/// Improves a function; tells whether there are assumptions now.
pub(super) fn improve(unit: &Unit<'_, '_>, cfg: &Cfg) -> bool {
    let in_loops: Vec<_> = (0..cfg.blocks.len()).filter(|&block| cfg.loops.iter().any(|l| l.contains(block))).collect();
    let comparisons = comparisons(unit, cfg, &in_loops);
    let stores = stores(unit, cfg, &in_loops);
    if comparisons.is_empty() && stores.is_empty() {
        return false;
    }
    let facts = Facts::new(unit, cfg);
    let mut prover = Prover::new(unit, cfg, &facts);
    let decided: Vec<_> = comparisons.into_iter().filter(|c| c.is_inside(&mut prover)).collect();
    let apart: Vec<_> = stores.into_iter().filter(|s| prover.is_at_least(s.index, s.fixed + 1, s.block)).collect();
    // Facts speak of the function as it was.
    decided.iter().for_each(|comparison| comparison.decide(unit));
    apart.iter().for_each(|store| store.assume(unit));
    !apart.is_empty()
}

/// A comparison of an index with a length.
struct Comparison {
    comparison: Value,
    index: Value,
    length: Value,
    /// What it is if the index is inside.
    outcome: bool,
    block: BlockIdx,
}

fn comparisons(unit: &Unit<'_, '_>, cfg: &Cfg, blocks: &[BlockIdx]) -> Vec<Comparison> {
    let instructions = blocks.iter().flat_map(|&block| cfg.instructions[block].iter().map(move |&i| (block, i)));
    let found = instructions.filter_map(|(block, comparison)| {
        if comparison.opcode() != Opcode::ICmp || comparison.operand(0).ty() != unit.types.i32 {
            return None;
        }
        let (left, right) = (comparison.operand(0), comparison.operand(1));
        let (index, length, outcome) = match comparison.int_predicate() {
            IntPredicate::Ult => (left, right, true),
            IntPredicate::Uge => (left, right, false),
            IntPredicate::Ugt => (right, left, true),
            IntPredicate::Ule => (right, left, false),
            _ => return None,
        };
        Some(Comparison { comparison, index, length, outcome, block })
    });
    found.take(MAX_COMPARISONS).collect()
}

impl Comparison {
    fn is_inside(&self, prover: &mut Prover<'_, '_, '_>) -> bool {
        prover.is_at_least(self.index, 0, self.block) && prover.is_at_most(self.index, self.length, -1, self.block)
    }

    fn decide(&self, unit: &Unit<'_, '_>) {
        let outcome = unit.context.int_type(1).int(self.outcome.into());
        self.comparison.replace_all_uses_with(outcome);
        self.comparison.erase();
    }
}

/// A store to an element beside a fixed one.
struct Store {
    store: Value,
    index: Value,
    /// The index of the fixed element.
    fixed: i64,
    block: BlockIdx,
}

/// The place in an array: its first part, and the byte behind it.
type Fixed = (Value, u64);

/// The stores in loops with which fixed elements compete.
fn stores(unit: &Unit<'_, '_>, cfg: &Cfg, blocks: &[BlockIdx]) -> Vec<Store> {
    let fixed: Vec<(BlockIdx, Fixed)> = blocks.iter().flat_map(|&block| fixed_loads(cfg, block)).collect();
    if fixed.is_empty() {
        return Vec::new();
    }
    let mut stores = Vec::new();
    for &block in blocks {
        for &store in cfg.instructions[block].iter().filter(|i| i.opcode() == Opcode::Store && i.is_plain_access()) {
            let Some((base, offset, index, width)) = variable_place(unit, store, cfg.blocks[block]) else { continue };
            let is_near = |&&(at, (object, byte)): &&(BlockIdx, Fixed)| {
                let distance = byte.wrapping_sub(offset);
                let is_index = byte >= offset && distance.is_multiple_of(width) && distance / width <= MAX_FIXED_INDEX;
                object == base && is_index && cfg.loops.iter().any(|l| l.contains(at) && l.contains(block))
            };
            let near = fixed.iter().filter(is_near).map(|&(_, (_, byte))| ((byte - offset) / width) as i64);
            if let Some(fixed) = near.max() {
                stores.push(Store { store, index, fixed, block });
            }
        }
    }
    stores
}

/// The places that a block loads from whose distance from the object is constant.
fn fixed_loads(cfg: &Cfg, block: BlockIdx) -> impl Iterator<Item = (BlockIdx, Fixed)> + '_ {
    let loads = cfg.instructions[block].iter().filter(|i| i.opcode() == Opcode::Load && i.is_plain_access());
    loads.filter_map(move |load| Some((block, constant_place(load.operand(0))?)))
}

/// A pointer as an object's reference and a constant number of bytes.
fn constant_place(pointer: Value) -> Option<Fixed> {
    if pointer.ty().kind() != TypeKind::Ref || !pointer.is_instruction() || pointer.opcode() != Opcode::GetElementPtr {
        return (pointer.ty().kind() == TypeKind::Ref).then_some((pointer, 0));
    }
    let index = (pointer.operand_count() == 2).then(|| pointer.operand(1).const_int()).flatten()?;
    let bytes = u64::try_from(index).ok()?.checked_mul(pointer.gep_source_type().size_bytes().into())?;
    let (base, offset) = constant_place(pointer.operand(0))?;
    Some((base, offset.checked_add(bytes)?))
}

/// Where a store goes if its index varies: the object, the byte of the first element, the index, and the elements' width.
/// The address must be computed in the block of the store, so that LLVM sees an assumption of this block.
fn variable_place(unit: &Unit<'_, '_>, store: Value, block: crate::llvm::Block) -> Option<(Value, u64, Value, u64)> {
    let pointer = store.operand(1);
    let is_element = pointer.ty().kind() == TypeKind::Ref
        && pointer.is_instruction()
        && pointer.opcode() == Opcode::GetElementPtr
        && pointer.operand_count() == 2
        && pointer.block() == block;
    let index = is_element.then(|| pointer.operand(1))?;
    if index.ty() != unit.types.i32 || index.const_int().is_some() {
        return None;
    }
    let (base, offset) = constant_place(pointer.operand(0))?;
    Some((base, offset, index, pointer.gep_source_type().size_bytes().into()))
}

impl Store {
    fn assume(&self, unit: &Unit<'_, '_>) {
        let b = Builder::new(unit.context);
        b.position_before(self.store);
        let holds = b.icmp(IntPredicate::Ugt, self.index, unit.types.i32.int(self.fixed as u64));
        unit.assume(&b, holds);
    }
}
