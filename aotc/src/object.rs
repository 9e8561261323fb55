//! From LLVM's object files to one image of code.
//!
//! A module is compiled in partitions, each of which LLVM writes as a relocatable ELF object. Calls between
//! partitions, jump tables and references to constants are still relocations there. An artifact has none: its
//! code and constants keep their distance in memory, so every reference between them is final as soon as each
//! section has its place. This module is the linker that gives them their places. It knows no more of the
//! module than symbols; what the unwinder needs is left to [`crate::unwind`].
//!
//! ```text
//! partitions ─► input::Input ─► symbols::Symbols ─► layout::Layout ─► relocate ─► LinkedCode
//!               sections,       who defines what,    address of each   bytes are
//!               relocations     libcalls used        section           patched
//! ```
//!
//! Addresses here are offsets from the start of the artifact's file, as [`dolmen_abi::artifact`] lays it out:
//! code at [`PAGE_BYTES`], constants on the following pages, the libcall table one page *below* zero. C library
//! functions ([`LIBCALLS`](dolmen_abi::builtin::LIBCALLS)) are reached through stubs after the code that jump
//! through that table.
//!
//! Invariants: nothing in code or constants depends on the address of the image; nothing is writable; each global
//! symbol is defined once; the same partitions give the same bytes.

mod input;
mod layout;
mod relocate;
mod symbols;

use dolmen_abi::artifact::PAGE_BYTES;
use input::Input;
use layout::Layout;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use symbols::Symbols;
use thiserror::Error;

/// An object file, and what the numbers in its symbols stand for.
#[derive(Clone, Debug, Default)]
pub struct Partition {
    pub object: Vec<u8>,
    pub numbers: Arc<SymbolNumbers>,
}

/// What numbers in the names of symbols stand for. A number that is not there means itself.
#[derive(Clone, Debug, Default)]
pub struct SymbolNumbers {
    /// The symbol that `wasm[k]` is in the artifact. What follows in the name stays.
    pub funcs: Vec<String>,
    /// The value of `number[k]`, which is defined nowhere.
    pub values: Vec<u32>,
}

/// Starts the symbol of a number; the number and `]` follow.
pub(crate) const NUMBER_PREFIX: &str = "number[";

/// Starts the symbol of a function of the module; its number and `]` follow.
pub(crate) const FUNC_PREFIX: &str = "wasm[";

impl From<Vec<u8>> for Partition {
    fn from(object: Vec<u8>) -> Self {
        Self { object, numbers: Arc::default() }
    }
}

impl SymbolNumbers {
    /// The name in the artifact of the symbol with this name in the partition.
    fn name<'n>(&self, name: &'n str) -> Cow<'n, str> {
        let found =
            numbered(name, FUNC_PREFIX).and_then(|(number, rest)| Some((self.funcs.get(number as usize)?, rest)));
        found.map_or(Cow::Borrowed(name), |(symbol, rest)| Cow::Owned(format!("{symbol}{rest}")))
    }

    /// The value of a symbol.
    fn value(&self, name: &str) -> Option<u32> {
        let (number, rest) = numbered(name, NUMBER_PREFIX)?;
        self.values.get(number as usize).copied().filter(|_| rest.is_empty())
    }
}

/// The number in a name, and what stands behind it.
pub(crate) fn numbered<'n>(name: &'n str, prefix: &str) -> Option<(u32, &'n str)> {
    let (number, rest) = name.strip_prefix(prefix)?.split_once(']')?;
    Some((number.parse().ok()?, rest))
}

/// Code and constants of a module in their places, and what the unwinder needs to be told of them.
#[derive(Clone, Debug)]
pub struct LinkedCode {
    /// The code; starts at file offset [`PAGE_BYTES`].
    pub text: Vec<u8>,
    /// The constants; start at file offset [`LinkedCode::rodata_offset`].
    pub rodata: Vec<u8>,
    /// All functions and stubs in `text`, by offset, then by name.
    pub symbols: Vec<CodeSymbol>,
    /// LLVM's unwind information.
    pub frames: FrameSections,
}

