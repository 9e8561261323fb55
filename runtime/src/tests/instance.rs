//! Linking, instantiating and calling.

use super::image::Image;
use crate::{
    ArgumentError, AsContext, Caller, Config, Engine, Error, Extern, Func, FuncType, Global, GlobalType, Instance,
    LinkError, Linker, Memory, MemoryType, Module, RefType, Store, StoreError, Table, TableType, Tag, TagType, Val,
    ValType,
};
use dolmen_abi::meta::{Export, ExternIdx};
use dolmen_abi::types as raw;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Fixture {
    engine: Engine,
    store: Store<u32>,
}

impl Fixture {
    fn new() -> Self {
        let engine = Engine::new(&Config::new()).unwrap();
        let store = Store::new(&engine, 0).unwrap();
        Self { engine, store }
    }

    fn module(&self, image: &Image) -> Module {
        Module::deserialize(&self.engine, &image.build()).unwrap()
    }

    fn instance(&mut self, image: &Image, imports: &[Extern]) -> Result<Instance, Error> {
        let module = self.module(image);
        Instance::new(&mut self.store, &module, imports)
    }

    fn inc(&mut self) -> Func {
        let instance = self.instance(&Image::inc(), &[]).unwrap();
        instance.get_func(&mut self.store, "inc").unwrap()
    }

    fn call(&mut self, func: Func, arg: i32) -> Result<i32, Error> {
        let mut results = [Val::I64(-1)];
        func.call(&mut self.store, &[Val::I32(arg)], &mut results)?;
        Ok(results[0].i32().unwrap())
    }
}

fn i32_to_i32(engine: &Engine) -> FuncType {
    FuncType::new(engine, [ValType::I32], [ValType::I32])
}

#[test]
fn functions_are_called() {
    let mut fixture = Fixture::new();
    let inc = fixture.inc();
    assert_eq!(fixture.call(inc, 41).unwrap(), 42);
    assert_eq!(fixture.call(inc, i32::MAX).unwrap(), i32::MIN);
    assert_eq!(inc.ty(&fixture.store), i32_to_i32(&fixture.engine));
}

#[test]
fn wrong_arguments_are_refused() {
    let mut fixture = Fixture::new();
    let inc = fixture.inc();
    let store = &mut fixture.store;
    let mut one = [Val::I32(0)];
    let message = |result: Result<(), Error>| result.unwrap_err().to_string();
    assert_eq!(message(inc.call(&mut *store, &[], &mut one)), "expected 1 arguments, found 0");
    assert_eq!(message(inc.call(&mut *store, &[Val::I32(0)], &mut [])), "expected room for 1 results, found 0");
    assert_eq!(
        message(inc.call(&mut *store, &[Val::F32(0)], &mut one)),
        "type mismatch at argument 0: expected i32, found f32"
    );
    let mut other = Store::new(&fixture.engine, ()).unwrap();
    let error = inc.call(&mut other, &[Val::I32(0)], &mut one).unwrap_err();
    assert!(matches!(error, Error::Argument(ArgumentError::WrongStore)));
}

#[test]
fn imports_are_linked_through_instances() {
    let mut fixture = Fixture::new();
    let inc = fixture.inc();
    let first = fixture.instance(&Image::importer(), &[inc.into()]).unwrap();
    let call = first.get_func(&mut fixture.store, "call").unwrap();
    let second = fixture.instance(&Image::importer(), &[call.into()]).unwrap();
    let call = second.get_func(&mut fixture.store, "call").unwrap();
    assert_eq!(fixture.call(call, 1).unwrap(), 2);
    assert_eq!(first.get_func(&mut fixture.store, "again"), Some(inc), "a re-exported function is the same one");
    assert_eq!(first.get_func(&mut fixture.store, "nothing"), None);
    let exports: Vec<_> = first.exports(&fixture.store).into_iter().map(|(name, _)| name).collect();
    assert_eq!(exports, ["call", "again"]);
}

