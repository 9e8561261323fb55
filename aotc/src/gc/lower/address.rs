//! From references to addresses.
//!
//! Every access through a reference or derived pointer becomes one at `heap_base + (reference << 2) + offset`,
//! computed anew at each access: x86-64 and AArch64 fold most of it into the access itself, LLVM merges what is
//! common, and code generation sinks the rest back to its uses. Derived pointers that control flow merges
//! become addresses from there on.

use super::barrier;
use super::bases::Bases;
use super::cfg::{self, Cfg};
use super::offsets;
use crate::convention::HEAP_BASE;
use crate::llvm::{Builder, C_CC, Cast, LlvmError, Op, Opcode, Type, TypeKind, Value};
use crate::translate::unit::Unit;
use dolmen_abi::reference::LOG_REF_SCALE;
use rustc_hash::{FxHashMap, FxHashSet};

/// Rewrites all accesses of a function.
pub(super) fn lower(unit: &Unit<'_, '_>, function: Value, cfg: &Cfg, bases: &Bases) -> Result<(), LlvmError> {
    let mut lowering = Lowering {
        unit,
        b: Builder::new(unit.context),
        bases,
        heap_base: function.param(HEAP_BASE),
        merged: FxHashMap::default(),
        dead: Vec::new(),
    };
    for block in &cfg.blocks {
        for instruction in block.instructions() {
            lowering.lower_instruction(instruction)?;
        }
    }
    lowering.finish_phis()?;
    lowering.erase_dead();
    Ok(())
}

struct Lowering<'l, 'c, 'm> {
    unit: &'l Unit<'c, 'm>,
    b: Builder<'c>,
    bases: &'l Bases,
    heap_base: Value,
    /// Derived phis, selects and freezes, and the addresses that replace them.
    merged: FxHashMap<Value, Value>,
    dead: Vec<Value>,
}

fn is_reference(ty: Type) -> bool {
    matches!(ty.kind(), TypeKind::Ref | TypeKind::RefVector(_))
}

