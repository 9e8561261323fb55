//! The verifier's walk: from the roots to everything reachable, checking each reference before it follows it.
//!
//! What it finds stays in [`Findings`] for comparison with the collector's tables. The walk is simple rather than
//! fast, but allocation stress runs it over and over, so an object is looked at once: its size, once known, marks
//! the memory it covers, and an object that covers memory of another is found on the spot.

use super::{Holder, Result, VerifyError};
use crate::barrier::CardTable;
use crate::block::{Block, BlockState};
use crate::interface::to_runtime::{RootKind, RootVisitor, Runtime, TypeTable};
use crate::large;
use crate::line::{LINE_LIVE, LineTable, line_range};
use crate::object::{Object, type_desc};
use crate::space::Space;
use crate::space::mark_bits::MarkBits;
use dolmen_abi::object::TYPE_WORD_OFFSET;
use dolmen_abi::reference::{OBJECT_ALIGN_BYTES, REF_UNIT_BYTES, is_object};
use dolmen_abi::type_desc::{DESC_SLOT_BYTES, Kind, TypeDesc};
use std::io;

/// What a walk finds.
#[derive(Debug)]
pub struct Findings {
    /// Starts of the reachable objects.
    pub visited: MarkBits,
    /// Lines that reachable objects touch, but those of large objects.
    pub lines: LineTable,
    /// Memory of the reachable objects, but large ones: one bit for each place where an object could start.
    covered: MarkBits,
}

/// Types whose descriptors a walk remembers; a power of two.
const CACHED_TYPES: usize = 16;

/// Walks and checks everything reachable, and against the cards of `remembered` if the collector relies on them; the
/// number of objects.
pub fn walk(
    space: &Space,
    types: &dyn TypeTable,
    remembered: Option<&CardTable>,
    runtime: &mut dyn Runtime,
    findings: &mut Findings,
) -> Result<u64> {
    let cache = [None; CACHED_TYPES];
    let mut walk =
        Walk { space, types, remembered, findings, cache, stack: Vec::new(), roots: 0, objects: 0, error: None };
    runtime.scan_roots(&mut walk);
    walk.drain()
}

impl Findings {
    /// Empty tables for a space.
    pub fn new(space: &mut Space) -> Result<Self> {
        Self::map(space).map_err(|_| VerifyError::NoMemory)
    }

    /// Forgets everything below the frontier.
    pub fn clear(&mut self, frontier: u32) {
        self.visited.clear(Block(1), Block(frontier));
        self.covered.clear(Block(1), Block(frontier));
        self.lines.clear(frontier);
    }

    fn map(space: &mut Space) -> io::Result<Self> {
        let limit = space.blocks.limit();
        let system = space.system();
        Ok(Self {
            visited: MarkBits::new(system, limit)?,
            lines: LineTable::new(system, limit)?,
            covered: MarkBits::new(system, limit)?,
        })
    }

    /// Notes an object that shares blocks with others; false if it overlaps another.
    fn cover(&mut self, object: &Object<'_>, state: BlockState) -> bool {
        let (start, end) = (object.unit, object.end_unit());
        if state.has_lines() {
            self.lines.of_block_mut(Block::of_unit(start))[line_range(start, end)].fill(LINE_LIVE);
        }
        self.covered.set_range(start, end)
    }
}

struct Walk<'a> {
    space: &'a Space,
    types: &'a dyn TypeTable,
    remembered: Option<&'a CardTable>,
    findings: &'a mut Findings,
    cache: [Option<CachedType<'a>>; CACHED_TYPES],
    stack: Vec<Object<'a>>,
    roots: u64,
    objects: u64,
    error: Option<VerifyError>,
}

#[derive(Clone, Copy)]
struct CachedType<'a> {
    type_word: u32,
    desc: (Kind, &'a TypeDesc),
}

impl RootVisitor for Walk<'_> {
    fn visit_slice(&mut self, kind: RootKind, words: &[u32]) {
        for &word in words {
            let holder = Holder::Root { kind, index: self.roots };
            self.roots += 1;
            self.visit(holder, word);
        }
    }
}

impl<'a> Walk<'a> {
    fn drain(mut self) -> Result<u64> {
        let (space, types) = (self.space, self.types);
        while let Some(object) = self.stack.pop() {
            if self.error.is_some() {
                break;
            }
            object.for_each_ref(&space.region, types, |offset, word| {
                self.visit(Holder::Field { object: object.unit, offset }, word);
                self.check_remembered(&object, offset, word);
            });
        }
        self.error.map_or(Ok(self.objects), Err)
    }

