//! Threads that work on one graph while it is collected, and what else goes on meanwhile: for seconds, or for minutes
//! with `DOLMEN_TEST_ALL`. What fails says its seed, which `DOLMEN_TEST_SEED` sets.

#![forbid(unsafe_code)]

mod random;

use dolmen::{Config, Engine, Error, Func, Instance, Linker, Module, Store, ThreadControl, ThreadState, TrapCode, Val};
use random::Random;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use wast::Wat;
use wast::parser::{self, ParseBuffer};

/// Nodes in slots that all threads read and replace. A node's sum is that of its other numbers, which never change.
const GRAPH: &str = r#"(module
  (type $node (struct (field $a i32) (field $b i32) (field $sum i32)
                      (field $next (mut (ref null $node))) (field $other (mut (ref null $node)))))
  (type $slots (array (mut (ref null $node))))
  (type $bytes (array (mut i8)))
  (global $slots (ref $slots) (array.new_default $slots (i32.const 64)))
  (global $nodes (mut i32) (i32.const 0))
  (func $random (param i32) (result i32)
    (local.set 0 (i32.xor (local.get 0) (i32.shl (local.get 0) (i32.const 13))))
    (local.set 0 (i32.xor (local.get 0) (i32.shr_u (local.get 0) (i32.const 17))))
    (i32.xor (local.get 0) (i32.shl (local.get 0) (i32.const 5))))
  (func $slot (param i32) (result (ref null $node))
    (array.get $slots (global.get $slots) (i32.and (local.get 0) (i32.const 63))))
  (func $check (param $n (ref null $node)) (param $depth i32)
    (br_if 0 (i32.or (ref.is_null (local.get $n)) (i32.eqz (local.get $depth))))
    (if (i32.ne (struct.get $node $sum (local.get $n))
                (i32.add (struct.get $node $a (local.get $n)) (struct.get $node $b (local.get $n))))
      (then (unreachable)))
    (call $check (struct.get $node $next (local.get $n)) (i32.sub (local.get $depth) (i32.const 1)))
    (call $check (struct.get $node $other (local.get $n)) (i32.sub (local.get $depth) (i32.const 1))))
  (func (export "work") (param $seed i32) (param $rounds i32) (result i32) (local $n (ref null $node)) (local $i i32)
    (loop $l
      (local.set $seed (call $random (local.get $seed)))
      (local.set $n (struct.new $node (local.get $seed) (local.get $i) (i32.add (local.get $seed) (local.get $i))
        (call $slot (local.get $seed)) (ref.null $node)))
      ;; Garbage of several sizes between a node and its place.
      (drop (array.new $bytes (i32.const 1) (i32.and (i32.shr_u (local.get $seed) (i32.const 20)) (i32.const 0x3ff))))
      (call $check (local.get $n) (i32.const 6))
      (array.set $slots (global.get $slots) (i32.and (i32.shr_u (local.get $seed) (i32.const 8)) (i32.const 63))
        (local.get $n))
      ;; Chains are cut, so that garbage has all ages.
      (local.set $n (call $slot (i32.shr_u (local.get $seed) (i32.const 16))))
      (if (i32.eqz (ref.is_null (local.get $n)))
        (then (struct.set $node $next (local.get $n) (ref.null $node))
              (struct.set $node $other (local.get $n) (call $slot (i32.shr_u (local.get $seed) (i32.const 12))))))
      (drop (global.atomic.rmw.add seqcst $nodes (i32.const 1)))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $rounds))))
    (local.get $i))
  (func (export "fail") (param $seed i32) (param i32) (result i32)
    (drop (struct.new $node (i32.const 1) (i32.const 2) (i32.const 3) (ref.null $node) (ref.null $node)))
    unreachable)
  (func (export "nodes") (result i32) (global.atomic.get acqrel $nodes))
  (func (export "endless") (loop $l (br $l))))"#;

