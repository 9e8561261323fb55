//! Memory ahead: huge pages that a helper takes from the system before the program touches them.
//!
//! The problem: memory that is touched for the first time must be found and zeroed by the system, and in a virtual
//! machine by its host as well. On one such machine (EPYC, Zen 5, 2 cores) the first touch of 100 MiB takes 190 to 220
//! ms, 120 if two threads share them, and 3 to 10 if the host has lately provided that memory. So a program's first call
//! takes longer than later ones, for memory rather than for work.
//!
//! So while a heap grows and is known to go on growing, a helper ([`crew`](crate::trace::crew_of)) *populates* the pages
//! behind the frontier while the program works:
//!
//! ```text
//!             frontier              next                       target
//! ────────────────┴───────────────────┴───────────────────────────┴──────────►
//!   entered pages    claimed: populated,   what the program needs before the
//!                    the last perhaps      next collection, at most
//!                    in work               [`MAX_AHEAD_BYTES`] behind the frontier
//! ```
//!
//! Both sides claim pages in address order by one counter. A program is faster than the helper where memory is really new.
//! When it comes to the page in work, doing the same again would gain nothing; so it populates the next page meanwhile,
//! and the system works on two at once.
//!
//! Nothing depends on it. Populating changes no content, so it may happen late, twice, or never, and to a page that is
//! in use. What a program does not need after all is at most [`MAX_AHEAD_BYTES`], which the next nursery will.
//!
//! Invariant: pages below the target are committed.

use crate::os::{HUGE_PAGE_BYTES, Mapping};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Populated memory behind the frontier, at most.
pub const MAX_AHEAD_BYTES: u64 = 4 * HUGE_PAGE_BYTES;

/// The pages of a growing region, on the side of those who grow it.
#[derive(Debug)]
pub struct Ahead {
    pages: Arc<Pages>,
    /// End of the page that the frontier is in.
    entered_end: u64,
}

/// What growing threads and the helper share. Offsets are into the region.
#[derive(Debug)]
pub struct Pages {
    memory: Arc<Mapping>,
    /// Start of the first page that nobody has claimed.
    next: AtomicU64,
    /// The helper claims pages that end here or below.
    target: AtomicU64,
    /// End of the page that the helper populates, or 0.
    in_work_end: AtomicU64,
    /// A helper was called and is not done.
    is_called: AtomicBool,
}

impl Ahead {
    /// The pages of a mapping from `start` on, as far as they are whole.
    pub fn new(memory: Arc<Mapping>, start: u64) -> Self {
        let first = memory.huge_page_end(start);
        let pages = Pages {
            memory,
            next: AtomicU64::new(first),
            target: AtomicU64::new(0),
            in_work_end: AtomicU64::new(0),
            is_called: AtomicBool::new(false),
        };
        Self { pages: Arc::new(pages), entered_end: first }
    }

    /// The frontier is at `end` now; whether that is in a page in which it was not before.
    pub fn enter(&mut self, end: u64) -> bool {
        if end <= self.entered_end {
            return false;
        }
        self.entered_end = self.pages.memory.huge_page_end(end);
        self.pages.enter(self.entered_end);
        true
    }

    /// Lets pages up to `target` be populated, which are committed; the pages, if a helper is to be called for that.
    pub fn extend(&self, target: u64) -> Option<&Arc<Pages>> {
        // The counters guard no other memory: the pages are the system's, and who finds an old value leaves work undone
        // or does it twice.
        self.pages.target.store(target, Ordering::Relaxed);
        let is_idle = self.pages.has_work() && !self.pages.is_called.swap(true, Ordering::Relaxed);
        is_idle.then_some(&self.pages)
    }
}

impl Pages {
    /// Populates a page; whether there are more. By a helper that was called for it.
    pub fn populate_next(&self) -> bool {
        if let Some(start) = self.claim() {
            // As in `extend`.
            self.in_work_end.store(start + HUGE_PAGE_BYTES, Ordering::Relaxed);
            self.populate(start);
            self.in_work_end.store(0, Ordering::Relaxed);
        }
        self.has_work()
    }

