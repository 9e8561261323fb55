//! The instruction builder.

use super::{Block, Context, Type, Value};
use llvm_sys::core::*;
use llvm_sys::prelude::*;
use llvm_sys::{LLVMAtomicOrdering, LLVMAtomicRMWBinOp, LLVMIntPredicate, LLVMOpcode, LLVMRealPredicate};
use std::marker::PhantomData;

/// Appends instructions at a position.
pub(crate) struct Builder<'c> {
    raw: LLVMBuilderRef,
    context: PhantomData<&'c Context>,
}

const UNNAMED: *const std::ffi::c_char = c"".as_ptr();

/// A binary operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Add,
    Sub,
    Mul,
    SDiv,
    UDiv,
    SRem,
    URem,
    And,
    Or,
    Xor,
    Shl,
    LShr,
    AShr,
    FAdd,
    FSub,
    FMul,
    FDiv,
}

/// How an access is ordered with those of other threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ordering {
    /// Not torn and never undefined, but not ordered.
    Unordered,
    Acquire,
    Release,
    AcquireRelease,
    SequentiallyConsistent,
}

/// What an atomic access writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtomicOp {
    Add,
    Sub,
    And,
    Or,
    Xor,
    Exchange,
}

impl Ordering {
    fn raw(self) -> LLVMAtomicOrdering {
        match self {
            Self::Unordered => LLVMAtomicOrdering::LLVMAtomicOrderingUnordered,
            Self::Acquire => LLVMAtomicOrdering::LLVMAtomicOrderingAcquire,
            Self::Release => LLVMAtomicOrdering::LLVMAtomicOrderingRelease,
            Self::AcquireRelease => LLVMAtomicOrdering::LLVMAtomicOrderingAcquireRelease,
            Self::SequentiallyConsistent => LLVMAtomicOrdering::LLVMAtomicOrderingSequentiallyConsistent,
        }
    }
}

impl Value {
    /// Makes a load or store atomic; its alignment must be its size.
    pub(crate) fn set_ordering(self, ordering: Ordering) {
        // SAFETY: the handle is a load's or store's by contract of this function.
        unsafe { LLVMSetOrdering(self.0, ordering.raw()) }
    }
}

/// A conversion.
#[allow(clippy::enum_variant_names, reason = "the names are LLVM's")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cast {
    Trunc,
    ZExt,
    SExt,
    FpToSi,
    FpToUi,
    SiToFp,
    UiToFp,
    FpTrunc,
    FpExt,
    BitCast,
    PtrToInt,
    IntToPtr,
}

/// An integer or pointer comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IntPredicate {
    Eq,
    Ne,
    Ugt,
    Uge,
    Ult,
    Ule,
    Sgt,
    Sge,
    Slt,
    Sle,
}

/// A floating-point comparison: ordered ones are false on NaN, `Une` is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FloatPredicate {
    Oeq,
    Une,
    Olt,
    Ole,
    Ogt,
    Oge,
    Uno,
}

impl IntPredicate {
    /// The one that holds for swapped operands.
    pub(crate) fn swapped(self) -> Self {
        match self {
            Self::Ugt => Self::Ult,
            Self::Uge => Self::Ule,
            Self::Ult => Self::Ugt,
            Self::Ule => Self::Uge,
            Self::Sgt => Self::Slt,
            Self::Sge => Self::Sle,
            Self::Slt => Self::Sgt,
            Self::Sle => Self::Sge,
            Self::Eq | Self::Ne => self,
        }
    }

    /// The one that holds where this one does not.
    pub(crate) fn negated(self) -> Self {
        match self {
            Self::Eq => Self::Ne,
            Self::Ne => Self::Eq,
            Self::Ugt => Self::Ule,
            Self::Uge => Self::Ult,
            Self::Ult => Self::Uge,
            Self::Ule => Self::Ugt,
            Self::Sgt => Self::Sle,
            Self::Sge => Self::Slt,
            Self::Slt => Self::Sge,
            Self::Sle => Self::Sgt,
        }
    }

    /// Whether it never holds for equal operands.
    pub(crate) fn is_strict(self) -> bool {
        matches!(self, Self::Ne | Self::Ugt | Self::Ult | Self::Sgt | Self::Slt)
    }

