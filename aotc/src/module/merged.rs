//! Functions that become part of their only caller before anything is optimised.
//!
//! The problem: LLVM's inliner weighs the size of a function against what inlining may save, and does not see that the
//! code of a function with one call does not become more by it. It keeps such functions apart if they are not small:
//! the step of a simulation, which stands in the loop that calls it, and then does not know what the loop knows. Tools
//! that optimise WebAssembly inline these functions first of all, and so does this compiler, where loops are
//! concerned.
//!
//! A function is *merged* into its caller if
//!
//! 1. it has one direct call in the module, and is private ([`private`](super::private)): nothing else can call it;
//! 2. the call stands in a loop, or the function has a loop: what the one knows is worth something in the other;
//! 3. it neither throws nor catches: what throws is mostly not executed, and makes the caller too large to be inlined
//!    itself;
//! 4. both together are not too large, with what is already merged into each of them. Callees are decided before their
//!    callers, so chains of such functions end at the top where they grow too large. Functions that only call each other
//!    in a circle are never decided.

use super::Module;
use super::call_trees::Calls;
use crate::options::MERGED_BODY_BYTES;

/// The merged functions of a module, by position; empty if nothing is to be inlined.
#[derive(Debug, Default)]
pub(crate) struct Merged(Vec<bool>);

impl Merged {
    /// Given what each of the defined functions calls, and whether it is private.
    pub(crate) fn new(module: &Module<'_>, calls: &[Calls], private: &[bool]) -> Self {
        let callers = only_callers(module, calls, private);
        let mut undecided = vec![0; calls.len()];
        callers.iter().flatten().for_each(|&caller| undecided[caller] += 1);
        let mut bytes: Vec<usize> = calls.iter().map(Calls::bytes).collect();
        let mut merged = vec![false; calls.len()];
        let mut ready: Vec<usize> = (0..calls.len()).filter(|&func| undecided[func] == 0).collect();
        while let Some(func) = ready.pop() {
            let Some(caller) = callers[func] else { continue };
            if bytes[caller] + bytes[func] <= MERGED_BODY_BYTES {
                merged[func] = true;
                bytes[caller] += bytes[func];
            }
            undecided[caller] -= 1;
            if undecided[caller] == 0 {
                ready.push(caller);
            }
        }
        Self(merged)
    }

    /// Whether the defined function at a position is merged into its caller.
    pub(crate) fn contains(&self, position: usize) -> bool {
        self.0.get(position) == Some(&true)
    }
}

/// By position: the caller that a function may be merged into, if its size allows.
fn only_callers(module: &Module<'_>, calls: &[Calls], private: &[bool]) -> Vec<Option<usize>> {
    let imported = module.meta.imported_funcs();
    let mut callers = vec![None; calls.len()];
    for (caller, calls_of_caller) in calls.iter().enumerate() {
        let called = calls_of_caller.returning_callees();
        for func in called.filter(|&func| module.call_trees.is_called_once(module, func)) {
            let position = func as usize - imported;
            let callee = &calls[position];
            let loops = calls_of_caller.calls_in_loop(func) || callee.has_loops();
            callers[position] = (private[position] && loops && !callee.has_exceptions()).then_some(caller);
        }
    }
    callers
}

#[cfg(test)]
mod tests {
    use super::super::{call_trees, private};
    use super::*;
    use crate::features::Features;
    use crate::module::call_trees::CallTrees;

    /// Which functions of a module without imports are merged.
    fn merged_of(text: &str) -> Vec<bool> {
        let wasm = wat::parse_str(text).expect("the text is right");
        let mut module = Module::decode(&wasm, Features::default()).expect("the module is valid");
        let count = module.bodies.len();
        let calls: Vec<_> = (0..count).map(|p| call_trees::scan(&module, p).expect("calls")).collect();
        module.call_trees = CallTrees::new(&module, &calls);
        let partition = std::iter::once(0..count).collect::<Vec<_>>();
        let private = private::find(&module, &calls, &partition, |_| false);
        let merged = Merged::new(&module, &calls, &private);
        (0..count).map(|position| merged.contains(position)).collect()
    }

    /// Whether `$f`, the first function, is merged into its caller, the second.
    fn is_merged(body: &str, caller: &str) -> bool {
        let text = format!("(module (memory 1) (tag $t) (func $f {body}) (func (export \"e\") {caller}))");
        merged_of(&text)[0]
    }

    #[test]
    fn calls_in_loops_and_loops_are_merged() {
        assert!(is_merged("", "(loop (call $f))"));
        assert!(is_merged("(loop)", "(call $f)"));
        assert!(is_merged("", "(loop (block (if (i32.const 1) (then) (else (call $f)))))"));
        assert!(is_merged("", "(loop (block) (call $f))"));
        assert!(!is_merged("", "(call $f)"));
        assert!(!is_merged("", "(loop) (call $f)"));
        assert!(!is_merged("(block)", "(loop (block)) (block (call $f))"));
    }

    #[test]
    fn other_calls_and_references_keep_functions_apart() {
        assert!(!is_merged("", "(loop (call $f) (call $f))"));
        assert!(!is_merged("", "(loop (call $f)) (return_call $f)"));
        assert!(!is_merged("(loop)", "(loop (return_call $f))"));
        assert!(!is_merged("(loop (call $f))", "(loop (call $f))"));
        assert!(!is_merged("", "(loop (call $f)) (drop (ref.func $f))) (elem declare func $f"));
        assert!(!is_merged("(export \"f\")", "(loop (call $f))"));
        assert!(!is_merged("", "(loop (call $f))) (start $f"));
        assert_eq!(merged_of("(module (func $a (loop (call $b))) (func $b (loop (call $a))))"), [false; 2]);
    }

    #[test]
    fn what_throws_or_catches_stays_apart() {
        assert!(!is_merged("(throw $t)", "(loop (call $f))"));
        assert!(!is_merged("(loop (try_table))", "(call $f)"));
        assert!(is_merged("(loop)", "(try_table (call $f))"));
        assert!(is_merged("(loop)", "(throw $t (call $f))"));
    }

    #[test]
    fn chains_grow_no_further_than_the_limit() {
        let filling = format!("(loop) {}", "(nop)".repeat(MERGED_BODY_BYTES / 4));
        let text = format!(
            "(module (func $a {filling}) (func $b {filling} (call $a)) (func $c {filling} (call $b))
                (func $d {filling} (call $c)) (func $e {filling} (call $d)))"
        );
        assert_eq!(merged_of(&text), [true, true, false, true, false]);
    }
}