/// The name of a piece of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeSymbol {
    pub name: String,
    /// Offset in the code section.
    pub offset: u32,
    pub size_bytes: u32,
    pub kind: SymbolKind,
}

/// What a symbol of the code stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolKind {
    /// A function that other partitions may name.
    GlobalFunc,
    /// A function that its own partition alone may name.
    LocalFunc,
    /// A jump through the libcall table, made here.
    Stub,
}

/// The sections from which unwind tables are made, relocated as if they were loaded behind the constants. They are
/// not part of the artifact.
#[derive(Clone, Debug, Default)]
pub struct FrameSections {
    pub eh_frame: Vec<u8>,
    pub eh_frame_address: u64,
    /// The part of `eh_frame` that each object contributed.
    pub eh_frame_pieces: Vec<Range<usize>>,
    /// Language-specific data: call-site tables. Relocations in it are not applied.
    pub except_table: Vec<u8>,
    pub except_table_address: u64,
    /// Offsets in `except_table` of what a relocation would change, ascending.
    pub except_table_relocated: Vec<usize>,
}

/// Why partitions do not make an image.
#[derive(Debug, Error)]
pub enum ObjectError {
    #[error("malformed object of partition {partition}: {source}")]
    Malformed { partition: usize, source: ::object::Error },
    #[error("object of partition {partition} is not a relocatable ELF file for x86-64")]
    WrongTarget { partition: usize },
    #[error("section `{section}` of partition {partition} is neither code nor constants")]
    UnsupportedSection { partition: usize, section: String },
    #[error("symbol `{symbol}` is defined in partition {first} and again in partition {second}")]
    DuplicateSymbol { symbol: String, first: usize, second: usize },
    #[error("symbol `{symbol}`, used in partition {partition}, is neither defined nor a libcall")]
    UndefinedSymbol { partition: usize, symbol: String },
    #[error("symbol `{symbol}` of partition {partition} is defined in no section")]
    UnsupportedSymbol { partition: usize, symbol: String },
    #[error("relocation of type {kind} {place} cannot be resolved before the image is loaded")]
    UnsupportedRelocation { kind: u32, place: RelocationPlace },
    #[error("relocation {place} refers to a section that is not part of the image")]
    TargetOutsideImage { place: RelocationPlace },
    #[error("relocation {place} lies outside its section")]
    PlaceOutsideSection { place: RelocationPlace },
    #[error("distance {distance} of relocation {place} does not fit its field")]
    DistanceOverflow { distance: i64, place: RelocationPlace },
    #[error("code and constants take {bytes} bytes, more than relative addressing reaches")]
    TooLarge { bytes: u64 },
}

/// Where a relocation was found, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelocationPlace {
    pub partition: usize,
    pub section: String,
    pub offset: u64,
    pub symbol: String,
}

impl std::fmt::Display for RelocationPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { partition, section, offset, symbol } = self;
        write!(f, "at `{section}`+{offset:#x} of partition {partition} against `{symbol}`")
    }
}

/// Links the partitions of a module, each an ELF object as LLVM writes it.
///
/// # Errors
///
/// If an object is malformed, or needs anything that an image without relocations cannot give it.
pub fn link(partitions: &[Partition]) -> Result<LinkedCode, ObjectError> {
    let inputs: Vec<Input<'_>> =
        partitions.iter().enumerate().map(|(i, p)| Input::parse(i, p)).collect::<Result<_, _>>()?;
    let symbols = Symbols::resolve(&inputs)?;
    let mut layout = Layout::new(&inputs, symbols.libcalls())?;
    relocate::apply(&inputs, &symbols, &mut layout)?;
    Ok(layout.into_code(&inputs, &symbols))
}

impl LinkedCode {
    /// File offset of the constants: on the page after the code.
    #[must_use]
    pub fn rodata_offset(&self) -> u64 {
        rodata_address(self.text.len())
    }
}

/// Address of the constants after code of this size.
fn rodata_address(text_bytes: usize) -> u64 {
    (PAGE_BYTES + text_bytes as u64).next_multiple_of(PAGE_BYTES)
}
