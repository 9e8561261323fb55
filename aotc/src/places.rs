//! Places in the instance context get their offsets.
//!
//! Until all else is done, code has made-up offsets ([`numbers`](crate::translate::numbers)). In an object file they become
//! symbols, whose values linking puts in, so that the file can be used in another module, where they are others. In text
//! they become numbers.
//!
//! LLVM does with constants what it likes. What is recognised are additions to the function's own instance: of a constant,
//! of a vector of constants, and of what is chosen from constants for nothing but to be added. The sum must be an address
//! to use: what is computed from one, by a distance between made-up offsets, may be meant as the address of another place.
//! Where a made-up offset is found anywhere else (a table of them, a sum) this fails, and the partition is compiled with
//! real offsets. Whatever LLVM makes of such an offset has a constant in it that is near it.

use crate::convention::INSTANCE;
use crate::llvm::{Opcode, Value};
use crate::translate::numbers::Naming;
use crate::translate::unit::{Unit, number_symbol};

/// How many choices in a row are followed to where their result is added.
const MAX_CHOICES: usize = 4;

/// Replaces all made-up offsets; whether all of them were found.
pub(crate) fn resolve(unit: &Unit<'_, '_>) -> bool {
    if !unit.numbers.has_places() {
        return true;
    }
    let mut functions = unit.llvm.functions().into_iter().filter(|f| f.is_definition());
    functions.all(|function| resolve_function(unit, function))
        && !unit.llvm.initialisers().into_iter().any(|value| is_made_up(unit, value))
}

fn resolve_function(unit: &Unit<'_, '_>, function: Value) -> bool {
    let instance = (function.param_count() > INSTANCE).then(|| function.param(INSTANCE));
    let mut instructions = function.blocks().into_iter().flat_map(|block| block.instructions());
    instructions.all(|instruction| {
        let count = instruction.operand_count();
        let made_up = (0..count).filter(|&index| is_made_up(unit, instruction.operand(index)));
        let made_up: smallvec::SmallVec<[usize; 2]> = made_up.collect();
        made_up.is_empty()
            || instance.is_some_and(|instance| is_added(unit, instruction, instance, MAX_CHOICES))
                && made_up.into_iter().all(|index| replace(unit, instruction, index))
    })
}

/// Whether a constant is, or has in it, a made-up offset.
fn is_made_up(unit: &Unit<'_, '_>, constant: Value) -> bool {
    constant.mentions(|constant| unit.numbers.is_near_place(constant))
}

/// Whether an instruction adds an offset to the instance, or chooses one for instructions that do.
fn is_added(unit: &Unit<'_, '_>, instruction: Value, instance: Value, choices: usize) -> bool {
    match instruction.opcode() {
        Opcode::GetElementPtr => {
            instruction.operand_count() == 2
                && instruction.operand(0) == instance
                && instruction.gep_source_type() == unit.types.i8
                && is_only_used(instruction, MAX_CHOICES)
        }
        Opcode::Phi | Opcode::Select => {
            choices > 0 && instruction.users().into_iter().all(|user| is_added(unit, user, instance, choices - 1))
        }
        _ => false,
    }
}

/// Whether an address, or what is chosen from it and others, is for use as it is: no other one is computed from it.
fn is_only_used(address: Value, choices: usize) -> bool {
    address.users().into_iter().all(|user| match user.opcode() {
        Opcode::GetElementPtr | Opcode::PtrToInt => false,
        Opcode::Phi | Opcode::Select => choices > 0 && is_only_used(user, choices - 1),
        _ => true,
    })
}

/// Replaces a constant operand that is an offset, or a vector of them; whether it is.
fn replace(unit: &Unit<'_, '_>, instruction: Value, index: usize) -> bool {
    let operand = instruction.operand(index);
    let real = match operand.ty().vector_len() {
        None => real(unit, operand),
        Some(len) => {
            let lanes = (0..len).map(|lane| operand.constant_lane(lane).and_then(|lane| real(unit, lane)));
            lanes.collect::<Option<Vec<_>>>().map(|lanes| unit.context.vector_const(&lanes))
        }
    };
    real.map(|real| instruction.set_operand(index, real)).is_some()
}

