//! What constant expressions make: values of immutable globals, and objects with immutable fields.
//!
//! Producers keep method tables, string literals and class descriptions in immutable globals, as objects that constant
//! expressions allocate. What such an object holds in immutable fields is known while compiling. Each instance makes
//! objects of its own, so what is known is a value *of the instance whose code is compiled*: a reference to function
//! `f` is the one of this instance, and an object is what this instance's global holds.
//!
//! Input: the initial values of the globals that the module defines. Output: [`Constants`]. Only what is exactly known
//! is in it; an expression that is not understood makes its global unknown and nothing wrong.

use super::{InitStep, Module};
use dolmen_abi::types::{CompositeType, FieldType, StorageType, TypeIdx, ValType};
use wasmparser::{ConstExpr, Operator};

/// An object that a constant expression makes, by position in [`Constants::objects`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ObjectIdx(u32);

/// A value that is the same at each execution in one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Constant {
    Null,
    I32(u32),
    I64(u64),
    /// The bits of the number.
    F32(u32),
    /// The bits of the number.
    F64(u64),
    /// The instance's reference to a function.
    Func(u32),
    /// A struct or an array.
    Object(ObjectIdx),
}

/// An object made by a constant expression.
#[derive(Debug)]
pub(crate) struct ConstObject {
    pub(crate) ty: TypeIdx,
    /// Initial values of the fields or elements; `None` if unknown.
    values: Vec<Option<Constant>>,
    /// The first immutable global that holds it.
    pub(crate) global: Option<u32>,
}

impl ConstObject {
    /// Initial values of the fields or elements; `None` for what is unknown.
    pub(crate) fn values(&self) -> impl Iterator<Item = Option<Constant>> {
        self.values.iter().copied()
    }
}

/// What is known of globals and of the objects behind them.
#[derive(Debug, Default)]
pub(crate) struct Constants {
    /// By global index; unknown if it is imported or mutable.
    globals: Vec<Option<Constant>>,
    objects: Vec<ConstObject>,
}

impl Constants {
    /// Evaluates the globals that the module defines.
    pub(crate) fn evaluate(module: &Module<'_>) -> Self {
        let mut constants = Self { globals: vec![None; module.meta.globals.len()], objects: Vec::new() };
        for step in &module.init {
            let InitStep::Global { global, value } = step else { continue };
            if module.meta.globals[*global as usize].mutable {
                continue;
            }
            let value = constants.evaluate_expression(module, value);
            constants.globals[*global as usize] = value;
            if let Some(Constant::Object(object)) = value {
                constants.objects[object.0 as usize].global.get_or_insert(*global);
            }
        }
        constants
    }

    /// The value of a global, if it is immutable and known.
    pub(crate) fn global(&self, global: u32) -> Option<Constant> {
        self.globals[global as usize]
    }

    /// All objects, those that other objects hold included.
    pub(crate) fn objects(&self) -> &[ConstObject] {
        &self.objects
    }

    pub(crate) fn object(&self, object: ObjectIdx) -> &ConstObject {
        &self.objects[object.0 as usize]
    }

    /// What a field of an object always holds, if it is immutable and known.
    pub(crate) fn field(&self, module: &Module<'_>, object: ObjectIdx, field: u32) -> Option<Constant> {
        let object = self.object(object);
        match &module.sub_type(object.ty).composite {
            // There is none in code that is not reached: behind a cast that never succeeds, or no code at all.
            CompositeType::Struct(fields) => match fields.get(field as usize)? {
                FieldType { mutable: false, storage: StorageType::Val(_) } => object.values[field as usize],
                // What is packed may lose bits.
                _ => None,
            },
            CompositeType::Func(_) | CompositeType::Array(_) => None,
        }
    }

    fn evaluate_expression(&mut self, module: &Module<'_>, expr: &ConstExpr<'_>) -> Option<Constant> {
        let mut stack = Vec::new();
        for operator in expr.get_operators_reader() {
            let operator = operator.ok()?;
            if matches!(operator, Operator::End) {
                break;
            }
            self.step(module, &operator, &mut stack)?;
        }
        stack.pop()?
    }

    /// Evaluates one operator; `None` if it is not understood.
    fn step(&mut self, module: &Module<'_>, operator: &Operator<'_>, stack: &mut Vec<Option<Constant>>) -> Option<()> {
        let field_count = |ty: u32| match &module.types[ty as usize].composite {
            CompositeType::Struct(fields) => Some(fields.len()),
            CompositeType::Func(_) | CompositeType::Array(_) => None,
        };
        let value = match *operator {
            Operator::GlobalGet { global_index } => self.globals[global_index as usize],
            Operator::StructNew { struct_type_index: ty } => {
                let count = field_count(ty)?;
                Some(self.make(ty, take(stack, count)?))
            }
            Operator::StructNewDefault { struct_type_index: ty } => {
                let CompositeType::Struct(fields) = &module.types[ty as usize].composite else { return None };
                Some(self.make(ty, fields.iter().map(|field| default_value(field.storage)).collect()))
            }
            Operator::ArrayNewFixed { array_type_index: ty, array_size } => {
                Some(self.make(ty, take(stack, array_size as usize)?))
            }
            _ => plain_constant(operator).map(Some).or_else(|| {
                take(stack, operand_count(operator)?)?;
                Some(None)
            })?,
        };
        stack.push(value);
        Some(())
    }

    fn make(&mut self, ty: u32, values: Vec<Option<Constant>>) -> Constant {
        let object = ObjectIdx(self.objects.len() as u32);
        self.objects.push(ConstObject { ty: TypeIdx(ty), values, global: None });
        Constant::Object(object)
    }
}

/// Takes the top `count` values, in the order in which they were pushed.
fn take(stack: &mut Vec<Option<Constant>>, count: usize) -> Option<Vec<Option<Constant>>> {
    Some(stack.split_off(stack.len().checked_sub(count)?))
}

/// What a field holds that nobody has set.
fn default_value(storage: StorageType) -> Option<Constant> {
    let StorageType::Val(ty) = storage else { return Some(Constant::I32(0)) };
    Some(match ty {
        ValType::I32 => Constant::I32(0),
        ValType::I64 => Constant::I64(0),
        ValType::F32 => Constant::F32(0),
        ValType::F64 => Constant::F64(0),
        ValType::Ref(_) => Constant::Null,
        ValType::V128 => return None,
    })
}

/// The value of an operator that pops nothing and whose immediate says what it pushes.
pub(super) fn plain_constant(operator: &Operator<'_>) -> Option<Constant> {
    Some(match *operator {
        Operator::RefNull { .. } => Constant::Null,
        Operator::RefFunc { function_index } => Constant::Func(function_index),
        Operator::I32Const { value } => Constant::I32(value.cast_unsigned()),
        Operator::I64Const { value } => Constant::I64(value.cast_unsigned()),
        Operator::F32Const { value } => Constant::F32(value.bits()),
        Operator::F64Const { value } => Constant::F64(value.bits()),
        _ => return None,
    })
}

/// How many operands a constant operator pops whose single result is not evaluated here.
fn operand_count(operator: &Operator<'_>) -> Option<usize> {
    Some(match operator {
        Operator::ArrayNewDefault { .. }
        | Operator::RefI31
        | Operator::RefI31Shared
        | Operator::AnyConvertExtern
        | Operator::ExternConvertAny => 1,
        Operator::ArrayNew { .. }
        | Operator::I32Add
        | Operator::I32Sub
        | Operator::I32Mul
        | Operator::I64Add
        | Operator::I64Sub
        | Operator::I64Mul => 2,
        _ => return None,
    })
}
