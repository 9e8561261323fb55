//! The results as one HTML file: charts, the same tables as in the text, nothing from a network.

use crate::chart::{Point, Row, dots, escape};
use crate::compare;
use crate::results::Results;
use crate::summary::{Metric, ratio};
use crate::text::{Table, failures, head};
use std::fmt::Write as _;

/// The page; with `old`, what became slower or faster since.
#[must_use]
pub fn page(results: &Results, old: Option<&Results>) -> String {
    let keys: Vec<String> = results.engines.iter().map(|engine| engine.key.clone()).collect();
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Dolmen: benchmarks</title><style>{}</style><h1>Benchmarks</h1><p>{}</p>",
        include_str!("page.css"),
        escape(&head(results))
    );
    if let Some((first, peers)) = keys.split_first() {
        for peer in peers {
            html += &ratios(results, first, peer);
        }
    }
    for metric in Metric::ALL {
        let Some(table) = Table::of(results, metric) else { continue };
        _ = write!(html, "<h2>{}</h2>", escape(metric.title()));
        if keys.len() > 1 && Metric::COMPARED.contains(&metric) {
            _ = write!(html, "{}{}", legend(&keys), dots(&rows(results, &keys, metric), &keys, None));
        }
        html += &html_table(&table);
    }
    let failures = failures(results);
    if !failures.is_empty() {
        _ = write!(html, "<h2>Failures</h2><div class=\"failures\">{}</div>", escape(&failures.join("\n")));
    }
    if let Some(old) = old {
        _ = write!(
            html,
            "<h2>Since the earlier file</h2><pre>{}</pre>",
            escape(&compare::report(old, results, &keys[0]))
        );
    }
    html + "</html>\n"
}

/// How an engine does beside a peer in all that both have.
fn ratios(results: &Results, first: &str, peer: &str) -> String {
    let row = |(program, _): &(String, _)| {
        let point = |(series, metric): (usize, &Metric)| {
            let value = ratio(results, program, [first, peer], *metric)?;
            Some(Point { series, value, low: value, high: value })
        };
        Row { label: program.clone(), points: Metric::COMPARED.iter().enumerate().filter_map(point).collect() }
    };
    let rows: Vec<Row> = results.programs.iter().map(row).filter(|row| !row.points.is_empty()).collect();
    if rows.is_empty() {
        return String::new();
    }
    let names: Vec<String> = Metric::COMPARED.iter().map(|metric| metric.title().to_owned()).collect();
    format!(
        "<h2>{} / {}: left of the line is better</h2>{}{}",
        escape(first),
        escape(peer),
        legend(&names),
        dots(&rows, &names, Some(1.0))
    )
}

fn rows(results: &Results, keys: &[String], metric: Metric) -> Vec<Row> {
    let row = |(program, engines): &(String, std::collections::BTreeMap<String, crate::results::Figures>)| {
        let point = |(series, key): (usize, &String)| {
            let found = metric.of(engines.get(key)?)?;
            Some(Point { series, value: found.median, low: found.low, high: found.high })
        };
        Row { label: program.clone(), points: keys.iter().enumerate().filter_map(point).collect() }
    };
    results.programs.iter().map(row).filter(|row| !row.points.is_empty()).collect()
}

fn legend(names: &[String]) -> String {
    let item =
        |(index, name): (usize, &String)| format!("<span><i class=\"s{}\"></i>{}</span>", index % 8, escape(name));
    format!("<p class=\"legend\">{}</p>", names.iter().enumerate().map(item).collect::<String>())
}

fn html_table(table: &Table) -> String {
    let row = |cells: &Vec<String>, tag: &str| {
        let cells: String = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect();
        format!("<tr>{cells}</tr>")
    };
    let rows: String = table.rows.iter().map(|cells| row(cells, "td")).collect();
    format!("<table>{}{rows}</table>", row(&table.header, "th"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::sample;

    #[test]
    fn the_page_holds_charts_tables_and_failures() {
        let page = page(&sample(), Some(&sample()));
        for part in [
            "<td>5.00 ±10 %</td>",
            "<h2>dolmen / node: left of the line is better</h2>",
            "<title>nbody, node: 10.0</title>",
            "script on node: traps",
            "Since the earlier file",
        ] {
            assert!(page.contains(part), "{part:?} is missing in\n{page}");
        }
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    }

    #[test]
    fn nothing_comes_from_a_network() {
        let page = page(&sample(), None);
        for word in ["http", "src=", "@import", "url("] {
            assert!(!page.contains(word), "{word}");
        }
    }
}
