//! Typed places: the reference of an object.
//!
//! A 32-bit word can be null, an `i31` or an object; a collector that mixes them up corrupts memory. An
//! [`ObjRef`] is a word known to be an object's. Raw words stay `u32` only where they are read from memory.

use dolmen_abi::reference;
use std::fmt;
use std::num::NonZeroU32;

/// The reference word of an object: not null, not an `i31`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct ObjRef(NonZeroU32);

impl ObjRef {
    /// The object that this word names, or `None` for null and `i31` values.
    #[must_use]
    #[inline]
    pub const fn from_word(word: u32) -> Option<Self> {
        if reference::is_i31(word) {
            return None;
        }
        match NonZeroU32::new(word) {
            Some(word) => Some(Self(word)),
            None => None,
        }
    }

    /// The word to store.
    #[must_use]
    #[inline]
    pub const fn word(self) -> u32 {
        self.0.get()
    }

    /// Distance of the object from the heap base, in bytes.
    #[must_use]
    #[inline]
    pub const fn offset(self) -> u64 {
        (self.0.get() as u64) << reference::LOG_REF_SCALE
    }
}

impl fmt::Debug for ObjRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{:#x}", self.word())
    }
}

impl fmt::Display for ObjRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
