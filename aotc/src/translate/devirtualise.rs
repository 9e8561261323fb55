//! Devirtualisation: calls through method tables and function references become direct calls where the module tells
//! their targets, so that LLVM can inline them.
//!
//! Dynamic dispatch is a chain of loads, `object ─► method table ─► function ─► code`, each of which waits for the one
//! before, and a call that LLVM cannot look into. Two kinds of facts about an operand shorten the chain:
//!
//! - [`Fact::Is`]: it is a constant of this instance. What is loaded from immutable fields of such an object is one, too,
//!   and takes no load; a call of it is direct.
//! - [`Fact::Loaded`]: it was loaded through fields from an object. The reference in the first field, the chain's head,
//!   decides what it is; which constants the head may be, the whole module's stores tell ([`crate::module::values`]).
//!
//! A call of an operand with few possible functions compares and calls directly, and calls through the reference if
//! nothing matches:
//!
//! ```text
//! table == global $A.vtable ? call $A.run : table == global $B.vtable ? call $B.run : call_ref
//! ```
//!
//! A function in a mutable global is compared with those that the module puts there: a class's initialiser is replaced, when it
//! is called, by a function that does nothing.
//!
//! Where several tables share a function, or a table is in no global, function references are compared instead. Where too
//! many functions come into question, as for `equals` of the root class, the types of the arguments choose: their static
//! types, and those that direct calls pass for a parameter. A receiver is often of the class that its argument is of.
//!
//! The comparison is what makes this correct, since objects of equal types that other modules make have other tables:
//! an instance's globals hold objects of its own, whose functions are its own.
//!
//! Methods cast their receiver to their class first. Where only objects of that class hold the table
//! ([`crate::module::makers`]), LLVM is told behind the comparison that the cast succeeds.

use crate::llvm::{Block, Value};
use crate::module::constants::{Constant, ObjectIdx};
use crate::module::makers;
use crate::options::{MAX_GUARDS, MAX_GUARDS_BY_TYPE};
use crate::translate::calls::Callee;
use crate::translate::function::FunctionTranslator;
use crate::translate::stack::Operand;
use dolmen_abi::signature::MachineSignature;
use dolmen_abi::types::{CompositeType, FuncType, HeapType, RefType, TypeIdx, ValType};
use smallvec::SmallVec;
use std::collections::BTreeSet;

/// What is known about an operand beyond its type.
#[derive(Clone, Debug)]
pub(crate) enum Fact {
    Is(Constant),
    Loaded(Chain),
    /// It was loaded from this mutable global.
    Variable(u32),
    /// It is this parameter of the function, if nothing else was assigned to it.
    Param(u32),
}

/// How an operand was loaded.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    /// The object that the head was loaded from.
    object: Value,
    /// The head of the chain of loads: the reference that decides.
    head: Value,
    /// The field that the head was loaded from.
    first: (TypeIdx, u32),
    /// The fields through which the operand was then loaded.
    path: SmallVec<[u32; 2]>,
    /// The field that the operand itself was loaded from.
    last: (TypeIdx, u32),
}

/// The number of a fact about an operand of the function under translation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FactIdx(u32);

/// A function that is called if two references are equal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guard {
    pub(crate) actual: Value,
    pub(crate) expected: Value,
    pub(crate) func: u32,
    /// How often it is called, relative to the others.
    pub(crate) weight: u64,
    /// What the comparison tells of another reference.
    pub(crate) receiver: Option<Receiver>,
}

/// A reference that is to an object, of a class below its own type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receiver {
    object: Value,
    ty: TypeIdx,
    class: TypeIdx,
}

/// Where a call goes.
pub(crate) enum Targets {
    /// To this function.
    Certain(u32),
    Guarded(Guards),
}

/// A call goes to the function of the first guard that holds; if none does, wherever the reference says.
pub(crate) struct Guards {
    pub(crate) list: Vec<Guard>,
    /// How often no guard holds, relative to the guards' weights.
    pub(crate) otherwise: u64,
}

/// The weight of a guard of which nothing is known: all are alike, so that a call site that is hot for LLVM is hot for
/// each of them, and the call that is left is cold where the guards cover everything that the module makes.
const WEIGHT: u64 = 1000;

impl Guards {
    /// The weight of everything behind the guard at a position.
    fn weight_after(&self, position: usize) -> u64 {
        self.list[position + 1..].iter().map(|guard| guard.weight).sum::<u64>() + self.otherwise
    }
}

