//! The threads of a store.
//!
//! The first belongs to the owner of the store, the others were spawned. At any time one of them uses the store, the
//! *current* one: the holder of the [`World`]. All lists here change, and all threads are looked at, by it alone.

use super::world::{MemberId, World};
use super::{OwnedThread, Thread};
use crate::error::StoreError;
use crate::trap::StoreCode;
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

/// All threads of a store.
pub(crate) struct Threads {
    first: OwnedThread,
    spawned: Vec<OwnedThread>,
    current: NonNull<Thread>,
    world: Arc<World>,
    /// The [seats](super::seat) among the spawned, and whether somebody is in the store by each.
    seats: Vec<(MemberId, bool)>,
    /// Whether all code in the store can be stopped.
    has_polls: bool,
    /// Whether code without polls is refused: there are threads, or was an interrupt handle.
    needs_polls: bool,
}

// SAFETY: the records are owned, and `current` is one of them.
unsafe impl Send for Threads {}

// SAFETY: shared access only reads.
unsafe impl Sync for Threads {}

impl Threads {
    pub(crate) fn new(first: OwnedThread) -> Self {
        let (current, world) = (first.as_ptr(), Arc::clone(first.world()));
        Self { first, spawned: Vec::new(), seats: Vec::new(), current, world, has_polls: true, needs_polls: false }
    }

    /// The thread that uses the store.
    pub(crate) fn current(&self) -> &Thread {
        // SAFETY: the current thread is one of the records, which live as long as they are listed.
        unsafe { self.current.as_ref() }
    }

    /// The thread that uses the store.
    pub(crate) fn current_mut(&mut self) -> &mut Thread {
        // SAFETY: as above; the store, and with it its threads, is exclusively borrowed.
        unsafe { self.current.as_mut() }
    }

    /// Address of the record of the thread that uses the store.
    pub(crate) fn current_ptr(&self) -> NonNull<Thread> {
        self.current
    }

    /// Notes which thread uses the store now. It must be one of this store's.
    pub(crate) fn set_current(&mut self, thread: NonNull<Thread>) {
        self.current = thread;
    }

    /// All threads; others than the current one only while the world is stopped.
    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut OwnedThread> {
        std::iter::once(&mut self.first).chain(&mut self.spawned)
    }

    /// All threads, as [`Threads::all_mut`].
    pub(crate) fn all(&self) -> impl Iterator<Item = &OwnedThread> {
        std::iter::once(&self.first).chain(&self.spawned)
    }

    /// The protocol between the threads.
    pub(crate) fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// Whether the store has, or had, several threads.
    pub(crate) fn is_shared(&self) -> bool {
        self.first.is_shared()
    }

    /// Number of threads that were spawned and have not ended.
    pub(crate) fn spawned(&self) -> usize {
        self.spawned.len()
    }

    /// Stops all threads but the current one.
    pub(crate) fn stop(&self) {
        if self.is_shared() {
            self.world.stop(self.current().member());
        }
    }

    /// Ends [`Threads::stop`].
    pub(crate) fn resume(&self) {
        if self.is_shared() {
            self.world.resume(self.current().member());
        }
    }

    /// Stops all threads but the current one until it gives the store up.
    pub(crate) fn stop_until_release(&self) {
        if self.is_shared() {
            self.world.stop_until_release(self.current().member());
        }
    }

    /// Adds a thread, which does not hold the store.
    ///
    /// # Errors
    ///
    /// If code cannot be stopped, or the system has no room for a thread.
    pub(crate) fn add(&mut self, stack_bytes: usize) -> Result<NonNull<Thread>, StoreError> {
        self.require_polls()?;
        self.remove_gone();
        let thread = self.first.another(stack_bytes).map_err(StoreError::Thread)?;
        // Threads look at their own flag without the store: it is written before there are others, and never again.
        if !self.is_shared() {
            self.first.set_shared();
        }
        let address = thread.as_ptr();
        self.spawned.push(thread);
        Ok(address)
    }

    /// Adds a thread that OS threads take turns to be.
    ///
    /// # Errors
    ///
    /// As of [`Threads::add`].
    pub(crate) fn add_seat(&mut self, stack_bytes: usize) -> Result<NonNull<Thread>, StoreError> {
        let thread = self.add(stack_bytes)?;
        // SAFETY: the record was just added.
        self.seats.push((unsafe { thread.as_ref() }.member(), false));
        Ok(thread)
    }

    /// Notes whether somebody is in the store by a seat.
    pub(crate) fn set_entered(&mut self, member: MemberId, entered: bool) {
        self.seats.iter_mut().filter(|seat| seat.0 == member).for_each(|seat| seat.1 = entered);
    }

    /// Takes the seats out by which nobody is in the store.
    pub(crate) fn remove_empty_seats(&mut self) {
        let empty: Vec<MemberId> = self.seats.iter().filter(|seat| !seat.1).map(|seat| seat.0).collect();
        empty.into_iter().for_each(|member| drop(self.remove(member)));
    }

    /// Takes the threads out that have left while somebody had the store.
    pub(crate) fn remove_gone(&mut self) {
        self.world.take_gone().into_iter().for_each(|member| drop(self.remove(member)));
    }

    /// Takes a thread out that was added and does not run.
    pub(crate) fn remove(&mut self, member: MemberId) -> Option<OwnedThread> {
        self.seats.retain(|seat| seat.0 != member);
        let index = self.spawned.iter().position(|thread| thread.member() == member)?;
        let thread = self.spawned.swap_remove(index);
        if self.current == thread.as_ptr() {
            // Whoever takes the store next says who it is.
            self.current = self.first.as_ptr();
        }
        Some(thread)
    }

    /// Gives all threads the code that they can run.
    pub(crate) fn set_code(&mut self, code: &Arc<StoreCode>, card_base: u64) {
        self.stop();
        for thread in self.all_mut() {
            thread.set_code(Arc::clone(code));
            thread.context_mut().card_base = card_base;
        }
        self.resume();
    }

    /// From now on code must have polls.
    ///
    /// # Errors
    ///
    /// If there is some that has none.
    pub(crate) fn require_polls(&mut self) -> Result<(), StoreError> {
        if !self.has_polls {
            return Err(StoreError::NoPolls);
        }
        self.needs_polls = true;
        Ok(())
    }

    /// Whether there are other threads, or an interrupt handle: nobody is to block with the store.
    pub(crate) fn may_have_to_stop(&self) -> bool {
        self.needs_polls
    }

    /// Notes that there is code with polls, or without.
    ///
    /// # Errors
    ///
    /// If it must have some.
    pub(crate) fn check_polls(&mut self, has_polls: bool) -> Result<(), StoreError> {
        if self.needs_polls && !has_polls {
            return Err(StoreError::NoPolls);
        }
        self.has_polls &= has_polls;
        Ok(())
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Threads({})", 1 + self.spawned.len())
    }
}
