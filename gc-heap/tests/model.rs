//! Random programs against a model.
//!
//! The model knows for each object what its words should be. A program makes objects, writes to them, takes and drops
//! roots; after every collection the heap must hold exactly the objects that the model reaches, with their content.
//! Collections move objects, so the model first finds out what is where now, by a walk from the roots over its own graph
//! and the heap's at once: both must have the same shape, and what a pinned root refers to must be where it was.
//!
//! Weak handles take part: one that is cleared must have referred to what no root reaches, and one that is not must lead to
//! the object as it was, whether a root reaches it or not, so that the program may take it for a root again.

mod mock;

use dolmen_abi::collector::Collector;
use dolmen_abi::reference::{NULL_REF, i31_new, is_object};
use dolmen_abi::type_desc::Kind;
use dolmen_abi::types::ValType;
use dolmen_gc_heap::{AllocError, HeapOptions, Scope, Tuning};
use mock::{I8, I32, I64, MockRuntime, MockTypes, REF, Rng, World};
use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

/// Content of an object but its header, by word.
type Content = Vec<u32>;

struct Program {
    world: World,
    rng: Rng,
    objects: BTreeMap<u32, Content>,
    structs: Vec<u32>,
    arrays: Vec<u32>,
    extern_word: u32,
    /// Data of host objects, by reference.
    hosts: BTreeMap<u32, u64>,
    /// Data of host objects that are dead and not dropped yet: old ones, until a major collection.
    unreachable: BTreeSet<u64>,
    next_data: u64,
    collections: u64,
    /// The slots, and the weak handles, as they were before the last collection.
    slots: Vec<u32>,
    weak: Vec<u32>,
    /// Objects that were found in another place.
    moved: u64,
    /// Weak handles that collections have cleared.
    cleared: u64,
}

fn types() -> (MockTypes, Vec<u32>, Vec<u32>, u32) {
    let mut types = MockTypes::new();
    let mut wide = vec![I32; 20];
    wide.extend(vec![REF; 100]);
    let reference = ValType::Ref(dolmen_abi::types::RefType { nullable: true, heap: dolmen_abi::types::HeapType::Any });
    let structs = vec![
        types.add_struct(&[]),
        types.add_struct(&[REF, REF, I32]),
        types.add_struct(&[REF]),
        types.add_struct(&[I8, I64, REF, I32, REF]),
        types.add_struct(&wide),
        types.add_exn(&[ValType::I64, reference, ValType::F32, reference]),
    ];
    let arrays = vec![types.add_array(I8), types.add_array(REF), types.add_array(I64)];
    let extern_word = types.add_extern();
    (types, structs, arrays, extern_word)
}

impl Program {
    fn new(options: HeapOptions, seed: u64) -> Self {
        let (types, structs, arrays, extern_word) = types();
        Self {
            world: World::new(options, types),
            rng: Rng::new(seed),
            objects: BTreeMap::new(),
            structs,
            arrays,
            extern_word,
            hosts: BTreeMap::new(),
            unreachable: BTreeSet::new(),
            next_data: 1,
            collections: 0,
            slots: Vec::new(),
            weak: Vec::new(),
            moved: 0,
            cleared: 0,
        }
    }

    fn step(&mut self) {
        self.slots.clone_from(&self.world.runtime.slots);
        self.weak.clone_from(&self.world.runtime.weak);
        match self.rng.below(100) {
            0..40 => self.make_struct(),
            40..52 => self.make_array(),
            52..56 => self.make_host_object(),
            56..80 => self.write_reference(),
            80..85 => self.use_weak_handles(),
            85..92 => self.write_data(),
            92..99 => self.drop_roots(),
            _ => self.world.collect(),
        }
        self.check_after_collection();
    }

    fn make_struct(&mut self) {
        let word = self.structs[self.rng.below(self.structs.len() as u64) as usize];
        let made = self.world.alloc_struct(word);
        self.made(made);
    }

    fn make_array(&mut self) {
        let word = self.arrays[self.rng.below(self.arrays.len() as u64) as usize];
        let magnitude = self.rng.below(17);
        let length = self.rng.below(1 << magnitude) as u32;
        let made = self.world.alloc_array(word, length);
        let array = made.as_ref().ok().copied();
        self.made(made);
        array.into_iter().for_each(|array| self.fill(array));
    }

