//! Borrowed stores, and the traits that let every operation take whichever is at hand.

use super::{GcStats, Store, StoreData, StoreInner};
use crate::engine::Engine;
use crate::error::Error;
use crate::externals::{Extern, Func};
use crate::instance::Instance;
use crate::thread::StoppedWorld;
use crate::thread::blocking::unlocked_until_interrupted;
use crate::thread::control::stopped;
use crate::thread::spawn::{JoinHandle, OnFailure, spawn};
use crate::thread::unlocked::unlocked;
use crate::value::Val;
use std::os::fd::BorrowedFd;

/// A shared borrow of a [`Store`].
#[derive(Debug)]
pub struct StoreContext<'a, T>(pub(crate) &'a StoreData<T>);

/// An exclusive borrow of a [`Store`].
#[derive(Debug)]
pub struct StoreContextMut<'a, T>(pub(crate) &'a mut StoreData<T>);

/// What a host function gets of the store it was called in.
#[derive(Debug)]
pub struct Caller<'a, T> {
    store: StoreContextMut<'a, T>,
    instance: Option<Instance>,
}

/// Whatever gives shared access to a store.
pub trait AsContext {
    /// The embedder's data in the store.
    type Data;

    /// The store, borrowed.
    fn as_context(&self) -> StoreContext<'_, Self::Data>;
}

/// Whatever gives exclusive access to a store.
pub trait AsContextMut: AsContext {
    /// The store, exclusively borrowed.
    fn as_context_mut(&mut self) -> StoreContextMut<'_, Self::Data>;
}

impl<'a, T> StoreContext<'a, T> {
    /// The embedder's data.
    #[must_use]
    pub fn data(&self) -> &'a T {
        &self.0.data
    }

    /// The store's engine.
    #[must_use]
    pub fn engine(&self) -> &'a Engine {
        &self.0.inner.engine
    }

    /// What the collector did so far.
    #[must_use]
    pub fn gc_stats(&self) -> GcStats {
        self.0.inner.gc_stats()
    }

    pub(crate) fn inner(&self) -> &'a StoreInner {
        &self.0.inner
    }
}

