//! Barriers that can be left out, because the object is remembered anyway.
//!
//! The problem: most barriers that are written are of objects made a moment ago, or written to a moment ago. Here
//! those are found, over all paths of the function, once the optimiser is done.
//!
//! - The barrier of a *field* does nothing if on every path to it the object was allocated, or had a barrier, in this
//!   function. A card stays dirty until the next collection; that one cleans it, but the object is live until the
//!   barrier in question, so it is on the shadow stack there, and the collector dirties the cards of what is on the
//!   shadow stack ([`dolmen_abi::collector`]). So no safepoint in between does harm. The marker of a barrier that is
//!   left out must stand until liveness is known, for the object to be live that long. Objects that are never on the
//!   shadow stack, because the instance keeps them, are remembered up to the next safepoint only.
//! - The barrier of *elements* does nothing if on every path to it the array was allocated in this function with no
//!   safepoint since. (The shadow stack remembers an array's first card only.)
//! - What is null or an `i31` needs no barrier. All constants are.
//!
//! Forward must-analysis over sets of objects: a definition takes an object out of the set, an allocation or a
//! barrier puts it in, a phi is in if what it merges is on each way.

use super::barrier::Written;
use super::cfg::{BlockIdx, Cfg};
use super::liveness::{ValueSet, is_plain_i31};
use super::{is_alloc_marker, is_kept_by_instance, is_safepoint};
use crate::llvm::{Opcode, Value};
use crate::translate::unit::Unit;
use rustc_hash::FxHashMap;

/// The markers of barriers that do nothing.
pub(super) fn useless_barriers(unit: &Unit<'_, '_>, cfg: &Cfg) -> Vec<Value> {
    // Not those of the graph: polls were added since.
    let instructions: Vec<_> = cfg.blocks.iter().map(|b| b.instructions()).collect();
    let objects = Objects::find(unit, &instructions);
    let at_end = objects.solve(cfg, &instructions);
    let mut useless = Vec::new();
    for (block, list) in instructions.iter().enumerate() {
        let mut state = objects.at_start(cfg, list, &at_end, block);
        for &instruction in list {
            if Written::of(instruction).is_some_and(|written| objects.is_useless(&state, written)) {
                useless.push(instruction);
            }
            objects.step(instruction, &mut state);
        }
    }
    useless
}

/// The objects that barriers name, and what phis among them merge.
struct Objects {
    /// Numbers of those whose fields are written, and of what reaches their phis.
    fields: FxHashMap<Value, usize>,
    /// Numbers of the arrays whose elements are written.
    arrays: FxHashMap<Value, usize>,
    /// Numbers of those of the first that are not on the shadow stack.
    unrooted: Vec<usize>,
}

/// What is known at a place.
#[derive(Clone, PartialEq, Eq)]
struct State {
    /// Objects that are young or whose card is dirty.
    remembered: ValueSet,
    /// Arrays that no safepoint separates from their allocation.
    fresh: ValueSet,
}

impl Objects {
    fn find(unit: &Unit<'_, '_>, instructions: &[Vec<Value>]) -> Self {
        let mut objects = Self { fields: FxHashMap::default(), arrays: FxHashMap::default(), unrooted: Vec::new() };
        let mut work = Vec::new();
        for written in instructions.iter().flatten().filter_map(|&i| Written::of(i)) {
            match written {
                Written::Field { object, .. } => work.push(object),
                Written::Element { array, .. } | Written::Range { array } => {
                    let number = objects.arrays.len();
                    objects.arrays.entry(array).or_insert(number);
                }
            }
        }
        while let Some(object) = work.pop() {
            if object.is_constant() || objects.fields.contains_key(&object) {
                continue;
            }
            if is_kept_by_instance(unit, object) {
                objects.unrooted.push(objects.fields.len());
            }
            objects.fields.insert(object, objects.fields.len());
            if object.is_instruction() && object.opcode() == Opcode::Phi {
                work.extend(object.incoming().into_iter().map(|(value, _)| value));
            }
        }
        objects
    }

    fn is_useless(&self, state: &State, written: Written) -> bool {
        let is_fresh = |array: Value| self.arrays.get(&array).is_some_and(|&n| state.fresh.contains(n));
        match written {
            Written::Field { object, stored } => {
                is_no_object(stored) || self.fields.get(&object).is_some_and(|&n| state.remembered.contains(n))
            }
            Written::Element { array, stored } => is_no_object(stored) || is_fresh(array),
            Written::Range { array } => is_fresh(array),
        }
    }

    /// What is known at the end of each block.
    fn solve(&self, cfg: &Cfg, instructions: &[Vec<Value>]) -> Vec<State> {
        let all = State { remembered: ValueSet::full(self.fields.len()), fresh: ValueSet::full(self.arrays.len()) };
        let mut at_end = vec![all; cfg.blocks.len()];
        let mut changed = true;
        while changed {
            changed = false;
            for (block, list) in instructions.iter().enumerate() {
                let mut state = self.at_start(cfg, list, &at_end, block);
                list.iter().for_each(|&instruction| self.step(instruction, &mut state));
                if state != at_end[block] {
                    at_end[block] = state;
                    changed = true;
                }
            }
        }
        at_end
    }

    /// What is known behind the phis of a block, given the ends of all blocks.
    fn at_start(&self, cfg: &Cfg, list: &[Value], at_end: &[State], block: BlockIdx) -> State {
        let Some((&first, others)) = cfg.predecessors[block].split_first() else {
            return State { remembered: ValueSet::new(self.fields.len()), fresh: ValueSet::new(self.arrays.len()) };
        };
        let mut state = at_end[first].clone();
        for &other in others {
            state.remembered.intersect(&at_end[other].remembered);
            state.fresh.intersect(&at_end[other].fresh);
        }
        for &phi in list.iter().take_while(|i| i.opcode() == Opcode::Phi) {
            let Some(&number) = self.fields.get(&phi) else { continue };
            let is_remembered = phi.incoming().into_iter().all(|(value, from)| {
                let Some(&from) = cfg.index.get(&from) else { return true };
                value.is_constant() || at_end[from].remembered.contains(self.fields[&value])
            });
            if is_remembered {
                state.remembered.insert(number);
            } else {
                state.remembered.remove(number);
            }
        }
        state
    }

    /// From what is known before an instruction to what is known after it.
    fn step(&self, instruction: Value, state: &mut State) {
        let is_alloc = is_alloc_marker(instruction);
        if is_safepoint(instruction) {
            state.fresh = ValueSet::new(self.arrays.len());
            self.unrooted.iter().for_each(|&number| state.remembered.remove(number));
        }
        if let Some(Written::Field { object, stored }) = Written::of(instruction)
            && !is_no_object(stored)
            && let Some(&number) = self.fields.get(&object)
        {
            state.remembered.insert(number);
        }
        if let Some(&number) = self.fields.get(&instruction)
            && instruction.opcode() != Opcode::Phi
        {
            state.remembered.remove(number);
            if is_alloc {
                state.remembered.insert(number);
            }
        }
        if let Some(&number) = self.arrays.get(&instruction)
            && is_alloc
        {
            state.fresh.insert(number);
        }
    }
}

/// Whether a reference is null or an `i31`: no constant is an object.
fn is_no_object(value: Value) -> bool {
    value.is_constant() || is_plain_i31(value)
}
