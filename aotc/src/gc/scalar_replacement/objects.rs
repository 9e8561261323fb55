//! Objects of one function: where they are allocated, what merges them, and what is done with them.

use super::Pass;
use crate::llvm::{Opcode, TypeKind, Value};
use crate::translate::unit::ASSUME;
use rustc_hash::{FxHashMap, FxHashSet};

/// Longest array that is replaced, in elements.
const MAX_ARRAY_LENGTH: i64 = 64;

/// Farthest step into an object that is followed; two such steps do not overflow.
const MAX_STEP_BYTES: u32 = 1 << 20;

/// What an allocation makes, apart from values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A size, and the offsets of the fields that the allocation itself sets.
    Struct {
        size_bytes: i64,
        fields: Vec<u32>,
    },
    Array {
        length: i64,
        log_elem_bytes: i64,
    },
}

/// An allocation, or a merge of bases.
pub(super) struct Base {
    pub(super) value: Value,
    /// The allocations, as indices of bases, that may have made the object.
    pub(super) sites: Vec<usize>,
    /// The bases that a merge merges; for phis and selects in the order of their operands, `None` for null.
    pub(super) merged: Vec<Option<usize>>,
    pub(super) nullable: bool,
}

/// What is done with a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Load,
    Store,
    /// `memset` to zero of so many bytes.
    Clear(u32),
    /// A barrier, or an assumption: nothing for an object that is not made.
    Note,
    NullTest,
    /// A comparison with a reference to something else.
    Identity,
    /// An operand of a merge that is a base.
    Merge,
    Escape,
}

/// A use of a pointer to an object, or into it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use {
    pub(super) base: usize,
    pub(super) offset: u32,
    pub(super) user: Value,
    pub(super) operand: usize,
    pub(super) kind: Kind,
}

/// Bases that merges connect.
pub(super) struct Group {
    pub(super) bases: Vec<Base>,
    /// All pointers: bases, and what is derived from them.
    pub(super) pointers: Vec<Value>,
    pub(super) uses: Vec<Use>,
}

/// Base and offset of each pointer into an object of the function.
#[derive(Default)]
struct Pointers {
    /// In the order in which they were found.
    order: Vec<Value>,
    of: FxHashMap<Value, (Value, u32)>,
}

impl Group {
    pub(super) fn first_site(&self) -> Value {
        self.bases[0].value
    }
}

impl Base {
    pub(super) fn is_site(&self) -> bool {
        self.value.opcode() == Opcode::Call
    }

    /// Whether both may be the same object.
    pub(super) fn may_be(&self, other: &Self) -> bool {
        self.sites.iter().any(|site| other.sites.contains(site))
    }
}

/// The allocations of a function that could be replaced.
pub(super) fn sites(pass: &Pass<'_, '_, '_>, function: Value) -> Vec<Value> {
    let makers = [pass.markers.alloc_struct, pass.markers.alloc_array];
    let is_site = |i: &Value| {
        i.opcode() == Opcode::Call
            && i.called_function().is_some_and(|callee| makers.contains(&callee))
            && shape(pass, *i).is_some()
    };
    let instructions = function.blocks().into_iter().flat_map(|block| block.instructions());
    instructions.filter(is_site).collect()
}

/// What an allocation makes, if that is known and small enough.
pub(super) fn shape(pass: &Pass<'_, '_, '_>, site: Value) -> Option<Shape> {
    if site.called_function() == Some(pass.markers.alloc_array) {
        let length = site.operand(2).const_int().filter(|length| (0..=MAX_ARRAY_LENGTH).contains(length))?;
        return Some(Shape::Array { length, log_elem_bytes: site.operand(3).const_int()? });
    }
    let offsets = (3..site.arg_count()).step_by(2).map(|i| site.operand(i).const_int().map(|offset| offset as u32));
    Some(Shape::Struct { size_bytes: site.operand(2).const_int()?, fields: offsets.collect::<Option<_>>()? })
}

