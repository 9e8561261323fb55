//! Arrays: allocation, element access, bulk operations.
//!
//! Bounds checks are explicit and come first, so that a trap happens before any element changes. Filling is a
//! loop and copying a `memmove`, both of which LLVM knows how to make fast. Ranges that may be long are filled and copied
//! in pieces, between which code polls, as in every loop. What a piece has copied is told to the collector before the
//! poll. Filling polls within a piece, too, so the collector is told *before*: if it collects on the way, it finds what is
//! there, and afterwards the value is old, since it was a root, and need not be remembered any more.

use crate::llvm::{Cast, IntPredicate, Op, Value};
use crate::module::types::is_non_null;
use crate::translate::alias::AliasClass;
use crate::translate::function::FunctionTranslator;
use crate::translate::reference::non_null;
use crate::translate::stack::Operand;
use crate::translate::structs::Extension;
use dolmen_abi::builtin::Builtin;
use dolmen_abi::object::{ARRAY_ELEMENTS_OFFSET, ARRAY_LENGTH_OFFSET, TYPE_WORD_OFFSET};
use dolmen_abi::reference::OBJECT_ALIGN_BYTES;
use dolmen_abi::trap::TrapCode;
use dolmen_abi::types::{CompositeType, FieldType, TypeIdx, ValType};
use wasmparser::Operator;

/// Elements of a piece: at most a megabyte, which takes some ten microseconds.
const PIECE_ELEMENTS: u32 = 1 << 16;

