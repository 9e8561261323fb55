//! How soon code of every shape ends that does not end by itself, and what bulk operations do that are stopped on the way.
//!
//! `DOLMEN_TEST_ALL=1 cargo test --release -p dolmen-spec-tests --test interrupts -- --nocapture` interrupts 1200
//! times and tells how long it took.

#![forbid(unsafe_code)]

use dolmen::{Config, Engine, Error, Func, FuncType, Instance, Linker, Module, Store, TrapCode, Val};
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use wast::Wat;
use wast::parser::{self, ParseBuffer};

/// Within this time code is to end after it was interrupted, in the median of some attempts: single ones are at the mercy
/// of what else the machine does. Without a poll none of the shapes would end in minutes.
const BOUND: Duration = Duration::from_secs(1);

/// The same for the many attempts of a run that measures.
const MEASURED_BOUND: Duration = Duration::from_millis(10);

/// Functions of a chain, each of which calls the next one twice.
const CHAIN: usize = 60;

/// What LLVM cannot do for many calls at once.
const COUNT: &str = "(drop (i32.atomic.rmw.add $shared (i32.const 0) (i32.const 1)))";

/// So many of these make a function that is not inlined.
const TOO_MANY_TO_INLINE: usize = 400;

/// Shapes that never end, or not soon.
const ENDLESS: &str = r#"
  (import "host" "nothing" (func $nothing))
  (type $bytes (array (mut i8)))
  (type $longs (array (mut i64)))
  (type $refs (array (mut eqref)))
  (type $node (struct (field (mut anyref))))
  (type $void (func))
  (tag $tag)
  (memory 4096)
  (memory $shared 1 1 shared)
  (table $table 10000000 funcref)
  (table $tail 1 1 funcref)
  (elem (table $tail) (i32.const 0) func $tail-indirect)
  (global $bytes (mut (ref null $bytes)) (ref.null $bytes))
  (global $longs (mut (ref null $longs)) (ref.null $longs))
  (global $refs (mut (ref null $refs)) (ref.null $refs))
  (global $calls (mut i64) (i64.const 0))
  (func (export "prepare")
    (global.set $bytes (array.new $bytes (i32.const 1) (i32.const 0x8000000)))
    (global.set $longs (array.new $longs (i64.const 1) (i32.const 0x1000000)))
    (global.set $refs (array.new $refs (ref.i31 (i32.const 1)) (i32.const 0x2000000))))
  (func (export "empty loop") (loop $l (br $l)))
  (func (export "counted loop") (local $i i32) (local $sum i32)
    (loop $again
      (local.set $i (i32.const 0))
      (loop $l
        (local.set $sum (i32.add (local.get $sum) (i32.load (local.get $i))))
        (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (i32.const 0x8000000))))
      (i32.store (i32.const 0) (local.get $sum))
      (br $again)))
  (func (export "search loop") (local $i i32)
    (loop $l
      (local.set $i (i32.and (i32.add (local.get $i) (i32.const 1)) (i32.const 0xffffff)))
      (br_if $l (i32.ne (i32.load8_u (local.get $i)) (i32.const 77)))))
  (func $tree (param i32)
    (global.set $calls (i64.add (global.get $calls) (i64.const 1)))
    (if (local.get 0) (then (call $tree (i32.sub (local.get 0) (i32.const 1)))
                            (call $tree (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "recursion") (call $tree (i32.const 100)))
  (func $odd (param i32) (if (local.get 0) (then (call $even (i32.sub (local.get 0) (i32.const 1)))
                                                 (call $even (i32.sub (local.get 0) (i32.const 1))))))
  (func $even (param i32) (global.set $calls (i64.add (global.get $calls) (i64.const 1)))
    (if (local.get 0) (then (call $odd (i32.sub (local.get 0) (i32.const 1)))
                            (call $odd (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "mutual recursion") (call $even (i32.const 100)))
  (func $tail-1 (param i32) (return_call $tail-2 (local.get 0)))
  (func $tail-2 (param i32) (return_call $tail-1 (i32.add (local.get 0) (i32.const 1))))
  (func (export "tail calls") (return_call $tail-1 (i32.const 0)))
  (func $tail-indirect (type $void) (return_call_indirect $tail (type $void) (i32.const 0)))
  (func (export "indirect tail calls") (return_call $tail-indirect))
  (func (export "host calls") (loop $l (call $nothing) (br $l)))
  (func (export "exceptions")
    (loop $l (block $caught (try_table (catch $tag $caught) (throw $tag))) (br $l)))
  (func (export "allocation") (local $n anyref)
    (loop $l (local.set $n (struct.new $node (ref.null any))) (br $l)))
  (func (export "large arrays") (loop $l (drop (array.new_default $bytes (i32.const 0x2000000))) (br $l)))
  (func (export "memory.fill loop") (loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x10000000)) (br $l)))
  (func (export "memory.copy loop")
    (loop $l (memory.copy (i32.const 16) (i32.const 0) (i32.const 0xffffff0))
             (memory.copy (i32.const 0) (i32.const 16) (i32.const 0xffffff0)) (br $l)))
  (func (export "array.fill loop")
    (loop $l (array.fill $bytes (global.get $bytes) (i32.const 0) (i32.const 1) (i32.const 0x8000000)) (br $l)))
  (func (export "array.fill loop of longs")
    (loop $l (array.fill $longs (global.get $longs) (i32.const 0) (i64.const 0x12345) (i32.const 0x1000000)) (br $l)))
  (func (export "array.copy loop")
    (loop $l (array.copy $bytes $bytes (global.get $bytes) (i32.const 1) (global.get $bytes) (i32.const 0)
                                       (i32.const 0x7ffffff)) (br $l)))
  (func (export "array.copy loop of references")
    (loop $l (array.copy $refs $refs (global.get $refs) (i32.const 1) (global.get $refs) (i32.const 0)
                                     (i32.const 0x1ffffff)) (br $l)))
  (func (export "array.new loop")
    (loop $l (drop (array.new $longs (i64.const 0x12345) (i32.const 0x800000))) (br $l)))
  (func (export "table.fill loop")
    (loop $l (table.fill $table (i32.const 0) (ref.null func) (i32.const 10000000)) (br $l)))
  (func (export "table.copy loop")
    (loop $l (table.copy $table $table (i32.const 0) (i32.const 1) (i32.const 9999999)) (br $l)))
  (func (export "memory.atomic.wait")
    (drop (memory.atomic.wait32 $shared (i32.const 0) (i32.const 0) (i64.const -1))))
"#;

/// All of [`ENDLESS`], chains of calls that take exponential time, direct and through references, and what inlining makes.
fn endless() -> String {
    let mut text = format!("(module {ENDLESS} {MORE_LOOPS} (type $table-of (struct (field (ref $void))))");
    for i in 0..CHAIN {
        let next = i + 1;
        write!(text, "(func $direct{i} {COUNT}").unwrap();
        write!(text, "(call $direct{next}) (call $direct{next}))").unwrap();
    }
    write!(text, r#"(func $direct{CHAIN}) (func (export "call chain") (call $direct0))"#).unwrap();
    for i in 0..CHAIN {
        let next = i + 1;
        let call = format!("(call_ref $void (struct.get $table-of 0 (global.get $v{next})))");
        write!(text, "(func $through{i} (type $void) {COUNT}").unwrap();
        write!(text, "{call} {call})").unwrap();
        write!(text, "(global $v{i} (ref $table-of) (struct.new $table-of (ref.func $through{i})))").unwrap();
    }
    write!(text, "(func $through{CHAIN} (type $void))").unwrap();
    write!(text, "(global $v{CHAIN} (ref $table-of) (struct.new $table-of (ref.func $through{CHAIN})))").unwrap();
    write!(text, r#"(func (export "chain of references") (call $through0))"#).unwrap();
    write_inlined(&mut text);
    text + ")"
}

/// Shapes that LLVM makes by inlining: where a function was called through a reference, or instead of returning, are its
/// calls then.
fn write_inlined(text: &mut String) {
    let (some, much) = (COUNT.repeat(20), COUNT.repeat(TOO_MANY_TO_INLINE));
    let both = |callee: &str| {
        let call = format!("(call {callee} (i32.sub (local.get 0) (i32.const 1)))");
        format!("(if (local.get 0) (then {call} {call}))")
    };
    // One calls two, which recurs: there is no direct call of what was inlined.
    for (kind, call, inlined) in [
        (
            "reference",
            "(call_ref $of-{} (local.get 0) (struct.get $box-{} 0 (global.get $box-{})))",
            "(call $two-{} (local.get 0))",
        ),
        (
            "tail",
            "(call $inlined-{} (local.get 0))",
            "(return_call_ref $of-{} (local.get 0) (struct.get $box-{} 0 (global.get $box-{})))",
        ),
    ] {
        let [call, inlined] = [call, inlined].map(|text| text.replace("{}", kind));
        let held = if kind == "tail" { "two" } else { "inlined" };
        write!(
            text,
            r#"(type $of-{kind} (func (param i32))) (type $box-{kind} (struct (field (ref $of-{kind}))))
            (global $box-{kind} (ref $box-{kind}) (struct.new $box-{kind} (ref.func ${held}-{kind})))
            (func $inlined-{kind} (type $of-{kind}) {inlined})
            (func $two-{kind} (type $of-{kind}) {much} {})
            (func $one-{kind} (param i32) {much} {call} {COUNT})
            (func (export "recursion through an inlined {kind} call") (call $one-{kind} (i32.const 100)))"#,
            both(&format!("$one-{kind}"))
        )
        .unwrap();
    }
    // LLVM makes a loop of this.
    write!(
        text,
        r#"(func $round (param i32) (result i32) {COUNT}
            (if (i32.eqz (local.get 0)) (then (return (i32.const 9))))
            (drop (call $next-round (i32.sub (local.get 0) (i32.const 1)))) (i32.const 5))
        (func $next-round (param i32) (result i32) (return_call $round (local.get 0)))
        (func (export "recursion as a loop") (drop (call $round (i32.const -1))))"#
    )
    .unwrap();
    for i in 0..CHAIN {
        let next = i + 1;
        write!(text, "(func $tail-chain{i} {some} (call $step{next}) {COUNT} (call $step{next}) {COUNT})").unwrap();
        write!(text, "(func $step{next} (return_call $tail-chain{next}))").unwrap();
        let call = format!("(call_ref $void (struct.get $table-of 0 (global.get $inlined{i})))");
        write!(text, "(func $chain{i} {some} {call} {COUNT} {call} {COUNT})").unwrap();
        write!(text, "(func $inlined{i} (type $void) (call $chain{next}))").unwrap();
        write!(text, "(global $inlined{i} (ref $table-of) (struct.new $table-of (ref.func $inlined{i})))").unwrap();
    }
    write!(text, r#"(func $tail-chain{CHAIN} {COUNT}) (func (export "chain of tail calls") (call $tail-chain0))"#)
        .unwrap();
    write!(text, r#"(func $chain{CHAIN} {COUNT}) (func (export "chain of inlined references") (call $chain0))"#)
        .unwrap();
}

/// The functions of [`endless`] that do not end.
const SHAPES: [&str; 30] = [
    "empty loop",
    "counted loop",
    "search loop",
    "recursion",
    "mutual recursion",
    "tail calls",
    "indirect tail calls",
    "host calls",
    "exceptions",
    "allocation",
    "large arrays",
    "memory.fill loop",
    "memory.copy loop",
    "array.fill loop",
    "array.fill loop of longs",
    "array.copy loop",
    "array.copy loop of references",
    "array.new loop",
    "table.fill loop",
    "table.copy loop",
    "memory.atomic.wait",
    "call chain",
    "chain of references",
    "recursion through an inlined reference call",
    "recursion through an inlined tail call",
    "recursion as a loop",
    "chain of tail calls",
    "chain of inlined references",
    "nested loops",
    "br_table loop",
];

/// Loops that do not count.
const MORE_LOOPS: &str = r#"
  (func (export "nested loops") (local $i i32) (local $j i32)
    (loop $outer
      (local.set $i (i32.const 0))
      (loop $middle
        (local.set $j (i32.const 0))
        (loop $inner
          (i32.store8 (i32.add (local.get $i) (local.get $j)) (local.get $j))
          (br_if $inner (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 1))) (i32.const 7))))
        (br_if $middle (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 3))) (i32.const 100000))))
      (br $outer)))
  (func (export "br_table loop") (local $state i32)
    (loop $l
      (block $b (block $a (br_table $a $b $l (i32.rem_u (local.get $state) (i32.const 3))))
        (local.set $state (i32.add (local.get $state) (i32.const 2))) (br $l))
      (local.set $state (i32.sub (local.get $state) (i32.const 1)))
      (br $l)))
"#;

fn start(text: &str) -> (Store<()>, Instance) {
    let engine = Engine::new(&Config::new()).unwrap();
    let buffer = ParseBuffer::new(text).unwrap();
    let wasm = parser::parse::<Wat<'_>>(&buffer).unwrap().encode().unwrap();
    let options = dolmen_aotc::Options { collector: engine.collector(), ..dolmen_aotc::Options::default() };
    let artifact = dolmen_aotc::compile(&wasm, &options).unwrap_or_else(|error| panic!("{error}"));
    let module = Module::deserialize(&engine, &artifact).unwrap();
    let mut store = Store::new(&engine, ()).unwrap();
    let mut linker = Linker::new(&engine);
    let ty = FuncType::new(&engine, [], []);
    linker.func_new("host", "nothing", ty, |_, _, _| Ok(())).unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    (store, instance)
}

fn func(store: &mut Store<()>, instance: Instance, name: &str) -> Func {
    instance.get_func(store, name).unwrap_or_else(|| panic!("no function {name}"))
}

#[test]
fn every_shape_ends_soon() {
    let (times, bound) = if std::env::var_os("DOLMEN_TEST_ALL").is_some() { (40, MEASURED_BOUND) } else { (5, BOUND) };
    let (mut store, instance) = start(&endless());
    func(&mut store, instance, "prepare").call(&mut store, &[], &mut []).unwrap();
    let handle = store.interrupt_handle().unwrap();
    let mut all = Vec::new();
    for name in SHAPES {
        let shape = func(&mut store, instance, name);
        let mut found: Vec<_> = (0..times)
            .map(|attempt| {
                let interrupter = std::thread::spawn({
                    let handle = handle.clone();
                    move || {
                        std::thread::sleep(Duration::from_micros(2000 + 331 * attempt));
                        let now = Instant::now();
                        handle.interrupt();
                        now
                    }
                });
                let result = shape.call(&mut store, &[], &mut []);
                let end = Instant::now();
                assert!(is_interrupted(&result), "{name}");
                end.saturating_duration_since(interrupter.join().unwrap())
            })
            .collect();
        found.sort();
        println!("{name}: median {:?}, most {:?}", found[found.len() / 2], found[found.len() - 1]);
        assert!(found[found.len() / 2] < bound, "{name}: {found:?}");
        all.extend(found);
    }
    all.sort();
    let at = |part: usize| all[(all.len() - 1) * part / 100];
    println!("{} interruptions: median {:?}, 99 % {:?}, most {:?}", all.len(), at(50), at(99), at(100));
}

/// Ranges of several pieces, and what they must hold.
const BULK: &str = r#"(module
  (type $bytes (array (mut i8)))
  (type $words (array (mut i32)))
  (type $refs (array (mut i31ref)))
  (memory 64)
  (table $table 1000000 i31ref)
  (data $data "DATA")
  (func $copy-table (param $dst i32) (param $src i32) (param $count i32) (result i32) (local $i i32)
    (table.fill $table (i32.const 0) (ref.i31 (i32.const 7)) (i32.const 1000000))
    (loop $l
      (if (i32.ne (i31.get_u (table.get $table (local.get $i))) (i32.const 7)) (then (return (i32.const 0))))
      (table.set $table (local.get $i) (ref.i31 (local.get $i)))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000000))))
    (table.copy $table $table (local.get $dst) (local.get $src) (local.get $count))
    (local.set $i (i32.const 0))
    (loop $l
      (if (i32.ne (i31.get_u (table.get $table (i32.add (local.get $dst) (local.get $i))))
                  (i32.add (local.get $src) (local.get $i))) (then (return (i32.const 0))))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $count))))
    (i32.const 1))
  ;; The segment repeats itself every 37 bytes.
  (func $from-data (param $dst i32) (param $src i32) (param $count i32) (result i32) (local $i i32)
    (local $a (ref $bytes))
    (local.set $a (array.new_data $bytes $data (i32.const 0) (i32.const 222000)))
    (local.set $count (i32.rem_u (local.get $count) (i32.const 100000)))
    (array.init_data $bytes $data (local.get $a) (i32.const 37) (i32.const 74) (local.get $count))
    (local.set $i (i32.const 37))
    (loop $l
      (if (i32.ne (array.get_u $bytes (local.get $a) (local.get $i))
                  (array.get_u $bytes (local.get $a) (i32.sub (local.get $i) (i32.const 37))))
        (then (return (i32.const 0))))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 222000))))
    (i32.eq (array.get_u $bytes (local.get $a) (i32.const 36)) (i32.const 0x21)))
  (func $byte (param i32) (result i32)
    (i32.and (i32.mul (i32.xor (local.get 0) (i32.shr_u (local.get 0) (i32.const 9))) (i32.const 31)) (i32.const 0xff)))
  (func $copy-memory (param $dst i32) (param $src i32) (param $count i32) (result i32) (local $i i32)
    (loop $l
      (i32.store8 (local.get $i) (call $byte (local.get $i)))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 0x400000))))
    (memory.copy (local.get $dst) (local.get $src) (local.get $count))
    (local.set $i (i32.const 0))
    (loop $l
      (if (i32.ne (i32.load8_u (i32.add (local.get $dst) (local.get $i)))
                  (call $byte (i32.add (local.get $src) (local.get $i)))) (then (return (i32.const 0))))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $count))))
    (i32.const 1))
  (func $copy-bytes (param $dst i32) (param $src i32) (param $count i32) (result i32) (local $i i32)
    (local $a (ref $bytes))
    (local.set $a (array.new_default $bytes (i32.const 1000000)))
    (loop $l
      (array.set $bytes (local.get $a) (local.get $i) (call $byte (local.get $i)))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000000))))
    (array.copy $bytes $bytes (local.get $a) (local.get $dst) (local.get $a) (local.get $src) (local.get $count))
    (local.set $i (i32.const 0))
    (loop $l
      (if (i32.ne (array.get_u $bytes (local.get $a) (i32.add (local.get $dst) (local.get $i)))
                  (call $byte (i32.add (local.get $src) (local.get $i)))) (then (return (i32.const 0))))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $count))))
    (i32.const 1))
  (func $copy-refs (param $dst i32) (param $src i32) (param $count i32) (result i32) (local $i i32)
    (local $a (ref $refs))
    (local.set $a (array.new_default $refs (i32.const 1000000)))
    (loop $l
      (array.set $refs (local.get $a) (local.get $i) (ref.i31 (local.get $i)))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000000))))
    (array.copy $refs $refs (local.get $a) (local.get $dst) (local.get $a) (local.get $src) (local.get $count))
    (local.set $i (i32.const 0))
    (loop $l
      (if (i32.ne (i31.get_u (array.get $refs (local.get $a) (i32.add (local.get $dst) (local.get $i))))
                  (i32.add (local.get $src) (local.get $i))) (then (return (i32.const 0))))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $count))))
    (i32.const 1))
  (func $fill (param $start i32) (param $ignored i32) (param $count i32) (result i32) (local $i i32)
    (local $b (ref $bytes)) (local $w (ref $words)) (local $r (ref $refs)) (local $inside i32)
    (local.set $b (array.new $bytes (i32.const 7) (i32.const 1000000)))
    (local.set $w (array.new $words (i32.const 0x12345) (i32.const 1000000)))
    (local.set $r (array.new $refs (ref.i31 (i32.const 7)) (i32.const 1000000)))
    (array.fill $bytes (local.get $b) (local.get $start) (i32.const 9) (local.get $count))
    (array.fill $words (local.get $w) (local.get $start) (i32.const 0x54321) (local.get $count))
    (array.fill $refs (local.get $r) (local.get $start) (ref.i31 (local.get $count)) (local.get $count))
    (loop $l
      (local.set $inside (i32.lt_u (i32.sub (local.get $i) (local.get $start)) (local.get $count)))
      (if (i32.ne (array.get_u $bytes (local.get $b) (local.get $i))
                  (select (i32.const 9) (i32.const 7) (local.get $inside))) (then (return (i32.const 0))))
      (if (i32.ne (array.get $words (local.get $w) (local.get $i))
                  (select (i32.const 0x54321) (i32.const 0x12345) (local.get $inside))) (then (return (i32.const 0))))
      (if (i32.ne (i31.get_u (array.get $refs (local.get $r) (local.get $i)))
                  (select (local.get $count) (i32.const 7) (local.get $inside))) (then (return (i32.const 0))))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000000))))
    (i32.const 1))
  (export "copy table" (func $copy-table))
  (export "from data" (func $from-data))
  (export "copy memory" (func $copy-memory))
  (export "copy bytes" (func $copy-bytes))
  (export "copy references" (func $copy-refs))
  (export "fill" (func $fill)))"#;

