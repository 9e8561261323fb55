//! Which family translates which operator.

use crate::error::CompileError;
use crate::translate::function::FunctionTranslator;
use wasmparser::Operator;

impl FunctionTranslator<'_, '_, '_> {
    /// Translates an operator at a point that can be reached.
    pub(crate) fn translate_operator(&mut self, operator: &Operator<'_>) -> Result<(), CompileError> {
        let done = self.translate_control(operator)?
            || self.translate_variable(operator)
            || self.translate_numeric(operator)?
            || self.translate_convert(operator)?
            || self.translate_call(operator)?
            || self.translate_reference(operator)?
            || self.translate_struct(operator)
            || self.translate_array(operator)
            || self.translate_cast(operator)?
            || self.translate_descriptor(operator)?
            || self.translate_i31(operator)
            || self.translate_memory(operator)?
            || self.translate_atomic(operator)?
            || self.translate_shared(operator)
            || self.translate_table(operator)?
            || self.translate_legacy_exception(operator)?
            || self.translate_simd(operator)?
            || self.translate_wide(operator);
        if done { Ok(()) } else { self.unsupported(format!("operator {}", operator_name(operator))) }
    }

    fn translate_control(&mut self, operator: &Operator<'_>) -> Result<bool, CompileError> {
        match *operator {
            Operator::Nop => {}
            Operator::Unreachable => self.translate_unreachable(),
            Operator::Block { blockty } => self.translate_block(blockty)?,
            Operator::Loop { blockty } => self.translate_loop(blockty)?,
            Operator::If { blockty } => self.translate_if(blockty)?,
            Operator::Else => self.translate_else(),
            Operator::End => self.translate_end(),
            Operator::Br { relative_depth } => self.translate_br(relative_depth),
            Operator::BrIf { relative_depth } => self.translate_br_if(relative_depth),
            Operator::BrTable { ref targets } => self.translate_br_table(targets)?,
            Operator::Return => self.translate_return(),
            Operator::TryTable { ref try_table } => self.translate_try_table(try_table)?,
            Operator::Throw { tag_index } => self.translate_throw(tag_index),
            Operator::ThrowRef => self.translate_throw_ref(),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// The operator's name, without its immediates.
fn operator_name(operator: &Operator<'_>) -> String {
    let text = format!("{operator:?}");
    text.split([' ', '{', '(']).next().unwrap_or_default().to_owned()
}
