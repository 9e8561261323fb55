//! The last change before code generation: how calls are made, and what LLVM's optimiser would undo.
//!
//! Until here the IR says what LLVM's optimiser and verifier understand. What the processor is to do is a little
//! different:
//!
//! **Wasm functions** have the convention `tailcc` until here, the only one whose tail calls may have another type than
//! their caller. Code generation lets `tailcc` functions pop their arguments, rounded up to eight bytes even where all
//! are in registers: every return is a `ret 8`, and `sub rsp, 8` follows every call. Arguments are always in registers
//! ([`dolmen_abi::signature`]), so `fastcc` does the same without. Its tail calls, too: only the verifier wants their types
//! to agree, and it ran before.
//!
//! **The heap's base** is an argument that nearly all functions need, so it gets a register of its own, r10, which LLVM has for
//! the `nest` argument of nested functions. Callees need not keep it: behind calls it is loaded again ([`remat`]). To load it
//! in each function instead costs those that do little and go on with a tail call a tenth of their time.
//!
//! **Gates** are builtins on slow paths: traps, throws, polls, allocation. Until here they are called by a name. To
//! code generation a call of one is a call like any other, for which the function around it must align the stack,
//! before the first branch if the slow paths are several. So these calls become inline assembly, which needs nothing
//! but its registers: a function that calls nothing else has no frame. References that have to survive the gate are
//! arguments behind its own; the assembly pushes them on the shadow stack in front of it and pops them behind. The
//! gates align the stack themselves. The memory below the stack pointer is then not the function's own (no red zone).
//! Throws in functions with landing pads stay calls: code generation makes one range of two calls with the same
//! landing pad if it sees nothing between them that throws, and it does not look into assembly.
//!
//! **Returns.** A path that calls nothing gets a return of its own, so that the frame can be made on the other paths only.

use crate::chases;
use crate::cpu::Arch;
use crate::llvm::{Builder, C_CC, Cast, FAST_CC, Opcode, TAIL_CC, Type, TypeKind, Value, attribute_index};
use crate::remat;
use crate::returns;
use crate::rotates;
use crate::translate::unit::Unit;
use crate::traps;
use crate::words;
use dolmen_abi::builtin::{Builtin, BuiltinType, Effect};
use dolmen_abi::context::ThreadContext;
use dolmen_abi::reference::REF_BYTES;
use std::fmt::Write;

/// Position of the thread context among the arguments of wasm functions.
pub(crate) const THREAD: usize = 0;

/// Position of the instance.
pub(crate) const INSTANCE: usize = 1;

/// Position of the heap's base.
pub(crate) const HEAP_BASE: usize = 2;

/// How many arguments are in front of a function's parameters.
pub(crate) const CONTEXTS: usize = 3;

/// Whether an instruction calls a function in the convention of wasm functions. Before [`apply`].
pub(crate) fn is_wasm_call(instruction: Value) -> bool {
    matches!(instruction.opcode(), Opcode::Call | Opcode::Invoke) && instruction.call_convention() == TAIL_CC
}

/// The calls of a function that are in the convention of wasm functions. Before [`apply`].
pub(crate) fn wasm_calls(function: Value) -> impl Iterator<Item = Value> {
    let instructions = function.blocks().into_iter().flat_map(|block| block.instructions());
    instructions.filter(|&instruction| is_wasm_call(instruction))
}

/// Whether a call passes a value as the argument at a position, and as nothing else.
pub(crate) fn passes_only(call: Value, value: Value, position: usize) -> bool {
    call.operand(position) == value && call.operands().filter(|&operand| operand == value).count() == 1
}

/// Attribute of calls of gates: the builtin's number.
pub(crate) const GATE_CALL: &str = "dolmen-gate";

/// How many references a call of a gate may keep: they take registers, all at once.
const MAX_KEPT: usize = 4;

/// Whether a call of a gate on this kind of processor can keep so many references.
pub(crate) fn keeps(arch: Arch, references: usize) -> bool {
    references == 0 || arch == Arch::X86_64 && references <= MAX_KEPT
}

/// What the names begin with by which gates are called before [`apply`].
pub(crate) const GATE_PREFIX: &str = "gate.";

