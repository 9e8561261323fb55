//! Threads of one store: what they share, how they are stopped, interrupted and ended.

#![forbid(unsafe_code)]

use dolmen::wasi::ProgramThreads;
use dolmen::{
    AsContextMut, Caller, Config, Engine, Error, Func, FuncType, Instance, JoinHandle, Linker, Memory, MemoryType,
    Module, SharedMemory, Store, StoreError, TrapCode, Val, ValType, WaitResult,
};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};
use wast::Wat;
use wast::parser::{self, ParseBuffer};

fn compile(engine: &Engine, text: &str, polls: bool) -> Module {
    let buffer = ParseBuffer::new(text).unwrap();
    let wasm = parser::parse::<Wat<'_>>(&buffer).unwrap().encode().unwrap();
    let options = dolmen_aotc::Options { collector: engine.collector(), polls, ..dolmen_aotc::Options::default() };
    let artifact = dolmen_aotc::compile(&wasm, &options).unwrap_or_else(|error| panic!("{error}"));
    Module::deserialize(engine, &artifact).unwrap()
}

fn engine(config: &Config) -> Engine {
    Engine::new(config).unwrap()
}

/// A store with an instance of a module without imports.
fn start(config: &Config, text: &str) -> (Store<u32>, Instance) {
    let engine = engine(config);
    let module = compile(&engine, text, true);
    let mut store = Store::new(&engine, 0).unwrap();
    let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
    (store, instance)
}

fn func(store: &mut Store<u32>, instance: Instance, name: &str) -> Func {
    instance.get_func(store, name).unwrap_or_else(|| panic!("no function {name}"))
}

fn spawn(store: &mut Store<u32>, instance: Instance, name: &str, args: &[Val]) -> JoinHandle {
    let func = func(store, instance, name);
    store.spawn(func, args).unwrap()
}

fn call(store: &mut Store<u32>, instance: Instance, name: &str, args: &[Val]) -> Result<Vec<Val>, Error> {
    let func = func(store, instance, name);
    let mut results = vec![Val::I32(0); func.ty(&*store).results().len()];
    func.call(store, args, &mut results)?;
    Ok(results)
}

/// An instance of a program that starts threads, after `define` has defined what else it imports.
fn start_program(text: &str, define: impl FnOnce(&mut Linker<u32>)) -> (Store<u32>, ProgramThreads<u32>, Instance) {
    let engine = engine(&Config::new());
    let module = compile(&engine, text, true);
    let mut store = Store::new(&engine, 0).unwrap();
    let mut linker = Linker::new(&engine);
    define(&mut linker);
    let threads = ProgramThreads::define(&mut linker, &mut store, &module).unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    (store, threads, instance)
}

/// Defines the import `"" "f"` as a function that panics.
fn define_panic(linker: &mut Linker<u32>) {
    let ty = FuncType::new(linker.engine(), [], []);
    linker.func_new("", "f", ty, |_: Caller<'_, u32>, _, _| panic!("the host's fault")).unwrap();
}

fn trap_code(result: Result<impl Sized, Error>) -> TrapCode {
    match result {
        Err(Error::Trap(trap)) => trap.code,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("no trap"),
    }
}

/// Loops of all kinds that never end.
const ENDLESS: &str = r#"(module
  (memory 1 1 shared)
  (type $node (struct (field (mut anyref))))
  (type $loop (func))
  (table funcref (elem $again))
  (func $again (type $loop) (return_call_indirect (type $loop) (i32.const 0)))
  (func (export "loop") (loop $l (br $l)))
  (func (export "allocate") (local $n anyref)
    (loop $l (local.set $n (struct.new $node (local.get $n)))
             (local.set $n (struct.new $node (ref.null any))) (br $l)))
  (func (export "tail call") (call $again))
  (func $surplus (export "many arguments") (param anyref anyref anyref anyref anyref anyref)
    (return_call $surplus (local.get 5) (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)))
  (global $calls (mut i64) (i64.const 0))
  (func $tree (export "recursion") (param i32) (result i32)
    (global.set $calls (i64.add (global.get $calls) (i64.const 1)))
    (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 1))
      (else (i32.add (call $tree (i32.sub (local.get 0) (i32.const 1)))
                     (call $tree (i32.sub (local.get 0) (i32.const 1)))))))
  (func (export "wait") (result i32) (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))
  (func (export "nothing"))
)"#;

