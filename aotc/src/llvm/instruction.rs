//! Inspecting and changing instructions that LLVM's optimiser has left.

use super::{Block, IntPredicate, Metadata, Type, Value};
use llvm_sys::LLVMOpcode;
use llvm_sys::core::*;

/// The instructions that passes of this compiler tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Load,
    Store,
    GetElementPtr,
    Phi,
    Select,
    Call,
    Invoke,
    LandingPad,
    Ret,
    ICmp,
    Freeze,
    IntToPtr,
    PtrToInt,
    InsertElement,
    ExtractElement,
    ShuffleVector,
    AtomicAccess,
    Alloca,
    Unreachable,
    FpExt,
    BitCast,
    ZExt,
    SExt,
    /// Arithmetic on integers but division, and bitwise operators.
    Arithmetic,
    Other,
}

impl Value {
    /// Whether this is an instruction, and not a constant, argument or block.
    pub(crate) fn is_instruction(self) -> bool {
        // SAFETY: the handle is valid (module rule).
        unsafe { !LLVMIsAInstruction(self.0).is_null() }
    }

    /// What the instruction does. Only for instructions.
    pub(crate) fn opcode(self) -> Opcode {
        // SAFETY: the handle is an instruction's by contract of this function.
        match unsafe { LLVMGetInstructionOpcode(self.0) } {
            LLVMOpcode::LLVMLoad => Opcode::Load,
            LLVMOpcode::LLVMStore => Opcode::Store,
            LLVMOpcode::LLVMGetElementPtr => Opcode::GetElementPtr,
            LLVMOpcode::LLVMPHI => Opcode::Phi,
            LLVMOpcode::LLVMSelect => Opcode::Select,
            LLVMOpcode::LLVMCall => Opcode::Call,
            LLVMOpcode::LLVMInvoke => Opcode::Invoke,
            LLVMOpcode::LLVMLandingPad => Opcode::LandingPad,
            LLVMOpcode::LLVMRet => Opcode::Ret,
            LLVMOpcode::LLVMICmp => Opcode::ICmp,
            LLVMOpcode::LLVMFreeze => Opcode::Freeze,
            LLVMOpcode::LLVMIntToPtr => Opcode::IntToPtr,
            LLVMOpcode::LLVMPtrToInt | LLVMOpcode::LLVMPtrToAddr => Opcode::PtrToInt,
            LLVMOpcode::LLVMInsertElement => Opcode::InsertElement,
            LLVMOpcode::LLVMExtractElement => Opcode::ExtractElement,
            LLVMOpcode::LLVMShuffleVector => Opcode::ShuffleVector,
            LLVMOpcode::LLVMAtomicCmpXchg | LLVMOpcode::LLVMAtomicRMW => Opcode::AtomicAccess,
            LLVMOpcode::LLVMAlloca => Opcode::Alloca,
            LLVMOpcode::LLVMUnreachable => Opcode::Unreachable,
            LLVMOpcode::LLVMFPExt => Opcode::FpExt,
            LLVMOpcode::LLVMBitCast => Opcode::BitCast,
            LLVMOpcode::LLVMZExt => Opcode::ZExt,
            LLVMOpcode::LLVMSExt => Opcode::SExt,
            LLVMOpcode::LLVMAdd
            | LLVMOpcode::LLVMSub
            | LLVMOpcode::LLVMMul
            | LLVMOpcode::LLVMShl
            | LLVMOpcode::LLVMLShr
            | LLVMOpcode::LLVMAShr
            | LLVMOpcode::LLVMAnd
            | LLVMOpcode::LLVMOr
            | LLVMOpcode::LLVMXor => Opcode::Arithmetic,
            _ => Opcode::Other,
        }
    }

    /// Whether the instruction is a fence for other threads, and not only for LLVM.
    pub(crate) fn is_fence(self) -> bool {
        // SAFETY: the handle is an instruction's by contract of this function, and a fence's when it is asked more.
        unsafe { LLVMGetInstructionOpcode(self.0) == LLVMOpcode::LLVMFence && LLVMIsAtomicSingleThread(self.0) == 0 }
    }