/// A range of an array's elements, in bounds.
#[derive(Clone, Copy)]
struct Range {
    array: Value,
    ty: TypeIdx,
    start: Value,
    count: Value,
}

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
            let range = Range { array, ty, start: self.i32(0), count: length };
            self.fill_elements(range, value);
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
            let store = self.store_at(address, element.storage, value.value, class);
            self.unit.mark_initial_store(store);
        }
        self.finish_elements(ty);
        self.push(array, Self::ref_to(ty));
    }

    /// After the elements of a fresh array were set: if they are never null, no other thread may find one that is. Where
    /// fences are needed at all, immutable elements get one too, so that others find them as they will always be.
    fn finish_elements(&self, ty: TypeIdx) {
        let is_immutable = !self.element(ty).0.mutable;
        if self.is_never_null(ty) || self.unit.fences && is_immutable {
            self.unit.fence_elements(&self.b);
        }
    }

    /// Whether elements are references that are never null, by their type or by all that is stored there.
    fn is_never_null(&self, ty: TypeIdx) -> bool {
        let (module, storage) = (self.unit.module, self.element(ty).0.storage);
        is_non_null(storage) || storage.is_ref() && module.stored_values.elements.are_never_null(module, ty)
    }

    fn translate_array_new_from(&mut self, builtin: Builtin, ty: TypeIdx, segment: u32) {
        let (length, offset) = (self.pop(), self.pop());
        let type_word = self.type_word(ty);
        let array = self.call_builtin(
            builtin,
            &[
                self.instance,
                type_word,
                self.unit.index(segment),
                self.unit.passed_on(offset),
                self.unit.passed_on(length),
            ],
        );
        self.push(array, Self::ref_to(ty));
    }

    fn translate_array_get(&mut self, ty: TypeIdx, extension: Extension) {
        let index = self.pop();
        let array = self.stack.pop();
        self.check_index(array, index);
        let (element, class) = self.element(ty);
        let address = self.element_address(array.value, element, index);
        let value = self.load_storage(address, element, class, extension);
        let mut loaded = element.storage.unpacked();
        if self.is_never_null(ty) {
            self.unit.mark_non_null(value);
            loaded = non_null(loaded);
        }
        self.push(value, loaded);
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
        if self.element(ty).0.storage.is_ref() && !value.is_constant() {
            self.post_write_barrier_array_range(array.value, start, count);
        }
        self.fill_elements(Range { array: array.value, ty, start, count }, value);
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
        let dst = Range { array: dst.value, ty, start: dst_start, count };
        if self.is_surely_short(count) {
            return self.copy_elements(dst, src.value, src_start);
        }
        let [long, short, done] = ["copy", "", ""].map(|name| self.new_block(name));
        let is_long = self.b.icmp(IntPredicate::Ugt, count, self.i32(PIECE_ELEMENTS));
        self.unit.mark_unlikely(self.b.cond_br(is_long, long, short));
        self.b.position_at_end(long);
        // Within one array, nothing is overwritten that is still to be copied.
        let is_down = self.b.icmp(IntPredicate::Ugt, dst_start, src_start);
        self.in_pieces(count, |this, before, piece| {
            let behind = this.b.binary(Op::Sub, count, this.b.binary(Op::Add, before, piece));
            let offset = this.b.select(is_down, behind, before);
            let [dst_start, src_start] = [dst_start, src_start].map(|start| this.b.binary(Op::Add, start, offset));
            this.copy_elements(Range { start: dst_start, count: piece, ..dst }, src.value, src_start);
        });
        self.b.br(done);
        self.b.position_at_end(short);
        self.copy_elements(dst, src.value, src_start);
        self.b.br(done);
        self.b.position_at_end(done);
    }

    /// Copies elements between arrays of the same representation, at once.
    fn copy_elements(&mut self, dst: Range, src: Value, src_start: Value) {
        let (element, _) = self.element(dst.ty);
        let log_bytes = element.storage.log_bytes();
        let bytes = self.b.cast(Cast::ZExt, dst.count, self.unit.types.i64);
        let bytes = self.b.binary(Op::Shl, bytes, self.i64(log_bytes.into()));
        let dst_address = self.element_address(dst.array, element, dst.start);
        let src_address = self.element_address(src, element, src_start);
        self.b.memmove(dst_address, src_address, (1 << log_bytes).min(OBJECT_ALIGN_BYTES), bytes);
        if element.storage.is_ref() {
            self.post_write_barrier_array_range(dst.array, dst.start, dst.count);
        }
    }

    /// Whether so many elements are no more than a piece, or code need not be stopped.
    fn is_surely_short(&self, count: Value) -> bool {
        !self.unit.polls || count.const_int().is_some_and(|count| (0..=PIECE_ELEMENTS.into()).contains(&count))
    }

    /// A loop over pieces of `count` elements, at least one: `emit` is given how many come before, and how many there
    /// are. The builder then stands behind the loop.
    fn in_pieces(&mut self, count: Value, emit: impl FnOnce(&mut Self, Value, Value)) {
        let (head, behind) = (self.new_block("pieces"), self.new_block(""));
        let entry = self.b.block();
        self.b.br(head);
        self.b.position_at_end(head);
        let before = self.b.phi(self.unit.types.i32);
        before.add_incoming(self.i32(0), entry);
        let rest = self.b.binary(Op::Sub, count, before);
        let is_last = self.b.icmp(IntPredicate::Ule, rest, self.i32(PIECE_ELEMENTS));
        let piece = self.b.select(is_last, rest, self.i32(PIECE_ELEMENTS));
        emit(self, before, piece);
        before.add_incoming(self.b.binary(Op::Add, before, piece), self.b.block());
        self.b.cond_br(is_last, behind, head);
        self.b.position_at_end(behind);
    }

    fn translate_array_init(&mut self, builtin: Builtin, segment: u32) {
        let (count, src, dst) = (self.pop(), self.pop(), self.pop());
        let array = self.stack.pop();
        self.trap_if_null(array, TrapCode::NullArrayReference);
        self.call_builtin(builtin, &[self.instance, array.value, self.unit.index(segment), dst, src, count]);
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

    /// Stores a value to elements.
    fn fill_elements(&mut self, range: Range, value: Value) {
        let (some, done) = (self.new_block(""), self.new_block(""));
        let is_empty = self.b.icmp(IntPredicate::Eq, range.count, self.i32(0));
        self.b.cond_br(is_empty, done, some);
        self.b.position_at_end(some);
        if self.is_surely_short(range.count) {
            self.fill_piece(range, value);
        } else {
            self.in_pieces(range.count, |this, before, piece| {
                let start = this.b.binary(Op::Add, range.start, before);
                this.fill_piece(Range { start, count: piece, ..range }, value);
            });
        }
        self.b.br(done);
        self.b.position_at_end(done);
    }

    /// Stores a value to elements, at least one.
    fn fill_piece(&mut self, range: Range, value: Value) {
        let (element, class) = self.element(range.ty);
        let (body, done) = (self.new_block("fill"), self.new_block(""));
        let before = self.b.block();
        self.b.br(body);
        self.b.position_at_end(body);
        let index = self.b.phi(self.unit.types.i32);
        index.add_incoming(self.i32(0), before);
        let position = self.b.binary(Op::Add, range.start, index);
        let address = self.element_address(range.array, element, position);
        self.store_at(address, element.storage, value, class);
        let next = self.b.binary(Op::Add, index, self.i32(1));
        index.add_incoming(next, body);
        let more = self.b.icmp(IntPredicate::Ne, next, range.count);
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
