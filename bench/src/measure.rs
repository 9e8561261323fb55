//! Who is when: programs one after the other, and for each the engines in turns.
//!
//! A slow minute of the machine then hits all engines alike. A program on an engine that fails once is not tried
//! again. After each turn the results are handed on to be kept, so that nothing is lost when somebody ends this
//! program; whoever goes on with them finds what is missing.

use crate::engines::{Engine, Prepared};
use crate::memory::Provider;
use crate::process::{self, millis};
use crate::programs::{Program, Work};
use crate::results::{Results, Turn};
use anyhow::{Context as _, Result};
use std::path::Path;
use std::time::{Duration, Instant};

/// A greeting takes milliseconds: a turn is the median of so many.
const GREETINGS: usize = 11;

/// The time that may be used.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    began: Instant,
    limit: Option<Duration>,
    /// The longest turn so far: the next may take as long.
    longest: Duration,
}

impl Budget {
    /// From now on; no limit if there is none.
    #[must_use]
    pub fn new(seconds: Option<f64>) -> Self {
        let limit = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Self { began: Instant::now(), limit, longest: Duration::ZERO }
    }

    /// Whether another turn, which took `expected` last time, probably ends in time. The first always may begin.
    fn allows(&self, expected: Option<Duration>) -> bool {
        let next = expected.unwrap_or(self.longest);
        self.longest.is_zero() || self.limit.is_none_or(|limit| self.began.elapsed() + next <= limit)
    }
}

/// What is measured.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    pub engines: &'a [Box<dyn Engine>],
    pub programs: &'a [Program],
    /// Turns of each engine.
    pub runs: u32,
    /// Goes before each process.
    pub memory: &'a Provider,
}

/// Measures what is missing of a plan. Whether all was measured: `false` when the budget is used up.
///
/// # Errors
///
/// If results cannot be kept or a folder not made. Failing programs are in the results.
pub fn measure(
    plan: Plan,
    budget: &mut Budget,
    results: &mut Results,
    keep: impl Fn(&Results) -> Result<()>,
) -> Result<bool> {
    let folder = TempFolder::new()?;
    let calls = results.settings.calls;
    for program in plan.programs {
        for run in 0..plan.runs as usize {
            for engine in plan.engines.iter().filter(|engine| engine.has(program)) {
                let key = engine.identity().key.clone();
                let figures = results.figures(&program.name, &key);
                if figures.turns.len() > run || figures.failure.is_some() {
                    continue;
                }
                let expected = figures.turns.last().map(|turn| estimate(turn, calls));
                if !budget.allows(expected) {
                    return Ok(false);
                }
                let began = Instant::now();
                let folder = folder.0.join(&key);
                std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
                match turn(engine.as_ref(), program, &folder, calls, plan.memory) {
                    Ok((turn, prepared)) => {
                        figures.artifact_bytes = prepared.artifact_bytes;
                        figures.turns.push(turn);
                    }
                    Err(error) => figures.failure = Some(format!("{error:#}")),
                }
                budget.longest = budget.longest.max(began.elapsed());
                keep(results)?;
            }
        }
        eprintln!("{} done", program.name);
    }
    Ok(true)
}

/// How long a turn like this takes.
fn estimate(turn: &Turn, calls: u32) -> Duration {
    let call = turn.first_ms.unwrap_or(0.0);
    let further: f64 = turn.steady_ms.iter().sum();
    let processes = if turn.first_ms.is_some() && calls > 0 { 2.0 * turn.process_ms } else { turn.process_ms };
    let ms = turn.compile_ms.unwrap_or(0.0) + processes.max(call) + further;
    Duration::from_secs_f64(ms * 1.1 / 1e3)
}

/// One turn: compile, a process with one call, a process with more.
fn turn(
    engine: &dyn Engine,
    program: &Program,
    folder: &Path,
    further_calls: u32,
    memory: &Provider,
) -> Result<(Turn, Prepared)> {
    let prepared = engine.prepare(program, folder).context("does not compile")?;
    memory.provide()?;
    if program.work == Work::Greet {
        return Ok((greetings(engine, &prepared, program)?, prepared));
    }
    let finished = process::run(&mut engine.command(&prepared, program, 1))?;
    let single = engine.read(&finished, program)?;
    let mut turn = Turn {
        compile_ms: prepared.compile_ms,
        process_ms: millis(finished.wall),
        cpu_ms: millis(finished.cpu),
        peak_bytes: single.peak_bytes.unwrap_or(finished.peak_bytes),
        first_ms: single.times_ms.first().copied(),
        ..Turn::default()
    };
    if engine.tells_calls() {
        memory.provide()?;
        let finished = process::run(&mut engine.command(&prepared, program, 1 + further_calls))?;
        let several = engine.read(&finished, program)?;
        let total: f64 = several.times_ms.iter().sum();
        turn.gc_share = several.gc_ms.filter(|_| total > 0.0).map(|ms| ms / total);
        turn.steady_ms = several.times_ms.into_iter().skip(1).collect();
    }
    Ok((turn, prepared))
}

