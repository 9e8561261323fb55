//! The mark stack: objects that are marked but not scanned.
//!
//! It must not grow without bound (a list of many millions of nodes whose payloads wait is one shape that makes
//! it), and it must not fail. So it has a limit: when no room can be made, the tracer leaves objects marked but
//! unscanned and finds them again by their marks ([`crate::trace`]).
//!
//! The tracer writes entries through a raw pointer, without a check for each: it asks for room for as many as it
//! may push. Each marking thread has a stack. Memory is taken by doubling up to the limit and mostly given back after the collection.

/// Entries of the first allocation.
const FIRST_ENTRIES: usize = 8 << 10;

/// Entries that stay allocated between collections.
const KEPT_ENTRIES: usize = 64 << 10;

/// Memory for a bounded stack of reference words.
#[derive(Debug)]
pub struct MarkStack {
    memory: Vec<u32>,
    limit: usize,
}

impl MarkStack {
    /// A stack of at most `limit` entries.
    pub fn new(limit: usize) -> Self {
        Self { memory: Vec::new(), limit }
    }

    /// From now on at most `limit` entries.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.memory.truncate(limit);
    }

    /// Address of the first entry; changes when the stack grows.
    pub fn base(&mut self) -> *mut u32 {
        self.memory.as_mut_ptr()
    }

    /// Entries that there is memory for.
    pub fn capacity(&self) -> usize {
        self.memory.len()
    }

    /// Makes room for `entries` entries in all, keeping those there are. False if the limit or memory ends.
    pub fn reserve(&mut self, entries: usize) -> bool {
        let capacity = self.capacity();
        if entries <= capacity {
            return true;
        }
        let wanted = entries.max(capacity * 2).max(FIRST_ENTRIES).min(self.limit);
        if wanted < entries || self.memory.try_reserve_exact(wanted - capacity).is_err() {
            return false;
        }
        self.memory.resize(wanted, 0);
        true
    }

    /// Gives most of the memory back.
    pub fn shrink(&mut self) {
        self.memory.truncate(KEPT_ENTRIES);
        self.memory.shrink_to(KEPT_ENTRIES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_up_to_the_limit() {
        let mut stack = MarkStack::new(100_000);
        assert!(stack.reserve(1));
        assert_eq!(stack.capacity(), FIRST_ENTRIES);
        assert!(stack.reserve(100_000));
        assert!(!stack.reserve(100_001));
        stack.shrink();
        assert_eq!(stack.capacity(), KEPT_ENTRIES);
        assert!(!MarkStack::new(0).reserve(1));
    }
}
