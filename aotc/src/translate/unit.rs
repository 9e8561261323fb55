//! What the translation of all functions of one partition shares: LLVM types, declarations, metadata, and the
//! module's facts.
//!
//! A partition is an LLVM module of its own, in a context of its own. It declares every function that it calls;
//! which of them it also defines is decided in [`crate::compile()`].

use crate::convention::{CONTEXTS, GATE_CALL, GATE_PREFIX, INSTANCE, THREAD};
use crate::cpu::Arch;
use crate::gc::markers::Markers;
use crate::llvm::{
    Builder, C_CC, Context, Metadata, MetadataKind, Module as LlvmModule, Opcode, PRESERVE_ALL_CC, TAIL_CC, Type,
    Value, attribute_index,
};
use crate::module::Module;
use crate::object::{FUNC_PREFIX, NUMBER_PREFIX, numbered};
use crate::translate::alias::AliasClasses;
use crate::translate::numbers::{INSTANCE_BYTES, Naming, Numbers};
use crate::translate::prototypes::PrototypePlaces;
use dolmen_abi::builtin::{Builtin, BuiltinType, Convention, Effect};
use dolmen_abi::context::ThreadContext;
use dolmen_abi::context::{InstanceLayout, MemoryDef, TableDef, ValueSlot};
use dolmen_abi::layout::{StructLayout, exception_layout, struct_layout};
use dolmen_abi::object::MAX_OBJECT_BYTES;
use dolmen_abi::reference::REF_BYTES;
use dolmen_abi::signature::{MAX_REGISTER_RESULTS, MachineSignature, MachineType, surplus_params};
use dolmen_abi::types::{CompositeType, TypeIdx};
use rustc_hash::FxHashSet;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

/// LLVM's types, by the names that translation uses.
#[derive(Clone, Copy)]
pub(crate) struct Types {
    pub(crate) void: Type,
    pub(crate) i1: Type,
    pub(crate) i8: Type,
    pub(crate) i16: Type,
    pub(crate) i32: Type,
    pub(crate) i64: Type,
    pub(crate) f32: Type,
    pub(crate) f64: Type,
    pub(crate) v128: Type,
    pub(crate) ptr: Type,
    /// References: 32-bit pointers in an address space of their own.
    pub(crate) reference: Type,
}

impl Types {
    pub(crate) fn new(context: &Context) -> Self {
        Self {
            void: context.void_type(),
            i1: context.int_type(1),
            i8: context.int_type(8),
            i16: context.int_type(16),
            i32: context.int_type(32),
            i64: context.int_type(64),
            f32: context.f32_type(),
            f64: context.f64_type(),
            v128: context.int_type(8).vector(16),
            ptr: context.ptr_type(),
            reference: context.ref_type(),
        }
    }

    pub(crate) fn machine(&self, ty: MachineType) -> Type {
        match ty {
            MachineType::I32 => self.i32,
            MachineType::I64 => self.i64,
            MachineType::F32 => self.f32,
            MachineType::F64 => self.f64,
            MachineType::V128 => self.v128,
            MachineType::Ref => self.reference,
        }
    }
}

/// The intrinsic that tells LLVM what holds.
pub(crate) const ASSUME: &str = "llvm.assume";

/// Less is no offset and no number of many.
const MIN_PASSED_ON: u32 = 16;

/// Alignment of instance contexts, in bytes.
pub(crate) const INSTANCE_ALIGN_BYTES: u64 = align_of::<ValueSlot>() as u64;

