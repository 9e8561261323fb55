//! The embedding API with compiled modules: what scripts cannot say, because it takes a host.

#![forbid(unsafe_code)]

use dolmen::{
    AnyRef, AsContextMut, Caller, Collector, Config, Engine, Error, Extern, ExternRef, Func, FuncType, Instance,
    Linker, Memory, MemoryType, Module, RefType, Store, Table, TableType, Tag, TagType, TrapCode, Val, ValType,
};
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind};
use wast::Wat;
use wast::parser::{self, ParseBuffer};

fn load(engine: &Engine, text: &str) -> Module {
    let buffer = ParseBuffer::new(text).unwrap();
    let wasm = parser::parse::<Wat<'_>>(&buffer).unwrap().encode().unwrap();
    let options = dolmen_aotc::Options { collector: engine.collector(), ..dolmen_aotc::Options::default() };
    let artifact = dolmen_aotc::compile(&wasm, &options).unwrap_or_else(|error| panic!("{error}"));
    Module::deserialize(engine, &artifact).unwrap()
}

/// An engine that collects at every allocation and verifies its heap.
fn stressed() -> Engine {
    Engine::new(Config::new().gc_stress(NonZeroU64::new(1)).gc_verify(true)).unwrap()
}

fn plain() -> Engine {
    Engine::new(&Config::new()).unwrap()
}

fn call(store: &mut Store<u32>, instance: Instance, name: &str, args: &[Val]) -> Result<Vec<Val>, Error> {
    let func = instance.get_func(&mut *store, name).unwrap_or_else(|| panic!("no function {name}"));
    let mut results = vec![Val::I32(0); func.ty(&*store).results().len()];
    func.call(store, args, &mut results)?;
    Ok(results)
}

fn call_i32(store: &mut Store<u32>, instance: Instance, name: &str, args: &[Val]) -> Result<i32, Error> {
    call(store, instance, name, args).map(|results| results[0].i32().unwrap())
}

fn trap_code(result: Result<impl Sized, Error>) -> TrapCode {
    match result {
        Err(Error::Trap(trap)) => trap.code,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("no trap"),
    }
}

#[test]
fn references_survive_collections_on_both_sides_of_the_border() {
    let engine = stressed();
    let module = load(
        &engine,
        r#"(module
          (type $p (struct (field i32)))
          (import "host" "f" (func $f (param anyref externref) (result anyref)))
          (func (export "run") (param externref) (result i32)
            (local $a (ref $p))
            (local.set $a (struct.new $p (i32.const 30)))
            (i32.add
              (struct.get $p 0 (ref.cast (ref $p) (call $f (struct.new $p (i32.const 12)) (local.get 0))))
              (struct.get $p 0 (local.get $a)))))"#,
    );
    let mut store = Store::new(&engine, 0).unwrap();
    let mut linker = Linker::new(&engine);
    let ty = FuncType::new(&engine, [ValType::ANYREF, ValType::EXTERNREF], [ValType::ANYREF]);
    let closure = |mut caller: Caller<'_, u32>, args: &[Val], results: &mut [Val]| {
        caller.gc()?;
        for i in 0..10 {
            ExternRef::new(&mut caller, vec![i; 1000])?;
        }
        let Val::ExternRef(Some(host)) = &args[1] else { return Err(Error::host("no externref")) };
        let text = host.data(&caller)?.and_then(|data| data.downcast_ref::<String>());
        assert_eq!(text.map(String::as_str), Some("kept"));
        results[0] = args[0].clone();
        Ok(())
    };
    linker.func_new("host", "f", ty, closure).unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let host = ExternRef::new(&mut store, String::from("kept")).unwrap();
    assert_eq!(call_i32(&mut store, instance, "run", &[host.into()]).unwrap(), 42);
}

