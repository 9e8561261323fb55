//! wasmtime: its command, or its Python package through `run-wasmtime.py`.
//!
//! The command compiles ahead of time and tells whole processes only; the package compiles in the process and tells
//! calls, too. The heap for objects starts small and grows by collections that find too little: with `initial` it has
//! that size from the beginning. The package has no setting for it; there the runner allocates and drops one array of
//! the size before the program starts, which leaves the store's heap as large. The library in the package of version
//! 50.0.1 has no collector but deferred reference counting, which the size of the heap hardly changes.

use super::{Calls, Engine, Prepared, binary, greeted, read_line, runner_args, told_by};
use crate::process::{self, Finished, millis};
use crate::programs::{Program, Work, root};
use crate::results;
use anyhow::{Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Proposals that are not on by default everywhere.
const FEATURES: &str = "gc=y,function-references=y,exceptions=y,tail-call=y";

#[derive(Debug)]
pub struct Wasmtime {
    identity: results::Engine,
    program: PathBuf,
    /// Whether `program` is a Python interpreter with the package.
    is_package: bool,
    /// Bytes that the heap starts with.
    initial: Option<u64>,
}

impl Wasmtime {
    /// # Errors
    ///
    /// If the command does not run, or Python lacks the package.
    pub fn new(key: &str, program: PathBuf, initial: Option<u64>) -> Result<Self> {
        let is_package = program.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python"));
        let mut title = if is_package {
            let code = "import importlib.metadata, wasmtime; print('wasmtime', importlib.metadata.version('wasmtime'), '(Python package)')";
            told_by(&program, &["-c", code])?
        } else {
            told_by(&program, &["--version"])?
        };
        if let Some(bytes) = initial {
            title += &format!(", heap of {} MiB from the start", bytes >> 20);
        }
        let identity = results::Engine { key: key.into(), build: title.clone(), title };
        Ok(Self { identity, program, is_package, initial })
    }
}

impl Engine for Wasmtime {
    fn identity(&self) -> &results::Engine {
        &self.identity
    }

    fn tells_calls(&self) -> bool {
        self.is_package
    }

    fn prepare(&self, program: &Program, folder: &Path) -> Result<Prepared> {
        let wasm = binary(program, folder)?;
        if self.is_package {
            return Ok(Prepared { path: wasm, compile_ms: None, artifact_bytes: None });
        }
        let path = folder.join(&program.name).with_extension("cwasm");
        let mut compile = Command::new(&self.program);
        compile.args(["compile", "-W", FEATURES]).args(heap_options(self.initial)).arg(wasm).arg("-o").arg(&path);
        let compile_ms = Some(millis(process::run(&mut compile)?.wall));
        let artifact_bytes = Some(std::fs::metadata(&path)?.len());
        Ok(Prepared { path, compile_ms, artifact_bytes })
    }

    fn command(&self, prepared: &Prepared, program: &Program, calls: u32) -> Command {
        let mut command = Command::new(&self.program);
        if self.is_package {
            command.arg(root().join("ts-workloads/programs/run-wasmtime.py"));
            command.arg(format!("--initial-heap={}", self.initial.unwrap_or(0)));
            command.arg(&prepared.path).args(runner_args(program, calls));
            return command;
        }
        command.args(["run", "--allow-precompiled", "-W", FEATURES]).args(heap_options(self.initial));
        match &program.work {
            Work::Run { argument, .. } => {
                command.args(["--invoke", "run"]).arg(&prepared.path).arg(argument.to_string());
            }
            Work::Greet => _ = command.arg(&prepared.path),
        }
        command
    }

    fn read(&self, finished: &Finished, program: &Program) -> Result<Calls> {
        if self.is_package {
            return read_line(finished, program);
        }
        let Work::Run { checksum, .. } = &program.work else { return greeted(finished) };
        let result = finished.stdout.trim();
        ensure!(result.lines().last() == Some(checksum), "wrong result {result}, expected {checksum}");
        Ok(Calls::default())
    }
}

fn heap_options(initial: Option<u64>) -> Vec<String> {
    initial.map_or_else(Vec::new, |bytes| vec!["-O".into(), format!("gc-heap-initial-size={bytes}")])
}

#[cfg(test)]
mod tests {
    use super::super::tests::finished;
    use super::*;

    fn command_line(initial: Option<u64>) -> Wasmtime {
        let identity = results::Engine { key: "wasmtime".into(), title: String::new(), build: String::new() };
        Wasmtime { identity, program: "wasmtime".into(), is_package: false, initial }
    }

    #[test]
    fn the_command_prints_a_number() {
        let work = Work::Run { argument: 3, checksum: "-5".into() };
        let program = Program { name: "x".into(), wasm: "x.wasm".into(), java: None, c: None, work };
        assert_eq!(command_line(None).read(&finished("-5\n", "warning"), &program).unwrap(), Calls::default());
        assert!(command_line(None).read(&finished("5\n", ""), &program).is_err());
    }

    #[test]
    fn a_heap_of_some_size_is_an_option() {
        assert_eq!(heap_options(Some(1 << 20)), ["-O", "gc-heap-initial-size=1048576"]);
        assert!(heap_options(None).is_empty());
    }
}
