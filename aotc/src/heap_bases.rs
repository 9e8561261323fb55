//! Heap bases that nobody needs: direct calls do not pass them.
//!
//! The problem: every function is passed the heap's base, and the register that it comes in does not outlive a call. A
//! function that only computes, and calls others of that kind, would load the base for each of its calls.
//!
//! A function needs its base if it does anything with it but pass it to functions that do not need theirs; all others are
//! passed whatever is in the register. What is left to be done when functions are lowered adds no use of a base, so this
//! comes then. It knows functions of this partition only: of others the code is elsewhere. Calls through references may
//! reach any function, and pass the base.

use crate::convention::{HEAP_BASE, is_wasm_call, passes_only};
use crate::llvm::{TAIL_CC, Value};
use crate::translate::unit::Unit;
use std::collections::{HashMap, HashSet};

/// Lets direct calls pass no base to functions that do not need it.
pub(crate) fn forget(unit: &Unit<'_, '_>) {
    let functions = unit.llvm.functions();
    let is_known = |f: &Value| f.function_convention() == TAIL_CC && f.is_definition() && !f.is_available_externally();
    let without_need = without_need(functions.iter().copied().filter(is_known).collect());
    for function in functions.into_iter().filter(|f| f.function_convention() == TAIL_CC && f.is_definition()) {
        let base = function.param(HEAP_BASE);
        let is_useless = |user: &Value| passed_to(*user, base).is_some_and(|callee| without_need.contains(&callee));
        base.users().into_iter().filter(is_useless).for_each(|call| call.set_operand(HEAP_BASE, base.ty().poison()));
    }
}

/// Those of some functions that do not need the base that they are passed.
fn without_need(mut functions: HashSet<Value>) -> HashSet<Value> {
    let mut callers: HashMap<Value, Vec<Value>> = HashMap::new();
    let mut in_need = Vec::new();
    for &function in &functions {
        let base = function.param(HEAP_BASE);
        for user in base.users() {
            match passed_to(user, base).filter(|callee| functions.contains(callee)) {
                Some(callee) => callers.entry(callee).or_default().push(function),
                None => in_need.push(function),
            }
        }
    }
    while let Some(function) = in_need.pop() {
        if functions.remove(&function) {
            in_need.extend(callers.remove(&function).unwrap_or_default());
        }
    }
    functions
}

/// The function that a direct call passes a base to, as nothing but its base.
fn passed_to(user: Value, base: Value) -> Option<Value> {
    let callee = is_wasm_call(user).then(|| user.called_function()).flatten()?;
    passes_only(user, base, HEAP_BASE).then_some(callee)
}
