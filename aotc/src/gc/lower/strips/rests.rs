//! Rests: the few rounds that fill no vector, or no unrolled body, need no poll.
//!
//! LLVM makes several loops of one: for vectors, for shorter vectors, for single elements. All but the first have few
//! rounds, which constants alone do not show, because the number of elements is not known:
//!
//! ```text
//! vectors:   from 0         to n & -32       if n >= 32
//! shorter:   from n & -32   to n & -4        or from 0, if n < 32
//! elements:  from n & -4    to n             or from 0, if n < 4
//! unrolled:  from 0         to n & 7         the elements that no body of eight takes
//! ```
//!
//! A loop is a rest if on every way to it the distance to the bound is some low bits of a number that are not all zero. The
//! bits follow from masks, or from a branch that finds the number small; that they are not zero, from another branch. It
//! must be shown: a loop that is left when its counter *is* the bound, and that starts there, goes round the whole word.
//!
//! Elements are also where control goes when vectors cannot be used at all, as when two arrays may overlap; that is another
//! way, on which nothing says that the number is small, and such loops are cut.
//!
//! Proof, for a way with `start` and `bound` and `left`, the bits that only the bound has: `bound = start + d`, without a
//! carry, where `0 < d < MAX_ELEMENTS`, and the step divides `d`. So the counter comes to the bound after `d / step` rounds,
//! and all its values before are below the bound, with and without sign.

use super::Counted;
use crate::gc::cfg::{BlockIdx, Cfg};
use crate::llvm::{IntPredicate, Opcode, Value};
use crate::translate::unit::Unit;

/// Elements of a rest are fewer: four vectors of 64 bytes leave no more. A power of two.
const MAX_ELEMENTS: u64 = 256;

/// Branches that are looked at in front of a loop.
const MAX_BRANCHES: usize = 32;

/// Whether a loop is a rest.
pub(super) fn is_rest(unit: &Unit<'_, '_>, cfg: &Cfg, counted: &Counted) -> bool {
    let Some(step) = counted.step.const_int().and_then(|step| u64::try_from(step).ok()) else { return false };
    // What is compared in a round is where the next one starts.
    let ends_before = matches!(counted.predicate, IntPredicate::Ne | IntPredicate::Ult | IntPredicate::Slt);
    let counts_on = step.is_power_of_two() && counted.offset == counted.step && ends_before;
    counts_on
        && ways(cfg, counted).is_some_and(|ways| ways.iter().all(|way| way.is_short(unit, cfg, counted.bound, step)))
}

/// A way into the loop: where it starts counting, and the edge.
struct Way {
    start: Value,
    from: BlockIdx,
    to: BlockIdx,
}

/// All ways, those through the block in front of the loop one by one; none if the graph is not of the function as it is.
fn ways(cfg: &Cfg, counted: &Counted) -> Option<Vec<Way>> {
    let entries = counted.counter.incoming().into_iter().filter(|&(_, from)| from != counted.latch);
    let mut ways = Vec::new();
    for (start, entry) in entries {
        let is_joined = is(start, Opcode::Phi) && start.block() == entry;
        let (joined, to) = if is_joined { (start.incoming(), entry) } else { (vec![(start, entry)], counted.header) };
        for (start, from) in joined {
            ways.push(Way { start, from: *cfg.index.get(&from)?, to: *cfg.index.get(&to)? });
        }
    }
    Some(ways)
}

impl Way {
    fn is_short(&self, unit: &Unit<'_, '_>, cfg: &Cfg, bound: Value, step: u64) -> bool {
        let (number, kept) = masked(bound);
        let branches = branches(cfg, self.from, self.to);
        let (start, gone) = if self.start.const_int() == Some(0) { (number, 0) } else { masked(self.start) };
        let is_small = branches.iter().any(|branch| branch.is_small(number));
        // A number that is not negative does not have the uppermost bit, so that LLVM takes it out of masks.
        let has = match is_small {
            true => MAX_ELEMENTS - 1,
            false if is_length(unit, number) => !sign(number),
            false => u64::MAX,
        };
        let left = kept & !gone & has;
        // What the start has and the bound has not would be a borrow.
        start == number
            && gone & !kept & has == 0
            && left < MAX_ELEMENTS
            && left & (step - 1) == 0
            && branches.iter().any(|branch| branch.differ(self.start, bound) || branch.has_one_of(number, left, has))
    }
}

