//! Compilations that take object code from earlier ones make the same artifacts as those that do not.

use dolmen_abi::collector::Collector;
use dolmen_aotc::{CacheKey, Emit, Observer, OptLevel, Options, ProfileMode, TargetCpu};
use dolmen_aotc::{compile, compile_observed};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Keeps entries in memory.
type Store = Mutex<HashMap<CacheKey, Vec<u8>>>;

/// Counts partitions.
#[derive(Debug, Default)]
struct Counts {
    compiled: AtomicUsize,
    cached: AtomicUsize,
}

impl Observer for Counts {
    fn partition(&self, is_cached: bool) {
        // Relaxed: read when the threads that add have ended.
        (if is_cached { &self.cached } else { &self.compiled }).fetch_add(1, Ordering::Relaxed);
    }
}

/// What a compilation made, which is too long to be shown, and how many partitions it compiled and how many were there.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    hash: blake3::Hash,
    compiled: usize,
    cached: usize,
}

fn compile_with(store: &Arc<Store>, wasm: &[u8], options: &Options) -> Outcome {
    let counts = Counts::default();
    let options = Options { cache: Some(Arc::<Store>::clone(store)), ..options.clone() };
    let output = compile_observed(wasm, &options, &counts).expect("the module compiles");
    let (compiled, cached) = (counts.compiled.into_inner(), counts.cached.into_inner());
    Outcome { hash: blake3::hash(&output), compiled, cached }
}

/// What a compilation should have made.
fn expected(wasm: &[u8], options: &Options, compiled: usize, cached: usize) -> Outcome {
    let output = compile(wasm, options).expect("the module compiles");
    Outcome { hash: blake3::hash(&output), compiled, cached }
}

/// Partitions of the module that [`module`] makes: four of functions, and what comes once.
const PARTITIONS: usize = 5;

/// Functions of which each adds its number to its argument, but those that are given; every fiftieth is exported. So
/// many make four partitions.
fn module(others: &[(usize, &str)]) -> Vec<u8> {
    wat::parse_str(format!("(module {})", funcs(others))).expect("the text is right")
}

fn funcs(others: &[(usize, &str)]) -> String {
    let func = |i: usize| {
        let export = if i.is_multiple_of(50) { format!("(export \"{i}\")") } else { String::new() };
        let number = format!("(i32.const {i})");
        let added = others.iter().find(|&&(position, _)| position == i).map_or(&*number, |(_, expression)| expression);
        format!("(func $f{i} {export} (param i32) (result i32) (i32.add (local.get 0) {added}))")
    };
    (0..2500).map(func).collect()
}

/// An expression with calls in a loop.
fn calls(callees: &[usize]) -> String {
    let calls: String = callees.iter().map(|i| format!("(local.set 0 (call $f{i} (local.get 0)))")).collect();
    format!("(block (result i32) (loop {calls} (br_if 0 (local.get 0))) (local.get 0))")
}

#[test]
fn only_partitions_with_edits_are_compiled() {
    let (store, options) = (Arc::new(Store::default()), Options { opt_level: OptLevel::O1, ..Options::default() });
    assert_eq!(compile_with(&store, &module(&[]), &options), expected(&module(&[]), &options, PARTITIONS, 0));
    for jobs in [1, 2] {
        let options = Options { jobs, ..options.clone() };
        assert_eq!(compile_with(&store, &module(&[]), &options), expected(&module(&[]), &options, 0, PARTITIONS));
    }
    for (position, number) in [(7, "(i32.const 8)"), (700, "(i32.const 701)"), (2499, "(i32.const 2498)")] {
        let edited = module(&[(position, number)]);
        assert_eq!(
            compile_with(&store, &edited, &options),
            expected(&edited, &options, 1, PARTITIONS - 1),
            "{position}"
        );
    }
}