    /// Whether the instruction is a bitwise or.
    pub(crate) fn is_or(self) -> bool {
        // SAFETY: the handle is an instruction's by contract of this function.
        unsafe { LLVMGetInstructionOpcode(self.0) == LLVMOpcode::LLVMOr }
    }

    /// Whether the instruction is a bitwise and.
    pub(crate) fn is_and(self) -> bool {
        // SAFETY: the handle is an instruction's by contract of this function.
        unsafe { LLVMGetInstructionOpcode(self.0) == LLVMOpcode::LLVMAnd }
    }

    /// Whether an addition is poison where it overflows as one of signed numbers.
    pub(crate) fn has_no_signed_wrap(self) -> bool {
        // SAFETY: the handle is an addition's by contract of this function.
        unsafe { LLVMGetNSW(self.0) != 0 }
    }

    /// Whether the instruction is an integer addition.
    pub(crate) fn is_add(self) -> bool {
        // SAFETY: the handle is an instruction's by contract of this function.
        unsafe { LLVMGetInstructionOpcode(self.0) == LLVMOpcode::LLVMAdd }
    }

    /// Whether the instruction is an integer multiplication.
    pub(crate) fn is_mul(self) -> bool {
        // SAFETY: the handle is an instruction's by contract of this function.
        unsafe { LLVMGetInstructionOpcode(self.0) == LLVMOpcode::LLVMMul }
    }

    /// Whether the instruction shifts to the right and fills with zeros.
    pub(crate) fn is_logical_right_shift(self) -> bool {
        // SAFETY: the handle is an instruction's by contract of this function.
        unsafe { LLVMGetInstructionOpcode(self.0) == LLVMOpcode::LLVMLShr }
    }

    pub(crate) fn is_float_add(self) -> bool {
        // SAFETY: the handle is an instruction's by contract of this function.
        unsafe { LLVMGetInstructionOpcode(self.0) == LLVMOpcode::LLVMFAdd }
    }

    /// What an integer or pointer comparison looks for. Only for [`Opcode::ICmp`].
    pub(crate) fn int_predicate(self) -> IntPredicate {
        use llvm_sys::LLVMIntPredicate::*;
        // SAFETY: the handle is a comparison's by contract of this function.
        match unsafe { LLVMGetICmpPredicate(self.0) } {
            LLVMIntEQ => IntPredicate::Eq,
            LLVMIntNE => IntPredicate::Ne,
            LLVMIntUGT => IntPredicate::Ugt,
            LLVMIntUGE => IntPredicate::Uge,
            LLVMIntULT => IntPredicate::Ult,
            LLVMIntULE => IntPredicate::Ule,
            LLVMIntSGT => IntPredicate::Sgt,
            LLVMIntSGE => IntPredicate::Sge,
            LLVMIntSLT => IntPredicate::Slt,
            LLVMIntSLE => IntPredicate::Sle,
        }
    }

    /// The condition, if this is a conditional branch, which goes to its first successor if it is true.
    pub(crate) fn branch_condition(self) -> Option<Value> {
        // SAFETY: the handle is an instruction's by contract of this function, and a branch's when it is asked more.
        unsafe {
            let is_conditional =
                LLVMGetInstructionOpcode(self.0) == LLVMOpcode::LLVMBr && LLVMIsConditional(self.0) != 0;
            is_conditional.then(|| Value(LLVMGetCondition(self.0)))
        }
    }

    /// Replaces the condition of a conditional branch.
    pub(crate) fn set_branch_condition(self, condition: Value) {
        // SAFETY: the handle is a conditional branch's by contract of this function.
        unsafe { LLVMSetCondition(self.0, condition.0) }
    }

    /// Replaces a terminator's successor; phis are left as they are.
    pub(crate) fn set_successor(self, index: usize, block: Block) {
        // SAFETY: the handle is a terminator's and the index in range by contract of this function.
        unsafe { LLVMSetSuccessor(self.0, index as u32, block.0) }
    }

