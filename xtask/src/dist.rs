//! `cargo xtask dist`: the two commands as they are shipped, in `target/dist`, with the compiler's code laid out by a profile.
//!
//! The problem: `dolmenc` is 40 MB of code, most of it LLVM's, which its packages compile without a profile. Compiling waits
//! for instructions as much as for data: taken branches, cold code between hot one. LLVM's optimiser of linked programs,
//! BOLT, moves blocks and functions by what a run has counted:
//!
//! ```text
//! dolmenc with relocations ─► counting dolmenc ─► compiles a program, counts ─► dolmenc in the order of the counts
//! ```
//!
//! What is compiled while counting is a Kotlin program, which goes through all of the compiler. A `dolmenc` that is laid out
//! anew writes the same artifacts; this is checked here, too.
//!
//! It takes three minutes, so `cargo xtask run` and the tests do without.

use crate::command::{Failure, cargo, execute, output_of, release_dir, workspace_root};
use crate::run::build;
use crate::setup::{install_packages, llvm_prefix, setup};
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

/// Debian's package of BOLT.
const BOLT_PACKAGE: &str = "bolt-22";

/// What the compiler compiles while it counts.
const TRAINING_PROGRAM: &str = "ts-workloads/kotlin/wasm/raw/script.wasm";

/// What tells whether it still compiles as before.
const CHECKED_PROGRAM: &str = "ts-workloads/kotlin/wasm/opt/tour.wasm";

/// Seconds after which counts are written, again and again: the compiler ends with its parent, not by itself. A process
/// beside it does that, and ends some time later.
const SECONDS_BETWEEN_COUNTS: u64 = 2;

/// Nobody writes counts any more that have been the same for so long.
const QUIET: Duration = Duration::from_secs(5 * SECONDS_BETWEEN_COUNTS);

/// How code is laid out: along the paths that are taken, functions beside those that call them, cold parts elsewhere.
const LAYOUT: [&str; 7] = [
    "-reorder-blocks=ext-tsp",
    "-reorder-functions=cdsort",
    "-split-functions",
    "-split-all-cold",
    "-split-eh",
    "-icf=1",
    "-use-old-text",
];

/// Builds the commands and lays out the compiler.
///
/// # Errors
///
/// If something is missing, a step fails, or the result compiles differently.
pub fn dist(args: &[String]) -> Result<ExitCode, Failure> {
    if !args.is_empty() {
        return Err(Failure::new("usage: cargo xtask dist"));
    }
    setup()?;
    let bolt = llvm_prefix().join("bin/llvm-bolt");
    if output_of(Command::new(&bolt).arg("--version")).is_none() {
        println!("missing on this machine: BOLT of LLVM 22");
        install_packages(&[BOLT_PACKAGE])?;
    }
    let dist = release_dir().with_file_name("dist");
    let work = release_dir().with_file_name("dist-work");
    for folder in [&dist, &work] {
        fs::create_dir_all(folder).map_err(|error| cannot("make", folder, &error))?;
    }
    // The same name and place as the usual one, which is built again behind it.
    let linked = work.join("linked");
    execute(&mut relocatable())?;
    copy(&release_dir().join("dolmenc"), &linked)?;
    build()?;
    let command = release_dir().join("dolmen");
    copy(&command, &work.join("dolmen"))?;
    copy(&command, &dist.join("dolmen"))?;

    let counts = work.join("counts.fdata");
    let mut instrument = Command::new(&bolt);
    instrument
        .arg(&linked)
        .arg("-o")
        .arg(work.join("dolmenc"))
        .args(["-instrument", "-instrumentation-no-counters-clear"]);
    instrument.arg(format!("-instrumentation-sleep-time={SECONDS_BETWEEN_COUNTS}"));
    instrument.arg(format!("-instrumentation-file={}", counts.display()));
    execute(&mut instrument)?;
    remove(&counts)?;
    compile(&work, TRAINING_PROGRAM, &work.join("training.dolmen"))?;
    await_quiet(&counts)?;

    let mut lay_out = Command::new(&bolt);
    lay_out.arg(&linked).arg("-o").arg(dist.join("dolmenc")).arg("-data").arg(&counts).args(LAYOUT);
    execute(&mut lay_out)?;
    // The other `strip` does not know what BOLT does to segments.
    execute(Command::new(llvm_prefix().join("bin/llvm-strip")).arg(dist.join("dolmenc")))?;

    let [expected, found] = ["expected.dolmen", "found.dolmen"].map(|name| work.join(name));
    compile(&release_dir(), CHECKED_PROGRAM, &expected)?;
    compile(&dist, CHECKED_PROGRAM, &found)?;
    let read = |path: &Path| fs::read(path).map_err(|error| cannot("read", path, &error));
    if read(&expected)? != read(&found)? {
        return Err(Failure::new(format!("{} compiles differently", dist.join("dolmenc").display())));
    }
    fs::remove_dir_all(&work).map_err(|error| cannot("remove", &work, &error))?;
    println!("\ndolmen and dolmenc are in {}", dist.display());
    Ok(ExitCode::SUCCESS)
}

/// Links `dolmenc` so that its code can be moved.
fn relocatable() -> Command {
    let mut command = cargo(&["rustc", "--release", "--package", "dolmen-cli", "--bin", "dolmenc"]);
    command.args(["--features", "compiler", "--", "-C", "link-arg=-Wl,--emit-relocs", "-C", "strip=none"]);
    command
}

/// Compiles a program of the workspace by the commands of a folder.
fn compile(folder: &Path, program: &str, artifact: &Path) -> Result<(), Failure> {
    execute(
        Command::new(folder.join("dolmen")).arg("compile").arg(workspace_root().join(program)).arg("-o").arg(artifact),
    )
}

/// Waits until nobody has written to a file for some time.
fn await_quiet(file: &Path) -> Result<(), Failure> {
    println!("waiting for {}", file.display());
    loop {
        let changed = fs::metadata(file).and_then(|metadata| metadata.modified());
        let changed = changed.map_err(|error| cannot("read", file, &error))?;
        match QUIET.checked_sub(changed.elapsed().unwrap_or_default()) {
            Some(rest) if !rest.is_zero() => std::thread::sleep(rest),
            _ => return Ok(()),
        }
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::copy(from, to).map(drop).map_err(|error| cannot("copy", from, &error))
}

fn remove(file: &Path) -> Result<(), Failure> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(cannot("remove", file, &error)),
        _ => Ok(()),
    }
}

fn cannot(verb: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot {verb} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_options() {
        assert!(dist(&["--fast".to_owned()]).is_err());
    }

    #[test]
    fn programs_are_there() {
        for program in [TRAINING_PROGRAM, CHECKED_PROGRAM] {
            assert!(workspace_root().join(program).is_file(), "{program}");
        }
    }
}
