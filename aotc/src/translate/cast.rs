//! Casts and type tests: constant-time checks of the type word, as [`dolmen_abi::type_desc`] lays them out.
//!
//! A test against a final type is one compare. Against another type it is one load from the object's descriptor
//! and one compare; types deeper than every display's minimum size first check the object's depth. Tests
//! against abstract types look at the kind in the type word's upper bits. What the operand's static type answers is not
//! tested.

use crate::error::CompileError;
use crate::llvm::{Cast, IntPredicate, Op, Value};
use crate::translate::function::FunctionTranslator;
use crate::translate::reference::non_null;
use crate::translate::stack::Operand;
use dolmen_abi::context::ThreadContext;
use dolmen_abi::object::TYPE_WORD_OFFSET;
use dolmen_abi::reference::I31_TAG;
use dolmen_abi::trap::TrapCode;
use dolmen_abi::type_desc::{DESC_DEPTH_OFFSET, DESC_DISPLAY_OFFSET, Kind, LOG_KIND_RANGE, MIN_DISPLAY};
use dolmen_abi::types::{HeapType, RefType, TypeIdx, ValType};
use wasmparser::Operator;

impl FunctionTranslator<'_, '_, '_> {
    /// Translates the operator if it is of this family.
    pub(crate) fn translate_cast(&mut self, operator: &Operator<'_>) -> Result<bool, CompileError> {
        match *operator {
            Operator::RefTestNonNull { hty } => self.translate_ref_test(hty, false)?,
            Operator::RefTestNullable { hty } => self.translate_ref_test(hty, true)?,
            Operator::RefCastNonNull { hty } => self.translate_ref_cast(hty, false)?,
            Operator::RefCastNullable { hty } => self.translate_ref_cast(hty, true)?,
            Operator::BrOnCast { relative_depth, from_ref_type, to_ref_type } => {
                self.translate_br_on_cast(relative_depth, from_ref_type, to_ref_type)?;
            }
            Operator::BrOnCastFail { relative_depth, from_ref_type, to_ref_type } => {
                self.translate_br_on_cast_fail(relative_depth, from_ref_type, to_ref_type)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn translate_ref_test(&mut self, heap: wasmparser::HeapType, nullable: bool) -> Result<(), CompileError> {
        let target = RefType { nullable, heap: crate::module::types::heap_type(heap, self.offset)? };
        let operand = self.stack.pop();
        let matches = self.matches(operand, target);
        self.push_bool(matches);
        Ok(())
    }

    fn translate_ref_cast(&mut self, heap: wasmparser::HeapType, nullable: bool) -> Result<(), CompileError> {
        let target = RefType { nullable, heap: crate::module::types::heap_type(heap, self.offset)? };
        let operand = self.stack.pop();
        let matches = self.matches(operand, target);
        let fails = self.b.binary(Op::Xor, matches, self.unit.types.i1.int(1));
        self.trap_if(fails, TrapCode::CastFailure);
        let ValType::Ref(source) = operand.ty else { panic!("a cast's operand is a reference") };
        let nullable = nullable && source.nullable;
        let heap = if self.unit.module.is_subtype(source.heap, target.heap) { source.heap } else { target.heap };
        self.push(operand.value, ValType::Ref(RefType { nullable, heap }));
        self.stack.set_fact(operand.fact);
        Ok(())
    }

    fn translate_br_on_cast(
        &mut self,
        depth: u32,
        from: wasmparser::RefType,
        to: wasmparser::RefType,
    ) -> Result<(), CompileError> {
        let from = crate::module::types::ref_type(from, self.offset)?;
        let to = crate::module::types::ref_type(to, self.offset)?;
        let operand = self.stack.pop();
        let matches = self.matches(operand, to);
        self.push(operand.value, ValType::Ref(to));
        self.branch_if(matches, depth);
        self.stack.pop();
        self.push(operand.value, difference(from, to));
        Ok(())
    }

    fn translate_br_on_cast_fail(
        &mut self,
        depth: u32,
        from: wasmparser::RefType,
        to: wasmparser::RefType,
    ) -> Result<(), CompileError> {
        let from = crate::module::types::ref_type(from, self.offset)?;
        let to = crate::module::types::ref_type(to, self.offset)?;
        let operand = self.stack.pop();
        let matches = self.matches(operand, to);
        let fails = self.b.binary(Op::Xor, matches, self.unit.types.i1.int(1));
        self.push(operand.value, difference(from, to));
        self.branch_if(fails, depth);
        self.stack.pop();
        self.push(operand.value, ValType::Ref(to));
        self.stack.set_fact(operand.fact);
        Ok(())
    }

    /// Whether a reference is of a type.
    pub(super) fn matches(&mut self, operand: Operand, target: RefType) -> Value {
        let value = operand.value;
        let types = self.unit.types;
        let (yes, no) = (types.i1.int(1), types.i1.int(0));
        let ValType::Ref(source) = operand.ty else { panic!("a cast's operand is a reference") };
        let on_null = if target.nullable { yes } else { no };
        let not_null = |this: &Self| this.b.icmp(IntPredicate::Ne, value, types.reference.zero());
        if self.unit.module.is_subtype(source.heap, target.heap) {
            return if target.nullable || !source.nullable { yes } else { not_null(self) };
        }
        match target.heap {
            // The top of each hierarchy: only null is in question.
            HeapType::Any | HeapType::Func | HeapType::Extern | HeapType::Exn => {
                if target.nullable {
                    yes
                } else {
                    not_null(self)
                }
            }
            HeapType::None | HeapType::NoFunc | HeapType::NoExtern | HeapType::NoExn => {
                if target.nullable {
                    self.is_null(value)
                } else {
                    no
                }
            }
            HeapType::I31 => {
                let is_i31 = self.is_i31(value);
                if target.nullable {
                    let is_null = self.is_null(value);
                    self.b.binary(Op::Or, is_i31, is_null)
                } else {
                    is_i31
                }
            }
            HeapType::Eq => {
                let is_i31 = self.is_i31(value);
                let is_null = self.is_null(value);
                let special = self.b.binary(Op::Or, is_i31, is_null);
                let on_special = self.b.select(is_null, on_null, yes);
                self.test_object(special, on_special, |this| this.kind_is_between(value, Kind::Struct, Kind::Array))
            }
            HeapType::Struct => self.test_possible_object(operand, source, on_null, |this| {
                this.kind_is_between(value, Kind::Struct, Kind::Struct)
            }),
            HeapType::Array => self.test_possible_object(operand, source, on_null, |this| {
                this.kind_is_between(value, Kind::Array, Kind::Array)
            }),
            HeapType::Concrete(ty) => {
                self.test_possible_object(operand, source, on_null, |this| this.is_instance(value, ty))
            }
            HeapType::Exact(ty) => {
                self.test_possible_object(operand, source, on_null, |this| this.is_exactly(value, ty))
            }
        }
    }

    /// `test` if the operand is an object; else whether it is null and the target has null.
    pub(crate) fn test_cast(
        &mut self,
        operand: Operand,
        nullable: bool,
        test: impl FnOnce(&mut Self) -> Value,
    ) -> Value {
        let ValType::Ref(source) = operand.ty else { panic!("a cast's operand is a reference") };
        let on_null = self.unit.types.i1.int(nullable.into());
        self.test_possible_object(operand, source, on_null, test)
    }

    /// `test` if the value is an object; `on_null` for null and false for an `i31`, as far as the static type
    /// allows them.
    fn test_possible_object(
        &mut self,
        operand: Operand,
        source: RefType,
        on_null: Value,
        test: impl FnOnce(&mut Self) -> Value,
    ) -> Value {
        let value = operand.value;
        let no = self.unit.types.i1.int(0);
        let may_be_i31 = matches!(source.heap, HeapType::Any | HeapType::Eq | HeapType::I31 | HeapType::Extern);
        match (source.nullable, may_be_i31) {
            (false, false) => test(self),
            (true, false) => {
                let is_null = self.is_null(value);
                self.test_object(is_null, on_null, test)
            }
            (false, true) => {
                let is_i31 = self.is_i31(value);
                self.test_object(is_i31, no, test)
            }
            (true, true) => {
                let is_null = self.is_null(value);
                let is_i31 = self.is_i31(value);
                let special = self.b.binary(Op::Or, is_null, is_i31);
                let on_special = self.b.select(is_null, on_null, no);
                self.test_object(special, on_special, test)
            }
        }
    }

    /// `on_special` if the condition holds, else the test, which may load the object's header.
    pub(crate) fn test_object(
        &mut self,
        special: Value,
        on_special: Value,
        test: impl FnOnce(&mut Self) -> Value,
    ) -> Value {
        let (object, merge) = (self.new_block(""), self.new_block(""));
        let before = self.b.block();
        self.b.cond_br(special, merge, object);
        self.b.position_at_end(object);
        let result = test(self);
        let after = self.b.block();
        self.b.br(merge);
        self.b.position_at_end(merge);
        let phi = self.b.phi(self.unit.types.i1);
        phi.add_incoming(on_special, before);
        phi.add_incoming(result, after);
        phi
    }

    fn is_i31(&self, reference: Value) -> Value {
        let word = self.reference_word(reference);
        let tag = self.b.binary(Op::And, word, self.i32(I31_TAG));
        self.b.icmp(IntPredicate::Ne, tag, self.i32(0))
    }

    /// Whether an object's kind is one of a range of kinds.
    fn kind_is_between(&self, object: Value, first: Kind, last: Kind) -> Value {
        let type_word = self.load_header(object, TYPE_WORD_OFFSET);
        let kind = self.b.binary(Op::LShr, type_word, self.i32(LOG_KIND_RANGE));
        let distance = self.b.binary(Op::Sub, kind, self.i32(first as u32));
        self.b.icmp(IntPredicate::Ule, distance, self.i32(last as u32 - first as u32))
    }

    /// Whether an object, neither null nor an `i31`, is of a type of the module.
    pub(crate) fn is_instance(&self, object: Value, ty: TypeIdx) -> Value {
        let type_word = self.load_header(object, TYPE_WORD_OFFSET);
        let wanted = self.type_word(ty);
        if self.unit.module.sub_type(ty).is_final {
            return self.equal(type_word, wanted);
        }
        let depth = self.unit.module.depth(ty);
        let entry = self.load_descriptor_word(type_word, DESC_DISPLAY_OFFSET + 4 * depth);
        let display_matches = self.equal(entry, wanted);
        if (depth as usize) < MIN_DISPLAY {
            return display_matches;
        }
        // The entry may lie behind the object's own descriptor, where it means nothing; reading it is harmless,
        // since the descriptor range is readable throughout.
        let own_depth = self.load_descriptor_half_word(type_word, DESC_DEPTH_OFFSET);
        let deep_enough = self.b.icmp(IntPredicate::Uge, own_depth, self.i32(depth));
        self.b.binary(Op::And, deep_enough, display_matches)
    }

    /// Whether an object, neither null nor an `i31`, is of a type of the module and of no subtype.
    fn is_exactly(&self, object: Value, ty: TypeIdx) -> Value {
        let type_word = self.load_header(object, TYPE_WORD_OFFSET);
        self.equal(type_word, self.type_word(ty))
    }

    fn descriptor_address(&self, type_word: Value, offset: u32) -> Value {
        let types = &self.unit.types;
        let base = self.load_thread(types.ptr, core::mem::offset_of!(ThreadContext, type_base));
        let wide = self.b.cast(Cast::ZExt, type_word, types.i64);
        let descriptor = self.b.gep(types.i8, base, wide);
        self.b.gep(types.i8, descriptor, self.i64(offset.into()))
    }

    fn load_descriptor_word(&self, type_word: Value, offset: u32) -> Value {
        let load = self.b.load(self.unit.types.i32, self.descriptor_address(type_word, offset));
        self.unit.mark_invariant(load);
        load
    }

    fn load_descriptor_half_word(&self, type_word: Value, offset: u32) -> Value {
        let load = self.b.load(self.unit.types.i16, self.descriptor_address(type_word, offset));
        self.unit.mark_invariant(load);
        self.b.cast(Cast::ZExt, load, self.unit.types.i32)
    }
}

/// What is left of a type when a cast to another one has failed.
pub(crate) fn difference(from: RefType, to: RefType) -> ValType {
    let ty = ValType::Ref(from);
    if to.nullable { non_null(ty) } else { ty }
}
