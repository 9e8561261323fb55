//! What crosses the border between host and compiled code besides values: traps, exceptions, errors and panics,
//! through any number of nested calls.
//!
//! Each failure must arrive where it belongs, and leave a store that works.

use dolmen::{Caller, Config, Engine, Error, FuncType, Instance, Linker, Module, Store, TrapCode, Val, ValType};
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Code whose imports call back into it.
const MODULE: &str = r#"
(module $border
  (type $pair (struct (field i32) (field (ref null $pair))))
  (import "host" "call" (func $call (param i32) (result i32)))
  (import "host" "swap" (func $swap (param anyref anyref) (result anyref anyref)))
  (tag $e (export "e") (param i32 (ref null $pair)))
  (func $new (param i32) (result (ref $pair)) (struct.new $pair (local.get 0) (ref.null none)))
  (func $throw (export "throw") (param i32)
    (throw $e (local.get 0) (struct.new $pair (local.get 0) (call $new (i32.const 2)))))
  (func $inner (export "call") (param i32) (result i32) (i32.add (call $call (local.get 0)) (i32.const 1)))
  (func $catch (export "catch") (param i32) (result i32) (local $p (ref null $pair))
    (block $h (result i32 (ref null $pair))
      (try_table (catch $e $h) (return (call $inner (local.get 0)))) (unreachable))
    (local.set $p)
    (drop (call $new (i32.const 0)))
    (i32.add (i32.mul (i32.const 1000)) (struct.get $pair 0 (local.get $p))))
  (func $divide (export "divide") (param i32) (result i32) (i32.div_s (i32.const 7) (local.get 0)))
  (func $deep (export "deep") (param i32) (result i32)
    (i32.add (i32.const 1) (call $deep (local.get 0))))
  (func (export "swapped") (param i32) (result i32) (local $a anyref) (local $b anyref)
    (call $swap (call $new (local.get 0)) (ref.i31 (i32.const 5)))
    (local.set $b) (local.set $a)
    (i32.add
      (i32.mul (i32.const 100) (i31.get_s (ref.cast (ref i31) (local.get $a))))
      (struct.get $pair 0 (ref.cast (ref $pair) (local.get $b)))))
)"#;

/// A host function that gets the instance which called it.
type Callback = Box<dyn Fn(&mut Caller<'_, ()>, Instance, i32) -> Result<i32, Error> + Send + Sync>;

/// An instance of [`MODULE`] whose import `call` is this function.
fn instantiate(
    stress: Option<u64>,
    callback: impl Fn(&mut Caller<'_, ()>, Instance, i32) -> Result<i32, Error> + Send + Sync + 'static,
) -> (Store<()>, Instance) {
    let callback: Callback = Box::new(callback);
    let engine = Engine::new(Config::new().gc_stress(stress.and_then(NonZeroU64::new)).gc_verify(stress.is_some()));
    let engine = engine.expect("engine");
    let buffer = wast::parser::ParseBuffer::new(MODULE).expect("tokens");
    let wasm = wast::parser::parse::<wast::Wat<'_>>(&buffer).expect("text").encode().expect("module");
    let artifact = dolmen_aotc::compile(&wasm, &dolmen_aotc::Options::default()).expect("artifact");
    let module = Module::deserialize(&engine, &artifact).expect("loads");
    let mut linker = Linker::new(&engine);
    let ty = FuncType::new(&engine, [ValType::I32], [ValType::I32]);
    let call = move |mut caller: Caller<'_, ()>, args: &[Val], results: &mut [Val]| {
        let instance = caller.instance().expect("called by an instance");
        results[0] = Val::I32(callback(&mut caller, instance, args[0].i32().expect("integer"))?);
        Ok(())
    };
    linker.func_new("host", "call", ty, call).expect("defined");
    let swap = module.imports().nth(1).map(|import| import.ty().clone());
    let Some(dolmen::ExternType::Func(swap)) = swap else { panic!("swap is a function") };
    let call = |mut caller: Caller<'_, ()>, args: &[Val], results: &mut [Val]| {
        caller.gc()?;
        results.clone_from_slice(&[args[1].clone(), args[0].clone()]);
        Ok(())
    };
    linker.func_new("host", "swap", swap, call).expect("defined");
    let mut store = Store::new(&engine, ()).expect("store");
    let instance = linker.instantiate(&mut store, &module).expect("instance");
    (store, instance)
}