    pub(crate) fn operand(self, index: usize) -> Value {
        // SAFETY: the handle is a user's and the index in range by contract of this function.
        Value(unsafe { LLVMGetOperand(self.0, index as u32) })
    }

    pub(crate) fn operand_count(self) -> usize {
        // SAFETY: the handle is a user's by contract of this function.
        unsafe { LLVMGetNumOperands(self.0) as usize }
    }

    pub(crate) fn operands(self) -> impl Iterator<Item = Value> {
        (0..self.operand_count()).map(move |i| self.operand(i))
    }

    pub(crate) fn set_operand(self, index: usize, value: Value) {
        // SAFETY: as for `operand`; the new value has the old one's type.
        unsafe { LLVMSetOperand(self.0, index as u32, value.0) }
    }

    /// Replaces a value wherever it is an operand.
    pub(crate) fn replace_operand(self, old: Self, new: Self) {
        (0..self.operand_count()).filter(|&i| self.operand(i) == old).for_each(|i| self.set_operand(i, new));
    }

    /// The incoming values of a phi with their blocks.
    pub(crate) fn incoming(self) -> Vec<(Value, Block)> {
        // SAFETY: the handle is a phi's by contract of this function; indices are below the count.
        unsafe {
            let count = LLVMCountIncoming(self.0);
            (0..count)
                .map(|i| (Value(LLVMGetIncomingValue(self.0, i)), Block(LLVMGetIncomingBlock(self.0, i))))
                .collect()
        }
    }

    pub(crate) fn add_incoming(self, value: Value, block: Block) {
        // SAFETY: the handle is a phi's by contract of this function; LLVM copies the arrays of length one.
        unsafe { LLVMAddIncoming(self.0, [value.0].as_mut_ptr(), [block.0].as_mut_ptr(), 1) }
    }

    /// The block of an instruction.
    pub(crate) fn block(self) -> Block {
        // SAFETY: the handle is an instruction's by contract of this function.
        Block(unsafe { LLVMGetInstructionParent(self.0) })
    }

    /// The instruction after this one in its block.
    pub(crate) fn next_instruction(self) -> Option<Value> {
        // SAFETY: the handle is an instruction's by contract of this function.
        let next = unsafe { LLVMGetNextInstruction(self.0) };
        (!next.is_null()).then_some(Value(next))
    }

    /// Removes an instruction without uses and frees it; the handle is dead afterwards.
    pub(crate) fn erase(self) {
        // SAFETY: the handle is an instruction's by contract of this function, and not used again.
        unsafe { LLVMInstructionEraseFromParent(self.0) }
    }

    pub(crate) fn has_uses(self) -> bool {
        // SAFETY: the handle is valid (module rule).
        unsafe { !LLVMGetFirstUse(self.0).is_null() }
    }

    /// The instructions and constants that take this value as operand, once for each operand.
    pub(crate) fn users(self) -> Vec<Value> {
        let mut users = Vec::new();
        // SAFETY: the handle is valid (module rule); the list is walked without changing it.
        unsafe {
            let mut usage = LLVMGetFirstUse(self.0);
            while !usage.is_null() {
                users.push(Value(LLVMGetUser(usage)));
                usage = LLVMGetNextUse(usage);
            }
        }
        users
    }

    /// Whether a load or store is neither volatile nor atomic.
    pub(crate) fn is_plain_access(self) -> bool {
        // SAFETY: the handle is a load's or store's by contract of this function.
        unsafe {
            LLVMGetVolatile(self.0) == 0
                && LLVMGetOrdering(self.0) == llvm_sys::LLVMAtomicOrdering::LLVMAtomicOrderingNotAtomic
        }
    }

    /// Whether an integer or pointer comparison is for equality (`Some(true)`) or inequality.
    pub(crate) fn compares_equality(self) -> Option<bool> {
        // SAFETY: the handle is an `icmp`'s by contract of this function.
        match unsafe { LLVMGetICmpPredicate(self.0) } {
            llvm_sys::LLVMIntPredicate::LLVMIntEQ => Some(true),
            llvm_sys::LLVMIntPredicate::LLVMIntNE => Some(false),
            _ => None,
        }
    }

