//! Percentiles, rates and utilisation of recorded collections.
//!
//! *Utilisation* of a window is the share of it in which the program ran. The least over all windows of a length says
//! what a request of that length can rely on ("minimum mutator utilisation", Cheng and Blelloch 2001). A window with
//! the least begins where a pause begins or ends where one ends, so only those are looked at, with a sum over the
//! pauses before each instant.

use super::{GcCollection, GcReport};
use std::time::Duration;

/// Percentiles that are shown.
pub const PERCENTILES: [f64; 4] = [50.0, 90.0, 99.0, 100.0];

/// The pauses of a run as intervals, in seconds.
#[derive(Clone, Debug)]
pub struct Pauses {
    /// Start and end, in order, without overlap.
    intervals: Vec<(f64, f64)>,
    /// Sum of the pauses before each.
    before: Vec<f64>,
    run: f64,
}

impl Pauses {
    pub fn of(report: &GcReport) -> Self {
        let pauses = report.collections.iter().map(|c| (c.start.as_secs_f64(), c.pause().as_secs_f64()));
        Self::new(pauses, report.run.as_secs_f64())
    }

    /// Of starts and lengths.
    fn new(pauses: impl Iterator<Item = (f64, f64)>, run: f64) -> Self {
        let (mut intervals, mut before): (Vec<(f64, f64)>, Vec<f64>) = (Vec::new(), Vec::new());
        let (mut sum, mut last) = (0.0, 0.0);
        for (start, length) in pauses {
            // Clocks are read at different places.
            let start = f64::max(start, last);
            before.push(sum);
            intervals.push((start, start + length));
            sum += length;
            last = start + length;
        }
        Self { intervals, before, run: run.max(last) }
    }

    /// The time that pauses took until an instant.
    fn paused_until(&self, instant: f64) -> f64 {
        let index = self.intervals.partition_point(|(start, _)| *start < instant);
        let Some(index) = index.checked_sub(1) else { return 0.0 };
        let (start, end) = self.intervals[index];
        self.before[index] + (instant.min(end) - start)
    }

    /// The least utilisation of a window of so many seconds.
    pub fn min_utilisation(&self, window: f64) -> f64 {
        let window = window.min(self.run);
        if window <= 0.0 {
            return if self.intervals.is_empty() { 1.0 } else { 0.0 };
        }
        let starts = self.intervals.iter().flat_map(|&(start, end)| [start, end - window]);
        let starts = starts.map(|start| start.clamp(0.0, self.run - window));
        let most = starts.map(|start| self.paused_until(start + window) - self.paused_until(start)).fold(0.0, f64::max);
        (1.0 - most / window).clamp(0.0, 1.0)
    }

    /// The curve: window in milliseconds, least utilisation in percent; windows from the shortest pause to the run.
    pub fn curve(&self) -> Vec<(f64, f64)> {
        /// Points on the curve.
        const POINTS: i32 = 60;
        let (from, to) = (1e-4f64, self.run.max(1e-3));
        let step = (to / from).powf(1.0 / f64::from(POINTS));
        (0..=POINTS)
            .map(|i| from * step.powi(i))
            .map(|window| (window * 1e3, self.min_utilisation(window) * 100.0))
            .collect()
    }
}

/// The value that so many percent do not exceed; of nothing it is zero.
pub fn percentile(sorted: &[Duration], percent: f64) -> Duration {
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or_default()
}

/// Times of something that happened in several collections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Times {
    pub count: usize,
    pub total: Duration,
    /// At each of [`PERCENTILES`].
    pub percentiles: [Duration; 4],
}

impl Times {
    pub fn of(times: impl Iterator<Item = Duration>) -> Self {
        let mut sorted: Vec<Duration> = times.collect();
        sorted.sort_unstable();
        let percentiles = PERCENTILES.map(|percent| percentile(&sorted, percent));
        Self { count: sorted.len(), total: sorted.iter().sum(), percentiles }
    }
}

