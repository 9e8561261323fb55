//! Against an earlier file of results: what became slower, by more than the noise.
//!
//! A change counts when it exceeds three times the spread of both files together (half of the quartiles' distance, as
//! a share of the median) and a least share that depends on the metric. The machine may have been slower on one of
//! the two days: if both files hold the same peer in the same build, its own change is taken out of the times first
//! (the geometric mean over programs and peers).

use crate::results::Results;
use crate::statistics::geometric_mean;
use crate::summary::{Metric, value, workloads};
use std::fmt::Write as _;

/// Spreads of both files that a change must exceed.
const SPREADS: f64 = 3.0;

/// The spread of a single time, which nobody knows, is taken to be as much.
const UNKNOWN_SPREAD: f64 = 0.05;

/// What is compared, with the least share that counts even when nothing seems to vary.
const CHECKED: [(Metric, f64); 7] = [
    (Metric::Steady, 0.03),
    (Metric::First, 0.05),
    (Metric::Process, 0.05),
    (Metric::PeakMemory, 0.05),
    (Metric::Compile, 0.10),
    (Metric::Artifact, 0.01),
    (Metric::Instructions, 0.005),
];

/// A change of one metric of one program.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub program: String,
    pub metric: Metric,
    pub old: f64,
    pub new: f64,
    /// `new / old`, without the machine's own change.
    pub ratio: f64,
    /// What the ratio may differ from 1 by chance.
    pub noise: f64,
}

impl Change {
    /// Whether more is needed than before.
    #[must_use]
    pub fn is_regression(&self) -> bool {
        self.ratio > 1.0
    }
}

/// The changes of an engine that exceed the noise, regressions first.
#[must_use]
pub fn changes(old: &Results, new: &Results, engine: &str) -> Vec<Change> {
    let drift = drift(old, new, engine).unwrap_or(1.0);
    let programs = new.programs.iter().map(|(name, _)| name.as_str());
    let mut found: Vec<Change> = programs
        .flat_map(|program| CHECKED.map(|(metric, least)| change(old, new, (program, engine), (metric, least), drift)))
        .flatten()
        .collect();
    found.sort_by(|a, b| b.ratio.total_cmp(&a.ratio));
    found
}

/// How much slower the machine was for the second file, by the peers that both hold.
#[must_use]
pub fn drift(old: &Results, new: &Results, engine: &str) -> Option<f64> {
    let mut ratios = Vec::new();
    for peer in new.engines.iter().filter(|peer| peer.key != engine && old.engines.contains(peer)) {
        ratios.extend(workloads(new).filter_map(|program| {
            let before = value(old, program, &peer.key, Metric::Steady)?;
            Some(value(new, program, &peer.key, Metric::Steady)? / before).filter(|ratio| ratio.is_finite())
        }));
    }
    geometric_mean(&ratios)
}

fn change(
    old: &Results,
    new: &Results,
    (program, engine): (&str, &str),
    (metric, least): (Metric, f64),
    drift: f64,
) -> Option<Change> {
    let [before, after] = [old, new].map(|results| results.get(program, engine).and_then(|figures| metric.of(figures)));
    let (before, after) = (before?, after?);
    let is_time = matches!(metric, Metric::Steady | Metric::First | Metric::Process | Metric::Compile);
    let ratio = after.median / before.median / if is_time { drift } else { 1.0 };
    let is_exact = matches!(metric, Metric::Artifact | Metric::Instructions);
    let spread_of_one = if is_exact { 0.0 } else { UNKNOWN_SPREAD };
    let spreads = [before, after].map(|found| found.relative_spread().unwrap_or(spread_of_one));
    let noise = (SPREADS * spreads[0].hypot(spreads[1])).max(least);
    let counts = ratio.is_finite() && (ratio.max(1.0 / ratio) - 1.0) > noise;
    counts.then(|| Change { program: program.into(), metric, old: before.median, new: after.median, ratio, noise })
}

