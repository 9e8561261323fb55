//! Roots: the references outside the heap, on their way from the runtime into a trace.
//!
//! The runtime hands over whole arrays of words; here they meet the tracer.

use crate::interface::to_runtime::{RootKind, RootVisitor, Runtime};
use crate::trace::Tracer;

/// Marks what the runtime's roots refer to.
pub fn mark_roots(runtime: &mut dyn Runtime, tracer: &mut Tracer<'_>) {
    runtime.scan_roots(&mut RootMarker { tracer });
}

struct RootMarker<'a, 'b> {
    tracer: &'a mut Tracer<'b>,
}

impl RootVisitor for RootMarker<'_, '_> {
    fn visit_slice(&mut self, _kind: RootKind, words: &[u32]) {
        self.tracer.visit_words(words);
    }
}
