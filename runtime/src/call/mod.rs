//! Calls in both directions.
//!
//! Host to wasm: check the arguments, write them into slots, run the code through the entry trampoline of its
//! signature, root what comes back. Wasm to host: the same in reverse ([`HostFunc::invoke`]), called by the
//! builtin `host_call`. The embedder's data type is known at both ends but not in between, where a store is a
//! pointer to its [`StoreInner`], which lies at the start of the whole [`StoreData`].

mod host;

pub(crate) use host::{HostClosure, HostFunc, imported_by, new_host_func};

use crate::error::{ArgumentError, Error, Exception, Place};
use crate::externals::{Func, Tag};
use crate::store::{StoreData, StoreInner};
use crate::thread::{Callee, Thread};
use crate::trap::{Raised, resolve};
use crate::types::registry::TypeEntry;
use crate::value::{ExnRef, Val};
use crate::vm::object::{self, FuncObject};
use dolmen_abi::artifact::NO_FUNC_INDEX;
use dolmen_abi::context::ValueSlot;
use dolmen_abi::types::{CompositeType, FuncType, ValType};
use dolmen_gc_heap::ObjRef;
use smallvec::{SmallVec, smallvec};

/// The type of initialisers and start functions.
const NO_VALUES: FuncType = FuncType { params: Vec::new(), results: Vec::new() };

/// Argument arrays of up to this many slots need no allocation.
const INLINE_SLOTS: usize = 8;

/// Calls a function with arguments of any types, which are checked.
///
/// # Errors
///
/// If arguments or results do not fit, or the function does not return.
pub(crate) fn call<T>(store: &mut StoreData<T>, func: Func, args: &[Val], results: &mut [Val]) -> Result<(), Error> {
    let engine = store.inner.engine.clone();
    let (object, canonical) = function(&store.inner, func)?;
    let entry = engine.types().entry(canonical);
    let ty = func_type(entry);
    check_counts(ty, args, results)?;
    if object.func_index == NO_FUNC_INDEX {
        return host::call_directly(store, object.instance, ty, args, results);
    }
    let mut slots: SmallVec<[ValueSlot; INLINE_SLOTS]> = SmallVec::with_capacity(args.len().max(results.len()));
    for (index, (arg, &ty)) in args.iter().zip(&ty.params).enumerate() {
        slots.push(arg.to_slot(&store.inner, ty, Place::Argument(index))?);
    }
    slots.resize(args.len().max(results.len()), ValueSlot::default());
    let callee = Callee { entry: object.entry, code: object.code, instance: object.instance };
    // SAFETY: the parts of a callee come from one function object, whose instance lives as long as the store;
    // the slots hold arguments of the function's parameter types, and as many values as it has results fit.
    unsafe { enter(store, callee, &mut slots, ty) }?;
    for ((result, &ty), &slot) in results.iter_mut().zip(&ty.results).zip(&slots) {
        *result = Val::from_slot(&mut store.inner, ty, slot);
    }
    Ok(())
}

/// Checks that a function can be called with these arguments; returns how many results it has.
///
/// # Errors
///
/// If number or types of the arguments are wrong, or something belongs to another store.
pub(crate) fn check(store: &StoreInner, func: Func, args: &[Val]) -> Result<usize, ArgumentError> {
    let engine = store.engine.clone();
    let (_, canonical) = function(store, func)?;
    let ty = func_type(engine.types().entry(canonical));
    if args.len() != ty.params.len() {
        return Err(ArgumentError::ArgumentCount { expected: ty.params.len(), found: args.len() });
    }
    for (index, (arg, &ty)) in args.iter().zip(&ty.params).enumerate() {
        arg.to_slot(store, ty, Place::Argument(index))?;
    }
    Ok(ty.results.len())
}

/// Runs the functions that initialise an instance, then its start function.
///
/// # Errors
///
/// If one of them does not return.
pub(crate) fn initialise<T>(store: &mut StoreData<T>, number: u32) -> Result<(), Error> {
    let instance = &store.inner.instances[number as usize];
    let module = instance.module.clone();
    let context = instance.context.address().as_ptr() as u64;
    if let Some((entry, codes)) = module.init_code() {
        for code in codes {
            // SAFETY: code and trampoline are those of the instance's module, made for `() -> ()`.
            unsafe { enter(store, Callee { entry, code, instance: context }, &mut [], &NO_VALUES) }?;
        }
    }
    // The globals have their values.
    object::publish();
    let Some(start) = module.meta().start else { return Ok(()) };
    match module.defined_code(start) {
        Some((entry, code)) => {
            // SAFETY: as above; the loader has checked that the start function is `() -> ()`.
            unsafe { enter(store, Callee { entry, code, instance: context }, &mut [], &NO_VALUES) }
        }
        None => {
            let word = store.inner.instances[number as usize].imported_funcs[start as usize];
            match Func::from_word(&store.inner, word) {
                Some(func) => call(store, func, &[], &mut []),
                None => Ok(()),
            }
        }
    }
}