/// The process with the median time of [`GREETINGS`].
fn greetings(engine: &dyn Engine, prepared: &Prepared, program: &Program) -> Result<Turn> {
    let mut all = Vec::new();
    for _ in 0..GREETINGS {
        let finished = process::run(&mut engine.command(prepared, program, 1))?;
        engine.read(&finished, program)?;
        all.push(finished);
    }
    all.sort_by_key(|finished| finished.wall);
    let middle = &all[all.len() / 2];
    Ok(Turn {
        compile_ms: prepared.compile_ms,
        process_ms: millis(middle.wall),
        cpu_ms: millis(middle.cpu),
        peak_bytes: middle.peak_bytes,
        ..Turn::default()
    })
}

/// A folder that goes away with this value.
#[derive(Debug)]
pub struct TempFolder(pub std::path::PathBuf);

impl TempFolder {
    /// An empty folder.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn new() -> Result<Self> {
        let began = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let name = format!("dolmen-bench-{}-{}", std::process::id(), began.as_nanos());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
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
    use crate::engines::Calls;
    use crate::process::Finished;
    use crate::summary::tests::sample;
    use std::cell::RefCell;
    use std::process::Command;

    /// A shell that prints its key and logs it to a file that says in which order engines ran.
    struct Mock(crate::results::Engine, std::path::PathBuf);

    impl Engine for Mock {
        fn identity(&self) -> &crate::results::Engine {
            &self.0
        }

        fn prepare(&self, program: &Program, _folder: &Path) -> Result<Prepared> {
            anyhow::ensure!(program.name != "bad" || self.0.key != "node", "no such instruction");
            Ok(Prepared { path: self.1.clone(), compile_ms: Some(1.0), artifact_bytes: Some(9) })
        }

        fn command(&self, prepared: &Prepared, _program: &Program, calls: u32) -> Command {
            let mut command = Command::new("sh");
            command.args(["-c", "printf '%s%s ' $1 $2 >> $0; echo $2"]);
            command.arg(&prepared.path).arg(&self.0.key).arg(calls.to_string());
            command
        }

        fn read(&self, finished: &Finished, _program: &Program) -> Result<Calls> {
            let calls: usize = finished.stdout.trim().parse()?;
            Ok(Calls { times_ms: vec![2.0; calls], gc_ms: Some(1.0), peak_bytes: None })
        }
    }

    fn program(name: &str) -> Program {
        let work = Work::Run { argument: 1, checksum: String::new() };
        Program { name: name.into(), wasm: "x".into(), java: None, c: None, work }
    }

    #[test]
    fn engines_take_turns_and_what_is_there_is_not_measured_again() {
        let folder = TempFolder::new().unwrap();
        let log = folder.0.join("log");
        let mut results = sample();
        results.programs.clear();
        let engines: Vec<Box<dyn Engine>> = results
            .engines
            .iter()
            .map(|engine| Box::new(Mock(engine.clone(), log.clone())) as Box<dyn Engine>)
            .collect();
        let kept = RefCell::new(0);
        let keep = |_: &Results| -> Result<()> {
            *kept.borrow_mut() += 1;
            Ok(())
        };
        let programs = [program("good"), program("bad")];
        let go = |runs, results: &mut Results| {
            let plan = Plan { engines: &engines, programs: &programs, runs, memory: &Provider::new("true".into(), 1) };
            measure(plan, &mut Budget::new(None), results, keep).unwrap()
        };
        assert!(go(1, &mut results));
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "dolmen1 dolmen3 node1 node3 dolmen1 dolmen3 ");
        assert!(go(2, &mut results));
        assert_eq!(std::fs::read_to_string(&log).unwrap().split(' ').count(), 13, "only the second turns are new");
        assert_eq!(*kept.borrow(), 7);
        let good = results.get("good", "node").unwrap();
        assert_eq!((good.turns.len(), good.artifact_bytes), (2, Some(9)));
        assert_eq!((good.turns[0].first_ms, good.turns[0].gc_share), (Some(2.0), Some(1.0 / 6.0)));
        assert_eq!(good.turns[0].steady_ms, [2.0, 2.0]);
        let bad = results.get("bad", "node").unwrap().failure.as_deref();
        assert_eq!(bad, Some("does not compile: no such instruction"));
    }

    #[test]
    fn a_budget_ends_before_a_turn_that_would_take_too_long() {
        let mut budget = Budget::new(Some(100.0));
        assert!(budget.allows(Some(Duration::from_secs(1000))), "the first may begin");
        budget.longest = Duration::from_secs(60);
        assert!(budget.allows(None) && budget.allows(Some(Duration::from_secs(90))));
        assert!(!budget.allows(Some(Duration::from_secs(101))));
    }
}
