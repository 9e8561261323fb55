//! Objects that live as long as the heap.

mod mock;

use dolmen_abi::object::FUNC_BYTES;
use dolmen_gc_heap::{AllocError, HeapOptions, ObjRef};
use mock::{I8, MockTypes, REF, World};

struct Words {
    bytes: u32,
    refs: u32,
    func: u32,
}

fn world(options: HeapOptions) -> (World, Words) {
    let mut types = MockTypes::new();
    let words = Words { bytes: types.add_array(I8), refs: types.add_array(REF), func: types.add_func() };
    (World::new(options, types), words)
}

#[test]
fn immortal_objects_stay_and_end_the_trace() {
    let (mut w, t) = world(HeapOptions { verify: true, ..HeapOptions::default() });
    let immortal =
        |w: &mut World, bytes| w.heap.alloc_immortal(&mut w.runtime, t.func, bytes).map(ObjRef::word).unwrap();
    let funcs: Vec<u32> = (0..3000).map(|_| immortal(&mut w, FUNC_BYTES)).collect();
    for (i, &func) in funcs.iter().enumerate() {
        w.write(func, 4, i as u32);
    }
    let holder = w.alloc_array(t.refs, funcs.len() as u32).unwrap();
    for (i, &func) in funcs.iter().enumerate() {
        w.store(holder, 8 + 4 * i as u32, func);
    }
    w.runtime.roots.push(holder);
    w.collect();
    assert_eq!(w.heap.stats().live_bytes, u64::from(w.bytes_of(holder)));
    w.runtime.roots.clear();
    w.collect();
    for (i, &func) in funcs.iter().enumerate() {
        assert_eq!((w.read(func, 0), w.read(func, 4)), (t.func, i as u32));
        assert!(w.heap.is_object(func));
    }
    let large = immortal(&mut w, 100_000);
    w.runtime.roots.push(large);
    w.collect();
    assert!(!w.heap.is_object(large + 8));
}

#[test]
fn immortal_objects_take_the_place_of_garbage() {
    let (mut w, t) = world(HeapOptions { max_bytes: 1 << 20, ..HeapOptions::default() });
    while let Ok(object) = w.alloc_array(t.bytes, 1000) {
        w.runtime.roots.push(object);
    }
    let immortal = |w: &mut World| w.heap.alloc_immortal(&mut w.runtime, t.func, 100_000).map(ObjRef::word);
    assert!(matches!(immortal(&mut w), Err(AllocError::OutOfMemory { .. })));
    w.runtime.roots.clear();
    let object = immortal(&mut w).unwrap();
    assert!(w.heap.is_object(object));
}