    /// The helper that was called is done, or will not come.
    pub fn dismiss(&self) {
        // As in `extend`.
        self.is_called.store(false, Ordering::Relaxed);
    }

    /// The frontier has come into the page that ends at `page_end`.
    fn enter(&self, page_end: u64) {
        // As in `extend`.
        let next = self.next.fetch_max(page_end, Ordering::Relaxed);
        let is_in_work = next >= page_end && self.in_work_end.load(Ordering::Relaxed) == page_end;
        if is_in_work && let Some(other) = self.claim() {
            self.populate(other);
        }
    }

    fn claim(&self) -> Option<u64> {
        // As in `extend`.
        let target = self.target.load(Ordering::Relaxed);
        let beyond = |start: u64| start.checked_add(HUGE_PAGE_BYTES).filter(|&end| end <= target);
        self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, beyond).ok()
    }

    fn has_work(&self) -> bool {
        // As in `extend`.
        self.next.load(Ordering::Relaxed) + HUGE_PAGE_BYTES <= self.target.load(Ordering::Relaxed)
    }

    fn populate(&self, start: u64) {
        if !self.memory.populate(start, HUGE_PAGE_BYTES) {
            // The system cannot: nothing is ever claimed again.
            self.next.store(u64::MAX - HUGE_PAGE_BYTES, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Refused;
    use crate::os::System;

    const PAGE: u64 = HUGE_PAGE_BYTES;

    /// Pages of a mapping of 16 huge pages, and the start of the first.
    fn ahead(is_accessible: bool) -> (Ahead, u64) {
        let mut system = System::new(Refused::NONE);
        let memory = if is_accessible { system.map_table(16 * PAGE) } else { system.reserve(16 * PAGE) };
        let ahead = Ahead::new(Arc::new(memory.unwrap()), 1);
        let first = ahead.entered_end;
        (ahead, first)
    }

    fn next(ahead: &Ahead) -> u64 {
        ahead.pages.next.load(Ordering::Relaxed)
    }

    #[test]
    fn pages_are_populated_in_order_up_to_the_target() {
        let (mut ahead, first) = ahead(true);
        assert!(ahead.extend(first + PAGE - 1).is_none(), "no whole page");
        let pages = Arc::clone(ahead.extend(first + 3 * PAGE + 5).unwrap());
        assert!(ahead.extend(first + 3 * PAGE).is_none(), "a helper is called");
        assert!(pages.populate_next());
        assert_eq!(next(&ahead), first + PAGE);
        assert!(!ahead.enter(first));
        assert!(ahead.enter(first + 1) && !ahead.enter(first + PAGE), "that page is claimed");
        assert_eq!(next(&ahead), first + PAGE);
        assert!(ahead.enter(first + 2 * PAGE));
        assert_eq!(next(&ahead), first + 2 * PAGE);
        assert!(!pages.populate_next());
        assert_eq!(next(&ahead), first + 3 * PAGE);
        pages.dismiss();
        assert!(ahead.extend(first + 3 * PAGE).is_none(), "there is nothing to do");
        assert!(ahead.extend(first + 4 * PAGE).is_some());
    }

    #[test]
    fn who_comes_to_the_page_in_work_populates_the_next() {
        let (mut ahead, first) = ahead(true);
        ahead.extend(first + 2 * PAGE).unwrap();
        let start = ahead.pages.claim().unwrap();
        ahead.pages.in_work_end.store(start + PAGE, Ordering::Relaxed);
        assert!(ahead.enter(first + 5));
        assert_eq!(next(&ahead), first + 2 * PAGE);
        ahead.pages.in_work_end.store(first + 2 * PAGE, Ordering::Relaxed);
        assert!(ahead.enter(first + PAGE + 5));
        assert_eq!(next(&ahead), first + 2 * PAGE, "not beyond the target");
    }

    #[test]
    fn what_the_system_refuses_is_not_asked_for_again() {
        let (mut ahead, first) = ahead(false);
        let pages = Arc::clone(ahead.extend(first + 4 * PAGE).unwrap());
        assert!(!pages.populate_next());
        pages.dismiss();
        assert!(ahead.extend(first + 8 * PAGE).is_none());
        assert!(ahead.enter(first + 9 * PAGE));
    }
}
