//! Whether a group of objects can be replaced, and what for.

use super::objects::{Base, Group, Kind, Shape, Use, shape};
use super::windows::Windows;
use super::{Extent, Pass};
use crate::gc::cfg::{BlockIdx, Cfg};
use crate::llvm::{Opcode, Type, TypeKind, Value};
use dolmen_abi::object::{ARRAY_LENGTH_OFFSET, TYPE_WORD_OFFSET};
use rustc_hash::FxHashMap;
use std::cell::OnceCell;
use std::collections::BTreeMap;

/// Most variables for one group: bases times fields.
const MAX_VARIABLES: usize = 2048;

/// Most places where the objects of one group are materialised.
const MAX_MATERIALISATIONS: usize = 8;

/// A variable that each base has: a field, element or word of the header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) offset: u32,
    pub(super) ty: Type,
    /// An access, for its alias class.
    pub(super) access: Option<Value>,
}

/// How a group is replaced.
pub(super) struct Plan {
    pub(super) group: Group,
    /// By offset.
    pub(super) slots: Vec<Slot>,
    /// Whether each base also has a variable that tells whether it is an object, not null.
    pub(super) tells_null: bool,
    pub(super) materialisations: Vec<Materialisation>,
    pub(super) shapes: Vec<Option<Shape>>,
}

/// An object that is made because it escapes.
pub(super) struct Materialisation {
    pub(super) base: usize,
    /// The instruction in front of which it is made.
    pub(super) before: Value,
    /// Uses, as indices, that take the made object.
    pub(super) uses: Vec<usize>,
}

/// An edge from a block with several successors to a block with several predecessors.
#[derive(Clone, Copy)]
pub(super) struct CriticalEdge {
    pub(super) from: BlockIdx,
    pub(super) to: BlockIdx,
}

/// Why a group is not replaced.
pub(super) enum Refusal {
    /// Once this edge has a block, ask again.
    Split(CriticalEdge),
    Final,
}

/// A place in the function: a block, and the number of an instruction in it.
type Place = (BlockIdx, usize);

/// The number of what phis use: behind all instructions.
const END: usize = usize::MAX;

/// Facts about one function in one state.
pub(super) struct Planner<'p, 'c, 'm> {
    pass: &'p Pass<'p, 'c, 'm>,
    cfg: &'p Cfg,
    places: FxHashMap<Value, Place>,
    windows: OnceCell<Windows<'p, 'p, 'c, 'm>>,
}

impl<'p, 'c, 'm> Planner<'p, 'c, 'm> {
    pub(super) fn new(pass: &'p Pass<'p, 'c, 'm>, cfg: &'p Cfg) -> Self {
        let mut places = FxHashMap::default();
        for (block, instructions) in cfg.instructions.iter().enumerate() {
            places.extend(instructions.iter().enumerate().map(|(number, &i)| (i, (block, number))));
        }
        Self { pass, cfg, places, windows: OnceCell::new() }
    }

    fn windows(&self) -> &Windows<'p, 'p, 'c, 'm> {
        self.windows.get_or_init(|| Windows::new(self.pass, self.cfg))
    }

    pub(super) fn plan(&self, group: Group, extent: Extent) -> Result<Plan, Refusal> {
        let escapes = group.uses.iter().any(|u| u.kind == Kind::Escape);
        if escapes && extent == Extent::Whole {
            return Err(Refusal::Final);
        }
        if self.has_unreachable_parts(&group) {
            return Err(Refusal::Final);
        }
        let shapes: Vec<_> =
            group.bases.iter().map(|b| b.is_site().then(|| shape(self.pass, b.value)).flatten()).collect();
        let Some(slots) = self.slots(&group, &shapes, escapes) else { return Err(Refusal::Final) };
        if slots.len() * group.bases.len() > MAX_VARIABLES || !self.changes_are_seen(&group) {
            return Err(Refusal::Final);
        }
        let materialisations = self.materialisations(&group, &shapes)?;
        if escapes && !self.is_worth_it(&group, &materialisations) {
            return Err(Refusal::Final);
        }
        let tells_null = group.bases.iter().any(|base| base.nullable)
            && group.uses.iter().any(|u| matches!(u.kind, Kind::NullTest | Kind::Identity));
        Ok(Plan { group, slots, tells_null, materialisations, shapes })
    }

