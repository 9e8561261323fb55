//! Curves and dots as inline SVG.
//!
//! Colours are classes (`c0`, `c1`, …) of the page's style sheet, for light and dark. A series with more points than the
//! plot has columns is thinned to the lowest and the highest of each group of neighbours, so that no extreme is lost.

use std::fmt::Write as _;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 40.0;

/// Points of a series that are drawn.
const MAX_POINTS: usize = 1600;

/// One axis.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    pub label: &'static str,
    /// Equal distances are equal factors; values that are not positive lie at the lower end.
    pub logarithmic: bool,
    pub from: f64,
    pub to: f64,
}

impl Axis {
    /// From zero to a little more than the greatest value.
    pub fn linear(label: &'static str, values: impl Iterator<Item = f64>) -> Self {
        let to = values.fold(0.0, f64::max);
        Self { label, logarithmic: false, from: 0.0, to: if to > 0.0 { to * 1.05 } else { 1.0 } }
    }

    /// Around the positive values.
    pub fn logarithmic(label: &'static str, values: impl Iterator<Item = f64> + Clone) -> Self {
        let positive = values.filter(|value| *value > 0.0);
        let (from, to) = (positive.clone().fold(f64::INFINITY, f64::min), positive.fold(0.0, f64::max));
        let (from, to) = if to > 0.0 { (from / 1.3, to * 1.3) } else { (0.1, 1.0) };
        Self { label, logarithmic: true, from, to }
    }

    /// Where a value lies, from 0 to 1.
    fn share(&self, value: f64) -> f64 {
        let share = if self.logarithmic {
            (value.max(self.from) / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        share.clamp(0.0, 1.0)
    }

    /// Round values on the axis.
    fn ticks(&self) -> Vec<f64> {
        if self.logarithmic {
            let decades = self.from.log10().floor() as i32..=self.to.log10().ceil() as i32;
            let steps: &[f64] = if decades.clone().count() > 4 { &[1.0] } else { &[1.0, 2.0, 5.0] };
            let all = decades.flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)));
            return all.filter(|tick| (self.from..=self.to).contains(tick)).collect();
        }
        let raw = (self.to - self.from) / 5.0;
        let unit = 10f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * unit).into_iter().find(|step| *step >= raw);
        let step = step.unwrap_or(raw);
        (0..=8).map(|i| f64::from(i) * step).filter(|tick| *tick <= self.to).collect()
    }
}

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Line,
    Dots,
}

/// Points with one colour.
#[derive(Clone, Debug)]
pub struct Series {
    pub name: &'static str,
    /// Number of the colour.
    pub colour: usize,
    pub shape: Shape,
    pub points: Vec<(f64, f64)>,
}

/// The plot, with a legend when there are several series.
pub fn plot(x: Axis, y: Axis, series: &[Series]) -> String {
    let mut svg = String::new();
    if series.len() > 1 {
        let item = |series: &Series| format!("<span><i class=\"c{}\"></i>{}</span>", series.colour, series.name);
        _ = write!(svg, "<p class=\"legend\">{}</p>", series.iter().map(item).collect::<String>());
    }
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    let at = |point: (f64, f64)| (LEFT + (right - LEFT) * x.share(point.0), bottom - (bottom - TOP) * y.share(point.1));
    _ = write!(svg, "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">");
    for tick in y.ticks() {
        let (_, py) = at((x.from, tick));
        _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{py:.1}\" y2=\"{py:.1}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            py + 4.0,
            number(tick)
        );
    }
    for tick in x.ticks() {
        let (px, _) = at((tick, y.from));
        _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{px:.1}\" x2=\"{px:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
             <text x=\"{px:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            bottom + 15.0,
            number(tick)
        );
    }
    _ = write!(
        svg,
        "<text class=\"label\" x=\"{right}\" y=\"{}\" text-anchor=\"end\">{}</text>\
         <text class=\"label\" x=\"14\" y=\"{TOP}\" text-anchor=\"end\" transform=\"rotate(-90 14 {TOP})\">{}</text>",
        HEIGHT - 6.0,
        x.label,
        y.label
    );
    for series in series {
        svg += &draw(series, at);
    }
    svg + "</svg>"
}

