//! How a process that runs many scripts tells its parent how far it is.
//!
//! A script can bring down the process that runs it: that is what some scripts are for. So scripts run in child
//! processes, several in each, and a child writes one line per event; when it dies, the parent knows which
//! script was running and starts another child with the rest.
//!
//! ```text
//! begin NAME
//! fail LINE COLUMN REASON      once per failure; line breaks in REASON are escaped
//! end PASSED
//! ```

use crate::report::{Failure, FileReport, Location};
use std::fmt;

/// An event of a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A script starts.
    Begin(String),
    /// A directive of the running script does not hold.
    Fail(Failure),
    /// The running script ended; how many directives hold.
    End(u64),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin(name) => write!(f, "begin {name}"),
            Self::Fail(Failure { location: Location { line, column }, reason }) => {
                write!(f, "fail {line} {column} {}", reason.replace('\\', "\\\\").replace('\n', "\\n"))
            }
            Self::End(passed) => write!(f, "end {passed}"),
        }
    }
}

impl Event {
    /// The event in a line, or `None` if something else wrote the line.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ')?;
        match word {
            "begin" => Some(Self::Begin(rest.to_owned())),
            "end" => rest.parse().ok().map(Self::End),
            "fail" => {
                let mut parts = rest.splitn(3, ' ');
                let location = Location { line: parts.next()?.parse().ok()?, column: parts.next()?.parse().ok()? };
                Some(Self::Fail(Failure { location, reason: unescape(parts.next()?) }))
            }
            _ => None,
        }
    }

    /// The events after [`Event::Begin`] that tell a report.
    pub fn of_report(report: &FileReport) -> impl Iterator<Item = Self> {
        report.failures.iter().cloned().map(Self::Fail).chain([Self::End(report.passed)])
    }
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => out.push(if chars.next() == Some('n') { '\n' } else { '\\' }),
            (c, false) => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_survive_the_line() {
        let failure = Failure { location: Location { line: 7, column: 3 }, reason: "a\nb \\n c\\".into() };
        for event in [Event::Begin("gc/i31.wast".into()), Event::Fail(failure), Event::End(12)] {
            let line = event.to_string();
            assert!(!line.contains('\n'));
            assert_eq!(Event::parse(&line), Some(event));
        }
    }

    #[test]
    fn other_lines_are_no_events() {
        for line in ["", "hello world", "end", "end x", "fail 1 2", "fail 1 x y"] {
            assert_eq!(Event::parse(line), None, "{line:?}");
        }
    }
}
