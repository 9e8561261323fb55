//! Host functions that wait for the world outside, so that neither other threads nor an interruption wait with them.
//!
//! The problem: whoever sleeps in a system call must not have the store, or all threads that call the host or fill up a
//! buffer sleep, too; and it looks at no poll word, so that an interruption must wake it. What can be waited for in the
//! system's `poll` can be waited for together with one more descriptor, to which an interruption writes: each OS thread
//! has such an `eventfd` from the first time that it waits. While it waits, the [`World`](super::world::World) knows the
//! descriptor:
//!
//! ```text
//! wait:       tell the world │ not interrupted? │ give up the store, poll, take the store │ tell the world
//! interrupt:                   set the bit, write to what the world knows of, under the world's lock
//! ```
//!
//! An interruption before the look is seen by it; one that comes later finds the descriptor, and writes to it before the
//! world can be told that nobody waits there any more.

use super::unlocked::unlocked;
use super::world::{self, WaitsAt};
use crate::error::{Error, StoreError, Trap};
use crate::store::StoreData;
use dolmen_abi::trap::TrapCode;
use rustix::event::{EventfdFlags, eventfd};
use std::cell::OnceCell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// What is written to an `eventfd`, and read from it.
const COUNT_BYTES: usize = 8;

thread_local! {
    /// What wakes this OS thread.
    static WAKEUP: OnceCell<OwnedFd> = const { OnceCell::new() };
}

/// Does `work`, which does not use the store, while other threads may. It is to end soon when the descriptor that it is
/// given becomes readable.
///
/// # Errors
///
/// [`TrapCode::Interrupt`] if the thread was interrupted; if the system has no descriptor left.
pub(crate) fn unlocked_until_interrupted<T, R>(
    store: &mut StoreData<T>,
    work: impl FnOnce(BorrowedFd<'_>) -> R,
) -> Result<R, Error> {
    WAKEUP.with(|wakeup| {
        let wakeup = wakeup_descriptor(wakeup).map_err(StoreError::Thread)?;
        let result = wait(store, wakeup, work);
        if store.inner.threads.current_mut().take_interrupt() {
            // If it is empty, the interruption came before the world was told: then there is nothing to take away.
            let _ = rustix::io::read(wakeup, &mut [0; COUNT_BYTES]);
            return Err(Trap::new(TrapCode::Interrupt).into());
        }
        // Without a result there was an interruption, which only this thread takes back.
        result.ok_or_else(|| Trap::new(TrapCode::Interrupt).into())
    })
}

/// Nothing if the thread is interrupted already.
fn wait<T, R>(store: &mut StoreData<T>, wakeup: BorrowedFd<'_>, work: impl FnOnce(BorrowedFd<'_>) -> R) -> Option<R> {
    let thread = store.inner.threads.current();
    let (world, member) = (Arc::clone(thread.world()), thread.member());
    world.set_waits_at(member, Some(WaitsAt::Descriptor(wakeup.as_raw_fd())));
    /// Tells the world, also after a panic.
    struct Awake<F: FnMut()>(F);
    impl<F: FnMut()> Drop for Awake<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    let _awake = Awake(|| world.set_waits_at(member, None));
    let is_interrupted = store.inner.threads.current().is_requested(world::ENDS);
    (!is_interrupted).then(|| unlocked(store, || work(wakeup)))
}

fn wakeup_descriptor(cell: &OnceCell<OwnedFd>) -> io::Result<BorrowedFd<'_>> {
    if cell.get().is_none() {
        // Nobody else sets it: the cell is the OS thread's own.
        let _ = cell.set(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    }
    cell.get().map(AsFd::as_fd).ok_or_else(|| io::ErrorKind::Other.into())
}

/// Wakes whoever waits at a descriptor.
///
/// # Safety
///
/// It must be one that the world was told of, and not yet that nobody waits there.
pub(super) unsafe fn wake(descriptor: i32) {
    // SAFETY: it is open, since its OS thread waits at it.
    let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
    // If it is full, it is readable.
    let _ = rustix::io::write(descriptor, &1_u64.to_ne_bytes());
}