#[test]
fn edits_that_matter_elsewhere_are_noticed() {
    let (store, options) = (Arc::new(Store::default()), Options { opt_level: OptLevel::O1, ..Options::default() });
    let (one, two, near) = (calls(&[703]), calls(&[703, 703]), calls(&[603]));
    // Too long to be translated along in other partitions.
    let straight =
        |callee| format!("(block (result i32) {} (call $f{callee} (local.get 0)))", "(drop (i32.const 1))".repeat(40));
    let [to_far, to_middle, to_near] = [2403, 1303, 603].map(straight);
    // Each has two calls more, so that none is ever a function with one call.
    let all = calls(&[603, 603, 1303, 1303, 2403, 2403]);
    let circle = [(603, &*to_far), (2403, &*to_middle), (1303, &*to_near), (11, &*all)];
    // Those that differ only in what a function calls have bodies of the same length, so the same partitions.
    let edits: &[&[(usize, &str)]] = &[
        // Neither called nor exported; then with one call.
        &[],
        &[(701, &one)],
        // With two, both inlined so that no code is left; then with one from another partition, so that the code stays.
        &[(701, &two), (10, &near)],
        &[(701, &two), (10, &one)],
        // What is translated along there changes.
        &[(701, &two), (10, &one), (703, "(i32.const 705)")],
        // A circle through three partitions, which polls where it ends as seen from the first function; then that changes.
        &[&circle[..], &[(10, &to_near)]].concat(),
        &[&circle[..], &[(10, &to_middle)]].concat(),
    ];
    for (number, edit) in edits.iter().enumerate() {
        let wasm = module(edit);
        let outcome = compile_with(&store, &wasm, &options);
        let expected = expected(&wasm, &options, outcome.compiled, PARTITIONS - outcome.compiled);
        assert_eq!(outcome, expected, "edit {number}");
        assert_eq!(compile_with(&store, &wasm, &options), Outcome { compiled: 0, cached: PARTITIONS, ..expected });
    }
}

#[test]
fn what_objects_begin_with_elsewhere_is_noticed() {
    let (store, options) = (Arc::new(Store::default()), Options { opt_level: OptLevel::O1, ..Options::default() });
    let make = |table: &str| {
        let object = format!("(struct.new $object (global.get {table}) (i32.const 1) (global.get $a) (i32.const 2))");
        format!("(block (result i32) (global.set $held {object}) (i32.const 3))")
    };
    // One place where objects are made keeps its code only while the other one makes them so, too.
    for (table, compiled) in [("$a", PARTITIONS), ("$b", 2), ("$a", 0)] {
        let text = format!(
            "(module (type $method (func)) (type $table (struct (field (ref $method))))
            (type $object (struct (field (ref $table)) (field i32) (field (ref $table)) (field i32)))
            (global $a (ref $table) (struct.new $table (ref.func $method)))
            (global $b (ref $table) (struct.new $table (ref.func $method)))
            (global $held (mut (ref null $object)) (ref.null $object))
            {} (func $method (type $method)))",
            funcs(&[(10, &make("$a")), (2300, &make(table))])
        );
        let wasm = wat::parse_str(text).expect("the text is right");
        let parts = expected(&wasm, &options, compiled, PARTITIONS - compiled);
        assert_eq!(compile_with(&store, &wasm, &options), parts, "{table}");
    }
}

