//! Where the system refuses what is usual: files of any size, memory, a standard error that takes text.

mod common;

use common::{Said, Scratch, said};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Keeps 20000 structs, whose snapshot has more than 64 KiB.
const KEEPER: &str = r#"(module (type $node (struct (field (ref null $node))))
    (global $last (mut (ref null $node)) (ref.null $node))
    (func (export "keep") (param $count i32)
        (loop $more
            (global.set $last (struct.new $node (global.get $last)))
            (br_if $more (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))))"#;

/// Runs the command with files of at most so many blocks of 512 bytes.
fn with_file_limit(scratch: &Scratch, blocks: u32, arguments: &str) -> Said {
    with_limit(scratch, &format!("-f {blocks}"), arguments)
}

/// Runs the command with a limit, in the notation of `ulimit`.
fn with_limit(scratch: &Scratch, limit: &str, arguments: &str) -> Said {
    let command = format!("ulimit {limit}; exec {} {arguments}", env!("CARGO_BIN_EXE_dolmen"));
    let mut shell = Command::new("sh");
    shell.args(["-c", &command]).current_dir(scratch.path("")).env("XDG_CACHE_HOME", scratch.path("cache"));
    said(&mut shell)
}

#[test]
fn files_that_cannot_be_written_whole_leave_what_was_there() {
    let scratch = Scratch::new();
    scratch.file("keep.wat", KEEPER);
    scratch.run(["compile", "--profile-generate", "keep.wat", "-o", "counting"]).prints("");
    for (blocks, file, arguments) in [
        (1, "out", "compile keep.wat -o out"),
        (1, "out", "run --gc-report out --invoke keep keep.wat 1"),
        (32, "out", "run --gc-snapshot out --invoke keep keep.wat 20000"),
        (0, "out", "run --profile-out out --invoke keep counting 1"),
    ] {
        let fails = || with_file_limit(&scratch, blocks, arguments).fails_with(&["cannot write out", "too large"]);
        fails();
        assert!(!scratch.path(file).exists(), "{arguments}");
        if !arguments.contains("profile") {
            scratch.file(file, "old");
            fails();
            assert_eq!(fs::read(scratch.path(file)).expect("the old file"), b"old", "{arguments}");
            fs::remove_file(scratch.path(file)).expect("the old file");
        }
    }
    let left = fs::read_dir(scratch.path("")).expect("the folder").flatten();
    let left: Vec<_> =
        left.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "tmp")).collect();
    assert_eq!(left, [] as [PathBuf; 0]);
}

#[test]
fn a_program_may_poll_for_more_than_it_has_descriptors() {
    let scratch = Scratch::new();
    scratch.file(
        "poll.wat",
        r#"(module
            (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 4)
            (func (export "events") (param $count i32) (result i32 i32) (local $i i32)
                (loop $more
                    (i32.store8 offset=8 (i32.mul (local.get $i) (i32.const 48)) (i32.const 1))
                    (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $count))))
                (call $poll (i32.const 0) (i32.const 100000) (local.get $count) (i32.const 200000))
                (i32.load (i32.const 200000))))"#,
    );
    with_limit(&scratch, "-n 100", "run --invoke events poll.wat 1000 < /dev/null").prints("0\n1000\n");
}

#[test]
fn a_cache_that_takes_nothing_costs_no_run() {
    let scratch = Scratch::new();
    scratch.file("keep.wat", KEEPER);
    let said = with_file_limit(&scratch, 0, "run --incremental --invoke keep keep.wat 1");
    assert_eq!((said.status, &*said.stdout, &*said.stderr), (Some(0), "", ""));
    assert!(scratch.cached().is_empty() && scratch.cached_parts().is_empty());
}

#[test]
fn a_report_that_is_not_written_does_not_lose_the_profile() {
    let scratch = Scratch::new();
    scratch.file("keep.wat", KEEPER);
    scratch.run(["compile", "--profile-generate", "keep.wat", "-o", "counting"]).prints("");
    let said = with_file_limit(&scratch, 2, "run --gc-report page.html --invoke keep counting 1");
    said.fails_with(&["cannot write page.html"]);
    scratch.run(["profile", "show", "counting.dolmenprof"]);
    assert!(scratch.path("counting.dolmenprof").exists() && !scratch.path("page.html").exists());
}

#[test]
fn causes_are_told_once() {
    let scratch = Scratch::new();
    scratch.file("keep.wat", KEEPER);
    scratch.run(["compile", "keep.wat", "-o", "keep"]).prints("");
    let command = format!("ulimit -v 300000; exec {} run --invoke keep keep 1", env!("CARGO_BIN_EXE_dolmen"));
    let said = said(Command::new("sh").args(["-c", &command]).current_dir(scratch.path("")));
    said.fails_with(&["cannot reserve", "address space"]);
    assert_eq!(said.stderr.matches("os error").count(), 1, "{said:?}");
}

#[test]
fn a_log_that_nobody_can_write_costs_no_run() {
    let scratch = Scratch::new();
    scratch.file("keep.wat", KEEPER);
    let full = fs::File::options().write(true).open("/dev/full").expect("/dev/full");
    let mut command = scratch.dolmen();
    command.args(["run", "--gc-log", "--gc-stress", "50", "--stats", "--invoke", "keep", "keep.wat", "1000"]);
    let status = command.stderr(full).status().expect("the command starts");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn more_threads_than_make_sense_are_refused() {
    let scratch = Scratch::new();
    let args = ["run", "--gc-threads", "4294967295", "--gc-stress", "1", "--invoke", "keep", "@", "9"];
    scratch.run_wat(KEEPER, &args).fails_with(&["gc_threads", "from 1 to 1024"]);
    let args = ["run", "--gc-threads", "64", "--gc-stress", "1", "--invoke", "keep", "@", "9"];
    scratch.run_wat(KEEPER, &args).prints("");
}
