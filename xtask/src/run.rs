//! `cargo xtask run`: from a WebAssembly program to its output, with the time of each step.
//!
//! The program is compiled to an artifact in a temporary folder by one process and run by another, as on two
//! machines: what is shown for the run holds for shipped artifacts.

use crate::command::{Failure, cargo, describe, execute, release_dir, workspace_root};
use crate::setup::setup;
use crate::stats::Stats;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// The program that runs when the user names none: it builds GC data structures and prints what it finds.
const BUNDLED_PROGRAM: &str = "xtask/demo/family_trees.wat";

/// What the user asked for.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    /// An export to call instead of `_start`.
    invoke: Option<String>,
    file: PathBuf,
    args: Vec<String>,
}

/// Sets the machine up, builds, compiles the program and runs it.
///
/// # Errors
///
/// If a step before the program's start fails; how the program itself ends is the exit code.
pub fn run(args: &[String]) -> Result<ExitCode, Failure> {
    let request = parse(args)?;
    setup()?;
    build()?;
    let folder = TempFolder::new()?;
    let artifact = folder.0.join("program.dolmen");
    let start = Instant::now();
    execute(Command::new(dolmen()).arg("compile").arg(&request.file).arg("-o").arg(&artifact))?;
    let compile_ms = start.elapsed().as_secs_f64() * 1e3;
    let (code, stats) = run_artifact(&request, &artifact)?;
    if let Some(stats) = stats {
        println!("\n{}", time_table(compile_ms, &stats));
    }
    Ok(code)
}

/// Builds the commands in release mode.
///
/// # Errors
///
/// If the build fails.
pub fn build() -> Result<(), Failure> {
    execute(&mut cargo(&["build", "--release", "--package", "dolmen-cli", "--bins", "--features", "compiler"]))
}

/// The command that was built.
#[must_use]
pub fn dolmen() -> PathBuf {
    release_dir().join("dolmen")
}

fn parse(args: &[String]) -> Result<Request, Failure> {
    let (invoke, rest) = match args {
        [flag, name, rest @ ..] if flag == "--invoke" => (Some(name.clone()), rest),
        [flag, ..] if flag.starts_with('-') => {
            return Err(Failure::new(format!(
                "unknown option `{flag}`: write `cargo xtask run [--invoke NAME] FILE [ARGS]`"
            )));
        }
        rest => (None, rest),
    };
    match rest {
        [] if invoke.is_some() => Err(Failure::new("--invoke needs a FILE")),
        [] => Ok(Request { invoke, file: workspace_root().join(BUNDLED_PROGRAM), args: Vec::new() }),
        [file, args @ ..] if Path::new(file).is_file() => {
            Ok(Request { invoke, file: file.into(), args: args.to_vec() })
        }
        [file, ..] => Err(Failure::new(format!("no such file: {file}"))),
    }
}

/// Runs the artifact; its output goes to ours, but for the figures, which are returned.
fn run_artifact(request: &Request, artifact: &Path) -> Result<(ExitCode, Option<Stats>), Failure> {
    let mut command = Command::new(dolmen());
    command.args(["run", "--stats"]);
    if let Some(name) = &request.invoke {
        command.args(["--invoke", name]);
    }
    command.arg(artifact).args(&request.args).stderr(Stdio::piped());
    let described = describe(&command);
    println!("$ {described}\n");
    let cannot = |error| Failure::new(format!("cannot run `{described}`: {error}"));
    let mut child = command.spawn().map_err(cannot)?;
    let mut stats = None;
    let mut lines = BufReader::new(child.stderr.take().expect("standard error is piped"));
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        match Stats::parse(&String::from_utf8_lossy(&line)) {
            Some(found) => stats = Some(found),
            None => _ = std::io::stderr().write_all(&line),
        }
        line.clear();
    }
    let status = child.wait().map_err(cannot)?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from);
    Ok((code, stats))
}

fn time_table(compile_ms: f64, stats: &Stats) -> String {
    let calls: f64 = stats.calls_ms.iter().sum();
    let mebibytes = |bytes: f64| bytes / f64::from(1 << 20);
    let rows = [
        ("compile", compile_ms, "ahead of time, in a process of its own".to_owned()),
        ("load", stats.load_ms, "map and check the artifact".to_owned()),
        ("instantiate", stats.instantiate_ms, String::new()),
        ("call", calls, format!("of which the collector: {:.2} ms", stats.gc_total_ms)),
    ];
    let mut table = String::from("where the time went\n");
    for (name, ms, remark) in rows {
        table += format!("  {name:<12} {ms:>10.2} ms   {remark}").trim_end();
        table.push('\n');
    }
    table += &format!(
        "  {} collections, longest pause {:.2} ms; {:.1} MiB allocated; peak memory {:.1} MiB",
        stats.collections,
        stats.gc_max_pause_ms,
        mebibytes(stats.allocated_bytes),
        mebibytes(stats.peak_rss_bytes)
    );
    table
}

/// A folder that goes away with this value.
struct TempFolder(PathBuf);

impl TempFolder {
    fn new() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("dolmen-run-{}", std::process::id()));
        std::fs::create_dir_all(&path)
            .map_err(|error| Failure::new(format!("cannot create {}: {error}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        // A folder left behind in the temporary directory does no harm; there is nobody to tell.
        _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn without_arguments_the_bundled_program_runs() {
        let request = parse(&[]).unwrap();
        assert!(request.file.is_file(), "{} is missing", request.file.display());
        assert_eq!((request.invoke, request.args), (None, Vec::new()));
    }

    #[test]
    fn arguments_after_the_file_are_the_programs() {
        let request = parse(&words("--invoke fib Cargo.toml --invoke -3")).unwrap();
        assert_eq!(request.invoke.as_deref(), Some("fib"));
        assert_eq!((request.file, request.args), (PathBuf::from("Cargo.toml"), words("--invoke -3")));
    }

    #[test]
    fn bad_requests_are_refused() {
        assert!(parse(&words("/nowhere/x.wasm")).unwrap_err().to_string().contains("no such file: /nowhere/x.wasm"));
        assert!(parse(&words("--fast x.wasm")).unwrap_err().to_string().contains("`--fast`"));
        assert!(parse(&words("--invoke run")).is_err());
    }

    #[test]
    fn the_table_names_every_step() {
        let stats = Stats { calls_ms: vec![1.0, 2.0], gc_total_ms: 0.5, ..Stats::default() };
        let table = time_table(12.0, &stats);
        for step in
            ["compile           12.00 ms", "load", "instantiate", "call               3.00 ms", "collector: 0.50 ms"]
        {
            assert!(table.contains(step), "{step:?} is missing in\n{table}");
        }
    }
}
