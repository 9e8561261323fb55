//! Many seeds, compared in child processes: a crash or a hang of an engine costs one seed.

use crate::outcome::{Comparison, REFUSED, compare};
use crate::server::{Server, to_hex};
use crate::setups::Setup;
use crate::v8;
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// First argument of the process that [`serve`](crate::campaign) runs in.
pub const SERVE_ARG: &str = "--serve";

/// Seeds between two signs of life.
const PROGRESS_SEEDS: u64 = 500;

/// A generator of modules: [`generate::module`](crate::generate::module) or
/// [`programs::module`](crate::programs::module).
pub type Generator = fn(u64) -> Result<Vec<u8>, String>;

/// What is to be done.
#[derive(Debug)]
pub struct Plan {
    /// Makes the module of a seed.
    pub generator: Generator,
    pub seeds: Range<u64>,
    pub jobs: usize,
    /// The program that answers `SETUP HEX` requests as this package's binary does with [`SERVE_ARG`].
    pub program: PathBuf,
    /// `node`, to compare with; without it Dolmen is compared with itself.
    pub node: Option<PathBuf>,
    /// The only setup, beside V8 or the default; without it seeds have different ones.
    pub setup: Option<Setup>,
    /// Where modules go on which engines differ.
    pub save: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Totals {
    pub same: u64,
    /// Same up to a lack of memory or stack.
    pub undecided: u64,
    /// Seeds of which no module can be made.
    pub ungenerated: u64,
    /// One line for each seed on which engines differ.
    pub failures: Vec<String>,
    /// How often calls ended in which way.
    pub ends: BTreeMap<String, u64>,
}

/// Runs the plan; what it finds is printed as it comes.
///
/// # Errors
///
/// If an engine cannot be started.
pub fn run(plan: &Plan) -> anyhow::Result<Totals> {
    let (next, totals) = (AtomicU64::new(plan.seeds.start), Mutex::new(Totals::default()));
    thread::scope(|scope| {
        let workers: Vec<_> = (0..plan.jobs.max(1)).map(|_| scope.spawn(|| work(plan, &next, &totals))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?)
    })?;
    totals.into_inner().map_err(|_| anyhow::anyhow!("a worker panicked"))
}

fn work(plan: &Plan, next: &AtomicU64, totals: &Mutex<Totals>) -> anyhow::Result<()> {
    let mut engines = Engines { plan, dolmen: None, v8: None };
    loop {
        // Only the number matters.
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if !plan.seeds.contains(&seed) {
            return Ok(());
        }
        let verdict = engines.judge(seed)?;
        let mut totals = totals.lock().map_err(|_| anyhow::anyhow!("a worker panicked"))?;
        totals.add(seed, verdict, plan)?;
        let done = seed + 1 - plan.seeds.start;
        if done.is_multiple_of(PROGRESS_SEEDS) {
            println!("{done} seeds, {} failures", totals.failures.len());
        }
    }
}

/// What became of a seed.
enum Verdict {
    Ungenerated,
    /// Engines agree; the record, and whether all of it was compared.
    Same(Vec<String>, bool),
    Different(Vec<u8>, String),
}

impl Totals {
    fn add(&mut self, seed: u64, verdict: Verdict, plan: &Plan) -> anyhow::Result<()> {
        match verdict {
            Verdict::Ungenerated => self.ungenerated += 1,
            Verdict::Same(record, whole) => {
                *(if whole { &mut self.same } else { &mut self.undecided }) += 1;
                for line in &record {
                    let end = line.split(' ').nth(1).unwrap_or_default();
                    *self.ends.entry(end.to_owned()).or_default() += 1;
                }
            }
            Verdict::Different(wasm, what) => {
                let failure = format!("seed {seed}: {what}");
                println!("{failure}");
                self.failures.push(failure);
                if let Some(folder) = &plan.save {
                    std::fs::create_dir_all(folder).context("cannot make the folder for failures")?;
                    std::fs::write(folder.join(format!("{seed}.wasm")), wasm).context("cannot save a failure")?;
                }
            }
        }
        Ok(())
    }
}

/// The engines of a worker, started when they are needed.
struct Engines<'a> {
    plan: &'a Plan,
    dolmen: Option<Server>,
    v8: Option<Server>,
}

impl Engines<'_> {
    fn judge(&mut self, seed: u64) -> anyhow::Result<Verdict> {
        let Ok(wasm) = (self.plan.generator)(seed) else { return Ok(Verdict::Ungenerated) };
        let hex = to_hex(&wasm);
        let mut records = Vec::new();
        if let Some(node) = &self.plan.node {
            let node = node.clone();
            records.push(("V8".to_owned(), ask(&mut self.v8, &hex, || v8::start(&node))?));
        }
        for setup in self.setups(seed) {
            let answer = ask(&mut self.dolmen, &format!("{setup} {hex}"), || {
                Server::start(Command::new(&self.plan.program).arg(SERVE_ARG)).context("cannot start a child")
            })?;
            records.push((format!("Dolmen at {setup}"), answer));
        }
        Ok(verdict(wasm, records))
    }

    /// Beside V8 one setup is enough; alone, the default and two others must agree.
    fn setups(&self, seed: u64) -> Vec<Setup> {
        let mut setups = match (self.plan.setup, &self.plan.node) {
            (Some(setup), _) => vec![setup],
            (None, Some(_)) => Setup::of_seed(seed, 1).collect(),
            (None, None) => Setup::of_seed(seed, 2).filter(|&setup| setup != Setup::DEFAULT).collect(),
        };
        if self.plan.node.is_none() {
            setups.insert(0, Setup::DEFAULT);
        }
        setups
    }
}

/// Asks an engine, starting it if it is not running. A death is an answer.
fn ask(
    server: &mut Option<Server>,
    request: &str,
    start: impl FnOnce() -> anyhow::Result<Server>,
) -> anyhow::Result<Vec<String>> {
    let running = match server {
        Some(running) => running,
        None => server.insert(start()?),
    };
    Ok(running.ask(request).unwrap_or_else(|reason| {
        *server = None;
        vec![format!("{REFUSED} {reason}")]
    }))
}

/// Judges the records of one module; there are at least two.
fn verdict(wasm: Vec<u8>, mut records: Vec<(String, Vec<String>)>) -> Verdict {
    for (engine, record) in &records {
        if let Some(first) = record.first().filter(|first| first.starts_with(REFUSED)) {
            return Verdict::Different(wasm, format!("{engine} {first}"));
        }
    }
    let mut whole = true;
    for (engine, record) in &records[1..] {
        match compare(&records[0].1, record) {
            Comparison::Same => {}
            Comparison::Undecided => whole = false,
            Comparison::Different(one, other) => {
                return Verdict::Different(wasm, format!("{} says {one:?}, {engine} says {other:?}", records[0].0));
            }
        }
    }
    Verdict::Same(records.swap_remove(0).1, whole)
}
