//! A verifier that finds nothing is worth nothing: each table is damaged in turn.

use super::*;
use crate::block::Block;
use crate::collectors::cycle::{self, Plan};
use crate::line::{LINE_FREE, LINE_LIVE};
use crate::mock::{MockTypes, REF, World};
use crate::options::HeapOptions;
use crate::space::sweep;
use crate::stats::{Cause, Phases, Scope};

/// A heap with two linked objects, marked but not swept; their block and references.
fn marked() -> (World, Block, [u32; 2]) {
    let mut types = MockTypes::new();
    let node = types.add_struct(&[REF, REF]);
    let mut w = World::new(HeapOptions::default(), types);
    let objects = [w.alloc_struct(node).unwrap(), w.alloc_struct(node).unwrap()];
    w.write(objects[0], 4, objects[1]);
    w.runtime.roots.push(objects[0]);
    let state = &mut w.heap.state;
    w.runtime.stop_mutators();
    state.retire_buffers(&mut w.runtime);
    state.verify(&mut w.runtime).unwrap();
    let plan = Plan { scope: Scope::Major, cause: Cause::Requested, may_stop_early: false, keep_bytes: |_| 0 };
    cycle::mark(state, &mut w.runtime, plan, &mut Phases::default());
    assert_eq!(check(&w), Ok(()));
    (w, Block::of_unit(objects[0]), objects)
}

fn check(w: &World) -> Result<()> {
    w.heap.state.verifier.check_marks(&w.heap.state.space, Scope::Major)
}

#[test]
fn finds_an_object_without_mark() {
    let (mut w, block, objects) = marked();
    w.heap.state.space.marks.clear(block, Block(block.0 + 1));
    assert_eq!(check(&w), Err(VerifyError::NotMarked { word: objects[0] }));
}

#[test]
fn finds_an_edge_that_is_not_remembered() {
    let mut types = MockTypes::new();
    let (node, array) = (types.add_struct(&[REF, REF]), types.add_array(REF));
    let mut w = World::new(HeapOptions::default(), types);
    let old = [w.alloc_struct(node).unwrap(), w.alloc_array(array, 1000).unwrap()];
    w.runtime.roots.extend(old);
    w.collect();
    let young = w.alloc_struct(node).unwrap();
    for (object, offset) in [(old[0], 8), (old[1], 8 + 4 * 500)] {
        w.write(object, offset, young);
        let error = w.heap.verify(&mut w.runtime).unwrap_err();
        assert_eq!(*error, VerifyError::NotRemembered { object, offset, word: young });
        w.store(object, offset, young);
        w.heap.verify(&mut w.runtime).unwrap();
    }
}

#[test]
fn finds_a_mark_without_object() {
    let (mut w, _, objects) = marked();
    w.heap.state.space.marks.set(objects[1] + 4);
    assert_eq!(check(&w), Err(VerifyError::NotReachable { word: objects[1] + 4 }));
}

#[test]
fn finds_wrong_line_marks() {
    let (mut w, block, _) = marked();
    let first = block.0 << LOG_LINES_PER_BLOCK;
    w.heap.state.space.lines.of_block_mut(block)[5] = LINE_LIVE;
    assert_eq!(check(&w), Err(VerifyError::LineMark { line: first + 5, found: LINE_LIVE, expected: LINE_FREE }));
    w.heap.state.space.lines.of_block_mut(block)[5] = LINE_FREE;
    w.heap.state.space.lines.of_block_mut(block)[0] = LINE_FREE;
    assert_eq!(check(&w), Err(VerifyError::LineMark { line: first, found: LINE_FREE, expected: LINE_LIVE }));
}

#[test]
fn finds_a_block_in_the_wrong_state() {
    let (mut w, block, _) = marked();
    let state = &mut w.heap.state;
    sweep::sweep(&mut state.space, Scope::Major, false);
    assert_eq!(state.verifier.check_blocks(&state.space), Ok(()));
    state.space.lines.of_block_mut(block).fill(LINE_FREE);
    let expected = VerifyError::BlockState { block: block.0, state: "recyclable", used_lines: 0 };
    assert_eq!(state.verifier.check_blocks(&state.space), Err(expected));
}

#[test]
fn a_collection_reports_what_its_verifier_finds() {
    let mut types = MockTypes::new();
    let node = types.add_struct(&[REF, REF]);
    let mut w = World::new(HeapOptions { verify: true, ..HeapOptions::default() }, types);
    let object = w.alloc_struct(node).unwrap();
    w.runtime.roots.push(object + 2);
    let error = w.heap.collect(&mut w.runtime, Cause::Requested).unwrap_err();
    assert!(matches!(*error, VerifyError::BadHeader { holder: Holder::Root { index: 0, .. }, .. }), "{error}");
    assert!(!w.runtime.stopped, "the mutators run again");
}
