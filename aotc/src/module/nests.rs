//! Functions with loops in loops that are called in several places: they become part of their callers if they are small.
//!
//! The problem: LLVM's inliner compares the instructions of a function with what a call costs, and does not see that loops
//! in loops execute theirs so often that the call costs nothing beside them. A numeric kernel with two calls is then there
//! twice, and each of its loops becomes several once more: for vectors, for what fills no vector, for strips. Half of the
//! time that such a module took to compile went into the second copy.
//!
//! What such a function gains in its caller is what the caller knows: how long an array is, so that loops are unrolled, or
//! which object it is, which nothing else can then change. So a call of a function counts as larger ([`COST_FACTOR`]) if
//!
//! 1. the function has a loop in a loop;
//! 2. the module has several direct calls of it;
//! 3. the caller makes no struct and no array of a length that stands in its text, nor does a function that it calls, which
//!    may become part of it, and the call has no constant argument.
//!
//! Small ones are inlined as before, among them those whose loops have so few rounds that LLVM unrolls them.

use super::Module;
use super::call_trees::Calls;

/// By how much the instructions of such a function count for more.
pub(crate) const COST_FACTOR: &str = "2";

/// By position of the defined function; nothing if nothing is to be inlined.
#[derive(Debug, Default)]
pub(crate) struct Nests(Vec<Facts>);

#[derive(Clone, Copy, Debug)]
struct Facts {
    /// Whether it has loops in loops, and several calls.
    is_nest: bool,
    /// Whether it makes objects of which a callee could know more.
    tells: bool,
}

impl Nests {
    /// Given what each of the defined functions calls.
    pub(crate) fn new(module: &Module<'_>, calls: &[Calls]) -> Self {
        let imported = module.meta.imported_funcs();
        let makes_them = |position: usize| calls.get(position).is_some_and(Calls::makes_sized_objects);
        let facts = |position: usize| Facts {
            is_nest: calls[position].has_nested_loops() && module.call_trees.callers(position) > 1,
            tells: makes_them(position) || calls[position].positions(imported).any(makes_them),
        };
        Self((0..calls.len()).map(facts).collect())
    }

    /// Whether the call of one defined function in another gains nothing from inlining, constant arguments aside.
    pub(crate) fn stays_apart(&self, caller: usize, callee: usize) -> bool {
        let facts = |position| self.0.get(position);
        facts(callee).is_some_and(|callee| callee.is_nest) && facts(caller).is_some_and(|caller| !caller.tells)
    }
}

#[cfg(test)]
mod tests {
    use super::super::call_trees;
    use super::*;
    use crate::features::Features;
    use crate::module::call_trees::CallTrees;

    /// Whether `$f`, the first function, stays apart from the second.
    fn stays_apart(body: &str, caller: &str) -> bool {
        let text = format!("(module (type $t (array i32)) (type $s (struct)) (func $f {body}) (func {caller}))");
        let wasm = wat::parse_str(text).expect("the text is right");
        let mut module = Module::decode(&wasm, Features::default()).expect("the module is valid");
        let count = module.bodies.len();
        let calls: Vec<_> = (0..count).map(|p| call_trees::scan(&module, p).expect("calls")).collect();
        module.call_trees = CallTrees::new(&module, &calls);
        Nests::new(&module, &calls).stays_apart(1, 0)
    }

    const NEST: &str = "(loop (if (i32.const 1) (then (loop))))";
    const TWICE: &str = "(call $f) (call $f)";

    #[test]
    fn loops_in_loops_with_several_calls_stay_apart() {
        assert!(stays_apart(NEST, TWICE));
        assert!(stays_apart(NEST, "(loop (call $f) (call $f))"));
        assert!(!stays_apart(NEST, "(call $f)"));
        assert!(!stays_apart("(loop) (block (loop))", TWICE));
        assert!(!stays_apart("(loop)", TWICE));
    }

    #[test]
    fn callers_that_know_sizes_take_them_in() {
        let made_by_callee = format!("{TWICE} (call $make)) (func $make (drop (struct.new $s))");
        assert!(!stays_apart(NEST, &made_by_callee));
        let with = |operator: &str| stays_apart(NEST, &format!("(drop {operator}) {TWICE}"));
        assert!(with("(array.new $t (i32.const 1) (i32.const 2))"));
        assert!(!with("(array.new_fixed $t 1 (i32.const 1))"));
        assert!(!with("(struct.new $s)"));
    }
}
