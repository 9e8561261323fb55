//! From WebAssembly functions to LLVM IR.
//!
//! One file for each family of opcodes; [`operators`] is the table that sends each opcode to its family. All of
//! them extend [`function::FunctionTranslator`], whose parts are separate: operand and control stack
//! ([`stack`]), the facts of the partition ([`mod@unit`]), its numbers ([`numbers`]), alias classes ([`alias`]).
//!
//! Input: validated bodies and constant expressions. Output: LLVM functions in which references are pointers of
//! an address space of their own and the collector's work is marked by calls ([`crate::gc::markers`]); nothing
//! here knows how references are encoded as addresses, or where roots are kept.

pub(crate) mod alias;
mod arrays;
mod atomic;
mod calls;
mod cast;
mod control;
mod convert;
mod descriptor;
pub(crate) mod devirtualise;
mod exception;
pub(crate) mod function;
mod i31;
pub(crate) mod init;
mod legacy_exception;
mod memory;
pub(crate) mod numbers;
mod numeric;
mod operators;
mod profile;
pub(crate) mod prototypes;
mod reference;
mod shared;
mod simd;
mod stack;
mod structs;
mod table;
pub(crate) mod trampolines;
pub(crate) mod unit;
mod variables;
mod wide;
