//! Contexts: the owners of types, constants, attributes and metadata.

use super::{REF_ADDRESS_SPACE, Type, Value};
use llvm_sys::core::*;
use llvm_sys::debuginfo::{LLVMMetadataReplaceAllUsesWith, LLVMTemporaryMDNode};
use llvm_sys::prelude::*;

/// Owner of everything in one partition's IR. Confined to one thread.
pub(crate) struct Context(pub(super) LLVMContextRef);

/// A metadata node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Metadata(pub(super) LLVMValueRef);

/// An attribute of a function, parameter or call.
#[derive(Clone, Copy)]
pub(crate) struct Attribute(pub(super) LLVMAttributeRef);

/// The metadata kinds that the compiler uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MetadataKind {
    pub(crate) invariant_load: u32,
    pub(crate) tbaa: u32,
    pub(crate) prof: u32,
    pub(crate) dereferenceable: u32,
    pub(crate) align: u32,
    pub(crate) range: u32,
    pub(crate) nonnull: u32,
    /// What LLVM's passes have done with a loop, at the branch back to its header.
    pub(crate) loops: u32,
    /// Marks the stores of an object's header and immutable fields, which its allocation performs anyway.
    pub(crate) allocation_store: u32,
    /// Marks the first stores of an object's other fields, which are zero before.
    pub(crate) initial_store: u32,
}

/// Where on a function or call an attribute stands.
pub(crate) mod attribute_index {
    pub(crate) const FUNCTION: u32 = u32::MAX;
    pub(crate) const RETURN: u32 = 0;

    pub(crate) const fn param(index: usize) -> u32 {
        index as u32 + 1
    }
}

impl Context {
    pub(crate) fn new() -> Self {
        // SAFETY: no precondition; dropped once by `Drop`.
        Self(unsafe { LLVMContextCreate() })
    }

    /// Lets instructions and blocks have no names, which only people read.
    pub(crate) fn discard_names(&self) {
        // SAFETY: the context lives.
        unsafe { LLVMContextSetDiscardValueNames(self.0, 1) }
    }

    pub(crate) fn int_type(&self, bits: u32) -> Type {
        // SAFETY: the context lives.
        Type(unsafe { LLVMIntTypeInContext(self.0, bits) })
    }

    pub(crate) fn f32_type(&self) -> Type {
        // SAFETY: the context lives.
        Type(unsafe { LLVMFloatTypeInContext(self.0) })
    }

    pub(crate) fn f64_type(&self) -> Type {
        // SAFETY: the context lives.
        Type(unsafe { LLVMDoubleTypeInContext(self.0) })
    }

    pub(crate) fn void_type(&self) -> Type {
        // SAFETY: the context lives.
        Type(unsafe { LLVMVoidTypeInContext(self.0) })
    }

    pub(crate) fn ptr_type(&self) -> Type {
        // SAFETY: the context lives.
        Type(unsafe { LLVMPointerTypeInContext(self.0, 0) })
    }

    /// The type of references.
    pub(crate) fn ref_type(&self) -> Type {
        // SAFETY: the context lives.
        Type(unsafe { LLVMPointerTypeInContext(self.0, REF_ADDRESS_SPACE) })
    }

    pub(crate) fn struct_type(&self, fields: &[Type]) -> Type {
        let mut raw: Vec<_> = fields.iter().map(|t| t.0).collect();
        // SAFETY: the context lives and LLVM copies the field types.
        Type(unsafe { LLVMStructTypeInContext(self.0, raw.as_mut_ptr(), raw.len() as u32, 0) })
    }

    pub(crate) fn function_type(&self, result: Type, params: &[Type]) -> Type {
        let mut raw: Vec<_> = params.iter().map(|t| t.0).collect();
        // SAFETY: LLVM copies the parameter types.
        Type(unsafe { LLVMFunctionType(result.0, raw.as_mut_ptr(), raw.len() as u32, 0) })
    }

