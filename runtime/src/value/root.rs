//! References that the embedder holds.
//!
//! A [`Root`] is a cell that its holders and the store's [`RootList`] share. The collector visits the cells of
//! the list and may change the words in them. A cell that only the list still has is dead; dead cells are
//! dropped from the list from time to time, often enough that the list stays within twice the living ones.
//!
//! Weak cells are in a list of the same kind. They keep nothing alive: after marking, the collector clears those
//! whose objects it is about to free.

use dolmen_abi::reference::NULL_REF;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Length of the list from which on dead cells are looked for.
const MIN_PRUNE_LEN: usize = 256;

/// A reference to an object that the collector keeps alive.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    cell: Arc<AtomicU32>,
}

/// The cells of all roots of a store, and its weak cells.
#[derive(Debug, Default)]
pub(crate) struct RootList {
    strong: CellList,
    weak: CellList,
}

/// Cells with holders elsewhere.
#[derive(Debug)]
struct CellList {
    cells: Vec<Arc<AtomicU32>>,
    prune_len: usize,
}

impl Default for CellList {
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
        Root { cell: self.strong.add(word) }
    }

    /// A cell whose word becomes null when the object that it refers to is freed.
    pub(crate) fn add_weak(&mut self, word: u32) -> Root {
        Root { cell: self.weak.add(word) }
    }

    /// Visits the words of all roots that somebody holds, and lets the visitor change them.
    pub(crate) fn visit(&self, visit: &mut dyn FnMut(&mut u32)) {
        self.strong.held().for_each(|cell| change(cell, visit));
    }

    /// Replaces the words of weak cells by what `forward` makes of them.
    pub(crate) fn forward_weak(&self, forward: &dyn Fn(u32) -> u32) {
        self.weak.held().for_each(|cell| change(cell, &mut |word| *word = forward(*word)));
    }

    /// Clears the weak cells whose objects do not survive.
    pub(crate) fn clear_weak(&self, survives: &dyn Fn(u32) -> bool) {
        for cell in self.weak.held() {
            // Relaxed: as in `Root::word`.
            if !survives(cell.load(Ordering::Relaxed)) {
                cell.store(NULL_REF, Ordering::Relaxed);
            }
        }
    }
}

/// Lets `f` change the word of a cell.
fn change(cell: &AtomicU32, f: &mut dyn FnMut(&mut u32)) {
    // Relaxed, twice: as in `Root::word`.
    let before = cell.load(Ordering::Relaxed);
    let mut word = before;
    f(&mut word);
    if word != before {
        cell.store(word, Ordering::Relaxed);
    }
}

impl CellList {
    fn add(&mut self, word: u32) -> Arc<AtomicU32> {
        if self.cells.len() >= self.prune_len {
            self.prune();
        }
        let cell = Arc::new(AtomicU32::new(word));
        self.cells.push(Arc::clone(&cell));
        cell
    }

    fn held(&self) -> impl Iterator<Item = &Arc<AtomicU32>> {
        self.cells.iter().filter(|cell| Arc::strong_count(cell) > 1)
    }

    /// Drops the cells that nobody holds.
    fn prune(&mut self) {
        self.cells.retain(|cell| Arc::strong_count(cell) > 1);
        self.prune_len = (2 * self.cells.len()).max(MIN_PRUNE_LEN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &RootList) -> Vec<u32> {
        let mut words = Vec::new();
        list.visit(&mut |word| words.push(*word));
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
    fn weak_cells_are_cleared_with_their_objects() {
        let mut list = RootList::default();
        let (dead, alive) = (list.add_weak(8), list.add_weak(16));
        list.clear_weak(&|word| word == 16);
        assert_eq!((dead.word(), alive.word()), (NULL_REF, 16));
        assert_eq!(words(&list), []);
    }

    #[test]
    fn words_follow_their_objects() {
        let mut list = RootList::default();
        let (root, weak) = (list.add(8), list.add_weak(8));
        list.visit(&mut |word| *word += 8);
        list.forward_weak(&|word| word + 16);
        assert_eq!((root.word(), weak.word()), (16, 24));
    }

    #[test]
    fn dead_roots_do_not_pile_up() {
        let mut list = RootList::default();
        let held: Vec<Root> = (0..1000).map(|i| list.add(2 * i)).collect();
        for _ in 0..100_000 {
            list.add(2);
        }
        assert!(list.strong.cells.len() <= 2 * held.len() + MIN_PRUNE_LEN);
        assert_eq!(words(&list).len(), held.len());
    }
}