    /// Checks that the card of a reference from an old to a young object is dirty.
    fn check_remembered(&mut self, object: &Object<'_>, offset: u32, word: u32) {
        let Some(cards) = self.remembered else { return };
        let marks = &self.space.marks;
        if !is_object(word) || marks.get(word) || !marks.get(object.unit) || self.error.is_some() {
            return;
        }
        let place = if object.kind == Kind::Array { offset / REF_UNIT_BYTES } else { 0 };
        if !cards.is_dirty(object.unit + place) {
            self.error = Some(VerifyError::NotRemembered { object: object.unit, offset, word });
        }
    }

    fn visit(&mut self, holder: Holder, word: u32) {
        if self.error.is_none()
            && is_object(word)
            && !self.findings.visited.get(word)
            && let Err(error) = self.enter(holder, word)
        {
            self.error = Some(error);
        }
    }

    /// Checks an object that is seen for the first time.
    fn enter(&mut self, holder: Holder, word: u32) -> Result<()> {
        let bad = |reason| VerifyError::BadReference { holder, word, reason };
        let state = self.check_place(word).map_err(bad)?;
        let type_word = self.space.region.read_u32(word, TYPE_WORD_OFFSET);
        let desc = self.desc(type_word);
        let object = desc.and_then(|desc| Object::new(&self.space.region, word, desc));
        let object = object.ok_or(VerifyError::BadHeader { holder, word, type_word })?;
        if object.bytes > room(self.space, state, word) {
            return Err(bad("an object that does not fit where it is"));
        }
        if state.has_lines() && !self.space.marks.get(word) && !self.space.is_fresh(word, object.end_unit()) {
            return Err(bad("an object that was freed"));
        }
        if state != BlockState::Large && !self.findings.cover(&object, state) {
            return Err(self.find_overlap(&object));
        }
        self.findings.visited.set(word);
        self.objects += 1;
        self.stack.try_reserve(1).map_err(|_| VerifyError::NoMemory)?;
        self.stack.push(object);
        Ok(())
    }

    /// The state of the block that the object is in, or what is wrong with its place.
    fn check_place(&self, word: u32) -> std::result::Result<BlockState, &'static str> {
        let block = Block::of_unit(word);
        if block.0 >= self.space.blocks.frontier() {
            return Err("outside the heap");
        }
        let state = self.space.blocks.state(block);
        match state {
            BlockState::Free | BlockState::Reserved => Err("in a block without objects"),
            BlockState::Large if word == large::object_in(block) => Ok(state),
            BlockState::Large | BlockState::LargeRest => Err("inside a large object"),
            BlockState::Immortal if !self.space.marks.get(word) => Err("not the start of an immortal object"),
            BlockState::Immortal | BlockState::Recyclable | BlockState::Full => Ok(state),
        }
    }

    fn desc(&mut self, type_word: u32) -> Option<(Kind, &'a TypeDesc)> {
        let slot = (type_word / DESC_SLOT_BYTES) as usize % CACHED_TYPES;
        match self.cache[slot] {
            Some(cached) if cached.type_word == type_word => Some(cached.desc),
            _ => {
                let desc = type_desc(self.types, type_word)?;
                self.cache[slot] = Some(CachedType { type_word, desc });
                Some(desc)
            }
        }
    }

    /// Names two objects that share memory, one of which was seen before.
    fn find_overlap(&self, object: &Object<'_>) -> VerifyError {
        let visited = &self.findings.visited;
        let step = (OBJECT_ALIGN_BYTES / REF_UNIT_BYTES) as usize;
        let inside = (object.unit..object.end_unit()).step_by(step).find(|&u| visited.get(u));
        if let Some(second) = inside {
            return VerifyError::Overlap { first: object.unit, first_bytes: object.bytes, second };
        }
        let before = (0..object.unit).step_by(step).rev().find(|&u| visited.get(u)).unwrap_or(0);
        let type_word = self.space.region.read_u32(before, TYPE_WORD_OFFSET);
        let desc = type_desc(self.types, type_word);
        let first = desc.and_then(|desc| Object::new(&self.space.region, before, desc));
        let first_bytes = first.map_or(0, |first| first.bytes);
        VerifyError::Overlap { first: before, first_bytes, second: object.unit }
    }
}

/// Bytes that an object at `unit` can have in a block of this state.
fn room(space: &Space, state: BlockState, unit: u32) -> u32 {
    let start = Block::of_unit(unit);
    let blocks = match state {
        BlockState::Large => space.blocks.large_blocks(start),
        // Immortal objects of more than a block start at one's beginning.
        BlockState::Immortal if unit == start.start_unit() => {
            let run = (start.0..space.blocks.frontier()).take_while(|&b| space.blocks.state(Block(b)) == state);
            run.count() as u32
        }
        _ => 1,
    };
    let bytes = Block(blocks).offset() - u64::from(unit - start.start_unit()) * u64::from(REF_UNIT_BYTES);
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
