//! Bonuses for inlining that would add up without end.
//!
//! The problem: a call of a function that is called nowhere else is worth inlining, so it has a bonus. LLVM adds the bonus
//! to what the function *around* the call may cost where that is inlined, and with it go copies of the call, each with the
//! bonus. Of a chain of functions that each call the next one twice, by way of one that has such a call, every level has
//! twice the copies of the one below, twice the cost, and is allowed twice the cost: 22 functions took more than a minute.
//!
//! So it is counted how many copies of such calls a function can come to hold, through its calls and their calls. One that
//! can hold too many is inlined where it would be without any bonus.

use crate::convention::wasm_calls;
use crate::llvm::{Value, attribute_index};
use crate::options::MAX_BONUSES;
use crate::translate::unit::Unit;
use std::collections::{HashMap, HashSet};

/// Attribute of calls: what LLVM adds to the threshold of the function around.
pub(crate) const BONUS: &str = "call-threshold-bonus";

/// Attribute of functions: the threshold that decides, whatever LLVM made of bonuses.
const THRESHOLD: &str = "function-inline-threshold";

/// LLVM's own threshold of -O2.
const USUAL_THRESHOLD: &str = "225";

/// Takes bonuses from functions of the unit's LLVM module that can come to hold too many of them.
pub(crate) fn limit(unit: &Unit<'_, '_>) {
    let functions = unit.llvm.functions().into_iter().filter(|f| f.is_definition());
    let graph: HashMap<Value, Vec<Call>> = functions.map(|function| (function, calls(function))).collect();
    let usual = unit.context.string_attribute(THRESHOLD, USUAL_THRESHOLD);
    for (&function, &bonuses) in &counts(unit, &graph) {
        if bonuses > MAX_BONUSES {
            function.add_attribute(attribute_index::FUNCTION, usual);
        }
    }
}

/// A call of a known function.
struct Call {
    callee: Value,
    has_bonus: bool,
}

fn calls(function: Value) -> Vec<Call> {
    let known = |call: Value| {
        let callee = call.called_function()?;
        Some(Call { callee, has_bonus: call.has_call_string_attribute(BONUS) })
    };
    wasm_calls(function).filter_map(known).collect()
}

/// How many calls with a bonus each function can come to hold if all is inlined but recursions.
fn counts(unit: &Unit<'_, '_>, graph: &HashMap<Value, Vec<Call>>) -> HashMap<Value, u64> {
    let mut counts = HashMap::new();
    // Functions are here twice: before their callees, and behind them.
    let mut work: Vec<_> = unit.llvm.functions().into_iter().map(|function| (function, false)).collect();
    let mut begun = HashSet::new();
    while let Some((function, is_done)) = work.pop() {
        let Some(calls) = graph.get(&function) else { continue };
        if is_done {
            let held = |call: &Call| counts.get(&call.callee).map_or(0, |&count: &u64| count);
            let add = |sum: u64, call| sum.saturating_add(held(call)).saturating_add(call.has_bonus.into());
            counts.insert(function, calls.iter().fold(0, add));
        } else if begun.insert(function) {
            work.push((function, true));
            work.extend(calls.iter().map(|call| (call.callee, false)));
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use crate::{Options, compile};
    use std::fmt::Write;

    /// A module in which each of so many functions calls the next one twice, by way of one that is called in one place.
    fn chain(length: usize) -> Vec<u8> {
        const WORK: &str = "(drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))";
        let work = WORK.repeat(5);
        let mut text = format!("(module (memory 1 1 shared) (func $f{length} {WORK})");
        for i in 0..length {
            let next = i + 1;
            let _ = write!(text, "(func $f{i} {work} (call $by-way{i}) {WORK} (call $by-way{i}) {WORK})");
            let _ = write!(text, "(func $by-way{i} (call $f{next}))");
        }
        wat::parse_str(text + r#"(func (export "f") (call $f0)))"#).expect("the text is right")
    }

    #[test]
    fn chains_of_calls_do_not_become_trees() {
        let size = |length| compile(&chain(length), &Options::default()).expect("it compiles").len();
        // The first one tells without taking a minute.
        for length in [16, 60] {
            let size = size(length);
            assert!(size < 32 << 10, "{length}: {size}");
        }
    }
}
