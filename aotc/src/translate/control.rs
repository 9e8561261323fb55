//! Blocks, loops, branches.
//!
//! Every label becomes a basic block whose phis take what branches carry. Blocks that no branch reaches have no
//! predecessors and are dropped by LLVM.

use crate::error::CompileError;
use crate::llvm::{Block, IntPredicate, Value};
use crate::translate::function::FunctionTranslator;
use crate::translate::stack::{Frame, FrameKind, Operand};
use dolmen_abi::signature::{MAX_REGISTER_RESULTS, MachineSignature};
use dolmen_abi::trap::TrapCode;
use dolmen_abi::types::{FuncType, ValType};
use smallvec::SmallVec;
use wasmparser::{BlockType, Operator};

impl FunctionTranslator<'_, '_, '_> {
    /// The frame of the function's body; its `end` returns.
    pub(crate) fn push_body_frame(&mut self) {
        let results = self.result_types.clone();
        self.push_frame(FrameKind::Block, &[], &results);
    }

    pub(crate) fn translate_block(&mut self, ty: BlockType) -> Result<(), CompileError> {
        let (params, results) = self.block_type(ty)?;
        self.push_frame(FrameKind::Block, &params, &results);
        Ok(())
    }

    pub(crate) fn translate_loop(&mut self, ty: BlockType) -> Result<(), CompileError> {
        let (params, results) = self.block_type(ty)?;
        let header = self.new_block("loop");
        let phis = self.make_phis(header, &params);
        let operands = self.stack.pop_many(params.len());
        self.add_incoming(&phis, &operands);
        self.b.br(header);
        self.b.position_at_end(header);
        let height = self.stack.height();
        for phi in &phis {
            self.push(phi.value, phi.ty);
        }
        let end = self.new_block("");
        let results = self.make_phis(end, &results);
        let (kind, handler) = (FrameKind::Loop, self.innermost_handler());
        self.control.push(Frame { kind, target: header, phis, end, results, handler, height, reachable: true });
        Ok(())
    }

    pub(crate) fn translate_if(&mut self, ty: BlockType) -> Result<(), CompileError> {
        let (params, results) = self.block_type(ty)?;
        let condition = self.pop_condition();
        let (then, otherwise) = (self.new_block("then"), self.new_block("else"));
        let branch = self.b.cond_br(condition, then, otherwise);
        self.add_branch_hint(branch);
        self.count_branch([then, otherwise]);
        self.b.position_at_end(then);
        let params_on_stack = self.stack.top(params.len()).into();
        self.push_frame(FrameKind::If { otherwise, params: params_on_stack }, &params, &results);
        Ok(())
    }

    pub(crate) fn translate_else(&mut self) {
        if self.reachable {
            self.branch_to_end();
        }
        let frame = self.control.last_mut().expect("`else` has its `if`");
        let FrameKind::If { otherwise, params } = std::mem::replace(&mut frame.kind, FrameKind::Else) else {
            panic!("`else` belongs to an `if`")
        };
        let (height, reachable) = (frame.height, frame.reachable);
        self.stack.truncate(height);
        for param in params {
            self.push(param.value, param.ty);
        }
        self.reachable = reachable;
        self.b.position_at_end(otherwise);
    }

    pub(crate) fn translate_end(&mut self) {
        if self.reachable {
            self.branch_to_end();
        }
        let frame = self.control.pop().expect("`end` has its frame");
        if !frame.reachable {
            self.stack.truncate(frame.height);
            self.reachable = false;
            return;
        }
        match &frame.kind {
            FrameKind::If { otherwise, params } => {
                // Without `else`, the parameters are the results.
                self.b.position_at_end(*otherwise);
                self.add_incoming(&frame.results, params);
                self.b.br(frame.end);
            }
            FrameKind::TryTable { handler, catches } => self.finish_handler(*handler, catches),
            FrameKind::Try(handler) => self.pass_on(handler.dispatch, handler.exception, self.innermost_handler()),
            &FrameKind::Catch { exception, others: Some(others) } => self.pass_on(others, exception, frame.handler),
            FrameKind::Catch { others: None, .. } => {}
            FrameKind::Block | FrameKind::Loop | FrameKind::Else => {}
        }
        self.stack.truncate(frame.height);
        self.b.position_at_end(frame.end);
        for result in &frame.results {
            self.push(result.value, result.ty);
        }
        self.reachable = true;
        if self.control.is_empty() {
            self.translate_return();
        }
    }

    pub(crate) fn translate_br(&mut self, depth: u32) {
        self.branch(depth);
        self.reachable = false;
    }

    pub(crate) fn translate_br_if(&mut self, depth: u32) {
        let condition = self.pop_condition();
        self.branch_if(condition, depth);
    }

    pub(crate) fn translate_br_table(&mut self, targets: &wasmparser::BrTable<'_>) -> Result<(), CompileError> {
        let index = self.pop();
        let here = self.b.block();
        let mut blocks = std::collections::HashMap::new();
        let mut case_block = |this: &mut Self, depth: u32| {
            *blocks.entry(depth).or_insert_with(|| {
                let block = this.new_block("case");
                this.b.position_at_end(block);
                this.branch(depth);
                block
            })
        };
        let default = case_block(self, targets.default());
        let mut cases = Vec::new();
        for (case, depth) in targets.targets().enumerate() {
            let block = case_block(self, depth?);
            cases.push((self.i32(case as u32), block));
        }
        self.b.position_at_end(here);
        self.b.switch(index, default, &cases);
        self.reachable = false;
        Ok(())
    }

    /// Returns the operands on top of the stack.
    pub(crate) fn translate_return(&mut self) {
        let results = self.stack.pop_many(self.result_types.len());
        for (index, result) in results.iter().enumerate().skip(MAX_REGISTER_RESULTS) {
            let slot = self.surplus_slot(index - MAX_REGISTER_RESULTS);
            let store = self.b.store(result.value, slot);
            self.unit.alias.tag(store, self.unit.metadata.tbaa, self.unit.alias.surplus);
        }
        match results.len() {
            0 => self.b.ret_void(),
            1 => self.b.ret(results[0].value),
            _ => {
                let ty = FuncType { params: vec![], results: self.result_types.clone() };
                let mut pair = self.unit.result_type(&MachineSignature::from(&ty)).poison();
                for (index, result) in results.iter().enumerate().take(MAX_REGISTER_RESULTS) {
                    pair = self.b.insert_value(pair, result.value, index as u32);
                }
                self.b.ret(pair)
            }
        };
        self.reachable = false;
    }

    pub(crate) fn translate_unreachable(&mut self) {
        self.trap(TrapCode::Unreachable);
    }

    /// Keeps track of frames in code that cannot be reached.
    pub(crate) fn skip_unreachable(&mut self, operator: &Operator<'_>) -> Result<(), CompileError> {
        match operator {
            Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::TryTable { .. }
            | Operator::Try { .. } => {
                let block = self.b.block();
                let kind = if matches!(operator, Operator::If { .. }) {
                    FrameKind::If { otherwise: block, params: SmallVec::new() }
                } else {
                    FrameKind::Block
                };
                self.control.push(Frame {
                    kind,
                    target: block,
                    phis: SmallVec::new(),
                    end: block,
                    results: SmallVec::new(),
                    handler: None,
                    height: self.stack.height(),
                    reachable: false,
                });
                Ok(())
            }
            Operator::Else => {
                self.translate_else();
                Ok(())
            }
            Operator::End => {
                self.translate_end();
                Ok(())
            }
            Operator::Catch { .. } | Operator::CatchAll | Operator::Delegate { .. } => {
                self.translate_legacy_exception(operator).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Opens a frame whose label is its end; its parameters stay on the stack.
    pub(crate) fn push_frame(&mut self, kind: FrameKind, params: &[ValType], results: &[ValType]) {
        let end = self.new_block("");
        let phis = self.make_phis(end, results);
        let height = self.stack.height() - params.len();
        let handler = kind.own_handler().or_else(|| self.innermost_handler());
        let results = phis.clone();
        self.control.push(Frame { kind, target: end, phis, end, results, handler, height, reachable: true });
    }

    fn make_phis(&self, block: Block, types: &[ValType]) -> SmallVec<[Operand; 2]> {
        let here = self.b.block();
        self.b.position_at_end(block);
        let phis = types.iter().map(|&ty| Operand::new(self.b.phi(self.lower_type(ty)), ty)).collect();
        self.b.position_at_end(here);
        phis
    }

    /// Says that control goes from here to the block of these phis with these operands.
    fn add_incoming(&self, phis: &[Operand], operands: &[Operand]) {
        let here = self.b.block();
        for (phi, operand) in phis.iter().zip(operands) {
            phi.value.add_incoming(operand.value, here);
        }
    }

    pub(crate) fn branch_to_end(&self) {
        let frame = self.control.last().expect("code is inside the body's frame");
        self.add_incoming(&frame.results, self.stack.top(frame.results.len()));
        self.b.br(frame.end);
    }

    /// Branches to a label with the operands on top of the stack, which stay.
    pub(crate) fn branch(&self, depth: u32) {
        let target = self.prepare_branch(depth);
        self.b.br(target);
    }

    /// Records a branch from here to a label with the operands on top of the stack; the caller branches.
    fn prepare_branch(&self, depth: u32) -> Block {
        let frame = &self.control[self.control.len() - 1 - depth as usize];
        self.add_incoming(&frame.phis, self.stack.top(frame.phis.len()));
        frame.target
    }

    /// Branches to a label if the condition holds.
    pub(crate) fn branch_if(&mut self, condition: Value, depth: u32) {
        let taken = self.new_block("");
        let go_on = self.new_block("");
        let branch = self.b.cond_br(condition, taken, go_on);
        self.add_branch_hint(branch);
        self.count_branch([taken, go_on]);
        self.b.position_at_end(taken);
        self.branch(depth);
        self.b.position_at_end(go_on);
    }

    /// Pops an `i32` and asks whether it is not zero.
    pub(crate) fn pop_condition(&mut self) -> Value {
        let value = self.pop();
        self.b.icmp(IntPredicate::Ne, value, self.i32(0))
    }
}
