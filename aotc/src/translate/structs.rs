//! Structs: allocation and field access.

use crate::llvm::{Cast, Type, Value};
use crate::module::prototypes::is_set_by_allocation;
use crate::translate::alias::AliasClass;
use crate::translate::devirtualise::Fact;
use crate::translate::function::FunctionTranslator;
use dolmen_abi::object::TYPE_WORD_OFFSET;
use dolmen_abi::trap::TrapCode;
use dolmen_abi::types::{CompositeType, FieldType, StorageType, TypeIdx};
use wasmparser::Operator;

/// How a packed value becomes an `i32`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extension {
    Sign,
    /// Also for values that are not packed, which are not extended at all.
    Zero,
}

/// A field of a struct type.
struct Field {
    ty: FieldType,
    offset: u32,
    class: AliasClass,
}

impl FunctionTranslator<'_, '_, '_> {
    /// Translates the operator if it is of this family.
    pub(crate) fn translate_struct(&mut self, operator: &Operator<'_>) -> bool {
        match *operator {
            Operator::StructNew { struct_type_index } => self.translate_struct_new(TypeIdx(struct_type_index), None),
            Operator::StructNewDefault { struct_type_index } => {
                self.translate_struct_new_default(TypeIdx(struct_type_index), None);
            }
            Operator::StructNewDesc { struct_type_index } => {
                let descriptor = self.pop_descriptor();
                self.translate_struct_new(TypeIdx(struct_type_index), Some(descriptor));
            }
            Operator::StructNewDefaultDesc { struct_type_index } => {
                let descriptor = self.pop_descriptor();
                self.translate_struct_new_default(TypeIdx(struct_type_index), Some(descriptor));
            }
            Operator::StructGet { struct_type_index, field_index }
            | Operator::StructGetU { struct_type_index, field_index } => {
                self.translate_struct_get(TypeIdx(struct_type_index), field_index, Extension::Zero);
            }
            Operator::StructGetS { struct_type_index, field_index } => {
                self.translate_struct_get(TypeIdx(struct_type_index), field_index, Extension::Sign);
            }
            Operator::StructSet { struct_type_index, field_index } => {
                self.translate_struct_set(TypeIdx(struct_type_index), field_index);
            }
            _ => return false,
        }
        true
    }

    fn translate_struct_new(&mut self, ty: TypeIdx, descriptor: Option<Value>) {
        let count = self.unit.struct_layout(ty).offsets.len();
        let values = self.stack.pop_many(count);
        let fields: Vec<_> = (0..count).map(|index| self.field(ty, index)).collect();
        let mut set_by_allocation = Vec::new();
        for (field, value) in fields.iter().zip(&values).filter(|(field, _)| is_set_by_allocation(field.ty)) {
            set_by_allocation.push(self.i32(field.offset));
            set_by_allocation.push(self.pack(field.ty.storage, value.value));
        }
        self.unit.mention_prototype(ty);
        let object = self.alloc_struct(ty, descriptor, set_by_allocation);
        for (field, value) in fields.iter().zip(&values) {
            // Zero is there already. Were it stored, LLVM would make one of an allocation with zeros and another without.
            if value.value.is_null_constant() {
                continue;
            }
            let address = self.object_address(object, field.offset);
            let store = self.store_at(address, field.ty.storage, value.value, field.class);
            if is_set_by_allocation(field.ty) {
                self.unit.mark_allocation_store(store);
            } else {
                self.unit.mark_initial_store(store);
            }
        }
        self.push(object, Self::ref_to(ty));
    }

    fn translate_struct_get(&mut self, ty: TypeIdx, index: u32, extension: Extension) {
        let object = self.stack.pop();
        let field = self.field(ty, index as usize);
        let known = self.known_field(object, ty, index);
        if let Some(value) = known.and_then(|constant| self.constant_value(constant)) {
            self.push(value, field.ty.storage.unpacked());
            self.note_fact(known.map(Fact::Is));
            return;
        }
        self.trap_if_null(object, TrapCode::NullStructReference);
        let address = self.object_address(object.value, field.offset);
        let value = self.load_storage(address, field.ty, field.class, extension);
        self.push(value, field.ty.storage.unpacked());
        if field.ty.storage.is_ref() {
            let fact = known.map_or_else(|| self.field_fact(object, ty, index, value), Fact::Is);
            self.note_fact(Some(fact));
        }
    }

    fn translate_struct_set(&mut self, ty: TypeIdx, index: u32) {
        let value = self.pop();
        let object = self.stack.pop();
        self.trap_if_null(object, TrapCode::NullStructReference);
        let field = self.field(ty, index as usize);
        self.store_storage(object.value, field.offset, field.ty.storage, value, field.class);
        if field.ty.storage.is_ref() {
            self.post_write_barrier(object.value, value);
        }
    }

    /// A field's type and its offset in the struct.
    pub(crate) fn field_place(&self, ty: TypeIdx, index: usize) -> (FieldType, u32) {
        let field = self.field(ty, index);
        (field.ty, field.offset)
    }

    fn field(&self, ty: TypeIdx, index: usize) -> Field {
        let module = self.unit.module;
        let CompositeType::Struct(fields) = &module.sub_type(ty).composite else {
            panic!("type {} is not a struct type", ty.0)
        };
        let declaring = module.canonical[module.declaring_type(ty, index).0 as usize];
        Field {
            ty: fields[index],
            offset: self.unit.struct_layout(ty).offsets[index],
            class: self.unit.alias.field(self.unit.context, declaring, index),
        }
    }

    fn translate_struct_new_default(&mut self, ty: TypeIdx, descriptor: Option<Value>) {
        let object = self.alloc_struct(ty, descriptor, Vec::new());
        self.push(object, Self::ref_to(ty));
    }

    /// A fresh struct: header and custom descriptor set, and what the allocation itself sets, see
    /// [`alloc_fixed`](Self::alloc_fixed); other fields zero.
    fn alloc_struct(&mut self, ty: TypeIdx, descriptor: Option<Value>, mut fields: Vec<Value>) -> Value {
        let layout = self.unit.struct_layout(ty);
        let descriptor = descriptor.zip(layout.descriptor);
        if let Some((descriptor, offset)) = descriptor {
            fields.extend([self.i32(offset), descriptor]);
        }
        let type_word = self.type_word(ty);
        let object = self.alloc_fixed(type_word, layout.size_bytes, &fields);
        if let Some((descriptor, offset)) = descriptor {
            let store = self.b.store(descriptor, self.object_address(object, offset));
            self.tag_descriptor(store, ty);
            self.unit.mark_allocation_store(store);
        }
        object
    }

    /// A fresh object of fixed size, in which the allocation itself sets the fields given as pairs of offset and
    /// value. The caller stores them too, for LLVM to see.
    pub(crate) fn alloc_fixed(&mut self, type_word: Value, size_bytes: u32, fields: &[Value]) -> Value {
        let marker = self.unit.markers.alloc_struct;
        let mut args = vec![self.thread, type_word, self.i32(size_bytes)];
        args.extend_from_slice(fields);
        let object = self.b.call(marker.function_type(), marker, &args, crate::llvm::C_CC);
        self.unit.mark_unaliased(object);
        self.store_header(object, TYPE_WORD_OFFSET, type_word);
        object
    }

    /// Tells LLVM what the allocation puts into the header.
    pub(crate) fn store_header(&self, object: Value, offset: u32, word: Value) {
        let store = self.b.store(word, self.object_address(object, offset));
        self.unit.mark_allocation_store(store);
        self.unit.alias.tag(store, self.unit.metadata.tbaa, self.unit.alias.header);
    }

    /// Loads a word of an object's header.
    pub(crate) fn load_header(&self, object: Value, offset: u32) -> Value {
        let load = self.b.load(self.unit.types.i32, self.object_address(object, offset));
        self.unit.mark_invariant(load);
        self.unit.alias.tag(load, self.unit.metadata.tbaa, self.unit.alias.header);
        load
    }

    /// An address inside an object.
    pub(crate) fn object_address(&self, object: Value, offset: u32) -> Value {
        if offset == 0 {
            return object;
        }
        self.b.gep(self.unit.types.i8, object, self.i32(offset))
    }

    /// Loads a field or element and extends it if it is packed.
    pub(crate) fn load_storage(&self, address: Value, ty: FieldType, class: AliasClass, extend: Extension) -> Value {
        let load = self.b.load(self.storage_type(ty.storage), address);
        self.set_storage_alignment(load, ty.storage);
        self.unit.alias.tag(load, self.unit.metadata.tbaa, class);
        if !ty.mutable {
            self.unit.mark_invariant(load);
        }
        self.unpack(load, ty.storage, extend)
    }

    /// The type that memory holds.
    pub(crate) fn storage_type(&self, storage: StorageType) -> Type {
        match storage {
            StorageType::I8 => self.unit.types.i8,
            StorageType::I16 => self.unit.types.i16,
            StorageType::Val(value) => self.lower_type(value),
        }
    }

    /// The value of what memory holds.
    pub(crate) fn unpack(&self, held: Value, storage: StorageType, extend: Extension) -> Value {
        match (storage, extend) {
            (StorageType::Val(_), _) => held,
            (_, Extension::Sign) => self.b.cast(Cast::SExt, held, self.unit.types.i32),
            (_, Extension::Zero) => self.b.cast(Cast::ZExt, held, self.unit.types.i32),
        }
    }

    fn store_storage(&self, object: Value, offset: u32, storage: StorageType, value: Value, class: AliasClass) {
        let address = self.object_address(object, offset);
        self.store_at(address, storage, value, class);
    }

    /// Stores a field or element, truncated if it is packed; without barrier.
    pub(crate) fn store_at(&self, address: Value, storage: StorageType, value: Value, class: AliasClass) -> Value {
        let store = self.b.store(self.pack(storage, value), address);
        self.set_storage_alignment(store, storage);
        self.unit.alias.tag(store, self.unit.metadata.tbaa, class);
        store
    }

    /// The value as memory holds it.
    pub(crate) fn pack(&self, storage: StorageType, value: Value) -> Value {
        match storage {
            StorageType::I8 => self.b.cast(Cast::Trunc, value, self.unit.types.i8),
            StorageType::I16 => self.b.cast(Cast::Trunc, value, self.unit.types.i16),
            StorageType::Val(_) => value,
        }
    }

    fn set_storage_alignment(&self, access: Value, storage: StorageType) {
        access.set_alignment((1 << storage.log_bytes()).min(dolmen_abi::reference::OBJECT_ALIGN_BYTES));
    }

    /// After the reference `stored` was stored into a field of the object.
    pub(crate) fn post_write_barrier(&self, object: Value, stored: Value) {
        if self.unit.barrier != dolmen_abi::collector::Barrier::None {
            let marker = self.unit.markers.post_write_barrier;
            self.b.call(marker.function_type(), marker, &[self.thread, object, stored], crate::llvm::C_CC);
        }
    }

    /// After the reference `stored` was stored into an element of the array.
    pub(crate) fn post_write_barrier_array(&self, array: Value, index: Value, stored: Value) {
        if self.unit.barrier != dolmen_abi::collector::Barrier::None {
            let marker = self.unit.markers.post_write_barrier_array;
            self.b.call(marker.function_type(), marker, &[self.thread, array, index, stored], crate::llvm::C_CC);
        }
    }

    /// After references were stored into elements of the array.
    pub(crate) fn post_write_barrier_array_range(&self, array: Value, start: Value, count: Value) {
        if self.unit.barrier != dolmen_abi::collector::Barrier::None {
            let marker = self.unit.markers.post_write_barrier_array_range;
            self.b.call(marker.function_type(), marker, &[self.thread, array, start, count], crate::llvm::C_CC);
        }
    }
}
