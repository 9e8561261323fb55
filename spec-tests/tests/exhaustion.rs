//! What a program and its embedder see when memory runs out, at whichever request.
//!
//! The heap asks the operating system for memory now and then. For each N, the N-th request is refused, alone or with all
//! later ones. Whatever happens then must be an error or the trap of the specification's "resource exhaustion", and what
//! was made before must stay as it is: the store can be used, collected, verified and dropped.

#![forbid(unsafe_code)]

use dolmen::{Collector, Config, Engine, Error, ExternRef, Instance, Module, Store, StoreError, TrapCode, Val};
use std::ops::Range;
use std::sync::Arc;
use wast::Wat;
use wast::parser::{self, ParseBuffer};

/// Makes lists of structs, arrays of all kinds, large ones now and then, and keeps host objects in fields.
const PROGRAM: &str = r#"(module
  (type $bytes (array (mut i8)))
  (type $refs (array (mut anyref)))
  (type $node (struct (field $next (ref null $node)) (field $value i32) (field $bytes (ref $bytes))
                      (field $refs (ref $refs)) (field $host externref)))
  (global $list (mut (ref null $node)) (ref.null $node))
  (func (export "grow") (param $nodes i32) (param $host externref)
    (loop $again
      (global.set $list (struct.new $node (global.get $list) (local.get $nodes)
        (array.new $bytes (i32.const 7) (i32.mul (i32.and (local.get $nodes) (i32.const 63)) (i32.const 8)))
        (array.new $refs (global.get $list) (i32.and (local.get $nodes) (i32.const 15)))
        (local.get $host)))
      (if (i32.eqz (i32.and (local.get $nodes) (i32.const 255))) (then
        (drop (array.new $bytes (i32.const 1) (i32.const 300000)))
        (drop (array.new_default $refs (i32.const 20000)))))
      (local.set $nodes (i32.sub (local.get $nodes) (i32.const 1)))
      (br_if $again (local.get $nodes))))
  (func (export "check") (result i32) (local $node (ref null $node)) (local $count i32)
    (local.set $node (global.get $list))
    (block $done (loop $again
      (br_if $done (ref.is_null (local.get $node)))
      (if (i32.ne (array.len (struct.get $node $bytes (local.get $node)))
                  (i32.mul (i32.and (struct.get $node $value (local.get $node)) (i32.const 63)) (i32.const 8)))
        (then (unreachable)))
      (local.set $count (i32.add (local.get $count) (i32.const 1)))
      (local.set $node (struct.get $node $next (local.get $node)))
      (br $again)))
    (local.get $count))
  (func (export "clear") (global.set $list (ref.null $node))))"#;

const NODES: i32 = 60_000;

