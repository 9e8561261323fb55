//! From bytes to a validated module.
//!
//! The problem: a module's sections must be read once, in order, and everything that later stages need must be
//! found by index. `wasmparser` decodes and validates; this stage converts its types into those of the artifact
//! ([`types`]), collects the description that the runtime will read ([`ModuleMeta`]) and keeps what must be
//! translated: function bodies and constant expressions.
//!
//! Input: the bytes of a binary module. Output: [`Module`], in which every index is in range and every type
//! correct, except inside function bodies: those are validated in parallel, and then looked through for what the whole
//! module stores where ([`values`]).

mod boundary;
pub(crate) mod call_trees;
pub(crate) mod constants;
pub(crate) mod elements;
mod hints;
pub(crate) mod makers;
pub(crate) mod merged;
mod names;
pub(crate) mod nests;
pub(crate) mod partitions;
pub(crate) mod private;
pub(crate) mod prototypes;
mod sections;
pub(crate) mod types;
pub(crate) mod values;

use crate::error::CompileError;
use crate::features::Features;
use crate::options::IMPORT_BODY_BYTES;
use crate::profile::Profiling;
use call_trees::CallTrees;
use constants::Constants;
use dolmen_abi::layout::descriptor_place;
use dolmen_abi::meta::{ModuleMeta, Names};
use dolmen_abi::types::{CompositeType, FuncType, HeapType, SubType, TypeIdx};
use hints::BranchHints;
use merged::Merged;
use nests::Nests;
use std::collections::BTreeSet;
use std::ops::Range;
use values::StoredValues;
use wasmparser::{ConstExpr, FuncToValidate, FunctionBody, Parser, ValidPayload, Validator, ValidatorResources};

/// A decoded module.
pub(crate) struct Module<'a> {
    /// What the runtime reads; without code offsets.
    pub(crate) meta: ModuleMeta,
    pub(crate) names: Names,
    pub(crate) hints: BranchHints,
    /// Names and contents of the custom sections, in order.
    pub(crate) custom: Vec<(&'a str, &'a [u8])>,
    /// Bytes of all data segments.
    pub(crate) data: Vec<u8>,
    /// The type index space.
    pub(crate) types: Vec<SubType>,
    /// For each type index, the least index of an equal type.
    pub(crate) canonical: Vec<u32>,
    /// Bodies of the defined functions, in order.
    pub(crate) bodies: Vec<Body<'a>>,
    /// Which places count, or what they have counted.
    pub(crate) profiling: Profiling,
    /// What instantiation evaluates, in order.
    pub(crate) init: Vec<InitStep<'a>>,
    /// What immutable globals hold.
    pub(crate) constants: Constants,
    /// What fields and elements can hold; nothing before bodies are validated.
    pub(crate) stored_values: StoredValues,
    /// How much functions execute without a poll; nothing before bodies are validated, or if nobody asks.
    pub(crate) call_trees: CallTrees,
    /// What becomes part of its caller; nothing before bodies are validated.
    pub(crate) merged: Merged,
    /// What stays apart from its callers; nothing before bodies are validated.
    pub(crate) nests: Nests,
}

/// A function body to validate and translate.
pub(crate) struct Body<'a> {
    pub(crate) validate: FuncToValidate<ValidatorResources>,
    pub(crate) body: FunctionBody<'a>,
}

impl Body<'_> {
    /// What validation of the body consumes.
    pub(crate) fn to_validate(&self) -> FuncToValidate<ValidatorResources> {
        let FuncToValidate { ref resources, index, ty, features } = self.validate;
        FuncToValidate { resources: resources.clone(), index, ty, features }
    }
}

