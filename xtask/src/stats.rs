//! Reads the figures that `dolmen run --stats` prints.
//!
//! They come as one JSON object on one line of standard error, among whatever the program itself writes there.
//! This crate has no JSON parser and needs none: keys are unique, values are numbers or arrays of numbers.

/// The figures of one run; all times in milliseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    pub load_ms: f64,
    pub instantiate_ms: f64,
    pub calls_ms: Vec<f64>,
    pub collections: f64,
    pub gc_total_ms: f64,
    pub gc_max_pause_ms: f64,
    pub allocated_bytes: f64,
    pub peak_rss_bytes: f64,
}

impl Stats {
    /// The figures in a line, or `None` if it is another line.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let line = line.trim();
        if !(line.starts_with('{') && line.ends_with('}')) {
            return None;
        }
        Some(Self {
            load_ms: number(line, "load_ms")?,
            instantiate_ms: number(line, "instantiate_ms")?,
            calls_ms: numbers(line, "calls_ms")?,
            collections: number(line, "collections")?,
            gc_total_ms: number(line, "total_ms")?,
            gc_max_pause_ms: number(line, "max_pause_ms")?,
            allocated_bytes: number(line, "allocated_bytes")?,
            peak_rss_bytes: number(line, "peak_rss_bytes")?,
        })
    }
}

/// The text after `"key":`, trimmed.
fn value<'a>(object: &'a str, key: &str) -> Option<&'a str> {
    let quoted = format!("\"{key}\"");
    let after = &object[object.find(&quoted)? + quoted.len()..];
    after.trim_start().strip_prefix(':').map(str::trim_start)
}

fn number(object: &str, key: &str) -> Option<f64> {
    let text = value(object, key)?;
    text[..text.find([',', '}', ']']).unwrap_or(text.len())].trim().parse().ok()
}

fn numbers(object: &str, key: &str) -> Option<Vec<f64>> {
    let text = value(object, key)?.strip_prefix('[')?;
    let items = text[..text.find(']')?].trim();
    if items.is_empty() {
        return Some(Vec::new());
    }
    items.split(',').map(|item| item.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"compile_ms":null,"load_ms":0.4,"instantiate_ms": 1.25, "calls_ms":[3, 2.5],"gc":{"collections":2,"minor":0,"major":2,"total_ms":0.75,"max_pause_ms":0.5,"allocated_bytes":1048576,"live_bytes":10,"heap_bytes":20},"peak_rss_bytes":7340032}"#;

    #[test]
    fn reads_all_figures() {
        let expected = Stats {
            load_ms: 0.4,
            instantiate_ms: 1.25,
            calls_ms: vec![3.0, 2.5],
            collections: 2.0,
            gc_total_ms: 0.75,
            gc_max_pause_ms: 0.5,
            allocated_bytes: 1_048_576.0,
            peak_rss_bytes: 7_340_032.0,
        };
        assert_eq!(Stats::parse(LINE), Some(expected));
    }

    #[test]
    fn other_lines_are_not_figures() {
        assert_eq!(Stats::parse("{ hello }"), None);
        assert_eq!(Stats::parse("trap: unreachable"), None);
        assert_eq!(Stats::parse(&LINE[..60]), None);
    }

    #[test]
    fn no_calls_is_an_empty_list() {
        assert_eq!(numbers(r#"{"calls_ms":[]}"#, "calls_ms"), Some(Vec::new()));
    }
}
