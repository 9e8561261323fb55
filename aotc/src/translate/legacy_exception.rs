//! Exceptions as they were before `try_table`: `try`, `catch`, `catch_all`, `delegate`, `rethrow`.
//!
//! Producers of before 3.0 emit them, so modules in the field have them. They are the same exceptions: both forms may
//! stand in one function, and catch what the other throws. A `try` has a landing pad and a dispatch like a
//! `try_table`, but its clauses are code in place instead of branches:
//!
//! ```text
//! body ─(throws)─► dispatch ─(tag 1)─► first clause ─► end
//!                     └─(others)─► … ─(others)─► the handler around, or that of the `delegate` label
//! ```
//!
//! While a clause runs, its frame holds the exception for `rethrow`, and what the clause throws goes to the
//! handler around the `try`. Reference: the legacy folder of the exception-handling proposal.

use crate::error::CompileError;
use crate::llvm::{Block, Value};
use crate::translate::function::FunctionTranslator;
use crate::translate::stack::{FrameKind, Handler};
use dolmen_abi::object::EXN_TAG_ID_OFFSET;
use dolmen_abi::types::ValType;
use wasmparser::{BlockType, Operator};

impl FunctionTranslator<'_, '_, '_> {
    /// Translates the operator if it is of this family. Clauses and `delegate` also come when the current point cannot
    /// be reached.
    pub(crate) fn translate_legacy_exception(&mut self, operator: &Operator<'_>) -> Result<bool, CompileError> {
        match *operator {
            Operator::Try { blockty } => self.translate_try(blockty)?,
            Operator::Catch { tag_index } => self.translate_catch(Some(tag_index)),
            Operator::CatchAll => self.translate_catch(None),
            Operator::Delegate { relative_depth } => self.translate_delegate(relative_depth),
            Operator::Rethrow { relative_depth } => self.translate_rethrow(relative_depth),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn translate_try(&mut self, ty: BlockType) -> Result<(), CompileError> {
        let (params, results) = self.block_type(ty)?;
        let handler = self.new_handler();
        self.push_frame(FrameKind::Try(handler), &params, &results);
        Ok(())
    }

    /// Starts a clause: for one tag, or for all exceptions.
    fn translate_catch(&mut self, tag: Option<u32>) {
        if self.reachable {
            self.branch_to_end();
        }
        let outer = self.handler_around_frame();
        let frame = self.control.last_mut().expect("a clause has its `try`");
        if !frame.reachable {
            return;
        }
        let (exception, untested) = match frame.kind {
            FrameKind::Try(Handler { exception, dispatch, .. }) => (exception, dispatch),
            FrameKind::Catch { exception, others: Some(others) } => (exception, others),
            ref other => panic!("a clause cannot follow {other:?}"),
        };
        frame.handler = outer;
        self.stack.truncate(frame.height);
        self.b.position_at_end(untested);
        let others = tag.map(|tag| {
            let tag_id = self.load_exception(exception, EXN_TAG_ID_OFFSET, ValType::I32);
            let others = self.dispatch_on(tag, tag_id);
            self.push_payload(tag, exception);
            others
        });
        self.control.last_mut().expect("as above").kind = FrameKind::Catch { exception, others };
        self.reachable = true;
    }

    /// Ends a `try` without clauses; its exceptions are thrown as if at a label, counted from outside the `try`.
    fn translate_delegate(&mut self, depth: u32) {
        let target = self.control.len() - 2 - depth as usize;
        let handler = self.control[target].handler;
        let frame = self.control.last_mut().expect("`delegate` has its `try`");
        if let FrameKind::Try(Handler { exception, dispatch, .. }) = frame.kind {
            frame.kind = FrameKind::Catch { exception, others: Some(dispatch) };
            frame.handler = handler;
        }
        self.translate_end();
    }

    /// Throws again what the clause with this label caught.
    fn translate_rethrow(&mut self, depth: u32) {
        let frame = &self.control[self.control.len() - 1 - depth as usize];
        let FrameKind::Catch { exception, .. } = frame.kind else {
            panic!("`rethrow` names a clause, not {:?}", frame.kind)
        };
        self.throw(exception);
    }

    /// Hands on the exceptions that arrive at a block.
    pub(crate) fn pass_on(&mut self, block: Block, exception: Value, handler: Option<Handler>) {
        self.b.position_at_end(block);
        self.throw_to(handler, exception);
    }

    /// Where exceptions go that are thrown around the innermost frame.
    fn handler_around_frame(&self) -> Option<Handler> {
        let around = self.control.len().checked_sub(2)?;
        self.control[around].handler
    }
}
