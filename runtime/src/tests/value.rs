//! Values, references and their life.

use crate::{
    AnyRef, ArgumentError, ArrayType, Config, Engine, Error, ExternRef, FieldType, FuncType, Global, GlobalType,
    HeapType, RefType, StorageType, Store, Table, TableType, Val, ValType,
};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

fn store() -> (Engine, Store<()>) {
    let engine = Engine::new(&Config::new()).unwrap();
    let store = Store::new(&engine, ()).unwrap();
    (engine, store)
}

/// A value that counts its drops.
struct Guard(Arc<AtomicUsize>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn i31_values_wrap() {
    for (value, signed, unsigned) in [
        (0, 0, 0),
        (-1, -1, 0x7fff_ffff),
        (0x3fff_ffff, 0x3fff_ffff, 0x3fff_ffff),
        (0x4000_0000, -0x4000_0000, 0x4000_0000),
        (i32::MIN, 0, 0),
    ] {
        let any = AnyRef::from_i31(value);
        assert_eq!((any.as_i31(), any.as_i31_u()), (Some(signed), Some(unsigned)));
        assert!(any.is_i31() && any.is_eq() && !any.is_struct() && !any.is_array());
    }
    assert!(AnyRef::from_i31(1).same(&AnyRef::from_i31(1)));
    assert!(!AnyRef::from_i31(1).same(&AnyRef::from_i31(2)));
}

/// Handles are compared without the store, while a collection moves their objects.
#[test]
fn handles_are_compared_while_their_objects_move() {
    const OBJECTS: usize = 20_000;
    const COLLECTIONS: usize = 100;
    // Stress moves what can be moved.
    let engine = Engine::new(Config::new().gc_stress(NonZeroU64::new(1 << 40))).unwrap();
    let mut store = Store::new(&engine, ()).unwrap();
    let ty = ArrayType::new(&engine, FieldType { storage: StorageType::I8, mutable: true }).unwrap();
    let mut make = || AnyRef::new_array(&mut store, &ty, &Val::I32(1), 10).unwrap();
    let (first, between) = (make(), (0..OBJECTS).map(|_| make()).collect::<Vec<_>>());
    let again = first.downgrade(&mut store).unwrap().upgrade(&mut store).unwrap().unwrap();
    let (last, is_over) = (&between[OBJECTS - 1], AtomicBool::new(false));
    let comparisons = std::thread::scope(|scope| {
        let comparing = scope.spawn(|| {
            let mut comparisons = 0;
            while !is_over.load(Ordering::Relaxed) {
                assert!(first.same(&again) && !first.same(last) && !last.same(&again));
                comparisons += 1;
            }
            comparisons
        });
        for _ in 0..COLLECTIONS {
            store.gc().unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
        comparing.join().unwrap()
    });
    assert!(comparisons > 0 && store.gc_stats().moved_bytes > 0);
}

#[test]
fn host_values_live_as_long_as_something_refers_to_them() {
    let (_, mut store) = store();
    let drops = Arc::new(AtomicUsize::new(0));
    let count = || drops.load(Ordering::Relaxed);
    let held = ExternRef::new(&mut store, Guard(Arc::clone(&drops))).unwrap();
    let lost = ExternRef::new(&mut store, Guard(Arc::clone(&drops))).unwrap();
    let shared = ExternRef::new(&mut store, Guard(Arc::clone(&drops))).unwrap();
    let ty = GlobalType::new(ValType::ANYREF, true);
    let global = Global::new(&mut store, ty, Val::from(AnyRef::from(shared))).unwrap();
    drop(lost);
    store.gc().unwrap();
    assert_eq!(count(), 1);
    assert!(held.data(&store).unwrap().unwrap().is::<Guard>());
    let Val::AnyRef(Some(any)) = global.get(&mut store) else { panic!("no reference") };
    assert!(any.is_extern() && !any.is_eq());
    assert!(ExternRef::from(any).data(&store).unwrap().is_some());
    global.set(&mut store, Val::AnyRef(None)).unwrap();
    store.gc().unwrap();
    assert_eq!(count(), 2);
    store.gc().unwrap();
    assert_eq!(count(), 2);
    drop(store);
    assert_eq!(count(), 3);
    drop(held);
    assert_eq!(count(), 3);
}

#[test]
fn externref_of_any_has_no_data() {
    let (_, mut store) = store();
    let five = ExternRef::from(AnyRef::from_i31(5));
    assert!(five.data(&store).unwrap().is_none());
    assert_eq!(AnyRef::from(five).as_i31(), Some(5));
    let host = ExternRef::new(&mut store, 5_u8).unwrap();
    let number = host.data(&store).unwrap().and_then(|data| data.downcast_ref::<u8>());
    assert_eq!(number, Some(&5));
    assert!(host.is_host());
}

#[test]
fn values_must_be_of_the_type() {
    let (engine, mut store) = store();
    let not_null = RefType::new(false, HeapType::I31);
    let ty = TableType::new(not_null, 2, Some(3));
    let five = || Val::from(AnyRef::from_i31(5));
    let message = |result: Result<Table, Error>| result.unwrap_err().to_string();
    let mut make = |value| Table::new(&mut store, ty.clone(), value);
    assert_eq!(message(make(Val::AnyRef(None))), "type mismatch at table: expected (ref i31), found nullref");
    assert_eq!(message(make(Val::ExternRef(None))), "type mismatch at table: expected (ref i31), found nullexternref");
    assert_eq!(message(make(Val::I32(5))), "type mismatch at table: expected (ref i31), found i32");
    let table = make(five()).unwrap();
    assert!(matches!(table.get(&mut store, 1), Some(Val::AnyRef(Some(any))) if any.as_i31() == Some(5)));
    assert!(table.get(&mut store, 2).is_none());
    let host = ExternRef::new(&mut store, ()).unwrap();
    assert!(table.set(&mut store, 0, AnyRef::from(host).into()).is_err());
    let error = table.set(&mut store, 2, five()).unwrap_err();
    assert_eq!(error.to_string(), "index 2 is out of bounds of 2 elements");
    assert_eq!(table.grow(&mut store, 1, five()).unwrap(), 2);
    assert_eq!(table.grow(&mut store, 1, five()).unwrap_err().to_string(), "cannot grow from 3 by 1");
    let func = FuncType::new(&engine, [], []);
    let null = Val::null_ref(&HeapType::ConcreteFunc(func));
    assert!(matches!(null, Val::FuncRef(None)));
}

#[test]
fn immutable_globals_stay() {
    let (_, mut store) = store();
    let global = Global::new(&mut store, GlobalType::new(ValType::F64, false), Val::from(1.5)).unwrap();
    let error = global.set(&mut store, Val::from(2.5)).unwrap_err();
    assert!(matches!(error, Error::Argument(ArgumentError::ImmutableGlobal)));
    assert_eq!(global.get(&mut store).f64(), Some(1.5));
}

#[test]
fn references_stay_in_their_store() {
    let (engine, mut store) = store();
    let mut other = Store::new(&engine, ()).unwrap();
    let host = ExternRef::new(&mut store, ()).unwrap();
    assert!(host.data(&other).is_err());
    let ty = GlobalType::new(ValType::EXTERNREF, true);
    let error = Global::new(&mut other, ty, host.into()).unwrap_err();
    assert!(matches!(error, Error::Argument(ArgumentError::WrongStore)));
}

#[test]
fn types_of_values() {
    let (_, mut store) = store();
    let host = ExternRef::new(&mut store, ()).unwrap();
    let ty = |value: &Val| value.ty(&store).to_string();
    assert_eq!(ty(&Val::I32(1)), "i32");
    assert_eq!(ty(&AnyRef::from_i31(1).into()), "(ref i31)");
    assert_eq!(ty(&Val::AnyRef(None)), "nullref");
    assert_eq!(ty(&host.clone().into()), "(ref extern)");
    assert_eq!(ty(&AnyRef::from(host).into()), "(ref any)");
    assert_eq!(ty(&Val::FuncRef(None)), "nullfuncref");
}