    /// Whether it compares integers with a sign.
    pub(crate) fn is_signed(self) -> bool {
        matches!(self, Self::Sgt | Self::Sge | Self::Slt | Self::Sle)
    }
}

impl<'c> Builder<'c> {
    pub(crate) fn new(context: &'c Context) -> Self {
        // SAFETY: the context lives as long as the builder, which borrows it.
        Self { raw: unsafe { LLVMCreateBuilderInContext(context.0) }, context: PhantomData }
    }

    /// Goes to the end of a block.
    pub(crate) fn position_at_end(&self, block: Block) {
        // SAFETY: handles are valid (module rule).
        unsafe { LLVMPositionBuilderAtEnd(self.raw, block.0) }
    }

    /// Goes in front of an instruction.
    pub(crate) fn position_before(&self, instruction: Value) {
        // SAFETY: the handle is an instruction's by contract of this function.
        unsafe { LLVMPositionBuilderBefore(self.raw, instruction.0) }
    }

    /// The block that instructions are added to.
    pub(crate) fn block(&self) -> Block {
        // SAFETY: the builder has a position.
        Block(unsafe { LLVMGetInsertBlock(self.raw) })
    }

    /// Takes an instruction out of its block to where instructions are added.
    pub(crate) fn move_here(&self, instruction: Value) {
        // SAFETY: the handle is an instruction's in a block by contract of this function, and in none when it is added.
        unsafe {
            LLVMInstructionRemoveFromParent(instruction.0);
            LLVMInsertIntoBuilder(self.raw, instruction.0);
        }
    }

    /// Adds an instruction that does what another one does, to the same operands.
    pub(crate) fn insert_copy(&self, instruction: Value) -> Value {
        // SAFETY: the handle is an instruction's by contract of this function; the copy is in no block yet.
        unsafe {
            let copy = LLVMInstructionClone(instruction.0);
            LLVMInsertIntoBuilder(self.raw, copy);
            Value(copy)
        }
    }

    pub(crate) fn binary(&self, op: Op, lhs: Value, rhs: Value) -> Value {
        use LLVMOpcode::*;
        let opcode = match op {
            Op::Add => LLVMAdd,
            Op::Sub => LLVMSub,
            Op::Mul => LLVMMul,
            Op::SDiv => LLVMSDiv,
            Op::UDiv => LLVMUDiv,
            Op::SRem => LLVMSRem,
            Op::URem => LLVMURem,
            Op::And => LLVMAnd,
            Op::Or => LLVMOr,
            Op::Xor => LLVMXor,
            Op::Shl => LLVMShl,
            Op::LShr => LLVMLShr,
            Op::AShr => LLVMAShr,
            Op::FAdd => LLVMFAdd,
            Op::FSub => LLVMFSub,
            Op::FMul => LLVMFMul,
            Op::FDiv => LLVMFDiv,
        };
        // SAFETY: handles are valid (module rule); operand types agree, which the verifier checks.
        Value(unsafe { LLVMBuildBinOp(self.raw, opcode, lhs.0, rhs.0, UNNAMED) })
    }

    pub(crate) fn fneg(&self, value: Value) -> Value {
        // SAFETY: handles are valid (module rule).
        Value(unsafe { LLVMBuildFNeg(self.raw, value.0, UNNAMED) })
    }

    pub(crate) fn cast(&self, cast: Cast, value: Value, ty: Type) -> Value {
        use LLVMOpcode::*;
        let opcode = match cast {
            Cast::Trunc => LLVMTrunc,
            Cast::ZExt => LLVMZExt,
            Cast::SExt => LLVMSExt,
            Cast::FpToSi => LLVMFPToSI,
            Cast::FpToUi => LLVMFPToUI,
            Cast::SiToFp => LLVMSIToFP,
            Cast::UiToFp => LLVMUIToFP,
            Cast::FpTrunc => LLVMFPTrunc,
            Cast::FpExt => LLVMFPExt,
            Cast::BitCast => LLVMBitCast,
            Cast::PtrToInt => LLVMPtrToInt,
            Cast::IntToPtr => LLVMIntToPtr,
        };
        // SAFETY: handles are valid (module rule).
        Value(unsafe { LLVMBuildCast(self.raw, opcode, value.0, ty.0, UNNAMED) })
    }

