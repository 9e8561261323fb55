//! Writes the artifact: from a module's description and its partitions' objects to the file that the runtime maps.
//!
//! The compiler does not know where its functions will lie: it names them, and this module finds the names again
//! once the code is linked.
//!
//! | symbol | code |
//! |---|---|
//! | `wasm[i]` or `wasm[i]::name` | defined function `i`, counted in the function index space |
//! | `entry[k]` | entry trampoline of `meta.trampolines[k]` |
//! | `host_call[k]` | host-call trampoline of `meta.trampolines[k]` |
//! | `init[n]` | function `meta.init_funcs[n]`, which initialises an instance |
//!
//! Each of them must be a global symbol of exactly one partition. Other functions, such as parts that LLVM split
//! off, may be there under names of their own.
//!
//! ```text
//! partitions ─► object::link ─► UnwindTables::build ─┐
//! meta ─► entries::Entries (offsets by name) ────────┴► elf::write ─► bytes, hash
//! ```

mod elf;
mod entries;

use crate::object::{self, ObjectError, Partition};
use crate::unwind::{UnwindError, UnwindTables};
use dolmen_abi::artifact::Header;
use dolmen_abi::meta::{ModuleMeta, Names};
use entries::Entries;
use thiserror::Error;

/// What an artifact is made of.
#[derive(Debug)]
pub struct ArtifactInput<'a> {
    /// The module's description. Code offsets are filled in here: `code_offsets` may be empty, those of
    /// `trampolines` and `init_funcs` may be anything, only their number counts.
    pub meta: ModuleMeta,
    pub names: Names,
    /// Names and contents of the module's custom sections.
    pub custom: Vec<(&'a str, &'a [u8])>,
    /// Bytes of all data segments.
    pub data: Vec<u8>,
    pub header: Header,
    pub partitions: Vec<Partition>,
}

/// Why an artifact could not be written.
#[derive(Debug, Error)]
pub enum ArtifactError {
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(transparent)]
    Unwind(#[from] UnwindError),
    #[error("no global function is named `{symbol}`")]
    MissingFunction { symbol: String },
    #[error("functions `{first}` and `{second}` stand for the same thing")]
    AmbiguousFunction { first: String, second: String },
    #[error("module has {funcs} functions but imports {imported}")]
    TooFewFunctions { funcs: usize, imported: usize },
    #[error("section `{section}` lies at {found:#x} in the file instead of {expected:#x}")]
    MisplacedSection { section: &'static str, expected: u64, found: u64 },
    #[error("section `{section}` cannot be encoded: {source}")]
    Encode { section: &'static str, source: postcard::Error },
    #[error("ELF file cannot be written: {0}")]
    Write(#[from] ::object::write::Error),
}

/// Links the partitions and writes the artifact.
///
/// # Errors
///
/// If the partitions cannot be linked, their unwind information cannot be used, or a function is missing.
pub fn write(input: ArtifactInput<'_>) -> Result<Vec<u8>, ArtifactError> {
    let ArtifactInput { mut meta, names, custom, data, header, partitions } = input;
    let code = object::link(&partitions)?;
    Entries::collect(&code.symbols)?.fill(&mut meta)?;
    let unwind = UnwindTables::build(&code, |symbol| entries::func_index(&symbol.name))?;
    elf::write(
        &code,
        &elf::Sections { header: &header, meta: &meta, names: &names, custom: &custom, data: &data, unwind: &unwind },
    )
}
