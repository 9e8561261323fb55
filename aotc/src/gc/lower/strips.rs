//! Strips: short loops that count need no poll in each round.
//!
//! The problem: in a loop of four instructions a poll takes a fifth of the time. Such loops mostly count, so how
//! long they run is known before they start: a loop is cut into *strips* of so many rounds that the time between two
//! polls stays far below what anybody waits for. The rounds of a strip pay nothing, because the comparison that ends
//! the loop ends the strip, too; only what is compared with is nearer.
//!
//! ```text
//!                                  strip:   limit = bound, or nearer          ◄─┐
//! header: …                        header:  …                        ◄─┐        │
//! latch:  t = i + step             latch:   t = i + step               │        │
//!         if t < bound ─► header            if t < limit ──────────────┘        │
//!         exit                     check:   if t < bound ─► poll ───────────────┘
//!                                           exit
//! ```
//!
//! This is done after LLVM's optimiser, so that loops are unrolled and vectorised already, and the counter is
//! whatever LLVM has left of it. Let `t` be what is compared in a round, `first` its value in the first round of a
//! strip, and `n` the rounds of a strip. While `t` grows, the limit is
//!
//! ```text
//! t != bound    first + min(bound - first, n * step)         modulo the word; if step divides bound - first,
//!                                                            otherwise first + n * step
//! t <  bound    first + min(end - first, n * step)           if first < end, otherwise first
//!               where end = min(bound, greatest value - step + 1)
//! t <= bound    the same                                     if first <= end, otherwise the least value
//!               where end = min(bound, greatest value - step)
//! ```
//!
//! and the other way round while it falls. In both cases a round that goes on to the next one in its strip would do
//! so in the loop as it was, and a strip has at most `n + 1` rounds: below `end` the counter does not wrap, and a
//! strip that begins behind it has one round, or two.
//!
//! Cut are innermost loops with one latch, which compares a counter with what does not change in the loop, and few
//! instructions, none of which calls. The step is a constant, or does not change either, and the comparison is `<`. Loops
//! that have few rounds by constants alone need no poll, nor does what LLVM leaves of a loop ([`rests`]). All others are
//! left to [`polls`].

mod rests;

use super::cfg::{BlockIdx, Cfg, Loop};
use super::{is_quick_call, polls};
use crate::llvm::{Block, Builder, IntPredicate, Op, Opcode, Type, Value};
use crate::translate::unit::Unit;
use rustc_hash::FxHashSet;

/// Instructions that are executed between two polls: some ten microseconds, if each is as slow as they get.
const STRIP_INSTRUCTIONS: usize = 1 << 15;

/// Rounds of a strip, at most. More would save nothing: leaving a strip costs about as much as twenty rounds.
const MAX_STRIP_ROUNDS: usize = 4096;

/// Instructions of the longest loop that is cut: in longer ones a poll in each round costs next to nothing.
const MAX_BODY_INSTRUCTIONS: usize = 128;

/// The greatest step, so that no computation with the length of a strip overflows.
const MAX_STEP: u64 = 1 << 18;

/// Loops whose back edges need no poll: pairs of latch and header.
pub(super) type Unpolled = FxHashSet<(Block, Block)>;

/// Cuts the loops of a function. The graph is out of date afterwards, unless the function has no loops.
pub(super) fn cut(unit: &Unit<'_, '_>, cfg: &Cfg) -> Unpolled {
    let innermost = cfg.loops.iter().filter(|l| is_innermost(cfg, l));
    let counted = innermost.filter_map(|l| Counted::find(unit, cfg, l));
    // Before the function changes.
    let mut found: Vec<_> = counted.map(|l| (l.is_short() || rests::is_rest(unit, cfg, &l), l)).collect();
    for index in 0..found.len() {
        let (false, counted) = &found[index] else { continue };
        let replaced = Cut { unit, b: &Builder::new(unit.context), counted }.emit();
        found[index + 1..].iter_mut().for_each(|(_, later)| later.follow(&replaced));
    }
    found.into_iter().map(|(_, counted)| (counted.latch, counted.header)).collect()
}

