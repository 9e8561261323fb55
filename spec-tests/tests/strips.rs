//! Loops that count run as many rounds as they should, whatever is compared, and can be ended while they run.
//!
//! The compiler cuts counting loops into strips, between which they poll. What can go wrong is at the ends of the
//! range of words: bounds that the counter steps over, counters that wrap, loops that begin outside their bounds. So
//! all comparisons, several steps and all pairs of interesting starts and bounds are run and compared with a model.

#![forbid(unsafe_code)]

use dolmen::{Config, Engine, Error, Instance, Linker, Module, Store, TrapCode, Val};
use dolmen_aotc::OptLevel;
use std::fmt::Write as _;
use std::time::{Duration, Instant};
use wast::Wat;
use wast::parser::{self, ParseBuffer};

const COMPARISONS: [&str; 9] = ["ne", "lt_u", "le_u", "lt_s", "le_s", "gt_u", "ge_u", "gt_s", "ge_s"];

const STEPS: [i64; 7] = [1, -1, 2, 3, -7, -8, 1000];

/// Rounds after which a loop is left, in the functions that leave it.
const MOST: u64 = 10_000;

/// A counting loop. What its function takes is the start, the bound, and the step if that is no constant.
#[derive(Clone, Copy, Debug)]
struct Shape {
    bits: u32,
    comparison: &'static str,
    step: Step,
    /// Whether the counter is compared before the step.
    before: bool,
    /// Whether the loop ends after [`MOST`] rounds.
    leaves: bool,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Constant(i64),
    Parameter,
}

impl Shape {
    fn all() -> Vec<Self> {
        let mut shapes = Vec::new();
        let steps = STEPS.map(Step::Constant).into_iter().chain([Step::Parameter]);
        for step in steps {
            for comparison in COMPARISONS {
                for (bits, before, leaves) in
                    [(32, false, true), (32, true, true), (64, false, true), (32, false, false), (64, true, false)]
                {
                    shapes.push(Self { bits, comparison, step, before, leaves });
                }
            }
        }
        shapes
    }

    /// The function `name`, which gives a number that depends on all rounds and on the counter at the end.
    fn write(self, name: &str, text: &mut String) {
        let Self { bits, comparison, .. } = self;
        let step = match self.step {
            Step::Constant(step) => format!("(i{bits}.const {step})"),
            Step::Parameter => "(local.get $step)".to_owned(),
        };
        let leave = if self.leaves {
            format!("(br_if $out (i64.eq (local.get $rounds) (i64.const {MOST})))")
        } else {
            String::new()
        };
        let before = if self.before { "(local.set $t (local.get $i))" } else { "" };
        let after = if self.before { "" } else { "(local.set $t (local.get $i))" };
        let _ = write!(
            text,
            r#"(func (export "{name}") (param $i i{bits}) (param $bound i{bits}) (param $step i{bits}) (result i64)
              (local $t i{bits}) (local $rounds i64) (local $hash i64)
              (block $out (loop $l
                {leave}
                (local.set $rounds (i64.add (local.get $rounds) (i64.const 1)))
                (local.set $hash (i64.xor (i64.rotl (local.get $hash) (i64.const 1)) (local.get $rounds)))
                {before}
                (local.set $i (i{bits}.add (local.get $i) {step}))
                {after}
                (br_if $l (i{bits}.{comparison} (local.get $t) (local.get $bound)))))
              (i64.add (i64.mul (local.get $hash) (i64.const 31)) {}))"#,
            if bits == 64 { "(local.get $i)" } else { "(i64.extend_i32_u (local.get $i))" }
        );
    }

    /// What the function gives, or `None` if the loop has more than [`MOST`] rounds and is not left.
    fn model(self, start: u64, bound: u64, step: i64) -> Option<u64> {
        let mask = if self.bits == 64 { u64::MAX } else { u64::from(u32::MAX) };
        let signed = |word: u64| if self.bits == 64 { word as i64 } else { i64::from(word as u32 as i32) };
        let (mut i, mut rounds, mut hash) = (start & mask, 0u64, 0u64);
        let bound = bound & mask;
        loop {
            if rounds == MOST {
                if self.leaves {
                    break;
                }
                return None;
            }
            rounds += 1;
            hash = hash.rotate_left(1) ^ rounds;
            let before = i;
            i = i.wrapping_add(step as u64) & mask;
            let t = if self.before { before } else { i };
            let goes_on = match self.comparison {
                "ne" => t != bound,
                "lt_u" => t < bound,
                "le_u" => t <= bound,
                "gt_u" => t > bound,
                "ge_u" => t >= bound,
                "lt_s" => signed(t) < signed(bound),
                "le_s" => signed(t) <= signed(bound),
                "gt_s" => signed(t) > signed(bound),
                "ge_s" => signed(t) >= signed(bound),
                other => panic!("{other}"),
            };
            if !goes_on {
                break;
            }
        }
        Some(hash.wrapping_mul(31).wrapping_add(i))
    }

    fn args(self, start: u64, bound: u64, step: i64) -> [Val; 3] {
        [start, bound, step as u64]
            .map(|word| if self.bits == 64 { Val::I64(word as i64) } else { Val::I32(word as i32) })
    }
}

