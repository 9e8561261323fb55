//! Threads seen from outside: who there is, what each is doing, and how to make them stand still.
//!
//! A [`ThreadControl`] is for OS threads that do not have the store: debuggers, watchdogs. It becomes a member of the
//! store's [world](super::world) as long as it has stopped it. Whoever has the store uses
//! [`StoreContextMut::with_world_stopped`](crate::StoreContextMut::with_world_stopped) instead: it must not wait for
//! itself.

use super::spawn::ThreadId;
use super::sync::AtomicU32;
use super::world::{MemberId, MemberState, Poll, StoreAddress, World};
use super::{interrupt, report};
use crate::error::Frame;
use crate::store::StoreInner;
use crate::trap;
use dolmen_gc_heap::{RootKind, RootVisitor, Runtime};
use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

/// Stops and resumes the threads of a store, from any OS thread. Outlives the store.
#[derive(Clone, Debug)]
pub struct ThreadControl {
    world: Arc<World>,
}

/// What a thread of a store is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadState {
    /// It runs code.
    Runs,
    /// It sleeps in `memory.atomic.wait`, or in a host function that waits for input, output or a time
    /// ([`unlocked_until_interrupted`](crate::StoreContextMut::unlocked_until_interrupted)).
    Waits,
    /// It is in Rust code without the store: in an unlocked part of a host function, or waiting for the store.
    InHost,
    /// It is in Rust code that uses the store. Of a store that has never had more than one thread, this is told of that
    /// thread, whatever it does.
    UsesStore,
    /// It stands still until it is resumed.
    Suspended,
}

/// All threads of a store, as long as this exists, standing still.
#[derive(Debug)]
pub struct Suspended<'a> {
    control: &'a ThreadControl,
    member: MemberId,
    /// The member's poll word; it never runs, so nobody reads it.
    _poll: Box<AtomicU32>,
    store: StoreAddress,
}

/// A store whose threads stand still.
pub struct StoppedWorld<'a> {
    store: *mut StoreInner,
    borrow: PhantomData<&'a mut StoreInner>,
}

impl ThreadControl {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        Self { world: Arc::clone(world) }
    }

    /// The store's threads, oldest first; none if the store is gone.
    #[must_use]
    pub fn threads(&self) -> Vec<ThreadId> {
        self.world.members().into_iter().map(ThreadId).collect()
    }

    /// The store's threads and what they were doing a moment ago, oldest first.
    #[must_use]
    pub fn states(&self) -> Vec<(ThreadId, ThreadState)> {
        let state = |state| match state {
            MemberState::Running => ThreadState::Runs,
            MemberState::Waiting => ThreadState::Waits,
            MemberState::Host => ThreadState::InHost,
            MemberState::Holder => ThreadState::UsesStore,
            MemberState::Suspended => ThreadState::Suspended,
        };
        self.world.states().into_iter().map(|(member, of)| (ThreadId(member), state(of))).collect()
    }

    /// What a thread is calling, innermost first, told by itself at its next poll. `None` if it does not poll within
    /// `patience`: it is in a host function, waits, is suspended, has ended, or its code has no polls.
    #[must_use]
    pub fn backtrace(&self, thread: ThreadId, patience: Duration) -> Option<Vec<Frame>> {
        report::ask(&self.world, thread.0, patience)
    }

    /// Stops a thread: when this returns, it runs no code. If it is in a host function, it does not get back from
    /// there. Each call that returns `true` must be followed by one of [`ThreadControl::resume`]. `false` if the thread has
    /// ended, the store is gone, or has never had more than one thread, as with [`ThreadControl::suspend_all`].
    #[must_use]
    pub fn suspend(&self, thread: ThreadId) -> bool {
        self.world.suspend(thread.0)
    }

    /// Takes back one [`ThreadControl::suspend`]; `false` if there was none, or the thread has ended.
    pub fn resume(&self, thread: ThreadId) -> bool {
        self.world.resume_member(thread.0)
    }

    /// Makes a thread trap, as [`InterruptHandle::interrupt`](crate::InterruptHandle::interrupt) does all threads. `false`
    /// if it has ended, or the store is gone. Code without polls goes on.
    pub fn interrupt(&self, thread: ThreadId) -> bool {
        interrupt::interrupt_thread(&self.world, thread.0)
    }

    /// [`ThreadControl::interrupt`] because the thread's time is over: what
    /// [`clear_timeout`](crate::StoreContextMut::clear_timeout) takes back, and no interruption by others.
    pub fn time_out(&self, thread: ThreadId) -> bool {
        interrupt::time_out_thread(&self.world, thread.0)
    }

    /// Stops all threads; when this returns, none runs code or uses the store in a host function. They go on when the
    /// result is dropped. Waits for host functions that have the store. `None` if the store is gone, or has never had
    /// more than one thread: nothing is shared then, and its owner need not stop for anybody.
    ///
    /// Must not be called by a thread that has the store: it would wait for itself.
    #[must_use]
    pub fn suspend_all(&self) -> Option<Suspended<'_>> {
        let poll = Box::new(AtomicU32::new(0));
        // SAFETY: the word lives as long as the member, see `Suspended::drop`.
        let member = self.world.join_shared(unsafe { Poll::new(NonNull::from(&*poll)) })?;
        let Some(store) = self.world.acquire_unless_closed(member) else {
            self.world.leave(member);
            return None;
        };
        self.world.stop(member);
        Some(Suspended { control: self, member, _poll: poll, store })
    }
}

