//! Starting programs: every one is announced, and a failure says what was started and how it ended.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Why a command of this crate could not do its work; the text is for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    /// A failure with this explanation.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// The root of the workspace.
#[must_use]
pub fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace")
}

/// The cargo that runs this program, or the one on the path, started in the workspace's root.
#[must_use]
pub fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(workspace_root());
    command
}

/// Where cargo puts what it builds in release mode.
#[must_use]
pub fn release_dir() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    workspace_root().join(target).join("release")
}

/// A command as the user would type it.
#[must_use]
pub fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    command.get_args().fold(name, |line, arg| line + " " + &arg.to_string_lossy())
}

/// Starts a program after announcing it and waits for its end.
///
/// # Errors
///
/// If it cannot be started or does not end with status 0.
pub fn execute(command: &mut Command) -> Result<(), Failure> {
    println!("$ {}", describe(command));
    let status =
        command.status().map_err(|error| Failure::new(format!("cannot start `{}`: {error}", describe(command))))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("`{}` failed: {status}", describe(command)))) }
}

/// What a program prints on its standard output, or `None` if it cannot be started or fails.
#[must_use]
pub fn output_of(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_is_named() {
        let failure = execute(Command::new("sh").args(["-c", "exit 3"])).unwrap_err();
        assert!(failure.to_string().contains("`sh -c exit 3` failed"), "{failure}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let failure = execute(&mut Command::new("/nowhere/no-such-program")).unwrap_err();
        assert!(failure.to_string().starts_with("cannot start `no-such-program`"), "{failure}");
    }

    #[test]
    fn output_needs_success() {
        assert_eq!(output_of(Command::new("sh").args(["-c", "echo hi"])).as_deref(), Some("hi\n"));
        assert_eq!(output_of(Command::new("sh").args(["-c", "echo hi; exit 1"])), None);
    }
}