/// The endless functions, with arguments.
fn endless() -> Vec<(&'static str, Vec<Val>)> {
    let nulls = vec![Val::AnyRef(None); 6];
    vec![
        ("loop", vec![]),
        ("allocate", vec![]),
        ("tail call", vec![]),
        ("many arguments", nulls),
        ("recursion", vec![Val::I32(100)]),
        ("wait", vec![]),
    ]
}

#[test]
fn interrupts_end_everything() {
    let (mut store, instance) = start(&Config::new(), ENDLESS);
    let handle = store.interrupt_handle().unwrap();
    for (name, args) in endless() {
        let interrupter = std::thread::spawn({
            let handle = handle.clone();
            move || {
                std::thread::sleep(Duration::from_millis(20));
                handle.interrupt();
                Instant::now()
            }
        });
        assert_eq!(trap_code(call(&mut store, instance, name, &args)), TrapCode::Interrupt, "{name}");
        // Generous, for machines that are busy with other things.
        let late = interrupter.join().unwrap().elapsed();
        assert!(late < Duration::from_secs(2), "{name}: {late:?}");
    }
    call(&mut store, instance, "nothing", &[]).unwrap();
}

#[test]
fn interrupts_meant_for_who_starts_a_thread_arrive() {
    let (mut store, _threads, instance) = start_program(
        r#"(module
          (import "env" "memory" (memory 1 1 shared))
          (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
          (func $start
            (if (i32.atomic.rmw.add (i32.const 0) (i32.const 1)) (then (loop $for_ever (br $for_ever)))))
          (start $start)
          (func (export "wasi_thread_start") (param i32 i32))
          (func (export "run") (drop (call $spawn (i32.const 0))) (loop $for_ever (br $for_ever))))"#,
        |_| (),
    );
    let handle = store.interrupt_handle().unwrap();
    let interrupter = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        handle.interrupt();
    });
    // One interruption is enough, though the start function of the thread's instance is where it arrives.
    assert_eq!(trap_code(call(&mut store, instance, "run", &[])), TrapCode::Interrupt);
    interrupter.join().unwrap();
}

#[test]
fn interrupts_come_early_or_after_the_store() {
    let (mut store, instance) = start(&Config::new(), ENDLESS);
    let handle = store.interrupt_handle().unwrap();
    handle.interrupt();
    assert_eq!(trap_code(call(&mut store, instance, "loop", &[])), TrapCode::Interrupt);
    drop(store);
    handle.interrupt();
}

#[test]
fn code_without_polls_is_refused_where_it_must_stop() {
    let engine = engine(&Config::new());
    let text = r#"(module (func (export "f")))"#;
    let (with, without) = (compile(&engine, text, true), compile(&engine, text, false));
    assert!(with.has_polls() && !without.has_polls());
    let linker = Linker::new(&engine);
    let mut store = Store::new(&engine, 0_u32).unwrap();
    let instance = linker.instantiate(&mut store, &without).unwrap();
    assert!(matches!(store.interrupt_handle(), Err(StoreError::NoPolls)));
    let f = func(&mut store, instance, "f");
    assert!(matches!(store.spawn(f, &[]), Err(Error::Resource(StoreError::NoPolls))));
    let mut store = Store::new(&engine, 0_u32).unwrap();
    let _handle = store.interrupt_handle().unwrap();
    assert!(matches!(linker.instantiate(&mut store, &without), Err(Error::Resource(StoreError::NoPolls))));
    linker.instantiate(&mut store, &with).unwrap();
}

