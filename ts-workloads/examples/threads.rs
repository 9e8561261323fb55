//! What threads cost: `cargo run --release -p dolmen-workloads --example threads [stops] [throughput] [polls]`.
//!
//! 1. *Stops*: how long it takes from the request until all threads stand still, with 8 busy threads, half of which
//!    allocate. For what the scheduler adds there is the time that an OS thread needs to be woken while they run.
//! 2. *Throughput*: trees made by 1 and by 2 threads of one store, in pairs of runs that take turns, and by 2 threads
//!    with a store each, which is what the machine can give.
//! 3. *Polls*: loops with and without, in turns.
//!
//! Medians of many rounds and ratios of neighbouring runs, because machines are never idle.

use dolmen::{Config, Engine, Instance, Linker, Module, Store, Val};
use std::time::{Duration, Instant};

/// Threads that are stopped.
const BUSY: i32 = 8;

/// Stops that are timed.
const STOPS: usize = 2000;

/// Runs of which the median counts.
const ROUNDS: usize = 9;

const PROGRAM: &str = r#"(module
  (type $tree (struct (field (ref null $tree)) (field (ref null $tree))))
  (memory (export "memory") 16)
  (global $sink (mut i32) (i32.const 0))
  (func $make (param i32) (result (ref $tree))
    (if (result (ref $tree)) (local.get 0)
      (then (struct.new $tree (call $make (i32.sub (local.get 0) (i32.const 1)))
                              (call $make (i32.sub (local.get 0) (i32.const 1)))))
      (else (struct.new $tree (ref.null $tree) (ref.null $tree)))))
  (func (export "trees") (param i32)
    (loop $l (drop (call $make (i32.const 14)))
      (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "busy") (param i32)
    (if (i32.and (local.get 0) (i32.const 1))
      (then (loop $l (drop (call $make (i32.const 10))) (br $l)))
      (else (loop $l (global.set $sink (i32.add (global.get $sink) (i32.const 1))) (br $l)))))
  (func (export "sum") (param i32) (result i32) (local $i i32) (local $s i32)
    (loop $l
      (local.set $s (i32.xor (i32.mul (local.get $s) (i32.const 31)) (local.get $i)))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get 0))))
    (local.get $s))
  (func (export "bytes") (param i32) (result i32) (local $i i32) (local $s i32)
    (loop $l
      (local.set $s (i32.add (i32.rotl (local.get $s) (i32.const 1))
                             (i32.load8_u (i32.and (local.get $i) (i32.const 0xffff)))))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get 0))))
    (local.get $s))
  (func (export "sieve") (param i32) (result i32) (local $i i32) (local $j i32) (local $n i32)
    (loop $again
      (memory.fill (i32.const 0) (i32.const 0) (i32.const 0x100000))
      (local.set $i (i32.const 2))
      (loop $l
        (if (i32.eqz (i32.load8_u (local.get $i)))
          (then (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (local.set $j (local.get $i))
                (loop $m
                  (i32.store8 (local.get $j) (i32.const 1))
                  (br_if $m (i32.lt_u (local.tee $j (i32.add (local.get $j) (local.get $i))) (i32.const 0x100000))))))
        (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 0x100000))))
      (br_if $again (i32.ge_s (local.tee 0 (i32.sub (local.get 0) (i32.const 100000000))) (i32.const 0))))
    (local.get $n))
  (func (export "matrix") (param i32) (result i32) (local $i i32) (local $j i32) (local $k i32) (local $s f64)
    (loop $again
      (local.set $i (i32.const 0))
      (loop $rows
        (local.set $j (i32.const 0))
        (loop $columns
          (local.set $k (i32.const 0)) (local.set $s (f64.const 0))
          (loop $l
            (local.set $s (f64.add (local.get $s) (f64.mul
              (f64.load (i32.shl (i32.add (i32.mul (local.get $i) (i32.const 100)) (local.get $k)) (i32.const 3)))
              (f64.load offset=80000
                (i32.shl (i32.add (i32.mul (local.get $k) (i32.const 100)) (local.get $j)) (i32.const 3))))))
            (br_if $l (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 1))) (i32.const 100))))
          (f64.store offset=160000
            (i32.shl (i32.add (i32.mul (local.get $i) (i32.const 100)) (local.get $j)) (i32.const 3)) (local.get $s))
          (br_if $columns (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 1))) (i32.const 100))))
        (br_if $rows (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100))))
      (br_if $again (i32.ge_s (local.tee 0 (i32.sub (local.get 0) (i32.const 2000000))) (i32.const 0))))
    (i32.const 0))
  (type $bytes (array (mut i8)))
  ;; The arrays are where anybody could find them, and change places, so that no copy is superfluous.
  (global $from (export "from") (mut (ref null $bytes)) (ref.null $bytes))
  (global $to (export "to") (mut (ref null $bytes)) (ref.null $bytes))
  (func (export "copy") (param i32) (result i32) (local $i i32)
    (local $from (ref null $bytes)) (local $to (ref null $bytes))
    (global.set $from (array.new $bytes (i32.const 1) (i32.const 10000)))
    (global.set $to (array.new $bytes (i32.const 0) (i32.const 10000)))
    (loop $again
      (local.set $from (global.get $from))
      (local.set $to (global.get $to))
      (local.set $i (i32.const 0))
      (loop $l
        (array.set $bytes (local.get $to) (local.get $i) (array.get_u $bytes (local.get $from) (local.get $i)))
        (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (array.len (local.get $from)))))
      (global.set $from (local.get $to))
      (global.set $to (local.get $from))
      (br_if $again (i32.ge_s (local.tee 0 (i32.sub (local.get 0) (i32.const 2000))) (i32.const 0))))
    (array.get_u $bytes (global.get $to) (i32.const 9999)))
  (func (export "search") (param i32) (result i32) (local $i i32) (local $n i32)
    ;; Loops of few rounds, which leave early: what a strip costs when it does not pay.
    (loop $again
      (local.set $i (i32.and (local.get 0) (i32.const 0xfff0)))
      (block $found (loop $l
        (br_if $found (i32.eq (i32.load8_u (local.get $i)) (i32.and (local.get 0) (i32.const 0xff))))
        (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                            (i32.add (i32.and (local.get 0) (i32.const 0xfff0)) (i32.const 12))))))
      (local.set $n (i32.add (local.get $n) (local.get $i)))
      (br_if $again (i32.ge_s (local.tee 0 (i32.sub (local.get 0) (i32.const 17))) (i32.const 0))))
    (local.get $n))
  (func $fib (param i32) (result i32)
    (if (result i32) (i32.lt_u (local.get 0) (i32.const 2)) (then (local.get 0))
      (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                     (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
  (func (export "fib") (param i32) (result i32) (call $fib (i32.const 38)))
)"#;

/// The loops in which polls are timed.
const LOOPS: [&str; 7] = ["sum", "bytes", "sieve", "matrix", "copy", "search", "fib"];

/// What each of them must take: one that the optimiser has dropped would be compared by the noise of its call.
const LEAST_SECONDS: f64 = 1e-3;

type Part = fn(&Engine) -> Outcome<()>;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let engine = Engine::new(&Config::new())?;
    let wanted: Vec<_> = std::env::args().skip(1).collect();
    let parts: [(&str, Part); 3] = [("stops", stops), ("throughput", throughput), ("polls", polls)];
    for (_, part) in parts.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|w| w == name)) {
        part(&engine)?;
    }
    Ok(())
}

