//! References that the embedder holds.
//!
//! A [`Root`] is a cell that its holders and the store's [`RootList`] share. The collector visits the cells of
//! the list and may change the words in them. A cell that only the list still has is dead; dead cells are
//! dropped from the list from time to time, often enough that the list stays within twice the living ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Length of the list from which on dead cells are looked for.
const MIN_PRUNE_LEN: usize = 256;

/// A reference to an object that the collector keeps alive.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    cell: Arc<AtomicU32>,
}

/// The cells of all roots of a store.
#[derive(Debug)]
pub(crate) struct RootList {
    cells: Vec<Arc<AtomicU32>>,
    prune_len: usize,
}

impl Default for RootList {
    fn default() -> Self {
        Self { cells: Vec::new(), prune_len: MIN_PRUNE_LEN }
    }
}

impl Root {
    /// The reference word.
    pub(crate) fn word(&self) -> u32 {
        // Relaxed: written only while the store is exclusively borrowed.
        self.cell.load(Ordering::Relaxed)
    }
}

impl RootList {
    /// Roots a reference.
    pub(crate) fn add(&mut self, word: u32) -> Root {
        if self.cells.len() >= self.prune_len {
            self.prune();
        }
        let cell = Arc::new(AtomicU32::new(word));
        self.cells.push(Arc::clone(&cell));
        Root { cell }
    }

    /// Visits the words of all roots that somebody holds.
    pub(crate) fn visit(&self, visit: &mut dyn FnMut(u32)) {
        for cell in &self.cells {
            if Arc::strong_count(cell) > 1 {
                // Relaxed: as in `Root::word`.
                visit(cell.load(Ordering::Relaxed));
            }
        }
    }

    /// Drops the cells that nobody holds.
    pub(crate) fn prune(&mut self) {
        self.cells.retain(|cell| Arc::strong_count(cell) > 1);
        self.prune_len = (2 * self.cells.len()).max(MIN_PRUNE_LEN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &RootList) -> Vec<u32> {
        let mut words = Vec::new();
        list.visit(&mut |word| words.push(word));
        words
    }

    #[test]
    fn only_held_roots_are_visited() {
        let mut list = RootList::default();
        let first = list.add(8);
        let second = list.add(16).clone();
        drop(list.add(24));
        assert_eq!(words(&list), [8, 16]);
        drop(first);
        assert_eq!((words(&list), second.word()), (vec![16], 16));
    }

    #[test]
    fn dead_roots_do_not_pile_up() {
        let mut list = RootList::default();
        let held: Vec<Root> = (0..1000).map(|i| list.add(2 * i)).collect();
        for _ in 0..100_000 {
            list.add(2);
        }
        assert!(list.cells.len() <= 2 * held.len() + MIN_PRUNE_LEN);
        assert_eq!(words(&list).len(), held.len());
    }
}
