//! Performing a plan: variables instead of objects, and objects where they escape.

use super::objects::{Base, Kind, Shape, Use};
use super::plan::{Materialisation, Plan, Slot, header_operand};
use crate::llvm::{Builder, C_CC, Cast, IntPredicate, Op, Opcode, Type, Value};
use crate::translate::unit::Unit;
use dolmen_abi::reference::OBJECT_ALIGN_BYTES;
use rustc_hash::FxHashSet;

/// Replaces the objects of a group.
pub(super) fn apply(unit: &Unit<'_, '_>, function: Value, plan: &Plan) {
    let b = Builder::new(unit.context);
    b.position_before(function.blocks()[0].instructions()[0]);
    let variables = plan
        .group
        .bases
        .iter()
        .map(|_| {
            let fields = plan.slots.iter().map(|slot| b.alloca(slot.ty)).collect();
            Variables { fields, is_object: plan.tells_null.then(|| b.alloca(unit.types.i1)) }
        })
        .collect();
    let mut rewrite = Rewrite { unit, plan, b, variables, done: FxHashSet::default(), dead: Vec::new() };
    for materialisation in &plan.materialisations {
        rewrite.materialise(materialisation);
    }
    for index in 0..plan.group.bases.len() {
        rewrite.define(index);
    }
    for (index, u) in plan.group.uses.iter().enumerate() {
        if !rewrite.done.contains(&index) {
            rewrite.replace(u);
        }
    }
    rewrite.erase();
}

/// The variables of one base.
struct Variables {
    /// One for each slot of the plan.
    fields: Vec<Value>,
    is_object: Option<Value>,
}

struct Rewrite<'r, 'c, 'm> {
    unit: &'r Unit<'c, 'm>,
    plan: &'r Plan,
    b: Builder<'c>,
    /// Of each base.
    variables: Vec<Variables>,
    /// Uses that take a materialised object.
    done: FxHashSet<usize>,
    dead: Vec<Value>,
}

