//! Dots with their spread, and lines, on a logarithmic axis, as SVG.
//!
//! Times of the programs differ by factors, and so do ratios: on a logarithmic axis equal distances are equal factors,
//! and a dot needs no zero as a bar does. Of [`dots`] a row is a program, a colour an engine; of [`lines()`] a column is a
//! setting, a colour a program, and a cross stands where there is no figure. Colours are classes of the page's style
//! sheet, for light and dark; a [`picture`] brings that along. Titles of dots show the numbers under the pointer.

use crate::text::number;
use std::fmt::Write as _;

const LABELS_WIDTH: f64 = 120.0;
const PLOT_WIDTH: f64 = 720.0;
const ROW_HEIGHT: f64 = 26.0;
const HEAD_HEIGHT: f64 = 24.0;
const RIGHT_MARGIN: f64 = 24.0;

/// Height of a part of a picture.
const LINES_HEIGHT: f64 = 320.0;

/// A program.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub label: String,
    pub points: Vec<Point>,
}

/// A figure of an engine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Which of the series.
    pub series: usize,
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

/// The chart; `reference` draws a line at that value. Nothing without positive values.
#[must_use]
pub fn dots(rows: &[Row], series: &[String], reference: Option<f64>) -> String {
    let points = rows.iter().flat_map(|row| &row.points).flat_map(|point| [point.low, point.high]);
    let positive: Vec<f64> = points.chain(reference).filter(|value| *value > 0.0 && value.is_finite()).collect();
    let Some(axis) = Axis::around(&positive) else { return String::new() };
    let (width, height) =
        (LABELS_WIDTH + PLOT_WIDTH + RIGHT_MARGIN, HEAD_HEIGHT + ROW_HEIGHT * rows.len() as f64 + 8.0);
    let mut svg = format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\">");
    for tick in axis.ticks() {
        let x = axis.x(tick);
        _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{HEAD_HEIGHT}\" y2=\"{height}\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            HEAD_HEIGHT - 8.0,
            tick_label(tick)
        );
    }
    if let Some(value) = reference {
        let x = axis.x(value);
        _ = write!(svg, "<line class=\"reference\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{HEAD_HEIGHT}\" y2=\"{height}\"/>");
    }
    for (index, row) in rows.iter().enumerate() {
        let top = HEAD_HEIGHT + ROW_HEIGHT * index as f64;
        let middle = top + ROW_HEIGHT / 2.0;
        _ = write!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LABELS_WIDTH - 8.0,
            middle + 4.0,
            escape(&row.label)
        );
        // Dots of equal values would hide each other on one line.
        let step = (ROW_HEIGHT - 8.0) / series.len().max(1) as f64;
        for point in row.points.iter().filter(|point| point.value > 0.0) {
            let y = top + 4.0 + step * (point.series as f64 + 0.5);
            svg += &dot(&axis, point, y, &row.label, &series[point.series]);
        }
    }
    svg + "</svg>"
}

fn dot(axis: &Axis, point: &Point, y: f64, program: &str, engine: &str) -> String {
    let class = point.series % 8;
    format!(
        "<g class=\"s{class}\"><title>{}, {}: {}</title>\
         <line class=\"spread\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
         <circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"{}\"/></g>",
        escape(program),
        escape(engine),
        number(point.value),
        axis.x(point.low),
        axis.x(point.high),
        axis.x(point.value),
        if point.series == 0 { 4.0 } else { 3.0 }
    )
}

/// A line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub label: String,
    /// One for each column; none is a cross.
    pub values: Vec<Option<f64>>,
}

/// A part of a [`picture`]: lines over columns, with a heading and a legend. Nothing without positive values.
#[must_use]
pub fn lines(heading: &str, columns: &[String], lines: &[Line]) -> String {
    let values = lines.iter().flat_map(|line| &line.values).flatten();
    let Some(axis) = Axis::around(&values.copied().filter(|value| *value > 0.0).collect::<Vec<_>>()) else {
        return String::new();
    };
    let grid = Grid { axis, columns };
    let mut svg = format!("<text class=\"heading\" x=\"{LABELS_WIDTH}\" y=\"16\">{}</text>", escape(heading));
    svg += &grid.draw();
    for (series, line) in lines.iter().enumerate() {
        let left = LABELS_WIDTH + PLOT_WIDTH / lines.len() as f64 * series as f64;
        _ = write!(
            svg,
            "<g class=\"s{}\"><rect x=\"{left:.1}\" y=\"26\" width=\"10\" height=\"10\"/>{}</g>\
             <text x=\"{:.1}\" y=\"35\">{}</text>",
            series % 8,
            grid.line(series, line),
            left + 16.0,
            escape(&line.label)
        );
    }
    svg
}

/// The plane of [`lines()`].
struct Grid<'a> {
    axis: Axis,
    columns: &'a [String],
}