    /// Writes to some elements of a new array of references, so that it may become the only one to refer to what is young.
    fn fill(&mut self, array: u32) {
        let offsets = self.world.ref_offsets(array);
        for _ in 0..offsets.len().min(8) {
            let Some(value) = self.pick() else { return };
            let offset = offsets[self.rng.below(offsets.len() as u64) as usize];
            self.world.store(array, offset, value);
            self.note(array, offset, value);
        }
    }

    fn make_host_object(&mut self) {
        let data = self.next_data;
        match self.world.alloc_extern(self.extern_word, data) {
            Ok(object) => {
                self.next_data += 1;
                self.check_after_collection();
                self.hosts.insert(object, data);
                self.objects.insert(object, vec![0, data as u32, 0]);
                self.root(object);
            }
            Err(error) => assert!(matches!(error, AllocError::OutOfMemory { .. }), "{error}"),
        }
    }

    fn made(&mut self, made: Result<u32, AllocError>) {
        // An allocation may have collected: compare before the model knows the new object.
        self.check_after_collection();
        match made {
            Ok(object) => {
                assert!(self.world.heap.is_object(object));
                let content = self.content(object);
                let header_words = usize::from(self.world.read(object, 0) >> 26 == Kind::Array as u32);
                assert!(content[header_words..].iter().all(|&w| w == 0), "object {object:#x} is not zero");
                assert!(self.objects.insert(object, content).is_none(), "object {object:#x} was alive");
                self.root(object);
            }
            Err(AllocError::OutOfMemory { .. }) => {
                for roots in [&mut self.world.runtime.roots, &mut self.world.runtime.slots] {
                    roots.truncate(roots.len() / 2);
                }
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Keeps a new object alive: by one reference from another object, or by a root, of which one in eight is pinned.
    fn root(&mut self, object: u32) {
        if self.rng.below(2) == 0
            && let Some(holder) = self.pick()
            && let Some(&offset) = self.world.ref_offsets(holder).last()
        {
            self.world.store(holder, offset, object);
            self.note(holder, offset, object);
            return;
        }
        let runtime = &mut self.world.runtime;
        let roots = if self.rng.below(8) == 0 { &mut runtime.roots } else { &mut runtime.slots };
        roots.push(object);
    }

    fn write_reference(&mut self) {
        let (Some(object), Some(value)) = (self.pick(), self.pick()) else { return };
        let offsets = self.world.ref_offsets(object);
        if offsets.is_empty() {
            return;
        }
        let offset = offsets[self.rng.below(offsets.len() as u64) as usize];
        let value = match self.rng.below(8) {
            0 => 0,
            1 => i31_new(self.rng.next() as u32),
            _ => value,
        };
        self.world.store(object, offset, value);
        self.note(object, offset, value);
    }

    fn write_data(&mut self) {
        let Some(object) = self.pick() else { return };
        let words = self.objects[&object].len() as u64;
        let is_array = self.world.read(object, 0) >> 26 == Kind::Array as u32;
        if self.hosts.contains_key(&object) || words == 0 {
            return;
        }
        let offset = 4 + 4 * self.rng.below(words) as u32;
        if (is_array && offset == 4) || self.world.ref_offsets(object).contains(&offset) {
            return;
        }
        let value = self.rng.next() as u32;
        self.world.write(object, offset, value);
        self.note(object, offset, value);
    }

    fn note(&mut self, object: u32, offset: u32, value: u32) {
        self.objects.get_mut(&object).unwrap()[offset as usize / 4 - 1] = value;
    }

    fn drop_roots(&mut self) {
        let runtime = &mut self.world.runtime;
        let roots = if self.rng.below(8) == 0 { &mut runtime.roots } else { &mut runtime.slots };
        let keep = self.rng.below(roots.len() as u64 + 1) as usize;
        if self.rng.below(4) == 0 {
            roots.truncate(keep);
        } else if keep < roots.len() {
            roots.swap_remove(keep);
        }
    }

    /// Makes a weak handle, forgets some, or makes a root of what one refers to.
    fn use_weak_handles(&mut self) {
        let picked = self.pick();
        let MockRuntime { weak, slots, .. } = &mut self.world.runtime;
        match self.rng.below(8) {
            0 => weak.truncate(self.rng.below(weak.len() as u64 + 1) as usize),
            1..4 if !weak.is_empty() => {
                let word = weak[self.rng.below(weak.len() as u64) as usize];
                slots.extend((word != NULL_REF).then_some(word));
            }
            _ => weak.extend(picked),
        }
    }

    /// A reachable object, by a short walk from a root.
    fn pick(&mut self) -> Option<u32> {
        let MockRuntime { roots, slots, .. } = &self.world.runtime;
        if roots.is_empty() && slots.is_empty() {
            return None;
        }
        let index = self.rng.below((roots.len() + slots.len()) as u64) as usize;
        let mut object = *roots.get(index).unwrap_or_else(|| &slots[index - roots.len()]);
        for _ in 0..self.rng.below(4) {
            let offsets = self.world.ref_offsets(object);
            let next = offsets.iter().map(|&o| self.world.read(object, o)).find(|&w| is_object(w));
            object = next.unwrap_or(object);
        }
        Some(object)
    }

    fn content(&self, object: u32) -> Content {
        (4..self.world.bytes_of(object)).step_by(4).map(|offset| self.world.read(object, offset)).collect()
    }

    fn reachable(&self) -> BTreeSet<u32> {
        let mut found = BTreeSet::new();
        let mut stack = [&self.world.runtime.roots[..], &self.world.runtime.slots].concat();
        while let Some(object) = stack.pop() {
            if is_object(object) && found.insert(object) {
                assert!(self.objects.contains_key(&object), "{object:#x} is unknown to the model");
                stack.extend(self.world.ref_offsets(object).iter().map(|&o| self.world.read(object, o)));
            }
        }
        found
    }

    fn check_after_collection(&mut self) {
        let stats = self.world.heap.stats();
        if stats.collections() == self.collections {
            return;
        }
        self.collections = stats.collections();
        self.follow_moves();
        let live = self.reachable();
        let live_bytes: u64 = live.iter().map(|&o| u64::from(self.world.bytes_of(o))).sum();
        let is_major = self.world.runtime.log.last().is_some_and(|c| c.scope == Scope::Major);
        let is_finished = self.world.runtime.log.last().is_none_or(|c| c.is_finished);
        let is_exact = !is_finished || stats.live_bytes == live_bytes || (!is_major && stats.live_bytes > live_bytes);
        assert!(is_exact, "{} bytes survived, {live_bytes} are reachable", stats.live_bytes);
        self.check_weak(&live, is_major);
        self.check_contents();
        self.check_dropped(is_major);
    }

    /// Finds the new places of all objects, and renames the model's objects by them.
    fn follow_moves(&mut self) {
        let places = self.places();
        for (old, new) in self.weak.iter().zip(&self.world.runtime.weak).filter(|(old, new)| old != new) {
            assert_eq!(places.get(old).unwrap_or(&NULL_REF), new, "a weak handle was cleared or changed");
            self.cleared += u64::from(*new == NULL_REF);
        }
        self.weak.clone_from(&self.world.runtime.weak);
        let new: BTreeSet<u32> = places.values().copied().collect();
        assert_eq!(new.len(), places.len(), "two objects became one");
        self.moved += places.iter().filter(|(old, new)| old != new).count() as u64;
        let mut objects = BTreeMap::new();
        for (&old, &new) in &places {
            let mut content = self.objects.remove(&old).unwrap();
            for offset in self.world.ref_offsets(new) {
                let word = &mut content[offset as usize / 4 - 1];
                *word = *places.get(word).unwrap_or(word);
            }
            objects.insert(new, content);
        }
        self.objects = objects;
        let (kept, dead): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.hosts).into_iter().partition(|(object, _)| places.contains_key(object));
        self.hosts = kept.into_iter().map(|(object, data)| (places[&object], data)).collect();
        self.unreachable.extend(dead.into_values());
        self.slots.clone_from(&self.world.runtime.slots);
    }

    /// Old and new places of everything reachable, also by weak handles.
    fn places(&self) -> BTreeMap<u32, u32> {
        let MockRuntime { roots, slots, weak, .. } = &self.world.runtime;
        assert_eq!((slots.len(), weak.len()), (self.slots.len(), self.weak.len()));
        let pairs = |old: &[u32], new: &[u32]| old.iter().copied().zip(new.iter().copied()).collect::<Vec<_>>();
        let mut stack = pairs(&self.weak, weak);
        stack.retain(|&(_, new)| new != NULL_REF);
        stack.extend([pairs(roots, roots), pairs(&self.slots, slots)].concat());
        let mut places = BTreeMap::new();
        while let Some((old, new)) = stack.pop() {
            if !is_object(old) {
                assert_eq!(old, new);
                continue;
            }
            if let Some(before) = places.insert(old, new) {
                assert_eq!(before, new, "object {old:#x} became two");
                continue;
            }
            let content = self.objects.get(&old).unwrap_or_else(|| panic!("{old:#x} is unknown to the model"));
            let offsets = self.world.ref_offsets(new);
            stack.extend(offsets.iter().map(|&o| (content[o as usize / 4 - 1], self.world.read(new, o))));
        }
        places
    }

    /// Weak handles refer to what is live, or to old objects that no major collection has found dead.
    fn check_weak(&self, live: &BTreeSet<u32>, is_major: bool) {
        let is_live = |word: &u32| *word == NULL_REF || live.contains(word);
        assert!(!is_major || self.weak.iter().all(is_live), "a weak handle refers to a dead object");
    }

    fn check_dropped(&mut self, is_major: bool) {
        for data in self.world.runtime.dropped.drain(..) {
            assert!(self.unreachable.remove(&data), "host object {data} was dropped alive, or twice");
        }
        assert!(!is_major || self.unreachable.is_empty(), "{:?} were not dropped", self.unreachable);
    }

    /// Each object is as the model knows it.
    fn check_contents(&self) {
        for (&object, expected) in &self.objects {
            let found = self.content(object);
            let different = (0..expected.len().max(found.len())).find(|&i| found.get(i) != expected.get(i));
            if let Some(i) = different {
                panic!("word {i} of object {object:#x} is {:x?}, not {:x?}", found.get(i), expected.get(i));
            }
        }
    }

    /// At the end: the heap's own enumeration is what the model reaches.
    fn finish(mut self) {
        let live = self.reachable();
        self.objects.retain(|object, _| live.contains(object));
        self.check_contents();
        let mut found = BTreeSet::new();
        let World { heap, runtime, .. } = &mut self.world;
        heap.for_each_object(runtime, &mut |object, _, _| assert!(found.insert(object.word()))).unwrap();
        assert_eq!(found, live);
        self.world.runtime.dropped.clear();
        let World { heap, runtime, .. } = &mut self.world;
        heap.drop_host_objects(runtime);
        heap.drop_host_objects(runtime);
        let mut dropped = std::mem::take(&mut self.world.runtime.dropped);
        dropped.sort_unstable();
        let mut expected: Vec<u64> = self.hosts.values().chain(&self.unreachable).copied().collect();
        expected.sort_unstable();
        assert_eq!(dropped, expected);
    }
}

fn small(max_bytes: u64) -> HeapOptions {
    let tuning = Tuning {
        nursery_bytes: 64 << 10,
        min_budget_bytes: 256 << 10,
        evacuate_slack_bytes: 0,
        release_slack_bytes: 64 << 10,
        ..Tuning::default()
    };
    HeapOptions { initial_bytes: 0, max_bytes, verify: true, log: true, tuning, ..HeapOptions::default() }
}

fn run(options: HeapOptions, seed: u64, steps: u32) -> u64 {
    run_and_count(options, seed, steps).0
}

/// Numbers of collections, and of objects that were moved by them.
fn run_and_count(options: HeapOptions, seed: u64, steps: u32) -> (u64, u64) {
    println!("seed {seed}");
    let mut program = Program::new(options, seed);
    (0..steps).for_each(|_| program.step());
    let counts = (program.collections, program.moved);
    assert!(program.cleared > 0 || program.collections == 0, "no weak handle was cleared");
    program.finish();
    counts
}

#[test]
fn marksweep_keeps_exactly_what_is_reachable() {
    for seed in 0..6 {
        let options = HeapOptions { collector: Collector::MarkSweep, ..small(64 << 20) };
        assert!(run(options, seed, 6000) > 20);
    }
}

#[test]
fn generational_loses_nothing_that_is_reachable() {
    for seed in 50..58 {
        assert!(run(small(64 << 20), seed, 6000) > 20);
    }
}

#[test]
fn survives_running_out_of_memory() {
    for seed in 10..16 {
        assert!(run(small(1 << 20), seed, 6000) > 20);
    }
}

#[test]
fn a_full_mark_stack_loses_nothing() {
    for (seed, entries) in [(20, 0), (21, 1), (22, 7), (23, 64)] {
        let mut options = small(16 << 20);
        options.tuning.mark_stack_entries = entries;
        assert!(run(options, seed, 4000) > 10);
    }
}

/// Minor collections that stop as early as they can, or somewhere in their middle, alone and under stress.
#[test]
fn minor_collections_in_parts_lose_nothing() {
    let parts = |pause_micros, check_objects, mark_stack_entries| {
        let mut options = small(64 << 20);
        options.minor_pause = Some(Duration::from_micros(pause_micros));
        options.tuning.pause_check_objects = check_objects;
        options.tuning.min_step_bytes = 8 << 10;
        options.tuning.mark_stack_entries = mark_stack_entries;
        options
    };
    for (seed, micros, check_objects, entries) in [
        (60, 0, 1, 1 << 20),
        (61, 0, 5, 1 << 20),
        (62, 0, 40, 1 << 20),
        (63, 0, 40, 7),
        (64, 5, 1, 1 << 20),
        (65, 20, 1, 1 << 20),
        (66, 60, 2, 7),
    ] {
        let options = parts(micros, check_objects, entries);
        assert!(run(options, seed, 6000) > 20);
        assert!(run(HeapOptions { stress: NonZeroU64::new(2), ..options }, seed, 1200) > 20);
    }
}

/// Each collection by several threads, with room on their stacks and without, with a list of dirty blocks that is long
/// enough and with one that is not.
#[test]
fn several_threads_lose_nothing() {
    let parallel = |threads, collector, mark_stack_entries, remembered_blocks| {
        let mut options = HeapOptions { threads: NonZeroU32::new(threads), collector, ..small(64 << 20) };
        options.tuning.await_helpers = true;
        options.tuning.mark_stack_entries = mark_stack_entries;
        options.tuning.remembered_blocks = remembered_blocks;
        options
    };
    let (generational, marksweep) = (Collector::Generational, Collector::MarkSweep);
    for (seed, threads, collector, entries, blocks) in [
        (90, 2, generational, 1 << 20, 1 << 10),
        (91, 4, generational, 1 << 20, 3),
        (92, 3, generational, 7, 1 << 10),
        (93, 2, generational, 0, 0),
        (94, 3, marksweep, 1 << 20, 0),
        (95, 2, marksweep, 64, 0),
    ] {
        assert!(run(parallel(threads, collector, entries, blocks), seed, 4000) > 20);
        let stress = HeapOptions { stress: NonZeroU64::new(2), ..parallel(threads, collector, entries, blocks) };
        assert!(run(stress, seed, 800) > 20);
    }
}

/// The system has no thread for a helper: the thread that collects shares its work with nobody, and does all of it.
#[test]
fn helpers_that_cannot_be_started_are_not_missed() {
    for (seed, collector, entries, blocks) in [
        (100, Collector::Generational, 1 << 20, 1 << 10),
        (101, Collector::Generational, 7, 3),
        (102, Collector::MarkSweep, 1 << 20, 0),
    ] {
        let mut options = HeapOptions { threads: NonZeroU32::new(4), collector, ..small(64 << 20) };
        options.tuning.parallel_from_objects = 0;
        options.tuning.mark_stack_entries = entries;
        options.tuning.remembered_blocks = blocks;
        options.tuning.refuse_helpers = true;
        assert!(run(options, seed, 4000) > 20);
    }
}

#[test]
fn stress_collects_before_every_nth_allocation() {
    for (seed, interval) in [(30, 1), (31, 1), (32, 3), (33, 10)] {
        let options = HeapOptions { stress: NonZeroU64::new(interval), ..small(16 << 20) };
        assert!(run(options, seed, 1200) > 600 / interval);
    }
}

#[test]
fn evacuation_keeps_the_graph() {
    for (seed, collector) in [(70, Collector::Generational), (71, Collector::MarkSweep), (72, Collector::Generational)]
    {
        let mut options = HeapOptions { collector, ..small(64 << 20) };
        options.tuning.evacuate_from_percent = 0;
        options.tuning.evacuate_to_percent = 0;
        let (_, moved) = run_and_count(options, seed, 6000);
        assert!(moved > 1000, "{moved} objects moved");
    }
}

#[test]
fn stress_moves_what_is_not_pinned() {
    for (seed, max_bytes) in [(80, 16 << 20), (81, 16 << 20), (82, 1 << 20)] {
        let options = HeapOptions { stress: NonZeroU64::new(2), ..small(max_bytes) };
        let (_, moved) = run_and_count(options, seed, 1500);
        assert!(moved > 1000, "{moved} objects moved");
    }
}

#[test]
fn null_never_collects() {
    let options = HeapOptions { collector: Collector::Null, ..small(1 << 30) };
    assert_eq!(run(options, 40, 3000), 0);
}
