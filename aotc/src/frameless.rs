//! Functions in two: a part that needs no frame, and the whole behind it.
//!
//! The problem: most functions call something, if only for what seldom happens: to make what is missing, to say what is
//! wrong. A path without calls then still pays for those that have some, for the native frame, for the registers that are
//! saved in it, and for the frame on the shadow stack, unless all calls lie behind one branch: LLVM's shrink-wrapping finds
//! one place for the frame, which comes before all that needs it.
//!
//! So such a function becomes two. One has all blocks of the function that can be reached without calls, and goes over to
//! the other, the whole function, where it would leave them: by a tail call, which needs no frame either.
//!
//! ```text
//! f(x): if (x.a == null) make(x); if (x.b == null) make(x); return x.a + x.b
//!
//! f(x): if (x.a == null) return whole(x); if (x.b == null) return whole(x); return x.a + x.b
//! ```
//!
//! The whole starts again from the arguments. That is right, since nothing has happened yet: up to where the two part, a
//! function only loads and computes ([`partial`] says why that is right with several threads, too). It is
//! done where the whole is seldom needed: where the function cannot return any more, or a call of what was inlined
//! in part is left.
//!
//! This comes last, when calls are inlined and loops are what they will be. Only functions that parts of others were
//! inlined into are looked at: in others calls are seldom all unlikely, and to look costs time.

use crate::convention::{comes_back, gate};
use crate::gc::cfg::{BlockIdx, Cfg};
use crate::gc::markers::POLLED_CALL;
use crate::llvm::{Opcode, Value, attribute_index};
use crate::partial::{self, REST_CALL};
use crate::translate::unit::{ASSUME, Unit};

/// Functions with more blocks are not looked at.
const MAX_BLOCKS: usize = 300;

/// Instructions that are executed again, at most.
const MAX_REPEATED: usize = 60;

/// Instructions of a part without a frame, at most.
const MAX_INSTRUCTIONS: usize = 150;

/// What is behind the name of a whole function.
const WHOLE: &str = ".whole";

/// Divides functions of the unit's LLVM module, of those with these names.
pub(crate) fn run(unit: &Unit<'_, '_>, names: &[String]) {
    let functions = names.iter().filter_map(|name| unit.llvm.function(name));
    for function in functions.filter(|function| function.is_definition() && function.blocks().len() <= MAX_BLOCKS) {
        divide(unit, function);
    }
}

fn divide(unit: &Unit<'_, '_>, function: Value) {
    let cfg = Cfg::new(function);
    let Some(kept) = Plan::new(&cfg).make() else { return };
    let whole = function;
    let name = function.name();
    let (part, rest) = partial::copy(unit, whole, &cfg, &kept);
    let polled = unit.context.string_attribute(POLLED_CALL, "");
    rest.add_call_attribute(attribute_index::FUNCTION, polled);
    rest.set_must_tail();
    whole.replace_all_uses_with(part);
    rest.set_operand(rest.operand_count() - 1, whole);
    whole.set_name(&format!("{name}{WHOLE}"));
    part.set_name(&name);
    whole.set_internal();
}

/// Which blocks of a function become its part without a frame.
struct Plan<'g> {
    cfg: &'g Cfg,
    /// The blocks that need a frame.
    calls: Vec<bool>,
    /// The blocks that cannot be executed again: they have effects, or are in loops.
    once: Vec<bool>,
    /// Instructions of each block.
    sizes: Vec<usize>,
    /// The blocks that are seldom executed, for all that is known.
    seldom: Vec<bool>,
    /// The blocks that are not part of it.
    left_out: Vec<bool>,
}

impl<'g> Plan<'g> {
    fn new(cfg: &'g Cfg) -> Self {
        let has = |block: BlockIdx, is: fn(Value) -> bool| cfg.instructions[block].iter().any(|&i| is(i));
        let is_in_loop = |block| cfg.loops.iter().any(|l| l.contains(block));
        let size = |block: &Vec<Value>| block.iter().filter(|i| is_counted(**i)).count();
        let blocks = 0..cfg.blocks.len();
        let calls: Vec<_> = blocks.clone().map(|block| has(block, needs_frame)).collect();
        Self {
            cfg,
            left_out: calls.clone(),
            calls,
            once: blocks.map(|block| has(block, acts) || is_in_loop(block)).collect(),
            sizes: cfg.instructions.iter().map(size).collect(),
            seldom: seldom(cfg),
        }
    }

    /// The blocks, the entry first, if that pays.
    fn make(mut self) -> Option<Vec<BlockIdx>> {
        loop {
            let kept = self.kept();
            let wrong = self.wrong(&kept);
            if !kept[0] || wrong.is_empty() {
                return self.pays(&kept).then(|| (0..kept.len()).filter(|&block| kept[block]).collect());
            }
            wrong.into_iter().for_each(|block| self.left_out[block] = true);
        }
    }

    /// What can be reached through blocks that are not left out, and is none of them.
    fn kept(&self) -> Vec<bool> {
        let mut kept = vec![false; self.left_out.len()];
        let mut work = vec![0];
        while let Some(block) = work.pop() {
            if !self.left_out[block] && !std::mem::replace(&mut kept[block], true) {
                work.extend(&self.cfg.successors[block]);
            }
        }
        kept
    }

