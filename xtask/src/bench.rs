//! `cargo xtask bench`: times the workloads on Dolmen and, if asked, on other engines (`bench/`).

use crate::command::{Failure, cargo, execute, release_dir};
use crate::run::build;
use crate::setup::setup;
use std::process::{Command, ExitCode};

/// Sets the machine up, builds commands and benchmark, and hands the arguments on.
///
/// # Errors
///
/// If they cannot be built or started; what was found is the exit code.
pub fn bench(args: &[String]) -> Result<ExitCode, Failure> {
    setup()?;
    build()?;
    execute(&mut cargo(&["build", "--release", "--package", "dolmen-bench"]))?;
    let program = release_dir().join("dolmen-bench");
    let status = Command::new(&program)
        .args(args)
        .status()
        .map_err(|error| Failure::new(format!("cannot start {}: {error}", program.display())))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
