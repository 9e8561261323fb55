//! The results as Markdown tables.

use crate::results::{Machine, Results};
use crate::statistics::Distribution;
use crate::summary::{Metric, mean_ratio, ratio};
use std::fmt::Write as _;

/// Everything: a head, a table for each metric that was measured, and failures.
#[must_use]
pub fn report(results: &Results) -> String {
    let mut text = head(results) + "\n";
    for metric in Metric::ALL {
        if let Some(table) = Table::of(results, metric) {
            _ = write!(text, "\n{}\n\n{}", metric.title(), table.markdown());
        }
    }
    for failure in failures(results) {
        _ = write!(text, "\n{failure}");
    }
    text
}

/// Engines, machine and settings in one paragraph.
#[must_use]
pub fn head(results: &Results) -> String {
    let titles: Vec<&str> = results.engines.iter().map(|engine| engine.title.as_str()).collect();
    let settings = &results.settings;
    let turns = results.programs.iter().flat_map(|(_, engines)| engines.values().map(|figures| figures.turns.len()));
    let turns = turns.max().unwrap_or(0);
    format!(
        "{} Binaries {:?}, size {:?}; medians of {turns} turns, each one process with 1 call and one with 1 + {}; {} MiB \
         of memory touched before each process.",
        on_machine(&results.machine, &titles.join("; ")),
        settings.variant,
        settings.size,
        settings.calls,
        settings.warm_mib
    )
}

/// Who was measured where.
#[must_use]
pub fn on_machine(machine: &Machine, engines: &str) -> String {
    format!("{engines}. {}, {} cores, {}.", machine.processor, machine.cores, machine.system)
}

/// One line for each program that failed on an engine.
#[must_use]
pub fn failures(results: &Results) -> Vec<String> {
    let figures = |(program, engines): &(String, std::collections::BTreeMap<String, crate::results::Figures>)| {
        let line = |(engine, figures): (&String, &crate::results::Figures)| {
            figures.failure.as_ref().map(|failure| format!("{program} on {engine}: {failure}"))
        };
        engines.iter().filter_map(line).collect::<Vec<_>>()
    };
    results.programs.iter().flat_map(figures).collect()
}

/// A metric of all programs on all engines.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Of the engines that have the metric; `None` if none has.
    #[must_use]
    pub fn of(results: &Results, metric: Metric) -> Option<Self> {
        let has = |engine: &str| {
            results.programs.iter().any(|(_, all)| all.get(engine).is_some_and(|figures| metric.of(figures).is_some()))
        };
        let engines: Vec<&str> =
            results.engines.iter().map(|engine| engine.key.as_str()).filter(|key| has(key)).collect();
        let (first, peers) = engines.split_first()?;
        let peers: &[&str] = if Metric::COMPARED.contains(&metric) { peers } else { &[] };
        let mut header = vec!["program".to_owned()];
        header.extend(engines.iter().map(|engine| (*engine).to_owned()));
        header.extend(peers.iter().map(|peer| format!("{first} / {peer}")));
        let mut rows: Vec<Vec<String>> = Vec::new();
        for (program, all) in &results.programs {
            let found: Vec<_> =
                engines.iter().map(|engine| all.get(*engine).and_then(|figures| metric.of(figures))).collect();
            if found.iter().all(Option::is_none) {
                continue;
            }
            let mut row = vec![program.clone()];
            row.extend(found.iter().map(|cell| cell.as_ref().map_or_else(|| "–".to_owned(), with_spread)));
            row.extend(peers.iter().map(|peer| ratio_cell(ratio(results, program, [first, peer], metric))));
            rows.push(row);
        }
        if !peers.is_empty() {
            let mut means = vec!["geometric mean".to_owned()];
            means.extend(engines.iter().map(|_| String::new()));
            means.extend(peers.iter().map(|peer| match mean_ratio(results, [first, peer], metric) {
                Some((mean, count)) => format!("{mean:.2} (n = {count})"),
                None => "–".to_owned(),
            }));
            rows.push(means);
        }
        Some(Self { header, rows })
    }

    /// As Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("| {} |\n{}|\n", self.header.join(" | "), "|---".repeat(self.header.len()));
        for row in &self.rows {
            _ = writeln!(text, "| {} |", row.join(" | "));
        }
        text
    }
}

/// `123 ±2 %`.
fn with_spread(found: &Distribution) -> String {
    let number = number(found.median);
    match found.relative_spread() {
        Some(spread) if spread >= 0.005 => format!("{number} ±{:.0} %", spread * 100.0),
        _ => number,
    }
}

/// Three digits, or all before the point.
#[must_use]
pub fn number(value: f64) -> String {
    let decimals = if value >= 100.0 || value == 0.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.decimals$}")
}

fn ratio_cell(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::sample;

    #[test]
    fn steady_times_have_spreads_ratios_and_a_mean() {
        let table = Table::of(&sample(), Metric::Steady).unwrap();
        assert_eq!(
            table.markdown(),
            "| program | dolmen | node | dolmen / node |\n\
             |---|---|---|---|\n\
             | nbody | 5.00 ±10 % | 10.0 | 0.50 |\n\
             | script | 1.00 | – | – |\n\
             | geometric mean |  |  | 0.50 (n = 1) |\n"
        );
    }

    #[test]
    fn what_was_not_measured_has_no_table() {
        assert_eq!(Table::of(&sample(), Metric::Instructions), None);
        assert_eq!(Table::of(&sample(), Metric::GcShare).unwrap().header, ["program", "dolmen"]);
    }

    #[test]
    fn the_report_names_failures_and_settings() {
        let text = report(&sample());
        assert!(text.starts_with("DOLMEN; NODE. "), "{text}");
        assert!(text.contains("medians of 2 turns") && text.contains("1 + 2"), "{text}");
        assert!(text.ends_with("script on node: traps"), "{text}");
        assert!(text.contains("| hello | 8.00 | 32.0 | 0.25 |"), "{text}");
    }

    #[test]
    fn numbers_have_three_digits() {
        let found: Vec<String> = [0.0, 0.123, 1.5, 12.34, 123.4, 12345.6].into_iter().map(number).collect();
        assert_eq!(found, ["0", "0.12", "1.50", "12.3", "123", "12346"]);
    }
}
