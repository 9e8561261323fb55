//! `cargo xtask test`: everything that must hold before a change is accepted.
//!
//! The steps run in an order that shows cheap failures first; a failed step does not hide the others. Cargo's
//! test runners print one closing line each (`test result: …`), the conformance suite prints the same; their
//! counts are added up, each other step counts as one, and the sum is the last line: `N passed, M failed`.

use crate::command::{Failure, cargo, describe};
use crate::sanitize::address_step;
use crate::setup::{setup, setup_lints};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// Variable that tells the tests to run the long ones, too.
pub const ALL_TESTS_VARIABLE: &str = "DOLMEN_TEST_ALL";

/// The feature without which `dolmenc` is neither built nor tested.
const COMPILER_FEATURE: &str = "dolmen-cli/compiler";

/// What a step counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// Sets the machine up and runs all tests.
///
/// # Errors
///
/// If the set-up fails or an option is unknown; failed tests are the exit code.
pub fn test(args: &[String]) -> Result<ExitCode, Failure> {
    let all = match args {
        [] => false,
        [flag] if flag == "--all" => true,
        _ => return Err(Failure::new("usage: cargo xtask test [--all]")),
    };
    setup()?;
    setup_lints()?;
    let mut total = Counts::default();
    let mut failed_steps = Vec::new();
    for (name, mut command) in steps(all) {
        let start = Instant::now();
        println!("\n$ {}", describe(&command));
        let counts = run_step(&mut command)?;
        println!(
            "{name}: {} passed, {} failed in {:.0} s",
            counts.passed,
            counts.failed,
            start.elapsed().as_secs_f64()
        );
        if counts.failed > 0 {
            failed_steps.push(name);
        }
        total.add(counts);
    }
    if !failed_steps.is_empty() {
        println!("\nfailed: {}", failed_steps.join(", "));
    }
    println!("\n{} passed, {} failed", total.passed, total.failed);
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn steps(all: bool) -> Vec<(&'static str, Command)> {
    let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
    doc.args(["--keep-going", "--features", COMPILER_FEATURE]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    // Its pages have the name of the Rust library's, so they are left out above, and go elsewhere here.
    let mut library_doc = cargo(&["rustdoc", "-p", "dolmen-c-api", "--lib", "--target-dir", "target/c-library-docs"]);
    library_doc.args(["--", "--document-private-items"]);
    library_doc.env("RUSTDOCFLAGS", "-D warnings");
    let mut clippy = cargo(&["clippy", "--workspace", "--all-targets", "--release"]);
    clippy.args(["--features", COMPILER_FEATURE, "--", "-D", "warnings"]);
    let mut tests = cargo(&["test", "--workspace", "--release", "--no-fail-fast", "--features", COMPILER_FEATURE]);
    if all {
        tests.env(ALL_TESTS_VARIABLE, "1");
    }
    vec![
        ("format", cargo(&["fmt", "--all", "--check"])),
        ("tests", tests),
        ("heap under AddressSanitizer", address_step()),
        ("clippy", clippy),
        ("docs", doc),
        ("docs of the C library", library_doc),
    ]
}

/// Runs one step with its output shown; a step without counts of its own is one test.
fn run_step(command: &mut Command) -> Result<Counts, Failure> {
    let cannot = |error| Failure::new(format!("cannot start cargo: {error}"));
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(cannot)?;
    let mut counts = Counts::default();
    for line in BufReader::new(child.stdout.take().expect("standard output is piped")).lines() {
        let Ok(line) = line else { continue };
        counts.add(closing_line(&line).unwrap_or_default());
        println!("{line}");
    }
    let success = child.wait().map_err(cannot)?.success();
    Ok(judge(counts, success))
}

/// A step that fails without a failed test (it does not build, or a runner died) is a failure; one that
/// succeeds without tests is a success.
fn judge(counts: Counts, success: bool) -> Counts {
    match (success, counts.failed) {
        (false, 0) => Counts { failed: 1, ..counts },
        (true, 0) if counts.passed == 0 => Counts { passed: 1, failed: 0 },
        _ => counts,
    }
}

/// The counts in a test runner's closing line: `test result: ok. 12 passed; 0 failed; …`.
fn closing_line(line: &str) -> Option<Counts> {
    let words: Vec<&str> = line.strip_prefix("test result: ")?.split_whitespace().collect();
    let count_before = |label: &str| {
        let at = words.iter().position(|word| word.trim_end_matches([';', ',']) == label)?;
        words.get(at.checked_sub(1)?)?.parse().ok()
    };
    Some(Counts { passed: count_before("passed")?, failed: count_before("failed")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_counted() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s";
        assert_eq!(closing_line(line), Some(Counts { passed: 12, failed: 3 }));
        assert_eq!(closing_line("test compile::works ... ok"), None);
        assert_eq!(closing_line("test result: ok. passed; failed;"), None);
    }

    #[test]
    fn a_step_that_dies_without_a_failed_test_counts_as_failed() {
        let passed = |passed| Counts { passed, failed: 0 };
        assert_eq!(judge(passed(7), false), Counts { passed: 7, failed: 1 });
        assert_eq!(judge(passed(0), false), Counts { passed: 0, failed: 1 });
        assert_eq!(judge(passed(0), true), passed(1));
        assert_eq!(judge(passed(7), true), passed(7));
    }

    #[test]
    fn output_of_a_step_is_counted() {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "echo 'test result: ok. 2 passed; 0 failed'; echo 'test result: FAILED. 1 passed; 1 failed'; exit 1",
        ]);
        assert_eq!(run_step(&mut command), Ok(Counts { passed: 3, failed: 1 }));
    }

    #[test]
    fn unknown_options_are_refused() {
        assert!(test(&["--some".to_owned()]).is_err());
    }
}