/// The shared state.
pub(crate) struct Unit<'c, 'm> {
    pub(crate) context: &'c Context,
    pub(crate) llvm: &'c LlvmModule<'c>,
    pub(crate) module: &'m Module<'m>,
    /// The defined functions of the partition, by position.
    range: Range<usize>,
    pub(crate) layout: InstanceLayout,
    pub(crate) types: Types,
    pub(crate) alias: AliasClasses,
    pub(crate) numbers: Numbers,
    pub(crate) prototypes: PrototypePlaces,
    /// Offsets in the instance context at which is what never changes, as far as the partition has mentioned them.
    invariant_places: RefCell<FxHashSet<u64>>,
    pub(crate) metadata: MetadataKind,
    pub(crate) markers: Markers,
    pub(crate) polls: bool,
    pub(crate) arch: Arch,
    /// Whether other threads that get a reference by a race find the object whole only behind a fence. Without polls
    /// there are no other threads.
    pub(crate) fences: bool,
    /// Whether code may use x86-64's SSSE3: its instructions for what LLVM's IR has no words for.
    pub(crate) ssse3: bool,
    pub(crate) barrier: dolmen_abi::collector::Barrier,
    /// Branch weights of a branch whose first successor is almost never taken.
    unlikely: Metadata,
    empty: Metadata,
    struct_layouts: RefCell<HashMap<u32, Rc<StructLayout>>>,
    target_attributes: Vec<(&'static str, String)>,
}

impl<'c, 'm> Unit<'c, 'm> {
    pub(crate) fn new(
        context: &'c Context,
        llvm: &'c LlvmModule<'c>,
        module: &'m Module<'m>,
        options: &crate::compile::Settings,
        numbers: Numbers,
        range: Range<usize>,
    ) -> Self {
        let types = Types::new(context);
        let weights = [
            context.metadata_string("branch_weights"),
            context.metadata_int(1, 32),
            context.metadata_int(1_000_000, 32),
        ];
        Self {
            context,
            llvm,
            module,
            range,
            layout: InstanceLayout::new(&module.meta),
            types,
            alias: AliasClasses::new(context),
            numbers,
            prototypes: PrototypePlaces::default(),
            invariant_places: RefCell::default(),
            metadata: context.metadata_kinds(),
            markers: Markers::declare(context, llvm, &types),
            polls: options.polls,
            arch: options.cpu.arch,
            fences: options.polls && !options.cpu.arch.keeps_store_order(),
            barrier: options.protocol.barrier,
            unlikely: context.metadata_node(&weights),
            empty: context.metadata_node(&[]),
            struct_layouts: RefCell::default(),
            ssse3: options.cpu.has_feature("ssse3"),
            target_attributes: vec![
                ("target-cpu", options.cpu.base.to_owned()),
                ("tune-cpu", options.cpu.tune.clone()),
                ("target-features", options.cpu.feature_string()),
            ],
        }
    }

    /// The LLVM type of a function with this machine signature.
    pub(crate) fn function_type(&self, signature: &MachineSignature) -> Type {
        let mut params = vec![self.types.ptr; CONTEXTS];
        let surplus = surplus_params(&signature.params);
        let in_registers = signature.params.iter().zip(surplus).filter(|&(_, surplus)| !surplus);
        params.extend(in_registers.map(|(&ty, _)| self.types.machine(ty)));
        self.context.function_type(self.result_type(signature), &params)
    }

    /// What a function with this machine signature returns in registers.
    pub(crate) fn result_type(&self, signature: &MachineSignature) -> Type {
        let direct: Vec<_> =
            signature.results.iter().take(MAX_REGISTER_RESULTS).map(|&ty| self.types.machine(ty)).collect();
        match direct.as_slice() {
            [] => self.types.void,
            [one] => *one,
            several => self.context.struct_type(several),
        }
    }

    /// The symbol of a defined function in this partition.
    fn symbol(&self, func: u32) -> String {
        let number = self.numbers.func(func);
        match self.numbers.naming() {
            Naming::Local => format!("{FUNC_PREFIX}{number}]"),
            Naming::Final => final_symbol(self.module, func),
        }
    }

    /// A defined function of the module, if this partition has it.
    pub(crate) fn known_function(&self, func: u32) -> Option<Value> {
        self.numbers.known_func(func)?;
        self.llvm.function(&self.symbol(func))
    }

    /// The index of a function of the module, imported ones and all that this compiler adds aside.
    pub(crate) fn func_of(&self, function: Value) -> Option<u32> {
        let number = number_of_symbol(&function.name())?;
        match self.numbers.naming() {
            Naming::Local => self.numbers.func_of(number),
            Naming::Final => Some(number),
        }
    }

    /// A defined function of the module, declared if this partition does not have it yet.
    pub(crate) fn function(&self, func: u32) -> Value {
        let symbol = self.symbol(func);
        self.llvm.function(&symbol).unwrap_or_else(|| {
            let signature = MachineSignature::from(self.module.type_of_func(func));
            let function = self.declare_with_contexts(&symbol, self.function_type(&signature), TAIL_CC);
            self.add_instance_size(function);
            function
        })
    }

