//! Devirtualisation: calls through method tables and function references become direct calls where the module tells
//! their targets, so that LLVM can inline them.
//!
//! Dynamic dispatch is a chain of loads, `object ─► method table ─► function ─► code`, each of which waits for the one
//! before, and a call that LLVM cannot look into. Two kinds of facts about an operand shorten the chain:
//!
//! - [`Fact::Is`]: it is a constant of this instance. What is loaded from immutable fields of such an object is one, too,
//!   and takes no load; a call of it is direct.
//! - [`Fact::OneOf`]: it is mostly one of a few constants, because nothing else is stored in the field that it, or the
//!   head of the chain that it is loaded through, comes from ([`crate::module::values`]). The chain's head decides.
//!
//! A call of an operand with few possible functions compares and calls directly, and calls through the reference if
//! nothing matches:
//!
//! ```text
//! table == global $A.vtable ? call $A.run : table == global $B.vtable ? call $B.run : call_ref
//! ```
//!
//! Where several tables share a function, or a table is in no global, function references are compared instead. The
//! comparison is what makes this correct, since objects of equal types that other modules make have other tables:
//! an instance's globals hold objects of its own, whose functions are its own.

use crate::llvm::{Block, Value};
use crate::module::constants::{Constant, ObjectIdx};
use crate::options::{MAX_GUARDS, MAX_GUARDS_BY_TYPE};
use crate::translate::calls::Callee;
use crate::translate::function::FunctionTranslator;
use crate::translate::stack::Operand;
use dolmen_abi::signature::MachineSignature;
use dolmen_abi::types::{CompositeType, FuncType, HeapType, RefType, TypeIdx, ValType};
use std::collections::BTreeSet;

/// What is known about an operand beyond its type.
#[derive(Clone, Debug)]
pub(crate) enum Fact {
    Is(Constant),
    OneOf(Choice),
}

/// A few constants that an operand is most likely one of.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    /// The head of the chain of loads: the reference that decides.
    head: Value,
    /// What the head may be, and what the operand is then.
    cases: Vec<(Constant, Constant)>,
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
}

/// Where a call goes.
pub(crate) enum Targets {
    /// To this function.
    Certain(u32),
    /// To that of the first guard that holds; if none does, wherever the reference says.
    Guarded(Vec<Guard>),
}

