//! Which definition a symbol's name means, across partitions, and which C library functions are used.
//!
//! A local symbol means its own definition; any other name means the one global definition in all partitions, or,
//! if there is none, the libcall of that name.

use super::ObjectError;
use super::input::{Input, Role, SymbolPlace};
use dolmen_abi::builtin::LIBCALLS;
use std::collections::{BTreeSet, HashMap};

/// What a symbol means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// An offset in a section of a partition.
    Section { partition: usize, section: usize, offset: u64 },
    /// A C library function, by its place in [`LIBCALLS`].
    Libcall(usize),
    /// A number.
    Value(u32),
}

/// The global symbols of all partitions.
pub(super) struct Symbols<'data> {
    globals: HashMap<&'data str, Target>,
    /// Ascending places in [`LIBCALLS`].
    libcalls: Vec<usize>,
}

impl<'data> Symbols<'data> {
    /// Finds all definitions, and all libcalls that code or constants use.
    pub(super) fn resolve(inputs: &'data [Input<'_>]) -> Result<Self, ObjectError> {
        let mut symbols = Self { globals: global_definitions(inputs)?, libcalls: Vec::new() };
        let mut used = BTreeSet::new();
        for (partition, input) in inputs.iter().enumerate() {
            for (_, section) in input.placed_sections() {
                if !matches!(section.role, Role::Text | Role::Rodata) {
                    continue;
                }
                for relocation in &section.relocations {
                    if let Target::Libcall(libcall) = symbols.target(partition, input, relocation.symbol)? {
                        used.insert(libcall);
                    }
                }
            }
        }
        symbols.libcalls.extend(used);
        Ok(symbols)
    }

    /// The libcalls that are used, ascending.
    pub(super) fn libcalls(&self) -> &[usize] {
        &self.libcalls
    }

    /// What a symbol of a partition means.
    pub(super) fn target(&self, partition: usize, input: &Input<'_>, symbol: usize) -> Result<Target, ObjectError> {
        let symbol = input.symbol(symbol);
        match symbol.place {
            SymbolPlace::Section(section, offset) => Ok(Target::Section { partition, section, offset }),
            SymbolPlace::Value(value) => Ok(Target::Value(value)),
            SymbolPlace::Nowhere => Err(ObjectError::UnsupportedSymbol { partition, symbol: symbol.name.to_string() }),
            SymbolPlace::Undefined => {
                let libcall = || LIBCALLS.iter().position(|l| **l == symbol.name).map(Target::Libcall);
                let found = self.globals.get(&*symbol.name).copied().or_else(libcall);
                found.ok_or_else(|| ObjectError::UndefinedSymbol { partition, symbol: symbol.name.to_string() })
            }
        }
    }
}

fn global_definitions<'data>(inputs: &'data [Input<'_>]) -> Result<HashMap<&'data str, Target>, ObjectError> {
    let mut globals = HashMap::new();
    for (partition, input) in inputs.iter().enumerate() {
        for symbol in input.symbols.iter().filter(|s| !s.is_local) {
            let SymbolPlace::Section(section, offset) = symbol.place else { continue };
            // What is left out of the image cannot be meant by anything in it.
            if input.section(section).is_none() {
                continue;
            }
            let before = globals.insert(&*symbol.name, Target::Section { partition, section, offset });
            if let Some(Target::Section { partition: first, .. }) = before {
                let symbol = symbol.name.to_string();
                return Err(ObjectError::DuplicateSymbol { symbol, first, second: partition });
            }
        }
    }
    Ok(globals)
}