/// An object of the host's that counts itself.
struct Host(#[expect(dead_code, reason = "counted, not read")] Arc<()>);

fn artifact(collector: Collector) -> Vec<u8> {
    artifact_of(collector, PROGRAM)
}

fn artifact_of(collector: Collector, text: &str) -> Vec<u8> {
    let buffer = ParseBuffer::new(text).unwrap();
    let wasm = parser::parse::<Wat<'_>>(&buffer).unwrap().encode().unwrap();
    dolmen_aotc::compile(&wasm, &dolmen_aotc::Options { collector, ..Default::default() }).unwrap()
}

fn is_exhaustion(error: &Error) -> bool {
    match error {
        Error::Trap(trap) => trap.code == TrapCode::OutOfMemory,
        Error::Resource(error) => matches!(error, StoreError::Heap(_)),
        _ => false,
    }
}

/// Runs the program with a refusal; how many allocations of the program and of the host failed, or `None` if there was
/// not even a store or an instance.
fn run(collector: Collector, artifact: &[u8], refused: Range<u64>) -> Option<u32> {
    let mut config = Config::new();
    config.collector(collector).heap_initial_bytes(1 << 20).refuse_heap_requests(refused);
    let engine = Engine::new(&config).unwrap();
    let module = Module::deserialize(&engine, artifact).unwrap();
    let counter = Arc::new(());
    let mut store = match Store::new(&engine, ()) {
        Ok(store) => store,
        Err(error) => {
            assert!(matches!(error, StoreError::Heap(_)), "{error}");
            return None;
        }
    };
    let instance = match Instance::new(&mut store, &module, &[]) {
        Ok(instance) => instance,
        Err(error) => {
            assert!(is_exhaustion(&error), "{error}");
            return None;
        }
    };
    let [grow, check, clear] = ["grow", "check", "clear"].map(|name| instance.get_func(&mut store, name).unwrap());
    let mut failures = 0;
    for _ in 0..3 {
        let host = match ExternRef::new(&mut store, Host(Arc::clone(&counter))) {
            Ok(host) => Some(host),
            Err(error) => {
                assert!(is_exhaustion(&error), "{error}");
                failures += 1;
                None
            }
        };
        let grown = grow.call(&mut store, &[Val::I32(NODES), Val::ExternRef(host)], &mut []);
        if let Err(error) = &grown {
            assert!(is_exhaustion(error), "{error}");
            failures += 1;
        }
        let mut count = [Val::I32(0)];
        check.call(&mut store, &[], &mut count).unwrap();
        let count = count[0].i32().unwrap();
        assert!(count <= NODES && (grown.is_err() || count == NODES), "{count} nodes");
        store.gc().unwrap();
        check.call(&mut store, &[], &mut [Val::I32(0)]).unwrap();
        clear.call(&mut store, &[], &mut []).unwrap();
    }
    if collector != Collector::Null {
        store.gc().unwrap();
        assert_eq!(Arc::strong_count(&counter), 1, "host objects are left");
    }
    drop(store);
    assert_eq!(Arc::strong_count(&counter), 1, "host objects are left");
    Some(failures)
}

/// Refuses one request after the other with all that follow, until the program runs through; then each of them alone.
fn refuse_each(collector: Collector) {
    const MAX_REQUESTS: u64 = 1000;
    let artifact = artifact(collector);
    let outcomes: Vec<Option<u32>> = (1..MAX_REQUESTS)
        .map_while(|n| match run(collector, &artifact, n..u64::MAX) {
            Some(0) => None,
            outcome => Some(outcome),
        })
        .collect();
    let without_store = outcomes.iter().filter(|outcome| outcome.is_none()).count();
    let with_failures = outcomes.len() - without_store;
    assert!(without_store >= 4 && with_failures >= 8, "{outcomes:?}");
    assert!(outcomes.len() < MAX_REQUESTS as usize - 1);
    let without_store = (1..=outcomes.len() as u64).filter(|&n| run(collector, &artifact, n..n + 1).is_none()).count();
    assert!((3..10).contains(&without_store), "{without_store} stores were not made");
}

#[test]
fn generational_survives_any_refusal() {
    refuse_each(Collector::Generational);
}

#[test]
fn marksweep_survives_any_refusal() {
    refuse_each(Collector::MarkSweep);
}

/// A module of which an instance needs much: its globals fill more than one page, and each function is an object.
fn greedy_module() -> String {
    let globals = r#"(global (mut anyref) (ref.null any))"#.repeat(10_000);
    let functions: String = (0..3000).map(|i| format!(r#"(func (export "f{i}"))"#)).collect();
    format!(r#"(module {globals} {functions} (global (export "kept") (mut i32) (i32.const 7)))"#)
}

#[test]
fn instances_for_which_there_is_no_room_leave_nothing() {
    let artifact = artifact_of(Collector::DEFAULT, &greedy_module());
    let engine = Engine::new(Config::new().heap_max_bytes(512 << 10).gc_verify(true)).unwrap();
    let module = Module::deserialize(&engine, &artifact).unwrap();
    let mut store = Store::new(&engine, ()).unwrap();
    let mut instances = vec![];
    loop {
        match Instance::new(&mut store, &module, &[]) {
            Ok(instance) => instances.push(instance),
            Err(error) => {
                assert!(is_exhaustion(&error), "{error}");
                break;
            }
        }
    }
    // What was taken for the last one is given back, and used for something else.
    let _reused: Vec<_> = (0..100).map(|_| vec![0x1010_1010_u32; 1000]).collect();
    store.gc().unwrap();
    for instance in instances {
        let kept = instance.get_global(&mut store, "kept").unwrap().get(&mut store);
        assert_eq!(kept.i32(), Some(7));
    }
}
