//! Every single figure of a comparison, kept as JSON.
//!
//! A file can be continued: what it holds already is not measured again, programs and engines that it lacks are added.
//! That needs the same settings and the same build of each engine, or the figures would be of different things; the
//! machine is noted, but nobody can note how busy it was.

use crate::programs::{Size, Variant};
use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The form of the file.
const FORMAT: u32 = 1;

/// A file of results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    format: u32,
    pub machine: Machine,
    pub settings: Settings,
    /// By key, in the order of the tables.
    pub engines: Vec<Engine>,
    /// By program in the order of measurement, then by the engine's key.
    pub programs: Vec<(String, BTreeMap<String, Figures>)>,
}

/// Where it was measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub system: String,
    /// Seconds since 1970 at the beginning.
    pub began: u64,
}

/// What must be equal for figures to be comparable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub variant: Variant,
    pub size: Size,
    /// Calls after the first in the second process of a turn.
    pub calls: u32,
    /// Memory that was touched and freed before each process, in MiB; see [`crate::memory`].
    #[serde(default)]
    pub warm_mib: u32,
}

/// An engine of the comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    pub key: String,
    /// Name and version.
    pub title: String,
    /// Changes with each build whose figures may differ.
    pub build: String,
}

/// What was measured of one program on one engine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    pub turns: Vec<Turn>,
    /// Bytes that are shipped: the artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_bytes: Option<u64>,
    /// Of one process with one call, without noise; see [`crate::instructions`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<u64>,
    /// Why there are no more turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// What one engine did when it was its turn; times in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// Compilation before the processes, if the engine compiles ahead of time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compile_ms: Option<f64>,
    /// The process with one call, from its start to its end.
    pub process_ms: f64,
    /// Processor time of all its threads.
    pub cpu_ms: f64,
    pub peak_bytes: u64,
    /// Its call, if the engine tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_ms: Option<f64>,
    /// The calls after the first in the other process.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steady_ms: Vec<f64>,
    /// The collector's share of all calls in the other process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gc_share: Option<f64>,
}

impl Results {
    /// No results yet.
    #[must_use]
    pub fn new(machine: Machine, settings: Settings) -> Self {
        Self { format: FORMAT, machine, settings, engines: Vec::new(), programs: Vec::new() }
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// If it cannot be read or is none of ours.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let results: Self = serde_json::from_str(&text)
            .with_context(|| format!("{} holds no results of this benchmark", path.display()))?;
        ensure!(results.format == FORMAT, "{} has form {}, not {FORMAT}", path.display(), results.format);
        Ok(results)
    }

    /// Writes the file; who reads it meanwhile sees the old or the new one.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("results are numbers and names")?;
        let new = path.with_extension("new");
        std::fs::write(&new, text + "\n").with_context(|| format!("cannot write {}", new.display()))?;
        std::fs::rename(&new, path).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Takes an engine in, if it is not in already.
    ///
    /// # Errors
    ///
    /// If the results hold figures of another build of it.
    pub fn join(&mut self, engine: Engine) -> Result<()> {
        match self.engines.iter().find(|known| known.key == engine.key) {
            None => self.engines.push(engine),
            Some(known) => ensure!(
                *known == engine,
                "the results are of {} (build {}), not of {} (build {}): begin a new file",
                known.title,
                known.build,
                engine.title,
                engine.build
            ),
        }
        Ok(())
    }

    /// The figures of a program on an engine, if there are any.
    #[must_use]
    pub fn get(&self, program: &str, engine: &str) -> Option<&Figures> {
        self.programs.iter().find(|(name, _)| name == program)?.1.get(engine)
    }

    /// The figures of a program on an engine, to be added to.
    pub fn figures(&mut self, program: &str, engine: &str) -> &mut Figures {
        let at = self.programs.iter().position(|(name, _)| name == program).unwrap_or_else(|| {
            self.programs.push((program.to_owned(), BTreeMap::new()));
            self.programs.len() - 1
        });
        self.programs[at].1.entry(engine.to_owned()).or_default()
    }
}

impl Machine {
    /// This machine, now.
    #[must_use]
    pub fn this() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let processor = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim().to_owned()))
            .unwrap_or_else(|| std::env::consts::ARCH.to_owned());
        let kernel = read("/proc/sys/kernel/osrelease");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self {
            processor,
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            system: format!("{} {}", std::env::consts::OS, kernel.trim()),
            began: now.map_or(0, |time| time.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Results {
        let settings = Settings { variant: Variant::Opt, size: Size::Tiny, calls: 2, warm_mib: 8 };
        let mut results = Results::new(Machine::this(), settings);
        results.join(Engine { key: "node".into(), title: "V8".into(), build: "1".into() }).unwrap();
        let turn = Turn { process_ms: 1.5, peak_bytes: 7, steady_ms: vec![1.0, 2.0], ..Turn::default() };
        results.figures("nbody", "node").turns.push(turn);
        results
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let path = std::env::temp_dir().join(format!("dolmen-bench-results-{}.json", std::process::id()));
        some().save(&path).unwrap();
        assert_eq!(Results::load(&path).unwrap(), some_at(&path));
        std::fs::write(&path, "{\"format\": 1}").unwrap();
        assert!(Results::load(&path).unwrap_err().to_string().contains("holds no results"));
        std::fs::remove_file(&path).unwrap();
        assert!(Results::load(&path).unwrap_err().to_string().contains("cannot read"));
    }

    /// [`some`] with the time of the file.
    fn some_at(path: &Path) -> Results {
        let mut results = some();
        results.machine.began = Results::load(path).unwrap().machine.began;
        results
    }

    #[test]
    fn another_build_is_refused() {
        let mut results = some();
        let engine = |build: &str| Engine { key: "node".into(), title: "V8".into(), build: build.into() };
        results.join(engine("1")).unwrap();
        assert_eq!(results.engines.len(), 1);
        assert!(results.join(engine("2")).unwrap_err().to_string().contains("begin a new file"));
    }
}
