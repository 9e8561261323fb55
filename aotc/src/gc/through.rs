//! Polls of functions that were inlined where a reference was called.
//!
//! The problem: calls poll by what direct calls there are in the text ([`call_trees`](crate::module::call_trees)). A call
//! through a reference is none of these, so it polls, and so does one that devirtualisation made direct, unless it is of a
//! function that does little. When LLVM inlines such a function, the call goes, and with it the poll. The calls of the
//! function are now its caller's, and may close a cycle without any poll, or a tree of calls that takes exponential time:
//!
//! ```text
//! g: call_ref f        f: call h        h: call g; call g             g → h → g, with no direct call of f anywhere
//! ```
//!
//! So the calls of functions that were inlined in this way poll themselves, unless what they call does little. To tell them,
//! a call that was one through a reference passes on not the thread context, but the result of a marker
//! ([`markers::THROUGH`]). Inlining puts that wherever the function uses its thread context, and all its calls do. LLVM
//! knows that it is the same pointer, so it costs nothing. When inlining is done, the markers go. A call to which LLVM
//! passes nothing, since what it calls does not mention its thread context, cannot be told, and polls as well.

use super::markers;
use crate::convention::{THREAD, wasm_calls};
use crate::llvm::{Opcode, Value, attribute_index};
use crate::translate::unit::Unit;
use rustc_hash::FxHashSet;

/// Lets calls poll that are passed the result of a marker, or may have been, and removes the markers.
pub(crate) fn settle(unit: &Unit<'_, '_>) {
    if !unit.polls {
        return;
    }
    let calls = unit.llvm.functions().into_iter().flat_map(wasm_calls);
    calls.filter(|call| call.operand(THREAD).is_undefined()).for_each(|call| poll_unless_light(unit, call));
    let marker = unit.intrinsic(markers::THROUGH, &[unit.types.ptr]);
    for mark in marker.users() {
        let mut seen = FxHashSet::from_iter([mark]);
        let mut work = vec![mark];
        while let Some(marked) = work.pop() {
            for user in marked.users() {
                match user.opcode() {
                    // Where a recursion became a loop, say.
                    Opcode::Phi | Opcode::Select if seen.insert(user) => work.push(user),
                    Opcode::Call | Opcode::Invoke => poll_unless_light(unit, user),
                    _ => {}
                }
            }
            // A function has one thread context.
            marked.replace_all_uses_with(marked.block().parent().param(THREAD));
            marked.erase();
        }
    }
}

/// Lets a call poll if it is one of a function of the module that does more than a little. All others poll, or need not.
fn poll_unless_light(unit: &Unit<'_, '_>, call: Value) {
    let callee = call.called_function().and_then(|callee| unit.func_of(callee));
    if callee.is_some_and(|callee| !unit.module.call_trees.is_light(unit.module, callee)) {
        let polling = unit.context.string_attribute(markers::POLLING_CALL, "");
        call.add_call_attribute(attribute_index::FUNCTION, polling);
    }
}

/// Which functions of some positions do little: what the result of [`settle`] depends on besides the code.
pub(crate) fn light(unit: &Unit<'_, '_>, positions: &[usize]) -> Vec<usize> {
    let imported = unit.module.meta.imported_funcs();
    let is_light = |&position: &usize| unit.module.call_trees.is_light(unit.module, (imported + position) as u32);
    positions.iter().copied().filter(is_light).collect()
}
