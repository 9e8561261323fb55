//! `cargo xtask bench`: times the workloads as a user would run them.
//!
//! Each program is compiled once and called several times in one process; the first call and the median of the
//! later ones are shown, with the collector's share. Checksums are compared: a fast wrong answer is a failure.

use crate::command::{Failure, output_of, workspace_root};
use crate::run::{build, dolmen};
use crate::setup::setup;
use crate::stats::Stats;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Calls of each program in one process.
const CALLS: usize = 6;

/// Where the programs are.
const PROGRAMS: &str = "ts-workloads/programs";

/// A program of the list in `sizes.json`.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    name: String,
    /// Argument of the export `run` for the largest size.
    size: String,
    checksum: String,
}

/// Builds and times the programs whose name contains one of `names`, or all.
///
/// # Errors
///
/// If the build fails or the programs cannot be found; a wrong result is the exit code.
pub fn bench(names: &[String]) -> Result<ExitCode, Failure> {
    setup()?;
    build()?;
    let folder = workspace_root().join(PROGRAMS);
    let list = folder.join("sizes.json");
    let text = std::fs::read_to_string(&list)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", list.display())))?;
    let programs: Vec<Program> = text.lines().filter_map(parse_program).collect();
    println!("\n{:<24} {:>10} {:>10} {:>8} {:>9}", "program", "first ms", "median ms", "gc %", "peak MiB");
    let mut wrong = 0;
    for program in programs.iter().filter(|p| names.is_empty() || names.iter().any(|name| p.name.contains(name))) {
        for variant in ["raw", "opt"] {
            let wasm = folder.join("wasm").join(variant).join(&program.name).with_extension("wasm");
            match time(program, &wasm) {
                Ok(stats) => println!("{:<24} {}", format!("{} {variant}", program.name), row(&stats)),
                Err(failure) => {
                    wrong += 1;
                    println!("{:<24} {failure}", format!("{} {variant}", program.name));
                }
            }
        }
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A line of `sizes.json`: `"name": {…, "n": {…, "full": N}, "checksum": {…, "full": "C"}},`.
fn parse_program(line: &str) -> Option<Program> {
    let name = line.trim().strip_prefix('"')?.split('"').next()?;
    let full = |key: &str| {
        let object = line.split(&format!("\"{key}\": {{")).nth(1)?.split('}').next()?;
        let value = object.split("\"full\":").nth(1)?.split(',').next()?;
        Some(value.trim().trim_matches('"').to_owned())
    };
    Some(Program { name: name.to_owned(), size: full("n")?, checksum: full("checksum")? })
}

fn time(program: &Program, wasm: &Path) -> Result<Stats, Failure> {
    let artifact: PathBuf = std::env::temp_dir().join(format!("dolmen-bench-{}.dolmen", std::process::id()));
    let compiled = output_of(Command::new(dolmen()).arg("compile").arg(wasm).arg("-o").arg(&artifact));
    if compiled.is_none() {
        return Err(Failure::new("does not compile"));
    }
    let output = Command::new(dolmen())
        .args(["run", "--stats", "--repeat", &CALLS.to_string(), "--invoke", "run"])
        .arg(&artifact)
        .arg(&program.size)
        .output()
        .map_err(|error| Failure::new(format!("cannot start dolmen: {error}")))?;
    // What is left behind in the temporary directory does no harm.
    _ = std::fs::remove_file(&artifact);
    let results = String::from_utf8_lossy(&output.stdout);
    if let Some(result) = results.lines().find(|line| *line != program.checksum) {
        return Err(Failure::new(format!("wrong result {result}, expected {}", program.checksum)));
    }
    let messages = String::from_utf8_lossy(&output.stderr);
    let stats = messages.lines().find_map(Stats::parse);
    stats
        .filter(|stats| stats.calls_ms.len() == CALLS)
        .ok_or_else(|| Failure::new(messages.lines().next().map_or_else(|| "no figures".to_owned(), str::to_owned)))
}

fn row(stats: &Stats) -> String {
    let total: f64 = stats.calls_ms.iter().sum();
    let gc_percent = 100.0 * stats.gc_total_ms / total;
    let peak = stats.peak_rss_bytes / f64::from(1 << 20);
    format!("{:>10.1} {:>10.1} {gc_percent:>8.1} {peak:>9.1}", stats.calls_ms[0], median(&stats.calls_ms[1..]))
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_list_is_read() {
        let line =
            r#"  "nbody": {"c": "nbody", "n": {"tiny": 10, "full": 14}, "checksum": {"tiny": "-6", "full": "-65"}},"#;
        let expected = Program { name: "nbody".into(), size: "14".into(), checksum: "-65".into() };
        assert_eq!(parse_program(line), Some(expected));
        assert_eq!(parse_program("}"), None);
    }

    #[test]
    fn every_workload_of_the_list_exists() {
        let folder = workspace_root().join(PROGRAMS);
        let text = std::fs::read_to_string(folder.join("sizes.json")).unwrap();
        let programs: Vec<Program> = text.lines().filter_map(parse_program).collect();
        assert!(programs.len() >= 10, "{programs:?}");
        for program in programs {
            assert!(folder.join("wasm/opt").join(&program.name).with_extension("wasm").is_file(), "{program:?}");
        }
    }

    #[test]
    fn the_median_of_an_even_count_lies_between() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
    }
}
