//! IR as text, for tests of passes: the optimiser cannot be made to produce every shape that a pass must know.

use super::{Context, LlvmError, Module};
use llvm_sys::core::{LLVMCreateMemoryBufferWithMemoryRangeCopy, LLVMDisposeMemoryBuffer, LLVMDisposeMessage};
use llvm_sys::ir_reader::LLVMParseIRInContext2;
use std::ffi::CStr;
use std::marker::PhantomData;

impl<'c> Module<'c> {
    /// The module that a text describes.
    ///
    /// # Errors
    ///
    /// What LLVM says of the text.
    pub(crate) fn parse(context: &'c Context, text: &str) -> Result<Self, LlvmError> {
        let (mut raw, mut message) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: the text's bytes live during the call and are copied, with a zero behind them. The buffer is ours
        // to free; a message is set on failure only, and freed after copying.
        unsafe {
            let buffer = LLVMCreateMemoryBufferWithMemoryRangeCopy(text.as_ptr().cast(), text.len(), c"text".as_ptr());
            let failed = LLVMParseIRInContext2(context.0, buffer, &raw mut raw, &raw mut message) != 0;
            LLVMDisposeMemoryBuffer(buffer);
            if failed {
                let text = CStr::from_ptr(message).to_string_lossy().into_owned();
                LLVMDisposeMessage(message);
                return Err(LlvmError(text));
            }
        }
        Ok(Self { raw, context: PhantomData })
    }
}