fn draw(series: &Series, at: impl Fn((f64, f64)) -> (f64, f64)) -> String {
    let colour = series.colour;
    let points = thin(&series.points);
    let mut svg = String::new();
    match series.shape {
        Shape::Line => {
            _ = write!(svg, "<polyline class=\"c{colour}\" points=\"");
            for point in points {
                let (px, py) = at(point);
                _ = write!(svg, "{px:.1},{py:.1} ");
            }
            svg += "\"/>";
        }
        Shape::Dots => {
            for point in points {
                let (px, py) = at(point);
                let title = format!("{}: {} at {}", series.name, number(point.1), number(point.0));
                _ = write!(
                    svg,
                    "<circle class=\"c{colour}\" cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"2.5\"><title>{title}</title></circle>"
                );
            }
        }
    }
    svg
}

/// The lowest and the highest of each group of neighbours.
fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= MAX_POINTS {
        return points.to_vec();
    }
    let group = points.len().div_ceil(MAX_POINTS / 2);
    let mut thinned = Vec::new();
    for group in points.chunks(group) {
        let by_height = |&a: &usize, &b: &usize| group[a].1.total_cmp(&group[b].1);
        let lowest = (0..group.len()).min_by(by_height).unwrap_or(0);
        let highest = (0..group.len()).max_by(by_height).unwrap_or(0);
        thinned.push(group[lowest.min(highest)]);
        if lowest != highest {
            thinned.push(group[lowest.max(highest)]);
        }
    }
    thinned
}

/// A number with three digits, or all before the point.
pub fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let digits = value.abs().log10().floor() as i32;
    let decimals = usize::try_from(2 - digits).unwrap_or(0).min(6);
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let found: Vec<String> = [0.0, 1.0, 0.125, 12.34, 1234.5, 0.000_123_4].into_iter().map(number).collect();
        assert_eq!(found, ["0", "1", "0.125", "12.3", "1234", "0.000123"]);
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(Axis::linear("", [40.0].into_iter()).ticks(), [0.0, 10.0, 20.0, 30.0, 40.0]);
        assert_eq!(Axis::logarithmic("", [0.5, 20.0].into_iter()).ticks(), [0.5, 1.0, 2.0, 5.0, 10.0, 20.0]);
        assert!(!Axis::logarithmic("", std::iter::empty()).ticks().is_empty());
        assert!(!Axis::linear("", std::iter::empty()).ticks().is_empty());
    }

    #[test]
    fn thinning_keeps_the_extremes() {
        let mut points: Vec<(f64, f64)> = (0..100_000).map(|i| (f64::from(i), 1.0)).collect();
        points[54_321].1 = 9.0;
        points[12_345].1 = -9.0;
        let thinned = thin(&points);
        assert!(thinned.len() <= MAX_POINTS, "{}", thinned.len());
        assert!(thinned.contains(&(54_321.0, 9.0)) && thinned.contains(&(12_345.0, -9.0)));
        assert!(thinned.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn a_plot_has_axes_points_and_a_legend() {
        let series = |name, shape| Series { name, colour: 1, shape, points: vec![(0.0, 1.0), (2.0, 3.0)] };
        let x = Axis::linear("seconds", [2.0].into_iter());
        let y = Axis::linear("MiB", [3.0].into_iter());
        let svg = plot(x, y, &[series("used", Shape::Line), series("pause", Shape::Dots)]);
        for part in ["<polyline", "pause: 3 at 2", "class=\"legend\"", ">seconds<", ">MiB<"] {
            assert!(svg.contains(part), "{part} is missing in {svg}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        let empty = plot(Axis::linear("", std::iter::empty()), Axis::logarithmic("", std::iter::empty()), &[]);
        assert!(!empty.contains("NaN") && !empty.contains("inf"));
    }
}
