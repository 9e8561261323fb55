//! The whole way: text to artifact to running program, through both binaries.

mod common;

use common::{Said, Scratch, said};
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// Exports of all kinds of results.
const VALUES: &str = r#"(module $values
    (type $point (struct (field i32)))
    (tag $oops (param i32 i64))
    (func (export "add") (param i32 i64) (result i64) (i64.add (i64.extend_i32_s (local.get 0)) (local.get 1)))
    (func (export "f32") (param f32) (result f32) (local.get 0))
    (func (export "f64") (param f64) (result f64) (local.get 0))
    (func (export "many") (result i32 i64 f32 f64 anyref)
        (i32.const -1) (i64.const 5) (f32.const 0.1) (f64.const 1e300) (ref.i31 (i32.const 5)))
    (func (export "struct") (result (ref $point)) (struct.new $point (i32.const 1)))
    (func (export "nulls") (result anyref funcref externref (ref null $point))
        (ref.null any) (ref.null func) (ref.null extern) (ref.null $point))
    (func (export "any") (param anyref) (result anyref) (local.get 0))
    (func (export "extern") (param externref) (result externref) (local.get 0))
    (func (export "point") (param (ref null $point)) (result i32) (ref.is_null (local.get 0)))
    (func (export "v128") (param v128 v128) (result v128) (i32x4.add (local.get 0) (local.get 1)))
    (memory (export "memory") 1))"#;

/// Functions that trap, one through another.
const TRAPS: &str = r#"(module $traps
    (type $point (struct (field i32)))
    (type $array (array i8))
    (tag $oops (param i32 i64))
    (table 2 funcref)
    (memory 1)
    (global $n (mut i32) (i32.const 0))
    (func $inner (unreachable))
    (func $outer (call $inner))
    (func (export "unreachable") (call $outer))
    (func (export "null") (result i32) (struct.get $point 0 (ref.null $point)))
    (func (export "bounds") (result i32) (array.get_u $array (array.new $array (i32.const 0) (i32.const 3)) (i32.const 3)))
    (func (export "cast") (result (ref $point)) (ref.cast (ref $point) (ref.i31 (i32.const 1))))
    (func (export "divide") (param i32) (result i32) (i32.div_s (i32.const 1) (local.get 0)))
    (func (export "overflow") (result i32) (i32.div_s (i32.const 0x80000000) (i32.const -1)))
    (func (export "memory") (result i32) (i32.load (i32.const 65536)))
    (func (export "element") (call_indirect (param) (i32.const 1)))
    (func (export "throw") (throw $oops (i32.const 7) (i64.const 8)))
    (func $deep (export "deep") (result i32) (i32.add (call $deep) (i32.const 1)))
    (func (export "huge") (result anyref) (array.new_default $array (i32.const 0x3fffffff)))
    (func (export "count") (result i32)
        (global.set $n (i32.add (global.get $n) (i32.const 1)))
        (if (i32.eq (global.get $n) (i32.const 3)) (then (unreachable)))
        (global.get $n)))"#;

