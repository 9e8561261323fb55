//! Reading artifacts: everything that must be known before code may run.
//!
//! The order of the checks is the order of trust: what the file is and of which version, by fixed offsets of its
//! header; that it is complete, by its hash; where its sections are; whether it was made for this machine and
//! this engine's collector; and at last its description. Nothing of the file has run until all are passed, and
//! each has an error of its own ([`LoadError`]).

use crate::cpu;
use crate::types::TypeError;
use crate::unwind::UnwindError;
use dolmen_abi::artifact::{
    CUSTOM_SECTION, DATA_SECTION, FORMAT_VERSION, HASH_BYTES, HEADER_SECTION, Header, META_SECTION, NAMES_SECTION,
    PAGE_BYTES, RODATA_SECTION, TEXT_SECTION, UNWIND_SECTION,
};
use dolmen_abi::collector::{Barrier, Collector, Motion, Protocol};
use dolmen_abi::meta::ModuleMeta;
use object::read::elf::{FileHeader, SectionHeader, SectionTable};
use object::{Endianness, elf};
use std::io;
use std::ops::Range;
use std::path::PathBuf;

/// Why an artifact cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    #[error("cannot read {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("not an artifact: {reason}")]
    NotAnArtifact { reason: &'static str },
    #[error("artifact of format version {found}, expected {expected}: compile the module again")]
    Version { expected: u32, found: u32 },
    #[error("artifact is truncated or damaged: its hash is {found}, expected {expected}")]
    Hash { expected: String, found: String },
    #[error("artifact for {found}, expected {expected}")]
    Target { expected: String, found: String },
    #[error("artifact needs CPU features that this machine lacks: {}", missing.join(", "))]
    CpuFeatures { missing: Vec<String> },
    #[error("artifact for another collector: code with {found}, but {} needs {expected}", collector.name())]
    Protocol { collector: Collector, expected: String, found: String },
    #[error("malformed artifact: {what}")]
    Malformed { what: String },
    #[error("cannot map the artifact: {0}")]
    Map(#[source] io::Error),
    #[error(transparent)]
    Type(#[from] TypeError),
}

/// Where things are in an artifact that passed all checks but those of its description.
#[derive(Clone, Debug)]
pub(crate) struct Sections {
    pub(crate) text: Range<usize>,
    pub(crate) meta: Range<usize>,
    pub(crate) names: Range<usize>,
    pub(crate) custom: Range<usize>,
    pub(crate) data: Range<usize>,
    pub(crate) unwind: Range<usize>,
    header: Range<usize>,
}

/// Offset of `e_type` in an ELF header.
const TYPE_OFFSET: usize = 16;

/// Offset of `e_machine` in an ELF header.
const MACHINE_OFFSET: usize = 18;

/// Offset of `e_flags` in the header of a 64-bit ELF file.
const FLAGS_OFFSET: usize = 48;

/// Size of the header of a 64-bit ELF file.
const ELF_HEADER_BYTES: usize = 64;

/// The first bytes of a little-endian 64-bit ELF file.
const ELF_IDENT: [u8; 6] =
    [elf::ELFMAG[0], elf::ELFMAG[1], elf::ELFMAG[2], elf::ELFMAG[3], elf::ELFCLASS64.0, elf::ELFDATA2LSB.0];

/// Checks what the file is, that it is whole, and finds its sections.
///
/// # Errors
///
/// The first check that failed.
pub(crate) fn find_sections(file: &[u8]) -> Result<Sections, LoadError> {
    check_kind(file)?;
    check_hash(file)?;
    let malformed = |error: object::read::Error| LoadError::Malformed { what: error.to_string() };
    let header = elf::FileHeader64::<Endianness>::parse(file).map_err(malformed)?;
    let table = header.sections(Endianness::Little, file).map_err(malformed)?;
    let sections = Sections {
        text: section(file, &table, TEXT_SECTION)?,
        meta: section(file, &table, META_SECTION)?,
        names: section(file, &table, NAMES_SECTION)?,
        custom: section(file, &table, CUSTOM_SECTION)?,
        data: section(file, &table, DATA_SECTION)?,
        unwind: section(file, &table, UNWIND_SECTION)?,
        header: section(file, &table, HEADER_SECTION)?,
    };
    check_text(file, &table, &sections.text)?;
    Ok(sections)
}

/// Reads the artifact's header and checks that this machine and an engine with this collector can run it.
///
/// # Errors
///
/// The first check that failed.
pub(crate) fn check_header(file: &[u8], sections: &Sections, collector: Collector) -> Result<Header, LoadError> {
    let header: Header = decode(file, &sections.header, HEADER_SECTION)?;
    let mut parts = header.target_triple.split('-');
    let matches = parts.next() == Some(cpu::ARCHITECTURE) && parts.any(|part| part == std::env::consts::OS);
    if !matches {
        let expected = format!("{} {}", cpu::ARCHITECTURE, std::env::consts::OS);
        return Err(LoadError::Target { expected, found: header.target_triple });
    }
    let missing = cpu::missing(&header.cpu_features);
    if !missing.is_empty() {
        return Err(LoadError::CpuFeatures { missing });
    }
    let needed = collector.protocol();
    if !header.protocol.satisfies(needed) {
        let (expected, found) = (describe(needed), describe(header.protocol));
        return Err(LoadError::Protocol { collector, expected, found });
    }
    Ok(header)
}

/// Reads the description of the module.
///
/// # Errors
///
/// If it cannot be decoded.
pub(crate) fn read_meta(file: &[u8], sections: &Sections) -> Result<ModuleMeta, LoadError> {
    decode(file, &sections.meta, META_SECTION)
}

impl From<UnwindError> for LoadError {
    fn from(error: UnwindError) -> Self {
        Self::Malformed { what: error.to_string() }
    }
}

fn decode<T: for<'a> serde::Deserialize<'a>>(file: &[u8], range: &Range<usize>, name: &str) -> Result<T, LoadError> {
    postcard::from_bytes(&file[range.clone()])
        .map_err(|error| LoadError::Malformed { what: format!("section {name}: {error}") })
}

fn check_kind(file: &[u8]) -> Result<(), LoadError> {
    let error = |reason| Err(LoadError::NotAnArtifact { reason });
    if file.is_empty() {
        return error("the file is empty");
    }
    if !file.starts_with(&ELF_IDENT) {
        return error(if file.starts_with(b"\0asm") {
            "it is a WebAssembly module, which must be compiled first"
        } else {
            "it is no 64-bit ELF file"
        });
    }
    if file.len() < ELF_HEADER_BYTES {
        return error("its ELF header is cut off");
    }
    if u16_at(file, TYPE_OFFSET) != elf::ET_REL.0 {
        return error("it is an ELF file of another kind");
    }
    let found = u32::from_le_bytes(std::array::from_fn(|i| file[FLAGS_OFFSET + i]));
    if found == 0 {
        return error("it is an ELF object without the mark of an artifact");
    }
    if found != FORMAT_VERSION {
        return Err(LoadError::Version { expected: FORMAT_VERSION, found });
    }
    let machine = u16_at(file, MACHINE_OFFSET);
    if machine != elf::EM_X86_64.0 {
        let expected = format!("{} (ELF machine {})", cpu::ARCHITECTURE, elf::EM_X86_64.0);
        return Err(LoadError::Target { expected, found: format!("ELF machine {machine}") });
    }
    Ok(())
}

fn u16_at(file: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes([file[offset], file[offset + 1]])
}

fn check_hash(file: &[u8]) -> Result<(), LoadError> {
    let Some((content, expected)) = file.split_last_chunk::<HASH_BYTES>() else {
        return Err(LoadError::NotAnArtifact { reason: "its hash is cut off" });
    };
    let found = blake3::hash(content);
    let expected = blake3::Hash::from_bytes(*expected);
    // Short forms are enough to see that they differ.
    let short = |hash: &blake3::Hash| hash.to_hex()[..16].to_owned();
    if found == expected { Ok(()) } else { Err(LoadError::Hash { expected: short(&expected), found: short(&found) }) }
}

type Table<'file> = SectionTable<'file, elf::FileHeader64<Endianness>>;

fn section(file: &[u8], table: &Table<'_>, name: &str) -> Result<Range<usize>, LoadError> {
    let malformed = |what: &str| LoadError::Malformed { what: format!("section {name} {what}") };
    let (_, header) =
        table.section_by_name(Endianness::Little, name.as_bytes()).ok_or_else(|| malformed("is missing"))?;
    range(header, file).ok_or_else(|| malformed("is not inside the file"))
}

fn range(header: &elf::SectionHeader64<Endianness>, file: &[u8]) -> Option<Range<usize>> {
    let (start, len) = header.file_range(Endianness::Little).unwrap_or((0, 0));
    let start = usize::try_from(start).ok()?;
    let end = start.checked_add(usize::try_from(len).ok()?)?;
    (end <= file.len() - HASH_BYTES).then_some(start..end)
}

/// The code must be where compiled code expects it, and alone on its pages: these become executable.
fn check_text(file: &[u8], table: &Table<'_>, text: &Range<usize>) -> Result<(), LoadError> {
    let malformed = |what: String| Err(LoadError::Malformed { what });
    if text.start as u64 != PAGE_BYTES {
        return malformed(format!("section {TEXT_SECTION} is at offset {}, expected {PAGE_BYTES}", text.start));
    }
    if u32::try_from(text.len()).is_err() {
        return malformed(format!("section {TEXT_SECTION} of {} bytes is too large", text.len()));
    }
    let pages = text.start..text.end.next_multiple_of(PAGE_BYTES as usize);
    for header in table.iter() {
        let Some(other) = range(header, file).filter(|other| !other.is_empty()) else { continue };
        if other != *text && other.start < pages.end && pages.start < other.end {
            return malformed(format!("a section at offset {} shares pages with the code", other.start));
        }
    }
    if table.section_by_name(Endianness::Little, RODATA_SECTION.as_bytes()).is_some() {
        section(file, table, RODATA_SECTION)?;
    }
    Ok(())
}

fn describe(protocol: Protocol) -> String {
    let barrier = match protocol.barrier {
        Barrier::None => "no write barrier",
        Barrier::Card => "card-marking barrier",
    };
    let motion = match protocol.motion {
        Motion::None => "no object moves",
        Motion::Unrooted => "objects off the shadow stack move",
        Motion::All => "all objects move",
    };
    format!("{barrier}, {motion}")
}