/// A comparison that holds.
struct Holding {
    predicate: IntPredicate,
    left: Value,
    right: Value,
}

/// The comparisons that hold on an edge: that of its own branch, and of those above that lead here only.
fn branches(cfg: &Cfg, from: BlockIdx, to: BlockIdx) -> Vec<Holding> {
    let mut found: Vec<_> = holding(cfg, from, to).into_iter().collect();
    let mut block = from;
    while block != 0 && found.len() < MAX_BRANCHES {
        let above = cfg.idom(block);
        if cfg.predecessors[block][..] == [above] {
            found.extend(holding(cfg, above, block));
        }
        block = above;
    }
    found
}

/// What a branch compares, if control goes from one block to another by it.
fn holding(cfg: &Cfg, from: BlockIdx, to: BlockIdx) -> Option<Holding> {
    let test = cfg.blocks[from].terminator()?.branch_condition().filter(|&test| is(test, Opcode::ICmp))?;
    let [then, otherwise] = cfg.blocks[from].successors()[..] else { return None };
    let predicate = match [then, otherwise].map(|block| block == cfg.blocks[to]) {
        [true, false] => test.int_predicate(),
        [false, true] => test.int_predicate().negated(),
        _ => return None,
    };
    Some(Holding { predicate, left: test.operand(0), right: test.operand(1) })
}

impl Holding {
    /// Whether a number is below [`MAX_ELEMENTS`].
    fn is_small(&self, number: Value) -> bool {
        let limit = self.right.const_int().and_then(|limit| u64::try_from(limit).ok());
        self.left == number
            && matches!(self.predicate, IntPredicate::Ult | IntPredicate::Ule)
            && limit.is_some_and(|limit| limit < MAX_ELEMENTS)
    }

    /// Whether two numbers are not the same.
    fn differ(&self, first: Value, second: Value) -> bool {
        let pair = [self.left, self.right];
        self.predicate == IntPredicate::Ne && (pair == [first, second] || pair == [second, first])
    }

    /// Whether a number, which has no bits but some, has one of those in a mask.
    ///
    /// So has what another mask makes of the number, if it is larger than all its bits outside the first mask together.
    fn has_one_of(&self, number: Value, mask: u64, has: u64) -> bool {
        use IntPredicate::{Ne, Sge, Sgt, Uge, Ugt};
        let (compared, bits) = masked(self.left);
        let limit = self.right.const_int().and_then(|limit| u64::try_from(limit).ok());
        let (Some(limit), true) = (limit, compared == number) else { return false };
        let bits = bits & has;
        let least = match self.predicate {
            Ne if limit == 0 => 1,
            Ugt | Sgt => limit + 1,
            Uge | Sge => limit,
            _ => return false,
        };
        // At least `least`, made of bits that are in the mask or below `least` all together.
        least > 0 && bits & !mask < least
    }
}

/// A number and the bits that are kept of it, all if it is not masked.
fn masked(value: Value) -> (Value, u64) {
    let all = sign(value) | (sign(value) - 1);
    let is_masked = value.is_instruction() && value.is_and();
    match is_masked.then(|| value.operand(1).const_int()).flatten() {
        Some(mask) => (value.operand(0), mask.cast_unsigned() & all),
        None => (value, all),
    }
}

/// The uppermost bit of a word.
fn sign(word: Value) -> u64 {
    1 << (word.ty().size_bytes() * 8 - 1)
}

/// Whether a number is an array's length, or at most one, without sign.
fn is_length(unit: &Unit<'_, '_>, number: Value) -> bool {
    let is_loaded = |number| unit.is_loaded_length(number);
    let is_least = is(number, Opcode::Call)
        && number.called_function().is_some_and(|callee| callee.name().starts_with("llvm.umin"))
        && (is_loaded(number.operand(0)) || is_loaded(number.operand(1)));
    is_loaded(number) || is_least
}

fn is(value: Value, opcode: Opcode) -> bool {
    value.is_instruction() && value.opcode() == opcode
}
