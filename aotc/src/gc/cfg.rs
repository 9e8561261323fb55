//! A function's control flow graph: blocks in reverse postorder, dominators, loops.
//!
//! Dominators after Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm" (2001). Loops are the
//! natural loops of back edges; the loops of one header are one loop.

use crate::llvm::{Block, LlvmError, Opcode, Value};
use rustc_hash::{FxHashMap, FxHashSet};

/// Index of a block in reverse postorder; 0 is the entry.
pub(crate) type BlockIdx = usize;

/// What takes the place of each value that arrives at a phi, made at the end of the block that it arrives from. A switch
/// arrives several times from one block, and has to bring the same.
///
/// # Errors
///
/// Those of `make`; a block without terminator, which LLVM's verifier refuses.
pub(crate) fn arriving<T: Clone>(
    phi: Value,
    mut make: impl FnMut(Value, Value) -> Result<T, LlvmError>,
) -> Result<Vec<(T, Block)>, LlvmError> {
    let mut made: FxHashMap<Block, T> = FxHashMap::default();
    let arrives = |(incoming, block): (Value, Block)| {
        let value = match made.get(&block) {
            Some(value) => value.clone(),
            None => {
                let end = block.terminator().ok_or_else(|| LlvmError("block without terminator".into()))?;
                make(incoming, end)?
            }
        };
        made.insert(block, value.clone());
        Ok((value, block))
    };
    phi.incoming().into_iter().map(arrives).collect()
}

/// A natural loop.
pub(crate) struct Loop {
    pub(crate) header: BlockIdx,
    /// Whether each block belongs to the loop.
    members: Vec<bool>,
    size: usize,
}

impl Loop {
    /// Whether a block belongs to the loop.
    pub(crate) fn contains(&self, block: BlockIdx) -> bool {
        self.members[block]
    }
}

/// The graph of the blocks that can be reached.
pub(crate) struct Cfg {
    pub(crate) blocks: Vec<Block>,
    /// Instructions of each block when the graph was made.
    pub(crate) instructions: Vec<Vec<Value>>,
    pub(crate) index: FxHashMap<Block, BlockIdx>,
    pub(crate) successors: Vec<Vec<BlockIdx>>,
    pub(crate) predecessors: Vec<Vec<BlockIdx>>,
    idom: Vec<BlockIdx>,
    /// Entry and exit time of each block in a walk over the dominator tree.
    dom_interval: Vec<(usize, usize)>,
    pub(crate) loops: Vec<Loop>,
}

impl Cfg {
    pub(crate) fn new(function: Value) -> Self {
        let blocks = reverse_postorder(function);
        let index: FxHashMap<_, _> = blocks.iter().enumerate().map(|(i, &b)| (b, i)).collect();
        let mut predecessors = vec![Vec::new(); blocks.len()];
        let mut successors = vec![Vec::new(); blocks.len()];
        for (from, block) in blocks.iter().enumerate() {
            for successor in block.successors() {
                let to = index[&successor];
                if !successors[from].contains(&to) {
                    successors[from].push(to);
                    predecessors[to].push(from);
                }
            }
        }
        let idom = immediate_dominators(&predecessors);
        let dom_interval = dominator_intervals(&idom);
        let instructions = blocks.iter().map(|b| b.instructions()).collect();
        let mut cfg =
            Self { blocks, instructions, index, successors, predecessors, idom, dom_interval, loops: Vec::new() };
        cfg.loops = cfg.find_loops();
        cfg
    }

    /// Whether every path from the entry to `b` goes through `a`; true for `a == b`.
    pub(crate) fn dominates(&self, a: BlockIdx, b: BlockIdx) -> bool {
        let (start, end) = self.dom_interval[a];
        (start..end).contains(&self.dom_interval[b].0)
    }

    pub(crate) fn idom(&self, block: BlockIdx) -> BlockIdx {
        self.idom[block]
    }

    /// The nearest block that dominates both.
    pub(crate) fn common_dominator(&self, a: BlockIdx, b: BlockIdx) -> BlockIdx {
        intersect(&self.idom, a, b)
    }

    /// The dominator of `block` nearest to it that is in no loop without `anchor`.
    pub(crate) fn hoist_out_of_loops(&self, block: BlockIdx, anchor: Option<BlockIdx>) -> BlockIdx {
        let mut place = block;
        while let Some(outer) =
            self.loops.iter().find(|l| l.members[place] && !anchor.is_some_and(|a| l.members[a]) && l.header != 0)
        {
            place = self.idom[outer.header];
        }
        place
    }