/// Calls an export with an integer; all return at most one.
fn call(store: impl dolmen::AsContextMut, instance: Instance, name: &str, argument: i32) -> Result<i32, Error> {
    let mut store = store;
    let func = instance.get_func(&mut store, name).expect("exported");
    let mut results = vec![Val::I32(0); func.ty(&store).results().len()];
    func.call(&mut store, &[Val::I32(argument)], &mut results)?;
    Ok(results.first().and_then(Val::i32).unwrap_or(0))
}

/// The trap's code, and the names in its backtrace from innermost.
fn trap(result: Result<i32, Error>) -> (TrapCode, Vec<String>) {
    let error = result.expect_err("traps");
    let trap = error.as_trap().unwrap_or_else(|| panic!("expected a trap, got {error}"));
    let names = trap.backtrace.iter().map(|frame| frame.func_name.clone().unwrap_or_default());
    (trap.code, names.collect())
}

#[test]
fn values_cross_in_both_directions() {
    let (mut store, instance) = instantiate(None, |caller, instance, n| match n {
        0 => Ok(40),
        _ => call(caller, instance, "call", n - 1),
    });
    assert_eq!(call(&mut store, instance, "call", 0).expect("returns"), 41);
    assert_eq!(call(&mut store, instance, "call", 10).expect("returns"), 51);
}

#[test]
fn traps_end_one_call_and_name_all_frames() {
    let (mut store, instance) = instantiate(None, |caller, instance, n| call(caller, instance, "divide", n));
    for _ in 0..2 {
        let (code, names) = trap(call(&mut store, instance, "catch", 0));
        assert_eq!(code, TrapCode::IntegerDivideByZero);
        // LLVM may inline the innermost functions into each other, but not across the host.
        assert_eq!(names.first().map(String::as_str), Some("divide"));
        assert_eq!(names.last().map(String::as_str), Some("catch"));
        assert_eq!(call(&mut store, instance, "call", 7).expect("returns"), 2);
    }
}

#[test]
fn host_functions_may_survive_traps() {
    let (mut store, instance) = instantiate(None, |caller, instance, n| {
        let (code, _) = trap(call(&mut *caller, instance, "divide", 0));
        Ok(code as i32 + n)
    });
    let expected = TrapCode::IntegerDivideByZero as i32 + 1 + 1;
    assert_eq!(call(&mut store, instance, "call", 1).expect("returns"), expected);
}

#[test]
fn runaway_recursion_is_a_trap_every_time() {
    let (mut store, instance) = instantiate(None, |caller, instance, n| call(caller, instance, "deep", n));
    for name in ["deep", "call", "deep"] {
        let (code, names) = trap(call(&mut store, instance, name, 0));
        assert_eq!(code, TrapCode::StackOverflow);
        assert!(names.len() > 10 && names.iter().all(|name| name == "deep"), "{names:?}");
    }
    assert_eq!(call(&mut store, instance, "divide", 1).expect("returns"), 7);
}

#[test]
fn runaway_recursion_through_the_host_is_a_trap_too() {
    let (mut store, instance) = instantiate(None, |caller, instance, n| call(caller, instance, "call", n));
    for _ in 0..2 {
        assert_eq!(trap(call(&mut store, instance, "call", 0)).0, TrapCode::StackOverflow);
    }
    assert_eq!(call(&mut store, instance, "divide", 7).expect("returns"), 1);
}

#[test]
fn host_functions_may_call_from_other_os_threads() {
    for stress in [None, Some(1)] {
        let (mut store, instance) = instantiate(stress, |caller, instance, n| {
            let (name, argument) =
                [("catch", 9), ("deep", 0), ("swapped", 3)].get(n as usize).copied().unwrap_or(("throw", n));
            std::thread::scope(|scope| {
                scope.spawn(move || call(caller, instance, name, argument)).join().expect("joins")
            })
        });
        for _ in 0..2 {
            // What it catches comes from a third OS thread.
            assert_eq!(call(&mut store, instance, "call", 0).expect("returns"), 9010);
            let (code, names) = trap(call(&mut store, instance, "call", 1));
            assert_eq!(code, TrapCode::StackOverflow);
            assert!(names.len() > 10 && names.iter().all(|name| name == "deep"), "{names:?}");
            assert_eq!(call(&mut store, instance, "call", 2).expect("returns"), 504);
            assert_eq!(call(&mut store, instance, "catch", 3).expect("returns"), 3003);
        }
    }
}

