//! Code of small functions, compared with what it should look like.
//!
//! The problem: a change that makes code slower, or loses a check, breaks no program. Each file of a family's
//! folder (`numeric/`, `memory/`, …) is a module in the text format whose comments say what its code must and
//! must not contain:
//!
//! ```text
//! ;; emit: ir | asm [OPTION...]    the form that is looked at; the first line
//! ;; FUNC: name                    from here on: the code of the function `$name`
//! ;; CHECK: fragment               the next line with the fragment, behind the one of the CHECK before
//! ;; NOT: fragment                 no line between the CHECKs around it has the fragment
//! ```
//!
//! Options are `polls`, `aarch64` (instead of x86-64) and `shared` (the proposal shared-everything-threads).
//!
//! Runs of blanks count as one blank. Code is for one fixed CPU, so fragments name instructions, and registers
//! only where the calling convention fixes them.

use dolmen_aotc::{Emit, Options, TargetCpu, compile};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What a comment asks for.
#[derive(Debug)]
enum Directive {
    Func(String),
    Check(String),
    Not(String),
}

#[test]
fn code_is_as_described() {
    let mut failures = String::new();
    let files = wat_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/filetests"));
    assert!(!files.is_empty(), "the folders hold tests");
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a file just listed is readable");
        if let Err(failure) = check_file(&text) {
            let _ = writeln!(failures, "{}: {failure}", file.display());
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

/// Files that must fail do: the harness sees what it is told to look for.
#[test]
fn wrong_descriptions_are_found() {
    const MODULE: &str = "(module (func $f (param i32) (result i32) (i32.add (local.get 0) (i32.const 7))))";
    let check = |directives: &str| check_file(&format!(";; emit: ir\n;; FUNC: f\n{directives}\n{MODULE}"));
    assert_eq!(check(";; CHECK: add i32\n;; CHECK: ret i32"), Ok(()));
    assert!(check(";; CHECK: ret i32\n;; CHECK: add i32").is_err(), "wrong order");
    assert!(check(";; NOT: add i32\n;; CHECK: ret i32").is_err(), "forbidden before a match");
    assert!(check(";; CHECK: entry:\n;; NOT: ret i32").is_err(), "forbidden at the end");
    assert!(check(";; FUNC: g\n;; CHECK: ret").is_err(), "no such function");
}

fn wat_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder exists") {
        let path = entry.expect("the folder is readable").path();
        if path.is_dir() {
            files.extend(wat_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "wat") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn check_file(text: &str) -> Result<(), String> {
    let wasm = wat::parse_str(text).map_err(|e| e.to_string())?;
    let code = compile(&wasm, &options(text.lines().next().unwrap_or_default())?).map_err(|e| e.to_string())?;
    let code = String::from_utf8(code).map_err(|e| e.to_string())?;
    check_code(&code, &directives(text))
}

/// What the first line of a file asks for.
fn options(line: &str) -> Result<Options, String> {
    let wrong = || format!("the first line says what to emit, not `{line}`");
    let mut words = line.strip_prefix(";; emit: ").ok_or_else(wrong)?.split(' ');
    let emit = match words.next() {
        Some("ir") => Emit::LlvmIr,
        Some("asm") => Emit::Asm,
        _ => return Err(wrong()),
    };
    let target_cpu = TargetCpu::Named("x86-64-v3".into());
    let mut options = Options { emit, target_cpu, polls: false, jobs: 1, ..Options::default() };
    for word in words {
        match word {
            "polls" => options.polls = true,
            "aarch64" => options.target_cpu = TargetCpu::AArch64,
            "shared" => options.features = "all,shared-everything-threads".parse().map_err(|_| wrong())?,
            _ => return Err(wrong()),
        }
    }
    Ok(options)
}

fn directives(text: &str) -> Vec<Directive> {
    let parse = |line: &str| {
        let (kind, rest) = line.trim_start().strip_prefix(";; ")?.split_once(": ")?;
        match kind {
            "FUNC" => Some(Directive::Func(rest.trim().to_owned())),
            "CHECK" => Some(Directive::Check(squeeze(rest))),
            "NOT" => Some(Directive::Not(squeeze(rest))),
            _ => None,
        }
    };
    text.lines().filter_map(parse).collect()
}

fn check_code(code: &str, directives: &[Directive]) -> Result<(), String> {
    let mut lines: Vec<String> = Vec::new();
    let mut position = 0;
    let mut forbidden: Vec<&str> = Vec::new();
    for directive in directives {
        match directive {
            Directive::Func(name) => {
                refuse(&lines[position..], &forbidden)?;
                lines = function(code, name).ok_or_else(|| format!("no function `{name}`"))?;
                (position, forbidden) = (0, Vec::new());
            }
            Directive::Check(fragment) => {
                let Some(found) = lines[position..].iter().position(|line| line.contains(fragment)) else {
                    return Err(format!("`{fragment}` is missing in\n{}", lines[position..].join("\n")));
                };
                refuse(&lines[position..position + found], &forbidden)?;
                position += found + 1;
                forbidden.clear();
            }
            Directive::Not(fragment) => forbidden.push(fragment),
        }
    }
    refuse(&lines[position..], &forbidden)
}

fn refuse(lines: &[String], forbidden: &[&str]) -> Result<(), String> {
    match forbidden.iter().find(|&&fragment| lines.iter().any(|line| line.contains(fragment))) {
        Some(fragment) => Err(format!("`{fragment}` is not allowed in\n{}", lines.join("\n"))),
        None => Ok(()),
    }
}

/// The lines of a function: from those that define its symbol to the one that ends it.
fn function(code: &str, name: &str) -> Option<Vec<String>> {
    let symbol = format!("]::{name}\"");
    let starts = |line: &str| line.contains(&symbol) && (line.starts_with("define") || line.starts_with('"'));
    let ends = |line: &str| line == "}" || line.starts_with(".Lfunc_end");
    let start = code.lines().position(starts)?;
    Some(code.lines().skip(start + 1).take_while(|line| !ends(line)).map(squeeze).collect())
}

fn squeeze(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
