//! Everything that threads of one store can do to each other, at the same time, under a heap that is collected and
//! verified all the while: for seconds, or for minutes with `DOLMEN_TEST_ALL`. `DOLMEN_TEST_SEED` sets the seed.

#![forbid(unsafe_code)]

mod random;

use dolmen::{
    AnyRef, Caller, Config, Engine, Error, ExternRef, Func, FuncType, HeapType, Instance, JoinHandle, Linker, Module,
    RefType, Store, ThreadControl, TrapCode, Val, ValType, WeakRef,
};
use random::Random;
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use wast::Wat;
use wast::parser::{self, ParseBuffer};

const STORM: &str = r#"(module
  (import "host" "object" (func $object (result externref)))
  (import "host" "look" (func $look (param externref)))
  (import "host" "weak" (func $weak (param anyref)))
  (import "host" "start" (func $start (param i32)))
  (import "host" "collect" (func $collect))
  (import "host" "panic" (func $panic))
  (type $node (struct (field $value i32) (field $next (mut (ref null $node)))))
  (type $bytes (array (mut i8)))
  (type $nodes (array (mut (ref null $node))))
  (tag $tag (param (ref null $node)))
  (memory $m 1 200 shared)
  (table $nodes 16 4000 (ref null $node))
  (table $objects 16 externref)
  (global $array (ref $nodes) (array.new_default $nodes (i32.const 70000)))
  (global $last (mut (ref null $node)) (ref.null $node))
  (func $random (param i32) (result i32)
    (local.set 0 (i32.xor (local.get 0) (i32.shl (local.get 0) (i32.const 13))))
    (local.set 0 (i32.xor (local.get 0) (i32.shr_u (local.get 0) (i32.const 17))))
    (i32.xor (local.get 0) (i32.shl (local.get 0) (i32.const 5))))
  (func $list (param $n i32) (result (ref $node)) (local $list (ref null $node))
    (loop $l
      (local.set $list (struct.new $node (i32.const 77) (local.get $list)))
      (br_if $l (i32.ge_s (local.tee $n (i32.sub (local.get $n) (i32.const 1))) (i32.const 0))))
    (ref.as_non_null (local.get $list)))
  ;; Whatever a thread meets is whole.
  (func $check (param $n (ref null $node)) (param $most i32)
    (block $end (loop $l
      (br_if $end (ref.is_null (local.get $n)))
      (if (i32.ne (struct.get $node $value (local.get $n)) (i32.const 77)) (then (unreachable)))
      (local.set $n (struct.get $node $next (local.get $n)))
      (br_if $l (local.tee $most (i32.sub (local.get $most) (i32.const 1)))))))
  (func $throw (param $depth i32) (result i32)
    (if (i32.eqz (local.get $depth)) (then (throw $tag (call $list (i32.const 3)))))
    (i32.add (call $throw (i32.sub (local.get $depth) (i32.const 1))) (i32.const 1)))
  (func $step (param $r i32) (local $slot i32) (local $n (ref null $node))
    (local.set $slot (i32.and (i32.shr_u (local.get $r) (i32.const 8)) (i32.const 15)))
    (block $b11 (block $b10 (block $b9 (block $b8 (block $b7 (block $b6 (block $b5 (block $b4 (block $b3 (block $b2
      (block $b1 (block $b0
        (br_table $b0 $b1 $b2 $b3 $b4 $b5 $b6 $b7 $b8 $b9 $b10 $b11 (i32.rem_u (local.get $r) (i32.const 12))))
        (table.set $nodes (local.get $slot) (call $list (i32.and (local.get $r) (i32.const 31)))) (return))
        (call $check (table.get $nodes (local.get $slot)) (i32.const 40)) (return))
        (drop (memory.grow $m (i32.const 1)))
        (i32.store8 (i32.sub (i32.mul (memory.size $m) (i32.const 65536)) (i32.const 1)) (local.get $r)) (return))
        (drop (table.grow $nodes (call $list (i32.const 1)) (i32.const 3)))
        (call $check (table.get $nodes (i32.sub (table.size $nodes) (i32.const 1))) (i32.const 9)) (return))
        (local.set $n (block $caught (result (ref null $node))
          (try_table (catch $tag $caught) (drop (call $throw (local.get $slot)))) (unreachable)))
        (call $check (local.get $n) (i32.const 9)) (return))
        (drop (memory.atomic.wait32 (i32.shl (local.get $slot) (i32.const 2)) (i32.const 0) (i64.const 50000)))
        (return))
        (drop (memory.atomic.notify (i32.shl (local.get $slot) (i32.const 2)) (i32.const 2))) (return))
        (table.set $objects (local.get $slot) (call $object)) (return))
        (call $look (table.get $objects (local.get $slot))) (return))
        (local.set $n (call $list (i32.const 2)))
        (call $weak (local.get $n)) (global.set $last (local.get $n)) (return))
        (array.fill $nodes (global.get $array) (i32.const 100) (call $list (i32.const 2)) (i32.const 69000))
        (array.copy $nodes $nodes (global.get $array) (i32.const 200) (global.get $array) (i32.const 0)
                                  (i32.const 69000))
        (call $check (array.get $nodes (global.get $array) (i32.const 300)) (i32.const 9)) (return))
    (if (i32.lt_u (i32.and (local.get $r) (i32.const 0xff00)) (i32.const 0x2000)) (then (call $collect)))
    (drop (array.new_default $bytes (i32.and (local.get $r) (i32.const 0xffff)))))
  (func (export "work") (param $seed i32) (param $rounds i32)
    (loop $l
      (local.set $seed (call $random (local.get $seed)))
      (call $step (local.get $seed))
      (if (i32.eqz (i32.and (local.get $seed) (i32.const 0x7f000))) (then (call $start (local.get $seed))))
      (br_if $l (i32.gt_s (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1))) (i32.const 0)))))
  (func (export "fill") (param i32)
    (loop $l
      (array.fill $nodes (global.get $array) (i32.const 1) (call $list (i32.const 2)) (i32.const 69000))
      (call $check (array.get $nodes (global.get $array) (i32.const 60000)) (i32.const 9))
      (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "churn") (param i32)
    (loop $l (drop (call $list (i32.const 9)))
      (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "trap") (param i32 i32) (drop (call $list (i32.const 50))) (unreachable))
  (func (export "panic") (param i32 i32) (drop (call $list (i32.const 50))) (call $panic))
  ;; Counts up to a number by turns with another thread, which has the other parity.
  (func (export "ping pong") (param $parity i32) (param $limit i32) (local $count i32)
    (loop $l
      (local.set $count (i32.atomic.load $m (i32.const 1024)))
      (if (i32.eq (i32.and (local.get $count) (i32.const 1)) (local.get $parity))
        (then
          (global.set $last (call $list (i32.const 5)))
          (i32.atomic.store $m (i32.const 1024) (i32.add (local.get $count) (i32.const 1)))
          (drop (memory.atomic.notify $m (i32.const 1024) (i32.const 1))))
        (else (drop (memory.atomic.wait32 $m (i32.const 1024) (local.get $count) (i64.const -1)))))
      (br_if $l (i32.lt_s (i32.atomic.load $m (i32.const 1024)) (local.get $limit)))))
  (func (export "count") (result i32) (i32.atomic.load $m (i32.const 1024))))"#;

/// What the host knows.
#[derive(Default)]
struct Host {
    weak: Vec<WeakRef>,
    started: Vec<JoinHandle>,
    /// Objects of the host that are alive.
    alive: Arc<AtomicUsize>,
}

/// An object of the host; counts itself.
struct Object(Arc<AtomicUsize>);

impl Drop for Object {
    fn drop(&mut self) {
        // Relaxed: read when all threads have ended.
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn start(config: &Config) -> (Store<Host>, Instance) {
    let engine = Engine::new(config).unwrap();
    let buffer = ParseBuffer::new(STORM).unwrap();
    let wasm = parser::parse::<Wat<'_>>(&buffer).unwrap().encode().unwrap();
    let options = dolmen_aotc::Options { collector: engine.collector(), ..dolmen_aotc::Options::default() };
    let artifact = dolmen_aotc::compile(&wasm, &options).unwrap_or_else(|error| panic!("{error}"));
    let module = Module::deserialize(&engine, &artifact).unwrap();
    let mut store = Store::new(&engine, Host::default()).unwrap();
    let linker = linker(&engine);
    let instance = linker.instantiate(&mut store, &module).unwrap();
    (store, instance)
}

fn linker(engine: &Engine) -> Linker<Host> {
    let mut linker = Linker::new(engine);
    let nullable = |heap| ValType::Ref(RefType::new(true, heap));
    let (object, any) = (nullable(HeapType::Extern), nullable(HeapType::Any));
    let ty = |params: &[ValType], results: &[ValType]| FuncType::new(engine, params.to_vec(), results.to_vec());
    let make = |mut caller: Caller<'_, Host>, _: &[Val], results: &mut [Val]| {
        let alive = Arc::clone(&caller.data().alive);
        // Relaxed: as in `Object::drop`.
        alive.fetch_add(1, Ordering::Relaxed);
        results[0] = Val::ExternRef(Some(ExternRef::new(&mut caller, Object(alive))?));
        Ok(())
    };
    linker.func_new("host", "object", ty(&[], std::slice::from_ref(&object)), make).unwrap();
    let look = |caller: Caller<'_, Host>, args: &[Val], _: &mut [Val]| {
        if let Val::ExternRef(Some(found)) = &args[0] {
            found.data::<Host>(&caller)?.and_then(|data| data.downcast_ref::<Object>()).expect("an object of ours");
        }
        Ok(())
    };
    linker.func_new("host", "look", ty(std::slice::from_ref(&object), &[]), look).unwrap();
    linker.func_new("host", "weak", ty(&[any], &[]), weak).unwrap();
    linker.func_new("host", "start", ty(&[ValType::I32], &[]), spawn_more).unwrap();
    let collect = |mut caller: Caller<'_, Host>, _: &[Val], _: &mut [Val]| {
        // Another thread may come in between.
        caller.unlocked(std::thread::yield_now);
        caller.gc()
    };
    linker.func_new("host", "collect", ty(&[], &[]), collect).unwrap();
    linker.func_new("host", "panic", ty(&[], &[]), |_, _, _| panic!("as it should")).unwrap();
    linker
}

