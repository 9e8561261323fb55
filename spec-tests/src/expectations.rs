//! The list of failures that are known, so that a run tells news from old facts.
//!
//! One entry per line: which script, which of its directives, why.
//!
//! ```text
//! # a comment
//! simd/*                 all      SIMD is not translated
//! latest/table.wast      12,40    the limits of table64 are not checked
//! ```
//!
//! The script is a name, or a prefix that ends in `*`. `all` means that the script fails somewhere; line numbers
//! mean that exactly the directives that start there fail. Either way a script that does better than its entry
//! fails the run: the entry must go, so that the list never hides what works.

use crate::report::FileReport;
use std::collections::BTreeSet;

/// A list of known failures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectations {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    script: String,
    directives: Directives,
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Directives {
    Some,
    Lines(BTreeSet<u32>),
}

/// How a script did, measured by its expectations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    /// It fails as expected, for this reason.
    Known(String),
    /// What is wrong, a line each.
    Failed(Vec<String>),
}

/// A line of the list that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: expected `SCRIPT all|LINES REASON`, found {text:?}")]
pub struct ParseError {
    pub line: usize,
    pub text: String,
}

impl Expectations {
    /// Reads a list.
    ///
    /// # Errors
    ///
    /// If a line is not an entry; also if it gives no reason.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut entries = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            entries.push(parse_entry(line).ok_or_else(|| ParseError { line: index + 1, text: line.to_owned() })?);
        }
        Ok(Self { entries })
    }

    /// Judges a script by its report. `crashed` tells that the process that ran it died.
    #[must_use]
    pub fn judge(&self, report: &FileReport, crashed: bool) -> Verdict {
        let failures = || report.failures.iter().map(|failure| format!("{}:{failure}", report.name));
        let Some(entry) = self.entries.iter().find(|entry| entry.covers(&report.name)) else {
            return if report.failures.is_empty() { Verdict::Passed } else { Verdict::Failed(failures().collect()) };
        };
        if crashed {
            return Verdict::Failed(failures().collect());
        }
        match &entry.directives {
            Directives::Some if report.failures.is_empty() => {
                Verdict::Failed(vec![format!("{}: passes, but is expected to fail: {}", report.name, entry.reason)])
            }
            Directives::Some => Verdict::Known(entry.reason.clone()),
            Directives::Lines(expected) => {
                let found: BTreeSet<u32> = report.failures.iter().map(|failure| failure.location.line).collect();
                let news = failures().zip(&report.failures).filter(|(_, f)| !expected.contains(&f.location.line));
                let mut wrong: Vec<String> = news.map(|(text, _)| text).collect();
                wrong.extend(
                    expected.difference(&found).map(|line| {
                        format!("{}:{line}: holds, but is expected to fail: {}", report.name, entry.reason)
                    }),
                );
                if wrong.is_empty() { Verdict::Known(entry.reason.clone()) } else { Verdict::Failed(wrong) }
            }
        }
    }

    /// The entries' scripts that match none of these names: entries for nothing.
    #[must_use]
    pub fn unused(&self, names: &[String]) -> Vec<String> {
        let unused = self.entries.iter().filter(|entry| !names.iter().any(|name| entry.covers(name)));
        unused.map(|entry| entry.script.clone()).collect()
    }
}

impl Entry {
    fn covers(&self, name: &str) -> bool {
        self.script.strip_suffix('*').map_or(self.script == name, |prefix| name.starts_with(prefix))
    }
}

fn parse_entry(line: &str) -> Option<Entry> {
    let (script, rest) = line.split_once(char::is_whitespace)?;
    let (directives, reason) = rest.trim_start().split_once(char::is_whitespace)?;
    let directives = match directives {
        "all" => Directives::Some,
        lines => Directives::Lines(lines.split(',').map(|line| line.parse().ok()).collect::<Option<_>>()?),
    };
    let reason = reason.trim().to_owned();
    (!reason.is_empty()).then(|| Entry { script: script.to_owned(), directives, reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Location;

    const LIST: &str = "# known\n\nsimd/*   all  no SIMD\nlatest/a.wast 3,5 wrong limits\n";

    fn report(name: &str, failed_lines: &[u32]) -> FileReport {
        let mut report = FileReport::new(name);
        for line in failed_lines {
            report.record(Location { line: *line, column: 1 }, Err("wrong".into()));
        }
        report
    }

    fn judge(name: &str, failed_lines: &[u32]) -> Verdict {
        Expectations::parse(LIST).unwrap().judge(&report(name, failed_lines), false)
    }

    #[test]
    fn unlisted_scripts_must_pass() {
        assert_eq!(judge("latest/b.wast", &[]), Verdict::Passed);
        assert_eq!(judge("latest/b.wast", &[4]), Verdict::Failed(vec!["latest/b.wast:4:1: wrong".into()]));
    }

    #[test]
    fn listed_scripts_fail_as_listed() {
        assert_eq!(judge("simd/x.wast", &[9]), Verdict::Known("no SIMD".into()));
        assert_eq!(judge("latest/a.wast", &[3, 5]), Verdict::Known("wrong limits".into()));
    }

    #[test]
    fn doing_better_than_listed_fails() {
        assert!(matches!(judge("simd/x.wast", &[]), Verdict::Failed(_)));
        let expected = "latest/a.wast:5: holds, but is expected to fail: wrong limits".to_owned();
        assert_eq!(judge("latest/a.wast", &[3]), Verdict::Failed(vec![expected]));
    }

    #[test]
    fn doing_worse_than_listed_fails() {
        assert_eq!(judge("latest/a.wast", &[3, 4, 5]), Verdict::Failed(vec!["latest/a.wast:4:1: wrong".into()]));
    }

    #[test]
    fn a_crash_is_never_expected() {
        let list = Expectations::parse(LIST).unwrap();
        assert!(matches!(list.judge(&report("simd/x.wast", &[1]), true), Verdict::Failed(_)));
    }

    #[test]
    fn entries_need_all_parts() {
        for text in ["simd/*", "simd/* all", "simd/* all  ", "simd/* some why", "a 3,x why"] {
            assert!(Expectations::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(Expectations::parse("# a\n!").unwrap_err().line, 2);
    }

    #[test]
    fn entries_for_nothing_are_found() {
        let list = Expectations::parse(LIST).unwrap();
        assert_eq!(list.unused(&["simd/x.wast".to_owned()]), ["latest/a.wast"]);
    }
}
