//! The script runner itself: a directive that does not hold must be noticed, where and why.

use dolmen_aotc::{CompileError, Options};
use dolmen_spec_tests::{CompileFailure, CompileOptions, FileReport, RunOptions, run_script};

fn compile(wasm: &[u8], _: CompileOptions<'_>) -> Result<Vec<u8>, CompileFailure> {
    dolmen_aotc::compile(wasm, &Options::default()).map_err(|error| match error {
        CompileError::Invalid { .. } => CompileFailure::Invalid(error.to_string()),
        error => CompileFailure::Other(error.to_string()),
    })
}

fn run(script: &str) -> FileReport {
    run_script("script", script, &RunOptions::new(&compile))
}

/// Runs a module followed by directives that are wrong, one per line.
#[track_caller]
fn all_fail(module: &str, wrong: &str) {
    let report = run(&format!("{module}\n{wrong}"));
    let expected = wrong.lines().filter(|line| line.trim_start().starts_with('(')).count();
    let reasons: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
    assert_eq!(report.failures.len(), expected, "{reasons:#?}");
    assert_eq!(report.passed, 1, "only the module itself holds");
}

/// Runs a script in which everything holds.
#[track_caller]
fn all_hold(script: &str) {
    let report = run(script);
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
    assert!(report.passed > 0, "nothing ran");
}

const NUMBERS: &str = r#"(module
    (global (export "g") i32 (i32.const 7))
    (func (export "i32") (result i32) (i32.const 5))
    (func (export "two") (result i64 f32) (i64.const -1) (f32.const 1.5))
    (func (export "nan") (result f32) (f32.const nan:0x200001))
    (func (export "quiet") (result f64) (f64.const nan))
    (func (export "minus_zero") (result f64) (f64.const -0.0))
    (func (export "trap") (unreachable))
    (func (export "nothing")))"#;

#[test]
fn wrong_numbers_are_noticed() {
    all_fail(
        NUMBERS,
        r#"(assert_return (invoke "i32") (i32.const 6))
        (assert_return (invoke "i32") (i64.const 5))
        (assert_return (invoke "i32"))
        (assert_return (invoke "i32") (either (i32.const 1) (i32.const 2)))
        (assert_return (get "g") (i32.const 8))
        (assert_return (invoke "two") (i64.const -1) (f32.const 2.5))
        (assert_return (invoke "two") (i64.const -1))
        (assert_return (invoke "nan") (f32.const nan:canonical))
        (assert_return (invoke "nan") (f32.const nan:arithmetic))
        (assert_return (invoke "nan") (f32.const nan:0x200002))
        (assert_return (invoke "minus_zero") (f64.const 0))"#,
    );
}

#[test]
fn right_numbers_hold() {
    all_hold(&format!(
        "{NUMBERS}\n{}",
        r#"(assert_return (invoke "i32") (either (i32.const 1) (i32.const 5)))
        (assert_return (get "g") (i32.const 7))
        (assert_return (invoke "two") (i64.const -1) (f32.const 1.5))
        (assert_return (invoke "nan") (f32.const nan:0x200001))
        (assert_return (invoke "quiet") (f64.const nan:canonical))
        (assert_return (invoke "quiet") (f64.const nan:arithmetic))
        (assert_return (invoke "minus_zero") (f64.const -0.0))
        (assert_return (invoke "nothing"))
        (assert_trap (invoke "trap") "unreach")"#
    ));
}

#[test]
fn wrong_outcomes_are_noticed() {
    all_fail(
        NUMBERS,
        r#"(assert_return (invoke "trap"))
        (invoke "trap")
        (assert_trap (invoke "nothing") "unreachable")
        (assert_trap (invoke "trap") "integer overflow")
        (assert_exception (invoke "trap"))
        (assert_exception (invoke "nothing"))
        (assert_exhaustion (invoke "nothing") "call stack exhausted")
        (assert_exhaustion (invoke "trap") "call stack exhausted")
        (assert_return (invoke "missing"))
        (assert_return (invoke $missing "i32") (i32.const 5))
        (assert_return (get "i32") (i32.const 5))
        (assert_return (invoke "i32" (i32.const 1)) (i32.const 5))"#,
    );
}

