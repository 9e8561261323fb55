//! A list that only grows and is read without a lock.
//!
//! Every call with a reference argument asks the type registry about types, while another thread may be adding
//! some. Entries stand in chunks of doubling size that never move, so a shared reference to one is good for as
//! long as the list is.

use std::sync::OnceLock;

/// Entries of the first chunk, as a binary logarithm.
const LOG_FIRST_CHUNK: u32 = 6;

/// Chunks for all `u32` indices.
const CHUNKS: usize = (u32::BITS - LOG_FIRST_CHUNK) as usize;

/// A list that only grows.
#[derive(Debug)]
pub(super) struct AppendVec<T> {
    chunks: [OnceLock<Box<[OnceLock<T>]>>; CHUNKS],
}

impl<T> AppendVec<T> {
    pub(super) fn new() -> Self {
        Self { chunks: [const { OnceLock::new() }; CHUNKS] }
    }

    /// The entry at `index`, if it has been set.
    pub(super) fn get(&self, index: u32) -> Option<&T> {
        let (chunk, place) = position(index)?;
        self.chunks[chunk].get()?.get(place)?.get()
    }

    /// Sets the entry at `index`; the list's user counts. Returns whether it was not set before.
    pub(super) fn set(&self, index: u32, value: T) -> bool {
        let Some((chunk, place)) = position(index) else { return false };
        let chunk_len = 1_usize << (chunk as u32 + LOG_FIRST_CHUNK);
        let entries = self.chunks[chunk].get_or_init(|| (0..chunk_len).map(|_| OnceLock::new()).collect());
        entries[place].set(value).is_ok()
    }
}

/// Chunk of an index, and its place in there: chunk `k` holds the indices from `2^(k + LOG_FIRST_CHUNK)` less
/// the first chunk's length.
fn position(index: u32) -> Option<(usize, usize)> {
    let shifted = index.checked_add(1 << LOG_FIRST_CHUNK)?;
    let log = shifted.ilog2();
    Some(((log - LOG_FIRST_CHUNK) as usize, (shifted - (1 << log)) as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stay_where_they_are() {
        let list = AppendVec::new();
        for i in 0..1000_u32 {
            assert!(list.get(i).is_none());
            assert!(list.set(i, i * 3));
        }
        let first: *const u32 = list.get(0).unwrap();
        assert!((0..1000).all(|i| list.get(i) == Some(&(i * 3))));
        assert!(!list.set(7, 0));
        assert_eq!(first, list.get(0).unwrap() as *const u32);
        assert!(list.get(u32::MAX).is_none());
    }
}
