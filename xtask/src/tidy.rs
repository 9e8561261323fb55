//! What a machine can check of the project's style, as functions from a file's text to complaints.
//!
//! Compilers and linters check the language; this module checks what they do not: that each file opens with its
//! reason to exist, stays small, hides no unfinished work, keeps `unsafe` where it belongs, and that documents
//! link to files that exist. `xtask/tests/tidy.rs` applies it to the whole tree.

use std::path::{Path, PathBuf};

/// Longest source file, in lines.
pub const MAX_LINES: usize = 800;

/// Where `unsafe` may stand: paths from the root that start like this.
pub const UNSAFE_PLACES: &[&str] = &[
    "aotc/src/llvm",
    "gc-heap/src/",
    // The mock mutator writes objects as compiled code does.
    "gc-heap/tests/mock",
    // Models a protocol.
    "gc-heap/tests/team_model.rs",
    "gc_export/src/",
    "runtime/src/builtins",
    "runtime/src/call",
    "runtime/src/code_memory",
    "runtime/src/os",
    "runtime/src/thread",
    // A model of it.
    "runtime/tests/seats/",
    "runtime/tests/world_model.rs",
    "runtime/tests/world_storm.rs",
    // Decides, on registers and stack of stopped code, where a raise goes on.
    "runtime/src/trap.rs",
    "runtime/src/unwind",
    "runtime/src/vm",
];

/// Markers of unfinished work; split so that this file does not contain them.
const UNFINISHED: &[&str] = &[
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("FIX", "ME"),
    concat!("TO", "DO"),
    concat!("XX", "X:"),
    concat!("#[", "ignore"),
];

/// Folders that hold nothing of ours.
const SKIPPED_FOLDERS: &[&str] = &["target", "node_modules", ".git"];

/// All files below `root` with one of these extensions, as paths from `root`, sorted.
///
/// # Errors
///
/// If a folder cannot be read.
pub fn files(root: &Path, extensions: &[&str]) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                if !SKIPPED_FOLDERS.iter().any(|name| path.ends_with(name)) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|found| extensions.iter().any(|wanted| found == *wanted)) {
                found.push(path.strip_prefix(root).expect("the walk stays below its root").to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Complaints about a Rust source file; `path` is from the root.
#[must_use]
pub fn check_source(path: &Path, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if !text.starts_with("//!") {
        complaints.push(format!("{}: does not open with a `//!` module doc", path.display()));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        complaints.push(format!("{}: {lines} lines, more than {MAX_LINES}", path.display()));
    }
    let unsafe_allowed = UNSAFE_PLACES.iter().any(|place| path.to_string_lossy().starts_with(place));
    let code = code_only(text);
    for (number, (line, code)) in text.lines().zip(code.lines()).enumerate() {
        if let Some(marker) = UNFINISHED.iter().find(|marker| line.contains(**marker)) {
            complaints.push(format!("{}:{}: unfinished: `{marker}`", path.display(), number + 1));
        }
        if !unsafe_allowed && words(code).any(|word| word == "unsafe") {
            complaints.push(format!("{}:{}: `unsafe` outside its places", path.display(), number + 1));
        }
    }
    complaints
}

/// Complaints about the links of a Markdown file at `root/path` that lead to files.
#[must_use]
pub fn check_links(root: &Path, path: &Path, text: &str) -> Vec<String> {
    let folder = root.join(path.parent().unwrap_or(Path::new("")));
    link_targets(text)
        .filter(|target| !target.contains("://") && !target.starts_with(['#', '/']))
        .map(|target| target.split('#').next().unwrap_or_default())
        .filter(|target| !folder.join(target).exists())
        .map(|target| format!("{}: broken link: {target}", path.display()))
        .collect()
}

/// The targets of `[text](target)`.
fn link_targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !(c.is_alphanumeric() || c == '_'))
}

/// What a scan of source text is inside of.
#[derive(Clone, Copy)]
enum Inside {
    Code,
    LineComment,
    BlockComment(u32),
    Str,
    /// A raw string that ends at a quote and this many `#`.
    RawStr(usize),
}

/// The text with comments and the contents of string and character literals blanked out, lines kept.
fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut inside = Inside::Code;
    let mut at = 0;
    while at < chars.len() {
        let (next, consumed, keep) = step(inside, &chars[at..]);
        for &c in &chars[at..at + consumed] {
            out.push(if keep || c == '\n' { c } else { ' ' });
        }
        inside = next;
        at += consumed;
    }
    out
}

