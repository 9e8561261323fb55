//! The C library of Dolmen: runs artifacts inside of programs in C, and in languages that call C.
//!
//! It links no compiler. Three headers in `include/` say what it does; each function of theirs is one here, in the
//! module of its subject:
//!
//! | header | what |
//! |---|---|
//! | `wasm_export.h` | the embedding interface of the WebAssembly Micro Runtime, as far as named there: names, types and meaning that its users know |
//! | `gc_export.h` | the same for garbage-collected objects |
//! | `dolmen.h` | what that runtime has no name for: typed errors, stopping threads, backtraces, deadlines, options and statistics of the heap, weak references |
//!
//! | module | what |
//! |---|---|
//! | `border` | what every exported function does first and last: no panic gets out, no null gets in |
//! | `engine` | the engine that all modules share, and its options |
//! | `modules` | artifacts in memory or in files |
//! | `externals` | what modules import and export |
//! | `instance` | instances with a store each, and how C code gets into a store |
//! | `entered` | which stores an OS thread is in |
//! | `exec_env` | execution environments: who calls, and which references it holds |
//! | `calls`, `values` | calling exports |
//! | `natives` | C functions that modules import |
//! | `memory` | linear memory |
//! | `objects` | references and objects |
//! | `threads`, `world`, `deadline` | threads; stopping them; calls with a limit of time |
//! | `backtrace` | what threads are calling |
//! | `failure`, `errors` | what went wrong |
//!
//! **Threads.** A store is used by one OS thread at a time, while code runs in parallel. An instance has a
//! [`Seat`](runtime::Seat) in its store, behind a lock; `wasm_runtime_spawn_exec_env` makes another instance record with a seat of its
//! own. A C function that a module calls has the store already, which `entered` remembers: what it calls here uses
//! that, rather than to wait for itself.
//!
//! **Owners.** Modules, instances, execution environments and errors belong to whoever made them, and end with the
//! function that the header names. References to objects belong to the execution environment that got them (see
//! `objects::handle`).

#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "exported functions")]
mod backtrace;
#[allow(unsafe_code, reason = "pointers from C")]
mod border;
#[allow(unsafe_code, reason = "exported functions")]
mod calls;
mod deadline;
#[allow(unsafe_code, reason = "exported functions")]
mod engine;
#[allow(unsafe_code, reason = "borrows of stores across C functions")]
mod entered;
#[allow(unsafe_code, reason = "exported functions")]
mod errors;
#[allow(unsafe_code, reason = "exported functions")]
mod exec_env;
#[allow(unsafe_code, reason = "exported functions")]
mod externals;
mod failure;
#[allow(unsafe_code, reason = "exported functions")]
mod instance;
#[allow(unsafe_code, reason = "exported functions")]
mod memory;
#[allow(unsafe_code, reason = "exported functions")]
mod modules;
#[allow(unsafe_code, reason = "calls C functions")]
mod natives;
#[allow(unsafe_code, reason = "exported functions")]
mod objects;
#[allow(unsafe_code, reason = "exported functions")]
mod threads;
#[allow(unsafe_code, reason = "unions of C")]
mod values;
#[allow(unsafe_code, reason = "exported functions")]
mod world;
