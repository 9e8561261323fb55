//! Stores that several OS threads of the embedder's use.
//!
//! The problem: whoever has a [`Store`] has it alone, and a thread that is [spawned](crate::Store::spawn) runs one
//! function. An embedder whose own threads come and go wants each of them to enter a store when it needs to, and their
//! code to run in parallel.
//!
//! A [`Seat`] is a thread of the store ([`Thread`]) without an OS thread: whichever OS thread has the seat can
//! [enter](Seat::enter) the store by it. Outside of `enter` a seat does not hold the store. The first seat is made of
//! the store itself and owns it; the others are made by whoever is in the store.
//!
//! ```text
//! Seat::new(store) ─► enter: take the store ─► work: call code, make another seat … ─► give it up ─► …
//! ```
//!
//! As long as there is one seat, entering costs nothing, as always with one thread. When the first seat is dropped, the
//! store waits until nobody is in it any more, interrupts those who run code, and goes; the other seats are of no use
//! from then on, but harmless: [`Seat::enter`] returns `None`. Another seat that is dropped waits for nobody, so this may be
//! done in the store: if the store is not free, whoever has it, or the next, removes the seat's record.
//!
//! Invariants: the record of a seat is on its store's list as long as the store is there; it is touched only by an OS
//! thread that has taken the store with the seat's member, or by the holder.

use super::Thread;
use super::spawn::ThreadId;
use super::world::{MemberId, StoreAddress, World};
use crate::error::Error;
use crate::store::{Store, StoreContextMut, StoreData};
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

/// A thread of a store that OS threads take turns to be.
///
/// The first seat must not be dropped by a thread that is in the store: it would wait for itself. The others may be.
pub struct Seat<T: 'static> {
    thread: NonNull<Thread>,
    world: Arc<World>,
    member: MemberId,
    /// The store, if this is its first seat.
    owned: Option<NonNull<StoreData<T>>>,
}

// SAFETY: the record is used only inside of `enter`, by one OS thread at a time, since that takes `&mut self`; data of
// the embedder are used by the one that has taken the store.
unsafe impl<T: Send> Send for Seat<T> {}

impl<T: Send + 'static> Seat<T> {
    /// The first seat of a store.
    #[must_use]
    pub fn new(store: Store<T>) -> Self {
        let data = NonNull::from(Box::leak(store.into_boxed_data()));
        // The store's threads get its address, as of all of it, from each other.
        data.as_ptr().expose_provenance();
        // SAFETY: the data were just leaked, and nobody else has them.
        let (thread, is_shared) = unsafe {
            let threads = &data.as_ref().inner.threads;
            (threads.current_ptr(), threads.is_shared())
        };
        // SAFETY: the record lives as long as its store.
        let (world, member) = unsafe { (Arc::clone(thread.as_ref().world()), thread.as_ref().member()) };
        if is_shared {
            world.give_up(member, StoreAddress(data.as_ptr().cast()));
        }
        Self { thread, world, member, owned: Some(data) }
    }

    /// Waits until nobody else has the store, and does `work` in it. `None` if the store is gone.
    ///
    /// Code that `work` calls runs in parallel to that of other seats. A thread that is in the store already, in a host
    /// function, must not enter it by another seat: it would wait for itself.
    pub fn enter<R>(&mut self, work: impl FnOnce(StoreContextMut<'_, T>) -> R) -> Option<R> {
        /// Gives the store up, also after a panic.
        struct Leave<'s, T: Send + 'static>(&'s Seat<T>, NonNull<StoreData<T>>);
        impl<T: Send + 'static> Drop for Leave<'_, T> {
            fn drop(&mut self) {
                // SAFETY: this thread has the store, and `work` is over.
                unsafe { self.0.leave(self.1) };
            }
        }
        let data = self.take()?;
        let leave = Leave(self, data);
        // SAFETY: this thread has taken the store, so it has its data alone; `leave` uses them afterwards only.
        let result = work(StoreContextMut(unsafe { &mut *data.as_ptr() }));
        drop(leave);
        Some(result)
    }

    /// The thread that the seat is.
    #[must_use]
    pub fn id(&self) -> ThreadId {
        ThreadId(self.member)
    }

    /// Takes the store, unless it is gone.
    fn take(&self) -> Option<NonNull<StoreData<T>>> {
        let store = match self.owned {
            // SAFETY: the first seat's record lives as long as the seat. Only who is in the store makes it shared: as
            // long as it is not, that is this seat alone.
            Some(data) if !unsafe { self.thread.as_ref() }.is_shared() => return Some(data),
            Some(_) => self.world.acquire(self.member),
            None => self.world.acquire_unless_closed(self.member)?,
        };
        let data = NonNull::new(store.0.cast::<StoreData<T>>())?;
        // SAFETY: the store is taken, and is not gone, so the record is on its list, and both are this thread's alone.
        unsafe {
            Thread::set_store(self.thread, data.as_ptr().cast());
            (*data.as_ptr()).inner.threads.set_current(self.thread);
            (*data.as_ptr()).inner.threads.set_entered(self.member, true);
        }
        Some(data)
    }

    /// Gives the store up.
    ///
    /// # Safety
    ///
    /// The seat must have taken the store, and no reference to it may be alive.
    unsafe fn leave(&self, data: NonNull<StoreData<T>>) {
        // SAFETY: as the caller promises.
        let is_shared = unsafe {
            let threads = &mut (*data.as_ptr()).inner.threads;
            threads.set_entered(self.member, false);
            threads.remove_gone();
            threads.is_shared()
        };
        if is_shared {
            self.world.give_up(self.member, StoreAddress(data.as_ptr().cast()));
        }
    }
}

impl<T: Send + 'static> StoreContextMut<'_, T> {
    /// Makes another seat of the store.
    ///
    /// # Errors
    ///
    /// If some code of the store was compiled without polls; if the system has no room for a thread.
    pub fn seat(&mut self) -> Result<Seat<T>, Error> {
        let stack_bytes = self.0.inner.engine.config().max_stack_bytes;
        let thread = self.0.inner.threads.add_seat(stack_bytes)?;
        std::ptr::from_mut::<StoreData<T>>(self.0).expose_provenance();
        // SAFETY: the record was just made.
        let (world, member) = unsafe { (Arc::clone(thread.as_ref().world()), thread.as_ref().member()) };
        Ok(Seat { thread, world, member, owned: None })
    }
}

impl<T: 'static> Drop for Seat<T> {
    fn drop(&mut self) {
        if let Some(data) = self.owned {
            // SAFETY: the first seat's record lives as long as the store.
            if unsafe { self.thread.as_ref() }.is_shared() {
                self.world.acquire(self.member);
                // SAFETY: the store is taken.
                unsafe { (*data.as_ptr()).inner.threads.set_current(self.thread) };
            }
            // SAFETY: `new` has leaked the box; the store is taken, so nobody else uses it, and its own `drop` waits
            // for those who want to go on.
            drop(unsafe { Box::from_raw(data.as_ptr()) });
        } else if let Some(store) = self.world.acquire_or_leave(self.member) {
            let data = store.0.cast::<StoreData<T>>();
            // SAFETY: the store is taken and not gone.
            let record = unsafe {
                (*data).inner.threads.remove_gone();
                (*data).inner.threads.remove(self.member)
            };
            self.world.give_up(self.member, store);
            // The record leaves the world and frees its stacks without the store.
            drop(record);
        }
    }
}

impl<T: 'static> fmt::Debug for Seat<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seat({:?})", self.member)
    }
}
