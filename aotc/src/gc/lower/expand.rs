//! Inline sequences for allocation and polls.
//!
//! Each marker that can collect is replaced by a call of a small function with a fast and a slow path, which
//! LLVM then inlines; what must survive its slow path becomes an argument, which the slow path pushes on the
//! shadow stack and pops again. So nothing is stored on the fast path, and this pass need not split blocks.

use super::cfg::Cfg;
use super::frame::{Emitter, Frame};
use super::liveness::Liveness;
use super::{is_marker, references_in};
use crate::convention::{self, HEAP_BASE, INSTANCE};
use crate::gc::markers;
use crate::llvm::{Builder, C_CC, Cast, IntPredicate, Op, Opcode, Value, attribute_index};
use crate::translate::prototypes::PrototypePlace;
use crate::translate::unit::Unit;
use dolmen_abi::builtin::Builtin;
use dolmen_abi::collector::MAX_INLINE_ALLOC_BYTES;
use dolmen_abi::context::ThreadContext;
use dolmen_abi::object::{ARRAY_ELEMENTS_OFFSET, ARRAY_LENGTH_OFFSET, TYPE_WORD_OFFSET};
use dolmen_abi::reference::{LOG_REF_SCALE, OBJECT_ALIGN_BYTES, REF_BYTES};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

/// What a marker stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sequence {
    AllocStruct,
    /// A struct whose header is set with what else is in its prototype.
    AllocCopy,
    AllocArray,
    Poll,
}

impl Sequence {
    fn of(marker: &str) -> Option<Self> {
        match marker {
            "dolmen.alloc_struct" => Some(Self::AllocStruct),
            "dolmen.alloc_array" => Some(Self::AllocArray),
            "dolmen.poll" => Some(Self::Poll),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::AllocStruct => "alloc_struct",
            Self::AllocCopy => "alloc_copy",
            Self::AllocArray => "alloc_array",
            Self::Poll => "poll",
        }
    }

    /// Number of the marker's own arguments, thread context included.
    fn arg_count(self) -> usize {
        match self {
            Self::AllocStruct | Self::AllocCopy => 3,
            Self::AllocArray => 4,
            Self::Poll => 1,
        }
    }

    /// Position of the heap's base among the arguments of the sequence's function, behind those of the marker.
    fn heap_base(self) -> usize {
        self.arg_count()
    }

    /// Position of the first live reference.
    fn first_live(self) -> usize {
        self.heap_base() + 1
    }
}

/// The sequences of a partition.
pub(super) struct Expansions<'u, 'c, 'm> {
    unit: &'u Unit<'c, 'm>,
    poll: Value,
}

impl<'u, 'c, 'm> Expansions<'u, 'c, 'm> {
    pub(super) fn new(unit: &'u Unit<'c, 'm>) -> Self {
        Self { unit, poll: markers::poll(unit.context, unit.llvm, &unit.types) }
    }

    /// The marker of a poll: `(thread)`.
    pub(super) fn poll_marker(&self) -> Value {
        self.poll
    }

    /// The function that performs a sequence with these arguments and keeps `live` references across its slow path.
    fn function(&self, sequence: Sequence, args: &[Value], live: usize) -> Value {
        let loads = args.get(1).is_some_and(|arg| arg.ty() == self.unit.types.ptr);
        let name = format!("dolmen_inline.{}{}.{live}", sequence.name(), if loads { ".at" } else { "" });
        self.unit.llvm.function(&name).unwrap_or_else(|| self.define(sequence, args, live, &name))
    }

    fn define(&self, sequence: Sequence, args: &[Value], live: usize, name: &str) -> Value {
        let types = &self.unit.types;
        let mut params: Vec<_> = args.iter().map(|arg| arg.ty()).collect();
        params.extend(std::iter::repeat_n(types.reference, live));
        let result = if sequence == Sequence::Poll { types.void } else { types.reference };
        let function = self.unit.declare(name, self.unit.context.function_type(result, &params), C_CC);
        function.set_internal();
        for attribute in ["alwaysinline", "nounwind"] {
            function.add_attribute(attribute_index::FUNCTION, self.unit.context.enum_attribute(attribute, 0));
        }
        let b = Builder::new(self.unit.context);
        let body = Body { unit: self.unit, b: &b, function, thread: function.param(0), sequence, live };
        body.define();
        function
    }
}

