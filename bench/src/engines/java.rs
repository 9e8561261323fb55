//! HotSpot with its defaults, on the same algorithms in Java.

use super::{Calls, Engine, Prepared, on_path, read_line, runner_args, told_by};
use crate::process::{self, Finished};
use crate::programs::Program;
use crate::results;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What all classes but the command that greets use.
const SHARED: &str = "Bench.java";

#[derive(Debug)]
pub struct Java {
    identity: results::Engine,
    java: PathBuf,
    javac: PathBuf,
}

impl Java {
    /// # Errors
    ///
    /// If it does not run, or there is no `javac` beside it or on `PATH`.
    pub fn new(java: PathBuf) -> Result<Self> {
        // -version prints on standard error: openjdk version "17.0.15" …
        let version = told_by(&java, &["-version"])?;
        let number = version.split('"').nth(1).unwrap_or("of unknown version").to_owned();
        let beside = java.with_file_name("javac");
        let javac = if beside.is_file() { Some(beside) } else { on_path(Path::new("javac")) };
        let identity = results::Engine { key: "java".into(), title: format!("HotSpot {number}"), build: version };
        Ok(Self { identity, java, javac: javac.context("no javac beside java or on PATH")? })
    }
}

impl Engine for Java {
    fn identity(&self) -> &results::Engine {
        &self.identity
    }

    fn has(&self, program: &Program) -> bool {
        program.java.is_some()
    }

    fn prepare(&self, program: &Program, folder: &Path) -> Result<Prepared> {
        let source = program.java.as_ref().context("no source in Java")?;
        let class = source.file_stem().context("a source has a name")?;
        if !folder.join(class).with_extension("class").is_file() {
            let mut compile = Command::new(&self.javac);
            compile.arg("-d").arg(folder).arg(source);
            let shared = source.with_file_name(SHARED);
            if shared.is_file() {
                compile.arg(shared);
            }
            process::run(&mut compile)?;
        }
        Ok(Prepared { path: folder.join(class), compile_ms: None, artifact_bytes: None })
    }

    fn command(&self, prepared: &Prepared, program: &Program, calls: u32) -> Command {
        let mut command = Command::new(&self.java);
        let (folder, class) = (prepared.path.parent(), prepared.path.file_name());
        command.arg("-cp").arg(folder.unwrap_or(Path::new("."))).arg(class.unwrap_or_default());
        command.args(runner_args(program, calls));
        command
    }

    fn read(&self, finished: &Finished, program: &Program) -> Result<Calls> {
        read_line(finished, program)
    }
}
