//! Polls: every cycle of control flow gets a point at which the thread can be stopped.
//!
//! A poll is inserted at the end of each block that jumps backwards, unless an allocation (whose buffer ends
//! some time, and whose slow path polls) lies on every path around the loop; and in front of each tail call,
//! since a cycle of tail calls is a loop too. Calls do not count: the callee may neither allocate nor loop.

use super::cfg::{BlockIdx, Cfg};
use super::expand::Expansions;
use crate::llvm::{Builder, C_CC, Opcode, Value};
use crate::translate::unit::Unit;
use std::collections::BTreeSet;

/// Inserts poll markers.
pub(super) fn insert(unit: &Unit<'_, '_>, expansions: &Expansions<'_, '_, '_>, cfg: &Cfg) {
    let b = Builder::new(unit.context);
    let poll_before = |place: Value| {
        let function = place.block().parent();
        // Trampolines have no loops and no tail calls, so the first parameter is the thread context.
        b.position_before(place);
        let marker = expansions.poll_marker();
        b.call(marker.function_type(), marker, &[function.param(0)], C_CC);
    };
    let latches: BTreeSet<_> = cfg.back_edges().filter(|&edge| !allocates(cfg, edge)).map(|(latch, _)| latch).collect();
    for latch in latches {
        if let Some(terminator) = cfg.blocks[latch].terminator() {
            poll_before(terminator);
        }
    }
    for instruction in cfg.instructions.iter().flatten() {
        if instruction.opcode() == Opcode::Call && instruction.is_must_tail() {
            poll_before(*instruction);
        }
    }
}

/// Whether every path around the loop of a back edge allocates.
fn allocates(cfg: &Cfg, (latch, header): (BlockIdx, BlockIdx)) -> bool {
    if !cfg.dominates(header, latch) {
        return false;
    }
    // Blocks between header and latch in the dominator tree are on every path around.
    let mut block = latch;
    loop {
        if cfg.instructions[block].iter().any(|&i| super::is_alloc_marker(i)) {
            return true;
        }
        if block == header {
            return false;
        }
        block = cfg.idom(block);
    }
}
