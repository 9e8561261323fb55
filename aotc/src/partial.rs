//! Partial inlining: where a function returns early, its callers need not call it.
//!
//! The problem: LLVM inlines a function as a whole or not at all. Many functions are short for most calls and long for a
//! few: they return what they have, and make it at its first use, or they find out by a comparison that nothing is to be
//! done. Their callers then pay for a call and for the registers that the long part saves.
//!
//! So of functions that have calls left when inlining is done, a second version is made, which calls the whole function
//! where it would do anything but load and compute. This version is inlined at the calls.
//!
//! ```text
//! f(x): if (x.table == null) { x.table = make(x) }; return x.table        calls of f
//! f'(x): if (x.table == null) return f(x); return x.table                 inlined for them
//! ```
//!
//! The whole function starts again from its arguments. That is right, since nothing has happened yet. What it loads may be
//! another value than before if another thread writes meanwhile; whatever it then does, it could have done at once.
//!
//! The blocks of the version are the *clean* ones, which only load and compute and can be reached through such blocks, and
//! mere traps. A block that others lead to as well, such as a common return, is then reached from clean ones only. The
//! version is worth inlining if it returns somewhere and is not much longer than a call.

use crate::convention::gate;
use crate::copy::Copy;
use crate::gc::cfg::{BlockIdx, Cfg};
use crate::gc::markers::{POLLED_CALL, POLLING_CALL};
use crate::llvm::{Block, Builder, LlvmError, Opcode, TAIL_CC, TargetMachine, Value, attribute_index};
use crate::pipeline;
use crate::translate::unit::{Unit, is_of_module};
use dolmen_abi::builtin::Effect;
use std::collections::HashMap;

/// Attribute of calls of whole functions that are left where a version of them was inlined.
pub(crate) const REST_CALL: &str = "dolmen-rest";

/// Instructions of a version, at most, but for what becomes part of an address.
const MAX_INSTRUCTIONS: usize = 10;

/// Functions with more blocks are not looked at.
const MAX_BLOCKS: usize = 200;

/// Inlines parts of functions into their callers, in the unit's LLVM module. The result is the names of these callers.
///
/// # Errors
///
/// LLVM does not know a pass: a bug of this compiler.
pub(crate) fn run(unit: &Unit<'_, '_>, target: &TargetMachine) -> Result<Vec<String>, LlvmError> {
    let mut versions: HashMap<Value, Option<Version>> = HashMap::new();
    let mut callers = Vec::new();
    for caller in unit.llvm.functions().into_iter().filter(|f| is_of_module(*f)) {
        let mut changed = false;
        let instructions = caller.blocks().into_iter().flat_map(|block| block.instructions());
        for call in instructions.filter(|&i| may_inline(i)).collect::<Vec<_>>() {
            let Some(callee) = call.called_function().filter(|&f| f != caller && is_of_module(f)) else { continue };
            if let Some(version) = *versions.entry(callee).or_insert_with(|| make_version(unit, callee)) {
                call.set_operand(call.operand_count() - 1, version.function);
                version.poll_as(unit, call);
                let inline = unit.context.enum_attribute("alwaysinline", 0);
                call.add_call_attribute(attribute_index::FUNCTION, inline);
                changed = true;
            }
        }
        if changed {
            callers.push(caller);
        }
    }
    if callers.is_empty() {
        return Ok(vec![]);
    }
    versions.into_values().flatten().for_each(|version| version.function.set_internal());
    let names: Vec<_> = callers.into_iter().map(Value::name).collect();
    unit.llvm.run_passes(pipeline::merge(), target)?;
    // With the last call of a function that is here to be inlined the function goes.
    let left = names.iter().filter_map(|name| unit.llvm.function(name)).filter(|function| function.is_definition());
    left.into_iter().try_for_each(|caller| caller.run_passes(pipeline::after_partial_inlining(), target))?;
    Ok(names)
}

