//! Calls that stand for what the collector's protocol decides, while LLVM optimises.
//!
//! Translation does not expand allocations, barriers and polls: it calls functions that exist only as
//! declarations, whose attributes tell LLVM everything that is true of every collector. LLVM then removes
//! allocations whose object is never needed, forwards stores to loads, and hoists around them. What is left,
//! [`crate::gc::lower`] expands.

use crate::llvm::{C_CC, Context, Module, Value, attribute_index};
use crate::translate::unit::Types;

/// Attribute of functions that no optimiser sees, neither LLVM's nor the passes here, because they are executed once.
pub(crate) const UNOPTIMISED: &str = "optnone";

/// Attribute of calls that are no safepoints.
pub(crate) const LEAF_CALL: &str = "dolmen-leaf";

/// LLVM's `memory` attribute, two bits per kind of memory: read and write memory that no other code of the module
/// sees.
const MEMORY_INACCESSIBLE: u64 = 0b11 << 2;

/// As above: read what arguments point to.
const MEMORY_ARGUMENT_READ: u64 = 0b01;

/// Attribute that says what a call counts when LLVM decides whether to inline the function around it.
pub(crate) const INLINE_COST: &str = "call-inline-cost";

/// What a barrier counts when LLVM decides whether to inline the function around it: nothing, so that the choice of
/// the collector does not change the decision. With the cost of a call, richards ran 19 % more instructions.
const BARRIER_INLINE_COST: &str = "0";

/// What an allocation counts then: its inline sequence. A call would count the more the more fields it sets.
const ALLOC_INLINE_COST: &str = "45";

/// LLVM's `allockind`: what allocates, and can be left out if nothing needs the object.
const ALLOC_KIND: u64 = 1;

/// Attribute of calls that stand behind a poll of their own.
pub(crate) const POLLED_CALL: &str = "dolmen-polled";

/// Attribute of calls that need a poll, whatever they call.
pub(crate) const POLLING_CALL: &str = "dolmen-polling";

/// Name of the marker of a poll, `(thread)`.
pub(crate) const POLL: &str = "dolmen.poll";

/// The marker of a poll. LLVM may move nothing past it.
pub(crate) fn poll(context: &Context, module: &Module<'_>, types: &Types) -> Value {
    module.function(POLL).unwrap_or_else(|| {
        let poll = module.add_function(POLL, context.function_type(types.void, &[types.ptr]), C_CC);
        poll.add_attribute(attribute_index::FUNCTION, context.enum_attribute("nounwind", 0));
        poll
    })
}

/// The marker of a call that was one through a reference, `(thread) -> thread`: its result is what the call passes on
/// ([`through`](super::through)). LLVM knows it for the same pointer, but keeps it; what it means to LLVM besides is
/// nothing here, since no access has an invariant group.
pub(crate) const THROUGH: &str = "llvm.strip.invariant.group";

/// The marker functions of a partition.
#[derive(Clone, Copy)]
pub(crate) struct Markers {
    /// `(thread, type_word: i32, size_bytes: i32, (offset: i32, value)*) -> ref`: an object of fixed size, zero but
    /// for its header and the fields given.
    pub(crate) alloc_struct: Value,
    /// `(thread, type_word: i32, length: i32, log_elem_bytes: i32) -> ref`: an array, zero but for its header.
    pub(crate) alloc_array: Value,
    /// `(thread, object: ref, stored: ref)`: after a reference was stored into a field of the object.
    pub(crate) post_write_barrier: Value,
    /// `(thread, array: ref, index: i32, stored: ref)`: after a reference was stored into an element of the array.
    pub(crate) post_write_barrier_array: Value,
    /// `(thread, array: ref, start: i32, count: i32)`: after references were stored into elements of the array.
    pub(crate) post_write_barrier_array_range: Value,
}

impl Markers {
    pub(crate) fn declare(context: &Context, module: &Module<'_>, types: &Types) -> Self {
        let Types { ptr, i32, reference, void, .. } = *types;
        let declare_type = |name: &str, ty, memory| {
            if let Some(function) = module.function(name) {
                return function;
            }
            let function = module.add_function(name, ty, C_CC);
            for attribute in ["nounwind", "willreturn"] {
                function.add_attribute(attribute_index::FUNCTION, context.enum_attribute(attribute, 0));
            }
            function.add_attribute(attribute_index::FUNCTION, context.enum_attribute("memory", memory));
            function
        };
        // A barrier reads the object, for LLVM: otherwise a store in a loop could be delayed to its end, past a poll.
        let barrier = |name: &str, params: &[_]| {
            let ty = context.function_type(void, params);
            let function = declare_type(name, ty, MEMORY_INACCESSIBLE | MEMORY_ARGUMENT_READ);
            let cost = context.string_attribute(INLINE_COST, BARRIER_INLINE_COST);
            function.add_attribute(attribute_index::FUNCTION, cost);
            if let Some(stored) = params.iter().skip(2).position(|&ty| ty == reference) {
                // It says what was stored, no more.
                let index = attribute_index::param(stored + 2);
                function.add_attribute(index, context.enum_attribute("readnone", 0));
            }
            function
        };
        let alloc = |name: &str, ty| {
            let function = declare_type(name, ty, MEMORY_INACCESSIBLE);
            // Calls add `noalias` where it is sound, see `Unit::mark_unaliased`.
            function.add_attribute(attribute_index::RETURN, context.enum_attribute("nonnull", 0));
            // Not `zeroed`, too: LLVM may drop the stores of what the allocation sets, see `Unit::mark_unaliased`, and
            // would then take it for zero.
            function.add_attribute(attribute_index::FUNCTION, context.enum_attribute("allockind", ALLOC_KIND));
            function.add_attribute(attribute_index::FUNCTION, context.string_attribute("alloc-family", "dolmen"));
            function.add_attribute(attribute_index::FUNCTION, context.string_attribute(INLINE_COST, ALLOC_INLINE_COST));
            function
        };
        Self {
            alloc_struct: alloc("dolmen.alloc_struct", context.variadic_function_type(reference, &[ptr, i32, i32])),
            alloc_array: alloc("dolmen.alloc_array", context.function_type(reference, &[ptr, i32, i32, i32])),
            post_write_barrier: barrier("dolmen.post_write_barrier", &[ptr, reference, reference]),
            post_write_barrier_array: barrier("dolmen.post_write_barrier_array", &[ptr, reference, i32, reference]),
            post_write_barrier_array_range: barrier(
                "dolmen.post_write_barrier_array_range",
                &[ptr, reference, i32, i32],
            ),
        }
    }
}