fn start(text: &str, opt_level: OptLevel) -> (Store<()>, Instance) {
    let engine = Engine::new(&Config::new()).unwrap();
    let buffer = ParseBuffer::new(text).unwrap();
    let wasm = parser::parse::<Wat<'_>>(&buffer).unwrap().encode().unwrap();
    let options = dolmen_aotc::Options { opt_level, ..dolmen_aotc::Options::default() };
    let artifact = dolmen_aotc::compile(&wasm, &options).unwrap_or_else(|error| panic!("{error}"));
    let module = Module::deserialize(&engine, &artifact).unwrap();
    let mut store = Store::new(&engine, ()).unwrap();
    let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
    (store, instance)
}

fn module(shapes: &[Shape]) -> String {
    let mut text = "(module ".to_owned();
    for (index, shape) in shapes.iter().enumerate() {
        shape.write(&index.to_string(), &mut text);
    }
    text + ")"
}

/// Where loops start and end: the ends of the range, the middle, and a few strips from each.
fn words(bits: u32) -> Vec<u64> {
    let middle = 1u64 << (bits - 1);
    let near = [0i64, 1, -1, 6, 4096, -4097, 9001];
    [0, middle].into_iter().flat_map(|from| near.map(|more| from.wrapping_add(more as u64))).collect()
}

fn counts(opt_level: OptLevel) {
    let shapes = Shape::all();
    let (mut store, instance) = start(&module(&shapes), opt_level);
    for (index, &shape) in shapes.iter().enumerate() {
        let func = instance.get_func(&mut store, &index.to_string()).unwrap();
        let steps = match shape.step {
            Step::Constant(step) => vec![step],
            Step::Parameter => vec![0, 1, -3, 5, 70_000, i64::from(i32::MIN)],
        };
        let words = words(shape.bits);
        for &step in &steps {
            for (&start, &bound) in words.iter().flat_map(|start| words.iter().map(move |bound| (start, bound))) {
                let Some(expected) = shape.model(start, bound, step) else { continue };
                let mut results = [Val::I64(0)];
                func.call(&mut store, &shape.args(start, bound, step), &mut results).unwrap();
                let Val::I64(found) = results[0] else { panic!("{results:?}") };
                assert_eq!(found as u64, expected, "{shape:?} from {start:#x} to {bound:#x} by {step}");
            }
        }
    }
}

#[test]
fn optimised_loops_count() {
    counts(OptLevel::O3);
}

#[test]
fn plain_loops_count() {
    counts(OptLevel::O0);
}

