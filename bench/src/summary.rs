//! What the figures of one program on one engine come to.

use crate::programs::HELLO;
use crate::results::{Figures, Results, Turn};
use crate::statistics::{Distribution, geometric_mean, median};

/// Something that is measured; the order is that of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    Steady,
    First,
    Warmup,
    Process,
    Cpu,
    PeakMemory,
    Compile,
    Artifact,
    GcShare,
    Instructions,
}

impl Metric {
    /// Those that peers have, too.
    pub const COMPARED: [Self; 5] = [Self::Steady, Self::First, Self::Process, Self::Cpu, Self::PeakMemory];

    /// All.
    pub const ALL: [Self; 10] = [
        Self::Steady,
        Self::First,
        Self::Warmup,
        Self::Process,
        Self::Cpu,
        Self::PeakMemory,
        Self::Compile,
        Self::Artifact,
        Self::GcShare,
        Self::Instructions,
    ];

    /// Title with unit.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Steady => "steady state, ms per call",
            Self::First => "first call in a fresh process, ms",
            Self::Warmup => "first call / further calls",
            Self::Process => "whole process with one call, ms",
            Self::Cpu => "processor time of that process, ms",
            Self::PeakMemory => "peak memory of that process, MiB",
            Self::Compile => "compile, ms",
            Self::Artifact => "artifact, KiB",
            Self::GcShare => "collector, % of calls",
            Self::Instructions => "instructions, millions",
        }
    }

    /// The value of each turn, in the title's unit.
    #[must_use]
    pub fn values(self, figures: &Figures) -> Vec<f64> {
        let turns = |value: fn(&Turn) -> Option<f64>| figures.turns.iter().filter_map(value).collect();
        let one = |value: Option<u64>, unit: f64| value.map(|value| value as f64 / unit).into_iter().collect();
        match self {
            Self::Steady => turns(|turn| median(&turn.steady_ms)),
            Self::First => turns(|turn| turn.first_ms),
            Self::Warmup => turns(Turn::warmup),
            Self::Process => turns(|turn| Some(turn.process_ms)),
            Self::Cpu => turns(|turn| Some(turn.cpu_ms)),
            Self::PeakMemory => turns(|turn| Some(turn.peak_bytes as f64 / f64::from(1 << 20))),
            Self::Compile => turns(|turn| turn.compile_ms),
            Self::Artifact => one(figures.artifact_bytes, 1024.0),
            Self::GcShare => turns(|turn| turn.gc_share.map(|share| share * 100.0)),
            Self::Instructions => one(figures.instructions, 1e6),
        }
    }

    /// Median and quartiles, or `None` if nothing was measured.
    #[must_use]
    pub fn of(self, figures: &Figures) -> Option<Distribution> {
        Distribution::of(&self.values(figures))
    }
}

impl Turn {
    /// How many times as long as the other process's further calls the first call took.
    fn warmup(&self) -> Option<f64> {
        Some(self.first_ms? / median(&self.steady_ms).filter(|ms| *ms > 0.0)?)
    }
}

/// The names of the workloads in the results: all but the command that only greets, which no mean contains.
pub fn workloads(results: &Results) -> impl Iterator<Item = &str> {
    results.programs.iter().map(|(name, _)| name.as_str()).filter(|name| *name != HELLO)
}

/// The median of a metric, if it was measured.
#[must_use]
pub fn value(results: &Results, program: &str, engine: &str, metric: Metric) -> Option<f64> {
    metric.of(results.get(program, engine)?).map(|distribution| distribution.median)
}

/// How the first engine does beside the second: below 1 it needs less.
#[must_use]
pub fn ratio(results: &Results, program: &str, engines: [&str; 2], metric: Metric) -> Option<f64> {
    let [ours, peers] = engines.map(|engine| value(results, program, engine, metric));
    let (ours, peers) = (ours?, peers?);
    (ours > 0.0 && peers > 0.0).then(|| ours / peers)
}

/// The geometric mean of the ratios over the workloads that both ran, and their number.
#[must_use]
pub fn mean_ratio(results: &Results, engines: [&str; 2], metric: Metric) -> Option<(f64, usize)> {
    let ratios: Vec<f64> = workloads(results).filter_map(|program| ratio(results, program, engines, metric)).collect();
    geometric_mean(&ratios).map(|mean| (mean, ratios.len()))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::programs::{Size, Variant};
    use crate::results::{Engine, Machine, Settings};

    /// Results with Dolmen and node: `hello`, and two workloads of which node ran one.
    pub fn sample() -> Results {
        let settings = Settings { variant: Variant::Opt, size: Size::Tiny, calls: 2, warm_mib: 0 };
        let mut results = Results::new(Machine::default(), settings);
        for key in ["dolmen", "node"] {
            results.join(Engine { key: key.into(), title: key.to_uppercase(), build: "1".into() }).unwrap();
        }
        let turn =
            |steady: &[f64]| Turn { process_ms: 8.0, peak_bytes: 3 << 20, steady_ms: steady.into(), ..Turn::default() };
        results.figures("hello", "dolmen").turns.push(turn(&[]));
        results.figures("hello", "node").turns.push(Turn { process_ms: 32.0, ..turn(&[]) });
        results.figures("nbody", "dolmen").turns = vec![turn(&[4.0, 4.0]), turn(&[6.0, 6.0])];
        results.figures("nbody", "dolmen").turns[0].gc_share = Some(0.25);
        results.figures("nbody", "node").turns = vec![turn(&[9.0, 10.0, 11.0])];
        results.figures("script", "dolmen").turns = vec![turn(&[1.0])];
        results.figures("script", "node").failure = Some("traps".into());
        results
    }

    #[test]
    fn the_value_is_the_median_of_the_processes_medians() {
        let results = sample();
        assert_eq!(value(&results, "nbody", "dolmen", Metric::Steady), Some(5.0));
        assert_eq!(value(&results, "nbody", "node", Metric::Steady), Some(10.0));
        assert_eq!(value(&results, "nbody", "dolmen", Metric::PeakMemory), Some(3.0));
        assert_eq!(value(&results, "nbody", "dolmen", Metric::GcShare), Some(25.0));
        assert_eq!(value(&results, "nbody", "dolmen", Metric::Warmup), None);
        assert_eq!(value(&results, "script", "node", Metric::Steady), None);
        assert_eq!(value(&results, "nbody", "dolmen", Metric::Instructions), None);
    }

    #[test]
    fn warming_up_compares_calls_of_one_turn() {
        let turn = |first, steady: &[f64]| Turn { first_ms: first, steady_ms: steady.into(), ..Turn::default() };
        let turns =
            vec![turn(Some(6.0), &[2.0, 3.0]), turn(None, &[1.0]), turn(Some(1.0), &[]), turn(Some(1.0), &[0.0])];
        let figures = Figures { turns, ..Figures::default() };
        assert_eq!(Metric::Warmup.values(&figures), [2.4]);
    }

    #[test]
    fn means_are_over_the_workloads_that_both_ran() {
        assert_eq!(mean_ratio(&sample(), ["dolmen", "node"], Metric::Steady), Some((0.5, 1)));
        // Not of `hello`.
        assert_eq!(mean_ratio(&sample(), ["dolmen", "node"], Metric::Process), Some((1.0, 1)));
        assert_eq!(mean_ratio(&sample(), ["dolmen", "node"], Metric::Compile), None);
    }
}
