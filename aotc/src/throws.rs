//! Throws that inlining has brought to their handler.
//!
//! The problem: a throw whose handler is in the same function of the module is a branch from the start
//! (`aotc/src/translate/exception.rs`). If the function that throws is inlined into the one that catches, LLVM
//! makes an `invoke` of the throw instead: the exception is made, the runtime unwinds the one frame and comes back to the
//! landing pad, whose first act is to load the exception that the thread has pending.
//!
//! So between inlining and scalar replacement the landing pad is divided,
//!
//! ```text
//! invoke throw(e) to … unwind P                     br P
//! invoke call()   to … unwind P            ►        invoke call() to … unwind N
//!                                                   N: landingpad, c = load pending, br P
//! P: landingpad, c = load pending, …                P: c' = phi (e, …), (c, N), …
//! ```
//!
//! and LLVM forwards what was stored in the exception to the handler that loads it, so that most of these exceptions need
//! not be made any more.

use crate::convention::GATE_CALL;
use crate::llvm::{Block, Builder, LlvmError, Opcode, TargetMachine, TypeKind, Value};
use crate::pipeline;
use crate::translate::unit::Unit;
use dolmen_abi::builtin::Builtin;
use dolmen_abi::context::ThreadContext;
use std::collections::BTreeMap;

/// Makes branches of throws in all functions of the unit's LLVM module.
///
/// # Errors
///
/// LLVM does not know a pass: a bug of this compiler.
pub(crate) fn run(unit: &Unit<'_, '_>, target: &TargetMachine) -> Result<(), LlvmError> {
    let functions = unit.llvm.functions();
    for function in functions.into_iter().filter(|f| f.is_definition() && f.has_personality()) {
        if make_branches(unit, function) {
            function.run_passes(pipeline::after_throws(), target)?;
        }
    }
    Ok(())
}

/// Tells whether there was any throw to a handler of the function.
fn make_branches(unit: &Unit<'_, '_>, function: Value) -> bool {
    let mut invokes: BTreeMap<usize, (Vec<Value>, Vec<Value>)> = BTreeMap::new();
    let blocks = function.blocks();
    let position = |block: Block| blocks.iter().position(|&b| b == block);
    let terminators = blocks.iter().filter_map(|block| block.terminator());
    for invoke in terminators.filter(|t| t.opcode() == Opcode::Invoke) {
        let Some(pad) = unwind_dest(invoke).and_then(position) else { continue };
        let (throws, calls) = invokes.entry(pad).or_default();
        if is_throw(invoke) { throws.push(invoke) } else { calls.push(invoke) }
    }
    let mut changed = false;
    for (pad, (throws, calls)) in invokes.into_iter().filter(|(_, (throws, _))| !throws.is_empty()) {
        if let Some(handler) = Handler::of(function, blocks[pad]) {
            handler.divide(unit, &throws, &calls);
            changed = true;
        }
    }
    changed
}

fn unwind_dest(invoke: Value) -> Option<Block> {
    invoke.block().successors().last().copied()
}

fn is_throw(invoke: Value) -> bool {
    invoke.call_string_attribute(GATE_CALL).is_some_and(|number| number == (Builtin::Throw as u32).to_string())
}

/// A block that exceptions arrive at.
struct Handler {
    function: Value,
    block: Block,
    landing_pad: Value,
    /// The load of the exception.
    pending: Value,
}

impl Handler {
    /// Finds the load, unless something comes before it that is not known here.
    fn of(function: Value, block: Block) -> Option<Self> {
        let instructions = block.instructions();
        let landing_pad = instructions.iter().copied().find(|i| i.opcode() == Opcode::LandingPad)?;
        let ordinary = instructions.into_iter().skip_while(|&i| i != landing_pad).skip(1);
        let pending = ordinary.take_while(|i| may_precede(*i)).find(|&i| is_pending_exception(function, i))?;
        (!landing_pad.has_uses()).then_some(Self { function, block, landing_pad, pending })
    }

    /// Makes throws branch to the block, and calls unwind to a landing pad in front of it.
    fn divide(&self, unit: &Unit<'_, '_>, throws: &[Value], calls: &[Value]) {
        let b = Builder::new(unit.context);
        let pad = (!calls.is_empty()).then(|| unit.context.append_block(self.function, "landing_pad"));
        for phi in self.block.phis() {
            self.divide_phi(&b, phi, throws, pad);
        }
        b.position_before(self.landing_pad);
        let exception = b.phi(self.pending.ty());
        throws.iter().for_each(|throw| exception.add_incoming(throw.operand(1), throw.block()));
        if let Some(pad) = pad {
            b.position_at_end(pad);
            b.insert_copy(self.landing_pad);
            let offset = core::mem::offset_of!(ThreadContext, pending_exception);
            let address = unit.context_address(&b, self.function.param(0), offset);
            let pending = b.insert_copy(self.pending);
            pending.set_operand(0, address);
            exception.add_incoming(pending, pad);
            b.br(self.block);
            calls.iter().for_each(|call| call.redirect(self.block, pad));
        }
        self.pending.replace_all_uses_with(exception);
        self.pending.erase();
        self.landing_pad.erase();
        for &throw in throws {
            // Nothing is known where a throw would come back to: no phi.
            b.position_before(throw);
            b.br(self.block);
            throw.erase();
        }
    }

    /// Gives a phi of the handler's block what arrives from throws, and by way of the landing pad from calls.
    fn divide_phi(&self, b: &Builder<'_>, phi: Value, throws: &[Value], pad: Option<Block>) {
        let is_thrown = |from: Block| throws.iter().any(|throw| throw.block() == from);
        let (thrown, called): (Vec<_>, Vec<_>) = phi.incoming().into_iter().partition(|&(_, from)| is_thrown(from));
        b.position_before(phi);
        let new = b.phi(phi.ty());
        thrown.into_iter().for_each(|(value, from)| new.add_incoming(value, from));
        if let Some(pad) = pad {
            b.position_at_end(pad);
            let in_pad = b.phi(phi.ty());
            called.into_iter().for_each(|(value, from)| in_pad.add_incoming(value, from));
            new.add_incoming(in_pad, pad);
        }
        phi.replace_all_uses_with(new);
        phi.erase();
    }
}

/// Whether an instruction leaves the pending exception as it is.
fn may_precede(instruction: Value) -> bool {
    matches!(instruction.opcode(), Opcode::GetElementPtr | Opcode::Load | Opcode::Arithmetic | Opcode::Select)
}

/// Whether an instruction loads the exception that the thread has pending.
fn is_pending_exception(function: Value, instruction: Value) -> bool {
    if instruction.opcode() != Opcode::Load || instruction.ty().kind() != TypeKind::Ref {
        return false;
    }
    let address = instruction.operand(0);
    let offset = core::mem::offset_of!(ThreadContext, pending_exception) as i64;
    address.is_instruction()
        && address.opcode() == Opcode::GetElementPtr
        && address.operand(0) == function.param(0)
        && address.operand_count() == 2
        && address.operand(1).const_int() == Some(offset)
}
