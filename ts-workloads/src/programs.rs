//! The list of programs: names, arguments, expected results, and where their files are.
//!
//! A *benchmark* exports `run (param i32) (result i64)`: problem size in, checksum out. A *command* is a WASI
//! program whose standard output is known. Each exists as its producer wrote it ([`Variant::Raw`]) and optimised
//! as producers ship it ([`Variant::Opt`]). Sizes and checksums are read from `sizes.json` beside the programs.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Benchmarks in WebAssembly text, and those of the Kotlin programs that have an export to time.
const SIZES: [(&str, &str); 2] =
    [("programs", include_str!("../programs/sizes.json")), ("kotlin", include_str!("../kotlin/sizes.json"))];

/// WASI commands, with what they print.
const COMMANDS: [(&str, &str); 2] =
    [("tour", include_str!("../kotlin/expected/tour.txt")), ("script", include_str!("../kotlin/expected/script.txt"))];

/// Which of a program's binaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// As the producer wrote it.
    Raw,
    /// After `wasm-opt`, closed world.
    Opt,
}

impl Variant {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Raw, Self::Opt];

    /// The folder's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Opt => "opt",
        }
    }
}

/// How much work a benchmark gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Milliseconds; bearable with a collection at every allocation.
    Tiny,
    /// Tens of milliseconds.
    Small,
    /// About a second.
    Full,
}

impl Size {
    /// The key in `sizes.json`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Small => "small",
            Self::Full => "full",
        }
    }
}

/// A program with the export `run`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Benchmark {
    pub name: String,
    /// `programs` or `kotlin`.
    pub folder: &'static str,
    arguments: BTreeMap<String, i32>,
    checksums: BTreeMap<String, i64>,
}

/// A program that prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    pub name: &'static str,
    /// Its standard output.
    pub expected: &'static str,
}

/// An entry of `sizes.json`; checksums are strings there, because JSON's numbers do not hold them everywhere.
#[derive(Deserialize)]
struct Entry {
    n: BTreeMap<String, i32>,
    checksum: BTreeMap<String, String>,
}

/// All benchmarks, by folder and name.
///
/// # Panics
///
/// If `sizes.json` is not of its form.
#[must_use]
pub fn benchmarks() -> Vec<Benchmark> {
    let mut all = Vec::new();
    for (folder, text) in SIZES {
        let entries: BTreeMap<String, Entry> = serde_json::from_str(text).expect("sizes.json is of its form");
        all.extend(entries.into_iter().map(|(name, entry)| Benchmark::new(folder, name, entry)));
    }
    all
}

/// All commands.
#[must_use]
pub fn commands() -> Vec<Command> {
    COMMANDS.map(|(name, expected)| Command { name, expected }).to_vec()
}

impl Benchmark {
    fn new(folder: &'static str, name: String, entry: Entry) -> Self {
        let number = |text: String| text.parse().expect("a checksum is a 64-bit number");
        let checksums = entry.checksum.into_iter().map(|(size, text)| (size, number(text))).collect();
        Self { name, folder, arguments: entry.n, checksums }
    }

    /// The argument of `run`.
    ///
    /// # Panics
    ///
    /// If `sizes.json` lacks the size.
    #[must_use]
    pub fn argument(&self, size: Size) -> i32 {
        self.arguments[size.name()]
    }

    /// What `run` must return.
    ///
    /// # Panics
    ///
    /// If `sizes.json` lacks the size.
    #[must_use]
    pub fn checksum(&self, size: Size) -> i64 {
        self.checksums[size.name()]
    }

    /// The program's binary.
    #[must_use]
    pub fn wasm_path(&self, variant: Variant) -> PathBuf {
        wasm_path(self.folder, variant, &self.name)
    }
}

impl Command {
    /// The program's binary.
    #[must_use]
    pub fn wasm_path(&self, variant: Variant) -> PathBuf {
        wasm_path("kotlin", variant, self.name)
    }
}

fn wasm_path(folder: &str, variant: Variant, name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join(folder).join("wasm").join(variant.name()).join(name).with_extension("wasm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_benchmark_has_all_sizes_and_binaries() {
        let all = benchmarks();
        assert_eq!(all.len(), 13, "{all:?}");
        for benchmark in all {
            for size in [Size::Tiny, Size::Small, Size::Full] {
                assert!(benchmark.argument(size) > 0, "{}", benchmark.name);
                assert_ne!(benchmark.checksum(size), 0, "{}", benchmark.name);
            }
            for variant in Variant::ALL {
                assert!(benchmark.wasm_path(variant).is_file(), "{} {variant:?}", benchmark.name);
            }
        }
    }

    #[test]
    fn every_program_text_is_listed() {
        let listed: Vec<String> = benchmarks().into_iter().map(|benchmark| benchmark.name).collect();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/wat");
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            assert!(listed.contains(&name), "{name} is not in sizes.json");
        }
    }

    #[test]
    fn every_command_has_output_and_binaries() {
        for command in commands() {
            assert!(command.expected.lines().count() > 10, "{}", command.name);
            for variant in Variant::ALL {
                assert!(command.wasm_path(variant).is_file(), "{} {variant:?}", command.name);
            }
        }
    }
}
