//! Dolmen: compiled by one process, run from the artifact by others, as on two machines.
//!
//! Another build of it can be a peer (`--against base=PATH`), so that a change is measured against what was before in
//! one run. So can Dolmen itself with the programs as their producers wrote them (`--against raw`).

use super::{Calls, Engine, Prepared, fingerprint, greeted, told_by};
use crate::process::{self, Finished, millis};
use crate::programs::{Program, Work};
use crate::results;
use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Debug)]
pub struct Dolmen {
    identity: results::Engine,
    command: PathBuf,
    /// Further options of `dolmen run` and `dolmen compile`.
    run_options: Vec<String>,
    compile_options: Vec<String>,
    /// Whether programs are as their producers wrote them, whatever else is measured.
    raw: bool,
}

/// What is used of the line of `--stats`.
#[derive(Deserialize)]
struct Stats {
    calls_ms: Vec<f64>,
    gc: Gc,
    peak_rss_bytes: u64,
}

#[derive(Deserialize)]
struct Gc {
    total_ms: f64,
}

impl Dolmen {
    /// # Errors
    ///
    /// If there is no such command or no compiler beside it.
    pub fn new(key: &str, command: &Path, run_options: &[String], compile_options: &[String]) -> Result<Self> {
        let version =
            told_by(command, &["--version"]).with_context(|| format!("no dolmen at {}", command.display()))?;
        let compiler = command.with_file_name("dolmenc");
        let mut build = fingerprint(&[command, &compiler])?;
        for option in run_options.iter().chain(compile_options) {
            build = format!("{build} {option}");
        }
        Ok(Self {
            identity: results::Engine { key: key.into(), title: version, build },
            command: command.to_owned(),
            run_options: run_options.to_vec(),
            compile_options: compile_options.to_vec(),
            raw: false,
        })
    }

    /// The same with the programs as their producers wrote them.
    pub fn of_raw_programs(self) -> Self {
        Self { raw: true, ..self }
    }

    /// The binary to compile, if there is one.
    fn wasm(&self, program: &Program) -> Option<PathBuf> {
        if self.raw { program.raw_wasm() } else { Some(program.wasm.clone()) }
    }
}

impl Engine for Dolmen {
    fn identity(&self) -> &results::Engine {
        &self.identity
    }

    fn has(&self, program: &Program) -> bool {
        self.wasm(program).is_some()
    }

    fn prepare(&self, program: &Program, folder: &Path) -> Result<Prepared> {
        let wasm = self.wasm(program).context("there is no such binary")?;
        let path = folder.join(&program.name).with_extension("dolmen");
        let mut compile = Command::new(&self.command);
        compile.arg("compile").args(&self.compile_options).arg(wasm).arg("-o").arg(&path);
        let finished = process::run(&mut compile)?;
        let artifact_bytes = Some(std::fs::metadata(&path)?.len());
        Ok(Prepared { path, compile_ms: Some(millis(finished.wall)), artifact_bytes })
    }

    fn command(&self, prepared: &Prepared, program: &Program, calls: u32) -> Command {
        let mut command = Command::new(&self.command);
        command.arg("run").args(&self.run_options);
        match &program.work {
            Work::Run { argument, .. } => {
                command.args(["--stats", "--repeat", &calls.to_string(), "--invoke", "run"]).arg(&prepared.path);
                command.arg(argument.to_string());
            }
            Work::Greet => _ = command.arg(&prepared.path),
        }
        command
    }

    fn read(&self, finished: &Finished, program: &Program) -> Result<Calls> {
        let Work::Run { checksum, .. } = &program.work else { return greeted(finished) };
        // Whatever a program prints itself stands before.
        let results = finished.stdout.lines().rev();
        let stats: Stats = (finished.stderr.lines().rev())
            .find_map(|line| serde_json::from_str(line).ok())
            .context("no figures on standard error")?;
        let calls = stats.calls_ms.len();
        let wrong = results.take(calls).find(|result| result.trim() != checksum);
        ensure!(wrong.is_none(), "wrong result {}, expected {checksum}", wrong.unwrap_or_default());
        Ok(Calls { times_ms: stats.calls_ms, gc_ms: Some(stats.gc.total_ms), peak_bytes: Some(stats.peak_rss_bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::finished;
    use super::*;

    fn dolmen() -> Dolmen {
        let identity = results::Engine { key: "dolmen".into(), title: String::new(), build: String::new() };
        let (run_options, compile_options) = (vec!["--gc-log".into()], Vec::new());
        Dolmen { identity, command: "dolmen".into(), run_options, compile_options, raw: false }
    }

    fn program() -> Program {
        let work = Work::Run { argument: 3, checksum: "-5".into() };
        Program { name: "x".into(), wasm: "x.wasm".into(), java: None, c: None, work }
    }

    const STDERR: &str = "call 1: 2.000 ms\ncall 2: 1.000 ms\n{\"load_ms\":0.1,\"calls_ms\":[2.0,1.0],\"gc\":{\"minor\":1,\"total_ms\":0.5},\"peak_rss_bytes\":77}\n";

    #[test]
    fn figures_are_found_among_other_lines() {
        let calls = dolmen().read(&finished("-5\n", STDERR), &program()).unwrap();
        assert_eq!(calls, Calls { times_ms: vec![2.0, 1.0], gc_ms: Some(0.5), peak_bytes: Some(77) });
    }

    #[test]
    fn wrong_results_and_missing_figures_fail() {
        let error = dolmen().read(&finished("7\n", STDERR), &program()).unwrap_err();
        assert_eq!(error.to_string(), "wrong result 7, expected -5");
        assert!(dolmen().read(&finished("-5\n", "warning\n"), &program()).is_err());
    }

    #[test]
    fn raw_programs_stand_beside_optimised_ones() {
        let optimised = Program { wasm: "wasm/opt/x.wasm".into(), ..program() };
        assert_eq!(dolmen().wasm(&optimised), Some("wasm/opt/x.wasm".into()));
        assert_eq!(dolmen().of_raw_programs().wasm(&optimised), Some("wasm/raw/x.wasm".into()));
        // Text, as it was written.
        assert!(!dolmen().of_raw_programs().has(&Program { wasm: "hello.wat".into(), ..program() }));
    }

    #[test]
    fn the_command_calls_the_export() {
        let prepared = Prepared { path: "x.dolmen".into(), compile_ms: None, artifact_bytes: None };
        let command = dolmen().command(&prepared, &program(), 4);
        let args: Vec<_> = command.get_args().collect();
        assert_eq!(args, ["run", "--gc-log", "--stats", "--repeat", "4", "--invoke", "run", "x.dolmen", "3"]);
    }
}
