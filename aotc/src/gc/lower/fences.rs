//! Fences: no thread gets a reference before what the allocation has stored.
//!
//! The problem: a thread that reads a reference by a race trusts the object's header, immutable fields and references that
//! are never null (`docs/threads.md`). The allocation stores them before the reference can be stored anywhere. x86-64
//! shows stores in their order; other processors may show the reference first, unless there is a fence between. Readers
//! need none: their loads through the reference depend on it.
//!
//! A fence is needed behind the stores of the allocation, in front of the first instruction that may *publish*: let
//! another thread find the object. That is a store of a reference, a call, or anything that is atomic. What is stored into
//! an object that nobody else can find yet does not publish. So in each block one fence serves all allocations up to the
//! next instruction that may publish, and stands behind the last of them:
//!
//! ```text
//! a = alloc; b = alloc; store a, b.x; c = alloc (b); FENCE; store c, old.y
//! ```
//!
//! Each block ends with a fence for what it has allocated, so no fact crosses blocks. Elements of a fresh array are stored
//! behind the allocation; translation puts a fence behind them where they matter, which then serves the allocation, too.

use super::bases::Bases;
use super::cfg::Cfg;
use super::{is_alloc_marker, is_quick_call, ref_count};
use crate::llvm::{Opcode, Value};
use crate::translate::unit::Unit;
use rustc_hash::FxHashSet;

/// The allocations behind which a fence belongs.
pub(super) fn find(unit: &Unit<'_, '_>, cfg: &Cfg, bases: &Bases) -> FxHashSet<Value> {
    if !unit.fences {
        return FxHashSet::default();
    }
    cfg.instructions.iter().flat_map(|block| find_in_block(block, bases)).collect()
}

fn find_in_block(block: &[Value], bases: &Bases) -> Vec<Value> {
    let mut fenced = Vec::new();
    // The allocations since the last fence.
    let mut fresh = Vec::new();
    for &instruction in block {
        if is_alloc_marker(instruction) {
            fresh.push(instruction);
        } else if instruction.is_fence() {
            fresh.clear();
        } else if may_publish(instruction, &fresh, bases) {
            fenced.extend(fresh.pop());
            fresh.clear();
        }
    }
    fenced.extend(fresh.pop());
    fenced
}

/// Whether other threads may find objects behind an instruction that could not find them before. To `fresh` ones nothing
/// but this thread refers.
fn may_publish(instruction: Value, fresh: &[Value], bases: &Bases) -> bool {
    match instruction.opcode() {
        Opcode::Store => {
            let is_plain_word = ref_count(instruction.operand(0)) == 0 && instruction.is_plain_access();
            !is_plain_word && !fresh.contains(&bases.base_of(instruction.operand(1)))
        }
        Opcode::Load => !instruction.is_plain_access(),
        Opcode::Call | Opcode::Invoke => !is_quick_call(instruction),
        Opcode::AtomicAccess => true,
        _ => false,
    }
}