#[test]
fn threads_return_values_traps_and_exceptions() {
    let (mut store, instance) = start(
        &Config::new(),
        r#"(module
          (type $p (struct (field i32)))
          (tag $t (param i32)) (export "t" (tag $t))
          (func (export "make") (param i32) (result i64 anyref)
            (i64.const 5) (struct.new $p (local.get 0)))
          (func (export "get") (param anyref) (result i32) (struct.get $p 0 (ref.cast (ref $p) (local.get 0))))
          (func (export "trap") (unreachable))
          (func (export "throw") (throw $t (i32.const 1)))
        )"#,
    );
    let handles: Vec<_> = (0..8).map(|i| spawn(&mut store, instance, "make", &[Val::I32(i)])).collect();
    for (i, handle) in (0..).zip(handles) {
        let results = handle.join(&mut store).unwrap();
        assert_eq!(results[0].i64(), Some(5));
        store.gc().unwrap();
        assert_eq!(call(&mut store, instance, "get", &results[1..]).unwrap()[0].i32(), Some(i));
    }
    let trap = spawn(&mut store, instance, "trap", &[]);
    let throw = spawn(&mut store, instance, "throw", &[]);
    assert!(matches!(throw.join(&mut store), Err(Error::Exception(_))));
    assert_eq!(trap_code(trap.join(&mut store)), TrapCode::Unreachable);
    let make = func(&mut store, instance, "make");
    assert!(matches!(store.spawn(make, &[]), Err(Error::Argument(_))));
}

#[test]
fn panics_go_on_where_the_thread_is_joined() {
    let engine = engine(&Config::new());
    let module = compile(&engine, r#"(module (import "" "f" (func $f)) (func (export "run") (call $f)))"#, true);
    let mut store = Store::new(&engine, 0_u32).unwrap();
    let mut linker = Linker::new(&engine);
    define_panic(&mut linker);
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let handle = spawn(&mut store, instance, "run", &[]);
    let joined = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| handle.join(&mut store)));
    assert_eq!(joined.unwrap_err().downcast_ref::<&str>(), Some(&"the host's fault"));
}

#[test]
fn panics_of_program_threads_end_the_program() {
    let (mut store, threads, instance) = start_program(
        r#"(module
          (import "env" "memory" (memory 1 1 shared))
          (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
          (import "" "f" (func $f))
          (func (export "wasi_thread_start") (param i32 i32) (call $f))
          (func (export "run") (result i32)
            (drop (call $spawn (i32.const 0)))
            (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1))))"#,
        define_panic,
    );
    assert_eq!(trap_code(call(&mut store, instance, "run", &[])), TrapCode::Interrupt);
    let failure = threads.take_failure().unwrap();
    assert!(failure.to_string().contains("a host function panicked: the host's fault"), "{failure}");
}

#[test]
fn host_functions_have_the_store_alone() {
    let engine = engine(&Config::new());
    let module = compile(
        &engine,
        r#"(module (import "" "add" (func $add))
          (func (export "run") (local $i i32)
            (loop $l (call $add)
              (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000))))))"#,
        true,
    );
    let mut store = Store::new(&engine, 0_u32).unwrap();
    let mut linker = Linker::new(&engine);
    let add = |mut caller: Caller<'_, u32>, _: &[Val], _: &mut [Val]| {
        let before = *caller.data();
        if before.is_multiple_of(16) {
            caller.unlocked(std::thread::yield_now);
            *caller.data_mut() += 1;
        } else {
            std::hint::black_box(before);
            *caller.data_mut() = before + 1;
        }
        Ok(())
    };
    linker.func_new("", "add", FuncType::new(&engine, [], []), add).unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let handles: Vec<_> = (0..4).map(|_| spawn(&mut store, instance, "run", &[])).collect();
    call(&mut store, instance, "run", &[]).unwrap();
    for handle in handles {
        handle.join(&mut store).unwrap();
    }
    assert_eq!(*store.data(), 5000);
}

