//! The whole way at size tiny, without peers: measure, keep, go on, show, compare.
//!
//! It needs the commands `dolmen` and `dolmenc` beside the benchmark, where a test run of the workspace builds them;
//! `cargo build --release -p dolmen-cli --bins --features compiler` does, too.

use dolmen_bench::heap_curve::{Curves, FACTORS, MIN_LIVE_BYTES};
use dolmen_bench::measure::TempFolder;
use dolmen_bench::results::Results;
use std::path::Path;
use std::process::{Command, Output};

fn bench(args: &[&str], json: &Path) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_dolmen-bench"));
    assert!(
        program.with_file_name("dolmenc").is_file(),
        "build the commands first: cargo build --release -p dolmen-cli --bins --features compiler"
    );
    Command::new(program).args(args).arg("--json").arg(json).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn measure_go_on_show_and_compare() {
    let folder = TempFolder::new().unwrap();
    let (json, old, html) = (folder.0.join("new.json"), folder.0.join("old.json"), folder.0.join("page.html"));
    let sized = ["--size", "tiny", "--calls", "2", "--warm-memory", "16", "-w", "hello,exceptions,script"];

    let first = bench(&[&sized[..], &["--runs", "1", "--against", "wamr=/nowhere/iwasm"]].concat(), &json);
    assert!(first.status.success(), "{}", text(&first));
    assert!(text(&first).contains("without wamr: there is no /nowhere/iwasm"), "{}", text(&first));
    assert!(text(&first).contains("| exceptions | "), "{}", text(&first));
    let one = Results::load(&json).unwrap();

    let second = bench(&[&sized[..], &["--runs", "2"]].concat(), &json);
    assert!(second.status.success(), "{}", text(&second));
    let two = Results::load(&json).unwrap();
    for program in ["hello", "exceptions", "script"] {
        let [before, after] = [&one, &two].map(|results| results.get(program, "dolmen").unwrap());
        assert_eq!((before.turns.len(), after.turns.len()), (1, 2), "{program}");
        assert_eq!(before.turns[0], after.turns[0], "what was there is kept");
        assert!(after.turns[1].process_ms > 0.0 && after.turns[1].peak_bytes > 1 << 20, "{after:?}");
        assert_eq!(after.turns[1].steady_ms.len(), if program == "hello" { 0 } else { 2 });
        assert!(after.artifact_bytes.is_some_and(|bytes| bytes > 1000));
    }

    two.save(&old).unwrap();
    let page = bench(&["--show", "--html", html.to_str().unwrap(), "--compare", old.to_str().unwrap()], &json);
    assert!(page.status.success(), "a file does not differ from itself: {}", text(&page));
    assert!(std::fs::read_to_string(&html).unwrap().contains("<td>exceptions</td>"));

    let mut faster = two;
    for turn in &mut faster.figures("exceptions", "dolmen").turns {
        turn.steady_ms.iter_mut().for_each(|ms| *ms /= 1000.0);
    }
    faster.save(&old).unwrap();
    let slower = bench(&["--show", "--compare", old.to_str().unwrap()], &json);
    assert_eq!(slower.status.code(), Some(1), "{}", text(&slower));
    assert!(text(&slower).contains("REGRESSION exceptions: steady state"), "{}", text(&slower));

    let other = bench(&["--size", "small", "-w", "exceptions"], &json);
    assert_eq!(other.status.code(), Some(1));
    assert!(text(&other).contains("other settings"), "{}", text(&other));
}

#[test]
fn heaps_of_all_sizes_are_measured_and_drawn() {
    let folder = TempFolder::new().unwrap();
    let (json, svg) = (folder.0.join("curves.json"), folder.0.join("curves.svg"));
    let args = ["--heap-curve", "--size", "tiny", "--calls", "1", "-w", "big_heap", "--svg", svg.to_str().unwrap()];
    let measured = bench(&[&args[..], &["--runs", "2"]].concat(), &json);
    assert!(measured.status.success(), "{}", text(&measured));
    assert!(text(&measured).contains("| big_heap | "), "{}", text(&measured));
    let curves = Curves::load(&json).unwrap();
    let [curve] = &curves.programs[..] else { panic!("{curves:?}") };
    assert!((300_000..3_000_000).contains(&curve.live_bytes), "{curve:?}");
    assert_eq!(curve.sizes.len(), FACTORS.len() + 1);
    let most = |factor: f64| (curve.live_bytes.max(MIN_LIVE_BYTES) as f64 * factor) as u64;
    for (size, factor) in curve.sizes.iter().zip(FACTORS) {
        assert_eq!((size.max_bytes, size.steady_ms.len(), size.gc_share.len()), (Some(most(factor)), 2, 2));
        assert!(
            size.minor + size.major > 0 && size.gc_share.iter().all(|share| (0.0..1.0).contains(share)),
            "{size:?}"
        );
    }
    let drawn = std::fs::read_to_string(&svg).unwrap();
    assert_eq!(drawn.matches("<circle").count(), 2 * curve.sizes.len(), "{drawn}");

    let shown = bench(&[&args[..], &["--show"]].concat(), &json);
    assert!(shown.status.success() && std::fs::read_to_string(&svg).unwrap() == drawn, "{}", text(&shown));

    let small = bench(&[&args[..], &["--dolmen-option", "--gc-heap-initial=1", "-w", "hello"]].concat(), &json);
    assert!(!small.status.success() && text(&small).contains("hello: makes no calls"), "{}", text(&small));
}

#[test]
fn a_budget_leaves_the_rest_for_later() {
    let folder = TempFolder::new().unwrap();
    let json = folder.0.join("results.json");
    let args = ["--size", "tiny", "-w", "exceptions,richards", "--runs", "1"];
    let cut = bench(&[&args[..], &["--budget", "0"]].concat(), &json);
    assert_eq!(cut.status.code(), Some(3), "{}", text(&cut));
    assert_eq!(Results::load(&json).unwrap().programs.len(), 2, "the second has no turn yet");
    assert!(Results::load(&json).unwrap().get("richards", "dolmen").unwrap().turns.is_empty());
    assert!(bench(&args, &json).status.success());
    assert_eq!(Results::load(&json).unwrap().get("richards", "dolmen").unwrap().turns.len(), 1);
}

#[test]
fn broken_files_are_refused() {
    let folder = TempFolder::new().unwrap();
    let json = folder.0.join("results.json");
    std::fs::write(&json, "[]").unwrap();
    let output = bench(&["-w", "exceptions"], &json);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("holds no results"), "{}", text(&output));
}
