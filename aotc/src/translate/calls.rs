//! Calls: direct, imported, indirect, through references; as tail calls too.
//!
//! Arguments and results travel as [`dolmen_abi::signature`] says. A call inside a `try_table` or `try` is an `invoke`
//! whose unwind destination is the innermost handler's landing pad.

use crate::bonuses::BONUS;
use crate::convention::CONTEXTS;
use crate::error::CompileError;
use crate::gc::markers;
use crate::llvm::{C_CC, IntPredicate, Op, TAIL_CC, Type, Value, attribute_index};
use crate::module::nests;
use crate::translate::devirtualise::Targets;
use crate::translate::function::FunctionTranslator;
use crate::translate::stack::Handler;
use dolmen_abi::context::ImportedFunc;
use dolmen_abi::object::{FUNC_CODE_OFFSET, FUNC_INSTANCE_OFFSET};
use dolmen_abi::signature::{MAX_REGISTER_RESULTS, MachineSignature, surplus_params};
use dolmen_abi::trap::TrapCode;
use dolmen_abi::types::{FuncType, TypeIdx, ValType};
use wasmparser::Operator;

/// What is called: code and the instance that it takes.
#[derive(Clone, Copy)]
pub(crate) struct Callee {
    pub(crate) code: Value,
    pub(crate) instance: Value,
    /// Whether a call polls although it names a function of higher rank: it was one through a reference
    /// ([`CallTrees`](crate::module::call_trees::CallTrees)).
    polls: bool,
    inlining: Inlining,
}

impl Callee {
    /// One of which nothing else is to be said.
    fn new(code: Value, instance: Value) -> Self {
        Self { code, instance, polls: false, inlining: Inlining::Usual }
    }
}

/// What LLVM's inliner is told about a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inlining {
    /// Nothing.
    Usual,
    /// The module calls the function here only, as far as direct calls go.
    OnlyCall,
    /// The function becomes part of its caller.
    Merged,
    /// The function stays apart unless it is small ([`nests`]).
    Apart,
}

/// What LLVM's inliner may pay more, about five for an instruction, for a function that is called in one place only. It
/// would do so by itself if functions were not visible to other partitions.
const ONLY_CALL_BONUS: &str = "500";

/// A call whose operands are taken from the stack.
pub(crate) struct PreparedCall {
    signature: MachineSignature,
    /// The arguments in registers, without the contexts.
    args: Vec<Value>,
    is_polled: bool,
}