impl<T> StoreContextMut<'_, T> {
    /// The embedder's data.
    #[must_use]
    pub fn data(&self) -> &T {
        &self.0.data
    }

    /// The embedder's data.
    pub fn data_mut(&mut self) -> &mut T {
        &mut self.0.data
    }

    /// The store's engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.0.inner.engine
    }

    /// Collects the whole heap.
    ///
    /// # Errors
    ///
    /// As of [`Store::gc`].
    pub fn gc(&mut self) -> Result<(), Error> {
        self.0.inner.gc()
    }

    /// [`Store::set_heap_soft_max_bytes`].
    pub fn set_heap_soft_max_bytes(&mut self, bytes: u64) {
        self.0.inner.heap.set_soft_max_bytes(bytes);
    }

    /// Does `work`, which cannot use the store, while other threads of the store can. A host function that waits
    /// for anything should do so here: as long as it has the store, no other thread gets further than to its next
    /// call of a host function, or its next allocation that is not inline.
    pub fn unlocked<R>(&mut self, work: impl FnOnce() -> R) -> R {
        unlocked(self.0, work)
    }

    /// [`StoreContextMut::unlocked`] for `work` that may take long: an [interruption](crate::InterruptHandle) makes
    /// the descriptor that it is given readable. So `work` polls that one together with what it waits for, and returns
    /// when it can be read. It is not to be read from. If the thread was interrupted before, `work` is not done at all.
    ///
    /// # Errors
    ///
    /// The trap [`TrapCode::Interrupt`](crate::TrapCode::Interrupt), for the host function to return, if the thread was
    /// interrupted; if the system has no descriptor left.
    pub fn unlocked_until_interrupted<R>(&mut self, work: impl FnOnce(BorrowedFd<'_>) -> R) -> Result<R, Error> {
        unlocked_until_interrupted(self.0, work)
    }

    /// Takes an interruption of the calling thread back that its code has not seen yet; `false` if there is none.
    pub fn clear_interrupt(&mut self) -> bool {
        self.0.inner.threads.current_mut().take_interrupt()
    }

    /// Takes a [`ThreadControl::time_out`](crate::ThreadControl::time_out) of the calling thread back that its code has not
    /// seen yet; `false` if there is none. An interruption stays.
    pub fn clear_timeout(&mut self) -> bool {
        self.0.inner.threads.current_mut().take_timeout()
    }

    /// Does something while all other threads of the store stand still.
    pub fn with_world_stopped<R>(&mut self, work: impl FnOnce(&mut StoppedWorld<'_>) -> R) -> R {
        stopped(&mut self.0.inner, work)
    }

    pub(crate) fn inner_mut(&mut self) -> &mut StoreInner {
        &mut self.0.inner
    }
}

impl<T: Send + 'static> StoreContextMut<'_, T> {
    /// Starts a thread that calls a function of this store.
    ///
    /// All threads of a store share everything in it. Code that they run is truly parallel; but who uses the store
    /// in Rust has it alone. So the thread begins when the caller's thread next runs code, joins a thread, or does
    /// something [unlocked](Self::unlocked).
    ///
    /// # Errors
    ///
    /// If number or types of the arguments are wrong; if some code of the store was compiled without polls; if the
    /// system has no room for a thread.
    pub fn spawn(&mut self, func: Func, args: &[Val]) -> Result<JoinHandle, Error> {
        spawn(self.0, func, args, Box::new(|_| ()))
    }
}

impl<'a, T> Caller<'a, T> {
    pub(crate) fn new(store: &'a mut StoreData<T>, instance: Option<Instance>) -> Self {
        Self { store: StoreContextMut(store), instance }
    }

    /// The embedder's data.
    #[must_use]
    pub fn data(&self) -> &T {
        self.store.data()
    }

    /// The embedder's data.
    pub fn data_mut(&mut self) -> &mut T {
        self.store.data_mut()
    }

    /// The store's engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        self.store.engine()
    }

    /// Collects the whole heap.
    ///
    /// # Errors
    ///
    /// As of [`Store::gc`].
    pub fn gc(&mut self) -> Result<(), Error> {
        self.store.gc()
    }

    /// Does `work`, which cannot use the store, while other threads can: see [`StoreContextMut::unlocked`].
    pub fn unlocked<R>(&mut self, work: impl FnOnce() -> R) -> R {
        self.store.unlocked(work)
    }

    /// [`Caller::unlocked`] for `work` that may take long: see [`StoreContextMut::unlocked_until_interrupted`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn unlocked_until_interrupted<R>(&mut self, work: impl FnOnce(BorrowedFd<'_>) -> R) -> Result<R, Error> {
        self.store.unlocked_until_interrupted(work)
    }

    /// An export of the instance that imported the function and called it. `None` if it has no such export, or
    /// if the host called.
    pub fn get_export(&mut self, name: &str) -> Option<Extern> {
        self.instance?.get_export(&mut self.store, name)
    }

    /// The instance that imported the function and called it. A function that is called through a reference
    /// counts as called by the instance that imported it first.
    #[must_use]
    pub fn instance(&self) -> Option<Instance> {
        self.instance
    }
}

impl<T: Send + 'static> Caller<'_, T> {
    /// Starts a thread that calls a function of this store: see [`StoreContextMut::spawn`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn spawn(&mut self, func: Func, args: &[Val]) -> Result<JoinHandle, Error> {
        self.store.spawn(func, args)
    }

    /// [`Caller::spawn`]; if the function does not return, something is done about it at once.
    pub(crate) fn spawn_watched(
        &mut self,
        func: Func,
        args: &[Val],
        on_failure: OnFailure,
    ) -> Result<JoinHandle, Error> {
        spawn(self.store.0, func, args, on_failure)
    }
}

