//! A runtime with two mutators of which one asks at a time, with stocks or without.

use dolmen_abi::collector::AllocBuffer;
use dolmen_gc_heap::{RootKind, RootVisitor, Runtime, Stock};

/// Two mutators by number.
#[derive(Default)]
pub struct TwoMutators {
    pub buffers: [AllocBuffer; 2],
    /// Filled if `has_stocks`.
    pub stocks: [Stock; 2],
    pub has_stocks: bool,
    /// Who asks.
    pub current: usize,
    pub roots: Vec<u32>,
}

impl Runtime for TwoMutators {
    fn stop_mutators(&mut self) {}
    fn resume_mutators(&mut self) {}
    fn current_buffer(&mut self) -> &mut AllocBuffer {
        &mut self.buffers[self.current]
    }
    fn current_stock(&mut self) -> Option<&mut Stock> {
        self.has_stocks.then(|| &mut self.stocks[self.current])
    }
    fn visit_buffers(&mut self, visit: &mut dyn FnMut(&mut AllocBuffer)) {
        self.buffers.iter_mut().for_each(visit);
    }
    fn visit_stocks(&mut self, visit: &mut dyn FnMut(&mut Stock)) {
        self.stocks.iter_mut().for_each(visit);
    }
    fn scan_roots(&mut self, visitor: &mut dyn RootVisitor) {
        visitor.visit(RootKind::Handle, 0);
        visitor.visit_slice(RootKind::ShadowStack, &self.roots);
    }
    fn drop_host_object(&mut self, _data: u64) {}
}