    /// The type of what an `alloca` makes room for.
    pub(crate) fn allocated_type(self) -> Type {
        // SAFETY: the handle is an `alloca`'s by contract of this function.
        Type(unsafe { LLVMGetAllocatedType(self.0) })
    }

    /// Lets a terminator go elsewhere wherever it went to `from`. The phis there are not told.
    pub(crate) fn redirect(self, from: Block, to: Block) {
        // SAFETY: the handle is a terminator's by contract of this function; indices are below the count.
        unsafe {
            for index in 0..LLVMGetNumSuccessors(self.0) {
                if LLVMGetSuccessor(self.0, index) == from.0 {
                    LLVMSetSuccessor(self.0, index, to.0);
                }
            }
        }
    }

    /// Gives this instruction another one's metadata of a kind, if there is any.
    pub(crate) fn copy_metadata(self, from: Value, kind: u32) {
        // SAFETY: both handles are instructions' of one context by contract of this function.
        unsafe {
            let node = LLVMGetMetadata(from.0, kind);
            if !node.is_null() {
                LLVMSetMetadata(self.0, kind, node);
            }
        }
    }

    /// The called function, if the call is direct.
    pub(crate) fn called_function(self) -> Option<Value> {
        // SAFETY: the handle is a call's or invoke's by contract of this function.
        let callee = unsafe { LLVMIsAFunction(LLVMGetCalledValue(self.0)) };
        (!callee.is_null()).then_some(Value(callee))
    }

    /// The type of the function that a call calls, known or not.
    pub(crate) fn called_type(self) -> Type {
        // SAFETY: the handle is a call's or an invoke's by contract of this function.
        Type(unsafe { LLVMGetCalledFunctionType(self.0) })
    }

    /// Makes a load one that happens exactly where and as often as it stands.
    pub(crate) fn set_volatile(self) {
        // SAFETY: the handle is a load's by contract of this function.
        unsafe { LLVMSetVolatile(self.0, 1) }
    }

    /// The calling convention of a call.
    pub(crate) fn call_convention(self) -> u32 {
        // SAFETY: the handle is a call's or invoke's by contract of this function.
        unsafe { LLVMGetInstructionCallConv(self.0) }
    }

    pub(crate) fn set_call_convention(self, convention: u32) {
        // SAFETY: the handle is a call's or invoke's by contract of this function.
        unsafe { LLVMSetInstructionCallConv(self.0, convention) }
    }

    /// Whether a call is of inline assembly.
    pub(crate) fn is_inline_assembly(self) -> bool {
        // SAFETY: the handle is a call's or invoke's by contract of this function.
        unsafe { !LLVMIsAInlineAsm(LLVMGetCalledValue(self.0)).is_null() }
    }

    /// Number of arguments of a call.
    pub(crate) fn arg_count(self) -> usize {
        // SAFETY: the handle is a call's or invoke's by contract of this function.
        unsafe { LLVMGetNumArgOperands(self.0) as usize }
    }

    pub(crate) fn is_must_tail(self) -> bool {
        // SAFETY: the handle is a call's by contract of this function.
        unsafe { LLVMGetTailCallKind(self.0) == llvm_sys::LLVMTailCallKind::LLVMTailCallKindMustTail }
    }

    pub(crate) fn set_must_tail(self) {
        // SAFETY: the handle is a call's by contract of this function.
        unsafe { LLVMSetTailCallKind(self.0, llvm_sys::LLVMTailCallKind::LLVMTailCallKindMustTail) }
    }

    /// Forbids to reuse the caller's frame: the call's arguments may point into it.
    pub(crate) fn set_no_tail(self) {
        // SAFETY: the handle is a call's by contract of this function.
        unsafe { LLVMSetTailCallKind(self.0, llvm_sys::LLVMTailCallKind::LLVMTailCallKindNoTail) }
    }