/// Whether constants tell that a loop has no more rounds than a strip.
pub(in crate::gc) fn is_short(unit: &Unit<'_, '_>, cfg: &Cfg, innermost: &Loop) -> bool {
    Counted::find(unit, cfg, innermost).is_some_and(|counted| counted.is_short())
}

/// Whether no other back edge lies in the loop.
fn is_innermost(cfg: &Cfg, innermost: &Loop) -> bool {
    let inside = cfg.back_edges().filter(|&(from, to)| innermost.contains(from) && innermost.contains(to));
    inside.count() == 1
}

/// A loop that counts.
struct Counted {
    header: Block,
    latch: Block,
    exit: Block,
    /// The comparison at the end of each round.
    test: Value,
    /// Another round follows if `tested predicate bound`.
    predicate: IntPredicate,
    tested: Value,
    bound: Value,
    /// The phi that counts, what is added to it in each round, and what is compared minus the phi.
    counter: Value,
    step: Value,
    offset: Value,
    /// Rounds of a strip; a power of two.
    rounds: u64,
}

/// What is no more since a loop was cut.
struct Replaced {
    /// Phis of the header and of the exit, and what is in their place.
    phis: Vec<(Value, Value)>,
    /// Where the loop was entered, and where it is.
    entry: (Block, Block),
}

impl Counted {
    /// Goes on with what is in the place of values and blocks of another loop: one may count to what another one leaves,
    /// or be left where another one begins.
    fn follow(&mut self, replaced: &Replaced) {
        for &(old, new) in &replaced.phis {
            let values = [&mut self.tested, &mut self.bound, &mut self.counter, &mut self.step, &mut self.offset];
            values.into_iter().filter(|value| **value == old).for_each(|value| *value = new);
        }
        if self.exit == replaced.entry.0 {
            self.exit = replaced.entry.1;
        }
    }

    fn find(unit: &Unit<'_, '_>, cfg: &Cfg, innermost: &Loop) -> Option<Self> {
        let rounds = strip_rounds(cfg, innermost)?;
        let back_edge = cfg.back_edges().find(|&(_, to)| to == innermost.header)?;
        if polls::allocates(cfg, back_edge) {
            return None;
        }
        let (header, latch) = (cfg.blocks[innermost.header], cfg.blocks[back_edge.0]);
        let test = latch.terminator()?.branch_condition()?;
        if !test.is_instruction() || test.opcode() != Opcode::ICmp {
            return None;
        }
        let (goes_on_if_true, exit) = match latch.successors()[..] {
            [first, second] if first == header && second != header => (true, second),
            [first, second] if second == header && first != header => (false, first),
            _ => return None,
        };
        let is_invariant = |value: Value| !value.is_instruction() || !contains(cfg, innermost, value.block());
        let (tested, bound, predicate) = match [test.operand(0), test.operand(1)] {
            [tested, bound] if is_invariant(bound) => (tested, bound, test.int_predicate()),
            [bound, tested] if is_invariant(bound) => (tested, bound, test.int_predicate().swapped()),
            _ => return None,
        };
        let predicate = if goes_on_if_true { predicate } else { predicate.negated() };
        if tested.ty() != unit.types.i32 && tested.ty() != unit.types.i64 {
            return None;
        }
        let (counter, offset) = sum_of_phi(tested, header)?;
        let (next, _) = counter.incoming().into_iter().find(|&(_, from)| from == latch)?;
        let (phi, step) = sum_of_phi(next, header)?;
        let counted = Self { header, latch, exit, test, predicate, tested, bound, counter, step, offset, rounds };
        let fits = phi == counter && is_invariant(step) && is_invariant(offset);
        (fits && (counted.is_short() || counted.step_fits())).then_some(counted)
    }

