//! Stores that OS threads of the embedder's take turns in, and objects that hosts make.

#![forbid(unsafe_code)]

use dolmen::{
    AnyRef, AsContextMut as _, Config, Engine, Error, Func, HeapType, Instance, Linker, Module, Seat, Store,
    StructType, TrapCode, Val,
};
use std::num::NonZeroU64;
use std::time::Duration;
use wast::Wat;
use wast::parser::{self, ParseBuffer};

const MODULE: &str = r#"(module
  (type $node (struct (field i32) (field (mut (ref null $node))) (field (mut i8))))
  (type $vectors (array (mut v128)))
  (type $names (array (ref $node)))
  (func $make (param $n i32) (result (ref null $node)) (local $list (ref null $node))
    (loop $l
      (local.set $list (struct.new $node (local.get $n) (local.get $list) (i32.const 0)))
      (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $list))
  (func (export "sum") (param $list (ref null $node)) (result i32) (local $sum i32)
    (block $end
      (loop $l
        (br_if $end (ref.is_null (local.get $list)))
        (local.set $sum (i32.add (local.get $sum) (struct.get $node 0 (local.get $list))))
        (local.set $list (struct.get $node 1 (local.get $list)))
        (br $l)))
    (local.get $sum))
  (func (export "make") (param i32) (result (ref null $node)) (call $make (local.get 0)))
  (func (export "names") (param (ref $names) i32) (result i32)
    (struct.get $node 0 (array.get $names (local.get 0) (local.get 1))))
  (func (export "endless") (loop $l (br $l))))"#;

/// An engine that collects at every `stress`-th allocation and verifies its heap.
fn engine(stress: u64) -> Engine {
    Engine::new(Config::new().gc_stress(NonZeroU64::new(stress)).gc_verify(true)).unwrap()
}

fn start(engine: &Engine) -> (Store<u32>, Instance, Module) {
    let buffer = ParseBuffer::new(MODULE).unwrap();
    let wasm = parser::parse::<Wat<'_>>(&buffer).unwrap().encode().unwrap();
    let artifact = dolmen_aotc::compile(&wasm, &dolmen_aotc::Options::default()).unwrap();
    let module = Module::deserialize(engine, &artifact).unwrap();
    let mut store = Store::new(engine, 0).unwrap();
    let instance = Linker::new(engine).instantiate(&mut store, &module).unwrap();
    (store, instance, module)
}

fn call(seat: &mut Seat<u32>, func: Func, args: &[Val]) -> Result<Val, Error> {
    let mut results = [Val::I32(0)];
    let called = seat.enter(|context| func.call(context, args, &mut results)).expect("a store");
    called.map(|()| results[0].clone())
}

/// Makes lists and sums them, entering the store for each step.
fn work(seat: &mut Seat<u32>, make: Func, sum: Func, rounds: i32) -> i32 {
    let round = |_| {
        let list = call(seat, make, &[Val::I32(20)]).unwrap();
        seat.enter(|mut context| *context.data_mut() += 1).unwrap();
        call(seat, sum, &[list]).unwrap().i32().unwrap()
    };
    (0..rounds).map(round).sum()
}

#[test]
fn seats_of_a_store_run_in_threads_of_the_embedders() {
    const THREADS: i32 = 3;
    const ROUNDS: i32 = 40;
    let (mut store, instance, _) = start(&engine(7));
    let [make, sum] = ["make", "sum"].map(|name| instance.get_func(&mut store, name).unwrap());
    let mut first = Seat::new(store);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let mut seat = first.enter(|mut context| context.seat()).unwrap().unwrap();
                scope.spawn(move || work(&mut seat, make, sum, ROUNDS))
            })
            .collect();
        assert_eq!(work(&mut first, make, sum, ROUNDS), ROUNDS * 210);
        threads.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), ROUNDS * 210));
    });
    assert_eq!(first.enter(|context| *context.data()), Some(((THREADS + 1) * ROUNDS) as u32));
}

#[test]
fn a_store_with_one_seat_is_as_before() {
    let (mut store, instance, _) = start(&engine(1));
    let make = instance.get_func(&mut store, "make").unwrap();
    let mut seat = Seat::new(store);
    assert_eq!(seat.id().number(), 0);
    assert!(matches!(call(&mut seat, make, &[Val::I32(3)]), Ok(Val::AnyRef(Some(_)))));
}