/// Replaces all markers of a function, with a fence behind those in `fenced`.
pub(super) fn expand(
    expansions: &Expansions<'_, '_, '_>,
    function: Value,
    cfg: &Cfg,
    liveness: &Liveness,
    frame: &Frame,
    fenced: &FxHashSet<Value>,
) {
    let unit = expansions.unit;
    let b = Builder::new(unit.context);
    let is_unoptimised = function.has_attribute(markers::UNOPTIMISED);
    // Allocations whose marker is gone, and what stands for the object now.
    let mut replaced: FxHashMap<Value, Value> = FxHashMap::default();
    for safepoint in liveness.safepoints.iter().filter(|s| is_marker(s.instruction)) {
        let marker = safepoint.instruction;
        let callee = marker.called_function().map(Value::name).unwrap_or_default();
        let Some(mut sequence) = Sequence::of(&callee) else { continue };
        let pairs = (sequence.arg_count()..marker.arg_count()).step_by(2);
        let mut fields: Fields = pairs.map(|i| (marker.operand(i), marker.operand(i + 1))).collect();
        // Initialisers, which are not optimised, come before prototypes are filled.
        let may_copy = sequence == Sequence::AllocStruct && !is_unoptimised;
        let prototype = if may_copy { prototype_of(unit, function, marker.operand(1), &fields) } else { None };
        if prototype.is_some() {
            sequence = Sequence::AllocCopy;
        }
        b.position_before(marker);
        let mut args: Vec<_> = (0..sequence.arg_count()).map(|i| marker.operand(i)).collect();
        if let Some(address) = args.get(1).and_then(|&type_word| address_of_invariant(unit, type_word)) {
            args[1] = address;
        }
        args.push(function.param(HEAP_BASE));
        for &value in safepoint.live.iter().filter(|&&v| !frame.holds(cfg, v, safepoint)) {
            let value = liveness.tracked[value].value;
            args.extend(references_in(unit, &b, replaced.get(&value).copied().unwrap_or(value)));
        }
        let (own, live) = args.split_at(sequence.first_live());
        let inlined = expansions.function(sequence, own, live.len());
        let call = b.call(inlined.function_type(), inlined, &args, C_CC);
        if is_unoptimised {
            // Inlined, the sequences are half of the code.
            call.add_call_attribute(attribute_index::FUNCTION, unit.context.enum_attribute("noinline", 0));
        }
        let heap_base = args[sequence.heap_base()];
        if let Some(prototype) = prototype {
            let address = unit.context_address(&b, function.param(INSTANCE), prototype.offset as usize);
            let words = unit.load_invariant(&b, unit.types.v128, address, 0);
            store_field(unit, &b, heap_base, call, unit.types.i32.int(TYPE_WORD_OFFSET.into()), words);
            fields.retain(|&mut (offset, _)| prototype.source_at(offset).is_none());
        }
        // What is null is so already.
        for (offset, mut value) in fields.into_iter().filter(|(_, value)| !value.is_null_constant()) {
            if let Some(address) = address_of_invariant(unit, value) {
                value = unit.load_invariant(&b, value.ty(), address, 0);
            }
            store_field(unit, &b, heap_base, call, offset, value);
        }
        if fenced.contains(&marker) {
            b.release_fence();
        }
        if sequence != Sequence::Poll {
            marker.replace_all_uses_with(call);
            replaced.insert(marker, call);
        }
        marker.erase();
    }
}

/// What an allocation sets behind the header: offsets and values.
type Fields = SmallVec<[(Value, Value); 8]>;

/// The prototype that begins like an object, if its type has one.
fn prototype_of(unit: &Unit<'_, '_>, function: Value, type_word: Value, fields: &Fields) -> Option<PrototypePlace> {
    let source = |value| unit.offset_in_instance(function, address_of_invariant(unit, value)?);
    let prototype = unit.prototypes.get(source(type_word)?)?;
    let is_copied = |&&(offset, value): &&(Value, Value)| {
        prototype.source_at(offset).is_some_and(|wanted| source(value) == Some(wanted))
    };
    (fields.iter().filter(is_copied).count() == prototype.sources.iter().flatten().count()).then_some(prototype)
}