    /// Says that all of the instance context can be read that a function of the module takes: what is loaded from it
    /// under a condition in a loop can then be loaded once, in front of it. Not so the thread context: what LLVM would
    /// move out of loops is what slow paths load.
    fn add_instance_size(&self, function: Value) {
        let bytes = if self.numbers.has_places() { INSTANCE_BYTES } else { self.layout.size_bytes.into() };
        for (name, value) in [("dereferenceable", bytes), ("align", INSTANCE_ALIGN_BYTES)] {
            function.add_attribute(attribute_index::param(INSTANCE), self.context.enum_attribute(name, value));
        }
    }

    /// Declares a function with the attributes that all compiled code has.
    pub(crate) fn declare(&self, symbol: &str, ty: Type, convention: u32) -> Value {
        let function = self.llvm.add_function(symbol, ty, convention);
        let attribute = |attribute| function.add_attribute(attribute_index::FUNCTION, attribute);
        // 1 is the synchronous kind of unwind tables: correct at calls.
        attribute(self.context.enum_attribute("uwtable", 1));
        attribute(self.context.string_attribute("probe-stack", "inline-asm"));
        attribute(self.context.string_attribute("no-trapping-math", "true"));
        for (name, value) in &self.target_attributes {
            attribute(self.context.string_attribute(name, value));
        }
        function
    }

    /// Declares a function whose first two arguments are the contexts.
    pub(crate) fn declare_with_contexts(&self, symbol: &str, ty: Type, convention: u32) -> Value {
        let function = self.declare(symbol, ty, convention);
        for (index, name) in [(THREAD, "noalias"), (THREAD, "nonnull"), (INSTANCE, "nonnull")] {
            function.add_attribute(attribute_index::param(index), self.context.enum_attribute(name, 0));
        }
        function
    }

    /// The personality that landing pads need to name; nothing ever calls it.
    pub(crate) fn personality(&self) -> Value {
        const NAME: &str = "dolmen_personality";
        self.llvm.function(NAME).unwrap_or_else(|| {
            let ty = self.context.function_type(self.types.i32, &[]);
            self.llvm.add_function(NAME, ty, C_CC)
        })
    }

    /// An overloaded or plain LLVM intrinsic.
    pub(crate) fn intrinsic(&self, name: &str, overloads: &[Type]) -> Value {
        self.llvm.intrinsic(name, overloads)
    }

    /// Tells LLVM what holds, until [`forget_assumptions`](Self::forget_assumptions).
    pub(crate) fn assume(&self, b: &Builder<'_>, holds: Value) {
        let assume = self.intrinsic(ASSUME, &[]);
        b.call(assume.function_type(), assume, &[holds], C_CC);
    }

    /// Takes away what [`assume`](Self::assume) has told, which from now on is in the way.
    pub(crate) fn forget_assumptions(&self) {
        if let Some(assume) = self.llvm.function(ASSUME) {
            assume.users().into_iter().for_each(Value::erase);
        }
    }

    /// The LLVM type of a builtin, with the thread context and the references that it keeps.
    fn builtin_type(&self, builtin: Builtin, kept: usize) -> Type {
        let signature = builtin.signature();
        let lower = |ty: &BuiltinType| match ty {
            BuiltinType::Ptr => self.types.ptr,
            BuiltinType::I32 => self.types.i32,
            BuiltinType::I64 => self.types.i64,
            BuiltinType::Ref => self.types.reference,
        };
        let mut params = vec![self.types.ptr];
        params.extend(signature.params.iter().map(lower));
        params.extend(std::iter::repeat_n(self.types.reference, kept));
        let result = signature.result.as_ref().map_or(self.types.void, lower);
        self.context.function_type(result, &params)
    }

