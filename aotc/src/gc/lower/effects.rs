//! Taking back what LLVM has found out about functions that are about to change.
//!
//! The problem: the optimiser looks at bodies with abstract references, without polls and without roots. What it
//! concludes for callers is true of these bodies only:
//!
//! - *A parameter that a body does not mention is not passed*: callers give poison. But a body that mentions no thread
//!   context needs one for each access through a reference, and for polls.
//! - *A body that only computes reads nothing*: callers may leave out stores in front of the call that are overwritten
//!   after it. But those are the roots that a collection during the call looks for.
//!
//! So before a function is lowered its calls pass its own thread context, which is the callee's, too, and the heap's base;
//! and what was found out about effects is forgotten, of functions and of calls. Instances need nothing of the kind:
//! lowering never adds a use of one.

use crate::convention::{HEAP_BASE, THREAD, wasm_calls};
use crate::llvm::{TAIL_CC, Value, attribute_index};

/// Attributes that say what a function does to memory, other threads, and control.
const OF_FUNCTIONS: [&str; 5] = ["memory", "nosync", "nofree", "willreturn", "mustprogress"];

/// Attributes that say what a function does with memory that it is given.
const OF_PARAMETERS: [&str; 4] = ["readnone", "readonly", "writeonly", "captures"];

/// Makes a function and its calls ready to be lowered.
pub(super) fn forget(function: Value) {
    let thread = attribute_index::param(THREAD);
    let takes_heap_base = function.function_convention() == TAIL_CC;
    OF_FUNCTIONS.iter().for_each(|name| function.remove_attribute(attribute_index::FUNCTION, name));
    OF_PARAMETERS.iter().for_each(|name| function.remove_attribute(thread, name));
    for call in wasm_calls(function) {
        OF_FUNCTIONS.iter().for_each(|name| call.remove_call_attribute(attribute_index::FUNCTION, name));
        OF_PARAMETERS.iter().for_each(|name| call.remove_call_attribute(thread, name));
        if call.operand(THREAD).is_undefined() {
            call.set_operand(THREAD, function.param(THREAD));
        }
        if takes_heap_base {
            call.set_operand(HEAP_BASE, function.param(HEAP_BASE));
        }
    }
}
