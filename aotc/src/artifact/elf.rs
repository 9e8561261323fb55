//! Writes the ELF file of an artifact, section by section as [`dolmen_abi::artifact`] documents it.
//!
//! The file is a relocatable object without relocations: tools that know ELF show its code and its symbols; nothing
//! but the runtime is meant to load it. After the section headers comes the hash, which no header mentions.

use super::ArtifactError;
use crate::object::LinkedCode;
use crate::unwind::UnwindTables;
use ::object::Endianness;
use ::object::elf::{
    EM_X86_64, ET_REL, FileFlags, OsAbi, SHF_ALLOC, SHF_EXECINSTR, SHT_PROGBITS, STB_LOCAL, STT_FUNC, SectionFlags,
    SymbolInfo, SymbolOther, SymbolSection,
};
use ::object::write::StringId;
use ::object::write::elf::{FileHeader, SectionHeader, SinglePhaseWriter, Sym, Writer};
use dolmen_abi::artifact::{
    CUSTOM_SECTION, DATA_SECTION, FORMAT_VERSION, HASH_BYTES, HEADER_SECTION, Header, META_SECTION, NAMES_SECTION,
    PAGE_BYTES, RODATA_SECTION, TEXT_SECTION, UNWIND_SECTION,
};
use dolmen_abi::meta::{ModuleMeta, Names};
use serde::Serialize;

/// Alignment of the sections that the runtime reads, in bytes.
const SECTION_ALIGN_BYTES: u64 = 8;

/// Index of the code section in the section headers: the first after the null section.
const TEXT_INDEX: u32 = 1;

/// What the file holds besides code and constants.
pub(super) struct Sections<'a> {
    pub header: &'a Header,
    pub meta: &'a ModuleMeta,
    pub names: &'a Names,
    pub custom: &'a [(&'a str, &'a [u8])],
    pub data: &'a [u8],
    pub unwind: &'a UnwindTables,
}

/// A section on its way into the file.
struct Section<'a> {
    name: &'static str,
    bytes: &'a [u8],
    align: u64,
    flags: SectionFlags,
    /// Where it must lie, if that matters.
    offset: Option<u64>,
}

impl<'a> Section<'a> {
    fn new(name: &'static str, align: u64, bytes: &'a [u8]) -> Self {
        Self { name, bytes, align, flags: SectionFlags(0), offset: None }
    }
}

/// The bytes of the artifact, with the hash at their end.
pub(super) fn write(code: &LinkedCode, content: &Sections<'_>) -> Result<Vec<u8>, ArtifactError> {
    let header = encode(HEADER_SECTION, content.header)?;
    let meta = encode(META_SECTION, content.meta)?;
    let names = encode(NAMES_SECTION, content.names)?;
    let custom = encode(CUSTOM_SECTION, &content.custom)?;
    let unwind = content.unwind.encode();
    let code_flags = SectionFlags(SHF_ALLOC.0 | SHF_EXECINSTR.0);
    let sections = [
        Section { flags: code_flags, offset: Some(PAGE_BYTES), ..Section::new(TEXT_SECTION, PAGE_BYTES, &code.text) },
        Section {
            flags: SHF_ALLOC,
            offset: Some(code.rodata_offset()),
            ..Section::new(RODATA_SECTION, PAGE_BYTES, &code.rodata)
        },
        // Constants have their last page to themselves.
        Section::new(HEADER_SECTION, PAGE_BYTES, &header),
        Section::new(META_SECTION, SECTION_ALIGN_BYTES, &meta),
        Section::new(NAMES_SECTION, SECTION_ALIGN_BYTES, &names),
        Section::new(DATA_SECTION, SECTION_ALIGN_BYTES, content.data),
        Section::new(UNWIND_SECTION, SECTION_ALIGN_BYTES, &unwind),
        // Last, for loading does not look at them.
        Section::new(CUSTOM_SECTION, SECTION_ALIGN_BYTES, &custom),
    ];
    let mut file = Vec::new();
    let file_header = write_file(&mut file, code, &sections)?;
    file[..file_header.len()].copy_from_slice(&file_header);
    let hash = blake3::hash(&file);
    const { assert!(blake3::OUT_LEN == HASH_BYTES) };
    file.extend_from_slice(hash.as_bytes());
    Ok(file)
}

fn encode(section: &'static str, content: &impl Serialize) -> Result<Vec<u8>, ArtifactError> {
    postcard::to_stdvec(content).map_err(|source| ArtifactError::Encode { section, source })
}

/// Writes all but the file header, which needs to know the rest: it is returned.
fn write_file<'a>(
    file: &'a mut Vec<u8>,
    code: &'a LinkedCode,
    sections: &[Section<'_>],
) -> Result<Vec<u8>, ArtifactError> {
    let mut writer = Writer::new_single_phase(Endianness::Little, true, file);
    writer.write_file_header(&FileHeader {
        os_abi: OsAbi::default(),
        abi_version: 0,
        e_type: ET_REL,
        e_machine: EM_X86_64,
        e_entry: 0,
        e_flags: FileFlags(FORMAT_VERSION),
    })?;
    let mut placed = Vec::with_capacity(sections.len());
    for section in sections {
        placed.push((writer.add_section_name(section.name.as_bytes()), write_section(&mut writer, section)?));
    }
    write_symbols(&mut writer, code);
    writer.write_strtab()?;
    writer.write_shstrtab()?;
    writer.write_null_section_header();
    for (section, (name, offset)) in sections.iter().zip(placed) {
        write_section_header(&mut writer, section, name, offset);
    }
    writer.write_strtab_section_header();
    // All symbols are local.
    writer.write_symtab_section_header(code.symbols.len() as u32 + 1);
    writer.write_shstrtab_section_header();
    let mut file_header = Vec::new();
    writer.write_file_header_to(&mut file_header)?;
    Ok(file_header)
}

/// Writes a section's bytes; returns their offset in the file.
fn write_section(writer: &mut SinglePhaseWriter<'_>, section: &Section<'_>) -> Result<u64, ArtifactError> {
    let found = writer.write_align(section.align);
    match section.offset {
        Some(expected) if expected != found => {
            Err(ArtifactError::MisplacedSection { section: section.name, expected, found })
        }
        _ => {
            writer.write(section.bytes);
            Ok(found)
        }
    }
}

fn write_section_header(writer: &mut SinglePhaseWriter<'_>, section: &Section<'_>, name: StringId, offset: u64) {
    let sh_name = writer.section_name_offset(Some(name));
    writer.write_section_header(&SectionHeader {
        sh_name,
        sh_type: SHT_PROGBITS,
        sh_flags: section.flags,
        sh_addr: 0,
        sh_offset: offset,
        sh_size: section.bytes.len() as u64,
        sh_link: 0,
        sh_info: 0,
        sh_addralign: section.align,
        sh_entsize: 0,
    });
}

fn write_symbols<'a>(writer: &mut SinglePhaseWriter<'a>, code: &'a LinkedCode) {
    writer.write_null_symbol();
    for symbol in &code.symbols {
        let name = writer.add_string(symbol.name.as_bytes());
        let st_name = writer.string_offset(Some(name));
        writer.write_symbol(&Sym {
            section: Some(TEXT_INDEX),
            st_name,
            st_info: SymbolInfo::new(STB_LOCAL, STT_FUNC),
            st_other: SymbolOther::default(),
            st_shndx: SymbolSection::default(),
            st_value: u64::from(symbol.offset),
            st_size: u64::from(symbol.size_bytes),
        });
    }
}
