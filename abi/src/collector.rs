//! What the compiler inlines for a collector: the allocation sequence, the write barrier, and whether objects
//! move. The third, data-only part of the heap's interface; the other two are in `dolmen-gc-heap`.
//!
//! **Allocation.** A thread bumps [`AllocBuffer::cursor`] towards [`AllocBuffer::limit`]; both count
//! [`REF_UNIT_BYTES`] from the heap base, so the cursor *is* the reference
//! word of the next object:
//!
//! ```text
//! object = buffer.cursor
//! end = object + size_bytes / REF_UNIT_BYTES        (size a multiple of OBJECT_ALIGN_BYTES, at most
//! if end > buffer.limit: return slow(type[, length])      MAX_INLINE_ALLOC_BYTES; end cannot wrap)
//! buffer.cursor = end
//! heap[object].type_word = type  [heap[object].length = length]
//! ```
//!
//! Memory in a buffer is zero. An empty buffer has `cursor == limit == 0`, so every allocation is slow: that is
//! also how allocation stress works.
//!
//! **Barrier.** After references are stored into a heap object, and before the next safepoint
//! ([`Barrier::Card`]):
//!
//! ```text
//! struct, exception:          card_base[object >> LOG_CARD_REF_UNITS] = CARD_DIRTY
//! array, elements i .. i + n: card_base[(array + ARRAY_ELEMENTS_REF_UNITS + i + k) >> LOG_CARD_REF_UNITS]
//!                               = CARD_DIRTY   for 0 <= k < n
//! ```
//!
//! So the card of a struct is that of its header, the card of an element that of the element: a store into a
//! large array makes the collector look at a few elements only.
//!
//! Stores into an object that no safepoint separates from its allocation need no barrier. At a collection the card
//! of the header of each object on a shadow stack becomes dirty again. So a struct that stays on the shadow stack
//! needs one barrier, or none if it was allocated meanwhile, however many collections there are; and its initialising
//! stores may be delayed past a safepoint. Those of an array may be, too, if what is stored is older than the array: the
//! collection makes both old. What is null or an `i31` needs no barrier.
//!
//! **Motion.** With [`Motion::Unrooted`] a collection may move any object but those that a shadow stack or a global
//! refers to. So code may keep a reference, or an address inside its object, in a register across a safepoint, as
//! long as the reference is on the shadow stack at that safepoint; whatever else it needs afterwards it must load
//! again, from an object or a table, where it finds the new reference. It is not enough that the object is reachable
//! by another way. A global is the exception: code may load an immutable one once and for all. Motion shows
//! neither in identity, since all copies of a reference change at once, nor in type words and lengths.

use crate::object::ARRAY_ELEMENTS_OFFSET;
use crate::reference::{LOG_REF_SCALE, MAX_HEAP_BYTES, REF_BYTES, REF_UNIT_BYTES};
use serde::{Deserialize, Serialize};

/// A collector, chosen per store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Collector {
    /// Mark-region space with sticky mark bits: most collections look at young objects only.
    Generational,
    /// Mark-region space with full stop-the-world collections.
    MarkSweep,
    /// Never collects.
    Null,
}

/// What compiled code does after a reference store into a heap object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Barrier {
    None = 0,
    /// Dirty the card of the struct's header or of the array's elements.
    Card = 1,
}

/// Which objects a collection may move under compiled code; see the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Motion {
    /// None.
    None = 0,
    /// Those that no shadow stack refers to.
    Unrooted = 1,
    /// All: every reference must be reloaded after a safepoint.
    All = 2,
}

/// What compiled code and collector agree on; recorded in the artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protocol {
    pub barrier: Barrier,
    /// Which objects a collection may move.
    pub motion: Motion,
}

/// A thread's allocation buffer: the start of the thread context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct AllocBuffer {
    /// Reference word of the next object.
    pub cursor: u32,
    /// End of the buffer, as a reference word.
    pub limit: u32,
}

/// Objects of at most this size may be allocated inline; larger ones always take the slow path.
pub const MAX_INLINE_ALLOC_BYTES: u32 = 8 << 10;

/// The end of the highest allocation buffer, as a reference word, may be at most this: a bump from below it
/// does not wrap.
pub const MAX_ALLOC_LIMIT: u32 = ((MAX_HEAP_BYTES - MAX_INLINE_ALLOC_BYTES as u64) / REF_UNIT_BYTES as u64) as u32;

/// Binary logarithm of the bytes of heap that one card stands for.
pub const LOG_CARD_BYTES: u32 = 8;

/// Binary logarithm of the reference units of one card.
pub const LOG_CARD_REF_UNITS: u32 = LOG_CARD_BYTES - LOG_REF_SCALE;

/// Reference units from the start of an array to its first element; a reference is one unit.
pub const ARRAY_ELEMENTS_REF_UNITS: u32 = ARRAY_ELEMENTS_OFFSET / REF_UNIT_BYTES;

const _: () = assert!(REF_BYTES == REF_UNIT_BYTES, "the card of an element is found by its index");

/// Value of a card whose objects may hold references to young objects.
pub const CARD_DIRTY: u8 = 1;

impl Collector {
    /// All collectors with the names that users give them; the first is the default.
    pub const NAMES: &[(&str, Self)] =
        &[("generational", Self::Generational), ("marksweep", Self::MarkSweep), ("null", Self::Null)];

    /// The collector that is used unless another is named.
    pub const DEFAULT: Self = Self::NAMES[0].1;

    /// The collector of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(n, _)| *n == name).map(|&(_, c)| c)
    }

    /// The name users give it.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|&&(_, c)| c == self).map_or("", |&(n, _)| n)
    }

    /// What the collector needs of compiled code.
    #[must_use]
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::Generational => Protocol { barrier: Barrier::Card, motion: Motion::Unrooted },
            Self::MarkSweep => Protocol { barrier: Barrier::None, motion: Motion::Unrooted },
            Self::Null => Protocol { barrier: Barrier::None, motion: Motion::None },
        }
    }
}

impl Protocol {
    /// Whether code compiled for `self` can run on a collector that needs `needed`: it does at least as much.
    #[must_use]
    pub fn satisfies(self, needed: Self) -> bool {
        self.barrier >= needed.barrier && self.motion >= needed.motion
    }
}
