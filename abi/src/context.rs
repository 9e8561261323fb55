//! The memory that compiled code reaches through its two context arguments.
//!
//! [`ThreadContext`] belongs to one OS thread inside a store; the *instance context* to one instance of a
//! module. An instance context is a block of memory whose parts the module's index spaces size: a header, then
//! the arrays of [`InstanceLayout`]. Compiler and runtime both compute that layout from the module's
//! description.
//!
//! What never changes while an instance lives (type words, tag ids, function references, imports, pointers to
//! globals, tables and memories) may be loaded as invariant; what may change (definitions of tables and
//! memories, globals) may not.

use crate::collector::AllocBuffer;
use crate::meta::ModuleMeta;
use crate::profile::ProfileLayout;
use crate::prototype::PROTOTYPE_BYTES;
use crate::signature::{MAX_VALUES, VALUE_SLOT_BYTES};
use crate::types::{ExternType, ValType};

/// One value of a signature outside registers: 16 bytes, of which the value takes the low part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct ValueSlot(pub [u64; 2]);

const _: () = assert!(size_of::<ValueSlot>() == VALUE_SLOT_BYTES as usize);

/// What a thread that runs compiled code carries; the first argument of every function.
#[derive(Debug)]
#[repr(C)]
pub struct ThreadContext {
    /// Where this thread allocates.
    pub alloc: AllocBuffer,
    /// Address of the heap region; invariant.
    pub heap_base: u64,
    /// Address of the first free slot of this thread's shadow stack. The frame of a function is the slots
    /// below it; each holds a 32-bit reference.
    pub shadow_top: u64,
    /// Address of the engine's type descriptors; invariant.
    pub type_base: u64,
    /// Address of the table of builtins, one code address each, in the order of [`crate::builtin::Builtin`];
    /// invariant.
    pub builtins: u64,
    /// Card table address of reference word 0; invariant.
    pub card_base: u64,
    /// Not zero if the thread must call `safepoint_poll`.
    pub poll_request: u32,
    /// The exception being thrown, from the throw to the landing pad. A root.
    pub pending_exception: u32,
    /// Builtins and host functions need the native stack pointer to be at least this; below it a call of one
    /// is a stack overflow.
    pub stack_limit: u64,
    /// Stack pointer of compiled code at its last call of a builtin that may unwind or walk the stack.
    pub exit_sp: u64,
    /// Return address of that call.
    pub exit_pc: u64,
    /// Address of the innermost host-to-wasm activation record.
    pub entry_frame: u64,
    /// The runtime's own record of the thread.
    pub runtime: u64,
    /// Arguments on their way into a function and results on their way out that found no register.
    pub surplus: [ValueSlot; MAX_VALUES],
}

/// Start of every instance context.
#[derive(Debug)]
#[repr(C)]
pub struct InstanceHeader {
    /// The runtime's own record of the instance.
    pub runtime: u64,
    /// Address of the context's store record.
    pub store: u64,
}

/// An imported function: code and what it takes as instance.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ImportedFunc {
    /// Address of the code, in the wasm calling convention.
    pub code: u64,
    /// Address that the code takes as its instance.
    pub instance: u64,
}

/// A memory as compiled code sees it. Stays where it is; its contents change when the memory grows.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct MemoryDef {
    /// Address of byte 0.
    pub base: u64,
    /// Current size in bytes.
    pub len_bytes: u64,
}

/// A table as compiled code sees it. Stays where it is; its contents change when the table grows.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct TableDef {
    /// Address of element 0, a 32-bit reference.
    pub base: u64,
    /// Current number of elements.
    pub len: u64,
}

/// A data segment; dropped segments have length 0.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct DataDef {
    /// Address of the first byte.
    pub base: u64,
    /// Number of bytes.
    pub len_bytes: u64,
}

/// Code may load more than it needs from an instance context, so much at most: a vector instead of a number.
pub const READABLE_BYTES: u32 = 64;

/// Byte offsets of the arrays of an instance context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceLayout {
    /// `[u32]` by type index: the type word of the canonical type.
    pub type_words: u32,
    /// `[u32]` by tag index: the tag's id in its store.
    pub tag_ids: u32,
    /// `[u32]` by tag index: the type word of the tag's exception objects.
    pub exn_type_words: u32,
    /// `[u32]` by position in [`ModuleMeta::func_refs`]: the function's reference.
    pub func_refs: u32,
    /// `[ImportedFunc]` by function index.
    pub imported_funcs: u32,
    /// `[u64]` by global index, imported globals only: address of the global's value.
    pub imported_globals: u32,
    /// Offset of the value of each defined global, by global index less the imported ones.
    pub globals: Vec<u32>,
    /// `[u64]` by memory index: address of the [`MemoryDef`].
    pub memories: u32,
    /// `[u64]` by table index: address of the [`TableDef`].
    pub tables: u32,
    /// `[DataDef]` by data segment index.
    pub data: u32,
    /// `[[u32; 4]]` by position in [`ModuleMeta::prototypes`].
    pub prototypes: u32,
    /// `[u64]`: counters, see [`crate::profile`].
    pub counters: u32,
    /// Size of the context in bytes, with [`READABLE_BYTES`] behind all that it holds. Its alignment is 16.
    pub size_bytes: u32,
}

impl InstanceLayout {
    /// The layout of an instance of this module.
    #[must_use]
    pub fn new(meta: &ModuleMeta) -> Self {
        let mut end = size_of::<InstanceHeader>() as u32;
        let mut array = |count: usize, element: usize| {
            let offset = end.next_multiple_of(element.min(16) as u32);
            end = offset + (count * element) as u32;
            offset
        };
        let imported = |wanted: fn(&ExternType) -> bool| meta.imports.iter().filter(|i| wanted(&i.ty)).count();
        let imported_globals = imported(|t| matches!(t, ExternType::Global(_)));
        let imported_funcs = imported(|t| matches!(t, ExternType::Func(_)));
        Self {
            imported_funcs: array(imported_funcs, size_of::<ImportedFunc>()),
            imported_globals: array(imported_globals, 8),
            memories: array(meta.memories.len(), 8),
            tables: array(meta.tables.len(), 8),
            globals: meta.globals[imported_globals..]
                .iter()
                .map(|g| match g.value {
                    ValType::I32 | ValType::F32 | ValType::Ref(_) => array(1, 4),
                    ValType::I64 | ValType::F64 => array(1, 8),
                    ValType::V128 => array(1, 16),
                })
                .collect(),
            type_words: array(meta.type_count(), 4),
            tag_ids: array(meta.tags.len(), 4),
            exn_type_words: array(meta.tags.len(), 4),
            func_refs: array(meta.func_refs.len(), 4),
            data: array(meta.data.len(), size_of::<DataDef>()),
            prototypes: array(meta.prototypes.len(), PROTOTYPE_BYTES as usize),
            counters: array(meta.profile.as_ref().and_then(ProfileLayout::words).unwrap_or(0) as usize, 8),
            size_bytes: (end + READABLE_BYTES).next_multiple_of(16),
        }
    }
}
