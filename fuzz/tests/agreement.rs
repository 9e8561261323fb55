//! Setups of Dolmen agree on generated modules.
//!
//! Modules run in child processes, as in a campaign: a crash is a failed test, not the end of it.

use dolmen_fuzz::campaign::{self, Plan};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Seeds of the usual run, and of the long one.
const SEEDS: u64 = 150;
const MANY_SEEDS: u64 = 10_000;

/// Variable that asks for the long tests, too.
const ALL_TESTS_VARIABLE: &str = "DOLMEN_TEST_ALL";

fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_dolmen-fuzz").into()
}

#[test]
fn setups_agree_on_generated_modules() {
    let count = if std::env::var_os(ALL_TESTS_VARIABLE).is_some() { MANY_SEEDS } else { SEEDS };
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let plan = Plan { seeds: 0..count, jobs, program: program(), node: None, save: None };
    let totals = campaign::run(&plan).expect("the engines start");
    assert!(totals.failures.is_empty(), "{}", totals.failures.join("\n"));
    // Were generator or probes broken, there would be nothing to disagree on.
    assert!(totals.same > count / 2, "only {} modules were compared to the end", totals.same);
    let ends: BTreeSet<&str> = totals.ends.keys().map(String::as_str).collect();
    for end in ["ok", "unreachable", "memory", "exception", "null"] {
        assert!(ends.contains(end), "no call ended with {end:?}: {ends:?}");
    }
}
