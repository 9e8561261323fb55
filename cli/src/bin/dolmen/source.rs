//! Files on the command line, and what is in them.

use anyhow::{Context, Result};
use dolmen_cli::protocol::Source;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

const WASM_MAGIC: &[u8] = b"\0asm";
const ELF_MAGIC: &[u8] = b"\x7fELF";

/// The kind of a file, by its content where that is telling, else by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    Module(Source),
    Artifact,
}

/// Looks at a file.
///
/// # Errors
///
/// When it cannot be read.
pub fn kind_of_file(path: &Path) -> Result<FileKind> {
    let mut start = Vec::new();
    let file = File::open(path).with_context(|| cannot_read(path))?;
    file.take(ELF_MAGIC.len() as u64).read_to_end(&mut start).with_context(|| cannot_read(path))?;
    Ok(kind(path, &start))
}

/// The kind of a file that begins with `start`.
#[must_use]
pub fn kind(path: &Path, start: &[u8]) -> FileKind {
    let extension = path.extension().unwrap_or_default();
    if start.starts_with(WASM_MAGIC) {
        FileKind::Module(Source::Binary)
    } else if start.starts_with(ELF_MAGIC) || extension == "dolmen" {
        FileKind::Artifact
    } else if extension == "wat" || extension != "wasm" && looks_like_text(start) {
        FileKind::Module(Source::Text)
    } else {
        FileKind::Module(Source::Binary)
    }
}

/// Reads a whole file; `-` is standard input.
///
/// # Errors
///
/// When it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read =
        if path == Path::new("-") { io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes) } else { fs::read(path) };
    read.with_context(|| cannot_read(path))
}

fn cannot_read(path: &Path) -> String {
    format!("cannot read {}", path.display())
}

/// Whether it may be WebAssembly text: an opening parenthesis, a comment or white space.
fn looks_like_text(start: &[u8]) -> bool {
    start.first().is_some_and(|byte| b"(; \t\r\n".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_tells_more_than_names() {
        let kind = |name: &str, start: &[u8]| kind(Path::new(name), start);
        assert_eq!(kind("a.wat", b"\0asm\x01"), FileKind::Module(Source::Binary));
        assert_eq!(kind("a.wasm", b"\x7fELF"), FileKind::Artifact);
        assert_eq!(kind("a.dolmen", b"what"), FileKind::Artifact);
        assert_eq!(kind("-", b"(module)"), FileKind::Module(Source::Text));
        assert_eq!(kind("a.wat", b""), FileKind::Module(Source::Text));
        assert_eq!(kind("a.wasm", b"(module)"), FileKind::Module(Source::Binary));
        assert_eq!(kind("a", b"nonsense"), FileKind::Module(Source::Binary));
    }
}
