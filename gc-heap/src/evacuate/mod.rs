//! Evacuation: moving objects out of sparse blocks, so that these become free.
//!
//! The problem: a line is used again only when everything on it is dead. After random deaths of small objects nearly
//! every line holds a survivor or two, so blocks in use grow to several times what lives; and when the live data
//! shrink, the survivors are spread over blocks that cannot be given back. Only moving them helps. But compiled code
//! keeps references in registers across safepoints, and nobody tells the collector which.
//!
//! The way out is Bartlett's ("Compacting garbage collection with ambiguous roots", 1988), over the blocks of Immix
//! (Blackburn and McKinley, 2008): what a root refers to whose holder may have a copy is *pinned* and stays;
//! everything else is referred to by objects and by roots that can be changed, so it may move
//! ([`RootVisitor`](crate::interface::to_runtime::RootVisitor) tells the roots apart,
//! [`dolmen_abi::collector::Motion`] says what that asks of compiled code).
//!
//! ```text
//! after the sweep of a major collection, if blocks in use exceed live bytes by too much:
//!   pin        what pinned roots refer to
//!   repeat, while memory was too short for all that should be copied, and some was gained:
//!     choose   the sparsest blocks as sources                   their mark bits and lines; the headers of the sources
//!     copy     every object of the sources that is not pinned into holes of other blocks, then into free blocks;
//!              leave its new place where it was; move its mark bit
//!     rewrite  all references into sources: live objects by their mark bits, in address order; slots; weak handles;
//!              host objects                                     one walk over all live objects
//!     sweep    the sources and the blocks that took the copies
//! ```
//!
//! **Memory for the copies** is needed before the sources give theirs back: the holes of other blocks, the free blocks,
//! what is left below the maximum, and the *reserve*, some blocks that nobody else gets ([`crate::space`]). A heap whose
//! lines all hold a survivor has no holes, so without the reserve it could be exhausted with half of it dead. A round
//! chooses no more sources than there is memory for. If blocks are half full, each round gains as many as it had
//! free, so a small reserve needs a round for each doubling.
//!
//! **Policy and bounds** are in [`crate::options`]. When memory ends, evacuation ends, and what was not copied stays. So
//! it never fails, and never makes a heap larger than its maximum.
//!
//! **What stays true.** All survivors of a major collection are old, moved or not, so no reference from old to young
//! arises, and the card of a moved object may stay clean: those whose cards must be dirty are on a shadow stack, hence
//! pinned. Large and immortal objects never move.
//!
//! Invariants: all mutators are stopped and their buffers retired; marks are those of a major collection; what did
//! not survive is out of weak handles and host objects.

mod copy;
mod objects;
mod rewrite;
mod sources;

use crate::block::Block;
use crate::interface::to_runtime::Runtime;
use crate::space::sweep;
use crate::state::HeapState;
use crate::stats::Cause;
use copy::Pins;
use objects::Objects;
use sources::{Goal, Sources};

/// Rounds of one evacuation at most.
const MAX_ROUNDS: u32 = 10;

/// What an evacuation moved.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moved {
    pub objects: u64,
    pub bytes: u64,
    /// Memory came to an end before everything was moved that should have been.
    is_short: bool,
}

/// Moves objects after the sweep of a major collection, if the heap is fragmented.
pub fn evacuate(heap: &mut HeapState, runtime: &mut dyn Runtime, cause: Cause) -> Moved {
    let objects = Objects::new(&heap.space, &*heap.types);
    let mut moved = Moved::default();
    let Some(mut goal) = Goal::of(heap, &objects, cause) else { return moved };
    let Some(pins) = Pins::find(runtime) else { return moved };
    let was_open = heap.space.set_reserve_open(true);
    for _ in 0..MAX_ROUNDS {
        let used_bytes = heap.space.used_bytes();
        let round = evacuate_once(heap, runtime, &objects, &pins, goal);
        moved.objects += round.objects;
        moved.bytes += round.bytes;
        goal.copy_bytes = goal.copy_bytes.saturating_sub(round.bytes);
        if !round.is_short || heap.space.used_bytes() >= used_bytes {
            break;
        }
    }
    heap.space.set_reserve_open(was_open);
    moved
}

fn evacuate_once(heap: &mut HeapState, runtime: &mut dyn Runtime, objects: &Objects, pins: &Pins, goal: Goal) -> Moved {
    let Some(sources) = Sources::choose(heap, objects, pins, goal) else { return Moved::default() };
    let moved = copy::copy(&mut heap.space, objects, &sources, pins);
    if moved.objects > 0 {
        rewrite::rewrite(heap, runtime, objects, &sources);
    }
    finish(heap, objects, &sources);
    Moved { is_short: moved.is_short || sources.is_short, ..moved }
}

/// Lets the lines of sources and targets tell what they hold now, and frees those that hold nothing.
fn finish(heap: &mut HeapState, objects: &Objects, sources: &Sources) {
    let poison = heap.poisons();
    let space = &mut heap.space;
    for &block in sources.in_order() {
        let sizes = |unit| objects.bytes_of(unit);
        sweep::sweep_again(space, block, &sizes, poison);
    }
    sweep::sweep_fresh(space, poison);
}

/// A set of blocks.
#[derive(Debug, Default)]
struct BlockSet {
    words: Vec<u64>,
}

impl BlockSet {
    /// An empty set of blocks below `frontier`; `None` if there is no memory.
    fn below(frontier: Block) -> Option<Self> {
        let words = (frontier.0 as usize).div_ceil(64);
        let mut set = Self::default();
        set.words.try_reserve_exact(words).ok()?;
        set.words.resize(words, 0);
        Some(set)
    }

    fn insert(&mut self, block: Block) {
        self.words[block.0 as usize / 64] |= 1 << (block.0 % 64);
    }

    #[inline]
    fn contains(&self, block: Block) -> bool {
        self.words.get(block.0 as usize / 64).is_some_and(|word| word >> (block.0 % 64) & 1 != 0)
    }
}