    /// The blocks that must be left out, too: what is executed before the part is left is executed again.
    fn wrong(&self, kept: &[bool]) -> Vec<BlockIdx> {
        let repeated = self.repeated(kept);
        let mut longest = vec![0; kept.len()];
        let mut wrong = vec![];
        for block in (0..kept.len()).filter(|&block| repeated[block]) {
            let before = self.cfg.predecessors[block].iter().map(|&from| longest[from]).max();
            longest[block] = self.sizes[block] + before.unwrap_or(0);
            let is_left_often = self.cfg.successors[block].iter().any(|&to| !kept[to] && !self.seldom[to]);
            if self.once[block] || longest[block] > MAX_REPEATED || is_left_often {
                wrong.push(block);
            }
        }
        wrong
    }

    /// The blocks from which the part can be left.
    fn repeated(&self, kept: &[bool]) -> Vec<bool> {
        let is_left = |&block: &BlockIdx| self.cfg.successors[block].iter().any(|&to| !kept[to]);
        let mut repeated = vec![false; kept.len()];
        let mut work: Vec<_> = (0..kept.len()).filter(|&block| kept[block]).filter(is_left).collect();
        while let Some(block) = work.pop() {
            if !std::mem::replace(&mut repeated[block], true) {
                work.extend(self.cfg.predecessors[block].iter().filter(|&&from| kept[from]));
            }
        }
        repeated
    }

    /// Whether a part with these blocks is worth having: it returns, is not long, and the function as it is would have its
    /// frame there, too.
    fn pays(&self, kept: &[bool]) -> bool {
        let blocks = || (0..kept.len()).filter(|&block| kept[block]);
        let returns = blocks().any(|block| returns(self.cfg, block));
        let size: usize = blocks().map(|block| self.sizes[block]).sum();
        returns && size <= MAX_INSTRUCTIONS && self.shares_frame(kept)
    }

    /// Whether the place for the frame of all calls is on the way of the part, or what is behind them is.
    fn shares_frame(&self, kept: &[bool]) -> bool {
        let calls = || (0..kept.len()).filter(|&block| self.calls[block]);
        let place = calls().reduce(|a, b| self.cfg.common_dominator(a, b));
        let joins = |from: BlockIdx| self.cfg.successors[from].iter().any(|&to| kept[to] && !self.only_returns(to));
        place.is_some_and(|place| kept[place]) || (0..kept.len()).any(|block| !kept[block] && joins(block))
    }

    /// Whether a block has nothing but phis and a return: code generation will have one for each predecessor.
    fn only_returns(&self, block: BlockIdx) -> bool {
        let mut others = self.cfg.instructions[block].iter().skip_while(|i| i.opcode() == Opcode::Phi);
        others.next().is_some_and(|i| i.opcode() == Opcode::Ret)
    }
}

/// Whether a function returns at the end of a block.
fn returns(cfg: &Cfg, block: BlockIdx) -> bool {
    cfg.instructions[block].last().is_some_and(|i| i.opcode() == Opcode::Ret)
}

/// Whether an instruction is a call that code generation makes a frame for.
fn needs_frame(instruction: Value) -> bool {
    match instruction.opcode() {
        Opcode::Invoke => true,
        Opcode::Call if instruction.is_must_tail() || gate(instruction).is_some() => false,
        Opcode::Call => match instruction.called_function().map(Value::name) {
            Some(name) => !name.starts_with("dolmen.") && (!name.starts_with("llvm.") || name.starts_with("llvm.mem")),
            None => true,
        },
        _ => false,
    }
}

/// Whether an instruction does something that must not be done again, or need not.
fn acts(instruction: Value) -> bool {
    match instruction.opcode() {
        Opcode::Load => !instruction.is_plain_access(),
        Opcode::Call if gate(instruction).is_some_and(|gate| !comes_back(gate)) => false,
        Opcode::Call => !only_computes(instruction),
        Opcode::Store | Opcode::Invoke | Opcode::LandingPad | Opcode::AtomicAccess | Opcode::Alloca => true,
        _ => instruction.is_fence(),
    }
}

/// Whether a call is of one of LLVM's functions, and of one that has a result or only says something. Others store, such as
/// elements under a mask.
fn only_computes(call: Value) -> bool {
    const SAYING: [&str; 3] = [ASSUME, "llvm.experimental.noalias.scope.decl", "llvm.lifetime."];
    let Some(name) = call.called_function().map(Value::name) else { return false };
    name.starts_with("llvm.") && (!call.ty().is_void() || SAYING.iter().any(|saying| name.starts_with(saying)))
}

fn is_counted(instruction: Value) -> bool {
    !matches!(instruction.opcode(), Opcode::Phi | Opcode::GetElementPtr)
}

/// The blocks behind which the function cannot return, and those with a call of what [`partial`] inlined in part.
fn seldom(cfg: &Cfg) -> Vec<bool> {
    let mut seldom = vec![true; cfg.blocks.len()];
    let mut work: Vec<_> = (0..cfg.blocks.len()).filter(|&block| returns(cfg, block)).collect();
    while let Some(block) = work.pop() {
        if std::mem::replace(&mut seldom[block], false) {
            work.extend(&cfg.predecessors[block]);
        }
    }
    let is_rest = |i: &Value| i.opcode() == Opcode::Call && i.has_call_string_attribute(REST_CALL);
    let rests = cfg.instructions.iter().map(|block| block.iter().any(is_rest));
    seldom.iter_mut().zip(rests).for_each(|(seldom, is_rest)| *seldom |= is_rest);
    seldom
}