/// The registers of a builtin's arguments behind the thread context, of one that preserves all registers and has a result
/// first.
const ARGUMENT_REGISTERS: [[&str; 2]; 2] = [["{eax}", "{edx}"], ["{esi}", "{edx}"]];

/// Prepares all functions of the unit's module.
pub(crate) fn apply(unit: &Unit<'_, '_>) {
    let functions = unit.llvm.functions();
    let nest = (unit.arch == Arch::X86_64).then(|| unit.context.enum_attribute("nest", 0));
    for &function in functions.iter().filter(|f| f.is_definition()) {
        let is_call = |i: Value| needs_frame(i) && !i.has_call_string_attribute(GATE_CALL);
        traps::join(unit, function, cause, is_call);
        rotates::join(unit, function);
        chases::branch(unit, function);
        remat::apply(unit, function, is_call);
        words::apply(unit, function);
        let mut has_gates = false;
        let is_seen = |gate: Builtin| gate.signature().effect == Effect::Throws && function.has_personality();
        for call in calls(function) {
            match gate(call) {
                Some(gate) if unit.arch == Arch::X86_64 && call.opcode() == Opcode::Call && !is_seen(gate) => {
                    replace_gate_call(unit, call, gate);
                    has_gates = true;
                }
                Some(gate) => call_through_table(unit, call, gate),
                _ if call.call_convention() == TAIL_CC => {
                    call.set_call_convention(FAST_CC);
                    if let Some(nest) = nest {
                        call.add_call_attribute(attribute_index::param(HEAP_BASE), nest);
                    }
                }
                _ => {}
            }
        }
        if has_gates {
            function.add_attribute(attribute_index::FUNCTION, unit.context.enum_attribute("noredzone", 0));
        }
        returns::split(unit, function, needs_frame);
    }
    for function in functions.into_iter().filter(|f| f.function_convention() == TAIL_CC) {
        function.set_function_convention(FAST_CC);
        if let Some(nest) = nest {
            function.add_attribute(attribute_index::param(HEAP_BASE), nest);
        }
    }
    // Object files would ask for them.
    let is_gate = |f: &Value| !f.is_definition() && f.name().starts_with(GATE_PREFIX);
    unit.llvm.functions().into_iter().filter(is_gate).for_each(Value::delete_function);
}

fn calls(function: Value) -> impl Iterator<Item = Value> {
    let instructions = function.blocks().into_iter().flat_map(|block| block.instructions());
    instructions.filter(|i| matches!(i.opcode(), Opcode::Call | Opcode::Invoke))
}

/// The gate that a call is one of.
pub(crate) fn gate(call: Value) -> Option<Builtin> {
    let number = call.call_string_attribute(GATE_CALL)?.parse::<usize>().ok()?;
    Some(Builtin::ALL[number])
}

/// Why an instruction traps, if it is a call of the gate for that, with the function's own thread context.
fn cause(instruction: Value) -> Option<i64> {
    let is_trap = instruction.opcode() == Opcode::Call && gate(instruction) == Some(Builtin::Trap);
    if !is_trap || instruction.operand(THREAD) != instruction.block().parent().param(THREAD) {
        return None;
    }
    instruction.operand(1).const_int()
}

/// Whether an instruction is a call that code generation makes a frame for.
fn needs_frame(instruction: Value) -> bool {
    match instruction.opcode() {
        Opcode::Invoke => true,
        Opcode::Call if instruction.is_must_tail() || instruction.is_inline_assembly() => false,
        Opcode::Call => !instruction.called_function().is_some_and(|callee| callee.name().starts_with("llvm.")),
        _ => false,
    }
}

/// Gives the call of a gate the address to call.
fn call_through_table(unit: &Unit<'_, '_>, call: Value, builtin: Builtin) {
    let b = Builder::new(unit.context);
    b.position_before(call);
    let address = unit.builtin_address(&b, call.operand(0), builtin);
    call.set_operand(call.operand_count() - 1, address);
}

