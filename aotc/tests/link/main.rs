//! The linker and the unwind tables, tested on what LLVM really emits: the inputs beside this file are compiled by
//! LLVM's own tools, linked, written as artifacts, read back by the format's documentation, and run in a process of
//! their own by a driver that unwinds by the artifact's tables alone.

mod artifacts;
mod errors;
mod reader;
mod running;
mod tables;
mod tools;
