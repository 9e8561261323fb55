//! Target machines: which CPU code is for, and code emission.

use super::{LlvmError, Module};
use llvm_sys::core::{
    LLVMDisposeMemoryBuffer, LLVMDisposeMessage, LLVMGetBufferSize, LLVMGetBufferStart, LLVMGetVersion,
};
use llvm_sys::prelude::LLVMMemoryBufferRef;
use llvm_sys::support::LLVMParseCommandLineOptions;
use llvm_sys::target::*;
use llvm_sys::target_machine::*;
use std::ffi::{CStr, CString};
use std::slice;
use std::sync::Once;

/// A CPU and how code for it is made.
pub(crate) struct TargetMachine {
    pub(super) raw: LLVMTargetMachineRef,
    triple: CString,
}

/// How much effort code generation takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OptLevel {
    None,
    Less,
    Default,
    Aggressive,
}

/// The form of emitted code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CodegenFile {
    Assembly,
    Object,
}

static INITIALISE: Once = Once::new();

/// Options of LLVM that exist only on its command line; the first word is the name of a program.
///
/// A sum of floating-point numbers has its order, so by default x86-64 code computes all of it one number after
/// the other. Only the additions need the order: the rest of the loop is computed in vectors.
///
/// The vectoriser of straight code looks at all instructions between those that it would like to join. In long blocks
/// of allocations that took 40 % of the optimiser's time and found nothing; the budget is a tenth of the usual one.
///
/// What a callee-saved register costs when a function takes it first: a store and a load at each call of the function,
/// which executes 2^14 times by LLVM's count. Without it a value that is needed behind a call has such a register from
/// its definition on, often the start of the function, and then paths without calls save the registers, too.
///
/// A field that is read, changed in one byte and written stays as wide as it is: a narrow store shortly before a wide
/// load of the field makes the load wait until the store has left the store buffer.
///
/// How many blocks LLVM searches, from a load backwards, for what it loads. All of them were scanned for each load of what
/// never changes (type words, the heap's base), which no store and no call ends; a few blocks, and a part of the usual number
/// of instructions in each, find as much. So does the removal of dead stores.
///
/// Processors that execute out of order need no second scheduling, after registers are chosen: it took 5 % of the time, and
/// programs are as fast without.
///
/// Strength reduction, too, which tries all ways to compute the addresses of a loop from a few registers: x86-64 has an
/// addressing mode for nearly each of them, and it took up to a fifth of the time.
///
/// The last three are what comes with `-O3` where a pipeline is not told by its level, but pass by pass
/// ([`crate::pipeline`]): limits of inlining, of calls in loops, and of loops that are unrolled completely.
const COMMAND_LINE: &[&CStr] = &[
    c"dolmenc",
    c"-force-ordered-reductions",
    c"-slp-schedule-budget=10000",
    c"-regalloc-csr-first-time-cost=32768",
    c"-memdep-block-number-limit=8",
    c"-memdep-block-scan-limit=40",
    c"-dse-memoryssa-scanlimit=40",
    c"-dse-memoryssa-walklimit=30",
    c"-combiner-reduce-load-op-store-width=false",
    c"-post-RA-scheduler=false",
    c"-disable-lsr",
    c"-inline-threshold=250",
    c"-locally-hot-callsite-threshold=525",
    c"-unroll-threshold-default=300",
];

fn initialise() {
    // SAFETY: the initialisers have no precondition and run once.
    unsafe {
        LLVMInitializeX86TargetInfo();
        LLVMInitializeX86Target();
        LLVMInitializeX86TargetMC();
        LLVMInitializeX86AsmPrinter();
        // For inline assembly.
        LLVMInitializeX86AsmParser();
        // To show code for it.
        LLVMInitializeAArch64TargetInfo();
        LLVMInitializeAArch64Target();
        LLVMInitializeAArch64TargetMC();
        LLVMInitializeAArch64AsmPrinter();
    }
    let arguments: Vec<_> = COMMAND_LINE.iter().map(|argument| argument.as_ptr()).collect();
    // SAFETY: the arguments are as many strings as said; LLVM copies what it keeps. This runs once, before any
    // other thread uses LLVM.
    unsafe { LLVMParseCommandLineOptions(arguments.len() as i32, arguments.as_ptr(), std::ptr::null()) };
}

fn take_message(message: *mut std::ffi::c_char) -> String {
    // SAFETY: LLVM hands over a string that it allocated; it is freed after copying.
    unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        LLVMDisposeMessage(message);
        text
    }
}