impl Suspended<'_> {
    /// The store's threads and their state.
    #[must_use]
    pub fn world(&mut self) -> StoppedWorld<'_> {
        StoppedWorld { store: self.store.0.cast(), borrow: PhantomData }
    }

    /// Lets the threads go on.
    pub fn resume_all(self) {}
}

impl Drop for Suspended<'_> {
    fn drop(&mut self) {
        self.control.world.resume(self.member);
        self.control.world.give_up(self.member, self.store);
        self.control.world.leave(self.member);
    }
}

/// Does something while all threads of a store but the caller's stand still.
pub(crate) fn stopped<R>(store: &mut StoreInner, work: impl FnOnce(&mut StoppedWorld<'_>) -> R) -> R {
    /// Resumes, also after a panic.
    struct Resume(*mut StoreInner);
    impl Drop for Resume {
        fn drop(&mut self) {
            // SAFETY: the store is exclusively borrowed by `stopped`, which uses no other reference to it.
            unsafe { (*self.0).threads.resume() };
        }
    }
    let store: *mut StoreInner = store;
    // SAFETY: derived from the exclusive reference.
    unsafe { (*store).threads.stop() };
    let _resume = Resume(store);
    work(&mut StoppedWorld { store, borrow: PhantomData })
}

impl StoppedWorld<'_> {
    /// The store's threads, oldest first, with what each is calling, innermost first. A thread that runs no code has
    /// no frames.
    #[must_use]
    pub fn backtraces(&self) -> Vec<(ThreadId, Vec<Frame>)> {
        let threads = self.threads();
        threads
            .map(|thread| {
                // SAFETY: the thread is stopped.
                let addresses = unsafe { trap::backtrace(thread) };
                (ThreadId(thread.member()), trap::resolve_frames(thread.code(), &addresses))
            })
            .collect()
    }

    /// Visits the reference words outside the heap: where each is, and the word.
    pub fn for_each_root(&mut self, visit: &mut dyn FnMut(RootKind, u32)) {
        struct Each<'v>(&'v mut dyn FnMut(RootKind, u32));
        impl RootVisitor for Each<'_> {
            fn visit_slice(&mut self, kind: RootKind, words: &[u32]) {
                words.iter().filter(|&&word| word != 0).for_each(|&word| (self.0)(kind, word));
            }
        }
        // SAFETY: nobody else uses the store.
        let (_, mut runtime) = unsafe { &mut *self.store }.heap_and_runtime();
        runtime.scan_roots(&mut Each(visit));
    }

    fn threads(&self) -> impl Iterator<Item = &super::OwnedThread> {
        // SAFETY: nobody else uses the store.
        unsafe { &*self.store }.threads.all()
    }
}

impl fmt::Debug for StoppedWorld<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoppedWorld")
    }
}

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thread {}", self.0.number())
    }
}
