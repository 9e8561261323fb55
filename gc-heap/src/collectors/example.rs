//! The smallest collector that works, as an example for those who write one (`docs/gc.md` goes through it).
//!
//! It collects the whole heap whenever a fixed number of bytes was handed out.

use super::Collect;
use super::cycle::{self, Plan};
use crate::interface::to_runtime::Runtime;
use crate::mock::{MockTypes, REF, World};
use crate::options::HeapOptions;
use crate::state::HeapState;
use crate::stats::{Cause, Scope};
use crate::verify::VerifyError;

/// Collects everything each time `budget_bytes` were handed out.
struct Clockwork {
    budget_bytes: u64,
}

impl Collect for Clockwork {
    fn is_due(&mut self, heap: &HeapState, bytes: u64) -> bool {
        heap.allocator.handed_out_bytes() + bytes > self.budget_bytes
    }

    fn collect(&mut self, heap: &mut HeapState, runtime: &mut dyn Runtime, cause: Cause) -> Result<(), VerifyError> {
        let plan = Plan { scope: Scope::Major, cause, may_stop_early: false, keep_bytes: |_| 1 << 20 };
        cycle::run(heap, runtime, plan).map(|_| ())
    }
}

#[test]
fn a_collector_of_ones_own_works() {
    let mut types = MockTypes::new();
    let node = types.add_struct(&[REF, REF]);
    let mut w = World::new(HeapOptions { verify: true, ..HeapOptions::default() }, types);
    w.heap.collector = Box::new(Clockwork { budget_bytes: 1 << 20 });
    let kept = w.alloc_struct(node).unwrap();
    w.runtime.roots.push(kept);
    for _ in 0..1_000_000 {
        let object = w.alloc_struct(node).unwrap();
        w.store(kept, 4, object);
    }
    let stats = w.heap.stats();
    assert!((14..=16).contains(&stats.major), "16 MB in steps of 1 MiB and up to a block: {stats:?}");
    assert_eq!((stats.minor, stats.live_bytes), (0, 32));
    assert!(stats.peak_heap_bytes <= 2 << 20, "{stats:?}");
}
