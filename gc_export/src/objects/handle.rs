//! References that C holds.
//!
//! A `wasm_obj_t` is the address of an [`Object`], which roots what it refers to; an `i31` is a number with its lowest
//! bit set instead, which needs no room. The interface that this library follows hands out bare references, which are
//! good until the next collection unless C roots them; here all of them are rooted, for as long as their *scope* lasts:
//!
//! - while a C function that a module has called runs, references that it gets are in its scope, and go when it returns;
//! - otherwise they are in that of the execution environment, and go with it;
//! - `dolmen_scope_open` and `dolmen_scope_close` nest others, for loops;
//! - one that is pinned stays beyond its scope until it is unpinned.
//!
//! Objects of a scope are in a list of the environment's, innermost last.
//!
//! Structs and arrays that C makes can be [in the making](super::building).

use super::building::Building;
use crate::entered;
use crate::failure::Failure;
use crate::instance::{HostState, InstanceRecord};
use runtime::{AnyRef, ExnRef, ExternRef, Func, HeapType, StoreContextMut, Val, ValType};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A `wasm_obj_t` that is no `i31`.
#[derive(Debug)]
pub(crate) struct Object {
    /// The instance whose environment got it.
    record: *const InstanceRecord,
    reference: Mutex<Reference>,
    pins: AtomicU32,
}

/// What an object is.
#[derive(Clone, Debug)]
pub(crate) enum Reference {
    Any(AnyRef),
    Extern(ExternRef),
    Func(Func),
    Exn(ExnRef),
    Building(Building),
}

/// The references that an environment holds, in nested scopes.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    objects: Mutex<Vec<Owned>>,
}

/// An object that was handed to C.
#[derive(Debug)]
struct Owned(*mut Object);

// SAFETY: the object may be sent: roots may, and its record's address, too.
unsafe impl Send for Owned {}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: `Handles::add` has leaked the box, and nobody else frees it.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

impl Owned {
    fn is_pinned(&self) -> bool {
        // SAFETY: the object is there until it is dropped. Relaxed: a count.
        unsafe { (*self.0).pins.load(Ordering::Relaxed) > 0 }
    }
}

impl Object {
    /// The instance that it belongs to.
    pub(crate) fn record(&self) -> &InstanceRecord {
        // SAFETY: an environment ends its handles before its instance's record.
        unsafe { &*self.record }
    }

    /// What it is now.
    pub(crate) fn reference(&self) -> Reference {
        self.lock().clone()
    }

    /// Lets `change` change what it is.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut Reference) -> R) -> R {
        change(&mut self.lock())
    }

    /// The reference as a value. An object in the making is made.
    pub(crate) fn to_val(&self) -> Result<Val, Failure> {
        Ok(match self.reference() {
            Reference::Any(any) => any.into(),
            Reference::Extern(value) => value.into(),
            Reference::Func(func) => func.into(),
            Reference::Exn(exn) => exn.into(),
            Reference::Building(building) => {
                let any = self.record().with(|context| building.make(context))??;
                *self.lock() = Reference::Any(any.clone());
                any.into()
            }
        })
    }

    /// The object as one of the `any` hierarchy. One in the making is made.
    pub(crate) fn to_any(&self) -> Result<AnyRef, Failure> {
        match self.to_val()? {
            Val::AnyRef(Some(any)) => Ok(any),
            _ => Err(Failure::argument("the reference is of another hierarchy than any")),
        }
    }

    /// A reference that was found by way of this one: it goes to the environment that calls, or else the instance's.
    pub(crate) fn sibling(&self, value: Val) -> *const Object {
        let record = self.record();
        let caller = entered::caller_of(&record.shared);
        // SAFETY: an environment stays as long as it calls.
        let env = unsafe { caller.as_ref() }.unwrap_or_else(|| record.singleton());
        to_c(&env.handles, env.record(), value)
    }

    /// One pin more, or less; `false` if there was none.
    pub(crate) fn pin(&self, pinned: bool) -> bool {
        // Relaxed: a count.
        if pinned {
            self.pins.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        self.pins.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |pins| pins.checked_sub(1)).is_ok()
    }

    fn lock(&self) -> MutexGuard<'_, Reference> {
        self.reference.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handles {
    /// Hands out a reference in the innermost scope.
    pub(crate) fn add(&self, record: &InstanceRecord, reference: Reference) -> *const Object {
        let object = Object { record, reference: Mutex::new(reference), pins: AtomicU32::new(0) };
        let pointer = Box::into_raw(Box::new(object));
        self.lock().push(Owned(pointer));
        pointer
    }

    /// Where a scope starts that is opened now.
    pub(crate) fn mark(&self) -> usize {
        self.lock().len()
    }

    /// Ends all scopes that were opened at this mark or later. What is pinned goes to the scope around them.
    pub(crate) fn release(&self, mark: usize) {
        let released: Vec<Owned> = {
            let mut objects = self.lock();
            let mark = mark.min(objects.len());
            let (pinned, released) = objects.split_off(mark).into_iter().partition(Owned::is_pinned);
            objects.append(&mut { pinned });
            released
        };
        drop(released);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Owned>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a pointer of C's is an `i31`.
pub(crate) fn is_i31(pointer: *const Object) -> bool {
    pointer.addr() & 1 == 1
}

/// The `i31` that a pointer of C's is.
pub(crate) fn i31_of(pointer: *const Object) -> Option<AnyRef> {
    is_i31(pointer).then(|| AnyRef::from_i31((pointer.addr() >> 1) as i32))
}

/// An `i31` as C has it: its 31 bits above the mark.
pub(crate) fn i31_to_c(value: u32) -> *const Object {
    std::ptr::without_provenance((((value as usize) & 0x7fff_ffff) << 1) | 1)
}

/// The object at a pointer of C's, if it is one.
///
/// # Safety
///
/// The pointer must be null, an `i31` or an object whose scope has not ended.
pub(crate) unsafe fn object<'a>(pointer: *const Object) -> Option<&'a Object> {
    if is_i31(pointer) {
        return None;
    }
    // SAFETY: as the caller promises.
    unsafe { pointer.as_ref() }
}

/// A reference for C, in the innermost scope of an environment; null for null.
pub(crate) fn to_c(handles: &Handles, record: &InstanceRecord, value: Val) -> *const Object {
    let reference = match value {
        Val::AnyRef(Some(any)) => match any.as_i31_u() {
            Some(value) => return i31_to_c(value),
            None => Reference::Any(any),
        },
        Val::ExternRef(Some(value)) => Reference::Extern(value),
        Val::FuncRef(Some(func)) => Reference::Func(func),
        Val::ExnRef(Some(exn)) => Reference::Exn(exn),
        _ => return std::ptr::null(),
    };
    handles.add(record, reference)
}

/// The reference of C's as a value of this type's hierarchy. Whether it is of the type, the runtime checks.
///
/// # Safety
///
/// As for [`object`].
pub(crate) unsafe fn from_c(pointer: *const Object, ty: &ValType) -> Result<Val, Failure> {
    let Some(ty) = ty.as_ref() else { return Err(Failure::argument("a reference where a number is expected")) };
    if pointer.is_null() {
        return Ok(Val::null_ref(ty.heap_type()));
    }
    if let Some(any) = i31_of(pointer) {
        let is_extern = ty.heap_type().top() == HeapType::Extern;
        return Ok(if is_extern { ExternRef::from(any).into() } else { any.into() });
    }
    // SAFETY: as the caller promises.
    unsafe { &*pointer }.to_val()
}

/// What [`Building::make`] is given.
pub(super) type Context<'a> = StoreContextMut<'a, HostState>;
