//! Constant expressions, compiled: the functions that initialise an instance.
//!
//! Globals, tables and segments with expressions get their values from code like any other, so instantiation
//! needs no interpreter. A module with many of them gets several functions, since LLVM takes more than linear
//! time on very long ones.
//!
//! They are executed once and have no loops but those that fill arrays, so no optimiser sees them (`optnone`): modules of
//! object-oriented languages have a method table for each class, and what initialises them was a fifth of the instructions
//! that LLVM optimised.

use crate::error::CompileError;
use crate::gc::markers::UNOPTIMISED;
use crate::llvm::{Cast, TAIL_CC, Value, attribute_index};
use crate::module::InitStep;
use crate::translate::function::FunctionTranslator;
use crate::translate::unit::Unit;
use dolmen_abi::builtin::Builtin;
use dolmen_abi::signature::MachineSignature;
use wasmparser::{ConstExpr, Operator};

/// The symbol of init function `index`.
pub(crate) fn symbol(index: usize) -> String {
    format!("init[{index}]")
}

/// Defines init function `index`, which performs these steps.
pub(crate) fn define(unit: &Unit<'_, '_>, index: usize, steps: &[InitStep<'_>]) -> Result<(), CompileError> {
    let signature = MachineSignature { params: vec![], results: vec![] };
    let function = unit.declare_with_contexts(&symbol(index), unit.function_type(&signature), TAIL_CC);
    let mut translator = FunctionTranslator::new(unit, function, vec![]);
    // LLVM wants the second of the first.
    for attribute in [UNOPTIMISED, "noinline"] {
        function.add_attribute(attribute_index::FUNCTION, unit.context.enum_attribute(attribute, 0));
    }
    translator.in_init = true;
    for step in steps {
        translator.translate_init_step(step)?;
    }
    translator.translate_return();
    Ok(())
}

impl FunctionTranslator<'_, '_, '_> {
    fn translate_init_step(&mut self, step: &InitStep<'_>) -> Result<(), CompileError> {
        match step {
            InitStep::Global { global, value } => {
                let value = self.translate_const_expr(value)?;
                self.store_global(*global, value);
            }
            InitStep::Prototypes => {
                self.call_builtin(Builtin::FillPrototypes, &[self.instance]);
            }
            InitStep::Table { table, value } => {
                let value = self.translate_const_expr(value)?;
                let len = self.unit.module.meta.tables[*table as usize].limits.min;
                let args = [self.instance, self.unit.index(*table), self.i64(0), value, self.i64(len)];
                self.call_builtin(Builtin::TableFill, &args);
            }
            InitStep::ElemItem { segment, index, value } => {
                let value = self.translate_const_expr(value)?;
                self.call_builtin(
                    Builtin::ElemSet,
                    &[self.instance, self.unit.index(*segment), self.i32(*index), value],
                );
            }
            InitStep::ActiveElem { segment, table, offset, len } => {
                let dst = self.translate_offset(offset)?;
                let [table, segment] = [*table, *segment].map(|index| self.unit.index(index));
                let args = [self.instance, table, segment, dst, self.i32(0), self.i32(*len)];
                self.call_builtin(Builtin::TableInit, &args);
                self.call_builtin(Builtin::ElemDrop, &[self.instance, segment]);
            }
            InitStep::ActiveData { segment, memory, offset, len } => {
                let dst = self.translate_offset(offset)?;
                let data = self.data_definition(*segment);
                let args = [self.memory_definition(*memory), data, dst, self.i32(0), self.i32(*len)];
                self.call_builtin(Builtin::MemoryInit, &args);
                self.call_builtin(Builtin::DataDrop, &[data]);
            }
            InitStep::ElemDrop { segment } => {
                self.call_builtin(Builtin::ElemDrop, &[self.instance, self.unit.index(*segment)]);
            }
        }
        Ok(())
    }

    fn translate_const_expr(&mut self, expr: &ConstExpr<'_>) -> Result<Value, CompileError> {
        let mut reader = expr.get_operators_reader();
        loop {
            self.offset = reader.original_position();
            match reader.read()? {
                Operator::End => return Ok(self.pop()),
                operator => self.translate_operator(&operator)?,
            }
        }
    }

    /// An offset of an active segment, as 64 bits.
    fn translate_offset(&mut self, expr: &ConstExpr<'_>) -> Result<Value, CompileError> {
        let offset = self.translate_const_expr(expr)?;
        if offset.ty() == self.unit.types.i64 {
            return Ok(offset);
        }
        Ok(self.b.cast(Cast::ZExt, offset, self.unit.types.i64))
    }
}

#[cfg(test)]
mod tests {
    use crate::compile::compile;
    use crate::options::{Emit, Options};

    #[test]
    fn initialisers_call_what_other_functions_inline() {
        let text = r#"(module (type $s (struct (field i32))) (global (ref $s) (struct.new $s (i32.const 1)))
            (func (export "make") (result (ref $s)) (struct.new $s (i32.const 1))))"#;
        let wasm = wat::parse_str(text).expect("the text is right");
        let ir = compile(&wasm, &Options { emit: Emit::LlvmIr, ..Options::default() }).expect("it compiles");
        let ir = String::from_utf8(ir).expect("text");
        let body_of = |name| ir.split("\ndefine ").find(|f| f.contains(name)).and_then(|f| f.split('}').next());
        let calls = |name| body_of(name).expect("it is defined").contains("@dolmen_inline.alloc_struct");
        assert!(calls("@\"init[0]\""));
        assert!(!calls("@\"wasm[0]"));
    }
}
