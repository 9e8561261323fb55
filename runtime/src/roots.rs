//! The store as its collector sees it.
//!
//! A heap knows nothing of stacks, tables or handles; when it collects it asks its [`Runtime`], which is the
//! store without the heap: [`StoreRuntime`]. References outside the heap are in
//!
//! | place | written by |
//! |---|---|
//! | each thread's shadow stack up to its top | compiled code, before each safepoint |
//! | words that each thread holds | builtins, while their thread waits for the store |
//! | `pending_exception` | a throw, until the landing pad or the end of the activation takes it |
//! | globals and tables | compiled code, the embedder |
//! | element segments that were not dropped | instantiation |
//! | root handles | the embedder's values |
//!
//! Invariant: a reference that is in none of these places does not survive an allocation. Registers and native
//! stacks are not scanned: compiled code stores what it needs in the shadow stack, and Rust code holds no bare
//! reference across an allocation.

use crate::store::StoreRuntime;
use dolmen_abi::collector::AllocBuffer;
use dolmen_gc_heap::{RootKind, RootVisitor, Runtime};
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

    fn scan_roots(&mut self, visitor: &mut dyn RootVisitor) {
        for thread in self.threads.all_mut() {
            visitor.visit_slice(RootKind::ShadowStack, thread.shadow_slots());
            visitor.visit(RootKind::Exception, thread.context_mut().pending_exception);
            visitor.visit_slice(RootKind::Other, thread.held());
        }
        for word in self.globals.iter().filter_map(|global| global.reference()) {
            visitor.visit(RootKind::Global, word);
        }
        for table in self.tables {
            visitor.visit_slice(RootKind::Table, table.words());
        }
        for segment in self.instances.iter().flat_map(|instance| &instance.elems) {
            visitor.visit_slice(RootKind::Segment, segment);
        }
        self.roots.visit(&mut |word| visitor.visit(RootKind::Handle, word));
    }

    fn clear_weak(&mut self, survives: &dyn Fn(u32) -> bool) {
        self.roots.clear_weak(survives);
    }

    /// A value whose destructor panics counts as dropped: the panic has been reported by the panic hook, and
    /// there is nobody here whom it concerns.
    fn drop_host_object(&mut self, data: u64) {
        let value = self.host_objects.remove(data);
        let _ = catch_unwind(AssertUnwindSafe(|| drop(value)));
    }
}