    pub(crate) fn icmp(&self, predicate: IntPredicate, lhs: Value, rhs: Value) -> Value {
        use LLVMIntPredicate::*;
        let predicate = match predicate {
            IntPredicate::Eq => LLVMIntEQ,
            IntPredicate::Ne => LLVMIntNE,
            IntPredicate::Ugt => LLVMIntUGT,
            IntPredicate::Uge => LLVMIntUGE,
            IntPredicate::Ult => LLVMIntULT,
            IntPredicate::Ule => LLVMIntULE,
            IntPredicate::Sgt => LLVMIntSGT,
            IntPredicate::Sge => LLVMIntSGE,
            IntPredicate::Slt => LLVMIntSLT,
            IntPredicate::Sle => LLVMIntSLE,
        };
        // SAFETY: handles are valid (module rule).
        Value(unsafe { LLVMBuildICmp(self.raw, predicate, lhs.0, rhs.0, UNNAMED) })
    }

    pub(crate) fn fcmp(&self, predicate: FloatPredicate, lhs: Value, rhs: Value) -> Value {
        use LLVMRealPredicate::*;
        let predicate = match predicate {
            FloatPredicate::Oeq => LLVMRealOEQ,
            FloatPredicate::Une => LLVMRealUNE,
            FloatPredicate::Olt => LLVMRealOLT,
            FloatPredicate::Ole => LLVMRealOLE,
            FloatPredicate::Ogt => LLVMRealOGT,
            FloatPredicate::Oge => LLVMRealOGE,
            FloatPredicate::Uno => LLVMRealUNO,
        };
        // SAFETY: handles are valid (module rule).
        Value(unsafe { LLVMBuildFCmp(self.raw, predicate, lhs.0, rhs.0, UNNAMED) })
    }

    pub(crate) fn select(&self, condition: Value, then: Value, otherwise: Value) -> Value {
        // SAFETY: handles are valid (module rule).
        Value(unsafe { LLVMBuildSelect(self.raw, condition.0, then.0, otherwise.0, UNNAMED) })
    }

    pub(crate) fn freeze(&self, value: Value) -> Value {
        // SAFETY: handles are valid (module rule).
        Value(unsafe { LLVMBuildFreeze(self.raw, value.0, UNNAMED) })
    }

    pub(crate) fn alloca(&self, ty: Type) -> Value {
        // SAFETY: handles are valid (module rule).
        Value(unsafe { LLVMBuildAlloca(self.raw, ty.0, UNNAMED) })
    }

    /// Loads with the type's natural alignment unless the alignment is set afterwards.
    pub(crate) fn load(&self, ty: Type, address: Value) -> Value {
        // SAFETY: handles are valid (module rule).
        Value(unsafe { LLVMBuildLoad2(self.raw, ty.0, address.0, UNNAMED) })
    }

    /// Stores with the type's natural alignment unless the alignment is set afterwards.
    pub(crate) fn store(&self, value: Value, address: Value) -> Value {
        // SAFETY: handles are valid (module rule).
        Value(unsafe { LLVMBuildStore(self.raw, value.0, address.0) })
    }

    /// `base + index * size of ty`, inside one object, with an unsigned index.
    pub(crate) fn gep(&self, ty: Type, base: Value, index: Value) -> Value {
        let flags = llvm_sys::LLVMGEPFlagInBounds | llvm_sys::LLVMGEPFlagNUW;
        // SAFETY: handles are valid (module rule); LLVM copies the index list of length one.
        Value(unsafe { LLVMBuildGEPWithNoWrapFlags(self.raw, ty.0, base.0, [index.0].as_mut_ptr(), 1, UNNAMED, flags) })
    }

    /// A `getelementptr` without any promise.
    pub(crate) fn gep_wrapping(&self, ty: Type, base: Value, indices: &[Value]) -> Value {
        let mut raw: Vec<_> = indices.iter().map(|i| i.0).collect();
        // SAFETY: handles are valid (module rule); LLVM copies the index list.
        Value(unsafe { LLVMBuildGEP2(self.raw, ty.0, base.0, raw.as_mut_ptr(), raw.len() as u32, UNNAMED) })
    }

