//! How 32 bits name an object, null or an `i31`.
//!
//! Every reference, of whichever type and wherever it is stored (heap field, shadow stack, global, table,
//! register), is one 32-bit word:
//!
//! | bits | meaning |
//! |---|---|
//! | `0` | null |
//! | `vvvv…v1` | an `i31` with value `v` in the upper 31 bits |
//! | `oooo…o0` | an object at `heap_base + (word << LOG_REF_SCALE)` |
//!
//! Objects are aligned to [`OBJECT_ALIGN_BYTES`], so an object's word is even, and 32 bits reach
//! [`MAX_HEAP_BYTES`]. The scale is one that x86-64 and AArch64 fold into an addressing mode.

/// The null reference of every type.
pub const NULL_REF: u32 = 0;

/// Bit that tells an `i31` from an object.
pub const I31_TAG: u32 = 1;

/// Bits by which an `i31` value is shifted left inside its reference word.
pub const LOG_I31_SHIFT: u32 = 1;

/// Binary logarithm of the bytes that one step of a reference word stands for.
pub const LOG_REF_SCALE: u32 = 2;

/// Bytes that one step of a reference word stands for: the unit of allocation cursors.
pub const REF_UNIT_BYTES: u32 = 1 << LOG_REF_SCALE;

/// Binary logarithm of [`OBJECT_ALIGN_BYTES`].
pub const LOG_OBJECT_ALIGN: u32 = 3;

/// Alignment of every object, in bytes. It leaves the low bit of an object's word free for [`I31_TAG`].
pub const OBJECT_ALIGN_BYTES: u32 = 1 << LOG_OBJECT_ALIGN;

/// Size of the largest heap region that reference words can address, in bytes (16 GiB).
pub const MAX_HEAP_BYTES: u64 = 1 << (32 + LOG_REF_SCALE);

/// Size of a reference in memory, in bytes.
pub const REF_BYTES: u32 = 4;

const _: () = assert!(LOG_OBJECT_ALIGN > LOG_REF_SCALE, "the low bit of an object's word must be free");

/// The reference word of the `i31` with the low 31 bits of `value`.
#[must_use]
pub const fn i31_new(value: u32) -> u32 {
    (value << LOG_I31_SHIFT) | I31_TAG
}

/// The value of an `i31` reference word, sign-extended (`i31.get_s`).
#[must_use]
pub const fn i31_get_s(word: u32) -> i32 {
    word.cast_signed() >> LOG_I31_SHIFT
}

/// The value of an `i31` reference word, zero-extended (`i31.get_u`).
#[must_use]
pub const fn i31_get_u(word: u32) -> u32 {
    word >> LOG_I31_SHIFT
}

/// Whether the word is an `i31`.
#[must_use]
pub const fn is_i31(word: u32) -> bool {
    word & I31_TAG != 0
}

/// Whether the word names an object in the heap region: neither null nor an `i31`.
#[must_use]
pub const fn is_object(word: u32) -> bool {
    word != NULL_REF && !is_i31(word)
}