    /// The type of a function that takes any further arguments.
    pub(crate) fn variadic_function_type(&self, result: Type, params: &[Type]) -> Type {
        let mut raw: Vec<_> = params.iter().map(|t| t.0).collect();
        // SAFETY: LLVM copies the parameter types.
        Type(unsafe { LLVMFunctionType(result.0, raw.as_mut_ptr(), raw.len() as u32, 1) })
    }

    /// The float constant with these bits; NaN payloads are kept.
    pub(crate) fn f32_const(&self, bits: u32) -> Value {
        // SAFETY: a 32-bit integer constant is cast to a type of its size.
        Value(unsafe { LLVMConstBitCast(self.int_type(32).int(bits.into()).0, self.f32_type().0) })
    }

    /// The float constant with these bits; NaN payloads are kept.
    pub(crate) fn f64_const(&self, bits: u64) -> Value {
        // SAFETY: a 64-bit integer constant is cast to a type of its size.
        Value(unsafe { LLVMConstBitCast(self.int_type(64).int(bits).0, self.f64_type().0) })
    }

    /// The constant vector of these constants, of which there is at least one; all have one type.
    pub(crate) fn vector_const(&self, lanes: &[Value]) -> Value {
        let mut raw: Vec<_> = lanes.iter().map(|lane| lane.0).collect();
        // SAFETY: the constants belong to this context; LLVM copies the array.
        Value(unsafe { LLVMConstVector(raw.as_mut_ptr(), raw.len() as u32) })
    }

    /// The constant structure of these constants.
    pub(crate) fn struct_const(&self, fields: &[Value]) -> Value {
        let mut raw: Vec<_> = fields.iter().map(|field| field.0).collect();
        // SAFETY: the context lives and owns the constants; LLVM copies the array.
        Value(unsafe { LLVMConstStructInContext(self.0, raw.as_mut_ptr(), raw.len() as u32, 0) })
    }

    pub(crate) fn enum_attribute(&self, name: &str, value: u64) -> Attribute {
        // SAFETY: the context lives, and the kind is one of LLVM's.
        Attribute(unsafe { LLVMCreateEnumAttribute(self.0, attribute_kind(name), value) })
    }

    pub(crate) fn string_attribute(&self, name: &str, value: &str) -> Attribute {
        // SAFETY: LLVM copies both strings.
        Attribute(unsafe {
            LLVMCreateStringAttribute(
                self.0,
                name.as_ptr().cast(),
                name.len() as u32,
                value.as_ptr().cast(),
                value.len() as u32,
            )
        })
    }

    pub(crate) fn metadata_kind(&self, name: &str) -> u32 {
        // SAFETY: the context lives and the name's bytes live during the call.
        unsafe { LLVMGetMDKindIDInContext(self.0, name.as_ptr().cast(), name.len() as u32) }
    }

    pub(crate) fn metadata_kinds(&self) -> MetadataKind {
        MetadataKind {
            invariant_load: self.metadata_kind("invariant.load"),
            tbaa: self.metadata_kind("tbaa"),
            prof: self.metadata_kind("prof"),
            dereferenceable: self.metadata_kind("dereferenceable"),
            align: self.metadata_kind("align"),
            range: self.metadata_kind("range"),
            nonnull: self.metadata_kind("nonnull"),
            loops: self.metadata_kind("llvm.loop"),
            allocation_store: self.metadata_kind("dolmen.allocation"),
            initial_store: self.metadata_kind("dolmen.initial"),
        }
    }

    pub(crate) fn metadata_string(&self, text: &str) -> Metadata {
        // SAFETY: LLVM copies the string; the wrapper value belongs to the context.
        Metadata(unsafe {
            LLVMMetadataAsValue(self.0, LLVMMDStringInContext2(self.0, text.as_ptr().cast(), text.len()))
        })
    }