/// What callers get instead of a function.
#[derive(Clone, Copy)]
struct Version {
    function: Value,
    /// Its call of the whole function.
    rest: Value,
}

impl Version {
    /// Lets the call of the whole function poll if a call does that the version is inlined for.
    fn poll_as(self, unit: &Unit<'_, '_>, call: Value) {
        if call.has_call_string_attribute(POLLING_CALL) {
            let polling = unit.context.string_attribute(POLLING_CALL, "");
            self.rest.add_call_attribute(attribute_index::FUNCTION, polling);
        }
    }
}

/// Whether an instruction is a call in the convention of wasm functions that may be inlined: it comes back, and needs no
/// poll in front of the stores of its arguments.
fn may_inline(instruction: Value) -> bool {
    match instruction.opcode() {
        Opcode::Call if instruction.is_must_tail() => false,
        Opcode::Call | Opcode::Invoke => {
            instruction.call_convention() == TAIL_CC
                && !instruction.has_call_string_attribute(POLLED_CALL)
                && !instruction.has_call_attribute("noinline")
        }
        _ => false,
    }
}

/// Makes the version of a function that its callers get, if it returns early.
fn make_version(unit: &Unit<'_, '_>, whole: Value) -> Option<Version> {
    if whole.has_personality() || whole.blocks().len() > MAX_BLOCKS {
        return None;
    }
    let cfg = Cfg::new(whole);
    let clean = clean(&cfg);
    let kept: Vec<BlockIdx> = (0..cfg.blocks.len()).filter(|&block| is_kept(&cfg, &clean, block)).collect();
    let returns = |block: &BlockIdx| cfg.instructions[*block].last().is_some_and(|i| i.opcode() == Opcode::Ret);
    let is_divided = kept.len() < cfg.blocks.len() && kept.iter().any(returns);
    let is_counted = |i: &&Value| !matches!(i.opcode(), Opcode::Phi | Opcode::GetElementPtr);
    let counted = |&block: &BlockIdx| cfg.instructions[block].iter().filter(is_counted).count();
    let instructions: usize = kept.iter().filter(|&&block| clean[block]).map(counted).sum();
    (is_divided && instructions <= MAX_INSTRUCTIONS).then(|| version(unit, whole, &cfg, &kept))
}

/// The blocks that can be reached through such as do nothing but compute and load, and do no more themselves. Loops are
/// none of them.
fn clean(cfg: &Cfg) -> Vec<bool> {
    let mut clean = vec![false; cfg.blocks.len()];
    for block in 0..cfg.blocks.len() {
        let predecessors = &cfg.predecessors[block];
        let is_header = predecessors.iter().any(|&from| from >= block);
        let is_reached = block == 0 || predecessors.iter().any(|&from| clean[from]);
        clean[block] = is_reached && !is_header && cfg.instructions[block].iter().all(|&i| is_pure(i));
    }
    clean
}

/// Whether an instruction only computes or loads, or is a branch or a return.
fn is_pure(instruction: Value) -> bool {
    match instruction.opcode() {
        Opcode::Load => instruction.is_plain_access(),
        Opcode::Call
        | Opcode::Store
        | Opcode::Invoke
        | Opcode::LandingPad
        | Opcode::AtomicAccess
        | Opcode::Alloca
        | Opcode::Unreachable => false,
        _ => !instruction.is_fence(),
    }
}

/// Whether a block is part of the version: clean, or a trap that clean blocks lead to.
fn is_kept(cfg: &Cfg, clean: &[bool], block: BlockIdx) -> bool {
    clean[block] || is_trap(cfg, block) && cfg.predecessors[block].iter().any(|&from| clean[from])
}

/// Whether a block does nothing but trap.
fn is_trap(cfg: &Cfg, block: BlockIdx) -> bool {
    let may_precede = |&i: &Value| is_pure(i) || i.opcode() == Opcode::Call && is_trap_gate(i);
    let Some((last, before)) = cfg.instructions[block].split_last() else { return false };
    last.opcode() == Opcode::Unreachable && before.iter().all(may_precede)
}

