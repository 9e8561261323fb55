//! One function under translation: builder, operands, control frames, locals, and the fragments of IR that all
//! opcode families use.
//!
//! Locals live in stack slots, which LLVM's first pass turns into values. Traps are shared cold blocks at the
//! end of the function, one for each trap code. Unreachable code is not translated: [`FunctionTranslator::reachable`]
//! tells the dispatcher to skip until a frame ends that can be reached.

use crate::convention::{INSTANCE, THREAD};
use crate::error::CompileError;
use crate::llvm::{Block, Builder, IntPredicate, Type, Value};
use crate::translate::devirtualise::Fact;
use crate::translate::stack::{Frame, Operand, OperandStack};
use crate::translate::unit::Unit;
use dolmen_abi::builtin::Builtin;
use dolmen_abi::context::ThreadContext;
use dolmen_abi::trap::TrapCode;
use dolmen_abi::types::{HeapType, RefType, TypeIdx, ValType};
use std::collections::BTreeMap;
use wasmparser::{BlockType, FunctionBody, Operator};

/// The address and type of a local.
#[derive(Clone, Copy)]
pub(crate) struct Local {
    pub(crate) slot: Value,
    pub(crate) ty: ValType,
}

/// The state of a function's translation.
pub(crate) struct FunctionTranslator<'u, 'c, 'm> {
    pub(crate) unit: &'u Unit<'c, 'm>,
    pub(crate) b: Builder<'c>,
    pub(crate) function: Value,
    /// The thread context.
    pub(crate) thread: Value,
    /// The instance context.
    pub(crate) instance: Value,
    pub(crate) stack: OperandStack,
    pub(crate) control: Vec<Frame>,
    pub(crate) locals: Vec<Local>,
    /// How many of the locals are parameters.
    pub(crate) param_count: u32,
    /// Whether the current point can be reached.
    pub(crate) reachable: bool,
    /// Results of the function.
    pub(crate) result_types: Vec<ValType>,
    /// Whether this is an init function: immutable globals may still change.
    pub(crate) in_init: bool,
    /// Offset of the current operator in the module, for errors.
    pub(crate) offset: u64,
    /// The function's index and the offset of its body in the module; not of init functions.
    body: Option<(u32, u64)>,
    /// What is known about operands.
    pub(crate) facts: Vec<Fact>,
    trap_blocks: BTreeMap<u32, Block>,
    /// Definitions of memories and tables, by offset in the instance context.
    definitions: BTreeMap<u32, Value>,
    /// Allocas and definitions go in front of this block's terminator.
    entry: Block,
}

impl<'u, 'c, 'm> FunctionTranslator<'u, 'c, 'm> {
    /// Starts a function; the builder stands in its first block after the entry block.
    pub(crate) fn new(unit: &'u Unit<'c, 'm>, function: Value, result_types: Vec<ValType>) -> Self {
        let b = Builder::new(unit.context);
        let entry = unit.context.append_block(function, "entry");
        let body = unit.context.append_block(function, "body");
        b.position_at_end(entry);
        b.br(body);
        b.position_at_end(body);
        Self {
            unit,
            b,
            function,
            thread: function.param(THREAD),
            instance: function.param(INSTANCE),
            stack: OperandStack::default(),
            control: Vec::new(),
            locals: Vec::new(),
            param_count: 0,
            reachable: true,
            result_types,
            in_init: false,
            offset: 0,
            body: None,
            facts: Vec::new(),
            trap_blocks: BTreeMap::new(),
            definitions: BTreeMap::new(),
            entry,
        }
    }

    /// Translates the whole body of function `func`, whose parameters are its first locals.
    pub(crate) fn translate_body(&mut self, func: u32, body: &FunctionBody<'_>) -> Result<(), CompileError> {
        self.body = Some((func, body.range().start));
        self.offset = body.range().start;
        let params = &self.unit.module.type_of_func(func).params;
        self.declare_params(params);
        self.param_count = params.len() as u32;
        for group in body.get_locals_reader()? {
            let (count, ty) = group?;
            let ty = crate::module::types::val_type(ty, body.range().start)?;
            for _ in 0..count {
                self.declare_local(ty, None);
            }
        }
        self.profile_entry();
        if self.unit.polls && self.unit.module.call_trees.polls_at_entry(self.unit.module, func) {
            self.poll();
        }
        self.push_body_frame();
        let mut reader = body.get_operators_reader()?;
        while !self.control.is_empty() {
            self.offset = reader.original_position();
            let operator = reader.read()?;
            self.translate(&operator)?;
        }
        Ok(())
    }

