//! Rewriting: every reference to an object that was copied gets its new place.
//!
//! Live objects are walked by their mark bits in address order, which the processor's prefetcher likes. The references of
//! the structs on a line are gathered as bits; which of all references lead into a source is told by a bitmap and
//! predicted by nobody, so without a branch: the place of each is written down, and stays if it is one. What is written
//! down is rewritten together, so that the old places, all over the heap, are on their way into the cache in time.

use super::BlockSet;
use super::objects::Objects;
use super::sources::Sources;
use crate::block::{BLOCK_UNITS, Block, BlockState};
use crate::interface::to_runtime::{RootKind, RootVisitor, Runtime, TypeTable};
use crate::large;
use crate::line::LOG_LINE_UNITS;
use crate::space::mark_bits::MarkBits;
use crate::state::HeapState;
use dolmen_abi::reference::I31_TAG;
use dolmen_abi::type_desc::REF_MAP_WORDS;
use std::ops::Range;

/// Rewrites the references of all live objects, slots, weak handles and host objects.
pub fn rewrite(heap: &mut HeapState, runtime: &mut dyn Runtime, objects: &Objects, sources: &Sources) {
    let mut rewriter = Rewriter { objects, sources: sources.set(), slots: [0; SLOTS], len: 0 };
    rewriter.rewrite_objects(heap);
    runtime.scan_roots(&mut rewriter);
    runtime.forward_weak(&|word| rewriter.forward(word));
    heap.host_objects.forward(&|unit| rewriter.forward(unit));
}

/// Places of references that wait to be rewritten; a power of two.
const SLOTS: usize = 1024;

/// References that are looked at before there must be room again.
const STEP_SLOTS: usize = 256;

/// Places between the prefetch of an old place and its use.
const PREFETCH_SLOTS: usize = 32;

/// Units of a line; a bit of a map stands for each.
const LINE_UNITS: u32 = 1 << LOG_LINE_UNITS;

const _: () = assert!(LINE_UNITS == u64::BITS && REF_MAP_WORDS == u64::BITS);

struct Rewriter<'e> {
    objects: &'e Objects,
    sources: &'e BlockSet,
    /// Places of references into sources.
    slots: [u32; SLOTS],
    len: usize,
}

impl Rewriter<'_> {
    #[inline]
    fn forward(&self, word: u32) -> u32 {
        if self.is_in_source(word) { self.objects.forward(word) } else { word }
    }

    #[inline(always)]
    fn is_in_source(&self, word: u32) -> bool {
        // No block of null is a source.
        self.sources.contains(Block::of_unit(word)) & (word & I31_TAG == 0)
    }

    fn rewrite_objects(&mut self, heap: &HeapState) {
        let (space, types) = (&heap.space, &*heap.types);
        for block in space.blocks.iter() {
            match space.blocks.state(block) {
                BlockState::Recyclable | BlockState::Full => self.enter_block(&space.marks, block, types),
                BlockState::Large => self.enter_object(large::object_in(block), types),
                _ => {}
            }
        }
        self.rewrite_slots();
    }

    /// Enters the references of the objects of a shared block, line by line.
    fn enter_block(&mut self, marks: &MarkBits, block: Block, types: &dyn TypeTable) {
        let start = block.start_unit();
        // Fields of structs that start on the line before.
        let mut behind = 0;
        for line in (start..start + BLOCK_UNITS).step_by(LINE_UNITS as usize) {
            let mut inside = std::mem::take(&mut behind);
            for unit in marks.starts_in(&(line..line + LINE_UNITS)).units() {
                let desc = self.objects.desc_of(unit);
                if desc.elem_is_ref != 0 {
                    self.enter_elements(self.objects.elements_of(unit));
                }
                if desc.ref_list_len != 0 {
                    self.enter_object(unit, types);
                    continue;
                }
                // Arrays have an empty map.
                let at = unit - line;
                inside |= desc.ref_map << at;
                behind |= desc.ref_map >> 1 >> (LINE_UNITS - 1 - at);
            }
            self.make_room();
            while inside != 0 {
                self.enter(line + inside.trailing_zeros());
                inside &= inside - 1;
            }
        }
        debug_assert_eq!(behind, 0, "no object extends beyond its block");
    }

    /// Enters the references of any object.
    fn enter_object(&mut self, unit: u32, types: &dyn TypeTable) {
        if self.objects.desc_of(unit).elem_is_ref != 0 {
            return self.enter_elements(self.objects.elements_of(unit));
        }
        self.objects.for_each_field(unit, types, |at| {
            self.make_room();
            self.enter(at);
        });
    }

    #[inline]
    fn enter_elements(&mut self, mut elements: Range<u32>) {
        while !elements.is_empty() {
            self.make_room();
            elements.by_ref().take(STEP_SLOTS).for_each(|at| self.enter(at));
        }
    }

    /// Enters a place in an object if what is there refers into a source. There is room for it.
    #[inline(always)]
    fn enter(&mut self, at: u32) {
        self.slots[self.len % SLOTS] = at;
        self.len += usize::from(self.is_in_source(self.objects.slot(at)));
    }

    #[inline(always)]
    fn make_room(&mut self) {
        if self.len > SLOTS - STEP_SLOTS {
            self.rewrite_slots();
        }
    }

    fn rewrite_slots(&mut self) {
        let slots = &self.slots[..std::mem::take(&mut self.len)];
        for (i, &at) in slots.iter().enumerate() {
            if let Some(&ahead) = slots.get(i + PREFETCH_SLOTS) {
                self.objects.prefetch(self.objects.slot(ahead));
            }
            self.objects.forward_slot(at);
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