/// The content of a buffer.
pub(super) fn take_buffer(buffer: LLVMMemoryBufferRef) -> Vec<u8> {
    // SAFETY: LLVM hands over a buffer of so many bytes; it is disposed of after copying.
    unsafe {
        let bytes = slice::from_raw_parts(LLVMGetBufferStart(buffer).cast::<u8>(), LLVMGetBufferSize(buffer)).to_vec();
        LLVMDisposeMemoryBuffer(buffer);
        bytes
    }
}

/// LLVM's version: major, minor, patch.
pub(crate) fn version() -> [u32; 3] {
    let mut version = [0; 3];
    let [major, minor, patch] = &mut version;
    // SAFETY: the pointers are to integers that live.
    unsafe { LLVMGetVersion(major, minor, patch) };
    version
}

/// LLVM's name of this machine's CPU.
pub(crate) fn host_cpu() -> String {
    // SAFETY: no precondition.
    take_message(unsafe { LLVMGetHostCPUName() })
}

/// This machine's CPU features in LLVM's notation: `+name` and `-name`, separated by commas.
pub(crate) fn host_features() -> String {
    // SAFETY: no precondition.
    take_message(unsafe { LLVMGetHostCPUFeatures() })
}

fn host_triple() -> CString {
    // SAFETY: no precondition.
    CString::new(take_message(unsafe { LLVMGetDefaultTargetTriple() })).unwrap_or_default()
}

impl TargetMachine {
    /// A machine for a triple, or this host's.
    ///
    /// # Errors
    ///
    /// LLVM was built without the target.
    pub(crate) fn new(triple: Option<&CStr>, cpu: &str, features: &str, level: OptLevel) -> Result<Self, LlvmError> {
        INITIALISE.call_once(initialise);
        let triple = triple.map_or_else(host_triple, CStr::to_owned);
        let mut target = std::ptr::null_mut();
        let mut message = std::ptr::null_mut();
        // SAFETY: the out pointers are valid; a message is set on failure only.
        if unsafe { LLVMGetTargetFromTriple(triple.as_ptr(), &raw mut target, &raw mut message) } != 0 {
            return Err(LlvmError(take_message(message)));
        }
        let c_string = |text: &str| CString::new(text).map_err(|e| LlvmError(e.to_string()));
        let (cpu, features) = (c_string(cpu)?, c_string(features)?);
        let level = match level {
            OptLevel::None => LLVMCodeGenOptLevel::LLVMCodeGenLevelNone,
            OptLevel::Less => LLVMCodeGenOptLevel::LLVMCodeGenLevelLess,
            OptLevel::Default => LLVMCodeGenOptLevel::LLVMCodeGenLevelDefault,
            OptLevel::Aggressive => LLVMCodeGenOptLevel::LLVMCodeGenLevelAggressive,
        };
        // SAFETY: all strings live during the call and are copied.
        let raw = unsafe {
            LLVMCreateTargetMachine(
                target,
                triple.as_ptr(),
                cpu.as_ptr(),
                features.as_ptr(),
                level,
                LLVMRelocMode::LLVMRelocPIC,
                LLVMCodeModel::LLVMCodeModelSmall,
            )
        };
        if raw.is_null() { Err(LlvmError("no target machine".into())) } else { Ok(Self { raw, triple }) }
    }

    pub(crate) fn triple(&self) -> &CStr {
        &self.triple
    }

    /// The target's data layout.
    pub(crate) fn data_layout(&self) -> String {
        // SAFETY: the machine lives; the layout is disposed of after its string was copied.
        unsafe {
            let layout = LLVMCreateTargetDataLayout(self.raw);
            let text = take_message(LLVMCopyStringRepOfTargetData(layout));
            LLVMDisposeTargetData(layout);
            text
        }
    }

    /// Emits a module's code. The module's data layout becomes the target's.
    ///
    /// # Errors
    ///
    /// LLVM's message. Some failures of code generation abort the process instead.
    pub(crate) fn emit(&self, module: &Module<'_>, file: CodegenFile) -> Result<Vec<u8>, LlvmError> {
        let kind = match file {
            CodegenFile::Assembly => LLVMCodeGenFileType::LLVMAssemblyFile,
            CodegenFile::Object => LLVMCodeGenFileType::LLVMObjectFile,
        };
        let mut message = std::ptr::null_mut();
        let mut buffer = std::ptr::null_mut();
        // SAFETY: machine and module live; a message is set on failure only, a buffer on success only.
        unsafe {
            if LLVMTargetMachineEmitToMemoryBuffer(self.raw, module.raw, kind, &raw mut message, &raw mut buffer) != 0 {
                return Err(LlvmError(take_message(message)));
            }
        }
        Ok(take_buffer(buffer))
    }
}

impl Drop for TargetMachine {
    fn drop(&mut self) {
        // SAFETY: made by `new`, dropped once.
        unsafe { LLVMDisposeTargetMachine(self.raw) }
    }
}