    fn translate(&mut self, operator: &Operator<'_>) -> Result<(), CompileError> {
        if self.reachable { self.translate_operator(operator) } else { self.skip_unreachable(operator) }
    }

    /// Declares a local, initialised with a value or with zero; a non-nullable reference without a value stays
    /// undefined, since validation guarantees that it is set first.
    pub(crate) fn declare_local(&mut self, ty: ValType, value: Option<Value>) {
        let slot = self.alloca(self.lower_type(ty));
        let value = value.unwrap_or_else(|| self.lower_type(ty).zero());
        self.b.store(value, slot);
        self.locals.push(Local { slot, ty });
    }

    /// A stack slot for the whole function.
    pub(crate) fn alloca(&self, ty: Type) -> Value {
        self.in_entry(|| self.b.alloca(ty))
    }

    /// Emits at the end of the entry block, which executes first and once.
    fn in_entry(&self, emit: impl FnOnce() -> Value) -> Value {
        let here = self.b.block();
        let branch = self.entry.terminator().expect("the entry block branches to the body");
        self.b.position_before(branch);
        let value = emit();
        self.b.position_at_end(here);
        value
    }

    /// The pointer at this offset of the instance context to the definition of a memory or table.
    ///
    /// It is loaded in the entry block: LLVM forgets where it points when it moves the load out of a condition.
    pub(crate) fn definition(&mut self, offset: u32) -> Value {
        if let Some(&definition) = self.definitions.get(&offset) {
            return definition;
        }
        let definition = self.in_entry(|| self.load_instance(self.unit.types.ptr, offset));
        self.unit.mark_definition(definition);
        self.definitions.insert(offset, definition);
        definition
    }

    /// The index of the function under translation, unless it is an init function.
    pub(crate) fn func_index(&self) -> Option<u32> {
        self.body.map(|(func, _)| func)
    }

    /// The position of the function among the defined ones, and the current operator's offset in its body.
    pub(crate) fn place(&self) -> Option<(usize, u64)> {
        let (func, start) = self.body?;
        Some((func as usize - self.unit.module.meta.imported_funcs(), self.offset - start))
    }

    /// Tells LLVM which way a branch mostly goes that the current operator makes, if the module has a hint. The first
    /// successor is the one where the operator's condition holds.
    pub(crate) fn add_branch_hint(&self, branch: Value) {
        if let Some([holds, fails]) = self.observed_branch() {
            let shift = super::profile::shift(holds.max(fails));
            if holds | fails != 0 {
                self.unit.mark_weights(branch, holds >> shift, fails >> shift);
            }
            return;
        }
        let hint = self.body.and_then(|(func, start)| self.unit.module.hints.get(func, self.offset - start));
        if let Some(holds) = hint {
            self.unit.mark_expected(branch, holds);
        }
    }

    /// The LLVM type of values of a wasm type.
    pub(crate) fn lower_type(&self, ty: ValType) -> Type {
        self.unit.types.machine(ty.into())
    }

    pub(crate) fn i32(&self, value: u32) -> Value {
        self.unit.types.i32.int(value.into())
    }

    pub(crate) fn i64(&self, value: u64) -> Value {
        self.unit.types.i64.int(value)
    }

    pub(crate) fn push(&mut self, value: Value, ty: ValType) {
        self.stack.push(value, ty);
    }

    /// Pops an operand's value.
    pub(crate) fn pop(&mut self) -> Value {
        self.stack.pop().value
    }

    /// A new block at the end of the function.
    pub(crate) fn new_block(&self, name: &str) -> Block {
        self.unit.context.append_block(self.function, name)
    }

