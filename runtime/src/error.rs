//! What can go wrong at the embedder's border, one enum per boundary.
//!
//! [`Error`] is what running code ends with: a trap, an exception that nobody caught, an error of a host
//! function on its way through wasm frames, or a call that did not fit. Loading a module has an enum of its own
//! ([`LoadError`](crate::LoadError)), because nothing has run then. Messages are one line, lower case, and
//! name what was expected and what was found.

use crate::types::TypeError;
use crate::value::ExnRef;
use crate::{ExternType, Tag};
use dolmen_abi::trap::TrapCode;
use std::fmt;

/// An error of a host function: anything that is an error.
pub type HostError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Why a call, an instantiation or an operation on a store did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Compiled code trapped.
    #[error("trap: {0}")]
    Trap(#[from] Trap),
    /// An exception left the outermost wasm function.
    #[error("uncaught exception")]
    Exception(#[from] Exception),
    /// A host function returned this error; the wasm frames below it are gone.
    #[error("{0}")]
    Host(HostError),
    /// The imports of a module could not be satisfied.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A value, an index or a count does not fit what it was given to.
    #[error(transparent)]
    Argument(#[from] ArgumentError),
    /// Memory or another resource ran out.
    #[error(transparent)]
    Resource(#[from] StoreError),
}

/// Why compiled code stopped, and where.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Trap {
    /// The reason.
    pub code: TrapCode,
    /// The reason's standard message; of a missing import also which.
    pub message: String,
    /// The wasm functions that were running, innermost first.
    pub backtrace: Vec<Frame>,
}

/// A wasm function that was running when a trap happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Index of the function in its module.
    pub func_index: u32,
    /// The function's name, if the module has one for it.
    pub func_name: Option<String>,
    /// The module's name, if it has one.
    pub module_name: Option<String>,
    /// Offset of the return address (or of the trapping instruction) in the module's native code. Checks of a function that
    /// trap with the same code can share it.
    pub code_offset: u32,
}

/// An exception that nobody caught.
#[derive(Clone, Debug)]
pub struct Exception {
    /// The exception, kept alive.
    pub exn: ExnRef,
    /// What was thrown.
    pub tag: Tag,
}

/// Why the imports of a module could not be satisfied.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    #[error("unknown import {module:?} {name:?}: expected {expected}")]
    UnknownImport { module: String, name: String, expected: Box<ExternType> },
    #[error("incompatible import type for {module:?} {name:?}: expected {expected}, found {found}")]
    IncompatibleImport { module: String, name: String, expected: Box<ExternType>, found: Box<ExternType> },
    #[error("expected {expected} imports, found {found}")]
    ImportCount { expected: usize, found: usize },
    #[error("{module:?} {name:?} is defined twice")]
    Duplicate { module: String, name: String },
    #[error("the module belongs to another engine than the store")]
    WrongEngine,
    #[error("there is no default value for import {module:?} {name:?} of type {expected}")]
    NoDefault { module: String, name: String, expected: Box<ExternType> },
}

/// Why a value, an index or a count does not fit.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArgumentError {
    #[error("expected {expected} arguments, found {found}")]
    ArgumentCount { expected: usize, found: usize },
    #[error("expected room for {expected} results, found {found}")]
    ResultCount { expected: usize, found: usize },
    #[error("type mismatch at {place}: expected {expected}, found {found}")]
    Type { place: Place, expected: String, found: String },
    #[error("the item belongs to another store or engine")]
    WrongStore,
    #[error("the global is immutable")]
    ImmutableGlobal,
    #[error("{place} is immutable")]
    Immutable { place: Place },
    #[error("index {index} is out of bounds of {len} elements")]
    OutOfBounds { index: u64, len: u64 },
    #[error("cannot grow from {from} by {delta}")]
    Grow { from: u64, delta: u64 },
    #[error("the reference is {found}, not {expected}")]
    Reference { expected: &'static str, found: &'static str },
    #[error("range {offset}..{offset}+{len} is out of bounds of {bytes} bytes")]
    MemoryRange { offset: u64, len: u64, bytes: u64 },
    #[error("the memory's type is not shared")]
    NotShared,
    #[error("the type {ty} is invalid: {reason}")]
    InvalidType { ty: String, reason: &'static str },
}

/// Where a value of the wrong type was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Argument with this index.
    Argument(usize),
    /// Result with this index, of a host function.
    Result(usize),
    Global,
    Table,
    /// Field with this index, of a struct.
    Field(usize),
    /// Element with this index, of an array.
    Element(u32),
}

/// Why an engine could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    #[error("cannot reserve {bytes} bytes of address space for types: {source}")]
    Reserve { bytes: u64, source: std::io::Error },
    #[error("the option {option} is out of range: {reason}")]
    Option { option: &'static str, reason: &'static str },
    #[error(transparent)]
    Type(#[from] TypeError),
}

/// Why a store could not be made, or which of its resources ran out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    #[error("heap: {0}")]
    Heap(#[from] dolmen_gc_heap::AllocError),
    #[error("cannot map {bytes} bytes for {what}: {source}")]
    Map { what: &'static str, bytes: u64, source: std::io::Error },
    #[error("cannot make a thread for compiled code: {0}")]
    Thread(std::io::Error),
    #[error(
        "the code was compiled without polls (`--no-polls`): it cannot be stopped, so it cannot run with several threads, an interrupt handle or a timeout"
    )]
    NoPolls,
    #[error("a {what} of {count} exceeds the limit of {limit}")]
    Limit { what: &'static str, count: u64, limit: u64 },
    #[error(transparent)]
    Type(#[from] TypeError),
}

impl Error {
    /// Wraps an error of a host function. It passes through wasm code and can be taken out with
    /// [`Error::downcast_ref`].
    pub fn host(error: impl Into<HostError>) -> Self {
        Self::Host(error.into())
    }

    /// The host function's error, if this is one of that type.
    #[must_use]
    pub fn downcast_ref<E: std::error::Error + 'static>(&self) -> Option<&E> {
        match self {
            Self::Host(error) => error.downcast_ref(),
            _ => None,
        }
    }

    /// The trap, if this is one.
    #[must_use]
    pub fn as_trap(&self) -> Option<&Trap> {
        match self {
            Self::Trap(trap) => Some(trap),
            _ => None,
        }
    }
}

impl From<HostError> for Error {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

impl Trap {
    /// A trap with its standard message and no backtrace.
    #[must_use]
    pub fn new(code: TrapCode) -> Self {
        Self { code, message: code.message().to_owned(), backtrace: Vec::new() }
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("uncaught exception")
    }
}

impl std::error::Error for Exception {}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument(index) => write!(f, "argument {index}"),
            Self::Result(index) => write!(f, "result {index}"),
            Self::Global => f.write_str("global"),
            Self::Table => f.write_str("table"),
            Self::Field(index) => write!(f, "field {index}"),
            Self::Element(index) => write!(f, "element {index}"),
        }
    }
}
