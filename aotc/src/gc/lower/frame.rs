//! The function's frame on the shadow stack: slots, and where they are written.
//!
//! Only references that are live across a *call* get a slot; those that are live across slow paths alone are pushed
//! there ([`super::expand`]). A reference owns its slot for its whole live range, so one store suffices: it stands at
//! the nearest common dominator of the calls that need it, moved out of the loops that do not contain the definition,
//! in front of the slow paths there, which then need not save it. Slots are coloured along the dominator tree, which
//! is optimal for SSA form.
//!
//! The frame is claimed in front of the first store in the nearest common dominator of all stores, outside loops, and
//! given back before each return that can follow. Claimed slots start as null, unless a store comes before each
//! safepoint. A slot whose reference is dead keeps it until it is overwritten: the collector has kept the object
//! alive meanwhile, so that is safe.
//!
//! A function with landing pads claims in its entry block, and every pad resets the top of the shadow stack:
//! frames that the exception passed by were not given back.

use super::bases::Bases;
use super::cfg::{BlockIdx, Cfg};
use super::liveness::{Liveness, Safepoint, ValueIdx};
use super::{is_marker, ref_count, references_in};
use crate::llvm::{Builder, Opcode, Value};
use crate::translate::unit::Unit;
use dolmen_abi::context::ThreadContext;
use dolmen_abi::reference::REF_BYTES;
use rustc_hash::{FxHashMap, FxHashSet};

/// Blocks of a function that are looked at, at most, to find out which slots have to start as null.
const MAX_STEPS: usize = 1 << 20;

/// The store of a reference into its slot.
struct SlotStore {
    block: BlockIdx,
    /// The instruction in front of which it stands.
    before: Value,
    slot: u32,
}

/// The plan of a function's frame.
pub(super) struct Frame {
    stores: FxHashMap<ValueIdx, SlotStore>,
    slots: u32,
    claim: BlockIdx,
    has_landing_pads: bool,
    /// Place of each instruction in its block.
    position: FxHashMap<Value, usize>,
}

impl Frame {
    pub(super) fn plan(cfg: &Cfg, bases: &Bases, liveness: &Liveness) -> Self {
        let mut sites: FxHashMap<ValueIdx, Vec<&Safepoint>> = FxHashMap::default();
        for safepoint in liveness.safepoints.iter().filter(|s| !is_marker(s.instruction)) {
            for &value in &safepoint.live {
                sites.entry(value).or_default().push(safepoint);
            }
        }
        let position = liveness.instructions.iter().flat_map(|list| list.iter().enumerate().map(|(i, &v)| (v, i)));
        let mut frame = Self {
            stores: FxHashMap::default(),
            slots: 0,
            claim: 0,
            has_landing_pads: liveness.instructions.iter().flatten().any(|i| i.opcode() == Opcode::LandingPad),
            position: position.collect(),
        };
        let colours = frame.colour(cfg, bases, liveness, |v| sites.contains_key(&v));
        for (value, sites) in sites {
            let store = place_store(cfg, liveness, value, &sites, colours[&value]);
            frame.stores.insert(value, store);
        }
        let claim = frame.stores.values().map(|s| s.block).reduce(|a, b| cfg.common_dominator(a, b)).unwrap_or(0);
        frame.claim = if frame.has_landing_pads { 0 } else { cfg.hoist_out_of_loops(claim, None) };
        frame
    }

    /// Whether a reference is in its slot whenever this safepoint is reached.
    pub(super) fn holds(&self, cfg: &Cfg, value: ValueIdx, safepoint: &Safepoint) -> bool {
        self.stores.get(&value).is_some_and(|store| {
            if store.block == safepoint.block {
                self.position[&store.before] <= self.position[&safepoint.instruction]
            } else {
                cfg.dominates(store.block, safepoint.block)
            }
        })
    }

    /// Gives each chosen value slots that no other chosen value has while both are live.
    fn colour(
        &mut self,
        cfg: &Cfg,
        bases: &Bases,
        liveness: &Liveness,
        chosen: impl Fn(ValueIdx) -> bool,
    ) -> FxHashMap<ValueIdx, u32> {
        let mut colours: FxHashMap<ValueIdx, u32> = FxHashMap::default();
        for block in 0..cfg.blocks.len() {
            let mut active: Vec<ValueIdx> = liveness.live_in[block].iter().filter(|&v| chosen(v)).collect();
            if block == 0 {
                // Parameters are live from the start; they get their slots one after the other.
                let params = std::mem::take(&mut active);
                for value in params {
                    self.assign(&mut colours, &mut active, liveness, value, None);
                }
            }
            liveness.walk_deaths(bases, block, |instruction, dead| {
                active.retain(|v| !dead.contains(v));
                if let Some(&own) = liveness.index.get(&instruction)
                    && chosen(own)
                    && !dead.contains(&own)
                {
                    let hint = (instruction.opcode() == Opcode::Phi)
                        .then(|| phi_hint(liveness, &colours, instruction))
                        .flatten();
                    self.assign(&mut colours, &mut active, liveness, own, hint);
                }
            });
        }
        // A chosen value that dies at once, as an operand of a phi of the next block, still needs a number.
        for value in (0..liveness.tracked.len()).filter(|&v| chosen(v)) {
            colours.entry(value).or_insert(0);
        }
        colours
    }

