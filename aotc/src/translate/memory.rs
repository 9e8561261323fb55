//! Linear memory: loads, stores, size, growth and the bulk operators.
//!
//! The problem: every access must trap if it reaches beyond the memory, whose size changes when it grows, and
//! the check must cost little and be seen through by LLVM. A memory is reached through the instance context:
//!
//! ```text
//! instance ─ memories[index] (never changes) ─► MemoryDef { base, len_bytes } (change when the memory grows)
//! ```
//!
//! `base` and `len_bytes` are of the alias class of contexts: stores to the memory leave them alone, so loops
//! without calls load them once. The check is one comparison:
//!
//! - 32-bit addresses: `zext(address) + (offset + size) > len_bytes`, a sum that cannot wrap. LLVM removes the
//!   check of an access that a check of the same address with a larger offset dominates;
//! - 64-bit addresses: `address >= saturating_sub(len_bytes, offset + size - 1)`, since a sum could wrap.
//!
//! A *shared* memory may be written to, and grow, while code of another thread runs. Its base never changes; its
//! size is loaded with LLVM's `unordered`, which a racing store cannot make undefined, and only ever grows, so an
//! old size is as good as an access that came earlier. Values are loaded plainly, because LLVM's atomics ask for
//! an alignment that operators do not promise, and frozen: a load that races gives LLVM an undefined value, which
//! `freeze` makes one arbitrary value, as the specification wants of a non-atomic access that races. Atomic
//! accesses are in [`super::atomic`].
//!
//! Checks are explicit branches, so an access whose result is unused still traps. Guard regions instead of checks were
//! measured and are no faster: LLVM may drop or move a plain load that would fault, so accesses would have to be
//! volatile, and a program of five kernels (sieve, sort, matrix product, sums, pointer chasing; C through clang) took
//! 3.63 thousand million cycles with checks, 3.63 without any, 3.72 volatile (x86-64, Zen 3, medians of three): the checks
//! are predicted branches beside the memory's latency, and plain accesses vectorise. Multi-memory and 64-bit
//! addresses hold for all operators. Reference: WebAssembly 3.0, section 4.6 "Memory instructions".

use crate::error::CompileError;
use crate::llvm::{Cast, IntPredicate, Op, Ordering, Type, Value};
use crate::translate::function::FunctionTranslator;
use dolmen_abi::builtin::Builtin;
use dolmen_abi::context::{DataDef, MemoryDef};
use dolmen_abi::trap::TrapCode;
use dolmen_abi::types::ValType::{self, F32, F64, I32, I64};
use dolmen_abi::types::{Limits, MemoryType};
use std::mem::offset_of;
use wasmparser::{MemArg, MemArgTarget, Operator};

/// What an access reads or writes in memory.
#[derive(Clone, Copy)]
enum Cell {
    /// A whole value of the operand's type.
    Whole,
    /// The low bits of an integer: this many.
    Low(u32),
}

/// A load: where from, what, the widening, and the type of the result.
type LoadRow = (MemArg, Cell, Cast, ValType);

/// The row of a load; the widening of whole values is not used.
fn load_row(operator: &Operator<'_>) -> Option<LoadRow> {
    use Cell::{Low, Whole};
    use Operator as O;
    Some(match *operator {
        O::I32Load { memarg } => (memarg, Whole, Cast::ZExt, I32),
        O::I64Load { memarg } => (memarg, Whole, Cast::ZExt, I64),
        O::F32Load { memarg } => (memarg, Whole, Cast::ZExt, F32),
        O::F64Load { memarg } => (memarg, Whole, Cast::ZExt, F64),
        O::I32Load8S { memarg } => (memarg, Low(8), Cast::SExt, I32),
        O::I32Load8U { memarg } => (memarg, Low(8), Cast::ZExt, I32),
        O::I32Load16S { memarg } => (memarg, Low(16), Cast::SExt, I32),
        O::I32Load16U { memarg } => (memarg, Low(16), Cast::ZExt, I32),
        O::I64Load8S { memarg } => (memarg, Low(8), Cast::SExt, I64),
        O::I64Load8U { memarg } => (memarg, Low(8), Cast::ZExt, I64),
        O::I64Load16S { memarg } => (memarg, Low(16), Cast::SExt, I64),
        O::I64Load16U { memarg } => (memarg, Low(16), Cast::ZExt, I64),
        O::I64Load32S { memarg } => (memarg, Low(32), Cast::SExt, I64),
        O::I64Load32U { memarg } => (memarg, Low(32), Cast::ZExt, I64),
        _ => return None,
    })
}

