//! Copies of blocks, within a function or from one into another.
//!
//! First [`Copy::blocks`] gets the block that stands for each block, and [`Copy::values`] what stands for values from
//! outside that are others for the copy. Then each block is copied, and at the end the copies are made to refer to each
//! other.

use crate::llvm::{Block, Builder, Opcode, Value};
use crate::translate::unit::Unit;
use std::collections::HashMap;

/// A copy of blocks that is being made.
pub(crate) struct Copy<'c> {
    pub(crate) b: Builder<'c>,
    pub(crate) blocks: HashMap<Block, Block>,
    pub(crate) values: HashMap<Value, Value>,
}

impl<'c> Copy<'c> {
    /// One of nothing yet.
    pub(crate) fn new(unit: &Unit<'c, '_>) -> Self {
        Self { b: Builder::new(unit.context), blocks: HashMap::new(), values: HashMap::new() }
    }

    /// What stands for a value in the copy.
    pub(crate) fn value(&self, value: Value) -> Value {
        self.values.get(&value).copied().unwrap_or(value)
    }

    /// Copies a block.
    pub(crate) fn copy_block(&mut self, block: Block, without_phis: bool) {
        self.b.position_at_end(self.blocks[&block]);
        for instruction in block.instructions() {
            match instruction.opcode() {
                Opcode::Phi if without_phis => {}
                Opcode::Phi => drop(self.values.insert(instruction, self.b.phi(instruction.ty()))),
                _ => drop(self.values.insert(instruction, self.b.insert_copy(instruction))),
            }
        }
    }

    /// Lets the copies of instructions refer to each other, those of phis to the copies of predecessors only.
    pub(crate) fn mend_operands(&self, blocks: &[Block]) {
        for (original, copy) in blocks.iter().map(|block| (block, self.blocks[block])) {
            for instruction in copy.instructions().into_iter().filter(|i| i.opcode() != Opcode::Phi) {
                for (index, operand) in instruction.operands().enumerate().collect::<Vec<_>>() {
                    if let Some(&value) = self.values.get(&operand) {
                        instruction.set_operand(index, value);
                    }
                }
            }
            for phi in original.phis() {
                // Those of the header have no copy.
                let Some(copy) = self.values.get(&phi).filter(|copy| self.is_copied_phi(phi, **copy)) else { continue };
                for (value, from) in phi.incoming() {
                    if let Some(&from) = self.blocks.get(&from) {
                        copy.add_incoming(self.value(value), from);
                    }
                }
            }
            for successor in copy.successors() {
                if let Some(&to) = self.blocks.get(&successor) {
                    copy.replace_successor(successor, to);
                }
            }
        }
    }

    fn is_copied_phi(&self, phi: Value, copy: Value) -> bool {
        copy.is_instruction() && copy.block() == self.blocks[&phi.block()]
    }
}
