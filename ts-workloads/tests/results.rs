//! Every program gives its known result: on each collector, at each optimisation level, and with a collection at
//! every allocation. The long ones run when `DOLMEN_TEST_ALL` is set (`cargo xtask test --all`).
//!
//! A failure does not hide the others: each test tells all programs that went wrong.

use dolmen::Collector;
use dolmen_aotc::OptLevel;
use dolmen_workloads::harness::{Setup, check_benchmark, check_command};
use dolmen_workloads::programs::{Benchmark, Size, Variant, benchmarks, commands};
use dolmen_workloads::teavm;
use std::num::{NonZeroU32, NonZeroU64};

/// Calls per benchmark: the second finds state that the first left behind.
const CALLS: usize = 2;

/// The collection interval for programs too large for a collection at every allocation.
const COARSE_STRESS: u64 = 97;

/// The benchmark that keeps so many objects alive that a verified collection at every allocation, of which its least size
/// makes 190,000, takes the better part of a minute for each variant.
const MANY_OBJECTS: &str = "big_heap";

/// The collection interval for it where tests are to be short.
const MANY_OBJECTS_STRESS: u64 = 7;

fn stressed(interval: u64) -> Setup {
    Setup { gc_stress: NonZeroU64::new(interval), gc_verify: true, ..Setup::default() }
}

fn long_tests_run() -> bool {
    std::env::var_os("DOLMEN_TEST_ALL").is_some()
}

/// Runs the selected benchmarks, both variants, and panics with the list of those that went wrong.
fn check_benchmarks(select: impl Fn(&Benchmark) -> bool, size: Size, calls: usize, setup: Setup) {
    let mut failures = Vec::new();
    for benchmark in benchmarks().iter().filter(|benchmark| select(benchmark)) {
        for variant in Variant::ALL {
            if let Err(error) = check_benchmark(benchmark, variant, size, calls, setup) {
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

fn is_large(benchmark: &Benchmark) -> bool {
    benchmark.folder == "kotlin" || benchmark.name == MANY_OBJECTS
}

#[test]
fn benchmarks_on_each_collector() {
    for &(_, collector) in Collector::NAMES {
        check_benchmarks(|_| true, Size::Tiny, CALLS, Setup { collector, ..Setup::default() });
    }
}

#[test]
fn benchmarks_at_lower_opt_levels() {
    for opt_level in [OptLevel::O0, OptLevel::O1, OptLevel::O2] {
        check_benchmarks(|_| true, Size::Tiny, CALLS, Setup { opt_level, ..Setup::default() });
    }
}

#[test]
fn benchmarks_under_stress() {
    check_benchmarks(|benchmark| benchmark.name != MANY_OBJECTS, Size::Tiny, 1, stressed(1));
    check_benchmarks(|benchmark| benchmark.name == MANY_OBJECTS, Size::Tiny, 1, stressed(MANY_OBJECTS_STRESS));
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
fn commands_under_stress() {
    check_commands(stressed(COARSE_STRESS));
}

/// Java, compiled by TeaVM.
#[test]
fn java_prints_what_it_should() {
    let unoptimised = Setup { opt_level: OptLevel::O0, ..Setup::default() };
    for setup in [unoptimised, Setup::default(), stressed(COARSE_STRESS)] {
        teavm::check_tour(setup).unwrap_or_else(|error| panic!("{setup:?}\n{error:#}"));
    }
}

#[test]
fn long_benchmarks() {
    if long_tests_run() {
        check_benchmarks(|_| true, Size::Full, CALLS, Setup::default());
    }
}

/// Each collection by several threads, however small it is.
#[test]
fn benchmarks_marked_by_several_threads() {
    let setup = |interval| Setup { gc_threads: NonZeroU32::new(3), ..stressed(interval) };
    check_benchmarks(|benchmark| !is_large(benchmark), Size::Tiny, 1, setup(COARSE_STRESS));
    check_benchmarks(is_large, Size::Tiny, 1, setup(10 * COARSE_STRESS));
}

/// The rest of what [`benchmarks_under_stress`] and [`commands_under_stress`] do coarsely.
#[test]
fn long_programs_under_stress() {
    if long_tests_run() {
        check_commands(stressed(1));
        check_benchmarks(|benchmark| benchmark.name == MANY_OBJECTS, Size::Tiny, 1, stressed(1));
    }
}
