//! Write barriers: where compiled code tells the collector of references that it stored.
//!
//! A barrier dirties the card of what was written, without a branch: two instructions and a store
//! ([`dolmen_abi::collector`] states the protocol). The barrier of a range is a loop over its cards, in a function
//! that LLVM inlines.
//!
//! A store into an object that was allocated before in the same block, with no safepoint in between, needs no
//! barrier: the object is young at the next collection. Constructors that set fields one by one become free of
//! barriers that way once they are inlined.

use super::{is_alloc_marker, is_safepoint};
use crate::llvm::{Builder, C_CC, Cast, IntPredicate, Op, Value, attribute_index};
use crate::translate::unit::Unit;
use dolmen_abi::collector::{ARRAY_ELEMENTS_REF_UNITS, CARD_DIRTY, LOG_CARD_REF_UNITS};
use dolmen_abi::context::ThreadContext;

/// What the names of all barrier markers begin with.
const MARKER_PREFIX: &str = "dolmen.post_write_barrier";

/// Name of the function that dirties the cards of a range.
const RANGE_FUNCTION: &str = "dolmen_inline.dirty_cards";

/// Whether a call is the marker of a barrier.
pub(super) fn is_marker(callee: &str) -> bool {
    callee.starts_with(MARKER_PREFIX)
}

/// Removes barriers of objects that cannot be old yet.
pub(super) fn remove_useless(function: Value) {
    for block in function.blocks() {
        let mut fresh: Vec<Value> = Vec::new();
        for instruction in block.instructions() {
            if is_alloc_marker(instruction) {
                fresh = vec![instruction];
            } else if is_safepoint(instruction) {
                fresh.clear();
            } else if is_barrier(instruction) && fresh.contains(&instruction.operand(1)) {
                instruction.erase();
            }
        }
    }
}

fn is_barrier(instruction: Value) -> bool {
    instruction.opcode() == crate::llvm::Opcode::Call
        && instruction.called_function().is_some_and(|callee| is_marker(&callee.name()))
}

/// Emits what a barrier marker with these arguments stands for: thread context and object; for arrays the index of
/// the first element, too; for ranges the number of elements, too.
pub(super) fn emit(unit: &Unit<'_, '_>, b: &Builder<'_>, args: &[Value]) {
    let types = &unit.types;
    let base = unit.load_invariant(b, types.ptr, args[0], core::mem::offset_of!(ThreadContext, card_base));
    let word = b.cast(Cast::PtrToInt, args[1], types.i32);
    let Some(&index) = args.get(2) else { return emit_card(unit, b, base, word) };
    let distance = b.binary(Op::Add, word, index);
    let element = b.binary(Op::Add, distance, types.i32.int(ARRAY_ELEMENTS_REF_UNITS.into()));
    match args.get(3) {
        None => emit_card(unit, b, base, element),
        Some(&count) => {
            let function = unit.llvm.function(RANGE_FUNCTION).unwrap_or_else(|| define_range(unit));
            b.call(function.function_type(), function, &[base, element, count], C_CC);
        }
    }
}

/// Dirties the card of a reference unit.
fn emit_card(unit: &Unit<'_, '_>, b: &Builder<'_>, base: Value, ref_unit: Value) {
    let card = b.binary(Op::LShr, ref_unit, unit.types.i32.int(LOG_CARD_REF_UNITS.into()));
    emit_dirty(unit, b, base, card);
}

fn emit_dirty(unit: &Unit<'_, '_>, b: &Builder<'_>, base: Value, card: Value) {
    let types = &unit.types;
    let address = b.gep(types.i8, base, b.cast(Cast::ZExt, card, types.i64));
    let store = b.store(types.i8.int(CARD_DIRTY.into()), address);
    unit.alias.tag(store, unit.metadata.tbaa, unit.alias.card);
}

/// `(card_base, first: i32, count: i32)`: dirties the cards of `count` reference units.
fn define_range(unit: &Unit<'_, '_>) -> Value {
    let types = &unit.types;
    let ty = unit.context.function_type(types.void, &[types.ptr, types.i32, types.i32]);
    let function = unit.declare(RANGE_FUNCTION, ty, C_CC);
    function.set_internal();
    for attribute in ["alwaysinline", "nounwind"] {
        function.add_attribute(attribute_index::FUNCTION, unit.context.enum_attribute(attribute, 0));
    }
    let [base, first, count] = [0, 1, 2].map(|i| function.param(i));
    let b = Builder::new(unit.context);
    let [entry, body, done] = ["entry", "card", "done"].map(|name| unit.context.append_block(function, name));
    b.position_at_end(entry);
    let is_empty = b.icmp(IntPredicate::Eq, count, types.i32.int(0));
    let shift = types.i32.int(LOG_CARD_REF_UNITS.into());
    let first_card = b.binary(Op::LShr, first, shift);
    let last = b.binary(Op::Sub, b.binary(Op::Add, first, count), types.i32.int(1));
    let last_card = b.binary(Op::LShr, last, shift);
    b.cond_br(is_empty, done, body);
    b.position_at_end(body);
    let card = b.phi(types.i32);
    card.add_incoming(first_card, entry);
    emit_dirty(unit, &b, base, card);
    let next = b.binary(Op::Add, card, types.i32.int(1));
    card.add_incoming(next, body);
    let more = b.icmp(IntPredicate::Ult, card, last_card);
    b.cond_br(more, body, done);
    b.position_at_end(done);
    b.ret_void();
    function
}