    fn has_unreachable_parts(&self, group: &Group) -> bool {
        let is_unreachable = |value: &Value| !self.places.contains_key(value);
        group.pointers.iter().any(is_unreachable)
            || group
                .uses
                .iter()
                .any(|u| is_unreachable(&u.user) || u.user.opcode() == Opcode::Phi && self.phi_places(u).len() != 1)
    }

    /// The variables that the bases of a group need; `None` if accesses of one place have different types.
    fn slots(&self, group: &Group, shapes: &[Option<Shape>], escapes: bool) -> Option<Vec<Slot>> {
        let mut slots: BTreeMap<u32, Slot> = BTreeMap::new();
        let mut add = |offset: u32, ty: Type, access: Option<Value>| {
            let slot = slots.entry(offset).or_insert(Slot { offset, ty, access });
            slot.access = slot.access.or(access);
            (slot.ty == ty || self.are_alike(slot.ty, ty)).then_some(())
        };
        for u in &group.uses {
            match u.kind {
                Kind::Load => add(u.offset, u.user.ty(), Some(u.user))?,
                Kind::Store => add(u.offset, u.user.operand(0).ty(), Some(u.user))?,
                _ => {}
            }
        }
        for (base, shape) in group.bases.iter().zip(shapes).filter(|_| escapes) {
            add(TYPE_WORD_OFFSET, self.pass.unit.types.i32, None)?;
            if let Some(Shape::Struct { fields, .. }) = shape {
                for (field, &offset) in fields.iter().enumerate() {
                    add(offset, base.value.operand(3 + 2 * field + 1).ty(), None)?;
                }
            }
        }
        let slots: Vec<_> = slots.into_values().collect();
        if !group.bases.iter().zip(shapes).all(|(base, shape)| self.are_set_alike(base, shape.as_ref(), &slots)) {
            return None;
        }
        let end = |slot: &Slot| slot.offset + self.pass.unit.llvm.store_bytes(slot.ty) as u32;
        let are_apart = slots.windows(2).all(|pair| end(&pair[0]) <= pair[1].offset);
        let are_clear = group.uses.iter().all(|u| match u.kind {
            Kind::Clear(bytes) => {
                let (from, to) = (u.offset, u.offset.saturating_add(bytes));
                slots
                    .iter()
                    .all(|slot| to <= slot.offset || end(slot) <= from || from <= slot.offset && end(slot) <= to)
            }
            _ => true,
        });
        (are_apart && are_clear).then_some(slots)
    }

    /// Whether what an allocation sets fits the accesses of the same places: none does behind a cast that never succeeds.
    fn are_set_alike(&self, base: &Base, shape: Option<&Shape>, slots: &[Slot]) -> bool {
        let set = |slot: &Slot| header_operand(shape?, slot.offset).map(|index| base.value.operand(index).ty());
        slots.iter().all(|slot| set(slot).is_none_or(|ty| slot.ty == ty || self.are_alike(slot.ty, ty)))
    }

    /// Whether values of two types hold the same bits, none of which are references.
    fn are_alike(&self, a: Type, b: Type) -> bool {
        let is_number = |ty: Type| !matches!(ty.kind(), TypeKind::Ref | TypeKind::RefVector(_) | TypeKind::Pointer);
        let bytes = |ty| self.pass.unit.llvm.store_bytes(ty);
        is_number(a) && is_number(b) && bytes(a) == bytes(b)
    }

    /// Whether no store through one base changes what another one, with variables of its own, is asked for later.
    fn changes_are_seen(&self, group: &Group) -> bool {
        if group.bases.len() == 1 {
            return true;
        }
        let changes = group.uses.iter().filter(|u| matches!(u.kind, Kind::Store | Kind::Clear(_)));
        changes.filter(|change| !self.is_initial(group, change)).all(|change| {
            let place = self.places[&change.user];
            let others = (0..group.bases.len()).filter(|&other| other != change.base);
            others
                .filter(|&other| group.bases[other].may_be(&group.bases[change.base]))
                .all(|other| !self.is_live_after(group, other, place, |_| true))
        })
    }