    /// A `getelementptr` like another one, with its type and promises but other operands.
    pub(crate) fn gep_like(&self, like: Value, base: Value, indices: &[Value]) -> Value {
        let mut raw: Vec<_> = indices.iter().map(|i| i.0).collect();
        // SAFETY: handles are valid (module rule), and `like` is a `getelementptr`'s by contract of this function;
        // LLVM copies the index list.
        Value(unsafe {
            let (ty, flags) = (LLVMGetGEPSourceElementType(like.0), LLVMGEPGetNoWrapFlags(like.0));
            LLVMBuildGEPWithNoWrapFlags(self.raw, ty, base.0, raw.as_mut_ptr(), raw.len() as u32, UNNAMED, flags)
        })
    }

    pub(crate) fn phi(&self, ty: Type) -> Value {
        // SAFETY: handles are valid (module rule).
        Value(unsafe { LLVMBuildPhi(self.raw, ty.0, UNNAMED) })
    }

    pub(crate) fn br(&self, block: Block) -> Value {
        // SAFETY: handles are valid (module rule).
        Value(unsafe { LLVMBuildBr(self.raw, block.0) })
    }

    pub(crate) fn cond_br(&self, condition: Value, then: Block, otherwise: Block) -> Value {
        // SAFETY: handles are valid (module rule).
        Value(unsafe { LLVMBuildCondBr(self.raw, condition.0, then.0, otherwise.0) })
    }

    pub(crate) fn switch(&self, value: Value, default: Block, cases: &[(Value, Block)]) -> Value {
        // SAFETY: handles are valid (module rule); the cases are added to the switch just built.
        unsafe {
            let switch = LLVMBuildSwitch(self.raw, value.0, default.0, cases.len() as u32);
            for (case, block) in cases {
                LLVMAddCase(switch, case.0, block.0);
            }
            Value(switch)
        }
    }

    pub(crate) fn call(&self, ty: Type, callee: Value, args: &[Value], convention: u32) -> Value {
        let mut raw: Vec<_> = args.iter().map(|a| a.0).collect();
        // SAFETY: handles are valid (module rule); LLVM copies the arguments.
        unsafe {
            let call = LLVMBuildCall2(self.raw, ty.0, callee.0, raw.as_mut_ptr(), raw.len() as u32, UNNAMED);
            LLVMSetInstructionCallConv(call, convention);
            Value(call)
        }
    }

    pub(crate) fn invoke(
        &self,
        ty: Type,
        callee: Value,
        args: &[Value],
        convention: u32,
        (normal, unwind): (Block, Block),
    ) -> Value {
        let mut raw: Vec<_> = args.iter().map(|a| a.0).collect();
        // SAFETY: handles are valid (module rule); LLVM copies the arguments.
        unsafe {
            let call = LLVMBuildInvoke2(
                self.raw,
                ty.0,
                callee.0,
                raw.as_mut_ptr(),
                raw.len() as u32,
                normal.0,
                unwind.0,
                UNNAMED,
            );
            LLVMSetInstructionCallConv(call, convention);
            Value(call)
        }
    }

    /// A landing pad that catches everything.
    pub(crate) fn landing_pad(&self, ty: Type, personality: Value, null: Value) -> Value {
        // SAFETY: handles are valid (module rule); the null clause means `catch all`.
        unsafe {
            let pad = LLVMBuildLandingPad(self.raw, ty.0, personality.0, 1, UNNAMED);
            LLVMAddClause(pad, null.0);
            Value(pad)
        }
    }

    pub(crate) fn ret(&self, value: Value) -> Value {
        // SAFETY: handles are valid (module rule).
        Value(unsafe { LLVMBuildRet(self.raw, value.0) })
    }

    pub(crate) fn ret_void(&self) -> Value {
        // SAFETY: the builder has a position.
        Value(unsafe { LLVMBuildRetVoid(self.raw) })
    }

    pub(crate) fn unreachable(&self) -> Value {
        // SAFETY: the builder has a position.
        Value(unsafe { LLVMBuildUnreachable(self.raw) })
    }

    pub(crate) fn extract_value(&self, aggregate: Value, index: u32) -> Value {
        // SAFETY: handles are valid (module rule).
        Value(unsafe { LLVMBuildExtractValue(self.raw, aggregate.0, index, UNNAMED) })
    }