#[test]
fn a_store_that_goes_ends_who_is_in_it_and_bars_the_others() {
    let (mut store, instance, _) = start(&engine(1));
    let endless = instance.get_func(&mut store, "endless").unwrap();
    let mut first = Seat::new(store);
    let [mut running, mut idle] = [0, 1].map(|_| first.enter(|mut context| context.seat()).unwrap().unwrap());
    let thread = std::thread::spawn(move || {
        let outcome = running.enter(|context| endless.call(context, &[], &mut [])).unwrap();
        (outcome, running.enter(|_| ()))
    });
    std::thread::sleep(Duration::from_millis(20));
    drop(first);
    match thread.join().unwrap() {
        (Err(Error::Trap(trap)), None) => assert_eq!(trap.code, TrapCode::Interrupt),
        other => panic!("{other:?}"),
    }
    assert_eq!(idle.enter(|_| ()), None);
}

/// Whoever is in the store has it, and must not wait for itself.
#[test]
fn seats_may_be_dropped_in_their_store() {
    let (mut store, instance, _) = start(&engine(1));
    let [make, sum] = ["make", "sum"].map(|name| instance.get_func(&mut store, name).unwrap());
    let control = store.thread_control();
    drop(store.as_context_mut().seat().unwrap());
    assert_eq!(control.threads().len(), 1);
    let mut first = Seat::new(store);
    for _ in 0..3 {
        let kept = first.enter(|mut context| {
            let [gone, kept] = [0, 1].map(|_| context.seat().unwrap());
            drop(gone);
            assert_eq!(control.threads().len(), 2);
            kept
        });
        let mut kept = kept.unwrap();
        assert_eq!(work(&mut kept, make, sum, 3), 630);
        // Another OS thread drops it while this one has the store, which waits for that.
        first.enter(|_| std::thread::scope(|scope| scope.spawn(|| drop(kept)).join().unwrap())).unwrap();
        assert_eq!(control.threads().len(), 1);
    }
}

#[test]
fn suspended_seats_do_not_enter() {
    let (mut store, instance, _) = start(&engine(1));
    let make = instance.get_func(&mut store, "make").unwrap();
    let control = store.thread_control();
    let mut first = Seat::new(store);
    let mut second = first.enter(|mut context| context.seat()).unwrap().unwrap();
    let id = second.id();
    assert!(control.suspend(id));
    let thread = std::thread::spawn(move || call(&mut second, make, &[Val::I32(1)]).map(drop));
    std::thread::sleep(Duration::from_millis(20));
    assert!(!thread.is_finished());
    assert!(control.resume(id));
    thread.join().unwrap().unwrap();
    // The seat has gone with its thread.
    assert!(!control.suspend(id) && !control.interrupt(id));
}

#[test]
fn one_thread_is_interrupted_and_an_interruption_can_be_taken_back() {
    let (mut store, instance, _) = start(&engine(1));
    let [make, endless] = ["make", "endless"].map(|name| instance.get_func(&mut store, name).unwrap());
    let control = store.thread_control();
    let mut first = Seat::new(store);
    let mut second = first.enter(|mut context| context.seat()).unwrap().unwrap();
    let id = second.id();
    let thread = std::thread::spawn(move || second.enter(|context| endless.call(context, &[], &mut [])).unwrap());
    std::thread::sleep(Duration::from_millis(10));
    assert!(control.interrupt(id));
    assert!(matches!(thread.join().unwrap(), Err(Error::Trap(trap)) if trap.code == TrapCode::Interrupt));
    assert!(control.interrupt(first.id()));
    assert!(first.enter(|mut context| context.clear_interrupt()).unwrap());
    call(&mut first, make, &[Val::I32(5)]).unwrap();
}

/// The type with an index of the module's.
fn struct_type(module: &Module, index: u32) -> StructType {
    match module.get_type(index) {
        Some(HeapType::ConcreteStruct(ty)) => ty,
        other => panic!("{other:?}"),
    }
}

