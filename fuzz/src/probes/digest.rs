//! Values as integers, inside a probe.

use super::Facts;
use super::values::value_type;
use wasm_encoder::{AbstractHeapType as Abstract, BlockType, HeapType, Instruction, MemArg, MemArgTarget, ValType};
use wasmparser::{CompositeInnerType, StorageType, UnpackedIndex};

/// Classes of references.
const NULL: i64 = 0;
const I31: i64 = 1;
const STRUCT: i64 = 2;
const ARRAY: i64 = 3;
const OTHER: i64 = 4;

/// Bits below which the class of a reference stands; above them what else is known of it.
const LOG_CLASSES: i64 = 3;

/// Factor of the hash that folds several integers into one (FNV's prime for 64 bits).
const HASH_FACTOR: i64 = 0x100_0000_01b3;

/// The locals of a probe that is being written.
pub struct Digest<'a> {
    facts: &'a Facts,
    locals: Vec<ValType>,
}

impl<'a> Digest<'a> {
    pub fn new(facts: &'a Facts) -> Self {
        Self { facts, locals: Vec::new() }
    }

    pub fn into_locals(self) -> Vec<ValType> {
        self.locals
    }

    /// A new local that can hold a value of this type.
    pub fn local(&mut self, ty: wasmparser::ValType) -> Option<u32> {
        Some(self.local_of(value_type(self.facts, ty)?))
    }

    fn local_of(&mut self, ty: ValType) -> u32 {
        self.locals.push(ty);
        self.locals.len() as u32 - 1
    }

    /// Pushes the integers of the value in a local: how many.
    pub fn push(&mut self, ty: wasmparser::ValType, local: u32, body: &mut Vec<Instruction<'static>>) -> usize {
        body.push(Instruction::LocalGet(local));
        match ty {
            wasmparser::ValType::I32 => body.push(Instruction::I64ExtendI32S),
            wasmparser::ValType::I64 => {}
            wasmparser::ValType::F32 => body.extend([Instruction::I32ReinterpretF32, Instruction::I64ExtendI32U]),
            wasmparser::ValType::F64 => body.push(Instruction::I64ReinterpretF64),
            wasmparser::ValType::V128 => {
                body.extend([Instruction::I64x2ExtractLane(0), Instruction::LocalGet(local)]);
                body.push(Instruction::I64x2ExtractLane(1));
                return 2;
            }
            wasmparser::ValType::Ref(ty) => self.push_class(ty, local, body),
        }
        1
    }

    /// Turns the reference on the stack, which is in a local, too, into its class.
    fn push_class(&mut self, ty: wasmparser::RefType, local: u32, body: &mut Vec<Instruction<'static>>) {
        use wasmparser::AbstractHeapType as A;
        match ty.heap_type() {
            wasmparser::HeapType::Abstract { ty: A::Any | A::Eq | A::I31 | A::Struct | A::Array | A::None, .. } => {
                self.push_class_of_any(body);
            }
            wasmparser::HeapType::Abstract { ty: A::Extern | A::NoExtern, .. } => {
                body.push(Instruction::AnyConvertExtern);
                self.push_class_of_any(body);
            }
            wasmparser::HeapType::Concrete(UnpackedIndex::Id(id)) => {
                match &self.facts.sub_type(id).composite_type.inner {
                    CompositeInnerType::Struct(ty) => {
                        let fields: Vec<StorageType> = ty.fields.iter().map(|field| field.element_type).collect();
                        self.push_fields(&fields, self.facts.index_of(id).unwrap_or_default(), local, body);
                    }
                    CompositeInnerType::Array(_) => self.push_class_of_any(body),
                    _ => push_nullness(body),
                }
            }
            _ => push_nullness(body),
        }
    }

    /// Turns the `anyref` on the stack into its class.
    fn push_class_of_any(&mut self, body: &mut Vec<Instruction<'static>>) {
        let any = self.local_of(ValType::Ref(wasm_encoder::RefType::ANYREF));
        let of = |ty| HeapType::Abstract { shared: false, ty };
        let tested = |body: &mut Vec<_>, ty, then: &[Instruction<'static>]| {
            body.extend([Instruction::LocalGet(any), Instruction::RefTestNonNull(of(ty))]);
            body.push(Instruction::If(BlockType::Result(ValType::I64)));
            body.extend_from_slice(then);
            body.push(Instruction::Else);
        };
        body.extend([Instruction::LocalTee(any), Instruction::RefIsNull]);
        body.push(Instruction::If(BlockType::Result(ValType::I64)));
        body.extend([Instruction::I64Const(NULL), Instruction::Else]);
        let cast = |ty| [Instruction::LocalGet(any), Instruction::RefCastNonNull(of(ty))];
        let above = |class| [Instruction::I64Const(LOG_CLASSES), Instruction::I64Shl, Instruction::I64Const(class)];
        let [get, to_i31] = cast(Abstract::I31);
        let [shift, by, class] = above(I31);
        let i31 =
            [get, to_i31, Instruction::I31GetS, Instruction::I64ExtendI32S, shift, by, class, Instruction::I64Add];
        tested(body, Abstract::I31, &i31);
        tested(body, Abstract::Struct, &[Instruction::I64Const(STRUCT)]);
        let [get, to_array] = cast(Abstract::Array);
        let [shift, by, class] = above(ARRAY);
        let array =
            [get, to_array, Instruction::ArrayLen, Instruction::I64ExtendI32U, shift, by, class, Instruction::I64Add];
        tested(body, Abstract::Array, &array);
        body.extend([Instruction::I64Const(OTHER), Instruction::End, Instruction::End, Instruction::End]);
        body.push(Instruction::End);
    }

