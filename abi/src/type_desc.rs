//! The type word of an object's header and the descriptor that it names.
//!
//! An engine keeps one descriptor for each canonical type in one address range, reserved once, which never
//! moves: `type_base` in the thread context. A type word is the byte offset of the descriptor from there, so
//!
//! - a cast to a final type compares the type word with the wanted one;
//! - a cast to any other type of depth `d` compares `display[d]` of the object's descriptor with it (for `d`
//!   below [`MIN_DISPLAY`] without a look at the object's depth, since each descriptor has that many entries);
//! - the kind of an object is in the upper bits of its type word, so `ref.test struct` needs no descriptor.
//!
//! The display holds the type words of the supertypes by depth and of the type itself at its own depth; the
//! rest is [`NO_TYPE_WORD`]. A descriptor deeper than [`MIN_DISPLAY`] extends over the following slots.

use crate::reference::REF_BYTES;

/// What an object is. The numbers stand in the upper bits of type words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    Struct = 1,
    Array = 2,
    Func = 3,
    /// A host object, held through `externref`.
    Extern = 4,
    Exn = 5,
}

/// All kinds.
pub const KINDS: [Kind; 5] = [Kind::Struct, Kind::Array, Kind::Func, Kind::Extern, Kind::Exn];

/// `type_word >> LOG_KIND_RANGE` is the object's [`Kind`].
pub const LOG_KIND_RANGE: u32 = 26;

/// Bytes of descriptors that each kind has room for.
pub const KIND_RANGE_BYTES: u32 = 1 << LOG_KIND_RANGE;

/// Size of the descriptor range of an engine, in bytes. It is reserved, not committed.
pub const TYPE_REGION_BYTES: u64 = (KINDS.len() as u64 + 1) << LOG_KIND_RANGE;

/// A type word that no object has.
pub const NO_TYPE_WORD: u32 = 0;

/// Entries that every display has.
pub const MIN_DISPLAY: usize = 8;

/// Greatest depth of a type in its hierarchy (a type without supertype has depth 0); a limit of the
/// WebAssembly 3.0 specification's appendix.
pub const MAX_SUBTYPING_DEPTH: usize = 63;

/// Size and alignment of a descriptor slot, in bytes.
pub const DESC_SLOT_BYTES: u32 = 64;

/// The words of an object that [`TypeDesc::ref_map`] describes.
pub const REF_MAP_WORDS: u32 = u64::BITS;

/// A type as the collector and casts see it.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct TypeDesc {
    /// Struct and exception: bit `i` is set if the word at byte `4 * i` of an object is a reference.
    /// Only for the first [`REF_MAP_WORDS`] words; the rest are in the list of `ref_list_*`.
    pub ref_map: u64,
    /// Size in bytes of an object of fixed size; of an array, the offset of its elements.
    pub fixed_bytes: u32,
    /// Struct and exception: number of references beyond the reach of `ref_map`.
    pub ref_list_len: u32,
    /// Index of the first of their byte offsets in the registry's list.
    pub ref_list_start: u32,
    /// Index of the canonical type in the engine's registry.
    pub canonical: u32,
    /// Number of supertypes above this type.
    pub depth: u16,
    /// A [`Kind`] as number.
    pub kind: u8,
    /// Array: binary logarithm of the size of an element in bytes.
    pub log_elem_bytes: u8,
    /// Array: 1 if the elements are references.
    pub elem_is_ref: u8,
    /// Unused, zero.
    pub reserved: [u8; 3],
    /// Type words of the supertypes by depth, then of the type itself; deeper entries follow the struct.
    pub display: [u32; MIN_DISPLAY],
}

/// Byte offset of [`TypeDesc::depth`].
pub const DESC_DEPTH_OFFSET: u32 = core::mem::offset_of!(TypeDesc, depth) as u32;

/// Byte offset of [`TypeDesc::display`].
pub const DESC_DISPLAY_OFFSET: u32 = core::mem::offset_of!(TypeDesc, display) as u32;

const _: () = assert!(size_of::<TypeDesc>() == DESC_SLOT_BYTES as usize);
const _: () = assert!(DESC_DISPLAY_OFFSET as usize + MIN_DISPLAY * 4 == size_of::<TypeDesc>());

impl Kind {
    /// The kind of objects with this type word, or `None` if no object has it.
    #[must_use]
    pub const fn of_type_word(type_word: u32) -> Option<Self> {
        match type_word >> LOG_KIND_RANGE {
            1 => Some(Self::Struct),
            2 => Some(Self::Array),
            3 => Some(Self::Func),
            4 => Some(Self::Extern),
            5 => Some(Self::Exn),
            _ => None,
        }
    }

    /// The first type word of this kind.
    #[must_use]
    pub const fn first_type_word(self) -> u32 {
        (self as u32) << LOG_KIND_RANGE
    }
}

/// Number of slots that a descriptor of a type at `depth` takes.
#[must_use]
pub const fn desc_slots(depth: usize) -> u32 {
    let bytes = DESC_DISPLAY_OFFSET + REF_BYTES * (depth as u32 + 1);
    bytes.div_ceil(DESC_SLOT_BYTES)
}