    /// Says of a call of a builtin what [`Effect`] says of it.
    fn add_builtin_attributes(&self, builtin: Builtin, call: Value) {
        let enum_attribute = |name: &str| {
            call.add_call_attribute(attribute_index::FUNCTION, self.context.enum_attribute(name, 0));
        };
        // Of cold code, which is not executed: about two instructions, and five.
        let inline_cost = |cost| {
            let cost = self.context.string_attribute(crate::gc::markers::INLINE_COST, cost);
            call.add_call_attribute(attribute_index::FUNCTION, cost);
        };
        match builtin.signature().effect {
            Effect::Leaf => {
                enum_attribute("nounwind");
                self.mark_leaf(call);
            }
            Effect::Collects => enum_attribute("nounwind"),
            Effect::Calls => {}
            Effect::Traps => {
                inline_cost("10");
                enum_attribute("nounwind");
                enum_attribute("noreturn");
                enum_attribute("cold");
                self.mark_leaf(call);
            }
            Effect::Throws => {
                inline_cost("25");
                enum_attribute("noreturn");
                enum_attribute("cold");
                self.mark_leaf(call);
            }
        }
    }

    fn mark_leaf(&self, call: Value) {
        let leaf = self.context.string_attribute(crate::gc::markers::LEAF_CALL, "");
        call.add_call_attribute(attribute_index::FUNCTION, leaf);
    }

    /// Layout of a struct type.
    pub(crate) fn struct_layout(&self, ty: TypeIdx) -> Rc<StructLayout> {
        let mut layouts = self.struct_layouts.borrow_mut();
        let layout = layouts.entry(ty.0).or_insert_with(|| match &self.module.sub_type(ty).composite {
            CompositeType::Struct(fields) => Rc::new(struct_layout(fields, self.module.descriptor_at(ty))),
            other => panic!("type {} is {other:?}, not a struct type", ty.0),
        });
        Rc::clone(layout)
    }

    /// Layout of the exceptions of a tag.
    pub(crate) fn exception_layout(&self, tag: u32) -> StructLayout {
        exception_layout(&self.module.func_type(self.module.meta.tags[tag as usize]).params)
    }

    /// Marks a conditional branch's first successor as almost never taken.
    pub(crate) fn mark_unlikely(&self, branch: Value) {
        branch.set_metadata(self.metadata.prof, self.unlikely);
    }

    /// Marks a conditional branch as one that mostly goes to its first successor, or mostly does not. The weights are
    /// those that LLVM gives to what programmers expect: a hint can be wrong.
    pub(crate) fn mark_expected(&self, branch: Value, first: bool) {
        const LIKELY: u64 = 2000;
        let [then, otherwise] = if first { [LIKELY, 1] } else { [1, LIKELY] };
        self.mark_weights(branch, then, otherwise);
    }

    /// Says how often a conditional branch goes to its first and to its second successor, relative to each other.
    pub(crate) fn mark_weights(&self, branch: Value, then: u64, otherwise: u64) {
        let weight = |weight: u64| self.context.metadata_int(weight.min(u32::MAX.into()), 32);
        let weights = [self.context.metadata_string("branch_weights"), weight(then), weight(otherwise)];
        branch.set_metadata(self.metadata.prof, self.context.metadata_node(&weights));
    }

    /// Marks a load as giving the same value whenever it executes.
    pub(crate) fn mark_invariant(&self, load: Value) {
        load.set_metadata(self.metadata.invariant_load, self.empty);
    }

    /// Where the instance context has the type word of a type of the module.
    pub(crate) fn type_word_offset(&self, ty: TypeIdx) -> u32 {
        self.layout.type_words + 4 * self.module.canonical[ty.0 as usize]
    }

    /// Where the instance context has its reference to a function that is declared to be referred to.
    pub(crate) fn func_ref_offset(&self, func: u32) -> u32 {
        let position = self.module.meta.func_refs.binary_search(&func).expect("validation requires a declaration");
        self.layout.func_refs + REF_BYTES * position as u32
    }

    /// Notes that what lies at an offset in the instance context, as LLVM knows it, never changes.
    pub(crate) fn note_invariant_place(&self, offset: u64) {
        self.invariant_places.borrow_mut().insert(offset);
    }

    /// Whether what lies at an offset in the instance context, as LLVM knows it, is known never to change.
    pub(crate) fn is_invariant_place(&self, offset: u64) -> bool {
        self.invariant_places.borrow().contains(&offset)
    }

    /// The offset of an address in a function's own instance context, as LLVM knows it.
    pub(crate) fn offset_in_instance(&self, function: Value, address: Value) -> Option<u64> {
        let is_offset = address.is_instruction()
            && address.opcode() == Opcode::GetElementPtr
            && address.operand_count() == 2
            && address.gep_source_type() == self.types.i8
            && function.param_count() > INSTANCE
            && address.operand(0) == function.param(INSTANCE);
        is_offset.then(|| address.operand(1).const_int()).flatten().map(i64::cast_unsigned)
    }

