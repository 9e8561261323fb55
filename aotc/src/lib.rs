//! Dolmen's compiler: a WebAssembly 3.0 module in, a native artifact out.
//!
//! ```text
//! bytes ─► module ─► translate ─► LLVM's optimiser ─► gc::lower ─► LLVM's code generator ─► artifact
//! ```
//!
//! [`compile()`] is the stages in order. The only crate that links LLVM; it knows nothing of the runtime but what
//! `dolmen-abi` states.

#![deny(unsafe_code)]

pub mod artifact;
mod bonuses;
mod cache;
mod chases;
mod codegen;
mod compile;
mod convention;
mod copy;
mod cpu;
mod error;
mod features;
mod frameless;
mod gc;
mod heap_bases;
mod instances;
mod llvm;
mod module;
pub mod object;
mod observer;
mod options;
mod partial;
mod pipeline;
mod places;
mod profile;
mod remat;
mod returns;
mod rotates;
mod sums;
mod tail_calls;
#[cfg(test)]
mod testing;
mod throws;
mod translate;
mod traps;
pub mod unwind;
mod words;

pub use cache::{CacheKey, CacheStore};
pub use compile::{compile, compile_observed};
pub use error::CompileError;
pub use features::{Features, UnknownFeature};
pub use llvm::LlvmError;
pub use observer::{Observer, Stage};
pub use options::{Emit, OptLevel, Options, ProfileMode, TargetCpu};
