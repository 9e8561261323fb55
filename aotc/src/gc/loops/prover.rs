//! Whether a number is at most another plus a constant.
//!
//! This is ABCD (Bodík, Gupta and Sarkar, "ABCD: Eliminating Array Bounds Checks on Demand", 2000) on SSA form with
//! facts that hold behind branches, for signed 32-bit numbers as mathematical integers. A claim `left <= right + c` at
//! a place is proven
//!
//! - by the ranges of both sides alone;
//! - through a sum with a constant that does not overflow, which is either what LLVM says of it or a claim of its own;
//! - through a fact that holds at the place: `left <= x + d` leaves `x <= right + (c - d)` to be proven, and likewise
//!   on the right;
//! - through a phi: on each edge into its block the claim must hold of what the phi becomes there. Both sides may be phis
//!   of that block; else the other side must be defined above it, so that it does not change.
//!
//! The last is induction over time. When the same claim about the same phis comes up again, with no smaller constant, it
//! is about an earlier visit of the block, since going through a phi goes back in time, and may be assumed. All that is
//! assumed is about earlier times, so the proof is well-founded. Claims between two phis must not return to themselves.
//!
//! A fact is one of the program as it is: several comparisons may be proven by each other and all go.
//!
//! Invariant: a proven claim holds whenever control is at the place and neither side is poison.

use super::facts::{Fact, Facts, Relation, Term, Validity, sum};
use crate::gc::cfg::{BlockIdx, Cfg};
use crate::llvm::{Opcode, Value};
use crate::translate::unit::Unit;
use dolmen_abi::object::MAX_OBJECT_BYTES;

/// Claims that are looked at for one question.
const MAX_CLAIMS: usize = 200;

/// Claims on the way from a question to what proves it.
const MAX_DEPTH: usize = 30;

const MIN: i64 = i32::MIN as i64;
const MAX: i64 = i32::MAX as i64;

/// Where a claim is to hold: anywhere in a block, or on the edge from its end to another one.
#[derive(Clone, Copy)]
struct Place {
    block: BlockIdx,
    to: Option<BlockIdx>,
}

/// `left <= right + distance`.
#[derive(Clone, Copy)]
struct Claim {
    left: Term,
    right: Term,
    distance: i64,
}

pub(super) struct Prover<'p, 'c, 'm> {
    unit: &'p Unit<'c, 'm>,
    cfg: &'p Cfg,
    facts: &'p Facts,
    /// Claims about phis of a block that are being proven, so hold at earlier visits.
    assumed: Vec<(BlockIdx, Claim)>,
    /// Claims on the way since the last phi.
    way: Vec<(Term, Term)>,
    depth: usize,
    budget: usize,
}

impl<'p, 'c, 'm> Prover<'p, 'c, 'm> {
    pub(super) fn new(unit: &'p Unit<'c, 'm>, cfg: &'p Cfg, facts: &'p Facts) -> Self {
        Self { unit, cfg, facts, assumed: Vec::new(), way: Vec::new(), depth: 0, budget: 0 }
    }

    /// Whether `left <= right + distance` wherever control is in a block.
    pub(super) fn is_at_most(&mut self, left: Value, right: Value, distance: i64, block: BlockIdx) -> bool {
        self.budget = MAX_CLAIMS;
        let ((left, more), (right, less)) = (sum(left), sum(right));
        self.prove(Claim { left, right, distance: distance + less - more }, Place { block, to: None })
    }

    /// Whether a number is at least a constant wherever control is in a block.
    pub(super) fn is_at_least(&mut self, value: Value, number: i64, block: BlockIdx) -> bool {
        self.budget = MAX_CLAIMS;
        let (right, more) = sum(value);
        self.prove(Claim { left: None, right, distance: more - number }, Place { block, to: None })
    }

