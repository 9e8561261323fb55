//! Every program gives its known result: on each collector, at each optimisation level, and with a collection at
//! every allocation. The long ones run when `DOLMEN_TEST_ALL` is set (`cargo xtask test --all`).
//!
//! A failure does not hide the others: each test tells all programs that went wrong.

use dolmen::Collector;
use dolmen_aotc::OptLevel;
use dolmen_workloads::harness::{Setup, check_benchmark, check_command};
use dolmen_workloads::programs::{Size, Variant, benchmarks, commands};
use std::num::NonZeroU64;

/// Calls per benchmark: the second finds state that the first left behind.
const CALLS: usize = 2;

/// The collection interval for programs too large for a collection at every allocation.
const COARSE_STRESS: u64 = 97;

fn stressed(interval: u64) -> Setup {
    Setup { gc_stress: NonZeroU64::new(interval), gc_verify: true, ..Setup::default() }
}

fn long_tests_run() -> bool {
    std::env::var_os("DOLMEN_TEST_ALL").is_some()
}

/// Runs all benchmarks, both variants, and panics with the list of those that went wrong.
fn check_benchmarks(folders: &[&str], size: Size, setup: Setup) {
    let mut failures = Vec::new();
    for benchmark in benchmarks().iter().filter(|benchmark| folders.contains(&benchmark.folder)) {
        for variant in Variant::ALL {
            if let Err(error) = check_benchmark(benchmark, variant, size, CALLS, setup) {
                failures.push(format!("{} {}: {error:#}", benchmark.name, variant.name()));
            }
        }
    }
    assert!(failures.is_empty(), "{setup:?}\n{}", failures.join("\n"));
}

/// Runs all commands, both variants, and panics with the list of those that went wrong.
fn check_commands(setup: Setup) {
    let mut failures = Vec::new();
    for command in commands() {
        for variant in Variant::ALL {
            if let Err(error) = check_command(command, variant, setup) {
                failures.push(format!("{} {}: {error:#}", command.name, variant.name()));
            }
        }
    }
    assert!(failures.is_empty(), "{setup:?}\n{}", failures.join("\n"));
}

#[test]
fn benchmarks_on_each_collector() {
    for (_, collector) in Collector::NAMES {
        check_benchmarks(&["programs", "kotlin"], Size::Tiny, Setup { collector: *collector, ..Setup::default() });
    }
}

#[test]
fn benchmarks_at_lower_opt_levels() {
    for opt_level in [OptLevel::O0, OptLevel::O1, OptLevel::O2] {
        check_benchmarks(&["programs"], Size::Tiny, Setup { opt_level, ..Setup::default() });
    }
}

#[test]
fn benchmarks_under_stress() {
    check_benchmarks(&["programs"], Size::Tiny, stressed(1));
}

#[test]
fn benchmarks_under_coarse_stress() {
    check_benchmarks(&["kotlin"], Size::Tiny, stressed(COARSE_STRESS));
}

#[test]
fn commands_print_what_they_should() {
    check_commands(Setup::default());
}

#[test]
fn commands_at_the_lowest_opt_level() {
    check_commands(Setup { opt_level: OptLevel::O0, ..Setup::default() });
}

#[test]
fn commands_under_coarse_stress() {
    check_commands(stressed(COARSE_STRESS));
}

#[test]
fn long_benchmarks() {
    if long_tests_run() {
        check_benchmarks(&["programs", "kotlin"], Size::Full, Setup::default());
    }
}