impl Grid<'_> {
    const TOP: f64 = HEAD_HEIGHT * 2.0;
    const BOTTOM: f64 = LINES_HEIGHT - HEAD_HEIGHT;

    fn x(&self, column: usize) -> f64 {
        LABELS_WIDTH + PLOT_WIDTH / self.columns.len() as f64 * (column as f64 + 0.5)
    }

    fn y(&self, value: f64) -> f64 {
        Self::BOTTOM - (Self::BOTTOM - Self::TOP) * self.axis.share(value)
    }

    fn draw(&self) -> String {
        let mut svg = String::new();
        for tick in self.axis.ticks() {
            _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LABELS_WIDTH}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LABELS_WIDTH + PLOT_WIDTH,
                LABELS_WIDTH - 8.0,
                self.y(tick) + 4.0,
                tick_label(tick),
                y = self.y(tick),
            );
        }
        for (index, column) in self.columns.iter().enumerate() {
            let (x, y) = (self.x(index), Self::BOTTOM + 16.0);
            _ = write!(svg, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{}</text>", escape(column));
        }
        svg
    }

    fn line(&self, series: usize, line: &Line) -> String {
        let values = || line.values.iter().enumerate();
        let point = |(column, value): (usize, &Option<f64>)| {
            value.map(|value| format!("{:.1},{:.1}", self.x(column), self.y(value)))
        };
        let points: Vec<String> = values().filter_map(point).collect();
        let mut svg = format!("<polyline class=\"line\" points=\"{}\"/>", points.join(" "));
        for (column, value) in values() {
            let name = format!("{}, {}", escape(&line.label), escape(&self.columns[column]));
            let x = self.x(column);
            svg += &match value {
                Some(value) => {
                    let (y, value) = (self.y(*value), number(*value));
                    format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"><title>{name}: {value}</title></circle>")
                }
                // Crosses of several lines stand side by side.
                None => {
                    let (x, y) = (x - 4.0 + 10.0 * series as f64, Self::TOP);
                    format!(
                        "<path class=\"cross\" d=\"M{x:.1} {y}l8 8m0 -8l-8 8\"><title>{name}: failed</title></path>"
                    )
                }
            };
        }
        svg
    }
}

/// A file of its own: parts below each other.
#[must_use]
pub fn picture(parts: &[String]) -> String {
    let (width, height) = (LABELS_WIDTH + PLOT_WIDTH + RIGHT_MARGIN, LINES_HEIGHT * parts.len() as f64);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\"><style>{}</style>\
         <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>",
        include_str!("chart.css")
    );
    for (index, part) in parts.iter().enumerate() {
        _ = write!(svg, "<g transform=\"translate(0 {})\">{part}</g>", LINES_HEIGHT * index as f64);
    }
    svg + "</svg>\n"
}

/// A logarithmic axis.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Axis {
    from: f64,
    to: f64,
}

impl Axis {
    /// With some space around these positive values.
    fn around(values: &[f64]) -> Option<Self> {
        let from = values.iter().copied().reduce(f64::min)? / 1.15;
        let to = values.iter().copied().reduce(f64::max)? * 1.15;
        Some(Self { from, to })
    }

    /// Where a value lies, from 0 to 1.
    fn share(&self, value: f64) -> f64 {
        ((value.max(self.from) / self.from).ln() / (self.to / self.from).ln()).min(1.0)
    }

    fn x(&self, value: f64) -> f64 {
        LABELS_WIDTH + PLOT_WIDTH * self.share(value)
    }

    /// 1, 2, 5, 10, … within the axis; powers of ten alone if it is long.
    fn ticks(&self) -> Vec<f64> {
        let decades = self.from.log10().floor() as i32..=self.to.log10().ceil() as i32;
        let steps: &[f64] = if decades.clone().count() > 6 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let all = decades.flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)));
        all.filter(|tick| (self.from..=self.to).contains(tick)).collect()
    }
}

fn tick_label(tick: f64) -> String {
    // Powers of ten are not exact below one.
    let text = format!("{tick:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Text in a page.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = Axis::around(&[0.3, 40.0]).unwrap();
        assert_eq!(axis.ticks().into_iter().map(tick_label).collect::<Vec<_>>(), ["0.5", "1", "2", "5", "10", "20"]);
        assert_eq!(Axis::around(&[]), None);
    }

    #[test]
    fn equal_factors_are_equal_distances() {
        let axis = Axis { from: 1.0, to: 100.0 };
        assert!((axis.x(10.0) - axis.x(1.0) - (axis.x(100.0) - axis.x(10.0))).abs() < 1e-9);
        assert!((axis.x(1.0) - LABELS_WIDTH).abs() < 1e-9);
    }

    #[test]
    fn lines_have_points_and_crosses() {
        let line = Line { label: "a&b".into(), values: vec![None, Some(2.0), Some(1.0)] };
        let svg = lines("time", &["1".into(), "2".into(), "3".into()], &[line]);
        assert_eq!((svg.matches("<circle").count(), svg.matches("class=\"cross\"").count()), (2, 1));
        assert!(svg.contains("<title>a&amp;b, 2: 2.00</title>") && !svg.contains("NaN"), "{svg}");
        assert_eq!(lines("time", &[], &[]), "");
    }

    #[test]
    fn every_point_is_drawn_with_its_number() {
        let point = |series, value| Point { series, value, low: value * 0.9, high: value * 1.1 };
        let rows = [Row { label: "a<b".into(), points: vec![point(0, 2.0), point(1, 8.0), point(1, 0.0)] }];
        let svg = dots(&rows, &["x".into(), "y".into()], Some(1.0));
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("<title>a&lt;b, y: 8.00</title>") && svg.contains("class=\"reference\""), "{svg}");
        assert_eq!(dots(&[], &[], None), "");
    }
}