    /// Loads a field of the instance context that never changes.
    pub(crate) fn load_instance(&self, ty: Type, offset: u32) -> Value {
        let offset = self.unit.numbers.place(offset, ty.size_bytes());
        self.unit.note_invariant_place(offset);
        self.unit.load_invariant(&self.b, ty, self.instance, offset as usize)
    }

    /// Loads a field of the thread context that never changes.
    pub(crate) fn load_thread(&self, ty: Type, offset: usize) -> Value {
        self.unit.load_invariant(&self.b, ty, self.thread, offset)
    }

    /// The type word of a type of the module.
    pub(crate) fn type_word(&self, ty: TypeIdx) -> Value {
        self.load_instance(self.unit.types.i32, self.unit.type_word_offset(ty))
    }

    /// Traps with `code` if the condition holds; goes on otherwise.
    pub(crate) fn trap_if(&mut self, condition: Value, code: TrapCode) {
        let trap = self.trap_block(code);
        let go_on = self.new_block("");
        // No branch weights: LLVM knows that a block without return is cold, while weights would travel to the
        // `or` of merged checks, which code generation then turns into a branch of its own.
        self.b.cond_br(condition, trap, go_on);
        self.b.position_at_end(go_on);
    }

    /// Traps with `code`; the current point becomes unreachable.
    pub(crate) fn trap(&mut self, code: TrapCode) {
        let trap = self.trap_block(code);
        self.b.br(trap);
        self.reachable = false;
    }

    fn trap_block(&mut self, code: TrapCode) -> Block {
        if let Some(&block) = self.trap_blocks.get(&(code as u32)) {
            return block;
        }
        let block = self.new_block("trap");
        let here = self.b.block();
        self.b.position_at_end(block);
        self.call_builtin(Builtin::Trap, &[self.i32(code as u32)]);
        self.b.unreachable();
        self.b.position_at_end(here);
        self.trap_blocks.insert(code as u32, block);
        block
    }

    /// Traps if a reference is null, unless its static type says that it is not.
    pub(crate) fn trap_if_null(&mut self, operand: Operand, code: TrapCode) {
        if let ValType::Ref(RefType { nullable: false, .. }) = operand.ty {
            return;
        }
        let is_null = self.is_null(operand.value);
        self.trap_if(is_null, code);
    }

    pub(crate) fn is_null(&self, reference: Value) -> Value {
        self.b.icmp(IntPredicate::Eq, reference, self.unit.types.reference.zero())
    }

    /// Calls a builtin that does not throw.
    pub(crate) fn call_builtin(&self, builtin: Builtin, args: &[Value]) -> Value {
        let call = self.unit.call_builtin(&self.b, self.thread, builtin, args, &[]);
        // The function is to be seen in backtraces while the builtin runs, or waits.
        call.set_no_tail();
        call
    }

    /// The address of slot `index` of the thread's surplus values.
    pub(crate) fn surplus_slot(&self, index: usize) -> Value {
        let offset =
            core::mem::offset_of!(ThreadContext, surplus) + index * dolmen_abi::signature::VALUE_SLOT_BYTES as usize;
        self.unit.context_address(&self.b, self.thread, offset)
    }

    /// Parameters and results of a block type.
    pub(crate) fn block_type(&self, ty: BlockType) -> Result<(Vec<ValType>, Vec<ValType>), CompileError> {
        Ok(match ty {
            BlockType::Empty => (vec![], vec![]),
            BlockType::Type(ty) => (vec![], vec![crate::module::types::val_type(ty, self.offset)?]),
            BlockType::FuncType(index) => {
                let ty = self.unit.module.func_type(TypeIdx(index));
                (ty.params.clone(), ty.results.clone())
            }
        })
    }

    /// The non-nullable reference type to a type of the module.
    pub(crate) fn ref_to(ty: TypeIdx) -> ValType {
        ValType::Ref(RefType { nullable: false, heap: HeapType::Concrete(ty) })
    }

    /// An operator that this version does not compile.
    pub(crate) fn unsupported<T>(&self, what: impl Into<String>) -> Result<T, CompileError> {
        Err(CompileError::unsupported(self.offset, what))
    }
}