/// The function object of a handle and its canonical type.
pub(crate) fn function(store: &StoreInner, func: Func) -> Result<(FuncObject, u32), ArgumentError> {
    let word = func.word(store)?;
    let object = ObjRef::from_word(word).ok_or(ArgumentError::WrongStore)?;
    let object = object::func(&store.heap, object);
    let canonical = store.engine.types().canonical_of_word(object.type_word).ok_or(ArgumentError::WrongStore)?;
    Ok((object, canonical))
}

/// Runs compiled code in a store. References in the slots are rooted by nobody afterwards.
///
/// # Safety
///
/// The parts of the callee must belong together, its instance must be alive in the store; the slots must hold
/// the arguments and have room for the results.
unsafe fn enter<T>(
    store: &mut StoreData<T>,
    callee: Callee,
    slots: &mut [ValueSlot],
    ty: &FuncType,
) -> Result<(), Error> {
    let data: *mut StoreData<T> = store;
    // SAFETY: derived from an exclusive reference just above.
    let thread = unsafe { (*data).inner.threads.current_ptr() };
    // The caller's values keep the arguments alive, but not where they are.
    let words = reference_words(&ty.params, slots);
    // SAFETY: the thread is the running one, since it uses the store.
    unsafe { Thread::release_store(thread, data.cast(), &words) };
    // SAFETY: thread and store belong together, both are derived from the exclusive reference that is not used
    // during the call; the rest is the caller's promise. `inner` is at the start of the data.
    let outcome = unsafe { Thread::call(thread, data.cast::<StoreInner>(), callee, slots.as_mut_ptr()) };
    let words = match &outcome {
        Ok(()) => reference_words(&ty.results, slots),
        Err(Raised::Exception(word)) => smallvec![*word],
        Err(_) => SmallVec::new(),
    };
    // SAFETY: the thread is still the running one.
    unsafe { Thread::take_store(thread, &words) };
    // SAFETY: the call is over and the store taken, so this is the only reference again.
    let inner = unsafe { &mut (*data).inner };
    outcome.map_err(|raised| into_error(inner, raised))
}

/// The reference words among values of these types.
fn reference_words(types: &[ValType], slots: &[ValueSlot]) -> SmallVec<[u32; INLINE_SLOTS]> {
    types.iter().zip(slots).filter(|(ty, _)| ty.is_ref()).map(|(_, slot)| slot.0[0] as u32).collect()
}

/// What the embedder sees of code that did not return. Panics go on.
fn into_error(store: &mut StoreInner, raised: Raised) -> Error {
    match raised {
        Raised::Trap(raw) => Error::Trap(resolve(store.threads.current().code(), &raw)),
        Raised::Error(error) => error,
        Raised::Panic(payload) => std::panic::resume_unwind(payload),
        Raised::Exception(word) => {
            let tag = ObjRef::from_word(word).map_or(0, |exn| object::exn_tag_id(&store.heap, exn));
            let tag = Tag::from_number(store, tag);
            match ExnRef::from_word(store, word) {
                Some(exn) => Error::Exception(Exception { exn, tag }),
                None => unreachable!("compiled code throws no null"),
            }
        }
    }
}

fn func_type(entry: &TypeEntry) -> &FuncType {
    match &entry.sub.composite {
        CompositeType::Func(func) => func,
        _ => unreachable!("function objects have function types"),
    }
}

fn check_counts(ty: &FuncType, args: &[Val], results: &[Val]) -> Result<(), ArgumentError> {
    if args.len() != ty.params.len() {
        return Err(ArgumentError::ArgumentCount { expected: ty.params.len(), found: args.len() });
    }
    if results.len() != ty.results.len() {
        return Err(ArgumentError::ResultCount { expected: ty.results.len(), found: results.len() });
    }
    Ok(())
}
