//! The heap verifier: a second, slow and suspicious walk over the heap.
//!
//! A collector that loses an object shows it much later and somewhere else. The verifier says at once what is
//! wrong and where: it walks everything reachable with tables of its own, trusts no word before it has checked
//! it, and compares what it found with the collector's tables.
//!
//! | when | check |
//! |---|---|
//! | any time the world is stopped | each reachable reference names an object in memory in use: a survivor's mark bit or lines handed out since; its type exists; it fits its block; no two objects overlap |
//! | after marking | mark bits are exactly the reachable objects; line marks are exactly the lines they touch |
//! | after sweeping | block states agree with line marks |
//!
//! Invariants: the verifier changes nothing but its own tables, and reads object memory only where the block
//! table says that there is some. Its cost is a trace of the heap, without limits on its stack.

use crate::address::ObjRef;
use crate::block::{Block, BlockState};
use crate::interface::to_runtime::{RootKind, RootVisitor, Runtime, TypeTable};
use crate::large::MAX_SHARED_BYTES;
use crate::line::{
    BlockLines, LINE_FREE, LINE_FRESH, LINE_LIVE, LINES_PER_BLOCK, LOG_LINES_PER_BLOCK, line_range, used_mask,
};
use crate::object::{Object, object_at};
use crate::space::Space;
use crate::space::mark_bits::{MarkBits, WORDS_PER_BLOCK};
use dolmen_abi::reference::{REF_UNIT_BYTES, is_object};
use thiserror::Error;

/// Where a reference was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// In a root; `index` counts the words of all roots visited, from 0.
    Root { kind: RootKind, index: u64 },
    /// In an object, `offset` bytes from its start.
    Field { object: u32, offset: u32 },
}

