//! Input that nobody means well with, and bad moments: damaged artifacts, memory that ends under two threads,
//! interruptions in the middle of a collection, of a host function and of a start function.
//!
//! Whatever happens is an error or a trap, and the store goes on.

#![forbid(unsafe_code)]

mod random;

use dolmen::{
    Config, Engine, Error, FuncType, Instance, InterruptHandle, JoinHandle, Linker, LoadError, Module, Store,
    StoreError, TrapCode, Val,
};
use random::Random;
use std::num::{NonZeroU32, NonZeroU64};
use std::ops::Range;
use std::time::Duration;
use wast::Wat;
use wast::parser::{self, ParseBuffer};

/// Something in each section of an artifact.
const PROGRAM: &str = r#"(module $hostile
  (type $bytes (array (mut i8)))
  (type $node (struct (field $next (ref null $node)) (field $value i32) (field $bytes (ref $bytes))))
  (import "host" "nap" (func $nap))
  (tag $tag (param i32))
  (memory (export "memory") 1 10)
  (table $table 10 funcref)
  (data $text "some text")
  (data (i32.const 8) "more of it")
  (elem (table $table) (i32.const 1) func $sum $build)
  (global $list (export "list") (mut (ref null $node)) (ref.null $node))
  (func $build (export "build") (param $nodes i32)
    (loop $again
      (global.set $list (struct.new $node (global.get $list) (local.get $nodes)
        (array.new_data $bytes $text (i32.const 0) (i32.and (local.get $nodes) (i32.const 7)))))
      (br_if $again (local.tee $nodes (i32.sub (local.get $nodes) (i32.const 1))))))
  (func $sum (export "sum") (result i32) (local $node (ref null $node)) (local $sum i32)
    (local.set $node (global.get $list))
    (block $end (loop $again
      (br_if $end (ref.is_null (local.get $node)))
      (if (i32.ne (array.len (struct.get $node $bytes (local.get $node)))
                  (i32.and (struct.get $node $value (local.get $node)) (i32.const 7)))
        (then (unreachable)))
      (local.set $sum (i32.add (local.get $sum) (struct.get $node $value (local.get $node))))
      (local.set $node (struct.get $node $next (local.get $node)))
      (br $again)))
    (local.get $sum))
  (func (export "clear") (global.set $list (ref.null $node)))
  (func (export "catch") (param i32) (result i32)
    (block $caught (result i32)
      (try_table (catch $tag $caught) (throw $tag (local.get 0)))
      (i32.const 0)))
  (func (export "allocate forever") (loop $again (call $build (i32.const 1)) (call $clear-one) (br $again)))
  (func $clear-one (global.set $list (struct.get $node $next (ref.as_non_null (global.get $list)))))
  (func (export "nap and go on") (call $nap) (loop $again (br $again))))"#;

/// Never gets to its end.
const ENDLESS_START: &str = r#"(module (func $start (loop $again (br $again))) (start $start))"#;

