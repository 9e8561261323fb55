//! Which calls may close a recursion, and trees of calls that end, but not soon.
//!
//! The problem: every cycle of calls needs a poll, and calls that are in no cycle should do without. The functions are
//! *ranked*, and a call polls if the rank of what it calls is not higher than that of its caller: whatever the ranks are,
//! no cycle can go upwards all the way round. Nor can one of calls that inlining has put into other functions. Ranks are the
//! reverse postorder of a depth-first search along direct calls, those instead of returning too: then in most cycles one
//! call polls, in whatever order the module has its functions. Calls between functions of which the one that is called cannot call the other, be it through
//! others, are in no cycle and do not poll, whatever their ranks: only the order of functions within a *circle* matters, a
//! strongly connected component of direct calls.
//!
//! Code without loops and cycles ends, yet a chain of functions each of which calls the next one twice takes time that
//! is exponential in its length, and could neither be stopped nor interrupted. So functions from which much can be
//! executed without a poll get one at their entry. How much that is, the text of the module bounds. Let the *weight* of a
//! function be
//!
//! ```text
//! weight(f) = bytes of f + Σ weight(callee)       over all its direct calls of higher functions, which have no poll
//!                        + LIGHT                  for each call through a reference
//! weight(f) = 0, and f polls at its entry         if that is more than MAX_WEIGHT
//! ```
//!
//! Other calls poll, and a loop polls in each round, so both count once. Calls instead of returning poll, too, but inlining
//! makes ordinary ones of them, so they count like these. Calls through references poll unless they are made direct
//! ([`devirtualise`](crate::translate::devirtualise)): then only calls of functions that weigh no more than `LIGHT` do not,
//! and where such a call is inlined, the calls of what it called poll ([`through`](crate::gc::through)). What is executed
//! between two polls is at most the sum of the weights along one chain of calls.
//!
//! The same pass counts the direct calls of each function, for the inliner: a function with only one is best inlined. It
//! also notes what decides whether that is done before all else ([`merged`](super::merged)).
//!
//! Whole trees weigh little in real programs, and functions that are executed often stand at their leaves, so polls at
//! entries are rare.

use super::Module;
use crate::error::CompileError;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use wasmparser::Operator;

/// What functions weigh that do not poll at their entry, at most: far below a millisecond, as each byte is executed once.
const MAX_WEIGHT: u64 = 1 << 20;

/// What functions weigh at most that can be called instead of a reference without a poll.
const LIGHT: u64 = 1 << 10;

/// The ranks of functions, and how much they execute without a poll.
#[derive(Debug, Default)]
pub(crate) struct CallTrees {
    /// By position of the defined function.
    ranks: Vec<usize>,
    /// By position of the defined function: the number of its circle.
    circles: Vec<usize>,
    /// By position of the defined function; nothing if it polls at its entry.
    weights: Vec<Option<u64>>,
    /// By position: how many direct calls the whole module has.
    callers: Vec<u64>,
}

/// What a function calls: how often in its text.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    direct: BTreeMap<u32, u64>,
    /// What it calls instead of returning, as often as it does.
    tail: Vec<u32>,
    /// Calls through references, those instead of returning, too.
    through_references: u64,
    bytes: u64,
    /// What it calls in loops, but not instead of returning.
    in_loops: BTreeSet<u32>,
    has_loops: bool,
    /// Whether a loop stands in another.
    has_nested_loops: bool,
    has_exceptions: bool,
    /// Whether it makes objects whose size the text tells.
    makes_sized_objects: bool,
}

impl Calls {
    /// The functions that are called directly, some of them several times.
    pub(crate) fn callees(&self) -> impl Iterator<Item = u32> {
        self.returning_callees().chain(self.tail.iter().copied())
    }

    /// The same without those that it calls instead of returning.
    pub(crate) fn returning_callees(&self) -> impl Iterator<Item = u32> {
        self.direct.keys().copied()
    }

    /// The size of the body.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// Whether a function is called in a loop.
    pub(crate) fn calls_in_loop(&self, func: u32) -> bool {
        self.in_loops.contains(&func)
    }

    pub(crate) fn has_loops(&self) -> bool {
        self.has_loops
    }

