//! Instances that nobody needs: they are not passed.
//!
//! The problem: every function is passed its instance, and one that ends in a tail call passes it on. So it has a register
//! all the time, even where neither the function nor any that follow look at it, as the handlers of an interpreter whose
//! state is in objects. Such code is short of registers, and saves one for its caller that it could do without.
//!
//! In a closed module ([`crate::module`], `boundary`) a call through a reference can only reach functions of the module
//! that references are made of, and of them those with the machine type of the call. If none of these uses its instance
//! but to call through references of types for which the same holds, any word will do. The types are found by taking away
//! from all those for which it does not hold, until nothing changes.
//!
//! This runs when all else is done: what a function uses is what is left of it. All functions must be at hand, so it is
//! for modules that are compiled in one part. Trampolines and calls of imported functions pass what they did: the instance
//! that these take is not their caller's own.

use crate::convention::{INSTANCE, is_wasm_call, passes_only};
use crate::llvm::{Type, Value, attribute_index};
use crate::translate::unit::{Unit, is_of_module};
use std::collections::HashSet;

/// What functions and calls say of the instance that is passed.
const ATTRIBUTES: [&str; 3] = ["nonnull", "dereferenceable", "align"];

/// Lets calls pass no instance where nobody needs it, in a module that is compiled in one part.
pub(crate) fn forget(unit: &Unit<'_, '_>) {
    if !unit.module.stored_values.functions_are_own {
        return;
    }
    let referenced: Vec<_> = unit.module.meta.func_refs.iter().map(|&func| unit.function(func)).collect();
    let types = types_without_need(&referenced);
    if types.is_empty() {
        return;
    }
    let index = attribute_index::param(INSTANCE);
    for function in unit.llvm.functions().into_iter().filter(|function| is_of_module(*function)) {
        let instance = function.param(INSTANCE);
        for user in instance.users().into_iter().filter(|&user| passes_on(user, instance, &types)) {
            user.set_operand(INSTANCE, instance.ty().poison());
            ATTRIBUTES.into_iter().for_each(|name| user.remove_call_attribute(index, name));
        }
    }
    for function in referenced.into_iter().filter(|function| types.contains(&function.function_type())) {
        ATTRIBUTES.into_iter().for_each(|name| function.remove_attribute(index, name));
    }
}

/// The types of functions, all that references are made of, of which none needs its instance.
fn types_without_need(referenced: &[Value]) -> HashSet<Type> {
    let mut types: HashSet<Type> = referenced.iter().map(|function| function.function_type()).collect();
    loop {
        let before = types.len();
        let in_need = |function: &Value| needs_instance(*function, &types);
        let needed: HashSet<Type> = referenced.iter().copied().filter(in_need).map(Value::function_type).collect();
        types.retain(|ty| !needed.contains(ty));
        if types.len() == before {
            return types;
        }
    }
}

/// Whether a function does anything with its instance but pass it to functions of these types, through references.
fn needs_instance(function: Value, types: &HashSet<Type>) -> bool {
    let instance = function.param(INSTANCE);
    !function.is_definition() || instance.users().into_iter().any(|user| !passes_on(user, instance, types))
}

/// Whether an instruction is a call through a reference, of a function of one of these types, that passes an instance.
fn passes_on(user: Value, instance: Value, types: &HashSet<Type>) -> bool {
    is_wasm_call(user)
        && user.called_function().is_none()
        && !user.is_inline_assembly()
        && passes_only(user, instance, INSTANCE)
        && types.contains(&user.called_type())
}