/// Allocation between collections: the middle of the time in between in seconds, MiB per second of the program's time.
pub fn allocation_rates(collections: &[GcCollection]) -> Vec<(f64, f64)> {
    let mut last = Duration::ZERO;
    let mut rates = Vec::new();
    for collection in collections {
        let seconds = collection.start.saturating_sub(last).as_secs_f64();
        if seconds > 0.0 {
            let middle = last.as_secs_f64() + seconds / 2.0;
            rates.push((middle, mebibytes(collection.allocated_bytes) / seconds));
        }
        last = collection.start + collection.pause();
    }
    rates
}

/// What survived its first collection: the time of each minor collection in seconds, and the bytes that became old.
pub fn promotions(collections: &[GcCollection]) -> Vec<(f64, u64)> {
    let mut live = 0;
    let mut found = Vec::new();
    for collection in collections {
        if !collection.is_major {
            found.push((collection.start.as_secs_f64(), collection.live_bytes.saturating_sub(live)));
        }
        live = collection.live_bytes;
    }
    found
}

pub fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(intervals: &[(f64, f64)], run: f64) -> Pauses {
        Pauses::new(intervals.iter().copied(), run)
    }

    #[test]
    fn utilisation_is_the_least_of_any_window() {
        // Pauses at 1-2 and 3-4 of 10 seconds.
        let two = pauses(&[(1.0, 1.0), (3.0, 1.0)], 10.0);
        for (window, expected) in
            [(0.5, 0.0), (1.0, 0.0), (2.0, 0.5), (3.0, 1.0 / 3.0), (4.0, 0.5), (10.0, 0.8), (99.0, 0.8)]
        {
            let found = two.min_utilisation(window);
            assert!((found - expected).abs() < 1e-9, "{window}: {found}, expected {expected}");
        }
    }

    #[test]
    fn every_window_of_a_run_without_pauses_is_the_programs() {
        assert_eq!(pauses(&[], 1.0).min_utilisation(0.1), 1.0);
        assert_eq!(pauses(&[], 0.0).min_utilisation(0.1), 1.0);
        assert!(pauses(&[], 1.0).curve().iter().all(|(_, percent)| *percent == 100.0));
    }

    #[test]
    fn brute_force_finds_the_same() {
        let all = [(0.1, 0.05), (0.2, 0.01), (0.22, 0.03), (0.6, 0.2), (0.81, 0.02)];
        let found = pauses(&all, 1.0);
        for window in [0.01, 0.05, 0.13, 0.3, 0.7] {
            let paused =
                |from: f64| all.iter().map(|&(s, l)| ((s + l).min(from + window) - s.max(from)).max(0.0)).sum::<f64>();
            let most = (0..=10_000).map(|i| paused(f64::from(i) / 10_000.0 * (1.0 - window))).fold(0.0, f64::max);
            assert!((found.min_utilisation(window) - (1.0 - most / window)).abs() < 1e-2, "{window}");
        }
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let times = Times::of((1..=200).rev().map(Duration::from_millis));
        assert_eq!(times.percentiles, [100, 180, 198, 200].map(Duration::from_millis));
        assert_eq!((times.count, times.total), (200, Duration::from_millis(20_100)));
        assert_eq!(Times::of(std::iter::empty()).percentiles, [Duration::ZERO; 4]);
    }

    fn collection(start_ms: u64, is_major: bool, allocated: u64, live: u64) -> GcCollection {
        GcCollection {
            start: Duration::from_millis(start_ms),
            is_major,
            cause: "budget",
            phases: vec![("trace", Duration::from_millis(500))],
            before_bytes: 0,
            allocated_bytes: allocated << 20,
            live_bytes: live << 20,
            heap_bytes: 0,
            moved_bytes: 0,
        }
    }

    #[test]
    fn rates_are_of_the_programs_own_time() {
        let all = [collection(1000, false, 32, 1), collection(2000, false, 32, 3), collection(3000, true, 8, 2)];
        assert_eq!(allocation_rates(&all), [(0.5, 32.0), (1.75, 64.0), (2.75, 16.0)]);
        assert_eq!(promotions(&all), [(1.0, 1 << 20), (2.0, 2 << 20)]);
    }
}