impl FunctionTranslator<'_, '_, '_> {
    /// Notes a fact about the operand on top of the stack.
    pub(crate) fn note_fact(&mut self, fact: Option<Fact>) {
        let Some(fact) = fact else { return };
        self.facts.push(fact);
        self.stack.set_fact(Some(FactIdx(self.facts.len() as u32 - 1)));
    }

    fn fact(&self, operand: Operand) -> Option<&Fact> {
        operand.fact.map(|FactIdx(index)| &self.facts[index as usize])
    }

    /// The value of an immutable global, if it is known; never while globals are being initialised.
    pub(crate) fn known_global(&self, global: u32) -> Option<Constant> {
        if self.in_init { None } else { self.unit.module.constants.global(global) }
    }

    /// The value of a field of a known object, of a struct type. Behind a cast that never succeeds the object is of another
    /// one.
    pub(crate) fn known_field(&self, object: Operand, ty: TypeIdx, field: u32) -> Option<Constant> {
        let module = self.unit.module;
        match self.fact(object)? {
            &Fact::Is(Constant::Object(object)) => {
                let found = HeapType::Concrete(module.constants.object(object).ty);
                let is_of_type = module.is_subtype(found, HeapType::Concrete(ty));
                is_of_type.then(|| module.constants.field(module, object, field)).flatten()
            }
            _ => None,
        }
    }

    /// A constant that needs no object loaded; `None` for objects.
    pub(crate) fn constant_value(&self, constant: Constant) -> Option<Value> {
        let types = &self.unit.types;
        Some(match constant {
            Constant::Null => types.reference.zero(),
            Constant::I32(value) => types.i32.int(value.into()),
            Constant::I64(value) => types.i64.int(value),
            Constant::F32(bits) => self.unit.context.f32_const(bits),
            Constant::F64(bits) => self.unit.context.f64_const(bits),
            Constant::Func(func) => self.func_ref(func),
            Constant::Object(_) => return None,
        })
    }

    /// What can be said about `loaded`, which comes from a field of an object.
    pub(crate) fn field_fact(&self, object: Operand, ty: TypeIdx, field: u32, loaded: Value) -> Fact {
        let last = (self.narrowest_struct(object.ty, field).unwrap_or(ty), field);
        Fact::Loaded(match self.fact(object) {
            Some(Fact::Loaded(chain)) => {
                let mut path = chain.path.clone();
                path.push(field);
                Chain { path, last, ..*chain }
            }
            _ => Chain { object: object.value, head: loaded, first: last, path: SmallVec::new(), last },
        })
    }

    /// The struct type with that field that an operand's static type names.
    fn narrowest_struct(&self, ty: ValType, field: u32) -> Option<TypeIdx> {
        let ValType::Ref(RefType { heap: HeapType::Concrete(ty) | HeapType::Exact(ty), .. }) = ty else { return None };
        match &self.unit.module.sub_type(ty).composite {
            CompositeType::Struct(fields) if (field as usize) < fields.len() => Some(ty),
            _ => None,
        }
    }

    /// Where a call of a function reference goes, if that is known or few functions come into question; the arguments
    /// are on the stack.
    pub(crate) fn targets(&self, callee: Operand, ty: TypeIdx) -> Option<Targets> {
        let cover = |list| Targets::Guarded(Guards { list, otherwise: 1 });
        let guess = |list| Targets::Guarded(Guards { list, otherwise: WEIGHT });
        let targets = match self.fact(callee) {
            Some(&Fact::Is(Constant::Func(func))) => return Some(Targets::Certain(func)),
            Some(Fact::Loaded(chain)) => self
                .guards_of_chain(chain, callee.value, ty)
                .or_else(|| self.guards_of_field(chain.last, callee.value, ty))
                .map(cover)
                .or_else(|| self.guards_of_arguments(chain, callee.value, ty).map(guess)),
            Some(&Fact::Variable(global)) => {
                let values = self.unit.module.stored_values.global(global);
                values.and_then(|values| self.func_guards(values, callee.value, ty)).map(cover)
            }
            _ => None,
        };
        targets.or_else(|| self.targets_by_type(callee.value, ty))
    }

    /// The functions of a type, if they are few.
    pub(crate) fn targets_by_type(&self, callee: Value, ty: TypeIdx) -> Option<Targets> {
        let funcs = self.unit.module.stored_values.funcs_of_type(self.unit.module, ty);
        if funcs.is_empty() || funcs.len() > MAX_GUARDS_BY_TYPE {
            return None;
        }
        let list = funcs.iter().map(|&func| self.func_guard(callee, func)).collect();
        Some(Targets::Guarded(Guards { list, otherwise: 1 }))
    }

    /// Guards for everything that the head of a chain can be.
    fn guards_of_chain(&self, chain: &Chain, callee: Value, ty: TypeIdx) -> Option<Vec<Guard>> {
        let (first, field) = chain.first;
        let heads = self.unit.module.stored_values.field(self.unit.module, first, field)?;
        self.guards(chain, heads, callee, ty)
    }

    /// Guards for everything that the field can hold that the callee was loaded from.
    fn guards_of_field(&self, (ty, field): (TypeIdx, u32), callee: Value, called: TypeIdx) -> Option<Vec<Guard>> {
        let values = self.unit.module.stored_values.field(self.unit.module, ty, field)?;
        self.func_guards(values, callee, called)
    }

    /// Guards for functions of a type, if there is nothing else and they are few.
    fn func_guards(&self, values: &BTreeSet<Constant>, callee: Value, called: TypeIdx) -> Option<Vec<Guard>> {
        let signature = MachineSignature::from(self.unit.module.func_type(called));
        let func = |value: &Constant| match *value {
            Constant::Func(func) if self.has_signature(func, &signature) => Some(func),
            _ => None,
        };
        let funcs: BTreeSet<u32> = values.iter().map(func).collect::<Option<_>>()?;
        (funcs.len() <= MAX_GUARDS).then(|| funcs.iter().map(|&func| self.func_guard(callee, func)).collect())
    }

    /// Guards for what the head of a chain is if the receiver is of a type that one of the arguments is of.
    fn guards_of_arguments(&self, chain: &Chain, callee: Value, ty: TypeIdx) -> Option<Vec<Guard>> {
        let module = self.unit.module;
        let (first, field) = chain.first;
        let declaring = |ty| module.canonical[module.declaring_type(ty, field as usize).0 as usize];
        let types = self.stack.top(module.func_type(ty).params.len()).iter().flat_map(|&arg| self.likely_types(arg));
        let has_field = |&ty: &TypeIdx| self.narrowest_struct(Self::ref_to(ty), field).is_some();
        let related = types.filter(|ty| has_field(ty) && declaring(*ty) == declaring(first));
        let heads = related.filter_map(|ty| module.stored_values.field(module, ty, field)).filter(|set| set.len() == 1);
        let heads: BTreeSet<Constant> = heads.flatten().copied().collect();
        if heads.is_empty() { None } else { self.guards(chain, &heads, callee, ty) }
    }

    /// Types that an operand is likely of, the static one included.
    fn likely_types(&self, operand: Operand) -> Vec<TypeIdx> {
        let mut types = Vec::new();
        if let ValType::Ref(RefType { heap: HeapType::Concrete(ty) | HeapType::Exact(ty), .. }) = operand.ty {
            types.push(ty);
        }
        if let (Some(Fact::Param(param)), Some(func)) = (self.fact(operand), self.func_index()) {
            types.extend(self.unit.module.stored_values.passed(func, *param));
        }
        types
    }

    /// Guards for calls through a chain with one of these heads, if they are few.
    fn guards(&self, chain: &Chain, heads: &BTreeSet<Constant>, callee: Value, ty: TypeIdx) -> Option<Vec<Guard>> {
        let signature = MachineSignature::from(self.unit.module.func_type(ty));
        let called = |&head: &Constant| match self.follow(head, &chain.path)? {
            Constant::Func(func) if self.has_signature(func, &signature) => Some((head, func)),
            _ => None,
        };
        let cases: Vec<(Constant, u32)> = heads.iter().map(called).collect::<Option<_>>()?;
        if cases.len() <= MAX_GUARDS
            && let Some(guards) = cases.iter().map(|&(head, func)| self.head_guard(chain, head, func)).collect()
        {
            return Some(guards);
        }
        let funcs: BTreeSet<u32> = cases.into_iter().map(|(_, func)| func).collect();
        (funcs.len() <= MAX_GUARDS).then(|| funcs.iter().map(|&func| self.func_guard(callee, func)).collect())
    }

    /// What is found in a constant object through immutable fields.
    fn follow(&self, head: Constant, path: &[u32]) -> Option<Constant> {
        let module = self.unit.module;
        path.iter().try_fold(head, |value, &field| match value {
            Constant::Object(object) => module.constants.field(module, object, field),
            _ => None,
        })
    }

    fn has_signature(&self, func: u32, signature: &MachineSignature) -> bool {
        MachineSignature::from(self.unit.module.type_of_func(func)) == *signature
    }

    /// The guard that a reference is to a function of this instance.
    pub(crate) fn func_guard(&self, callee: Value, func: u32) -> Guard {
        Guard { actual: callee, expected: self.func_ref(func), func, weight: WEIGHT, receiver: None }
    }

    /// The guard that the head of a chain of loads is an object that this instance keeps in a global.
    fn head_guard(&self, chain: &Chain, head: Constant, func: u32) -> Option<Guard> {
        let expected = match head {
            Constant::Object(object) => self.load_object(object)?,
            Constant::Func(func) => self.func_ref(func),
            _ => return None,
        };
        Some(Guard { actual: chain.head, expected, func, weight: WEIGHT, receiver: self.receiver(chain, head, func) })
    }

    /// What a head tells of the object that it was loaded from, if the function that is then called asks for it.
    fn receiver(&self, chain: &Chain, head: Constant, func: u32) -> Option<Receiver> {
        let module = self.unit.module;
        let class = makers::receiver_class(module, func)?;
        let is_known = module.stored_values.makers.are_all(module, chain.first, head, class);
        is_known.then_some(Receiver { object: chain.object, ty: chain.first.0, class })
    }

    /// Tells LLVM the class of a receiver, as its cast will ask for it.
    fn assume_class(&mut self, receiver: Receiver) {
        let operand = Operand::new(receiver.object, Self::ref_to(receiver.ty));
        let class = RefType { nullable: false, heap: HeapType::Concrete(receiver.class) };
        let holds = self.matches(operand, class);
        self.unit.assume(&self.b, holds);
    }

    /// The reference to a constant object, if a global holds it.
    fn load_object(&self, object: ObjectIdx) -> Option<Value> {
        Some(self.load_global(self.unit.module.constants.object(object).global?))
    }

    /// Calls the function of the first guard that holds, or else what `otherwise` gives, with the operands on the stack.
    pub(crate) fn call_guarded(&mut self, guards: &Guards, ty: &FuncType, otherwise: impl FnOnce(&mut Self) -> Callee) {
        let call = self.prepare_call(ty);
        let join = self.new_block("");
        let mut returned = Vec::new();
        for (index, guard) in guards.list.iter().enumerate() {
            let next = self.branch_to_target(guard, guards.weight_after(index));
            let callee = self.devirtualised_callee(guard.func);
            let results = self.finish_call(&call, callee);
            returned.push((results, self.b.block()));
            self.b.br(join);
            self.b.position_at_end(next);
        }
        let callee = otherwise(self);
        let results = self.finish_call(&call, callee);
        returned.push((results, self.b.block()));
        self.b.br(join);
        self.b.position_at_end(join);
        let merged = self.merge_results(&returned);
        self.push_results(&merged, ty);
    }

    /// As [`call_guarded`](Self::call_guarded), in place of this function's frame.
    pub(crate) fn tail_call_guarded(
        &mut self,
        guards: &Guards,
        ty: &FuncType,
        otherwise: impl FnOnce(&mut Self) -> Callee,
    ) {
        let call = self.prepare_call(ty);
        for (index, guard) in guards.list.iter().enumerate() {
            let next = self.branch_to_target(guard, guards.weight_after(index));
            let callee = self.devirtualised_callee(guard.func);
            self.finish_tail_call(&call, callee);
            self.b.position_at_end(next);
        }
        let callee = otherwise(self);
        self.finish_tail_call(&call, callee);
        self.reachable = false;
    }

    /// Goes on where the guard holds; the result is the block where it does not.
    fn branch_to_target(&mut self, guard: &Guard, others: u64) -> Block {
        let (target, next) = (self.new_block("target"), self.new_block(""));
        let holds = self.equal(guard.actual, guard.expected);
        let branch = self.b.cond_br(holds, target, next);
        self.unit.mark_weights(branch, guard.weight, others);
        self.b.position_at_end(target);
        if let Some(receiver) = guard.receiver {
            self.assume_class(receiver);
        }
        next
    }

    /// One phi for each result in a register.
    fn merge_results(&self, returned: &[(Vec<Value>, Block)]) -> Vec<Value> {
        let merge = |index: usize| {
            let phi = self.b.phi(returned[0].0[index].ty());
            returned.iter().for_each(|(results, block)| phi.add_incoming(results[index], *block));
            phi
        };
        (0..returned[0].0.len()).map(merge).collect()
    }
}
