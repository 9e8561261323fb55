//! Where an allocation must not be put, though an object escapes there.
//!
//! The problem: an allocation is a safepoint, and translation has emitted some sequences that none may interrupt, because
//! a reference in them is no root, or because what is stored was older than the object that it is stored into:
//!
//! | sequence | what a collection in it would do |
//! |---|---|
//! | surplus arguments are stored, …, the call; surplus results are stored, …, the return | not see what is in the slots |
//! | a call, or the function's entry, …, surplus values are loaded | the same |
//! | an array is allocated, …, its first elements are stored, without barriers | make the array old, not what is stored |
//! | the barrier of `array.fill`, …, its stores | clean the cards before the stores |
//!
//! The last two matter only if the object itself is what is stored: others exist before the sequence, so the collection
//! makes them old, too.

use super::Pass;
use crate::gc::cfg::Cfg;
use crate::gc::markers::{POLL, POLLED_CALL};
use crate::llvm::{Opcode, TypeKind, Value};
use dolmen_abi::signature::MAX_REGISTER_RESULTS;
use rustc_hash::FxHashSet;

/// What will be done with the thread's surplus slots behind a place.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Slots {
    /// A call or a return may take them before anything can change them.
    taken: bool,
    /// They may be loaded before anything can change them.
    loaded: bool,
}

/// What an instruction does with the thread's surplus slots.
enum Effect {
    None,
    Store,
    Load,
    /// A call or a return that may take what was stored.
    Take,
    /// They hold nothing in front of it that is needed behind it.
    End,
}

/// Facts about one function in one state.
pub(super) struct Windows<'w, 'p, 'c, 'm> {
    pass: &'w Pass<'p, 'c, 'm>,
    cfg: &'w Cfg,
    /// Instructions in front of which surplus slots hold what is no root.
    in_slots: FxHashSet<Value>,
}

impl<'w, 'p, 'c, 'm> Windows<'w, 'p, 'c, 'm> {
    pub(super) fn new(pass: &'w Pass<'p, 'c, 'm>, cfg: &'w Cfg) -> Self {
        let mut windows = Self { pass, cfg, in_slots: FxHashSet::default() };
        let mut instructions = cfg.instructions.iter().flatten();
        if instructions.any(|&i| windows.is_surplus_access(i)) {
            windows.find_in_slots();
        }
        windows
    }

    /// Whether an object that escapes by a use in `user` must not be made in front of an instruction.
    pub(super) fn forbid(&self, object: Value, user: Value, before: Value) -> bool {
        self.in_slots.contains(&before) || self.is_stored_bare(object, user)
    }

    /// Whether a use stores a pointer into an array without a barrier behind the store, if by way of merges.
    fn is_stored_bare(&self, pointer: Value, user: Value) -> bool {
        let mut seen = FxHashSet::default();
        let mut work = vec![(pointer, user)];
        while let Some((pointer, user)) = work.pop() {
            match user.opcode() {
                Opcode::Store if user.operand(0) == pointer && self.is_bare(user) => return true,
                Opcode::Phi | Opcode::Select | Opcode::Freeze if seen.insert(user) => {
                    work.extend(user.users().into_iter().filter(|user| user.is_instruction()).map(|next| (user, next)));
                }
                _ => {}
            }
        }
        false
    }

    /// Whether a store may be one into an array that has no barrier behind it.
    fn is_bare(&self, store: Value) -> bool {
        let (stored, address) = (store.operand(0), store.operand(1));
        if address.ty().kind() != TypeKind::Ref || self.is_first_of_struct(store) {
            return false;
        }
        let markers = &self.pass.markers;
        let barriers = [markers.post_write_barrier, markers.post_write_barrier_array];
        let has_barrier = stored.users().into_iter().any(|user| {
            user.is_instruction()
                && user.opcode() == Opcode::Call
                && user.block() == store.block()
                && user.operand(1) == object_of(address)
                && user.called_function().is_some_and(|callee| barriers.contains(&callee))
        });
        !has_barrier
    }

    /// Whether a store is the first one into a field of a fresh struct: its card is dirty after each collection.
    fn is_first_of_struct(&self, store: Value) -> bool {
        let metadata = &self.pass.unit.metadata;
        if !store.has_metadata(metadata.initial_store) && !store.has_metadata(metadata.allocation_store) {
            return false;
        }
        let base = object_of(store.operand(1));
        base.is_instruction()
            && base.opcode() == Opcode::Call
            && base.called_function() == Some(self.pass.markers.alloc_struct)
    }

