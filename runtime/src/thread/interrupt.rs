//! Ending code from outside.
//!
//! A handle sets a bit in the poll word of every thread of a store. Compiled code looks at the word in loops and
//! recursions, and so do allocation, bulk operations between pieces, and whatever sleeps: `memory.atomic.wait`, and host
//! functions that wait as [`blocking`] says. Who finds the bit set traps.

use super::blocking;
use super::world::{MemberId, WaitsAt, World};
use crate::vm::waiters;
use std::sync::Arc;

/// Ends the code that a store runs, from any thread. Outlives the store.
#[derive(Clone, Debug)]
pub struct InterruptHandle {
    world: Arc<World>,
}

impl InterruptHandle {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        Self { world: Arc::clone(world) }
    }

    /// Makes all threads of the store trap ([`TrapCode::Interrupt`](crate::TrapCode::Interrupt)). If one runs no
    /// code at the moment, or a host function, the code that it runs next traps.
    pub fn interrupt(&self) {
        interrupt(&self.world);
    }
}

/// Asks all threads to trap, and wakes those that sleep.
pub(crate) fn interrupt(world: &World) {
    world.interrupt(&mut wake);
}

/// Asks one thread to trap, and wakes it if it sleeps; `false` if it has ended.
pub(super) fn interrupt_thread(world: &World, thread: MemberId) -> bool {
    world.interrupt_member(thread, &mut wake)
}

/// [`interrupt_thread`] because its time is over.
pub(super) fn time_out_thread(world: &World, thread: MemberId) -> bool {
    world.time_out_member(thread, &mut wake)
}

fn wake(sleeper: WaitsAt) {
    match sleeper {
        WaitsAt::Address { address, token } => waiters::interrupt(address, token),
        // SAFETY: the world tells it while the thread waits there.
        WaitsAt::Descriptor(descriptor) => unsafe { blocking::wake(descriptor) },
    }
}
