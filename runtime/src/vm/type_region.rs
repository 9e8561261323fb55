//! The type descriptors of an engine, in one address range that never moves.
//!
//! Casts in compiled code and the collector find a type's descriptor at the range's base plus the object's type
//! word ([`dolmen_abi::type_desc`]), without a lock and at any time. So the range is reserved once, descriptors
//! are only ever added, and a type word becomes known to anybody only after its descriptor is complete: writing
//! it happens under a lock, then the number of published slots of its kind grows, and readers look at nothing
//! beyond that number.
//!
//! Byte offsets of references that lie beyond a descriptor's bit map stand in a second range, the *reference
//! list*, filled in the same manner.

use crate::os::{Mapping, Protection};
use dolmen_abi::reference::REF_BYTES;
use dolmen_abi::type_desc::{
    DESC_DISPLAY_OFFSET, DESC_SLOT_BYTES, KIND_RANGE_BYTES, KINDS, Kind, LOG_KIND_RANGE, MIN_DISPLAY, REF_MAP_WORDS,
    TYPE_REGION_BYTES, TypeDesc, desc_slots,
};
use dolmen_gc_heap::TypeTable;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// Size of the reference list in bytes; reserved, not committed.
const REF_LIST_BYTES: usize = 256 << 20;

/// Entries that the reference list has room for.
const REF_LIST_LEN: usize = REF_LIST_BYTES / REF_BYTES as usize;

/// Descriptor slots that each kind has room for.
const KIND_SLOTS: u32 = KIND_RANGE_BYTES / DESC_SLOT_BYTES;

/// The descriptors and the reference list.
#[derive(Debug)]
pub(crate) struct TypeRegion {
    descriptors: Mapping,
    ref_list: Mapping,
    /// Complete slots by kind.
    published_slots: [AtomicU32; KINDS.len() + 1],
    /// Complete entries of the reference list.
    published_refs: AtomicU32,
    writer: Mutex<()>,
}

