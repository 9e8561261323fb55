//! `dolmen run --gc-report`: the page has the numbers of the run, and a file that cannot be written is told first.

mod common;

use common::Scratch;
use serde_json::Value;

/// Keeps ten structs, and allocates 4096 arrays of 64 KiB, 256 MiB, of which the last lives.
const PROGRAM: &str = r#"(module
    (type $kept (struct (field i64) (field (ref null $kept))))
    (type $garbage (array (mut i8)))
    (global $list (mut (ref null $kept)) (ref.null $kept))
    (global $last (mut (ref null $garbage)) (ref.null $garbage))
    (func (export "run") (result i32)
        (local $i i32)
        (loop $again
            (global.set $list (struct.new $kept (i64.const 1) (global.get $list)))
            (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10))))
        (local.set $i (i32.const 0))
        (loop $again
            (global.set $last (array.new $garbage (local.get $i) (i32.const 65536)))
            (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 4096))))
        (local.get $i))
    (func (export "trap") (drop (call 0)) (unreachable)))"#;

/// The records in a page.
fn records(page: &str) -> Value {
    let (_, json) = page.split_once("<script type=\"application/json\" id=\"records\">").expect("records in the page");
    serde_json::from_str(json.split("</script>").next().expect("an end")).expect("the records are JSON")
}

fn sum(records: &Value, key: &str) -> u64 {
    records["collections"].as_array().unwrap().iter().map(|collection| collection[key].as_u64().unwrap()).sum()
}

#[test]
fn the_page_has_the_numbers_of_the_run() {
    let scratch = Scratch::new();
    let said = scratch.run_wat(PROGRAM, &["run", "--stats", "--gc-report", "page.html", "--invoke", "run", "@"]);
    said.prints("4096\n");
    let stats: Value = serde_json::from_str(said.stderr.trim()).unwrap();
    let page = std::fs::read_to_string(scratch.path("page.html")).unwrap();
    let records = records(&page);

    let collections = records["collections"].as_array().unwrap();
    assert!(collections.len() >= 4, "256 MiB need several collections: {records}");
    assert_eq!(collections.len() as u64, stats["gc"]["collections"].as_u64().unwrap());
    let minor = collections.iter().filter(|collection| collection["kind"] == "minor").count();
    assert_eq!(minor as u64, stats["gc"]["minor"].as_u64().unwrap());

    let phases = collections.iter().flat_map(|collection| collection["phases_ms"].as_object().unwrap().values());
    let paused: f64 = phases.map(|ms| ms.as_f64().unwrap()).sum();
    assert!((paused - stats["gc"]["total_ms"].as_f64().unwrap()).abs() < 0.01, "{paused} {stats}");
    let starts: Vec<f64> = collections.iter().map(|collection| collection["start_ms"].as_f64().unwrap()).collect();
    assert!(starts.is_sorted() && starts.last().unwrap() <= &records["run_ms"].as_f64().unwrap(), "{starts:?}");

    // All but what came after the last collection.
    let allocated = stats["gc"]["allocated_bytes"].as_u64().unwrap();
    assert!(allocated >= 4096 << 16, "{allocated}");
    let before_collections = sum(&records, "allocated_bytes");
    assert!(
        before_collections <= allocated && before_collections > allocated / 2,
        "{before_collections} of {allocated}"
    );

    let count = collections.len();
    assert!(page.contains(&format!("<tr><td>collections</td><td>{count} (")), "the summary counts {count}");
    assert!(page.contains("title=\"kept\">kept</td><td>10</td>"), "ten structs live");
    assert!(page.contains("title=\"garbage\">garbage</td><td>4096</td>"), "large arrays are sampled one by one");
}

#[test]
fn a_trap_leaves_a_report() {
    let scratch = Scratch::new();
    let said = scratch.run_wat(PROGRAM, &["run", "--gc-report", "page.html", "--invoke", "trap", "@"]);
    said.traps_with("unreachable");
    let page = std::fs::read_to_string(scratch.path("page.html")).unwrap();
    assert!(!records(&page)["collections"].as_array().unwrap().is_empty());
}

#[test]
fn a_program_that_never_collects_has_a_page() {
    let scratch = Scratch::new();
    let wat = r#"(module (func (export "_start")))"#;
    scratch.run_wat(wat, &["run", "--gc-report", "page.html", "@"]).prints("");
    let page = std::fs::read_to_string(scratch.path("page.html")).unwrap();
    assert_eq!(records(&page)["collections"], serde_json::json!([]));
}

#[test]
fn what_cannot_be_written_is_told_before_the_run() {
    let scratch = Scratch::new();
    let fifo = std::process::Command::new("mkfifo").arg(scratch.path("pipe")).status().unwrap();
    assert!(fifo.success());
    for (file, reason) in [
        ("-", "standard output is the program's"),
        ("nowhere/page.html", "nowhere/page.html"),
        (".", "not a regular file"),
        ("pipe", "not a regular file"),
        ("/dev/stdout", "--gc-report /dev/stdout"),
    ] {
        // Were it to run, it would trap.
        let said = scratch.run_wat(PROGRAM, &["run", "--gc-report", file, "--invoke", "trap", "@"]);
        said.fails_with(&["--gc-report", reason]);
    }
}
