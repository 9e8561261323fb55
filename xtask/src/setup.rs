//! What the workspace needs and a fresh machine lacks.
//!
//! The compiler links the archives of LLVM 22 (`aotc/build.rs`, which asks `llvm-config` where they are), the two
//! libraries of compression that LLVM's objects name, and the C++ standard library. The compiler's memory allocator is
//! built with `make`. On Debian and its relatives all of it comes from a few packages; on other systems the user is told
//! what to install and which variable names the place.

use crate::command::{Failure, execute, output_of};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// LLVM's major version.
const LLVM_MAJOR: &str = "22";

/// Variable that names LLVM's installation; `.cargo/config.toml` holds its default.
const LLVM_PREFIX_VARIABLE: &str = "LLVM_SYS_221_PREFIX";

/// Where Debian's packages put LLVM.
const LLVM_PREFIX_DEFAULT: &str = "/usr/lib/llvm-22";

/// What the linker needs: LLVM's archives and `llvm-config`, and what they need; the C++ standard library to link against.
/// What the allocator is built with.
const APT_PACKAGES: &[&str] = &["llvm-22-dev", "libzstd-dev", "zlib1g-dev", "g++", "make"];

/// Libraries that are linked beside LLVM.
const LIBRARIES: [(&str, &str); 3] = [("stdc++", "a C++ standard library"), ("z", "zlib"), ("zstd", "zstd")];

/// Finds what is needed to build the workspace and installs what is missing.
///
/// # Errors
///
/// If something is missing and cannot be installed.
pub fn setup() -> Result<(), Failure> {
    let missing = missing_parts();
    if missing.is_empty() {
        return Ok(());
    }
    println!("missing on this machine: {}", missing.join(", "));
    install_packages(APT_PACKAGES)?;
    let missing = missing_parts();
    if missing.is_empty() { Ok(()) } else { Err(by_hand(&format!("still missing: {}", missing.join(", ")))) }
}

/// Finds clippy and rustfmt, which rustup's minimal profile lacks, and installs them.
///
/// # Errors
///
/// If one is missing and rustup cannot install it.
pub fn setup_lints() -> Result<(), Failure> {
    for (subcommand, component) in [("clippy", "clippy"), ("fmt", "rustfmt")] {
        if output_of(&mut crate::command::cargo(&[subcommand, "--version"])).is_none() {
            println!("missing on this machine: {component}; installing it with rustup");
            execute(Command::new("rustup").args(["component", "add", component]))?;
        }
    }
    Ok(())
}

fn missing_parts() -> Vec<String> {
    let prefix = llvm_prefix();
    let mut missing = Vec::new();
    if !is_llvm(&prefix) {
        missing.push(format!("LLVM {LLVM_MAJOR} with development files in {}", prefix.display()));
    }
    for (library, what) in LIBRARIES {
        if !links(library) {
            missing.push(format!("{what} to link against"));
        }
    }
    if output_of(Command::new("make").arg("--version")).is_none() {
        missing.push("make".to_owned());
    }
    missing
}

/// Where LLVM is installed.
#[must_use]
pub fn llvm_prefix() -> PathBuf {
    std::env::var_os(LLVM_PREFIX_VARIABLE).map_or_else(|| PathBuf::from(LLVM_PREFIX_DEFAULT), PathBuf::from)
}

/// Whether there is an LLVM of our version to link against: its archives, or its shared library, which starts later.
fn is_llvm(prefix: &Path) -> bool {
    let config = prefix.join("bin/llvm-config");
    let version = output_of(Command::new(&config).arg("--version"));
    version.is_some_and(|v| v.split('.').next() == Some(LLVM_MAJOR))
        && ["lib/libLLVMCore.a", "lib/libLLVM.so"].iter().any(|library| prefix.join(library).exists())
}

/// Whether the C compiler can link a program against this library.
fn links(library: &str) -> bool {
    Command::new("cc")
        .args(["-shared", "-o", "/dev/null", "-x", "c", "/dev/null", &format!("-l{library}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Installs packages of Debian or one of its relatives.
///
/// # Errors
///
/// If this is another system, or the packages cannot be installed.
pub fn install_packages(packages: &[&str]) -> Result<(), Failure> {
    if output_of(Command::new("apt-get").arg("--version")).is_none() {
        return Err(by_hand("no apt-get on this system"));
    }
    println!("installing with apt-get: {}", packages.join(" "));
    execute(&mut privileged(&["apt-get", "update"])?)?;
    let mut args = vec!["apt-get", "install", "--yes", "--no-install-recommends"];
    args.extend(packages);
    execute(&mut privileged(&args)?).map_err(|failure| by_hand(&failure.to_string()))
}

/// A command with the rights to install packages: through sudo unless this is root already.
fn privileged(args: &[&str]) -> Result<Command, Failure> {
    let is_root = output_of(Command::new("id").arg("-u")).is_some_and(|id| id.trim() == "0");
    let mut words: Vec<&str> = vec!["env", "DEBIAN_FRONTEND=noninteractive"];
    words.extend(args);
    if !is_root {
        if output_of(Command::new("sudo").arg("--version")).is_none() {
            return Err(by_hand("installing packages needs root, and there is no sudo"));
        }
        words.insert(0, "sudo");
    }
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    Ok(command)
}

fn by_hand(cause: &str) -> Failure {
    Failure::new(format!(
        "{cause}\n\
         Dolmen's compiler needs LLVM {LLVM_MAJOR} with its development files (libLLVM*.a, or libLLVM.so), zlib, zstd, a \
         C++ standard library, and make.\n\
         Debian, Ubuntu: apt-get install {packages}   (older releases: see https://apt.llvm.org)\n\
         elsewhere: install LLVM {LLVM_MAJOR} and set {LLVM_PREFIX_VARIABLE} to its prefix, the folder that holds \
         bin/llvm-config",
        packages = APT_PACKAGES.join(" ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_llvm_is_told_apart() {
        assert!(!is_llvm(Path::new("/nowhere")));
        assert!(!is_llvm(Path::new("/usr")));
    }

    #[test]
    fn an_unknown_library_does_not_link() {
        assert!(links("c"));
        assert!(!links("no-such-library-here"));
    }

    #[test]
    fn the_advice_names_packages_and_variable() {
        let text = by_hand("no apt-get on this system").to_string();
        assert!(text.starts_with("no apt-get on this system\n"));
        assert!(text.contains("llvm-22-dev") && text.contains(LLVM_PREFIX_VARIABLE), "{text}");
    }
}
