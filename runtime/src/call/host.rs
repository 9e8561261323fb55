//! Functions of the host that wasm code calls.

use crate::error::{ArgumentError, Error, Place, StoreError};
use crate::externals::Func;
use crate::instance::Instance;
use crate::store::{Caller, StoreData, StoreInner};
use crate::types::FuncType;
use crate::value::{V128, Val};
use crate::vm::object::{FuncObject, new_func};
use dolmen_abi::artifact::NO_FUNC_INDEX;
use dolmen_abi::context::ValueSlot;
use dolmen_abi::types as raw;
use smallvec::SmallVec;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Arguments and results of up to this number need no allocation.
const INLINE_VALUES: usize = 8;

type ErasedClosure =
    dyn Fn(*mut StoreInner, Option<Instance>, &[Val], &mut [Val]) -> Result<(), Error> + Send + Sync + 'static;

/// A closure of the embedder's, without the type of its data.
#[derive(Clone)]
pub(crate) struct HostClosure(Arc<ErasedClosure>);

/// The record of a host function; compiled code holds its address as the function's instance.
#[derive(Debug)]
pub(crate) struct HostFunc {
    ty: FuncType,
    closure: HostClosure,
    /// Who calls, as far as known: the instance that imported the function.
    caller: OnceLock<Instance>,
}

impl HostClosure {
    /// Wraps a closure that runs in stores with data of type `T`.
    pub(crate) fn new<T: 'static>(
        closure: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(move |store: *mut StoreInner, instance, args: &[Val], results: &mut [Val]| {
            // SAFETY: `call` is promised the address of a store with data of type `T`, exclusively borrowed.
            let data = unsafe { &mut *store.cast::<StoreData<T>>() };
            closure(Caller::new(data, instance), args, results)
        }))
    }

    /// Runs the closure.
    ///
    /// # Safety
    ///
    /// `store` must be the start of a [`StoreData`] with the type of data that the closure was made for, and no
    /// reference to it may be used meanwhile.
    unsafe fn call(
        &self,
        store: *mut StoreInner,
        instance: Option<Instance>,
        args: &[Val],
        results: &mut [Val],
    ) -> Result<(), Error> {
        (self.0)(store, instance, args, results)
    }
}

impl fmt::Debug for HostClosure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostClosure")
    }
}

impl HostFunc {
    /// The reference words among arguments in slots.
    ///
    /// # Safety
    ///
    /// As for [`HostFunc::invoke`], but for the store.
    pub(crate) unsafe fn argument_words(func: u64, slots: *const ValueSlot) -> Vec<u32> {
        // SAFETY: records live in boxes as long as their store.
        let func = unsafe { &*(func as *const Self) };
        // SAFETY: the slots hold the arguments.
        unsafe { reference_words(&func.ty.raw().params, slots) }
    }

    /// The reference words among results in slots.
    ///
    /// # Safety
    ///
    /// As for [`HostFunc::invoke`], after it has returned, but for the store.
    pub(crate) unsafe fn result_words(func: u64, slots: *const ValueSlot) -> Vec<u32> {
        // SAFETY: records live in boxes as long as their store.
        let func = unsafe { &*(func as *const Self) };
        // SAFETY: the slots hold the results.
        unsafe { reference_words(&func.ty.raw().results, slots) }
    }

    /// Runs the function with the arguments in `slots` and leaves its results there. References among the
    /// arguments are rooted before anything else happens.
    ///
    /// # Errors
    ///
    /// The closure's, or if it leaves a result of the wrong type.
    ///
    /// # Safety
    ///
    /// - `func` must be the address of a record that [`new_host_func`] or [`imported_by`] made in the store;
    /// - `store` must be the start of the store's [`StoreData`], and no reference to it may be used meanwhile;
    /// - `slots` must hold the arguments of the function's type and have room for its results.
    pub(crate) unsafe fn invoke(func: u64, store: *mut StoreInner, slots: *mut ValueSlot) -> Result<(), Error> {
        // SAFETY: records live in boxes as long as their store, and do not change but for `caller`.
        let func = unsafe { &*(func as *const Self) };
        let ty = func.ty.raw();
        let count = ty.params.len().max(ty.results.len());
        // SAFETY: the caller's promise.
        let slots = unsafe { std::slice::from_raw_parts_mut(slots, count) };
        let mut values: SmallVec<[Val; INLINE_VALUES]> = SmallVec::with_capacity(ty.params.len() + ty.results.len());
        {
            // SAFETY: no other reference to the store is used meanwhile, by the caller's promise.
            let inner = unsafe { &mut *store };
            for (&param, &slot) in ty.params.iter().zip(slots.iter()) {
                values.push(Val::from_slot(inner, param, slot));
            }
        }
        values.extend(ty.results.iter().map(|&result| blank(result)));
        let (args, results) = values.split_at_mut(ty.params.len());
        // SAFETY: a closure is made into a function only in stores with its type of data; the rest is the
        // caller's promise.
        unsafe { func.closure.call(store, func.caller.get().copied(), args, results) }?;
        // SAFETY: as above.
        let inner = unsafe { &*store };
        for (index, ((result, &ty), slot)) in results.iter().zip(&ty.results).zip(slots).enumerate() {
            *slot = result.to_slot(inner, ty, Place::Result(index))?;
        }
        Ok(())
    }
}