    fn assign(
        &mut self,
        colours: &mut FxHashMap<ValueIdx, u32>,
        active: &mut Vec<ValueIdx>,
        liveness: &Liveness,
        value: ValueIdx,
        hint: Option<u32>,
    ) {
        let width = |v: ValueIdx| ref_count(liveness.tracked[v].value);
        let is_free = |start: u32| {
            active.iter().all(|v| {
                let other = colours[v];
                start + width(value) <= other || other + width(*v) <= start
            })
        };
        let slot = hint.filter(|&h| is_free(h)).or_else(|| (0..).find(|&s| is_free(s))).unwrap_or(0);
        self.slots = self.slots.max(slot + width(value));
        colours.insert(value, slot);
        active.push(value);
    }

    /// Inserts claim, stores, and returns.
    pub(super) fn emit(&self, unit: &Unit<'_, '_>, function: Value, cfg: &Cfg, liveness: &Liveness) {
        if self.slots == 0 && !self.has_landing_pads {
            return;
        }
        let b = Builder::new(unit.context);
        let emitter = Emitter { unit, b: &b, thread: function.param(0) };
        let exits = self.exits(cfg, liveness);
        let load_block = if exits.iter().all(|&(e, _)| cfg.dominates(self.claim, e)) { self.claim } else { 0 };
        let claim_at = self.first_store(self.claim).unwrap_or_else(|| cfg.first_ordinary(self.claim));
        b.position_before(if load_block == self.claim { claim_at } else { cfg.first_ordinary(load_block) });
        let base = emitter.load_top();
        b.position_before(if load_block == self.claim { claim_at_after(base) } else { claim_at });
        let top = emitter.slot_address(base, self.slots);
        if self.slots > 0 {
            emitter.store_top(top);
            for slot in self.slots_seen_unset(cfg, liveness, claim_at) {
                emitter.store_slot(unit.types.reference.zero(), base, slot);
            }
        }
        for (value, store) in self.sorted_stores() {
            b.position_before(store.before);
            for (i, reference) in references_in(unit, &b, liveness.tracked[value].value).into_iter().enumerate() {
                emitter.store_slot(reference, base, store.slot + i as u32);
            }
        }
        for (_, place) in exits.iter().filter(|_| self.slots > 0) {
            b.position_before(*place);
            emitter.store_top(base);
        }
        for (block, list) in liveness.instructions.iter().enumerate() {
            if list.iter().any(|i| i.opcode() == Opcode::LandingPad) {
                b.position_before(cfg.first_ordinary(block));
                emitter.store_top(top);
            }
        }
    }

    /// The slots that a safepoint can find as they were claimed.
    fn slots_seen_unset(&self, cfg: &Cfg, liveness: &Liveness, claim_at: Value) -> Vec<u32> {
        let claimed = self.position[&claim_at];
        let mut safepoints: Vec<Option<usize>> = vec![None; cfg.blocks.len()];
        for safepoint in &liveness.safepoints {
            let position = self.position[&safepoint.instruction];
            if safepoint.block != self.claim || position >= claimed {
                // They are in the order of instructions.
                safepoints[safepoint.block].get_or_insert(position);
            }
        }
        let mut stores: Vec<FxHashMap<BlockIdx, usize>> = vec![FxHashMap::default(); self.slots as usize];
        for (&value, store) in &self.stores {
            let position = self.position[&store.before];
            for slot in 0..ref_count(liveness.tracked[value].value) {
                let first = stores[(store.slot + slot) as usize].entry(store.block).or_insert(position);
                *first = position.min(*first);
            }
        }
        let mut steps = MAX_STEPS;
        (0..self.slots)
            .filter(|&slot| self.is_seen_unset(cfg, &safepoints, &stores[slot as usize], &mut steps))
            .collect()
    }

    /// Whether there is a way from the claim to a safepoint without a store to a slot, by the first safepoint and the first
    /// store of each block; also if there were no `steps` left to find out.
    fn is_seen_unset(
        &self,
        cfg: &Cfg,
        safepoints: &[Option<usize>],
        stores: &FxHashMap<BlockIdx, usize>,
        steps: &mut usize,
    ) -> bool {
        let mut reached = FxHashSet::from_iter([self.claim]);
        let mut work = vec![self.claim];
        while let Some(block) = work.pop() {
            if *steps == 0 {
                return true;
            }
            *steps -= 1;
            // A store stands in front of the instruction at its position.
            match (stores.get(&block), safepoints[block]) {
                (Some(store), Some(safepoint)) if *store > safepoint => return true,
                (Some(_), _) => {}
                (None, Some(_)) => return true,
                // Claimed again, with the frame of before below it.
                (None, None) if cfg.successors[block].contains(&self.claim) => return true,
                (None, None) => work.extend(cfg.successors[block].iter().filter(|&&next| reached.insert(next))),
            }
        }
        false
    }

