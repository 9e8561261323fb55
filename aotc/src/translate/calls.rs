//! Calls: direct, imported, indirect, through references; as tail calls too.
//!
//! Arguments and results travel as [`dolmen_abi::signature`] says. A call inside a `try_table` or `try` is an `invoke`
//! whose unwind destination is the innermost handler's landing pad.

use crate::error::CompileError;
use crate::gc::markers;
use crate::llvm::{C_CC, IntPredicate, Op, TAIL_CC, Type, Value, attribute_index};
use crate::translate::function::FunctionTranslator;
use crate::translate::stack::Handler;
use dolmen_abi::context::ImportedFunc;
use dolmen_abi::object::{FUNC_CODE_OFFSET, FUNC_INSTANCE_OFFSET};
use dolmen_abi::signature::{MAX_REGISTER_RESULTS, MachineSignature, surplus_params};
use dolmen_abi::trap::TrapCode;
use dolmen_abi::types::{FuncType, TypeIdx};
use wasmparser::Operator;

/// What is called: code and the instance that it takes.
#[derive(Clone, Copy)]
pub(crate) struct Callee {
    pub(crate) code: Value,
    pub(crate) instance: Value,
}

impl FunctionTranslator<'_, '_, '_> {
    /// Translates the operator if it is of this family.
    pub(crate) fn translate_call(&mut self, operator: &Operator<'_>) -> Result<bool, CompileError> {
        match *operator {
            Operator::Call { function_index } => {
                let callee = self.direct_callee(function_index);
                self.call(callee, self.unit.module.type_of_func(function_index));
            }
            Operator::ReturnCall { function_index } => {
                let callee = self.direct_callee(function_index);
                self.tail_call(callee, self.unit.module.type_of_func(function_index));
            }
            Operator::CallRef { type_index } => {
                let callee = self.pop_callee();
                self.call(callee, self.unit.module.func_type(TypeIdx(type_index)));
            }
            Operator::ReturnCallRef { type_index } => {
                let callee = self.pop_callee();
                self.tail_call(callee, self.unit.module.func_type(TypeIdx(type_index)));
            }
            Operator::CallIndirect { type_index, table_index } => {
                let callee = self.indirect_callee(TypeIdx(type_index), table_index);
                self.call(callee, self.unit.module.func_type(TypeIdx(type_index)));
            }
            Operator::ReturnCallIndirect { type_index, table_index } => {
                let callee = self.indirect_callee(TypeIdx(type_index), table_index);
                self.tail_call(callee, self.unit.module.func_type(TypeIdx(type_index)));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A function of the module, imported or defined.
    fn direct_callee(&self, func: u32) -> Callee {
        if func as usize >= self.unit.module.meta.imported_funcs() {
            return Callee { code: self.unit.function(func), instance: self.instance };
        }
        let record = self.unit.layout.imported_funcs + func * size_of::<ImportedFunc>() as u32;
        let field = |offset: usize| self.load_instance(self.unit.types.ptr, record + offset as u32);
        Callee {
            code: field(core::mem::offset_of!(ImportedFunc, code)),
            instance: field(core::mem::offset_of!(ImportedFunc, instance)),
        }
    }

    /// Pops a function reference; traps if it is null.
    fn pop_callee(&mut self) -> Callee {
        let operand = self.stack.pop();
        self.trap_if_null(operand, TrapCode::NullFunctionReference);
        self.referenced_callee(operand.value)
    }

    fn referenced_callee(&self, reference: Value) -> Callee {
        let field = |offset: u32| {
            let load = self.b.load(self.unit.types.ptr, self.object_address(reference, offset));
            self.unit.mark_invariant(load);
            load
        };
        Callee { code: field(FUNC_CODE_OFFSET), instance: field(FUNC_INSTANCE_OFFSET) }
    }

    /// Pops a table index; traps unless the element is a function of a subtype of `ty`.
    fn indirect_callee(&mut self, ty: TypeIdx, table: u32) -> Callee {
        let index = self.pop();
        let element = self.load_table_element(table, index, TrapCode::UndefinedElement);
        let is_null = self.is_null(element);
        self.trap_if(is_null, TrapCode::UninitializedElement);
        let matches = self.is_instance(element, ty);
        let mismatch = self.b.binary(Op::Xor, matches, self.unit.types.i1.int(1));
        self.trap_if(mismatch, TrapCode::IndirectCallTypeMismatch);
        self.referenced_callee(element)
    }

    /// Calls with the operands on the stack and pushes the results.
    fn call(&mut self, callee: Callee, ty: &FuncType) {
        let signature = MachineSignature::from(ty);
        let is_polled = self.poll_before_surplus(&signature);
        let args = self.pop_arguments(callee, &signature);
        let function_type = self.unit.function_type(&signature);
        let result = self.emit_call(function_type, callee.code, &args);
        self.mark_polled(result, is_polled);
        self.push_results(result, ty);
    }

    /// Calls in place of this function's frame.
    fn tail_call(&mut self, callee: Callee, ty: &FuncType) {
        let signature = MachineSignature::from(ty);
        let is_polled = self.poll_before_surplus(&signature);
        let args = self.pop_arguments(callee, &signature);
        let call = self.b.call(self.unit.function_type(&signature), callee.code, &args, TAIL_CC);
        self.mark_polled(call, is_polled);
        call.set_must_tail();
        if signature.results.is_empty() {
            self.b.ret_void();
        } else {
            self.b.ret(call);
        }
        self.reachable = false;
    }

    /// Polls, if a call has surplus arguments: between their stores and the call they are no roots. Returns whether
    /// it did.
    fn poll_before_surplus(&self, signature: &MachineSignature) -> bool {
        let is_polled = self.unit.polls && surplus_params(&signature.params).contains(&true);
        if is_polled {
            let poll = markers::poll(self.unit.context, self.unit.llvm, &self.unit.types);
            self.b.call(poll.function_type(), poll, &[self.thread], C_CC);
        }
        is_polled
    }

    /// Notes that a call needs no other poll.
    fn mark_polled(&self, call: Value, is_polled: bool) {
        if is_polled {
            let polled = self.unit.context.string_attribute(markers::POLLED_CALL, "");
            call.add_call_attribute(attribute_index::FUNCTION, polled);
        }
    }

    /// The arguments in registers; the surplus ones are stored where the callee takes them from.
    fn pop_arguments(&mut self, callee: Callee, signature: &MachineSignature) -> Vec<Value> {
        let operands = self.stack.pop_many(signature.params.len());
        let mut args = vec![self.thread, callee.instance];
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
    pub(crate) fn declare_params(&mut self, params: &[dolmen_abi::types::ValType]) {
        let machine: Vec<_> = params.iter().map(|&ty| ty.into()).collect();
        let (mut next_register, mut next_surplus) = (2, 0);
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

    /// Pushes what a call returned.
    fn push_results(&mut self, result: Value, ty: &FuncType) {
        for (index, &result_type) in ty.results.iter().enumerate() {
            let value = if index >= MAX_REGISTER_RESULTS {
                let slot = self.surplus_slot(index - MAX_REGISTER_RESULTS);
                let load = self.b.load(self.lower_type(result_type), slot);
                self.unit.alias.tag(load, self.unit.metadata.tbaa, self.unit.alias.surplus);
                load
            } else if ty.results.len() == 1 {
                result
            } else {
                self.b.extract_value(result, index as u32)
            };
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
