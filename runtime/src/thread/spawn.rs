//! Threads that are started while a store exists, and how they end.
//!
//! A spawned thread is an OS thread with a [`Thread`] of its own. It waits for the store, calls its function, and
//! leaves the results, or why there are none, in a [`Packet`] for whoever joins it. Before that it takes itself off
//! the store's list, so that a store whose list is empty has no threads but the first.
//!
//! ```text
//! spawn (holds the store): record, OS thread ──► acquire ─► call ─► packet, off the list ─► give up ─► done
//! ```
//!
//! A store that is dropped waits until the last is off the list ([`super::unlocked`]).

use super::Thread;
use super::unlocked::unlocked;
use super::world::{MemberId, StoreAddress, World};
use crate::call;
use crate::error::{Error, StoreError};
use crate::externals::Func;
use crate::store::{AsContextMut, StoreData, StoreId};
use crate::value::Val;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// A thread that was spawned in a store.
#[derive(Debug)]
pub struct JoinHandle {
    packet: Arc<Packet>,
    store: StoreId,
    member: MemberId,
}

/// A thread of a store by its number; numbers are not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ThreadId(pub(crate) MemberId);

/// Where a thread leaves its results.
#[derive(Debug, Default)]
struct Packet {
    outcome: Mutex<Option<Outcome>>,
    done: Condvar,
}

/// What is called, without the store, when a thread's function does not return.
pub(crate) type OnFailure = Box<dyn FnOnce(&Error) + Send>;

/// How a thread has ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Ended(Result<Box<[Val]>, Error>),
    Panicked(Box<dyn Any + Send>),
}

/// The record of a thread on its way to its OS thread.
struct Start(NonNull<Thread>);

// SAFETY: a record that does not run is tied to no OS thread.
unsafe impl Send for Start {}

impl Packet {
    fn set(&self, outcome: Outcome) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        self.done.notify_all();
    }

    fn take(&self) -> Outcome {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match outcome.take() {
                Some(outcome) => return outcome,
                None => outcome = self.done.wait(outcome).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn is_set(&self) -> bool {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

impl ThreadId {
    /// The number: 0 for the thread of the store's owner.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0.number()
    }
}

impl JoinHandle {
    /// Waits for the thread to end, while other threads may use the store, and returns its function's results.
    ///
    /// # Errors
    ///
    /// Why the function did not return, or if the thread belongs to another store.
    ///
    /// # Panics
    ///
    /// If a host function panicked in the thread, with its panic.
    pub fn join(self, mut store: impl AsContextMut) -> Result<Box<[Val]>, Error> {
        match self.wait(store.as_context_mut().0)? {
            Outcome::Ended(result) => result,
            Outcome::Panicked(payload) => resume_unwind(payload),
        }
    }

    /// [`JoinHandle::join`] without going on with a panic.
    pub(super) fn wait<T>(self, store: &mut StoreData<T>) -> Result<Outcome, Error> {
        store.inner.check(self.store)?;
        Ok(unlocked(store, || self.packet.take()))
    }

    /// Whether the thread has ended, so that joining it does not wait.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.packet.is_set()
    }

    /// The thread.
    #[must_use]
    pub fn id(&self) -> ThreadId {
        ThreadId(self.member)
    }
}

/// Starts a thread that calls a function. It begins when the caller gives up the store.
///
/// # Errors
///
/// If number or types of the arguments are wrong; if code in the store cannot be stopped; if the system refuses.
pub(crate) fn spawn<T: Send + 'static>(
    store: &mut StoreData<T>,
    func: Func,
    args: &[Val],
    on_failure: OnFailure,
) -> Result<JoinHandle, Error> {
    let result_count = call::check(&store.inner, func, args)?;
    let stack_bytes = store.inner.engine.config().max_stack_bytes;
    let thread = store.inner.threads.add(stack_bytes)?;
    // SAFETY: the record was just made, and nobody else uses it before its OS thread does.
    let (world, member) = unsafe { (Arc::clone(thread.as_ref().world()), thread.as_ref().member()) };
    let packet = Arc::new(Packet::default());
    // The store's threads get its address, as of all of it, from each other.
    std::ptr::from_mut(store).expose_provenance();
    let start = Start(thread);
    let body = {
        let (packet, args) = (Arc::clone(&packet), args.to_vec());
        move || {
            let start = start;
            // SAFETY: the record is on its store's list, from which only this thread takes it.
            let outcome = unsafe { run::<T>(start.0, &world, func, args, result_count) };
            match &outcome {
                Outcome::Ended(Ok(_)) => {}
                Outcome::Ended(Err(error)) => on_failure(error),
                Outcome::Panicked(payload) => on_failure(&Error::host(panic_message(&**payload))),
            }
            packet.set(outcome);
        }
    };
    let started = std::thread::Builder::new().name(format!("dolmen {member:?}")).spawn(body);
    if let Err(error) = started {
        store.inner.threads.remove(member);
        return Err(StoreError::Thread(error).into());
    }
    Ok(JoinHandle { packet, store: store.inner.id, member })
}

/// What a panic says, if it is text.
fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    format!("a host function panicked: {}", text.unwrap_or("with no text"))
}

/// What a spawned thread does.
///
/// # Safety
///
/// `thread` must be on the list of a store with data of type `T`, and run nowhere else.
unsafe fn run<T: 'static>(
    thread: NonNull<Thread>,
    world: &World,
    func: Func,
    args: Vec<Val>,
    result_count: usize,
) -> Outcome {
    // SAFETY: as the caller promises.
    let member = unsafe { thread.as_ref().member() };
    // SAFETY: the thread is the running one from now on.
    let data = unsafe { Thread::take_store(thread, &[]) }.cast::<StoreData<T>>();
    let called = catch_unwind(AssertUnwindSafe(|| {
        let mut results = vec![Val::I32(0); result_count].into_boxed_slice();
        // SAFETY: this thread has the store, whose data are of type `T`, for itself.
        call::call(unsafe { &mut *data }, func, &args, &mut results).map(|()| results)
    }));
    // The arguments' roots go while this thread has the store.
    drop(args);
    // SAFETY: as above; the call is over, and has taken the store again.
    let record = unsafe { &mut *data }.inner.threads.remove(member);
    world.give_up(member, StoreAddress(data.cast()));
    // The record leaves the world and frees its stacks without the store.
    drop(record);
    called.map_or_else(Outcome::Panicked, Outcome::Ended)
}
