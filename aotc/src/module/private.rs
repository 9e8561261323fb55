//! Functions that only their own partition can call.
//!
//! The problem: when all calls of a function are inlined, its own code is of no use, but LLVM cannot know: other partitions
//! may call the function, and references to it may exist. In modules of object-oriented languages, as their compilers
//! write them, more than half of the code is in functions with one call.
//!
//! A function is *foreign* if another partition may call it:
//!
//! 1. it has a call there, or a reference, which may become a direct call anywhere
//!    ([`devirtualise`](crate::translate::devirtualise)), and there is another partition at all;
//! 2. a foreign function calls it that is small enough to be translated along.
//!
//! Of the functions that have calls and are not foreign, those are *private* that nothing refers to: that are neither
//! exported, nor in a table, nor the start function, nor the operand of `ref.func`. Those of which no call is left after
//! inlining are removed ([`crate::compile()`]), and the artifact has no code for them
//! ([`NO_CODE`](dolmen_abi::meta::NO_CODE)). Functions without any call stay: who asks for the code of a small module wants
//! to see it.

use super::Module;
use super::call_trees::Calls;
use std::ops::Range;

/// For each defined function whether it is private, given what each calls, the partitions, and which functions, by
/// position, may be translated along.
pub(crate) fn find(
    module: &Module<'_>,
    calls: &[Calls],
    partitions: &[Range<usize>],
    is_importable: impl Fn(usize) -> bool,
) -> Vec<bool> {
    let imported = module.meta.imported_funcs();
    let position = |func: u32| (func as usize).checked_sub(imported);
    let callees = |caller: usize| calls[caller].callees().filter_map(position);
    let references: Vec<usize> = module.meta.func_refs.iter().copied().filter_map(position).collect();
    let mut foreign = vec![false; calls.len()];
    if partitions.len() > 1 {
        references.iter().for_each(|&func| foreign[func] = true);
    }
    for partition in partitions {
        let leaving = partition.clone().flat_map(callees).filter(|callee| !partition.contains(callee));
        leaving.for_each(|callee| foreign[callee] = true);
    }
    let mut work: Vec<usize> = (0..calls.len()).filter(|&func| foreign[func]).collect();
    while let Some(caller) = work.pop() {
        if is_importable(caller) {
            work.extend(callees(caller).filter(|&callee| !std::mem::replace(&mut foreign[callee], true)));
        }
    }
    let mut private = vec![false; calls.len()];
    for callee in (0..calls.len()).flat_map(callees) {
        private[callee] = !foreign[callee];
    }
    for func in references.into_iter().chain(module.meta.start.and_then(position)) {
        private[func] = false;
    }
    private
}

#[cfg(test)]
mod tests {
    use super::super::call_trees;
    use super::*;
    use crate::features::Features;

    /// Which functions of a module are private whose partitions end there, and where those in `importable` are small.
    fn private_of(text: &str, ends: &[usize], importable: &[usize]) -> Vec<bool> {
        let wasm = wat::parse_str(text).expect("the text is right");
        let module = Module::decode(&wasm, Features::default()).expect("the module is valid");
        let calls: Vec<_> = (0..module.bodies.len()).map(|p| call_trees::scan(&module, p).expect("calls")).collect();
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let partitions: Vec<_> = starts.zip(ends).map(|(start, &end)| start..end).collect();
        find(&module, &calls, &partitions, |position| importable.contains(&position))
    }

    #[test]
    fn references_keep_code() {
        let text = r#"(module (import "m" "f" (func $i)) (table 1 funcref) (elem (i32.const 0) $table)
            (func $plain) (func $exported (export "e") (call $i) (call $plain)) (func $table) (func $declared) (func $start)
            (func (drop (ref.func $declared))) (elem declare func $declared) (start $start))"#;
        assert_eq!(private_of(text, &[6], &[]), [true, false, false, false, false, false]);
    }

    #[test]
    fn calls_from_other_partitions_keep_code() {
        let text = "(module (func $a) (func $b (call $a)) (func $c (return_call $b)) (func $d (call $c)))";
        assert_eq!(private_of(text, &[4], &[]), [true, true, true, false]);
        assert_eq!(private_of(text, &[2, 4], &[]), [true, false, true, false]);
        assert_eq!(private_of(text, &[1, 4], &[]), [false, true, true, false]);
    }

    #[test]
    fn what_is_translated_along_keeps_the_code_of_what_it_calls() {
        let text = "(module (func $a (call $a)) (func $b (call $a)) (func $c (call $b)) (func $d (call $c)))";
        assert_eq!(private_of(text, &[3, 4], &[2]), [true, false, false, false]);
        assert_eq!(private_of(text, &[3, 4], &[1, 2]), [false, false, false, false]);
        // A private function is translated along nowhere.
        assert_eq!(private_of(text, &[3, 4], &[0, 1, 3]), [true, true, false, false]);
        assert_eq!(private_of(text, &[4], &[0, 1, 2, 3]), [true, true, true, false]);
        let exported = "(module (func $a) (func $b (export \"b\") (call $a)) (func $c))";
        assert_eq!(private_of(exported, &[2, 3], &[1]), [false; 3]);
        assert_eq!(private_of(exported, &[3], &[1]), [true, false, false]);
    }
}
