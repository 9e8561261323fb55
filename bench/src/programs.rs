//! What is run: the workloads with their arguments and known results, and a command that does nothing.
//!
//! The lists are `sizes.json` beside the workloads; `ts-workloads` reads the same files for its tests.

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Folders of `ts-workloads` with a list.
const FOLDERS: [&str; 2] = ["programs", "kotlin"];

/// The name of the command that only says hello.
pub const HELLO: &str = "hello";

/// What [`HELLO`] prints.
pub const GREETING: &str = "hello, world";

/// Which of a program's binaries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// As the producer wrote it
    Raw,
    /// After wasm-opt, as producers ship it
    #[default]
    Opt,
}

/// How much work a call does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Size {
    /// Milliseconds
    Tiny,
    /// Tens of milliseconds
    Small,
    /// About a second
    #[default]
    Full,
}

/// A program with its witnesses in other languages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub name: String,
    pub wasm: PathBuf,
    /// The Java source of the same algorithm; its class has the file's name.
    pub java: Option<PathBuf>,
    /// The C source of the same algorithm.
    pub c: Option<PathBuf>,
    pub work: Work,
}

impl Program {
    /// The binary as its producer wrote it, if there are several.
    pub fn raw_wasm(&self) -> Option<PathBuf> {
        let folder = self.wasm.parent().filter(|folder| folder.ends_with("opt") || folder.ends_with("raw"))?;
        Some(folder.with_file_name("raw").join(self.wasm.file_name()?))
    }
}

/// What a process does with a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Calls the export `run` with this argument, which must return the checksum.
    Run { argument: i64, checksum: String },
    /// Runs the command once; it must print [`GREETING`].
    Greet,
}

/// An entry of `sizes.json`.
#[derive(Deserialize)]
struct Entry {
    java: Option<String>,
    c: Option<String>,
    n: BTreeMap<Size, i64>,
    checksum: BTreeMap<Size, String>,
}

/// The workloads with these names, or all with the command [`HELLO`] in front.
///
/// # Errors
///
/// If a list cannot be read or a name is unknown.
pub fn programs(names: &[String], variant: Variant, size: Size) -> Result<Vec<Program>> {
    let mut all = vec![hello()];
    for folder in FOLDERS {
        all.extend(workloads(&root().join("ts-workloads").join(folder), variant, size)?);
    }
    if let Some(unknown) = names.iter().find(|name| all.iter().all(|program| program.name != **name)) {
        let known: Vec<&str> = all.iter().map(|program| program.name.as_str()).collect();
        bail!("no program {unknown:?}: there are {}", known.join(", "));
    }
    all.retain(|program| names.is_empty() || names.contains(&program.name));
    Ok(all)
}

fn workloads(folder: &Path, variant: Variant, size: Size) -> Result<Vec<Program>> {
    let list = folder.join("sizes.json");
    let text = std::fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let entries: BTreeMap<String, Entry> =
        serde_json::from_str(&text).with_context(|| format!("{} is not a list of programs", list.display()))?;
    let variant = if variant == Variant::Raw { "raw" } else { "opt" };
    let program = |(name, mut entry): (String, Entry)| {
        let missing = || format!("{}: {name} lacks the size {size:?}", list.display());
        let argument = entry.n.remove(&size).with_context(missing)?;
        let checksum = entry.checksum.remove(&size).with_context(missing)?;
        Ok(Program {
            wasm: folder.join("wasm").join(variant).join(&name).with_extension("wasm"),
            java: entry.java.map(|class| folder.join("java").join(class).with_extension("java")),
            c: entry.c.map(|file| folder.join("c").join(file).with_extension("c")),
            work: Work::Run { argument, checksum },
            name,
        })
    };
    entries.into_iter().map(program).collect()
}

fn hello() -> Program {
    let file = |name| root().join("bench/hello").join(name);
    Program {
        name: HELLO.into(),
        wasm: file("hello.wat"),
        java: Some(file("Hello.java")),
        c: Some(file("hello.c")),
        work: Work::Greet,
    }
}

/// The workspace.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_exist() {
        for (variant, size) in [(Variant::Raw, Size::Tiny), (Variant::Opt, Size::Full)] {
            let all = programs(&[], variant, size).unwrap();
            assert!(all.len() >= 14, "{all:?}");
            for program in &all {
                for file in [Some(&program.wasm), program.java.as_ref(), program.c.as_ref()].into_iter().flatten() {
                    assert!(file.is_file(), "{} is missing", file.display());
                }
            }
            assert!(all.iter().filter(|program| program.java.is_some()).count() > 5);
            assert!(all.iter().filter(|program| program.c.is_some()).count() > 2);
        }
    }

    #[test]
    fn unknown_names_are_refused_with_the_known_ones() {
        let error = programs(&["nbody".into(), "no".into()], Variant::Opt, Size::Full).unwrap_err().to_string();
        assert!(error.contains("\"no\"") && error.contains("nbody"), "{error}");
    }

    #[test]
    fn names_select() {
        let found = programs(&["nbody".into()], Variant::Opt, Size::Tiny).unwrap();
        assert_eq!(found.len(), 1);
        assert!(matches!(&found[0].work, Work::Run { argument: 1000, checksum } if checksum.starts_with("-657")));
    }
}