impl FunctionTranslator<'_, '_, '_> {
    /// Notes a fact about the operand on top of the stack.
    pub(crate) fn note_fact(&mut self, fact: Option<Fact>) {
        let Some(fact) = fact else { return };
        self.facts.push(fact);
        self.stack.set_fact(FactIdx(self.facts.len() as u32 - 1));
    }

    fn fact(&self, operand: Operand) -> Option<&Fact> {
        operand.fact.map(|FactIdx(index)| &self.facts[index as usize])
    }

    /// The value of an immutable global, if it is known; never while globals are being initialised.
    pub(crate) fn known_global(&self, global: u32) -> Option<Constant> {
        if self.in_init { None } else { self.unit.module.constants.global(global) }
    }

    /// The value of a field of a known object.
    pub(crate) fn known_field(&self, object: Operand, field: u32) -> Option<Constant> {
        match self.fact(object)? {
            Fact::Is(Constant::Object(object)) => self.unit.module.constants.field(self.unit.module, *object, field),
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

    /// What can be said about `loaded`, which comes from a field of an object whose fact does not tell it.
    pub(crate) fn field_fact(&self, object: Operand, ty: TypeIdx, field: u32, loaded: Value) -> Option<Fact> {
        let module = self.unit.module;
        if let Some(Fact::OneOf(choice)) = self.fact(object) {
            let value = |&(head, object)| match object {
                Constant::Object(object) => Some((head, module.constants.field(module, object, field)?)),
                _ => None,
            };
            if let Some(cases) = choice.cases.iter().map(value).collect() {
                return Some(Fact::OneOf(Choice { head: choice.head, cases }));
            }
        }
        let ty = self.narrowest_struct(object.ty, field).unwrap_or(ty);
        let values = module.field_values.field(module, ty, field)?;
        let cases = values.iter().map(|&value| (value, value)).collect();
        Some(Fact::OneOf(Choice { head: loaded, cases }))
    }

    /// The struct type with that field that an operand's static type names.
    fn narrowest_struct(&self, ty: ValType, field: u32) -> Option<TypeIdx> {
        let ValType::Ref(RefType { heap: HeapType::Concrete(ty) | HeapType::Exact(ty), .. }) = ty else { return None };
        match &self.unit.module.sub_type(ty).composite {
            CompositeType::Struct(fields) if (field as usize) < fields.len() => Some(ty),
            _ => None,
        }
    }

    /// Where a call of a function reference goes, if that is known or few functions come into question.
    pub(crate) fn targets(&self, callee: Operand, ty: TypeIdx) -> Option<Targets> {
        match self.fact(callee) {
            Some(&Fact::Is(Constant::Func(func))) => Some(Targets::Certain(func)),
            Some(Fact::OneOf(choice)) => self.chosen_targets(choice, callee.value, ty),
            _ => self.targets_by_type(callee.value, ty),
        }
    }

    /// The functions of a type, if they are few.
    pub(crate) fn targets_by_type(&self, callee: Value, ty: TypeIdx) -> Option<Targets> {
        let funcs = self.unit.module.field_values.funcs_of_type(self.unit.module, ty);
        if funcs.is_empty() || funcs.len() > MAX_GUARDS_BY_TYPE {
            return None;
        }
        Some(Targets::Guarded(funcs.iter().map(|&func| self.func_guard(callee, func)).collect()))
    }

    fn chosen_targets(&self, choice: &Choice, callee: Value, ty: TypeIdx) -> Option<Targets> {
        let signature = MachineSignature::from(self.unit.module.func_type(ty));
        let called = |&(head, value): &(Constant, Constant)| match value {
            Constant::Func(func) if self.has_signature(func, &signature) => Some((head, func)),
            _ => None,
        };
        let cases: Vec<(Constant, u32)> = choice.cases.iter().filter_map(called).collect();
        if cases.len() == choice.cases.len()
            && cases.len() <= MAX_GUARDS
            && let Some(guards) = cases.iter().map(|&(head, func)| self.head_guard(choice.head, head, func)).collect()
        {
            return Some(Targets::Guarded(guards));
        }
        let funcs: BTreeSet<u32> = cases.into_iter().map(|(_, func)| func).collect();
        if funcs.is_empty() || funcs.len() > MAX_GUARDS {
            return None;
        }
        Some(Targets::Guarded(funcs.into_iter().map(|func| self.func_guard(callee, func)).collect()))
    }

    fn has_signature(&self, func: u32, signature: &MachineSignature) -> bool {
        MachineSignature::from(self.unit.module.type_of_func(func)) == *signature
    }

    /// The guard that a reference is to a function of this instance.
    pub(crate) fn func_guard(&self, callee: Value, func: u32) -> Guard {
        Guard { actual: callee, expected: self.func_ref(func), func }
    }

    /// The guard that the head of a chain of loads is an object that this instance keeps in a global.
    fn head_guard(&self, head: Value, expected: Constant, func: u32) -> Option<Guard> {
        let expected = match expected {
            Constant::Object(object) => self.load_object(object)?,
            Constant::Func(func) => self.func_ref(func),
            _ => return None,
        };
        Some(Guard { actual: head, expected, func })
    }

    /// The reference to a constant object, if a global holds it.
    fn load_object(&self, object: ObjectIdx) -> Option<Value> {
        Some(self.load_global(self.unit.module.constants.object(object).global?))
    }

    /// Calls the function of the first guard that holds, or else what `otherwise` gives, with the operands on the stack.
    pub(crate) fn call_guarded(
        &mut self,
        guards: &[Guard],
        ty: &FuncType,
        otherwise: impl FnOnce(&mut Self) -> Callee,
    ) {
        let call = self.prepare_call(ty);
        let join = self.new_block("");
        let mut returned = Vec::new();
        for guard in guards {
            let next = self.branch_to_target(guard);
            let callee = self.direct_callee(guard.func);
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
        guards: &[Guard],
        ty: &FuncType,
        otherwise: impl FnOnce(&mut Self) -> Callee,
    ) {
        let call = self.prepare_call(ty);
        for guard in guards {
            let next = self.branch_to_target(guard);
            let callee = self.direct_callee(guard.func);
            self.finish_tail_call(&call, callee);
            self.b.position_at_end(next);
        }
        let callee = otherwise(self);
        self.finish_tail_call(&call, callee);
        self.reachable = false;
    }

    /// Goes on where the guard holds; the result is the block where it does not.
    fn branch_to_target(&mut self, guard: &Guard) -> Block {
        let (target, next) = (self.new_block("target"), self.new_block(""));
        let holds = self.equal(guard.actual, guard.expected);
        self.b.cond_br(holds, target, next);
        self.b.position_at_end(target);
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
