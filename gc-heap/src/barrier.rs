//! The card table: where mutators note that they stored a reference.
//!
//! ```text
//! after heap[object].field = reference:   card_base[object >> LOG_CARD_REF_UNITS] = CARD_DIRTY
//! ```
//!
//! No collector here reads the cards yet, but code compiled with the barrier runs on collectors that need none,
//! and its stores must go somewhere. One byte stands for the objects that start in [`CARD_BYTES`] of the region.
//! The table is reserved for the whole region and takes memory as it is touched.

use crate::os::{Mapping, System};
use dolmen_abi::collector::LOG_CARD_BYTES;
use std::io;

/// Bytes of heap that one card stands for.
pub const CARD_BYTES: u64 = 1 << LOG_CARD_BYTES;

/// The card table of a heap.
#[derive(Debug)]
pub struct CardTable {
    table: Mapping,
}

impl CardTable {
    /// Clean cards for a region of `region_bytes` bytes.
    pub fn new(system: &mut System, region_bytes: u64) -> io::Result<Self> {
        Ok(Self { table: system.map_table(region_bytes.div_ceil(CARD_BYTES))? })
    }

    /// Address of the card of reference word 0.
    pub fn base(&self) -> u64 {
        self.table.base() as u64
    }
}