/// The groups of a function, in the order of their first allocation. Without merges each allocation is a group.
pub(super) fn groups(pass: &Pass<'_, '_, '_>, function: Value, with_merges: bool) -> Vec<Group> {
    let sites = sites(pass, function);
    let pointers = Pointers::find(pass, &sites, with_merges);
    let bases: Vec<Value> = pointers.order.iter().copied().filter(|p| pointers.of[p].0 == *p).collect();
    let leader = leaders(&pointers, &bases);
    let mut groups = Vec::new();
    for &site in &sites {
        if leader[&site] != site {
            continue;
        }
        let members: Vec<_> = bases.iter().copied().filter(|base| leader[base] == site).collect();
        groups.push(pointers.group(pass, &members));
    }
    groups
}

/// For each base the first allocation of its group.
fn leaders(pointers: &Pointers, bases: &[Value]) -> FxHashMap<Value, Value> {
    let order: FxHashMap<Value, usize> = bases.iter().enumerate().map(|(i, &base)| (base, i)).collect();
    let mut leader: FxHashMap<Value, Value> = bases.iter().map(|&base| (base, base)).collect();
    let mut changed = true;
    while changed {
        changed = false;
        for &base in bases {
            for operand in merged_operands(base).iter().filter_map(|operand| pointers.of.get(operand)) {
                let [a, b] = [leader[&base], leader[&operand.0]];
                let first = if order[&a] <= order[&b] { a } else { b };
                changed |= a != b;
                leader.insert(base, first);
                leader.insert(operand.0, first);
            }
        }
    }
    leader
}

/// What a merge merges; nothing for an allocation.
fn merged_operands(base: Value) -> Vec<Value> {
    match base.opcode() {
        Opcode::Phi => base.incoming().into_iter().map(|(value, _)| value).collect(),
        Opcode::Select => vec![base.operand(1), base.operand(2)],
        Opcode::Freeze => vec![base.operand(0)],
        _ => Vec::new(),
    }
}

fn is_no_object(operand: Value) -> bool {
    operand.is_null_constant() || operand.is_undefined()
}

impl Pointers {
    fn find(pass: &Pass<'_, '_, '_>, sites: &[Value], with_merges: bool) -> Self {
        let mut pointers = Self::default();
        let mut work: Vec<Value> = sites.iter().rev().copied().collect();
        for &site in sites {
            pointers.insert(site, site, 0);
        }
        while let Some(pointer) = work.pop() {
            let (base, offset) = pointers.of[&pointer];
            for user in pointer.users() {
                if !user.is_instruction() || pointers.of.contains_key(&user) {
                    continue;
                }
                match user.opcode() {
                    Opcode::GetElementPtr => match constant_step(pass, user) {
                        Some(step) if user.ty().kind() == TypeKind::Ref => pointers.insert(user, base, offset + step),
                        _ => continue,
                    },
                    Opcode::Phi | Opcode::Select | Opcode::Freeze if with_merges && offset == 0 => {
                        pointers.insert(user, user, 0);
                    }
                    _ => continue,
                }
                work.push(user);
            }
        }
        pointers.remove_mixed_merges();
        pointers
    }

    fn insert(&mut self, pointer: Value, base: Value, offset: u32) {
        if self.of.insert(pointer, (base, offset)).is_none() {
            self.order.push(pointer);
        }
    }

    /// Takes out merges with something else than bases and nulls, and what is derived from them.
    fn remove_mixed_merges(&mut self) {
        loop {
            let is_base = |operand: &Value| self.of.get(operand).is_some_and(|&(_, offset)| offset == 0);
            let is_kept = |pointer: &Value| {
                let base = self.of[pointer].0;
                self.of.contains_key(&base)
                    && merged_operands(base).iter().all(|operand| is_no_object(*operand) || is_base(operand))
            };
            let removed: FxHashSet<Value> = self.order.iter().copied().filter(|pointer| !is_kept(pointer)).collect();
            if removed.is_empty() {
                return;
            }
            self.order.retain(|pointer| !removed.contains(pointer));
            self.of.retain(|pointer, _| !removed.contains(pointer));
        }
    }