    fn prove(&mut self, claim: Claim, place: Place) -> bool {
        let Claim { left, right, distance } = claim;
        if [left, right].into_iter().flatten().any(Value::is_undefined) {
            return false;
        }
        if left == right {
            return distance >= 0;
        }
        if self.greatest(left) <= self.least(right) + distance {
            return true;
        }
        if self.budget == 0 || self.depth == MAX_DEPTH || self.way.contains(&(left, right)) {
            return false;
        }
        self.budget -= 1;
        self.depth += 1;
        self.way.push((left, right));
        let is_proven =
            self.prove_by_sums(claim, place) || self.prove_by_facts(claim, place) || self.prove_by_phis(claim);
        self.way.pop();
        self.depth -= 1;
        is_proven
    }

    fn prove_by_sums(&mut self, claim: Claim, place: Place) -> bool {
        let of = |term: Term| term.and_then(constant_sum);
        if let Some((value, number)) = of(claim.left).filter(|_| self.is_sum_exact(claim.left)) {
            let (left, more) = sum(value);
            let claim = Claim { left, distance: claim.distance - number - more, ..claim };
            if self.prove(claim, place) {
                return true;
            }
        }
        if let Some((value, number)) = of(claim.right).filter(|_| self.is_sum_exact(claim.right)) {
            let (right, more) = sum(value);
            return self.prove(Claim { right, distance: claim.distance + number + more, ..claim }, place);
        }
        false
    }

    /// Whether a sum with a constant does not overflow.
    fn is_sum_exact(&mut self, term: Term) -> bool {
        let Some((result, (value, number))) = term.and_then(|term| Some((term, constant_sum(term)?))) else {
            return false;
        };
        if result.has_no_signed_wrap() {
            return true;
        }
        let place = Place { block: self.cfg.index[&result.block()], to: None };
        // This is another question, about the moment at which the sum was computed.
        let way = std::mem::take(&mut self.way);
        let (value, more) = sum(value);
        let is_exact = if number >= 0 {
            self.prove(Claim { left: value, right: None, distance: MAX - number - more }, place)
        } else {
            self.prove(Claim { left: None, right: value, distance: number - MIN + more }, place)
        };
        self.way = way;
        is_exact
    }

    fn prove_by_facts(&mut self, claim: Claim, place: Place) -> bool {
        let facts = self.facts;
        let of_left = claim.left.into_iter().flat_map(|value| facts.about(value)).filter(|f| f.left == claim.left);
        let of_right = claim.right.into_iter().flat_map(|value| facts.about(value));
        of_left.chain(of_right).any(|fact| self.holds(fact, place) && self.prove_by(fact, claim, place))
    }

    /// Proves a claim by a fact that holds at the place.
    fn prove_by(&mut self, fact: Fact, claim: Claim, place: Place) -> bool {
        let Claim { left, right, distance } = claim;
        if fact.relation == Relation::Unequal {
            let excluded = match () {
                () if (fact.left, fact.right) == (left, right) => fact.distance,
                () if (fact.left, fact.right) == (right, left) => -fact.distance,
                () => return false,
            };
            // The way there is about the same two numbers.
            self.way.pop();
            let is_proven = excluded == distance + 1 && self.prove(Claim { distance: excluded, ..claim }, place);
            self.way.push((left, right));
            return is_proven;
        }
        let is_signed =
            |this: &mut Self| fact.relation == Relation::AtMost || this.is_natural(fact.right, fact.validity);
        if left.is_none() && fact.left == right && fact.relation == Relation::AtMostUnsigned {
            return distance >= 0 && is_signed(self);
        }
        let rest = distance - fact.distance;
        if fact.left == left && fact.right == right {
            return rest >= 0 && is_signed(self);
        }
        if fact.left == left && left.is_some() {
            return is_signed(self) && self.prove(Claim { left: fact.right, right, distance: rest }, place);
        }
        fact.right == right && is_signed(self) && self.prove(Claim { left, right: fact.left, distance: rest }, place)
    }

    /// Whether a number is not negative where a fact about it came to be.
    fn is_natural(&mut self, term: Term, validity: Validity) -> bool {
        let place = match validity {
            Validity::From(block) | Validity::Behind(block) => Place { block, to: None },
            Validity::On(block, to) => Place { block, to: Some(to) },
        };
        self.prove(Claim { left: None, right: term, distance: 0 }, place)
    }