/// Makes the call of a gate inline assembly.
fn replace_gate_call(unit: &Unit<'_, '_>, call: Value, builtin: Builtin) {
    let types = &unit.types;
    let b = Builder::new(unit.context);
    b.position_before(call);
    let signature = builtin.signature();
    let mut args = vec![call.operand(0)];
    let mut arg_types = vec![types.ptr];
    for index in 1..call.arg_count() {
        let value = call.operand(index);
        let is_reference = value.ty().kind() == TypeKind::Ref;
        args.push(if is_reference { b.cast(Cast::PtrToInt, value, types.i32) } else { value });
        arg_types.push(types.i32);
    }
    let result = output(unit, builtin);
    let ty = unit.context.function_type(result, &arg_types);
    let kept = args.len() - 1 - signature.params.len();
    let assembly = unit.context.inline_assembly(ty, &instructions(builtin, kept), &constraints(builtin, kept));
    let new = b.call(ty, assembly, &args, C_CC);
    for attribute in attributes(signature.effect) {
        new.add_call_attribute(attribute_index::FUNCTION, unit.context.enum_attribute(attribute, 0));
    }
    if let Some(result) = signature.result {
        let word = b.extract_value(new, 0);
        let is_reference = result == BuiltinType::Ref;
        call.replace_all_uses_with(if is_reference { b.cast(Cast::IntToPtr, word, types.reference) } else { word });
    }
    call.erase();
}

/// The call of a gate with so many references kept, the last of the assembly's operands.
fn instructions(builtin: Builtin, kept: usize) -> String {
    let table = core::mem::offset_of!(ThreadContext, builtins);
    let call = format!("movq {table}(%rdi), %r11\n\tcallq *{}(%r11)", builtin as usize * size_of::<u64>());
    if kept == 0 {
        return call;
    }
    let top = core::mem::offset_of!(ThreadContext, shadow_top);
    let first = outputs(builtin).len() + 1 + builtin.signature().params.len();
    let bytes = kept * REF_BYTES as usize;
    let mut text = format!("movq {top}(%rdi), %r11\n\t");
    for slot in 0..kept {
        let _ = write!(text, "movl ${}, {}(%r11)\n\t", first + slot, slot * REF_BYTES as usize);
    }
    text + &format!("addq $${bytes}, {top}(%rdi)\n\t{call}\n\tsubq $${bytes}, {top}(%rdi)")
}

/// What a gate that comes back leaves: its result, and r11, which says nothing.
///
/// It is a result because what is only changed has no type: code generation then compares its name with those of all
/// registers of all classes, several times for each call. (A list of all vector registers was a sixth of the time: gates
/// preserve them.) The flags have a name for assembly only among what it changes.
fn output(unit: &Unit<'_, '_>, builtin: Builtin) -> Type {
    let types = &unit.types;
    match outputs(builtin) {
        [] => types.void,
        [_] => types.i64,
        _ => unit.context.struct_type(&[types.i32, types.i64]),
    }
}

/// Whether a builtin may return.
pub(crate) fn comes_back(builtin: Builtin) -> bool {
    !matches!(builtin.signature().effect, Effect::Traps | Effect::Throws)
}

/// The registers of [`output`].
fn outputs(builtin: Builtin) -> &'static [&'static str] {
    match builtin.signature().result {
        _ if !comes_back(builtin) => &[],
        Some(_) => &["={eax}", "=&{r11}"],
        None => &["=&{r11}"],
    }
}

/// Registers of outputs and arguments, and what else a gate changes.
fn constraints(builtin: Builtin, kept: usize) -> String {
    let registers = &ARGUMENT_REGISTERS[usize::from(!builtin.takes_argument_in_result_register())];
    let mut all = outputs(builtin).to_vec();
    all.push("{rdi}");
    all.extend(&registers[..builtin.signature().params.len()]);
    all.extend(std::iter::repeat_n("r", kept));
    all.push("~{memory}");
    if comes_back(builtin) {
        all.push("~{flags}");
    }
    all.join(",")
}

fn attributes(effect: Effect) -> &'static [&'static str] {
    match effect {
        Effect::Traps | Effect::Throws => &["nounwind", "noreturn", "cold"],
        _ => &["nounwind"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_that_come_back_change_flags_and_memory() {
        let coming_back: Vec<_> = Builtin::ALL
            .iter()
            .filter(|gate| gate.is_gate() && comes_back(**gate))
            .map(|&gate| constraints(gate, 1))
            .collect();
        assert!(coming_back.len() > 1);
        for constraints in coming_back {
            assert!(constraints.ends_with(",~{memory},~{flags}"), "{constraints}");
        }
    }
}