/// The row of a store: where to, what, and the type of the operand.
fn store_row(operator: &Operator<'_>) -> Option<(MemArg, Cell, ValType)> {
    use Cell::{Low, Whole};
    use Operator as O;
    Some(match *operator {
        O::I32Store { memarg } => (memarg, Whole, I32),
        O::I64Store { memarg } => (memarg, Whole, I64),
        O::F32Store { memarg } => (memarg, Whole, F32),
        O::F64Store { memarg } => (memarg, Whole, F64),
        O::I32Store8 { memarg } => (memarg, Low(8), I32),
        O::I32Store16 { memarg } => (memarg, Low(16), I32),
        O::I64Store8 { memarg } => (memarg, Low(8), I64),
        O::I64Store16 { memarg } => (memarg, Low(16), I64),
        O::I64Store32 { memarg } => (memarg, Low(32), I64),
        _ => return None,
    })
}

impl FunctionTranslator<'_, '_, '_> {
    /// Translates the operator if it is of this family.
    pub(crate) fn translate_memory(&mut self, operator: &Operator<'_>) -> Result<bool, CompileError> {
        if let Some(row) = load_row(operator) {
            self.translate_load(row)?;
            return Ok(true);
        }
        if let Some((place, cell, ty)) = store_row(operator) {
            self.translate_store(place, cell, ty)?;
            return Ok(true);
        }
        match *operator {
            Operator::MemorySize { mem } => self.translate_memory_size(mem),
            Operator::MemoryGrow { mem } => self.translate_memory_grow(mem),
            Operator::MemoryFill { mem } => self.translate_memory_fill(mem),
            Operator::MemoryCopy { dst_mem, src_mem } => self.translate_memory_copy(dst_mem, src_mem),
            Operator::MemoryInit { data_index, mem } => self.translate_memory_init(data_index, mem),
            Operator::DataDrop { data_index } => {
                let segment = self.data_definition(data_index);
                self.call_builtin(Builtin::DataDrop, &[segment]);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn translate_load(&mut self, (place, cell, widen, ty): LoadRow) -> Result<(), CompileError> {
        let value_ty = self.lower_type(ty);
        let cell_ty = self.cell_type(cell, value_ty);
        let load = self.load_memory(place, cell_ty, size_bytes(cell, ty))?;
        let value = if cell_ty == value_ty { load } else { self.b.cast(widen, load, value_ty) };
        self.push(value, ty);
        Ok(())
    }

    /// Pops an address and loads from there; traps if the memory does not have the bytes.
    pub(crate) fn load_memory(&mut self, place: MemArg, ty: Type, size_bytes: u64) -> Result<Value, CompileError> {
        let address = self.pop_address(place, size_bytes)?;
        let load = self.b.load(ty, address);
        self.mark_memory_access(load);
        let is_shared = self.memory_type(self.memory_of(place)?).shared;
        Ok(if is_shared { self.b.freeze(load) } else { load })
    }

    fn translate_store(&mut self, place: MemArg, cell: Cell, ty: ValType) -> Result<(), CompileError> {
        let value = self.pop();
        let cell_ty = self.cell_type(cell, value.ty());
        let address = self.pop_address(place, size_bytes(cell, ty))?;
        let value = if cell_ty == value.ty() { value } else { self.b.cast(Cast::Trunc, value, cell_ty) };
        let store = self.b.store(value, address);
        self.mark_memory_access(store);
        Ok(())
    }

    fn cell_type(&self, cell: Cell, whole: Type) -> Type {
        match cell {
            Cell::Whole => whole,
            Cell::Low(bits) => self.unit.context.int_type(bits),
        }
    }

    /// The alignment that the operator names is a hint only.
    pub(crate) fn mark_memory_access(&self, access: Value) {
        access.set_alignment(1);
        self.unit.alias.tag(access, self.unit.metadata.tbaa, self.unit.alias.memory);
    }

    /// Pops an address and gives the native address of `size_bytes` bytes there; traps if the memory does not
    /// have them.
    pub(crate) fn pop_address(&mut self, place: MemArg, size_bytes: u64) -> Result<Value, CompileError> {
        let memory = self.memory_of(place)?;
        let address = self.pop();
        Ok(self.native_address(memory, place, address, size_bytes))
    }

    /// The memory that an access names.
    pub(crate) fn memory_of(&self, place: MemArg) -> Result<u32, CompileError> {
        match place.target {
            MemArgTarget::Memory(memory) => Ok(memory),
            _ => self.unsupported("memory access to an array"),
        }
    }

    /// The native address of `size_bytes` bytes at an address; traps if the memory does not have them.
    pub(crate) fn native_address(&mut self, memory: u32, place: MemArg, address: Value, size_bytes: u64) -> Value {
        // Loaded in front of the check, so that it can leave a loop that traps.
        let definition = self.memory_definition(memory);
        let base = self.load_definition(definition, self.unit.types.ptr, offset_of!(MemoryDef, base));
        let outside = match self.memory_type(memory).index64 {
            false => self.is_outside_32(memory, address, place.offset + size_bytes),
            true => match place.offset.checked_add(size_bytes - 1) {
                Some(last) => self.is_outside_64(memory, address, last),
                None => self.unit.types.i1.int(1),
            },
        };
        self.trap_if(outside, TrapCode::MemoryOutOfBounds);
        let start = self.b.gep(self.unit.types.i8, base, self.widen_index(address));
        if place.offset == 0 {
            return start;
        }
        self.b.gep(self.unit.types.i8, start, self.i64(place.offset))
    }

    /// Whether a memory has fewer than `end` bytes from a 32-bit address on.
    fn is_outside_32(&mut self, memory: u32, address: Value, end: u64) -> Value {
        let end = self.b.binary(Op::Add, self.widen_index(address), self.i64(end));
        let len_bytes = self.memory_len_bytes(memory);
        self.b.icmp(IntPredicate::Ugt, end, len_bytes)
    }

    /// Whether a memory lacks the byte that is `last` behind a 64-bit address.
    fn is_outside_64(&mut self, memory: u32, address: Value, last: u64) -> Value {
        let args = [self.memory_len_bytes(memory), self.i64(last)];
        let limit = self.call_intrinsic("llvm.usub.sat", &[self.unit.types.i64], &args);
        self.b.icmp(IntPredicate::Uge, address, limit)
    }

    fn translate_memory_size(&mut self, memory: u32) {
        let ty = self.memory_type(memory);
        let log_page_bytes = self.i64(ty.log_page_bytes.into());
        let len_bytes = self.memory_len_bytes(memory);
        let pages = self.b.binary(Op::LShr, len_bytes, log_page_bytes);
        self.push_index(pages, ty.index64);
    }

    fn translate_memory_grow(&mut self, memory: u32) {
        let delta = self.pop_index();
        let old = self.call_builtin(Builtin::MemoryGrow, &[self.instance, self.unit.index(memory), delta]);
        self.push_index(old, self.memory_type(memory).index64);
    }

    fn translate_memory_fill(&mut self, memory: u32) {
        let len = self.pop_index();
        let value = self.pop();
        let dst = self.pop_index();
        let memory = self.memory_definition(memory);
        self.call_builtin(Builtin::MemoryFill, &[memory, dst, value, len]);
    }

    fn translate_memory_copy(&mut self, dst_memory: u32, src_memory: u32) {
        let len = self.pop_index();
        let src = self.pop_index();
        let dst = self.pop_index();
        let args = [self.memory_definition(dst_memory), self.memory_definition(src_memory), dst, src, len];
        self.call_builtin(Builtin::MemoryCopy, &args);
    }

    fn translate_memory_init(&mut self, segment: u32, memory: u32) {
        let len = self.pop();
        let src = self.pop();
        let dst = self.pop_index();
        let args = [self.memory_definition(memory), self.data_definition(segment), dst, src, len];
        self.call_builtin(Builtin::MemoryInit, &args);
    }

    pub(crate) fn memory_type(&self, memory: u32) -> MemoryType {
        self.unit.module.meta.memories[memory as usize]
    }

    /// The address of a memory's [`MemoryDef`].
    pub(crate) fn memory_definition(&mut self, memory: u32) -> Value {
        self.definition(self.unit.layout.memories + 8 * memory)
    }

    /// The address of a data segment's [`DataDef`].
    pub(crate) fn data_definition(&self, segment: u32) -> Value {
        const BYTES: u32 = size_of::<DataDef>() as u32;
        self.unit.instance_address(&self.b, self.instance, self.unit.layout.data + segment * BYTES, BYTES)
    }

    fn memory_len_bytes(&mut self, memory: u32) -> Value {
        let ty = self.memory_type(memory);
        match fixed_size(ty.limits).and_then(|pages| pages.checked_mul(1 << ty.log_page_bytes)) {
            Some(len_bytes) => self.i64(len_bytes),
            None => {
                let definition = self.memory_definition(memory);
                let len = self.load_definition(definition, self.unit.types.i64, offset_of!(MemoryDef, len_bytes));
                if ty.shared {
                    len.set_ordering(Ordering::Unordered);
                }
                len
            }
        }
    }

    /// Loads a field of the definition of a memory or table, which growing it changes.
    pub(crate) fn load_definition(&self, definition: Value, ty: Type, offset: usize) -> Value {
        let load = self.b.load(ty, self.unit.context_address(&self.b, definition, offset));
        self.unit.alias.tag(load, self.unit.metadata.tbaa, self.unit.alias.context);
        load
    }

    /// An address, index or length of either width as unsigned 64-bit value.
    pub(crate) fn widen_index(&self, value: Value) -> Value {
        if value.ty() == self.unit.types.i64 { value } else { self.b.cast(Cast::ZExt, value, self.unit.types.i64) }
    }

    /// Pops an address, index or length as unsigned 64-bit value.
    pub(crate) fn pop_index(&mut self) -> Value {
        let value = self.pop();
        self.widen_index(value)
    }

    /// Pushes a 64-bit size in the width of its memory's or table's indices; -1 stays -1.
    pub(crate) fn push_index(&mut self, size: Value, index64: bool) {
        if index64 {
            self.push(size, I64);
        } else {
            let size = self.b.cast(Cast::Trunc, size, self.unit.types.i32);
            self.push(size, I32);
        }
    }
}

/// The size of a memory or table that cannot grow. An imported one has it too, or linking fails.
pub(crate) fn fixed_size(limits: Limits) -> Option<u64> {
    (limits.max == Some(limits.min)).then_some(limits.min)
}

fn size_bytes(cell: Cell, ty: ValType) -> u64 {
    match (cell, ty) {
        (Cell::Low(bits), _) => u64::from(bits / u8::BITS),
        (Cell::Whole, I32 | F32) => 4,
        (Cell::Whole, _) => 8,
    }
}
