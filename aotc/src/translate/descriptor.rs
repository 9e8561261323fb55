//! Custom descriptors: objects that carry what their types have in common, such as method tables.
//!
//! A struct type may have a descriptor type; each of its objects then refers to an object of that type for life. The
//! reference is a hidden immutable field ([`dolmen_abi::layout::struct_layout`]), so reading it is one load. A cast
//! by descriptor asks first whether the object is of a type that has the field, then whether the field is the wanted
//! descriptor: since descriptors are typed, this also tells the type that the descriptor describes.
//! Reference: the custom-descriptors proposal.

use crate::error::CompileError;
use crate::llvm::{Op, Value};
use crate::translate::cast::difference;
use crate::translate::function::FunctionTranslator;
use crate::translate::stack::Operand;
use dolmen_abi::trap::TrapCode;
use dolmen_abi::types::{HeapType, RefType, TypeIdx, ValType};
use wasmparser::Operator;

/// Where a cast branches to, and from which type to which.
type CastBranch = (u32, RefType, RefType);

impl FunctionTranslator<'_, '_, '_> {
    /// Translates the operator if it is of this family.
    pub(crate) fn translate_descriptor(&mut self, operator: &Operator<'_>) -> Result<bool, CompileError> {
        match *operator {
            Operator::RefGetDesc { type_index } => self.translate_ref_get_desc(TypeIdx(type_index)),
            Operator::RefCastDescEqNonNull { hty } => self.translate_ref_cast_desc_eq(hty, false)?,
            Operator::RefCastDescEqNullable { hty } => self.translate_ref_cast_desc_eq(hty, true)?,
            Operator::BrOnCastDescEq { relative_depth, from_ref_type, to_ref_type } => {
                let branch = (relative_depth, self.ref_type(from_ref_type)?, self.ref_type(to_ref_type)?);
                self.translate_br_on_cast_desc_eq(branch);
            }
            Operator::BrOnCastDescEqFail { relative_depth, from_ref_type, to_ref_type } => {
                let branch = (relative_depth, self.ref_type(from_ref_type)?, self.ref_type(to_ref_type)?);
                self.translate_br_on_cast_desc_eq_fail(branch);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Pops a descriptor; traps if it is null.
    pub(crate) fn pop_descriptor(&mut self) -> Value {
        let descriptor = self.stack.pop();
        self.trap_if_null(descriptor, TrapCode::NullDescriptorReference);
        descriptor.value
    }

    /// Gives an access to the descriptor of an object of this type its alias class.
    pub(crate) fn tag_descriptor(&self, access: Value, ty: TypeIdx) {
        let module = self.unit.module;
        let declaring = module.canonical[module.described_type(ty).0 as usize];
        let class = self.unit.alias.descriptor(self.unit.context, declaring);
        self.unit.alias.tag(access, self.unit.metadata.tbaa, class);
    }

    fn translate_ref_get_desc(&mut self, ty: TypeIdx) {
        let object = self.stack.pop();
        self.trap_if_null(object, TrapCode::NullReference);
        let descriptor = self.load_descriptor(object.value, ty);
        let descriptor_type = self.unit.module.sub_type(ty).descriptor.expect("validation asks for a described type");
        self.push(descriptor, Self::ref_to(descriptor_type));
    }

    fn translate_ref_cast_desc_eq(&mut self, heap: wasmparser::HeapType, nullable: bool) -> Result<(), CompileError> {
        let target = RefType { nullable, heap: crate::module::types::heap_type(heap, self.offset)? };
        let descriptor = self.pop_descriptor();
        let operand = self.stack.pop();
        let matches = self.has_descriptor(operand, target, descriptor);
        let fails = self.b.binary(Op::Xor, matches, self.unit.types.i1.int(1));
        self.trap_if(fails, TrapCode::DescriptorCastFailure);
        self.push(operand.value, ValType::Ref(target));
        Ok(())
    }

    fn translate_br_on_cast_desc_eq(&mut self, (depth, from, to): CastBranch) {
        let descriptor = self.pop_descriptor();
        let operand = self.stack.pop();
        let matches = self.has_descriptor(operand, to, descriptor);
        self.push(operand.value, ValType::Ref(to));
        self.branch_if(matches, depth);
        self.stack.pop();
        self.push(operand.value, difference(from, to));
    }

    fn translate_br_on_cast_desc_eq_fail(&mut self, (depth, from, to): CastBranch) {
        let descriptor = self.pop_descriptor();
        let operand = self.stack.pop();
        let matches = self.has_descriptor(operand, to, descriptor);
        let fails = self.b.binary(Op::Xor, matches, self.unit.types.i1.int(1));
        self.push(operand.value, difference(from, to));
        self.branch_if(fails, depth);
        self.stack.pop();
        self.push(operand.value, ValType::Ref(to));
    }

    /// Whether a reference is to an object with this descriptor, or null where the type has it.
    fn has_descriptor(&mut self, operand: Operand, target: RefType, descriptor: Value) -> Value {
        let (HeapType::Concrete(ty) | HeapType::Exact(ty)) = target.heap else {
            panic!("validation asks for a described type, not {:?}", target.heap)
        };
        self.test_cast(operand, target.nullable, |this| {
            let described = this.unit.module.described_type(ty);
            let is_described = this.is_instance(operand.value, described);
            let (yes, no) = (this.unit.types.i1.int(1), this.unit.types.i1.int(0));
            let not_described = this.b.binary(Op::Xor, is_described, yes);
            this.test_object(not_described, no, |this| {
                let found = this.load_descriptor(operand.value, ty);
                this.b.icmp(crate::llvm::IntPredicate::Eq, found, descriptor)
            })
        })
    }

    /// The descriptor of an object of a described type.
    fn load_descriptor(&self, object: Value, ty: TypeIdx) -> Value {
        let offset = self.unit.struct_layout(ty).descriptor.expect("a described type's layout has the field");
        let load = self.b.load(self.unit.types.reference, self.object_address(object, offset));
        self.unit.mark_invariant(load);
        self.tag_descriptor(load, ty);
        load
    }

    fn ref_type(&self, ty: wasmparser::RefType) -> Result<RefType, CompileError> {
        crate::module::types::ref_type(ty, self.offset)
    }
}