/// Bulk operations are stopped between their pieces all the time, and leave what they would leave otherwise.
#[test]
fn pieces_make_up_the_whole() {
    let data = "abcdefghijklmnopqrstuvwxyz0123456789!".repeat(6000);
    let (mut store, instance) = start(&BULK.replace("DATA", &data));
    let idle = func(&mut store, instance, "fill");
    // A second thread makes the store one that is stopped from outside.
    let args = [Val::I32(0), Val::I32(0), Val::I32(0)];
    let other = store.spawn(idle, &args).unwrap();
    let control = store.thread_control();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stopper = scope.spawn(|| {
            let mut stops = 0;
            // Relaxed: it need not be seen at once.
            while !is_over.load(Ordering::Relaxed) {
                drop(control.suspend_all());
                stops += 1;
            }
            stops
        });
        for count in [1, 65_535, 65_536, 65_537, 131_072, 262_144, 262_145, 700_001] {
            for (dst, src) in [(0, 0), (0, 1), (1, 0), (0, 65_536), (65_536, 0), (70_000, 100_000), (299_999, 0)] {
                for name in ["copy memory", "copy table", "copy bytes", "copy references", "fill", "from data"] {
                    let args = [dst, src, count].map(Val::I32);
                    let mut result = [Val::I32(0)];
                    func(&mut store, instance, name).call(&mut store, &args, &mut result).unwrap();
                    assert!(matches!(result, [Val::I32(1)]), "{name} {args:?}");
                }
            }
        }
        // Relaxed: as above.
        is_over.store(true, Ordering::Relaxed);
        let stops = store.unlocked(|| stopper.join().unwrap());
        assert!(stops > 10, "{stops} stops");
    });
    other.join(&mut store).unwrap();
}

