//! How long compilation takes as modules grow: `cargo bench -p dolmen-aotc`.
//!
//! LLVM has passes whose time grows faster than their input. Partitions keep their input small, so the time for one
//! instruction must stay about the same from modules of 10 kB to modules of 5 MB, and in functions of any length.
//! Prints both, in processor time of one thread, so that other programs on the machine matter little; the last column
//! is the time for one instruction over that of the first row. Arguments select rows that contain all of them, as in
//! `cargo bench -p dolmen-aotc -- O3 module`.

use dolmen_aotc::{OptLevel, Options, compile};
use std::fmt::Write as _;
use wasmparser::{Parser, Payload};

fn main() {
    let filters: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    for opt_level in [OptLevel::O0, OptLevel::O3] {
        let modules =
            [10, 100, 1000, 5000].map(|kilobytes| (format!("module of {kilobytes} kB"), Code::Bytes(kilobytes * 1000)));
        let function = |shape: Shape| {
            [500, 5000, 50_000].map(|len| (format!("{shape:?} function of {len}"), Code::Function(shape, len)))
        };
        for rows in [modules.to_vec(), function(Shape::Branching).to_vec(), function(Shape::Straight).to_vec()] {
            measure(opt_level, &filters, rows);
        }
    }
}

/// What a module has.
#[derive(Clone, Copy)]
enum Code {
    /// Functions of many lengths with about this many bytes.
    Bytes(usize),
    /// One function of about this many instructions.
    Function(Shape, usize),
}

/// What a function is made of, mostly.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Straight,
    Branching,
}

fn measure(opt_level: OptLevel, filters: &[String], rows: Vec<(String, Code)>) {
    let mut first = None;
    for (name, code) in rows {
        let name = format!("{opt_level:?} {name}");
        if !filters.iter().all(|filter| name.contains(filter)) {
            continue;
        }
        let wasm = module(code);
        let instructions = count_instructions(&wasm);
        let options = Options { opt_level, jobs: 1, ..Options::default() };
        let start = processor_seconds();
        let artifact = compile(&wasm, &options).unwrap_or_else(|error| panic!("{name}: {error}"));
        let seconds = processor_seconds() - start;
        let micros = seconds * 1e6 / instructions as f64;
        println!(
            "{name:<32} {:>9} B in {:>9} B out {instructions:>9} instructions {seconds:>8.2} s {micros:>7.1} us each \
             {:>5.2}x",
            wasm.len(),
            artifact.len(),
            micros / *first.get_or_insert(micros)
        );
    }
}

/// Time that this process has spent on processors. Linux counts it in hundredths of a second.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux tells the times of a process");
    // The name of the program stands in parentheses; the times are the 14th and 15th field.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |place: usize| fields[place - 3].parse::<f64>().expect("a number of ticks");
    (ticks(14) + ticks(15)) / 100.0
}

fn count_instructions(wasm: &[u8]) -> usize {
    let mut count = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        if let Ok(Payload::CodeSectionEntry(body)) = payload {
            count += body.get_operators_reader().expect("the module is valid").into_iter().count();
        }
    }
    count
}

fn module(code: Code) -> Vec<u8> {
    let mut text = String::from(
        "(module
          (type $node (sub (struct (field $next (mut (ref null $node))) (field $value (mut i32)))))
          (type $wide (sub final $node (struct (field (mut (ref null $node))) (field (mut i32)) (field (mut i64)))))
          (type $ints (array (mut i32)))
          (type $f (func (param i32 (ref null $node)) (result i32)))
          (tag $e (param i32))
          (memory 1) (table $t 10 funcref)
          (func $leaf (type $f) (local.get 0))\n",
    );
    let mut random = Random(7);
    match code {
        Code::Function(Shape::Straight, len) => write_function(&mut text, 0, len / 5, Shape::Straight, &mut random),
        Code::Function(Shape::Branching, len) => write_function(&mut text, 0, len / 10, Shape::Branching, &mut random),
        Code::Bytes(bytes) => {
            // A statement takes about this many bytes in the binary format.
            const STATEMENT_BYTES: usize = 24;
            let (mut written, mut index) = (0, 0);
            while written < bytes {
                let len = 2 + random.below(12) * random.below(6);
                let shape = if random.below(4) == 0 { Shape::Straight } else { Shape::Branching };
                write_function(&mut text, index, len, shape, &mut random);
                written += len * STATEMENT_BYTES;
                index += 1;
            }
        }
    }
    text.push(')');
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"))
}

/// Writes function `index`, which may call those before it.
fn write_function(text: &mut String, index: usize, statements: usize, shape: Shape, random: &mut Random) {
    write!(
        text,
        "(func $f{index} (type $f) (local $i i32) (local $n (ref null $node)) (local $a (ref null $ints)) (local $l i64)
           (local.set $n (local.get 1)) (local.set $a (array.new $ints (local.get 0) (i32.const 8)))\n"
    )
    .expect("a string takes all text");
    for _ in 0..statements {
        let callee = if index == 0 { "$leaf".to_owned() } else { format!("$f{}", random.below(index)) };
        let number = random.below(1000);
        let statement = match (shape, random.below(5)) {
            (Shape::Straight, 0) => format!(
                "(i32.store offset={number} (i32.and (local.get $i) (i32.const 1023))
                   (i32.mul (local.get 0) (i32.const {number})))"
            ),
            (Shape::Straight, 1) => "(local.set $n (struct.new $node (local.get $n) (local.get $i)))".to_owned(),
            (Shape::Straight, 2) => format!("(local.set $i (i32.add (local.get $i) (i32.const {number})))"),
            (Shape::Straight, _) => {
                format!("(local.set $i (i32.xor (local.get $i) (i32.load offset={number} (i32.const 0))))")
            }
            (Shape::Branching, 0) => format!("(local.set $i (call {callee} (local.get $i) (local.get $n)))"),
            (Shape::Branching, 1) => format!(
                "(loop $l (local.set $i (i32.add (local.get $i) (i32.load offset={number} (i32.const 4))))
                   (br_if $l (i32.lt_u (local.get $i) (i32.const {number}))))"
            ),
            (Shape::Branching, 2) => format!(
                "(if (ref.test (ref $wide) (local.get $n))
                   (then (local.set $l (struct.get $wide 2 (ref.cast (ref $wide) (local.get $n)))))
                   (else (local.set $n (struct.new $wide (local.get $n) (i32.const {number}) (local.get $l)))))"
            ),
            (Shape::Branching, 3) => format!(
                "(block $h (result i32) (try_table (catch $e $h)
                   (local.set $i (call_indirect $t (type $f) (local.get $i) (local.get $n) (i32.const {}))))
                   (i32.const {number})) (local.set $i)",
                number % 10
            ),
            (Shape::Branching, _) => format!(
                "(array.set $ints (local.get $a) (i32.and (local.get $i) (i32.const 7))
                   (struct.get $node $value (local.get $n)))
                 (if (i32.eqz (local.get $i)) (then (throw $e (i32.const {number}))))"
            ),
        };
        text.push_str(&statement);
        text.push('\n');
    }
    text.push_str("(local.get $i))\n");
}

/// A generator of numbers that is the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}
