//! Peeling: the first round of a small loop stands before the loop.
//!
//! The problem: many loops have few rounds, and how many is not known: the swaps of a reversal, the steps along a
//! chain of a hash table. A processor predicts the branch that ends such a loop badly, because all rounds share it,
//! and what a loop needs before its first round, such as the length of a strip ([`crate::gc::lower`]), pays for no round
//! behind the first.
//!
//! So the blocks of the loop are copied, in front of it. The copy is entered instead of the loop, goes on to the loop
//! where the loop goes back to its header, and leaves where the loop leaves. It has no back edge, so no poll.
//!
//! ```text
//!                              first:   …  ─────────► exit
//! header: …  ─────► exit       header:  …  ─────────► exit
//! latch:  …  ─► header         latch:   …  ─► header
//! ```
//!
//! This is done after LLVM's optimiser, because LLVM's vectorisers want loops as they are. Input is what LLVM's
//! `loop-simplify` and `lcssa` leave: one block enters a loop, the blocks behind exits have no other predecessors, and
//! what is needed behind a loop is needed by phis in those blocks. Loops that are not so stay whole, as do loops that
//! LLVM has vectorised or unrolled, whose few rounds are known, or that contain another one.

use crate::copy::Copy;
use crate::gc::cfg::{BlockIdx, Cfg, Loop};
use crate::gc::lower;
use crate::llvm::{Block, Opcode, Value};
use crate::translate::unit::Unit;
use rustc_hash::{FxHashMap, FxHashSet};

/// Instructions of the longest loop that is peeled.
const MAX_INSTRUCTIONS: usize = 64;

/// Peels the loops of a function, and tells whether there were any. The graph is then out of date.
pub(super) fn peel(unit: &Unit<'_, '_>, cfg: &Cfg) -> bool {
    let loops = cfg.loops.iter().filter_map(|l| Peeled::find(unit, cfg, l));
    let loops: Vec<_> = loops.collect();
    loops.iter().for_each(|l| l.peel(unit));
    !loops.is_empty()
}

/// A loop whose first round is copied.
struct Peeled {
    /// The block that enters the loop.
    entry: Block,
    header: Block,
    latch: Block,
    /// The blocks of the loop, header first.
    blocks: Vec<Block>,
    /// The blocks behind the loop.
    exits: Vec<Block>,
}

impl Peeled {
    fn find(unit: &Unit<'_, '_>, cfg: &Cfg, candidate: &Loop) -> Option<Self> {
        let members: Vec<_> = (0..cfg.blocks.len()).filter(|&block| candidate.contains(block)).collect();
        let mut back_edges = cfg.back_edges().filter(|&(from, to)| candidate.contains(from) && candidate.contains(to));
        let (Some((latch, _)), None) = (back_edges.next(), back_edges.next()) else { return None };
        let mut entries = cfg.predecessors[candidate.header].iter().filter(|&&block| !candidate.contains(block));
        let (Some(&entry), None) = (entries.next(), entries.next()) else { return None };
        let is_processed = cfg.blocks[latch].terminator()?.has_metadata(unit.metadata.loops);
        let count = members.iter().map(|&block| count_instructions(cfg, block)).sum::<Option<usize>>()?;
        let exits = exits(cfg, candidate, &members)?;
        let has_few_rounds = lower::is_short(unit, cfg, candidate);
        let fits =
            !is_processed && !has_few_rounds && count <= MAX_INSTRUCTIONS && values_stay_inside(cfg, &members, &exits);
        let block = |&index: &BlockIdx| cfg.blocks[index];
        fits.then(|| Self {
            entry: block(&entry),
            header: block(&candidate.header),
            latch: block(&latch),
            blocks: members.iter().map(block).collect(),
            exits: exits.iter().map(block).collect(),
        })
    }

    fn peel(&self, unit: &Unit<'_, '_>) {
        let mut copy = Copy::new(unit);
        let function = self.header.parent();
        for &block in &self.blocks {
            copy.blocks.insert(block, unit.context.append_block(function, "first"));
        }
        for phi in self.header.phis() {
            let (first, _) = self.arrivals(phi);
            copy.values.insert(phi, first);
        }
        self.blocks.iter().for_each(|&block| copy.copy_block(block, block == self.header));
        copy.mend_operands(&self.blocks);
        for phi in self.exits.iter().flat_map(|&exit| exit.phis()) {
            for (value, from) in phi.incoming() {
                phi.add_incoming(copy.value(value), copy.blocks[&from]);
            }
        }
        self.enter_copy(&copy);
    }

    /// What a phi of the header is in the first round, and in the next one.
    fn arrivals(&self, phi: Value) -> (Value, Value) {
        let from = |block| phi.incoming().into_iter().find(|&(_, from)| from == block).map(|(value, _)| value);
        let arrivals = from(self.entry).zip(from(self.latch));
        arrivals.expect("a phi has a value for each predecessor")
    }

    /// Lets control enter the copy, and the loop from there.
    fn enter_copy(&self, copy: &Copy<'_>) {
        self.entry.replace_successor(self.header, copy.blocks[&self.header]);
        let last = copy.blocks[&self.latch];
        last.replace_successor(copy.blocks[&self.header], self.header);
        let arriving = self.header.phis();
        let first = self.header.instructions()[0];
        copy.b.position_before(first);
        let later: FxHashMap<_, _> = arriving.iter().map(|&phi| (phi, copy.b.phi(phi.ty()))).collect();
        for phi in &arriving {
            let (_, next) = self.arrivals(*phi);
            later[phi].add_incoming(copy.value(next), last);
            later[phi].add_incoming(later.get(&next).copied().unwrap_or(next), self.latch);
        }
        arriving.iter().for_each(|phi| phi.replace_all_uses_with(later[phi]));
        arriving.into_iter().for_each(Value::erase);
    }
}

/// Instructions of a block that is short and can be copied.
fn count_instructions(cfg: &Cfg, block: BlockIdx) -> Option<usize> {
    let mut count = 0;
    for &instruction in &cfg.instructions[block] {
        match instruction.opcode() {
            Opcode::Phi => {}
            Opcode::LandingPad | Opcode::Invoke | Opcode::Alloca => return None,
            Opcode::Call if !lower::is_quick_call(instruction) => return None,
            _ => count += 1,
        }
    }
    Some(count)
}

/// The blocks behind a loop, if nothing else leads to them.
fn exits(cfg: &Cfg, candidate: &Loop, members: &[BlockIdx]) -> Option<Vec<BlockIdx>> {
    let mut exits: Vec<_> = members.iter().flat_map(|&block| cfg.successors[block].iter().copied()).collect();
    exits.retain(|&block| !candidate.contains(block));
    exits.sort_unstable();
    exits.dedup();
    let is_dedicated = |&exit: &BlockIdx| cfg.predecessors[exit].iter().all(|&from| candidate.contains(from));
    exits.iter().all(is_dedicated).then_some(exits)
}

/// Whether all that is made in the loop is used there, or by phis of its exits.
fn values_stay_inside(cfg: &Cfg, members: &[BlockIdx], exits: &[BlockIdx]) -> bool {
    let inside: FxHashSet<Block> = members.iter().map(|&block| cfg.blocks[block]).collect();
    let behind: FxHashSet<Block> = exits.iter().map(|&block| cfg.blocks[block]).collect();
    let stays = |user: Value| {
        user.is_instruction()
            && (inside.contains(&user.block()) || user.opcode() == Opcode::Phi && behind.contains(&user.block()))
    };
    members.iter().all(|&block| cfg.instructions[block].iter().all(|i| i.users().into_iter().all(stays)))
}
