//! The store as its collector sees it.
//!
//! A heap knows nothing of stacks, tables or handles; when it collects it asks its [`Runtime`], which is the
//! store without the heap: [`StoreRuntime`]. References outside the heap are in
//!
//! | place | written by | |
//! |---|---|---|
//! | each thread's shadow stack up to its top | compiled code, before each safepoint | pinned |
//! | words that each thread holds | builtins, while their thread waits for the store | pinned |
//! | `pending_exception` | a throw, until the landing pad or the end of the activation takes it | pinned |
//! | globals | compiled code, the embedder | pinned |
//! | tables | compiled code, the embedder | slots |
//! | element segments that were not dropped | instantiation | slots |
//! | root handles, weak handles | the embedder's values | slots |
//!
//! Invariant: a reference that is in none of these places does not survive an allocation, and one that is in slots
//! alone does not survive as a copy. Registers and native stacks are not scanned: compiled code stores what it needs
//! in the shadow stack, and Rust code holds no bare reference across an allocation.
//!
//! **Why the copies are right** when a collection moves what is not pinned. Who could have a reference in a register or
//! on a native stack when a collection happens, and use it afterwards?
//!
//! - *Compiled code* has it on the shadow stack if an instruction behind the safepoint uses it or an address inside the
//!   object (`aotc/src/gc/lower/liveness.rs`), whatever else refers to the object; after that analysis loads from
//!   objects are not invariant any more, and a call that can collect may write to all memory for LLVM, so none is moved
//!   across it. Loads of immutable globals are: hence globals are pinned. Comparisons may be sunk behind a
//!   safepoint, but both sides were read in front of it, so the outcome is the same. The integer of `i31.get` and of
//!   tests for `i31` is taken from a word whose low bits motion does not change.
//! - *Surplus arguments* in the thread context are stored behind the last poll before the call and loaded in
//!   front of the first safepoint of the callee; surplus results likewise.
//! - *A landing pad* loads the exception from `pending_exception`; an unwinder holds no copy.
//! - *A builtin* has its arguments in registers: it allocates before it looks at them or does not look at them again,
//!   and while it waits for the store they are words that its thread holds. So are its result, arguments and results of
//!   host functions, and arguments and results on the way between host and compiled code.
//! - *The embedder* has handles; their words are read for the moment. Function objects are immortal, so the
//!   words in instance contexts, imports and `Func` stay as they are.
//! - *Snapshots* and the inspection of a stopped world keep words no longer than nobody can collect. Waiters wait at
//!   addresses of linear memory.

use crate::store::StoreRuntime;
use dolmen_abi::collector::AllocBuffer;
use dolmen_gc_heap::{Collection, RootKind, RootVisitor, Runtime, Stock};
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Runtime for StoreRuntime<'_> {
    fn stop_mutators(&mut self) {
        self.threads.stop();
    }

    fn resume_mutators(&mut self) {
        self.threads.resume();
    }

    fn current_buffer(&mut self) -> &mut AllocBuffer {
        self.threads.current_mut().alloc_buffer()
    }

    fn visit_buffers(&mut self, visit: &mut dyn FnMut(&mut AllocBuffer)) {
        self.threads.all_mut().for_each(|thread| visit(thread.alloc_buffer()));
    }

    fn current_stock(&mut self) -> Option<&mut Stock> {
        // Samples of allocations are taken where the store is.
        let wants = self.threads.is_shared() && self.recorder.is_none();
        wants.then(|| self.threads.current_mut().stock())
    }

    fn visit_stocks(&mut self, visit: &mut dyn FnMut(&mut Stock)) {
        self.threads.all_mut().for_each(|thread| visit(thread.stock()));
    }

    fn scan_roots(&mut self, visitor: &mut dyn RootVisitor) {
        for thread in self.threads.all_mut() {
            visitor.visit_slice(RootKind::ShadowStack, thread.shadow_slots());
            visitor.visit(RootKind::Exception, thread.context_mut().pending_exception);
            visitor.visit_slice(RootKind::Other, thread.held());
        }
        for word in self.globals.iter().filter_map(|global| global.reference()) {
            visitor.visit(RootKind::Global, word);
        }
        for table in &mut *self.tables {
            visitor.visit_slots(RootKind::Table, table.words_mut());
        }
        for segment in self.instances.iter_mut().flat_map(|instance| &mut instance.elems) {
            visitor.visit_slots(RootKind::Segment, segment);
        }
        self.roots.visit(&mut |word| visitor.visit_slots(RootKind::Handle, std::slice::from_mut(word)));
    }

    fn clear_weak(&mut self, survives: &dyn Fn(u32) -> bool) {
        self.roots.clear_weak(survives);
    }

    fn forward_weak(&mut self, forward: &dyn Fn(u32) -> u32) {
        self.roots.forward_weak(forward);
    }

    fn log_collection(&mut self, collection: &Collection) {
        if self.logs {
            // If standard error is closed or full, there is nobody to tell.
            _ = writeln!(std::io::stderr().lock(), "{collection}");
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.add(collection);
        }
    }

    /// A value whose destructor panics counts as dropped: the panic has been reported by the panic hook, and
    /// there is nobody here whom it concerns.
    fn drop_host_object(&mut self, data: u64) {
        let value = self.host_objects.remove(data);
        let _ = catch_unwind(AssertUnwindSafe(|| drop(value)));
    }
}
