//! Ending code from outside.
//!
//! A handle sets a bit in the poll word of every thread of a store. Compiled code looks at the word in loops and
//! recursions, and allocation and `memory.atomic.wait` do so, too; who finds the bit set traps. So code ends within the
//! time of one round of its innermost loop.

use super::world::World;
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

/// Asks all threads to trap, and wakes those that wait at an address.
pub(crate) fn interrupt(world: &World) {
    world.interrupt(&mut |sleeper| waiters::interrupt(sleeper.address, sleeper.token));
}