impl FunctionTranslator<'_, '_, '_> {
    /// Translates the operator if it is of this family.
    pub(crate) fn translate_call(&mut self, operator: &Operator<'_>) -> Result<bool, CompileError> {
        match *operator {
            Operator::Call { function_index } => {
                let ty = self.unit.module.type_of_func(function_index);
                let mut call = self.prepare_call(ty);
                let inlining = self.inlining(function_index, &call);
                let callee = Callee { inlining, ..self.direct_callee(function_index) };
                if self.unit.is_far(function_index) {
                    call.args.iter_mut().for_each(|arg| *arg = self.unit.passed_on(*arg));
                }
                let results = self.finish_call(&call, callee);
                self.push_results(&results, ty);
            }
            Operator::ReturnCall { function_index } => {
                let callee = self.direct_callee(function_index);
                self.tail_call(callee, self.unit.module.type_of_func(function_index));
            }
            Operator::CallRef { type_index } => self.call_reference(TypeIdx(type_index), false),
            Operator::ReturnCallRef { type_index } => self.call_reference(TypeIdx(type_index), true),
            Operator::CallIndirect { type_index, table_index } => {
                self.call_element(TypeIdx(type_index), table_index, false);
            }
            Operator::ReturnCallIndirect { type_index, table_index } => {
                self.call_element(TypeIdx(type_index), table_index, true);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What is to be done with a direct call of a function.
    fn inlining(&self, func: u32, call: &PreparedCall) -> Inlining {
        let module = self.unit.module;
        let position = |func| module.defined_position(func);
        let is_constant = |arg: &Value| arg.const_int().is_some();
        if position(func).is_some_and(|position| module.merged.contains(position)) {
            Inlining::Merged
        } else if module.call_trees.is_called_once(module, func) {
            Inlining::OnlyCall
        } else if let (Some(caller), Some(callee)) = (self.func_index().and_then(position), position(func))
            && module.nests.stays_apart(caller, callee)
            && !call.args.iter().any(is_constant)
        {
            Inlining::Apart
        } else {
            Inlining::Usual
        }
    }

    /// A function of the module, imported or defined.
    pub(crate) fn direct_callee(&self, func: u32) -> Callee {
        if self.unit.module.defined_position(func).is_some() {
            return Callee::new(self.unit.function(func), self.instance);
        }
        let record = self.unit.layout.imported_funcs + func * size_of::<ImportedFunc>() as u32;
        let field = |offset: usize| self.load_instance(self.unit.types.ptr, record + offset as u32);
        let code = field(core::mem::offset_of!(ImportedFunc, code));
        Callee::new(code, field(core::mem::offset_of!(ImportedFunc, instance)))
    }

    /// A function of the module that is called instead of a reference.
    pub(crate) fn devirtualised_callee(&self, func: u32) -> Callee {
        let is_light = self.unit.module.call_trees.is_light(self.unit.module, func);
        Callee { polls: self.unit.polls && !is_light, ..self.direct_callee(func) }
    }

    /// Pops a function reference and calls it; traps if it is null.
    fn call_reference(&mut self, ty: TypeIdx, is_tail: bool) {
        let operand = self.stack.pop();
        let targets = if self.counts_calls() {
            self.trap_if_null(operand, TrapCode::NullFunctionReference);
            self.count_call(operand.value);
            None
        } else {
            self.observed_targets(self.targets(operand, ty), operand.value, ty)
        };
        self.call_targets(targets, ty, is_tail, |this| {
            this.trap_if_null(operand, TrapCode::NullFunctionReference);
            this.referenced_callee(operand.value)
        });
    }

    /// Pops a table index and calls the element; traps unless it is a function of a subtype of `ty`.
    fn call_element(&mut self, ty: TypeIdx, table: u32, is_tail: bool) {
        let index = self.pop();
        let element = self.load_table_element(table, index, TrapCode::UndefinedElement);
        let targets = if self.counts_calls() {
            let is_null = self.is_null(element);
            self.trap_if(is_null, TrapCode::UninitializedElement);
            self.count_call(element);
            None
        } else {
            self.observed_targets(self.targets_by_type(element, ty), element, ty)
        };
        self.call_targets(targets, ty, is_tail, |this| this.element_callee(element, ty));
    }

    /// Calls one of the targets, or else what `otherwise` gives.
    fn call_targets(
        &mut self,
        targets: Option<Targets>,
        ty: TypeIdx,
        is_tail: bool,
        otherwise: impl FnOnce(&mut Self) -> Callee,
    ) {
        let ty = self.unit.module.func_type(ty);
        match (targets, is_tail) {
            (Some(Targets::Guarded(guards)), false) => self.call_guarded(&guards, ty, otherwise),
            (Some(Targets::Guarded(guards)), true) => self.tail_call_guarded(&guards, ty, otherwise),
            (targets, _) => {
                let callee = match targets {
                    Some(Targets::Certain(func)) => self.devirtualised_callee(func),
                    _ => otherwise(self),
                };
                if is_tail { self.tail_call(callee, ty) } else { self.call(callee, ty) }
            }
        }
    }

    fn referenced_callee(&self, reference: Value) -> Callee {
        let field = |offset: u32| {
            let load = self.b.load(self.unit.types.ptr, self.object_address(reference, offset));
            self.unit.mark_invariant(load);
            load
        };
        // Saves a load, one of two that a call waits for; and instances are in the register that callees want them in.
        let is_own = self.unit.module.stored_values.functions_are_own;
        let instance = if is_own { self.instance } else { field(FUNC_INSTANCE_OFFSET) };
        Callee::new(field(FUNC_CODE_OFFSET), instance)
    }

    /// What a table's element calls; traps unless it is a function of a subtype of `ty`.
    fn element_callee(&mut self, element: Value, ty: TypeIdx) -> Callee {
        let is_null = self.is_null(element);
        self.trap_if(is_null, TrapCode::UninitializedElement);
        let matches = self.is_instance(element, ty);
        let mismatch = self.b.binary(Op::Xor, matches, self.unit.types.i1.int(1));
        self.trap_if(mismatch, TrapCode::IndirectCallTypeMismatch);
        self.referenced_callee(element)
    }

    /// Calls with the operands on the stack and pushes the results.
    fn call(&mut self, callee: Callee, ty: &FuncType) {
        let call = self.prepare_call(ty);
        let results = self.finish_call(&call, callee);
        self.push_results(&results, ty);
    }

    /// Calls in place of this function's frame.
    fn tail_call(&mut self, callee: Callee, ty: &FuncType) {
        let call = self.prepare_call(ty);
        self.finish_tail_call(&call, callee);
        self.reachable = false;
    }

    /// Takes the operands of a call from the stack.
    pub(crate) fn prepare_call(&mut self, ty: &FuncType) -> PreparedCall {
        let signature = MachineSignature::from(ty);
        let is_polled = self.poll_before_surplus(&signature);
        let args = self.pop_arguments(&signature);
        PreparedCall { signature, args, is_polled }
    }

    /// Calls; the values are the results in registers.
    pub(crate) fn finish_call(&mut self, call: &PreparedCall, callee: Callee) -> Vec<Value> {
        let function_type = self.unit.function_type(&call.signature);
        let result = self.emit_call(function_type, callee.code, &self.all_arguments(call, callee));
        self.mark_poll(result, call, callee);
        let inlining = match callee.inlining {
            Inlining::Usual => None,
            Inlining::OnlyCall => Some(self.unit.context.string_attribute(BONUS, ONLY_CALL_BONUS)),
            Inlining::Merged => Some(self.unit.context.enum_attribute("alwaysinline", 0)),
            Inlining::Apart => {
                Some(self.unit.context.string_attribute("function-inline-cost-multiplier", nests::COST_FACTOR))
            }
        };
        if let Some(attribute) = inlining {
            result.add_call_attribute(attribute_index::FUNCTION, attribute);
        }
        match call.signature.results.len().min(MAX_REGISTER_RESULTS) {
            0 => vec![],
            1 => vec![result],
            count => (0..count).map(|index| self.b.extract_value(result, index as u32)).collect(),
        }
    }

    /// Calls and returns what the callee returns; nothing may follow in the block.
    pub(crate) fn finish_tail_call(&mut self, call: &PreparedCall, callee: Callee) {
        let function_type = self.unit.function_type(&call.signature);
        let result = self.b.call(function_type, callee.code, &self.all_arguments(call, callee), TAIL_CC);
        self.mark_poll(result, call, callee);
        result.set_must_tail();
        if call.signature.results.is_empty() {
            self.b.ret_void();
        } else {
            self.b.ret(result);
        }
    }

    /// The heap's base comes when references are lowered: until then nothing needs it.
    fn all_arguments(&self, call: &PreparedCall, callee: Callee) -> Vec<Value> {
        let thread = if callee.polls { self.thread_through_reference() } else { self.thread };
        let contexts: [_; CONTEXTS] = [thread, callee.instance, self.unit.types.ptr.poison()];
        [&contexts, call.args.as_slice()].concat()
    }

    /// The thread context for a function that is called instead of a reference.
    fn thread_through_reference(&self) -> Value {
        let marker = self.unit.intrinsic(markers::THROUGH, &[self.unit.types.ptr]);
        self.b.call(marker.function_type(), marker, &[self.thread], C_CC)
    }

    /// Polls, if a call has surplus arguments: between their stores and the call they are no roots. Returns whether
    /// it did.
    fn poll_before_surplus(&self, signature: &MachineSignature) -> bool {
        let is_polled = self.unit.polls && surplus_params(&signature.params).contains(&true);
        if is_polled {
            self.poll();
        }
        is_polled
    }

    /// Emits a poll.
    pub(super) fn poll(&self) {
        let poll = markers::poll(self.unit.context, self.unit.llvm, &self.unit.types);
        self.b.call(poll.function_type(), poll, &[self.thread], C_CC);
    }

    /// Notes that an emitted call needs no other poll, or one in any case, also where inlining makes an ordinary call of a
    /// tail call.
    fn mark_poll(&self, emitted: Value, call: &PreparedCall, callee: Callee) {
        let attributes = [(call.is_polled, markers::POLLED_CALL), (callee.polls, markers::POLLING_CALL)];
        for (_, name) in attributes.into_iter().filter(|(applies, _)| *applies) {
            emitted.add_call_attribute(attribute_index::FUNCTION, self.unit.context.string_attribute(name, ""));
        }
    }

    /// The arguments in registers; the surplus ones are stored where the callee takes them from.
    fn pop_arguments(&mut self, signature: &MachineSignature) -> Vec<Value> {
        let operands = self.stack.pop_many(signature.params.len());
        let mut args = Vec::new();
        let mut next_surplus = 0;
        for (operand, surplus) in operands.iter().zip(surplus_params(&signature.params)) {
            if surplus {
                let store = self.b.store(operand.value, self.surplus_slot(next_surplus));
                self.unit.alias.tag(store, self.unit.metadata.tbaa, self.unit.alias.surplus);
                next_surplus += 1;
            } else {
                args.push(operand.value);
            }
        }
        args
    }

    /// The parameters of this function become its first locals.
    pub(crate) fn declare_params(&mut self, params: &[ValType]) {
        let machine: Vec<_> = params.iter().map(|&ty| ty.into()).collect();
        let (mut next_register, mut next_surplus) = (CONTEXTS, 0);
        for (&ty, surplus) in params.iter().zip(surplus_params(&machine)) {
            let value = if surplus {
                let load = self.b.load(self.lower_type(ty), self.surplus_slot(next_surplus));
                self.unit.alias.tag(load, self.unit.metadata.tbaa, self.unit.alias.surplus);
                next_surplus += 1;
                load
            } else {
                next_register += 1;
                self.function.param(next_register - 1)
            };
            self.declare_local(ty, Some(value));
        }
    }

    /// A call that may throw into the innermost `try_table`.
    ///
    /// It keeps the caller's frame even where it is the last thing the caller does: otherwise LLVM makes loops of
    /// recursive functions, and those that never end then run forever instead of exhausting the stack.
    pub(crate) fn emit_call(&mut self, ty: Type, code: Value, args: &[Value]) -> Value {
        match self.innermost_handler() {
            None => {
                let call = self.b.call(ty, code, args, TAIL_CC);
                call.set_no_tail();
                call
            }
            Some(handler) => {
                let go_on = self.new_block("");
                let result = self.b.invoke(ty, code, args, TAIL_CC, (go_on, handler.pad));
                self.b.position_at_end(go_on);
                result
            }
        }
    }

    /// Pushes what a call returned: in registers, and where surplus results are.
    pub(crate) fn push_results(&mut self, in_registers: &[Value], ty: &FuncType) {
        for (index, &result_type) in ty.results.iter().enumerate() {
            let value = in_registers.get(index).copied().unwrap_or_else(|| {
                let slot = self.surplus_slot(index - MAX_REGISTER_RESULTS);
                let load = self.b.load(self.lower_type(result_type), slot);
                self.unit.alias.tag(load, self.unit.metadata.tbaa, self.unit.alias.surplus);
                if matches!(result_type, ValType::Ref(_)) {
                    // LLVM would take it out of a loop to where it is used, but behind a poll the slot is no root, and polls
                    // come when references are lowered.
                    load.set_volatile();
                }
                load
            });
            self.push(value, result_type);
        }
    }

    /// The handler of the innermost `try_table` or `try` around the current point.
    pub(crate) fn innermost_handler(&self) -> Option<Handler> {
        self.control.last().and_then(|frame| frame.handler)
    }

    /// Whether two words are equal.
    pub(crate) fn equal(&self, lhs: Value, rhs: Value) -> Value {
        self.b.icmp(IntPredicate::Eq, lhs, rhs)
    }
}
