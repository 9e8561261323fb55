//! Loops, after LLVM's optimiser: what is cheaper to know once their first round stands alone.
//!
//! The problem: an index that changes from round to round is compared with the array's length in each of them, and
//! every store to an element may, for all that LLVM knows, be one to the first element, which the code around the loop
//! wants to keep in a register. LLVM reasons about one index at a time; what shows both is how indices relate: in a
//! reversal, `0 < i < j`, and `j` was inside when it started and falls.
//!
//! 1. [`peel`]: small loops get a copy of their first round.
//! 2. [`facts`]: what the branches of a function say of its numbers, as inequalities.
//! 3. [`prover`]: whether a number is at most another plus a constant, by these facts and by induction over rounds.
//! 4. [`checks`]: comparisons with lengths that are always true go; of stores to elements that are never one whose
//!    place in the array is constant, LLVM is told so (`llvm.assume`). If there are any, its pass that forwards loads
//!    ([`pipeline::forward_loads`]) runs on the function again.
//!
//! Output: a function without assumptions.

mod checks;
mod facts;
mod peel;
mod prover;
#[cfg(test)]
mod tests;

use super::cfg::Cfg;
use crate::llvm::{LlvmError, TargetMachine, Value};
use crate::pipeline;
use crate::translate::unit::Unit;

/// Improves the loops of all functions of the unit's LLVM module.
///
/// # Errors
///
/// LLVM does not know a pass: a bug of this compiler.
pub(crate) fn run(unit: &Unit<'_, '_>, target: &TargetMachine) -> Result<(), LlvmError> {
    let functions = unit.llvm.functions().into_iter().filter(|f| f.is_definition());
    functions.into_iter().try_for_each(|function| run_on(unit, target, function))
}

fn run_on(unit: &Unit<'_, '_>, target: &TargetMachine, function: Value) -> Result<(), LlvmError> {
    let mut cfg = Cfg::new(function);
    if cfg.loops.is_empty() {
        return Ok(());
    }
    if peel::peel(unit, &cfg) {
        cfg = Cfg::new(function);
    }
    if checks::improve(unit, &cfg) {
        function.run_passes(pipeline::forward_loads(), target)?;
    }
    Ok(())
}