fn start(engine: &Engine, polls: bool) -> Outcome<(Store<()>, Instance)> {
    let options = dolmen_aotc::Options { collector: engine.collector(), polls, ..dolmen_aotc::Options::default() };
    let artifact = dolmen_aotc::compile(&wat::parse_str(PROGRAM)?, &options)?;
    let module = Module::deserialize(engine, &artifact)?;
    let mut store = Store::new(engine, ())?;
    let instance = Linker::new(engine).instantiate(&mut store, &module)?;
    Ok((store, instance))
}

fn func(store: &mut Store<()>, instance: Instance, name: &str) -> Outcome<dolmen::Func> {
    Ok(instance.get_func(store, name).ok_or("no such function")?)
}

fn stops(engine: &Engine) -> Outcome<()> {
    let (mut store, instance) = start(engine, true)?;
    let busy = func(&mut store, instance, "busy")?;
    let handles = (0..BUSY).map(|i| store.spawn(busy, &[Val::I32(i)])).collect::<Result<Vec<_>, _>>()?;
    let mut times = Vec::with_capacity(STOPS);
    for _ in 0..STOPS {
        store.unlocked(|| std::thread::sleep(Duration::from_micros(500)));
        let start = Instant::now();
        let stopped = store.with_world_stopped(|_| start.elapsed());
        times.push(stopped);
    }
    let mut wakes = Vec::with_capacity(STOPS);
    store.unlocked(|| {
        for _ in 0..STOPS {
            let start = Instant::now();
            std::thread::sleep(Duration::from_micros(500));
            wakes.push(start.elapsed().saturating_sub(Duration::from_micros(500)));
        }
    });
    assert!(handles.iter().all(|handle| !handle.is_finished()), "the threads are busy to the end");
    report("stop of 8 threads", &mut times);
    report("waking of an OS thread", &mut wakes);
    Ok(())
}

