//! What the two binaries of this package share: how `dolmen` talks to `dolmenc`, and where both keep what was compiled.
//!
//! `dolmen` is the command and has no LLVM in it; `dolmenc` links LLVM and compiles. Starting a process that is
//! linked to LLVM takes longer than running many a program, and LLVM ends its process when it meets a fatal
//! error, so the compiler is a child that is started when there is something to compile and whose death is an
//! error like any other. This library names neither the runtime nor the compiler.

#![forbid(unsafe_code)]

pub mod cache_folder;
pub mod file_size;
pub mod protocol;
pub mod size;
