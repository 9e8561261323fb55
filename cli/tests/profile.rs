//! Profiles, the whole way: code that counts, the file, code made from it.

mod common;

use common::Scratch;
use std::fs;

/// Calls methods of two objects through a table that anybody could change; of ten calls nine go to `$twice`.
const PROGRAM: &str = r#"(module $program
    (type $method (func (param i32) (result i32)))
    (type $object (struct (field $method (mut (ref $method)))))
    (table $t (export "table") 2 funcref)
    (elem (table $t) (i32.const 0) func $twice $minus)
    (func $twice (type $method) (i32.mul (local.get 0) (i32.const 2)))
    (func $minus (type $method) (i32.sub (i32.const 0) (local.get 0)))
    (func $never (type $method) (i32.const 5))
    (func $other (type $method) (i32.const 6))
    (func $another (type $method) (i32.const 7))
    (elem declare func $never $other $another)
    (func $step (param $i i32) (result i32) (local $o (ref null $object))
        (local.set $o (struct.new $object (ref.func $twice)))
        (if (i32.eqz (i32.rem_u (local.get $i) (i32.const 10)))
            (then (struct.set $object $method (local.get $o) (ref.func $minus))))
        (if (i32.eq (local.get $i) (i32.const -1))
            (then (struct.set $object $method (local.get $o) (ref.func $never))))
        (i32.add
            (call_ref $method (local.get $i) (struct.get $object $method (local.get $o)))
            (call_indirect $t (type $method) (local.get $i) (i32.eqz (i32.rem_u (local.get $i) (i32.const 10))))))
    (func (export "run") (param $n i32) (result i32) (local $i i32) (local $sum i32)
        (loop $again
            (local.set $sum (i32.add (local.get $sum) (call $step (local.get $i))))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $i) (local.get $n))))
        (local.get $sum))
    (func (export "trap") (call_indirect $t (type $method) (i32.const 1) (i32.const 9)) (drop))
    (func (export "null") (call_ref $method (i32.const 1) (ref.null $method)) (drop)))"#;

/// What `run 1000` returns: 4 times 9 of 10 numbers below 1000, less 2 times the others.
const RESULT: &str = "1701000\n";

fn prepared() -> Scratch {
    let scratch = Scratch::new();
    scratch.file("p.wat", PROGRAM);
    scratch.run(["compile", "--profile-generate", "p.wat", "-o", "counting.dolmen"]).prints("");
    scratch
}

fn invoke(scratch: &Scratch, file: &str) {
    let stressed = ["run", "--gc-stress", "1", "--gc-verify", "--invoke", "run", file, "1000"];
    scratch.run(stressed).prints(RESULT);
}

#[test]
fn what_is_counted_is_used() {
    let scratch = prepared();
    invoke(&scratch, "counting.dolmen");
    let shown = scratch.run(["profile", "show", "counting.dolmenprof"]).stdout;
    for line in ["1000 step", "1800 twice", "200 minus", "1000 step at", "90.0 % twice", "10.0 % minus"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert!(!shown.contains("never"), "{shown}");
    scratch.run(["compile", "--profile-use", "counting.dolmenprof", "p.wat", "-o", "fast.dolmen"]).prints("");
    invoke(&scratch, "fast.dolmen");
    scratch.run(["run", "--invoke", "trap", "fast.dolmen"]).traps_with("undefined element");
    scratch.run(["run", "--invoke", "null", "fast.dolmen"]).traps_with("null function reference");
    assert!(!scratch.path("fast.dolmenprof").exists());
    // The usual target is called directly, so it is inlined.
    let ir = scratch.run(["compile", "--profile-use", "counting.dolmenprof", "--emit", "llvm-ir", "p.wat", "-o", "-"]);
    assert!(ir.stdout.contains("ProfileSummary") && ir.stdout.contains("function_entry_count"), "{ir:?}");
}

#[test]
fn runs_add_up_and_traps_count() {
    let scratch = prepared();
    invoke(&scratch, "counting.dolmen");
    invoke(&scratch, "counting.dolmen");
    scratch.run(["run", "--invoke", "trap", "counting.dolmen"]).traps_with("undefined element");
    let shown = scratch.run(["profile", "show", "counting.dolmenprof"]).stdout;
    assert!(shown.contains("3600 twice"), "{shown}");
    let elsewhere = ["run", "--profile-out", "x.prof", "--invoke", "run", "counting.dolmen", "1000"];
    scratch.run(elsewhere).prints(RESULT);
    assert!(scratch.run(["profile", "show", "x.prof"]).stdout.contains("1800 twice"));
}

#[test]
fn profiles_that_do_not_fit_are_refused() {
    let scratch = prepared();
    invoke(&scratch, "counting.dolmen");
    scratch.file("other.wat", PROGRAM.replace("i32.const 5", "i32.const 8"));
    let compile =
        |profile: &str, module: &str| scratch.run(["compile", "--profile-use", profile, module, "-o", "x.dolmen"]);
    compile("counting.dolmenprof", "other.wat").fails_with(&["belongs to another module"]);
    let mut bytes = fs::read(scratch.path("counting.dolmenprof")).expect("the profile was written");
    bytes[40] ^= 1;
    scratch.file("bad.dolmenprof", &bytes);
    compile("bad.dolmenprof", "p.wat").fails_with(&["damaged"]);
    compile("p.wat", "p.wat").fails_with(&["not a profile"]);
    compile("nowhere", "p.wat").fails_with(&["nowhere", "No such file"]);
    scratch.run(["profile", "show", "bad.dolmenprof"]).fails_with(&["bad.dolmenprof", "damaged"]);
    let onto_bad = ["run", "--profile-out", "bad.dolmenprof", "--invoke", "run", "counting.dolmen", "1000"];
    let said = scratch.run(onto_bad);
    assert!(said.stderr.contains("damaged"), "{said:?}");
    // Not made to count.
    scratch.run(["compile", "p.wat", "-o", "plain.dolmen"]).prints("");
    let plain = scratch.run(["run", "--profile-out", "x", "--invoke", "run", "plain.dolmen", "10"]);
    assert!(plain.stderr.contains("--profile-generate"), "{plain:?}");
}