/// Where an invariant was loaded from.
///
/// Type words are loaded where they are used, on the fast path and on the slow one, and function references where they are
/// stored. In front of all that they would take registers that the fast path does not have, and a function without calls
/// would save some.
fn address_of_invariant(unit: &Unit<'_, '_>, value: Value) -> Option<Value> {
    let is_invariant = value.is_instruction()
        && value.opcode() == Opcode::Load
        && value.has_metadata(unit.metadata.invariant_load)
        && value.operand(0).ty() == unit.types.ptr;
    is_invariant.then(|| value.operand(0))
}

/// Sets a field of a fresh object.
fn store_field(unit: &Unit<'_, '_>, b: &Builder<'_>, heap_base: Value, object: Value, offset: Value, value: Value) {
    let word = b.cast(Cast::PtrToInt, object, unit.types.i32);
    let address = b.gep(unit.types.i8, object_address(unit, b, heap_base, word), offset);
    b.store(value, address).set_alignment(field_alignment(value));
}

/// Fields have the alignment of their size, but no more than objects have.
fn field_alignment(value: Value) -> u32 {
    value.ty().size_bytes().min(OBJECT_ALIGN_BYTES)
}

/// The address of an object given by its reference word.
fn object_address(unit: &Unit<'_, '_>, b: &Builder<'_>, heap_base: Value, word: Value) -> Value {
    let types = &unit.types;
    let wide = b.cast(Cast::ZExt, word, types.i64);
    // An index scaled by the element size folds into one addressing mode.
    b.gep_wrapping(types.i32, heap_base, &[wide])
}

/// The body of one sequence's function.
struct Body<'e, 'c, 'm> {
    unit: &'e Unit<'c, 'm>,
    b: &'e Builder<'c>,
    function: Value,
    thread: Value,
    sequence: Sequence,
    live: usize,
}

