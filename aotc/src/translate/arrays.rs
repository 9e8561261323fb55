//! Arrays: allocation, element access, bulk operations.
//!
//! Bounds checks are explicit and come first, so that a trap happens before any element changes. Filling is a
//! loop and copying a `memmove`, both of which LLVM knows how to make fast.

use crate::llvm::{Cast, IntPredicate, Op, Value};
use crate::translate::alias::AliasClass;
use crate::translate::function::FunctionTranslator;
use crate::translate::stack::Operand;
use crate::translate::structs::{Extension, is_non_null};
use dolmen_abi::builtin::Builtin;
use dolmen_abi::object::{ARRAY_ELEMENTS_OFFSET, ARRAY_LENGTH_OFFSET, TYPE_WORD_OFFSET};
use dolmen_abi::reference::OBJECT_ALIGN_BYTES;
use dolmen_abi::trap::TrapCode;
use dolmen_abi::types::{CompositeType, FieldType, TypeIdx, ValType};
use wasmparser::Operator;

impl FunctionTranslator<'_, '_, '_> {
    /// Translates the operator if it is of this family.
    pub(crate) fn translate_array(&mut self, operator: &Operator<'_>) -> bool {
        match *operator {
            Operator::ArrayNew { array_type_index } => self.translate_array_new(TypeIdx(array_type_index)),
            Operator::ArrayNewDefault { array_type_index } => {
                let length = self.pop();
                let ty = TypeIdx(array_type_index);
                let array = self.alloc_array(ty, length);
                self.push(array, Self::ref_to(ty));
            }
            Operator::ArrayNewFixed { array_type_index, array_size } => {
                self.translate_array_new_fixed(TypeIdx(array_type_index), array_size);
            }
            Operator::ArrayNewData { array_type_index, array_data_index } => {
                self.translate_array_new_from(Builtin::ArrayNewData, TypeIdx(array_type_index), array_data_index);
            }
            Operator::ArrayNewElem { array_type_index, array_elem_index } => {
                self.translate_array_new_from(Builtin::ArrayNewElem, TypeIdx(array_type_index), array_elem_index);
            }
            Operator::ArrayGet { array_type_index } | Operator::ArrayGetU { array_type_index } => {
                self.translate_array_get(TypeIdx(array_type_index), Extension::Zero);
            }
            Operator::ArrayGetS { array_type_index } => {
                self.translate_array_get(TypeIdx(array_type_index), Extension::Sign);
            }
            Operator::ArraySet { array_type_index } => self.translate_array_set(TypeIdx(array_type_index)),
            Operator::ArrayLen => {
                let array = self.stack.pop();
                let length = self.checked_length(array);
                self.push(length, ValType::I32);
            }
            Operator::ArrayFill { array_type_index } => self.translate_array_fill(TypeIdx(array_type_index)),
            Operator::ArrayCopy { array_type_index_dst, .. } => {
                self.translate_array_copy(TypeIdx(array_type_index_dst));
            }
            Operator::ArrayInitData { array_data_index, .. } => {
                self.translate_array_init(Builtin::ArrayInitData, array_data_index);
            }
            Operator::ArrayInitElem { array_elem_index, .. } => {
                self.translate_array_init(Builtin::ArrayInitElem, array_elem_index);
            }
            _ => return false,
        }
        true
    }

    fn translate_array_new(&mut self, ty: TypeIdx) {
        let length = self.pop();
        let value = self.pop();
        let array = self.alloc_array(ty, length);
        if !value.is_null_constant() {
            self.fill_elements(array, ty, self.i32(0), length, value);
        }
        self.finish_elements(ty);
        self.push(array, Self::ref_to(ty));
    }

    fn translate_array_new_fixed(&mut self, ty: TypeIdx, length: u32) {
        let array = self.alloc_array(ty, self.i32(length));
        let values = self.stack.pop_many(length as usize);
        let (element, class) = self.element(ty);
        for (index, value) in values.iter().enumerate() {
            let address = self.element_address(array, element, self.i32(index as u32));
            self.store_at(address, element.storage, value.value, class);
        }
        self.finish_elements(ty);
        self.push(array, Self::ref_to(ty));
    }

    /// After the elements of a fresh array were set: if they are never null, no other thread may find one that is,
    /// so LLVM must not think that a later store makes one of these superfluous.
    fn finish_elements(&self, ty: TypeIdx) {
        if is_non_null(self.element(ty).0.storage) {
            self.b.compiler_fence();
        }
    }

    fn translate_array_new_from(&mut self, builtin: Builtin, ty: TypeIdx, segment: u32) {
        let (length, offset) = (self.pop(), self.pop());
        let type_word = self.type_word(ty);
        let array = self.call_builtin(builtin, &[self.instance, type_word, self.i32(segment), offset, length]);
        self.push(array, Self::ref_to(ty));
    }

    fn translate_array_get(&mut self, ty: TypeIdx, extension: Extension) {
        let index = self.pop();
        let array = self.stack.pop();
        self.check_index(array, index);
        let (element, class) = self.element(ty);
        let address = self.element_address(array.value, element, index);
        let value = self.load_storage(address, element, class, extension);
        self.push(value, element.storage.unpacked());
    }

    fn translate_array_set(&mut self, ty: TypeIdx) {
        let value = self.pop();
        let index = self.pop();
        let array = self.stack.pop();
        self.check_index(array, index);
        let (element, class) = self.element(ty);
        let address = self.element_address(array.value, element, index);
        self.store_at(address, element.storage, value, class);
        if element.storage.is_ref() {
            self.post_write_barrier_array(array.value, index, value);
        }
    }

    fn translate_array_fill(&mut self, ty: TypeIdx) {
        let count = self.pop();
        let value = self.pop();
        let start = self.pop();
        let array = self.stack.pop();
        self.check_range(array, start, count);
        self.fill_elements(array.value, ty, start, count, value);
        if self.element(ty).0.storage.is_ref() && !value.is_constant() {
            self.post_write_barrier_array_range(array.value, start, count);
        }
    }

    fn translate_array_copy(&mut self, ty: TypeIdx) {
        let count = self.pop();
        let src_start = self.pop();
        let src = self.stack.pop();
        let dst_start = self.pop();
        let dst = self.stack.pop();
        // Both null checks come before both range checks.
        self.trap_if_null(dst, TrapCode::NullArrayReference);
        self.trap_if_null(src, TrapCode::NullArrayReference);
        self.check_range(dst, dst_start, count);
        self.check_range(src, src_start, count);
        let (element, _) = self.element(ty);
        let log_bytes = element.storage.log_bytes();
        let bytes = self.b.cast(Cast::ZExt, count, self.unit.types.i64);
        let bytes = self.b.binary(Op::Shl, bytes, self.i64(log_bytes.into()));
        let dst_address = self.element_address(dst.value, element, dst_start);
        let src_address = self.element_address(src.value, element, src_start);
        self.b.memmove(dst_address, src_address, (1 << log_bytes).min(OBJECT_ALIGN_BYTES), bytes);
        if element.storage.is_ref() {
            self.post_write_barrier_array_range(dst.value, dst_start, count);
        }
    }

    fn translate_array_init(&mut self, builtin: Builtin, segment: u32) {
        let (count, src, dst) = (self.pop(), self.pop(), self.pop());
        let array = self.stack.pop();
        self.trap_if_null(array, TrapCode::NullArrayReference);
        self.call_builtin(builtin, &[self.instance, array.value, self.i32(segment), dst, src, count]);
    }

    /// A fresh array: header set, elements zero.
    fn alloc_array(&mut self, ty: TypeIdx, length: Value) -> Value {
        let element = self.element(ty).0;
        let log_elem_bytes = element.storage.log_bytes();
        let type_word = self.type_word(ty);
        let marker = self.unit.markers.alloc_array;
        let args = [self.thread, type_word, length, self.i32(log_elem_bytes)];
        let array = self.b.call(marker.function_type(), marker, &args, crate::llvm::C_CC);
        self.store_header(array, TYPE_WORD_OFFSET, type_word);
        self.store_header(array, ARRAY_LENGTH_OFFSET, length);
        if element.mutable {
            self.unit.mark_unaliased(array);
        }
        array
    }

    /// Stores a value to `count` elements from `start`, which are in bounds.
    fn fill_elements(&mut self, array: Value, ty: TypeIdx, start: Value, count: Value, value: Value) {
        let (element, class) = self.element(ty);
        let (body, done) = (self.new_block("fill"), self.new_block(""));
        let before = self.b.block();
        let zero = self.i32(0);
        let is_empty = self.b.icmp(IntPredicate::Eq, count, zero);
        self.b.cond_br(is_empty, done, body);
        self.b.position_at_end(body);
        let index = self.b.phi(self.unit.types.i32);
        index.add_incoming(zero, before);
        let position = self.b.binary(Op::Add, start, index);
        let address = self.element_address(array, element, position);
        self.store_at(address, element.storage, value, class);
        let next = self.b.binary(Op::Add, index, self.i32(1));
        index.add_incoming(next, body);
        let more = self.b.icmp(IntPredicate::Ult, next, count);
        self.b.cond_br(more, body, done);
        self.b.position_at_end(done);
    }

    pub(crate) fn element(&self, ty: TypeIdx) -> (FieldType, AliasClass) {
        let CompositeType::Array(element) = self.unit.module.sub_type(ty).composite else {
            panic!("type {} is not an array type", ty.0)
        };
        // Arrays of all reference types are one class: subtypes of one array type may differ in it.
        let name = if element.storage.is_ref() { "ref".to_owned() } else { format!("{:?}", element.storage) };
        (element, self.unit.alias.element(self.unit.context, &name))
    }

    pub(crate) fn element_address(&self, array: Value, element: FieldType, index: Value) -> Value {
        let first = self.object_address(array, ARRAY_ELEMENTS_OFFSET);
        let bits = 8 << element.storage.log_bytes();
        let step = if bits == 128 { self.unit.types.v128 } else { self.unit.context.int_type(bits) };
        self.b.gep(step, first, index)
    }

    /// The length of an array that may be null.
    fn checked_length(&mut self, array: Operand) -> Value {
        self.trap_if_null(array, TrapCode::NullArrayReference);
        let length = self.load_header(array.value, ARRAY_LENGTH_OFFSET);
        self.unit.mark_length(length);
        length
    }

    pub(crate) fn check_index(&mut self, array: Operand, index: Value) {
        let length = self.checked_length(array);
        let outside = self.b.icmp(IntPredicate::Uge, index, length);
        self.trap_if(outside, TrapCode::ArrayOutOfBounds);
    }

    /// Traps unless `start + count <= length`, computed without overflow.
    fn check_range(&mut self, array: Operand, start: Value, count: Value) {
        let length = self.checked_length(array);
        let wide = |value| self.b.cast(Cast::ZExt, value, self.unit.types.i64);
        let end = self.b.binary(Op::Add, wide(start), wide(count));
        let outside = self.b.icmp(IntPredicate::Ugt, end, wide(length));
        self.trap_if(outside, TrapCode::ArrayOutOfBounds);
    }
}