#[test]
fn many_values_cross_the_border() {
    let engine = stressed();
    let module = load(
        &engine,
        r#"(module
          (type $f (func (param i32 f64 anyref i64 f32 i32 i64 i32 i64 anyref) (result anyref i64 f32 f64 i32 anyref)))
          (import "host" "f" (func $f (type $f)))
          (func (export "run") (type $f)
            local.get 0 local.get 1 local.get 2 local.get 3 local.get 4
            local.get 5 local.get 6 local.get 7 local.get 8 local.get 9 call $f))"#,
    );
    let mut store = Store::new(&engine, 0).unwrap();
    let mut linker = Linker::new(&engine);
    let ty = module.imports().next().and_then(|import| match import.ty() {
        dolmen::ExternType::Func(ty) => Some(ty),
        _ => None,
    });
    let closure = |_: Caller<'_, u32>, args: &[Val], results: &mut [Val]| {
        let sum: i64 = [0, 5, 7].iter().map(|&i: &usize| i64::from(args[i].i32().unwrap())).sum::<i64>()
            + [3, 6, 8].iter().map(|&i: &usize| args[i].i64().unwrap()).sum::<i64>();
        results[0] = args[9].clone();
        results[1] = sum.into();
        results[2] = args[4].clone();
        results[3] = args[1].clone();
        results[4] = args[7].clone();
        results[5] = args[2].clone();
        Ok(())
    };
    linker.func_new("host", "f", ty.unwrap(), closure).unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let host = AnyRef::from(ExternRef::new(&mut store, ()).unwrap());
    let args = [
        1.into(),
        2.5_f64.into(),
        AnyRef::from_i31(-3).into(),
        4_i64.into(),
        5.5_f32.into(),
        6.into(),
        7_i64.into(),
        8.into(),
        9_i64.into(),
        host.clone().into(),
    ];
    let results = call(&mut store, instance, "run", &args).unwrap();
    let Val::AnyRef(Some(first)) = &results[0] else { panic!("no reference") };
    let Val::AnyRef(Some(last)) = &results[5] else { panic!("no reference") };
    assert!(first.same(&host));
    assert_eq!(last.as_i31(), Some(-3));
    let numbers = (results[1].i64(), results[2].f32(), results[3].f64(), results[4].i32());
    assert_eq!(numbers, (Some(1 + 6 + 8 + 4 + 7 + 9), Some(5.5), Some(2.5), Some(8)));
}

#[test]
fn host_functions_reach_their_callers_memory() {
    let engine = plain();
    let text = |byte: u8| {
        format!(
            r#"(module
              (import "host" "first" (func $f (result i32)))
              (table 1 funcref) (elem (i32.const 0) $f)
              (memory (export "memory") 1) (data (i32.const 0) "\{byte:02x}")
              (func (export "direct") (result i32) call $f)
              (func (export "indirect") (result i32) i32.const 0 call_indirect (result i32)))"#
        )
    };
    let mut store = Store::new(&engine, 0).unwrap();
    let mut linker = Linker::new(&engine);
    let ty = FuncType::new(&engine, [], [ValType::I32]);
    let closure = |mut caller: Caller<'_, u32>, _: &[Val], results: &mut [Val]| {
        let memory = caller.get_export("memory").and_then(Extern::into_memory);
        results[0] = memory.map_or(-1, |memory| memory.data(&caller)[0].into()).into();
        Ok(())
    };
    linker.func_new("host", "first", ty, closure).unwrap();
    let one = linker.instantiate(&mut store, &load(&engine, &text(1))).unwrap();
    let two = linker.instantiate(&mut store, &load(&engine, &text(2))).unwrap();
    for (instance, expected) in [(one, 1), (two, 2), (one, 1)] {
        assert_eq!(call_i32(&mut store, instance, "direct", &[]).unwrap(), expected);
        assert_eq!(call_i32(&mut store, instance, "indirect", &[]).unwrap(), expected);
    }
    let host = linker.get(&mut store, "host", "first").and_then(Extern::into_func).unwrap();
    let mut results = [Val::I32(0)];
    host.call(&mut store, &[], &mut results).unwrap();
    assert_eq!(results[0].i32(), Some(-1), "the host has no memory");
}

#[test]
fn host_functions_made_before_any_module_can_be_called() {
    let engine = plain();
    let mut store = Store::new(&engine, 0).unwrap();
    let ty = FuncType::new(&engine, [ValType::I64, ValType::I32], [ValType::I64]);
    let func = Func::new(&mut store, ty, |_, args, results| {
        results[0] = (args[0].i64().unwrap() * i64::from(args[1].i32().unwrap())).into();
        Ok(())
    });
    let table = TableType::new(RefType::FUNCREF, 1, None);
    let table = Table::new(&mut store, table, func.unwrap().into()).unwrap();
    let module = load(
        &engine,
        r#"(module
          (import "host" "table" (table 1 funcref))
          (type $f (func (param i64 i32) (result i64)))
          (func (export "run") (result i64)
            i64.const 6 i32.const 7 i32.const 0 call_indirect (type $f)))"#,
    );
    let instance = Instance::new(&mut store, &module, &[table.into()]).unwrap();
    assert_eq!(call(&mut store, instance, "run", &[]).unwrap()[0].i64(), Some(42));
}

