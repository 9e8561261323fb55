//! The heap verifier.

use crate::interface::to_runtime::RootKind;
use thiserror::Error;

/// Where a reference was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// In a root; `index` counts the words visited, from 0.
    Root { kind: RootKind, index: u64 },
    /// In an object, `offset` bytes from its start.
    Field { object: u32, offset: u32 },
}

/// What is wrong with a heap.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// A reference to where no object can be.
    #[error("{holder:?} holds {word:#x}, which is {reason}")]
    BadReference { holder: Holder, word: u32, reason: &'static str },
    /// A reachable object whose type word names no type.
    #[error("{holder:?} refers to {word:#x}, whose type word {type_word:#x} names no type")]
    BadTypeWord { holder: Holder, word: u32, type_word: u32 },
    /// Two reachable objects share memory.
    #[error("objects {first:#x} of {first_bytes} bytes and {second:#x} overlap")]
    Overlap { first: u32, first_bytes: u64, second: u32 },
    /// A reachable object that the collector did not mark.
    #[error("reachable object {word:#x} is not marked")]
    NotMarked { word: u32 },
    /// A mark without a reachable object.
    #[error("object {word:#x} is marked but not reachable")]
    Unreachable { word: u32 },
    /// A line's mark disagrees with the objects on it.
    #[error("line {line} is {} but {}", if *.marked { "marked" } else { "not marked" }, if *.marked { "no object is on it" } else { "an object is on it" })]
    LineMark { line: u32, marked: bool },
    /// A block's state disagrees with its lines.
    #[error("block {block} is in state {state} with {marked_lines} marked lines")]
    BlockState { block: u32, state: &'static str, marked_lines: u32 },
    /// The verifier's own tables could not be made.
    #[error("no memory for the verifier's tables")]
    NoMemory,
}
