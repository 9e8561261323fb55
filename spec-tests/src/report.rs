//! What is said of a script after it ran.

use std::fmt;

/// A place in a script; both numbers start at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    pub line: u32,
    pub column: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A directive that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub location: Location,
    /// What was expected and what was found.
    pub reason: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.reason)
    }
}

/// The outcome of a script. A directive counts as one, whether it asserts something or only acts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileReport {
    pub name: String,
    pub passed: u64,
    pub failures: Vec<Failure>,
}

impl FileReport {
    /// The report of a script of which nothing ran yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Number of directives that do not hold.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failures.len() as u64
    }

    /// Adds what became of the directive at `location`.
    pub fn record(&mut self, location: Location, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.passed += 1,
            Err(reason) => self.failures.push(Failure { location, reason }),
        }
    }
}

impl fmt::Display for FileReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} passed, {} failed", self.name, self.passed, self.failed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_and_keeps_reasons() {
        let mut report = FileReport::new("a.wast");
        report.record(Location { line: 1, column: 2 }, Ok(()));
        report.record(Location { line: 3, column: 4 }, Err("expected 1, found 2".into()));
        assert_eq!(report.to_string(), "a.wast: 1 passed, 1 failed");
        assert_eq!(report.failures[0].to_string(), "3:4: expected 1, found 2");
    }
}