/// A command of WASI that prints its arguments and variables, or its input, or exits.
const COMMAND: &str = r#"(module $command
    (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_sizes_get" (func $env_sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_get" (func $env (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func $print (param $at i32) (param $length i32)
        (i32.store (i32.const 0) (local.get $at))
        (i32.store (i32.const 4) (local.get $length))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
    (func (export "_start")
        (drop (call $args_sizes (i32.const 16) (i32.const 20)))
        (drop (call $args (i32.const 1024) (i32.const 4096)))
        (call $print (i32.const 4096) (i32.load (i32.const 20)))
        (drop (call $env_sizes (i32.const 16) (i32.const 20)))
        (drop (call $env (i32.const 1024) (i32.const 4096)))
        (call $print (i32.const 4096) (i32.load (i32.const 20))))
    (func (export "cat")
        (loop $again
            (i32.store (i32.const 0) (i32.const 4096))
            (i32.store (i32.const 4) (i32.const 1000))
            (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
            (if (i32.load (i32.const 8)) (then
                (call $print (i32.const 4096) (i32.load (i32.const 8)))
                (br $again)))))
    (func (export "flood") (loop $again (call $print (i32.const 4096) (i32.const 4096)) (br $again)))
    (func (export "exit") (param i32) (call $exit (local.get 0)) (unreachable)))"#;

#[test]
fn arguments_and_results_are_text() {
    let scratch = Scratch::new();
    scratch.file("test.wat", VALUES);
    let invoke = |name: &str, args: &[&str]| scratch.run(["run", "--invoke", name, "test.wat"].iter().chain(args));
    invoke("add", &["-5", "0xffffffffffffffff"]).prints("-6\n");
    invoke("add", &["4294967295", "-9223372036854775808"]).prints("9223372036854775807\n");
    invoke("f32", &["0.1"]).prints("0.1\n");
    invoke("f32", &["-nan:0x200000"]).prints("-nan:0x200000\n");
    invoke("f64", &["0x1.8p1"]).prints("3\n");
    invoke("f64", &["-inf"]).prints("-inf\n");
    invoke("many", &[]).prints("-1\n5\n0.1\n1e300\n(ref.i31 5)\n");
    invoke("struct", &[]).prints("(ref.struct)\n");
    invoke("nulls", &[]).prints("(ref.null any)\n(ref.null func)\n(ref.null extern)\n(ref.null any)\n");
    invoke("any", &["-7"]).prints("(ref.i31 -7)\n");
    invoke("any", &["null"]).prints("(ref.null any)\n");
    invoke("extern", &["12"]).prints("(ref.extern 12)\n");
    invoke("point", &["null"]).prints("1\n");
    invoke("v128", &["0x10000000000000002", "i32x4:-1,10,-1,16"]).prints("0x00000010000000000000000a00000001\n");
}

#[test]
fn wrong_calls_are_errors() {
    let scratch = Scratch::new();
    scratch.file("test.wat", VALUES);
    let invoke = |name: &str, args: &[&str]| scratch.run(["run", "--invoke", name, "test.wat"].iter().chain(args));
    invoke("add", &["1"]).fails_with(&["add", "2 arguments (i32 i64)", "1 given"]);
    invoke("add", &["1", "2", "3"]).fails_with(&["3 given"]);
    invoke("add", &["x", "2"]).fails_with(&["argument 1", "\"x\"", "i32"]);
    invoke("add", &["4294967296", "2"]).fails_with(&["argument 1"]);
    invoke("add", &[&"1".repeat(10_000), "2"]).fails_with(&["argument 1", "1…\"", "i32"]);
    invoke("f32", &["1,5"]).fails_with(&["argument 1", "f32"]);
    invoke("point", &["1"]).fails_with(&["null"]);
    invoke("v128", &["0x1", "1"]).fails_with(&["argument 2", "\"1\"", "v128"]);
    invoke("nothing", &[]).fails_with(&["no export \"nothing\""]);
    invoke("memory", &[]).fails_with(&["\"memory\" is no function"]);
    scratch.run(["run", "test.wat"]).fails_with(&["_start", "--invoke"]);
}

#[test]
fn traps_have_a_reason_and_a_backtrace() {
    let scratch = Scratch::new();
    scratch.file("test.wat", TRAPS);
    let invoke = |name: &str, args: &[&str]| scratch.run(["run", "--invoke", name, "test.wat"].iter().chain(args));
    let said = scratch.run(["run", "-O0", "--invoke", "unreachable", "test.wat"]);
    said.traps_with("unreachable");
    let frames: Vec<&str> = said.stderr.lines().skip(1).collect();
    assert_eq!(frames, ["  0: inner (traps!0)", "  1: outer (traps!1)", "  2: <unnamed> (traps!2)"]);
    invoke("null", &[]).traps_with("null structure reference");
    invoke("bounds", &[]).traps_with("out of bounds array access");
    invoke("cast", &[]).traps_with("cast failure");
    invoke("divide", &["0"]).traps_with("integer divide by zero");
    invoke("overflow", &[]).traps_with("integer overflow");
    invoke("memory", &[]).traps_with("out of bounds memory access");
    invoke("element", &[]).traps_with("uninitialized element");
    invoke("deep", &[]).traps_with("call stack exhausted");
    let said = invoke("throw", &[]);
    said.traps_with("uncaught exception");
    assert!(said.stderr.contains("payload: 7 8"), "{said:?}");
    scratch.run(["run", "--gc-heap-max", "16M", "--invoke", "huge", "test.wat"]).traps_with("out of memory");
}

#[test]
fn repeated_calls_share_an_instance_and_are_timed() {
    let scratch = Scratch::new();
    scratch.file("test.wat", TRAPS);
    let said = scratch.run(["run", "--repeat", "2", "--invoke", "count", "test.wat"]);
    said.prints("2\n");
    let lines: Vec<&str> = said.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{said:?}");
    for (i, line) in lines.iter().enumerate() {
        let millis = line.strip_prefix(&format!("call {}: ", i + 1)).and_then(|rest| rest.strip_suffix(" ms"));
        assert!(millis.is_some_and(|millis| millis.parse::<f64>().is_ok()), "{line}");
    }
    let said = scratch.run(["run", "--repeat", "5", "--stats", "--invoke", "count", "test.wat"]);
    assert_eq!(said.status, Some(134));
    assert_eq!(stats(&said)["calls_ms"].as_array().map(Vec::len), Some(3));
}

#[test]
fn stats_are_one_json_object() {
    let scratch = Scratch::new();
    let said = scratch.run_wat(VALUES, &["run", "--stats", "--invoke", "struct", "@"]);
    said.prints("(ref.struct)\n");
    let stats = stats(&said);
    assert!(stats["compile_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{stats}");
    assert!(stats["load_ms"].as_f64().is_some() && stats["instantiate_ms"].as_f64().is_some(), "{stats}");
    assert!(stats["gc"]["collections"].as_u64().is_some(), "{stats}");
    assert!(stats["peak_rss_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{stats}");
}

/// The JSON object on the last line.
fn stats(said: &Said) -> serde_json::Value {
    serde_json::from_str(said.stderr.lines().last().unwrap_or_default()).expect("JSON on the last line")
}

#[test]
fn commands_see_arguments_and_environment() {
    let scratch = Scratch::new();
    scratch.file("test.wat", COMMAND);
    let said = scratch.run(["run", "--env", "A=1", "--env", "B=x=y", "test.wat", "-x", "--stats", "b c"]);
    said.prints("test.wat\0-x\0--stats\0b c\0A=1\0B=x=y\0");
}

#[test]
fn commands_read_and_exit() {
    let scratch = Scratch::new();
    scratch.file("test.wat", COMMAND);
    let mut child = scratch
        .dolmen()
        .args(["run", "--invoke", "cat", "test.wat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let text = "line\n".repeat(1000);
    let mut stdin = child.stdin.take().expect("a pipe");
    let sent = text.clone();
    let writer = thread::spawn(move || stdin.write_all(sent.as_bytes()));
    let mut read = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut read).expect("text");
    writer.join().expect("the writer ends").expect("the text is taken");
    assert_eq!((read, child.wait().expect("the command ends").code()), (text, Some(0)));
    for status in [0, 7, 255] {
        let said = scratch.run(["run", "--invoke", "exit", "test.wat", &status.to_string()]);
        assert_eq!((said.status, &*said.stdout, &*said.stderr), (Some(status), "", ""));
    }
}

#[test]
fn a_program_ends_when_nobody_reads() {
    let scratch = Scratch::new();
    scratch.file("test.wat", COMMAND);
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    let said = said(scratch.dolmen().args(["run", "--invoke", "flood", "test.wat"]).stdout(Stdio::from(writer)));
    assert_eq!((said.status, &*said.stderr), (Some(0), ""));
}

#[test]
fn imports_must_be_there_and_fit() {
    let scratch = Scratch::new();
    let module = r#"(module (import "env" "f" (func $f (param i32) (result i64)))
        (func (export "run") (result i64) (call $f (i32.const 1))))"#;
    scratch.run_wat(module, &["run", "--invoke", "run", "@"]).fails_with(&["unknown import", "\"env\" \"f\"", "i64"]);
    scratch.run_wat(module, &["run", "--unknown-imports", "default", "--invoke", "run", "@"]).prints("0\n");
    let said = scratch.run_wat(module, &["run", "--unknown-imports", "trap", "--invoke", "run", "@"]);
    assert_eq!(said.status, Some(134), "{said:?}");
    assert!(said.stderr.starts_with("trap: call of a missing import"), "{said:?}");
    let wrong = r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i64))))"#;
    scratch.run_wat(wrong, &["run", "--invoke", "x", "@"]).fails_with(&[
        "incompatible import",
        "proc_exit",
        "i64",
        "i32",
    ]);
    let unknown = r#"(module (import "wasi_snapshot_preview1" "fd_fly" (func)))"#;
    scratch.run_wat(unknown, &["run", "--invoke", "x", "@"]).fails_with(&["unknown import", "fd_fly"]);
}

#[test]
fn preloaded_modules_are_linked_against() {
    let scratch = Scratch::new();
    scratch.file("lib.wat", r#"(module (func (export "f") (result i32) (i32.const 42)))"#);
    let module = r#"(module (import "lib" "f" (func $f (result i32))) (func (export "run") (result i32) (call $f)))"#;
    scratch.run_wat(module, &["run", "--preload", "lib=lib.wat", "--invoke", "run", "@"]).prints("42\n");
    scratch
        .run_wat(module, &["run", "--preload", "lib=nowhere.wat", "--invoke", "run", "@"])
        .fails_with(&["nowhere.wat"]);
}

#[test]
fn invalid_modules_are_refused_with_their_place() {
    let scratch = Scratch::new();
    let compile = |name: &str, content: &[u8]| {
        scratch.file(name, content);
        scratch.run(["compile", name, "-o", "out.dolmen"])
    };
    compile("a.wat", b"(module (func (result i32)))").fails_with(&["a.wat", "invalid module", "offset"]);
    compile("a.wat", b"(module\n  (func i32.nothing))").fails_with(&["a.wat", "line 2, column 9"]);
    compile("a.wasm", b"\0asm\x01\0\0\0\x01").fails_with(&["a.wasm", "offset"]);
    compile("a.wasm", b"").fails_with(&["a.wasm"]);
    compile("a.wasm", b"not wasm at all").fails_with(&["a.wasm"]);
    assert!(!scratch.path("out.dolmen").exists());
    scratch.file("b.wat", "(module)");
    scratch.run(["compile", "b.wat", "-o", "nowhere/out"]).fails_with(&["cannot write nowhere/out"]);
    scratch.run(["compile", "b.wat", "-o", "out", "--target-cpu", "pdp11"]).fails_with(&["pdp11"]);
}

#[test]
fn artifacts_run_without_a_compiler() {
    let scratch = Scratch::new();
    scratch.file("test.wat", VALUES);
    let said_compile = scratch.run(["compile", "test.wat", "-o", "test.dolmen", "-O", "1", "--jobs", "1"]);
    assert_eq!((said_compile.status, &*said_compile.stdout, &*said_compile.stderr), (Some(0), "", ""));
    let run = ["run", "--invoke", "add", "test.dolmen", "1", "2"];
    said(scratch.dolmen().args(run).env("DOLMENC", "/nowhere")).prints("3\n");
    scratch.run(["compile", "test.dolmen", "-o", "x"]).fails_with(&["compiled already"]);
    let inspected = scratch.run(["inspect", "test.dolmen"]);
    assert!(inspected.stdout.contains("artifact \"values\""), "{inspected:?}");
    assert!(inspected.stdout.contains(".text"), "{inspected:?}");
}

#[test]
fn damaged_artifacts_are_refused() {
    let scratch = Scratch::new();
    scratch.file("test.wat", VALUES);
    assert_eq!(scratch.run(["compile", "test.wat", "-o", "test.dolmen"]).status, Some(0));
    let artifact = fs::read(scratch.path("test.dolmen")).expect("the artifact");
    for length in [1, 16, 64, 4096, artifact.len() / 2, artifact.len() - 1] {
        scratch.file("part.dolmen", &artifact[..length]);
        scratch.run(["run", "--invoke", "add", "part.dolmen", "1", "2"]).fails_with(&["part.dolmen"]);
        scratch.run(["inspect", "part.dolmen"]).fails_with(&["part.dolmen"]);
    }
    for at in [20, 4100, artifact.len() / 2, artifact.len() - 40, artifact.len() - 1] {
        let mut damaged = artifact.clone();
        damaged[at] ^= 1;
        scratch.file("bad.dolmen", &damaged);
        scratch.run(["run", "--invoke", "add", "bad.dolmen", "1", "2"]).fails_with(&["bad.dolmen"]);
    }
    // The format's version stands in the ELF header's flags.
    let mut older = artifact;
    older[48] ^= 0x40;
    scratch.file("old.dolmen", &older);
    scratch.run(["run", "--invoke", "add", "old.dolmen", "1", "2"]).fails_with(&["old.dolmen", "version"]);
    scratch.run(["inspect", "old.dolmen"]).fails_with(&["version"]);
}

#[test]
fn other_outputs_are_text() {
    let scratch = Scratch::new();
    scratch.file("test.wat", VALUES);
    for (kind, part) in [("llvm-ir", "define"), ("asm", ".text")] {
        let said = scratch.run(["compile", "test.wat", "-o", "-", "--emit", kind]);
        assert_eq!(said.status, Some(0), "{said:?}");
        assert!(said.stdout.contains(part), "{kind}");
    }
    assert_eq!(scratch.run(["compile", "test.wat", "-o", "test.o", "--emit", "obj"]).status, Some(0));
    assert!(fs::read(scratch.path("test.o")).expect("the object").starts_with(b"\x7fELF"));
}

#[test]
fn compiled_modules_are_kept() {
    let scratch = Scratch::new();
    scratch.file("test.wat", VALUES);
    let run = |options: &[&str]| {
        let args = ["run", "--stats", "--invoke", "add"].iter().chain(options).chain(&["test.wat", "1", "2"]);
        let said = scratch.run(args);
        said.prints("3\n");
        stats(&said)["compile_ms"].as_f64().expect("a number") > 0.0
    };
    assert!(run(&["--no-cache"]));
    assert_eq!(scratch.cached().len(), 0);
    assert!(run(&[]));
    assert!(!run(&[]));
    assert!(run(&["-O0"]));
    assert!(run(&["--gc", "null"]));
    assert_eq!(scratch.cached().len(), 3);
    for file in scratch.cached() {
        let mut artifact = fs::read(&file).expect("the entry");
        artifact.truncate(5000);
        fs::write(&file, artifact).expect("a damaged entry");
    }
    assert!(run(&[]));
    assert!(!run(&[]));
    fs::remove_dir_all(scratch.path("cache")).expect("the cache");
    scratch.file("cache", "in the way");
    assert!(run(&[]));
}

#[test]
fn concurrent_runs_share_a_cache() {
    let scratch = Scratch::new();
    scratch.file("test.wat", VALUES);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| scratch.run(["run", "--invoke", "add", "test.wat", "1", "2"]).prints("3\n"));
        }
    });
    assert_eq!(scratch.cached().len(), 1);
}

