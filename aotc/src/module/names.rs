//! The name section: names for traces, symbols and people.
//!
//! It has no say in whether a module is valid: what is malformed in it is left out, and all before that is kept.
//! Reference: WebAssembly 3.0, appendix "Custom Sections", with the names of the extended-name-section proposal.

use dolmen_abi::meta::{IndirectNameMap, NameMap, Names};
use wasmparser::{Name, NameSectionReader};

/// Reads the names as far as the section is well formed.
pub(crate) fn read(reader: NameSectionReader<'_>) -> Names {
    let mut names = Names::default();
    for name in reader.into_iter().map_while(Result::ok) {
        match name {
            Name::Module { name, .. } => names.module = Some(name.to_owned()),
            Name::Function(map) => names.funcs = direct(map),
            Name::Local(map) => names.locals = indirect(map),
            Name::Label(map) => names.labels = indirect(map),
            Name::Type(map) => names.types = direct(map),
            Name::Table(map) => names.tables = direct(map),
            Name::Memory(map) => names.memories = direct(map),
            Name::Global(map) => names.globals = direct(map),
            Name::Element(map) => names.elems = direct(map),
            Name::Data(map) => names.data = direct(map),
            Name::Field(map) => names.fields = indirect(map),
            Name::Tag(map) => names.tags = direct(map),
            Name::Parameter(_) | Name::TagParameter(_) | Name::Unknown { .. } => {}
        }
    }
    names
}

// The maps' own iterators end where an index is not larger than the one before. TeaVM writes names in another order.

fn direct(map: wasmparser::NameMap<'_>) -> NameMap {
    in_order(map.names.map_while(Result::ok).map(|naming| (naming.index, naming.name.to_owned())))
}

fn indirect(map: wasmparser::IndirectNameMap<'_>) -> IndirectNameMap {
    in_order(map.names.map_while(Result::ok).map(|naming| (naming.index, direct(naming.names))))
}

/// Ascending; of several entries for an index the first counts.
fn in_order<T>(entries: impl Iterator<Item = (u32, T)>) -> Vec<(u32, T)> {
    let mut entries: Vec<_> = entries.collect();
    entries.sort_by_key(|&(index, _)| index);
    entries.dedup_by_key(|&mut (index, _)| index);
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmparser::BinaryReader;

    fn names(bytes: &[u8]) -> Names {
        read(NameSectionReader::new(BinaryReader::new(bytes, 0)))
    }

    #[test]
    fn all_kinds_of_names_are_read() {
        let wasm = wat::parse_str(
            "(module $m (type $t (struct (field $x i32))) (tag $e) (global $g i32 (i32.const 0)) (memory $mem 1)
               (func $f (param $p i32) (local $l i32) (block $b)))",
        )
        .expect("the text is right");
        let sections = wasmparser::Parser::new(0).parse_all(&wasm);
        let section = sections.into_iter().find_map(|payload| match payload {
            Ok(wasmparser::Payload::CustomSection(custom)) => Some(custom.data().to_vec()),
            _ => None,
        });
        let names = names(&section.expect("names are written"));
        let one = |name: &str| vec![(0, name.to_owned())];
        assert_eq!(names.module.as_deref(), Some("m"));
        assert_eq!((names.funcs, names.globals, names.memories), (one("f"), one("g"), one("mem")));
        assert_eq!((names.types, names.tags, names.fields), (one("t"), one("e"), vec![(0, one("x"))]));
        assert_eq!(names.locals, [(0, vec![(0, "p".to_owned()), (1, "l".to_owned())])]);
        assert_eq!(names.labels, [(0, one("b"))]);
    }

    #[test]
    fn names_come_in_any_order() {
        // Functions 5, 2, and 5 again.
        let bytes = [1, 10, 3, 5, 1, b'f', 2, 1, b'c', 5, 1, b'x'];
        assert_eq!(names(&bytes).funcs, [(2, "c".to_owned()), (5, "f".to_owned())]);
        // Of function 3 locals 1 and 0, of function 2 local 0.
        let bytes = [2, 14, 2, 3, 2, 1, 1, b'l', 0, 1, b'p', 2, 1, 0, 1, b'q'];
        let (of_2, of_3) = (vec![(0, "q".to_owned())], vec![(0, "p".to_owned()), (1, "l".to_owned())]);
        assert_eq!(names(&bytes).locals, [(2, of_2), (3, of_3)]);
    }

    #[test]
    fn broken_sections_keep_what_comes_before() {
        // A module's name, then functions: two entries announced, the second cut off.
        let bytes = [0, 2, 1, b'm', 1, 6, 2, 0, 1, b'f', 1, 9];
        let names = names(&bytes);
        assert_eq!(names.module.as_deref(), Some("m"));
        assert_eq!(names.funcs, [(0, "f".to_owned())]);
        assert_eq!(super::tests::names(&[0xff]), Names::default());
    }
}
