//! `dolmen inspect`: what is in a module or in an artifact.
//!
//! Both are read into [`Contents`], with types in the form that artifacts have them; from there one piece of
//! code makes text and another JSON. Nothing is compiled, validated or run, but what cannot be read to the end
//! is an error.

mod artifact;
mod module;
mod notation;
mod show;

use crate::args::InspectArgs;
use crate::compile;
use crate::compiler_process::Compiler;
use crate::output;
use crate::source::{self, FileKind};
use anyhow::{Context, Result};
use dolmen_abi::artifact::Header;
use dolmen_abi::collector::Collector;
use dolmen_abi::meta::Import;
use dolmen_abi::types::{ExternType, RecGroup};
use dolmen_cli::protocol::{Emit, ProfileMode, Request, Source};

/// What there is to say about a file.
#[derive(Debug, Default)]
pub struct Contents {
    pub file_bytes: u64,
    /// Of an artifact only.
    pub header: Option<Header>,
    /// The module's name.
    pub name: Option<String>,
    pub sections: Vec<Section>,
    pub rec_groups: Vec<RecGroup>,
    pub imports: Vec<Import>,
    pub exports: Vec<(String, ExternType)>,
    pub counts: Counts,
}

/// A section of the file.
#[derive(Debug)]
pub struct Section {
    pub name: String,
    pub bytes: u64,
}

/// How many items a module has, imported ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub functions: usize,
    pub tables: usize,
    pub memories: usize,
    pub globals: usize,
    pub tags: usize,
    pub data_segments: usize,
    pub element_segments: usize,
}

/// Shows what is in a file.
///
/// # Errors
///
/// When it cannot be read to its end.
pub fn inspect(args: &InspectArgs) -> Result<()> {
    let bytes = source::read(&args.file)?;
    let contents = match source::kind(&args.file, &bytes) {
        FileKind::Artifact => artifact::read(&bytes),
        FileKind::Module(Source::Binary) => module::read(&bytes),
        FileKind::Module(Source::Text) => module::read(&assemble(args, &bytes)?),
    };
    let mut contents = contents.with_context(|| format!("cannot read {}", args.file.display()))?;
    contents.file_bytes = bytes.len() as u64;
    let text = if args.json { show::json(&contents) } else { show::text(&contents) };
    output::write(text.as_bytes())
}

/// The binary form of a text; the compiler has the parser.
fn assemble(args: &InspectArgs, text: &[u8]) -> Result<Vec<u8>> {
    let request = Request {
        opt_level: 0,
        emit: Emit::Wasm,
        target_cpu: "generic".into(),
        jobs: 1,
        collector: Collector::DEFAULT,
        polls: false,
        features: String::new(),
        source: Source::Text,
        profile: ProfileMode::Off,
        incremental: false,
    };
    Ok(compile::compile_bytes(&mut Compiler::find()?, &request, text, &args.file)?.0)
}
