//! The same algorithms in C: no checks, no collector.

use super::{Calls, Engine, Prepared, read_line, runner_args, told_by};
use crate::process::{self, Finished};
use crate::programs::Program;
use crate::results;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// No contraction: a fused multiply-add would change the low bits of results, and with them the checksums.
const OPTIONS: [&str; 3] = ["-O3", "-march=native", "-ffp-contract=off"];

#[derive(Debug)]
pub struct C {
    identity: results::Engine,
    compiler: PathBuf,
}

impl C {
    /// # Errors
    ///
    /// If the compiler does not run.
    pub fn new(compiler: PathBuf) -> Result<Self> {
        let version = told_by(&compiler, &["--version"])?;
        let title = version.lines().next().unwrap_or("C").to_owned();
        Ok(Self { identity: results::Engine { key: "c".into(), title, build: version }, compiler })
    }
}

impl Engine for C {
    fn identity(&self) -> &results::Engine {
        &self.identity
    }

    fn has(&self, program: &Program) -> bool {
        program.c.is_some()
    }

    fn prepare(&self, program: &Program, folder: &Path) -> Result<Prepared> {
        let source = program.c.as_ref().context("no source in C")?;
        let path = folder.join(&program.name);
        if !path.is_file() {
            process::run(Command::new(&self.compiler).args(OPTIONS).arg("-o").arg(&path).arg(source).arg("-lm"))?;
        }
        Ok(Prepared { path, compile_ms: None, artifact_bytes: None })
    }

    fn command(&self, prepared: &Prepared, program: &Program, calls: u32) -> Command {
        let mut command = Command::new(&prepared.path);
        command.args(runner_args(program, calls));
        command
    }

    fn read(&self, finished: &Finished, program: &Program) -> Result<Calls> {
        read_line(finished, program)
    }
}
