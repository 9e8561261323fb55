//! One block for all traps of a function with the same cause.
//!
//! The problem: a translated function has one block for each cause, but inlining brings those of its callees along,
//! and in the end a sixth of all blocks trap: each of them a call of the gate, and a unit of work for code
//! generation. A trap tells its cause, its function and a place in native code, which nothing leads back to the
//! module's, so these blocks can be one.
//!
//! There are two for each cause: in front of the first call of a function the thread context is where it was passed,
//! and no frame is needed; behind calls it is in a register or a slot of the frame. A block for both would force one
//! of them on the other.

use crate::llvm::{Block, Builder, Opcode, Value};
use crate::returns;
use crate::translate::unit::Unit;
use std::collections::BTreeMap;

/// Joins the traps of a function; `cause_of` knows which instructions are some, `needs_frame` the calls.
pub(crate) fn join(
    unit: &Unit<'_, '_>,
    function: Value,
    cause_of: impl Fn(Value) -> Option<i64>,
    needs_frame: impl Fn(Value) -> bool,
) {
    let blocks = function.blocks();
    let trap_of = |block: &Block| {
        let [.., trap, _] = block.instructions()[..] else { return None };
        Some((cause_of(trap)?, trap))
    };
    let ends_here = |block: &&Block| block.terminator().is_some_and(|end| end.opcode() == Opcode::Unreachable);
    let traps: Vec<_> = blocks.iter().filter(ends_here).filter_map(trap_of).collect();
    if traps.len() < 2 {
        return;
    }
    let free = returns::free_blocks(function, needs_frame);
    let mut groups: BTreeMap<(i64, bool), Vec<Value>> = BTreeMap::new();
    for (cause, trap) in traps {
        groups.entry((cause, free.contains(&trap.block()))).or_default().push(trap);
    }
    let b = Builder::new(unit.context);
    for traps in groups.into_values().filter(|traps| traps.len() > 1) {
        let shared = unit.context.append_block(function, "trap");
        b.position_at_end(shared);
        b.insert_copy(traps[0]);
        b.unreachable();
        traps.into_iter().for_each(|trap| go_to(&b, trap, shared, blocks[0]));
    }
}

/// Takes control to a block instead of to a trap.
fn go_to(b: &Builder<'_>, trap: Value, shared: Block, entry: Block) {
    let block = trap.block();
    let is_alone = block.instructions().len() == 2;
    if is_alone && block != entry {
        block.replace_all_uses_with(shared);
        block.delete();
        return;
    }
    block.terminator().expect("every block has a terminator").erase();
    trap.erase();
    b.position_at_end(block);
    b.br(shared);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::with_unit;
    use crate::translate::numbers::{Naming, Numbers};

    const TEXT: &str = r#"
declare void @trap(i32)
declare void @work()
define i32 @f(i1 %a, i1 %b, i1 %c, i1 %d) {
  br i1 %a, label %free.1, label %next
free.1:
  call void @trap(i32 1)
  unreachable
next:
  br i1 %b, label %free.2, label %call
free.2:
  call void @trap(i32 1)
  unreachable
call:
  call void @work()
  br i1 %c, label %framed, label %last
framed:
  call void @trap(i32 1)
  unreachable
last:
  br i1 %d, label %other, label %end
other:
  %x = call i32 @llvm.umax.i32(i32 1, i32 2)
  call void @trap(i32 2)
  unreachable
end:
  ret i32 0
}
"#;

    /// What the function is after its traps are joined.
    fn joined(text: &str) -> String {
        with_unit(text, Numbers::new(Naming::Final, true), |unit| {
            let function = unit.llvm.function("f").expect("it is there");
            let calls = |i: Value, name: &str| {
                i.opcode() == Opcode::Call && i.called_function().is_some_and(|callee| callee.name() == name)
            };
            let cause = |i: Value| calls(i, "trap").then(|| i.operand(0).const_int())?;
            join(unit, function, cause, |i| calls(i, "work"));
            unit.llvm.verify().expect("it is valid");
            unit.llvm.print()
        })
    }

    #[test]
    fn traps_of_one_cause_are_one_in_front_of_calls_and_one_behind() {
        let code = joined(TEXT);
        assert_eq!(code.matches("call void @trap(i32 1)").count(), 2, "{code}");
        assert_eq!(code.matches("call void @trap(i32 2)").count(), 1, "{code}");
    }

    #[test]
    fn what_comes_before_a_trap_stays() {
        let code = joined(
            &TEXT.replace("i32 2)\n  call void @trap(i32 2)", "i32 2)\n  call void @work()\n  call void @trap(i32 1)"),
        );
        assert_eq!(code.matches("call void @trap(i32 1)").count(), 2, "{code}");
        assert_eq!(code.matches("call void @work()").count(), 2, "{code}");
    }
}
