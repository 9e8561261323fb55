//! Curves as Markdown and as one picture that stands alone.

use super::{Curve, Curves, FACTORS, Size};
use crate::chart::{Line, lines, picture};
use crate::statistics::median;
use crate::text::{number, on_machine};
use std::fmt::Write as _;

/// A table: for each size of the heap the time of a call in parts of that without a limit, the collector's share, and
/// the collections of the whole heap in a process.
#[must_use]
pub fn report(curves: &Curves) -> String {
    let mut text = format!("{}\n\n| program | live MiB |", on_machine(&curves.machine, &curves.engine.title));
    let columns = columns();
    columns.iter().for_each(|column| _ = write!(text, " {column} |"));
    _ = write!(text, "\n|---|---|{}", "---|".repeat(columns.len()));
    for curve in &curves.programs {
        _ = write!(text, "\n| {} | {} |", curve.program, number(curve.live_bytes as f64 / f64::from(1 << 20)));
        for (size, ratio) in curve.sizes.iter().zip(ratios(curve)) {
            _ = match (&size.failure, ratio) {
                (None, Some(ratio)) => write!(
                    text,
                    " {}, {} %, {} |",
                    number(ratio),
                    number(100.0 * median(&size.gc_share).unwrap_or(0.0)),
                    size.major
                ),
                (failure, _) => write!(text, " {} |", failure.as_deref().unwrap_or("–").replace('|', "/")),
            };
        }
    }
    text + "\n\nTime of a call by that without a limit, the collector's share, and major collections in a process.\n"
}

/// Both curves of all programs.
#[must_use]
pub fn svg(curves: &Curves) -> String {
    let line = |values: fn(&Curve) -> Vec<Option<f64>>| -> Vec<Line> {
        curves.programs.iter().map(|curve| Line { label: curve.program.clone(), values: values(curve) }).collect()
    };
    let shares = |curve: &Curve| {
        let share = |size: &Size| Some(100.0 * median(&size.gc_share)?);
        curve.sizes.iter().map(|size| share(size).filter(|_| size.failure.is_none())).collect()
    };
    let columns = columns();
    picture(&[
        lines("time of a call, by that without a limit", &columns, &line(ratios)),
        lines("collector's share of the time, in %", &columns, &line(shares)),
    ])
}

fn columns() -> Vec<String> {
    FACTORS.iter().map(|factor| format!("{factor} x")).chain(["no limit".to_owned()]).collect()
}

/// Median times by that without a limit.
fn ratios(curve: &Curve) -> Vec<Option<f64>> {
    let time = |size: &Size| median(&size.steady_ms).filter(|_| size.failure.is_none());
    let unlimited = curve.sizes.last().and_then(time);
    curve.sizes.iter().map(|size| Some(time(size)? / unlimited?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs::{Size as Work, Variant};
    use crate::results::{Engine, Machine, Settings};

    fn curves() -> Curves {
        let size = |ms: f64| Size { steady_ms: vec![ms, ms], gc_share: vec![ms / 100.0], major: 3, ..Size::default() };
        let failed = Size { failure: Some("trap: out of memory".into()), ..Size::default() };
        let sizes = vec![failed, size(40.0), size(30.0), size(20.0), size(15.0), size(12.0), size(10.0)];
        Curves {
            machine: Machine::default(),
            settings: Settings { variant: Variant::Opt, size: Work::Tiny, calls: 2, warm_mib: 0 },
            engine: Engine { key: "dolmen".into(), title: "dolmen 1".into(), build: String::new() },
            programs: vec![Curve { program: "trees".into(), live_bytes: 3 << 20, sizes }],
        }
    }

    #[test]
    fn failures_have_a_word_in_the_table() {
        let text = report(&curves());
        assert!(text.contains("| trees | 3.00 | trap: out of memory | 4.00, 40.0 %, 3 | 3.00, 30.0 %, 3 |"), "{text}");
        assert!(text.contains("| 1.00, 10.0 %, 3 |"), "{text}");
    }

    #[test]
    fn failures_have_a_cross_in_the_picture() {
        let svg = svg(&curves());
        assert_eq!(svg.matches("<circle").count(), 12, "{svg}");
        assert_eq!(svg.matches("class=\"cross").count(), 2, "{svg}");
        assert!(svg.starts_with("<svg xmlns=") && svg.contains("<title>trees, 1.25 x: 4.00</title>"), "{svg}");
    }
}
