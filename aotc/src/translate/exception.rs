//! Exceptions: `try_table`, `throw`, `throw_ref`.
//!
//! A `try_table` has two blocks: the *landing pad*, which calls inside it unwind to, and the *dispatch*, which
//! compares the exception's tag with the catch clauses. A throw inside the same function goes to the dispatch
//! directly. What no clause catches goes to the dispatch of the next `try_table` around, or is thrown on.
//! Entering a `try_table` costs nothing.

use crate::error::CompileError;
use crate::llvm::Value;
use crate::translate::function::FunctionTranslator;
use crate::translate::stack::{FrameKind, Handler};
use dolmen_abi::builtin::Builtin;
use dolmen_abi::context::ThreadContext;
use dolmen_abi::object::EXN_TAG_ID_OFFSET;
use dolmen_abi::trap::TrapCode;
use dolmen_abi::types::{HeapType, RefType, ValType};
use wasmparser::{Catch, TryTable};

const EXN: ValType = ValType::Ref(RefType { nullable: false, heap: HeapType::Exn });

impl FunctionTranslator<'_, '_, '_> {
    pub(crate) fn translate_try_table(&mut self, try_table: &TryTable) -> Result<(), CompileError> {
        let (params, results) = self.block_type(try_table.ty)?;
        let handler = self.new_handler();
        self.push_frame(FrameKind::TryTable { handler, catches: try_table.catches.clone() }, &params, &results);
        Ok(())
    }

    pub(crate) fn translate_throw(&mut self, tag: u32) {
        let layout = self.unit.exception_layout(tag);
        let exn_type_words = self.unit.layout.exn_type_words;
        let type_word = self.load_instance(self.unit.types.i32, exn_type_words + 4 * tag);
        let exception = self.alloc_fixed(type_word, layout.size_bytes, &[]);
        let tag_id = self.tag_id(tag);
        self.store_exception(exception, EXN_TAG_ID_OFFSET, tag_id);
        let payload = self.stack.pop_many(layout.offsets.len());
        for (value, &offset) in payload.iter().zip(&layout.offsets) {
            self.store_exception(exception, offset, value.value);
        }
        self.throw(exception);
    }

    pub(crate) fn translate_throw_ref(&mut self) {
        let exception = self.stack.pop();
        self.trap_if_null(exception, TrapCode::NullExceptionReference);
        self.throw(exception.value);
    }

    pub(crate) fn new_handler(&self) -> Handler {
        let (pad, dispatch) = (self.new_block("landing_pad"), self.new_block("dispatch"));
        let here = self.b.block();
        self.b.position_at_end(dispatch);
        let exception = self.b.phi(self.unit.types.reference);
        self.b.position_at_end(pad);
        let types = &self.unit.types;
        let pad_type = self.unit.context.struct_type(&[types.ptr, types.i32]);
        let personality = self.unit.personality();
        if !self.function.has_personality() {
            self.function.set_personality(personality);
        }
        self.b.landing_pad(pad_type, personality, types.ptr.zero());
        let offset = core::mem::offset_of!(ThreadContext, pending_exception);
        let caught = self.b.load(types.reference, self.unit.context_address(&self.b, self.thread, offset));
        exception.add_incoming(caught, pad);
        self.b.br(dispatch);
        self.b.position_at_end(here);
        Handler { pad, dispatch, exception }
    }

    /// Fills the dispatch block of a `try_table` that ends; its frame is already gone.
    pub(crate) fn finish_handler(&mut self, handler: Handler, catches: &[Catch]) {
        self.b.position_at_end(handler.dispatch);
        let tag_id = self.load_exception(handler.exception, EXN_TAG_ID_OFFSET, ValType::I32);
        for catch in catches {
            let (tag, label, with_ref) = match *catch {
                Catch::One { tag, label } => (Some(tag), label, false),
                Catch::OneRef { tag, label } => (Some(tag), label, true),
                Catch::All { label } => (None, label, false),
                Catch::AllRef { label } => (None, label, true),
            };
            let next = tag.map(|tag| self.dispatch_on(tag, tag_id));
            let height = self.stack.height();
            if let Some(tag) = tag {
                self.push_payload(tag, handler.exception);
            }
            if with_ref {
                self.push(handler.exception, EXN);
            }
            self.branch(label);
            self.stack.truncate(height);
            match next {
                Some(next) => self.b.position_at_end(next),
                None => return,
            }
        }
        self.throw(handler.exception);
    }

    /// Goes on in a new block if the exception's tag is `tag`; the result is the block for other tags.
    pub(crate) fn dispatch_on(&mut self, tag: u32, tag_id: Value) -> crate::llvm::Block {
        let (caught, next) = (self.new_block("catch"), self.new_block(""));
        let wanted = self.tag_id(tag);
        let matches = self.equal(tag_id, wanted);
        self.b.cond_br(matches, caught, next);
        self.b.position_at_end(caught);
        next
    }

    pub(crate) fn push_payload(&mut self, tag: u32, exception: Value) {
        let layout = self.unit.exception_layout(tag);
        let module = self.unit.module;
        let params = &module.func_type(module.meta.tags[tag as usize]).params;
        for (&ty, &offset) in params.iter().zip(&layout.offsets) {
            let value = self.load_exception(exception, offset, ty);
            self.push(value, ty);
        }
    }

    /// Leaves the current point with an exception that is not null.
    pub(crate) fn throw(&mut self, exception: Value) {
        self.throw_to(self.innermost_handler(), exception);
    }

    /// Leaves the current point with an exception, to a handler of this function or to its callers.
    pub(crate) fn throw_to(&mut self, handler: Option<Handler>, exception: Value) {
        match handler {
            Some(handler) => {
                handler.exception.add_incoming(exception, self.b.block());
                self.b.br(handler.dispatch);
            }
            None => {
                self.call_builtin(Builtin::Throw, &[exception]);
                self.b.unreachable();
            }
        }
        self.reachable = false;
    }

    fn tag_id(&self, tag: u32) -> Value {
        self.load_instance(self.unit.types.i32, self.unit.layout.tag_ids + 4 * tag)
    }

    fn store_exception(&self, exception: Value, offset: u32, value: Value) {
        let store = self.b.store(value, self.object_address(exception, offset));
        store.set_alignment(4);
        self.unit.alias.tag(store, self.unit.metadata.tbaa, self.unit.alias.exception);
    }

    pub(crate) fn load_exception(&self, exception: Value, offset: u32, ty: ValType) -> Value {
        let load = self.b.load(self.lower_type(ty), self.object_address(exception, offset));
        load.set_alignment(4);
        self.unit.alias.tag(load, self.unit.metadata.tbaa, self.unit.alias.exception);
        load
    }
}
