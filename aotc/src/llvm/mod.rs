//! The only module that names the LLVM binding: a thin, typed layer over LLVM's C interface.
//!
//! LLVM's objects are owned by a context and referred to by raw handles. Here each kind of handle is a `Copy`
//! newtype ([`Type`], [`Value`], [`Block`]), so that mixing them up is a type error. Handles carry no lifetime:
//!
//! - a handle is used only while the [`Context`] it came from lives, on the thread that owns the context;
//! - an instruction that was erased is not touched again.
//!
//! Both hold by construction: [`crate::compile()`] creates a context per partition, code generation one for half of it, and
//! nothing of it leaves the function that made it but bytes. All functions here are safe to call under these two rules; breaking
//! LLVM's own typing rules is caught by the verifier, which runs in every build of this crate.
#![allow(unsafe_code, reason = "the boundary to LLVM's C interface")]

mod builder;
mod context;
mod instruction;
mod module;
#[cfg(test)]
mod parse;
mod target;
mod value;

pub(crate) use builder::{AtomicOp, Builder, Cast, FloatPredicate, IntPredicate, Op, Ordering};
pub(crate) use context::{Context, Metadata, MetadataKind, attribute_index};
pub(crate) use instruction::Opcode;
pub use module::LlvmError;
pub(crate) use module::Module;
pub(crate) use target::{CodegenFile, OptLevel, TargetMachine, host_cpu, host_features, version};
pub(crate) use value::{Block, Type, TypeKind, Value};

/// Address space of references: 32-bit pointers in the data layouts of x86-64 and AArch64.
pub(crate) const REF_ADDRESS_SPACE: u32 = 271;

/// LLVM's number of the `tailcc` calling convention.
pub(crate) const TAIL_CC: u32 = 18;

/// LLVM's number of the `fastcc` calling convention.
pub(crate) const FAST_CC: u32 = 8;

/// LLVM's number of the C calling convention.
pub(crate) const C_CC: u32 = 0;

/// LLVM's `preserve_allcc`.
pub(crate) const PRESERVE_ALL_CC: u32 = 15;