/// Remembers an object weakly, and looks at one that was remembered.
fn weak(mut caller: Caller<'_, Host>, args: &[Val], _: &mut [Val]) -> Result<(), Error> {
    if let Val::AnyRef(Some(object)) = &args[0] {
        let weak = AnyRef::downgrade(object, &mut caller)?;
        caller.data_mut().weak.push(weak);
    }
    if caller.data().weak.len() > 20 {
        let old = caller.data_mut().weak.remove(3);
        if let Some(object) = old.upgrade(&mut caller)? {
            assert!(object.is_struct());
        }
    }
    Ok(())
}

/// Starts a thread, unless there are many.
fn spawn_more(mut caller: Caller<'_, Host>, args: &[Val], _: &mut [Val]) -> Result<(), Error> {
    caller.data_mut().started.retain(|handle| !handle.is_finished());
    if caller.data().started.len() < 4 {
        let instance = caller.instance().expect("an instance calls");
        let work = instance.get_func(&mut caller, "work").expect("a function");
        let handle = caller.spawn(work, &[args[0].clone(), Val::I32(5)])?;
        caller.data_mut().started.push(handle);
    }
    Ok(())
}

fn func(store: &mut Store<Host>, instance: Instance, name: &str) -> Func {
    instance.get_func(store, name).unwrap_or_else(|| panic!("no function {name}"))
}