/// The changes as text.
#[must_use]
pub fn report(old: &Results, new: &Results, engine: &str) -> String {
    let mut text = match drift(old, new, engine) {
        Some(drift) => format!("the machine needs {drift:.3} of the time that it needed, by the peers in both files\n"),
        None => "no peer in both files: the machine's own changes count as changes\n".to_owned(),
    };
    if old.settings != new.settings {
        text += "the files have different settings: nothing can be compared\n";
        return text;
    }
    for change in changes(old, new, engine) {
        _ = writeln!(
            text,
            "{} {}: {}: {:.3} -> {:.3}, {:+.1} % (noise {:.1} %)",
            if change.is_regression() { "REGRESSION" } else { "better" },
            change.program,
            change.metric.title(),
            change.old,
            change.new,
            (change.ratio - 1.0) * 100.0,
            change.noise * 100.0
        );
    }
    let ratios: Vec<f64> = workloads(new)
        .filter_map(|program| {
            Some(value(new, program, engine, Metric::Steady)? / value(old, program, engine, Metric::Steady)?)
        })
        .collect();
    if let Some(mean) = geometric_mean(&ratios) {
        _ = writeln!(text, "steady state, geometric mean over {} programs: {mean:.3} of the time before", ratios.len());
    }
    text
}

/// Whether anything of the engine became slower, or the files cannot be compared.
#[must_use]
pub fn has_regressions(old: &Results, new: &Results, engine: &str) -> bool {
    old.settings != new.settings || changes(old, new, engine).iter().any(Change::is_regression)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs::Size;
    use crate::summary::tests::sample;

    /// The sample with calm times of `nbody` on both engines.
    fn calm(dolmen: f64, node: f64) -> Results {
        let mut results = sample();
        for (engine, ms) in [("dolmen", dolmen), ("node", node)] {
            let figures = results.figures("nbody", engine);
            let turn = figures.turns[0].clone();
            figures.turns = [0.99, 1.0, 1.01]
                .map(|noise| crate::results::Turn { steady_ms: vec![ms * noise], ..turn.clone() })
                .into();
        }
        results
    }

    fn found(old: &Results, new: &Results) -> Vec<(String, bool)> {
        changes(old, new, "dolmen").into_iter().map(|change| (change.program.clone(), change.is_regression())).collect()
    }

    #[test]
    fn a_change_beyond_the_noise_is_told() {
        assert_eq!(found(&calm(10.0, 9.0), &calm(11.0, 9.0)), [("nbody".to_owned(), true)]);
        assert_eq!(found(&calm(10.0, 9.0), &calm(9.0, 9.0)), [("nbody".to_owned(), false)]);
        assert_eq!(found(&calm(10.0, 9.0), &calm(10.1, 9.0)), []);
    }

    #[test]
    fn wide_spreads_hide_small_changes() {
        let noisy = sample();
        let mut slower = sample();
        for turn in &mut slower.figures("nbody", "dolmen").turns {
            turn.steady_ms.iter_mut().for_each(|ms| *ms *= 1.2);
        }
        assert_eq!(found(&noisy, &slower), [], "the spread is 10 %");
    }

    #[test]
    fn single_times_count_little() {
        let (old, mut new) = (sample(), sample());
        new.figures("script", "dolmen").turns[0].steady_ms = vec![1.2];
        assert_eq!(found(&old, &new), []);
        new.figures("script", "dolmen").turns[0].steady_ms = vec![1.3];
        assert_eq!(found(&old, &new), [("script".to_owned(), true)]);
    }

    #[test]
    fn a_slower_machine_is_no_regression() {
        let (old, new) = (calm(10.0, 10.0), calm(12.0, 12.0));
        assert!((drift(&old, &new, "dolmen").unwrap() - 1.2).abs() < 1e-9);
        assert!(!changes(&old, &new, "dolmen").iter().any(Change::is_regression));
        let mut other = old.clone();
        other.engines.retain(|engine| engine.key != "node");
        assert_eq!(found(&other, &new), [("nbody".to_owned(), true)], "without the peer nobody can know");
    }

    #[test]
    fn sizes_and_counts_have_no_noise() {
        let mut old = sample();
        let mut new = sample();
        old.figures("nbody", "dolmen").instructions = Some(1_000_000);
        new.figures("nbody", "dolmen").instructions = Some(1_006_000);
        old.figures("nbody", "dolmen").artifact_bytes = Some(1000);
        new.figures("nbody", "dolmen").artifact_bytes = Some(1005);
        let changes = changes(&old, &new, "dolmen");
        assert_eq!(changes.iter().map(|change| change.metric).collect::<Vec<_>>(), [Metric::Instructions]);
        assert!(report(&old, &new, "dolmen").contains("REGRESSION nbody: instructions"));
    }

    #[test]
    fn other_settings_are_not_compared() {
        let mut other = sample();
        other.settings.size = Size::Full;
        assert!(has_regressions(&other, &sample(), "dolmen"));
        assert!(report(&other, &sample(), "dolmen").contains("different settings"));
    }
}