impl<T: Send + 'static> Store<T> {
    /// Starts a thread that calls a function of this store: see [`StoreContextMut::spawn`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn spawn(&mut self, func: Func, args: &[Val]) -> Result<JoinHandle, Error> {
        self.as_context_mut().spawn(func, args)
    }
}

impl<T> Store<T> {
    /// Does something while all other threads of the store stand still.
    pub fn with_world_stopped<R>(&mut self, work: impl FnOnce(&mut StoppedWorld<'_>) -> R) -> R {
        self.as_context_mut().with_world_stopped(work)
    }

    /// Does `work`, which cannot use the store, while its threads can: see [`StoreContextMut::unlocked`].
    pub fn unlocked<R>(&mut self, work: impl FnOnce() -> R) -> R {
        self.as_context_mut().unlocked(work)
    }
}

impl<T> AsContext for Store<T> {
    type Data = T;

    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(self.context())
    }
}

impl<T> AsContextMut for Store<T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        StoreContextMut(Store::context_mut(self))
    }
}

impl<T> AsContext for StoreContext<'_, T> {
    type Data = T;

    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(self.0)
    }
}

impl<T> AsContext for StoreContextMut<'_, T> {
    type Data = T;

    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(self.0)
    }
}

impl<T> AsContextMut for StoreContextMut<'_, T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        StoreContextMut(self.0)
    }
}

impl<T> AsContext for Caller<'_, T> {
    type Data = T;

    fn as_context(&self) -> StoreContext<'_, T> {
        self.store.as_context()
    }
}

impl<T> AsContextMut for Caller<'_, T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        self.store.as_context_mut()
    }
}

impl<'a, T> From<&'a Store<T>> for StoreContext<'a, T> {
    fn from(store: &'a Store<T>) -> Self {
        StoreContext(store.context())
    }
}

impl<'a, T> From<&'a mut Store<T>> for StoreContext<'a, T> {
    fn from(store: &'a mut Store<T>) -> Self {
        StoreContext(store.context())
    }
}

impl<'a, T> From<&'a mut Store<T>> for StoreContextMut<'a, T> {
    fn from(store: &'a mut Store<T>) -> Self {
        StoreContextMut(Store::context_mut(store))
    }
}

impl<'a, T> From<&'a StoreContextMut<'_, T>> for StoreContext<'a, T> {
    fn from(store: &'a StoreContextMut<'_, T>) -> Self {
        StoreContext(store.0)
    }
}

impl<'a, T> From<&'a mut StoreContextMut<'_, T>> for StoreContext<'a, T> {
    fn from(store: &'a mut StoreContextMut<'_, T>) -> Self {
        StoreContext(store.0)
    }
}

impl<'a, T> From<&'a mut StoreContextMut<'_, T>> for StoreContextMut<'a, T> {
    fn from(store: &'a mut StoreContextMut<'_, T>) -> Self {
        StoreContextMut(store.0)
    }
}

impl<'a, T> From<&'a Caller<'_, T>> for StoreContext<'a, T> {
    fn from(caller: &'a Caller<'_, T>) -> Self {
        StoreContext(caller.store.0)
    }
}

impl<'a, T> From<&'a mut Caller<'_, T>> for StoreContext<'a, T> {
    fn from(caller: &'a mut Caller<'_, T>) -> Self {
        StoreContext(caller.store.0)
    }
}

impl<'a, T> From<&'a mut Caller<'_, T>> for StoreContextMut<'a, T> {
    fn from(caller: &'a mut Caller<'_, T>) -> Self {
        StoreContextMut(caller.store.0)
    }
}

impl<C: AsContext> AsContext for &C {
    type Data = C::Data;

    fn as_context(&self) -> StoreContext<'_, C::Data> {
        C::as_context(self)
    }
}

impl<C: AsContext> AsContext for &mut C {
    type Data = C::Data;

    fn as_context(&self) -> StoreContext<'_, C::Data> {
        C::as_context(self)
    }
}

impl<C: AsContextMut> AsContextMut for &mut C {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, C::Data> {
        C::as_context_mut(self)
    }
}