/// A module of two parts; in the second the function `last` returns `number`.
fn module_of_two_parts(number: i32) -> String {
    let funcs: String = (0..1500).map(|i| format!("(func (result i32) (i32.const {i}))")).collect();
    format!("(module {funcs} (func (export \"last\") (result i32) (i32.const {number})))")
}

#[test]
fn only_parts_that_have_changed_are_compiled() {
    let scratch = Scratch::new();
    // The artifact, and the line that tells how many parts were there.
    let compile = |number: i32, options: &[&str]| {
        scratch.file("test.wat", module_of_two_parts(number));
        let said = scratch.run(["compile", "--time", "-O1", "test.wat", "-o", "test.dolmen"].iter().chain(options));
        assert_eq!(said.status, Some(0), "{said:?}");
        let reused = said.stderr.lines().find(|line| line.contains("before")).map(str::to_owned);
        (fs::read(scratch.path("test.dolmen")).expect("the artifact"), reused)
    };
    // Two of functions, and one of what comes once.
    let reused = |parts| (parts > 0).then(|| format!("{parts} of 3 parts were compiled before"));
    let check = |number, parts| {
        let (artifact, told) = compile(number, &["--incremental"]);
        assert_eq!(told, reused(parts));
        assert!(artifact == compile(number, &[]).0);
    };
    check(1, 0);
    check(1, 3);
    check(2, 2);
    assert_eq!(scratch.cached_parts().len(), 4);
    scratch.run(["run", "--incremental", "-O1", "--invoke", "last", "test.wat"]).prints("2\n");
    assert_eq!(scratch.cached_parts().len(), 4);
    for file in scratch.cached_parts() {
        let mut part = fs::read(&file).expect("the part");
        part[64] ^= 1;
        fs::write(&file, part).expect("a damaged part");
    }
    check(2, 0);
    check(2, 3);
    thread::scope(|scope| {
        for i in 0..4 {
            let output = format!("{i}.dolmen");
            let args = ["compile", "--incremental", "-O0", "test.wat", "-o", &output].map(str::to_owned);
            scope.spawn(|| assert_eq!(scratch.run(args).status, Some(0)));
        }
    });
    assert_eq!(scratch.cached_parts().len(), 7);
    let artifacts = (0..4).map(|i| fs::read(scratch.path(&format!("{i}.dolmen"))).expect("the artifact"));
    assert!(artifacts.collect::<Vec<_>>().windows(2).all(|pair| pair[0] == pair[1]));
    // A bound that leaves one part, then no place at all.
    let mut bounded = scratch.dolmen();
    bounded.env("DOLMEN_CACHE_MAX", "1").args(["compile", "--incremental", "-O0", "test.wat", "-o", "test.dolmen"]);
    assert_eq!((said(&mut bounded).status, scratch.cached_parts().len()), (Some(0), 1));
    fs::remove_dir_all(scratch.path("cache")).expect("the cache");
    scratch.file("cache", "in the way");
    check(3, 0);
    scratch.run(["run", "--incremental", "--no-cache", "test.wat"]).fails_with(&["--no-cache"]);
}

