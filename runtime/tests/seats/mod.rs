//! A store of nothing but threads, for tests of seats without compiled code.
//!
//! Seats, the list of threads, the end of a store and the protocol between threads are the runtime's own
//! (`src/thread/{seat,list,unlocked,world}.rs`), compiled into the test with what stands here in the place of the store and
//! of a thread's record. Each access to the list of threads touches a cell, so that `loom` sees those that nothing orders;
//! so do the flag that makes a thread follow the protocol, the embedder's data, and each thread's part of a heap.

#![allow(unsafe_code, reason = "plays the runtime, whose threads share a store by its address")]
#![allow(dead_code, reason = "the test uses a part of what the runtime has")]

use crate::list::Threads;
use crate::world::{INTERRUPT, MemberId, Poll, StoreAddress, World};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, Ordering};
use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;

/// What belongs to one thread at a time.
#[derive(Default)]
pub(crate) struct Cell(UnsafeCell<u32>);

// SAFETY: that accesses are ordered is what is tested.
unsafe impl Send for Cell {}
// SAFETY: as above.
unsafe impl Sync for Cell {}

impl Cell {
    pub(crate) fn touch(&self) {
        // SAFETY: `loom` fails the test if another access is not ordered with this one.
        self.0.with_mut(|value| unsafe { *value += 1 });
    }

    pub(crate) fn get(&self) -> u32 {
        // SAFETY: as above, but for other reads.
        self.0.with(|value| unsafe { *value })
    }
}

/// Something whose accesses `loom` sees.
#[derive(Default)]
pub(crate) struct Watched<T> {
    value: T,
    cell: Cell,
}

impl<T> Deref for Watched<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.cell.get();
        &self.value
    }
}

impl<T> DerefMut for Watched<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.cell.touch();
        &mut self.value
    }
}

/// The record of a thread.
pub(crate) struct Thread {
    poll: Box<AtomicU32>,
    world: Arc<World>,
    member: MemberId,
    is_shared: Watched<bool>,
    store: *mut StoreInner,
    code: Arc<StoreCode>,
    context: Context,
}

#[derive(Default)]
pub(crate) struct Context {
    pub(crate) card_base: u64,
}

#[derive(Debug, Default)]
pub(crate) struct StoreCode;

/// A [`Thread`] at a fixed address.
pub(crate) struct OwnedThread(NonNull<Thread>);

impl OwnedThread {
    fn first() -> Self {
        let poll = Box::new(AtomicU32::new(0));
        // SAFETY: the word lives as long as the record, which leaves before.
        let (world, member) = World::new(unsafe { Poll::new(NonNull::from(&*poll)) }, crate::sync::Assistant);
        Self::new(poll, Arc::new(world), member, false)
    }

    pub(crate) fn another(&self, _stack_bytes: usize) -> io::Result<Self> {
        let (poll, world) = (Box::new(AtomicU32::new(0)), Arc::clone(&self.world));
        // SAFETY: as above.
        let member = world.join(unsafe { Poll::new(NonNull::from(&*poll)) });
        Ok(Self::new(poll, world, member, true))
    }

    fn new(poll: Box<AtomicU32>, world: Arc<World>, member: MemberId, is_shared: bool) -> Self {
        let is_shared = Watched { value: is_shared, cell: Cell::default() };
        let (store, code, context) = (std::ptr::null_mut(), Arc::default(), Context::default());
        Self(NonNull::from(Box::leak(Box::new(Thread { poll, world, member, is_shared, store, code, context }))))
    }

    pub(crate) fn as_ptr(&self) -> NonNull<Thread> {
        self.0
    }
}

impl Deref for OwnedThread {
    type Target = Thread;

    fn deref(&self) -> &Thread {
        // SAFETY: the record lives as long as its owner.
        unsafe { self.0.as_ref() }
    }
}

impl DerefMut for OwnedThread {
    fn deref_mut(&mut self) -> &mut Thread {
        // SAFETY: as above.
        unsafe { self.0.as_mut() }
    }
}

