//! `cargo xtask sanitize`: the heap's own tests under a checker of memory or threads.
//!
//! The heap's code is `unsafe` in most places; its tests use it through a mock of the runtime, so they need neither
//! compiled code nor LLVM and run under tools that know nothing of either. With `--thread` the runtime's stop protocol
//! runs, too, by itself: its other tests run compiled code, or stand-ins in assembly, on stacks of their own, which the
//! tool takes for data races or corrupt stacks.
//!
//! | option | what it finds | what it needs |
//! |---|---|---|
//! | `--address` | accesses outside of Rust's allocations, or after their end; leaks | nothing: the library is part of the toolchain; 20 s |
//! | `--thread` | data races | the component `rust-src`: the standard library is compiled anew, or its locks would look like races; 2 min |
//! | `--valgrind` | as `--address`, and branches on memory that nobody wrote | valgrind; 4 min |
//!
//! Sanitizers are options of unstable compilers; `RUSTC_BOOTSTRAP` lets the stable one accept them. What none of them
//! sees is *inside* the heap's region, one mapping for all objects: that is what the heap's verifier is for, which
//! fills freed memory with a pattern. Miri, which would check the rules of references, too, is no part of stable
//! toolchains, and has no `mmap` with the flags that the region needs.

use crate::command::{Failure, cargo, describe, execute, output_of};
use std::process::{Command, ExitCode};

/// The package whose tests run.
const PACKAGE: &str = "dolmen-gc-heap";

/// The test of the runtime's that runs under the checker of threads.
const PROTOCOL: [&str; 4] = ["--package", "dolmen", "--test", "world_storm"];

/// A target must be named, or build scripts would be instrumented as well.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Variable with the program that starts tests of [`TARGET`].
const RUNNER_VARIABLE: &str = "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER";

/// Only leaks that are certain count: the standard library keeps the record of the main thread by a pointer into its
/// middle. One thread runs at a time, but each in turn.
const VALGRIND: &str = "valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --show-leak-kinds=definite --fair-sched=yes";

/// Tests by `loom`, which runs the threads of a program in turns on one thread: a sanitizer sees nothing in them.
const SKIPPED: &str = "interleavings::";

/// A checker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    Address,
    Thread,
    Valgrind,
}

/// Runs the heap's tests under the checker that was asked for.
///
/// # Errors
///
/// If an option is unknown or something is missing; failed tests are the exit code.
pub fn sanitize(args: &[String]) -> Result<ExitCode, Failure> {
    let tools = parse(args)?;
    let mut failed = Vec::new();
    for tool in tools {
        prepare(tool)?;
        let protocol = (tool == Tool::Thread).then(protocol_command);
        for mut command in std::iter::once(command(tool)).chain(protocol) {
            println!("$ {}", describe(&command));
            let status = command.status().map_err(|error| Failure::new(format!("cannot start cargo: {error}")))?;
            if !status.success() {
                failed.push(format!("{tool:?}").to_lowercase());
            }
        }
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("\nfailed: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

/// The tests under the sanitizer of addresses, for `cargo xtask test`.
#[must_use]
pub fn address_step() -> Command {
    command(Tool::Address)
}

fn parse(args: &[String]) -> Result<Vec<Tool>, Failure> {
    let tool = |arg: &String| match arg.as_str() {
        "--address" => Ok(Tool::Address),
        "--thread" => Ok(Tool::Thread),
        "--valgrind" => Ok(Tool::Valgrind),
        _ => Err(Failure::new("usage: cargo xtask sanitize [--address] [--thread] [--valgrind]")),
    };
    let tools = args.iter().map(tool).collect::<Result<Vec<_>, _>>()?;
    Ok(if tools.is_empty() { vec![Tool::Address] } else { tools })
}

/// Finds what a checker needs, or installs it.
fn prepare(tool: Tool) -> Result<(), Failure> {
    match tool {
        Tool::Address => Ok(()),
        Tool::Thread => {
            let root = output_of(Command::new("rustc").args(["--print", "sysroot"])).unwrap_or_default();
            if std::path::Path::new(root.trim()).join("lib/rustlib/src/rust/library").is_dir() {
                return Ok(());
            }
            println!("missing on this machine: rust-src; installing it with rustup");
            execute(Command::new("rustup").args(["component", "add", "rust-src"]))
        }
        Tool::Valgrind => match output_of(Command::new("valgrind").arg("--version")) {
            Some(_) => Ok(()),
            None => Err(Failure::new("there is no valgrind; Debian, Ubuntu: apt-get install valgrind")),
        },
    }
}

fn command(tool: Tool) -> Command {
    let mut command = cargo(&["test", "--no-fail-fast", "--tests", "--package", PACKAGE, "--target", TARGET]);
    match tool {
        Tool::Address => {
            command.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=address");
        }
        Tool::Thread => detect_races(&mut command),
        Tool::Valgrind => {
            command.arg("--release");
            command.env(RUNNER_VARIABLE, VALGRIND);
        }
    }
    command.args(["--", "--skip", SKIPPED]);
    command
}

/// The runtime's test under the checker of threads.
fn protocol_command() -> Command {
    let mut command = cargo(&["test"]);
    command.args(PROTOCOL).args(["--target", TARGET]);
    detect_races(&mut command);
    command
}

fn detect_races(command: &mut Command) {
    command.arg("-Zbuild-std").env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=thread");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_cheap_checker_is_the_default() {
        assert_eq!(parse(&[]), Ok(vec![Tool::Address]));
        assert_eq!(parse(&words("--thread --valgrind")), Ok(vec![Tool::Thread, Tool::Valgrind]));
        assert!(parse(&words("--memory")).is_err());
    }

    #[test]
    fn each_checker_is_switched_on() {
        let variable = |tool, name: &str| {
            command(tool).get_envs().find(|(key, _)| *key == name).and_then(|(_, value)| Some(value?.to_owned()))
        };
        assert_eq!(variable(Tool::Address, "RUSTFLAGS").unwrap(), "-Zsanitizer=address");
        assert_eq!(variable(Tool::Thread, "RUSTFLAGS").unwrap(), "-Zsanitizer=thread");
        assert!(variable(Tool::Valgrind, RUNNER_VARIABLE).unwrap().to_string_lossy().starts_with("valgrind "));
        assert_eq!(variable(Tool::Valgrind, "RUSTFLAGS"), None);
    }
}
