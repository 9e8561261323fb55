//! Returns of their own for paths that need no frame.
//!
//! The problem: LLVM merges all returns of a function into one block. What a frame needs at each exit, the native
//! stack's or the shadow stack's, then stands on every path, and so the frame is made on every path. Here a path that
//! reaches the common return without anything that needs a frame gets a copy of it.

use crate::llvm::{Block, Builder, Opcode, Value};
use crate::translate::unit::Unit;
use std::collections::HashSet;

/// Splits off returns from blocks that do nothing but return.
pub(crate) fn split(unit: &Unit<'_, '_>, function: Value, needs_frame: impl Fn(Value) -> bool) {
    let returns: Vec<_> = function.blocks().into_iter().filter(|&block| only_returns(block)).collect();
    if returns.is_empty() {
        return;
    }
    let free = free_blocks(function, needs_frame);
    for block in returns {
        split_block(unit, function, block, &free);
    }
}

/// Whether a block has nothing but phis and a return.
fn only_returns(block: Block) -> bool {
    let instructions = block.instructions();
    let mut others = instructions.iter().skip_while(|i| i.opcode() == Opcode::Phi);
    others.next().is_some_and(|i| i.opcode() == Opcode::Ret)
}

/// The blocks at whose end a path can arrive that needs no frame.
pub(crate) fn free_blocks(function: Value, needs_frame: impl Fn(Value) -> bool) -> HashSet<Block> {
    let mut free = HashSet::new();
    let mut work: Vec<_> = function.blocks().first().copied().into_iter().collect();
    while let Some(block) = work.pop() {
        if !free.contains(&block) && !block.instructions().into_iter().any(&needs_frame) {
            free.insert(block);
            work.extend(block.successors());
        }
    }
    free
}

/// Gives the predecessors in `free` a return of their own, unless all are so.
fn split_block(unit: &Unit<'_, '_>, function: Value, block: Block, free: &HashSet<Block>) {
    let predecessors = function.blocks().into_iter().filter(|p| p.successors().contains(&block));
    let (split, kept): (Vec<_>, Vec<_>) = predecessors.partition(|p| free.contains(p));
    if split.is_empty() || kept.is_empty() {
        return;
    }
    let b = Builder::new(unit.context);
    let instructions = block.instructions();
    let Some((&ret, phis)) = instructions.split_last() else { return };
    for &predecessor in &split {
        let value = (ret.operand_count() > 0).then(|| ret.operand(0));
        let arriving = value.map(|v| if phis.contains(&v) { incoming_from(v, predecessor) } else { v });
        let copy = unit.context.append_block(function, "return");
        b.position_at_end(copy);
        match arriving {
            Some(value) => b.ret(value),
            None => b.ret_void(),
        };
        predecessor.replace_successor(block, copy);
    }
    for &phi in phis {
        b.position_before(phi);
        let new = b.phi(phi.ty());
        for (value, from) in phi.incoming().into_iter().filter(|(_, from)| !split.contains(from)) {
            new.add_incoming(value, from);
        }
        phi.replace_all_uses_with(new);
        phi.erase();
    }
}

fn incoming_from(phi: Value, predecessor: Block) -> Value {
    let found = phi.incoming().into_iter().find(|&(_, from)| from == predecessor);
    found.expect("a phi has a value for each predecessor").0
}