    /// Whether the counter moves in steps that [`Cut`] can do.
    fn step_fits(&self) -> bool {
        let Some(step) = self.step.const_int() else {
            return matches!(self.predicate, IntPredicate::Ult | IntPredicate::Slt);
        };
        let divides = self.predicate != IntPredicate::Ne || step.unsigned_abs().is_power_of_two();
        divides && self.moves_by(step) && (1..=MAX_STEP).contains(&step.unsigned_abs())
    }

    /// Whether a step takes the counter towards the bound, if it does not start behind it.
    fn moves_by(&self, step: i64) -> bool {
        use IntPredicate::{Eq, Ne, Sge, Sgt, Sle, Slt, Uge, Ugt, Ule, Ult};
        match self.predicate {
            Eq => false,
            Ne => step != 0,
            Ult | Ule | Slt | Sle => step > 0,
            Ugt | Uge | Sgt | Sge => step < 0,
        }
    }

    /// Whether the loop has no more rounds than a strip, by constants alone, and the counter does not wrap in them.
    fn is_short(&self) -> bool {
        let mut starts = self.counter.incoming().into_iter().filter(|&(_, from)| from != self.latch);
        let (Some((start, _)), None) = (starts.next(), starts.next()) else { return false };
        let constants = [start, self.offset, self.bound, self.step].map(|v| v.const_int());
        let [Some(start), Some(offset), Some(bound), Some(step)] = constants else { return false };
        // Constants are sign-extended, so what is compared without sign must not be negative.
        let bits = self.counter.ty().size_bytes() * 8;
        let values = if self.predicate.is_signed() { -(1 << (bits - 1))..1_i128 << (bits - 1) } else { 0..1 << bits };
        let (first, bound) = (i128::from(start) + i128::from(offset), i128::from(bound));
        let (distance, length) = ((bound - first) * i128::from(step.signum()), i128::from(step).abs());
        if !self.moves_by(step) || distance < 0 || !values.contains(&first) || !values.contains(&bound) {
            return false;
        }
        let more = match self.predicate {
            IntPredicate::Ne if distance % length != 0 => return false,
            predicate if predicate.is_strict() => (distance + length - 1) / length,
            IntPredicate::Ne => distance / length,
            _ => distance / length + 1,
        };
        more < i128::from(self.rounds) && values.contains(&(first + more * i128::from(step)))
    }

    fn counts_up(&self) -> bool {
        self.step.const_int().is_none_or(|step| step > 0)
    }
}

/// How many rounds a strip of a loop can have; none if it should not be cut.
fn strip_rounds(cfg: &Cfg, innermost: &Loop) -> Option<u64> {
    let mut count = 0;
    for block in (0..cfg.blocks.len()).filter(|&block| innermost.contains(block)) {
        for instruction in cfg.blocks[block].instructions() {
            match instruction.opcode() {
                Opcode::Phi => {}
                Opcode::LandingPad | Opcode::Invoke => return None,
                Opcode::Call if !is_quick_call(instruction) => return None,
                _ => count += 1,
            }
        }
    }
    (count <= MAX_BODY_INSTRUCTIONS).then(|| {
        let rounds = (STRIP_INSTRUCTIONS / count.max(1)).min(MAX_STRIP_ROUNDS);
        1 << rounds.ilog2()
    })
}

fn contains(cfg: &Cfg, innermost: &Loop, block: Block) -> bool {
    // Blocks that are not in the graph were made for other loops.
    cfg.index.get(&block).is_some_and(|&block: &BlockIdx| innermost.contains(block))
}

/// A header's phi and what a value is more than it.
fn sum_of_phi(value: Value, header: Block) -> Option<(Value, Value)> {
    let is_phi = |value: Value| value.is_instruction() && value.opcode() == Opcode::Phi && value.block() == header;
    if is_phi(value) {
        return Some((value, value.ty().zero()));
    }
    if !value.is_instruction() || !value.is_add() {
        return None;
    }
    match [value.operand(0), value.operand(1)] {
        [phi, more] | [more, phi] if is_phi(phi) => Some((phi, more)),
        _ => None,
    }
}