#[test]
fn a_heap_snapshot_is_a_graph_that_developer_tools_read() {
    let scratch = Scratch::new();
    let module = r#"(module
        (type $node (struct (field $next (ref null $node)) (field i64)))
        (type $table (array (mut (ref null $node))))
        (global $kept (mut (ref null $table)) (ref.null $table))
        (func (export "keep") (result i32)
            (local $second (ref $node))
            (local.set $second (struct.new $node (struct.new $node (ref.null $node) (i64.const 1)) (i64.const 2)))
            (global.set $kept (array.new_default $table (i32.const 10)))
            (array.set $table (global.get $kept) (i32.const 7) (local.get $second))
            (i32.const 1)))"#;
    scratch.file("test.wat", module);
    let path = scratch.path("out.heapsnapshot");
    let path = path.to_str().unwrap();
    scratch.run(["run", "--gc-snapshot", path, "--invoke", "keep", "test.wat"]).prints("1\n");
    let snapshot: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let numbers =
        |key: &str| -> Vec<u64> { snapshot[key].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect() };
    let (nodes, edges) = (numbers("nodes"), numbers("edges"));
    let (nodes, edges) = (nodes.chunks(7).collect::<Vec<_>>(), edges.chunks(3).collect::<Vec<_>>());
    assert_eq!(snapshot["snapshot"]["node_count"], nodes.len());
    assert_eq!(snapshot["snapshot"]["edge_count"], edges.len());
    assert_eq!(nodes.iter().map(|n| n[4]).sum::<u64>(), edges.len() as u64);
    let name = |node: usize| snapshot["strings"][nodes[node][1] as usize].as_str().unwrap();
    let edges_of = |node: usize| {
        let start = nodes[..node].iter().map(|n| n[4] as usize).sum::<usize>();
        &edges[start..start + nodes[node][4] as usize]
    };
    let globals = (0..nodes.len()).find(|&n| name(n) == "(Global)").unwrap();
    assert!(edges_of(0).iter().any(|e| e[2] as usize == 7 * globals), "the root refers to the globals");
    let [to_table] = edges_of(globals) else { panic!("one global holds a reference") };
    let table = to_table[2] as usize / 7;
    assert_eq!((name(table), nodes[table][3]), ("table", 48));
    let [to_second] = edges_of(table) else { panic!("one element is not null") };
    assert_eq!(to_second[..2], [1, 7], "an element edge with its index");
    let second = to_second[2] as usize / 7;
    assert_eq!((name(second), nodes[second][3]), ("node", 16));
    let [to_first] = edges_of(second) else { panic!("one field is not null") };
    assert_eq!(edges_of(to_first[2] as usize / 7).len(), 0);
}