#[test]
fn exceptions_cross_host_functions() {
    for stress in [None, Some(1)] {
        let (mut store, instance) = instantiate(stress, |caller, instance, n| call(caller, instance, "throw", n));
        for n in [3, 4] {
            assert_eq!(call(&mut store, instance, "catch", n).expect("caught"), n * 1000 + n);
        }
    }
}

#[test]
fn uncaught_exceptions_keep_tag_and_payload() {
    let (mut store, instance) = instantiate(Some(1), |_, _, n| Ok(n));
    let Err(Error::Exception(exception)) = call(&mut store, instance, "throw", 9) else { panic!("throws") };
    store.gc().expect("collects");
    let tag = instance.get_tag(&mut store, "e").expect("exported");
    assert_eq!(exception.tag, tag);
    let fields = exception.exn.fields(&mut store).expect("same store");
    assert_eq!(fields[0].i32(), Some(9));
    assert!(matches!(&fields[1], Val::AnyRef(Some(pair)) if pair.is_struct()));
}

#[test]
fn host_functions_may_catch_and_throw_again() {
    let (mut store, instance) = instantiate(Some(1), |caller, instance, n| {
        let error = call(&mut *caller, instance, "throw", n).expect_err("throws");
        caller.gc()?;
        if n == 0 { Ok(100) } else { Err(error) }
    });
    assert_eq!(call(&mut store, instance, "catch", 0).expect("returns"), 101);
    assert_eq!(call(&mut store, instance, "catch", 6).expect("caught"), 6006);
}

#[test]
fn errors_of_host_functions_pass_compiled_code() {
    #[derive(Debug, thiserror::Error)]
    #[error("no more paper")]
    struct NoPaper;
    let (mut store, instance) = instantiate(None, |caller, instance, n| match n {
        0 => Err(Error::host(NoPaper)),
        _ => call(caller, instance, "call", n - 1),
    });
    for depth in [0, 1, 5] {
        let error = call(&mut store, instance, "catch", depth).expect_err("fails");
        assert!(error.downcast_ref::<NoPaper>().is_some(), "{error}");
    }
}

#[test]
fn panics_of_host_functions_pass_compiled_code() {
    let (mut store, instance) = instantiate(None, |caller, instance, n| match n {
        0 => std::panic::panic_any("out of cheese"),
        _ => call(caller, instance, "call", n - 1),
    });
    for depth in [0, 3] {
        let panicked = catch_unwind(AssertUnwindSafe(|| call(&mut store, instance, "catch", depth)));
        assert_eq!(panicked.expect_err("panics").downcast_ref(), Some(&"out of cheese"));
        assert_eq!(call(&mut store, instance, "divide", 7).expect("returns"), 1);
    }
}

#[test]
fn references_survive_collections_in_host_functions() {
    for stress in [None, Some(1)] {
        let (mut store, instance) = instantiate(stress, |_, _, n| Ok(n));
        assert_eq!(call(&mut store, instance, "swapped", 7).expect("returns"), 507);
    }
}

#[test]
fn stores_may_call_each_other() {
    let (mut store, instance) = instantiate(None, |_, _, n| {
        let (mut nested, instance) = instantiate(None, |caller, instance, n| call(caller, instance, "divide", n));
        assert_eq!(trap(call(&mut nested, instance, "deep", 0)).0, TrapCode::StackOverflow);
        call(&mut nested, instance, "call", n)
    });
    assert_eq!(call(&mut store, instance, "call", 1).expect("returns"), 9);
    assert_eq!(trap(call(&mut store, instance, "call", 0)).0, TrapCode::IntegerDivideByZero);
    assert_eq!(trap(call(&mut store, instance, "deep", 0)).0, TrapCode::StackOverflow);
}