/// Fields of a module of functions that are not alike and refer to what such modules have; many enough for four partitions.
/// The functions come last.
fn varied_fields() -> Vec<String> {
    const FUNCS: u32 = 2400;
    let func = |i: u32| {
        let statements = [
            "(global.set $count (i32.add (global.get $count) (local.get 0)))".to_owned(),
            "(local.set 0 (struct.get $point 0 (struct.new $point (local.get 0) (i32.const 3))))".to_owned(),
            "(local.set 0 (array.len (array.new_data $bytes $text (i32.const 20) (i32.const 4))))".to_owned(),
            "(local.set 1 (global.get $origin)) (global.set $any (local.get 1))".to_owned(),
            "(local.set 0 (ref.test (ref $line) (global.get $any)))".to_owned(),
            "(if (i32.eqz (local.get 0)) (then (throw $failed (local.get 0))))".to_owned(),
            format!("(local.set 0 (call $f{} (local.get 0)))", (i * 7 + 13) % FUNCS),
            "(table.set $table (i32.const 0) (ref.func $f5))".to_owned(),
        ];
        let bits = i.wrapping_mul(0x9e37_79b9) >> 8;
        let chosen: String =
            statements.into_iter().enumerate().filter(|(n, _)| bits >> n & 1 == 1).map(|(_, s)| s).collect();
        format!("(func $f{i} (param i32) (result i32) (local (ref null $point)) {chosen} (local.get 0))")
    };
    let others = [
        "(type $point (struct (field (mut i32)) (field i32)))",
        "(type $line (struct (field (ref $point)) (field (ref $point))))",
        "(type $bytes (array (mut i8)))",
        "(global $count (export \"count\") (mut i32) (i32.const 0))",
        "(global $any (mut anyref) (ref.null any))",
        "(global $origin (ref $point) (struct.new $point (i32.const 0) (i32.const 0)))",
        "(tag $failed (param i32))",
        "(table $table 10 funcref)",
        "(elem declare func $f5)",
        "(data $text \"a text of some characters, of which arrays are made\")",
    ];
    others.iter().map(ToString::to_string).chain((0..FUNCS).map(func)).collect()
}

fn module_of(fields: &[String]) -> Vec<u8> {
    wat::parse_str(format!("(module {})", fields.concat())).expect("the text is right")
}

#[test]
fn what_is_added_leaves_others_as_they_are() {
    let (store, options) = (Arc::new(Store::default()), Options { opt_level: OptLevel::O1, ..Options::default() });
    let fields = varied_fields();
    let original = module_of(&fields);
    assert_eq!(compile_with(&store, &original, &options), expected(&original, &options, PARTITIONS, 0));
    let func = "(func $new (param i32) (result i32) (i32.mul (local.get 0) (i32.const 7)))";
    let with_all = r#"(type $pair (struct (field i64) (field f32))) (global $new (mut i64) (i64.const 1))
        (func $new (result (ref $pair)) (struct.new $pair (global.get $new) (f32.const 1)))"#;
    let last = fields.len();
    let others = r#"(import "m" "f" (func $i (param i32))) (import "m" "g" (global $h i32)) (type $new (func (param f64 f64)))
        (type $large (struct (field i64))) (global $i (mut i64) (i64.const 5)) (tag $new (param f32)) (memory $new 1)
        (table $new 3 funcref) (data $new "other") (elem $new func $f5 $f5)"#;
    let additions = [(last, func, 2), (last / 2, func, 2), (20, func, 2), (0, others, 2), (last / 3, with_all, 2)];
    for (position, text, compiled) in additions {
        let mut edited = fields.clone();
        edited.insert(position, text.to_owned());
        let wasm = module_of(&edited);
        let outcome = compile_with(&store, &wasm, &options);
        let parts = expected(&wasm, &options, outcome.compiled, PARTITIONS - outcome.compiled);
        assert_eq!(outcome, parts, "{text} at {position}");
        assert!(outcome.compiled <= compiled, "{text} at {position}: {outcome:?}");
    }
}