    /// Marks a load as giving a reference that is not null.
    pub(crate) fn mark_non_null(&self, load: Value) {
        load.set_metadata(self.metadata.nonnull, self.empty);
    }

    /// Marks a loaded array length as one that arrays have: it is no negative number.
    pub(crate) fn mark_length(&self, load: Value) {
        const _: () = assert!(MAX_OBJECT_BYTES <= i32::MAX as u64);
        let bounds = [0, MAX_OBJECT_BYTES].map(|bound| self.context.metadata_int(bound, 32));
        load.set_metadata(self.metadata.range, self.context.metadata_node(&bounds));
    }

    /// Whether a value is an array's length that was loaded: no other loads are marked with bounds.
    pub(crate) fn is_loaded_length(&self, value: Value) -> bool {
        value.is_instruction() && value.opcode() == Opcode::Load && value.has_metadata(self.metadata.range)
    }

    /// Marks an allocation as unaliased: LLVM may drop stores into its object that no load can see.
    ///
    /// Invariant loads see no store in LLVM's eyes: behind a select or phi of fresh objects, where the stored value
    /// cannot be forwarded, the load would stay and the store would go. So the allocation must itself set what is
    /// loaded as invariant (headers, immutable fields); arrays of immutable elements are not marked.
    pub(crate) fn mark_unaliased(&self, allocation: Value) {
        allocation.add_call_attribute(attribute_index::RETURN, self.context.enum_attribute("noalias", 0));
    }

    /// Marks a loaded pointer as that of a [`MemoryDef`] or
    /// [`TableDef`], which is there as long as the instance is.
    pub(crate) fn mark_definition(&self, load: Value) {
        const BYTES: u64 = size_of::<MemoryDef>() as u64;
        const _: () = assert!(BYTES == size_of::<TableDef>() as u64);
        let node = |value| self.context.metadata_node(&[self.context.metadata_int(value, 64)]);
        load.set_metadata(self.metadata.dereferenceable, node(BYTES));
        load.set_metadata(self.metadata.align, node(align_of::<MemoryDef>() as u64));
    }

    /// Marks a store as the first one into a place of a fresh object: it does nothing if what is stored is zero.
    pub(crate) fn mark_initial_store(&self, store: Value) {
        store.set_metadata(self.metadata.initial_store, self.empty);
    }

    /// Marks a store as one that the object's allocation performs too.
    pub(crate) fn mark_allocation_store(&self, store: Value) {
        store.set_metadata(self.metadata.allocation_store, self.empty);
    }

    /// Behind the stores of references that a fresh object must have before another thread can find it: LLVM must not
    /// think that later stores make them superfluous, and the processor not show them late.
    pub(crate) fn fence_elements(&self, b: &Builder<'_>) {
        if self.fences { b.release_fence() } else { b.compiler_fence() }
    }

    /// The address of a field of a context.
    pub(crate) fn context_address(&self, b: &Builder<'_>, context: Value, offset: usize) -> Value {
        if offset == 0 {
            return context;
        }
        b.gep(self.types.i8, context, self.types.i64.int(offset as u64))
    }

    /// Loads the heap's base from a thread context.
    pub(crate) fn load_heap_base(&self, b: &Builder<'_>, thread: Value) -> Value {
        self.load_invariant(b, self.types.ptr, thread, core::mem::offset_of!(ThreadContext, heap_base))
    }

    /// Loads a field of a context that never changes.
    pub(crate) fn load_invariant(&self, b: &Builder<'_>, ty: Type, context: Value, offset: usize) -> Value {
        let load = b.load(ty, self.context_address(b, context, offset));
        self.mark_invariant(load);
        self.alias.tag(load, self.metadata.tbaa, self.alias.context);
        load
    }

    /// The address of so many bytes in an instance context.
    pub(crate) fn instance_address(&self, b: &Builder<'_>, instance: Value, offset: u32, bytes: u32) -> Value {
        self.context_address(b, instance, self.numbers.place(offset, bytes) as usize)
    }