    /// Whether a loop of the function stands in another one.
    pub(crate) fn has_nested_loops(&self) -> bool {
        self.has_nested_loops
    }

    /// Whether the function makes structs, or arrays with a number of elements that its text tells.
    pub(crate) fn makes_sized_objects(&self) -> bool {
        self.makes_sized_objects
    }

    /// Whether the function throws by itself, or catches.
    pub(crate) fn has_exceptions(&self) -> bool {
        self.has_exceptions
    }

    /// The positions of defined functions that are called, some of them several times.
    pub(crate) fn positions(&self, imported: usize) -> impl Iterator<Item = usize> {
        self.callees().filter_map(move |func| (func as usize).checked_sub(imported))
    }

    /// The positions of defined functions that are called, and how often; some of them several times.
    fn defined(&self, imported: usize) -> impl Iterator<Item = (usize, u64)> {
        let tail = self.tail.iter().map(|&func| (func, 1));
        let all = self.direct.iter().map(|(&func, &times)| (func, times)).chain(tail);
        all.filter_map(move |(func, times)| Some(((func as usize).checked_sub(imported)?, times)))
    }
}

impl CallTrees {
    /// Given what each of the defined functions calls.
    pub(crate) fn new(module: &Module<'_>, calls: &[Calls]) -> Self {
        let imported = module.meta.imported_funcs();
        let ranks = rank(imported, calls);
        let mut from_highest: Vec<_> = (0..calls.len()).collect();
        from_highest.sort_unstable_by_key(|&position| Reverse(ranks[position]));
        let mut weights: Vec<Option<u64>> = vec![None; calls.len()];
        let mut callers = vec![0; calls.len()];
        for position in from_highest {
            let calls = &calls[position];
            let mut weight = calls.bytes.saturating_add(calls.through_references.saturating_mul(LIGHT));
            for (callee, times) in calls.defined(imported) {
                callers[callee] += times;
                if ranks[callee] > ranks[position] {
                    // What is too much already need not be known exactly.
                    weight = weight.saturating_add(weights[callee].unwrap_or(0).saturating_mul(times));
                }
            }
            weights[position] = (weight <= MAX_WEIGHT).then_some(weight);
        }
        Self { circles: circles(imported, calls, &ranks), ranks, weights, callers }
    }

    /// Whether a call of one function in another, both defined, may close a cycle of calls.
    pub(crate) fn may_recur(&self, module: &Module<'_>, caller: u32, callee: u32) -> bool {
        let [caller, callee] = [caller, callee].map(|func| func as usize - module.meta.imported_funcs());
        self.circles[caller] == self.circles[callee] && self.ranks[callee] <= self.ranks[caller]
    }

    /// Of the defined functions at some positions those that are in one circle, in the order of their ranks: all that
    /// [`may_recur`](Self::may_recur) depends on. The circles are in the order in which they are first met.
    pub(crate) fn orders_in_circles(&self, positions: &[usize]) -> Vec<Vec<usize>> {
        let mut circles = BTreeMap::<usize, Vec<usize>>::new();
        for &position in positions {
            if let Some(&circle) = self.circles.get(position) {
                circles.entry(circle).or_default().push(position);
            }
        }
        let met = positions.iter().filter_map(|&position| circles.remove(self.circles.get(position)?));
        let mut orders: Vec<_> = met.filter(|circle| circle.len() > 1).collect();
        orders.iter_mut().for_each(|circle| circle.sort_unstable_by_key(|&position| self.ranks[position]));
        orders
    }

    /// Whether the module has one direct call of a function.
    pub(crate) fn is_called_once(&self, module: &Module<'_>, func: u32) -> bool {
        module.defined_position(func).is_some_and(|position| self.callers.get(position) == Some(&1))
    }

    /// How many direct calls of the defined function at a position the module has.
    pub(crate) fn callers(&self, position: usize) -> u64 {
        self.callers.get(position).copied().unwrap_or(0)
    }

    /// Whether a function polls at its entry.
    pub(crate) fn polls_at_entry(&self, module: &Module<'_>, func: u32) -> bool {
        self.weight(module, func) == Some(None)
    }

    /// Whether a function can be called instead of a reference without a poll.
    pub(crate) fn is_light(&self, module: &Module<'_>, func: u32) -> bool {
        self.weight(module, func).is_none_or(|weight| weight.is_none_or(|weight| weight <= LIGHT))
    }

