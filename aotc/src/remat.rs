//! Rematerialisation: what never changes is loaded again behind a call, not kept across it.
//!
//! The problem: LLVM loads an immutable global or the heap's base once and keeps it wherever it is needed later. Across
//! a call that costs a register that must be saved, or a store and a load; to load it again behind the call costs one load
//! that always hits the cache. The register allocator does so itself for constants, but not for loads through a
//! register. A constructor is the common case: method table and type are loaded first, then what the fields hold is
//! computed by calls, then the object is allocated.
//!
//! So, just before code generation, a load from the instance or thread that cannot change, and that is needed behind a
//! call, is copied to just before its uses there. It stays whole if one of these uses is in a loop around which it
//! was hoisted: then it would have to live across the calls all the same, or be loaded in every round.
//!
//! The heap's base, which is passed, is treated as if each function loaded it where it begins. Addresses of objects and
//! their fields, the base plus a reference plus a constant, are computed again behind calls, too: code generation would do
//! so for what fits into an access, and keep the base for that.

use crate::convention::{HEAP_BASE, THREAD};
use crate::gc::cfg::{BlockIdx, Cfg};
use crate::llvm::{Builder, Opcode, TAIL_CC, Value};
use crate::translate::unit::Unit;
use std::collections::{BTreeMap, HashSet};

/// Loads times instructions of functions that are looked at: it takes so many steps at most.
const MAX_STEPS: usize = 10_000_000;

/// Blocks that a search for calls looks at: large functions must not take quadratic time.
const MAX_SEARCHED_BLOCKS: usize = 64;

/// Places where a value may be known already that are tried for a use.
const MAX_TRIED_PLACES: usize = 4;

/// Copies the loads of a function to behind the calls that `is_call` knows.
pub(crate) fn apply(unit: &Unit<'_, '_>, function: Value, is_call: impl Fn(Value) -> bool) {
    let instructions: Vec<_> = function.blocks().into_iter().flat_map(|block| block.instructions()).collect();
    let is_candidate = |i: &Value| i.opcode() == Opcode::Load && is_constant_load(unit, *i);
    let loads: Vec<_> = instructions.iter().copied().filter(is_candidate).collect();
    let is_small = loads.len().saturating_mul(instructions.len()) <= MAX_STEPS;
    let takes_heap_base = function.function_convention() == TAIL_CC && function.param(HEAP_BASE).has_uses();
    let (instructions, has_calls) = (instructions.len(), instructions.into_iter().any(&is_call));
    if loads.is_empty() && !takes_heap_base || !is_small || !has_calls {
        return;
    }
    let heap_base = takes_heap_base.then(|| load_heap_base(unit, function));
    let cfg = Cfg::new(function);
    let calls_of = |block: &Vec<Value>| block.iter().copied().filter(|&i| is_call(i)).collect();
    let calls = cfg.instructions.iter().map(calls_of).collect();
    let mut remat = Remat { unit, cfg, calls };
    loads.iter().for_each(|&load| remat.split(load));
    if let Some(load) = heap_base {
        remat.split_addresses(load, MAX_STEPS / 4 / instructions);
        remat.split(load);
        load.replace_all_uses_with(function.param(HEAP_BASE));
        load.erase();
    }
    loads.into_iter().filter(|load| !load.has_uses()).for_each(Value::erase);
}

/// Makes a function load the heap's base where it begins, instead of taking what it is passed.
fn load_heap_base(unit: &Unit<'_, '_>, function: Value) -> Value {
    let b = Builder::new(unit.context);
    b.position_before(function.blocks()[0].instructions()[0]);
    let load = unit.load_heap_base(&b, function.param(THREAD));
    function.param(HEAP_BASE).replace_all_uses_with(load);
    load
}

/// Whether a load always gives the same value in a function, wherever it stands.
fn is_constant_load(unit: &Unit<'_, '_>, load: Value) -> bool {
    let address = load.operand(0);
    let is_offset = || {
        address.opcode() == Opcode::GetElementPtr
            && !address.operand(0).is_instruction()
            && address.operands().skip(1).all(Value::is_constant)
    };
    load.has_metadata(unit.metadata.invariant_load) && (!address.is_instruction() || is_offset())
}

struct Remat<'w, 'c, 'm> {
    unit: &'w Unit<'c, 'm>,
    cfg: Cfg,
    /// The calls of each block, in order.
    calls: Vec<HashSet<Value>>,
}

/// The uses of a value, by block.
type Uses = BTreeMap<BlockIdx, HashSet<Value>>;

