//! The name section: names for traces and symbols. A malformed one is ignored, as the specification asks.

use dolmen_abi::meta::Names;
use wasmparser::{Name, NameSectionReader};

/// Reads module and function names as far as the section is well formed.
pub(crate) fn read(reader: NameSectionReader<'_>) -> Names {
    let mut names = Names::default();
    for name in reader {
        match name {
            Ok(Name::Module { name, .. }) => names.module = Some(name.to_owned()),
            Ok(Name::Function(map)) => {
                names.funcs = map.into_iter().map_while(Result::ok).map(|n| (n.index, n.name.to_owned())).collect();
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    names.funcs.sort_by_key(|&(index, _)| index);
    names.funcs.dedup_by_key(|&mut (index, _)| index);
    names
}
