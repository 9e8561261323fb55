//! `cargo xtask fuzz`: differential testing with generated modules, beside V8 if there is a `node`.

use crate::command::{Failure, cargo, execute, release_dir};
use crate::setup::setup;
use std::process::{Command, ExitCode};

/// Sets the machine up, builds the fuzzer and hands it the arguments.
///
/// # Errors
///
/// If it cannot be built or started; what it finds is the exit code.
pub fn fuzz(args: &[String]) -> Result<ExitCode, Failure> {
    setup()?;
    execute(&mut cargo(&["build", "--release", "--package", "dolmen-fuzz"]))?;
    let program = release_dir().join("dolmen-fuzz");
    let status = Command::new(&program)
        .args(args)
        .status()
        .map_err(|error| Failure::new(format!("cannot start {}: {error}", program.display())))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
