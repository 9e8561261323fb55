//! Stores of zero that initialise fields which are zero already.
//!
//! The problem: memory of fresh objects is zero, so constructors that set fields to null or 0 store for nothing. LLVM would
//! see that if allocations were declared to be zeroed. But it may also drop the stores of headers and immutable fields,
//! which the allocation performs itself ([`Unit::mark_unaliased`]), and would then take these for zero, too.
//!
//! So translation stores all fields but those that are zero in the text, and marks these stores. They are the first ones to
//! their places wherever LLVM moves them, since it keeps their order with later ones. Those that turn out to store zero
//! are dropped here, before LLVM makes one of the stores of several allocations, and once more at the end.

use crate::llvm::Opcode;
use crate::translate::unit::Unit;

/// Drops stores of zero to fresh objects.
pub(crate) fn drop_zeros(unit: &Unit<'_, '_>) {
    let blocks = unit.llvm.functions().into_iter().flat_map(|function| function.blocks());
    for instruction in blocks.flat_map(|block| block.instructions()) {
        if instruction.opcode() == Opcode::Store
            && instruction.has_metadata(unit.metadata.initial_store)
            && instruction.operand(0).is_null_constant()
        {
            instruction.erase();
        }
    }
}