    pub(crate) fn insert_value(&self, aggregate: Value, value: Value, index: u32) -> Value {
        // SAFETY: handles are valid (module rule).
        Value(unsafe { LLVMBuildInsertValue(self.raw, aggregate.0, value.0, index, UNNAMED) })
    }

    pub(crate) fn extract_element(&self, vector: Value, index: Value) -> Value {
        // SAFETY: handles are valid (module rule).
        Value(unsafe { LLVMBuildExtractElement(self.raw, vector.0, index.0, UNNAMED) })
    }

    pub(crate) fn insert_element(&self, vector: Value, element: Value, index: Value) -> Value {
        // SAFETY: handles are valid (module rule).
        Value(unsafe { LLVMBuildInsertElement(self.raw, vector.0, element.0, index.0, UNNAMED) })
    }

    /// The lanes of `lhs` and `rhs`, counted through, that a constant vector of `i32` names.
    pub(crate) fn shuffle_vector(&self, lhs: Value, rhs: Value, lanes: Value) -> Value {
        // SAFETY: handles are valid (module rule).
        Value(unsafe { LLVMBuildShuffleVector(self.raw, lhs.0, rhs.0, lanes.0, UNNAMED) })
    }

    /// Orders all accesses before with those behind.
    pub(crate) fn fence(&self, ordering: Ordering) -> Value {
        // SAFETY: the builder has a position.
        Value(unsafe { LLVMBuildFence(self.raw, ordering.raw(), 0, UNNAMED) })
    }

    /// Makes other threads that see a store behind it see all that are in front of it.
    pub(crate) fn release_fence(&self) {
        self.fence(Ordering::Release);
    }

    /// Keeps LLVM from moving stores in front of it behind it, or doing without them; no instruction on any machine.
    pub(crate) fn compiler_fence(&self) {
        // SAFETY: the builder has a position.
        unsafe { LLVMBuildFence(self.raw, LLVMAtomicOrdering::LLVMAtomicOrderingRelease, 1, UNNAMED) };
    }

    /// Combines a naturally aligned integer in memory with `value`, or exchanges a reference; gives what it was before.
    pub(crate) fn atomic_rmw(&self, op: AtomicOp, address: Value, value: Value, ordering: Ordering) -> Value {
        use LLVMAtomicRMWBinOp::*;
        let op = match op {
            AtomicOp::Add => LLVMAtomicRMWBinOpAdd,
            AtomicOp::Sub => LLVMAtomicRMWBinOpSub,
            AtomicOp::And => LLVMAtomicRMWBinOpAnd,
            AtomicOp::Or => LLVMAtomicRMWBinOpOr,
            AtomicOp::Xor => LLVMAtomicRMWBinOpXor,
            AtomicOp::Exchange => LLVMAtomicRMWBinOpXchg,
        };
        // SAFETY: handles are valid (module rule); LLVM takes the type's size as alignment.
        Value(unsafe { LLVMBuildAtomicRMW(self.raw, op, address.0, value.0, ordering.raw(), 0) })
    }

    /// Replaces a naturally aligned value in memory if it is `expected`; gives what it was before.
    pub(crate) fn cmpxchg(&self, address: Value, expected: Value, new: Value, ordering: Ordering) -> Value {
        // Who fails has only read.
        let failure = if ordering == Ordering::AcquireRelease { Ordering::Acquire } else { ordering };
        // SAFETY: handles are valid (module rule); LLVM takes the type's size as alignment.
        let pair = Value(unsafe {
            LLVMBuildAtomicCmpXchg(self.raw, address.0, expected.0, new.0, ordering.raw(), failure.raw(), 0)
        });
        self.extract_value(pair, 0)
    }

    /// `memmove` of `bytes` bytes; both addresses in one address space.
    pub(crate) fn memmove(&self, dst: Value, src: Value, align: u32, bytes: Value) -> Value {
        // SAFETY: handles are valid (module rule).
        Value(unsafe { LLVMBuildMemMove(self.raw, dst.0, align, src.0, align, bytes.0) })
    }
}

impl Drop for Builder<'_> {
    fn drop(&mut self) {
        // SAFETY: made by `new`, dropped once.
        unsafe { LLVMDisposeBuilder(self.raw) }
    }
}