/// The real offset for a constant one, which may be made up; nothing for what lies near places, but in none.
fn real(unit: &Unit<'_, '_>, constant: Value) -> Option<Value> {
    let i64 = unit.types.i64;
    let offset = constant.const_int().filter(|_| constant.ty() == i64)?;
    if !unit.numbers.is_near_place(offset) {
        return Some(constant);
    }
    let (number, distance) = unit.numbers.place_at(offset)?;
    Some(match unit.numbers.naming() {
        Naming::Final => i64.int(u64::from(unit.numbers.value(number)) + distance),
        Naming::Local => {
            let start = unit.llvm.number_symbol(unit.context, &number_symbol(number)).const_ptr_to_int(i64);
            if distance == 0 { start } else { start.const_add(i64.int(distance)) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::with_unit;
    use crate::translate::numbers::Numbers;

    /// What becomes of a function of context, instance `%1` and `%x`, where `A`, `B` and `C` are the made-up offsets of
    /// places of four bytes at 100, 200 and 104; nothing if it must be compiled with real ones.
    fn resolved(body: &str) -> Option<String> {
        let numbers = Numbers::new(Naming::Final, true);
        let mut text = format!("define void @f(ptr %0, ptr %1, i64 %x) {{\n{body}\nret void\n}}\n");
        for (name, offset) in [("A", 100), ("B", 200), ("C", 104)] {
            text = text.replace(name, &numbers.place(offset, 4).to_string());
        }
        with_unit(&text, numbers, |unit| {
            resolve(unit).then(|| {
                unit.llvm.verify().expect("still valid");
                unit.llvm.print()
            })
        })
    }

    #[test]
    fn what_is_added_to_the_instance_is_an_offset() {
        for (body, offsets) in [
            ("%p = getelementptr i8, ptr %1, i64 A  store i32 0, ptr %p", &["i64 100"][..]),
            (
                "%c = icmp eq i64 %x, 0  %o = select i1 %c, i64 A, i64 B
                %p = getelementptr i8, ptr %1, i64 %o  store i32 0, ptr %p",
                &["i64 100, i64 200"],
            ),
            (
                "%p = getelementptr i8, ptr %1, i64 A  %q = getelementptr i8, ptr %1, i64 C
                %c = icmp eq i64 %x, 0  %s = select i1 %c, ptr %p, ptr %q  store i32 0, ptr %s",
                &["i64 100", "i64 104"],
            ),
            (
                "%p = getelementptr i8, ptr %1, <2 x i64> <i64 A, i64 B>
                %s = extractelement <2 x ptr> %p, i64 %x  store i32 0, ptr %s",
                &["<i64 100, i64 200>"],
            ),
        ] {
            let code = resolved(body).unwrap_or_else(|| panic!("{body}"));
            assert!(offsets.iter().all(|offset| code.contains(offset)), "{code}");
        }
    }

    #[test]
    fn what_else_is_made_of_offsets_is_noticed() {
        for body in [
            // The program's own numbers.
            "store i64 A, ptr %0",
            "%p = getelementptr i8, ptr %0, i64 A  store i32 0, ptr %p",
            // What a table of places at equal distances may become.
            "%d = mul i64 %x, 80  %p = getelementptr i8, ptr %1, i64 %d  %q = getelementptr i8, ptr %p, i64 A
            store i32 0, ptr %q",
            "%d = mul i64 %x, 80  %o = add i64 %d, A  %p = getelementptr i8, ptr %1, i64 %o  store i32 0, ptr %p",
            "%d = mul i64 %x, 80  %p = getelementptr i8, ptr %1, i64 A  %q = getelementptr i8, ptr %p, i64 %d
            store i32 0, ptr %q",
            "%c = icmp eq i64 %x, 0  %p = getelementptr i8, ptr %1, i64 A  %n = select i1 %c, ptr %p, ptr null
            %q = getelementptr i8, ptr %n, i64 80  store i32 0, ptr %q",
            "%p = getelementptr i8, ptr %1, i64 A  %i = ptrtoint ptr %p to i64  store i64 %i, ptr %0",
        ] {
            assert_eq!(resolved(body), None, "{body}");
        }
    }
}
