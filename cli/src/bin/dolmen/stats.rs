//! What `--stats` prints: where the time went, and what the collector did.

use dolmen::GcStats;
use serde::Serialize;
use std::fs;
use std::time::Duration;

/// Where the kernel tells how much memory this process had at most.
const PROCESS_STATUS: &str = "/proc/self/status";

/// The line of [`PROCESS_STATUS`] that does, in units of 1024 bytes.
const PEAK_LINE: &str = "VmHWM:";

/// Times of a run.
#[derive(Clone, Debug, Default)]
pub struct Times {
    pub compile: Duration,
    pub load: Duration,
    pub instantiate: Duration,
    pub calls: Vec<Duration>,
}

#[derive(Debug, Serialize)]
struct Report {
    compile_ms: f64,
    load_ms: f64,
    instantiate_ms: f64,
    calls_ms: Vec<f64>,
    gc: GcReport,
    peak_rss_bytes: u64,
}

#[derive(Debug, Serialize)]
struct GcReport {
    collections: u64,
    minor: u64,
    major: u64,
    total_ms: f64,
    max_pause_ms: f64,
    allocated_bytes: u64,
    live_bytes: u64,
    heap_bytes: u64,
    moved_bytes: u64,
}

/// The figures of a run, as one JSON object on one line.
#[must_use]
pub fn json(times: &Times, gc: &GcStats) -> String {
    let report = Report {
        compile_ms: millis(times.compile),
        load_ms: millis(times.load),
        instantiate_ms: millis(times.instantiate),
        calls_ms: times.calls.iter().copied().map(millis).collect(),
        gc: GcReport {
            collections: gc.collections,
            minor: gc.minor,
            major: gc.major,
            total_ms: millis(gc.total),
            max_pause_ms: millis(gc.max_pause),
            allocated_bytes: gc.allocated_bytes,
            live_bytes: gc.live_bytes,
            heap_bytes: gc.heap_bytes,
            moved_bytes: gc.moved_bytes,
        },
        peak_rss_bytes: peak_rss_bytes(),
    };
    // A struct of numbers can always be written.
    serde_json::to_string(&report).unwrap_or_default()
}

/// Milliseconds, to the microsecond.
#[must_use]
pub fn millis(time: Duration) -> f64 {
    (time.as_nanos() as f64 / 1e3).round() / 1e3
}

/// Greatest resident size of this process so far; 0 if the kernel does not tell.
fn peak_rss_bytes() -> u64 {
    let status = fs::read_to_string(PROCESS_STATUS).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(PEAK_LINE)).unwrap_or_default();
    let kibibytes = line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_those_that_scripts_know() {
        let times =
            Times { calls: vec![Duration::from_micros(1500), Duration::from_nanos(1_234_567)], ..Times::default() };
        let text = json(&times, &GcStats::default());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(keys(&value), "calls_ms compile_ms gc instantiate_ms load_ms peak_rss_bytes");
        assert_eq!(
            keys(&value["gc"]),
            "allocated_bytes collections heap_bytes live_bytes major max_pause_ms minor moved_bytes total_ms"
        );
        assert_eq!(value["calls_ms"], serde_json::json!([1.5, 1.235]));
        assert!(value["peak_rss_bytes"].as_u64().unwrap() > 1 << 20);
    }
}