impl Body<'_, '_, '_> {
    fn define(&self) {
        self.b.position_at_end(self.unit.context.append_block(self.function, "entry"));
        match self.sequence {
            Sequence::AllocStruct | Sequence::AllocCopy => self.define_alloc_struct(),
            Sequence::AllocArray => self.define_alloc_array(),
            Sequence::Poll => self.define_poll(),
        }
    }

    /// A struct, with its header if that is not copied.
    fn define_alloc_struct(&self) {
        let size_bytes = self.function.param(2);
        let fits = self.unit.types.i1.int(1);
        let object = self.bump(fits, size_bytes, || vec![self.type_word()]);
        if self.sequence != Sequence::AllocCopy {
            self.store_header(object, TYPE_WORD_OFFSET, self.type_word());
        }
        self.b.ret(self.b.cast(Cast::IntToPtr, object, self.unit.types.reference));
    }

    fn define_alloc_array(&self) {
        let types = &self.unit.types;
        let [length, log_elem_bytes] = [2, 3].map(|i| self.function.param(i));
        let wide = |v| self.b.cast(Cast::ZExt, v, types.i64);
        let elements = self.b.binary(Op::Shl, wide(length), wide(log_elem_bytes));
        let align = u64::from(OBJECT_ALIGN_BYTES);
        let padded = u64::from(ARRAY_ELEMENTS_OFFSET) + align - 1;
        let size = self.b.binary(Op::Add, elements, types.i64.int(padded));
        let size = self.b.binary(Op::And, size, types.i64.int(!(align - 1)));
        let fits = self.b.icmp(IntPredicate::Ule, size, types.i64.int(MAX_INLINE_ALLOC_BYTES.into()));
        let size = self.b.cast(Cast::Trunc, size, types.i32);
        let object = self.bump(fits, size, || vec![self.type_word(), length]);
        self.store_header(object, TYPE_WORD_OFFSET, self.type_word());
        self.store_header(object, ARRAY_LENGTH_OFFSET, length);
        self.b.ret(self.b.cast(Cast::IntToPtr, object, types.reference));
    }

    /// The type word, at the builder's position.
    fn type_word(&self) -> Value {
        let param = self.function.param(1);
        let types = &self.unit.types;
        if param.ty() == types.ptr { self.unit.load_invariant(self.b, types.i32, param, 0) } else { param }
    }

    fn define_poll(&self) {
        let types = &self.unit.types;
        let (slow, done) = (self.block("slow"), self.block("done"));
        let request = self.load_thread_word(core::mem::offset_of!(ThreadContext, poll_request));
        // Another thread changes the word: code generation must not take the load out of a loop.
        request.set_volatile();
        let requested = self.b.icmp(IntPredicate::Ne, request, types.i32.int(0));
        let branch = self.b.cond_br(requested, slow, done);
        self.unit.mark_unlikely(branch);
        self.b.position_at_end(slow);
        self.call_slow(Builtin::SafepointPoll, &[]);
        self.b.br(done);
        self.b.position_at_end(done);
        self.b.ret_void();
    }

    /// Takes `size_bytes` from the allocation buffer, or returns from the slow path. The builder then stands
    /// on the fast path; the result is the object's reference word.
    fn bump(&self, fits: Value, size_bytes: Value, slow_args: impl Fn() -> Vec<Value>) -> Value {
        let types = &self.unit.types;
        let (fast, slow) = (self.block("fast"), self.block("slow"));
        let cursor_offset = core::mem::offset_of!(ThreadContext, alloc.cursor);
        let cursor = self.load_thread_word(cursor_offset);
        let limit = self.load_thread_word(core::mem::offset_of!(ThreadContext, alloc.limit));
        let units = self.b.binary(Op::LShr, size_bytes, types.i32.int(LOG_REF_SCALE.into()));
        let end = self.b.binary(Op::Add, cursor, units);
        let in_buffer = self.b.icmp(IntPredicate::Ule, end, limit);
        let both = self.b.binary(Op::And, fits, in_buffer);
        let otherwise = self.b.binary(Op::Xor, both, types.i1.int(1));
        let branch = self.b.cond_br(otherwise, slow, fast);
        self.unit.mark_unlikely(branch);

        self.b.position_at_end(slow);
        let is_array = self.sequence == Sequence::AllocArray;
        let builtin = if is_array { Builtin::AllocArray } else { Builtin::AllocStruct };
        let object = self.call_slow(builtin, &slow_args());
        self.b.ret(object);

        self.b.position_at_end(fast);
        let store = self.b.store(end, self.unit.context_address(self.b, self.thread, cursor_offset));
        self.unit.alias.tag(store, self.unit.metadata.tbaa, self.unit.alias.context);
        cursor
    }

    /// Calls a builtin with the live references pushed on the shadow stack.
    fn call_slow(&self, builtin: Builtin, args: &[Value]) -> Value {
        let kept: Vec<_> = (0..self.live).map(|i| self.function.param(self.sequence.first_live() + i)).collect();
        if convention::keeps(self.unit.arch, kept.len()) {
            return self.unit.call_builtin(self.b, self.thread, builtin, args, &kept);
        }
        let emitter = Emitter { unit: self.unit, b: self.b, thread: self.thread };
        let base = emitter.load_top();
        for (slot, &reference) in kept.iter().enumerate() {
            emitter.store_slot(reference, base, slot as u32);
        }
        emitter.store_top(emitter.slot_address(base, self.live as u32));
        let result = self.unit.call_builtin(self.b, self.thread, builtin, args, &[]);
        // Loaded anew: a copy would take a register for the slow path only, which the fast path has to save.
        let bytes = self.live as i64 * i64::from(REF_BYTES);
        let top = emitter.load_top();
        emitter.store_top(self.b.gep_wrapping(self.unit.types.i8, top, &[self.unit.types.i64.int(-bytes as u64)]));
        result
    }

    fn store_header(&self, object: Value, offset: u32, word: Value) {
        let heap_base = self.function.param(self.sequence.heap_base());
        let address = object_address(self.unit, self.b, heap_base, object);
        let store = self.b.store(word, self.unit.context_address(self.b, address, offset as usize));
        self.unit.alias.tag(store, self.unit.metadata.tbaa, self.unit.alias.header);
    }

    fn load_thread_word(&self, offset: usize) -> Value {
        let load = self.b.load(self.unit.types.i32, self.unit.context_address(self.b, self.thread, offset));
        self.unit.alias.tag(load, self.unit.metadata.tbaa, self.unit.alias.context);
        load
    }

    fn block(&self, name: &str) -> crate::llvm::Block {
        self.unit.context.append_block(self.function, name)
    }
}
