//! Rust code that has the store, and lets others have it for a while.
//!
//! A host function that waits, whoever joins a thread, and a store that is about to go all have the store but do not
//! need it: they give it up and take it again. Nothing of it may be borrowed meanwhile, which `&mut StoreData` ensures.
//!
//! A store that goes interrupts its threads again and again, for a host function may have swallowed an interruption, until
//! the last has taken itself off the list. [Seats](super::seat) by which nobody is in the store it takes off itself.

use super::sync::sleep;
use super::world::StoreAddress;
use super::{Thread, interrupt};
use crate::store::{StoreData, StoreInner};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

/// How often a store that goes interrupts its threads.
const INTERRUPT_INTERVAL: Duration = Duration::from_millis(1);

/// Runs `work`, which does not use the store, while other threads may.
pub(crate) fn unlocked<T, R>(store: &mut StoreData<T>, work: impl FnOnce() -> R) -> R {
    let data = std::ptr::from_mut(store);
    // SAFETY: the store is exclusively borrowed, so its current thread is the running one.
    unsafe { unlocked_at(data.cast::<StoreInner>(), work) }
}

/// [`unlocked`] for a store without its data's type.
///
/// # Safety
///
/// `store` must be that of the running thread, which has it, and no reference to it may be alive.
unsafe fn unlocked_at<R>(store: *mut StoreInner, work: impl FnOnce() -> R) -> R {
    /// Takes the store again, also after a panic.
    struct Retake(NonNull<Thread>);
    impl Drop for Retake {
        fn drop(&mut self) {
            // SAFETY: the thread is the running one, and lives as long as its store.
            unsafe { Thread::take_store(self.0, &[]) };
        }
    }
    // SAFETY: as the caller promises.
    let (thread, is_shared) = unsafe { ((*store).threads.current_ptr(), (*store).threads.is_shared()) };
    if !is_shared {
        return work();
    }
    // SAFETY: as above.
    let (world, member) = unsafe {
        (*store).threads.remove_gone();
        (Arc::clone(thread.as_ref().world()), thread.as_ref().member())
    };
    world.give_up(member, StoreAddress(store.cast()));
    let _retake = Retake(thread);
    work()
}

/// Ends all threads of a store but the first.
pub(crate) fn end_all(store: &mut StoreInner) {
    let world = Arc::clone(store.threads.world());
    world.close();
    // The address of the whole store, which was exposed when threads were spawned.
    let address: *mut StoreInner = std::ptr::with_exposed_provenance_mut(std::ptr::from_mut(store).addr());
    // SAFETY: the store lives; it is reached through this address alone until the last thread has ended.
    while unsafe {
        (*address).threads.remove_empty_seats();
        (*address).threads.spawned()
    } > 0
    {
        interrupt::interrupt(&world);
        // SAFETY: the store is exclusively borrowed by the caller, so the running thread has it.
        unsafe { unlocked_at(address, || sleep(INTERRUPT_INTERVAL)) };
    }
}
