//! Code that was kept of another version of a module runs as code that was not.
//!
//! What `aotc/tests/incremental.rs` shows of artifacts, which are the same byte by byte, is shown here of what they do, for
//! the numbers that linking puts into kept code: offsets in the instance, as constants and chosen at run time, and
//! constants that are passed to functions far away.

#![forbid(unsafe_code)]

use dolmen::{Config, Engine, Instance, Module, Store, Val};
use dolmen_aotc::{CacheKey, Observer, Options, compile, compile_observed};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use wast::Wat;
use wast::parser::{self, ParseBuffer};

/// Functions of a module, enough for some partitions.
const FUNCS: usize = 2500;

/// Globals of which the module reads one that it is given the number of.
const GLOBALS: i32 = 8;

/// Length of an entry without object code: what is in the way, and a hash.
const OBSTACLE_BYTES: usize = 33;

/// Keeps entries in memory.
type Kept = Mutex<HashMap<CacheKey, Vec<u8>>>;

/// How many partitions had something in their way.
fn obstacles(kept: &Kept) -> usize {
    kept.lock().unwrap().values().filter(|entry| entry.len() == OBSTACLE_BYTES).count()
}

/// Counts the partitions that are compiled.
#[derive(Debug, Default)]
struct Compiled(AtomicUsize);

impl Observer for Compiled {
    fn partition(&self, is_cached: bool) {
        // Relaxed: read when the threads that add have ended.
        self.0.fetch_add((!is_cached).into(), Ordering::Relaxed);
    }
}

/// The artifact of a module, which is the same without the store, and how many partitions were compiled.
fn artifact(kept: &Arc<Kept>, text: &str) -> (Vec<u8>, usize) {
    let buffer = ParseBuffer::new(text).unwrap();
    let wasm = parser::parse::<Wat<'_>>(&buffer).unwrap().encode().unwrap();
    let compiled = Compiled::default();
    let options = Options { cache: Some(Arc::<Kept>::clone(kept)), jobs: 2, ..Options::default() };
    let artifact = compile_observed(&wasm, &options, &compiled).unwrap();
    assert!(artifact == compile(&wasm, &Options::default()).unwrap(), "the artifact is another one");
    (artifact, compiled.0.into_inner())
}

/// What a function of an artifact returns for some numbers.
fn results(artifact: &[u8], name: &str, args: impl Iterator<Item = i32>) -> Vec<i32> {
    let engine = Engine::new(&Config::new()).unwrap();
    let module = Module::deserialize(&engine, artifact).unwrap();
    let mut store = Store::new(&engine, ()).unwrap();
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let func = instance.get_func(&mut store, name).unwrap();
    let call = |arg| {
        let mut result = [Val::I32(0)];
        func.call(&mut store, &[Val::I32(arg)], &mut result).unwrap();
        result[0].i32().unwrap()
    };
    args.map(call).collect()
}

/// A module of many functions, with something in front of all else, and its first function, `$first`, as given. The last one
/// is too long to be translated along elsewhere.
fn module(front: &str, first: &str) -> String {
    let mut text = format!("(module {front}");
    for i in 0..GLOBALS {
        write!(text, "(global $g{i} (export \"g{i}\") (mut i32) (i32.const {}))", i * i + 100).unwrap();
    }
    write!(text, "(func $first (export \"first\") (param i32) (result i32) {first})").unwrap();
    for i in 0..FUNCS {
        write!(text, "(func $f{i} (param i32) (result i32) (i32.add (local.get 0) (i32.const {i})))").unwrap();
    }
    let long = "(local.set 0 (i32.rotl (i32.mul (local.get 0) (i32.const 7)) (i32.const 3)))".repeat(40);
    write!(text, "(func $last (param i32 i32) (result i32) {long} (i32.add (local.get 0) (local.get 1))))").unwrap();
    text
}

/// A function that reads one of the globals by its number. It mentions them in that order first, or in that of its cases.
fn choice_of_globals(mentions_all: bool) -> String {
    let labels: String = (0..GLOBALS).map(|i| format!(" $case{i}")).collect();
    let mentions: String =
        (0..GLOBALS).filter(|_| mentions_all).map(|i| format!("(drop (global.get $g{i}))")).collect();
    let mut text = format!("(br_table{labels} (local.get 0))");
    for i in 0..GLOBALS {
        text = format!("(block $case{i} {text}) (return (global.get $g{}))", (i * 5 + 3) % GLOBALS);
    }
    mentions + &text + "(unreachable)"
}

/// Something that is added in front of a module.
const FRONT: &str = "(type $pair (struct (field i64))) (global $new (mut i64) (i64.const 5)) (memory 1)";

/// LLVM makes a table of the offsets, or computes them where they are mentioned in the order of the cases: both only real
/// offsets bear.
#[test]
fn offsets_that_are_chosen_are_real_ones() {
    let expected: Vec<_> = (0..GLOBALS).map(|i| (i * 5 + 3) % GLOBALS).map(|global| global * global + 100).collect();
    for mentions_all in [true, false] {
        let kept = Arc::<Kept>::default();
        for front in ["", FRONT] {
            let (artifact, _) = artifact(&kept, &module(front, &choice_of_globals(mentions_all)));
            assert_eq!(results(&artifact, "first", 0..GLOBALS), expected, "{mentions_all} {front}");
            assert!(obstacles(&kept) > 0, "nothing is in the way: the test shows nothing");
        }
    }
}

#[test]
fn constants_that_are_passed_far_away_are_put_in() {
    let kept = Arc::<Kept>::default();
    let mut compiled = Vec::new();
    // Of the same length in the binary format.
    for (front, constant) in [("", 0x4000), ("", 0x4001), (FRONT, 0x5fff), ("", 0x4000)] {
        let first = format!("(call $last (local.get 0) (i32.const {constant}))");
        let (artifact, count) = artifact(&kept, &module(front, &first));
        let step = |value: i32, _| value.wrapping_mul(7).rotate_left(3);
        let expected: Vec<_> = (0..5).map(|arg| (0..40).fold(arg, step).wrapping_add(constant)).collect();
        assert_eq!(results(&artifact, "first", 0..5), expected, "{constant:#x} {front}");
        compiled.push(count);
    }
    // What comes once per module names everything; all else is there.
    assert_eq!(compiled[1..], [0, 1, 0]);
}
