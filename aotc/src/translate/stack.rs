//! The operand stack and the control stack of a function under translation.

use crate::llvm::{Block, Value};
use crate::translate::devirtualise::FactIdx;
use dolmen_abi::types::ValType;
use smallvec::SmallVec;

/// An operand: its value, its static type, and what else is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operand {
    pub(crate) value: Value,
    pub(crate) ty: ValType,
    /// What else is known about it.
    pub(crate) fact: Option<FactIdx>,
}

impl Operand {
    pub(crate) fn new(value: Value, ty: ValType) -> Self {
        Self { value, ty, fact: None }
    }
}

/// What a control frame is.
#[derive(Debug)]
pub(crate) enum FrameKind {
    /// The function's body, or `block`.
    Block,
    Loop,
    /// `if`: the block of its `else` arm, and the operands that the arm starts with.
    If {
        otherwise: Block,
        params: SmallVec<[Operand; 4]>,
    },
    /// The `else` arm of an `if`.
    Else,
    /// `try_table`: where exceptions that its body throws go.
    TryTable {
        handler: Handler,
        catches: Vec<wasmparser::Catch>,
    },
    /// The body of a legacy `try`.
    Try(Handler),
    /// A clause of a legacy `try`.
    Catch {
        /// What was caught.
        exception: Value,
        /// Where exceptions go that no clause so far catches; nowhere after `catch_all`.
        others: Option<Block>,
    },
}

/// Where exceptions go that are thrown inside a `try_table` or `try`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handler {
    /// The landing pad for calls that throw; gets the exception from the thread context.
    pub(crate) pad: Block,
    /// The dispatch over the catch clauses.
    pub(crate) dispatch: Block,
    /// The exception object in the dispatch block: a phi.
    pub(crate) exception: Value,
}

impl FrameKind {
    /// Where exceptions that the frame's code throws go, if the frame handles them itself.
    pub(crate) fn own_handler(&self) -> Option<Handler> {
        match *self {
            Self::TryTable { handler, .. } | Self::Try(handler) => Some(handler),
            Self::Block | Self::Loop | Self::If { .. } | Self::Else | Self::Catch { .. } => None,
        }
    }
}

/// A control frame: a label that branches can name.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: FrameKind,
    /// Where a branch to the label goes.
    pub(crate) target: Block,
    /// Phis of the branch target: what a branch carries.
    pub(crate) phis: SmallVec<[Operand; 2]>,
    /// Where execution goes on after `end`; differs from `target` for loops.
    pub(crate) end: Block,
    /// Phis of the end block: the results.
    pub(crate) results: SmallVec<[Operand; 2]>,
    /// Where exceptions go that are thrown here.
    pub(crate) handler: Option<Handler>,
    /// Height of the operand stack below the frame's parameters.
    pub(crate) height: usize,
    /// Whether the frame's start can be reached; if not, its blocks do not exist in LLVM's IR.
    pub(crate) reachable: bool,
}

/// The operand stack.
#[derive(Debug, Default)]
pub(crate) struct OperandStack(Vec<Operand>);

impl OperandStack {
    pub(crate) fn push(&mut self, value: Value, ty: ValType) {
        self.0.push(Operand::new(value, ty));
    }

    /// Says what else is known about the top operand, just pushed.
    pub(crate) fn set_fact(&mut self, fact: Option<FactIdx>) {
        if let Some(operand) = self.0.last_mut() {
            operand.fact = fact;
        }
    }

    /// # Panics
    ///
    /// The stack is empty: a bug, since the function is valid and this point reachable.
    pub(crate) fn pop(&mut self) -> Operand {
        self.0.pop().expect("a valid function has its operands")
    }

    /// Pops `count` operands, in the order in which they were pushed.
    pub(crate) fn pop_many(&mut self, count: usize) -> SmallVec<[Operand; 4]> {
        self.0.drain(self.0.len() - count..).collect()
    }

    /// The top `count` operands, in the order in which they were pushed.
    pub(crate) fn top(&self, count: usize) -> &[Operand] {
        &self.0[self.0.len() - count..]
    }

    pub(crate) fn height(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn truncate(&mut self, height: usize) {
        self.0.truncate(height);
    }
}