/// The change of one loop.
struct Cut<'e, 'c, 'm> {
    unit: &'e Unit<'c, 'm>,
    b: &'e Builder<'c>,
    counted: &'e Counted,
}

impl Cut<'_, '_, '_> {
    fn emit(&self) -> Replaced {
        let Counted { header, latch, exit, test, predicate, tested, bound, .. } = *self.counted;
        let [strip, check, poll] = ["strip", "strip.check", "strip.poll"].map(|name| self.block(name));
        let phis = header.phis();
        let outer = self.emit_strip(&phis, strip, poll);
        let counter = phis.iter().position(|&phi| phi == self.counted.counter).expect("the counter is one of the phis");
        let limit = self.emit_limit(outer[counter]);
        self.b.br(header);
        self.b.position_at_end(check);
        self.b.cond_br(self.b.icmp(predicate, tested, bound), poll, exit);
        self.b.position_at_end(poll);
        self.b.br(strip);
        let branch = latch.terminator().expect("the latch ends with its branch");
        self.b.position_before(branch);
        branch.set_branch_condition(self.b.icmp(predicate, tested, limit));
        if branch.block().successors()[0] != header {
            // The weights are those of the other order.
            branch.clear_metadata(self.unit.metadata.prof);
        }
        branch.set_successor(0, header);
        branch.set_successor(1, check);
        if !test.has_uses() {
            test.erase();
        }
        let mut replaced = self.replace_phis(&phis, &outer, strip);
        replaced.extend(self.move_edge(exit, check));
        Replaced { phis: replaced, entry: (header, strip) }
    }

    /// Enters the loop through the block of strips, whose phis are the result. The builder then stands in it.
    fn emit_strip(&self, phis: &[Value], strip: Block, poll: Block) -> Vec<Value> {
        let Counted { header, latch, .. } = *self.counted;
        self.b.position_at_end(strip);
        let outer: Vec<_> = phis.iter().map(|phi| self.b.phi(phi.ty())).collect();
        for (phi, outer) in phis.iter().zip(&outer) {
            for (value, from) in phi.incoming() {
                outer.add_incoming(value, if from == latch { poll } else { from });
            }
        }
        let entries = self.counted.counter.incoming().into_iter().filter(|&(_, from)| from != latch);
        for terminator in entries.filter_map(|(_, from)| from.terminator()) {
            for (index, successor) in terminator.block().successors().into_iter().enumerate() {
                if successor == header {
                    terminator.set_successor(index, strip);
                }
            }
        }
        outer
    }

    /// What the rounds of the strip compare with, given the counter when it begins.
    fn emit_limit(&self, counter: Value) -> Value {
        let Counted { bound, predicate, step, offset, rounds, .. } = *self.counted;
        let (b, ty) = (self.b, counter.ty());
        let first = b.binary(Op::Add, counter, offset);
        let Some(step) = step.const_int() else { return self.emit_limit_of_any_step(first) };
        let (step, up) = (step.unsigned_abs(), self.counted.counts_up());
        let length = ty.int(rounds * step);
        let distance = |end| if up { b.binary(Op::Sub, end, first) } else { b.binary(Op::Sub, first, end) };
        let limit = |distance| b.binary(if up { Op::Add } else { Op::Sub }, first, distance);
        if predicate == IntPredicate::Ne {
            let distance = distance(bound);
            let near = self.min(distance, length);
            if step == 1 {
                return limit(near);
            }
            let rest = b.binary(Op::And, distance, ty.int(step - 1));
            return limit(b.select(b.icmp(IntPredicate::Eq, rest, ty.zero()), near, length));
        }
        let (last, beyond) = self.extremes(ty);
        let end = match step - u64::from(predicate.is_strict()) {
            // No step from inside the bound leaves the range of the word.
            0 => bound,
            room if up => self.nearer(bound, ty.int(last.wrapping_sub(room))),
            room => self.nearer(bound, ty.int(last.wrapping_add(room))),
        };
        let is_inside = b.icmp(predicate, first, end);
        let near = self.min(distance(end), length);
        if predicate.is_strict() {
            // This way LLVM cannot take the selection into the rounds, as it could with the least value.
            return limit(b.select(is_inside, near, ty.zero()));
        }
        b.select(is_inside, limit(near), ty.int(beyond))
    }

    /// [`Cut::emit_limit`] for `<` and a step that is no constant. If it is not small, a strip is one round.
    fn emit_limit_of_any_step(&self, first: Value) -> Value {
        let Counted { bound, predicate, step, rounds, .. } = *self.counted;
        let (b, ty) = (self.b, first.ty());
        let beyond = ty.int(self.extremes(ty).1);
        // The least value is one more than the greatest.
        let end = self.nearer(bound, b.binary(Op::Sub, beyond, step));
        let length = b.binary(Op::Shl, step, ty.int(rounds.ilog2().into()));
        let near = self.min(b.binary(Op::Sub, end, first), length);
        let is_small = b.icmp(IntPredicate::Ult, b.binary(Op::Sub, step, ty.int(1)), ty.int(MAX_STEP));
        let is_inside = b.icmp(predicate, first, end);
        b.binary(Op::Add, first, b.select(b.binary(Op::And, is_small, is_inside), near, ty.zero()))
    }

    fn min(&self, left: Value, right: Value) -> Value {
        self.b.select(self.b.icmp(IntPredicate::Ult, left, right), left, right)
    }

    /// That of two bounds which the counter comes to first.
    fn nearer(&self, left: Value, right: Value) -> Value {
        self.b.select(self.b.icmp(self.counted.predicate, left, right), left, right)
    }

    /// The last value of a word in the direction of the counter, and the last in the other one.
    fn extremes(&self, ty: Type) -> (u64, u64) {
        let bits = ty.size_bytes() * 8;
        let (least, greatest) = match self.counted.predicate.is_signed() {
            true => (1 << (bits - 1), (1 << (bits - 1)) - 1),
            false => (0, u64::MAX),
        };
        if self.counted.counts_up() { (greatest, least) } else { (least, greatest) }
    }

    /// Puts phis that know of strips in the place of the header's.
    fn replace_phis(&self, phis: &[Value], outer: &[Value], strip: Block) -> Vec<(Value, Value)> {
        let Counted { header, latch, .. } = *self.counted;
        self.b.position_before(header.instructions()[0]);
        let replace = |(&phi, &outer): (&Value, &Value)| {
            let inner = self.b.phi(phi.ty());
            inner.add_incoming(outer, strip);
            phi.incoming()
                .into_iter()
                .filter(|&(_, from)| from == latch)
                .for_each(|(v, from)| inner.add_incoming(v, from));
            phi.replace_all_uses_with(inner);
            (phi, inner)
        };
        let replaced = phis.iter().zip(outer).map(replace).collect();
        phis.iter().for_each(|phi| phi.erase());
        replaced
    }

    /// Makes the phis of the exit take what came from the latch from another block.
    fn move_edge(&self, exit: Block, check: Block) -> Vec<(Value, Value)> {
        let replace = |phi: Value| {
            self.b.position_before(phi);
            let moved = self.b.phi(phi.ty());
            for (value, from) in phi.incoming() {
                moved.add_incoming(value, if from == self.counted.latch { check } else { from });
            }
            phi.replace_all_uses_with(moved);
            phi.erase();
            (phi, moved)
        };
        exit.phis().into_iter().map(replace).collect()
    }

    fn block(&self, name: &str) -> Block {
        self.unit.context.append_block(self.counted.header.parent(), name)
    }
}
