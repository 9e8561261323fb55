//! Vectors across the border between host and compiled code, in both directions: arguments, results, globals, and
//! more of them than travel in registers.

use dolmen::{
    Caller, Config, Engine, Error, FuncType, Global, GlobalType, Instance, Linker, Module, Store, V128, Val, ValType,
};
use std::num::NonZeroU64;

const MODULE: &str = r#"
(module
  (type $box (struct (field v128)))
  (import "host" "turn" (func $turn (param v128 i32 v128) (result v128 i32 v128 v128)))
  (import "host" "sum" (func $sum (param v128 v128 v128 v128 v128 v128 v128 v128 v128 v128) (result v128)))
  (import "host" "global" (global $g (mut v128)))
  (func (export "turn") (param v128 v128) (result v128 i32 v128 v128) (local $box (ref $box))
    (local.set $box (struct.new $box (local.get 0)))
    (call $turn (local.get 0) (i32.const 7) (local.get 1))
    (i32x4.add (struct.get $box 0 (local.get $box))))
  (func (export "sum") (param v128 v128 v128 v128 v128 v128 v128 v128 v128 v128) (result v128)
    (call $sum (local.get 9) (local.get 8) (local.get 7) (local.get 6) (local.get 5) (local.get 4) (local.get 3)
      (local.get 2) (local.get 1) (local.get 0)))
  (func (export "shift") (global.set $g (i32x4.shl (global.get $g) (i32.const 4)))))
"#;

/// A vector of four lanes, lane 0 first.
fn lanes(lanes: [u32; 4]) -> V128 {
    V128::from(lanes.iter().rev().fold(0_u128, |bits, &lane| bits << u32::BITS | u128::from(lane)))
}

fn instantiate(stress: Option<u64>, opt_level: dolmen_aotc::OptLevel) -> (Store<()>, Instance, Global) {
    let mut config = Config::new();
    config.gc_stress(stress.and_then(NonZeroU64::new)).gc_verify(stress.is_some());
    let engine = Engine::new(&config).expect("engine");
    let buffer = wast::parser::ParseBuffer::new(MODULE).expect("tokens");
    let wasm = wast::parser::parse::<wast::Wat<'_>>(&buffer).expect("text").encode().expect("module");
    let options = dolmen_aotc::Options { opt_level, ..Default::default() };
    let artifact = dolmen_aotc::compile(&wasm, &options).expect("artifact");
    let module = Module::deserialize(&engine, &artifact).expect("loads");
    let mut store = Store::new(&engine, ()).expect("store");
    let mut linker = Linker::new(&engine);
    let v128 = ValType::V128;
    let ty = FuncType::new(
        &engine,
        [v128.clone(), ValType::I32, v128.clone()],
        [v128.clone(), ValType::I32, v128.clone(), v128.clone()],
    );
    linker.func_new("host", "turn", ty, turn).expect("defined");
    let ty = FuncType::new(&engine, std::iter::repeat_n(v128.clone(), 10), [v128.clone()]);
    linker.func_new("host", "sum", ty, weighted_sum).expect("defined");
    let global = Global::new(&mut store, GlobalType::new(v128, true), lanes([1, 2, 3, 4]).into()).expect("global");
    linker.define(&mut store, "host", "global", global).expect("defined");
    let instance = linker.instantiate(&mut store, &module).expect("instance");
    (store, instance, global)
}

/// The arguments in reverse, and the sum of the vectors' bits.
fn turn(mut caller: Caller<'_, ()>, args: &[Val], results: &mut [Val]) -> Result<(), Error> {
    caller.gc()?;
    let [first, second] = [&args[0], &args[2]].map(|arg| arg.v128().expect("vector"));
    let number = args[1].i32().expect("number");
    let sum = V128::from(first.as_u128().wrapping_add(second.into()));
    results.clone_from_slice(&[second.into(), Val::I32(-number), first.into(), sum.into()]);
    Ok(())
}

/// The sum of the arguments, times 1, 2, 3, ….
fn weighted_sum(_: Caller<'_, ()>, args: &[Val], results: &mut [Val]) -> Result<(), Error> {
    let vectors = args.iter().map(|arg| u128::from(arg.v128().expect("vector")));
    results[0] = V128::from((1..).zip(vectors).map(|(weight, bits)| weight * bits).sum::<u128>()).into();
    Ok(())
}

fn call(store: &mut Store<()>, instance: Instance, name: &str, args: &[Val]) -> Result<Vec<Val>, Error> {
    let func = instance.get_func(&mut *store, name).expect("exported");
    let mut results = vec![Val::I32(0); func.ty(&*store).results().len()];
    func.call(store, args, &mut results)?;
    Ok(results)
}

/// Runs a test in all configurations.
fn everywhere(test: impl Fn(&mut Store<()>, Instance, Global)) {
    for opt_level in [dolmen_aotc::OptLevel::O0, dolmen_aotc::OptLevel::O3] {
        for stress in [None, Some(1)] {
            let (mut store, instance, global) = instantiate(stress, opt_level);
            test(&mut store, instance, global);
        }
    }
}

#[test]
fn arguments_and_results_cross() {
    everywhere(|store, instance, _| {
        let (a, b) = (lanes([1, 2, 3, 4]), lanes([0xffff_ffff, 20, 30, 0x8000_0000]));
        let results = call(store, instance, "turn", &[a.into(), b.into()]).expect("returns");
        assert_eq!((results[0].v128(), results[1].i32(), results[2].v128()), (Some(b), Some(-7), Some(a)));
        // The carry of lane 0 went into lane 1.
        assert_eq!(results[3].v128(), Some(lanes([1, 25, 36, 0x8000_0008])));
    });
}

#[test]
fn more_cross_than_registers_hold() {
    everywhere(|store, instance, _| {
        let args: Vec<Val> = (0..10).map(|i| V128::from(1_u128 << (12 * i)).into()).collect();
        let results = call(store, instance, "sum", &args).expect("returns");
        let expected = (0..10).map(|i| (10 - i) << (12 * i)).sum::<u128>();
        assert_eq!(results[0].v128().map(u128::from), Some(expected));
    });
}

#[test]
fn globals_are_shared() {
    everywhere(|store, instance, global| {
        call(store, instance, "shift", &[]).expect("returns");
        assert_eq!(global.get(&mut *store).v128(), Some(lanes([0x10, 0x20, 0x30, 0x40])));
        global.set(&mut *store, V128::from(u128::MAX).into()).expect("set");
        call(store, instance, "shift", &[]).expect("returns");
        assert_eq!(global.get(&mut *store).v128(), Some(lanes([0xffff_fff0; 4])));
    });
}

#[test]
fn other_values_are_no_vectors() {
    let (mut store, instance, global) = instantiate(None, dolmen_aotc::OptLevel::O0);
    let vector = Val::from(V128::default());
    let error = call(&mut store, instance, "turn", &[vector.clone(), Val::I64(1)]).expect_err("refused");
    assert!(error.to_string().contains("v128"), "{error}");
    assert!(global.set(&mut store, Val::F64(0)).is_err());
    assert_eq!((vector.i32(), Val::I64(0).v128()), (None, None));
    assert_eq!(format!("{} {:?}", V128::from(0x1f), V128::default()), format!("0x{:032x} 0x{:032x}", 0x1f, 0));
}