impl Remat<'_, '_, '_> {
    /// Splits the addresses that are made of the heap's base, unless they are more than `max`.
    fn split_addresses(&mut self, base: Value, max: usize) {
        let addresses = self.addresses(base);
        if addresses.len() > max {
            return;
        }
        addresses.iter().for_each(|&address| self.split(address));
        addresses.into_iter().rev().filter(|address| !address.has_uses()).for_each(Value::erase);
        // The copies use the base.
        self.cfg.instructions = self.cfg.blocks.iter().map(|block| block.instructions()).collect();
    }

    /// The addresses of objects and fields that are made of the heap's base and needed in other blocks or behind calls,
    /// each behind the one that it is made of.
    fn addresses(&self, base: Value) -> Vec<Value> {
        let is_address = |user: &Value| user.opcode() == Opcode::GetElementPtr;
        let mut addresses: Vec<_> = base.users().into_iter().filter(is_address).collect();
        let mut next = 0;
        while let Some(&address) = addresses.get(next) {
            let has_constants = |user: &Value| user.operands().skip(1).all(Value::is_constant);
            addresses.extend(address.users().into_iter().filter(is_address).filter(has_constants));
            next += 1;
        }
        let is_near = |address: Value| {
            let block = address.block();
            self.calls[self.cfg.index[&block]].is_empty()
                && address.users().into_iter().all(|user| user.block() == block)
        };
        addresses.retain(|&address| !is_near(address));
        addresses
    }

    /// Gives the uses of a load, or of an address, behind calls one of their own, unless one of them is in a loop.
    fn split(&self, load: Value) {
        let home = self.cfg.index[&load.block()];
        let uses = self.uses(load);
        let is_kept = self.is_kept(load, home);
        let is_behind_load = |&to: &BlockIdx| to == home || is_kept && !self.has_calls_between(home, to);
        let is_needed = |block: &BlockIdx| !is_behind_load(block) || !self.calls[*block].is_empty();
        if uses.keys().filter(|block| is_needed(block)).any(|&block| self.is_in_inner_loop(block, home)) {
            return;
        }
        if uses.keys().all(|block| !is_needed(block)) {
            return;
        }
        // Where the value is known at the end of a block.
        let mut ends: Vec<(BlockIdx, Value)> = Vec::new();
        if is_kept {
            ends.push((home, load));
        }
        for (&block, users) in &uses {
            let reaches = |&&(end, _): &&(BlockIdx, Value)| {
                end != block && self.cfg.dominates(end, block) && !self.has_calls_between(end, block)
            };
            let first = ends.iter().rev().take(MAX_TRIED_PLACES).find(reaches).map(|&(_, value)| value);
            let last = self.split_block(load, block, users, first);
            ends.extend(last.filter(|_| block != home || !is_kept).map(|value| (block, value)));
        }
    }

    /// Where a load is used; a phi uses it where it comes from.
    fn uses(&self, load: Value) -> Uses {
        let mut uses = Uses::new();
        for user in load.users() {
            if user.opcode() == Opcode::Phi {
                for (_, from) in user.incoming().into_iter().filter(|&(value, _)| value == load) {
                    uses.entry(self.cfg.index[&from]).or_default().insert(user);
                }
            } else {
                uses.entry(self.cfg.index[&user.block()]).or_default().insert(user);
            }
        }
        uses
    }

    /// Whether no call follows a load in its block.
    fn is_kept(&self, load: Value, home: BlockIdx) -> bool {
        !self.cfg.instructions[home].iter().skip_while(|&&i| i != load).any(|i| self.calls[home].contains(i))
    }

    /// Whether a block between the end of one and the begin of another, which it dominates, has a call, or may have one.
    fn has_calls_between(&self, from: BlockIdx, to: BlockIdx) -> bool {
        let mut seen = HashSet::from([from]);
        let mut work = self.cfg.predecessors[to].clone();
        while let Some(block) = work.pop() {
            if seen.insert(block) {
                if !self.calls[block].is_empty() || seen.len() > MAX_SEARCHED_BLOCKS {
                    return true;
                }
                work.extend(&self.cfg.predecessors[block]);
            }
        }
        false
    }

    /// Whether a block is in a loop that `home` is not in.
    fn is_in_inner_loop(&self, block: BlockIdx, home: BlockIdx) -> bool {
        self.cfg.loops.iter().any(|l| l.contains(block) && !l.contains(home))
    }

    /// Walks through a block in which `valid` can be used until the first call, and behind each call a copy. What can be
    /// used at the end of the block.
    fn split_block(
        &self,
        load: Value,
        block: BlockIdx,
        users: &HashSet<Value>,
        mut valid: Option<Value>,
    ) -> Option<Value> {
        for &instruction in self.cfg.instructions[block].iter().filter(|i| i.opcode() != Opcode::Phi) {
            if users.contains(&instruction) {
                let value = *valid.get_or_insert_with(|| self.copy(load, instruction));
                if value != load {
                    instruction.replace_operand(load, value);
                }
            }
            if self.calls[block].contains(&instruction) {
                valid = None;
            }
            if instruction == load {
                valid = Some(load);
            }
        }
        let from = self.cfg.blocks[block];
        for &phi in users.iter().filter(|user| user.opcode() == Opcode::Phi) {
            for (index, (value, block)) in phi.incoming().into_iter().enumerate() {
                if value == load && block == from {
                    let end = from.terminator().expect("every block has a terminator");
                    phi.set_operand(index, *valid.get_or_insert_with(|| self.copy(load, end)));
                }
            }
        }
        valid
    }

    /// Copies a load with its address, or an address with the one that it is made of.
    fn copy(&self, load: Value, place: Value) -> Value {
        let address = load.operand(0);
        let is_copied = address.is_instruction() && address.opcode() == Opcode::GetElementPtr;
        let address = if is_copied { self.copy(address, place) } else { address };
        let b = Builder::new(self.unit.context);
        b.position_before(place);
        let copy = b.insert_copy(load);
        copy.set_operand(0, address);
        copy
    }
}