#[test]
fn hosts_make_structs() {
    let (mut store, instance, module) = start(&engine(1));
    let sum = instance.get_func(&mut store, "sum").unwrap();
    let ty = struct_type(&module, 0);
    let mut list = Val::AnyRef(None);
    for number in 1..=10 {
        let fields = [Val::I32(number), list, Val::I32(-1)];
        list = AnyRef::new_struct(&mut store, &ty, &fields).unwrap().into();
    }
    let mut results = [Val::I32(0)];
    sum.call(&mut store, std::slice::from_ref(&list), &mut results).unwrap();
    assert_eq!(results[0].i32(), Some(55));
    let Val::AnyRef(Some(node)) = list else { unreachable!() };
    assert_eq!(node.field(&mut store, 0).unwrap().i32(), Some(10));
    assert_eq!(node.field(&mut store, 2).unwrap().i32(), Some(255));
    // An old object that refers to a young one: the collector is told.
    store.gc().unwrap();
    let fields = [Val::I32(100), Val::AnyRef(None), Val::I32(0)];
    let young = AnyRef::new_struct(&mut store, &ty, &fields).unwrap();
    node.set_field(&mut store, 1, &young.into()).unwrap();
    sum.call(&mut store, &[node.clone().into()], &mut results).unwrap();
    assert_eq!(results[0].i32(), Some(110));

    let message = |outcome: Result<(), String>| outcome.unwrap_err();
    let set = |store: &mut Store<u32>, index, value: Val| {
        node.set_field(store, index, &value).map_err(|error| error.to_string())
    };
    assert_eq!(message(set(&mut store, 0, Val::I32(1))), "field 0 is immutable");
    assert!(message(set(&mut store, 1, Val::I32(1))).starts_with("type mismatch at field 1"));
    assert_eq!(message(set(&mut store, 3, Val::I32(1))), "index 3 is out of bounds of 3 elements");
    assert!(AnyRef::new_struct(&mut store, &ty, &[Val::I32(1)]).is_err());
    assert!(AnyRef::from_i31(3).field(&mut store, 0).is_err());
    let other = Engine::new(&Config::new()).unwrap();
    assert!(AnyRef::new_struct(Store::new(&other, 0).unwrap(), &ty, &fields).is_err());
}

#[test]
fn hosts_make_arrays() {
    let (mut store, instance, module) = start(&engine(1));
    let (Some(HeapType::ConcreteArray(vectors)), Some(HeapType::ConcreteArray(names))) =
        (module.get_type(1), module.get_type(2))
    else {
        panic!("two array types")
    };
    let array = AnyRef::new_array(&mut store, &vectors, &Val::V128(7.into()), 5).unwrap();
    array.set_element(&mut store, 4, &Val::V128(u128::MAX.into())).unwrap();
    assert_eq!(array.array_len(&store).unwrap(), 5);
    assert_eq!(array.element(&mut store, 0).unwrap().v128(), Some(7.into()));
    assert_eq!(array.element(&mut store, 4).unwrap().v128(), Some(u128::MAX.into()));
    assert!(array.element(&mut store, 5).is_err() && array.field(&mut store, 0).is_err());
    assert!(AnyRef::new_array(&mut store, &vectors, &Val::V128(7.into()), u32::MAX).is_err());

    let ty = struct_type(&module, 0);
    let node = |number: i32, store: &mut Store<u32>| {
        let fields = [Val::I32(number), Val::AnyRef(None), Val::I32(0)];
        Val::from(AnyRef::new_struct(store, &ty, &fields).unwrap())
    };
    let nodes: Vec<Val> = (0..20).map(|number| node(number, &mut store)).collect();
    let array = AnyRef::new_array_fixed(&mut store, &names, &nodes).unwrap();
    drop(nodes);
    let get = instance.get_func(&mut store, "names").unwrap();
    for index in 0..20 {
        let mut results = [Val::I32(0)];
        get.call(&mut store, &[array.clone().into(), Val::I32(index)], &mut results).unwrap();
        assert_eq!(results[0].i32(), Some(index));
    }
    // Null is not among the elements' values.
    assert!(AnyRef::new_array(&mut store, &names, &Val::AnyRef(None), 1).is_err());
    let first = node(0, &mut store);
    assert!(array.set_element(&mut store, 0, &first).unwrap_err().to_string().contains("element 0 is immutable"));
}
