//! Functions of the runtime that compiled code calls.
//!
//! Compiled code loads a builtin's address from the table at
//! [`ThreadContext::builtins`](crate::context::ThreadContext::builtins) and calls it in the builtin's
//! [`Convention`]. The first argument is always the thread context. A builtin has one name here, in the compiler
//! and in the runtime.

/// The type of an argument or result of a builtin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuiltinType {
    /// A native address.
    Ptr,
    I32,
    I64,
    /// A 32-bit reference.
    Ref,
}

/// What a call of a builtin can do besides its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Neither collects nor throws; may trap. Does not use the store.
    Leaf,
    /// May collect, or wait while another thread does: a safepoint. May trap.
    Collects,
    /// May collect, run other wasm code and throw.
    Calls,
    /// Never returns: traps.
    Traps,
    /// Never returns: throws an exception into the callers.
    Throws,
}

/// How compiled code calls a builtin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Convention {
    /// The platform's C convention.
    C,
    /// Arguments and result as in C, but all registers keep their values, those of vectors included, except the result's
    /// and LLVM's scratch register of `preserve_allcc` (r11 on x86-64). Where there is a result, the first argument behind
    /// the thread context is in its register (eax), which is lost anyway. For slow paths in code that otherwise calls
    /// nothing: such code then needs no callee-saved registers, and so no stores on its fast path.
    PreserveAll,
}

/// The type of a builtin.
#[derive(Clone, Copy, Debug)]
pub struct BuiltinSignature {
    pub name: &'static str,
    /// Without the leading thread context.
    pub params: &'static [BuiltinType],
    pub result: Option<BuiltinType>,
    pub effect: Effect,
}