    /// In front of which instruction of a block the first store stands, if there is one.
    fn first_store(&self, block: BlockIdx) -> Option<Value> {
        let places = self.stores.values().filter(|store| store.block == block).map(|store| store.before);
        places.min_by_key(|before| self.position[before])
    }

    fn sorted_stores(&self) -> Vec<(ValueIdx, &SlotStore)> {
        let mut stores: Vec<_> = self.stores.iter().map(|(&v, s)| (v, s)).collect();
        stores.sort_by_key(|&(v, _)| v);
        stores
    }

    /// Where the function is left after the frame may have been claimed: blocks, and the instruction in front of
    /// which the frame is given back.
    fn exits(&self, cfg: &Cfg, liveness: &Liveness) -> Vec<(BlockIdx, Value)> {
        let mut reachable = vec![false; cfg.blocks.len()];
        let mut work = vec![self.claim];
        while let Some(block) = work.pop() {
            if !std::mem::replace(&mut reachable[block], true) {
                work.extend(&cfg.successors[block]);
            }
        }
        let leave = |list: &[Value]| {
            let last = *list.last()?;
            let tail_call = list.iter().rev().nth(1).filter(|i| i.opcode() == Opcode::Call && i.is_must_tail());
            (last.opcode() == Opcode::Ret).then(|| tail_call.copied().unwrap_or(last))
        };
        let blocks = (0..cfg.blocks.len()).filter(|&block| reachable[block]);
        blocks.filter_map(|block| leave(&liveness.instructions[block]).map(|place| (block, place))).collect()
    }
}

/// The instruction after the load of the shadow stack's top.
fn claim_at_after(base: Value) -> Value {
    base.next_instruction().expect("a load is no terminator")
}

/// A colour that a phi's operands already have, if there is one.
fn phi_hint(liveness: &Liveness, colours: &FxHashMap<ValueIdx, u32>, phi: Value) -> Option<u32> {
    phi.incoming().iter().find_map(|(v, _)| colours.get(liveness.index.get(v)?).copied())
}

fn place_store(cfg: &Cfg, liveness: &Liveness, value: ValueIdx, sites: &[&Safepoint], slot: u32) -> SlotStore {
    let common = sites.iter().map(|s| s.block).reduce(|a, b| cfg.common_dominator(a, b)).unwrap_or(0);
    let block = cfg.hoist_out_of_loops(common, Some(liveness.tracked[value].block));
    // In front of slow paths, too: they need not save the reference then, nor does the frame begin as null.
    let holds_value = |s: &&Safepoint| s.block == block && s.live.contains(&value);
    let first_site = liveness.safepoints.iter().find(holds_value).map(|s| s.instruction);
    let terminator = || cfg.blocks[block].terminator().expect("every block has a terminator");
    SlotStore { block, before: first_site.unwrap_or_else(terminator), slot }
}

/// Emission of accesses to the shadow stack.
pub(super) struct Emitter<'e, 'c, 'm> {
    pub(super) unit: &'e Unit<'c, 'm>,
    pub(super) b: &'e Builder<'c>,
    pub(super) thread: Value,
}

impl Emitter<'_, '_, '_> {
    fn top_address(&self) -> Value {
        self.unit.context_address(self.b, self.thread, core::mem::offset_of!(ThreadContext, shadow_top))
    }

    pub(super) fn load_top(&self) -> Value {
        // Computed in front of the load, so that the load's successor is what followed before.
        let address = self.top_address();
        let load = self.b.load(self.unit.types.ptr, address);
        self.unit.alias.tag(load, self.unit.metadata.tbaa, self.unit.alias.context);
        load
    }

    pub(super) fn store_top(&self, top: Value) {
        let store = self.b.store(top, self.top_address());
        self.unit.alias.tag(store, self.unit.metadata.tbaa, self.unit.alias.context);
    }

    pub(super) fn slot_address(&self, base: Value, slot: u32) -> Value {
        self.unit.context_address(self.b, base, (slot * REF_BYTES) as usize)
    }

    pub(super) fn store_slot(&self, reference: Value, base: Value, slot: u32) {
        let store = self.b.store(reference, self.slot_address(base, slot));
        store.set_alignment(REF_BYTES);
        self.unit.alias.tag(store, self.unit.metadata.tbaa, self.unit.alias.shadow);
    }
}
