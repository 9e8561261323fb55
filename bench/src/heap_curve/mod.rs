//! Time by size of the heap: what calls take when the heap may be 1.1, 1.25, … times as large as what lives in it at most.
//!
//! A collector buys time with memory, so a time without the size of the heap says little about it. For each program:
//!
//! ```text
//! once:      the most bytes that live: marksweep, and a soft limit of one byte, so that the whole heap is collected
//!            whenever a fifth or 256 KiB were added; the greatest figure of the log
//! each turn: one process for each factor with that maximum, and one without, one after the other
//! ```
//!
//! A process makes a first call and then those that count, as in [`crate::measure`]. Blocks are 32 KiB and some belong
//! to the store, so less than [`MIN_LIVE_BYTES`] is taken for as much. A process that fails, most likely out of memory,
//! is a cross in the chart and a word in the table, not an error: finding that is what this is for.

pub mod show;

use crate::engines::{self, Prepared};
use crate::measure::TempFolder;
use crate::process;
use crate::programs::{Program, Work};
use crate::results::{self, Machine, Settings};
use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::Command;

/// The programs that collect, if none are named.
pub const COLLECTING: [&str; 5] = ["binary_trees", "hashmap", "big_heap", "boxed_i31", "script"];

/// Sizes of the heap by what lives at most.
pub const FACTORS: [f64; 6] = [1.1, 1.25, 1.5, 2.0, 3.0, 5.0];

/// What is taken for the live bytes of programs that have less.
pub const MIN_LIVE_BYTES: u64 = 1 << 20;

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curves {
    pub machine: Machine,
    pub settings: Settings,
    pub engine: results::Engine,
    pub programs: Vec<Curve>,
}

/// Of one program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    pub program: String,
    /// The most bytes of objects that a collection left.
    pub live_bytes: u64,
    /// For each of the [`FACTORS`], then without a limit.
    pub sizes: Vec<Size>,
}

/// Of one size of the heap.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Size {
    /// The maximum; the default one if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// The calls that count, of all turns.
    pub steady_ms: Vec<f64>,
    /// The collector's share of all calls of each turn's process.
    pub gc_share: Vec<f64>,
    /// Collections of the last turn's process, minor and major.
    pub minor: u64,
    pub major: u64,
    pub peak_bytes: u64,
    /// Why there are no figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// What is used of the line of `--stats`.
#[derive(Deserialize)]
struct Stats {
    gc: Gc,
}

#[derive(Deserialize)]
struct Gc {
    minor: u64,
    major: u64,
}

/// Who is measured, and how.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub dolmen: &'a Path,
    pub run_options: &'a [String],
    pub compile_options: &'a [String],
    pub settings: Settings,
    pub turns: u32,
}

/// Measures programs one after the other.
///
/// # Errors
///
/// If there is no such command, or a program does not compile or run where its heap may be as large as it wants.
pub fn measure(subject: Subject, programs: &[Program]) -> Result<Curves> {
    let engine = engines::dolmen(subject.dolmen, subject.run_options, subject.compile_options)?;
    let folder = TempFolder::new()?;
    let mut curves = Vec::new();
    for program in programs {
        let prepared = engine.prepare(program, &folder.0).with_context(|| program.name.clone())?;
        let curve = curve(subject, program, &prepared).with_context(|| program.name.clone())?;
        eprintln!("{} done", program.name);
        curves.push(curve);
    }
    let (machine, settings, engine) = (Machine::this(), subject.settings, engine.identity().clone());
    Ok(Curves { machine, settings, engine, programs: curves })
}

fn curve(subject: Subject, program: &Program, prepared: &Prepared) -> Result<Curve> {
    ensure!(matches!(program.work, Work::Run { .. }), "makes no calls");
    let live_bytes = live_bytes(subject, program, prepared)?;
    let max_bytes = FACTORS.map(|factor| Some((live_bytes.max(MIN_LIVE_BYTES) as f64 * factor) as u64));
    let mut sizes: Vec<Size> =
        max_bytes.into_iter().chain([None]).map(|max_bytes| Size { max_bytes, ..Size::default() }).collect();
    for _ in 0..subject.turns {
        for size in sizes.iter_mut().filter(|size| size.failure.is_none()) {
            if let Err(error) = turn(subject, program, prepared, size) {
                size.failure = Some(format!("{error:#}"));
            }
        }
    }
    if let Some(failure) = sizes.last().and_then(|size| size.failure.clone()) {
        anyhow::bail!("without a limit: {failure}");
    }
    Ok(Curve { program: program.name.clone(), live_bytes, sizes })
}

/// The most bytes that live, as a collection of the whole heap for each fifth of them finds.
fn live_bytes(subject: Subject, program: &Program, prepared: &Prepared) -> Result<u64> {
    let options = ["--gc", "marksweep", "--gc-heap-soft-max", "1", "--gc-heap-initial", "1", "--gc-log"];
    let (_, mut command) = command(subject, program, prepared, &options.map(str::to_owned), 1)?;
    let finished = process::run(&mut command)?;
    let most = finished.stderr.lines().filter_map(live_kib).max();
    Ok(most.context("it never collects")? << 10)
}

/// What a collection of the whole heap left, from its line of the log.
fn live_kib(line: &str) -> Option<u64> {
    let (_, figures) = line.strip_prefix("gc ")?.split_once(" major (")?;
    figures.split_once(" -> ")?.1.split_once(" KiB")?.0.parse().ok()
}

/// One process.
fn turn(subject: Subject, program: &Program, prepared: &Prepared, size: &mut Size) -> Result<()> {
    let options = size.max_bytes.map(|bytes| ["--gc-heap-max".to_owned(), bytes.to_string()]);
    let options = options.as_ref().map_or(&[][..], |options| &options[..]);
    let (engine, mut command) = command(subject, program, prepared, options, 1 + subject.settings.calls)?;
    let finished = process::run(&mut command)?;
    let calls = engine.read(&finished, program)?;
    let stats: Option<Stats> = finished.stderr.lines().rev().find_map(|line| serde_json::from_str(line).ok());
    let Gc { minor, major } = stats.context("no figures on standard error")?.gc;
    let total: f64 = calls.times_ms.iter().sum();
    size.steady_ms.extend(calls.times_ms.into_iter().skip(1));
    size.gc_share.extend(calls.gc_ms.filter(|_| total > 0.0).map(|ms| ms / total));
    (size.minor, size.major) = (minor, major);
    size.peak_bytes = size.peak_bytes.max(calls.peak_bytes.unwrap_or(finished.peak_bytes));
    Ok(())
}

fn command(
    subject: Subject,
    program: &Program,
    prepared: &Prepared,
    options: &[String],
    calls: u32,
) -> Result<(Box<dyn engines::Engine>, Command)> {
    let options = [subject.run_options, options].concat();
    let engine = engines::dolmen(subject.dolmen, &options, subject.compile_options)?;
    let command = engine.command(prepared, program, calls);
    Ok((engine, command))
}

impl Curves {
    /// Writes the file.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("curves are numbers and names")?;
        std::fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// If it cannot be read or is none of ours.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} holds no heap curves", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_bytes_are_those_after_major_collections() {
        let line = "gc 7 major (budget): 2493 -> 2490 KiB, heap 2528 KiB, moved 0 KiB, pause 2.577 ms (stop 0.000)";
        assert_eq!(live_kib(line), Some(2490));
        assert_eq!(live_kib(&line.replace("major", "minor")), None);
        assert_eq!(live_kib("call 1: 2.000 ms"), None);
    }
}