    /// Whether a store changes an object that no merge has seen yet: it follows the allocation in its block.
    fn is_initial(&self, group: &Group, change: &Use) -> bool {
        let base = &group.bases[change.base];
        let (from, to) = (self.places[&base.value], self.places[&change.user]);
        let is_between = |place: Place| place.0 == to.0 && place.1 < to.1;
        base.is_site()
            && from.0 == to.0
            && !group.uses.iter().any(|u| u.base == change.base && u.kind == Kind::Merge && is_between(self.place(u)))
    }

    /// Where a pointer is used: for a phi, at the end of the block that it comes from.
    fn place(&self, u: &Use) -> Place {
        match u.user.opcode() {
            Opcode::Phi => self.phi_places(u).first().copied().unwrap_or((0, END)),
            _ => self.places[&u.user],
        }
    }

    fn phi_places(&self, u: &Use) -> Vec<Place> {
        let from = u.user.incoming()[u.operand].1;
        self.cfg.index.get(&from).map(|&block| (block, END)).into_iter().collect()
    }

    /// Whether a use of a base that `counts` can be reached from behind a place, with the value that it has there.
    fn is_live_after(&self, group: &Group, base: usize, place: Place, counts: impl Fn(&Use) -> bool) -> bool {
        let definition = self.places[&group.bases[base].value];
        if definition.0 == place.0 && definition.1 > place.1 {
            // What is behind gets a new value, and where that is not so, there was none before.
            return false;
        }
        let mut live_in = vec![false; self.cfg.blocks.len()];
        let mut work = Vec::new();
        for u in group.uses.iter().filter(|u| u.base == base && counts(u)) {
            let at = self.place(u);
            if at.0 == place.0 && at.1 > place.1 {
                return true;
            }
            // A use in the definition's block needs no value from before, unless it is a phi's own.
            if at.0 != definition.0 {
                work.push(at.0);
            }
        }
        while let Some(block) = work.pop() {
            if std::mem::replace(&mut live_in[block], true) {
                continue;
            }
            work.extend(self.cfg.predecessors[block].iter().copied().filter(|&p| p != definition.0));
        }
        self.cfg.successors[place.0].iter().any(|&successor| live_in[successor])
    }

    /// Where the objects of a group are made, if it can be done.
    fn materialisations(&self, group: &Group, shapes: &[Option<Shape>]) -> Result<Vec<Materialisation>, Refusal> {
        let mut escapes: Vec<&Use> = group.uses.iter().filter(|u| u.kind == Kind::Escape).collect();
        escapes.sort_by_key(|u| self.place(u));
        let mut made: Vec<Materialisation> = Vec::new();
        for escape in escapes {
            let at = self.place(escape);
            if made.iter().any(|m| m.base == escape.base && self.is_from(self.materialisation_place(m), at)) {
                continue;
            }
            let before = self.before(escape)?;
            if self.windows().forbid(escape.user.operand(escape.operand), escape.user, before) {
                return Err(Refusal::Final);
            }
            let taken = self.uses_from(group, escape.base, self.places[&before]);
            self.check_materialisation(group, shapes, escape.base, self.places[&before])?;
            made.push(Materialisation { base: escape.base, before, uses: taken });
        }
        if made.len() > MAX_MATERIALISATIONS { Err(Refusal::Final) } else { Ok(made) }
    }

    fn materialisation_place(&self, m: &Materialisation) -> Place {
        self.places[&m.before]
    }

    /// The instruction in front of which an object must be made that escapes.
    fn before(&self, escape: &Use) -> Result<Value, Refusal> {
        if escape.user.opcode() != Opcode::Phi {
            return Ok(escape.user);
        }
        let (from, to) = (self.place(escape).0, self.places[&escape.user].0);
        let terminator = self.cfg.blocks[from].terminator().ok_or(Refusal::Final)?;
        match self.cfg.successors[from].len() {
            1 => Ok(terminator),
            _ if self.cfg.dominates(to, from) || terminator.opcode() == Opcode::Invoke => Err(Refusal::Final),
            _ => Err(Refusal::Split(CriticalEdge { from, to })),
        }
    }

