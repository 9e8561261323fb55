//! The border between host and compiled code: two functions for each machine signature, as
//! [`dolmen_abi::signature`] describes them.

use crate::convention::{CONTEXTS, INSTANCE, THREAD};
use crate::llvm::{Builder, C_CC, TAIL_CC, Value};
use crate::module::Module;
use crate::translate::unit::Unit;
use dolmen_abi::builtin::Builtin;
use dolmen_abi::context::ThreadContext;
use dolmen_abi::signature::{MAX_REGISTER_RESULTS, MachineSignature, MachineType, VALUE_SLOT_BYTES, surplus_params};
use dolmen_abi::types::CompositeType;
use std::collections::BTreeSet;

/// The machine signatures that a module mentions, ascending, with that of init functions.
pub(crate) fn signatures(module: &Module<'_>) -> Vec<MachineSignature> {
    let mut signatures = BTreeSet::from([MachineSignature { params: vec![], results: vec![] }]);
    for ty in &module.types {
        if let CompositeType::Func(func) = &ty.composite {
            signatures.insert(func.into());
        }
    }
    signatures.into_iter().collect()
}

/// Defines both trampolines of signature number `index`.
pub(crate) fn define(unit: &Unit<'_, '_>, index: usize, signature: &MachineSignature) {
    define_entry(unit, index, signature);
    define_host_call(unit, index, signature);
}

/// The address of slot `index` of an array of value slots.
fn slot(unit: &Unit<'_, '_>, b: &Builder<'_>, slots: Value, index: usize) -> Value {
    unit.context_address(b, slots, index * VALUE_SLOT_BYTES as usize)
}

fn surplus(unit: &Unit<'_, '_>, b: &Builder<'_>, thread: Value, index: usize) -> Value {
    let offset = core::mem::offset_of!(ThreadContext, surplus) + index * VALUE_SLOT_BYTES as usize;
    unit.context_address(b, thread, offset)
}

fn copy(unit: &Unit<'_, '_>, b: &Builder<'_>, ty: MachineType, from: Value, to: Value) {
    let value = b.load(unit.types.machine(ty), from);
    b.store(value, to);
}

fn define_entry(unit: &Unit<'_, '_>, index: usize, signature: &MachineSignature) {
    let ptr = unit.types.ptr;
    let ty = unit.context.function_type(unit.types.void, &[ptr, ptr, ptr, ptr]);
    let function = unit.declare_with_contexts(&format!("entry[{index}]"), ty, C_CC);
    let b = Builder::new(unit.context);
    b.position_at_end(unit.context.append_block(function, "entry"));
    let [thread, instance, code, slots] = [0, 1, 2, 3].map(|i| function.param(i));
    let heap_base = unit.load_heap_base(&b, thread);
    let mut args = vec![thread, instance, heap_base];
    let mut next_surplus = 0;
    for (index, (&param, is_surplus)) in signature.params.iter().zip(surplus_params(&signature.params)).enumerate() {
        let from = slot(unit, &b, slots, index);
        if is_surplus {
            copy(unit, &b, param, from, surplus(unit, &b, thread, next_surplus));
            next_surplus += 1;
        } else {
            args.push(b.load(unit.types.machine(param), from));
        }
    }
    let result = b.call(unit.function_type(signature), code, &args, TAIL_CC);
    for (index, &ty) in signature.results.iter().enumerate() {
        let to = slot(unit, &b, slots, index);
        if index >= MAX_REGISTER_RESULTS {
            copy(unit, &b, ty, surplus(unit, &b, thread, index - MAX_REGISTER_RESULTS), to);
        } else if signature.results.len() == 1 {
            b.store(result, to);
        } else {
            b.store(b.extract_value(result, index as u32), to);
        }
    }
    b.ret_void();
}

fn define_host_call(unit: &Unit<'_, '_>, index: usize, signature: &MachineSignature) {
    let function = unit.declare_with_contexts(&format!("host_call[{index}]"), unit.function_type(signature), TAIL_CC);
    let b = Builder::new(unit.context);
    b.position_at_end(unit.context.append_block(function, "entry"));
    let (thread, record) = (function.param(THREAD), function.param(INSTANCE));
    let slots = b.alloca(unit.types.v128.array(signature.slots().max(1) as u64));
    slots.set_alignment(VALUE_SLOT_BYTES);
    let (mut next_register, mut next_surplus) = (CONTEXTS, 0);
    for (index, (&param, is_surplus)) in signature.params.iter().zip(surplus_params(&signature.params)).enumerate() {
        let to = slot(unit, &b, slots, index);
        if is_surplus {
            copy(unit, &b, param, surplus(unit, &b, thread, next_surplus), to);
            next_surplus += 1;
        } else {
            b.store(function.param(next_register), to);
            next_register += 1;
        }
    }
    let call = unit.call_builtin(&b, thread, Builtin::HostCall, &[record, slots], &[]);
    call.set_no_tail();
    let mut result = unit.result_type(signature).poison_unless_void(unit.types.void);
    for (index, &ty) in signature.results.iter().enumerate() {
        let from = slot(unit, &b, slots, index);
        if index >= MAX_REGISTER_RESULTS {
            copy(unit, &b, ty, from, surplus(unit, &b, thread, index - MAX_REGISTER_RESULTS));
            continue;
        }
        let value = b.load(unit.types.machine(ty), from);
        result = match result {
            Some(pair) if signature.results.len() > 1 => Some(b.insert_value(pair, value, index as u32)),
            _ => Some(value),
        };
    }
    match result {
        Some(value) => b.ret(value),
        None => b.ret_void(),
    };
}