/// What is wrong with a heap.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// A reference to where no object can be.
    #[error("{holder} holds {word:#x}, which is {reason}")]
    BadReference { holder: Holder, word: u32, reason: &'static str },
    /// A reachable object whose header describes no object: an unknown type, or an impossible length.
    #[error("{holder} refers to {word:#x}, whose type word {type_word:#x} describes no object")]
    BadHeader { holder: Holder, word: u32, type_word: u32 },
    /// Two reachable objects share memory.
    #[error("object {first:#x} of {first_bytes} bytes overlaps object {second:#x}")]
    Overlap { first: u32, first_bytes: u32, second: u32 },
    /// A reachable object that the collector did not mark.
    #[error("reachable object {word:#x} is not marked")]
    NotMarked { word: u32 },
    /// A mark without a reachable object.
    #[error("object {word:#x} is marked but not reachable")]
    NotReachable { word: u32 },
    /// A line's mark disagrees with the objects on it.
    #[error("line {line} has mark {found}, expected {expected}")]
    LineMark { line: u32, found: u8, expected: u8 },
    /// A block's state disagrees with its lines.
    #[error("block {block} is {state} with {used_lines} lines in use")]
    BlockState { block: u32, state: &'static str, used_lines: u32 },
    /// The verifier's own tables could not be made.
    #[error("no memory for the verifier's tables")]
    NoMemory,
}

type Result<T> = std::result::Result<T, VerifyError>;

/// The verifier's tables; kept between its runs.
#[derive(Debug, Default)]
pub struct Verifier {
    visited: Option<MarkBits>,
    stack: Vec<u32>,
}

impl Verifier {
    /// Walks and checks everything reachable; the starts of the objects.
    pub fn walk(&mut self, space: &mut Space, types: &dyn TypeTable, runtime: &mut dyn Runtime) -> Result<&MarkBits> {
        let visited = match self.visited.take() {
            Some(mut bits) => {
                bits.clear(Block(1), Block(space.blocks.frontier()));
                bits
            }
            None => {
                let limit = space.blocks.limit();
                MarkBits::new(space.system(), limit).map_err(|_| VerifyError::NoMemory)?
            }
        };
        let visited = self.visited.insert(visited);
        self.stack.clear();
        let mut walk = Walk { space, types, visited, stack: &mut self.stack, roots: 0, error: None };
        runtime.scan_roots(&mut walk);
        if let Some(error) = walk.error.take() {
            return Err(error);
        }
        walk.drain()?;
        check_overlaps(space, types, visited)?;
        Ok(visited)
    }

    /// Visits the objects that the last walk found, in address order: reference, type word, size in bytes.
    pub fn for_each_visited(&self, space: &Space, types: &dyn TypeTable, visit: &mut dyn FnMut(ObjRef, u32, u32)) {
        let Some(visited) = &self.visited else { return };
        for unit in space.blocks.iter().flat_map(|b| visited.iter_block(b)) {
            if let (Some(object), Ok(found)) = (ObjRef::from_word(unit), object_at(&space.region, types, unit)) {
                visit(object, found.type_word, found.bytes);
            }
        }
    }

    /// After marking: compares the last walk's findings with mark bits and line marks.
    pub fn check_marks(&self, space: &Space, types: &dyn TypeTable) -> Result<()> {
        let Some(visited) = &self.visited else { return Ok(()) };
        for block in space.blocks.iter() {
            let state = space.blocks.state(block);
            if state == BlockState::Immortal {
                continue;
            }
            check_mark_bits(space, visited, block)?;
            check_lines(space, types, visited, block)?;
        }
        Ok(())
    }

    /// After sweeping: compares block states with line marks.
    pub fn check_blocks(&self, space: &Space) -> Result<()> {
        for block in space.blocks.iter() {
            let state = space.blocks.state(block);
            let used_lines = used_mask(space.lines.of_block(block)).count_ones();
            let agrees = match state {
                BlockState::Recyclable => (1..LINES_PER_BLOCK as u32).contains(&used_lines),
                BlockState::Full => used_lines == LINES_PER_BLOCK as u32,
                _ => used_lines == 0,
            };
            if !agrees {
                return Err(VerifyError::BlockState { block: block.0, state: state.name(), used_lines });
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Root { kind, index } => write!(f, "root {index} ({kind:?})"),
            Self::Field { object, offset } => write!(f, "object {object:#x} at offset {offset}"),
        }
    }
}

struct Walk<'a> {
    space: &'a Space,
    types: &'a dyn TypeTable,
    visited: &'a mut MarkBits,
    stack: &'a mut Vec<u32>,
    roots: u64,
    error: Option<VerifyError>,
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

impl Walk<'_> {
    fn drain(mut self) -> Result<()> {
        let (space, types) = (self.space, self.types);
        while let Some(unit) = self.stack.pop() {
            let object = object_at(&space.region, types, unit).map_err(|type_word| {
                let holder = Holder::Field { object: unit, offset: 0 };
                VerifyError::BadHeader { holder, word: unit, type_word }
            })?;
            object.for_each_ref(&space.region, types, &mut |offset, word| {
                self.visit(Holder::Field { object: unit, offset }, word);
            });
            if let Some(error) = self.error.take() {
                return Err(error);
            }
        }
        Ok(())
    }

    fn visit(&mut self, holder: Holder, word: u32) {
        if self.error.is_none() && is_object(word) && !self.visited.get(word) {
            self.error = self.check(holder, word).err();
            if self.error.is_none() {
                self.visited.set(word);
                self.stack.push(word);
            }
        }
    }

    fn check(&mut self, holder: Holder, word: u32) -> Result<()> {
        let bad = |reason| VerifyError::BadReference { holder, word, reason };
        let block = Block::of_unit(word);
        if block.0 >= self.space.blocks.frontier() {
            return Err(bad("outside the heap"));
        }
        let state = self.space.blocks.state(block);
        match state {
            BlockState::Free | BlockState::Reserved => return Err(bad("in a block without objects")),
            BlockState::Large if word == block.start_unit() => {}
            BlockState::Large | BlockState::LargeRest => return Err(bad("inside a large object")),
            BlockState::Immortal if self.space.marks.get(word) => {}
            BlockState::Immortal => return Err(bad("not the start of an immortal object")),
            BlockState::Recyclable | BlockState::Full => {}
        }
        let object = object_at(&self.space.region, self.types, word).map_err(|type_word| VerifyError::BadHeader {
            holder,
            word,
            type_word,
        })?;
        if object.bytes > room(self.space, state, word) {
            return Err(bad("an object that does not fit where it is"));
        }
        if state.has_lines() && !self.space.marks.get(word) {
            let lines = self.space.lines.of_units(word, end_of(&object));
            if lines.iter().any(|&l| l != LINE_FRESH) {
                return Err(bad("an object that was freed"));
            }
        }
        self.stack.try_reserve(1).map_err(|_| VerifyError::NoMemory)
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

fn end_of(object: &Object) -> u32 {
    object.unit + object.bytes / REF_UNIT_BYTES
}

fn check_overlaps(space: &Space, types: &dyn TypeTable, visited: &MarkBits) -> Result<()> {
    let mut last: Option<Object> = None;
    for unit in space.blocks.iter().flat_map(|b| visited.iter_block(b)) {
        if let Some(last) = last
            && end_of(&last) > unit
        {
            return Err(VerifyError::Overlap { first: last.unit, first_bytes: last.bytes, second: unit });
        }
        last = object_at(&space.region, types, unit).ok();
    }
    Ok(())
}

fn check_mark_bits(space: &Space, visited: &MarkBits, block: Block) -> Result<()> {
    for index in 0..WORDS_PER_BLOCK {
        let (marked, reachable) = (space.marks.word_of_block(block, index), visited.word_of_block(block, index));
        if marked == reachable {
            continue;
        }
        if let Some(word) = reachable.units().find(|&u| !space.marks.get(u)) {
            return Err(VerifyError::NotMarked { word });
        }
        if let Some(word) = marked.units().find(|&u| !visited.get(u)) {
            return Err(VerifyError::NotReachable { word });
        }
    }
    Ok(())
}

fn check_lines(space: &Space, types: &dyn TypeTable, visited: &MarkBits, block: Block) -> Result<()> {
    let mut expected: BlockLines = [LINE_FREE; LINES_PER_BLOCK];
    for unit in visited.iter_block(block) {
        if let Ok(object) = object_at(&space.region, types, unit)
            && object.bytes <= MAX_SHARED_BYTES
        {
            expected[line_range(unit, end_of(&object))].fill(LINE_LIVE);
        }
    }
    let found = space.lines.of_block(block);
    match (0..LINES_PER_BLOCK).find(|&l| found[l] != expected[l]) {
        Some(line) => Err(VerifyError::LineMark {
            line: (block.0 << LOG_LINES_PER_BLOCK) + line as u32,
            found: found[line],
            expected: expected[line],
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