    /// Edges that go back: the successor does not come later in reverse postorder.
    pub(crate) fn back_edges(&self) -> impl Iterator<Item = (BlockIdx, BlockIdx)> + '_ {
        let edges = |from: BlockIdx| self.successors[from].iter().map(move |&to| (from, to));
        (0..self.blocks.len()).flat_map(edges).filter(|&(from, to)| to <= from)
    }

    /// Whether each loop around a block also has one of `others` in it.
    pub(crate) fn shares_loops(&self, block: BlockIdx, others: &[BlockIdx]) -> bool {
        let around = self.loops.iter().filter(|l| l.members[block]);
        around.into_iter().all(|l| others.iter().any(|&other| l.members[other]))
    }

    /// The first instruction of a block that is neither phi nor landing pad.
    pub(crate) fn first_ordinary(&self, block: BlockIdx) -> Value {
        self.blocks[block]
            .instructions()
            .into_iter()
            .find(|i| !matches!(i.opcode(), Opcode::Phi | Opcode::LandingPad))
            .expect("every block has a terminator")
    }

    fn find_loops(&self) -> Vec<Loop> {
        let mut by_header: FxHashMap<BlockIdx, Loop> = FxHashMap::default();
        for (latch, header) in self.back_edges() {
            if !self.dominates(header, latch) {
                continue;
            }
            let entry = by_header.entry(header).or_insert_with(|| {
                let mut members = vec![false; self.blocks.len()];
                members[header] = true;
                Loop { header, members, size: 1 }
            });
            let mut work = vec![latch];
            while let Some(block) = work.pop() {
                if !entry.members[block] {
                    entry.members[block] = true;
                    entry.size += 1;
                    work.extend(&self.predecessors[block]);
                }
            }
        }
        let mut loops: Vec<_> = by_header.into_values().collect();
        loops.sort_by_key(|l| (std::cmp::Reverse(l.size), l.header));
        loops
    }
}

fn reverse_postorder(function: Value) -> Vec<Block> {
    let Some(&entry) = function.blocks().first() else { return Vec::new() };
    let mut visited = FxHashSet::from_iter([entry]);
    let mut postorder = Vec::new();
    let mut stack = vec![(entry, entry.successors(), 0)];
    while let Some((block, successors, next)) = stack.last_mut() {
        if let Some(&successor) = successors.get(*next) {
            *next += 1;
            if visited.insert(successor) {
                stack.push((successor, successor.successors(), 0));
            }
        } else {
            postorder.push(*block);
            stack.pop();
        }
    }
    postorder.reverse();
    postorder
}

fn intersect(idom: &[BlockIdx], mut a: BlockIdx, mut b: BlockIdx) -> BlockIdx {
    while a != b {
        while a > b {
            a = idom[a];
        }
        while b > a {
            b = idom[b];
        }
    }
    a
}

fn immediate_dominators(predecessors: &[Vec<BlockIdx>]) -> Vec<BlockIdx> {
    const UNKNOWN: BlockIdx = usize::MAX;
    let mut idom = vec![UNKNOWN; predecessors.len()];
    idom[0] = 0;
    let mut changed = true;
    while changed {
        changed = false;
        for block in 1..predecessors.len() {
            let known = predecessors[block].iter().copied().filter(|&p| idom[p] != UNKNOWN);
            let Some(new) = known.reduce(|a, b| intersect(&idom, a, b)) else { continue };
            if idom[block] != new {
                idom[block] = new;
                changed = true;
            }
        }
    }
    idom
}

fn dominator_intervals(idom: &[BlockIdx]) -> Vec<(usize, usize)> {
    let mut children = vec![Vec::new(); idom.len()];
    for (block, &parent) in idom.iter().enumerate().skip(1) {
        children[parent].push(block);
    }
    let mut intervals = vec![(0, 0); idom.len()];
    let mut time = 0;
    let mut stack = vec![(0, 0)];
    while let Some((block, next)) = stack.last_mut() {
        let block = *block;
        if *next == 0 {
            intervals[block].0 = time;
            time += 1;
        }
        if let Some(&child) = children[block].get(*next) {
            *next += 1;
            stack.push((child, 0));
        } else {
            // A leaf's entry time was set above; the counter need not move for it.
            intervals[block].1 = time;
            stack.pop();
        }
    }
    intervals
}
