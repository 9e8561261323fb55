//! Atomic accesses to linear memory, and waiting for another thread.
//!
//! The problem: threads that share a memory need accesses that are never torn and that all threads see in one
//! order. All operators of the threads proposal are sequentially consistent; LLVM's `seq_cst` accesses are exactly
//! that. They ask for addresses that are multiples of their size, and so does the proposal: every other address
//! traps, before bounds are looked at. Memories need not be shared to be accessed atomically.
//!
//! Narrow accesses work on the low bits of their operands, of `cmpxchg`'s expected value too, and extend what they
//! read with zeros.
//!
//! `memory.atomic.wait` and `notify` check their address here like any access; the queue of waiting threads is the
//! runtime's. To wait on a memory that is not shared traps, since nobody could ever notify; to notify there wakes
//! nobody.
//!
//! Reference: WebAssembly threads proposal, "Atomic Memory Accesses" and "Wait and Notify operators".

use crate::error::CompileError;
use crate::llvm::{AtomicOp, Cast, IntPredicate, Op, Ordering, Type, Value};
use crate::translate::function::FunctionTranslator;
use dolmen_abi::builtin::Builtin;
use dolmen_abi::trap::TrapCode;
use dolmen_abi::types::ValType::{self, I32, I64};
use wasmparser::{MemArg, Operator};

const SEQ_CST: Ordering = Ordering::SequentiallyConsistent;

/// An atomic access: where to, how many bits, and the type of its operands and results.
type Row = (MemArg, u32, ValType);

/// The row of an atomic load.
fn load_row(operator: &Operator<'_>) -> Option<Row> {
    use Operator as O;
    Some(match *operator {
        O::I32AtomicLoad { memarg } => (memarg, 32, I32),
        O::I64AtomicLoad { memarg } => (memarg, 64, I64),
        O::I32AtomicLoad8U { memarg } => (memarg, 8, I32),
        O::I32AtomicLoad16U { memarg } => (memarg, 16, I32),
        O::I64AtomicLoad8U { memarg } => (memarg, 8, I64),
        O::I64AtomicLoad16U { memarg } => (memarg, 16, I64),
        O::I64AtomicLoad32U { memarg } => (memarg, 32, I64),
        _ => return None,
    })
}

/// The row of an atomic store.
fn store_row(operator: &Operator<'_>) -> Option<Row> {
    use Operator as O;
    Some(match *operator {
        O::I32AtomicStore { memarg } => (memarg, 32, I32),
        O::I64AtomicStore { memarg } => (memarg, 64, I64),
        O::I32AtomicStore8 { memarg } => (memarg, 8, I32),
        O::I32AtomicStore16 { memarg } => (memarg, 16, I32),
        O::I64AtomicStore8 { memarg } => (memarg, 8, I64),
        O::I64AtomicStore16 { memarg } => (memarg, 16, I64),
        O::I64AtomicStore32 { memarg } => (memarg, 32, I64),
        _ => return None,
    })
}