/// Numbers that fields, elements and globals count up to from several threads at once, and who is first.
const COUNTERS: &str = r#"(module
  (type $s (struct (field (mut i32)) (field (mut i64))))
  (type $a (array (mut i64)))
  (type $link (shared (struct (field i32) (field (mut (ref null $link))))))
  (type $top (shared (struct (field (mut (ref null $link))))))
  (global $s (ref $s) (struct.new_default $s))
  (global $a (ref $a) (array.new_default $a (i32.const 4)))
  (global $g (mut i64) (i64.const 0))
  (global $top (ref $top) (struct.new_default $top))
  (func (export "count") (param $times i32) (result i32) (local $old i64)
    (loop $l
      (drop (struct.atomic.rmw.add seqcst $s 0 (global.get $s) (i32.const 1)))
      (drop (array.atomic.rmw.sub acqrel $a (global.get $a) (i32.const 3) (i64.const 1)))
      (loop $again
        (local.set $old (global.atomic.get acqrel $g))
        (br_if $again (i64.ne (local.get $old)
          (global.atomic.rmw.cmpxchg seqcst $g (local.get $old) (i64.add (local.get $old) (i64.const 1))))))
      (call $push (local.get $times))
      (br_if $l (local.tee $times (i32.sub (local.get $times) (i32.const 1)))))
    (i32.const 0))
  ;; A stack without locks: what is pushed by comparing and exchanging references is never lost.
  (func $push (param i32) (local $link (ref null $link)) (local $old (ref null $link))
    (local.set $link (struct.new $link (local.get 0) (ref.null $link)))
    (loop $again
      (local.set $old (struct.atomic.get seqcst $top 0 (global.get $top)))
      (struct.set $link 1 (local.get $link) (local.get $old))
      (br_if $again (i32.eqz (ref.eq (local.get $old)
        (struct.atomic.rmw.cmpxchg seqcst $top 0 (global.get $top) (local.get $old) (local.get $link)))))))
  (func (export "totals") (result i32 i64 i64 i32 i64) (local $n i32) (local $sum i64) (local $link (ref null $link))
    (local.set $link (struct.atomic.get seqcst $top 0 (global.get $top)))
    (block $end (loop $l
      (br_if $end (ref.is_null (local.get $link)))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_u (struct.get $link 0 (local.get $link)))))
      (local.set $link (struct.get $link 1 (local.get $link)))
      (br $l)))
    (struct.get $s 0 (global.get $s)) (array.get $a (global.get $a) (i32.const 3)) (global.get $g)
    (local.get $n) (local.get $sum)))"#;

fn start(config: &Config, text: &str) -> (Store<()>, Instance) {
    let engine = Engine::new(config).unwrap();
    let buffer = ParseBuffer::new(text).unwrap();
    let wasm = parser::parse::<Wat<'_>>(&buffer).unwrap().encode().unwrap();
    let features = "all,shared-everything-threads".parse().unwrap();
    let options = dolmen_aotc::Options { collector: engine.collector(), features, ..dolmen_aotc::Options::default() };
    let artifact = dolmen_aotc::compile(&wasm, &options).unwrap_or_else(|error| panic!("{error}"));
    let module = Module::deserialize(&engine, &artifact).unwrap();
    let mut store = Store::new(&engine, ()).unwrap();
    let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
    (store, instance)
}

fn func(store: &mut Store<()>, instance: Instance, name: &str) -> Func {
    instance.get_func(store, name).unwrap_or_else(|| panic!("no function {name}"))
}

/// Threads of 2 to 16 start, work and end in waves, while the heap is collected at every so many allocations and
/// verified; some trap; meanwhile the world is stopped and single threads are suspended from outside.
#[test]
fn graphs_survive_many_threads() {
    let is_long = std::env::var_os("DOLMEN_TEST_ALL").is_some();
    let end = Instant::now() + Duration::from_secs(if is_long { 120 } else { 3 });
    let mut random = Random::seeded();
    while Instant::now() < end {
        let seed = random.0;
        println!("DOLMEN_TEST_SEED={seed}");
        let threads = 2 + random.below(15);
        // Without stress threads allocate from memory of their own.
        let interval = (random.below(4) > 0).then(|| 1 + random.below(300));
        wave(&mut random, threads, interval);
    }
}

/// Rounds of all threads that are not under stress: several nurseries.
const FREE_ROUNDS: u64 = 800_000;

