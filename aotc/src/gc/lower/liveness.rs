//! Which references are needed after each safepoint.
//!
//! The classic backward analysis over sets of values, where a use of a derived pointer counts as a use of its
//! base. Tracked are all values that hold references: references, vectors of them, and pairs that a call with
//! two results returned. Constants and `i31` values that are visibly so need no tracking.

use super::bases::Bases;
use super::cfg::{BlockIdx, Cfg};
use super::{is_alloc_marker, is_safepoint, ref_count};
use crate::llvm::{Opcode, TypeKind, Value};
use std::collections::HashMap;

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

/// The result of the analysis.
pub(super) struct Liveness {
    pub(super) tracked: Vec<Tracked>,
    pub(super) index: HashMap<Value, ValueIdx>,
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

    pub(super) fn insert(&mut self, value: ValueIdx) {
        self.0[value / 64] |= 1 << (value % 64);
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
            (0..64).filter(move |bit| word >> bit & 1 != 0).map(move |bit| position * 64 + bit)
        })
    }
}

impl Liveness {
    pub(super) fn compute(cfg: &Cfg, bases: &Bases) -> Self {
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
                if ref_count(value) > 0 && !bases.is_derived(value) && !is_plain_i31(value) {
                    tracked.push(Tracked { value, block: available_block(cfg, block, value) });
                }
            }
        }
        let index: HashMap<_, _> = tracked.iter().enumerate().map(|(i, t)| (t.value, i)).collect();
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
        let mut changed = true;
        while changed {
            changed = false;
            for block in (0..cfg.blocks.len()).rev() {
                let live_out = self.out_set(cfg, bases, block);
                let mut live = live_out.clone();
                for &instruction in self.instructions[block].iter().rev() {
                    self.step_back(bases, instruction, &mut live);
                }
                self.live_out[block] = live_out;
                if live != self.live_in[block] {
                    self.live_in[block] = live;
                    changed = true;
                }
            }
        }
    }

    /// What is live at the end of a block: what its successors need, and what it brings to their phis.
    fn out_set(&self, cfg: &Cfg, bases: &Bases, block: BlockIdx) -> ValueSet {
        let mut live = ValueSet::new(self.tracked.len());
        for &successor in &cfg.successors[block] {
            live.union(&self.live_in[successor]);
            for &phi in self.instructions[successor].iter().take_while(|i| i.opcode() == Opcode::Phi) {
                for (incoming, from) in phi.incoming() {
                    if from == cfg.blocks[block]
                        && let Some(value) = self.needed(bases, incoming)
                    {
                        live.insert(value);
                    }
                }
            }
        }
        live
    }

    /// From what is live after an instruction to what is live before it.
    fn step_back(&self, bases: &Bases, instruction: Value, live: &mut ValueSet) {
        if let Some(&value) = self.index.get(&instruction) {
            live.remove(value);
        }
        // A phi's operands are needed at the ends of the predecessors; see `out_set`.
        if instruction.opcode() == Opcode::Phi {
            return;
        }
        for operand in instruction.operands() {
            if let Some(value) = self.needed(bases, operand) {
                live.insert(value);
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
                self.step_back(bases, instruction, &mut live);
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
            let after = live.clone();
            self.step_back(bases, instruction, &mut live);
            let mut dead: Vec<ValueIdx> = live.iter().filter(|&v| !after.contains(v)).collect();
            if let Some(&own) = self.index.get(&instruction)
                && !after.contains(own)
            {
                dead.push(own);
            }
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