    fn weight(&self, module: &Module<'_>, func: u32) -> Option<Option<u64>> {
        self.weights.get(module.defined_position(func)?).copied()
    }
}

/// The rank of each defined function: its place in the reverse postorder.
fn rank(imported: usize, calls: &[Calls]) -> Vec<usize> {
    let mut ranks = vec![0; calls.len()];
    let mut is_seen = vec![false; calls.len()];
    let mut next = calls.len();
    for root in 0..calls.len() {
        if std::mem::replace(&mut is_seen[root], true) {
            continue;
        }
        let mut path = vec![(root, calls[root].positions(imported))];
        while let Some((position, callees)) = path.last_mut() {
            match callees.find(|&callee| !is_seen[callee]) {
                Some(callee) => {
                    is_seen[callee] = true;
                    path.push((callee, calls[callee].positions(imported)));
                }
                None => {
                    next -= 1;
                    ranks[*position] = next;
                    path.pop();
                }
            }
        }
    }
    ranks
}

/// The circle of each defined function: the component that it is in, by the algorithm of Kosaraju and Sharir. In the order
/// of ranks, the component of a function is all that is in none yet and can call it.
fn circles(imported: usize, calls: &[Calls], ranks: &[usize]) -> Vec<usize> {
    let mut callers = vec![vec![]; calls.len()];
    for (caller, calls) in calls.iter().enumerate() {
        calls.positions(imported).for_each(|callee| callers[callee].push(caller));
    }
    let mut by_rank = vec![0; calls.len()];
    ranks.iter().enumerate().for_each(|(position, &rank)| by_rank[rank] = position);
    let mut circles = vec![None; calls.len()];
    for first in by_rank {
        let mut work = vec![first];
        while let Some(position) = work.pop() {
            if circles[position].is_none() {
                circles[position] = Some(first);
                work.extend(&callers[position]);
            }
        }
    }
    circles.into_iter().flatten().collect()
}