#[test]
fn a_store_that_is_dropped_ends_its_threads() {
    for (name, args) in endless() {
        let (mut store, instance) = start(&Config::new(), ENDLESS);
        let handles: Vec<_> = (0..3).map(|_| spawn(&mut store, instance, name, &args)).collect();
        store.unlocked(|| std::thread::sleep(Duration::from_millis(5)));
        assert!(handles.iter().all(|handle| !handle.is_finished()));
        assert_eq!(store.into_data(), 0);
        // The threads leave their results after they have left the store.
        while !handles.iter().all(JoinHandle::is_finished) {
            std::thread::yield_now();
        }
    }
}

/// Threads that push onto one list, whose nodes hold what the thread pushed and when, and trees that die young.
const GRAPH: &str = r#"(module
  (rec
    (type $node (struct (field $next (mut (ref null $node))) (field $key i32) (field $tree (mut (ref null $tree)))))
    (type $tree (struct (field (ref null $tree)) (field (ref null $tree)) (field i64))))
  (type $cells (array (mut (ref null $node))))
  (memory 1 1 shared)
  (global $cells (ref $cells) (array.new $cells (ref.null $node) (i32.const 16)))
  (table $shared 16 (ref null $node))
  (func $lock (loop $l (br_if $l (i32.atomic.rmw.xchg (i32.const 0) (i32.const 1)))))
  (func $unlock (i32.atomic.store (i32.const 0) (i32.const 0)))
  (func $make (param $depth i32) (result (ref $tree))
    (if (result (ref $tree)) (i32.eqz (local.get $depth))
      (then (struct.new $tree (ref.null $tree) (ref.null $tree) (i64.const 1)))
      (else (struct.new $tree (call $make (i32.sub (local.get $depth) (i32.const 1)))
                              (call $make (i32.sub (local.get $depth) (i32.const 1))) (i64.const 1)))))
  (func $size (param $tree (ref null $tree)) (result i64)
    (if (result i64) (ref.is_null (local.get $tree)) (then (i64.const 0))
      (else (i64.add (struct.get $tree 2 (local.get $tree))
        (i64.add (call $size (struct.get $tree 0 (local.get $tree)))
                 (call $size (struct.get $tree 1 (local.get $tree))))))))
  ;; Pushes `count` nodes onto list `thread`, the first of them shared by all, and looks at what others have pushed.
  (func (export "work") (param $thread i32) (param $count i32) (result i64)
    (local $i i32) (local $sum i64) (local $node (ref null $node)) (local $slot i32)
    (loop $l
      (local.set $node (struct.new $node (ref.null $node) (local.get $i) (call $make (i32.const 4))))
      ;; Racy: whoever reads the cell sees null or a whole node.
      (local.set $slot (i32.rem_u (i32.add (local.get $i) (local.get $thread)) (i32.const 16)))
      (array.set $cells (global.get $cells) (local.get $slot) (local.get $node))
      (table.set $shared (local.get $slot) (local.get $node))
      ;; In order: no push is lost.
      (call $lock)
      (struct.set $node $next (local.get $node) (array.get $cells (global.get $cells) (i32.const 0)))
      (array.set $cells (global.get $cells) (i32.const 0) (local.get $node))
      (call $unlock)
      (local.set $node (array.get $cells (global.get $cells)
        (i32.rem_u (i32.mul (local.get $i) (i32.const 7)) (i32.const 16))))
      (if (i32.eqz (ref.is_null (local.get $node)))
        (then (local.set $sum (i64.add (local.get $sum) (call $size (struct.get $node $tree (local.get $node)))))
              (struct.set $node $tree (local.get $node) (call $make (i32.const 4)))))
      (local.set $node (table.get $shared (local.get $slot)))
      (if (i32.eqz (ref.is_null (local.get $node)))
        (then (local.set $sum (i64.add (local.get $sum) (call $size (struct.get $node $tree (local.get $node)))))))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $count))))
    (local.get $sum))
)"#;

