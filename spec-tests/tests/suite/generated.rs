//! Scripts too large to write down: functions, types and tables at and beyond the sizes that compilers expect.
//!
//! Each is a module made by a loop, and assertions whose answers the same loop computes.

use std::fmt::{Display, Write as _};

/// Suite of these scripts.
pub const SUITE: &str = "generated";

/// A script: file name and what makes the text.
type Script = (&'static str, fn() -> String);

/// The scripts.
pub const SCRIPTS: &[Script] = &[
    ("many_params.wast", many_params),
    ("many_results.wast", many_results),
    ("many_locals.wast", many_locals),
    ("br_table.wast", br_table),
    ("nesting.wast", nesting),
    ("hierarchy.wast", hierarchy),
    ("long_function.wast", long_function),
    ("many_functions.wast", many_functions),
];

/// Most parameters, and most results, that a function type may have.
const MAX_PARAMS: usize = 1000;

/// Depth of the deepest type hierarchy that implementations must accept.
const MAX_DEPTH: usize = 63;

/// The types that parameters take in turn.
const TYPES: [&str; 5] = ["i32", "i64", "f32", "f64", "anyref"];

/// The texts of a range of numbers, a line each.
fn each<T: Display>(range: std::ops::Range<usize>, text: impl Fn(usize) -> T) -> String {
    range.fold(String::new(), |mut all, i| {
        writeln!(all, "{}", text(i)).expect("a string takes all text");
        all
    })
}

/// The number `i` as a value of the type that parameter `i` has.
fn value(i: usize) -> String {
    match TYPES[i % TYPES.len()] {
        "anyref" => format!("(ref.i31 (i32.const {i}))"),
        ty => format!("({ty}.const {i})"),
    }
}

/// The number in local `i`, whose type is that of parameter `i`, as an `i64`.
fn local_as_i64(i: usize) -> String {
    match TYPES[i % TYPES.len()] {
        "i32" => format!("(i64.extend_i32_s (local.get {i}))"),
        "i64" => format!("(local.get {i})"),
        "f32" => format!("(i64.trunc_f32_s (local.get {i}))"),
        "f64" => format!("(i64.trunc_f64_s (local.get {i}))"),
        _ => format!("(i64.extend_i32_s (call $number (local.get {i})))"),
    }
}

/// A function that takes an `i31` apart; null counts as zero.
const NUMBER: &str = "(func $number (param anyref) (result i32)
    (if (result i32) (ref.is_null (local.get 0))
      (then (i32.const 0)) (else (i31.get_s (ref.cast (ref i31) (local.get 0))))))";

