//! Reads an artifact, as `dolmen_abi::artifact` describes it.
//!
//! The file is for people to look at even where this machine could not run it, so neither CPU nor collector are
//! checked; version and hash are, since without them nothing else can be trusted.

use super::{Contents, Counts, Section};
use anyhow::{Context, Result, bail, ensure};
use dolmen_abi::artifact::{
    CUSTOM_SECTION, FORMAT_VERSION, HASH_BYTES, HEADER_SECTION, Header, META_SECTION, NAMES_SECTION,
};
use dolmen_abi::meta::{ExternIdx, ModuleMeta, Names};
use dolmen_abi::types::ExternType;
use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSection};
use serde::de::DeserializeOwned;

type Elf<'a> = ElfFile64<'a, Endianness>;

/// Reads what is in an artifact.
///
/// # Errors
///
/// When it is no artifact, of another version, or damaged.
pub fn read(bytes: &[u8]) -> Result<Contents> {
    let elf = Elf::parse(bytes).context("not an artifact")?;
    let version = elf.elf_header().e_flags.get(Endianness::Little).0;
    ensure!(
        version == FORMAT_VERSION,
        "the artifact has format version {version}, but this dolmen reads version {FORMAT_VERSION}"
    );
    check_hash(bytes)?;
    let header: Header = section(&elf, HEADER_SECTION)?;
    let meta: ModuleMeta = section(&elf, META_SECTION)?;
    let names: Names = section(&elf, NAMES_SECTION)?;
    let exports = meta.exports.iter().map(|export| Ok((export.name.clone(), extern_type(&meta, export.index)?)));
    Ok(Contents {
        exports: exports.collect::<Result<_>>()?,
        sections: sections(&elf)?,
        header: Some(header),
        name: names.module,
        counts: Counts {
            functions: meta.funcs.len(),
            tables: meta.tables.len(),
            memories: meta.memories.len(),
            globals: meta.globals.len(),
            tags: meta.tags.len(),
            data_segments: meta.data.len(),
            element_segments: meta.elems.len(),
        },
        rec_groups: meta.rec_groups,
        imports: meta.imports,
        file_bytes: 0,
    })
}

fn check_hash(bytes: &[u8]) -> Result<()> {
    let Some((content, hash)) = bytes.split_last_chunk::<HASH_BYTES>() else { bail!("the artifact is truncated") };
    ensure!(blake3::hash(content).as_bytes() == hash, "the artifact is truncated or corrupted: its hash is wrong");
    Ok(())
}

/// The sections of the file, then those that the module brought.
fn sections(elf: &Elf<'_>) -> Result<Vec<Section>> {
    let named = |section: object::read::elf::ElfSection64<'_, '_, Endianness>| Section {
        name: String::from_utf8_lossy(section.name_bytes().unwrap_or_default()).into_owned(),
        bytes: section.size(),
    };
    let mut sections: Vec<_> = elf.sections().map(named).filter(|section| !section.name.is_empty()).collect();
    let custom: Vec<(String, Vec<u8>)> = section(elf, CUSTOM_SECTION)?;
    sections.extend(
        custom.into_iter().map(|(name, bytes)| Section { name: format!("custom {name:?}"), bytes: bytes.len() as u64 }),
    );
    Ok(sections)
}

fn section<T: DeserializeOwned>(elf: &Elf<'_>, name: &str) -> Result<T> {
    let section = elf.section_by_name(name).with_context(|| format!("the artifact has no section {name}"))?;
    let data = section.data().with_context(|| format!("section {name} cannot be read"))?;
    postcard::from_bytes(data).with_context(|| format!("section {name} cannot be read"))
}

fn extern_type(meta: &ModuleMeta, index: ExternIdx) -> Result<ExternType> {
    let at = |index: u32| index as usize;
    match index {
        ExternIdx::Func(i) => meta.funcs.get(at(i)).copied().map(ExternType::Func),
        ExternIdx::Table(i) => meta.tables.get(at(i)).copied().map(ExternType::Table),
        ExternIdx::Memory(i) => meta.memories.get(at(i)).copied().map(ExternType::Memory),
        ExternIdx::Global(i) => meta.globals.get(at(i)).copied().map(ExternType::Global),
        ExternIdx::Tag(i) => meta.tags.get(at(i)).copied().map(ExternType::Tag),
    }
    .context("an export names an item that is not there")
}
