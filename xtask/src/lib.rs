//! The project's own commands: `cargo xtask setup | run | test | bench | fuzz | sanitize | dist`.
//!
//! A fresh machine has Rust, a C compiler and git, and nothing else; the workspace needs LLVM 22 to build its
//! compiler. This crate closes the gap, so it may depend on neither LLVM nor any other crate: it builds in
//! seconds, looks at the machine, installs what is missing after saying so, and then drives cargo.
//!
//! | module | command |
//! |---|---|
//! | [`setup`] | find or install LLVM and the toolchain's parts |
//! | [`run`] | build, compile a program ahead of time, run it, say where the time went |
//! | [`mod@test`] | everything that must hold before a change is accepted |
//! | [`mod@bench`] | time the workloads |
//! | [`fuzz`] | compare engines on generated modules |
//! | [`dist`] | the commands as they are shipped |
//! | [`sanitize`] | the heap's tests under a checker of memory or threads |
//! | [`tidy`] | what a machine can check of the project's style |
//!
//! Every command prints the programs that it starts and stops at the first that cannot go on.

#![forbid(unsafe_code)]

pub mod bench;
pub mod command;
pub mod dist;
pub mod fuzz;
pub mod run;
pub mod sanitize;
pub mod setup;
pub mod stats;
pub mod test;
pub mod tidy;