/// Stops the world from several OS threads at once, and single threads from others, until it is over.
fn disturbers(control: &ThreadControl, is_over: &Arc<AtomicBool>) -> Vec<std::thread::JoinHandle<()>> {
    let stop_all = |control: &ThreadControl| {
        if let Some(mut stopped) = control.suspend_all() {
            stopped.world().for_each_root(&mut |_, word| assert!(word != 0));
            assert!(!stopped.world().backtraces().is_empty());
        }
    };
    let stop_each = |control: &ThreadControl| {
        for thread in control.threads().into_iter().filter(|thread| thread.number() != 0) {
            if control.suspend(thread) {
                // Stopped by two, and reported on by a third.
                let again = control.suspend(thread);
                let _ = control.backtrace(thread, Duration::from_micros(10));
                control.resume(thread);
                if again {
                    control.resume(thread);
                }
            }
        }
    };
    let disturb = |work: fn(&ThreadControl)| {
        let (control, is_over) = (control.clone(), Arc::clone(is_over));
        std::thread::spawn(move || {
            // Relaxed: it need not be seen at once.
            while !is_over.load(Ordering::Relaxed) {
                work(&control);
                std::thread::sleep(Duration::from_micros(100));
            }
        })
    };
    vec![disturb(stop_all), disturb(stop_all), disturb(stop_each)]
}

