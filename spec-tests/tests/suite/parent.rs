//! Runs scripts in child processes and collects what became of them.
//!
//! Several workers take scripts from one queue, a handful at a time, and give them to a child each. A child that
//! dies or falls silent for [`TIME_LIMIT`] costs the script that it was running, no other: the worker puts the
//! rest into a new child.

use crate::child;
use crate::matrix::Configuration;
use dolmen_spec_tests::progress::Event;
use dolmen_spec_tests::{Failure, FileReport, Location};
use std::cell::Cell;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// Longest time that a script may take.
const TIME_LIMIT: Duration = Duration::from_secs(300);

/// Scripts that a child gets at a time.
const SCRIPTS_PER_CHILD: usize = 8;

/// Most of a dead child's last words that are reported, in bytes.
const LAST_WORDS_BYTES: usize = 1000;

/// What became of a script.
pub struct Outcome {
    pub report: FileReport,
    /// The process that ran it died or hung.
    pub crashed: bool,
}

/// Runs all scripts, `jobs` at a time, and hands on the outcomes as they come.
pub fn run_all(
    names: Vec<String>,
    configuration: Configuration,
    jobs: usize,
    mut each: impl FnMut(Outcome),
) -> Result<(), String> {
    let queue = Mutex::new(names.into_iter());
    let (send, outcomes) = channel();
    let work = |send: Sender<Outcome>| -> Result<(), String> {
        loop {
            let batch: Vec<String> = match queue.lock() {
                Ok(mut names) => names.by_ref().take(SCRIPTS_PER_CHILD).collect(),
                Err(_) => return Err("another worker panicked".into()),
            };
            if batch.is_empty() {
                return Ok(());
            }
            run_batch(batch, configuration, &send)?;
        }
    };
    thread::scope(|scope| {
        let start = |send: Sender<Outcome>| scope.spawn(move || work(send));
        let workers: Vec<_> = (0..jobs.max(1)).map(|_| start(send.clone())).collect();
        drop(send);
        outcomes.into_iter().for_each(&mut each);
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a worker panicked".to_owned())?)
    })
}

fn run_batch(mut names: Vec<String>, configuration: Configuration, send: &Sender<Outcome>) -> Result<(), String> {
    while !names.is_empty() {
        let done = run_child(&names, configuration, send)?;
        names.drain(..done.min(names.len()));
    }
    Ok(())
}

/// Runs scripts in one child until it ends: the number of outcomes, at least one.
fn run_child(names: &[String], configuration: Configuration, send: &Sender<Outcome>) -> Result<usize, String> {
    let program = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let mut child = Command::new(program)
        .args(child::arguments(configuration, names))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start a child: {error}"))?;
    let events = events_of(&mut child);
    let last_words = last_words_of(&mut child);
    let done = Cell::new(0);
    let finish = |report, crashed| {
        done.set(done.get() + 1);
        send.send(Outcome { report, crashed }).map_err(|_| "nobody waits for outcomes".to_owned())
    };
    let mut running: Option<FileReport> = None;
    let timed_out = loop {
        match events.recv_timeout(TIME_LIMIT) {
            Ok(Event::Begin(name)) => running = Some(FileReport::new(name)),
            Ok(Event::Fail(failure)) => running.iter_mut().for_each(|report| report.failures.push(failure.clone())),
            Ok(Event::End(passed)) => {
                if let Some(report) = running.take() {
                    finish(FileReport { passed, ..report }, false)?;
                }
            }
            Err(error) => break error == RecvTimeoutError::Timeout,
        }
    };
    if timed_out {
        // It may just have ended; waiting below tells.
        _ = child.kill();
    }
    let status = child.wait().map_err(|error| format!("cannot wait for a child: {error}"))?;
    let words = last_words.join().unwrap_or_default();
    // The child was to run all of them: if it did not, it died in the one that was running, or before the first.
    let unfinished =
        running.or_else(|| (!status.success()).then(|| FileReport::new(&names[done.get().min(names.len() - 1)])));
    if let Some(mut report) = unfinished {
        let end = if timed_out { format!("no progress in {} s", TIME_LIMIT.as_secs()) } else { status.to_string() };
        let reason = format!("the process ended: {end}\n{}", words.trim());
        report.failures.push(Failure { location: Location { line: 1, column: 1 }, reason: reason.trim().to_owned() });
        finish(report, true)?;
    }
    Ok(done.get())
}

/// The child's events, read by a thread of its own, so that waiting for one can have a limit.
fn events_of(child: &mut Child) -> Receiver<Event> {
    let (send, receive) = channel();
    let stdout = child.stdout.take();
    thread::spawn(move || {
        for line in stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
            let event = line.ok().and_then(|line| Event::parse(&line));
            // The receiver may have given up on the child.
            if event.is_some_and(|event| send.send(event).is_err()) {
                break;
            }
        }
    });
    receive
}

/// The end of what the child writes on standard error.
fn last_words_of(child: &mut Child) -> thread::JoinHandle<String> {
    let stderr = child.stderr.take();
    thread::spawn(move || {
        let mut words = Vec::new();
        if let Some(mut stderr) = stderr {
            // A broken pipe ends the words; what was read counts.
            _ = stderr.read_to_end(&mut words);
        }
        let start = words.len().saturating_sub(LAST_WORDS_BYTES);
        String::from_utf8_lossy(&words[start..]).into_owned()
    })
}