#[test]
fn exceptions_cross_host_functions() {
    let engine = stressed();
    let mut store = Store::new(&engine, 0).unwrap();
    let tag = Tag::new(&mut store, &TagType::new(FuncType::new(&engine, [ValType::I32, ValType::ANYREF], []))).unwrap();
    let thrower = load(
        &engine,
        r#"(module
          (import "host" "tag" (tag $t (param i32 anyref)))
          (type $p (struct (field i32)))
          (func (export "throw") (param i32) (throw $t (local.get 0) (struct.new $p (i32.const 2)))))"#,
    );
    let catcher = load(
        &engine,
        r#"(module
          (import "host" "tag" (tag $t (param i32 anyref)))
          (import "host" "call" (func $call (param i32)))
          (type $p (struct (field i32)))
          (func (export "catch") (param i32) (result i32) (local $r anyref)
            (block $h (result i32 anyref)
              (try_table (catch $t $h) (call $call (local.get 0)))
              (return (i32.const -1)))
            (local.set $r)
            (i32.add (struct.get $p 0 (ref.cast (ref $p) (local.get $r)))))
          (func (export "pass") (param i32) (call $call (local.get 0))))"#,
    );
    let thrower = Instance::new(&mut store, &thrower, &[tag.into()]).unwrap();
    let throw = thrower.get_func(&mut store, "throw").unwrap();
    let ty = FuncType::new(&engine, [ValType::I32], []);
    let host = Func::new(&mut store, ty, move |mut caller, args, _| {
        let result = throw.call(&mut caller, args, &mut []);
        *caller.data_mut() += 1;
        caller.gc()?;
        result
    });
    let catcher = Instance::new(&mut store, &catcher, &[tag.into(), host.unwrap().into()]).unwrap();
    for i in 0..3 {
        assert_eq!(call_i32(&mut store, catcher, "catch", &[Val::I32(40 + i)]).unwrap(), 42 + i);
    }
    let error = call(&mut store, catcher, "pass", &[Val::I32(7)]).unwrap_err();
    let Error::Exception(exception) = error else { panic!("{error}") };
    assert_eq!(exception.tag, tag);
    store.gc().unwrap();
    let fields = exception.exn.fields(&mut store).unwrap();
    assert_eq!(fields[0].i32(), Some(7));
    assert!(matches!(&fields[1], Val::AnyRef(Some(any)) if any.is_struct()));
    assert_eq!(*store.data(), 4);
}

#[test]
fn errors_and_panics_of_the_host_pass_wasm_code() {
    let engine = plain();
    let module = load(
        &engine,
        r#"(module
          (import "host" "f" (func $f (param i32) (result i32)))
          (func $inner (export "run") (param i32) (result i32)
            (block $h (try_table (catch_all $h) (return (call $f (local.get 0))))) (i32.const -5)))"#,
    );
    let mut store = Store::new(&engine, 0).unwrap();
    let mut linker = Linker::new(&engine);
    let ty = FuncType::new(&engine, [ValType::I32], [ValType::I32]);
    let closure = |_: Caller<'_, u32>, args: &[Val], results: &mut [Val]| match args[0].i32() {
        Some(0) => Err(Error::host(std::fmt::Error)),
        Some(1) => panic!("a panic of the host"),
        Some(2) => {
            results[0] = Val::I64(0);
            Ok(())
        }
        _ => {
            results[0] = args[0].clone();
            Ok(())
        }
    };
    linker.func_new("host", "f", ty, closure).unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    for _ in 0..2 {
        let error = call(&mut store, instance, "run", &[Val::I32(0)]).unwrap_err();
        assert!(error.downcast_ref::<std::fmt::Error>().is_some(), "{error}");
        let panic = catch_unwind(AssertUnwindSafe(|| call(&mut store, instance, "run", &[Val::I32(1)])));
        assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"a panic of the host"));
        let error = call(&mut store, instance, "run", &[Val::I32(2)]).unwrap_err();
        assert_eq!(error.to_string(), "type mismatch at result 0: expected i32, found i64");
        assert_eq!(call_i32(&mut store, instance, "run", &[Val::I32(9)]).unwrap(), 9);
    }
}