impl TypeRegion {
    /// Reserves the address space.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            descriptors: Mapping::reserve(TYPE_REGION_BYTES as usize, Protection::ReadWrite)?,
            ref_list: Mapping::reserve(REF_LIST_BYTES, Protection::ReadWrite)?,
            published_slots: Default::default(),
            published_refs: AtomicU32::new(0),
            writer: Mutex::new(()),
        })
    }

    /// Address of type word 0, for thread contexts.
    pub(crate) fn base_address(&self) -> u64 {
        self.descriptors.base().as_ptr() as u64
    }

    /// Adds a descriptor and returns its type word, or `None` if there is no room for it.
    ///
    /// `supers` are the type words of the supertypes from the root down, `ref_offsets` the places of references
    /// in an object of fixed size, ascending. Display and reference fields of `desc` are filled in here.
    ///
    /// # Panics
    ///
    /// If the descriptor's depth is not the number of supertypes.
    pub(crate) fn add(&self, kind: Kind, mut desc: TypeDesc, supers: &[u32], ref_offsets: &[u32]) -> Option<u32> {
        assert_eq!(usize::from(desc.depth), supers.len());
        // A panic while the lock is held has published nothing, so what it left is overwritten.
        let guard = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let published = &self.published_slots[kind as usize];
        // Relaxed: only holders of the lock write it.
        let slot = published.load(Ordering::Relaxed);
        let end = slot + desc_slots(supers.len());
        if end > KIND_SLOTS {
            return None;
        }
        let type_word = kind.first_type_word() + slot * DESC_SLOT_BYTES;
        let in_map = ref_offsets.partition_point(|&offset| offset / REF_BYTES < REF_MAP_WORDS);
        let (mapped, listed) = ref_offsets.split_at(in_map);
        desc.kind = kind as u8;
        desc.ref_map = mapped.iter().fold(0, |map, offset| map | 1 << (offset / REF_BYTES));
        (desc.ref_list_start, desc.ref_list_len) = self.add_refs(listed)?;
        self.write_descriptor(type_word, desc, supers);
        // Release: whoever sees the new number sees the descriptor.
        published.store(end, Ordering::Release);
        drop(guard);
        Some(type_word)
    }

    /// The descriptor of a type word that was given out.
    pub(crate) fn descriptor(&self, type_word: u32) -> Option<TypeDesc> {
        if !self.is_published(type_word) {
            return None;
        }
        let at = self.descriptors.base().as_ptr().wrapping_add(type_word as usize);
        // SAFETY: the slot is published: inside the mapping, complete, no longer written to. Any bit pattern is
        // a descriptor.
        Some(unsafe { at.cast::<TypeDesc>().read() })
    }

    /// Whether the slot at a type word is complete. It may be the continuation of a deep type's descriptor.
    fn is_published(&self, type_word: u32) -> bool {
        let slot = (type_word & (KIND_RANGE_BYTES - 1)) / DESC_SLOT_BYTES;
        let published = self.published_slots.get((type_word >> LOG_KIND_RANGE) as usize);
        // Acquire: pairs with the release in `add`.
        type_word.is_multiple_of(DESC_SLOT_BYTES) && published.is_some_and(|p| slot < p.load(Ordering::Acquire))
    }

    /// Appends to the reference list; returns where and how many. The lock is held.
    fn add_refs(&self, offsets: &[u32]) -> Option<(u32, u32)> {
        if offsets.is_empty() {
            return Some((0, 0));
        }
        // Relaxed: only holders of the lock write it.
        let start = self.published_refs.load(Ordering::Relaxed) as usize;
        let end = start + offsets.len();
        if end > REF_LIST_LEN {
            return None;
        }
        let at = self.ref_list.base().as_ptr().cast::<u32>().wrapping_add(start);
        // SAFETY: the entries lie inside the mapping (checked), which is writable and page-aligned; they are not
        // published yet, and the lock keeps other writers away.
        unsafe { at.copy_from_nonoverlapping(offsets.as_ptr(), offsets.len()) };
        // Release: whoever sees the new number sees the entries.
        self.published_refs.store(end as u32, Ordering::Release);
        Some((start as u32, offsets.len() as u32))
    }

    /// Writes a descriptor that is not published yet. The lock is held.
    fn write_descriptor(&self, type_word: u32, desc: TypeDesc, supers: &[u32]) {
        let slots_bytes = (desc_slots(supers.len()) * DESC_SLOT_BYTES) as usize;
        let at = self.descriptors.base().as_ptr().wrapping_add(type_word as usize);
        // SAFETY: `add` checked that these slots lie inside their kind's part of the mapping, which is writable;
        // they are not published yet, and the lock keeps other writers away.
        unsafe { at.write_bytes(0, slots_bytes) };
        // SAFETY: as above; a slot has a descriptor's size and alignment.
        unsafe { at.cast::<TypeDesc>().write(TypeDesc { display: [0; MIN_DISPLAY], ..desc }) };
        let display = at.wrapping_add(DESC_DISPLAY_OFFSET as usize).cast::<u32>();
        // SAFETY: `desc_slots` leaves room for one entry more than there are supertypes.
        unsafe { display.copy_from_nonoverlapping(supers.as_ptr(), supers.len()) };
        // SAFETY: as above.
        unsafe { display.wrapping_add(supers.len()).write(type_word) };
    }

    /// The display entry at `depth` of a published descriptor that is at least as deep.
    fn display_entry(&self, type_word: u32, depth: usize) -> u32 {
        let offset = type_word as usize + (DESC_DISPLAY_OFFSET + REF_BYTES * depth as u32) as usize;
        assert!(offset + size_of::<u32>() <= self.descriptors.len_bytes());
        let at = self.descriptors.base().as_ptr().wrapping_add(offset);
        // SAFETY: inside the mapping (asserted) and aligned to 4 bytes. Beyond a published descriptor's own
        // entries lies either zero or another descriptor, which is atomic only in the sense that callers do not
        // ask for it: they keep to the depth.
        unsafe { at.cast::<u32>().read() }
    }
}

