//! Making an instance (specification 3.0, "Instantiation").
//!
//! ```text
//! imports ─► Linked (numbers of the store) ─► own tables, memories, tags ─► context ─► functions ─► run initialisers
//! ```
//!
//! Everything up to the record in the store can fail without a trace but memory; from then on the instance
//! exists, because its initialisers may hand out references to its functions even if one of them traps later.

use super::{Instance, InstanceData};
use crate::call;
use crate::error::{Error, LinkError, StoreError};
use crate::externals::Extern;
use crate::module::Module;
use crate::store::{StoreData, StoreInner};
use crate::types::matching::memory_matches;
use crate::types::registry::{map_ref_type, map_val_type};
use crate::vm::context::InstanceContext;
use crate::vm::memory::MemoryData;
use crate::vm::object::{self, FuncObject};
use crate::vm::table::TableData;
use dolmen_abi::artifact::NO_FUNC_INDEX;
use dolmen_abi::context::{DataDef, ImportedFunc, InstanceHeader};
use dolmen_abi::meta::{ElemItems, Import};
use dolmen_abi::reference::NULL_REF;
use dolmen_abi::types as raw;
use dolmen_gc_heap::ObjRef;

/// The index spaces of an instance in the making: numbers of the store, references of functions.
#[derive(Debug, Default)]
struct Linked {
    imported_funcs: Vec<u32>,
    tables: Vec<u32>,
    memories: Vec<u32>,
    globals: Vec<u32>,
    tags: Vec<u32>,
}

/// Makes an instance and runs its initialisers and its start function.
pub(super) fn instantiate<T>(store: &mut StoreData<T>, module: &Module, imports: &[Extern]) -> Result<Instance, Error> {
    let inner = &mut store.inner;
    if !module.engine().same(&inner.engine) {
        return Err(LinkError::WrongEngine.into());
    }
    let mut linked = link(inner, module, imports)?;
    define(inner, module, &mut linked)?;
    inner.load_code(module)?;
    let number = inner.instances.len() as u32;
    let context = make_context(inner, module, &mut linked, number)?;
    let mut instance = InstanceData {
        module: module.clone(),
        context,
        imported_funcs: linked.imported_funcs.into(),
        tables: linked.tables.into(),
        memories: linked.memories.into(),
        globals: linked.globals.into(),
        tags: linked.tags.into(),
        elems: Box::default(),
    };
    instance.elems = element_segments(&instance);
    inner.instances.push(instance);
    let handle = Instance::from_number(inner, number);
    connect_host_funcs(inner, handle, number);
    object::publish();
    call::initialise(store, number)?;
    Ok(handle)
}

/// Checks the imports and sorts them into index spaces.
fn link(store: &StoreInner, module: &Module, imports: &[Extern]) -> Result<Linked, Error> {
    let expected = &module.meta().imports;
    if imports.len() != expected.len() {
        return Err(LinkError::ImportCount { expected: expected.len(), found: imports.len() }.into());
    }
    let mut linked = Linked::default();
    for (import, item) in expected.iter().zip(imports) {
        let (space, number) = match item {
            Extern::Func(func) => (&mut linked.imported_funcs, func.word(store)?),
            Extern::Table(table) => (&mut linked.tables, table.0.number(store)?),
            Extern::Memory(memory) => (&mut linked.memories, memory.0.number(store)?),
            Extern::Global(global) => (&mut linked.globals, global.0.number(store)?),
            Extern::Tag(tag) => (&mut linked.tags, tag.0.number(store)?),
        };
        if !import_matches(store, module, item, number, import)? {
            return Err(LinkError::IncompatibleImport {
                module: import.module.clone(),
                name: import.name.clone(),
                expected: module.extern_type(&import.ty).into(),
                found: item.type_in(store).into(),
            }
            .into());
        }
        space.push(number);
    }
    Ok(linked)
}

/// Whether an item, whose number in the store is given, can be imported as what the module asks for.
fn import_matches(
    store: &StoreInner,
    module: &Module,
    item: &Extern,
    number: u32,
    import: &Import,
) -> Result<bool, Error> {
    let types = store.engine.types();
    let index = number as usize;
    let canonical = |index: u32| module.spaces().types[index as usize];
    let mapped = &mut |index: u32| Ok(canonical(index));
    Ok(match (item, import.ty) {
        (Extern::Func(func), raw::ExternType::Func(ty)) => {
            let (_, found) = call::function(store, *func)?;
            if import.exact { found == canonical(ty.0) } else { types.is_subtype(found, canonical(ty.0)) }
        }
        (Extern::Table(_), raw::ExternType::Table(ty)) => {
            let element = map_ref_type(ty.element, mapped).map_err(StoreError::Type)?;
            types.table_matches(store.tables[index].ty(), raw::TableType { element, ..ty })
        }
        (Extern::Memory(_), raw::ExternType::Memory(ty)) => memory_matches(store.memories[index].ty(), ty),
        (Extern::Global(_), raw::ExternType::Global(ty)) => {
            let value = map_val_type(ty.value, mapped).map_err(StoreError::Type)?;
            types.global_matches(store.globals[index].ty(), raw::GlobalType { value, ..ty })
        }
        (Extern::Tag(_), raw::ExternType::Tag(ty)) => store.tags[index] == canonical(ty.0),
        _ => false,
    })
}

