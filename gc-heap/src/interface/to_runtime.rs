//! What a heap asks of a runtime.
//!
//! A collector needs the world to stand still, the places outside the heap that hold references, the shape of
//! objects, and a way to tell the host that one of its objects is dead. It gets them through two traits:
//! [`Runtime`] is the store that owns the heap, handed to each call that may collect; [`TypeTable`] is the
//! engine's type registry, shared by all its heaps and read by several marking threads at once.
//!
//! Invariants: a heap calls the root and buffer methods only between [`Runtime::stop_mutators`] and
//! [`Runtime::resume_mutators`], but for [`Runtime::current_buffer`] and [`Runtime::current_stock`], which belong to the
//! calling thread; it calls [`Runtime::drop_host_object`] only after the mutators run again. No method may call back into the
//! heap: the borrow checker sees to it.

use crate::alloc::stock::Stock;
use crate::stats::Collection;
use dolmen_abi::collector::AllocBuffer;
use std::io::Write as _;

/// Where a root is stored; for messages and heap snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RootKind {
    ShadowStack,
    Global,
    Table,
    /// An element of an element segment.
    Segment,
    /// A reference that the embedder holds.
    Handle,
    /// An exception on its way from the throw to the landing pad.
    Exception,
    /// Any other place of the runtime's.
    Other,
}

/// Receives the reference words outside the heap.
///
/// A place outside the heap is *pinned* or a *slot*. What a pinned place refers to does not move, since somebody may
/// hold a copy of the word: registers of compiled code hold copies of what is on a shadow stack. The words in slots
/// are the only ones that their holders look at, so a collection may change them.
///
/// Words are reference words of [`dolmen_abi::reference`]: nulls and `i31` values are welcome and cost little,
/// so a runtime passes whole arrays as they are.
pub trait RootVisitor {
    /// All words of an array of references, pinned.
    fn visit_slice(&mut self, kind: RootKind, words: &[u32]);

    /// One pinned word.
    fn visit(&mut self, kind: RootKind, word: u32) {
        self.visit_slice(kind, &[word]);
    }

    /// All words of an array of slots. Visitors that move nothing need not tell slots from pinned places.
    fn visit_slots(&mut self, kind: RootKind, words: &mut [u32]) {
        self.visit_slice(kind, words);
    }
}

/// The store that a heap belongs to, as the heap sees it.
pub trait Runtime {
    /// Returns when no mutator but the calling thread runs compiled code or touches the heap. With one thread
    /// there is nothing to do.
    fn stop_mutators(&mut self);

    /// Ends what [`Runtime::stop_mutators`] began.
    fn resume_mutators(&mut self);

    /// The allocation buffer of the calling thread. Every call that may collect can change it.
    fn current_buffer(&mut self) -> &mut AllocBuffer;

    /// The stock of the calling thread, which is filled when a buffer ends; none where a mutator that is alone, say,
    /// does better without.
    fn current_stock(&mut self) -> Option<&mut Stock> {
        None
    }

    /// Visits the allocation buffer of every mutator, the calling thread's included.
    fn visit_buffers(&mut self, visit: &mut dyn FnMut(&mut AllocBuffer));

    /// Visits the stock of every mutator that may have one.
    fn visit_stocks(&mut self, visit: &mut dyn FnMut(&mut Stock)) {
        let _ = visit;
    }

    /// Visits every reference outside the heap: shadow stacks up to their tops, globals, tables, element
    /// segments, pending exceptions, the embedder's handles. Called several times per collection when objects move or
    /// the verifier is on; each time it must visit the same places, and each as pinned or as slot as before.
    fn scan_roots(&mut self, visitor: &mut dyn RootVisitor);

    /// Marking is done and nothing is freed yet: a runtime with weak handles clears those for whose words `survives`
    /// is false.
    fn clear_weak(&mut self, survives: &dyn Fn(u32) -> bool) {
        let _ = survives;
    }

    /// Objects have moved: a runtime with weak handles replaces their words, of which all are left that survive, by
    /// what `forward` makes of them.
    fn forward_weak(&mut self, forward: &dyn Fn(u32) -> u32) {
        let _ = forward;
    }

    /// The host object with this datum is dead; called once for each datum given to
    /// [`Heap::alloc_extern`](super::to_heap::Heap::alloc_extern).
    fn drop_host_object(&mut self, data: u64);

    /// A collection has ended; called only if [`HeapOptions::log`](crate::options::HeapOptions::log) is set.
    /// The record's `Display` is one line of text.
    fn log_collection(&mut self, collection: &Collection) {
        // If standard error is closed or full, there is nobody to tell.
        _ = writeln!(std::io::stderr().lock(), "{collection}");
    }
}

/// The type registry of the engine, as a heap sees it.
///
/// Only structs and exceptions with references beyond the reach of
/// [`TypeDesc::ref_map`](dolmen_abi::type_desc::TypeDesc::ref_map) are described by calls; everything else the
/// heap reads from the descriptors.
///
/// # Safety
///
/// As long as the value lives, for every type word for which [`TypeTable::contains`] is true (now or earlier) a
/// valid, immutable [`TypeDesc`](dolmen_abi::type_desc::TypeDesc) lies at `type_base() + type_word`, its
/// `kind` agrees with the type word, its `fixed_bytes` is a multiple of
/// [`OBJECT_ALIGN_BYTES`](dolmen_abi::reference::OBJECT_ALIGN_BYTES) for objects of fixed size
/// ([`ARRAY_ELEMENTS_OFFSET`](dolmen_abi::object::ARRAY_ELEMENTS_OFFSET) for arrays), and all reference
/// offsets lie inside the object.
#[allow(unsafe_code, reason = "implementing the trait is a promise about memory")]
pub unsafe trait TypeTable: Send + Sync {
    /// Address of the descriptor range; never changes.
    fn type_base(&self) -> *const u8;

    /// Whether a descriptor lies at this type word.
    fn contains(&self, type_word: u32) -> bool;

    /// Calls `visit` once with entries `start..start + len` of the registry's list of reference offsets, in
    /// bytes from the start of an object.
    fn with_ref_list(&self, start: u32, len: u32, visit: &mut dyn FnMut(&[u32]));
}