impl Lowering<'_, '_, '_> {
    fn lower_instruction(&mut self, instruction: Value) -> Result<(), LlvmError> {
        if self.bases.is_derived(instruction) {
            self.dead.push(instruction);
            return Ok(());
        }
        match instruction.opcode() {
            Opcode::Store if instruction.has_metadata(self.unit.metadata.allocation_store) => {
                instruction.erase();
                Ok(())
            }
            Opcode::Load => self.lower_access(instruction, 0),
            Opcode::Store => self.lower_access(instruction, 1),
            Opcode::AtomicAccess => self.lower_access(instruction, 0),
            Opcode::Call => self.lower_call(instruction),
            Opcode::ICmp => self.lower_compare(instruction),
            Opcode::PtrToInt => self.lower_ptr_to_int(instruction),
            _ => self.check_operands(instruction),
        }
    }

    /// Replaces the pointer operand of a memory access.
    fn lower_access(&mut self, access: Value, pointer: usize) -> Result<(), LlvmError> {
        let operand = access.operand(pointer);
        if !is_reference(operand.ty()) {
            return Ok(());
        }
        self.b.position_before(access);
        let address = self.access_address(operand)?;
        access.set_operand(pointer, address);
        if access.opcode() == Opcode::Load {
            access.clear_metadata(self.unit.metadata.invariant_load);
        }
        Ok(())
    }

    /// The address of an access, computed at the builder's position. It is inside the object, which a part of it need not be.
    fn access_address(&mut self, pointer: Value) -> Result<Value, LlvmError> {
        if !offsets::wraps(pointer) {
            return self.address_of(pointer);
        }
        let offset = offsets::offset_of(self.unit, &self.b, pointer)?;
        let offset = self.b.cast(Cast::ZExt, offset, self.unit.types.i64);
        let start = self.address_of_reference(offsets::start_of(pointer));
        Ok(self.b.gep_wrapping(self.unit.types.i8, start, &[offset]))
    }

    /// The address that a reference or derived pointer stands for, computed at the builder's position.
    fn address_of(&mut self, pointer: Value) -> Result<Value, LlvmError> {
        if !self.bases.is_derived(pointer) {
            return Ok(self.address_of_reference(pointer));
        }
        match pointer.opcode() {
            Opcode::GetElementPtr => {
                let base = self.address_of(pointer.operand(0))?;
                let indices: Vec<_> = pointer.operands().skip(1).collect();
                let unsigned = pointer.gep_is_unsigned();
                let wide: Vec<_> = indices.into_iter().map(|i| self.widen_index(i, unsigned)).collect();
                Ok(self.b.gep_wrapping(pointer.gep_source_type(), base, &wide))
            }
            Opcode::Phi | Opcode::Select | Opcode::Freeze => self.address_of_merge(pointer),
            Opcode::InsertElement => {
                let lanes = match pointer.operand(0) {
                    empty if empty.is_undefined() => {
                        self.unit.types.ptr.vector(pointer.ty().vector_len().unwrap_or(1)).poison()
                    }
                    lanes => self.address_of(lanes)?,
                };
                let lane = self.access_address(pointer.operand(1))?;
                Ok(self.b.insert_element(lanes, lane, pointer.operand(2)))
            }
            other => Err(LlvmError(format!("derived pointer through {other:?}: {}", pointer.print()))),
        }
    }

    fn address_of_reference(&mut self, reference: Value) -> Value {
        let types = self.unit.types;
        let with_shape = |ty: Type, like: Type| like.vector_len().map_or(ty, |len| ty.vector(len));
        let word = self.b.cast(Cast::PtrToInt, reference, with_shape(types.i32, reference.ty()));
        let wide_type = with_shape(types.i64, reference.ty());
        let wide = self.b.cast(Cast::ZExt, word, wide_type);
        let distance = match reference.ty().vector_len() {
            // An index scaled by the element size folds into one addressing mode.
            None => return self.b.gep_wrapping(types.i32, self.heap_base, &[wide]),
            Some(_) => {
                let shift = self.unit.types.i64.int(LOG_REF_SCALE.into());
                self.b.binary(Op::Shl, wide, self.splat(shift, wide_type))
            }
        };
        self.b.gep_wrapping(types.i8, self.heap_base, &[distance])
    }

    fn splat(&self, scalar: Value, ty: Type) -> Value {
        let len = ty.vector_len().unwrap_or(1);
        (0..len).fold(ty.poison(), |vector, i| self.b.insert_element(vector, scalar, self.unit.types.i32.int(i.into())))
    }

    /// An index of a `getelementptr` with 32-bit pointers, for 64-bit ones.
    fn widen_index(&self, index: Value, unsigned: bool) -> Value {
        if index.const_int().is_some() || !unsigned {
            return index;
        }
        let types = &self.unit.types;
        match index.ty().vector_len() {
            None if index.ty() == types.i32 => self.b.cast(Cast::ZExt, index, types.i64),
            Some(len) if index.ty() == types.i32.vector(len) => self.b.cast(Cast::ZExt, index, types.i64.vector(len)),
            _ => index,
        }
    }

    /// The address that a merge of derived pointers becomes; the phis' operands follow at the end.
    fn address_of_merge(&mut self, merge: Value) -> Result<Value, LlvmError> {
        if let Some(&address) = self.merged.get(&merge) {
            return Ok(address);
        }
        let elsewhere = std::mem::replace(&mut self.b, Builder::new(self.unit.context));
        self.b.position_before(merge);
        let address = match merge.opcode() {
            Opcode::Phi => self.b.phi(self.unit.types.ptr),
            Opcode::Select => {
                let then = self.address_of(merge.operand(1))?;
                let otherwise = self.address_of(merge.operand(2))?;
                self.b.select(merge.operand(0), then, otherwise)
            }
            _ => {
                let source = self.address_of(merge.operand(0))?;
                self.b.freeze(source)
            }
        };
        self.merged.insert(merge, address);
        self.b = elsewhere;
        Ok(address)
    }

    /// Gives the phis of addresses their operands; that may make new phis.
    fn finish_phis(&mut self) -> Result<(), LlvmError> {
        let mut done = FxHashSet::default();
        loop {
            let order = self.dead.clone();
            let next = order
                .into_iter()
                .find(|phi| phi.opcode() == Opcode::Phi && self.merged.contains_key(phi) && !done.contains(phi));
            let Some(phi) = next else { return Ok(()) };
            done.insert(phi);
            let address = self.merged[&phi];
            let arriving = cfg::arriving(phi, |incoming, end| {
                self.b.position_before(end);
                self.address_of(incoming)
            })?;
            arriving.into_iter().for_each(|(value, block)| address.add_incoming(value, block));
        }
    }

    /// Expands barriers and rebuilds intrinsics that access memory through references.
    fn lower_call(&mut self, call: Value) -> Result<(), LlvmError> {
        let args: Vec<_> = (0..call.arg_count()).map(|i| call.operand(i)).collect();
        let name = call.called_function().map(Value::name).unwrap_or_default();
        if barrier::is_marker(&name) {
            self.b.position_before(call);
            barrier::emit(self.unit, &self.b, &args);
            call.erase();
            return Ok(());
        }
        if !name.starts_with("llvm.") {
            return self.check_operands(call);
        }
        if !args.iter().any(|a| is_reference(a.ty())) {
            return Ok(());
        }
        if name.starts_with("llvm.lifetime") {
            call.erase();
            return Ok(());
        }
        self.b.position_before(call);
        let mut lowered = Vec::new();
        let is_memory = ["llvm.memcpy", "llvm.memmove", "llvm.memset", "llvm.masked."];
        let Some(_) = is_memory.iter().find(|prefix| name.starts_with(**prefix)) else {
            // Intrinsics on references as values, such as reductions, have no address to lower.
            return self.check_operands(call);
        };
        for (index, &arg) in args.iter().enumerate() {
            let is_address = is_reference(arg.ty()) && !is_stored_value(&name, index);
            lowered.push(if is_address { self.access_address(arg)? } else { arg });
        }
        if let Some(function) = super::copy::function_for(self.unit, &name, call) {
            // Loops that LLVM made copies of count in the width of references.
            if lowered[2].ty().size_bytes() == 4 {
                lowered[2] = self.b.cast(Cast::ZExt, lowered[2], self.unit.types.i64);
            }
            self.b.call(function.function_type(), function, &lowered[..3], C_CC);
            call.erase();
            return Ok(());
        }
        let (base_name, overloads) = overloads_of(&name, call, &lowered)
            .ok_or_else(|| LlvmError(format!("unexpected intrinsic: {}", call.print())))?;
        let intrinsic = self.unit.intrinsic(base_name, &overloads);
        let new = self.b.call(intrinsic.function_type(), intrinsic, &lowered, C_CC);
        if call.has_uses() {
            call.replace_all_uses_with(new);
        }
        call.erase();
        Ok(())
    }

    /// Compares addresses instead of derived pointers.
    fn lower_compare(&mut self, compare: Value) -> Result<(), LlvmError> {
        if !compare.operands().any(|o| self.bases.is_derived(o)) {
            return Ok(());
        }
        self.b.position_before(compare);
        for index in 0..2 {
            let address = self.access_address(compare.operand(index))?;
            compare.set_operand(index, address);
        }
        Ok(())
    }

    /// The low bits of the address: differences between such values stay what they were.
    fn lower_ptr_to_int(&mut self, cast: Value) -> Result<(), LlvmError> {
        if self.bases.is_derived(cast.operand(0)) {
            self.b.position_before(cast);
            let address = self.address_of(cast.operand(0))?;
            cast.set_operand(0, address);
        }
        Ok(())
    }

    /// A derived pointer must not get anywhere else.
    fn check_operands(&self, instruction: Value) -> Result<(), LlvmError> {
        match instruction.operands().find(|&o| self.bases.is_derived(o)) {
            None => Ok(()),
            Some(_) => Err(LlvmError(format!("derived pointer escapes: {}", instruction.print()))),
        }
    }

    fn erase_dead(&mut self) {
        for instruction in &self.dead {
            instruction.replace_all_uses_with(instruction.ty().poison());
        }
        for instruction in self.dead.drain(..) {
            instruction.erase();
        }
    }
}

