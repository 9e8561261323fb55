//! The modules that scripts may import without defining them.
//!
//! `spectest` is the one that WebAssembly's own test suite prescribes: functions that take numbers and do
//! nothing, and a global, a table and a memory of known size. `dolmen` serves our own scripts: it lets a script
//! collect at a chosen moment and cross the border between compiled code and host in both directions.
//!
//! | `dolmen` | type | does |
//! |---|---|---|
//! | `gc` | `[] -> []` | collects all garbage |
//! | `call` | `[funcref] -> []` | calls the function |
//! | `apply` | `[funcref i32] -> [i32]` | calls the function with the number |
//! | `reverse` | `[i32 i64 f32 f64 anyref externref funcref] -> […]` | returns its arguments in reverse order |

use dolmen::{
    AsContextMut as _, Caller, Error, Extern, Func, FuncType, Global, GlobalType, Memory, MemoryType, RefType, Store,
    Table, TableType, Val, ValType,
};
use std::collections::HashMap;

/// The items of the host's modules, by module and name.
pub type HostItems = HashMap<(&'static str, &'static str), Extern>;

/// Number that `spectest` exports as integer globals; the suite prescribes it.
const SPECTEST_INT: u16 = 666;

/// Number that `spectest` exports as float globals; the suite prescribes it.
const SPECTEST_FLOAT: f32 = 666.6;

/// Makes the host's modules in a store.
///
/// # Errors
///
/// If the store cannot hold them.
pub fn host_items(store: &mut Store<()>) -> Result<HostItems, Error> {
    let mut items = HostItems::new();
    add_prints(store, &mut items)?;
    add_globals(store, &mut items)?;
    add_storage(store, &mut items)?;
    add_own(store, &mut items)?;
    Ok(items)
}

fn add_prints(store: &mut Store<()>, items: &mut HostItems) -> Result<(), Error> {
    use ValType::{F32, F64, I32, I64};
    let prints: [(&str, &[ValType]); 7] = [
        ("print", &[]),
        ("print_i32", &[I32]),
        ("print_i64", &[I64]),
        ("print_f32", &[F32]),
        ("print_f64", &[F64]),
        ("print_i32_f32", &[I32, F32]),
        ("print_f64_f64", &[F64, F64]),
    ];
    for (name, params) in prints {
        let ty = FuncType::new(store.engine(), params.iter().cloned(), []);
        let print = Func::new(&mut *store, ty, |_, _, _| Ok(()))?;
        items.insert(("spectest", name), print.into());
    }
    Ok(())
}

fn add_globals(store: &mut Store<()>, items: &mut HostItems) -> Result<(), Error> {
    let globals = [
        ("global_i32", ValType::I32, Val::I32(SPECTEST_INT.into())),
        ("global_i64", ValType::I64, Val::I64(SPECTEST_INT.into())),
        ("global_f32", ValType::F32, Val::F32(SPECTEST_FLOAT.to_bits())),
        ("global_f64", ValType::F64, Val::F64(666.6_f64.to_bits())),
    ];
    for (name, ty, value) in globals {
        let global = Global::new(&mut *store, GlobalType::new(ty, false), value)?;
        items.insert(("spectest", name), global.into());
    }
    Ok(())
}

fn add_storage(store: &mut Store<()>, items: &mut HostItems) -> Result<(), Error> {
    let null = Val::FuncRef(None);
    let table = Table::new(&mut *store, TableType::new(RefType::FUNCREF, 10, Some(20)), null)?;
    items.insert(("spectest", "table"), table.into());
    let memory = Memory::new(&mut *store, MemoryType::new(1, Some(2)))?;
    items.insert(("spectest", "memory"), memory.into());
    let shared = Memory::new(&mut *store, MemoryType::shared(1, 2))?;
    items.insert(("spectest", "shared_memory"), shared.into());
    Ok(())
}

fn add_own(store: &mut Store<()>, items: &mut HostItems) -> Result<(), Error> {
    use ValType::{F32, F64, I32, I64};
    let engine = store.engine().clone();
    let mut add = |name, params: &[ValType], results: &[ValType], body: HostFunction| {
        let ty = FuncType::new(&engine, params.iter().cloned(), results.iter().cloned());
        items.insert(("dolmen", name), Func::new(&mut *store, ty, body)?.into());
        Ok::<(), Error>(())
    };
    let values = [I32, I64, F32, F64, ValType::ANYREF, ValType::EXTERNREF, ValType::FUNCREF];
    let mut reversed = values.clone();
    reversed.reverse();
    add("gc", &[], &[], collect)?;
    add("call", &[ValType::FUNCREF], &[], call)?;
    add("apply", &[ValType::FUNCREF, I32], &[I32], call)?;
    add("reverse", &values, &reversed, reverse)
}

type HostFunction = fn(Caller<'_, ()>, &[Val], &mut [Val]) -> Result<(), Error>;

fn collect(mut caller: Caller<'_, ()>, _: &[Val], _: &mut [Val]) -> Result<(), Error> {
    caller.as_context_mut().gc()?;
    Ok(())
}

/// Calls its first argument with the others.
fn call(caller: Caller<'_, ()>, args: &[Val], results: &mut [Val]) -> Result<(), Error> {
    match args {
        [Val::FuncRef(Some(func)), args @ ..] => func.call(caller, args, results),
        _ => Err(Error::host("a script called a null function through the host")),
    }
}

fn reverse(_: Caller<'_, ()>, args: &[Val], results: &mut [Val]) -> Result<(), Error> {
    for (result, arg) in results.iter_mut().rev().zip(args) {
        *result = arg.clone();
    }
    Ok(())
}
