//! Finds the functions that the runtime enters by their symbols' names; see [`super`] for the names.

use super::ArtifactError;
use crate::object::{CodeSymbol, FUNC_PREFIX, SymbolKind, numbered};
use dolmen_abi::meta::{ModuleMeta, NO_CODE};
use std::collections::HashMap;
use std::fmt;

/// What a symbol stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Entry {
    Wasm(u32),
    Trampoline(u32),
    HostCall(u32),
    Init(u32),
}

/// Makes what a symbol with this index stands for.
type MakeEntry = fn(u32) -> Entry;

/// Prefixes of names and what they stand for.
const PREFIXES: [(&str, MakeEntry); 4] = [
    (FUNC_PREFIX, Entry::Wasm),
    ("entry[", Entry::Trampoline),
    ("host_call[", Entry::HostCall),
    ("init[", Entry::Init),
];

/// Separates a symbol's index from the name that users gave the function.
const NAME_SEPARATOR: &str = "::";

/// The functions that the runtime enters.
pub(super) struct Entries<'a>(HashMap<Entry, &'a CodeSymbol>);

impl<'a> Entries<'a> {
    /// Finds them among the symbols of the code.
    pub(super) fn collect(symbols: &'a [CodeSymbol]) -> Result<Self, ArtifactError> {
        let mut entries = HashMap::new();
        for symbol in symbols.iter().filter(|s| s.kind == SymbolKind::GlobalFunc) {
            let Some(entry) = Entry::parse(&symbol.name) else { continue };
            if let Some(first) = entries.insert(entry, symbol) {
                let [first, second] = [first, symbol].map(|s| s.name.clone());
                return Err(ArtifactError::AmbiguousFunction { first, second });
            }
        }
        Ok(Self(entries))
    }

    /// Fills in all code offsets of a module's description.
    pub(super) fn fill(&self, meta: &mut ModuleMeta) -> Result<(), ArtifactError> {
        let (funcs, imported) = (meta.funcs.len(), meta.imported_funcs());
        if funcs < imported {
            return Err(ArtifactError::TooFewFunctions { funcs, imported });
        }
        let code_offset = |func: usize| match self.offset(Entry::Wasm, func) {
            Err(_) if !is_entered(meta, func as u32) => Ok(NO_CODE),
            found => found,
        };
        meta.code_offsets = (imported..funcs).map(code_offset).collect::<Result<_, _>>()?;
        for (k, trampolines) in meta.trampolines.iter_mut().enumerate() {
            trampolines.entry = self.offset(Entry::Trampoline, k)?;
            trampolines.host_call = self.offset(Entry::HostCall, k)?;
        }
        for (n, init) in meta.init_funcs.iter_mut().enumerate() {
            *init = self.offset(Entry::Init, n)?;
        }
        Ok(())
    }

    fn offset(&self, entry: MakeEntry, index: usize) -> Result<u32, ArtifactError> {
        // The index spaces of WebAssembly end below 2^32.
        let entry = entry(u32::try_from(index).unwrap_or(u32::MAX));
        match self.0.get(&entry) {
            Some(symbol) => Ok(symbol.offset),
            None => Err(ArtifactError::MissingFunction { symbol: entry.to_string() }),
        }
    }
}

/// Whether a function can be called other than directly, from the module's own code.
fn is_entered(meta: &ModuleMeta, func: u32) -> bool {
    meta.start == Some(func) || meta.func_refs.binary_search(&func).is_ok()
}

/// The function index that a symbol stands for, or `None` if it is no function of the module. Parts that LLVM splits
/// off a function keep the function's name as prefix, and so its index.
pub(super) fn func_index(symbol: &str) -> Option<u32> {
    match Entry::parse(symbol.split_once('.').map_or(symbol, |(whole, _)| whole)) {
        Some(Entry::Wasm(index)) => Some(index),
        _ => None,
    }
}

impl Entry {
    fn parse(symbol: &str) -> Option<Self> {
        let numbered = |(prefix, entry): (_, MakeEntry)| Some((entry, numbered(symbol, prefix)?));
        let (entry, (index, rest)) = PREFIXES.into_iter().find_map(numbered)?;
        (rest.is_empty() || rest.starts_with(NAME_SEPARATOR)).then(|| entry(index))
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Wasm(index) | Self::Trampoline(index) | Self::HostCall(index) | Self::Init(index)) = *self;
        let prefix = PREFIXES.iter().find(|(_, entry)| entry(index) == *self).map_or("", |p| p.0);
        write!(f, "{prefix}{index}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(name: &str, offset: u32, kind: SymbolKind) -> CodeSymbol {
        CodeSymbol { name: name.to_owned(), offset, size_bytes: 1, kind }
    }

    #[test]
    fn names_give_entries() {
        assert_eq!(Entry::parse("wasm[7]"), Some(Entry::Wasm(7)));
        assert_eq!(Entry::parse("wasm[7]::f[8]::g"), Some(Entry::Wasm(7)));
        assert_eq!(Entry::parse("entry[0]"), Some(Entry::Trampoline(0)));
        assert_eq!(Entry::parse("host_call[12]"), Some(Entry::HostCall(12)));
        assert_eq!(Entry::parse("init[1]"), Some(Entry::Init(1)));
        for other in ["", "wasm", "wasm[]", "wasm[x]", "wasm[1]x", "wasm[1", "wasm[99999999999]", "libcall[1]", "[1]"] {
            assert_eq!(Entry::parse(other), None, "{other}");
        }
    }

    #[test]
    fn split_parts_keep_the_function_index() {
        assert_eq!(func_index("wasm[3]::f"), Some(3));
        assert_eq!(func_index("wasm[3]::f.cold.1"), Some(3));
        assert_eq!(func_index("wasm[3].cold"), Some(3));
        assert_eq!(func_index("wasm[3]::a.b::c"), Some(3));
        assert_eq!(func_index("entry[3]"), None);
    }

    #[test]
    fn only_global_functions_are_entries() {
        let symbols = [symbol("init[0]", 0, SymbolKind::LocalFunc), symbol("init[1]", 16, SymbolKind::GlobalFunc)];
        let entries = Entries::collect(&symbols).expect("names differ");
        assert_eq!(entries.offset(Entry::Init, 1).expect("is there"), 16);
        let missing = entries.offset(Entry::Init, 0).expect_err("is local");
        assert_eq!(missing.to_string(), "no global function is named `init[0]`");
    }

    #[test]
    fn two_names_for_one_index_are_an_error() {
        let symbols = [symbol("wasm[1]::a", 0, SymbolKind::GlobalFunc), symbol("wasm[1]", 16, SymbolKind::GlobalFunc)];
        let error = Entries::collect(&symbols).err().expect("ambiguous");
        assert_eq!(error.to_string(), "functions `wasm[1]::a` and `wasm[1]` stand for the same thing");
    }
}
