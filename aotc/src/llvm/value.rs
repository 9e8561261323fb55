//! Handles of types, values and basic blocks.

use super::REF_ADDRESS_SPACE;
use llvm_sys::LLVMTypeKind;
use llvm_sys::core::*;
use llvm_sys::prelude::*;

/// A type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Type(pub(super) LLVMTypeRef);

/// A value: constant, argument, function or instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Value(pub(super) LLVMValueRef);

/// A basic block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Block(pub(super) LLVMBasicBlockRef);

/// The kinds of types that the compiler tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TypeKind {
    Int,
    /// A reference: a pointer in [`REF_ADDRESS_SPACE`].
    Ref,
    /// A vector of references of this length.
    RefVector(u32),
    /// A pointer in the default address space.
    Pointer,
    /// A literal structure.
    Struct,
    Other,
}

impl Type {
    pub(crate) fn is_void(self) -> bool {
        // SAFETY: the handle is valid (module rule).
        unsafe { LLVMGetTypeKind(self.0) == LLVMTypeKind::LLVMVoidTypeKind }
    }

    pub(crate) fn kind(self) -> TypeKind {
        // SAFETY: the handle is valid (module rule); the element queries follow the kind just read.
        unsafe {
            match LLVMGetTypeKind(self.0) {
                LLVMTypeKind::LLVMIntegerTypeKind => TypeKind::Int,
                LLVMTypeKind::LLVMPointerTypeKind if LLVMGetPointerAddressSpace(self.0) == REF_ADDRESS_SPACE => {
                    TypeKind::Ref
                }
                LLVMTypeKind::LLVMPointerTypeKind => TypeKind::Pointer,
                LLVMTypeKind::LLVMStructTypeKind => TypeKind::Struct,
                LLVMTypeKind::LLVMVectorTypeKind => {
                    let element = Type(LLVMGetElementType(self.0));
                    if element.kind() == TypeKind::Ref {
                        TypeKind::RefVector(LLVMGetVectorSize(self.0))
                    } else {
                        TypeKind::Other
                    }
                }
                _ => TypeKind::Other,
            }
        }
    }

    /// Size in memory of a number, a vector of numbers, a reference or a pointer.
    pub(crate) fn size_bytes(self) -> u32 {
        // SAFETY: the handle is valid (module rule); each query follows the kind just read.
        unsafe {
            match LLVMGetTypeKind(self.0) {
                LLVMTypeKind::LLVMIntegerTypeKind => LLVMGetIntTypeWidth(self.0).div_ceil(8),
                LLVMTypeKind::LLVMDoubleTypeKind => 8,
                LLVMTypeKind::LLVMPointerTypeKind if LLVMGetPointerAddressSpace(self.0) != REF_ADDRESS_SPACE => 8,
                LLVMTypeKind::LLVMVectorTypeKind => {
                    LLVMGetVectorSize(self.0) * Type(LLVMGetElementType(self.0)).size_bytes()
                }
                _ => 4,
            }
        }
    }

    /// Whether it is f32 or f64.
    pub(crate) fn is_float(self) -> bool {
        // SAFETY: the handle is valid (module rule).
        let kind = unsafe { LLVMGetTypeKind(self.0) };
        matches!(kind, LLVMTypeKind::LLVMFloatTypeKind | LLVMTypeKind::LLVMDoubleTypeKind)
    }

    /// The field types of a structure.
    pub(crate) fn struct_fields(self) -> Vec<Type> {
        // SAFETY: the handle is a structure's by contract of this function; the index is below the count.
        unsafe {
            let count = LLVMCountStructElementTypes(self.0);
            (0..count).map(|i| Type(LLVMStructGetTypeAtIndex(self.0, i))).collect()
        }
    }

    /// Number of elements, if this is a vector type.
    pub(crate) fn vector_len(self) -> Option<u32> {
        // SAFETY: the handle is valid (module rule); the length is read from a vector type only.
        unsafe { (LLVMGetTypeKind(self.0) == LLVMTypeKind::LLVMVectorTypeKind).then(|| LLVMGetVectorSize(self.0)) }
    }

