//! Write barriers: where compiled code tells the collector of references that it stored.
//!
//! A barrier dirties the card of what was written, without a branch: two instructions and a store
//! ([`dolmen_abi::collector`] states the protocol). The barrier of a range is a loop over its cards, in a function
//! that LLVM inlines.
//!
//! Barriers that do nothing are gone by then: see [`super::remembered`].

use crate::llvm::{Builder, C_CC, Cast, IntPredicate, Op, Opcode, TypeKind, Value, attribute_index};
use crate::translate::unit::Unit;
use dolmen_abi::collector::{ARRAY_ELEMENTS_REF_UNITS, CARD_DIRTY, LOG_CARD_REF_UNITS};
use dolmen_abi::context::ThreadContext;

/// What the names of all barrier markers begin with.
const MARKER_PREFIX: &str = "dolmen.post_write_barrier";

/// Number of arguments of a marker for a field; those for elements have more.
const FIELD_ARGS: usize = 3;

/// Name of the function that dirties the cards of a range.
const RANGE_FUNCTION: &str = "dolmen_inline.dirty_cards";

/// Whether a call is the marker of a barrier.
pub(super) fn is_marker(callee: &str) -> bool {
    callee.starts_with(MARKER_PREFIX)
}

/// What the marker of a barrier says was written.
#[derive(Clone, Copy)]
pub(super) enum Written {
    /// A field of the object, which now holds this reference.
    Field { object: Value, stored: Value },
    /// An element of the array, which now holds this reference.
    Element { array: Value, stored: Value },
    /// Some elements of the array.
    Range { array: Value },
}

impl Written {
    /// What an instruction says if it is the marker of a barrier.
    pub(super) fn of(instruction: Value) -> Option<Self> {
        if instruction.opcode() != Opcode::Call || !instruction.called_function().is_some_and(|c| is_marker(&c.name()))
        {
            return None;
        }
        let object = instruction.operand(1);
        Some(match instruction.arg_count() {
            FIELD_ARGS => Self::Field { object, stored: instruction.operand(2) },
            _ if instruction.operand(3).ty().kind() == TypeKind::Ref => {
                Self::Element { array: object, stored: instruction.operand(3) }
            }
            _ => Self::Range { array: object },
        })
    }
}

/// Emits what a barrier marker with these arguments stands for.
pub(super) fn emit(unit: &Unit<'_, '_>, b: &Builder<'_>, args: &[Value]) {
    let types = &unit.types;
    let base = unit.load_invariant(b, types.ptr, args[0], core::mem::offset_of!(ThreadContext, card_base));
    let word = b.cast(Cast::PtrToInt, args[1], types.i32);
    if args.len() == FIELD_ARGS {
        return emit_card(unit, b, base, word);
    }
    let (index, last) = (args[2], args[3]);
    let distance = b.binary(Op::Add, word, index);
    let element = b.binary(Op::Add, distance, types.i32.int(ARRAY_ELEMENTS_REF_UNITS.into()));
    if last.ty().kind() == TypeKind::Ref {
        return emit_card(unit, b, base, element);
    }
    let function = unit.llvm.function(RANGE_FUNCTION).unwrap_or_else(|| define_range(unit));
    b.call(function.function_type(), function, &[base, element, last], C_CC);
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