    fn is_surplus_access(&self, instruction: Value) -> bool {
        let unit = self.pass.unit;
        matches!(instruction.opcode(), Opcode::Load | Opcode::Store)
            && unit.alias.is(instruction, unit.metadata.tbaa, unit.alias.surplus)
    }

    fn effect(&self, instruction: Value, returns_surplus: bool) -> Effect {
        match instruction.opcode() {
            Opcode::Store if self.is_surplus_access(instruction) => Effect::Store,
            Opcode::Load if self.is_surplus_access(instruction) => Effect::Load,
            Opcode::Ret if returns_surplus => Effect::Take,
            Opcode::Call | Opcode::Invoke => {
                let name = instruction.called_function().map(Value::name).unwrap_or_default();
                if name.starts_with("llvm.") || name.starts_with("dolmen.") && name != POLL {
                    return Effect::None;
                }
                let is_polled = instruction.has_call_string_attribute(POLLED_CALL);
                // Where nothing polls, no call tells whether it takes some.
                if is_polled || !self.pass.unit.polls { Effect::Take } else { Effect::End }
            }
            _ => Effect::None,
        }
    }

    fn find_in_slots(&mut self) {
        let blocks = self.cfg.blocks.len();
        let returns_surplus = self.returns_surplus();
        let effects: Vec<Vec<Effect>> = self
            .cfg
            .instructions
            .iter()
            .map(|instructions| instructions.iter().map(|&i| self.effect(i, returns_surplus)).collect())
            .collect();
        // Forwards: what was stored. Backwards: what is taken or loaded.
        let mut stored = vec![false; blocks];
        let mut needed = vec![Slots::default(); blocks];
        loop {
            let before = (stored.clone(), needed.clone());
            for block in 0..blocks {
                let into = self.cfg.predecessors[block].iter().any(|&p| stored[p]);
                stored[block] = effects[block].iter().fold(into, stored_behind);
            }
            for block in (0..blocks).rev() {
                let out = self.needed_behind(block, &needed);
                needed[block] = effects[block].iter().rev().fold(out, needed_in_front);
            }
            if before == (stored.clone(), needed.clone()) {
                break;
            }
        }
        for (block, instructions) in self.cfg.instructions.iter().enumerate() {
            let mut slots = self.needed_behind(block, &needed);
            let mut needs: Vec<Slots> = Vec::with_capacity(instructions.len());
            for effect in effects[block].iter().rev() {
                slots = needed_in_front(slots, effect);
                needs.push(slots);
            }
            let mut is_stored = self.cfg.predecessors[block].iter().any(|&p| stored[p]);
            for ((&instruction, effect), slots) in instructions.iter().zip(&effects[block]).zip(needs.iter().rev()) {
                if slots.loaded || slots.taken && is_stored {
                    self.in_slots.insert(instruction);
                }
                is_stored = stored_behind(is_stored, effect);
            }
        }
    }

    fn needed_behind(&self, block: usize, needed: &[Slots]) -> Slots {
        self.cfg.successors[block].iter().fold(Slots::default(), |slots, &successor| Slots {
            taken: slots.taken || needed[successor].taken,
            loaded: slots.loaded || needed[successor].loaded,
        })
    }

    /// Whether the function returns more than what fits into registers.
    fn returns_surplus(&self) -> bool {
        let function = self.cfg.blocks[0].parent();
        let func = self.pass.unit.func_of(function);
        func.is_none_or(|func| self.pass.unit.module.type_of_func(func).results.len() > MAX_REGISTER_RESULTS)
    }
}

/// What an address was computed from, step by step.
fn object_of(address: Value) -> Value {
    let mut base = address;
    while base.is_instruction() && base.opcode() == Opcode::GetElementPtr {
        base = base.operand(0);
    }
    base
}

fn stored_behind(stored: bool, effect: &Effect) -> bool {
    match effect {
        Effect::Store => true,
        Effect::Take | Effect::End => false,
        Effect::None | Effect::Load => stored,
    }
}

fn needed_in_front(behind: Slots, effect: &Effect) -> Slots {
    match effect {
        Effect::None | Effect::Store => behind,
        Effect::Load => Slots { loaded: true, ..behind },
        Effect::Take => Slots { taken: true, loaded: false },
        Effect::End => Slots::default(),
    }
}