/// Runs `threads` threads over the shared graph; every tree that they meet must be whole.
fn churn(config: &Config, threads: i32, count: i32) {
    let (mut store, instance) = start(config, GRAPH);
    let handles: Vec<_> =
        (0..threads).map(|thread| spawn(&mut store, instance, "work", &[Val::I32(thread), Val::I32(count)])).collect();
    for handle in handles {
        let sum = handle.join(&mut store).unwrap()[0].i64().unwrap();
        // Each tree has 31 nodes, and each round meets one or two of them.
        assert!(sum % 31 == 0 && sum >= 31 * i64::from(count), "{sum}");
    }
    store.gc().unwrap();
}

#[test]
fn threads_share_a_graph() {
    for threads in [2, 5, 16] {
        churn(Config::new().heap_initial_bytes(1 << 20), threads, 2000);
    }
}

#[test]
fn threads_share_a_graph_under_stress() {
    for (threads, interval) in [(2, 1), (3, 7), (16, 101)] {
        let mut config = Config::new();
        config.gc_stress(NonZeroU64::new(interval)).gc_verify(true);
        churn(&config, threads, if interval == 1 { 10 } else { 30 });
    }
}

#[test]
fn threads_start_and_end_during_collections() {
    let (mut store, instance) = start(Config::new().gc_stress(NonZeroU64::new(50)).gc_verify(true), GRAPH);
    let mut handles = Vec::new();
    for thread in 0..60 {
        handles.push(spawn(&mut store, instance, "work", &[Val::I32(thread), Val::I32(3)]));
        if thread % 3 == 0 {
            store.unlocked(std::thread::yield_now);
        }
        if handles.len() > 5 {
            handles.remove(0).join(&mut store).unwrap();
        }
    }
    for handle in handles {
        handle.join(&mut store).unwrap();
    }
}

#[test]
fn tables_grow_while_threads_use_them() {
    let (mut store, instance) = start(
        &Config::new(),
        r#"(module
          (type $p (struct (field i32)))
          (table $t 1 (ref null $p))
          (global $done (mut i32) (i32.const 0))
          (func (export "grow") (local $i i32)
            (loop $l
              (drop (table.grow $t (struct.new $p (i32.const 7)) (i32.const 1000)))
              (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 200)))))
          (func (export "read") (result i32) (local $i i32) (local $size i32) (local $sum i32) (local $p (ref null $p))
            (loop $l
              ;; Without it the size need not be looked at more than once.
              (atomic.fence)
              (local.set $size (table.size $t))
              (local.set $p (table.get $t (i32.sub (local.get $size) (i32.const 1))))
              (if (ref.is_null (local.get $p)) (then) (else
                (if (i32.ne (struct.get $p 0 (local.get $p)) (i32.const 7)) (then (unreachable)))))
              (table.set $t (i32.const 0) (local.get $p))
              (br_if $l (i32.lt_u (local.get $size) (i32.const 200001))))
            (local.get $size))
        )"#,
    );
    let readers: Vec<_> = (0..2).map(|_| spawn(&mut store, instance, "read", &[])).collect();
    call(&mut store, instance, "grow", &[]).unwrap();
    for reader in readers {
        assert_eq!(reader.join(&mut store).unwrap()[0].i32(), Some(200_001));
    }
}

