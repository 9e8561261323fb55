//! A child process and what it cost.
//!
//! Time is counted from just before the process is made until it is reaped; processor time and peak memory are what
//! the kernel says of this child. The kernel counts the memory of the process that it was forked from as its own, so a
//! child never seems smaller than this program, some mebibytes: what an engine tells of itself is better.

use anyhow::{Context as _, Result, bail};
use std::io::{Read as _, Seek as _};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};
use wait4::Wait4 as _;

/// A process is ended after this time: nothing that is measured takes as long.
const LIMIT: Duration = Duration::from_secs(300);

/// How a process that succeeded ended, and what it used.
#[derive(Clone, Debug)]
pub struct Finished {
    /// From start to end.
    pub wall: Duration,
    /// Of all its threads, user and system.
    pub cpu: Duration,
    /// Greatest resident memory.
    pub peak_bytes: u64,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a program to its end.
///
/// # Errors
///
/// If it cannot be started, takes too long, or does not end with status 0; its first line of complaint is told.
pub fn run(command: &mut Command) -> Result<Finished> {
    run_within(command, LIMIT)
}

fn run_within(command: &mut Command, limit: Duration) -> Result<Finished> {
    let name = command.get_program().to_string_lossy().into_owned();
    // A file, not a pipe: a child that is ended may leave descendants that keep a pipe open.
    let (mut stdout, mut stderr) = (temporary_file()?, temporary_file()?);
    command.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let start = Instant::now();
    let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let id = child.id();
    let (ended, end) = channel::<()>();
    let watch = thread::spawn(move || {
        let too_long = end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
        if too_long {
            // The child is not reaped yet, so that the number is its own.
            _ = Command::new("kill").args(["-KILL", &id.to_string()]).status();
        }
        too_long
    });
    let used = child.wait4();
    let wall = start.elapsed();
    drop(ended);
    let too_long = watch.join().unwrap_or(false);
    let used = used.with_context(|| format!("cannot wait for {name}"))?;
    let read = |file: &mut std::fs::File| -> Result<String> {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let (stdout, stderr) = (read(&mut stdout)?, read(&mut stderr)?);
    if too_long {
        bail!("takes longer than {} s", limit.as_secs());
    }
    if !used.status.success() {
        bail!("{}", complaint(used.status, &stderr, &stdout));
    }
    let cpu = used.rusage.utime + used.rusage.stime;
    Ok(Finished { wall, cpu, peak_bytes: used.rusage.maxrss, stdout, stderr })
}

/// A file without a name, for a child's output.
fn temporary_file() -> Result<std::fs::File> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    // Relaxed: only the number matters, nothing is published with it.
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("dolmen-bench-{}-{number}.out", std::process::id()));
    let open = || std::fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path);
    let file = open().with_context(|| format!("cannot create {}", path.display()))?;
    std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    Ok(file)
}

/// The first line that speaks of an error, else the first that says something, else the status.
fn complaint(status: ExitStatus, stderr: &str, stdout: &str) -> String {
    let lines = || stderr.lines().chain(stdout.lines()).map(str::trim);
    let line = lines().find(|line| line.to_lowercase().contains("error"));
    let line = line.or_else(|| lines().find(|line| !line.is_empty()));
    line.map_or_else(|| status.to_string(), |line| format!("{status}: {line}"))
}

/// Milliseconds, to the microsecond.
#[must_use]
pub fn millis(time: Duration) -> f64 {
    (time.as_nanos() as f64 / 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_and_costs_are_told() {
        let finished =
            run(&mut shell("echo out; echo err >&2; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")).unwrap();
        assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("out\n", "err\n"));
        assert!(finished.cpu > Duration::ZERO && finished.wall > Duration::ZERO);
        assert!(finished.peak_bytes > 100_000, "{finished:?}");
    }

    #[test]
    fn failures_quote_the_program() {
        let error = run(&mut shell("echo; echo bad thing >&2; exit 3")).unwrap_err().to_string();
        assert!(error.contains("3") && error.ends_with("bad thing"), "{error}");
        assert!(run(&mut Command::new("/nowhere/x")).unwrap_err().to_string().contains("cannot start /nowhere/x"));
    }

    #[test]
    fn endless_processes_are_ended() {
        let error = run_within(&mut shell("sleep 60"), Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().contains("longer"), "{error}");
    }
}
