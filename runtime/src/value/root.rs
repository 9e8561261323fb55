//! References that the embedder holds.
//!
//! A [`Root`] is a cell that its holders and the store's [`RootList`] share. The collector visits the cells of
//! the list and may change the words in them. A cell that only the list still has is dead; dead cells are
//! dropped from the list from time to time, often enough that the list stays within twice the living ones.
//!
//! Handles may be compared by somebody who does not have the store, while a collection in another thread rewrites the words
//! one after the other. So it does that under a lock, under which two words are compared.
//!
//! Weak cells are in a list of the same kind. They keep nothing alive: after marking, the collector clears those
//! whose objects it is about to free.

use crate::store::StoreId;
use dolmen_abi::reference::NULL_REF;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Exclusively locked while the roots of a store are rewritten, by the store's number: a lock for some stores, rather than
/// one for each that every cell would have to lead to.
static REWRITING: [RwLock<()>; REWRITING_LOCKS] = [const { RwLock::new(()) }; REWRITING_LOCKS];

/// Number of locks: enough for stores that collect at once.
const REWRITING_LOCKS: usize = 64;

/// Length of the list from which on dead cells are looked for.
const MIN_PRUNE_LEN: usize = 256;

/// A reference to an object that the collector keeps alive.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    cell: Arc<AtomicU32>,
}

/// The cells of all roots of a store, and its weak cells.
#[derive(Debug)]
pub(crate) struct RootList {
    rewriting: &'static RwLock<()>,
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
    /// The reference word. For whoever has the store: somebody else cannot know what it refers to when he has it.
    pub(crate) fn word(&self) -> u32 {
        // Relaxed: written only by whoever has the store, and read by others under the lock of `same` alone.
        self.cell.load(Ordering::Relaxed)
    }

    /// Whether both refer to the same object of this store, also for those who do not have it.
    pub(crate) fn same(&self, other: &Self, store: StoreId) -> bool {
        if Arc::ptr_eq(&self.cell, &other.cell) {
            return true;
        }
        // The lock protects no value that a panic could leave half changed.
        let _unchanged = rewriting(store).read().unwrap_or_else(PoisonError::into_inner);
        self.word() == other.word()
    }
}

impl RootList {
    /// The list of a store.
    pub(crate) fn new(store: StoreId) -> Self {
        Self { rewriting: rewriting(store), strong: CellList::default(), weak: CellList::default() }
    }

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
        // From the first word that changes on: who only looks at roots may compare handles.
        let mut rewriting = None;
        for cell in self.strong.held() {
            if let Some(word) = changed(cell, visit) {
                rewriting.get_or_insert_with(|| self.rewriting.write().unwrap_or_else(PoisonError::into_inner));
                // Relaxed: as in `Root::word`.
                cell.store(word, Ordering::Relaxed);
            }
        }
    }

    /// Replaces the words of weak cells by what `forward` makes of them.
    pub(crate) fn forward_weak(&self, forward: &dyn Fn(u32) -> u32) {
        for cell in self.weak.held() {
            if let Some(word) = changed(cell, &mut |word| *word = forward(*word)) {
                // Relaxed: as in `Root::word`.
                cell.store(word, Ordering::Relaxed);
            }
        }
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

/// The lock for a store's roots.
fn rewriting(store: StoreId) -> &'static RwLock<()> {
    &REWRITING[store.number() as usize % REWRITING_LOCKS]
}

/// What `f` makes of the word of a cell, if that is another.
fn changed(cell: &AtomicU32, f: &mut dyn FnMut(&mut u32)) -> Option<u32> {
    // Relaxed: as in `Root::word`.
    let before = cell.load(Ordering::Relaxed);
    let mut word = before;
    f(&mut word);
    (word != before).then_some(word)
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
        let mut list = RootList::new(StoreId::default());
        let first = list.add(8);
        let second = list.add(16).clone();
        drop(list.add(24));
        assert_eq!(words(&list), [8, 16]);
        drop(first);
        assert_eq!((words(&list), second.word()), (vec![16], 16));
    }

    #[test]
    fn roots_are_compared_by_who_looks_at_them() {
        let store = StoreId::default();
        let mut list = RootList::new(store);
        let [first, second, other] = [8, 8, 16].map(|word| list.add(word));
        list.visit(&mut |_| assert!(first.same(&second, store) && !first.same(&other, store)));
        list.visit(&mut |word| *word += 8);
        assert!(first.same(&second, store) && !first.same(&other, store));
    }

    #[test]
    fn weak_cells_are_cleared_with_their_objects() {
        let mut list = RootList::new(StoreId::default());
        let (dead, alive) = (list.add_weak(8), list.add_weak(16));
        list.clear_weak(&|word| word == 16);
        assert_eq!((dead.word(), alive.word()), (NULL_REF, 16));
        assert_eq!(words(&list), []);
    }

    #[test]
    fn words_follow_their_objects() {
        let mut list = RootList::new(StoreId::default());
        let (root, weak) = (list.add(8), list.add_weak(8));
        list.visit(&mut |word| *word += 8);
        list.forward_weak(&|word| word + 16);
        assert_eq!((root.word(), weak.word()), (16, 24));
    }

    #[test]
    fn dead_roots_do_not_pile_up() {
        let mut list = RootList::new(StoreId::default());
        let held: Vec<Root> = (0..1000).map(|i| list.add(2 * i)).collect();
        for _ in 0..100_000 {
            list.add(2);
        }
        assert!(list.strong.cells.len() <= 2 * held.len() + MIN_PRUNE_LEN);
        assert_eq!(words(&list).len(), held.len());
    }
}