#[test]
fn the_heap_follows_its_options() {
    let scratch = Scratch::new();
    // Each object is reachable when the next one is allocated, so that no optimiser can do without them.
    let module = r#"(module
        (type $list (struct (field (ref null $list))))
        (global $all (mut (ref null $list)) (ref.null $list))
        (func $push (global.set $all (struct.new $list (global.get $all))))
        (func (export "push") (param i32) (result i32)
            (loop $again
                (call $push)
                (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
                (br_if $again (local.get 0)))
            (loop $count
                (global.set $all (struct.get $list 0 (global.get $all)))
                (local.set 0 (i32.add (local.get 0) (i32.const 1)))
                (br_if $count (i32.eqz (ref.is_null (global.get $all)))))
            (local.get 0))
        (func (export "keep") (loop $again (call $push) (br $again))))"#;
    scratch.file("test.wat", module);
    let said = scratch.run(["run", "--gc-stress", "1", "--gc-verify", "--stats", "--invoke", "push", "test.wat", "50"]);
    said.prints("50\n");
    assert!(stats(&said)["gc"]["collections"].as_u64() >= Some(49), "{said:?}");
    let said = scratch.run(["run", "--gc-stress", "10", "--gc-log", "--invoke", "push", "test.wat", "50"]);
    said.prints("50\n");
    assert!(said.stderr.lines().count() >= 4, "{said:?}");
    let parts = ["--gc-log", "--gc-minor-pause", "0.001ms"];
    let said = scratch.run([&["run"][..], &parts, &["--invoke", "push", "test.wat", "2000000"]].concat());
    said.prints("2000000\n");
    assert!(said.stderr.contains("minor part"), "{said:?}");
    let said = scratch.run(["run", "--gc", "null", "--stats", "--invoke", "push", "test.wat", "50"]);
    said.prints("50\n");
    assert_eq!(stats(&said)["gc"]["collections"], 0);
    for gc in ["generational", "marksweep", "null"] {
        scratch
            .run(["run", "--gc", gc, "--gc-heap-max", "8M", "--gc-heap-initial", "1M", "--invoke", "keep", "test.wat"])
            .traps_with("out of memory");
    }
    scratch.run(["run", "--gc-heap-max", "99T", "--invoke", "push", "test.wat", "1"]).fails_with(&["16 GiB"]);
    scratch.run(["run", "--max-stack", "1", "--invoke", "push", "test.wat", "1"]).fails_with(&["512 KiB"]);
}

