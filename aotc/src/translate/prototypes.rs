//! Prototypes ([`dolmen_abi::prototype`]) as lowering finds them: by the offset in the instance context that the type word
//! of a fresh object was loaded from.
//!
//! Lowering, which uses them, mentions nothing that translation has not mentioned, for that tells what a kept object file
//! depends on ([`crate::cache`]).

use crate::llvm::Value;
use crate::translate::unit::Unit;
use dolmen_abi::prototype::{PROTOTYPE_BYTES, PROTOTYPE_WORD_OFFSETS, PrototypeWord};
use dolmen_abi::reference::REF_BYTES;
use dolmen_abi::types::TypeIdx;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// A prototype in the instance context; all offsets as LLVM knows them ([`numbers`](super::numbers)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PrototypePlace {
    /// Offset of the prototype.
    pub(crate) offset: u64,
    /// Where the values were copied from that it has at [`PROTOTYPE_WORD_OFFSETS`].
    pub(crate) sources: [Option<u64>; PROTOTYPE_WORD_OFFSETS.len()],
}

impl PrototypePlace {
    /// Where what it has at an offset was copied from; nothing if it has nothing there.
    pub(crate) fn source_at(&self, offset: Value) -> Option<u64> {
        let offset = offset.const_int()?;
        let word = PROTOTYPE_WORD_OFFSETS.iter().position(|&at| i64::from(at) == offset)?;
        self.sources[word]
    }
}

/// The prototypes of the objects that a partition makes, by the offset of the type word.
#[derive(Debug, Default)]
pub(crate) struct PrototypePlaces(RefCell<BTreeMap<u64, PrototypePlace>>);

impl PrototypePlaces {
    /// The prototype of objects whose type word was loaded from an offset.
    pub(crate) fn get(&self, type_word: u64) -> Option<PrototypePlace> {
        self.0.borrow().get(&type_word).copied()
    }
}

impl Unit<'_, '_> {
    /// Notes that code makes objects of a struct type.
    pub(crate) fn mention_prototype(&self, ty: TypeIdx) {
        let ty = TypeIdx(self.module.canonical[ty.0 as usize]);
        let meta = &self.module.meta;
        let Ok(position) = meta.prototypes.binary_search_by_key(&ty, |prototype| prototype.ty) else { return };
        let (layout, word_at) = (&self.layout, |offset| self.numbers.place(offset, REF_BYTES));
        let sources = meta.prototypes[position].words.map(|word| match word {
            PrototypeWord::Zero => None,
            PrototypeWord::Global(global) => Some(word_at(layout.globals[global as usize - meta.imported_globals()])),
            PrototypeWord::Func(func) => Some(word_at(self.func_ref_offset(func))),
        });
        let offset = self.numbers.place(layout.prototypes + PROTOTYPE_BYTES * position as u32, PROTOTYPE_BYTES);
        let type_word = word_at(self.type_word_offset(ty));
        self.prototypes.0.borrow_mut().insert(type_word, PrototypePlace { offset, sources });
    }
}

#[cfg(test)]
mod tests {
    use crate::compile::compile;
    use crate::options::{Emit, OptLevel, Options};

    /// For each function of a module whether it copies a prototype. Objects of type `$s` begin with global `$a` twice.
    fn copies(operands: &[&str], opt_level: OptLevel) -> Vec<bool> {
        let makes = |operands: &&str| format!("(func (param (ref $t)) (result (ref $s)) (struct.new $s {operands}))");
        let funcs: String = operands.iter().map(makes).collect();
        let text = format!(
            "(module (type $m (func)) (type $t (struct (field (ref $m))))
            (type $s (struct (field (ref null $t)) (field i32) (field (ref $t)) (field (mut (ref null $t)))))
            (global $a (ref $t) (struct.new $t (ref.func $f))) (global $b (ref $t) (struct.new $t (ref.func $f)))
            {funcs} (func $f) (global (ref $s) (struct.new $s {FULL})))"
        );
        let wasm = wat::parse_str(text).expect("the text is right");
        let options = Options { emit: Emit::LlvmIr, opt_level, ..Options::default() };
        let ir = String::from_utf8(compile(&wasm, &options).expect("it compiles")).expect("text");
        let body_of = |name: &str| {
            let is_it = |function: &&str| function.lines().next().is_some_and(|line| line.contains(name));
            ir.split("\ndefine ").skip(1).find(is_it).and_then(|f| f.split("\n}").next()).expect("it is defined")
        };
        let names = (0..operands.len()).map(|func| format!("wasm[{func}]")).chain(["init[0]".to_owned()]);
        names.map(|name| body_of(&name).contains("load <16 x i8>")).collect()
    }

    const FULL: &str = "(global.get $a) (i32.const 1) (global.get $a) (ref.null $t)";

    #[test]
    fn objects_that_begin_like_their_prototype_copy_it() {
        let operands = [
            FULL,
            "(global.get $a) (i32.const 2) (global.get $a) (local.get 0)",
            "(ref.null $t) (i32.const 1) (global.get $a) (ref.null $t)",
        ];
        for level in [OptLevel::O1, OptLevel::O3] {
            assert_eq!(copies(&operands, level), [true, true, false, false], "{level:?}");
        }
        assert_eq!(copies(&operands, OptLevel::O0), [false; 4]);
    }

    #[test]
    fn what_is_different_everywhere_is_stored() {
        let operands = [FULL, "(global.get $b) (i32.const 1) (local.get 0) (ref.null $t)"];
        assert_eq!(copies(&operands, OptLevel::O3), [false; 3]);
    }
}
