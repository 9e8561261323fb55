//! Tail calls that LLVM's optimiser puts something behind.
//!
//! The problem: a tail call that inlining brings to where its result is used becomes an ordinary call. If it is one of the
//! function that it is in now, `tailcallelim` makes a loop of it, and where what it returned is not what the function
//! returns, remembers in a variable what that is. In front of each other return it then selects between that and the
//! value at hand, be it between a tail call and its return, where nothing may stand:
//!
//! ```text
//! f(x) = if x = 0 then return_call_ref $r else (call g(x - 1); 5)          g(x) = return_call f(x)
//! ```
//!
//! A function that recurs in this way has to give up one of the two. So partitions in which that has happened are
//! translated again, with functions of which `tailcallelim` makes no loops. A tail call of the function itself is a jump
//! to its entry then.

use crate::llvm::{Block, Opcode, attribute_index};
use crate::translate::unit::Unit;

/// Whether nothing but its return stands behind each tail call.
pub(crate) fn are_whole(unit: &Unit<'_, '_>) -> bool {
    let blocks = unit.llvm.functions().into_iter().flat_map(|function| function.blocks());
    blocks.map(Block::instructions).all(|instructions| {
        let mut rest = instructions.iter().skip_while(|i| i.opcode() != Opcode::Call || !i.is_must_tail()).skip(1);
        rest.next().is_none_or(|next| next.opcode() == Opcode::Ret)
    })
}

/// Keeps LLVM from making loops of calls.
pub(crate) fn keep(unit: &Unit<'_, '_>) {
    let attribute = unit.context.string_attribute("disable-tail-calls", "true");
    let functions = unit.llvm.functions().into_iter().filter(|function| function.is_definition());
    functions.for_each(|function| function.add_attribute(attribute_index::FUNCTION, attribute));
}