#[test]
fn the_compiler_ends_with_its_parent() {
    let commands = r#"exec 3<&0; "$0" --server <&3 >/dev/null & echo $!; wait"#;
    let mut shell = Command::new("sh")
        .args(["-c", commands, env!("CARGO_BIN_EXE_dolmenc")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the shell starts");
    // Its input stays open all the time, so that is not why it ends.
    let _stdin = shell.stdin.take().expect("a pipe");
    let mut pid = String::new();
    BufReader::new(shell.stdout.take().expect("a pipe")).read_line(&mut pid).expect("the compiler's number");
    let process = format!("/proc/{}/cmdline", pid.trim());
    // Gone, or a zombie without a command line.
    let alive = || fs::read(&process).is_ok_and(|line| line.ends_with(b"--server\0"));
    let until = |wanted: bool| {
        (0..600).any(|_| {
            thread::sleep(Duration::from_millis(50));
            alive() == wanted
        })
    };
    assert!(until(true), "the compiler does not start");
    thread::sleep(Duration::from_millis(500));
    shell.kill().expect("the shell is there");
    shell.wait().expect("the shell ends");
    assert!(until(false), "the compiler survives its parent");
}

#[test]
fn scripts_are_counted() {
    let scratch = Scratch::new();
    scratch.file(
        "good.wast",
        r#"(module (func (export "f") (result i32) (i32.const 1)))
           (assert_return (invoke "f") (i32.const 1))
           (assert_invalid (module (func (result i32))) "type mismatch")"#,
    );
    scratch.file(
        "bad.wast",
        r#"(module (func (export "f") (result i32) (i32.const 1))) (assert_return (invoke "f") (i32.const 2))"#,
    );
    let said = scratch.run(["wast", "good.wast"]);
    said.prints("good.wast: 3 passed, 0 failed\n");
    let said = scratch.run(["wast", "good.wast", "bad.wast"]);
    assert_eq!(said.status, Some(1));
    assert_eq!(said.stdout, "good.wast: 3 passed, 0 failed\nbad.wast: 1 passed, 1 failed\n");
    assert!(said.stderr.contains("bad.wast:1:"), "{said:?}");
    scratch.run(["wast", "nowhere.wast"]).fails_with(&["nowhere.wast"]);
}

#[test]
fn scripts_have_the_heap_that_was_asked_for() {
    let scratch = Scratch::new();
    scratch.file(
        "large.wast",
        r#"(module (type $bytes (array i8))
             (global $kept (mut (ref null $bytes)) (ref.null $bytes))
             (func (export "make") (global.set $kept (array.new_default $bytes (i32.const 1000000)))))
           (assert_return (invoke "make"))"#,
    );
    scratch.run(["wast", "large.wast"]).prints("large.wast: 2 passed, 0 failed\n");
    let said = scratch.run(["wast", "--gc-heap-max", "512k", "large.wast"]);
    assert_eq!(said.stdout, "large.wast: 1 passed, 1 failed\n", "{said:?}");
}

/// A program that hangs tells where it is when it is asked, and goes on.
#[test]
fn threads_are_shown_on_sigquit() {
    let scratch = Scratch::new();
    let module = scratch.file("hangs.wat", r#"(module (func $spin (export "_start") (loop $l (br $l))))"#);
    let mut program = Command::new(env!("CARGO_BIN_EXE_dolmen"))
        .args(["run", "--timeout", "20s"])
        .arg(&module)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stderr.take().unwrap()).lines().map_while(Result::ok);
    let pid = program.id().to_string();
    let ask = || assert!(Command::new("kill").args(["-QUIT", &pid]).status().unwrap().success());
    // It takes a moment until the program runs: a signal before that ends the process, so look for its thread.
    let tasks = format!("/proc/{pid}/task");
    let is_watching = || {
        let names = fs::read_dir(&tasks).unwrap().map_while(Result::ok);
        names
            .map(|task| fs::read_to_string(task.path().join("comm")).unwrap_or_default())
            .any(|name| name == "timeout\n")
    };
    while !is_watching() {
        thread::sleep(Duration::from_millis(5));
    }
    for _ in 0..2 {
        ask();
        assert_eq!(lines.next().as_deref(), Some("threads: 1"));
        assert!(lines.next().is_some_and(|line| line.starts_with("thread 0: ")));
        let told = lines.next().unwrap();
        if told == "thread 0 is calling:" {
            assert_eq!(lines.next().as_deref(), Some("  spin (hangs!0)"));
        } else {
            // The loop had not begun.
            assert_eq!(told, "thread 0 runs no code, or code without polls");
        }
    }
    program.kill().unwrap();
    program.wait().unwrap();
}