#[test]
fn recursion_through_the_host_ends_in_a_trap() {
    let engine = plain();
    let module = load(
        &engine,
        r#"(module
          (import "host" "f" (func $f (param i32) (result i32)))
          (func (export "run") (param i32) (result i32)
            (if (result i32) (local.get 0) (then (call $f (local.get 0))) (else (i32.const 5)))))"#,
    );
    let mut store = Store::new(&engine, 0).unwrap();
    let mut linker = Linker::new(&engine);
    let ty = FuncType::new(&engine, [ValType::I32], [ValType::I32]);
    let closure = |mut caller: Caller<'_, u32>, args: &[Val], results: &mut [Val]| {
        let run = caller.get_export("run").and_then(Extern::into_func).unwrap();
        run.call(&mut caller, &[Val::I32(args[0].i32().unwrap() - 1)], results)
    };
    linker.func_new("host", "f", ty, closure).unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    assert_eq!(call_i32(&mut store, instance, "run", &[Val::I32(100)]).unwrap(), 5);
    assert_eq!(trap_code(call(&mut store, instance, "run", &[Val::I32(-1)])), TrapCode::StackOverflow);
    assert_eq!(call_i32(&mut store, instance, "run", &[Val::I32(100)]).unwrap(), 5);
}

#[test]
fn traps_name_the_functions_that_ran() {
    let engine = plain();
    let module = load(
        &engine,
        r#"(module $shop
          (memory 1)
          (func $inner (param i32) (result i32) (i32.load (local.get 0)))
          (func $outer (export "run") (param i32) (result i32) (i32.add (call $inner (local.get 0)) (i32.const 1)))
          (func $deep (export "deep") (param i32) (result i32)
            (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (i32.const 1))))"#,
    );
    let mut store = Store::new(&engine, 0).unwrap();
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let error = call(&mut store, instance, "run", &[Val::I32(-1)]).unwrap_err();
    let trap = error.as_trap().unwrap();
    assert_eq!((trap.code, trap.message.as_str()), (TrapCode::MemoryOutOfBounds, "out of bounds memory access"));
    // The inner function may be inlined, but then the outer one is still there.
    let outermost = trap.backtrace.last().unwrap();
    assert_eq!((outermost.func_index, outermost.func_name.as_deref()), (1, Some("outer")));
    assert_eq!(outermost.module_name.as_deref(), Some("shop"));
    for _ in 0..2 {
        let error = call(&mut store, instance, "deep", &[Val::I32(0)]).unwrap_err();
        let trap = error.as_trap().unwrap();
        assert_eq!(trap.code, TrapCode::StackOverflow);
        assert!(trap.backtrace.iter().all(|frame| frame.func_name.as_deref() == Some("deep")));
        assert!(trap.backtrace.len() > 10);
    }
    assert_eq!(call_i32(&mut store, instance, "run", &[Val::I32(0)]).unwrap(), 1);
}

#[test]
fn a_failed_start_leaves_what_it_did() {
    let engine = plain();
    let mut store = Store::new(&engine, 0).unwrap();
    let table = Table::new(&mut store, TableType::new(RefType::FUNCREF, 2, None), Val::FuncRef(None)).unwrap();
    let module = load(
        &engine,
        r#"(module
          (import "host" "table" (table 2 funcref))
          (global $g (mut i32) (i32.const 40))
          (elem (i32.const 1) $f)
          (func $f (result i32) (global.set $g (i32.add (global.get $g) (i32.const 1))) (global.get $g))
          (func $start (drop (call $f)) unreachable)
          (start $start))"#,
    );
    assert_eq!(trap_code(Instance::new(&mut store, &module, &[table.into()])), TrapCode::Unreachable);
    let Some(Val::FuncRef(Some(func))) = table.get(&mut store, 1) else { panic!("no function") };
    let mut results = [Val::I32(0)];
    func.call(&mut store, &[], &mut results).unwrap();
    assert_eq!(results[0].i32(), Some(42));
}