/// A step of initialising an instance: a constant expression and what becomes of its value, or what needs none.
#[derive(Clone)]
pub(crate) enum InitStep<'a> {
    Global { global: u32, value: ConstExpr<'a> },
    Prototypes,
    Table { table: u32, value: ConstExpr<'a> },
    ElemItem { segment: u32, index: u32, value: ConstExpr<'a> },
    ActiveElem { segment: u32, table: u32, offset: ConstExpr<'a>, len: u32 },
    ActiveData { segment: u32, memory: u32, offset: ConstExpr<'a>, len: u32 },
    ElemDrop { segment: u32 },
}

impl<'a> Module<'a> {
    /// Decodes and validates everything but function bodies.
    ///
    /// # Errors
    ///
    /// The module is malformed or invalid, or is a component.
    pub(crate) fn decode(wasm: &'a [u8], features: Features) -> Result<Self, CompileError> {
        let mut validator = Validator::new_with_features(features.wasm());
        let mut sections = sections::Sections::default();
        let mut parser = Parser::new(0);
        parser.set_features(features.wasm());
        for payload in parser.parse_all(wasm) {
            let payload = payload?;
            match validator.payload(&payload)? {
                ValidPayload::Func(validate, body) => sections.bodies.push(Body { validate, body }),
                ValidPayload::Parser(_) => {
                    return Err(CompileError::unsupported(0, "components"));
                }
                ValidPayload::Ok | ValidPayload::End(_) => sections.read(payload)?,
            }
        }
        let mut module = sections.finish();
        module.constants = Constants::evaluate(&module);
        Ok(module)
    }

    /// The type of that index.
    pub(crate) fn sub_type(&self, ty: TypeIdx) -> &SubType {
        &self.types[ty.0 as usize]
    }

    /// The function type of that index.
    ///
    /// # Panics
    ///
    /// The type is no function type: a bug, since the module is valid.
    pub(crate) fn func_type(&self, ty: TypeIdx) -> &FuncType {
        match &self.sub_type(ty).composite {
            CompositeType::Func(func) => func,
            other => panic!("type {} is {other:?}, not a function type", ty.0),
        }
    }

    /// The type of a function, by function index.
    pub(crate) fn type_of_func(&self, func: u32) -> &FuncType {
        self.func_type(self.meta.funcs[func as usize])
    }

    /// Whether defined functions at these positions are all that there are.
    pub(crate) fn is_whole(&self, positions: &Range<usize>) -> bool {
        positions.len() == self.bodies.len()
    }

    /// The position of a function, by function index, among those that the module defines; none if it is imported.
    pub(crate) fn defined_position(&self, func: u32) -> Option<usize> {
        (func as usize).checked_sub(self.meta.imported_funcs())
    }

    /// Whether the defined function at a position is translated along in partitions that call it, if `max_bytes` is the size
    /// of those that are.
    pub(crate) fn is_importable(&self, position: usize, max_bytes: usize) -> bool {
        self.bodies[position].body.as_bytes().len() <= self.profiling.import_limit(position, max_bytes)
    }

    /// Whether the defined function at a position is translated along in partitions that call it.
    pub(crate) fn is_small(&self, position: usize) -> bool {
        self.is_importable(position, IMPORT_BODY_BYTES)
    }

    /// The name of a function from the name section, or an empty string.
    pub(crate) fn func_name(&self, func: u32) -> &str {
        match self.names.funcs.binary_search_by_key(&func, |&(index, _)| index) {
            Ok(position) => &self.names.funcs[position].1,
            Err(_) => "",
        }
    }

    /// Whether each object of one type, null aside, is certainly of another; `false` also where that is not asked often.
    pub(crate) fn is_subtype(&self, sub: HeapType, sup: HeapType) -> bool {
        match (sub, sup) {
            (HeapType::Concrete(sub) | HeapType::Exact(sub), HeapType::Concrete(sup)) => {
                let wanted = self.canonical[sup.0 as usize];
                self.supertypes(sub).any(|ty| self.canonical[ty.0 as usize] == wanted)
            }
            (HeapType::Exact(sub), HeapType::Exact(sup)) => {
                self.canonical[sub.0 as usize] == self.canonical[sup.0 as usize]
            }
            (HeapType::Concrete(sub) | HeapType::Exact(sub), _) => match self.sub_type(sub).composite {
                CompositeType::Struct(_) => matches!(sup, HeapType::Struct | HeapType::Eq | HeapType::Any),
                CompositeType::Array(_) => matches!(sup, HeapType::Array | HeapType::Eq | HeapType::Any),
                CompositeType::Func(_) => sup == HeapType::Func,
            },
            (HeapType::Struct | HeapType::Array | HeapType::I31, HeapType::Eq) => true,
            _ => sub == sup,
        }
    }

    /// The type itself and its supertypes, each above the one before.
    pub(crate) fn supertypes(&self, ty: TypeIdx) -> impl Iterator<Item = TypeIdx> {
        std::iter::successors(Some(ty), |&ty| self.sub_type(ty).supertype)
    }

    /// Number of supertypes above a type.
    pub(crate) fn depth(&self, ty: TypeIdx) -> u32 {
        self.supertypes(ty).skip(1).count() as u32
    }

    /// Number of a struct type's fields; other types have none.
    pub(crate) fn field_count(&self, ty: TypeIdx) -> usize {
        match &self.sub_type(ty).composite {
            CompositeType::Struct(fields) => fields.len(),
            CompositeType::Func(_) | CompositeType::Array(_) => 0,
        }
    }

    /// In front of which field the custom descriptor of a struct type's objects lies, if they have one.
    pub(crate) fn descriptor_at(&self, ty: TypeIdx) -> Option<usize> {
        let supertype =
            self.sub_type(ty).supertype.map(|parent| (self.field_count(parent), self.descriptor_at(parent)));
        descriptor_place(self.sub_type(ty), supertype)
    }

    /// The type itself or the supertype whose objects first have a custom descriptor.
    pub(crate) fn described_type(&self, ty: TypeIdx) -> TypeIdx {
        match self.sub_type(ty).supertype {
            Some(parent) if self.sub_type(parent).descriptor.is_some() => self.described_type(parent),
            _ => ty,
        }
    }

    /// The type itself or the supertype that first declares field `field`.
    pub(crate) fn declaring_type(&self, ty: TypeIdx, field: usize) -> TypeIdx {
        self.supertypes(ty).take_while(|&ty| field < self.field_count(ty)).last().unwrap_or(ty)
    }
}

/// Function indices that `ref.func` mentions in a constant expression.
fn collect_func_refs(expr: &ConstExpr<'_>, func_refs: &mut BTreeSet<u32>) -> Result<(), CompileError> {
    for operator in expr.get_operators_reader() {
        if let wasmparser::Operator::RefFunc { function_index } = operator? {
            func_refs.insert(function_index);
        }
    }
    Ok(())
}