    /// A vector of `len` elements of this type.
    pub(crate) fn vector(self, len: u32) -> Type {
        // SAFETY: the handle is valid (module rule).
        Type(unsafe { LLVMVectorType(self.0, len) })
    }

    pub(crate) fn array(self, len: u64) -> Type {
        // SAFETY: the handle is valid (module rule).
        Type(unsafe { LLVMArrayType2(self.0, len) })
    }

    /// The all-zero constant: 0, null, 0.0.
    pub(crate) fn zero(self) -> Value {
        // SAFETY: the handle is valid (module rule).
        Value(unsafe { LLVMConstNull(self.0) })
    }

    pub(crate) fn poison(self) -> Value {
        // SAFETY: the handle is valid (module rule).
        Value(unsafe { LLVMGetPoison(self.0) })
    }

    /// A constant of this integer type with the low bits of `value`.
    pub(crate) fn int(self, value: u64) -> Value {
        // SAFETY: the handle is valid (module rule) and of integer type by contract of this function.
        Value(unsafe { LLVMConstIntOfArbitraryPrecision(self.0, 1, [value].as_ptr()) })
    }
}

impl Value {
    pub(crate) fn ty(self) -> Type {
        // SAFETY: the handle is valid (module rule).
        Type(unsafe { LLVMTypeOf(self.0) })
    }

    pub(crate) fn is_constant(self) -> bool {
        // SAFETY: the handle is valid (module rule).
        unsafe { LLVMIsConstant(self.0) != 0 }
    }

    pub(crate) fn is_null_constant(self) -> bool {
        // SAFETY: the handle is valid (module rule).
        self.is_constant() && unsafe { LLVMIsNull(self.0) != 0 }
    }

    /// Whether this is LLVM's `undef` or `poison`.
    pub(crate) fn is_undefined(self) -> bool {
        // SAFETY: the handle is valid (module rule).
        unsafe { LLVMIsUndef(self.0) != 0 }
    }

    /// A lane or field of a constant vector or structure, unless the constant is an expression.
    pub(crate) fn constant_lane(self, lane: u32) -> Option<Value> {
        if !self.is_constant() {
            return None;
        }
        // SAFETY: the handle is a constant's.
        let element = unsafe { LLVMGetAggregateElement(self.0, lane) };
        (!element.is_null()).then_some(Value(element))
    }

    /// Whether this constant is, or is made of, an integer that `is_wanted`.
    pub(crate) fn mentions(self, is_wanted: impl Fn(i64) -> bool + Copy) -> bool {
        // SAFETY: the handle is valid (module rule); elements and operands are asked for of constants that have them, by
        // indices below their count.
        unsafe {
            if LLVMIsConstant(self.0) == 0 || !LLVMIsAGlobalValue(self.0).is_null() {
                return false;
            }
            if !LLVMIsAConstantInt(self.0).is_null() {
                return self.const_int().is_some_and(is_wanted);
            }
            if !LLVMIsAConstantDataSequential(self.0).is_null() {
                let elements = (0..).map_while(|index| self.constant_lane(index));
                return elements.into_iter().any(|element| element.mentions(is_wanted));
            }
            (0..LLVMGetNumOperands(self.0) as u32).any(|i| Value(LLVMGetOperand(self.0, i)).mentions(is_wanted))
        }
    }

    /// The address that a symbol stands for, as a constant integer.
    pub(crate) fn const_ptr_to_int(self, ty: Type) -> Value {
        // SAFETY: the handle is a global's by contract of this function, the type one of integers.
        Value(unsafe { LLVMConstPtrToInt(self.0, ty.0) })
    }

    /// The sum of constant integers of one type.
    pub(crate) fn const_add(self, other: Value) -> Value {
        // SAFETY: both handles are constants of one integer type by contract of this function.
        Value(unsafe { LLVMConstAdd(self.0, other.0) })
    }

