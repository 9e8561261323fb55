//! Headers, and the objects whose shape no module chooses.
//!
//! Every object starts with an immutable 32-bit type word ([`crate::type_desc`]); an array has its length in
//! the next word. Nothing of the collector's lives in a header, so compiled code may treat loads of it as
//! invariant.
//!
//! ```text
//! struct     type word | fields, each naturally aligned …            (layout::struct_layout)
//! array      type word | length u32 | elements …
//! function   type word | function index u32 | code u64 | instance u64 | entry u64
//! extern     type word | 0 u32 | host data u64
//! exception  type word | tag id u32 | payload, each naturally aligned …
//! ```
//!
//! A fresh object is all zero but for its header: the allocator hands out zeroed memory, because the compiler
//! may delay an initialising store past a safepoint and the collector must then see null.

/// Byte offset of the type word in every object.
pub const TYPE_WORD_OFFSET: u32 = 0;

/// Byte offset of the first field of a struct.
pub const STRUCT_FIELDS_OFFSET: u32 = 4;

/// Byte offset of the 32-bit element count of an array.
pub const ARRAY_LENGTH_OFFSET: u32 = 4;

/// Byte offset of the first element of an array.
pub const ARRAY_ELEMENTS_OFFSET: u32 = 8;

/// Byte offset of the 32-bit tag id of an exception.
pub const EXN_TAG_ID_OFFSET: u32 = 4;

/// Byte offset of the first payload value of an exception.
pub const EXN_PAYLOAD_OFFSET: u32 = 8;

/// Byte offset of the 32-bit function index (in its instance's module) of a function object; for traces.
pub const FUNC_INDEX_OFFSET: u32 = 4;

/// Byte offset of the 64-bit address of the code of a function object, in the wasm calling convention.
pub const FUNC_CODE_OFFSET: u32 = 8;

/// Byte offset of the 64-bit address that a function's code takes as its instance.
pub const FUNC_INSTANCE_OFFSET: u32 = 16;

/// Byte offset of the 64-bit address of the host-to-wasm trampoline of a function object.
pub const FUNC_ENTRY_OFFSET: u32 = 24;

/// Size of a function object, in bytes.
pub const FUNC_BYTES: u32 = 32;

/// Byte offset of the 64-bit host datum of an `externref` that the host made.
pub const EXTERN_DATA_OFFSET: u32 = 8;

/// Size of a host object, in bytes.
pub const EXTERN_BYTES: u32 = 16;

/// Size of the largest object, in bytes, header included. Byte offsets into an object fit an `i32`.
pub const MAX_OBJECT_BYTES: u64 = (i32::MAX as u64) & !7;