#[test]
fn shared_memories_are_used_by_several_stores() {
    let engine = engine(&Config::new());
    let memory = SharedMemory::new(&engine, MemoryType::shared(1, 4)).unwrap();
    assert!(SharedMemory::new(&engine, MemoryType::new(1, Some(4))).is_err());
    let module = compile(
        &engine,
        r#"(module (import "" "memory" (memory 1 4 shared))
          (func (export "wait") (result i32)
            (i32.atomic.store (i32.const 8) (i32.const 1))
            (memory.atomic.wait32 (i32.const 4) (i32.const 0) (i64.const -1)))
          (func (export "last") (result i32) (i32.load8_u (i32.const 0x1ffff))))"#,
        true,
    );
    let waiter = std::thread::spawn({
        let (engine, memory) = (engine.clone(), memory.clone());
        move || {
            let mut store = Store::new(&engine, 0_u32).unwrap();
            let mut linker = Linker::new(&engine);
            let import = Memory::from_shared(&mut store, &memory).unwrap();
            linker.define(&mut store, "", "memory", import).unwrap();
            let instance = linker.instantiate(&mut store, &module).unwrap();
            let woken = call(&mut store, instance, "wait", &[]).unwrap()[0].i32();
            (woken, call(&mut store, instance, "last", &[]).unwrap()[0].i32())
        }
    });
    let mut bytes = [0; 4];
    while bytes[0] == 0 {
        memory.read(8, &mut bytes).unwrap();
    }
    assert_eq!(memory.grow(1).unwrap(), 1);
    memory.write(0x1ffff, &[9]).unwrap();
    while memory.atomic_notify(4, 1).unwrap() == 0 {
        std::thread::yield_now();
    }
    assert_eq!(waiter.join().unwrap(), (Some(0), Some(9)));
    assert_eq!(memory.atomic_wait32(8, 7, None).unwrap(), WaitResult::Mismatch);
    assert!(memory.atomic_wait64(4, 7, None).is_err() && memory.read(0x20000, &mut bytes).is_err());
    let mut store = Store::new(&engine, ()).unwrap();
    let handle = Memory::from_shared(&mut store, &memory).unwrap();
    handle.write(&mut store, 0, &[1, 2]).unwrap();
    assert!(handle.ty(&store).is_shared() && handle.as_shared(&store).unwrap().size() == 2);
}

#[test]
fn a_thread_may_start_threads_and_load_code() {
    let engine = engine(&Config::new());
    let module = compile(
        &engine,
        r#"(module (import "" "fork" (func $fork (param funcref i32) (result i32)))
          (func $sum (export "sum") (param i32) (result i32)
            (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 1))
              (else (i32.add (call $fork (ref.func $sum) (i32.sub (local.get 0) (i32.const 1)))
                             (call $sum (i32.sub (local.get 0) (i32.const 1))))))))"#,
        true,
    );
    let mut store = Store::new(&engine, 0_u32).unwrap();
    let mut linker = Linker::new(&engine);
    let ty = FuncType::new(&engine, [ValType::FUNCREF, ValType::I32], [ValType::I32]);
    let other = compile(&engine, r#"(module (func (export "one") (result i32) (i32.const 1)))"#, true);
    let fork = move |mut caller: Caller<'_, u32>, args: &[Val], results: &mut [Val]| {
        let Val::FuncRef(Some(func)) = &args[0] else { return Err(Error::host("no function")) };
        let handle = caller.spawn(*func, &args[1..])?;
        Instance::new(&mut caller, &other, &[])?;
        results[0] = handle.join(caller.as_context_mut())?[0].clone();
        Ok(())
    };
    linker.func_new("", "fork", ty, fork).unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    assert_eq!(call(&mut store, instance, "sum", &[Val::I32(5)]).unwrap()[0].i32(), Some(32));
}

/// The only thread of a store follows no protocol: nobody may be told that it stands still.
#[test]
fn the_only_thread_of_a_store_cannot_be_suspended() {
    let (mut store, instance) = start(
        &Config::new(),
        r#"(module (func (export "count") (param i32)
          (loop $l (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))"#,
    );
    let control = store.thread_control();
    let only = control.threads()[0];
    assert!(!control.suspend(only) && !control.resume(only));
    call(&mut store, instance, "count", &[Val::I32(1000)]).unwrap();
    spawn(&mut store, instance, "count", &[Val::I32(1000)]).join(&mut store).unwrap();
    assert!(store.unlocked(|| control.suspend(only) && control.resume(only)));
}