/// Adds the module's own tables, memories and tags to the store.
fn define(store: &mut StoreInner, module: &Module, linked: &mut Linked) -> Result<(), Error> {
    let spaces = module.spaces();
    for &ty in &spaces.tables[linked.tables.len()..] {
        linked.tables.push(store.tables.len() as u32);
        store.tables.push(TableData::new(ty, NULL_REF)?);
    }
    for &ty in &module.meta().memories[linked.memories.len()..] {
        linked.memories.push(store.memories.len() as u32);
        store.memories.push(MemoryData::new(ty)?);
    }
    for &ty in &spaces.tags[linked.tags.len()..] {
        linked.tags.push(store.tags.len() as u32);
        store.tags.push(ty);
    }
    Ok(())
}

/// Makes and fills the context, and adds the module's own globals and functions to the store.
fn make_context(
    store: &mut StoreInner,
    module: &Module,
    linked: &mut Linked,
    number: u32,
) -> Result<InstanceContext, Error> {
    let engine = store.engine.clone();
    let types = engine.types();
    let mut context = InstanceContext::new(module.layout().clone());
    let store_address = std::ptr::from_ref::<StoreInner>(store) as u64;
    context.set_header(&InstanceHeader { runtime: number.into(), store: store_address });
    for (index, &ty) in module.spaces().types.iter().enumerate() {
        context.set_type_word(index, types.entry(ty).type_word);
    }
    for (index, &tag) in linked.tags.iter().enumerate() {
        let exn_type_word = types.exn_type_word(store.tags[tag as usize]).map_err(StoreError::Type)?;
        context.set_tag(index, tag, exn_type_word);
    }
    for (index, &memory) in linked.memories.iter().enumerate() {
        context.set_memory(index, store.memories[memory as usize].def());
    }
    for (index, &table) in linked.tables.iter().enumerate() {
        context.set_table(index, store.tables[table as usize].def());
    }
    for (index, (base, len_bytes)) in module.data().enumerate() {
        context.set_data(index, DataDef { base, len_bytes });
    }
    add_funcs(store, module, linked, &mut context)?;
    // Behind all that can fail: the store then knows globals that are in the context.
    add_globals(store, module, linked, &mut context);
    Ok(context)
}

fn add_globals(store: &mut StoreInner, module: &Module, linked: &mut Linked, context: &mut InstanceContext) {
    for (index, &global) in linked.globals.iter().enumerate() {
        context.set_imported_global(index, store.globals[global as usize].address());
    }
    for (defined, &ty) in module.spaces().globals[linked.globals.len()..].iter().enumerate() {
        linked.globals.push(store.globals.len() as u32);
        store.globals.push(context.global(defined, ty));
    }
}

/// Makes the objects of the functions that need one.
fn add_funcs(
    store: &mut StoreInner,
    module: &Module,
    linked: &Linked,
    context: &mut InstanceContext,
) -> Result<(), Error> {
    for (index, &word) in linked.imported_funcs.iter().enumerate() {
        if let Some(object) = ObjRef::from_word(word) {
            let func = object::func(&store.heap, object);
            context.set_imported_func(index, ImportedFunc { code: func.code, instance: func.instance });
        }
    }
    let engine = store.engine.clone();
    for (position, &func) in module.meta().func_refs.iter().enumerate() {
        let word = match (linked.imported_funcs.get(func as usize), module.defined_code(func)) {
            (Some(&word), _) => word,
            (None, Some((entry, code))) => {
                let type_word = engine.types().entry(module.spaces().funcs[func as usize]).type_word;
                let instance = context.address().as_ptr() as u64;
                let func = FuncObject { type_word, func_index: func, code, instance, entry };
                let (heap, mut runtime) = store.heap_and_runtime();
                object::new_func(heap, &mut runtime, func).map_err(StoreError::Heap)?.word()
            }
            (None, None) => unreachable!("the loader has checked that defined functions have trampolines"),
        };
        context.set_func_ref(position, word);
    }
    Ok(())
}

/// The element segments; those whose elements are expressions are null until these have been evaluated.
fn element_segments(instance: &InstanceData) -> Box<[Vec<u32>]> {
    let segment = |items: &ElemItems| match items {
        ElemItems::Funcs(funcs) => funcs.iter().map(|&func| instance.func_ref(func)).collect(),
        ElemItems::Exprs(count) => vec![NULL_REF; *count as usize],
    };
    instance.module.meta().elems.iter().map(|elem| segment(&elem.items)).collect()
}

/// Lets host functions among the imports know who calls them.
fn connect_host_funcs(store: &mut StoreInner, handle: Instance, number: u32) {
    for index in 0..store.instances[number as usize].imported_funcs.len() {
        let word = store.instances[number as usize].imported_funcs[index];
        let Some(object) = ObjRef::from_word(word) else { continue };
        let func = object::func(&store.heap, object);
        if func.func_index == NO_FUNC_INDEX {
            let instance = call::imported_by(store, func.instance, handle);
            let imported = ImportedFunc { code: func.code, instance };
            store.instances[number as usize].context.set_imported_func(index, imported);
        }
    }
}