macro_rules! builtins {
    ($($(#[$doc:meta])* $variant:ident $name:ident ($($arg:ident: $param:ident),*) $(-> $result:ident)?, $effect:ident;)*) => {
        /// A function of the runtime that compiled code calls; its number is its place in the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Builtin {
            $($(#[$doc])* $variant,)*
        }

        impl Builtin {
            /// All builtins, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// How compiled code calls it.
            #[must_use]
            pub const fn convention(self) -> Convention {
                match self {
                    Self::AllocStruct | Self::AllocArray | Self::SafepointPoll => Convention::PreserveAll,
                    _ => Convention::C,
                }
            }

            /// Whether the first argument behind the thread context travels in the register of the result.
            #[must_use]
            pub fn takes_argument_in_result_register(self) -> bool {
                self.convention() == Convention::PreserveAll && self.signature().result.is_some()
            }

            /// Whether compiled code may call it with a stack pointer that is aligned to 8 bytes only: the builtins
            /// of slow paths, so that a function that calls nothing else needs no frame. Their arguments and results
            /// are words of 32 bits.
            #[must_use]
            pub const fn is_gate(self) -> bool {
                matches!(self, Self::AllocStruct | Self::AllocArray | Self::SafepointPoll | Self::Trap | Self::Throw)
            }

            /// The builtin's type.
            #[must_use]
            pub const fn signature(self) -> BuiltinSignature {
                match self {
                    $(Self::$variant => BuiltinSignature {
                        name: stringify!($name),
                        params: &[$(BuiltinType::$param),*],
                        result: builtins!(@result $($result)?),
                        effect: Effect::$effect,
                    },)*
                }
            }
        }

        /// Expands a macro with every builtin as `Variant name(arg: Type, …) -> Type;`.
        #[macro_export]
        macro_rules! for_each_builtin {
            ($then:path) => {
                $then! { $($variant $name($($arg: $param),*) $(-> $result)?;)* }
            };
        }
    };
    (@result) => { None };
    (@result $result:ident) => { Some(BuiltinType::$result) };
}

builtins! {
    /// A struct or exception of this type word, zeroed but for its header.
    AllocStruct alloc_struct(type_word: I32) -> Ref, Collects;
    /// An array of `length` elements, zeroed but for its header.
    AllocArray alloc_array(type_word: I32, length: I32) -> Ref, Collects;
    /// What a thread does whose `poll_request` is set.
    SafepointPoll safepoint_poll(), Collects;
    /// Traps with a [`crate::trap::TrapCode`].
    Trap trap(code: I32), Traps;
    /// Throws an exception object; not null.
    Throw throw(exception: Ref), Throws;
    /// Calls the host function whose record is `func`; arguments and results in `slots`.
    HostCall host_call(func: Ptr, slots: Ptr), Calls;
    /// Grows a memory by `delta` pages; the old size in pages, or -1.
    MemoryGrow memory_grow(instance: Ptr, memory: I32, delta: I64) -> I64, Collects;
    /// `memory.fill`, bounds checked; it can be stopped and interrupted on the way, as those below. Memories are named by
    /// the address of their definition, here and below.
    MemoryFill memory_fill(memory: Ptr, dst: I64, value: I32, len: I64), Collects;
    /// `memory.copy`, bounds checked.
    MemoryCopy memory_copy(dst_memory: Ptr, src_memory: Ptr, dst: I64, src: I64, len: I64), Collects;
    /// `memory.init`, bounds checked. Segments are named by the address of their definition, here and below.
    MemoryInit memory_init(memory: Ptr, segment: Ptr, dst: I64, src: I32, len: I32), Collects;
    /// `data.drop`.
    DataDrop data_drop(segment: Ptr), Leaf;
    /// `memory.atomic.notify` at a checked address of a shared memory; the number of threads that it woke.
    AtomicNotify memory_atomic_notify(address: Ptr, count: I32) -> I32, Leaf;
    /// `memory.atomic.wait32` at a checked address of a shared memory; `timeout` in nanoseconds, negative for none.
    AtomicWait32 memory_atomic_wait32(address: Ptr, expected: I32, timeout: I64) -> I32, Collects;
    /// `memory.atomic.wait64`, likewise.
    AtomicWait64 memory_atomic_wait64(address: Ptr, expected: I64, timeout: I64) -> I32, Collects;
    /// Grows a table by `delta` elements `init`; the old size, or -1.
    TableGrow table_grow(instance: Ptr, table: I32, init: Ref, delta: I64) -> I64, Collects;
    /// `table.fill`, bounds checked.
    TableFill table_fill(instance: Ptr, table: I32, dst: I64, value: Ref, len: I64), Collects;
    /// `table.copy`, bounds checked.
    TableCopy table_copy(instance: Ptr, dst_table: I32, src_table: I32, dst: I64, src: I64, len: I64), Collects;
    /// `table.init`, bounds checked.
    TableInit table_init(instance: Ptr, table: I32, segment: I32, dst: I64, src: I32, len: I32), Collects;
    /// `elem.drop`.
    ElemDrop elem_drop(instance: Ptr, segment: I32), Collects;
    /// Sets an element of an element segment whose elements are expressions; during instantiation only.
    ElemSet elem_set(instance: Ptr, segment: I32, index: I32, value: Ref), Collects;
    /// Fills the instance's [prototypes](crate::prototype), once its globals have their values.
    FillPrototypes fill_prototypes(instance: Ptr), Collects;
    /// `array.new_data`: an array of this type word from bytes `offset..` of a data segment, bounds checked.
    ArrayNewData array_new_data(instance: Ptr, type_word: I32, segment: I32, offset: I32, length: I32) -> Ref, Collects;
    /// `array.new_elem`: an array of this type word from elements `offset..` of an element segment.
    ArrayNewElem array_new_elem(instance: Ptr, type_word: I32, segment: I32, offset: I32, length: I32) -> Ref, Collects;
    /// `array.init_data`, bounds checked; the array is not null.
    ArrayInitData array_init_data(instance: Ptr, array: Ref, segment: I32, dst: I32, src: I32, len: I32), Collects;
    /// Counts a call of the function with this key in the [`CallCounts`](crate::profile::CallCounts) at `counts`.
    CountCall count_call(counts: Ptr, key: I64), Leaf;
    /// `array.init_elem`, bounds checked, with barrier; the array is not null.
    ArrayInitElem array_init_elem(instance: Ptr, array: Ref, segment: I32, dst: I32, src: I32, len: I32), Collects;
}

/// C library functions that LLVM may call on its own. Compiled code reaches them through the *libcall table*, a
/// page in front of the mapped artifact that the loader fills, one address each in this order.
pub const LIBCALLS: &[&str] = &[
    "memcpy",
    "memmove",
    "memset",
    "memcmp",
    "bcmp",
    "ceil",
    "ceilf",
    "floor",
    "floorf",
    "trunc",
    "truncf",
    "rint",
    "rintf",
    "nearbyint",
    "nearbyintf",
    "roundeven",
    "roundevenf",
    "fma",
    "fmaf",
];
