//! The command line without a compiler: usage, bad input, and compilers that misbehave.

mod common;

use common::{Scratch, said, text};
use std::fs;
use std::io;
use std::process::Stdio;

/// A module that imports a function and exports two items.
const MODULE: &str = r#"(module $m
    (type $list (struct (field i32) (field (mut (ref null $list)))))
    (import "env" "log" (func (param i32)))
    (memory (export "memory") 1 3)
    (func (export "f") (param i32 (ref null $list)) (result i64) (i64.const 1)))"#;

fn wasm(wat: &str) -> Vec<u8> {
    wat::parse_str(wat).expect("a module for the test")
}

#[test]
fn errors_of_usage_are_one_line_and_status_1() {
    let scratch = Scratch::new();
    scratch.run([""; 0]).fails_with(&["no command"]);
    scratch.run(["fly"]).fails_with(&["fly"]);
    scratch.run(["run"]).fails_with(&["FILE"]);
    scratch.run(["run", "--invoke"]).fails_with(&["--invoke"]);
    scratch.run(["run", "-O4", "x"]).fails_with(&["4"]);
    scratch.run(["run", "--repeat", "0", "x"]).fails_with(&["0"]);
    scratch.run(["run", "--gc", "copying", "x"]).fails_with(&["copying", "marksweep"]);
    scratch.run(["run", "--gc-heap-max", "lots", "x"]).fails_with(&["lots", "64K"]);
    scratch.run(["run", "--gc-stress", "0", "x"]).fails_with(&["0"]);
    scratch.run(["run", "--preload", "x", "x"]).fails_with(&["NAME=FILE"]);
    scratch.run(["run", "--env", "x", "x"]).fails_with(&["K=V"]);
    scratch.run(["compile", "x"]).fails_with(&["--output"]);
    scratch.run(["compile", "x", "-o", "y", "--emit", "z"]).fails_with(&["llvm-ir"]);
    scratch.run(["compile", "x", "-o", "y", "--jobs", "0"]).fails_with(&["0"]);
    scratch.run(["wast"]).fails_with(&["FILE"]);
}

#[test]
fn help_and_version_are_no_errors() {
    let scratch = Scratch::new();
    for args in [&["--help"][..], &["--version"], &["run", "--help"], &["compile", "-h"], &["help", "inspect"]] {
        let said = scratch.run(args);
        assert_eq!((said.status, &*said.stderr), (Some(0), ""), "{said:?}");
        assert!(!said.stdout.is_empty());
    }
    let help = scratch.run(["run", "--help"]).stdout;
    for option in [
        "--invoke",
        "--repeat",
        "--stats",
        "--unknown-imports",
        "--preload",
        "--gc-heap-max",
        "--gc-heap-soft-max",
        "--max-stack",
    ] {
        assert!(help.contains(option), "{option} is not in the help");
    }
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let scratch = Scratch::new();
    for command in ["run", "inspect"] {
        scratch.run([command, "nowhere.wasm"]).fails_with(&["nowhere.wasm", "No such file"]);
        scratch.run([command, "."]).fails_with(&["Is a directory"]);
    }
    scratch.run(["compile", "nowhere.wat", "-o", "x"]).fails_with(&["nowhere.wat", "No such file"]);
}

#[test]
fn directories_are_refused_not_ignored() {
    let scratch = Scratch::new();
    scratch.run(["run", "--dir", ".::/", "x.wasm"]).fails_with(&["--dir", "no access"]);
}

#[test]
fn inspect_shows_a_module() {
    let scratch = Scratch::new();
    scratch.file("m.wasm", wasm(MODULE));
    let said = scratch.run(["inspect", "m.wasm"]);
    assert_eq!((said.status, &*said.stderr), (Some(0), ""));
    for line in [
        r#"module "m", "#,
        r#""env" "log" (func (type 1) (param i32))"#,
        r#""memory" (memory 1 3)"#,
        r#""f" (func (type 2) (param i32 (ref null 0)) (result i64))"#,
        "0 (struct (field i32) (field (mut (ref null 0))))",
        "2 functions, 0 tables, 1 memories",
    ] {
        assert!(said.stdout.contains(line), "{line:?} is not in {}", said.stdout);
    }
}

#[test]
fn inspect_gives_json() {
    let scratch = Scratch::new();
    let file = scratch.file("m.wasm", wasm(MODULE));
    let said = scratch.run(["inspect", "--json", text(&file)]);
    let json: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert_eq!(json["kind"], "module");
    assert_eq!(json["file_bytes"], fs::metadata(&file).expect("the file").len());
    assert_eq!(json["imports"][0]["module"], "env");
    assert_eq!(json["exports"][1]["type"], "(func (type 2) (param i32 (ref null 0)) (result i64))");
    assert_eq!(json["counts"]["functions"], 2);
    assert_eq!(json["artifact"], serde_json::Value::Null);
}

