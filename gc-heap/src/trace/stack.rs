//! The mark stack: objects that are marked but not scanned.
//!
//! It must not grow without bound (a list of many millions of nodes whose payloads wait is one shape that makes
//! it), and it must not fail. So it has a limit: what does not fit is refused, and the tracer finds those objects
//! again by their marks ([`crate::trace`]). A short queue in front of the stack gives the header of each object
//! time to arrive in the cache after its prefetch.
//!
//! Invariants: every accepted entry comes out exactly once; capacity grows by doubling up to the limit and
//! falls back after the collection.

#![allow(unsafe_code, reason = "prefetch instructions; pushes without a second capacity check")]

use dolmen_abi::reference::LOG_REF_SCALE;

/// Entries between the prefetch of an object and its scan; a power of two.
const QUEUE_ENTRIES: usize = 16;

/// Entries that stay allocated between collections.
const KEPT_ENTRIES: usize = 64 << 10;

/// A bounded stack of reference words with a prefetch queue at its exit.
#[derive(Debug)]
pub struct MarkStack {
    entries: Vec<u32>,
    limit: usize,
    queue: [u32; QUEUE_ENTRIES],
    /// Entries ever put into and taken from the queue.
    queue_in: usize,
    queue_out: usize,
}

impl MarkStack {
    /// A stack of at most `limit` entries.
    pub fn new(limit: usize) -> Self {
        Self { entries: Vec::new(), limit, queue: [0; QUEUE_ENTRIES], queue_in: 0, queue_out: 0 }
    }

    /// Adds an entry; false if the stack is full.
    #[inline]
    pub fn push(&mut self, word: u32) -> bool {
        if self.entries.len() == self.entries.capacity() && !self.grow() {
            return false;
        }
        let len = self.entries.len();
        // SAFETY: `len` is below the capacity, checked or made above, so the slot is allocated and unused.
        unsafe {
            self.entries.as_mut_ptr().add(len).write(word);
            self.entries.set_len(len + 1);
        }
        true
    }

    /// The next object to scan, whose first bytes are on their way into the cache.
    #[inline]
    pub fn pop(&mut self, heap: *const u8) -> Option<u32> {
        while self.queue_in - self.queue_out < QUEUE_ENTRIES {
            let Some(word) = self.entries.pop() else { break };
            prefetch(heap.wrapping_add((word as usize) << LOG_REF_SCALE));
            self.queue[self.queue_in % QUEUE_ENTRIES] = word;
            self.queue_in += 1;
        }
        if self.queue_in == self.queue_out {
            return None;
        }
        let word = self.queue[self.queue_out % QUEUE_ENTRIES];
        self.queue_out += 1;
        Some(word)
    }

    /// Gives most of the memory back; the stack is empty.
    pub fn shrink(&mut self) {
        debug_assert!(self.entries.is_empty());
        self.entries.shrink_to(KEPT_ENTRIES);
    }

    #[cold]
    fn grow(&mut self) -> bool {
        let capacity = self.entries.capacity();
        let more = capacity.max(1024).min(self.limit.saturating_sub(capacity));
        more > 0 && self.entries.try_reserve_exact(more).is_ok()
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn prefetch(address: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch reads nothing and never faults.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
}

#[cfg(target_arch = "aarch64")]
#[inline]
fn prefetch(address: *const u8) {
    // SAFETY: a prefetch reads nothing and never faults.
    unsafe { std::arch::asm!("prfm pldl1keep, [{}]", in(reg) address, options(nostack, preserves_flags)) };
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline]
fn prefetch(_address: *const u8) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_beyond_the_limit_and_loses_nothing() {
        let mut stack = MarkStack::new(3000);
        let accepted = (1..=5000).take_while(|&n| stack.push(n)).count();
        assert_eq!(accepted, 3000);
        let mut out: Vec<u32> = std::iter::from_fn(|| stack.pop(std::ptr::null())).collect();
        out.sort_unstable();
        assert_eq!(out, (1..=3000).collect::<Vec<_>>());
        assert_eq!(stack.pop(std::ptr::null()), None);
        stack.shrink();
    }
}