/// The row of an operator that reads, changes and writes, with what it does.
fn rmw_row(operator: &Operator<'_>) -> Option<(AtomicOp, Row)> {
    use AtomicOp::{Add, And, Exchange, Or, Sub, Xor};
    use Operator as O;
    Some(match *operator {
        O::I32AtomicRmwAdd { memarg } => (Add, (memarg, 32, I32)),
        O::I64AtomicRmwAdd { memarg } => (Add, (memarg, 64, I64)),
        O::I32AtomicRmw8AddU { memarg } => (Add, (memarg, 8, I32)),
        O::I32AtomicRmw16AddU { memarg } => (Add, (memarg, 16, I32)),
        O::I64AtomicRmw8AddU { memarg } => (Add, (memarg, 8, I64)),
        O::I64AtomicRmw16AddU { memarg } => (Add, (memarg, 16, I64)),
        O::I64AtomicRmw32AddU { memarg } => (Add, (memarg, 32, I64)),
        O::I32AtomicRmwSub { memarg } => (Sub, (memarg, 32, I32)),
        O::I64AtomicRmwSub { memarg } => (Sub, (memarg, 64, I64)),
        O::I32AtomicRmw8SubU { memarg } => (Sub, (memarg, 8, I32)),
        O::I32AtomicRmw16SubU { memarg } => (Sub, (memarg, 16, I32)),
        O::I64AtomicRmw8SubU { memarg } => (Sub, (memarg, 8, I64)),
        O::I64AtomicRmw16SubU { memarg } => (Sub, (memarg, 16, I64)),
        O::I64AtomicRmw32SubU { memarg } => (Sub, (memarg, 32, I64)),
        O::I32AtomicRmwAnd { memarg } => (And, (memarg, 32, I32)),
        O::I64AtomicRmwAnd { memarg } => (And, (memarg, 64, I64)),
        O::I32AtomicRmw8AndU { memarg } => (And, (memarg, 8, I32)),
        O::I32AtomicRmw16AndU { memarg } => (And, (memarg, 16, I32)),
        O::I64AtomicRmw8AndU { memarg } => (And, (memarg, 8, I64)),
        O::I64AtomicRmw16AndU { memarg } => (And, (memarg, 16, I64)),
        O::I64AtomicRmw32AndU { memarg } => (And, (memarg, 32, I64)),
        O::I32AtomicRmwOr { memarg } => (Or, (memarg, 32, I32)),
        O::I64AtomicRmwOr { memarg } => (Or, (memarg, 64, I64)),
        O::I32AtomicRmw8OrU { memarg } => (Or, (memarg, 8, I32)),
        O::I32AtomicRmw16OrU { memarg } => (Or, (memarg, 16, I32)),
        O::I64AtomicRmw8OrU { memarg } => (Or, (memarg, 8, I64)),
        O::I64AtomicRmw16OrU { memarg } => (Or, (memarg, 16, I64)),
        O::I64AtomicRmw32OrU { memarg } => (Or, (memarg, 32, I64)),
        O::I32AtomicRmwXor { memarg } => (Xor, (memarg, 32, I32)),
        O::I64AtomicRmwXor { memarg } => (Xor, (memarg, 64, I64)),
        O::I32AtomicRmw8XorU { memarg } => (Xor, (memarg, 8, I32)),
        O::I32AtomicRmw16XorU { memarg } => (Xor, (memarg, 16, I32)),
        O::I64AtomicRmw8XorU { memarg } => (Xor, (memarg, 8, I64)),
        O::I64AtomicRmw16XorU { memarg } => (Xor, (memarg, 16, I64)),
        O::I64AtomicRmw32XorU { memarg } => (Xor, (memarg, 32, I64)),
        O::I32AtomicRmwXchg { memarg } => (Exchange, (memarg, 32, I32)),
        O::I64AtomicRmwXchg { memarg } => (Exchange, (memarg, 64, I64)),
        O::I32AtomicRmw8XchgU { memarg } => (Exchange, (memarg, 8, I32)),
        O::I32AtomicRmw16XchgU { memarg } => (Exchange, (memarg, 16, I32)),
        O::I64AtomicRmw8XchgU { memarg } => (Exchange, (memarg, 8, I64)),
        O::I64AtomicRmw16XchgU { memarg } => (Exchange, (memarg, 16, I64)),
        O::I64AtomicRmw32XchgU { memarg } => (Exchange, (memarg, 32, I64)),
        _ => return None,
    })
}

/// The row of a compare-exchange.
fn cmpxchg_row(operator: &Operator<'_>) -> Option<Row> {
    use Operator as O;
    Some(match *operator {
        O::I32AtomicRmwCmpxchg { memarg } => (memarg, 32, I32),
        O::I64AtomicRmwCmpxchg { memarg } => (memarg, 64, I64),
        O::I32AtomicRmw8CmpxchgU { memarg } => (memarg, 8, I32),
        O::I32AtomicRmw16CmpxchgU { memarg } => (memarg, 16, I32),
        O::I64AtomicRmw8CmpxchgU { memarg } => (memarg, 8, I64),
        O::I64AtomicRmw16CmpxchgU { memarg } => (memarg, 16, I64),
        O::I64AtomicRmw32CmpxchgU { memarg } => (memarg, 32, I64),
        _ => return None,
    })
}

