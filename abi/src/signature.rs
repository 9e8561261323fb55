//! The calling convention of wasm functions and its machine signatures.
//!
//! A wasm function is native code in LLVM's `fastcc` convention (arguments in registers as in the platform's C
//! convention) with the arguments
//!
//! ```text
//! (thread: *ThreadContext, instance: *instance context, heap base: *heap, parameter 0, parameter 1, …)
//! ```
//!
//! The heap base is what [`ThreadContext::heap_base`](crate::context::ThreadContext::heap_base) says, in a register of its own
//! (r10, that of LLVM's `nest` parameters). Where the compiler knows that no function that a call can reach looks at its
//! instance or at the heap base, the register of that argument holds anything.
//!
//! No argument travels on the native stack (see `docs/llvm-tail-calls.md`): the parameters that find no
//! register ([`surplus_params`]) are stored, in order, in
//! [`ThreadContext::surplus`](crate::context::ThreadContext::surplus) directly before the call, and the function
//! takes them from there before it does anything else.
//!
//! A function returns its first [`MAX_REGISTER_RESULTS`] results in registers (a pair as an LLVM aggregate of
//! two values) and stores the others, in order, in the same place, whence the caller takes them directly after
//! the call. No safepoint lies between, so the collector need not know of the place.
//!
//! Types that differ only in the reference types they mention have the same *machine signature*: function
//! subtyping never changes how arguments travel. For each machine signature that a module mentions, its
//! artifact holds two trampolines:
//!
//! - **entry**, C convention: `entry(thread, instance, code, slots: *ValueSlot)` takes the parameters from the
//!   slots, calls `code(thread, instance, heap base, …)` and stores the results over them;
//! - **host call**, wasm convention: stores its parameters in slots, calls the builtin
//!   `host_call(thread, instance, slots)`, and takes the results from them. For host functions `instance` is
//!   the address of the runtime's record of the function.

use crate::types::{FuncType, ValType};
use serde::{Deserialize, Serialize};

/// Results that return in registers.
pub const MAX_REGISTER_RESULTS: usize = 2;

/// Integer and reference parameters that travel in registers, after the two contexts.
pub const MAX_REGISTER_INT_PARAMS: usize = 4;

/// Floating-point and vector parameters that travel in registers.
pub const MAX_REGISTER_FLOAT_PARAMS: usize = 8;

/// Parameters, and results, that a function may have (limit of the JavaScript embedding, which producers and
/// validators keep to).
pub const MAX_VALUES: usize = 1000;

/// Size of a value in an argument array, in bytes.
pub const VALUE_SLOT_BYTES: u32 = 16;

/// How a value travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum MachineType {
    I32,
    I64,
    F32,
    F64,
    V128,
    /// A 32-bit reference of any type.
    Ref,
}

/// How the arguments and results of a function travel.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MachineSignature {
    pub params: Vec<MachineType>,
    pub results: Vec<MachineType>,
}

impl From<ValType> for MachineType {
    fn from(ty: ValType) -> Self {
        match ty {
            ValType::I32 => Self::I32,
            ValType::I64 => Self::I64,
            ValType::F32 => Self::F32,
            ValType::F64 => Self::F64,
            ValType::V128 => Self::V128,
            ValType::Ref(_) => Self::Ref,
        }
    }
}

impl From<&FuncType> for MachineSignature {
    fn from(ty: &FuncType) -> Self {
        let machine = |types: &[ValType]| types.iter().map(|&t| t.into()).collect();
        Self { params: machine(&ty.params), results: machine(&ty.results) }
    }
}

impl MachineType {
    /// Whether the value travels in a vector register.
    #[must_use]
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64 | Self::V128)
    }
}

/// For each parameter in turn, whether it finds no register and travels in the thread context.
#[must_use]
pub fn surplus_params(params: &[MachineType]) -> Vec<bool> {
    let (mut ints, mut floats) = (0, 0);
    let place = |param: &MachineType| {
        let (used, limit) = if param.is_float() {
            (&mut floats, MAX_REGISTER_FLOAT_PARAMS)
        } else {
            (&mut ints, MAX_REGISTER_INT_PARAMS)
        };
        *used += 1;
        *used > limit
    };
    params.iter().map(place).collect()
}

impl MachineSignature {
    /// Slots that the signature's argument array needs.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.params.len().max(self.results.len())
    }
}
