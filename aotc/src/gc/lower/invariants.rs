//! Loads from the instance context that always give the same are invariant again.
//!
//! Whatever LLVM moves in front of a branch loses what it is told to be: it would be wrong elsewhere in other programs. Type
//! words and immutable globals are the same wherever they are loaded. Only if lowering knows that can it leave references
//! from immutable globals out of frames, and load type words where they are used.

use crate::convention::INSTANCE;
use crate::gc::markers::UNOPTIMISED;
use crate::llvm::{Opcode, Value};
use crate::translate::unit::Unit;

/// Marks such loads.
pub(super) fn restore(unit: &Unit<'_, '_>, function: Value) {
    // What initialises globals is not optimised, either.
    if function.param_count() <= INSTANCE || function.has_attribute(UNOPTIMISED) {
        return;
    }
    let instance = function.param(INSTANCE);
    for address in instance.users().into_iter().filter(|user| user.is_instruction()) {
        if unit.offset_in_instance(function, address).is_some_and(|offset| unit.is_invariant_place(offset)) {
            let loads = address.users().into_iter().filter(|user| user.opcode() == Opcode::Load);
            loads.for_each(|load| unit.mark_invariant(load));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::with_unit;
    use crate::translate::numbers::{Naming, Numbers};

    #[test]
    fn what_never_changes_is_loaded_as_that() {
        let body = "define void @f(ptr %0, ptr %1, ptr %2) ATTRIBUTES {
            %p = getelementptr i8, ptr %1, i64 64  %a = load i32, ptr %p
            %q = getelementptr i8, ptr %1, i64 72  %b = load i32, ptr %q
            %r = getelementptr i8, ptr %0, i64 64  %c = load i32, ptr %r
            %s = getelementptr i8, ptr %1, i64 64  store i32 %a, ptr %s
            ret void }";
        for (attributes, marked) in [("", vec!["%a"]), ("noinline optnone", vec![])] {
            let text = body.replace("ATTRIBUTES", attributes);
            let code = with_unit(&text, Numbers::new(Naming::Final, false), |unit| {
                unit.note_invariant_place(64);
                super::restore(unit, unit.llvm.function("f").expect("it is there"));
                unit.llvm.verify().expect("still valid");
                unit.llvm.print()
            });
            let loads = code.lines().filter(|line| line.contains("!invariant.load"));
            let names: Vec<_> = loads.filter_map(|line| line.split_whitespace().next()).collect();
            assert_eq!(names, marked, "{code}");
        }
    }
}
