//! Modules: functions, globals, verification and passes.

use super::target::take_buffer;
use super::{Context, Metadata, TargetMachine, Type, Value};
use llvm_sys::analysis::{LLVMVerifierFailureAction, LLVMVerifyModule};
use llvm_sys::bit_reader::LLVMParseBitcodeInContext2;
use llvm_sys::bit_writer::LLVMWriteBitcodeToMemoryBuffer;
use llvm_sys::core::*;
use llvm_sys::error::{LLVMDisposeErrorMessage, LLVMErrorRef, LLVMGetErrorMessage};
use llvm_sys::prelude::*;
use llvm_sys::target::{LLVMGetModuleDataLayout, LLVMStoreSizeOfType};
use llvm_sys::transforms::pass_builder::*;
use llvm_sys::{LLVMLinkage, LLVMModuleFlagBehavior, LLVMVisibility};
use std::ffi::{CStr, CString};
use std::marker::PhantomData;

/// The IR of one partition.
pub(crate) struct Module<'c> {
    pub(super) raw: LLVMModuleRef,
    pub(super) context: PhantomData<&'c Context>,
}

/// What LLVM reports.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LlvmError(pub String);

impl<'c> Module<'c> {
    pub(crate) fn new(context: &'c Context, name: &str, target: &TargetMachine) -> Self {
        let name = CString::new(name).unwrap_or_default();
        // SAFETY: the context lives as long as the module, which borrows it; LLVM copies the strings.
        let raw = unsafe { LLVMModuleCreateWithNameInContext(name.as_ptr(), context.0) };
        // SAFETY: the module was just made.
        unsafe { LLVMSetTarget(raw, target.triple().as_ptr()) };
        Self { raw, context: PhantomData }
    }

    /// The module that [`Module::bitcode`] wrote.
    ///
    /// # Errors
    ///
    /// LLVM cannot read it.
    pub(crate) fn parse_bitcode(context: &'c Context, bitcode: &[u8]) -> Result<Self, LlvmError> {
        let mut raw = std::ptr::null_mut();
        // SAFETY: the context lives as long as the module, which borrows it; the buffer refers to bytes that live during
        // the call, in which all of them are read, and is disposed of once.
        let failed = unsafe {
            let buffer =
                LLVMCreateMemoryBufferWithMemoryRange(bitcode.as_ptr().cast(), bitcode.len(), c"bitcode".as_ptr(), 0);
            let failed = LLVMParseBitcodeInContext2(context.0, buffer, &raw mut raw);
            LLVMDisposeMemoryBuffer(buffer);
            failed
        };
        if failed != 0 {
            return Err(LlvmError("LLVM cannot read its bitcode".into()));
        }
        Ok(Self { raw, context: PhantomData })
    }

    pub(crate) fn set_data_layout(&self, layout: &CStr) {
        // SAFETY: the module lives; LLVM copies the string.
        unsafe { LLVMSetDataLayout(self.raw, layout.as_ptr()) }
    }

    /// The function of that name, declared or defined.
    pub(crate) fn function(&self, name: &str) -> Option<Value> {
        let name = CString::new(name).ok()?;
        // SAFETY: the module lives.
        let function = unsafe { LLVMGetNamedFunction(self.raw, name.as_ptr()) };
        (!function.is_null()).then_some(Value(function))
    }

    /// Adds a function with hidden visibility (it is never called through a linkage table).
    pub(crate) fn add_function(&self, name: &str, ty: Type, convention: u32) -> Value {
        let name = CString::new(name.replace('\0', "")).unwrap_or_default();
        // SAFETY: the module lives; LLVM copies the name.
        unsafe {
            let function = LLVMAddFunction(self.raw, name.as_ptr(), ty.0);
            LLVMSetFunctionCallConv(function, convention);
            LLVMSetVisibility(function, LLVMVisibility::LLVMHiddenVisibility);
            Value(function)
        }
    }

    /// The symbol of that name, which stands for a number below 2^31 that linking tells; declared if it is not yet.
    pub(crate) fn number_symbol(&self, context: &Context, name: &str) -> Value {
        let name = CString::new(name).unwrap_or_default();
        // SAFETY: the module lives and is of this context; LLVM copies the name.
        unsafe {
            let known = LLVMGetNamedGlobal(self.raw, name.as_ptr());
            if !known.is_null() {
                return Value(known);
            }
            let symbol = LLVMAddGlobal(self.raw, context.int_type(8).0, name.as_ptr());
            LLVMSetVisibility(symbol, LLVMVisibility::LLVMHiddenVisibility);
            let range = context.metadata_node(&[0, 1 << 31].map(|bound| context.metadata_int(bound, 64)));
            LLVMGlobalSetMetadata(symbol, context.metadata_kind("absolute_symbol"), LLVMValueAsMetadata(range.0));
            Value(symbol)
        }
    }