    pub(crate) fn metadata_int(&self, value: u64, bits: u32) -> Metadata {
        // SAFETY: the constant belongs to this context.
        Metadata(unsafe { LLVMMetadataAsValue(self.0, LLVMValueAsMetadata(self.int_type(bits).int(value).0)) })
    }

    pub(crate) fn metadata_node(&self, parts: &[Metadata]) -> Metadata {
        // SAFETY: every part was made by this context; LLVM copies the array.
        Metadata(unsafe {
            let mut raw: Vec<_> = parts.iter().map(|p| LLVMValueAsMetadata(p.0)).collect();
            LLVMMetadataAsValue(self.0, LLVMMDNodeInContext2(self.0, raw.as_mut_ptr(), raw.len()))
        })
    }

    /// What is said of a loop: a node whose first part is itself, as LLVM wants it.
    pub(crate) fn loop_metadata(&self, properties: &[Metadata]) -> Metadata {
        // SAFETY: every part was made by this context; LLVM copies the array. The temporary node has no use but the one in
        // the new node, and disposes of itself when that is replaced.
        Metadata(unsafe {
            let temporary = LLVMTemporaryMDNode(self.0, std::ptr::null_mut(), 0);
            let mut raw = vec![temporary];
            raw.extend(properties.iter().map(|property| LLVMValueAsMetadata(property.0)));
            let node = LLVMMDNodeInContext2(self.0, raw.as_mut_ptr(), raw.len());
            LLVMMetadataReplaceAllUsesWith(temporary, node);
            LLVMMetadataAsValue(self.0, node)
        })
    }

    /// Inline assembly with side effects that does not throw, in AT&T syntax; called like a function of type `ty`.
    pub(crate) fn inline_assembly(&self, ty: Type, instructions: &str, constraints: &str) -> Value {
        // SAFETY: the type is a function's of this context by contract of this function; LLVM copies the strings.
        Value(unsafe {
            LLVMGetInlineAsm(
                ty.0,
                instructions.as_ptr().cast(),
                instructions.len(),
                constraints.as_ptr().cast(),
                constraints.len(),
                1,
                0,
                llvm_sys::LLVMInlineAsmDialect::LLVMInlineAsmDialectATT,
                0,
            )
        })
    }

    /// A new block in front of another one: the function's entry if that was it.
    pub(crate) fn insert_block(&self, next: super::Block, name: &str) -> super::Block {
        let name = std::ffi::CString::new(name).unwrap_or_default();
        // SAFETY: the handle is a block's of this context; LLVM copies the name.
        super::Block(unsafe { LLVMInsertBasicBlockInContext(self.0, next.0, name.as_ptr()) })
    }

    pub(crate) fn append_block(&self, function: Value, name: &str) -> super::Block {
        let name = std::ffi::CString::new(name).unwrap_or_default();
        // SAFETY: the handle is a function's of this context; LLVM copies the name.
        super::Block(unsafe { LLVMAppendBasicBlockInContext(self.0, function.0, name.as_ptr()) })
    }
}

impl Metadata {
    /// The metadata as argument of an intrinsic.
    pub(crate) fn as_value(self) -> Value {
        Value(self.0)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: made by `new`; modules and builders of it were dropped before (they borrow it).
        unsafe { LLVMContextDispose(self.0) }
    }
}

impl Value {
    /// Adds an attribute to a function or declaration.
    pub(crate) fn add_attribute(self, index: u32, attribute: Attribute) {
        // SAFETY: the handle is a function's by contract of this function.
        unsafe { LLVMAddAttributeAtIndex(self.0, index, attribute.0) }
    }

    /// Whether a function has this attribute.
    pub(crate) fn has_attribute(self, name: &str) -> bool {
        // SAFETY: the handle is a function's by contract of this function.
        unsafe { !LLVMGetEnumAttributeAtIndex(self.0, attribute_index::FUNCTION, attribute_kind(name)).is_null() }
    }

