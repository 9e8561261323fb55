//! Copies between arrays, of which most are short.
//!
//! The C library's `memmove` loads short ranges with overlapping vector loads. Elements that were stored one by
//! one just before cannot be forwarded from the store buffer to a wider load: it waits until they are in the
//! cache. So a range of at most [`SHORT_BYTES`] is copied by a loop over elements, in the direction that an
//! overlap wants; longer ones go to `memmove`. Bytes and 16-bit elements always do: a loop over them would take
//! more steps than it saves.
//!
//! This is done after LLVM's loop passes, which would make a `memmove` of the loop again.

use crate::llvm::{Block, Builder, C_CC, IntPredicate, Op, Value, attribute_index};
use crate::translate::unit::Unit;

/// Longest range that is copied by a loop, in bytes.
const SHORT_BYTES: u64 = 64;

/// Smallest element for which the loop pays, in bytes.
const MIN_ELEMENT_BYTES: u64 = 4;

/// Largest element that is copied in one step, in bytes.
const MAX_ELEMENT_BYTES: u64 = 8;

/// The function `(dst, src, bytes)` that performs a call of an intrinsic, or `None` if the intrinsic is best.
pub(super) fn function_for(unit: &Unit<'_, '_>, intrinsic: &str, call: Value) -> Option<Value> {
    let copies = intrinsic.starts_with("llvm.memmove") || intrinsic.starts_with("llvm.memcpy.p");
    // LLVM knows what to do with a constant length.
    if !copies || call.operand(2).is_constant() {
        return None;
    }
    let element_bytes = call.argument_alignment(0).min(call.argument_alignment(1)).min(MAX_ELEMENT_BYTES);
    (element_bytes >= MIN_ELEMENT_BYTES).then(|| function(unit, element_bytes))
}

fn function(unit: &Unit<'_, '_>, element_bytes: u64) -> Value {
    let name = format!("dolmen_copy.{element_bytes}");
    unit.llvm.function(&name).unwrap_or_else(|| {
        let types = &unit.types;
        let ty = unit.context.function_type(types.void, &[types.ptr, types.ptr, types.i64]);
        let function = unit.declare(&name, ty, C_CC);
        function.set_internal();
        for attribute in ["noinline", "nounwind"] {
            function.add_attribute(attribute_index::FUNCTION, unit.context.enum_attribute(attribute, 0));
        }
        let b = Builder::new(unit.context);
        Copy { unit, b: &b, function, element_bytes }.define();
        function
    })
}

/// A function that is being written.
struct Copy<'e, 'c, 'm> {
    unit: &'e Unit<'c, 'm>,
    b: &'e Builder<'c>,
    function: Value,
    element_bytes: u64,
}

impl Copy<'_, '_, '_> {
    fn define(&self) {
        let [dst, src, bytes] = [0, 1, 2].map(|index| self.function.param(index));
        let [entry, long, short, some, up, down, done] =
            ["entry", "long", "short", "some", "up", "down", "done"].map(|name| self.block(name));
        let int = |value| self.unit.types.i64.int(value);
        let b = self.b;
        b.position_at_end(entry);
        b.cond_br(b.icmp(IntPredicate::Ugt, bytes, int(SHORT_BYTES)), long, short);
        b.position_at_end(long);
        b.memmove(dst, src, self.element_bytes as u32, bytes);
        b.br(done);
        b.position_at_end(short);
        b.cond_br(b.icmp(IntPredicate::Eq, bytes, int(0)), done, some);
        b.position_at_end(some);
        let address = |pointer| b.cast(crate::llvm::Cast::PtrToInt, pointer, self.unit.types.i64);
        let distance = b.binary(Op::Sub, address(dst), address(src));
        // The destination starts inside the source: what is read last must be copied first.
        b.cond_br(b.icmp(IntPredicate::Ult, distance, bytes), down, up);
        self.define_upwards(some, up, done);
        self.define_downwards(some, down, done);
        b.position_at_end(done);
        b.ret_void();
    }

    fn define_upwards(&self, before: Block, body: Block, done: Block) {
        let int = |value| self.unit.types.i64.int(value);
        self.b.position_at_end(body);
        let offset = self.b.phi(self.unit.types.i64);
        offset.add_incoming(int(0), before);
        self.copy_element(offset);
        let next = self.b.binary(Op::Add, offset, int(self.element_bytes));
        offset.add_incoming(next, body);
        self.b.cond_br(self.b.icmp(IntPredicate::Ult, next, self.function.param(2)), body, done);
    }

    fn define_downwards(&self, before: Block, body: Block, done: Block) {
        let int = |value| self.unit.types.i64.int(value);
        self.b.position_at_end(body);
        let end = self.b.phi(self.unit.types.i64);
        end.add_incoming(self.function.param(2), before);
        let offset = self.b.binary(Op::Sub, end, int(self.element_bytes));
        self.copy_element(offset);
        end.add_incoming(offset, body);
        self.b.cond_br(self.b.icmp(IntPredicate::Ne, offset, int(0)), body, done);
    }

    fn copy_element(&self, offset: Value) {
        let ty = self.unit.context.int_type(self.element_bytes as u32 * 8);
        let address = |base| self.b.gep(self.unit.types.i8, base, offset);
        let [dst, src] = [0, 1].map(|index| address(self.function.param(index)));
        let element = self.b.load(ty, src);
        element.set_alignment(self.element_bytes as u32);
        self.b.store(element, dst).set_alignment(self.element_bytes as u32);
    }

    fn block(&self, name: &str) -> Block {
        self.unit.context.append_block(self.function, name)
    }
}
