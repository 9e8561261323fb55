//! The garbage-collected heap of Dolmen.
//!
//! Compiled code makes objects by bumping a cursor; this crate provides the memory under the cursor, finds out
//! which objects are dead, and reuses their memory. It knows nothing of WebAssembly modules, of the compiler,
//! or of threads' stacks: what it needs of them comes through [`interface::to_runtime`], and what others may
//! ask of it is [`interface::to_heap`].

#![deny(unsafe_code)]

mod address;
mod alloc;
mod barrier;
mod block;
mod collectors;
mod host_objects;
pub mod interface;
mod large;
mod line;
mod object;
pub mod options;
mod os;
mod roots;
mod space;
mod state;
pub mod stats;
mod trace;
pub mod verify;

// The mock names this crate as the integration tests do.
#[cfg(test)]
extern crate self as dolmen_gc_heap;

#[cfg(test)]
#[path = "../tests/mock/mod.rs"]
mod mock;

pub use address::ObjRef;
pub use interface::to_heap::{AllocError, Heap};
pub use interface::to_runtime::{RootKind, RootVisitor, Runtime, TypeTable};
pub use options::{HeapOptions, Tuning};
pub use stats::{Cause, Collection, Scope, Stats};
pub use verify::VerifyError;