fn is_trap_gate(call: Value) -> bool {
    gate(call).is_some_and(|gate| matches!(gate.signature().effect, Effect::Traps))
}

fn version(unit: &Unit<'_, '_>, whole: Value, cfg: &Cfg, kept: &[BlockIdx]) -> Version {
    let (function, rest) = copy(unit, whole, cfg, kept);
    // It keeps its caller's frame, as other calls do.
    rest.set_no_tail();
    rest.add_call_attribute(attribute_index::FUNCTION, unit.context.string_attribute(REST_CALL, ""));
    Version { function, rest }
}

/// Makes a function of some blocks of another one, the entry first, that calls the whole where it would leave them. With
/// this call.
pub(crate) fn copy(unit: &Unit<'_, '_>, whole: Value, cfg: &Cfg, kept: &[BlockIdx]) -> (Value, Value) {
    let version = unit.declare(&format!("{}.part", whole.name()), whole.function_type(), TAIL_CC);
    let mut copy = Copy::new(unit);
    for param in 0..whole.param_count() {
        copy.values.insert(whole.param(param), version.param(param));
    }
    let kept: Vec<Block> = kept.iter().map(|&block| cfg.blocks[block]).collect();
    for &block in &kept {
        copy.blocks.insert(block, unit.context.append_block(version, ""));
    }
    kept.iter().for_each(|&block| copy.copy_block(block, false));
    copy.mend_operands(&kept);
    let outside = unit.context.append_block(version, "rest");
    let rest = call_whole(unit, whole, &copy.b, outside);
    for copied in copy.blocks.values() {
        for successor in copied.successors().into_iter().filter(|to| to.parent() != version) {
            copied.replace_successor(successor, outside);
        }
    }
    (version, rest)
}

/// Fills a block of a version with a call of the whole function.
fn call_whole(unit: &Unit<'_, '_>, whole: Value, b: &Builder<'_>, block: Block) -> Value {
    b.position_at_end(block);
    let version = block.parent();
    let args: Vec<_> = (0..version.param_count()).map(|param| version.param(param)).collect();
    let call = b.call(whole.function_type(), whole, &args, TAIL_CC);
    if call.ty() == unit.types.void {
        b.ret_void();
    } else {
        b.ret(call);
    }
    call
}

#[cfg(test)]
mod tests {
    use crate::{Options, compile};

    #[test]
    fn functions_of_other_partitions_may_go() {
        // `$g` is elsewhere, and translated along to be inlined. Where both arguments are the same, its early return is all
        // that is left of it, and so is that of `$h`, which it calls.
        let (others, many) = ("(func)".repeat(1100), "(call $far (i32.const 1))".repeat(20));
        let calls = "(drop (call $h (local.get 0)))".repeat(12);
        let text = format!(
            r#"(module (import "" "" (func $far (param i32)))
            (func $h (param i32) (result i32) (if (i32.eqz (local.get 0)) (then (return (i32.const 3)))) {many} (i32.const 5))
            (func $same (param i32) (result i32) (call $g (local.get 0) (local.get 0)))
            (func (export "f") (param i32) (result i32)
              (i32.add (call $same (local.get 0)) (call $same (i32.add (local.get 0) (i32.const 1)))))
            {others}
            (func $g (param i32 i32) (result i32)
              (if (i32.eq (local.get 0) (local.get 1)) (then (return (i32.const 7)))) {calls} (call $h (local.get 1)))
            (func (export "g") (param i32 i32) (result i32) (call $g (local.get 0) (local.get 1))))"#
        );
        let wasm = wat::parse_str(text.as_str()).expect("the text is right");
        assert!(compile(&wasm, &Options::default()).is_ok());
    }
}
