//! Appending functions to a module in the binary format.
//!
//! Entries of a section are independent, so appending is raising the count and adding bytes; a section that is
//! missing is put where the order of sections wants it.

use wasm_encoder::{Encode as _, Function, SectionId, TypeSection, ValType};
use wasmparser::BinaryReader;

/// A function to append: exported, without parameters.
pub struct Probe {
    /// The name of its export.
    pub name: String,
    pub results: Vec<ValType>,
    pub function: Function,
}

/// Magic number and version.
const HEADER_BYTES: usize = 8;

/// A section as it is in the file.
struct Section<'a> {
    id: u8,
    content: &'a [u8],
}

/// Ids of the sections in the order that they must have.
const ORDER: [u8; 13] = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11];

/// The module with the probes appended; the module has `first_type` types and `first_func` functions.
pub fn splice(wasm: &[u8], first_type: u32, first_func: u32, probes: &[Probe]) -> Result<Vec<u8>, String> {
    let sections = sections(wasm)?;
    let mut module = wasm[..HEADER_BYTES].to_vec();
    for id in ORDER {
        let old = sections.iter().find(|section| section.id == id).map(|section| section.content);
        let added = added_entries(id, first_type, first_func, probes);
        let content = match (old, added.is_empty()) {
            (None, true) => continue,
            (Some(old), true) => old.to_vec(),
            (old, false) => with_entries(old.unwrap_or(&[0]), &added)?,
        };
        module.push(id);
        content.encode(&mut module);
    }
    Ok(module)
}

/// The sections of a module, custom ones left out.
fn sections(wasm: &[u8]) -> Result<Vec<Section<'_>>, String> {
    let mut reader = BinaryReader::new(&wasm[HEADER_BYTES..], 0);
    let mut sections = Vec::new();
    while !reader.eof() {
        let mut section = || {
            let id = reader.read_u8()?;
            let size = reader.read_var_u32()?;
            Ok(Section { id, content: reader.read_bytes(size as usize)? })
        };
        let section = section().map_err(|error: wasmparser::BinaryReaderError| error.to_string())?;
        sections.extend((section.id != SectionId::Custom as u8).then_some(section));
    }
    Ok(sections)
}

/// What the probes add to the section with this id, one item per entry.
fn added_entries(id: u8, first_type: u32, first_func: u32, probes: &[Probe]) -> Vec<Vec<u8>> {
    let indexed = || (0_u32..).zip(probes);
    if id == SectionId::Type as u8 {
        probes.iter().map(type_entry).collect()
    } else if id == SectionId::Function as u8 {
        indexed().map(|(index, _)| encoded(&(first_type + index))).collect()
    } else if id == SectionId::Export as u8 {
        indexed().map(|(index, probe)| export_entry(&probe.name, first_func + index)).collect()
    } else if id == SectionId::Code as u8 {
        probes.iter().map(|probe| encoded(&probe.function)).collect()
    } else {
        Vec::new()
    }
}

fn type_entry(probe: &Probe) -> Vec<u8> {
    let mut section = TypeSection::new();
    section.ty().function([], probe.results.iter().copied());
    // Length and count come before the only entry; each is one byte in a section of this size, or skipped.
    let bytes = encoded(&section);
    let mut reader = BinaryReader::new(&bytes, 0);
    match (reader.read_var_u32(), reader.read_var_u32()) {
        (Ok(_), Ok(_)) => rest(&mut reader).to_vec(),
        _ => Vec::new(),
    }
}

fn export_entry(name: &str, func: u32) -> Vec<u8> {
    let mut entry = encoded(name);
    entry.push(0);
    func.encode(&mut entry);
    entry
}

fn encoded(item: &(impl wasm_encoder::Encode + ?Sized)) -> Vec<u8> {
    let mut bytes = Vec::new();
    item.encode(&mut bytes);
    bytes
}

/// A section's content with more entries.
fn with_entries(content: &[u8], added: &[Vec<u8>]) -> Result<Vec<u8>, String> {
    let mut reader = BinaryReader::new(content, 0);
    let count = reader.read_var_u32().map_err(|error| error.to_string())?;
    let mut new = encoded(&(count + added.len() as u32));
    new.extend_from_slice(rest(&mut reader));
    added.iter().for_each(|entry| new.extend_from_slice(entry));
    Ok(new)
}

/// What has not been read.
fn rest<'a>(reader: &mut BinaryReader<'a>) -> &'a [u8] {
    reader.read_bytes(reader.bytes_remaining()).unwrap_or_default()
}
