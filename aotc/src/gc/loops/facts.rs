//! What branches, and lengths of arrays, say of 32-bit numbers.
//!
//! A fact is an inequality between two numbers, or a number and a constant, and where it holds: behind an edge of the
//! graph that is the only way into a block, in all that this block dominates; at the end of a block that jumps, on
//! that one edge. In SSA form a fact that held at a dominating block still holds: to give one of its numbers a new value,
//! control must pass that block again.
//!
//! A comparison whose operands LLVM left undefined, or poison, decides no branch: that would be undefined behaviour. So the
//! numbers of a fact are what they look like.

use crate::gc::cfg::{BlockIdx, Cfg};
use crate::llvm::{IntPredicate, Opcode, Value};
use crate::translate::unit::Unit;
use dolmen_abi::object::MAX_OBJECT_BYTES;
use rustc_hash::FxHashMap;

/// A number, or zero.
pub(super) type Term = Option<Value>;

/// What is known of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// `left <= right + distance`.
    AtMost,
    /// `left != right + distance`.
    Unequal,
    /// If `right >= 0`: `left <= right + distance`, and `left >= 0`.
    AtMostUnsigned,
}

/// Where a fact holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Validity {
    /// In all that a block dominates, itself included.
    From(BlockIdx),
    /// At the end of a block, and in all else that it dominates.
    Behind(BlockIdx),
    /// When control goes from one block to another.
    On(BlockIdx, BlockIdx),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Fact {
    pub(super) left: Term,
    pub(super) right: Term,
    pub(super) distance: i64,
    pub(super) relation: Relation,
    pub(super) validity: Validity,
}

/// The facts of a function, by the numbers in them.
pub(super) struct Facts {
    facts: Vec<Fact>,
    by_value: FxHashMap<Value, Vec<usize>>,
}

impl Facts {
    pub(super) fn new(unit: &Unit<'_, '_>, cfg: &Cfg) -> Self {
        let mut facts = Self { facts: Vec::new(), by_value: FxHashMap::default() };
        for block in 0..cfg.blocks.len() {
            for &instruction in &cfg.instructions[block] {
                facts.add_length(unit, instruction, block);
            }
            let Some(condition) = cfg.blocks[block].terminator().and_then(Value::branch_condition) else { continue };
            let [then, otherwise] = cfg.blocks[block].successors()[..] else { continue };
            if then != otherwise {
                for (successor, holds) in [(then, true), (otherwise, false)] {
                    let successor = cfg.index[&successor];
                    let is_only_way = cfg.predecessors[successor].len() == 1;
                    let validity = if is_only_way { Validity::From(successor) } else { Validity::On(block, successor) };
                    facts.add_condition(unit, condition, holds, validity);
                }
            }
        }
        facts
    }

    /// The facts about a number.
    pub(super) fn about(&self, value: Value) -> impl Iterator<Item = Fact> + '_ {
        self.by_value.get(&value).into_iter().flatten().map(|&index| self.facts[index])
    }

    /// An array that was made has a length that an array can have.
    fn add_length(&mut self, unit: &Unit<'_, '_>, instruction: Value, block: BlockIdx) {
        let is_array = instruction.opcode() == Opcode::Call
            && instruction.called_function().is_some_and(|callee| callee.name() == "dolmen.alloc_array");
        if is_array && instruction.operand(2).ty() == unit.types.i32 {
            let (length, validity) = (instruction.operand(2), Validity::Behind(block));
            self.add_at_most((None, 0), (Some(length), 0), validity);
            self.add_at_most((Some(length), 0), (None, MAX_OBJECT_BYTES as i64), validity);
        }
    }

    /// What a condition says that holds, or does not.
    fn add_condition(&mut self, unit: &Unit<'_, '_>, condition: Value, holds: bool, validity: Validity) {
        if !condition.is_instruction() {
            return;
        }
        let is_const = |value: Value, number: i64| value.const_int() == Some(number);
        match condition.opcode() {
            Opcode::ICmp if condition.operand(0).ty() == unit.types.i32 => {
                let predicate = condition.int_predicate();
                let predicate = if holds { predicate } else { predicate.negated() };
                self.add_comparison(predicate, condition.operand(0), condition.operand(1), validity);
            }
            Opcode::Arithmetic if (holds && condition.is_and()) || (!holds && condition.is_or()) => {
                self.add_condition(unit, condition.operand(0), holds, validity);
                self.add_condition(unit, condition.operand(1), holds, validity);
            }
            // Conjunctions and disjunctions that do not look at the second part if the first decides.
            Opcode::Select if holds && is_const(condition.operand(2), 0) => {
                self.add_condition(unit, condition.operand(0), true, validity);
                self.add_condition(unit, condition.operand(1), true, validity);
            }
            Opcode::Select if !holds && condition.operand(1).const_int().is_some_and(|number| number != 0) => {
                self.add_condition(unit, condition.operand(0), false, validity);
                self.add_condition(unit, condition.operand(2), false, validity);
            }
            _ => {}
        }
    }

    fn add_comparison(&mut self, predicate: IntPredicate, left: Value, right: Value, validity: Validity) {
        use IntPredicate::{Eq, Ne, Sge, Sgt, Sle, Slt, Uge, Ugt, Ule, Ult};
        let (left, right, predicate) = match predicate {
            Sgt | Sge | Ugt | Uge => (right, left, predicate.swapped()),
            _ => (left, right, predicate),
        };
        let (left, right) = (sum(left), sum(right));
        match predicate {
            Slt => self.add_at_most((left.0, left.1 + 1), right, validity),
            Sle => self.add_at_most(left, right, validity),
            Eq => {
                self.add_at_most(left, right, validity);
                self.add_at_most(right, left, validity);
            }
            Ne => self.add(left, right, Relation::Unequal, validity),
            Ult => self.add_unsigned(left, right, 1, validity),
            Ule => self.add_unsigned(left, right, 0, validity),
            Sgt | Sge | Ugt | Uge => {}
        }
    }

    /// That `left + strict <= right` without sign, where one of them may be a constant.
    fn add_unsigned(&mut self, left: (Term, i64), right: (Term, i64), strict: i64, validity: Validity) {
        match (left, right) {
            ((Some(_), _), (None, number)) if number >= strict => {
                self.add_at_most((None, 0), left, validity);
                self.add_at_most((left.0, left.1 + strict), right, validity);
            }
            ((_, number), (Some(_), _)) if number >= 0 => {
                self.add((left.0, left.1 + strict), right, Relation::AtMostUnsigned, validity);
            }
            _ => {}
        }
    }

    fn add_at_most(&mut self, left: (Term, i64), right: (Term, i64), validity: Validity) {
        self.add(left, right, Relation::AtMost, validity);
    }

    fn add(&mut self, left: (Term, i64), right: (Term, i64), relation: Relation, validity: Validity) {
        let fact = Fact { left: left.0, right: right.0, distance: right.1 - left.1, relation, validity };
        for value in [fact.left, fact.right].into_iter().flatten() {
            self.by_value.entry(value).or_default().push(self.facts.len());
        }
        self.facts.push(fact);
    }
}

/// A number as a term and a constant.
pub(super) fn sum(value: Value) -> (Term, i64) {
    value.const_int().map_or((Some(value), 0), |number| (None, number))
}
