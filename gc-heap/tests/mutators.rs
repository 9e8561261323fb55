//! Several mutators of one heap: who allocates where, and what the heap's lock is for.

mod mock;

use dolmen_abi::collector::AllocBuffer;
use dolmen_gc_heap::{Cause, Heap, HeapOptions, RootKind, RootVisitor, Runtime, Tuning};
use mock::two::TwoMutators;
use mock::{MockTypes, REF};
use std::sync::{Arc, Mutex};

#[test]
fn mutators_have_buffers_of_their_own() {
    let mut types = MockTypes::new();
    let node = types.add_struct(&[REF]);
    let mut heap = Heap::new(HeapOptions { verify: true, ..HeapOptions::default() }, Arc::new(types)).unwrap();
    let mut runtime = TwoMutators::default();
    for i in 0..20_000 {
        runtime.current = i % 2;
        let object = heap.alloc_struct(&mut runtime, node).unwrap().word();
        runtime.roots.push(object);
        if i == 9_999 {
            heap.collect(&mut runtime, Cause::Requested).unwrap();
            assert_eq!(runtime.buffers, [AllocBuffer::default(); 2]);
        }
    }
    heap.collect(&mut runtime, Cause::Requested).unwrap();
    assert_eq!(heap.stats().live_bytes, 160_000);
    let mut roots = runtime.roots.clone();
    roots.sort_unstable();
    roots.dedup();
    assert_eq!(roots.len(), 20_000);
}

/// A store with a thread per mutator: each has a buffer and roots; the heap's lock is the one that stops them.
struct SharedStore {
    heap: Heap,
    mutators: Vec<Mutator>,
}

#[derive(Clone, Default)]
struct Mutator {
    buffer: AllocBuffer,
    roots: Vec<u32>,
}

/// The store as one of its threads hands it to the heap.
struct SharedRuntime<'a> {
    mutators: &'a mut [Mutator],
    current: usize,
}

impl Runtime for SharedRuntime<'_> {
    fn stop_mutators(&mut self) {}
    fn resume_mutators(&mut self) {}
    fn current_buffer(&mut self) -> &mut AllocBuffer {
        &mut self.mutators[self.current].buffer
    }
    fn visit_buffers(&mut self, visit: &mut dyn FnMut(&mut AllocBuffer)) {
        self.mutators.iter_mut().for_each(|m| visit(&mut m.buffer));
    }
    fn scan_roots(&mut self, visitor: &mut dyn RootVisitor) {
        self.mutators.iter().for_each(|m| visitor.visit_slice(RootKind::Handle, &m.roots));
    }
    fn drop_host_object(&mut self, _data: u64) {}
}

#[test]
fn threads_share_a_heap_under_a_lock() {
    const THREADS: usize = 4;
    const OBJECTS: usize = 20_000;
    let mut types = MockTypes::new();
    let node = types.add_struct(&[REF]);
    let tuning = Tuning { nursery_bytes: 256 << 10, ..Tuning::default() };
    let heap = Heap::new(HeapOptions { verify: true, tuning, ..HeapOptions::default() }, Arc::new(types)).unwrap();
    let store = Mutex::new(SharedStore { heap, mutators: vec![Mutator::default(); THREADS] });
    std::thread::scope(|scope| {
        for current in 0..THREADS {
            let store = &store;
            scope.spawn(move || {
                for i in 0..OBJECTS {
                    let mut store = store.lock().unwrap();
                    let SharedStore { heap, mutators } = &mut *store;
                    let object = heap.alloc_struct(&mut SharedRuntime { mutators, current }, node).unwrap().word();
                    if i % 8 == 0 {
                        mutators[current].roots.push(object);
                    }
                }
            });
        }
    });
    let SharedStore { heap, mutators } = &mut *store.lock().unwrap();
    heap.collect(&mut SharedRuntime { mutators, current: 0 }, Cause::Requested).unwrap();
    assert_eq!(heap.stats().live_bytes, (8 * THREADS * OBJECTS / 8) as u64);
    assert!(heap.stats().minor > 0);
    let mut roots: Vec<u32> = mutators.iter().flat_map(|m| m.roots.clone()).collect();
    roots.sort_unstable();
    roots.dedup();
    assert_eq!(roots.len(), THREADS * OBJECTS / 8, "no two threads were given the same memory");
}