    /// The block in which execution goes on after an invoke that returns.
    pub(crate) fn normal_dest(self) -> Block {
        // SAFETY: the handle is an invoke's by contract of this function.
        Block(unsafe { LLVMGetNormalDest(self.0) })
    }

    /// The type that the indices of a `getelementptr` step through.
    pub(crate) fn gep_source_type(self) -> Type {
        // SAFETY: the handle is a `getelementptr`'s by contract of this function.
        Type(unsafe { LLVMGetGEPSourceElementType(self.0) })
    }

    /// Whether a `getelementptr` has `nuw`: its indices are unsigned.
    pub(crate) fn gep_is_unsigned(self) -> bool {
        // SAFETY: the handle is a `getelementptr`'s by contract of this function.
        unsafe { LLVMGEPGetNoWrapFlags(self.0) & llvm_sys::LLVMGEPFlagNUW != 0 }
    }

    /// The lanes that a `shufflevector` takes; none where any will do.
    pub(crate) fn shuffle_mask(self) -> Vec<Option<u32>> {
        // SAFETY: the handle is a `shufflevector`'s by contract of this function; indices are below the count.
        unsafe {
            let any = LLVMGetUndefMaskElem();
            let lanes = (0..LLVMGetNumMaskElements(self.0)).map(|i| LLVMGetMaskValue(self.0, i));
            lanes.map(|lane| (lane != any).then_some(lane as u32)).collect()
        }
    }

    /// The value of an integer constant, sign-extended.
    pub(crate) fn const_int(self) -> Option<i64> {
        // SAFETY: the handle is valid (module rule); the value is read from an integer constant only.
        unsafe {
            let constant = LLVMIsAConstantInt(self.0);
            (!constant.is_null()).then(|| LLVMConstIntGetSExtValue(constant))
        }
    }

    pub(crate) fn set_alignment(self, bytes: u32) {
        // SAFETY: the handle is a load's, store's or alloca's by contract of this function.
        unsafe { LLVMSetAlignment(self.0, bytes) }
    }

    pub(crate) fn has_metadata(self, kind: u32) -> bool {
        self.metadata(kind).is_some()
    }

    pub(crate) fn metadata(self, kind: u32) -> Option<Metadata> {
        // SAFETY: the handle is an instruction's by contract of this function.
        let node = unsafe { LLVMGetMetadata(self.0, kind) };
        (!node.is_null()).then_some(Metadata(node))
    }

    pub(crate) fn set_metadata(self, kind: u32, node: Metadata) {
        // SAFETY: the handle is an instruction's by contract of this function; the node is of its context.
        unsafe { LLVMSetMetadata(self.0, kind, node.0) }
    }

    pub(crate) fn clear_metadata(self, kind: u32) {
        // SAFETY: the handle is an instruction's by contract of this function; null removes the entry.
        unsafe { LLVMSetMetadata(self.0, kind, std::ptr::null_mut()) }
    }

    pub(crate) fn name(self) -> String {
        let mut len = 0;
        // SAFETY: the handle is valid (module rule); the name's bytes live as long as it is not renamed.
        let bytes = unsafe {
            let name = LLVMGetValueName2(self.0, &raw mut len);
            std::slice::from_raw_parts(name.cast::<u8>(), len)
        };
        String::from_utf8_lossy(bytes).into_owned()
    }

    pub(crate) fn set_name(self, name: &str) {
        // SAFETY: the handle is valid (module rule); LLVM copies the bytes.
        unsafe { LLVMSetValueName2(self.0, name.as_ptr().cast(), name.len()) }
    }

    /// The printed form, for messages about compiler bugs.
    pub(crate) fn print(self) -> String {
        // SAFETY: the handle is valid (module rule); the string is LLVM's and freed after copying.
        unsafe {
            let text = LLVMPrintValueToString(self.0);
            let copy = std::ffi::CStr::from_ptr(text).to_string_lossy().into_owned();
            LLVMDisposeMessage(text);
            copy
        }
    }
}