impl Drop for OwnedThread {
    fn drop(&mut self) {
        self.world.leave(self.member);
        // SAFETY: `new` has leaked the box, and this is its only owner.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

impl Thread {
    pub(crate) fn world(&self) -> &Arc<World> {
        &self.world
    }

    pub(crate) fn member(&self) -> MemberId {
        self.member
    }

    pub(crate) fn is_shared(&self) -> bool {
        *self.is_shared
    }

    pub(crate) fn set_shared(&mut self) {
        *self.is_shared = true;
    }

    pub(crate) fn set_code(&mut self, code: Arc<StoreCode>) {
        self.code = code;
    }

    pub(crate) fn context_mut(&mut self) -> &mut Context {
        &mut self.context
    }

    /// # Safety
    ///
    /// As of the runtime's.
    pub(crate) unsafe fn set_store(thread: NonNull<Self>, store: *mut StoreInner) {
        // SAFETY: as the caller promises.
        unsafe { (*thread.as_ptr()).store = store };
    }

    /// # Safety
    ///
    /// As of the runtime's.
    pub(crate) unsafe fn take_store(thread: NonNull<Self>, _words: &[u32]) -> *mut StoreInner {
        let record = thread.as_ptr();
        // SAFETY: as the caller promises.
        unsafe {
            if (*record).is_shared() {
                let store = (*record).world.acquire((*record).member).0.cast::<StoreInner>();
                (*record).store = store;
                (*store).threads.set_current(thread);
            }
            (*record).store
        }
    }

    /// # Safety
    ///
    /// As of the runtime's.
    unsafe fn release_store(thread: NonNull<Self>, store: *mut StoreInner) {
        let record = thread.as_ptr();
        // SAFETY: as the caller promises.
        unsafe {
            if (*record).is_shared() {
                (*record).world.run((*record).member, StoreAddress(store.cast()));
            }
        }
    }

    /// What a poll does: stops if it must; whether to trap.
    fn poll(&self) -> bool {
        let requests = self.poll.load(Ordering::Relaxed);
        if requests != 0 && self.is_shared() {
            self.world.pause(self.member);
        }
        // SeqCst, as the runtime's.
        requests & INTERRUPT != 0 && self.poll.fetch_and(!INTERRUPT, Ordering::SeqCst) & INTERRUPT != 0
    }
}

pub(crate) struct Config {
    pub(crate) max_stack_bytes: usize,
}

pub(crate) struct Engine(Config);

impl Engine {
    pub(crate) fn config(&self) -> &Config {
        &self.0
    }
}

pub(crate) struct StoreInner {
    pub(crate) threads: Watched<Threads>,
    pub(crate) engine: Engine,
}

impl Drop for StoreInner {
    fn drop(&mut self) {
        crate::unlocked::end_all(self);
    }
}

#[repr(C)]
pub(crate) struct StoreData<T> {
    pub(crate) inner: StoreInner,
    pub(crate) data: T,
}

pub(crate) struct Store<T>(Box<StoreData<T>>);

impl<T> Store<T> {
    pub(crate) fn new(data: T) -> Self {
        let threads = Watched { value: Threads::new(OwnedThread::first()), cell: Cell::default() };
        Self(Box::new(StoreData { inner: StoreInner { threads, engine: Engine(Config { max_stack_bytes: 0 }) }, data }))
    }

    pub(crate) fn threads(&self) -> &Threads {
        &self.0.inner.threads
    }

    pub(crate) fn into_boxed_data(self) -> Box<StoreData<T>> {
        self.0
    }
}

pub(crate) struct StoreContextMut<'a, T>(pub(crate) &'a mut StoreData<T>);

impl<T> StoreContextMut<'_, T> {
    pub(crate) fn data(&self) -> &T {
        &self.0.data
    }

    /// Calls code that touches a part of the heap in two rounds with a poll between them, and again and again if it is
    /// endless; whether it was interrupted.
    pub(crate) fn call(&mut self, part: &Cell, is_endless: bool) -> bool {
        let thread = self.0.inner.threads.current_ptr();
        let store = std::ptr::from_mut(self.0).cast();
        // SAFETY: the thread has the store, which nobody borrows while code runs.
        unsafe {
            Thread::set_store(thread, store);
            Thread::release_store(thread, store);
            part.touch();
            let mut is_interrupted = thread.as_ref().poll();
            while is_endless && !is_interrupted {
                loom::thread::yield_now();
                is_interrupted = thread.as_ref().poll();
            }
            part.touch();
            Thread::take_store(thread, &[]);
            is_interrupted
        }
    }

    /// Collects: stops all other threads and touches all parts of the heap.
    pub(crate) fn collect(&mut self, parts: &[&Cell]) {
        self.0.inner.threads.stop();
        parts.iter().for_each(|part| part.touch());
        self.0.inner.threads.resume();
    }
}

#[derive(Debug)]
pub(crate) enum StoreError {
    NoPolls,
    Thread(io::Error),
}

#[derive(Debug)]
pub(crate) struct Error(StoreError);

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self(error)
    }
}
