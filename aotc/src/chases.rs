//! Branches, where a walk through objects selects the field that it goes on by.
//!
//! The problem: a search in a tree compares, and goes to one child or to the other. LLVM makes one load of the two, from an
//! address that the comparison selects, so each step waits for the object before it: load the key, compare, select, load the
//! reference. A branch is predicted, and the processor loads what comes next while the comparison is still under way. What is
//! lost where it guesses wrong all the time is less than what is won elsewhere (`docs/performance.md`).
//!
//! So just before code generation, a load of a reference from one of two fields becomes a branch to one load or the other, if
//! it is a step of a walk: a loop goes on from the object that it leads to.
//!
//! ```text
//!   %field = select i1 %c, i64 12, i64 16        br i1 %c, %one, %other
//!   %next = load (%object + %field)              one:   %a = load (%object + 12)
//!                                                other: %b = load (%object + 16)
//!                                                %next = phi %a, %b
//! ```

use crate::llvm::{Block, Builder, Opcode, TypeKind, Value};
use crate::translate::unit::Unit;
use rustc_hash::FxHashSet;

/// Instructions that are looked at behind a load, at most.
const MAX_SEARCHED: usize = 200;

/// Steps times instructions of functions that are looked at: a step takes no more than some walks over the function.
const MAX_WORK: usize = 10_000_000;

/// Makes branches in a function whose references are lowered.
pub(crate) fn branch(unit: &Unit<'_, '_>, function: Value) {
    let instructions: Vec<_> = function.blocks().into_iter().flat_map(Block::instructions).collect();
    let steps: Vec<_> = instructions.iter().filter_map(|&i| Step::of(i)).collect();
    if steps.len().saturating_mul(instructions.len()) > MAX_WORK {
        return;
    }
    let steps: Vec<_> = steps.into_iter().map(|step| (what_follows(step.load), step)).collect();
    let goes_round = |(follows, step): &&(FxHashSet<Value>, Step)| follows.contains(&step.object);
    let walks: FxHashSet<_> = steps.iter().filter(goes_round).map(|(_, step)| step.object).collect();
    let in_walks = steps.into_iter().filter(|(follows, _)| !follows.is_disjoint(&walks));
    in_walks.for_each(|(_, step)| step.branch(unit));
}

/// A load from a field that is selected.
struct Step {
    load: Value,
    address: Value,
    select: Value,
    /// The reference to the object.
    object: Value,
}

impl Step {
    fn of(load: Value) -> Option<Self> {
        if load.opcode() != Opcode::Load || load.ty().kind() != TypeKind::Ref {
            return None;
        }
        let address = defined_by(load.operand(0), Opcode::GetElementPtr)?;
        let select = defined_by(address.operand(address.operand_count() - 1), Opcode::Select)?;
        let is_constant = |index: usize| select.operand(index).const_int().is_some();
        let object = object_of(address)?;
        (is_constant(1) && is_constant(2)).then_some(Self { load, address, select, object })
    }

    fn branch(self, unit: &Unit<'_, '_>) {
        let rest = self.load.block();
        let b = Builder::new(unit.context);
        // In front of the rest, so that it is the function's entry if the rest was.
        let head = unit.context.insert_block(rest, "step");
        let ends = rest.parent().blocks().into_iter().filter_map(Block::terminator);
        ends.for_each(|end| end.redirect(rest, head));
        b.position_at_end(head);
        for instruction in rest.instructions().into_iter().take_while(|&i| i != self.load) {
            b.move_here(instruction);
        }
        let sides = [1, 2].map(|side| (unit.context.append_block(rest.parent(), "side"), self.select.operand(side)));
        let branch = b.cond_br(self.select.operand(0), sides[0].0, sides[1].0);
        branch.copy_metadata(self.select, unit.metadata.prof);
        let loads = sides.map(|(block, field)| {
            b.position_at_end(block);
            let address = b.insert_copy(self.address);
            address.set_operand(address.operand_count() - 1, field);
            let load = b.insert_copy(self.load);
            load.set_operand(0, address);
            b.br(rest);
            (load, block)
        });
        b.position_before(self.load);
        let next = b.phi(self.load.ty());
        loads.into_iter().for_each(|(load, block)| next.add_incoming(load, block));
        self.load.replace_all_uses_with(next);
        for dead in [self.load, self.address, self.select] {
            if !dead.has_uses() {
                dead.erase();
            }
        }
    }
}

/// The value, if such an instruction defines it.
fn defined_by(value: Value, opcode: Opcode) -> Option<Value> {
    (value.is_instruction() && value.opcode() == opcode).then_some(value)
}

/// The reference to the object in which an address is.
fn object_of(address: Value) -> Option<Value> {
    let object = defined_by(address.operand(0), Opcode::GetElementPtr)?;
    let number = defined_by(object.operand(1), Opcode::ZExt)?;
    let reference = defined_by(number.operand(0), Opcode::PtrToInt)?;
    Some(reference.operand(0))
}

/// What is made of the result of a load, by way of phis and of fields of objects: references, and what leads to them.
fn what_follows(load: Value) -> FxHashSet<Value> {
    let mut seen = FxHashSet::default();
    let mut work = vec![load];
    while let Some(value) = work.pop() {
        for user in value.users().into_iter().filter(|user| user.is_instruction()) {
            let follows = match user.opcode() {
                Opcode::Phi | Opcode::PtrToInt | Opcode::ZExt | Opcode::GetElementPtr => true,
                Opcode::Load => user.ty().kind() == TypeKind::Ref,
                _ => false,
            };
            if follows && seen.len() < MAX_SEARCHED && seen.insert(user) {
                work.push(user);
            }
        }
    }
    seen
}
