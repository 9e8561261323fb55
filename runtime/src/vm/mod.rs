//! Memory that compiled code reads and writes, seen from the runtime.
//!
//! Compiled code, collector and runtime share memory whose layout `dolmen-abi` states: type descriptors,
//! instance contexts, objects, linear memories, tables, globals. Each kind has one file here, with an
//! interface that the rest of the runtime uses without `unsafe`; addresses leave this folder only on their way
//! into other memory that it manages, or into compiled code.
//!
//! What makes the interfaces safe: everything here belongs to one store, compiled code of a store runs only
//! while the store is exclusively borrowed, and what compiled code knows the address of does not move.

pub(crate) mod cell;
pub(crate) mod context;
pub(crate) mod global;
pub(crate) mod memory;
pub(crate) mod object;
pub(crate) mod table;
pub(crate) mod type_region;
pub(crate) mod waiters;