#[test]
fn storms_leave_nothing_behind() {
    let is_long = std::env::var_os("DOLMEN_TEST_ALL").is_some();
    let end = Instant::now() + Duration::from_secs(if is_long { 180 } else { 4 });
    let mut random = Random::seeded();
    while Instant::now() < end {
        println!("DOLMEN_TEST_SEED={}", random.0);
        storm(&mut random);
    }
}

fn storm(random: &mut Random) {
    let mut config = Config::new();
    config.gc_stress(NonZeroU64::new(1 + random.below(400))).gc_verify(true);
    let (mut store, instance) = start(&config);
    let alive = Arc::clone(&store.data().alive);
    let is_interrupted = random.below(3) == 0;
    let handle = store.interrupt_handle().unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let disturbers = disturbers(&store.thread_control(), &is_over);
    let interrupter = std::thread::spawn({
        let (is_over, delay) = (Arc::clone(&is_over), Duration::from_millis(1 + random.below(20)));
        // Relaxed: as above.
        move || {
            while is_interrupted && !is_over.load(Ordering::Relaxed) {
                std::thread::sleep(delay);
                handle.interrupt();
            }
        }
    });
    for _ in 0..1 + random.below(3) {
        let handles: Vec<_> = (0..2 + random.below(15))
            .map(|_| {
                let name = ["work", "work", "work", "work", "trap", "panic"][random.below(6) as usize];
                let args = [Val::I32(random.below(1 << 30) as i32 | 1), Val::I32(random.below(40) as i32)];
                let func = func(&mut store, instance, name);
                (name, store.spawn(func, &args).unwrap())
            })
            .collect();
        for (name, handle) in handles {
            check_outcome(name, catch_unwind(AssertUnwindSafe(|| handle.join(&mut store))), is_interrupted);
        }
    }
    // Relaxed: as above.
    is_over.store(true, Ordering::Relaxed);
    store.unlocked(|| {
        disturbers.into_iter().for_each(|thread| thread.join().unwrap());
        interrupter.join().unwrap();
    });
    while let Some(handle) = store.data_mut().started.pop() {
        check_outcome("work", catch_unwind(AssertUnwindSafe(|| handle.join(&mut store))), is_interrupted);
    }
    assert_eq!(store.thread_control().threads().len(), 1);
    store.gc().unwrap();
    drop(store);
    // Relaxed: all threads have ended.
    assert_eq!(alive.load(Ordering::Relaxed), 0, "objects of the host");
}

