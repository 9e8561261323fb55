//! Blocks: the unit in which the heap takes and frees memory.

/// Binary logarithm of [`BLOCK_BYTES`].
pub const LOG_BLOCK_BYTES: u32 = 15;

/// Size of a block, in bytes.
pub const BLOCK_BYTES: u32 = 1 << LOG_BLOCK_BYTES;
