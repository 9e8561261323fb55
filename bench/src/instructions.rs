//! Instructions of one process: a second figure, which a busy machine does not change.
//!
//! The processor's own counters through `perf` where they exist, else valgrind's callgrind. That one knows no AVX-512,
//! so programs are compiled for `x86-64-v3` for either, and it is some fifty times slower, so calls are of size small
//! at most. The counts contain start-up and everything the collector does; threads of the collector may share their work
//! differently from run to run, which moves counts by some tenths of a percent.

use crate::engines;
use crate::process;
use crate::programs::{Program, Size, programs};
use crate::results::{Results, Settings};
use anyhow::{Context as _, Result, bail};
use std::path::Path;
use std::process::Command;

/// The processor that both tools know.
const CPU: &str = "--target-cpu=x86-64-v3";

/// Who counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    Perf,
    Callgrind,
}

impl Counter {
    /// The better one that works here.
    ///
    /// # Errors
    ///
    /// If neither does.
    pub fn find() -> Result<Self> {
        for counter in [Self::Perf, Self::Callgrind] {
            if counter.count(&mut Command::new("true")).is_ok() {
                return Ok(counter);
            }
        }
        bail!("nobody counts instructions: perf finds no counter, and there is no valgrind")
    }

    /// Instructions of a process in user mode.
    ///
    /// # Errors
    ///
    /// If the process or the count fails.
    pub fn count(self, command: &mut Command) -> Result<u64> {
        let mut counted = match self {
            Self::Perf => Command::new("perf"),
            Self::Callgrind => Command::new("valgrind"),
        };
        match self {
            Self::Perf => counted.args(["stat", "-x,", "-e", "instructions:u", "--"]),
            Self::Callgrind => counted.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]),
        };
        counted.arg(command.get_program()).args(command.get_args());
        let finished = process::run(&mut counted)?;
        self.parse(&finished.stderr).context("no count in the tool's output")
    }

    fn parse(self, stderr: &str) -> Option<u64> {
        match self {
            // 12345,,instructions:u,…
            Self::Perf => {
                stderr.lines().find(|line| line.contains("instructions"))?.split(',').next()?.trim().parse().ok()
            }
            // ==7== Collected : 12345
            Self::Callgrind => stderr.lines().find_map(|line| line.split("Collected : ").nth(1)?.trim().parse().ok()),
        }
    }
}

/// Counts for the programs that have none yet, on the command `dolmen`.
///
/// # Errors
///
/// If nobody counts here. Programs that fail have no count.
pub fn count(
    dolmen: &Path,
    run_options: &[String],
    chosen: &[Program],
    folder: &Path,
    results: &mut Results,
) -> Result<()> {
    let counter = Counter::find()?;
    let Settings { variant, size, .. } = results.settings;
    let names: Vec<String> = chosen.iter().map(|program| program.name.clone()).collect();
    let engine = engines::dolmen(dolmen, run_options, &[CPU.to_owned()])?;
    for program in programs(&names, variant, size.min(Size::Small))? {
        let figures = results.figures(&program.name, "dolmen");
        if figures.instructions.is_some() {
            continue;
        }
        let counted = engine
            .prepare(&program, folder)
            .and_then(|prepared| counter.count(&mut engine.command(&prepared, &program, 1)));
        match counted {
            Ok(count) => figures.instructions = Some(count),
            Err(error) => eprintln!("{}: instructions not counted: {error:#}", program.name),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_found() {
        let text = "==7== Callgrind, a call-graph …\n==7== Events    : Ir\n==7== Collected : 31415926\n";
        assert_eq!(Counter::Callgrind.parse(text), Some(31_415_926));
        assert_eq!(Counter::Perf.parse("1234567,,instructions:u,99,100.00,,\n"), Some(1_234_567));
        assert_eq!(Counter::Perf.parse("<not supported>,,instructions:u,0,100.00,,\n"), None);
        assert_eq!(Counter::Callgrind.parse(""), None);
    }
}