#[test]
fn exhausted_heaps_trap_and_recover() {
    for collector in Collector::NAMES.iter().map(|&(_, collector)| collector) {
        let engine = Engine::new(Config::new().collector(collector).heap_max_bytes(8 << 20)).unwrap();
        let module = load(
            &engine,
            r#"(module
              (type $list (struct (field (ref null $list)) (field i64)))
              (type $bytes (array (mut i8)))
              (func (export "fill") (local $l (ref null $list))
                (loop $more (local.set $l (struct.new $list (local.get $l) (i64.const 1))) (br $more)))
              (func (export "huge") (result anyref) (array.new_default $bytes (i32.const -1)))
              (func (export "add") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1))))"#,
        );
        let mut store = Store::new(&engine, 0).unwrap();
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        for _ in 0..2 {
            assert_eq!(trap_code(call(&mut store, instance, "fill", &[])), TrapCode::OutOfMemory);
            assert_eq!(trap_code(call(&mut store, instance, "huge", &[])), TrapCode::AllocationTooLarge);
            assert_eq!(call_i32(&mut store, instance, "add", &[Val::I32(1)]).unwrap(), 2);
        }
        let error = (0..1_000_000).find_map(|i| ExternRef::new(store.as_context_mut(), i).err());
        match collector {
            Collector::Null => assert!(matches!(error, Some(Error::Resource(_)))),
            _ => assert!(error.is_none(), "host objects that nothing refers to are collected"),
        }
    }
}

#[test]
fn weak_references_keep_nothing_alive() {
    for collector in [Collector::Generational, Collector::MarkSweep] {
        let engine = Engine::new(Config::new().collector(collector).gc_verify(true)).unwrap();
        let mut store = Store::new(&engine, ()).unwrap();
        let number = dolmen::AnyRef::from_i31(5).downgrade(&mut store).unwrap();
        let kept = ExternRef::new(&mut store, 1).unwrap();
        let mut weak = vec![kept.downgrade(&mut store).unwrap()];
        for i in 2..1000 {
            let host = ExternRef::new(&mut store, i).unwrap();
            weak.push(host.downgrade(&mut store).unwrap());
            assert!(weak.last().unwrap().upgrade(&mut store).unwrap().is_some());
        }
        store.gc().unwrap();
        // Other objects where the freed ones were.
        let others: Vec<_> = (0..1000).map(|i| ExternRef::new(&mut store, i).unwrap()).collect();
        let found = weak[0].upgrade(&mut store).unwrap().unwrap();
        assert!(found.same(&kept.clone().into()));
        assert!(weak[1..].iter().all(|w| w.upgrade(&mut store).unwrap().is_none()));
        assert_eq!(number.upgrade(&mut store).unwrap().unwrap().as_i31(), Some(5));
        drop((kept, found, others));
        store.gc().unwrap();
        assert!(weak[0].upgrade(&mut store).unwrap().is_none());
        let mut other = Store::new(&engine, ()).unwrap();
        assert!(weak[0].upgrade(&mut other).is_err());
    }
}

#[test]
fn stores_call_each_other() {
    let engine = plain();
    let module = load(
        &engine,
        r#"(module
          (import "host" "f" (func $f (param i32) (result i32)))
          (func (export "run") (param i32) (result i32) (i32.add (call $f (local.get 0)) (i32.const 1))))"#,
    );
    let ty = FuncType::new(&engine, [ValType::I32], [ValType::I32]);
    let chain = (0..10).fold(None, |inner: Option<(Store<u32>, Func)>, _| {
        let inner = std::sync::Mutex::new(inner);
        let mut store = Store::new(&engine, 0).unwrap();
        let host = Func::new(&mut store, ty.clone(), move |_, args, results| match &mut *inner.lock().unwrap() {
            Some((store, func)) => func.call(store, args, results),
            None => {
                results[0] = args[0].clone();
                Ok(())
            }
        });
        let instance = Instance::new(&mut store, &module, &[host.unwrap().into()]).unwrap();
        let run = instance.get_func(&mut store, "run").unwrap();
        Some((store, run))
    });
    let (mut store, run) = chain.unwrap();
    let mut results = [Val::I32(0)];
    run.call(&mut store, &[Val::I32(5)], &mut results).unwrap();
    assert_eq!(results[0].i32(), Some(15));
}

#[test]
fn memories_may_have_pages_of_one_byte() {
    let mut store = Store::new(&plain(), 0).unwrap();
    let memory = Memory::new(&mut store, MemoryType::new(3, Some(70_000)).with_byte_pages()).unwrap();
    assert_eq!((memory.page_size(&store), memory.size(&store), memory.data_size(&store)), (1, 3, 3));
    assert_eq!(memory.grow(&mut store, 5).unwrap(), 3);
    assert_eq!(memory.data_size(&store), 8);
    assert!(memory.write(&mut store, 7, &[1, 2]).is_err());
    assert!(memory.grow(&mut store, 70_000).is_err());
    let plain = Memory::new(&mut store, MemoryType::new(1, None)).unwrap();
    assert_eq!(plain.page_size(&store), 65_536);
}
