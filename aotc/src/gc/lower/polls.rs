//! Polls: every cycle of control flow gets a point at which the thread can be stopped.
//!
//! A poll is inserted
//!
//! - at the end of each block that jumps backwards, unless an allocation (whose buffer ends some time, and whose
//!   slow path polls) lies on every path around the loop, or [`strips`](super::strips) has seen to it;
//! - in front of each tail call, since a cycle of tail calls is a loop too;
//! - in front of each call that may close a recursion: of a function that does not rank higher than the caller
//!   ([`call_trees`]), or of an unknown one. Every cycle of calls contains one of these. One poll in a block is enough, and none
//!   is needed where every path to the block's end allocates: then every round of the cycle does.
//!
//! Apart from that calls do not count: the callee may neither allocate nor loop. So that trees of such calls take no time
//! that is exponential in the length of the program, translation has seen to polls at the entry of functions at the root
//! of large ones, and to marks ([`POLLING_CALL`]) at calls that were made direct ([`call_trees`]).
//!
//! [`call_trees`]: crate::module::call_trees
//!
//! Arguments in the thread's surplus slots are no roots, so a call that has some got its poll in translation, in
//! front of their stores ([`POLLED_CALL`]).

use super::cfg::{BlockIdx, Cfg};
use super::expand::Expansions;
use super::strips::Unpolled;
use crate::gc::markers::{POLLED_CALL, POLLING_CALL};
use crate::llvm::{Builder, C_CC, Opcode, TAIL_CC, Value};
use crate::translate::unit::Unit;
use std::collections::BTreeSet;

/// Inserts poll markers.
pub(super) fn insert(unit: &Unit<'_, '_>, expansions: &Expansions<'_, '_, '_>, cfg: &Cfg, unpolled: &Unpolled) {
    let b = Builder::new(unit.context);
    let poll_before = |place: Value| {
        let function = place.block().parent();
        // Trampolines have no loops and no tail calls, so the first parameter is the thread context.
        b.position_before(place);
        let marker = expansions.poll_marker();
        b.call(marker.function_type(), marker, &[function.param(0)], C_CC);
    };
    let is_polled = |&(latch, header): &(BlockIdx, BlockIdx)| {
        unpolled.contains(&(cfg.blocks[latch], cfg.blocks[header]))
            || allocates(cfg, (latch, header))
            || cfg.blocks[latch].terminator().is_some_and(is_polled_invoke)
    };
    let latches: BTreeSet<_> = cfg.back_edges().filter(|edge| !is_polled(edge)).map(|(latch, _)| latch).collect();
    for &latch in &latches {
        if let Some(terminator) = cfg.blocks[latch].terminator() {
            poll_before(terminator);
        }
    }
    for (block, instructions) in cfg.instructions.iter().enumerate() {
        let mut calls = instructions.iter().copied().filter(|&i| needs_poll(unit, i));
        if let Some(call) = calls.next()
            && !latches.contains(&block)
            && !allocates_between(cfg, 0, block)
        {
            poll_before(call);
        }
    }
}

/// Whether a block ends with a call that stands behind a poll of its own, and behind stores of surplus arguments, which are
/// no roots: no poll may be in front of it, and none is needed.
fn is_polled_invoke(terminator: Value) -> bool {
    terminator.opcode() == Opcode::Invoke && terminator.has_call_string_attribute(POLLED_CALL)
}

/// Whether an instruction is a call that may close a cycle, without a poll of its own.
fn needs_poll(unit: &Unit<'_, '_>, instruction: Value) -> bool {
    match instruction.opcode() {
        Opcode::Call if instruction.is_must_tail() => !instruction.has_call_string_attribute(POLLED_CALL),
        Opcode::Call | Opcode::Invoke => {
            instruction.call_convention() == TAIL_CC
                && !instruction.has_call_string_attribute(POLLED_CALL)
                && (instruction.has_call_string_attribute(POLLING_CALL) || may_recur(unit, instruction))
        }
        _ => false,
    }
}

/// Whether a call in the convention of wasm functions may be a recursive one.
fn may_recur(unit: &Unit<'_, '_>, call: Value) -> bool {
    let caller = unit.func_of(call.block().parent());
    let callee = call.called_function().and_then(|callee| unit.func_of(callee));
    // Init functions and trampolines have no index: nothing calls them but the host.
    match (caller, callee) {
        (None, _) => false,
        (Some(caller), Some(callee)) => unit.module.call_trees.may_recur(unit.module, caller, callee),
        (Some(_), None) => true,
    }
}

/// Whether every path around the loop of a back edge allocates.
pub(super) fn allocates(cfg: &Cfg, (latch, header): (BlockIdx, BlockIdx)) -> bool {
    if !cfg.dominates(header, latch) {
        return false;
    }
    allocates_between(cfg, header, latch)
}

/// Whether every path from a block to the end of one that it dominates allocates: a block between them in the dominator
/// tree does.
fn allocates_between(cfg: &Cfg, first: BlockIdx, last: BlockIdx) -> bool {
    let mut block = last;
    loop {
        if cfg.instructions[block].iter().any(|&i| super::is_alloc_marker(i)) {
            return true;
        }
        if block == first {
            return false;
        }
        block = cfg.idom(block);
    }
}