/// One step of the scan: what comes next, how many characters were consumed, and whether they are code.
fn step(inside: Inside, rest: &[char]) -> (Inside, usize, bool) {
    let starts = |text: &str| rest.iter().copied().take(text.len()).eq(text.chars());
    match inside {
        Inside::Code if starts("//") => (Inside::LineComment, 2, false),
        Inside::Code if starts("/*") => (Inside::BlockComment(1), 2, false),
        Inside::Code if starts("\"") => (Inside::Str, 1, true),
        Inside::Code if starts("'") => (Inside::Code, char_literal_len(rest), false),
        Inside::Code => match raw_string_hashes(rest) {
            Some(hashes) => (Inside::RawStr(hashes), hashes + 2, true),
            None => (Inside::Code, identifier_len(rest), true),
        },
        Inside::LineComment => (if rest[0] == '\n' { Inside::Code } else { inside }, 1, false),
        Inside::BlockComment(depth) if starts("/*") => (Inside::BlockComment(depth + 1), 2, false),
        Inside::BlockComment(1) if starts("*/") => (Inside::Code, 2, false),
        Inside::BlockComment(depth) if starts("*/") => (Inside::BlockComment(depth - 1), 2, false),
        Inside::Str if starts("\\") => (inside, 2.min(rest.len()), false),
        Inside::Str if starts("\"") => (Inside::Code, 1, true),
        Inside::RawStr(hashes) if rest[0] == '"' && hashes_at(&rest[1..]) >= hashes => (Inside::Code, 1 + hashes, true),
        Inside::BlockComment(_) | Inside::Str | Inside::RawStr(_) => (inside, 1, false),
    }
}

fn hashes_at(rest: &[char]) -> usize {
    rest.iter().take_while(|c| **c == '#').count()
}

/// The number of `#` of a raw string that starts here (`r"`, `r#"`, …).
fn raw_string_hashes(rest: &[char]) -> Option<usize> {
    let hashes = hashes_at(rest.strip_prefix(&['r'])?);
    (rest.get(1 + hashes) == Some(&'"')).then_some(hashes)
}

/// Length of the identifier or number that starts here, or 1: so that an `r` at an identifier's end starts no
/// raw string. A byte or C string's prefix ends before its `r`.
fn identifier_len(rest: &[char]) -> usize {
    if matches!(rest, ['b' | 'c', 'r', '"' | '#', ..]) {
        return 1;
    }
    rest.iter().take_while(|c| c.is_alphanumeric() || **c == '_').count().max(1)
}

/// Length of the character literal that starts here, or 1 if it is a lifetime's apostrophe.
fn char_literal_len(rest: &[char]) -> usize {
    match rest {
        ['\'', '\\', escaped, ..] => {
            let after = if *escaped == '\'' { 3 } else { 2 };
            rest.iter().skip(after).position(|c| *c == '\'').map_or(1, |end| after + end + 1)
        }
        ['\'', _, '\'', ..] => 3,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> Vec<String> {
        check_source(Path::new(path), text)
    }

    #[test]
    fn a_file_needs_a_module_doc() {
        assert_eq!(complaints("a/src/x.rs", "//! Why.\nfn f() {}\n"), Vec::<String>::new());
        assert_eq!(complaints("a/src/x.rs", "fn f() {}\n"), ["a/src/x.rs: does not open with a `//!` module doc"]);
    }

    #[test]
    fn a_file_has_a_longest_length() {
        let longest = "//!\n".repeat(MAX_LINES);
        assert_eq!(complaints("x.rs", &longest), Vec::<String>::new());
        assert_eq!(complaints("x.rs", &(longest + "//!\n")), ["x.rs: 801 lines, more than 800"]);
    }

    #[test]
    fn unfinished_work_is_found() {
        for marker in UNFINISHED {
            let text = format!("//! Doc.\nfn f() {{ {marker}) }}\n");
            assert_eq!(complaints("x.rs", &text), [format!("x.rs:2: unfinished: `{marker}`")]);
        }
    }

    #[test]
    fn unsafe_code_has_its_places() {
        let text = "//! Doc.\nfn f() { unsafe { g() } }\n";
        assert_eq!(complaints("cli/src/main.rs", text), ["cli/src/main.rs:2: `unsafe` outside its places"]);
        assert_eq!(complaints("runtime/src/thread/entry.rs", text), Vec::<String>::new());
        assert_eq!(complaints("runtime/src/store.rs", text).len(), 1);
    }

    #[test]
    fn the_word_is_allowed_outside_code() {
        let text = r####"//! An unsafe word.
#![forbid(unsafe_code)]
/* unsafe /* unsafe */ unsafe */
const A: &str = "unsafe \" unsafe"; // unsafe
const B: &str = r#"unsafe " unsafe"#; const C: char = '"'; const D: &[u8] = br"unsafe";
fn f<'a>(bar: &'a str) -> char { '\'' }
"####;
        assert_eq!(complaints("x.rs", text), Vec::<String>::new());
    }

    #[test]
    fn code_after_literals_is_still_seen() {
        for prefix in
            ["const C: char = '\\'';", "let s = r#\"\"#;", "let x = b'\"';", "fn f<'a>() {}", "let s = \"\\\\\";"]
        {
            let text = format!("//! Doc.\n{prefix} unsafe {{ g() }}\n");
            assert_eq!(complaints("x.rs", &text).len(), 1, "after {prefix}");
        }
    }

    #[test]
    fn links_must_lead_somewhere() {
        let root = crate::command::workspace_root();
        let text = "[a](Cargo.toml) [b](https://example.org/x) [c](#part) [d](nowhere.md#part)";
        assert_eq!(check_links(root, Path::new("README.md"), text), ["README.md: broken link: nowhere.md"]);
    }
}
