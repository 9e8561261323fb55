//! Large objects: those that have a run of blocks to themselves.
//!
//! An object of more than half a block would leave much of it unused and could never move into a hole. It gets
//! whole blocks instead. Pages behind its end are never touched, so the system provides no memory for them. Its header
//! stands a little behind the start of the first block, so that the elements of an array start a cache line: loops over
//! elements load whole lines at once where the processor can.
//! Large objects are listed in the order of their age, and a sweep looks at their mark bits alone.

use crate::block::{BLOCK_BYTES, Block, BlockState, LOG_BLOCK_BYTES};
use crate::space::Space;
use crate::stats::Scope;
use dolmen_abi::collector::MAX_INLINE_ALLOC_BYTES;
use dolmen_abi::object::ARRAY_ELEMENTS_OFFSET;
use dolmen_abi::reference::REF_UNIT_BYTES;

/// Objects of more bytes than this are large.
pub const MAX_SHARED_BYTES: u32 = BLOCK_BYTES / 2;

/// Size of a cache line, in bytes.
const CACHE_LINE_BYTES: u32 = 64;

/// Bytes before a large object in its first block.
const HEADROOM_BYTES: u32 = CACHE_LINE_BYTES - ARRAY_ELEMENTS_OFFSET;

const _: () = assert!(MAX_INLINE_ALLOC_BYTES <= MAX_SHARED_BYTES, "compiled code must not bump large objects");

/// The large objects of a space.
#[derive(Debug, Default)]
pub struct LargeObjects {
    objects: Vec<LargeObject>,
    /// So many of them survived a collection; they come first.
    old: usize,
}

#[derive(Clone, Copy, Debug)]
struct LargeObject {
    start: Block,
    blocks: u32,
}

impl LargeObjects {
    /// The first blocks of those that have survived no collection.
    pub fn young(&self) -> impl Iterator<Item = Block> + use<'_> {
        self.objects[self.old..].iter().map(|object| object.start)
    }
}

/// Number of blocks that so many bytes take.
pub fn blocks_of(bytes: u32) -> u32 {
    bytes.div_ceil(1 << LOG_BLOCK_BYTES)
}

/// The reference word of the large object in a run of blocks that starts here.
pub fn object_in(start: Block) -> u32 {
    start.start_unit() + HEADROOM_BYTES / REF_UNIT_BYTES
}

/// Units from here to the next place at which an array would start a cache line with its elements.
pub fn units_to_line(unit: u32) -> u32 {
    const LINE_UNITS: u32 = CACHE_LINE_BYTES / REF_UNIT_BYTES;
    (HEADROOM_BYTES / REF_UNIT_BYTES).wrapping_sub(unit) % LINE_UNITS
}

/// Makes a large object; its reference word.
pub fn alloc(space: &mut Space, bytes: u32) -> Option<u32> {
    space.large.objects.try_reserve(1).ok()?;
    let blocks = blocks_of(bytes + HEADROOM_BYTES);
    let start = space.take_run(blocks, BlockState::Large, BlockState::LargeRest)?;
    space.large.objects.push(LargeObject { start, blocks });
    Some(object_in(start))
}

/// Frees the blocks of large objects that are not marked, of young ones only after a minor collection; `dead` sees
/// each run before.
pub fn sweep(space: &mut Space, scope: Scope, dead: &mut dyn FnMut(&mut Space, Block, u32)) {
    let mut objects = std::mem::take(&mut space.large.objects);
    let mut to_keep = if scope == Scope::Minor { space.large.old } else { 0 };
    objects.retain(|object| {
        let is_kept = to_keep > 0;
        to_keep -= usize::from(is_kept);
        let live = is_kept || space.marks.get(object_in(object.start));
        if !live {
            dead(space, object.start, object.blocks);
            for block in object.start.0..object.start.0 + object.blocks {
                space.blocks.free(Block(block));
            }
        }
        live
    });
    space.large.old = objects.len();
    space.large.objects = objects;
}