impl Rewrite<'_, '_, '_> {
    /// Makes the object and lets the uses behind take it.
    fn materialise(&mut self, materialisation: &Materialisation) {
        let base = &self.plan.group.bases[materialisation.base];
        let site = &self.plan.group.bases[base.sites[0]];
        let Some(shape) = &self.plan.shapes[base.sites[0]] else { return };
        self.b.position_before(materialisation.before);
        let values: Vec<_> = (0..self.plan.slots.len()).map(|slot| self.load(materialisation.base, slot)).collect();
        let value_at = |offset: u32| {
            let slot = self.plan.slots.iter().position(|slot| slot.offset == offset);
            values[slot.expect("the plan has variables for what an allocation sets")]
        };
        let call = site.value;
        let mut args = vec![call.operand(0), value_at(dolmen_abi::object::TYPE_WORD_OFFSET), call.operand(2)];
        match shape {
            Shape::Struct { fields, .. } => {
                args.extend(
                    fields.iter().flat_map(|&offset| [self.unit.types.i32.int(offset.into()), value_at(offset)]),
                );
            }
            Shape::Array { .. } => args.push(call.operand(3)),
        }
        let marker = call.called_function().expect("an allocation is a direct call");
        let object = self.b.call(marker.function_type(), marker, &args, C_CC);
        if base.sites.iter().all(|&site| self.plan.group.bases[site].value.returns_unaliased()) {
            self.unit.mark_unaliased(object);
        }
        for (slot, &value) in self.plan.slots.iter().zip(&values) {
            self.store_field(object, shape, slot, value);
        }
        if matches!(shape, Shape::Array { .. }) {
            // The elements may be ones that are never null: see where translation sets them.
            self.unit.fence_elements(&self.b);
        }
        for &index in &materialisation.uses {
            self.take(&self.plan.group.uses[index], object);
            self.done.insert(index);
        }
    }

    /// Sets a field of a fresh object.
    fn store_field(&self, object: Value, shape: &Shape, slot: &Slot, value: Value) {
        let store = self.b.store(value, self.address(object, slot.offset));
        let bytes = self.unit.llvm.store_bytes(slot.ty) as u32;
        store.set_alignment(bytes.next_power_of_two().min(OBJECT_ALIGN_BYTES));
        if let Some(access) = slot.access {
            store.copy_metadata(access, self.unit.metadata.tbaa);
        }
        if header_operand(shape, slot.offset).is_some() {
            self.unit.mark_allocation_store(store);
        } else {
            self.unit.mark_initial_store(store);
        }
    }

    fn address(&self, object: Value, offset: u32) -> Value {
        if offset == 0 {
            return object;
        }
        self.b.gep(self.unit.types.i8, object, self.unit.types.i32.int(offset.into()))
    }

    /// Lets a use take an object that was made.
    fn take(&self, u: &Use, object: Value) {
        let b = Builder::new(self.unit.context);
        let place = match u.user.opcode() {
            Opcode::Phi => u.user.incoming()[u.operand].1.terminator().expect("blocks have terminators"),
            _ => u.user,
        };
        b.position_before(place);
        let pointer = match u.offset {
            0 => object,
            offset => b.gep(self.unit.types.i8, object, self.unit.types.i32.int(offset.into())),
        };
        u.user.set_operand(u.operand, pointer);
    }

    /// Sets the variables of a base where it is defined.
    fn define(&self, index: usize) {
        let base = &self.plan.group.bases[index];
        match base.value.opcode() {
            Opcode::Phi => self.define_phi(index, base),
            Opcode::Call => self.define_site(index, base),
            _ => self.define_choice(index, base),
        }
    }

    fn define_site(&self, index: usize, base: &Base) {
        let call = base.value;
        let Some(shape) = &self.plan.shapes[index] else { return };
        self.b.position_before(call.next_instruction().expect("a call is no terminator"));
        for (number, slot) in self.plan.slots.iter().enumerate() {
            let value = header_operand(shape, slot.offset).map_or(slot.ty.zero(), |operand| call.operand(operand));
            self.store(index, number, value);
        }
        if let Some(is_object) = self.variables[index].is_object {
            self.b.store(self.unit.types.i1.int(1), is_object);
        }
    }

    /// A phi of each variable.
    fn define_phi(&self, index: usize, base: &Base) {
        let phi = base.value;
        let block = phi.block();
        let behind = block
            .instructions()
            .into_iter()
            .find(|i| !matches!(i.opcode(), Opcode::Phi | Opcode::LandingPad))
            .expect("blocks have terminators");
        for (mine, ty) in self.all_variables(index) {
            self.b.position_before(phi);
            let new = self.b.phi(ty);
            let mut loaded: Vec<(crate::llvm::Block, Value)> = Vec::new();
            for (&merged, (_, from)) in base.merged.iter().zip(phi.incoming()) {
                let known = loaded.iter().find(|(block, _)| *block == from).map(|&(_, value)| value);
                let value = known.unwrap_or_else(|| {
                    self.b.position_before(from.terminator().expect("blocks have terminators"));
                    self.load_merged(index, mine, merged, ty)
                });
                loaded.push((from, value));
                new.add_incoming(value, from);
            }
            self.b.position_before(behind);
            self.b.store(new, mine);
        }
    }

    fn define_choice(&self, index: usize, base: &Base) {
        for (mine, ty) in self.all_variables(index) {
            self.b.position_before(base.value);
            let values: Vec<_> = base.merged.iter().map(|&merged| self.load_merged(index, mine, merged, ty)).collect();
            let value = match values[..] {
                [then, otherwise] => self.b.select(base.value.operand(0), then, otherwise),
                _ => values[0],
            };
            self.b.store(value, mine);
        }
    }

    fn all_variables(&self, index: usize) -> Vec<(Value, Type)> {
        let variables = &self.variables[index];
        let fields = variables.fields.iter().copied().zip(self.plan.slots.iter().map(|slot| slot.ty));
        fields.chain(variables.is_object.map(|variable| (variable, self.unit.types.i1))).collect()
    }

    /// Of a merged base the variable that corresponds to one of base `index`.
    fn load_merged(&self, index: usize, mine: Value, merged: Option<usize>, ty: Type) -> Value {
        let is_nullness = Some(mine) == self.variables[index].is_object;
        let Some(merged) = merged else {
            return if is_nullness { ty.zero() } else { ty.poison() };
        };
        if is_nullness {
            return self.b.load(ty, self.variables[merged].is_object.unwrap_or(mine));
        }
        let slot = self.variables[index].fields.iter().position(|&field| field == mine).unwrap_or(0);
        self.b.load(ty, self.variables[merged].fields[slot])
    }

    /// Replaces a use by one of variables.
    fn replace(&mut self, u: &Use) {
        if u.user.opcode() == Opcode::Phi || self.dead.contains(&u.user) {
            return;
        }
        self.b.position_before(u.user);
        match u.kind {
            Kind::Load => {
                let value = self.load(u.base, self.slot_at(u.offset));
                u.user.replace_all_uses_with(self.cast(value, u.user.ty()));
            }
            Kind::Store => self.store(u.base, self.slot_at(u.offset), u.user.operand(0)),
            Kind::Clear(bytes) => self.clear(u, bytes),
            Kind::NullTest | Kind::Identity => u.user.replace_all_uses_with(self.comparison(u)),
            Kind::Note if u.operand > 1 && u.operand < u.user.arg_count() => {
                // The barrier of something else, of a store that is gone.
                u.user.set_operand(u.operand, self.unit.types.reference.zero());
                return;
            }
            Kind::Note => {}
            Kind::Merge | Kind::Escape => return,
        }
        self.dead.push(u.user);
    }

    fn clear(&self, u: &Use, bytes: u32) {
        for (number, slot) in self.plan.slots.iter().enumerate() {
            if (u.offset..u.offset + bytes).contains(&slot.offset) {
                self.store(u.base, number, slot.ty.zero());
            }
        }
    }

    /// The result of a comparison with null or with what is no object of the function.
    fn comparison(&self, u: &Use) -> Value {
        let types = &self.unit.types;
        let is_null = match self.variables[u.base].is_object {
            Some(variable) => self.b.binary(Op::Xor, self.b.load(types.i1, variable), types.i1.int(1)),
            None => types.i1.int(0),
        };
        let equal = if u.kind == Kind::NullTest {
            is_null
        } else {
            let other = u.user.operand(1 - u.operand);
            self.b.binary(Op::And, is_null, self.b.icmp(IntPredicate::Eq, other, types.reference.zero()))
        };
        if u.user.compares_equality() == Some(true) { equal } else { self.b.binary(Op::Xor, equal, types.i1.int(1)) }
    }

    fn slot_at(&self, offset: u32) -> usize {
        self.plan.slots.iter().position(|slot| slot.offset == offset).expect("the plan has a variable for each access")
    }

    fn load(&self, base: usize, slot: usize) -> Value {
        self.b.load(self.plan.slots[slot].ty, self.variables[base].fields[slot])
    }

    fn store(&self, base: usize, slot: usize, value: Value) {
        self.b.store(self.cast(value, self.plan.slots[slot].ty), self.variables[base].fields[slot]);
    }

    fn cast(&self, value: Value, ty: Type) -> Value {
        if value.ty() == ty { value } else { self.b.cast(Cast::BitCast, value, ty) }
    }

    fn erase(self) {
        self.dead.into_iter().for_each(Value::erase);
        for pointer in &self.plan.group.pointers {
            pointer.replace_all_uses_with(pointer.ty().poison());
        }
        self.plan.group.pointers.iter().copied().for_each(Value::erase);
    }
}
