//! Which references are needed after each safepoint.
//!
//! The classic backward analysis over sets of values, where a use of a derived pointer counts as a use of its
//! base. Tracked are all values that hold references: references, vectors of them, and pairs that a call with
//! two results returned. Constants, `i31` values that are visibly so, and what the instance keeps need no tracking.

use super::bases::Bases;
use super::cfg::{BlockIdx, Cfg};
use super::{is_alloc_marker, is_kept_by_instance, is_safepoint, ref_count};
use crate::llvm::{Opcode, TypeKind, Value};
use crate::translate::unit::Unit;
use rustc_hash::FxHashMap;

/// Index of a tracked value.
pub(super) type ValueIdx = usize;

/// A set of tracked values.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ValueSet(Vec<u64>);

/// A tracked value and the block where it is available first.
pub(super) struct Tracked {
    pub(super) value: Value,
    pub(super) block: BlockIdx,
}

/// A safepoint and what must survive it.
pub(super) struct Safepoint {
    pub(super) instruction: Value,
    pub(super) block: BlockIdx,
    pub(super) live: Vec<ValueIdx>,
}

/// What a block does to the set of live values, from its end to its start.
struct Effect {
    defined: Vec<ValueIdx>,
    /// Those that are used before the block defines them, if it does.
    used: Vec<ValueIdx>,
    /// What the block brings to the phis of its successors.
    brought: Vec<ValueIdx>,
}

/// The result of the analysis.
pub(super) struct Liveness {
    pub(super) tracked: Vec<Tracked>,
    pub(super) index: FxHashMap<Value, ValueIdx>,
    pub(super) live_in: Vec<ValueSet>,
    pub(super) live_out: Vec<ValueSet>,
    /// In the order of blocks, and of instructions inside each.
    pub(super) safepoints: Vec<Safepoint>,
    /// Instructions of each block, base merges included.
    pub(super) instructions: Vec<Vec<Value>>,
}

impl ValueSet {
    pub(super) fn new(len: usize) -> Self {
        Self(vec![0; len.div_ceil(64)])
    }

    /// The set of all.
    pub(super) fn full(len: usize) -> Self {
        Self(vec![u64::MAX; len.div_ceil(64)])
    }

