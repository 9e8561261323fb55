//! Setups of Dolmen agree on generated modules, and on those of the corpus with what is right.
//!
//! Modules run in child processes, as in a campaign: a crash is a failed test, not the end of it.

use dolmen_fuzz::campaign::{self, Generator, Plan, SERVE_ARG};
use dolmen_fuzz::outcome::{Comparison, REFUSED, compare};
use dolmen_fuzz::server::{Server, to_hex};
use dolmen_fuzz::setups::Setup;
use dolmen_fuzz::{generate, programs};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Seeds of the usual run, and of the long one.
const SEEDS: [u64; 2] = [150, 10_000];
const PROGRAM_SEEDS: [u64; 2] = [40, 2_000];

/// Variable that asks for the long tests, too.
const ALL_TESTS_VARIABLE: &str = "DOLMEN_TEST_ALL";

fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_dolmen-fuzz").into()
}

/// Runs the usual number of seeds, or that of the long run, in their setups; calls must end in all of these ways.
fn check_generator(generator: Generator, [usual, long]: [u64; 2], ends: &[&str]) {
    let count = if std::env::var_os(ALL_TESTS_VARIABLE).is_some() { long } else { usual };
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let plan = Plan { generator, seeds: 0..count, jobs, program: program(), node: None, setup: None, save: None };
    let totals = campaign::run(&plan).expect("the engines start");
    assert!(totals.failures.is_empty(), "{}", totals.failures.join("\n"));
    // Were generator or probes broken, there would be nothing to disagree on.
    assert!(totals.same > count / 2, "only {} modules were compared to the end", totals.same);
    let found: BTreeSet<&str> = totals.ends.keys().map(String::as_str).collect();
    for end in ends {
        assert!(found.contains(end), "no call ended with {end:?}: {found:?}");
    }
}

#[test]
fn setups_agree_on_generated_modules() {
    check_generator(generate::module, SEEDS, &["ok", "unreachable", "memory", "exception", "null"]);
}

#[test]
fn setups_agree_on_programs() {
    check_generator(programs::module, PROGRAM_SEEDS, &["ok", "array", "exception"]);
}

#[test]
fn the_corpus_does_what_is_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut server = Server::start(Command::new(program()).arg(SERVE_ARG)).expect("the program starts");
    let mut modules = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus can be read") {
        let path = entry.expect("the corpus can be read").path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            check(&path, &mut server);
            modules += 1;
        }
    }
    assert!(modules > 0, "the corpus is empty");
}

/// Compares a module's records with the file beside it.
fn check(path: &Path, server: &mut Server) {
    let wasm = std::fs::read(path).expect("the module can be read");
    let right = std::fs::read_to_string(path.with_extension("txt")).expect("there is a record beside the module");
    let right: Vec<String> = right.lines().map(str::to_owned).collect();
    for setup in Setup::ALL {
        let answer = server.ask(&format!("{setup} {}", to_hex(&wasm)));
        let record = answer.unwrap_or_else(|reason| vec![format!("{REFUSED} {reason}")]);
        assert_eq!(compare(&right, &record), Comparison::Same, "{} at {setup}", path.display());
    }
}