/// Whether an argument of a memory intrinsic is a value to store rather than an address.
fn is_stored_value(name: &str, index: usize) -> bool {
    let stores = name.starts_with("llvm.masked.store") || name.starts_with("llvm.masked.scatter");
    let loads = name.starts_with("llvm.masked.load") || name.starts_with("llvm.masked.gather");
    (stores && index == 0) || (loads && index != 0)
}

/// The intrinsic's name without the types in it, and the types that stand in it now.
fn overloads_of(name: &str, call: Value, args: &[Value]) -> Option<(&'static str, Vec<Type>)> {
    let ty = |index: usize| args[index].ty();
    Some(if name.starts_with("llvm.memcpy.inline") {
        ("llvm.memcpy.inline", vec![ty(0), ty(1), ty(2)])
    } else if name.starts_with("llvm.memcpy") {
        ("llvm.memcpy", vec![ty(0), ty(1), ty(2)])
    } else if name.starts_with("llvm.memmove") {
        ("llvm.memmove", vec![ty(0), ty(1), ty(2)])
    } else if name.starts_with("llvm.memset") {
        ("llvm.memset", vec![ty(0), ty(2)])
    } else if name.starts_with("llvm.masked.gather") {
        ("llvm.masked.gather", vec![call.ty(), ty(0)])
    } else if name.starts_with("llvm.masked.load") {
        ("llvm.masked.load", vec![call.ty(), ty(0)])
    } else if name.starts_with("llvm.masked.scatter") {
        ("llvm.masked.scatter", vec![ty(0), ty(1)])
    } else if name.starts_with("llvm.masked.store") {
        ("llvm.masked.store", vec![ty(0), ty(1)])
    } else {
        return None;
    })
}
