//! The part of a store that does not depend on the embedder's data: what builtins and the collector see.

use super::{GcStats, HostObjects};
use crate::call::HostFunc;
use crate::engine::Engine;
use crate::error::{ArgumentError, Error, StoreError};
use crate::gc_report::Recorder;
use crate::instance::InstanceData;
use crate::module::Module;
use crate::thread::list::Threads;
use crate::thread::{self, OwnedThread, ThreadBases};
use crate::trap::StoreCode;
use crate::types::registry::SignatureId;
use crate::value::RootList;
use crate::vm::global::GlobalData;
use crate::vm::memory::MemoryData;
use crate::vm::object;
use crate::vm::table::TableData;
use dolmen_abi::collector::Barrier;
use dolmen_gc_heap::{AllocError, Cause, Heap, HeapOptions, ObjRef, Tuning};
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tells stores apart, so that a handle is used with the store it belongs to only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(test, derive(Default))]
pub(crate) struct StoreId(u64);

impl StoreId {
    /// Its number: stores are counted.
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

/// A store with the embedder's data behind it. `inner` comes first: a host function is handed its address and
/// knows `T`, so a store of one `T` must never be taken for one of another, not even of longer or shorter lifetimes.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct StoreData<T> {
    pub(crate) inner: StoreInner,
    pub(crate) data: T,
    pub(crate) invariant: PhantomData<fn(T) -> T>,
}

/// A store without the embedder's data.
///
/// Memories, tables, globals and tags are numbered per store; an instance has a list of numbers for each of its
/// index spaces.
pub(crate) struct StoreInner {
    pub(crate) id: StoreId,
    pub(crate) engine: Engine,
    pub(crate) heap: Heap,
    pub(crate) threads: Threads,
    pub(crate) instances: Vec<InstanceData>,
    pub(crate) memories: Vec<MemoryData>,
    pub(crate) tables: Vec<TableData>,
    pub(crate) globals: Vec<GlobalData>,
    /// Canonical function type of each tag.
    pub(crate) tags: Vec<u32>,
    /// The embedder's references.
    pub(crate) roots: RootList,
    pub(crate) host_objects: HostObjects,
    /// What the collector does, if that is to be kept.
    pub(crate) recorder: Option<Box<Recorder>>,
    /// Boxed, because compiled code holds their addresses.
    #[expect(clippy::vec_box, reason = "compiled code holds the records' addresses")]
    host_funcs: Vec<Box<HostFunc>>,
    trampolines: HashMap<SignatureId, TrampolineCode>,
    /// Host functions that wait for trampolines of their signature.
    waiting: HashMap<SignatureId, Vec<ObjRef>>,
}

/// Addresses of the trampolines of a machine signature.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TrampolineCode {
    pub(crate) entry: u64,
    pub(crate) host_call: u64,
}

/// What the collector is given of a store: everything but the heap itself. Implements the heap's `Runtime`.
#[derive(Debug)]
pub(crate) struct StoreRuntime<'a> {
    pub(crate) threads: &'a mut Threads,
    pub(crate) instances: &'a mut [InstanceData],
    pub(crate) tables: &'a mut [TableData],
    pub(crate) globals: &'a [GlobalData],
    pub(crate) roots: &'a mut RootList,
    pub(crate) host_objects: &'a mut HostObjects,
    pub(crate) recorder: Option<&'a mut Recorder>,
    /// Whether each collection is printed.
    pub(crate) logs: bool,
}

