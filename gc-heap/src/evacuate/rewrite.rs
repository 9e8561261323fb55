//! Rewriting: every reference to an object that was copied gets its new place.
//!
//! Live objects are walked by their mark bits in address order, which the processor's prefetcher likes. A reference
//! costs a look at a bitmap of sources, and only one into a source a look at the old place.

use super::BlockSet;
use super::objects::Objects;
use super::sources::Sources;
use crate::block::{Block, BlockState};
use crate::interface::to_runtime::{RootKind, RootVisitor, Runtime};
use crate::space::mark_bits::WORDS_PER_BLOCK;
use crate::state::HeapState;
use dolmen_abi::reference::is_object;

/// Rewrites the references of all live objects, slots, weak handles and host objects.
pub fn rewrite(heap: &mut HeapState, runtime: &mut dyn Runtime, objects: &Objects, sources: &Sources) {
    let mut rewriter = Rewriter { objects, sources: sources.set() };
    rewriter.rewrite_objects(heap);
    runtime.scan_roots(&mut rewriter);
    runtime.forward_weak(&|word| rewriter.forward(word));
    heap.host_objects.forward(&|unit| rewriter.forward(unit));
}

struct Rewriter<'e> {
    objects: &'e Objects,
    sources: &'e BlockSet,
}

impl Rewriter<'_> {
    #[inline]
    fn forward(&self, word: u32) -> u32 {
        let is_in_source = is_object(word) && self.sources.contains(Block::of_unit(word));
        if is_in_source { self.objects.forward(word) } else { word }
    }

    fn rewrite_objects(&self, heap: &HeapState) {
        let (space, types) = (&heap.space, &*heap.types);
        for block in space.blocks.iter() {
            let state = space.blocks.state(block);
            if !state.has_lines() && state != BlockState::Large {
                continue;
            }
            for index in 0..WORDS_PER_BLOCK {
                let word = space.marks.word_of_block(block, index);
                word.units().for_each(|unit| self.objects.rewrite(unit, types, |word| self.forward(word)));
            }
        }
    }
}

impl RootVisitor for Rewriter<'_> {
    fn visit_slice(&mut self, _kind: RootKind, words: &[u32]) {
        debug_assert!(words.iter().all(|&word| self.forward(word) == word), "a pinned object has moved");
    }

    fn visit_slots(&mut self, _kind: RootKind, words: &mut [u32]) {
        words.iter_mut().for_each(|word| *word = self.forward(*word));
    }
}
