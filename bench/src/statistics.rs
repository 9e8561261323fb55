//! Medians, spreads and means of few, noisy figures.
//!
//! Times on a shared machine have a floor and a long tail: medians and quartiles stay where they are when one of five
//! processes was disturbed, means and standard deviations do not. Nothing here divides by zero: without figures there
//! is no median, and with one the spread is unknown.

/// Median and quartiles of a set of figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distribution {
    pub median: f64,
    /// First and third quartile.
    pub low: f64,
    pub high: f64,
    /// How many figures.
    pub count: usize,
}

impl Distribution {
    /// Of these figures, or `None` if there are none.
    #[must_use]
    pub fn of(figures: &[f64]) -> Option<Self> {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            median: quantile(&sorted, 0.5)?,
            low: quantile(&sorted, 0.25)?,
            high: quantile(&sorted, 0.75)?,
            count: sorted.len(),
        })
    }

    /// Half of the distance of the quartiles as a share of the median; `None` for a single figure.
    #[must_use]
    pub fn relative_spread(&self) -> Option<f64> {
        (self.count > 1 && self.median > 0.0).then(|| (self.high - self.low) / 2.0 / self.median)
    }
}

/// The median, or `None` without figures.
#[must_use]
pub fn median(figures: &[f64]) -> Option<f64> {
    Distribution::of(figures).map(|distribution| distribution.median)
}

/// The geometric mean of positive figures: the right mean of ratios. `None` without figures.
#[must_use]
pub fn geometric_mean(figures: &[f64]) -> Option<f64> {
    let sum: f64 = figures.iter().map(|figure| figure.ln()).sum();
    (!figures.is_empty()).then(|| (sum / figures.len() as f64).exp())
}

/// The value below which this share of sorted figures lies, between neighbours in proportion.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let position = share * last as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(last);
    Some(sorted[below] + (sorted[above] - sorted[below]) * position.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_counts() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn quartiles_lie_between_neighbours() {
        let found = Distribution::of(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert_eq!(found, Distribution { median: 3.0, low: 2.0, high: 4.0, count: 5 });
        let found = Distribution::of(&[1.0, 2.0]).unwrap();
        assert_eq!((found.low, found.median, found.high), (1.25, 1.5, 1.75));
    }

    #[test]
    fn one_outlier_of_five_does_not_move_the_median() {
        let calm = Distribution::of(&[10.0, 10.1, 10.2, 10.3, 10.4]).unwrap();
        let disturbed = Distribution::of(&[10.0, 10.1, 10.2, 10.3, 99.0]).unwrap();
        assert_eq!(calm.median, disturbed.median);
        assert!((calm.relative_spread().unwrap() - 0.0098).abs() < 1e-4);
    }

    #[test]
    fn the_spread_of_one_figure_is_unknown() {
        assert_eq!(Distribution::of(&[7.0]).unwrap().relative_spread(), None);
    }

    #[test]
    fn geometric_means_are_those_of_ratios() {
        assert!((geometric_mean(&[0.5, 2.0]).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(geometric_mean(&[]), None);
    }
}