/// As many parameters as there may be, through direct, indirect and tail calls, and from the host.
fn many_params() -> String {
    let params = each(0..MAX_PARAMS, |i| TYPES[i % TYPES.len()]);
    // Each parameter has a weight of its own, so that no exchange of two goes unseen.
    let weigh = each(0..MAX_PARAMS, |i| format!("(i64.add (i64.mul {} (i64.const {})))", local_as_i64(i), i + 1));
    let args = each(0..MAX_PARAMS, value);
    let own = each(0..MAX_PARAMS, |i| format!("(local.get {i})"));
    let sum: usize = (0..MAX_PARAMS).map(|i| i * (i + 1)).sum();
    let is_ref = |i: &usize| TYPES[i % TYPES.len()] == "anyref";
    let host_args = each(0..MAX_PARAMS, |i| if is_ref(&i) { "(ref.null any)".to_owned() } else { value(i) });
    let host_sum: usize = (0..MAX_PARAMS).filter(|i| !is_ref(i)).map(|i| i * (i + 1)).sum();
    format!(
        "(module
          (type $f (func (param {params}) (result i64)))
          (table $t funcref (elem $weigh))
          {NUMBER}
          (func $weigh (export \"weigh\") (type $f) (i64.const 0) {weigh})
          (func $tail (type $f) (return_call $weigh {own}))
          (func $tail_indirect (type $f) (return_call_indirect $t (type $f) {own} (i32.const 0)))
          (func (export \"direct\") (result i64) (call $weigh {args}))
          (func (export \"indirect\") (result i64) (call_indirect $t (type $f) {args} (i32.const 0)))
          (func (export \"tail\") (result i64) (call $tail {args}))
          (func (export \"tail_indirect\") (result i64) (return_call $tail_indirect {args})))
        (assert_return (invoke \"direct\") (i64.const {sum}))
        (assert_return (invoke \"indirect\") (i64.const {sum}))
        (assert_return (invoke \"tail\") (i64.const {sum}))
        (assert_return (invoke \"tail_indirect\") (i64.const {sum}))
        (assert_return (invoke \"weigh\" {host_args}) (i64.const {host_sum}))"
    )
}

/// As many results as there may be, to compiled callers and to the host, with a collection between.
fn many_results() -> String {
    let results = each(0..MAX_PARAMS, |i| TYPES[i % TYPES.len()]);
    let values = each(0..MAX_PARAMS, value);
    let locals = each(0..MAX_PARAMS, |i| format!("(local {})", TYPES[i % TYPES.len()]));
    let keep = each(0..MAX_PARAMS, |i| format!("(local.set {})", MAX_PARAMS - 1 - i));
    let weigh = each(0..MAX_PARAMS, |i| format!("(i64.add (i64.mul {} (i64.const {})))", local_as_i64(i), i + 1));
    let sum: usize = (0..MAX_PARAMS).map(|i| i * (i + 1)).sum();
    let expected =
        each(0..MAX_PARAMS, |i| if TYPES[i % TYPES.len()] == "anyref" { "(ref.i31)".into() } else { value(i) });
    format!(
        "(module
          (import \"dolmen\" \"gc\" (func $gc))
          (type $f (func (result {results})))
          {NUMBER}
          (func $make (export \"make\") (type $f) {values})
          (func $tail (type $f) (return_call $make))
          (func (export \"sum\") (result i64) {locals} (call $tail) (call $gc) {keep} (i64.const 0) {weigh}))
        (assert_return (invoke \"sum\") (i64.const {sum}))
        (assert_return (invoke \"make\") {expected})"
    )
}

/// Many locals that are all alive across calls: references and numbers.
fn many_locals() -> String {
    const LOCALS: usize = 2000;
    let locals = each(0..LOCALS, |i| if i % 2 == 0 { "(local (ref null $box))" } else { "(local i64)" });
    let make = each(0..LOCALS, |i| match i % 2 {
        0 => format!("(local.set {} (struct.new $box (i64.const {i})))", i + 1),
        _ => format!("(local.set {} (i64.add (i64.const {i}) (local.get 0)))", i + 1),
    });
    let add = each(0..LOCALS, |i| match i % 2 {
        0 => format!("(i64.add (struct.get $box 0 (local.get {})))", i + 1),
        _ => format!("(i64.add (local.get {}))", i + 1),
    });
    let sum: usize = (0..LOCALS).sum();
    format!(
        "(module
          (import \"dolmen\" \"gc\" (func $gc))
          (type $box (struct (field i64)))
          (func (export \"sum\") (param i64) (result i64) {locals} {make} (call $gc) (i64.const 0) {add}))
        (assert_return (invoke \"sum\" (i64.const 0)) (i64.const {sum}))
        (assert_return (invoke \"sum\" (i64.const 1)) (i64.const {}))",
        sum + LOCALS / 2
    )
}

/// A jump with thousands of targets, in no order, to labels with a value.
fn br_table() -> String {
    const LABELS: usize = 200;
    const ENTRIES: usize = 10_000;
    // A step that shares no factor with the number of labels visits all of them.
    let target = |entry: usize| (entry * 7 + 3) % LABELS;
    let open = "(block (result i32) ".repeat(LABELS);
    // The innermost block is label 0; behind its end, block `i` adds its number.
    let close = each(0..LABELS, |i| format!(") (i32.const {i}) (i32.mul (i32.const 1000)) (i32.add) (return)"));
    let table = each(0..ENTRIES, target);
    let asserts = [0, 1, 2, 199, 200, 5000, 9998, 9999].into_iter().fold(String::new(), |all, entry| {
        all + &format!(
            "(assert_return (invoke \"jump\" (i32.const {entry})) (i32.const {}))\n",
            target(entry) * 1000 + 5
        )
    });
    let last = (LABELS - 1) * 1000 + 5;
    format!(
        "(module
          (func (export \"jump\") (param i32) (result i32)
            {open} (i32.const 5) (br_table {table} {default} (local.get 0)) {close}))
        {asserts}
        (assert_return (invoke \"jump\" (i32.const {ENTRIES})) (i32.const {last}))
        (assert_return (invoke \"jump\" (i32.const -1)) (i32.const {last}))",
        default = LABELS - 1
    )
}

/// Blocks, loops, ifs and handlers in each other, and a branch out of the innermost to each kind.
fn nesting() -> String {
    const DEPTH: usize = 900;
    let open = each(0..DEPTH, |i| match i % 4 {
        0 => "(block (result i32)".to_owned(),
        1 => "(loop (result i32)".to_owned(),
        2 => "(if (result i32) (local.get 1) (then".to_owned(),
        _ => "(try_table (result i32)".to_owned(),
    });
    let close = each(0..DEPTH, |i| match (DEPTH - 1 - i) % 4 {
        2 => ") (else (i32.const -1)))",
        _ => ")",
    });
    format!(
        "(module
          (func (export \"leave\") (param i32 i32) (result i32)
            (block $out (result i32)
              {open}
              (i32.const 7)
              (br_if $out (local.get 0))
              (i32.add (i32.const 1))
              {close})))
        (assert_return (invoke \"leave\" (i32.const 1) (i32.const 1)) (i32.const 7))
        (assert_return (invoke \"leave\" (i32.const 0) (i32.const 1)) (i32.const 8))
        (assert_return (invoke \"leave\" (i32.const 0) (i32.const 0)) (i32.const -1))"
    )
}

/// The deepest hierarchy, where each type also has a sibling; and one level more, which is refused.
fn hierarchy() -> String {
    let chain = |depth: usize| {
        let start = "(type $t0 (sub (struct (field i32))))\n".to_owned();
        start + &each(1..depth + 1, |i| format!("(type $t{i} (sub $t{} (struct (field i32))))", i - 1))
    };
    let siblings =
        each(1..MAX_DEPTH + 1, |i| format!("(type $s{i} (sub $t{} (struct (field i32) (field i64))))", i - 1));
    let make = each(0..MAX_DEPTH + 1, |i| format!("(table.set $t (i32.const {i}) (struct.new $t{i} (i32.const {i})))"));
    let make_siblings = each(1..MAX_DEPTH + 1, |i| {
        format!("(table.set $s (i32.const {i}) (struct.new $s{i} (i32.const {i}) (i64.const 0)))")
    });
    let count = |of: &str, from: usize| {
        each(from..MAX_DEPTH + 1, |i| format!("(i32.add (ref.test (ref ${of}{i}) (local.get $x)))"))
    };
    let asserts = each(1..MAX_DEPTH + 1, |i| {
        format!(
            "(assert_return (invoke \"chain\" (i32.const {i})) (i32.const {}) (i32.const 0))
             (assert_return (invoke \"sibling\" (i32.const {i})) (i32.const {i}) (i32.const 1))",
            i + 1
        )
    });
    format!(
        "(module
          {chain} {siblings}
          (table $t 64 anyref) (table $s 64 anyref)
          (func $count (param $x anyref) (result i32 i32)
            (i32.const 0) {count_chain} (i32.const 0) {count_siblings})
          (func (export \"make\") {make} {make_siblings})
          (func (export \"chain\") (param i32) (result i32 i32) (call $count (table.get $t (local.get 0))))
          (func (export \"sibling\") (param i32) (result i32 i32) (call $count (table.get $s (local.get 0)))))
        (invoke \"make\")
        {asserts}
        (assert_invalid (module {too_deep}) \"sub type hierarchy too deep\")",
        chain = chain(MAX_DEPTH),
        count_chain = count("t", 0),
        count_siblings = count("s", 1),
        too_deep = chain(MAX_DEPTH + 1),
    )
}

/// A function of tens of thousands of instructions, with control flow and allocation throughout.
fn long_function() -> String {
    const STEPS: u64 = 3000;
    let body = each(0..STEPS as usize, |i| {
        format!(
            "(local.set $x (i64.xor (i64.mul (local.get $x) (i64.const 31)) (i64.const {i})))
             (if (i64.eqz (i64.and (local.get $x) (i64.const 7)))
               (then (local.set $b (struct.new $box (i64.add (struct.get $box 0 (local.get $b)) (i64.const 1))))))"
        )
    });
    let (mut x, mut count) = (1_u64, 0_u64);
    for i in 0..STEPS {
        x = x.wrapping_mul(31) ^ i;
        count += u64::from(x & 7 == 0);
    }
    format!(
        "(module
          (type $box (struct (field i64)))
          (func (export \"run\") (param $x i64) (result i64 i64)
            (local $b (ref $box))
            (local.set $b (struct.new $box (i64.const 0)))
            {body}
            (local.get $x) (struct.get $box 0 (local.get $b))))
        (assert_return (invoke \"run\" (i64.const 1)) (i64.const {}) (i64.const {count}))",
        x.cast_signed()
    )
}

/// Tens of thousands of functions that call each other, directly and through a table of all of them.
fn many_functions() -> String {
    const FUNCS: usize = 20_000;
    let funcs = each(0..FUNCS, |i| {
        let next = (i + 1) % FUNCS;
        // Every other call goes through the table, so that inlining finds no chain of thousands.
        let call = match i % 2 {
            0 => format!("(return_call $f{next} (i32.sub (local.get 0) (i32.const 1)) (local.get 1))"),
            _ => format!(
                "(return_call_indirect $t (type $f) (i32.sub (local.get 0) (i32.const 1)) (local.get 1) (i32.const {next}))"
            ),
        };
        format!(
            "(func $f{i} (type $f)
               (if (i32.eqz (local.get 0)) (then (return (i32.add (local.get 1) (i32.const {i})))))
               {call})"
        )
    });
    let names = each(0..FUNCS, |i| format!("$f{i}"));
    format!(
        "(module
          (type $f (func (param i32 i32) (result i32)))
          (table $t funcref (elem {names}))
          {funcs}
          (func (export \"chain\") (param i32 i32) (result i32) (call $f0 (local.get 0) (local.get 1)))
          (func (export \"at\") (param i32) (result i32)
            (call_indirect $t (type $f) (i32.const 0) (i32.const 0) (local.get 0))))
        (assert_return (invoke \"chain\" (i32.const 4999) (i32.const 1)) (i32.const 5000))
        (assert_return (invoke \"chain\" (i32.const 100003) (i32.const 0)) (i32.const 3))
        (assert_return (invoke \"at\" (i32.const 1234)) (i32.const 1234))
        (assert_return (invoke \"at\" (i32.const 19999)) (i32.const 19999))
        (assert_trap (invoke \"at\" (i32.const 20000)) \"undefined element\")"
    )
}