    /// Whether a function is neither in this partition nor translated along in it.
    pub(crate) fn is_far(&self, func: u32) -> bool {
        let position = self.module.defined_position(func);
        position.is_some_and(|position| !self.range.contains(&position) && !self.module.is_small(position))
    }

    /// An argument of something that is not in this partition. If it is a constant, nothing here depends on its value: it
    /// is often an offset or the number of a string, which others in front change.
    pub(crate) fn passed_on(&self, arg: Value) -> Value {
        let constant = arg.const_int().filter(|_| arg.ty() == self.types.i32);
        match constant.and_then(|constant| u32::try_from(constant).ok()) {
            Some(constant) if constant >= MIN_PASSED_ON => self.index(constant),
            _ => arg,
        }
    }

    /// An index for a builtin, which linking may put in.
    pub(crate) fn index(&self, index: u32) -> Value {
        match self.numbers.index(index) {
            Some(number) => {
                self.llvm.number_symbol(self.context, &number_symbol(number)).const_ptr_to_int(self.types.i32)
            }
            None => self.types.i32.int(index.into()),
        }
    }

    /// Calls a builtin; the thread context is passed on. A gate keeps references on the shadow stack meanwhile, as many as
    /// [`crate::convention::keeps`] allows; others keep none.
    pub(crate) fn call_builtin(
        &self,
        b: &Builder<'_>,
        thread: Value,
        builtin: Builtin,
        args: &[Value],
        kept: &[Value],
    ) -> Value {
        let is_gate = builtin.is_gate();
        let callee = if is_gate { self.gate(builtin, kept.len()) } else { self.builtin_address(b, thread, builtin) };
        let all: Vec<_> = [thread].iter().chain(args).chain(kept).copied().collect();
        let call = b.call(self.builtin_type(builtin, kept.len()), callee, &all, convention_of(builtin));
        if is_gate {
            let number = self.context.string_attribute(GATE_CALL, &(builtin as u32).to_string());
            call.add_call_attribute(attribute_index::FUNCTION, number);
        }
        self.add_builtin_attributes(builtin, call);
        call
    }

    /// The name by which gates are called until [`crate::convention`] makes code of it: each function has a call for each of
    /// its checks, and what loads the address would be most of the instructions of the cold blocks.
    fn gate(&self, gate: Builtin, kept: usize) -> Value {
        let name = format!("{GATE_PREFIX}{}.{kept}", gate.signature().name);
        let declare = || self.llvm.add_function(&name, self.builtin_type(gate, kept), convention_of(gate));
        self.llvm.function(&name).unwrap_or_else(declare)
    }

    /// Loads the address of a builtin from the table.
    pub(crate) fn builtin_address(&self, b: &Builder<'_>, thread: Value, builtin: Builtin) -> Value {
        let offset = core::mem::offset_of!(dolmen_abi::context::ThreadContext, builtins);
        let table = self.load_invariant(b, self.types.ptr, thread, offset);
        self.load_invariant(b, self.types.ptr, table, builtin as usize * size_of::<u64>())
    }
}

fn convention_of(builtin: Builtin) -> u32 {
    match builtin.convention() {
        Convention::C => C_CC,
        Convention::PreserveAll => PRESERVE_ALL_CC,
    }
}

/// A name without the characters that assemblers and tools stumble over.
fn clean(name: &str) -> String {
    name.chars().take(200).map(|c| if c.is_control() || c == '"' || c == '\\' { '_' } else { c }).collect()
}

/// The symbol of a defined function in the artifact.
pub(crate) fn final_symbol(module: &Module<'_>, func: u32) -> String {
    let name = module.func_name(func);
    if name.is_empty() { format!("{FUNC_PREFIX}{func}]") } else { format!("{FUNC_PREFIX}{func}]::{}", clean(name)) }
}

/// The symbol of a number that linking tells.
pub(crate) fn number_symbol(number: u32) -> String {
    format!("{NUMBER_PREFIX}{number}]")
}

/// The number in the symbol of a defined function; `None` for any other symbol.
fn number_of_symbol(symbol: &str) -> Option<u32> {
    let (number, _) = numbered(symbol, FUNC_PREFIX)?;
    Some(number)
}

/// Whether a function is one of the WebAssembly module, with a body.
pub(crate) fn is_of_module(function: Value) -> bool {
    function.is_definition() && number_of_symbol(&function.name()).is_some()
}
