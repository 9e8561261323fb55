//! The conformance suite: WebAssembly's test scripts and our own, through compiled artifacts.
//!
//! This is a test runner of its own rather than a list of `#[test]` functions: scripts run in child processes,
//! because some of them are about ending a process, and an expected failure that passes is a failure.
//!
//! ```text
//! cargo test -p dolmen-spec-tests --release --test suite -- [FILTER...] [OPTIONS]
//!   FILTER            only scripts whose name (`gc/i31.wast`, `latest/br.wast`, …) contains it
//!   --opt N           optimisation level instead of the usual ones
//!   --gc NAME         collector: marksweep or null
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

/// What a run of many scripts adds up to.
#[derive(Default)]
struct Totals {
    passed: u64,
    known: u64,
    failed: u64,
    directives: u64,
}

/// Runs what was asked for; the number of scripts that failed.
fn run(arguments: &Arguments) -> Result<u64, String> {
    let text = std::fs::read_to_string(EXPECTATIONS).map_err(|error| format!("cannot read {EXPECTATIONS}: {error}"))?;
    let expectations = Expectations::parse(&text).map_err(|error| format!("{EXPECTATIONS}: {error}"))?;
    let unused = expectations.unused(&scripts::all_names()?);
    if !unused.is_empty() {
        return Err(format!("{EXPECTATIONS}: no such scripts: {}", unused.join(", ")));
    }
    let start = Instant::now();
    let mut totals = Totals::default();
    for run in arguments.runs() {
        let mut names = scripts::names(run.selection)?;
        names.retain(|name| arguments.wants(name));
        println!("\nrunning {} scripts with {}", names.len(), run.configuration);
        let of_run = judge_run(&run, names, arguments.jobs, &expectations)?;
        println!(
            "{}: {} scripts passed, {} fail as expected, {} failed; {} directives hold",
            run.configuration, of_run.passed, of_run.known, of_run.failed, of_run.directives
        );
        totals.passed += of_run.passed;
        totals.known += of_run.known;
        totals.failed += of_run.failed;
        totals.directives += of_run.directives;
    }
    let Totals { passed, known, failed, directives } = totals;
    println!("\n{directives} directives hold; {known} scripts fail as expected");
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {} passed; {failed} failed; finished in {:.1}s\n",
        passed + known,
        start.elapsed().as_secs_f64()
    );
    Ok(failed)
}

fn judge_run(run: &Run, names: Vec<String>, jobs: usize, expectations: &Expectations) -> Result<Totals, String> {
    let mut totals = Totals::default();
    parent::run_all(names, run.configuration, jobs, |outcome| totals.add(&outcome, expectations))?;
    Ok(totals)
}

impl Totals {
    /// Counts a script, and says so at once if it failed.
    fn add(&mut self, Outcome { report, crashed }: &Outcome, expectations: &Expectations) {
        self.directives += report.passed;
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
