//! Who runs the programs.
//!
//! An [`Engine`] prepares a program (an artifact, classes, nothing), says which command runs it with so many calls,
//! and reads times and results from the output. Most peers are driven by a small runner in their own language that
//! prints one line of JSON (`Line`); commands without a runner tell whole processes only.
//!
//! A peer is found where `--against NAME=PATH` or the variable `DOLMEN_BENCH_NAME` says, else on `PATH`.

mod c;
mod dolmen;
mod java;
mod js;
mod wamr;
mod wasmtime;

use crate::process::{self, Finished};
use crate::programs::{GREETING, Program, Work};
use crate::results;
use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use std::hash::{DefaultHasher, Hasher as _};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An engine that can be measured.
pub trait Engine {
    /// Name and version, and what tells builds apart.
    fn identity(&self) -> &results::Engine;

    /// Makes what [`Self::command`] needs, in a folder of this engine's own.
    ///
    /// # Errors
    ///
    /// If the program does not compile.
    fn prepare(&self, program: &Program, folder: &Path) -> Result<Prepared>;

    /// Whether there is anything to run for this program.
    fn has(&self, program: &Program) -> bool {
        _ = program;
        true
    }

    /// Whether [`Self::command`] can make more than one call and [`Self::read`] knows their times.
    fn tells_calls(&self) -> bool {
        true
    }

    /// The command that makes so many calls.
    fn command(&self, prepared: &Prepared, program: &Program, calls: u32) -> Command;

    /// Times of the calls from the output.
    ///
    /// # Errors
    ///
    /// If the output is not of its form or the result is wrong.
    fn read(&self, finished: &Finished, program: &Program) -> Result<Calls>;
}

/// A program, ready to be run.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub path: PathBuf,
    pub compile_ms: Option<f64>,
    pub artifact_bytes: Option<u64>,
}

/// What a process tells of its calls.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calls {
    /// In order; empty if the engine does not tell.
    pub times_ms: Vec<f64>,
    /// What the collector took of them.
    pub gc_ms: Option<f64>,
    /// Greatest resident memory of the process.
    pub peak_bytes: Option<u64>,
}

/// The peers' names, in the order of the tables.
pub const PEERS: [&str; 9] = ["base", "raw", "node", "bun", "wasmtime", "wasmtime-256m", "wamr", "java", "c"];

/// Dolmen itself.
///
/// # Errors
///
/// If there is no such command.
pub fn dolmen(path: &Path, options: &[String], compile_options: &[String]) -> Result<Box<dyn Engine>> {
    Ok(Box::new(dolmen::Dolmen::new("dolmen", path, options, compile_options)?))
}

/// The peer of this name; `path` says where, if that was told.
///
/// # Errors
///
/// If it is not on this machine.
pub fn peer(name: &str, path: Option<&Path>) -> Result<Box<dyn Engine>> {
    let variable = format!("DOLMEN_BENCH_{}", name.split('-').next().unwrap_or(name).to_uppercase());
    let told = path.map(Path::to_owned).or_else(|| std::env::var_os(&variable).map(PathBuf::from));
    let find = |candidates: &[&str]| -> Result<PathBuf> {
        if let Some(path) = &told {
            return on_path(path).with_context(|| format!("there is no {}", path.display()));
        }
        let found = candidates.iter().find_map(|candidate| on_path(Path::new(candidate)));
        found.with_context(|| format!("no {} on PATH; {variable} can name it", candidates.join(" or ")))
    };
    Ok(match name {
        "base" => Box::new(dolmen::Dolmen::new(name, &find(&[])?, &[], &[])?),
        "raw" => {
            let beside = std::env::current_exe()?.with_file_name("dolmen");
            Box::new(dolmen::Dolmen::new(name, told.as_deref().unwrap_or(&beside), &[], &[])?.of_raw_programs())
        }
        "node" | "bun" => Box::new(js::Js::new(name, find(&[name])?)?),
        "wasmtime" => Box::new(wasmtime::Wasmtime::new(name, find(&["wasmtime", "python3"])?, None)?),
        "wasmtime-256m" => Box::new(wasmtime::Wasmtime::new(name, find(&["wasmtime", "python3"])?, Some(256 << 20))?),
        "wamr" => Box::new(wamr::Wamr::new(find(&["iwasm"])?)?),
        "java" => Box::new(java::Java::new(find(&["java"])?)?),
        "c" => Box::new(c::C::new(find(&["clang-22", "clang", "cc"])?)?),
        _ => bail!("no peer {name:?}: there are {}", PEERS.join(", ")),
    })
}

