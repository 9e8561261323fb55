//! Mark-sweep: every collection is of the whole heap, with the world stopped.
//!
//! The budget between collections grows with what lives ([`crate::options`]); there is no barrier. The
//! other collectors are judged by this one.

use super::cycle::{self, Plan};
use super::{Collect, major_budget_bytes};
use crate::interface::to_runtime::Runtime;
use crate::state::HeapState;
use crate::stats::{Cause, Scope};
use crate::verify::VerifyError;

/// Collects the whole heap each time.
pub struct MarkSweep;

impl Collect for MarkSweep {
    fn is_due(&mut self, heap: &HeapState, bytes: u64) -> bool {
        let used = heap.allocator.handed_out_bytes();
        used > 0 && used + bytes > major_budget_bytes(heap)
    }

    fn collect(&mut self, heap: &mut HeapState, runtime: &mut dyn Runtime, cause: Cause) -> Result<(), VerifyError> {
        let plan = Plan { scope: Scope::Major, cause, may_stop_early: false, keep_bytes: major_budget_bytes };
        cycle::run(heap, runtime, plan).map(|_| ())
    }
}
