//! Runs WebAssembly test scripts (`.wast`) through the real path: each module is compiled to the bytes of an
//! artifact, the artifact is loaded, instantiated and called, as an embedder would.
//!
//! The library links no compiler: whoever runs scripts hands one in ([`Compiler`]). Tests hand in the compiler
//! as a function, the command `dolmen wast` hands in a child process.
//!
//! | module | holds |
//! |---|---|
//! | [`options`] | how scripts are run, and what a compiler is here |
//! | [`runner`] | directives: what each does and when it holds |
//! | [`host`] | the modules `spectest` and `dolmen` that scripts may import |
//! | [`values`] | arguments and expected results |
//! | [`report`] | what is said of a script afterwards |
//! | [`expectations`] | the list of failures that are known |
//! | [`progress`] | how a process that runs many scripts tells its parent how far it is |

#![forbid(unsafe_code)]

pub mod expectations;
pub mod host;
pub mod options;
pub mod progress;
pub mod report;
pub mod runner;
mod threads;
pub mod values;

pub use options::{CompileFailure, CompileOptions, Compiler, RunOptions};
pub use report::{Failure, FileReport, Location};
pub use runner::{run_file, run_script};