#[test]
fn wrong_imports_are_refused_by_name() {
    let mut fixture = Fixture::new();
    let error = fixture.instance(&Image::importer(), &[]).unwrap_err();
    assert!(matches!(error, Error::Link(LinkError::ImportCount { expected: 1, found: 0 })));
    let ty = FuncType::new(&fixture.engine, [], []);
    let other = Func::new(&mut fixture.store, ty, |_, _, _| Ok(())).unwrap();
    let error = fixture.instance(&Image::importer(), &[other.into()]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "incompatible import type for \"env\" \"f\": expected (func (param i32) (result i32)), found (func)"
    );
    let memory = Memory::new(&mut fixture.store, MemoryType::new(1, None)).unwrap();
    let error = fixture.instance(&Image::importer(), &[memory.into()]).unwrap_err();
    assert!(error.to_string().ends_with("found (memory 1)"), "{error}");
    let elsewhere = Fixture::new().module(&Image::inc());
    let error = Instance::new(&mut fixture.store, &elsewhere, &[]).unwrap_err();
    assert!(matches!(error, Error::Link(LinkError::WrongEngine)));
}

/// Whether an item can be imported as `ty`.
fn accepts(fixture: &mut Fixture, item: impl Into<Extern>, ty: raw::ExternType) -> bool {
    let mut image = Image::new();
    image.import("x", ty);
    match ty {
        raw::ExternType::Func(ty) => image.meta.funcs.push(ty),
        raw::ExternType::Table(ty) => image.meta.tables.push(ty),
        raw::ExternType::Memory(ty) => image.meta.memories.push(ty),
        raw::ExternType::Global(ty) => image.meta.globals.push(ty),
        raw::ExternType::Tag(ty) => image.meta.tags.push(ty),
    }
    match fixture.instance(&image, &[item.into()]) {
        Ok(_) => true,
        Err(Error::Link(LinkError::IncompatibleImport { .. })) => false,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn limits_decide_about_memories_and_tables() {
    let mut fixture = Fixture::new();
    let memory = Memory::new(&mut fixture.store, MemoryType::new(2, Some(4))).unwrap();
    let memory_as = |fixture: &mut Fixture, min, max, index64| {
        let limits = raw::Limits { min, max };
        let ty = raw::MemoryType { limits, index64, shared: false, log_page_bytes: 16 };
        accepts(fixture, memory, raw::ExternType::Memory(ty))
    };
    assert!(memory_as(&mut fixture, 2, Some(4), false));
    assert!(memory_as(&mut fixture, 0, None, false));
    assert!(!memory_as(&mut fixture, 3, None, false));
    assert!(!memory_as(&mut fixture, 0, Some(3), false));
    assert!(!memory_as(&mut fixture, 0, None, true));
    // Its current size counts.
    memory.grow(&mut fixture.store, 1).unwrap();
    assert!(memory_as(&mut fixture, 3, None, false));

    let ty = TableType::new(RefType::FUNCREF, 2, None);
    let table = Table::new(&mut fixture.store, ty, Val::FuncRef(None)).unwrap();
    let table_as = |fixture: &mut Fixture, heap, min, max| {
        let limits = raw::Limits { min, max };
        let element = raw::RefType { nullable: true, heap };
        accepts(fixture, table, raw::ExternType::Table(raw::TableType { element, limits, index64: false }))
    };
    assert!(table_as(&mut fixture, raw::HeapType::Func, 1, None));
    assert!(!table_as(&mut fixture, raw::HeapType::Func, 1, Some(9)), "no maximum is more than any");
    assert!(!table_as(&mut fixture, raw::HeapType::NoFunc, 1, None), "tables are invariant");
    assert!(!table_as(&mut fixture, raw::HeapType::Concrete(raw::TypeIdx(0)), 1, None));
}

#[test]
fn mutability_decides_about_globals() {
    let mut fixture = Fixture::new();
    let inc = fixture.inc();
    let make = |fixture: &mut Fixture, mutable| {
        let content = i32_to_i32(&fixture.engine).to_ref(false);
        let ty = GlobalType::new(ValType::Ref(content), mutable);
        Global::new(&mut fixture.store, ty, inc.into()).unwrap()
    };
    let (fixed, variable) = (make(&mut fixture, false), make(&mut fixture, true));
    let as_type = |fixture: &mut Fixture, global, nullable, heap, mutable| {
        let value = raw::ValType::Ref(raw::RefType { nullable, heap });
        accepts(fixture, global, raw::ExternType::Global(raw::GlobalType { value, mutable }))
    };
    let own = raw::HeapType::Concrete(raw::TypeIdx(0));
    assert!(as_type(&mut fixture, fixed, true, raw::HeapType::Func, false), "immutable globals are covariant");
    assert!(as_type(&mut fixture, fixed, false, own, false));
    assert!(!as_type(&mut fixture, fixed, false, raw::HeapType::Concrete(raw::TypeIdx(1)), false));
    assert!(!as_type(&mut fixture, fixed, false, own, true));
    assert!(as_type(&mut fixture, variable, false, own, true));
    assert!(!as_type(&mut fixture, variable, true, raw::HeapType::Func, true), "mutable globals are invariant");
}

#[test]
fn tags_are_of_one_type() {
    let mut fixture = Fixture::new();
    let ty = TagType::new(FuncType::new(&fixture.engine, [], []));
    let tag = Tag::new(&mut fixture.store, &ty).unwrap();
    assert!(accepts(&mut fixture, tag, raw::ExternType::Tag(raw::TypeIdx(1))));
    assert!(!accepts(&mut fixture, tag, raw::ExternType::Tag(raw::TypeIdx(0))));
    let error = Tag::new(&mut fixture.store, &TagType::new(i32_to_i32(&fixture.engine))).unwrap_err();
    assert_eq!(error.to_string(), "the type (tag (param i32) (result i32)) is invalid: a tag has no results");
}

#[test]
fn own_state_is_made_and_exported() {
    let mut fixture = Fixture::new();
    let mut image = Image::new();
    let limits = raw::Limits { min: 1, max: Some(2) };
    let element = raw::RefType { nullable: true, heap: raw::HeapType::Any };
    image.meta.memories = vec![raw::MemoryType { limits, index64: false, shared: false, log_page_bytes: 16 }; 2];
    image.meta.tables = vec![raw::TableType { element, limits, index64: false }];
    image.meta.globals = [raw::ValType::I32, raw::ValType::V128, raw::ValType::I64]
        .map(|value| raw::GlobalType { value, mutable: true })
        .to_vec();
    image.meta.tags = vec![raw::TypeIdx(1)];
    let export = |name: &str, index| Export { name: name.into(), index };
    image.meta.exports = vec![
        export("memory", ExternIdx::Memory(1)),
        export("table", ExternIdx::Table(0)),
        export("v128", ExternIdx::Global(1)),
        export("i64", ExternIdx::Global(2)),
        export("tag", ExternIdx::Tag(0)),
    ];
    let instance = fixture.instance(&image, &[]).unwrap();
    let store = &mut fixture.store;
    let memory = instance.get_memory(&mut *store, "memory").unwrap();
    assert_eq!(memory.ty(&*store).to_string(), "(memory 1 2)");
    memory.write(&mut *store, 65530, b"abcdef").unwrap();
    assert!(memory.write(&mut *store, 65531, b"abcdef").is_err());
    assert!(memory.read(&*store, u64::MAX, &mut [0; 6]).is_err());
    assert_eq!(&memory.data(&*store)[65530..], b"abcdef");
    let (wide, long) =
        (instance.get_global(&mut *store, "v128").unwrap(), instance.get_global(&mut *store, "i64").unwrap());
    wide.set(&mut *store, Val::V128(u128::MAX.into())).unwrap();
    long.set(&mut *store, Val::I64(-5)).unwrap();
    assert_eq!(wide.get(&mut *store).v128(), Some(u128::MAX.into()));
    assert_eq!(long.get(&mut *store).i64(), Some(-5));
    assert_eq!(instance.get_table(&mut *store, "table").unwrap().size(&*store), 1);
    assert!(instance.get_tag(&mut *store, "tag").is_some());
    assert!(instance.get_func(&mut *store, "tag").is_none());
}

#[test]
fn impossible_sizes_are_errors() {
    let mut fixture = Fixture::new();
    let mut image = Image::new();
    let limits = raw::Limits { min: 65537, max: None };
    image.meta.memories = vec![raw::MemoryType { limits, index64: false, shared: false, log_page_bytes: 16 }];
    let error = fixture.instance(&image, &[]).unwrap_err();
    assert!(matches!(error, Error::Resource(StoreError::Limit { count: 65537, .. })));
}

#[test]
fn host_functions_are_called_by_the_host() {
    let mut fixture = Fixture::new();
    let ty = i32_to_i32(&fixture.engine);
    let double = Func::new(&mut fixture.store, ty.clone(), |mut caller: Caller<'_, u32>, args, results| {
        *caller.data_mut() += 1;
        let value = args[0].i32().ok_or_else(|| Error::host("no number"))?;
        if value == 0 {
            return Err(Error::host("zero"));
        }
        results[0] = if value < 0 { Val::I64(0) } else { Val::I32(2 * value) };
        Ok(())
    });
    let double = double.unwrap();
    assert_eq!(fixture.call(double, 21).unwrap(), 42);
    assert_eq!(fixture.call(double, 0).unwrap_err().to_string(), "zero");
    let error = fixture.call(double, -1).unwrap_err();
    assert_eq!(error.to_string(), "type mismatch at result 0: expected i32, found i64");
    assert_eq!(*fixture.store.data(), 3);
    assert_eq!(double.ty(fixture.store.as_context()), ty);
}

#[test]
fn linkers_find_imports_by_name() {
    let mut fixture = Fixture::new();
    let inc = fixture.inc();
    let module = fixture.module(&Image::importer());
    let mut linker = Linker::new(&fixture.engine);
    let error = linker.instantiate(&mut fixture.store, &module).unwrap_err();
    assert_eq!(error.to_string(), "unknown import \"env\" \"f\": expected (func (param i32) (result i32))");
    linker.define(&mut fixture.store, "env", "f", inc).unwrap();
    let error = linker.define(&mut fixture.store, "env", "f", inc).unwrap_err();
    assert_eq!(error.to_string(), "\"env\" \"f\" is defined twice");
    linker.allow_shadowing(true).define(&mut fixture.store, "env", "f", inc).unwrap();
    let instance = linker.instantiate(&mut fixture.store, &module).unwrap();
    linker.instance(&mut fixture.store, "other", instance).unwrap();
    let call = linker.get(&mut fixture.store, "other", "call").and_then(Extern::into_func).unwrap();
    assert_eq!(fixture.call(call, 4).unwrap(), 5);
    let mut linker = Linker::new(&fixture.engine);
    linker.func_new("env", "f", FuncType::new(&fixture.engine, [], []), |_, _, _| Ok(())).unwrap();
    let error = linker.instantiate(&mut fixture.store, &module).unwrap_err();
    assert!(matches!(error, Error::Link(LinkError::IncompatibleImport { .. })));
}

#[test]
fn unknown_imports_can_be_made_up() {
    let mut fixture = Fixture::new();
    let mut image = Image::importer();
    let heap = raw::HeapType::Func;
    let value = raw::ValType::Ref(raw::RefType { nullable: false, heap });
    let ty = raw::GlobalType { value, mutable: false };
    let module = fixture.module(&image);
    let mut linker = Linker::new(&fixture.engine);
    linker.define_unknown_imports_as_default_values(&mut fixture.store, &module).unwrap();
    let instance = linker.instantiate(&mut fixture.store, &module).unwrap();
    let again = instance.get_func(&mut fixture.store, "again").unwrap();
    assert_eq!(fixture.call(again, 5).unwrap(), 0);

    let mut linker = Linker::new(&fixture.engine);
    linker.define_unknown_imports_as_traps(&mut fixture.store, &module).unwrap();
    let instance = linker.instantiate(&mut fixture.store, &module).unwrap();
    let again = instance.get_func(&mut fixture.store, "again").unwrap();
    let error = fixture.call(again, 5).unwrap_err();
    assert_eq!(error.to_string(), "trap: call of a missing import: \"env\" \"f\"");

    image.import("g", raw::ExternType::Global(ty));
    image.meta.globals.push(ty);
    let module = fixture.module(&image);
    let error = linker.define_unknown_imports_as_default_values(&mut fixture.store, &module).unwrap_err();
    assert_eq!(error.to_string(), "there is no default value for import \"env\" \"g\" of type (global (ref func))");
}

#[test]
fn closures_are_dropped_with_their_store() {
    struct Count(Arc<AtomicUsize>);
    impl Drop for Count {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let mut fixture = Fixture::new();
    let count = Count(Arc::clone(&dropped));
    let ty = i32_to_i32(&fixture.engine);
    let func = Func::new(&mut fixture.store, ty, move |_, _, _| {
        let _ = &count;
        Ok(())
    });
    fixture.instance(&Image::importer(), &[func.unwrap().into()]).unwrap();
    assert_eq!(dropped.load(Ordering::Relaxed), 0);
    drop(fixture);
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
}

#[test]
fn handles_and_stores_move_between_threads() {
    fn is_send<T: Send>() {}
    fn is_sync<T: Sync>() {}
    is_send::<Store<u32>>();
    is_send::<Linker<u32>>();
    is_send::<Error>();
    is_sync::<Error>();
    is_send::<Val>();
    is_sync::<Engine>();
    is_send::<Module>();
    is_sync::<Module>();
    let mut fixture = Fixture::new();
    let inc = fixture.inc();
    let result = std::thread::spawn(move || fixture.call(inc, 1).unwrap()).join();
    assert_eq!(result.unwrap(), 2);
}
