//! References that C holds.
//!
//! A `wasm_obj_t` is the address of an [`Object`], which roots what it refers to; an `i31` is a number with its lowest
//! bit set instead, which needs no room. The interface that this library follows hands out bare references, which are
//! good until the next collection unless C roots them; here all of them are rooted, for as long as their *scope* lasts:
//!
//! - while a C function that a module has called runs, references that it gets are in its scope, and go when it returns;
//! - otherwise they are in that of the execution environment, and go with it;
//! - `dolmen_scope_open` and `dolmen_scope_close` nest others, for loops.
//!
//! Objects of a scope are in a list of the environment's, innermost last.

use crate::failure::Failure;
use runtime::{AnyRef, ExnRef, ExternRef, Func, HeapType, Val, ValType};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A `wasm_obj_t` that is no `i31`.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) reference: Reference,
}

/// What an object is.
#[derive(Clone, Debug)]
pub(crate) enum Reference {
    Any(AnyRef),
    Extern(ExternRef),
    Func(Func),
    Exn(ExnRef),
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

impl Handles {
    /// Hands out an object in the innermost scope.
    pub(crate) fn add(&self, object: Object) -> *const Object {
        let pointer = Box::into_raw(Box::new(object));
        self.lock().push(Owned(pointer));
        pointer
    }

    /// Where a scope starts that is opened now.
    pub(crate) fn mark(&self) -> usize {
        self.lock().len()
    }

    /// Ends all scopes that were opened at this mark or later.
    pub(crate) fn release(&self, mark: usize) {
        let released = {
            let mut objects = self.lock();
            let mark = mark.min(objects.len());
            objects.split_off(mark)
        };
        drop(released);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Owned>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reference {
    fn to_val(&self) -> Val {
        match self {
            Self::Any(any) => Val::AnyRef(Some(any.clone())),
            Self::Extern(value) => Val::ExternRef(Some(value.clone())),
            Self::Func(func) => Val::FuncRef(Some(*func)),
            Self::Exn(exn) => Val::ExnRef(Some(exn.clone())),
        }
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
    std::ptr::without_provenance((((value & 0x7fff_ffff) << 1) | 1) as usize)
}

/// A reference for C, in the innermost scope of an environment; null for null.
pub(crate) fn to_c(handles: &Handles, value: Val) -> *const Object {
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
    handles.add(Object { reference })
}

/// The reference of C's as a value of this type's hierarchy. Whether it is of the type, the runtime checks.
///
/// # Safety
///
/// The pointer must be null, an `i31` or an object whose scope has not ended.
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
    Ok(unsafe { &*pointer }.reference.to_val())
}
