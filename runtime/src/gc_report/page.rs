//! The page: summary, plots, tables, and the records as JSON for other programs.

use super::analysis::{PERCENTILES, Pauses, Times, allocation_rates, mebibytes, promotions};
use super::plot::{Axis, Series, Shape, number, plot};
use super::{GcCollection, GcReport};
use crate::store::TypeCensus;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

/// Types that are shown; the others are summed up.
const MAX_TYPES: usize = 25;

/// Windows whose utilisation the summary names, in milliseconds.
const WINDOWS_MS: [u64; 3] = [10, 50, 100];

pub fn write(report: &GcReport, title: &str, out: &mut dyn Write) -> io::Result<()> {
    let title = escape(title);
    write!(
        out,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title}: collections</title><style>{}</style><h1>{title}</h1>",
        include_str!("page.css")
    )?;
    out.write_all(summary(report).as_bytes())?;
    for section in [heap, pauses, phases, utilisation, allocation, promotion] {
        out.write_all(section(report).as_bytes())?;
    }
    out.write_all(types(report).as_bytes())?;
    write!(out, "<script type=\"application/json\" id=\"records\">{}</script></html>", records(report))?;
    writeln!(out)
}

fn summary(report: &GcReport) -> String {
    let stats = &report.stats;
    let run = report.run.as_secs_f64();
    let all = Times::of(report.collections.iter().map(GcCollection::pause));
    let utilisation = Pauses::of(report);
    let share = if run > 0.0 { 100.0 * stats.total.as_secs_f64() / run } else { 0.0 };
    let mut rows = vec![
        ("collector".to_owned(), report.collector.to_owned()),
        ("time since the store was made".to_owned(), format!("{} ms", ms(report.run))),
        ("collections".to_owned(), format!("{} ({} minor, {} major)", stats.collections, stats.minor, stats.major)),
        ("pauses".to_owned(), format!("{} ms, {} % of the time", ms(stats.total), number(share))),
    ];
    for (percent, pause) in PERCENTILES.iter().zip(all.percentiles) {
        let name = if *percent == 100.0 { "longest pause".to_owned() } else { format!("pause, p{percent}") };
        rows.push((name, format!("{} ms", ms(pause))));
    }
    let peak = report.collections.iter().map(|c| c.heap_bytes).max().unwrap_or(0).max(stats.heap_bytes);
    rows.push(("allocated".to_owned(), mib(stats.allocated_bytes)));
    rows.push((
        "allocation rate".to_owned(),
        format!("{} MiB/s", number(mebibytes(stats.allocated_bytes) / run.max(1e-9))),
    ));
    rows.push(("live after the last collection".to_owned(), mib(stats.live_bytes)));
    let moved = report.collections.iter().filter(|c| c.moved_bytes > 0).count();
    rows.push((
        "moved to make the heap compact".to_owned(),
        format!("{} in {moved} collections", mib(stats.moved_bytes)),
    ));
    rows.push(("largest heap at a collection or at the end".to_owned(), mib(peak)));
    for window in WINDOWS_MS {
        let percent = 100.0 * utilisation.min_utilisation(Duration::from_millis(window).as_secs_f64());
        rows.push((format!("least utilisation of {window} ms"), format!("{} %", number(percent))));
    }
    let rows: String = rows.iter().map(|(name, value)| format!("<tr><td>{name}</td><td>{value}</td></tr>")).collect();
    let omitted = match report.omitted {
        0 => String::new(),
        count => format!("<p class=\"note\">The plots leave out the last {count} collections; the totals do not.</p>"),
    };
    format!("<table id=\"summary\">{rows}</table>{omitted}")
}

fn heap(report: &GcReport) -> String {
    let (mut used, mut live, mut committed) = (vec![(0.0, 0.0)], Vec::new(), Vec::new());
    for c in &report.collections {
        let (start, end) = (c.start.as_secs_f64(), (c.start + c.pause()).as_secs_f64());
        used.extend([(start, mebibytes(c.before_bytes)), (end, mebibytes(c.live_bytes))]);
        live.push((end, mebibytes(c.live_bytes)));
        committed.push((end, mebibytes(c.heap_bytes)));
    }
    let run = report.run.as_secs_f64();
    committed.push((run, mebibytes(report.stats.heap_bytes)));
    let values = used.iter().chain(&committed).map(|point| point.1);
    let y = Axis::linear("MiB", values);
    let series = [
        Series { name: "committed", colour: 2, shape: Shape::Line, points: committed },
        Series { name: "used", colour: 1, shape: Shape::Line, points: used },
        Series { name: "live after a collection", colour: 0, shape: Shape::Line, points: live },
    ];
    section(
        "Heap",
        "Used: objects, dead ones included, at the begin and the end of each pause. Committed: memory that holds objects \
         or is kept for them.",
        &plot(time_axis(report), y, &series),
    )
}