    /// Whether every path to `place` goes through `from`, which may be the place itself.
    fn is_from(&self, from: Place, place: Place) -> bool {
        if from.0 == place.0 { from.1 <= place.1 } else { self.cfg.dominates(from.0, place.0) }
    }

    fn uses_from(&self, group: &Group, base: usize, from: Place) -> Vec<usize> {
        let is_taken = |u: &Use| u.base == base && self.is_from(from, self.place(u));
        group.uses.iter().enumerate().filter(|(_, u)| is_taken(u)).map(|(index, _)| index).collect()
    }

    /// An object that is made at a place: it has one shape, is not null, and nobody behind asks variables for it.
    fn check_materialisation(
        &self,
        group: &Group,
        shapes: &[Option<Shape>],
        base: usize,
        from: Place,
    ) -> Result<(), Refusal> {
        let object = &group.bases[base];
        let has_one_shape = object.sites.iter().all(|&site| shapes[site] == shapes[object.sites[0]]);
        let may_be_it = |other: &Base| other.may_be(object);
        let is_kept = |u: &Use| !self.is_from(from, self.place(u));
        let merges_behind = group.uses.iter().any(|u| u.base == base && u.kind == Kind::Merge && !is_kept(u));
        let asks_others = (0..group.bases.len())
            .filter(|&other| other != base && may_be_it(&group.bases[other]))
            .any(|other| self.is_live_from(group, other, from));
        if object.nullable || !has_one_shape || merges_behind || asks_others {
            return Err(Refusal::Final);
        }
        if self.is_live_after(group, base, from, is_kept) { Err(Refusal::Final) } else { Ok(()) }
    }

    /// Whether a base is used at a place or can be used behind it.
    fn is_live_from(&self, group: &Group, base: usize, place: Place) -> bool {
        let is_here = group.uses.iter().any(|u| u.base == base && self.place(u) == place);
        is_here || self.is_live_after(group, base, place, |_| true)
    }

    /// Whether some path from an allocation does without the object, and no object is made more often than before.
    fn is_worth_it(&self, group: &Group, made: &[Materialisation]) -> bool {
        let block_of = |value: &Value| self.places[value].0;
        let is_as_rare = |m: &Materialisation| {
            let sites: Vec<_> =
                group.bases[m.base].sites.iter().map(|&site| block_of(&group.bases[site].value)).collect();
            self.cfg.shares_loops(block_of(&m.before), &sites)
        };
        let sites = || group.bases.iter().filter(|base| base.is_site());
        made.iter().all(is_as_rare) && sites().any(|site| self.can_do_without(group, made, site))
    }

    /// Whether a path leads from an allocation to a return, or to an allocation of the group, and to no place where
    /// an object is made.
    fn can_do_without(&self, group: &Group, made: &[Materialisation], site: &Base) -> bool {
        let start = self.places[&site.value];
        let stops = |block: BlockIdx| made.iter().any(|m| self.places[&m.before].0 == block);
        if made.iter().any(|m| self.is_from(start, self.places[&m.before]) && self.places[&m.before].0 == start.0) {
            return false;
        }
        let allocates = |block: BlockIdx| group.bases.iter().any(|b| b.is_site() && self.places[&b.value].0 == block);
        let ends = |block: BlockIdx| self.cfg.blocks[block].terminator().is_some_and(|t| t.opcode() == Opcode::Ret);
        let mut seen = vec![false; self.cfg.blocks.len()];
        let mut work = vec![start.0];
        while let Some(block) = work.pop() {
            if ends(block) {
                return true;
            }
            for &next in &self.cfg.successors[block] {
                if allocates(next) && !stops(next) {
                    return true;
                }
                if !stops(next) && !std::mem::replace(&mut seen[next], true) {
                    work.push(next);
                }
            }
        }
        false
    }
}

/// Offsets that the header has for a shape, with the operand of the allocation that is there.
pub(super) fn header_operand(shape: &Shape, offset: u32) -> Option<usize> {
    match (shape, offset) {
        (_, TYPE_WORD_OFFSET) => Some(1),
        (Shape::Array { .. }, ARRAY_LENGTH_OFFSET) => Some(2),
        (Shape::Struct { fields, .. }, offset) => fields.iter().position(|&f| f == offset).map(|i| 3 + 2 * i + 1),
        _ => None,
    }
}
