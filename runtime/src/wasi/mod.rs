//! WASI preview 1: what command-line programs expect of their host.
//!
//! A program compiled for WASI imports functions of the module [`MODULE`] that work on its exported memory.
//! [`add_to_linker`] defines them; their state is a [`WasiCtx`] in the data of the store. The standard streams,
//! arguments, environment, clocks, random bytes, waiting and exiting do their work; there are no directories
//! yet, so every function on a path or a file answers as it does for a descriptor that is no directory or
//! file, which is what programs expect that were given none.
//!
//! | module | holds |
//! |---|---|
//! | `functions` | the list: name, type, implementation |
//! | `link` | from the list to host functions of a linker |
//! | `call` | one call: arguments, context, memory, how it can end |
//! | `wait` | what a call waits for, without the store |
//! | `guest` | checked access to the guest's memory |
//! | `ctx`, `descriptor`, `stream` | the state of a guest |
//! | `threads` | the imports that start threads |
//! | `args`, `clock`, `fd`, `poll`, `process`, `random` | the functions, by family |
//!
//! Invariants: no `unsafe`; a guest reaches only what its context was given; no argument of a guest can make
//! the host panic or hold memory without bound. Of the host's operating system only files and clocks are used.
//!
//! The interface is defined by the witx files of WebAssembly/WASI, `legacy/preview1`.

mod args;
mod call;
mod clock;
mod ctx;
mod descriptor;
mod errno;
mod fd;
mod functions;
mod guest;
mod link;
mod poll;
mod process;
mod random;
mod stream;
#[cfg(test)]
mod tests;
mod threads;
mod wait;

pub use call::Exit;
pub use ctx::{BrokenPipe, WasiCtx};
pub use functions::MODULE;
pub use link::add_to_linker;
pub use stream::{FileType, InputStream, OutputBuffer, OutputStream};
pub use threads::ProgramThreads;