/// Loops one behind the other: each counts to what the one before has left, or begins where that one ends.
#[test]
fn loops_count_to_what_loops_leave() {
    let body = |length: usize| {
        let step =
            "(local.set $s (i32.xor (i32.shr_u (local.get $s) (i32.const 3)) (i32.add (local.get $s) (local.get $i))))";
        format!("{} (local.set $s (i32.and (local.get $s) (i32.const 0x3fff)))", step.repeat(length))
    };
    let asking_first = |name: &str, bound: &str, body: &str| {
        format!(
            "(block $end{name} (loop ${name} (br_if $end{name} (i32.ge_u (local.get $i) {bound})) {body}
               (local.set $i (i32.add (local.get $i) (i32.const 1))) (br ${name})))"
        )
    };
    let asking_last = |name: &str, bound: &str, body: &str| {
        format!(
            "(loop ${name} {body}
               (br_if ${name} (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) {bound})))"
        )
    };
    let mut text = "(module ".to_owned();
    let mut count = 0;
    for lengths in [[1, 1, 1], [1, 3, 2], [3, 2, 1]] {
        for order in 0..8 {
            let mut code = String::new();
            for (index, length) in lengths.into_iter().enumerate() {
                let bound = if index == 0 { "(local.get $k)" } else { "(local.get $n)" };
                let (name, body) = (index.to_string(), body(length));
                let asks_first = order >> index & 1 == 1;
                code += &if asks_first { asking_first(&name, bound, &body) } else { asking_last(&name, bound, &body) };
                code += "(local.set $n (local.get $s))";
                // Otherwise the next loop goes on from there.
                code += if order & 1 == 1 { "(local.set $i (i32.const 0))" } else { "" };
            }
            let _ = write!(
                text,
                r#"(func (export "{count}") (param $k i32) (result i32) (local $i i32) (local $s i32) (local $n i32)
                {code} (i32.add (local.get $s) (i32.mul (i32.const 0x10000) (local.get $i))))"#
            );
            count += 1;
        }
    }
    text.push(')');
    let results = |opt_level| {
        let (mut store, instance) = start(&text, opt_level);
        let mut result_of = |(func, k): (i32, i32)| {
            let mut results = [Val::I32(0)];
            let func = instance.get_func(&mut store, &func.to_string()).unwrap();
            func.call(&mut store, &[Val::I32(k)], &mut results).unwrap();
            let Val::I32(found) = results[0] else { panic!("{results:?}") };
            found
        };
        (0..count).flat_map(|func| [0, 1, 2, 50, 5000].map(|k| (func, k))).map(&mut result_of).collect::<Vec<_>>()
    };
    let expected = results(OptLevel::O0);
    for opt_level in [OptLevel::O1, OptLevel::O2, OptLevel::O3] {
        assert_eq!(results(opt_level), expected, "{opt_level:?}");
    }
}

/// Loops that do not end, or not for many seconds, because their counter steps over the bound or wraps.
#[test]
fn long_loops_are_interrupted() {
    const LONGEST: Duration = Duration::from_secs(1);
    let cases: [(&str, Step, u64, u64, i64); 8] = [
        ("ne", Step::Constant(2), 0, 1, 0),
        ("ne", Step::Constant(-8), 0, 4, 0),
        ("lt_u", Step::Constant(3), 0, u64::MAX, 0),
        ("le_u", Step::Constant(1), 0, u64::MAX, 0),
        ("ge_s", Step::Constant(-7), 0, i64::MIN as u64, 0),
        ("lt_s", Step::Parameter, 0, i64::MAX as u64, 1000),
        ("lt_u", Step::Parameter, 5, 9, 0),
        ("le_s", Step::Parameter, 5, 9, 0),
    ];
    for (comparison, step, from, to, by) in cases {
        let shape = Shape { bits: 64, comparison, step, before: false, leaves: false };
        let (mut store, instance) = start(&module(&[shape]), OptLevel::O3);
        let func = instance.get_func(&mut store, "0").unwrap();
        let handle = store.interrupt_handle().unwrap();
        let begin = Instant::now();
        let interrupter = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(5));
            handle.interrupt();
        });
        let result = func.call(&mut store, &shape.args(from, to, by), &mut [Val::I64(0)]);
        interrupter.join().unwrap();
        let is_interrupt = matches!(&result, Err(Error::Trap(trap)) if trap.code == TrapCode::Interrupt);
        assert!(is_interrupt && begin.elapsed() < LONGEST, "{shape:?}: {result:?} after {:?}", begin.elapsed());
    }
}