impl StoreInner {
    pub(crate) fn new(engine: &Engine) -> Result<Self, StoreError> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let region = engine.types().region();
        let heap = Heap::new(heap_options(engine), Arc::clone(region) as Arc<dyn dolmen_gc_heap::TypeTable>)?;
        let bases = ThreadBases {
            heap: heap.base(),
            types: region.base_address(),
            cards: heap.card_base(),
            builtins: crate::builtins::table_address(),
        };
        let thread = OwnedThread::new(engine.config().max_stack_bytes, bases, heap.assistant());
        let thread = thread.map_err(StoreError::Thread)?;
        // Relaxed: only uniqueness matters.
        let id = StoreId(NEXT_ID.fetch_add(1, Ordering::Relaxed));
        Ok(Self {
            id,
            engine: engine.clone(),
            heap,
            threads: Threads::new(thread),
            instances: Vec::new(),
            memories: Vec::new(),
            tables: Vec::new(),
            globals: Vec::new(),
            tags: Vec::new(),
            roots: RootList::new(id),
            host_objects: HostObjects::default(),
            recorder: engine.config().gc_record.then(|| Box::new(Recorder::new())),
            host_funcs: Vec::new(),
            trampolines: HashMap::new(),
            waiting: HashMap::new(),
        })
    }

    /// The heap, and the rest of the store as the heap wants it.
    pub(crate) fn heap_and_runtime(&mut self) -> (&mut Heap, StoreRuntime<'_>) {
        let runtime = StoreRuntime {
            threads: &mut self.threads,
            instances: &mut self.instances,
            tables: &mut self.tables,
            globals: &self.globals,
            roots: &mut self.roots,
            host_objects: &mut self.host_objects,
            recorder: self.recorder.as_deref_mut(),
            logs: self.engine.config().gc_log,
        };
        (&mut self.heap, runtime)
    }

    /// Collects the whole heap.
    pub(crate) fn gc(&mut self) -> Result<(), Error> {
        let (heap, mut runtime) = self.heap_and_runtime();
        let collected = heap.collect(&mut runtime, Cause::Requested);
        collected.map_err(|error| StoreError::Heap(AllocError::Corrupt(error)).into())
    }

    pub(crate) fn gc_stats(&self) -> GcStats {
        let stats = self.heap.stats();
        GcStats {
            collections: stats.minor + stats.major,
            minor: stats.minor,
            major: stats.major,
            total: stats.total_pause,
            max_pause: stats.max_pause,
            allocated_bytes: stats.allocated_bytes,
            live_bytes: stats.live_bytes,
            heap_bytes: stats.heap_bytes,
            moved_bytes: stats.moved_bytes,
        }
    }

    /// Fails unless `id` is this store's.
    pub(crate) fn check(&self, id: StoreId) -> Result<(), ArgumentError> {
        if id == self.id { Ok(()) } else { Err(ArgumentError::WrongStore) }
    }

    /// Panics unless `id` is this store's: for operations that have no other way to fail.
    #[track_caller]
    pub(crate) fn expect(&self, id: StoreId) {
        assert!(id == self.id, "an item was used with another store than its own");
    }

    /// The memory at an index of an instance's index space.
    pub(crate) fn memory_mut(&mut self, instance: u32, memory: u32) -> &mut MemoryData {
        let number = self.instances[instance as usize].memories[memory as usize];
        &mut self.memories[number as usize]
    }

    /// The table at an index of an instance's index space.
    pub(crate) fn table_mut(&mut self, instance: u32, table: u32) -> &mut TableData {
        let number = self.instances[instance as usize].tables[table as usize];
        &mut self.tables[number as usize]
    }

    /// Makes a module's code known: to the unwinder, and to host functions that lack trampolines.
    ///
    /// # Errors
    ///
    /// If the code marks cards and there is no address space for a card table; if it has no polls, but must be able
    /// to stop.
    pub(crate) fn load_code(&mut self, module: &Module) -> Result<(), StoreError> {
        self.threads.check_polls(module.has_polls())?;
        if module.protocol().barrier == Barrier::Card {
            self.heap.ensure_card_table()?;
        }
        let mut code = StoreCode::clone(self.threads.current().code());
        module.register_code(&mut code);
        self.threads.set_code(&Arc::new(code), self.heap.card_base());
        for (signature, code) in module.trampolines() {
            self.trampolines.entry(signature).or_insert(code);
            for object in self.waiting.remove(&signature).into_iter().flatten() {
                object::set_func_code(&mut self.heap, object, code.host_call, code.entry);
            }
        }
        Ok(())
    }

    /// The trampolines for a machine signature; addresses are 0 as long as no module has brought any.
    pub(crate) fn trampolines(&self, signature: SignatureId) -> TrampolineCode {
        self.trampolines.get(&signature).copied().unwrap_or_default()
    }

    /// Keeps a host function's record; returns its address.
    pub(crate) fn add_host_func(&mut self, func: HostFunc) -> u64 {
        self.host_funcs.push(Box::new(func));
        self.host_funcs.last().map_or(0, |func| std::ptr::from_ref::<HostFunc>(func) as u64)
    }

    /// Notes that a host function's object lacks trampolines of this signature.
    pub(crate) fn wait_for_trampolines(&mut self, signature: SignatureId, object: ObjRef) {
        self.waiting.entry(signature).or_default().push(object);
    }
}

impl Drop for StoreInner {
    /// Other threads must not outlive what they use.
    fn drop(&mut self) {
        thread::unlocked::end_all(self);
    }
}

impl fmt::Debug for StoreInner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreInner")
            .field("id", &self.id)
            .field("instances", &self.instances.len())
            .finish_non_exhaustive()
    }
}

fn heap_options(engine: &Engine) -> HeapOptions {
    let config = engine.config();
    let defaults = HeapOptions::default();
    HeapOptions {
        collector: config.collector,
        initial_bytes: config.heap_initial_bytes.unwrap_or(defaults.initial_bytes).min(config.heap_max_bytes),
        max_bytes: config.heap_max_bytes.min(dolmen_gc_heap::options::LARGEST_MAX_BYTES),
        soft_max_bytes: config.heap_soft_max_bytes.unwrap_or(defaults.soft_max_bytes),
        minor_pause: config.heap_minor_pause,
        threads: config.gc_threads,
        stress: config.gc_stress,
        verify: config.gc_verify,
        log: config.gc_log || config.gc_record,
        tuning: Tuning { refused: config.refused_heap_requests, ..defaults.tuning },
    }
}
