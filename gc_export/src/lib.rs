//! The C library of Dolmen: its place; the library itself is not written yet.
//!
//! Programs in C, and in languages that call C, will embed Dolmen through this crate. It will export, from one
//! shared and one static library:
//!
//! - `gc_export.h`: functions on garbage-collected objects (structs, arrays, `i31`, host references, rooted
//!   local references) with the names and types that users of the WebAssembly Micro Runtime know, so that their
//!   code compiles unchanged;
//! - `wasm_export.h`: the part of that runtime's embedding interface which such programs need;
//! - `wasm.h`: the standard WebAssembly C API.
//!
//! It depends on the crate `dolmen` alone and adds nothing to it: a function here converts its arguments, calls
//! the Rust API, and turns errors and panics into what the header promises. No panic crosses `extern "C"`; a
//! raw reference handed to C is rooted by the type it is handed out in.

#![forbid(unsafe_code)]