    /// What global constants are set to.
    pub(crate) fn initialisers(&self) -> Vec<Value> {
        let mut initialisers = Vec::new();
        // SAFETY: the module lives; the list is walked without changing it.
        unsafe {
            let mut global = LLVMGetFirstGlobal(self.raw);
            while !global.is_null() {
                let initialiser = LLVMGetInitializer(global);
                if !initialiser.is_null() {
                    initialisers.push(Value(initialiser));
                }
                global = LLVMGetNextGlobal(global);
            }
        }
        initialisers
    }

    /// The declaration of an intrinsic for these overloaded types.
    pub(crate) fn intrinsic(&self, name: &str, overloads: &[Type]) -> Value {
        let mut raw: Vec<_> = overloads.iter().map(|t| t.0).collect();
        // SAFETY: the module lives; the name is an intrinsic's, which the assertion checks.
        unsafe {
            let id = LLVMLookupIntrinsicID(name.as_ptr().cast(), name.len());
            assert!(id != 0, "LLVM has no intrinsic `{name}`");
            Value(LLVMGetIntrinsicDeclaration(self.raw, id, raw.as_mut_ptr(), raw.len()))
        }
    }

    /// All functions, declared and defined.
    pub(crate) fn functions(&self) -> Vec<Value> {
        let mut functions = Vec::new();
        // SAFETY: the module lives; the list is walked without changing it.
        unsafe {
            let mut function = LLVMGetFirstFunction(self.raw);
            while !function.is_null() {
                functions.push(Value(function));
                function = LLVMGetNextFunction(function);
            }
        }
        functions
    }

    /// Adds a flag; those of modules that are linked must be equal.
    pub(crate) fn add_flag(&self, name: &str, value: Metadata) {
        // SAFETY: the module lives and the value is of its context; LLVM copies the name.
        unsafe {
            let behaviour = LLVMModuleFlagBehavior::LLVMModuleFlagBehaviorError;
            LLVMAddModuleFlag(
                self.raw,
                behaviour,
                name.as_ptr().cast(),
                name.len(),
                LLVMValueAsMetadata(value.as_value().0),
            );
        }
    }

    /// Checks LLVM's rules.
    pub(crate) fn verify(&self) -> Result<(), LlvmError> {
        let mut message = std::ptr::null_mut();
        // SAFETY: the module lives; the message is LLVM's and freed after copying.
        unsafe {
            let failed =
                LLVMVerifyModule(self.raw, LLVMVerifierFailureAction::LLVMReturnStatusAction, &raw mut message);
            let text = CStr::from_ptr(message).to_string_lossy().into_owned();
            LLVMDisposeMessage(message);
            if failed == 0 { Ok(()) } else { Err(LlvmError(text)) }
        }
    }

    /// Runs a pass pipeline in `opt -passes=` notation.
    pub(crate) fn run_passes(&self, pipeline: &str, target: &TargetMachine) -> Result<(), LlvmError> {
        // SAFETY: module and target machine live.
        with_pass_options(pipeline, |text, options| unsafe { LLVMRunPasses(self.raw, text, target.raw, options) })
    }

    /// Bytes that a value of this type takes in memory.
    pub(crate) fn store_bytes(&self, ty: Type) -> u64 {
        // SAFETY: module and type live; the type has a size by contract of this function.
        unsafe { LLVMStoreSizeOfType(LLVMGetModuleDataLayout(self.raw), ty.0) }
    }

    /// The IR in LLVM's binary format.
    pub(crate) fn bitcode(&self) -> Vec<u8> {
        // SAFETY: the module lives.
        take_buffer(unsafe { LLVMWriteBitcodeToMemoryBuffer(self.raw) })
    }

    /// The IR as text.
    pub(crate) fn print(&self) -> String {
        // SAFETY: the module lives; the string is LLVM's and freed after copying.
        unsafe {
            let text = LLVMPrintModuleToString(self.raw);
            let copy = CStr::from_ptr(text).to_string_lossy().into_owned();
            LLVMDisposeMessage(text);
            copy
        }
    }
}

/// Calls LLVM with a pipeline and the options that `clang` would set.
fn with_pass_options(
    pipeline: &str,
    run: impl FnOnce(*const std::ffi::c_char, LLVMPassBuilderOptionsRef) -> LLVMErrorRef,
) -> Result<(), LlvmError> {
    let pipeline = CString::new(pipeline).map_err(|e| LlvmError(e.to_string()))?;
    // SAFETY: the options are made, used and disposed of here; the error is consumed once.
    unsafe {
        let options = LLVMCreatePassBuilderOptions();
        LLVMPassBuilderOptionsSetLoopVectorization(options, 1);
        LLVMPassBuilderOptionsSetSLPVectorization(options, 1);
        LLVMPassBuilderOptionsSetLoopInterleaving(options, 1);
        LLVMPassBuilderOptionsSetLoopUnrolling(options, 1);
        let error = run(pipeline.as_ptr(), options);
        LLVMDisposePassBuilderOptions(options);
        if error.is_null() {
            return Ok(());
        }
        let message = LLVMGetErrorMessage(error);
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        LLVMDisposeErrorMessage(message);
        Err(LlvmError(text))
    }
}

