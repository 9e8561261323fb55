//! Copying: what pinned roots hold in place, and where everything else of the sources goes.

use super::Moved;
use super::objects::Objects;
use super::sources::Sources;
use crate::alloc::Allocator;
use crate::block::Block;
use crate::interface::to_runtime::{RootKind, RootVisitor, Runtime};
use crate::line::{LINE_LIVE, line_range};
use crate::space::Space;
use dolmen_abi::collector::AllocBuffer;
use dolmen_abi::reference::{REF_UNIT_BYTES, is_object};

/// The objects that must stay where they are, in address order.
pub struct Pins {
    units: Vec<u32>,
}

impl Pins {
    /// Asks the runtime's roots; `None` if there is no memory for the list.
    pub fn find(runtime: &mut dyn Runtime) -> Option<Self> {
        let mut finder = Finder { units: Vec::new(), has_memory: true };
        runtime.scan_roots(&mut finder);
        let Finder { mut units, has_memory } = finder;
        units.sort_unstable();
        units.dedup();
        has_memory.then_some(Self { units })
    }

    /// Those of one block.
    pub fn of_block(&self, block: Block) -> &[u32] {
        let below = |end: Block| self.units.partition_point(|&unit| unit < end.start_unit());
        &self.units[below(block)..below(Block(block.0 + 1))]
    }
}

struct Finder {
    units: Vec<u32>,
    has_memory: bool,
}

impl RootVisitor for Finder {
    fn visit_slice(&mut self, _kind: RootKind, words: &[u32]) {
        for &word in words {
            if is_object(word) {
                self.has_memory &= self.units.try_reserve(1).is_ok();
                if self.has_memory {
                    self.units.push(word);
                }
            }
        }
    }

    fn visit_slots(&mut self, _kind: RootKind, _words: &mut [u32]) {}
}

/// Copies what is not pinned out of the sources, until memory ends. Mark bits and lines of the new places are set, the
/// bits of the old ones are cleared.
pub fn copy(space: &mut Space, objects: &Objects, sources: &Sources, pins: &Pins) -> Moved {
    let mut copier = Copier { space, objects, allocator: Allocator::new(), buffer: AllocBuffer::default() };
    let mut moved = Moved::default();
    for &block in sources.in_order() {
        if !copier.copy_block(block, pins.of_block(block), &mut moved) {
            moved.is_short = true;
            break;
        }
    }
    moved
}

struct Copier<'s> {
    space: &'s mut Space,
    objects: &'s Objects,
    /// Finds room as for mutators: no hole of a source, since these do not count as recyclable meanwhile.
    allocator: Allocator,
    buffer: AllocBuffer,
}

impl Copier<'_> {
    /// False if memory has come to an end.
    fn copy_block(&mut self, block: Block, pinned: &[u32], moved: &mut Moved) -> bool {
        let Self { space, objects, allocator, buffer } = self;
        let mut pinned = pinned.iter().copied().peekable();
        let mut has_memory = true;
        objects.walk(space, block, |space, unit| {
            if !has_memory || pinned.next_if_eq(&unit).is_some() {
                return;
            }
            let bytes = objects.bytes_of(unit);
            let Some(to) = allocator.alloc(space, buffer, bytes) else {
                has_memory = false;
                return;
            };
            objects.move_to(unit, to, bytes);
            space.marks.unset(unit);
            space.marks.set(to);
            let lines = line_range(to, to + bytes / REF_UNIT_BYTES);
            space.lines.of_block_mut(Block::of_unit(to))[lines].fill(LINE_LIVE);
            moved.objects += 1;
            moved.bytes += u64::from(bytes);
        });
        has_memory
    }
}