// SAFETY: descriptors are complete before `is_published` admits them and never change; `add`'s callers compute
// sizes and offsets with the layout functions that the compiler uses.
unsafe impl TypeTable for TypeRegion {
    fn type_base(&self) -> *const u8 {
        self.descriptors.base().as_ptr()
    }

    fn contains(&self, type_word: u32) -> bool {
        // The continuation of a deep descriptor is told apart by its display: no type word equals its offset.
        self.descriptor(type_word).is_some_and(|desc| {
            let depth = usize::from(desc.depth);
            depth <= dolmen_abi::type_desc::MAX_SUBTYPING_DEPTH
                && KINDS.iter().any(|&kind| kind as u8 == desc.kind)
                && self.display_entry(type_word, depth) == type_word
        })
    }

    fn with_ref_list(&self, start: u32, len: u32, visit: &mut dyn FnMut(&[u32])) {
        // Acquire: pairs with the release in `add_refs`.
        let published = u64::from(self.published_refs.load(Ordering::Acquire));
        assert!(u64::from(start) + u64::from(len) <= published);
        let at = self.ref_list.base().as_ptr().cast::<u32>().wrapping_add(start as usize);
        // SAFETY: published entries lie inside the mapping and are no longer written to.
        visit(unsafe { std::slice::from_raw_parts(at, len as usize) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blank(depth: u16) -> TypeDesc {
        TypeDesc {
            ref_map: 0,
            fixed_bytes: 8,
            ref_list_len: 0,
            ref_list_start: 0,
            canonical: 7,
            depth,
            kind: 0,
            log_elem_bytes: 0,
            elem_is_ref: 0,
            reserved: [0; 3],
            display: [0; MIN_DISPLAY],
        }
    }

    #[test]
    fn displays_extend_over_slots() {
        let region = TypeRegion::new().unwrap();
        let mut words = Vec::new();
        for depth in 0..64_u16 {
            words.push(region.add(Kind::Struct, blank(depth), &words, &[]).unwrap());
        }
        for (depth, &word) in words.iter().enumerate() {
            assert!(region.contains(word));
            let desc = region.descriptor(word).unwrap();
            assert_eq!(usize::from(desc.depth), depth);
            assert!((0..=depth).all(|d| region.display_entry(word, d) == words[d]));
        }
        assert!(!region.contains(words[8] + DESC_SLOT_BYTES), "the second slot of the type at depth 8");
        assert!(!region.contains(words[63] + 5 * DESC_SLOT_BYTES), "beyond the last type");
        assert!(!region.contains(words[0] + 4) && !region.contains(0) && !region.contains(u32::MAX));
    }

    #[test]
    fn far_references_are_listed() {
        let region = TypeRegion::new().unwrap();
        let offsets: Vec<u32> = (1..100).map(|i| 4 * i).collect();
        for _ in 0..2 {
            let word = region.add(Kind::Struct, blank(0), &[], &offsets).unwrap();
            let desc = region.descriptor(word).unwrap();
            assert_eq!(desc.ref_map, !1);
            let mut listed = Vec::new();
            region.with_ref_list(desc.ref_list_start, desc.ref_list_len, &mut |refs| listed.extend_from_slice(refs));
            assert_eq!(listed, offsets[63..]);
        }
    }

    #[test]
    fn a_full_kind_is_refused() {
        let region = TypeRegion::new().unwrap();
        region.published_slots[Kind::Array as usize].store(KIND_SLOTS - 1, Ordering::Relaxed);
        let supers: Vec<u32> = (0..8).map(|i| 64 * i).collect();
        assert_eq!(region.add(Kind::Array, blank(8), &supers, &[]), None);
        assert!(region.add(Kind::Array, blank(0), &[], &[]).is_some());
        assert_eq!(region.add(Kind::Array, blank(0), &[], &[]), None);
    }
}