    pub(crate) fn replace_all_uses_with(self, new: Value) {
        // SAFETY: both handles are valid (module rule) and of one type, which LLVM asserts.
        unsafe { LLVMReplaceAllUsesWith(self.0, new.0) }
    }

    /// Parameter `index` of a function.
    pub(crate) fn param(self, index: usize) -> Value {
        // SAFETY: the handle is a function's and the index in range by contract of this function.
        Value(unsafe { LLVMGetParam(self.0, index as u32) })
    }

    pub(crate) fn param_count(self) -> usize {
        // SAFETY: the handle is a function's by contract of this function.
        unsafe { LLVMCountParams(self.0) as usize }
    }

    /// The blocks of a function, entry first; none for a declaration.
    pub(crate) fn blocks(self) -> Vec<Block> {
        let mut blocks = Vec::new();
        // SAFETY: the handle is a function's; the list is walked without changing it.
        unsafe {
            let mut block = LLVMGetFirstBasicBlock(self.0);
            while !block.is_null() {
                blocks.push(Block(block));
                block = LLVMGetNextBasicBlock(block);
            }
        }
        blocks
    }
}

impl Block {
    /// The instructions, in order, as they stand now.
    pub(crate) fn instructions(self) -> Vec<Value> {
        let mut instructions = Vec::new();
        // SAFETY: the handle is valid (module rule); the list is walked without changing it.
        unsafe {
            let mut instruction = LLVMGetFirstInstruction(self.0);
            while !instruction.is_null() {
                instructions.push(Value(instruction));
                instruction = LLVMGetNextInstruction(instruction);
            }
        }
        instructions
    }

    /// The phis, which come first.
    pub(crate) fn phis(self) -> Vec<Value> {
        self.instructions().into_iter().take_while(|i| i.opcode() == super::Opcode::Phi).collect()
    }

    pub(crate) fn terminator(self) -> Option<Value> {
        // SAFETY: the handle is valid (module rule).
        let terminator = unsafe { LLVMGetBasicBlockTerminator(self.0) };
        (!terminator.is_null()).then_some(Value(terminator))
    }

    /// The blocks that control can go to from here, with repetitions.
    pub(crate) fn successors(self) -> Vec<Block> {
        let Some(terminator) = self.terminator() else { return Vec::new() };
        // SAFETY: the handle is a terminator's; indices are below the count.
        unsafe {
            let count = LLVMGetNumSuccessors(terminator.0);
            (0..count).map(|i| Block(LLVMGetSuccessor(terminator.0, i))).collect()
        }
    }

    /// Makes control go to `new` where it went to `old`; phis in both blocks are the caller's to mend.
    pub(crate) fn replace_successor(self, old: Block, new: Block) {
        let Some(terminator) = self.terminator() else { return };
        for (index, _) in self.successors().iter().enumerate().filter(|&(_, &successor)| successor == old) {
            // SAFETY: the handle is a terminator's; the index is below the count.
            unsafe { LLVMSetSuccessor(terminator.0, index as u32, new.0) };
        }
    }

    /// Makes control go to `new` wherever it went to this block. Neither may have phis, or be a landing pad.
    pub(crate) fn replace_all_uses_with(self, new: Block) {
        // SAFETY: both handles are valid (module rule), and blocks are values of one type.
        unsafe { LLVMReplaceAllUsesWith(LLVMBasicBlockAsValue(self.0), LLVMBasicBlockAsValue(new.0)) }
    }

    /// Deletes a block that control goes to from nowhere, and whose values nothing uses; its handles are dead afterwards.
    pub(crate) fn delete(self) {
        // SAFETY: the handle is valid (module rule), and not used again by contract of this function.
        unsafe { LLVMDeleteBasicBlock(self.0) }
    }

    pub(crate) fn parent(self) -> Value {
        // SAFETY: the handle is valid (module rule).
        Value(unsafe { LLVMGetBasicBlockParent(self.0) })
    }
}

impl Type {
    /// A poison value to build an aggregate from, or none for `void`.
    pub(crate) fn poison_unless_void(self, void: Type) -> Option<Value> {
        (self != void).then(|| self.poison())
    }
}