#[test]
fn inspect_of_damaged_files_is_an_error() {
    let scratch = Scratch::new();
    let module = wasm(MODULE);
    for length in [0, 3, 7, 12, module.len() - 1] {
        scratch.file("m.wasm", &module[..length]);
        scratch.run(["inspect", "m.wasm"]).fails_with(&["m.wasm"]);
    }
    scratch.file("m.dolmen", b"\x7fELF is what it says it is");
    scratch.run(["inspect", "m.dolmen"]).fails_with(&["m.dolmen", "not an artifact"]);
    scratch.file("m.dolmen", "");
    scratch.run(["inspect", "m.dolmen"]).fails_with(&["not an artifact"]);
}

#[test]
fn files_that_are_no_artifacts_do_not_run() {
    let scratch = Scratch::new();
    scratch.file("m.dolmen", b"\x7fELF is what it says it is");
    scratch.run(["run", "m.dolmen"]).fails_with(&["cannot load m.dolmen"]);
    scratch.file("m.dolmen", "");
    scratch.run(["run", "m.dolmen"]).fails_with(&["cannot load m.dolmen"]);
}

#[test]
fn nobody_reading_is_no_error() {
    let scratch = Scratch::new();
    scratch.file("m.wasm", wasm(MODULE));
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    let said = said(scratch.dolmen().args(["inspect", "m.wasm"]).stdout(Stdio::from(writer)));
    assert_eq!((said.status, &*said.stderr), (Some(0), ""));
}

#[test]
fn a_missing_compiler_is_told() {
    let scratch = Scratch::new();
    scratch.file("m.wasm", wasm(MODULE));
    let alone = scratch.executable("dolmen", env!("CARGO_BIN_EXE_dolmen").as_ref());
    let mut command = std::process::Command::new(&alone);
    let said =
        said(command.args(["run", "m.wasm"]).current_dir(scratch.path("")).env_remove("DOLMENC").env("PATH", ""));
    said.fails_with(&["cannot compile m.wasm", "no compiler found"]);
}

#[test]
fn a_compiler_that_misbehaves_is_an_error_of_one_line() {
    let scratch = Scratch::new();
    scratch.file("m.wasm", wasm(MODULE));
    let compile = |commands: &str| {
        let compiler = scratch.script("fake", commands);
        said(scratch.dolmen().args(["compile", "m.wasm", "-o", "m.dolmen"]).env("DOLMENC", compiler))
    };
    let hello = |version: &str| format!("printf 'H\\00{}{}{version}'", version.len(), "\\000".repeat(7));
    let right = hello(env!("CARGO_PKG_VERSION"));
    compile("echo 'Stack dump:' >&2; echo 'LLVM ERROR: out of registers' >&2; kill -ABRT $$")
        .fails_with(&["signal 6", "LLVM ERROR: out of registers"]);
    compile(&format!("{right}; cat >/dev/null & echo 'LLVM ERROR: late' >&2; sleep 0.2; kill -SEGV $$"))
        .fails_with(&["signal 11", "LLVM ERROR: late"]);
    compile("echo 'error while loading shared libraries: libLLVM.so' >&2; exit 127")
        .fails_with(&["status 127", "libLLVM.so"]);
    compile("exit 0").fails_with(&["status 0"]);
    compile("echo I am not a compiler").fails_with(&["nonsense"]);
    compile(&hello("0.0.0")).fails_with(&["version 0.0.0", env!("CARGO_PKG_VERSION")]);
    compile(&format!("{right}; {right}; cat >/dev/null")).fails_with(&["nonsense"]);
    assert!(!scratch.path("m.dolmen").exists());
    let said = said(scratch.dolmen().args(["compile", "m.wasm", "-o", "m"]).env("DOLMENC", "/nowhere/dolmenc"));
    said.fails_with(&["/nowhere/dolmenc", "no program"]);
}

#[test]
fn the_command_has_no_compiler_in_it() {
    let binary = fs::read(env!("CARGO_BIN_EXE_dolmen")).expect("the command");
    for part in ["libLLVM.s", "X86 DAG->DAG Instruction Selection"] {
        let has_part = binary.windows(part.len()).any(|bytes| bytes == part.as_bytes());
        assert!(!has_part, "the command is linked to LLVM: it has {part:?}");
    }
    // Only the release build is small.
    if !cfg!(debug_assertions) {
        assert!(binary.len() < 5_000_000, "the command has {} bytes", binary.len());
    }
}
