//! The conformance suite: WebAssembly's test scripts and our own, through compiled artifacts.
//!
//! This is a test runner of its own rather than a list of `#[test]` functions: scripts run in child processes,
//! because some of them are about ending a process, and an expected failure that passes is a failure.
//!
//! ```text
//! cargo test -p dolmen-spec-tests --release --test suite -- [FILTER...] [OPTIONS]
//!   FILTER            only scripts whose name (`gc/i31.wast`, `latest/br.wast`, …) contains it
//!   --opt N           optimisation level instead of the usual ones
//!   --gc NAME         collector: generational, marksweep or null
//!   --gc-threads N    threads that mark; with --stress all of them in each collection
//!   --stress N        collect at every N-th allocation, and verify the heap
//!   --all             every suite and configuration
//!   --jobs N          child processes at a time
//!   --print NAME      only print the text of a script
//! ```
//!
//! Without options it runs what [`matrix::usual`] lists. The last line has the form of libtest's.

#![forbid(unsafe_code)]

mod child;
mod generated;
mod matrix;
mod parent;
mod scripts;

use dolmen_spec_tests::expectations::{Expectations, Verdict};
use matrix::{Arguments, Run};
use parent::Outcome;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

/// The list of known failures.
const EXPECTATIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/expectations.txt");

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == child::CHILD_ARG) {
        return child::run(&args[1..]);
    }
    if let [flag, name] = args.as_slice()
        && flag == "--print"
    {
        return print_script(name);
    }
    match Arguments::parse(&args).and_then(|arguments| run(&arguments)) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn print_script(name: &str) -> ExitCode {
    match scripts::text(name) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// What many scripts add up to.
#[derive(Clone, Copy, Default)]
struct Totals {
    passed: u64,
    known: u64,
    failed: u64,
    /// Directives that hold.
    hold: u64,
    /// Directives that do not hold, expected or not.
    broken: u64,
}

/// Runs what was asked for; the number of scripts that failed.
fn run(arguments: &Arguments) -> Result<u64, String> {
    let expectations = expectations()?;
    let start = Instant::now();
    let mut totals = Totals::default();
    for run in arguments.runs() {
        let mut names = scripts::names(run.selection)?;
        names.retain(|name| arguments.wants(name));
        println!("\nrunning {} scripts with {}", names.len(), run.configuration);
        let suites = judge_run(&run, names, arguments.jobs, &expectations)?;
        totals = suites.values().copied().fold(totals, Totals::plus);
        println!("{}", table(&suites));
    }
    let word = if totals.failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {} passed; {} failed; finished in {:.1}s\n",
        totals.passed + totals.known,
        totals.failed,
        start.elapsed().as_secs_f64()
    );
    Ok(totals.failed)
}

/// The list of known failures, all of which must be about scripts that exist.
fn expectations() -> Result<Expectations, String> {
    let text = std::fs::read_to_string(EXPECTATIONS).map_err(|error| format!("cannot read {EXPECTATIONS}: {error}"))?;
    let expectations = Expectations::parse(&text).map_err(|error| format!("{EXPECTATIONS}: {error}"))?;
    let unused = expectations.unused(&scripts::all_names()?);
    if unused.is_empty() {
        Ok(expectations)
    } else {
        Err(format!("{EXPECTATIONS}: no such scripts: {}", unused.join(", ")))
    }
}

/// Runs scripts; what each suite adds up to.
fn judge_run(
    run: &Run,
    names: Vec<String>,
    jobs: usize,
    expectations: &Expectations,
) -> Result<BTreeMap<String, Totals>, String> {
    let mut suites: BTreeMap<String, Totals> = BTreeMap::new();
    parent::run_all(names, run.configuration, jobs, |outcome| {
        let suite = outcome.report.name.split('/').next().unwrap_or_default().to_owned();
        suites.entry(suite).or_default().add(&outcome, expectations);
    })?;
    Ok(suites)
}

/// One line per suite, and the sum.
fn table(suites: &BTreeMap<String, Totals>) -> String {
    let mut text = format!(
        "  {:<38} {:>7} {:>7} {:>7} {:>9} {:>9}",
        "suite: scripts that", "pass", "known", "fail", "hold", "do not"
    );
    let sum = suites.values().copied().fold(Totals::default(), Totals::plus);
    for (name, Totals { passed, known, failed, hold, broken }) in
        suites.iter().map(|(name, totals)| (name.as_str(), *totals)).chain([("all", sum)])
    {
        text += &format!("\n  {name:<38} {passed:>7} {known:>7} {failed:>7} {hold:>9} {broken:>9}");
    }
    text
}

impl Totals {
    fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            known: self.known + other.known,
            failed: self.failed + other.failed,
            hold: self.hold + other.hold,
            broken: self.broken + other.broken,
        }
    }

    /// Counts a script, and says so at once if it failed.
    fn add(&mut self, Outcome { report, crashed }: &Outcome, expectations: &Expectations) {
        self.hold += report.passed;
        self.broken += report.failed();
        match expectations.judge(report, *crashed) {
            Verdict::Passed => self.passed += 1,
            Verdict::Known(_) => self.known += 1,
            Verdict::Failed(reasons) => {
                self.failed += 1;
                println!("FAILED {report}");
                for reason in reasons {
                    println!("    {reason}");
                }
            }
        }
    }
}