/// The file of a program: a path with a slash as it is, a name as a shell would find it.
fn on_path(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// What a program prints, trimmed: its version.
fn told_by(program: &Path, args: &[&str]) -> Result<String> {
    let finished = process::run(Command::new(program).args(args))?;
    let text = if finished.stdout.trim().is_empty() { finished.stderr } else { finished.stdout };
    Ok(text.trim().to_owned())
}

/// A number for the contents of some files.
///
/// # Errors
///
/// If one cannot be read.
fn fingerprint(files: &[&Path]) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    for file in files {
        let cannot = || format!("cannot read {}", file.display());
        let mut file = std::fs::File::open(file).with_context(cannot)?;
        // In parts: what this program has in memory counts as its children's.
        let mut part = vec![0; 1 << 16];
        while let read @ 1.. = file.read(&mut part).with_context(cannot)? {
            hasher.write(&part[..read]);
        }
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// A program's binary: text is translated into the folder.
fn binary(program: &Program, folder: &Path) -> Result<PathBuf> {
    if program.wasm.extension().is_some_and(|extension| extension == "wasm") {
        return Ok(program.wasm.clone());
    }
    let path = folder.join(&program.name).with_extension("wasm");
    std::fs::write(&path, wat::parse_file(&program.wasm)?)?;
    Ok(path)
}

/// The line that runners print.
#[derive(Deserialize)]
struct Line {
    checksum: String,
    first_ms: f64,
    times_ms: Vec<f64>,
    #[serde(default)]
    peak_kib: u64,
}

/// Arguments of a runner: the problem's size and the calls after the first.
fn runner_args(program: &Program, calls: u32) -> Vec<String> {
    match &program.work {
        Work::Run { argument, .. } => vec![argument.to_string(), (calls - 1).to_string()],
        Work::Greet => Vec::new(),
    }
}

/// Reads what a runner prints, and checks the result.
fn read_line(finished: &Finished, program: &Program) -> Result<Calls> {
    let Work::Run { checksum, .. } = &program.work else { return greeted(finished) };
    // Whatever a program prints itself stands before.
    let last = finished.stdout.trim().lines().next_back().unwrap_or_default();
    let line: Line = serde_json::from_str(last).with_context(|| format!("unexpected output {last:?}"))?;
    ensure!(line.checksum == *checksum, "wrong result {}, expected {checksum}", line.checksum);
    Ok(Calls {
        times_ms: std::iter::once(line.first_ms).chain(line.times_ms).collect(),
        gc_ms: None,
        peak_bytes: (line.peak_kib > 0).then_some(line.peak_kib * 1024),
    })
}

/// Checks what the command that greets has printed.
fn greeted(finished: &Finished) -> Result<Calls> {
    ensure!(finished.stdout.trim() == GREETING, "prints {:?}, not {GREETING:?}", finished.stdout.trim());
    Ok(Calls::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn program() -> Program {
        let work = Work::Run { argument: 3, checksum: "-5".into() };
        Program { name: "x".into(), wasm: "x.wasm".into(), java: None, c: None, work }
    }

    pub(super) fn finished(stdout: &str, stderr: &str) -> Finished {
        let (stdout, stderr) = (stdout.into(), stderr.into());
        Finished { wall: Duration::ZERO, cpu: Duration::ZERO, peak_bytes: 0, stdout, stderr }
    }

    #[test]
    fn lines_of_runners_are_read() {
        let line = r#"{"checksum":"-5","first_ms":1.5,"times_ms":[2,3],"best_ms":2,"median_ms":3,"peak_kib":4}"#;
        let calls = read_line(&finished(line, ""), &program()).unwrap();
        assert_eq!(calls, Calls { times_ms: vec![1.5, 2.0, 3.0], gc_ms: None, peak_bytes: Some(4096) });
        let wrong = read_line(&finished(&line.replace("-5", "7"), ""), &program()).unwrap_err();
        assert_eq!(wrong.to_string(), "wrong result 7, expected -5");
        assert!(read_line(&finished("oops\n", ""), &program()).unwrap_err().to_string().contains("\"oops\""));
        assert_eq!(runner_args(&program(), 4), ["3", "3"]);
    }

    #[test]
    fn greetings_are_checked() {
        let program = Program { work: Work::Greet, ..program() };
        assert_eq!(read_line(&finished("hello, world\n", ""), &program).unwrap(), Calls::default());
        assert!(read_line(&finished("hi", ""), &program).is_err());
        assert!(runner_args(&program, 1).is_empty());
    }

    #[test]
    fn missing_peers_say_what_can_name_them() {
        let error = peer("wamr", Some(Path::new("/nowhere/iwasm"))).err().unwrap().to_string();
        assert!(error.contains("/nowhere/iwasm"), "{error}");
        assert!(peer("cobol", None).err().unwrap().to_string().contains("no peer \"cobol\""));
    }

    #[test]
    fn programs_are_found_as_a_shell_does() {
        assert!(on_path(Path::new("sh")).is_some_and(|path| path.is_absolute()));
        assert_eq!(on_path(Path::new("no-such-program-here")), None);
        assert_eq!(on_path(Path::new("/nowhere/sh")), None);
    }
}