type Joined = std::thread::Result<Result<Box<[Val]>, Error>>;

fn check_outcome(name: &str, outcome: Joined, is_interrupted: bool) {
    match (name, outcome) {
        ("work", Ok(Ok(results))) => assert!(results.is_empty()),
        (_, Ok(Err(Error::Trap(trap)))) if trap.code == TrapCode::Interrupt => assert!(is_interrupted, "{name}"),
        ("trap", Ok(Err(Error::Trap(trap)))) => assert_eq!(trap.code, TrapCode::Unreachable),
        ("panic", Err(payload)) => assert_eq!(payload.downcast_ref::<&str>(), Some(&"as it should")),
        (name, outcome) => panic!("{name}: {outcome:?}"),
    }
}

/// Two threads that wake each other, with collections and stops from outside in between: no wake-up is lost.
#[test]
fn ping_pong_goes_on_through_collections() {
    const LIMIT: i32 = 2000;
    for interval in [None, NonZeroU64::new(1), NonZeroU64::new(7)] {
        let mut config = Config::new();
        config.gc_stress(interval);
        let (mut store, instance) = start(&config);
        let is_over = Arc::new(AtomicBool::new(false));
        let disturbers = disturbers(&store.thread_control(), &is_over);
        let player = func(&mut store, instance, "ping pong");
        let players = [0, 1].map(|parity| store.spawn(player, &[Val::I32(parity), Val::I32(LIMIT)]).unwrap());
        for player in players {
            player.join(&mut store).unwrap();
        }
        // Relaxed: as above.
        is_over.store(true, Ordering::Relaxed);
        store.unlocked(|| disturbers.into_iter().for_each(|thread| thread.join().unwrap()));
        let mut count = [Val::I32(0)];
        func(&mut store, instance, "count").call(&mut store, &[], &mut count).unwrap();
        // One of them may not have seen the limit before it went on.
        assert!(matches!(count, [Val::I32(LIMIT | 2001)]), "{count:?}");
    }
}

/// An old array is filled with young objects while others collect, again and again on the way.
#[test]
fn what_is_filled_in_is_remembered() {
    let mut config = Config::new();
    config.gc_stress(NonZeroU64::new(3)).gc_verify(true);
    let (mut store, instance) = start(&config);
    let [fill, churn] = ["fill", "churn"].map(|name| func(&mut store, instance, name));
    let threads = [(fill, 150), (churn, 300), (churn, 300)].map(|(func, n)| store.spawn(func, &[Val::I32(n)]).unwrap());
    for thread in threads {
        thread.join(&mut store).unwrap();
    }
}

/// A request while another is pending, and requests inside requests: of the holder, and of OS threads that suspend a
/// thread of a world that stands still.
#[test]
fn requests_meet_and_nest() {
    let (mut store, instance) = start(&Config::new());
    let work = func(&mut store, instance, "work");
    let control = store.thread_control();
    let workers: Vec<_> = (0..4).map(|i| store.spawn(work, &[Val::I32(i + 1), Val::I32(i32::MAX)]).unwrap()).collect();
    for _ in 0..100 {
        store.unlocked(|| {
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        let outer = control.suspend_all().expect("the store lives");
                        // The world stands still, so this does not wait.
                        assert!(control.suspend(workers[0].id()) && control.suspend(workers[1].id()));
                        outer.resume_all();
                        control.resume(workers[0].id());
                        control.resume(workers[1].id());
                    });
                }
            });
        });
        store.with_world_stopped(|world| assert!(world.backtraces().len() >= 5));
        store.gc().unwrap();
    }
    store.interrupt_handle().unwrap().interrupt();
    for worker in workers {
        assert!(matches!(worker.join(&mut store), Err(Error::Trap(trap)) if trap.code == TrapCode::Interrupt));
    }
}