fn pauses(report: &GcReport) -> String {
    let of = |is_major: bool| -> Vec<(f64, f64)> {
        let chosen = report.collections.iter().filter(|c| c.is_major == is_major);
        chosen.map(|c| (c.start.as_secs_f64(), c.pause().as_secs_f64() * 1e3)).collect()
    };
    let (minor, major) = (of(false), of(true));
    let y = Axis::logarithmic("pause, ms", minor.iter().chain(&major).map(|point| point.1));
    let series = [
        Series { name: "minor", colour: 1, shape: Shape::Dots, points: minor },
        Series { name: "major", colour: 0, shape: Shape::Dots, points: major },
    ];
    section("Pauses", "Each collection stops the program.", &plot(time_axis(report), y, &series))
}

fn phases(report: &GcReport) -> String {
    let mut table =
        String::from("<table id=\"pauses\"><tr><th>kind, phase</th><th>count</th><th>total ms</th><th>% of all</th>");
    for percent in PERCENTILES {
        let name = if percent == 100.0 { "max".to_owned() } else { format!("p{percent}") };
        _ = write!(table, "<th>{name} ms</th>");
    }
    table += "</tr>";
    let all: Duration = report.collections.iter().map(GcCollection::pause).sum();
    let mut row = |name: &str, times: &Times| {
        let share = if all.is_zero() { 0.0 } else { 100.0 * times.total.as_secs_f64() / all.as_secs_f64() };
        let cells: String = times.percentiles.iter().map(|time| format!("<td>{}</td>", ms(*time))).collect();
        let (count, total) = (times.count, ms(times.total));
        _ = write!(table, "<tr><td>{name}</td><td>{count}</td><td>{total}</td><td>{}</td>{cells}</tr>", number(share));
    };
    for (kind, is_major) in [("minor", false), ("major", true)] {
        let chosen: Vec<&GcCollection> = report.collections.iter().filter(|c| c.is_major == is_major).collect();
        let Some(first) = chosen.first() else { continue };
        row(&format!("<b>{kind}</b>"), &Times::of(chosen.iter().map(|c| c.pause())));
        for (index, (phase, _)) in first.phases.iter().enumerate() {
            let times = chosen.iter().filter_map(|c| c.phases.get(index)).map(|(_, time)| *time);
            row(&format!("{kind}, {phase}"), &Times::of(times));
        }
    }
    table += "</table>";
    section("Pauses by kind and phase", "Percentiles are of each row alone: those of phases do not add up.", &table)
}

fn utilisation(report: &GcReport) -> String {
    let curve = Pauses::of(report).curve();
    let x = Axis::logarithmic("window, ms", curve.iter().map(|point| point.0));
    let y = Axis { label: "%", logarithmic: false, from: 0.0, to: 105.0 };
    let series = [Series { name: "utilisation", colour: 2, shape: Shape::Line, points: curve }];
    section(
        "Least utilisation",
        "Of any window of this length, at least this share was the program's (minimum mutator utilisation).",
        &plot(x, y, &series),
    )
}

fn allocation(report: &GcReport) -> String {
    let rates = allocation_rates(&report.collections);
    let y = Axis::linear("MiB/s", rates.iter().map(|point| point.1));
    let series = [Series { name: "allocation", colour: 1, shape: Shape::Line, points: rates }];
    section(
        "Allocation rate",
        "Bytes handed out between two collections, by the time that the program ran in between.",
        &plot(time_axis(report), y, &series),
    )
}

fn promotion(report: &GcReport) -> String {
    let promoted: Vec<(f64, f64)> =
        promotions(&report.collections).into_iter().map(|(at, bytes)| (at, mebibytes(bytes))).collect();
    if promoted.is_empty() {
        return String::new();
    }
    let total: f64 = promoted.iter().map(|point| point.1).sum();
    let allocated: u64 = report.collections.iter().filter(|c| !c.is_major).map(|c| c.allocated_bytes).sum();
    let share = if allocated == 0 { 0.0 } else { 100.0 * total / mebibytes(allocated) };
    let seconds = report.run.as_secs_f64().max(1e-9);
    let y = Axis::linear("MiB promoted", promoted.iter().map(|point| point.1));
    let series = [Series { name: "promoted", colour: 3, shape: Shape::Dots, points: promoted }];
    let note = format!(
        "What survived the first collection after it was allocated: {} MiB, {} MiB/s, {} % of what was allocated before \
         minor collections.",
        number(total),
        number(total / seconds),
        number(share)
    );
    section("Promotion", &note, &plot(time_axis(report), y, &series))
}

fn types(report: &GcReport) -> String {
    let allocation = section(
        "Allocation by type",
        "An estimate by sampling: whenever a thread has used up its piece of memory, the next piece is counted for the \
         type whose allocation did not fit any more. Many samples make it exact; few leave out rare types.",
        &type_table(&report.allocation, "samples"),
    );
    let live = section(
        "Live by type",
        "A census at the end: every object that was reachable then.",
        &type_table(&report.live, "objects"),
    );
    allocation + &live
}