fn compile(text: &str) -> Vec<u8> {
    let buffer = ParseBuffer::new(text).unwrap();
    let wasm = parser::parse::<Wat<'_>>(&buffer).unwrap().encode().unwrap();
    dolmen_aotc::compile(&wasm, &dolmen_aotc::Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// What an instance of the program needs of its host.
fn instantiate(store: &mut Store<()>, module: &Module) -> Result<Instance, Error> {
    let engine = store.engine().clone();
    let mut linker = Linker::new(&engine);
    linker.func_new("host", "nap", FuncType::new(&engine, [], []), |_, _, _| {
        std::thread::sleep(Duration::from_millis(20));
        Ok(())
    })?;
    linker.instantiate(&mut *store, module)
}

fn sum(store: &mut Store<()>, instance: Instance) -> i32 {
    let sum = instance.get_func(&mut *store, "sum").unwrap();
    let mut results = [Val::I32(0)];
    sum.call(&mut *store, &[], &mut results).unwrap();
    results[0].i32().unwrap()
}

fn is_interrupt(result: &Result<(), Error>) -> bool {
    matches!(result, Err(Error::Trap(trap)) if trap.code == TrapCode::Interrupt)
}

/// The sections of an artifact: name, and where their bytes are.
fn sections(file: &[u8]) -> Vec<(String, Range<usize>)> {
    let number =
        |at: usize, bytes: usize| file[at..at + bytes].iter().rev().fold(0, |n, &byte| n << 8 | usize::from(byte));
    let (table, size, count, names) = (number(0x28, 8), number(0x3a, 2), number(0x3c, 2), number(0x3e, 2));
    let header = |index: usize| table + index * size;
    let range = |index: usize| {
        let start = number(header(index) + 0x18, 8);
        start..start + number(header(index) + 0x20, 8)
    };
    let name = |index: usize| {
        let start = range(names).start + number(header(index), 4);
        file[start..].iter().take_while(|&&byte| byte != 0).map(|&byte| char::from(byte)).collect()
    };
    (1..count).map(|index| (name(index), range(index))).collect()
}

/// Loads a file with a valid hash, and looks at all that a module tells; whether it was refused.
fn load(engine: &Engine, mut content: Vec<u8>) -> bool {
    let hash = blake3::hash(&content);
    content.extend_from_slice(hash.as_bytes());
    match Module::deserialize(engine, &content) {
        Ok(module) => {
            _ = (module.imports().count(), module.exports().map(|export| format!("{}", export.ty())).count());
            (0..module.type_count().min(1000)).for_each(|index| _ = module.get_type(index));
            (0..100).for_each(|func| _ = module.func_name(func));
            _ = (module.name(), module.custom_sections("x").count(), module.compiler_version().len());
            false
        }
        Err(LoadError::Hash { .. }) => panic!("the hash is right"),
        Err(error) => !error.to_string().is_empty(),
    }
}

/// Random damage in each section that the loader reads, with a hash that is right: refused, or loaded, but no crash.
/// Damaged code cannot be told from other code, so nothing is run.
#[test]
fn damage_in_any_section_is_refused_or_harmless() {
    const ROUNDS: u64 = 400;
    let engine = Engine::new(&Config::new()).unwrap();
    let file = compile(PROGRAM);
    let good = &file[..file.len() - blake3::OUT_LEN];
    assert!(!load(&engine, good.to_vec()));
    let mut random = Random::seeded();
    println!("DOLMEN_TEST_SEED={}", random.0);
    let described = ["header", "meta", "names", "custom", "data", "unwind"];
    let mut found = 0;
    for (name, range) in sections(good) {
        let Some(section) = name.strip_prefix(".dolmen.").filter(|_| !range.is_empty()) else { continue };
        found += usize::from(described.contains(&section));
        let mut refused = 0;
        for _ in 0..ROUNDS {
            let mut damaged = good.to_vec();
            for _ in 0..=random.below(3) {
                let place = range.start + random.below(range.len() as u64) as usize;
                damaged[place] = match random.below(4) {
                    0 => 0xff,
                    1 => damaged[place] ^ 1 << random.below(8),
                    _ => random.below(256) as u8,
                };
            }
            refused += u64::from(load(&engine, damaged));
        }
        println!("{name}: {refused} of {ROUNDS} refused");
        assert!(refused > 0 || ["names", "custom", "data"].contains(&section), "{name} is not looked at");
    }
    assert!(found >= 5, "{found} sections");
    // The tables of the file itself.
    for _ in 0..ROUNDS {
        let mut damaged = good.to_vec();
        let (headers, tail) = (random.below(2) == 0, damaged.len() - 1024);
        let place = if headers { random.below(64) as usize } else { tail + random.below(1024) as usize };
        damaged[place] = random.below(256) as u8;
        load(&engine, damaged);
    }
}

/// For each request for memory that is refused, two threads make lists at once.
#[test]
fn memory_may_end_under_two_threads() {
    const NODES: i32 = 150_000;
    const MAX_REQUESTS: u64 = 40;
    let artifact = compile(PROGRAM);
    let is_exhaustion = |error: &Error| match error {
        Error::Trap(trap) => trap.code == TrapCode::OutOfMemory,
        Error::Resource(error) => matches!(error, StoreError::Heap(_)),
        _ => false,
    };
    let mut failed = 0;
    let single = (1..MAX_REQUESTS).map(|n| n..n + 1);
    for refused in (1..MAX_REQUESTS).map(|n| n..u64::MAX).chain(single) {
        let mut config = Config::new();
        config.heap_initial_bytes(256 << 10).refuse_heap_requests(refused.clone());
        let engine = Engine::new(&config).unwrap();
        let module = Module::deserialize(&engine, &artifact).unwrap();
        let Ok(mut store) = Store::new(&engine, ()) else { continue };
        let Ok(instance) = instantiate(&mut store, &module) else { continue };
        let [build, clear] = ["build", "clear"].map(|name| instance.get_func(&mut store, name).unwrap());
        for _ in 0..2 {
            let spawned: Vec<JoinHandle> = (0..2).map(|_| store.spawn(build, &[Val::I32(NODES)]).unwrap()).collect();
            for thread in spawned {
                if let Err(error) = thread.join(&mut store) {
                    assert!(is_exhaustion(&error), "{refused:?}: {error}");
                    failed += 1;
                }
            }
            sum(&mut store, instance);
            match store.gc() {
                Ok(()) => sum(&mut store, instance),
                Err(error) => panic!("{refused:?}: {error}"),
            };
            clear.call(&mut store, &[], &mut []).unwrap();
        }
    }
    assert!(failed >= 4, "{failed} threads ran out of memory");
}

/// A large heap is collected and verified at each allocation, so an interruption comes during a collection.
#[test]
fn interruptions_during_collections_wait_for_the_end() {
    const NODES: i32 = 300;
    let engine =
        Engine::new(Config::new().gc_stress(NonZeroU64::new(1)).gc_threads(NonZeroU32::new(3).unwrap())).unwrap();
    let module = Module::deserialize(&engine, &compile(PROGRAM)).unwrap();
    let mut store = Store::new(&engine, ()).unwrap();
    let instance = instantiate(&mut store, &module).unwrap();
    let [build, endless] = ["build", "allocate forever"].map(|name| instance.get_func(&mut store, name).unwrap());
    build.call(&mut store, &[Val::I32(NODES)], &mut []).unwrap();
    let expected = sum(&mut store, instance);
    let handle = store.interrupt_handle().unwrap();
    for attempt in 0..20 {
        let interrupter = std::thread::spawn({
            let handle = handle.clone();
            move || {
                std::thread::sleep(Duration::from_micros(1000 + 137 * attempt));
                handle.interrupt();
            }
        });
        let collections = store.gc_stats().collections;
        assert!(is_interrupt(&endless.call(&mut store, &[], &mut [])));
        interrupter.join().unwrap();
        assert!(store.gc_stats().collections > collections);
        // What was interrupted may have left one node.
        assert!((expected..=expected + 1).contains(&sum(&mut store, instance)));
        instance.get_func(&mut store, "clear").unwrap().call(&mut store, &[], &mut []).unwrap();
        build.call(&mut store, &[Val::I32(NODES)], &mut []).unwrap();
    }
}

/// Interrupts a store in a moment, from another thread.
fn interrupt_soon(handle: &InterruptHandle) -> std::thread::JoinHandle<()> {
    let handle = handle.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(5));
        handle.interrupt();
    })
}

