//! Contents as text for people and as JSON for programs.

use super::{Contents, notation};
use dolmen_abi::artifact::Header;
use dolmen_abi::types::{RecGroup, SubType};
use serde_json::{Value, json};
use std::fmt::Write;

/// What is in a file, for people.
#[must_use]
pub fn text(contents: &Contents) -> String {
    let mut lines = String::new();
    // Writing to a string cannot fail.
    let _ = write_text(contents, &mut lines);
    lines
}

/// What is in a file, as one JSON object.
#[must_use]
pub fn json(contents: &Contents) -> String {
    let types = types(contents);
    let items = contents.imports.iter().map(|import| {
        json!({
            "module": import.module,
            "name": import.name,
            "kind": notation::kind(&import.ty),
            "type": notation::extern_type(&import.ty, &types),
        })
    });
    let exports = contents.exports.iter().map(
        |(name, ty)| json!({ "name": name, "kind": notation::kind(ty), "type": notation::extern_type(ty, &types) }),
    );
    let counts = contents.counts;
    let value = json!({
        "kind": kind(contents),
        "file_bytes": contents.file_bytes,
        "name": contents.name,
        "artifact": contents.header.as_ref().map(header_json),
        "sections": contents.sections.iter()
            .map(|section| json!({ "name": section.name, "bytes": section.bytes }))
            .collect::<Vec<_>>(),
        "counts": {
            "types": types.len(),
            "functions": counts.functions,
            "tables": counts.tables,
            "memories": counts.memories,
            "globals": counts.globals,
            "tags": counts.tags,
            "data_segments": counts.data_segments,
            "element_segments": counts.element_segments,
        },
        "types": types.iter().map(|ty| notation::sub_type(ty)).collect::<Vec<_>>(),
        "rec_groups": contents.rec_groups.iter().map(|group| group.types.len()).collect::<Vec<_>>(),
        "imports": items.collect::<Vec<_>>(),
        "exports": exports.collect::<Vec<_>>(),
    });
    format!("{value}\n")
}

fn write_text(contents: &Contents, out: &mut String) -> std::fmt::Result {
    let types = types(contents);
    let name = contents.name.as_ref().map(|name| format!(" {name:?}")).unwrap_or_default();
    writeln!(out, "{}{name}, {} bytes", kind(contents), contents.file_bytes)?;
    if let Some(header) = &contents.header {
        write_header(header, out)?;
    }
    writeln!(out, "\nsections:")?;
    for section in &contents.sections {
        writeln!(out, "  {:>10}  {}", section.bytes, section.name)?;
    }
    let counts = contents.counts;
    writeln!(
        out,
        "\nitems: {} functions, {} tables, {} memories, {} globals, {} tags, {} data segments, {} element segments",
        counts.functions,
        counts.tables,
        counts.memories,
        counts.globals,
        counts.tags,
        counts.data_segments,
        counts.element_segments
    )?;
    writeln!(out, "\nimports:")?;
    for import in &contents.imports {
        let ty = notation::extern_type(&import.ty, &types);
        writeln!(out, "  {:?} {:?} {ty}", import.module, import.name)?;
    }
    writeln!(out, "\nexports:")?;
    for (name, ty) in &contents.exports {
        writeln!(out, "  {name:?} {}", notation::extern_type(ty, &types))?;
    }
    writeln!(out, "\ntypes:")?;
    let mut index = 0;
    for group in &contents.rec_groups {
        index = write_group(group, index, out)?;
    }
    Ok(())
}

fn write_header(header: &Header, out: &mut String) -> std::fmt::Result {
    writeln!(out, "  compiler   {}", header.compiler_version)?;
    writeln!(out, "  target     {}", header.target_triple)?;
    writeln!(out, "  features   {}", header.cpu_features.join(" "))?;
    writeln!(out, "  level      {}", header.opt_level)?;
    writeln!(out, "  barrier    {:?}", header.protocol.barrier)?;
    writeln!(out, "  motion     {:?}", header.protocol.motion)?;
    writeln!(out, "  polls      {}", header.polls)?;
    writeln!(out, "  source     {}", hex(&header.source_hash))
}

/// Writes the types of a group, the first of which has the given index; returns the index after the last.
fn write_group(group: &RecGroup, first: usize, out: &mut String) -> Result<usize, std::fmt::Error> {
    let alone = group.types.len() == 1;
    for (i, ty) in group.types.iter().enumerate() {
        let bracket = match i {
            _ if alone => ' ',
            0 => '/',
            _ if i + 1 == group.types.len() => '\\',
            _ => '|',
        };
        writeln!(out, "{bracket} {:>5} {}", first + i, notation::sub_type(ty))?;
    }
    Ok(first + group.types.len())
}

fn header_json(header: &Header) -> Value {
    json!({
        "compiler_version": header.compiler_version,
        "target_triple": header.target_triple,
        "cpu_features": header.cpu_features,
        "opt_level": header.opt_level,
        "barrier": format!("{:?}", header.protocol.barrier),
        "motion": format!("{:?}", header.protocol.motion),
        "polls": header.polls,
        "source_hash": hex(&header.source_hash),
    })
}

fn types(contents: &Contents) -> Vec<&SubType> {
    contents.rec_groups.iter().flat_map(|group| &group.types).collect()
}

const fn kind(contents: &Contents) -> &'static str {
    if contents.header.is_some() { "artifact" } else { "module" }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