    /// Whether a call or invoke has this attribute itself.
    pub(crate) fn has_call_attribute(self, name: &str) -> bool {
        let kind = attribute_kind(name);
        // SAFETY: the handle is a call's by contract of this function.
        unsafe { !LLVMGetCallSiteEnumAttribute(self.0, attribute_index::FUNCTION, kind).is_null() }
    }

    /// Removes an attribute from a function or declaration, if it is there.
    pub(crate) fn remove_attribute(self, index: u32, name: &str) {
        // SAFETY: the handle is a function's by contract of this function.
        unsafe { LLVMRemoveEnumAttributeAtIndex(self.0, index, attribute_kind(name)) }
    }

    /// Removes an attribute from a call or invoke, if it is there.
    pub(crate) fn remove_call_attribute(self, index: u32, name: &str) {
        // SAFETY: the handle is a call's by contract of this function.
        unsafe { LLVMRemoveCallSiteEnumAttribute(self.0, index, attribute_kind(name)) }
    }

    /// Adds an attribute to a call or invoke.
    pub(crate) fn add_call_attribute(self, index: u32, attribute: Attribute) {
        // SAFETY: the handle is a call's by contract of this function.
        unsafe { LLVMAddCallSiteAttribute(self.0, index, attribute.0) }
    }

    /// The alignment in bytes that a call promises for an argument; 1 if it says nothing.
    pub(crate) fn argument_alignment(self, index: usize) -> u64 {
        const NAME: &str = "align";
        // SAFETY: the handle is a call's by contract of this function; the name's bytes live during the call.
        unsafe {
            let kind = LLVMGetEnumAttributeKindForName(NAME.as_ptr().cast(), NAME.len());
            let attribute = LLVMGetCallSiteEnumAttribute(self.0, attribute_index::param(index), kind);
            if attribute.is_null() { 1 } else { LLVMGetEnumAttributeValue(attribute) }
        }
    }

    /// The value of a string attribute of a call.
    pub(crate) fn call_string_attribute(self, name: &str) -> Option<String> {
        // SAFETY: the handle is a call's by contract of this function; the value's bytes live as long as the context.
        unsafe {
            let attribute = LLVMGetCallSiteStringAttribute(
                self.0,
                attribute_index::FUNCTION,
                name.as_ptr().cast(),
                name.len() as u32,
            );
            if attribute.is_null() {
                return None;
            }
            let mut len = 0;
            let value = LLVMGetStringAttributeValue(attribute, &raw mut len);
            let bytes = std::slice::from_raw_parts(value.cast::<u8>(), len as usize);
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
    }

    /// Whether a call says of its result that nothing else refers to it.
    pub(crate) fn returns_unaliased(self) -> bool {
        const NAME: &str = "noalias";
        // SAFETY: the handle is a call's by contract of this function; the name's bytes live during the call.
        unsafe {
            let kind = LLVMGetEnumAttributeKindForName(NAME.as_ptr().cast(), NAME.len());
            !LLVMGetCallSiteEnumAttribute(self.0, attribute_index::RETURN, kind).is_null()
        }
    }

    /// Whether a call has this string attribute.
    pub(crate) fn has_call_string_attribute(self, name: &str) -> bool {
        // SAFETY: the handle is a call's by contract of this function.
        unsafe {
            !LLVMGetCallSiteStringAttribute(self.0, attribute_index::FUNCTION, name.as_ptr().cast(), name.len() as u32)
                .is_null()
        }
    }
}

/// LLVM's number of an attribute.
fn attribute_kind(name: &str) -> u32 {
    // SAFETY: the name's bytes live during the call; an unknown name gives kind 0, which is checked.
    let kind = unsafe { LLVMGetEnumAttributeKindForName(name.as_ptr().cast(), name.len()) };
    assert!(kind != 0, "LLVM has no attribute `{name}`");
    kind
}