impl FunctionTranslator<'_, '_, '_> {
    /// Translates the operator if it is of this family.
    pub(crate) fn translate_atomic(&mut self, operator: &Operator<'_>) -> Result<bool, CompileError> {
        if let Some(row) = load_row(operator) {
            self.translate_atomic_load(row)?;
        } else if let Some(row) = store_row(operator) {
            self.translate_atomic_store(row)?;
        } else if let Some((op, row)) = rmw_row(operator) {
            self.translate_atomic_rmw(op, row)?;
        } else if let Some(row) = cmpxchg_row(operator) {
            self.translate_atomic_cmpxchg(row)?;
        } else {
            match *operator {
                Operator::AtomicFence { .. } => _ = self.b.fence(SEQ_CST),
                Operator::MemoryAtomicNotify { memarg } => self.translate_atomic_notify(memarg)?,
                Operator::MemoryAtomicWait32 { memarg } => self.translate_atomic_wait(memarg, Builtin::AtomicWait32)?,
                Operator::MemoryAtomicWait64 { memarg } => self.translate_atomic_wait(memarg, Builtin::AtomicWait64)?,
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    fn translate_atomic_load(&mut self, (place, bits, ty): Row) -> Result<(), CompileError> {
        let address = self.pop_atomic_address(place, bits)?;
        let load = self.b.load(self.unit.context.int_type(bits), address);
        load.set_alignment(bits / u8::BITS);
        load.set_ordering(SEQ_CST);
        self.push_narrow(load, ty);
        Ok(())
    }

    fn translate_atomic_store(&mut self, (place, bits, _): Row) -> Result<(), CompileError> {
        let value = self.pop_narrow(bits);
        let address = self.pop_atomic_address(place, bits)?;
        let store = self.b.store(value, address);
        store.set_alignment(bits / u8::BITS);
        store.set_ordering(SEQ_CST);
        Ok(())
    }

    fn translate_atomic_rmw(&mut self, op: AtomicOp, (place, bits, ty): Row) -> Result<(), CompileError> {
        let value = self.pop_narrow(bits);
        let address = self.pop_atomic_address(place, bits)?;
        let before = self.b.atomic_rmw(op, address, value, SEQ_CST);
        self.push_narrow(before, ty);
        Ok(())
    }

    fn translate_atomic_cmpxchg(&mut self, (place, bits, ty): Row) -> Result<(), CompileError> {
        let new = self.pop_narrow(bits);
        let expected = self.pop_narrow(bits);
        let address = self.pop_atomic_address(place, bits)?;
        let before = self.b.cmpxchg(address, expected, new, SEQ_CST);
        self.push_narrow(before, ty);
        Ok(())
    }

    fn translate_atomic_notify(&mut self, place: MemArg) -> Result<(), CompileError> {
        let count = self.pop();
        let address = self.pop_atomic_address(place, u32::BITS)?;
        let woken = if self.memory_type(self.memory_of(place)?).shared {
            self.call_builtin(Builtin::AtomicNotify, &[address, count])
        } else {
            self.i32(0)
        };
        self.push(woken, I32);
        Ok(())
    }

    fn translate_atomic_wait(&mut self, place: MemArg, builtin: Builtin) -> Result<(), CompileError> {
        let timeout = self.pop();
        let expected = self.pop();
        let bits = if builtin == Builtin::AtomicWait32 { u32::BITS } else { u64::BITS };
        let address = self.pop_atomic_address(place, bits)?;
        if self.memory_type(self.memory_of(place)?).shared {
            let outcome = self.call_builtin(builtin, &[address, expected, timeout]);
            self.push(outcome, I32);
        } else {
            self.trap(TrapCode::ExpectedSharedMemory);
        }
        Ok(())
    }

    /// Pops an address and gives the native address of an aligned value of `bits` bits there; traps if it is not
    /// aligned or not inside the memory.
    fn pop_atomic_address(&mut self, place: MemArg, bits: u32) -> Result<Value, CompileError> {
        let memory = self.memory_of(place)?;
        let size_bytes = u64::from(bits / u8::BITS);
        let address = self.pop();
        if size_bytes > 1 {
            let offset = address.ty().int(place.offset % size_bytes);
            let sum = self.b.binary(Op::Add, address, offset);
            let low_bits = self.b.binary(Op::And, sum, address.ty().int(size_bytes - 1));
            let unaligned = self.b.icmp(IntPredicate::Ne, low_bits, address.ty().zero());
            self.trap_if(unaligned, TrapCode::UnalignedAtomic);
        }
        Ok(self.native_address(memory, place, address, size_bytes))
    }

    /// Pops an integer and takes its low bits.
    fn pop_narrow(&mut self, bits: u32) -> Value {
        let value = self.pop();
        let narrow = self.unit.context.int_type(bits);
        if narrow == value.ty() { value } else { self.b.cast(Cast::Trunc, value, narrow) }
    }

    /// Pushes an integer, extended with zeros to its type.
    fn push_narrow(&mut self, value: Value, ty: ValType) {
        let whole: Type = self.lower_type(ty);
        let value = if value.ty() == whole { value } else { self.b.cast(Cast::ZExt, value, whole) };
        self.push(value, ty);
    }
}