#[test]
fn references_are_told_apart() {
    let module = r#"(module
        (type $s (struct)) (type $a (array i8))
        (elem declare func $f) (func $f)
        (func (export "struct") (result anyref) (struct.new $s))
        (func (export "array") (result anyref) (array.new_default $a (i32.const 0)))
        (func (export "i31") (result anyref) (ref.i31 (i32.const 1)))
        (func (export "null") (result anyref) (ref.null any))
        (func (export "func") (result funcref) (ref.func $f))
        (func (export "same") (param externref) (result externref) (local.get 0))
        (func (export "inside") (param anyref) (result externref) (extern.convert_any (local.get 0))))"#;
    all_fail(
        module,
        r#"(assert_return (invoke "struct") (ref.array))
        (assert_return (invoke "struct") (ref.i31))
        (assert_return (invoke "struct") (ref.null))
        (assert_return (invoke "struct") (ref.func))
        (assert_return (invoke "array") (ref.struct))
        (assert_return (invoke "i31") (ref.struct))
        (assert_return (invoke "i31") (ref.host 1))
        (assert_return (invoke "null") (ref.any))
        (assert_return (invoke "null") (ref.eq))
        (assert_return (invoke "null") (ref.null func))
        (assert_return (invoke "func") (ref.null func))
        (assert_return (invoke "func") (ref.extern))
        (assert_return (invoke "same" (ref.extern 1)) (ref.extern 2))
        (assert_return (invoke "same" (ref.null extern)) (ref.extern 0))
        (assert_return (invoke "inside" (ref.host 1)) (ref.extern 2))"#,
    );
    all_hold(&format!(
        "{module}\n{}",
        r#"(assert_return (invoke "struct") (ref.struct))
        (assert_return (invoke "struct") (ref.eq))
        (assert_return (invoke "array") (ref.array))
        (assert_return (invoke "array") (ref.any))
        (assert_return (invoke "i31") (ref.i31))
        (assert_return (invoke "i31") (ref.eq))
        (assert_return (invoke "null") (ref.null))
        (assert_return (invoke "null") (ref.null none))
        (assert_return (invoke "func") (ref.func))
        (assert_return (invoke "same" (ref.extern 1)) (ref.extern 1))
        (assert_return (invoke "inside" (ref.host 1)) (ref.extern 1))"#
    ));
}

#[test]
fn modules_that_are_accepted_are_noticed() {
    all_fail(
        "(module)",
        r#"(assert_invalid (module (func)) "type mismatch")
        (assert_malformed (module binary "\00asm\01\00\00\00") "unexpected end")
        (assert_malformed (module quote "(func)") "unexpected token")
        (assert_unlinkable (module (import "spectest" "print" (func))) "unknown import")
        (assert_unlinkable (module (import "nowhere" "print" (func))) "incompatible import type")
        (assert_trap (module (func $start) (start $start)) "unreachable")"#,
    );
    all_hold(
        r#"(assert_invalid (module (func (result i32))) "type mismatch")
        (assert_malformed (module binary "\00as") "unexpected end")
        (assert_malformed (module quote "(func") "unexpected token")
        (assert_unlinkable (module (import "spectest" "print" (func (param i64)))) "incompatible import type")
        (assert_unlinkable (module (import "nowhere" "print" (func))) "unknown import")
        (assert_trap (module (func $start (unreachable)) (start $start)) "unreachable")"#,
    );
}

#[test]
fn features_that_are_missing_are_no_proof_of_invalidity() {
    let compiler = |_: &[u8], _: CompileOptions<'_>| -> Result<Vec<u8>, CompileFailure> {
        Err(CompileFailure::Other("later".into()))
    };
    let report = run_script("s", r#"(assert_invalid (module (func (result i32))) "")"#, &RunOptions::new(&compiler));
    assert_eq!(report.failures[0].reason, "refused, but not as invalid: later");
}

#[test]
fn names_refer_to_instances() {
    all_hold(
        r#"(module $a (func (export "f") (result i32) (i32.const 1)))
        (module $b (func (export "f") (result i32) (i32.const 2)))
        (register "m" $a)
        (module (import "m" "f" (func $f (result i32))) (func (export "g") (result i32) (call $f)))
        (assert_return (invoke "g") (i32.const 1))
        (assert_return (invoke $b "f") (i32.const 2))
        (register "m" $b)
        (module (import "m" "f" (func $f (result i32))) (func (export "g") (result i32) (call $f)))
        (assert_return (invoke "g") (i32.const 2))
        (module definition $d (global (export "g") (mut i32) (i32.const 3))
          (func (export "set") (global.set 0 (i32.const 4))))
        (module instance $x $d)
        (module instance $y $d)
        (invoke $x "set")
        (assert_return (get $x "g") (i32.const 4))
        (assert_return (get $y "g") (i32.const 3))"#,
    );
}

#[test]
fn a_module_that_fails_takes_its_name_away() {
    let report = run(r#"(module $a (func (export "f")))
        (module $a (import "nowhere" "x" (func)))
        (invoke "f")
        (invoke $a "f")"#);
    assert_eq!((report.passed, report.failed()), (1, 3));
}

#[test]
fn failures_carry_their_place() {
    let report = run("(module)\n\n  (assert_return (invoke \"f\"))\n");
    assert_eq!(report.failures[0].to_string(), "3:4: no function \"f\" is exported");
    let report = run("(module)\n(assert_retur)");
    assert_eq!((report.passed, report.failures[0].location.line), (0, 2));
}

#[test]
fn a_panic_of_the_compiler_is_a_failure_of_the_directive() {
    let compiler = |_: &[u8], _: CompileOptions<'_>| -> Result<Vec<u8>, CompileFailure> { panic!("out of ideas") };
    let report = run_script("s", "(module)", &RunOptions::new(&compiler));
    assert_eq!(report.failures[0].reason, "panic: out of ideas");
}