#[test]
fn threads_are_stopped_from_outside() {
    let (mut store, instance) = start(
        &Config::new(),
        r#"(module
          (memory (export "memory") 1 1)
          (func $inner (export "count") (loop $l
            (drop (i64.atomic.rmw.add (i32.const 0) (i64.const 1))) (br $l)))
          (func (export "other") (call $inner)))"#,
    );
    let control = store.thread_control();
    assert!(control.threads().len() == 1 && control.suspend_all().is_none());
    let memory = instance.get_memory(&mut store, "memory").unwrap();
    let handle = spawn(&mut store, instance, "other", &[]);
    let count = |store: &mut Store<u32>| {
        let mut bytes = [0; 8];
        memory.read(&*store, 0, &mut bytes).unwrap();
        u64::from_le_bytes(bytes)
    };
    let nap = || std::thread::sleep(Duration::from_millis(3));
    let goes_on = |store: &mut Store<u32>| {
        let before = count(store);
        let start = Instant::now();
        while count(store) == before {
            store.unlocked(nap);
            assert!(start.elapsed() < Duration::from_secs(20), "the thread does not run");
        }
    };
    let stands_still = |store: &mut Store<u32>| {
        let before = count(store);
        store.unlocked(nap);
        assert_eq!(count(store), before);
    };
    goes_on(&mut store);
    assert!(control.suspend(handle.id()) && control.suspend(handle.id()));
    stands_still(&mut store);
    assert!(control.resume(handle.id()));
    stands_still(&mut store);
    assert!(control.resume(handle.id()) && !control.resume(handle.id()));
    goes_on(&mut store);
    // A slice of the memory stops the thread until the store is given up.
    let value = memory.data(&store)[0..8].to_vec();
    assert_eq!(memory.data(&store)[0..8], value);
    goes_on(&mut store);
    let names = store.with_world_stopped(|world| {
        let mut roots = 0;
        world.for_each_root(&mut |_, _| roots += 1);
        let traces = world.backtraces();
        assert_eq!((traces.len(), traces[0].1.len()), (2, 0));
        traces[1].1.iter().map(|frame| frame.func_index).collect::<Vec<_>>()
    });
    assert!(names == [0, 1] || names == [1], "{names:?}");
    let stopper = {
        let control = control.clone();
        std::thread::spawn(move || {
            let mut stopped = control.suspend_all().unwrap();
            assert_eq!(stopped.world().backtraces().len(), 2);
            stopped.resume_all();
        })
    };
    store.unlocked(|| stopper.join().unwrap());
    goes_on(&mut store);
    drop(store);
    assert!(control.threads().is_empty() && control.suspend_all().is_none() && !control.suspend(handle.id()));
}

/// Whoever asks a thread in vain takes nobody else's question back.
#[test]
fn impatience_is_for_oneself() {
    type Patient = Option<std::thread::JoinHandle<bool>>;
    let engine = engine(&Config::new());
    let module = compile(
        &engine,
        r#"(module (import "" "again" (func $again (result i32)))
          (func (export "run") (loop $l (br_if $l (call $again)))))"#,
        true,
    );
    let mut store: Store<Patient> = Store::new(&engine, None).unwrap();
    let control = store.thread_control();
    let only = control.threads()[0];
    let again = move |mut caller: Caller<'_, Patient>, _: &[Val], results: &mut [Val]| {
        let patient = caller.data_mut().get_or_insert_with(|| {
            let control_too = control.clone();
            let patient = std::thread::spawn(move || control_too.backtrace(only, Duration::from_secs(20)).is_some());
            // It should have asked when this is over.
            std::thread::sleep(Duration::from_millis(50));
            assert!(control.backtrace(only, Duration::from_millis(1)).is_none());
            patient
        });
        results[0] = Val::I32((!patient.is_finished()).into());
        Ok(())
    };
    let mut linker = Linker::new(&engine);
    linker.func_new("", "again", FuncType::new(&engine, [], [ValType::I32]), again).unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    instance.get_func(&mut store, "run").unwrap().call(&mut store, &[], &mut []).unwrap();
    assert!(store.data_mut().take().is_some_and(|patient| patient.join().unwrap()));
}
