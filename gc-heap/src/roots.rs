//! Roots: the references outside the heap, on their way from the runtime into a trace.
//!
//! The runtime hands over whole arrays of words; here they meet the tracer. What the shadow stack refers to stays
//! remembered: compiled code may store into such an object without a barrier when it is old already, because it has
//! seen its allocation, or has had a barrier of it before ([`dolmen_abi::collector`]).

use crate::barrier::CardTable;
use crate::interface::to_runtime::{RootKind, RootVisitor, Runtime};
use crate::trace::Tracer;
use dolmen_abi::reference::is_object;

/// Marks what the runtime's roots refer to; dirties the cards of what the shadow stack refers to.
pub fn mark_roots(runtime: &mut dyn Runtime, tracer: &mut Tracer<'_>, cards: Option<&CardTable>) {
    runtime.scan_roots(&mut RootMarker { tracer, cards });
}

struct RootMarker<'a, 'b> {
    tracer: &'a mut Tracer<'b>,
    cards: Option<&'a CardTable>,
}

impl RootVisitor for RootMarker<'_, '_> {
    fn visit_slice(&mut self, kind: RootKind, words: &[u32]) {
        self.tracer.visit_words(words);
        if let (RootKind::ShadowStack, Some(cards)) = (kind, self.cards) {
            words.iter().filter(|&&w| is_object(w)).for_each(|&unit| cards.dirty(unit, unit + 1));
        }
    }
}
