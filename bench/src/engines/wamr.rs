//! WAMR: `wamrc` compiles ahead of time, `iwasm` runs; whole processes only.

use super::{Calls, Engine, Prepared, binary, greeted, on_path, told_by};
use crate::process::{self, Finished, millis};
use crate::programs::{Program, Work};
use crate::results;
use anyhow::{Context as _, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Its heap neither grows nor moves, and all of it is touched at the start: 256 MiB hold every program that runs, and
/// larger ones only add to times and peak memory.
const HEAP_BYTES: &str = "--gc-heap-size=268435456";

/// Recursion of the programs needs more than the default.
const STACK_BYTES: &str = "--stack-size=8388608";

#[derive(Debug)]
pub struct Wamr {
    identity: results::Engine,
    iwasm: PathBuf,
    wamrc: PathBuf,
}

impl Wamr {
    /// # Errors
    ///
    /// If it does not run, or there is no `wamrc` beside it or on `PATH`.
    pub fn new(iwasm: PathBuf) -> Result<Self> {
        let title = told_by(&iwasm, &["--version"])?.replace("iwasm", "WAMR");
        let beside = iwasm.with_file_name("wamrc");
        let wamrc = if beside.is_file() { Some(beside) } else { on_path(Path::new("wamrc")) };
        let identity = results::Engine { key: "wamr".into(), build: title.clone(), title };
        Ok(Self { identity, iwasm, wamrc: wamrc.context("no wamrc beside iwasm or on PATH")? })
    }
}

impl Engine for Wamr {
    fn identity(&self) -> &results::Engine {
        &self.identity
    }

    fn tells_calls(&self) -> bool {
        false
    }

    fn prepare(&self, program: &Program, folder: &Path) -> Result<Prepared> {
        let path = folder.join(&program.name).with_extension("aot");
        let mut compile = Command::new(&self.wamrc);
        compile.args(["--enable-gc", "--enable-tail-call", "-o"]).arg(&path).arg(binary(program, folder)?);
        let compile_ms = Some(millis(process::run(&mut compile)?.wall));
        let artifact_bytes = Some(std::fs::metadata(&path)?.len());
        Ok(Prepared { path, compile_ms, artifact_bytes })
    }

    fn command(&self, prepared: &Prepared, program: &Program, _calls: u32) -> Command {
        let mut command = Command::new(&self.iwasm);
        command.args([HEAP_BYTES, STACK_BYTES]);
        match &program.work {
            Work::Run { argument, .. } => {
                command.args(["--function", "run"]).arg(&prepared.path).arg(argument.to_string());
            }
            Work::Greet => _ = command.arg(&prepared.path),
        }
        command
    }

    fn read(&self, finished: &Finished, program: &Program) -> Result<Calls> {
        let Work::Run { checksum, .. } = &program.work else { return greeted(finished) };
        let result = finished.stdout.trim();
        let number = i64_of(result).with_context(|| format!("unexpected output {result:?}"))?;
        ensure!(number.to_string() == *checksum, "wrong result {number}, expected {checksum}");
        Ok(Calls::default())
    }
}

/// A result as `iwasm` prints it: `0x1f:i64` or `-5:i64`.
fn i64_of(text: &str) -> Option<i64> {
    let digits = text.strip_suffix(":i64")?;
    match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok().map(u64::cast_signed),
        None => digits.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_decimal_or_hexadecimal() {
        assert_eq!(i64_of("-5:i64"), Some(-5));
        assert_eq!(i64_of("0xfffffffffffffffb:i64"), Some(-5));
        assert_eq!(i64_of("5"), None);
        assert_eq!(i64_of("Exception: x"), None);
    }
}