#[test]
fn what_references_are_made_of_is_noticed() {
    // None of the functions that a reference can be to needs its instance, until there are references to the last one.
    let module = |declared: &str| {
        let func = |i: u32| format!("(func $f{i} (type $t) (i32.add (local.get 0) (i32.const {i})))");
        let funcs: String = (0..6).map(func).collect();
        let text = format!(
            r#"(module (type $t (func (param i32) (result i32))) (global $next (mut (ref null $t)) (ref.null $t))
            (global $n (mut i32) (i32.const 1)) {funcs}
            (func $last (type $t) (i32.add (local.get 0) (global.get $n)))
            (func (export "set") (global.set $next (ref.func $f0)) (global.set $n (i32.const 2)))
            (func (export "run") (param i32) (result i32) (call_ref $t (local.get 0) (global.get $next)))
            (elem declare func $f0 $f1 $f2 $f3 $f4 $f5 {declared}))"#
        );
        wat::parse_str(text).expect("the text is right")
    };
    let (store, options) = (Arc::new(Store::default()), Options::default());
    for (compiled, wasm) in [(2, module("")), (1, module("$last"))] {
        assert_eq!(compile_with(&store, &wasm, &options), expected(&wasm, &options, compiled, 2 - compiled));
        assert_eq!(compile_with(&store, &wasm, &options), expected(&wasm, &options, 0, 2));
    }
}

/// A module of two partitions: a function, and what comes once.
const SMALL: &str = r#"(module (func $f (export "f") (param i32) (result i32)
    (if (result i32) (local.get 0) (then (call $f (i32.sub (local.get 0) (i32.const 1)))) (else (i32.const 7)))))"#;

#[test]
fn damaged_entries_are_made_anew() {
    let wasm = wat::parse_str(SMALL).expect("the text is right");
    let (store, options) = (Arc::new(Store::default()), Options::default());
    compile_with(&store, &wasm, &options);
    let whole = store.lock().unwrap().clone();
    let (key, content) = whole.iter().next().expect("an entry");
    let mut flipped = content.clone();
    flipped[100] ^= 1;
    let longer = [content, &[0][..]].concat();
    let shorter = content[..content.len() - 1].to_vec();
    let of_another = {
        let other = Arc::new(Store::default());
        compile_with(&other, &wasm, &Options { opt_level: OptLevel::O1, ..options.clone() });
        other.lock().unwrap().values().next().expect("an entry").clone()
    };
    for damaged in [vec![], vec![1], content[..32].to_vec(), shorter, longer, flipped, of_another] {
        store.lock().unwrap().insert(*key, damaged);
        assert_eq!(compile_with(&store, &wasm, &options), expected(&wasm, &options, 1, 1));
        assert_eq!(*store.lock().unwrap(), whole);
    }
}

#[test]
fn what_changes_the_code_changes_the_key() {
    let wasm = wat::parse_str(SMALL).expect("the text is right");
    let plain = || Options { target_cpu: TargetCpu::Named("x86-64-v3".into()), ..Options::default() };
    let variants = [
        plain(),
        Options { opt_level: OptLevel::O2, ..plain() },
        Options { target_cpu: TargetCpu::Generic, ..plain() },
        Options { target_cpu: TargetCpu::Named("haswell".into()), ..plain() },
        Options { collector: Collector::MarkSweep, ..plain() },
        Options { polls: false, ..plain() },
        Options { profile: ProfileMode::Count, ..plain() },
    ];
    let store = Arc::new(Store::default());
    for (number, options) in variants.iter().enumerate() {
        let outcome = compile_with(&store, &wasm, options);
        // What comes once may be the same in two of them.
        assert!(outcome.compiled > 0, "variant {number}");
        assert_eq!(outcome, expected(&wasm, options, outcome.compiled, 2 - outcome.compiled), "variant {number}");
    }
    for (number, options) in variants.iter().enumerate() {
        assert_eq!(compile_with(&store, &wasm, options), expected(&wasm, options, 0, 2), "variant {number}");
    }
}

#[test]
fn text_is_not_kept() {
    let wasm = wat::parse_str(SMALL).expect("the text is right");
    let store = Arc::new(Store::default());
    for emit in [Emit::LlvmIr, Emit::Asm] {
        let options = Options { emit, ..Options::default() };
        assert_eq!(compile_with(&store, &wasm, &options), expected(&wasm, &options, 1, 0));
    }
    assert!(store.lock().unwrap().is_empty());
}