fn report(what: &str, times: &mut [Duration]) {
    times.sort();
    let at = |part: usize| times[(times.len() - 1) * part / 1000].as_secs_f64() * 1e6;
    println!(
        "{what}: median {:.1} us, 90 % {:.1} us, 99 % {:.1} us, most {:.1} us",
        at(500),
        at(900),
        at(990),
        at(1000)
    );
}

/// Trees that each thread makes in one run.
const TREES: i32 = 3000;

fn throughput(engine: &Engine) -> Outcome<()> {
    let (mut store, instance) = start(engine, true)?;
    let trees = func(&mut store, instance, "trees")?;
    let mut run = |threads: usize| -> Outcome<f64> {
        let begin = Instant::now();
        let handles = (0..threads).map(|_| store.spawn(trees, &[Val::I32(TREES)])).collect::<Result<Vec<_>, _>>()?;
        for handle in handles {
            handle.join(&mut store)?;
        }
        Ok(begin.elapsed().as_secs_f64() / threads as f64)
    };
    run(2)?;
    let (mut shared, mut apart) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (one, two) = (run(1)?, run(2)?);
        shared.push(one / two);
        let own = |threads: usize| -> f64 {
            let begin = Instant::now();
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| {
                        let (mut store, instance) = start(engine, true).expect("a store");
                        let trees = func(&mut store, instance, "trees").expect("a function");
                        trees.call(&mut store, &[Val::I32(TREES)], &mut []).expect("no trap");
                    });
                }
            });
            begin.elapsed().as_secs_f64() / threads as f64
        };
        apart.push(own(1) / own(2));
    }
    println!("two threads of one store make {:.2} times the trees of one", median(&mut shared));
    println!("two threads with a store each make {:.2} times the trees of one", median(&mut apart));
    Ok(())
}

fn polls(engine: &Engine) -> Outcome<()> {
    let (mut with, with_instance) = start(engine, true)?;
    let (mut without, without_instance) = start(engine, false)?;
    let mut product = 1.0;
    for name in LOOPS {
        let time = |store: &mut Store<()>, instance: Instance| -> Outcome<f64> {
            let func = func(store, instance, name)?;
            let begin = Instant::now();
            func.call(store, &[Val::I32(200_000_000)], &mut [Val::I32(0)])?;
            let seconds = begin.elapsed().as_secs_f64();
            assert!(seconds >= LEAST_SECONDS, "{name} takes {seconds} s: the loop is not there any more");
            Ok(seconds)
        };
        let mut ratios = Vec::new();
        for _ in 0..ROUNDS {
            let slow = time(&mut with, with_instance)?;
            ratios.push(slow / time(&mut without, without_instance)?);
        }
        let ratio = median(&mut ratios);
        println!("{name}: {:+.1} % with polls", 100.0 * (ratio - 1.0));
        product *= ratio;
    }
    println!("all: {:+.1} % in geometric mean", 100.0 * (f64::powf(product, 1.0 / LOOPS.len() as f64) - 1.0));
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