fn type_table(types: &[TypeCensus], counted: &str) -> String {
    let total: u64 = types.iter().map(|ty| ty.bytes).sum();
    let mut table = format!("<table><tr><th>type</th><th>{counted}</th><th>KiB</th><th>%</th><th></th></tr>");
    let (shown, others) = types.split_at(types.len().min(MAX_TYPES));
    let mut row = |name: &str, objects: u64, bytes: u64| {
        let percent = if total == 0 { 0.0 } else { 100.0 * bytes as f64 / total as f64 };
        _ = write!(
            table,
            "<tr><td class=\"name\" title=\"{name}\">{name}</td><td>{objects}</td><td>{}</td><td>{}</td>\
             <td class=\"bar\"><i style=\"width:{percent:.1}%\"></i></td></tr>",
            number(bytes as f64 / 1024.0),
            number(percent)
        );
    };
    for ty in shown {
        row(&escape(&ty.name), ty.objects, ty.bytes);
    }
    if !others.is_empty() {
        let sum = |value: fn(&TypeCensus) -> u64| others.iter().map(value).sum();
        row(&format!("{} others", others.len()), sum(|ty| ty.objects), sum(|ty| ty.bytes));
    }
    table + "</table>"
}

/// All records; times in milliseconds.
fn records(report: &GcReport) -> String {
    let millis = |time: Duration| time.as_nanos() as f64 / 1e6;
    let mut json = format!("{{\"run_ms\":{},\"collections\":[", millis(report.run));
    for (index, c) in report.collections.iter().enumerate() {
        let kind = if c.is_major { "major" } else { "minor" };
        _ = write!(
            json,
            "{}{{\"start_ms\":{},\"kind\":\"{kind}\",\"cause\":\"{}\",\"before_bytes\":{},\"allocated_bytes\":{},\
             \"live_bytes\":{},\"heap_bytes\":{},\"moved_bytes\":{},\"phases_ms\":{{",
            if index == 0 { "" } else { ",\n" },
            millis(c.start),
            c.cause,
            c.before_bytes,
            c.allocated_bytes,
            c.live_bytes,
            c.heap_bytes,
            c.moved_bytes
        );
        for (index, (phase, time)) in c.phases.iter().enumerate() {
            _ = write!(json, "{}\"{phase}\":{}", if index == 0 { "" } else { "," }, millis(*time));
        }
        json += "}}";
    }
    json + "]}"
}

fn section(title: &str, note: &str, content: &str) -> String {
    format!("<h2>{title}</h2><p class=\"note\">{note}</p>{content}")
}

fn time_axis(report: &GcReport) -> Axis {
    let to = report.run.as_secs_f64().max(1e-6);
    Axis { label: "seconds since the store was made", logarithmic: false, from: 0.0, to }
}

fn ms(time: Duration) -> String {
    number(time.as_secs_f64() * 1e3)
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", number(mebibytes(bytes)))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::GcStats;

    fn report(count: u64) -> GcReport {
        let collection = |i: u64| GcCollection {
            start: Duration::from_millis(100 * (i + 1)),
            is_major: i % 4 == 3,
            cause: "budget",
            phases: vec![("stop", Duration::from_micros(10)), ("trace", Duration::from_millis(i + 1))],
            before_bytes: 40 << 20,
            allocated_bytes: 32 << 20,
            live_bytes: (8 + i) << 20,
            heap_bytes: 64 << 20,
            moved_bytes: (i % 2) << 20,
        };
        let census = |name: &str, bytes| TypeCensus { name: name.into(), objects: 3, bytes };
        GcReport {
            collections: (0..count).map(collection).collect(),
            omitted: 0,
            allocation: vec![census("Tree<Node>", 3072), census("Leaf", 1024)],
            live: (0..30).map(|i| census(&format!("t{i}"), 1000)).collect(),
            run: Duration::from_secs(1),
            stats: GcStats { collections: count, moved_bytes: (count / 2) << 20, ..GcStats::default() },
            collector: "generational",
        }
    }

    fn page(report: &GcReport) -> String {
        let mut bytes = Vec::new();
        write(report, "a & b", &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_page_has_all_sections_and_numbers() {
        let page = page(&report(8));
        for part in [
            "<h1>a &amp; b</h1>",
            "<tr><td>longest pause</td><td>8.01 ms</td></tr>",
            "<tr><td>pause, p50</td><td>4.01 ms</td></tr>",
            "<tr><td>moved to make the heap compact</td><td>4 MiB in 4 collections</td></tr>",
            "\"moved_bytes\":1048576,\"phases_ms\"",
            "<td>minor, trace</td><td>6</td><td>24</td>",
            "<td>major, trace</td><td>2</td><td>12</td>",
            "Tree&lt;Node&gt;</td><td>3</td><td>3</td><td>75</td>",
            "5 others</td><td>15</td>",
            "\"kind\":\"major\"",
        ] {
            assert!(page.contains(part), "{part:?} is missing in\n{page}");
        }
        assert_eq!(page.matches("<svg").count(), 5);
    }

    #[test]
    fn a_page_without_collections_is_one() {
        let page = page(&report(0));
        assert!(page.contains("<td>0 (0 minor, 0 major)</td>") && page.ends_with("</html>\n"));
        assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
    }

    #[test]
    fn nothing_comes_from_a_network() {
        let page = page(&report(2));
        for word in ["http", "src=", "@import", "url("] {
            assert!(!page.contains(word), "{word}");
        }
    }
}
