//! Functions added to a module, through which an engine is asked what the module does.
//!
//! What can cross the border of an engine depends on the engine: JavaScript has no `v128`, changes NaNs, and
//! says nothing of a reference. So all questions are asked from inside. A probe takes nothing and returns
//! integers (`i64`); there is one for each of:
//!
//! - calls: a function called with arguments drawn from the seed, its results as integers (twice each);
//! - globals: their values as integers;
//! - tables: their sizes, and a hash of their first elements;
//! - memories: their sizes, and a hash of their contents.
//!
//! Numbers become integers by their bits. A reference becomes its class: null, an `i31` with its value, a
//! struct with the hash of its number fields if its type says which they are, an array with its length,
//! anything else.
//!
//! Probes come after everything else in each index space, so that no index of the module changes: the sections
//! of types, functions, exports and code are rewritten with entries appended, all others are copied.

mod digest;
mod splice;
mod values;

use crate::generate::{FUEL, Rng};
use digest::Digest;
use splice::{Probe, splice};
use values::push_value;
use wasm_encoder::{Function, Instruction, ValType};
use wasmparser::types::{CoreTypeId, Types};
use wasmparser::{CompositeInnerType, FuncType, SubType, Validator, WasmFeatures};

/// Calls of each function with different arguments.
const CALLS: usize = 2;

/// Elements of a table that are looked at.
const TABLE_ELEMENTS: u64 = 12;

/// What the names of probes start with.
const PREFIX: &str = "probe ";

/// Whether an export of this name is a probe.
#[must_use]
pub fn is_probe(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// What is known of a module.
pub struct Facts {
    types: Types,
    /// The canonical type of each type index.
    ids: Vec<CoreTypeId>,
}

impl Facts {
    fn new(wasm: &[u8]) -> Result<Self, String> {
        let types = Validator::new_with_features(WasmFeatures::all())
            .validate_all(wasm)
            .map_err(|error| format!("the generated module is invalid: {error}"))?;
        let ids = (0..types.as_ref().core_type_count_in_module())
            .map(|index| types.as_ref().core_type_at_in_module(index))
            .collect();
        Ok(Self { types, ids })
    }

    /// The definition of a canonical type.
    fn sub_type(&self, id: CoreTypeId) -> &SubType {
        &self.types[id]
    }

    /// A type index of the module that stands for a canonical type.
    fn index_of(&self, id: CoreTypeId) -> Option<u32> {
        self.ids.iter().position(|&other| other == id).and_then(|index| u32::try_from(index).ok())
    }

    fn func_type(&self, func: u32) -> Option<&FuncType> {
        match &self.sub_type(self.types.as_ref().core_function_at(func)).composite_type.inner {
            CompositeInnerType::Func(ty) => Some(ty),
            _ => None,
        }
    }
}

/// The module with its probes. `fuel_global` is the global that counts down loop iterations and calls.
///
/// # Errors
///
/// In words, if the module is invalid, with or without the probes.
pub fn add(wasm: &[u8], fuel_global: u32, rng: &mut Rng) -> Result<Vec<u8>, String> {
    let facts = Facts::new(wasm)?;
    let mut probes = Vec::new();
    for func in 0..facts.types.as_ref().function_count() {
        for call in 0..CALLS {
            probes.extend(call_probe(&facts, func, call, fuel_global, rng));
        }
    }
    state_probes(&facts, fuel_global, &mut probes);
    let first_type = facts.ids.len() as u32;
    let first_func = facts.types.as_ref().function_count();
    let wasm = splice(wasm, first_type, first_func, &probes)?;
    Facts::new(&wasm).map_err(|error| format!("with probes, {error}"))?;
    Ok(wasm)
}

/// Calls a function; `None` if there is no argument for one of its parameters.
fn call_probe(facts: &Facts, func: u32, call: usize, fuel_global: u32, rng: &mut Rng) -> Option<Probe> {
    let ty = facts.func_type(func)?;
    let mut body = vec![Instruction::I32Const(FUEL as i32), Instruction::GlobalSet(fuel_global)];
    for param in ty.params() {
        push_value(facts, *param, rng, &mut body)?;
    }
    body.push(Instruction::Call(func));
    let mut digest = Digest::new(facts);
    let locals: Vec<u32> = ty.results().iter().map(|result| digest.local(*result)).collect::<Option<_>>()?;
    body.extend(locals.iter().rev().map(|&local| Instruction::LocalSet(local)));
    let mut results = 0;
    for (result, local) in ty.results().iter().zip(locals) {
        results += digest.push(*result, local, &mut body);
    }
    Some(probe(format!("call {func}.{call}"), results, digest, body))
}

/// Probes of globals, tables and memories.
fn state_probes(facts: &Facts, fuel_global: u32, probes: &mut Vec<Probe>) {
    let types = facts.types.as_ref();
    for global in (0..types.global_count()).filter(|&global| global != fuel_global) {
        let ty = types.global_at(global).content_type;
        let (mut digest, mut body) = (Digest::new(facts), vec![Instruction::GlobalGet(global)]);
        let Some(local) = digest.local(ty) else { continue };
        body.push(Instruction::LocalSet(local));
        let results = digest.push(ty, local, &mut body);
        probes.push(probe(format!("global {global}"), results, digest, body));
    }
    for table in 0..types.table_count() {
        let ty = types.table_at(table);
        let (mut digest, mut body) = (Digest::new(facts), Vec::new());
        let element = wasmparser::ValType::Ref(ty.element_type);
        if let Some(results) = digest.push_table(table, ty.table64, element, TABLE_ELEMENTS, &mut body) {
            probes.push(probe(format!("table {table}"), results, digest, body));
        }
    }
    for memory in 0..types.memory_count() {
        let (mut digest, mut body) = (Digest::new(facts), Vec::new());
        let results = digest.push_memory(memory, types.memory_at(memory).memory64, &mut body);
        probes.push(probe(format!("memory {memory}"), results, digest, body));
    }
}

fn probe(name: String, results: usize, digest: Digest<'_>, body: Vec<Instruction<'static>>) -> Probe {
    let mut function = Function::new_with_locals_types(digest.into_locals());
    body.iter().chain([&Instruction::End]).for_each(|instruction| {
        function.instruction(instruction);
    });
    Probe { name: format!("{PREFIX}{name}"), results: vec![ValType::I64; results], function }
}
