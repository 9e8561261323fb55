//! The garbage-collected heap of Dolmen.
//!
//! Compiled code makes objects by bumping a cursor; this crate provides the memory under the cursor, finds out
//! which objects are dead, and reuses their memory. It knows nothing of WebAssembly modules, of the compiler,
//! or of threads' stacks: what it needs of them comes through [`interface::to_runtime`], and what others may
//! ask of it is [`interface::to_heap`].
//!
//! ```text
//!   region   | block | block | block | …          reserved once; references are offsets into it
//!              └ lines ┘                          a run of lines without survivors is a hole
//!   tables   mark bits, line marks, block states  beside the region, by the same offsets
//! ```
//!
//! | module | what |
//! |---|---|
//! | `interface` | the two files in which heap and runtime meet |
//! | [`options`] | every knob, and the policies of pacing and of giving memory back |
//! | `os`, `space/region` | address space, memory, access to object memory |
//! | `block`, `line`, `space` | the space: its tables, taking and sweeping memory |
//! | `large`, `alloc` | which memory an object gets |
//! | `roots`, `trace` | from roots to marks |
//! | `evacuate` | moving objects out of sparse blocks |
//! | `collectors` | when and how to collect; one `match` chooses |
//! | `host_objects`, `barrier` | what dies with its object; where stores are noted |
//! | [`verify`], [`stats`] | is it right, and how much is it |
//!
//! Words: a *unit* is one step of a reference word, four bytes; an object is named by the unit it starts at. A
//! *survivor* was marked by the last collection, a *fresh* object was allocated since.

#![deny(unsafe_code)]

mod address;
mod alloc;
mod barrier;
mod block;
mod collectors;
mod evacuate;
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
pub use alloc::stock::Stock;
pub use interface::to_heap::{AllocError, Heap};
pub use interface::to_runtime::{RootKind, RootVisitor, Runtime, TypeTable};
pub use options::{HeapOptions, Tuning};
pub use stats::{Cause, Collection, Scope, Stats};
pub use trace::{Assistant, spin};
pub use verify::VerifyError;