/// Makes a function of the host's.
///
/// # Errors
///
/// If its type belongs to another engine, or the heap is full.
pub(crate) fn new_host_func<T: 'static>(
    store: &mut StoreData<T>,
    ty: FuncType,
    closure: HostClosure,
) -> Result<Func, Error> {
    let inner = &mut store.inner;
    if !ty.engine().same(&inner.engine) {
        return Err(ArgumentError::WrongStore.into());
    }
    let engine = inner.engine.clone();
    let entry = engine.types().entry(ty.canonical());
    let signature = entry.signature.ok_or(ArgumentError::WrongStore)?;
    let code = inner.trampolines(signature);
    let instance = inner.add_host_func(HostFunc { ty, closure, caller: OnceLock::new() });
    let object = FuncObject {
        type_word: entry.type_word,
        func_index: NO_FUNC_INDEX,
        code: code.host_call,
        instance,
        entry: code.entry,
    };
    let (heap, mut runtime) = inner.heap_and_runtime();
    let object = new_func(heap, &mut runtime, object).map_err(StoreError::Heap)?;
    if code.host_call == 0 {
        inner.wait_for_trampolines(signature, object);
    }
    Ok(Func::from_object(inner, object))
}

/// A record of the same function for the imports of one instance: it knows who calls. Returns its address.
pub(crate) fn imported_by(store: &mut StoreInner, record: u64, instance: Instance) -> u64 {
    // SAFETY: function objects with NO_FUNC_INDEX hold the address of a record, which lives as long as the store.
    let func = unsafe { &*(record as *const HostFunc) };
    // The first importer also counts as the caller through references.
    let _ = func.caller.set(instance);
    let (ty, closure) = (func.ty.clone(), func.closure.clone());
    store.add_host_func(HostFunc { ty, closure, caller: OnceLock::from(instance) })
}

/// Runs a host function that the host calls, without a way through compiled code.
pub(super) fn call_directly<T>(
    store: &mut StoreData<T>,
    record: u64,
    ty: &raw::FuncType,
    args: &[Val],
    results: &mut [Val],
) -> Result<(), Error> {
    for (index, (arg, &ty)) in args.iter().zip(&ty.params).enumerate() {
        arg.to_slot(&store.inner, ty, Place::Argument(index))?;
    }
    // SAFETY: as in `imported_by`.
    let closure = unsafe { &*(record as *const HostFunc) }.closure.clone();
    for (result, &ty) in results.iter_mut().zip(&ty.results) {
        *result = blank(ty);
    }
    let data: *mut StoreData<T> = store;
    // SAFETY: the function belongs to this store, so its closure was made for its type of data; the reference
    // is not used during the call. `inner` is at the start of the data.
    unsafe { closure.call(data.cast::<StoreInner>(), None, args, results) }?;
    // SAFETY: the call is over, so this is the only reference again.
    let inner = unsafe { &(*data).inner };
    for (index, (result, &ty)) in results.iter().zip(&ty.results).enumerate() {
        result.to_slot(inner, ty, Place::Result(index))?;
    }
    Ok(())
}

/// The reference words among values of these types.
///
/// # Safety
///
/// There must be as many slots.
unsafe fn reference_words(types: &[raw::ValType], slots: *const ValueSlot) -> Vec<u32> {
    let references = types.iter().enumerate().filter(|(_, ty)| ty.is_ref());
    // SAFETY: as the caller promises.
    references.map(|(index, _)| unsafe { (*slots.add(index)).0[0] as u32 }).collect()
}

/// What a result holds before the closure sets it.
fn blank(ty: raw::ValType) -> Val {
    match ty {
        raw::ValType::I32 => Val::I32(0),
        raw::ValType::I64 => Val::I64(0),
        raw::ValType::F32 => Val::F32(0),
        raw::ValType::F64 => Val::F64(0),
        raw::ValType::V128 => Val::V128(V128::default()),
        raw::ValType::Ref(ty) => match ty.heap {
            raw::HeapType::Func | raw::HeapType::NoFunc => Val::FuncRef(None),
            raw::HeapType::Extern | raw::HeapType::NoExtern => Val::ExternRef(None),
            raw::HeapType::Exn | raw::HeapType::NoExn => Val::ExnRef(None),
            _ => Val::AnyRef(None),
        },
    }
}