fn wave(random: &mut Random, threads: u64, interval: Option<u64>) {
    let mut config = Config::new();
    config.gc_stress(interval.and_then(NonZeroU64::new)).gc_verify(true);
    let (mut store, instance) = start(&config, GRAPH);
    let [work, fail, nodes] = ["work", "fail", "nodes"].map(|name| func(&mut store, instance, name));
    let rounds = interval.map_or(FREE_ROUNDS, |interval| 20 * interval.min(50));
    let rounds = (rounds / threads).max(5) as i32;
    let control = store.thread_control();
    let is_over = Arc::new(AtomicBool::new(false));
    let mut expected = 0;
    let outside = std::thread::spawn({
        let is_over = Arc::clone(&is_over);
        // Relaxed: it need not be seen at once.
        move || {
            while !is_over.load(Ordering::Relaxed) {
                disturb(&control);
            }
        }
    });
    let result = store.scope(|scope| {
        let mut failing = Vec::new();
        for thread in 0..threads {
            let seed = Val::I32(random.below(1 << 31) as i32 | 1);
            if thread % 5 == 4 {
                failing.push(scope.spawn(fail, &[seed, Val::I32(0)]).unwrap());
            } else {
                scope.spawn(work, &[seed, Val::I32(rounds)]).unwrap();
                expected += rounds;
            }
        }
        for thread in failing {
            let outcome = scope.join(thread).expect("not joined before");
            assert!(matches!(&outcome, Err(Error::Trap(trap)) if trap.code == TrapCode::Unreachable), "{outcome:?}");
        }
    });
    is_over.store(true, Ordering::Relaxed);
    // Whoever stops all threads waits for the store.
    store.unlocked(|| outside.join()).unwrap();
    result.unwrap();
    let mut found = [Val::I32(0)];
    nodes.call(&mut store, &[], &mut found).unwrap();
    assert!(matches!(found[0], Val::I32(n) if n == expected), "{found:?} of {expected} nodes");
    assert!(interval.is_some() || store.gc_stats().collections > 0, "{:?}", store.gc_stats());
}

/// Stops all threads, and each of those that were spawned.
fn disturb(control: &ThreadControl) {
    drop(control.suspend_all());
    for thread in control.threads().into_iter().filter(|thread| thread.number() != 0) {
        if control.suspend(thread) {
            control.resume(thread);
        }
    }
    std::thread::yield_now();
}

#[test]
fn atomic_accesses_lose_nothing() {
    const TIMES: i32 = 20_000;
    for threads in [1, 2, 5] {
        let (mut store, instance) = start(&Config::new(), COUNTERS);
        let [count, totals] = ["count", "totals"].map(|name| func(&mut store, instance, name));
        store.scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(count, &[Val::I32(TIMES)]).unwrap())).unwrap();
        let mut found = [const { Val::I32(0) }; 5];
        totals.call(&mut store, &[], &mut found).unwrap();
        let all = i64::from(TIMES) * threads;
        let sum = threads * i64::from(TIMES) * (i64::from(TIMES) + 1) / 2;
        let expected = (all as i32, -all, all, all as i32, sum);
        let [Val::I32(field), Val::I64(element), Val::I64(global), Val::I32(links), Val::I64(links_sum)] = found else {
            panic!("{found:?}")
        };
        assert_eq!((field, element, global, links, links_sum), expected);
    }
}

#[test]
fn scopes_join_their_threads() {
    let (mut store, instance) = start(&Config::new(), GRAPH);
    let [work, fail] = ["work", "fail"].map(|name| func(&mut store, instance, name));
    let args = [Val::I32(77), Val::I32(100)];
    let joined = store.scope(|scope| {
        let first = scope.spawn(work, &args).unwrap();
        scope.spawn(work, &args).unwrap();
        let outcome = scope.join(first).expect("not joined before").unwrap();
        assert!(scope.join(first).is_none());
        outcome
    });
    assert!(matches!(joined.unwrap()[..], [Val::I32(100)]));
    assert_eq!(store.thread_control().threads().len(), 1);
    let failed = store.scope(|scope| _ = scope.spawn(fail, &args).unwrap());
    assert!(matches!(failed, Err(Error::Trap(trap)) if trap.code == TrapCode::Unreachable));
}

#[test]
fn threads_tell_where_they_are() {
    const PATIENCE: Duration = Duration::from_secs(5);
    let (mut store, instance) = start(&Config::new(), GRAPH);
    let endless = func(&mut store, instance, "endless");
    let handle = store.interrupt_handle().unwrap();
    let control = store.thread_control();
    let first = control.threads()[0];
    assert_eq!(control.states(), [(first, ThreadState::UsesStore)]);
    assert!(control.backtrace(first, Duration::from_millis(1)).is_none(), "it runs no code");
    let asker = std::thread::spawn(move || {
        let frames = control.backtrace(first, PATIENCE);
        handle.interrupt();
        frames.expect("it polls")
    });
    assert!(endless.call(&mut store, &[], &mut []).is_err());
    let frames = asker.join().unwrap();
    assert_eq!(frames.len(), 1, "{frames:?}");
}