    fn holds(&self, fact: Fact, place: Place) -> bool {
        match fact.validity {
            Validity::From(block) => self.cfg.dominates(block, place.block),
            Validity::Behind(block) if block == place.block => place.to.is_some(),
            Validity::Behind(block) => self.cfg.dominates(block, place.block),
            Validity::On(from, to) => from == place.block && Some(to) == place.to,
        }
    }

    fn prove_by_phis(&mut self, claim: Claim) -> bool {
        let blocks = [claim.left, claim.right].map(|term| term.filter(is_phi).map(|phi| self.cfg.index[&phi.block()]));
        let is_fixed = |term: Term, block| self.is_defined_above(term, block);
        match blocks {
            [Some(left), Some(right)] if left == right => self.prove_on_edges(claim, left),
            [Some(left), _] if is_fixed(claim.right, left) => self.prove_on_edges(claim, left),
            [_, Some(right)] if is_fixed(claim.left, right) => self.prove_on_edges(claim, right),
            _ => false,
        }
    }

    /// Whether a number stays the same in all rounds of a loop with this header.
    fn is_defined_above(&self, term: Term, header: BlockIdx) -> bool {
        let Some(value) = term.filter(|value| value.is_instruction()) else { return true };
        let home = self.cfg.index[&value.block()];
        home != header && self.cfg.dominates(home, header)
    }

    /// Proves a claim about phis of a block on each edge into it.
    fn prove_on_edges(&mut self, claim: Claim, block: BlockIdx) -> bool {
        let is_same =
            |(at, other): &&(BlockIdx, Claim)| *at == block && other.left == claim.left && other.right == claim.right;
        if let Some((_, earlier)) = self.assumed.iter().find(is_same) {
            return claim.distance >= earlier.distance;
        }
        self.assumed.push((block, claim));
        let way = std::mem::take(&mut self.way);
        let is_proven = self.cfg.predecessors[block].iter().all(|&from| {
            let (left, more) = self.arriving(claim.left, block, from);
            let (right, less) = self.arriving(claim.right, block, from);
            let claim = Claim { left, right, distance: claim.distance + less - more };
            self.prove(claim, Place { block: from, to: Some(block) })
        });
        self.way = way;
        self.assumed.pop();
        is_proven
    }

    /// What a term of a block's phi is when control comes from another block.
    fn arriving(&self, term: Term, block: BlockIdx, from: BlockIdx) -> (Term, i64) {
        let Some(phi) = term.filter(|value| is_phi(value) && self.cfg.index[&value.block()] == block) else {
            return (term, 0);
        };
        let arrival = phi.incoming().into_iter().find(|&(_, source)| source == self.cfg.blocks[from]);
        sum(arrival.expect("a phi has a value for each predecessor").0)
    }

    fn greatest(&self, term: Term) -> i64 {
        term.map_or(0, |value| self.range(value).1)
    }

    fn least(&self, term: Term) -> i64 {
        term.map_or(0, |value| self.range(value).0)
    }

    /// What a number can be, as its instruction tells.
    fn range(&self, value: Value) -> (i64, i64) {
        if !value.is_instruction() {
            return (MIN, MAX);
        }
        let mask = |index: usize| value.operand(index).const_int().filter(|&mask| mask >= 0);
        match value.opcode() {
            Opcode::Load if self.unit.is_loaded_length(value) => (0, MAX_OBJECT_BYTES as i64),
            Opcode::ZExt => match value.operand(0).ty().size_bytes() {
                1 => (0, u8::MAX.into()),
                2 => (0, u16::MAX.into()),
                _ => (MIN, MAX),
            },
            Opcode::Arithmetic if value.is_and() => {
                mask(1).or_else(|| mask(0)).map_or((MIN, MAX), |greatest| (0, greatest))
            }
            _ => (MIN, MAX),
        }
    }
}

fn is_phi(value: &Value) -> bool {
    value.is_instruction() && value.opcode() == Opcode::Phi
}

/// The parts of a sum with a constant.
fn constant_sum(value: Value) -> Option<(Value, i64)> {
    let is_sum = value.is_instruction() && value.opcode() == Opcode::Arithmetic && value.is_add();
    is_sum.then(|| Some((value.operand(0), value.operand(1).const_int()?))).flatten()
}
