//! Stocks: memory that mutators are given ahead of their need, and from which they allocate without the heap.

mod mock;

use dolmen_gc_heap::{Cause, Heap, HeapOptions, ObjRef, Stock, Tuning};
use mock::two::TwoMutators;
use mock::{I8, MockTypes, REF};
use std::sync::Arc;

/// Bytes of a `node`.
const NODE_BYTES: u64 = 8;

struct World {
    heap: Heap,
    runtime: TwoMutators,
    node: u32,
    bytes: u32,
}

impl World {
    fn new(max_bytes: u64) -> Self {
        let mut types = MockTypes::new();
        let (node, bytes) = (types.add_struct(&[REF]), types.add_array(I8));
        let tuning = Tuning { min_nursery_bytes: 32 << 20, building_nursery_bytes: 32 << 20, ..Tuning::default() };
        let options = HeapOptions { verify: true, max_bytes, tuning, ..HeapOptions::default() };
        let heap = Heap::new(options, Arc::new(types)).unwrap();
        Self { heap, runtime: TwoMutators { has_stocks: true, ..TwoMutators::default() }, node, bytes }
    }

    /// Allocates where the buffer has no room: a node, or an array of so many bytes. Whether it was from the stock.
    fn alloc(&mut self, length: Option<u32>) -> (ObjRef, bool) {
        let Self { heap, runtime, node, bytes } = self;
        let (buffer, stock) = (&mut runtime.buffers[runtime.current], &mut runtime.stocks[runtime.current]);
        let type_word = if length.is_some() { *bytes } else { *node };
        if let Some(object) = mock::alloc_from_stock(heap, stock, buffer, type_word, length) {
            return (object, true);
        }
        let object = match length {
            None => heap.alloc_struct(runtime, *node),
            Some(length) => heap.alloc_array(runtime, *bytes, length),
        };
        (object.unwrap(), false)
    }

    /// As [`World::alloc`], with a buffer that is at its end.
    fn alloc_behind_buffer(&mut self, length: Option<u32>) -> (ObjRef, bool) {
        let buffer = &mut self.runtime.buffers[self.runtime.current];
        buffer.cursor = buffer.limit;
        self.alloc(length)
    }

    /// Checks that an object is zero but for its header, and so is the buffer behind it; then makes it something else.
    fn check_and_spoil(&mut self, object: ObjRef, header: &[u32]) {
        let buffer = self.runtime.buffers[self.runtime.current];
        let memory = mock::memory(&mut self.heap, object, (buffer.limit - object.word()) as usize);
        assert_eq!(memory[..header.len()], *header);
        assert!(memory[header.len()..].iter().all(|&word| word == 0));
        memory[header.len()..].fill(0xaaaa_aaaa);
        if header.len() == 1 {
            memory[1] = object.word();
        }
    }
}

#[test]
fn deliveries_grow_until_a_collection() {
    let mut w = World::new(1 << 30);
    for round in 1..4 {
        for mutator in [0, 1] {
            w.runtime.current = mutator;
            // Pieces that were delivered each time the heap was asked.
            let mut deliveries = Vec::new();
            for i in 0..70 {
                let length = (i % 2 == 1).then_some(100 + i);
                let (object, is_stocked) = w.alloc_behind_buffer(length);
                if is_stocked {
                    *deliveries.last_mut().unwrap() += 1;
                } else {
                    deliveries.push(0);
                }
                match length {
                    Some(length) => w.check_and_spoil(object, &[w.bytes, length]),
                    None => {
                        w.check_and_spoil(object, &[w.node]);
                        w.runtime.roots.push(object.word());
                    }
                }
            }
            assert_eq!(deliveries, [0, 1, 3, 7, 15, 15, 15, 6]);
        }
        w.heap.collect(&mut w.runtime, Cause::Requested).unwrap();
        assert!(w.runtime.stocks.iter().all(Stock::is_empty));
        assert_eq!(w.heap.stats().live_bytes, 70 * NODE_BYTES * round);
    }
}

#[test]
fn what_is_taken_back_was_not_allocated() {
    let mut w = World::new(1 << 30);
    let mut bytes = 0;
    for i in 0..2_000_000 {
        w.runtime.current = i % 2;
        let buffer = &mut w.runtime.buffers[i % 2];
        if buffer.cursor < buffer.limit {
            buffer.cursor += (NODE_BYTES / 4) as u32;
        } else {
            w.alloc(None);
        }
        bytes += NODE_BYTES;
        if i % 1000 == 0 {
            assert!(!w.alloc(Some(992)).1, "larger than a piece may be");
            bytes += 1000;
        }
    }
    let excess = w.heap.stats().allocated_bytes - bytes;
    assert!((100_000..2_000_000).contains(&excess), "what is in stock counts: {excess}");
    w.heap.collect(&mut w.runtime, Cause::Requested).unwrap();
    assert_eq!(w.heap.stats().allocated_bytes, bytes);
}

#[test]
fn stocks_do_not_put_off_collections() {
    let mut w = World::new(1 << 30);
    for i in 0..10_000 {
        w.runtime.current = i % 2;
        w.alloc_behind_buffer(None);
    }
    let (stats, nursery_bytes) = (w.heap.stats(), w.heap.options().tuning.nursery_bytes);
    assert!(stats.minor + stats.major >= 10_000 * (32 << 10) / nursery_bytes - 4, "{stats:?}");
}

#[test]
fn there_are_none_where_memory_is_short() {
    let mut w = World::new(16 << 20);
    assert!((0..1000).all(|_| !w.alloc_behind_buffer(None).1));
}