/// Operations on 4 MiB of memory or 2^18 elements: several pieces. What they change is 0 or null before; the functions
/// `… at` tell whether it is still.
const LONG: &str = r#"(module
  (type $bytes (array (mut i8)))
  (type $longs (array (mut i64)))
  (type $refs (array (mut anyref)))
  (type $funcs (array (mut funcref)))
  (memory $memory 64)
  (memory $source 64)
  (table $table 0x40000 funcref)
  (table $full 0x40000 (ref $void) (ref.func $f))
  (type $void (func))
  (data $data "DATA")
  (elem $elem func FUNCS)
  (global $bytes (mut (ref $bytes)) (array.new_default $bytes (i32.const 0x40000)))
  (global $longs (mut (ref $longs)) (array.new_default $longs (i32.const 0x40000)))
  (global $refs (mut (ref $refs)) (array.new_default $refs (i32.const 0x40000)))
  (global $funcs (mut (ref $funcs)) (array.new_default $funcs (i32.const 0x40000)))
  (global $from_longs (ref $longs) (array.new $longs (i64.const 1) (i32.const 0x40000)))
  (global $from_refs (ref $refs) (array.new $refs (ref.i31 (i32.const 1)) (i32.const 0x40000)))
  (func $f (type $void))
  (func (export "prepare") (memory.fill $source (i32.const 0) (i32.const 1) (i32.const 0x400000)))
  (func (export "memory at") (param i32) (result i32) (i32.load8_u $memory (i32.shl (local.get 0) (i32.const 4))))
  (func (export "bytes at") (param i32) (result i32) (array.get_u $bytes (global.get $bytes) (local.get 0)))
  (func (export "longs at") (param i32) (result i32) (i32.wrap_i64 (array.get $longs (global.get $longs) (local.get 0))))
  (func (export "refs at") (param i32) (result i32) (ref.test (ref any) (array.get $refs (global.get $refs) (local.get 0))))
  (func (export "funcs at") (param i32) (result i32)
    (ref.test (ref func) (array.get $funcs (global.get $funcs) (local.get 0))))
  (func (export "table at") (param i32) (result i32) (ref.test (ref func) (table.get $table (local.get 0))))
  (func (export "memory.fill") (param i32) (memory.fill $memory (i32.const 0) (i32.const 1) (i32.const 0x400000)))
  (func (export "memory.copy") (param i32) (memory.copy $memory $source (i32.const 0) (i32.const 0) (i32.const 0x400000)))
  (func (export "memory.init") (param i32) (memory.init $memory $data (i32.const 0) (i32.const 0) (i32.const 0x400000)))
  (func (export "array.fill") (param i32)
    (array.fill $longs (global.get $longs) (i32.const 0) (i64.const 1) (local.get 0)))
  (func (export "array.fill of references") (param i32)
    (array.fill $refs (global.get $refs) (i32.const 0) (ref.i31 (i32.const 1)) (local.get 0)))
  (func (export "array.copy") (param i32) (array.copy $longs $longs
    (global.get $longs) (i32.const 0) (global.get $from_longs) (i32.const 0) (local.get 0)))
  (func (export "array.copy of references") (param i32) (array.copy $refs $refs
    (global.get $refs) (i32.const 0) (global.get $from_refs) (i32.const 0) (local.get 0)))
  (func (export "array.init_data") (param i32)
    (array.init_data $bytes $data (global.get $bytes) (i32.const 0) (i32.const 0) (i32.const 0x40000)))
  (func (export "array.init_elem") (param i32)
    (array.init_elem $funcs $elem (global.get $funcs) (i32.const 0) (i32.const 0) (i32.const 0x40000)))
  (func (export "table.fill") (param i32) (table.fill $table (i32.const 0) (ref.func $f) (i32.const 0x40000)))
  (func (export "table.copy") (param i32) (table.copy $table $full (i32.const 0) (i32.const 0) (i32.const 0x40000)))
  (func (export "table.init") (param i32) (table.init $table $elem (i32.const 0) (i32.const 0) (i32.const 0x40000)))
  (func (export "clear table") (table.fill $table (i32.const 0) (ref.null func) (i32.const 0x40000)))
  (func (export "clear memory") (memory.fill $memory (i32.const 0) (i32.const 0) (i32.const 0x400000)))
  (func (export "clear longs") (global.set $longs (array.new_default $longs (i32.const 0x40000))))
  (func (export "clear refs") (global.set $refs (array.new_default $refs (i32.const 0x40000))))
  (func (export "clear bytes") (global.set $bytes (array.new_default $bytes (i32.const 0x40000))))
  (func (export "clear funcs") (global.set $funcs (array.new_default $funcs (i32.const 0x40000))))
  (func (export "array.new_data") (param i32) (drop (array.new_data $bytes $data (i32.const 0) (local.get 0))))
  (func (export "array.new_elem") (param i32) (drop (array.new_elem $funcs $elem (i32.const 0) (local.get 0)))))"#;

