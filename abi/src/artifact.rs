//! The file that holds a compiled module.
//!
//! An artifact is one ELF64 relocatable-style object without relocations: tools such as `objdump` read it, the
//! runtime maps it whole, read-only, and makes the code section executable. Code and read-only data keep their
//! distance, so nothing in them needs relocation; everything process-specific is reached through the contexts,
//! and C library functions through the *libcall table*, one page that the loader places directly in front of
//! the mapped file.
//!
//! ```text
//! memory:  libcall table (1 page) | file: ELF header | .text | .rodata | .dolmen.* … | section headers
//! file:                             0                  PAGE    …
//! ```
//!
//! | section | content | alignment |
//! |---|---|---|
//! | `.text` | all code, at file offset [`PAGE_BYTES`] | page |
//! | `.rodata` | constants of the code; directly after the code, on pages of its own | page |
//! | [`HEADER_SECTION`] | [`Header`], postcard | 8 |
//! | [`META_SECTION`] | [`ModuleMeta`](crate::meta::ModuleMeta), postcard | 8 |
//! | [`NAMES_SECTION`] | [`Names`](crate::meta::Names), postcard | 8 |
//! | [`CUSTOM_SECTION`] | the module's custom sections: `[(name, bytes)]`, postcard | 8 |
//! | [`DATA_SECTION`] | bytes of all data segments | 8 |
//! | [`UNWIND_SECTION`] | see [`UnwindHeader`] | 8 |
//!
//! The compiler writes all of them, the loader reads all of them. The symbol table names every function.
//!
//! `e_flags` of the ELF header is [`FORMAT_VERSION`], so that a file of another version is told apart before
//! anything in it is trusted. The last [`HASH_BYTES`] of the file are the BLAKE3 hash of all bytes before them.

use crate::collector::Protocol;
use serde::{Deserialize, Serialize};

/// Version of everything in this crate: it changes whenever code compiled before could misbehave.
pub const FORMAT_VERSION: u32 = 12;

/// Size of a page and file offset of the code section, in bytes.
pub const PAGE_BYTES: u64 = 4096;

/// Length of the hash at the end of the file, in bytes.
pub const HASH_BYTES: usize = 32;

pub const TEXT_SECTION: &str = ".text";
pub const RODATA_SECTION: &str = ".rodata";
pub const HEADER_SECTION: &str = ".dolmen.header";
pub const META_SECTION: &str = ".dolmen.meta";
pub const NAMES_SECTION: &str = ".dolmen.names";
pub const CUSTOM_SECTION: &str = ".dolmen.custom";
pub const DATA_SECTION: &str = ".dolmen.data";
pub const UNWIND_SECTION: &str = ".dolmen.unwind";

/// What must match before code may run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the compiler that wrote the file; shown to users.
    pub compiler_version: String,
    /// LLVM target triple.
    pub target_triple: String,
    /// CPU features that the code may use beyond the architecture's baseline, by LLVM's names, sorted.
    pub cpu_features: Vec<String>,
    pub protocol: Protocol,
    /// LLVM optimisation level, 0 to 3.
    pub opt_level: u8,
    /// Whether loops poll for requests to stop.
    pub polls: bool,
    /// BLAKE3 hash of the WebAssembly module.
    pub source_hash: [u8; HASH_BYTES],
}

/// Start of the unwind section. Five arrays follow, each at the next multiple of 4 bytes:
///
/// ```text
/// func_starts   [u32; func_count]     offset of each piece of code in .text, ascending
/// func_indices  [u32; func_count]     its function index, or NO_FUNC_INDEX for trampolines and init functions
/// range_starts  [u32; range_count]    offset in .text from which a range's facts hold, ascending
/// ranges        [UnwindRange; range_count]
/// frames        [FrameDesc; frame_count]
/// ```
///
/// The facts for a return address are those of the last range that starts below it. They hold for all other
/// instructions that can fault as well (the last range that starts at or below the instruction), but for loops
/// that probe a large frame: those have [`NO_FRAME`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct UnwindHeader {
    pub func_count: u32,
    pub range_count: u32,
    pub frame_count: u32,
    /// Size of the code section in bytes.
    pub text_bytes: u32,
}

/// A range of code in which a call's frame looks the same and unwinds to the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct UnwindRange {
    /// Index of the frame's description, or [`NO_FRAME`] where no call returns to.
    pub frame: u32,
    /// Offset in `.text` of the landing pad of calls in this range, or [`NO_LANDING_PAD`].
    pub landing_pad: u32,
}

/// How to find a frame's caller (DWARF's call frame information, for x86-64 and call sites only).
///
/// The *canonical frame address* (CFA) is the stack pointer before the call that made the frame; the return
/// address is the 8 bytes below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub struct FrameDesc {
    /// CFA minus the base register, in bytes.
    pub cfa_offset: i32,
    /// Which register the CFA is relative to.
    pub cfa_base: u32,
    /// Bytes to add to the stack pointer of the call site on entry to the landing pad (DWARF's
    /// `GNU_args_size`): pushed arguments that the landing pad does not expect.
    pub landing_pad_pop: u32,
    /// For each of [`SAVED_REGISTERS`]: distance below the CFA of its saved value in bytes, or 0 if the frame
    /// leaves the register as it was.
    pub saved_below_cfa: [u32; SAVED_REGISTERS.len()],
}

/// [`FrameDesc::cfa_base`]: relative to the stack pointer.
pub const CFA_BASE_SP: u32 = 0;

/// [`FrameDesc::cfa_base`]: relative to the frame pointer.
pub const CFA_BASE_FP: u32 = 1;

/// DWARF numbers of the callee-saved registers in the order of [`FrameDesc::saved_below_cfa`]: `rbx`, `rbp`,
/// `r12` to `r15`.
pub const SAVED_REGISTERS: [u16; 6] = [3, 6, 12, 13, 14, 15];

/// [`UnwindRange::frame`] of code that no call returns to.
pub const NO_FRAME: u32 = u32::MAX;

/// [`UnwindRange::landing_pad`] of calls that exceptions pass by.
pub const NO_LANDING_PAD: u32 = u32::MAX;

/// Function index of code that is no function of the module.
pub const NO_FUNC_INDEX: u32 = u32::MAX;
