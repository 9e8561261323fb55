//! Command line of the project's own commands; see the library's documentation.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use xtask::{bench, command::Failure, dist, fuzz, run, sanitize, setup, test};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  setup               find LLVM 22 and what else is needed; install what is missing
  run [FILE [ARGS]]   build, compile a WebAssembly program ahead of time (FILE or a bundled one), run it
      run --invoke NAME FILE [ARGS]   call an export instead of _start
  test [--all]        set up and run all tests (--all: also the long ones)
  bench [OPTIONS]     time the workloads, also beside other engines (--help: more)
  fuzz [OPTIONS]      compare setups on generated modules; --node NODE: with V8, too (--help: more)
  dist                build dolmen and dolmenc as they are shipped: dolmenc laid out by a profile, a sixth faster
  sanitize [--address] [--thread] [--valgrind]   the heap's own tests under a checker";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rest = args.get(1..).unwrap_or_default();
    let result = match args.first().map(String::as_str) {
        Some("setup") => setup::setup().map(|()| ExitCode::SUCCESS),
        Some("run") => run::run(rest),
        Some("test") => test::test(rest),
        Some("bench") => bench::bench(rest),
        Some("fuzz") => fuzz::fuzz(rest),
        Some("dist") => dist::dist(rest),
        Some("sanitize") => sanitize::sanitize(rest),
        Some("help" | "--help" | "-h") => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(Failure::new(USAGE)),
    };
    result.unwrap_or_else(|failure| {
        eprintln!("{failure}");
        ExitCode::FAILURE
    })
}