/// Places that `… at` knows.
const PLACES: i32 = 0x40000;

/// Operations with what they change.
const LONG_OPERATIONS: [(&str, &str); 12] = [
    ("memory.fill", "memory"),
    ("memory.copy", "memory"),
    ("memory.init", "memory"),
    ("array.fill", "longs"),
    ("array.fill of references", "refs"),
    ("array.copy", "longs"),
    ("array.copy of references", "refs"),
    ("array.init_data", "bytes"),
    ("array.init_elem", "funcs"),
    ("table.fill", "table"),
    ("table.copy", "table"),
    ("table.init", "table"),
];

fn start_long() -> (Store<()>, Instance) {
    let text = LONG.replace("DATA", &"!".repeat(0x40_0000)).replace("FUNCS", &"$f ".repeat(0x4_0000));
    let (mut store, instance) = start(&text);
    func(&mut store, instance, "prepare").call(&mut store, &[], &mut []).unwrap();
    (store, instance)
}

fn is_interrupted(result: &Result<(), Error>) -> bool {
    matches!(result, Err(Error::Trap(trap)) if trap.code == TrapCode::Interrupt)
}

/// An operation that finds itself interrupted ends when some of it is done, and not half of it. No time is measured: the
/// thread is interrupted before it begins, and polls nowhere else.
#[test]
fn long_operations_are_cut_short() {
    let (mut store, instance) = start_long();
    let handle = store.interrupt_handle().unwrap();
    // A constant in the code would let LLVM unroll the loop over four pieces.
    let count = [Val::I32(PLACES)];
    for (name, changed) in LONG_OPERATIONS {
        let [operation, clear, at] =
            [name, &format!("clear {changed}"), &format!("{changed} at")].map(|name| func(&mut store, instance, name));
        let is_done = |store: &mut Store<()>, place: i32| {
            let mut result = [Val::I32(0)];
            at.call(store, &[Val::I32(place)], &mut result).unwrap();
            !matches!(result, [Val::I32(0)])
        };
        clear.call(&mut store, &[], &mut []).unwrap();
        assert!(!is_done(&mut store, 0), "{name}");
        handle.interrupt();
        let result = operation.call(&mut store, &count, &mut []);
        assert!(is_interrupted(&result), "{name}: {result:?}");
        let done = [0, PLACES / 2, PLACES - 1].map(|place| is_done(&mut store, place));
        // Some copies begin at the end.
        assert!(matches!(done, [true, false, false] | [false, false, true]), "{name}: {done:?}");
        operation.call(&mut store, &count, &mut []).unwrap();
        let done = [0, PLACES / 2, PLACES - 1].map(|place| is_done(&mut store, place));
        assert_eq!(done, [true; 3], "{name}");
    }
}

/// What fills a new array nobody sees if it is interrupted, but that it is: a short array has no poll.
#[test]
fn long_arrays_from_segments_are_cut_short() {
    let (mut store, instance) = start_long();
    let handle = store.interrupt_handle().unwrap();
    for name in ["array.new_data", "array.new_elem"] {
        let operation = func(&mut store, instance, name);
        handle.interrupt();
        operation.call(&mut store, &[Val::I32(1)], &mut []).unwrap();
        let result = operation.call(&mut store, &[Val::I32(PLACES)], &mut []);
        assert!(is_interrupted(&result), "{name}: {result:?}");
        operation.call(&mut store, &[Val::I32(PLACES)], &mut []).unwrap();
    }
}
