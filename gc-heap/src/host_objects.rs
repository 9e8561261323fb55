//! Host objects: heap objects that stand for something of the embedder's.
//!
//! The embedder must hear of the death of each, exactly once. They are rare, so a list of all of them is kept and
//! looked through after each mark phase.
//!
//! Invariant: each datum is in the list of the living, in the list of the dead, or was passed to the runtime.

use crate::interface::to_runtime::Runtime;
use crate::space::Space;
use crate::stats::Scope;
use dolmen_abi::object::EXTERN_DATA_OFFSET;
use std::collections::VecDeque;

/// All host objects of a heap.
#[derive(Debug, Default)]
pub struct HostObjects {
    living: Vec<HostObject>,
    /// So many of the living survived a collection; they come first.
    old: usize,
    dead: VecDeque<u64>,
}

#[derive(Clone, Copy, Debug)]
struct HostObject {
    unit: u32,
    data: u64,
}

impl HostObjects {
    /// Makes sure that one more object can be added; false if there is no memory.
    pub fn reserve(&mut self) -> bool {
        // The dead list must never need memory in the middle of a collection.
        self.living.try_reserve(1).is_ok() && self.dead.try_reserve(self.living.len() + 1).is_ok()
    }

    /// Adds an object for which room was reserved.
    pub fn add(&mut self, space: &mut Space, unit: u32, data: u64) {
        space.region.write_u64(unit, EXTERN_DATA_OFFSET, data);
        self.living.push(HostObject { unit, data });
    }

    /// Moves those that the last trace did not mark to the dead; looks at young ones only if it was minor.
    pub fn find_dead(&mut self, space: &Space, scope: Scope) {
        let dead = &mut self.dead;
        let mut to_keep = if scope == Scope::Minor { self.old } else { 0 };
        self.living.retain(|object| {
            let is_kept = to_keep > 0;
            to_keep -= usize::from(is_kept);
            let live = is_kept || space.marks.get(object.unit);
            if !live {
                dead.push_back(object.data);
            }
            live
        });
        self.old = self.living.len();
    }

    /// Objects have moved: replaces their places by what `forward` makes of them.
    pub fn forward(&mut self, forward: &dyn Fn(u32) -> u32) {
        self.living.iter_mut().for_each(|object| object.unit = forward(object.unit));
    }

    /// Declares all dead.
    pub fn kill_all(&mut self) {
        self.dead.extend(self.living.drain(..).map(|object| object.data));
        self.old = 0;
    }

    /// Passes the data of the dead to the runtime.
    pub fn drop_dead(&mut self, runtime: &mut dyn Runtime) {
        while let Some(data) = self.dead.pop_front() {
            runtime.drop_host_object(data);
        }
    }
}
