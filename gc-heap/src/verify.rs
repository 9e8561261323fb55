//! The heap verifier: a second, slow and suspicious walk over the heap.
//!
//! A collector that loses an object shows it much later and somewhere else. The verifier says at once what is
//! wrong and where: it walks everything reachable with tables of its own, trusts no word before it has checked
//! it, and compares what it found with the collector's tables.
//!
//! | when | check |
//! |---|---|
//! | before marking, or when asked | with a remembered set: each reference from an old to a young object is in a dirty card |
//! | | each reachable reference names an object in memory in use: a survivor's mark bit or lines handed out since; its type exists; it fits its block; no two objects overlap |
//! | after marking | mark bits are exactly the reachable objects, and line marks the lines they touch; after a minor collection at least these |
//! | after sweeping | block states agree with line marks |
//!
//! Invariants: the verifier changes nothing but its own tables, and reads object memory only where the block
//! table says that there is some. Its cost is a trace of the heap, without limits on its stack.

mod walk;

#[cfg(test)]
mod tests;

use crate::address::ObjRef;
use crate::barrier::CardTable;
use crate::block::{Block, BlockState};
use crate::interface::to_runtime::{RootKind, Runtime, TypeTable};
use crate::line::{LINE_LIVE, LINES_PER_BLOCK, LOG_LINES_PER_BLOCK, used_mask};
use crate::object::{Object, type_desc};
use crate::space::Space;
use crate::space::mark_bits::WORDS_PER_BLOCK;
use crate::stats::Scope;
use dolmen_abi::object::TYPE_WORD_OFFSET;
use thiserror::Error;
use walk::Findings;

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
    /// A reference from an old to a young object that no dirty card shows.
    #[error("old object {object:#x} refers to young {word:#x} at offset {offset}, and its card is clean")]
    NotRemembered { object: u32, offset: u32, word: u32 },
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

/// The verifier; keeps its tables between its runs.
#[derive(Debug, Default)]
pub struct Verifier {
    findings: Option<Findings>,
    /// Collections left until the verifier is due.
    to_skip: u64,
}

impl Verifier {
    /// Walks and checks everything reachable; the number of objects.
    pub fn walk(
        &mut self,
        space: &mut Space,
        types: &dyn TypeTable,
        remembered: Option<&CardTable>,
        runtime: &mut dyn Runtime,
    ) -> Result<u64> {
        let mut findings = match self.findings.take() {
            Some(mut findings) => {
                findings.clear(space.blocks.frontier());
                findings
            }
            None => Findings::new(space)?,
        };
        let walked = walk::walk(space, types, remembered, runtime, &mut findings);
        self.findings = Some(findings);
        walked
    }

    /// Whether a collection should be verified, if each walk over `objects_per_skip` objects pays for one collection
    /// without.
    pub fn is_due(&mut self) -> bool {
        let is_due = self.to_skip == 0;
        self.to_skip = self.to_skip.saturating_sub(1);
        is_due
    }

    /// Lets the next `collections` collections pass.
    pub fn skip(&mut self, collections: u64) {
        self.to_skip = collections;
    }

    /// Visits the objects that the last walk found, in address order: reference, type word, size in bytes.
    pub fn for_each_visited(&self, space: &Space, types: &dyn TypeTable, visit: &mut dyn FnMut(ObjRef, u32, u32)) {
        let Some(findings) = &self.findings else { return };
        for unit in space.blocks.iter().flat_map(|b| findings.visited.iter_block(b)) {
            let type_word = space.region.read_u32(unit, TYPE_WORD_OFFSET);
            let found = type_desc(types, type_word).and_then(|desc| Object::new(&space.region, unit, desc));
            if let (Some(object), Some(found)) = (ObjRef::from_word(unit), found) {
                visit(object, type_word, found.bytes);
            }
        }
    }

    /// After marking: compares the last walk's findings with mark bits and line marks.
    pub fn check_marks(&self, space: &Space, scope: Scope) -> Result<()> {
        let Some(findings) = &self.findings else { return Ok(()) };
        for block in space.blocks.iter() {
            if space.blocks.state(block) != BlockState::Immortal {
                check_mark_bits(space, findings, block, scope)?;
                check_lines(space, findings, block, scope)?;
            }
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

fn check_mark_bits(space: &Space, findings: &Findings, block: Block, scope: Scope) -> Result<()> {
    if space.marks.block_words(block) == findings.visited.block_words(block) {
        return Ok(());
    }
    for index in 0..WORDS_PER_BLOCK {
        let reachable = findings.visited.word_of_block(block, index);
        if let Some(word) = reachable.units().find(|&u| !space.marks.get(u)) {
            return Err(VerifyError::NotMarked { word });
        }
        let marked = space.marks.word_of_block(block, index);
        // Old objects stay marked until the next major collection.
        if scope == Scope::Major
            && let Some(word) = marked.units().find(|&u| !findings.visited.get(u))
        {
            return Err(VerifyError::NotReachable { word });
        }
    }
    Ok(())
}

fn check_lines(space: &Space, findings: &Findings, block: Block, scope: Scope) -> Result<()> {
    let (found, expected) = (space.lines.of_block(block), findings.lines.of_block(block));
    if found == expected {
        return Ok(());
    }
    let is_wrong = |l: &usize| match scope {
        Scope::Major => found[*l] != expected[*l],
        Scope::Minor => expected[*l] == LINE_LIVE && found[*l] != LINE_LIVE,
    };
    match (0..LINES_PER_BLOCK).find(is_wrong) {
        Some(line) => Err(VerifyError::LineMark {
            line: (block.0 << LOG_LINES_PER_BLOCK) + line as u32,
            found: found[line],
            expected: expected[line],
        }),
        None => Ok(()),
    }
}