    fn group(&self, pass: &Pass<'_, '_, '_>, members: &[Value]) -> Group {
        let index: FxHashMap<Value, usize> = members.iter().enumerate().map(|(i, &base)| (base, i)).collect();
        let mut bases: Vec<Base> = members
            .iter()
            .enumerate()
            .map(|(i, &value)| {
                let operands = merged_operands(value);
                let merged: Vec<_> =
                    operands.iter().map(|operand| self.of.get(operand).map(|(base, _)| index[base])).collect();
                let sites = if operands.is_empty() { vec![i] } else { Vec::new() };
                Base { value, sites, nullable: merged.contains(&None), merged }
            })
            .collect();
        propagate(&mut bases);
        let pointers: Vec<_> = self.order.iter().copied().filter(|p| index.contains_key(&self.of[p].0)).collect();
        let mut uses = Vec::new();
        for &pointer in &pointers {
            let (base, offset) = self.of[&pointer];
            self.add_uses(pass, pointer, (index[&base], offset), &mut uses);
        }
        Group { bases, pointers, uses }
    }

    fn add_uses(&self, pass: &Pass<'_, '_, '_>, pointer: Value, (base, offset): (usize, u32), uses: &mut Vec<Use>) {
        let mut seen = FxHashSet::default();
        for user in pointer.users().into_iter().filter(|user| seen.insert(*user)) {
            let operands = (0..user.operand_count()).filter(|&operand| user.operand(operand) == pointer);
            for operand in operands {
                if let Some(kind) = self.kind(pass, user, operand, offset) {
                    uses.push(Use { base, offset, user, operand, kind });
                }
            }
        }
    }

    /// What an instruction does with a pointer; `None` if it derives another pointer from it.
    fn kind(&self, pass: &Pass<'_, '_, '_>, user: Value, operand: usize, offset: u32) -> Option<Kind> {
        if !user.is_instruction() {
            return Some(Kind::Escape);
        }
        Some(match user.opcode() {
            Opcode::Load if user.is_plain_access() => Kind::Load,
            Opcode::Store if operand == 1 && user.is_plain_access() => Kind::Store,
            Opcode::GetElementPtr if self.of.contains_key(&user) => return None,
            Opcode::Phi | Opcode::Select | Opcode::Freeze if self.of.contains_key(&user) => Kind::Merge,
            Opcode::ICmp if offset == 0 && user.compares_equality().is_some() => {
                let other = user.operand(1 - operand);
                match self.of.get(&other) {
                    _ if other.is_null_constant() => Kind::NullTest,
                    None => Kind::Identity,
                    Some(_) => Kind::Escape,
                }
            }
            Opcode::Call => call_kind(pass, user, operand, offset),
            _ => Kind::Escape,
        })
    }
}

/// Lets merges know what they merge.
fn propagate(bases: &mut [Base]) {
    let mut changed = true;
    while changed {
        changed = false;
        for i in 0..bases.len() {
            for operand in bases[i].merged.clone().into_iter().flatten() {
                if bases[operand].nullable && !bases[i].nullable {
                    bases[i].nullable = true;
                    changed = true;
                }
                for site in bases[operand].sites.clone() {
                    if !bases[i].sites.contains(&site) {
                        bases[i].sites.push(site);
                        changed = true;
                    }
                }
            }
        }
    }
}

fn call_kind(pass: &Pass<'_, '_, '_>, call: Value, operand: usize, offset: u32) -> Kind {
    let markers = &pass.markers;
    let barriers =
        [markers.post_write_barrier, markers.post_write_barrier_array, markers.post_write_barrier_array_range];
    let Some(callee) = call.called_function() else { return Kind::Escape };
    if barriers.contains(&callee) && offset == 0 && operand < call.arg_count() {
        return Kind::Note;
    }
    let name = callee.name();
    if name == ASSUME {
        return Kind::Note;
    }
    let is_clear = name.starts_with("llvm.memset.") && operand == 0 && call.operand(1).is_null_constant();
    let is_volatile = || !call.operand(3).is_null_constant();
    if !is_clear || is_volatile() {
        return Kind::Escape;
    }
    call.operand(2).const_int().and_then(|bytes| u32::try_from(bytes).ok()).map_or(Kind::Escape, Kind::Clear)
}

/// By how many bytes a `getelementptr` steps, if that is one constant.
fn constant_step(pass: &Pass<'_, '_, '_>, gep: Value) -> Option<u32> {
    if gep.operand_count() != 2 {
        return None;
    }
    let element_bytes = i64::try_from(pass.unit.llvm.store_bytes(gep.gep_source_type())).ok()?;
    let step = gep.operand(1).const_int()?.checked_mul(element_bytes)?;
    u32::try_from(step).ok().filter(|&step| step <= MAX_STEP_BYTES)
}