    /// Turns the struct on the stack, which is in a local, too, into a hash of its number fields.
    fn push_fields(&mut self, fields: &[StorageType], index: u32, local: u32, body: &mut Vec<Instruction<'static>>) {
        body.extend([Instruction::RefIsNull, Instruction::If(BlockType::Result(ValType::I64))]);
        body.extend([Instruction::I64Const(NULL), Instruction::Else, Instruction::I64Const(STRUCT)]);
        for (field_index, field) in (0..).zip(fields) {
            let read = [
                Instruction::LocalGet(local),
                match field {
                    StorageType::I8 | StorageType::I16 => {
                        Instruction::StructGetS { struct_type_index: index, field_index }
                    }
                    StorageType::Val(_) => Instruction::StructGet { struct_type_index: index, field_index },
                },
            ];
            let to_integer: &[Instruction<'static>] = match field {
                StorageType::I8 | StorageType::I16 | StorageType::Val(wasmparser::ValType::I32) => {
                    &[Instruction::I64ExtendI32S]
                }
                StorageType::Val(wasmparser::ValType::I64) => &[],
                StorageType::Val(wasmparser::ValType::F32) => {
                    &[Instruction::I32ReinterpretF32, Instruction::I64ExtendI32U]
                }
                StorageType::Val(wasmparser::ValType::F64) => &[Instruction::I64ReinterpretF64],
                StorageType::Val(wasmparser::ValType::V128) => &[Instruction::I64x2ExtractLane(1)],
                StorageType::Val(wasmparser::ValType::Ref(_)) => &[Instruction::RefIsNull, Instruction::I64ExtendI32U],
            };
            body.extend([Instruction::I64Const(HASH_FACTOR), Instruction::I64Mul]);
            body.extend(read);
            body.extend_from_slice(to_integer);
            body.push(Instruction::I64Xor);
        }
        body.push(Instruction::End);
    }

    /// Pushes a table's size and the hash of its first elements: how many integers.
    pub fn push_table(
        &mut self,
        table: u32,
        table64: bool,
        element: wasmparser::ValType,
        elements: u64,
        body: &mut Vec<Instruction<'static>>,
    ) -> Option<usize> {
        let local = self.local(element)?;
        let size = |body: &mut Vec<Instruction<'static>>| {
            body.push(Instruction::TableSize(table));
            body.extend((!table64).then_some(Instruction::I64ExtendI32U));
        };
        size(body);
        body.push(Instruction::I64Const(0));
        let hash = self.local_of(ValType::I64);
        body.push(Instruction::LocalSet(hash));
        for index in 0..elements as i64 {
            body.push(Instruction::I64Const(index));
            size(body);
            body.extend([Instruction::I64LtU, Instruction::If(BlockType::Empty)]);
            body.push(if table64 { Instruction::I64Const(index) } else { Instruction::I32Const(index as i32) });
            body.extend([Instruction::TableGet(table), Instruction::LocalSet(local)]);
            self.push(element, local, body);
            body.extend([Instruction::LocalGet(hash), Instruction::I64Const(HASH_FACTOR), Instruction::I64Mul]);
            body.extend([Instruction::I64Xor, Instruction::LocalSet(hash), Instruction::End]);
        }
        body.push(Instruction::LocalGet(hash));
        Some(2)
    }

    /// Pushes a memory's size in pages and the hash of its contents: how many integers.
    pub fn push_memory(&mut self, memory: u32, memory64: bool, body: &mut Vec<Instruction<'static>>) -> usize {
        let (hash, left) = (self.local_of(ValType::I64), self.local_of(ValType::I64));
        let pages = |body: &mut Vec<Instruction<'static>>| {
            body.push(Instruction::MemorySize(memory));
            body.extend((!memory64).then_some(Instruction::I64ExtendI32U));
        };
        pages(body);
        pages(body);
        body.extend([Instruction::I64Const(16), Instruction::I64Shl, Instruction::LocalSet(left)]);
        body.extend([Instruction::Block(BlockType::Empty), Instruction::Loop(BlockType::Empty)]);
        body.extend([Instruction::LocalGet(left), Instruction::I64Eqz, Instruction::BrIf(1)]);
        body.extend([Instruction::LocalGet(left), Instruction::I64Const(8), Instruction::I64Sub]);
        body.push(Instruction::LocalTee(left));
        body.extend((!memory64).then_some(Instruction::I32WrapI64));
        body.push(Instruction::I64Load(MemArg {
            offset: 0,
            align: 0,
            target: MemArgTarget::Memory(memory),
            ordering: None,
        }));
        body.extend([Instruction::LocalGet(hash), Instruction::I64Const(HASH_FACTOR), Instruction::I64Mul]);
        body.extend([Instruction::I64Xor, Instruction::LocalSet(hash), Instruction::Br(0)]);
        body.extend([Instruction::End, Instruction::End, Instruction::LocalGet(hash)]);
        2
    }
}

/// Turns the reference on the stack into whether it is null.
fn push_nullness(body: &mut Vec<Instruction<'static>>) {
    body.extend([Instruction::RefIsNull, Instruction::I64ExtendI32U]);
}