/// Notes what the valid body of the defined function at a position calls.
pub(crate) fn scan(module: &Module<'_>, position: usize) -> Result<Calls, CompileError> {
    let func = (module.meta.imported_funcs() + position) as u32;
    let body = &module.bodies[position].body;
    let mut calls = Calls { bytes: body.as_bytes().len() as u64, ..Calls::default() };
    let mut reader = body.get_operators_reader()?;
    // For each construct around the operator whether it is a loop or stands in one.
    let mut in_loop = vec![false];
    while !reader.eof() {
        let operator = reader.read()?;
        let is_in_loop = in_loop.last() == Some(&true);
        match operator {
            Operator::Loop { .. } => {
                calls.has_loops = true;
                calls.has_nested_loops |= is_in_loop;
                in_loop.push(true);
            }
            Operator::Block { .. } | Operator::If { .. } => in_loop.push(is_in_loop),
            Operator::TryTable { .. } | Operator::Try { .. } => {
                calls.has_exceptions = true;
                in_loop.push(is_in_loop);
            }
            Operator::End | Operator::Delegate { .. } => {
                in_loop.pop();
            }
            Operator::Throw { .. } | Operator::ThrowRef => calls.has_exceptions = true,
            Operator::Call { function_index } => {
                // A function that calls itself is called from elsewhere, too.
                *calls.direct.entry(function_index).or_default() += if function_index == func { 2 } else { 1 };
                if is_in_loop {
                    calls.in_loops.insert(function_index);
                }
            }
            Operator::StructNew { .. }
            | Operator::StructNewDefault { .. }
            | Operator::StructNewDesc { .. }
            | Operator::StructNewDefaultDesc { .. }
            | Operator::ArrayNewFixed { .. } => calls.makes_sized_objects = true,
            Operator::ReturnCall { function_index } => calls.tail.push(function_index),
            Operator::CallRef { .. }
            | Operator::CallIndirect { .. }
            | Operator::ReturnCallRef { .. }
            | Operator::ReturnCallIndirect { .. } => calls.through_references += 1,
            _ => {}
        }
    }
    Ok(calls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::Features;

    /// What holds for the functions of a module without imports.
    fn facts_of<T>(text: &str, fact: impl Fn(&CallTrees, &Module<'_>, u32) -> T) -> Vec<T> {
        let wasm = wat::parse_str(text).expect("the text is right");
        let module = Module::decode(&wasm, Features::default()).expect("the module is valid");
        let calls: Vec<_> = (0..module.bodies.len()).map(|position| scan(&module, position).expect("calls")).collect();
        let trees = CallTrees::new(&module, &calls);
        (0..module.bodies.len() as u32).map(|func| fact(&trees, &module, func)).collect()
    }

    /// Which functions of a module poll.
    fn polling_of(text: &str) -> Vec<bool> {
        facts_of(text, CallTrees::polls_at_entry)
    }

    /// The calls that poll, as pairs of caller and callee, of modules in which each function has the calls given.
    fn polling_calls(calls: &[&[u32]]) -> Vec<(u32, u32)> {
        let func = |callees: &&[u32]| {
            let calls: String = callees.iter().map(|callee| format!("(call {callee})")).collect();
            format!("(func {calls})")
        };
        let text = format!("(module {})", calls.iter().map(func).collect::<String>());
        let polling = facts_of(&text, |trees, module, caller| {
            let callees = calls[caller as usize].iter().copied();
            let polling = callees.filter(|&callee| trees.may_recur(module, caller, callee));
            polling.map(|callee| (caller, callee)).collect::<Vec<_>>()
        });
        polling.concat()
    }

    #[test]
    fn calls_poll_only_in_cycles() {
        // In any order.
        assert_eq!(polling_calls(&[&[], &[0], &[1, 0], &[0, 2]]), []);
        assert_eq!(polling_calls(&[&[3, 1], &[3], &[], &[2]]), []);
        assert_eq!(polling_calls(&[&[0]]), [(0, 0)]);
        // One call of a cycle is enough, with the functions in either order.
        assert_eq!(polling_calls(&[&[1], &[2], &[0]]), [(2, 0)]);
        assert_eq!(polling_calls(&[&[2], &[0], &[1]]), [(1, 0)]);
        // What leads into a cycle, and out of it.
        assert_eq!(polling_calls(&[&[], &[0, 2], &[1, 0], &[1]]), [(2, 1)]);
    }

    #[test]
    fn one_call_is_one_in_the_whole_module() {
        let text = "(module (func) (func (call 0) (call 3)) (func (call 0)) (func (call 2)) (func (call 4)))";
        assert_eq!(facts_of(text, CallTrees::is_called_once), [false, false, true, true, false]);
    }

    /// A chain of functions of which each makes these calls of the next one.
    fn chain(length: usize, calls: impl Fn(usize) -> String) -> String {
        let func = |i: usize| if i + 1 < length { format!("(func $f{i} {})", calls(i + 1)) } else { String::new() };
        let funcs: String = (0..length).map(func).collect();
        format!("(module (type $t (func)) {funcs} (func $f{}) (table 1 funcref))", length - 1)
    }

    #[test]
    fn short_and_thin_trees_need_none() {
        assert!(!polling_of(&chain(10, |next| format!("(call $f{next}) (call $f{next})"))).contains(&true));
        assert!(!polling_of(&chain(500, |next| format!("(call $f{next})"))).contains(&true));
        let earlier = r#"(module (func $a (call $a) (call $a)) (func $b (call $a) (call $a) (call $b)))"#;
        assert_eq!(polling_of(earlier), [false; 2]);
    }

    #[test]
    fn exponential_trees_poll_once_in_a_while() {
        let direct = polling_of(&chain(60, |next| format!("(call $f{next}) (call $f{next})")));
        let polls: Vec<_> = (0..60).rev().filter(|&i| direct[i]).map(|i| 59 - i).collect();
        // Weights double at each step.
        assert!((2..=4).contains(&polls.len()) && polls[0] > 15, "{polls:?}");
        // Calls through references poll by themselves.
        let through = polling_of(&chain(60, |_| "(call_indirect (type $t) (i32.const 0))".repeat(2)));
        assert_eq!(through, [false; 60]);
    }

    #[test]
    fn a_long_function_polls() {
        let text = format!("(module (func {}))", "(nop)".repeat(MAX_WEIGHT as usize + 1));
        assert_eq!(polling_of(&text), [true]);
    }
}
