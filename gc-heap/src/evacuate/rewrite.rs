//! Rewriting: every reference to an object that was copied gets its new place.
//!
//! Live objects are walked by their mark bits in address order, which the processor's prefetcher likes. A reference
//! costs a look at a bitmap of sources, and only one into a source a look at the old place. These looks go all over the
//! heap, so they wait in a short queue until the old place has arrived in the cache.

use super::BlockSet;
use super::objects::{Objects, Slot};
use super::sources::Sources;
use crate::block::{Block, BlockState};
use crate::interface::to_runtime::{RootKind, RootVisitor, Runtime};
use crate::state::HeapState;
use dolmen_abi::reference::is_object;

/// Rewrites the references of all live objects, slots, weak handles and host objects.
pub fn rewrite(heap: &mut HeapState, runtime: &mut dyn Runtime, objects: &Objects, sources: &Sources) {
    let mut rewriter = Rewriter { objects, sources: sources.set(), queue: [Slot::default(); QUEUE_SLOTS], entered: 0 };
    rewriter.rewrite_objects(heap);
    runtime.scan_roots(&mut rewriter);
    runtime.forward_weak(&|word| rewriter.forward(word));
    heap.host_objects.forward(&|unit| rewriter.forward(unit));
}

/// Slots between the prefetch of an old place and its use; a power of two.
const QUEUE_SLOTS: usize = 16;

struct Rewriter<'e> {
    objects: &'e Objects,
    sources: &'e BlockSet,
    /// The slots that were entered last.
    queue: [Slot; QUEUE_SLOTS],
    entered: usize,
}

impl Rewriter<'_> {
    #[inline]
    fn forward(&self, word: u32) -> u32 {
        if self.is_in_source(word) { self.objects.forward(word) } else { word }
    }

    #[inline]
    fn is_in_source(&self, word: u32) -> bool {
        is_object(word) && self.sources.contains(Block::of_unit(word))
    }

    fn rewrite_objects(&mut self, heap: &mut HeapState) {
        let (space, types) = (&mut heap.space, &*heap.types);
        for block in space.blocks.iter() {
            let state = space.blocks.state(block);
            if !state.has_lines() && state != BlockState::Large {
                continue;
            }
            let objects = self.objects;
            objects.walk(space, block, |_, unit| {
                objects.for_each_slot(unit, types, |slot, word| {
                    if self.is_in_source(word) {
                        objects.prefetch(word);
                        self.enter(slot);
                    }
                });
            });
        }
        self.queue[..self.entered.min(QUEUE_SLOTS)].iter().for_each(|&slot| self.objects.forward_slot(slot));
    }

    /// Rewrites the slot that was entered longest ago, and enters another.
    #[inline]
    fn enter(&mut self, slot: Slot) {
        let oldest = std::mem::replace(&mut self.queue[self.entered % QUEUE_SLOTS], slot);
        if self.entered >= QUEUE_SLOTS {
            self.objects.forward_slot(oldest);
        }
        self.entered += 1;
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