/// A host function that knows nothing of interruptions returns, and the code that called it traps at its next poll.
#[test]
fn interruptions_during_host_functions_trap_after_them() {
    let engine = Engine::new(&Config::new()).unwrap();
    let module = Module::deserialize(&engine, &compile(PROGRAM)).unwrap();
    let mut store = Store::new(&engine, ()).unwrap();
    let instance = instantiate(&mut store, &module).unwrap();
    let nap = instance.get_func(&mut store, "nap and go on").unwrap();
    let handle = store.interrupt_handle().unwrap();
    for _ in 0..5 {
        let interrupter = interrupt_soon(&handle);
        assert!(is_interrupt(&nap.call(&mut store, &[], &mut [])));
        interrupter.join().unwrap();
        assert_eq!(sum(&mut store, instance), 0);
    }
}

#[test]
fn interruptions_end_start_functions() {
    let engine = Engine::new(&Config::new()).unwrap();
    let endless = Module::deserialize(&engine, &compile(ENDLESS_START)).unwrap();
    let module = Module::deserialize(&engine, &compile(PROGRAM)).unwrap();
    let mut store = Store::new(&engine, ()).unwrap();
    let handle = store.interrupt_handle().unwrap();
    for _ in 0..5 {
        let interrupter = interrupt_soon(&handle);
        let started = Instance::new(&mut store, &endless, &[]).map(drop);
        assert!(matches!(&started, Err(Error::Trap(trap)) if trap.code == TrapCode::Interrupt), "{started:?}");
        interrupter.join().unwrap();
        let instance = instantiate(&mut store, &module).unwrap();
        assert_eq!(sum(&mut store, instance), 0);
    }
}
