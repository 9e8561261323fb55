//! The parts of a heap that all its collectors work on.
//!
//! The façade and the collectors share one record, so that a collector is a function over named parts rather
//! than an owner of them.

use crate::alloc::Allocator;
use crate::barrier::CardTable;
use crate::host_objects::HostObjects;
use crate::interface::to_runtime::{Runtime, TypeTable};
use crate::options::HeapOptions;
use crate::space::Space;
use crate::stats::Stats;
use crate::trace::{MarkStack, MarkTeam, crew_of};
use crate::verify::{Verifier, VerifyError};
use dolmen_abi::collector::Barrier;
use std::sync::Arc;

/// Everything that belongs to a heap but the choice of collector.
pub struct HeapState {
    pub options: HeapOptions,
    pub types: Arc<dyn TypeTable>,
    pub space: Space,
    pub cards: Option<CardTable>,
    pub allocator: Allocator,
    pub host_objects: HostObjects,
    pub mark_stack: MarkStack,
    /// The threads that may help to mark.
    pub team: Arc<MarkTeam>,
    pub verifier: Verifier,
    pub stats: Stats,
    /// Bytes that survived the last finished collection.
    pub swept_bytes: u64,
    /// Threads that allocated at the last collection.
    pub mutators: u64,
}

impl HeapState {
    /// Whether freed memory is filled with a pattern.
    pub fn poisons(&self) -> bool {
        self.options.verify || self.options.stress.is_some()
    }

    /// Takes all allocation buffers and stocks back. The mutators are stopped.
    pub fn retire_buffers(&mut self, runtime: &mut dyn Runtime) {
        self.mutators = 0;
        runtime.visit_buffers(&mut |buffer| {
            self.mutators += u64::from(buffer.limit != 0);
            self.allocator.retire(buffer);
        });
        runtime.visit_stocks(&mut |stock| self.allocator.retire_stock(stock));
        self.allocator.retire_own();
    }

    /// Prepares for taking `bytes` bytes of new memory before the next collection, if there are helpers.
    pub fn look_ahead(&mut self, bytes: u64) {
        let helpers = self.team.places();
        if helpers > 0
            && let Some(pages) = self.space.look_ahead(bytes)
        {
            crew_of(&self.options).call_for_memory(pages, helpers);
        }
    }

    /// Runs the verifier over what is reachable. The mutators are stopped.
    pub fn verify(&mut self, runtime: &mut dyn Runtime) -> Result<u64, VerifyError> {
        let Self { verifier, space, types, cards, .. } = self;
        let remembered = cards.as_ref().filter(|_| self.options.collector.protocol().barrier == Barrier::Card);
        verifier.walk(space, &**types, remembered, runtime)
    }

    /// Runs the verifier over what is reachable if it is on and due; whether it was.
    pub fn verify_if_due(&mut self, runtime: &mut dyn Runtime) -> Result<bool, VerifyError> {
        if !self.options.verify || !self.verifier.is_due() {
            return Ok(false);
        }
        let objects = self.verify(runtime)?;
        if self.options.stress.is_some() {
            self.verifier.skip(objects / self.options.tuning.verify_skip_objects.max(1));
        }
        Ok(true)
    }

    /// Brings the statistics up to date with the space.
    pub fn note_heap_size(&mut self) {
        self.stats.heap_bytes = self.space.heap_bytes();
        self.stats.peak_heap_bytes = self.stats.peak_heap_bytes.max(self.stats.heap_bytes);
    }
}
