//! Which stores the OS thread is in.
//!
//! The problem: a store is borrowed exclusively while it is used, and a C function that a module calls gets no borrow
//! that it could hand on: it has an execution environment, calls this library with it, and the library must find the
//! borrow that is on the stack below. So each way into a store leaves a [`Frame`] in a list of the OS thread:
//!
//! - a call of an export says who calls ([`call`]);
//! - a C function that is called has the store ([`native`]);
//! - while a C function has given the store up, or runs where the store is in the middle of something, it has not
//!   ([`without_store`]).
//!
//! Invariant: the frame of a store that is nearest to the end tells the truth. A borrow in a frame is used by what runs
//! above it only, and by nobody else as long as the frame is there.

use crate::exec_env::ExecEnv;
use crate::instance::{HostState, StoreShared};
use runtime::{Caller, StoreContextMut};
use std::cell::RefCell;
use std::ptr::NonNull;

/// How far an OS thread is in a store.
#[derive(Clone, Copy)]
struct Frame {
    store: *const StoreShared,
    env: *const ExecEnv,
    access: Access,
}

/// What may be done with the store.
#[derive(Clone, Copy)]
enum Access {
    /// Code runs, of which only C functions with a frame of their own get here.
    Runs,
    /// The borrow of a C function that was called.
    Borrowed(NonNull<Caller<'static, HostState>>),
    /// Nothing: it was given up, or is busy.
    None,
}

thread_local! {
    static FRAMES: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
}

/// A way to use a store.
pub(crate) enum Entrance {
    /// The thread is not in the store.
    Outside,
    /// The thread has it.
    Borrowed(Borrow),
    /// The thread is in it, but cannot use it.
    Busy,
}

/// The borrow of a C function that is running.
pub(crate) struct Borrow(NonNull<Caller<'static, HostState>>);

impl Borrow {
    /// The store.
    pub(crate) fn context<R>(self, work: impl FnOnce(StoreContextMut<'_, HostState>) -> R) -> R {
        // SAFETY: the frame is there, so the C function that was given the borrow runs, above it nobody uses it: what
        // is called from here on finds the frame again only through another C function, which brings its own.
        let caller = unsafe { &mut *self.0.as_ptr() };
        work(runtime::AsContextMut::as_context_mut(caller))
    }
}

/// How this OS thread gets into a store.
pub(crate) fn entrance(store: &StoreShared) -> Entrance {
    FRAMES.with_borrow(|frames| match frames.iter().rev().find(|frame| std::ptr::eq(frame.store, store)) {
        None => Entrance::Outside,
        Some(Frame { access: Access::Borrowed(caller), .. }) => Entrance::Borrowed(Borrow(*caller)),
        Some(_) => Entrance::Busy,
    })
}

/// Who has called code of a store last on this OS thread; null if nobody of this library.
pub(crate) fn caller_of(store: &StoreShared) -> *const ExecEnv {
    FRAMES.with_borrow(|frames| {
        let frame = frames.iter().rev().find(|frame| std::ptr::eq(frame.store, store) && !frame.env.is_null());
        frame.map_or(std::ptr::null(), |frame| frame.env)
    })
}

/// Does `work`, in which `env` calls code.
pub(crate) fn call<R>(store: &StoreShared, env: *const ExecEnv, work: impl FnOnce() -> R) -> R {
    framed(Frame { store, env, access: Access::Runs }, work)
}

/// Does `work`, in which a C function runs that has the store.
pub(crate) fn native<R>(
    store: &StoreShared,
    env: *const ExecEnv,
    caller: &mut Caller<'_, HostState>,
    work: impl FnOnce() -> R,
) -> R {
    // The frame is gone before the borrow ends.
    let caller = NonNull::from(caller).cast::<Caller<'static, HostState>>();
    framed(Frame { store, env, access: Access::Borrowed(caller) }, work)
}

/// Does `work`, in which nothing here may use the store.
pub(crate) fn without_store<R>(store: *const StoreShared, work: impl FnOnce() -> R) -> R {
    framed(Frame { store, env: std::ptr::null(), access: Access::None }, work)
}

fn framed<R>(frame: Frame, work: impl FnOnce() -> R) -> R {
    /// Takes the frame out, also after a panic.
    struct Pop;
    impl Drop for Pop {
        fn drop(&mut self) {
            FRAMES.with_borrow_mut(Vec::pop);
        }
    }
    FRAMES.with_borrow_mut(|frames| frames.push(frame));
    let _pop = Pop;
    work()
}
