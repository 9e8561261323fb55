//! Sums of floating-point numbers: their loops are interleaved twice.
//!
//! The problem: LLVM's vectoriser takes four vectors in each round of a loop that sums up, so that four sums grow at the
//! same time. A sum of floating-point numbers keeps its order, so there is only one, and every addition waits for the one
//! before. What else such a loop does, two vectors at a time hide behind the additions as well as four; the other two only
//! make the code longer, and with it the compilation of small modules by up to a third.
//!
//! So loops with such sums get a *hint* before LLVM vectorises, in the form that it reads from C's pragmas. Loops that it
//! leaves as they are lose it again: what LLVM says of a loop tells later passes that it is not as written any more.

use crate::llvm::{Block, Metadata, Value};
use crate::translate::unit::Unit;

/// Vectors in a round.
const INTERLEAVED: u64 = 2;

/// Additions to one sum in a round, at most, or it is not looked at.
const MAX_ADDITIONS: usize = 4;

/// Gives the loops of sums a hint, which is the result, if there are any.
pub(crate) fn hint_loops(unit: &Unit<'_, '_>) -> Option<Metadata> {
    let blocks = unit.llvm.functions().into_iter().flat_map(Value::blocks);
    let latches: Vec<_> = blocks.filter_map(latch_of_sum).collect();
    if latches.is_empty() {
        return None;
    }
    let count =
        [unit.context.metadata_string("llvm.loop.interleave.count"), unit.context.metadata_int(INTERLEAVED, 32)];
    let hint = unit.context.loop_metadata(&[unit.context.metadata_node(&count)]);
    latches.iter().for_each(|latch| latch.set_metadata(unit.metadata.loops, hint));
    Some(hint)
}

/// Takes the hint back where it was of no use.
pub(crate) fn take_back(unit: &Unit<'_, '_>, hint: Metadata) {
    let terminators = unit.llvm.functions().into_iter().flat_map(Value::blocks).filter_map(Block::terminator);
    terminators
        .filter(|terminator| terminator.metadata(unit.metadata.loops) == Some(hint))
        .for_each(|terminator| terminator.clear_metadata(unit.metadata.loops));
}

/// The branch back to a block, if a sum goes round with it.
///
/// A value that comes from a phi and goes to it takes a back edge: the block of the phi is above all uses of it.
fn latch_of_sum(header: Block) -> Option<Value> {
    let sums = header.phis().into_iter().filter(|phi| phi.ty().is_float());
    let mut latches = sums.flat_map(|phi| {
        let grown = phi.incoming().into_iter().filter(move |&(value, _)| is_sum_of(value, phi));
        grown.filter_map(|(_, latch)| latch.terminator())
    });
    latches.next()
}

/// Whether a value is a phi's plus some others.
fn is_sum_of(value: Value, phi: Value) -> bool {
    let mut sum = value;
    for _ in 0..MAX_ADDITIONS {
        if !sum.is_instruction() || !sum.is_float_add() {
            return false;
        }
        let operands = [sum.operand(0), sum.operand(1)];
        if operands.contains(&phi) {
            return true;
        }
        // The sum so far is on either side.
        let Some(&inner) = operands.iter().find(|operand| operand.is_instruction() && operand.is_float_add()) else {
            return false;
        };
        sum = inner;
    }
    false
}
