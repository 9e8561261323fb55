//! What code compiled by `dolmen-aotc` and the runtime must agree on.
//!
//! Compiled code and the runtime never see each other's source: they meet in memory. Each fact of that
//! meeting (where a field lies, what a number means, which function stands at which slot) is stated once,
//! here, and both sides compute with it. The crate holds data and pure functions only: no `unsafe`, no I/O,
//! nothing of LLVM and nothing of the operating system.
//!
//! | module | agreement |
//! |---|---|
//! | [`mod@reference`] | how 32 bits name an object, null or an `i31` |
//! | [`object`] | headers and the fixed objects (functions, host references, exceptions) |
//! | [`layout`] | where the fields of a struct type and the elements of an array type lie |
//! | [`type_desc`] | the type word of a header and the descriptor it names |
//! | [`context`] | thread context, instance context, table and memory definitions |
//! | [`signature`] | the calling convention of wasm functions and its machine signatures |
//! | [`builtin`] | functions of the runtime that compiled code calls |
//! | [`trap`] | trap codes and their messages |
//! | [`collector`] | what the compiler inlines for a collector: allocation, barrier, motion |
//! | [`types`] | WebAssembly types as the artifact stores them |
//! | [`meta`] | the description of a module in its artifact |
//! | [`profile`] | counters of code that is compiled to count, and files of counts |
//! | [`artifact`] | the file: sections, header, unwind tables |

#![forbid(unsafe_code)]

pub mod artifact;
pub mod builtin;
pub mod collector;
pub mod context;
pub mod layout;
pub mod meta;
pub mod object;
pub mod profile;
pub mod prototype;
pub mod reference;
pub mod signature;
pub mod trap;
pub mod type_desc;
pub mod types;