    /// Returns whether it was not there before.
    pub(super) fn insert(&mut self, value: ValueIdx) -> bool {
        let (word, bit) = (&mut self.0[value / 64], 1 << (value % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    fn extend(&mut self, values: &[ValueIdx]) {
        for &value in values {
            self.insert(value);
        }
    }

    pub(super) fn remove(&mut self, value: ValueIdx) {
        self.0[value / 64] &= !(1 << (value % 64));
    }

    pub(super) fn contains(&self, value: ValueIdx) -> bool {
        self.0[value / 64] >> (value % 64) & 1 != 0
    }

    pub(super) fn intersect(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word &= other;
        }
    }

    fn union(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word |= other;
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = ValueIdx> + '_ {
        self.0.iter().enumerate().flat_map(|(position, &word)| {
            let without_lowest = |&rest: &u64| Some(rest & (rest - 1)).filter(|&rest| rest != 0);
            let words = std::iter::successors(Some(word).filter(|&word| word != 0), without_lowest);
            words.map(move |rest| position * 64 + rest.trailing_zeros() as usize)
        })
    }
}

impl Liveness {
    pub(super) fn compute(unit: &Unit<'_, '_>, cfg: &Cfg, bases: &Bases) -> Self {
        let instructions: Vec<Vec<Value>> = cfg.blocks.iter().map(|b| b.instructions()).collect();
        let mut tracked = Vec::new();
        let function = cfg.blocks[0].parent();
        for param in (0..function.param_count()).map(|i| function.param(i)) {
            if ref_count(param) > 0 {
                tracked.push(Tracked { value: param, block: 0 });
            }
        }
        for (block, list) in instructions.iter().enumerate() {
            for &value in list {
                let needs_root = !is_plain_i31(value) && !is_kept_by_instance(unit, value);
                if ref_count(value) > 0 && !bases.is_derived(value) && needs_root {
                    tracked.push(Tracked { value, block: available_block(cfg, block, value) });
                }
            }
        }
        let index: FxHashMap<_, _> = tracked.iter().enumerate().map(|(i, t)| (t.value, i)).collect();
        let empty = vec![ValueSet::new(tracked.len()); cfg.blocks.len()];
        let mut liveness =
            Self { tracked, index, live_in: empty.clone(), live_out: empty, safepoints: Vec::new(), instructions };
        liveness.solve(cfg, bases);
        liveness.collect_safepoints(cfg, bases);
        liveness
    }

    /// The tracked value that an operand needs.
    fn needed(&self, bases: &Bases, operand: Value) -> Option<ValueIdx> {
        self.index.get(&bases.base_of(operand)).copied()
    }

    fn solve(&mut self, cfg: &Cfg, bases: &Bases) {
        let effects: Vec<_> = (0..cfg.blocks.len()).map(|block| self.effect(cfg, bases, block)).collect();
        let mut changed = true;
        while changed {
            changed = false;
            for (block, effect) in effects.iter().enumerate().rev() {
                let mut live = ValueSet::new(self.tracked.len());
                for &successor in &cfg.successors[block] {
                    live.union(&self.live_in[successor]);
                }
                live.extend(&effect.brought);
                self.live_out[block] = live.clone();
                effect.defined.iter().for_each(|&value| live.remove(value));
                live.extend(&effect.used);
                if live != self.live_in[block] {
                    self.live_in[block] = live;
                    changed = true;
                }
            }
        }
    }

    fn effect(&self, cfg: &Cfg, bases: &Bases, block: BlockIdx) -> Effect {
        let mut brought = Vec::new();
        for &successor in &cfg.successors[block] {
            for &phi in self.instructions[successor].iter().take_while(|i| i.opcode() == Opcode::Phi) {
                let from_here = phi.incoming().into_iter().filter(|&(_, from)| from == cfg.blocks[block]);
                brought.extend(from_here.filter_map(|(incoming, _)| self.needed(bases, incoming)));
            }
        }
        let list = &self.instructions[block];
        let defined = list.iter().filter_map(|instruction| self.index.get(instruction).copied()).collect();
        let mut used = ValueSet::new(self.tracked.len());
        list.iter().rev().for_each(|&instruction| self.step_back(bases, instruction, &mut used, |_| {}));
        Effect { defined, used: used.iter().collect(), brought }
    }

    /// From what is live after an instruction to what is live before it; `f` is told what was not live after it.
    fn step_back(&self, bases: &Bases, instruction: Value, live: &mut ValueSet, mut f: impl FnMut(ValueIdx)) {
        if let Some(&value) = self.index.get(&instruction) {
            live.remove(value);
        }
        // A phi's operands are needed at the ends of the predecessors; see `effect`.
        if instruction.opcode() == Opcode::Phi {
            return;
        }
        for operand in instruction.operands() {
            if let Some(value) = self.needed(bases, operand)
                && live.insert(value)
            {
                f(value);
            }
        }
    }

    fn collect_safepoints(&mut self, cfg: &Cfg, bases: &Bases) {
        for block in 0..cfg.blocks.len() {
            let mut live = self.live_out[block].clone();
            let mut found = Vec::new();
            for &instruction in self.instructions[block].iter().rev() {
                if is_safepoint(instruction) {
                    let mut across = live.clone();
                    if let Some(&own) = self.index.get(&instruction) {
                        across.remove(own);
                    }
                    if is_alloc_marker(instruction) {
                        // The allocation stores what it was given after its slow path.
                        for value in instruction.operands().filter_map(|o| self.needed(bases, o)) {
                            across.insert(value);
                        }
                    }
                    found.push(Safepoint { instruction, block, live: across.iter().collect() });
                }
                self.step_back(bases, instruction, &mut live, |_| {});
            }
            found.reverse();
            self.safepoints.extend(found);
        }
    }

    /// Walks a block forwards: `f` is told of each instruction, with the tracked values that are not needed
    /// after it any more.
    pub(super) fn walk_deaths(&self, bases: &Bases, block: BlockIdx, mut f: impl FnMut(Value, &[ValueIdx])) {
        let mut live = self.live_out[block].clone();
        let mut deaths = Vec::with_capacity(self.instructions[block].len());
        for &instruction in self.instructions[block].iter().rev() {
            let unused = self.index.get(&instruction).filter(|&&own| !live.contains(own));
            let mut dead: Vec<ValueIdx> = unused.copied().into_iter().collect();
            self.step_back(bases, instruction, &mut live, |value| dead.push(value));
            deaths.push(dead);
        }
        for (&instruction, dead) in self.instructions[block].iter().zip(deaths.iter().rev()) {
            f(instruction, dead);
        }
    }
}

/// The block where a value can be stored first: an invoke's result exists only where the invoke returns to.
fn available_block(cfg: &Cfg, block: BlockIdx, value: Value) -> BlockIdx {
    if value.opcode() == Opcode::Invoke { cfg.index[&value.normal_dest()] } else { block }
}

/// Whether a reference is made from an integer whose lowest bit is set: an `i31`, which is never an object.
pub(super) fn is_plain_i31(value: Value) -> bool {
    if !value.is_instruction() || value.opcode() != Opcode::IntToPtr || value.ty().kind() != TypeKind::Ref {
        return false;
    }
    let word = value.operand(0);
    let odd = |v: Value| v.const_int().is_some_and(|c| c & 1 != 0);
    odd(word) || (word.is_instruction() && word.operand_count() == 2 && word.is_or() && word.operands().any(odd))
}
