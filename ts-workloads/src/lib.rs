//! Real programs with known results, and what it takes to compile and run them.
//!
//! A compiler and a collector that pass small tests can still be wrong together: an object kept alive too briefly
//! shows only in a program that lives long enough. The programs here compute checksums or print lines that
//! implementations in other languages, on other engines, agree on; each is committed as the `.wasm` that its
//! producer wrote, so tests need neither that producer nor a network.
//!
//! | where | what |
//! |---|---|
//! | `programs/` | twelve GC programs in WebAssembly text, with Java and C witnesses and their sizes |
//! | `kotlin/` | two Kotlin programs for WASI, with the output that Kotlin/JVM gives, too |
//! | `teavm/` | a tour of Java, compiled by TeaVM, with the output that HotSpot gives, too |
//! | `benches/` | what single operations cost |
//! | [`programs`] | the list: names, arguments, checksums, files |
//! | [`harness`] | compile a program and run it, with every knob that tests turn |
//! | [`teavm`] | the same for what TeaVM writes, which imports what JavaScript has |

#![forbid(unsafe_code)]

pub mod harness;
pub mod programs;
pub mod teavm;

/// The examples of the project's front page must compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