impl Drop for Module<'_> {
    fn drop(&mut self) {
        // SAFETY: made by `new`, dropped once.
        unsafe { LLVMDisposeModule(self.raw) }
    }
}

impl Value {
    /// Runs a pipeline of function passes, in `opt -passes=` notation, on this function.
    pub(crate) fn run_passes(self, pipeline: &str, target: &TargetMachine) -> Result<(), LlvmError> {
        // SAFETY: the handle is a defined function's by contract of this function; the target machine lives.
        with_pass_options(pipeline, |text, options| unsafe {
            LLVMRunPassesOnFunction(self.0, text, target.raw, options)
        })
    }

    /// Makes a function's body one that is only there to be inlined: another partition has the real one.
    pub(crate) fn set_available_externally(self) {
        // SAFETY: the handle is a function's by contract of this function.
        unsafe { LLVMSetLinkage(self.0, LLVMLinkage::LLVMAvailableExternallyLinkage) }
    }

    /// Whether a function's body is only there to be inlined.
    pub(crate) fn is_available_externally(self) -> bool {
        // SAFETY: the handle is a function's by contract of this function.
        unsafe { LLVMGetLinkage(self.0) == LLVMLinkage::LLVMAvailableExternallyLinkage }
    }

    /// Whether a function is invisible outside its module.
    pub(crate) fn is_internal(self) -> bool {
        // SAFETY: the handle is a function's by contract of this function.
        unsafe { matches!(LLVMGetLinkage(self.0), LLVMLinkage::LLVMInternalLinkage | LLVMLinkage::LLVMPrivateLinkage) }
    }

    /// Deletes a function that nothing refers to; its handles are dead afterwards.
    pub(crate) fn delete_function(self) {
        assert!(!self.has_uses(), "{} is used", self.name());
        // SAFETY: the handle is a function's, and not used again by contract of this function; nothing refers to it.
        unsafe { LLVMDeleteFunction(self.0) }
    }

    /// Makes a function invisible outside its module, so that it goes when all its calls are inlined.
    pub(crate) fn set_internal(self) {
        // SAFETY: the handle is a function's by contract of this function. Internal functions have default
        // visibility.
        unsafe {
            LLVMSetVisibility(self.0, LLVMVisibility::LLVMDefaultVisibility);
            LLVMSetLinkage(self.0, LLVMLinkage::LLVMInternalLinkage);
        }
    }

    /// Makes a function visible to other modules of the same image, as [`Module::add_function`] does.
    pub(crate) fn set_hidden(self) {
        // SAFETY: the handle is a function's by contract of this function.
        unsafe {
            LLVMSetLinkage(self.0, LLVMLinkage::LLVMExternalLinkage);
            LLVMSetVisibility(self.0, LLVMVisibility::LLVMHiddenVisibility);
        }
    }

    /// The calling convention of a function.
    pub(crate) fn function_convention(self) -> u32 {
        // SAFETY: the handle is a function's by contract of this function.
        unsafe { LLVMGetFunctionCallConv(self.0) }
    }

    pub(crate) fn set_function_convention(self, convention: u32) {
        // SAFETY: the handle is a function's by contract of this function.
        unsafe { LLVMSetFunctionCallConv(self.0, convention) }
    }

    /// Attaches metadata to a function.
    pub(crate) fn set_function_metadata(self, kind: u32, node: Metadata) {
        // SAFETY: the handle is a function's by contract of this function; the node is of its context.
        unsafe { LLVMGlobalSetMetadata(self.0, kind, LLVMValueAsMetadata(node.as_value().0)) }
    }

    /// Whether a function has a body.
    pub(crate) fn is_definition(self) -> bool {
        // SAFETY: the handle is a function's by contract of this function.
        unsafe { LLVMCountBasicBlocks(self.0) != 0 }
    }

    pub(crate) fn set_personality(self, personality: Value) {
        // SAFETY: both handles are functions' by contract of this function.
        unsafe { LLVMSetPersonalityFn(self.0, personality.0) }
    }

    pub(crate) fn has_personality(self) -> bool {
        // SAFETY: the handle is a function's by contract of this function.
        unsafe { LLVMHasPersonalityFn(self.0) != 0 }
    }

    /// The type of a function, not of a pointer to it.
    pub(crate) fn function_type(self) -> Type {
        // SAFETY: the handle is a function's by contract of this function.
        Type(unsafe { LLVMGlobalGetValueType(self.0) })
    }
}
