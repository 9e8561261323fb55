//! The collector that never collects: memory lasts until the heap's maximum.
//!
//! For programs that end before it matters, and for tests of the compiler in which no object may vanish. With
//! nothing ever freed, the shared allocator does nothing but bump through new blocks.

use super::Collect;
use crate::interface::to_runtime::Runtime;
use crate::state::HeapState;
use crate::stats::Cause;
use crate::verify::VerifyError;

/// Never frees anything.
pub struct Null;

impl Collect for Null {
    fn is_due(&mut self, _heap: &HeapState, _bytes: u64) -> bool {
        false
    }

    fn collect(&mut self, heap: &mut HeapState, runtime: &mut dyn Runtime, _cause: Cause) -> Result<(), VerifyError> {
        runtime.stop_mutators();
        let verified = heap.verify_if_due(runtime);
        runtime.resume_mutators();
        verified.map(|_| ())
    }
}
