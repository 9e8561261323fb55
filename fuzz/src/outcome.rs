//! What an engine said of a module: a list of lines, the same for every engine.
//!
//! ```text
//! refused REASON        instead of all others: the module was not compiled
//! instantiate END       END is `ok`, or why it did not succeed
//! NAME END INT...       for each probe in the order of the exports, with the integers that it returned
//! ```
//!
//! Engines word their traps differently and merge different ones, so [`END`](End) has the classes that all
//! engines tell apart.

/// The first word of a record without more: the engine did not compile the module.
pub const REFUSED: &str = "refused";

/// How instantiating a module or calling a probe ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Ok,
    Exception,
    Unreachable,
    Memory,
    Table,
    Array,
    /// Division by zero.
    Division,
    /// An integer, quotient or converted, that cannot be represented.
    Integer,
    /// A table element that is null or of another type.
    Indirect,
    Null,
    Cast,
    /// Memory or stack ran out, which need not happen at the same point elsewhere.
    Resource,
}

impl End {
    /// The word for it in a record.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Exception => "exception",
            Self::Unreachable => "unreachable",
            Self::Memory => "memory",
            Self::Table => "table",
            Self::Array => "array",
            Self::Division => "division",
            Self::Integer => "integer",
            Self::Indirect => "indirect",
            Self::Null => "null",
            Self::Cast => "cast",
            Self::Resource => "resource",
        }
    }
}

/// How two records compare.
#[derive(Debug, PartialEq, Eq)]
pub enum Comparison {
    Same,
    /// Same up to a point where one of the engines ran out of memory or stack; nothing can be said of the rest.
    Undecided,
    /// The first lines that differ.
    Different(String, String),
}

/// Compares the records of two engines.
pub fn compare(one: &[String], other: &[String]) -> Comparison {
    let resource = |line: &str| line.split(' ').nth(1) == Some(End::Resource.word());
    let none = String::from("(nothing)");
    for index in 0..one.len().max(other.len()) {
        let (a, b) = (one.get(index).unwrap_or(&none), other.get(index).unwrap_or(&none));
        if resource(a) || resource(b) {
            return Comparison::Undecided;
        }
        if a != b {
            return Comparison::Different(a.clone(), b.clone());
        }
    }
    Comparison::Same
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn records_differ_at_the_first_line_that_does() {
        let one = lines("instantiate ok\na ok 1\nb null");
        assert_eq!(compare(&one, &one), Comparison::Same);
        let other = lines("instantiate ok\na ok 2\nb cast");
        assert_eq!(compare(&one, &other), Comparison::Different("a ok 1".into(), "a ok 2".into()));
    }

    #[test]
    fn a_shorter_record_differs() {
        let (one, other) = (lines("instantiate ok\na ok"), lines("instantiate ok"));
        assert_eq!(compare(&one, &other), Comparison::Different("a ok".into(), "(nothing)".into()));
    }

    #[test]
    fn nothing_is_said_after_a_lack_of_resources() {
        let (one, other) = (lines("instantiate ok\na resource\nb ok"), lines("instantiate ok\na ok\nb null"));
        assert_eq!(compare(&one, &other), Comparison::Undecided);
    }
}
