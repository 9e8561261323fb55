//! Programs with threads, and programs that are stopped.

mod common;

use common::Scratch;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A program of wasi-threads: four threads add to a sum and count themselves; the first waits for the others and
/// exits with the sum.
const WASI: &str = r#"(module
  (import "env" "memory" (memory 1 4 shared))
  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (export "memory" (memory 0))
  (global $own (mut i32) (i32.const 0))
  (func (export "wasi_thread_start") (param $id i32) (param $argument i32)
    ;; Each thread has an instance of its own.
    (global.set $own (i32.add (global.get $own) (local.get $argument)))
    (drop (i32.atomic.rmw.add (i32.const 0) (global.get $own)))
    (drop (i32.atomic.rmw.or (i32.const 8) (i32.shl (i32.const 1) (local.get $id))))
    (drop (i32.atomic.rmw.add (i32.const 4) (i32.const 1)))
    (drop (memory.atomic.notify (i32.const 4) (i32.const 1))))
  (func (export "_start") (local $i i32) (local $seen i32)
    (loop $l
      (if (i32.lt_s (call $spawn (i32.add (local.get $i) (i32.const 1))) (i32.const 1)) (then (unreachable)))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 4))))
    (loop $wait
      (local.set $seen (i32.atomic.load (i32.const 4)))
      (if (i32.lt_u (local.get $seen) (i32.const 4))
        (then (drop (memory.atomic.wait32 (i32.const 4) (local.get $seen) (i64.const -1))) (br $wait))))
    (if (i32.ne (i32.atomic.load (i32.const 8)) (i32.const 0x1e)) (then (unreachable)))
    (i32.store (i32.const 16) (i32.const 24))
    (i32.store (i32.const 20) (i32.const 5))
    (i64.store (i32.const 24) (i64.const 0x0a656e6f64))
    (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 32)))
    (call $exit (i32.atomic.load (i32.const 0)))))"#;

/// A program without a memory: threads push onto a list that is an object.
const OBJECTS: &str = r#"(module $objects
  (type $cell (struct (field (mut i32)) (field (mut i32))))
  (import "dolmen" "thread-spawn" (func $spawn (param funcref anyref) (result i32)))
  (memory $m 1 1 shared)
  (global $total (mut i32) (i32.const 0))
  (elem declare func $work $fail $result)
  (func $work (param $cell anyref)
    (struct.set $cell 0 (ref.cast (ref $cell) (local.get $cell)) (i32.const 20))
    (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))
    (drop (memory.atomic.notify (i32.const 0) (i32.const 1))))
  (func $fail (param anyref) (unreachable))
  (func $result (param anyref) (result i32) (i32.const 0))
  (func (export "share") (result i32) (local $cell (ref $cell))
    (local.set $cell (struct.new $cell (i32.const 1) (i32.const 2)))
    (if (i32.ne (call $spawn (ref.func $result) (ref.null any)) (i32.const -1)) (then (unreachable)))
    (if (i32.ne (call $spawn (ref.null func) (ref.null any)) (i32.const -1)) (then (unreachable)))
    (if (i32.lt_s (call $spawn (ref.func $work) (local.get $cell)) (i32.const 1)) (then (unreachable)))
    (loop $l
      (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))
      (br_if $l (i32.eqz (i32.atomic.load (i32.const 0)))))
    (i32.add (struct.get $cell 0 (local.get $cell)) (struct.get $cell 1 (local.get $cell))))
  (func (export "fail")
    (drop (call $spawn (ref.func $fail) (ref.null any)))
    (loop $l (drop (memory.atomic.wait32 (i32.const 4) (i32.const 0) (i64.const -1))) (br $l))))"#;

/// Three threads that hang, each in its way.
const HANGING: &str = r#"(module $hanging
  (import "dolmen" "thread-spawn" (func $spawn (param funcref anyref) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1 1 shared)
  (elem declare func $spins $waits)
  (func $spins (param anyref) (loop $l (br $l)))
  (func $waits (param anyref) (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1))))
  (func $reads (export "_start")
    (drop (call $spawn (ref.func $spins) (ref.null any)))
    (drop (call $spawn (ref.func $waits) (ref.null any)))
    (i32.store (i32.const 8) (i32.const 64))
    (i32.store (i32.const 12) (i32.const 1))
    (drop (call $read (i32.const 0) (i32.const 8) (i32.const 1) (i32.const 16)))))"#;

/// Ways never to end.
const ENDLESS: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "loop") (loop $l (br $l)))
  (func (export "read")
    (i32.store (i32.const 4) (i32.const 1))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func (export "nothing")))"#;

#[test]
fn wasi_threads_share_the_imported_memory() {
    for _ in 0..5 {
        let said = Scratch::new().run_wat(WASI, &["run", "@"]);
        assert_eq!((said.status, said.stdout.as_str()), (Some(10), "done\n"), "{said:?}");
    }
}

/// A program of wasi-threads whose third instance ends the program in its start function, or is there when thread 1 does.
fn exits_while_threads_start(start: &str, thread: &str) -> String {
    format!(
        r#"(module
          (import "env" "memory" (memory 1 1 shared))
          (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (export "memory" (memory 0))
          (func $start
            (if (i32.eq (i32.atomic.rmw.add (i32.const 0) (i32.const 1)) (i32.const 2)) (then {start})))
          (start $start)
          (func (export "wasi_thread_start") (param i32 i32) {thread})
          (func (export "_start")
            (drop (call $spawn (i32.const 0)))
            (drop (call $spawn (i32.const 0)))
            (drop (memory.atomic.wait32 (i32.const 16) (i32.const 0) (i64.const -1)))))"#
    )
}

#[test]
fn start_functions_of_threads_can_end_the_program() {
    let by_itself = exits_while_threads_start("(call $exit (i32.const 3))", "");
    let by_another = exits_while_threads_start(
        "(i32.atomic.store (i32.const 8) (i32.const 1))
         (drop (memory.atomic.notify (i32.const 8) (i32.const 1)))
         (loop $for_ever (br $for_ever))",
        "(drop (memory.atomic.wait32 (i32.const 8) (i32.const 0) (i64.const -1))) (call $exit (i32.const 5))",
    );
    let trap = exits_while_threads_start("(unreachable)", "");
    let scratch = Scratch::new();
    assert_eq!(scratch.run_wat(&by_itself, &["run", "--timeout", "1m", "@"]).status, Some(3));
    assert_eq!(scratch.run_wat(&by_another, &["run", "--timeout", "1m", "@"]).status, Some(5));
    scratch.run_wat(&trap, &["run", "--timeout", "1m", "@"]).traps_with("unreachable");
}

#[test]
fn objects_are_shared_without_a_memory() {
    let scratch = Scratch::new();
    scratch.run_wat(OBJECTS, &["run", "--invoke", "share", "@"]).prints("22\n");
    scratch.run_wat(OBJECTS, &["run", "--gc-stress", "1", "--invoke", "share", "@"]).prints("22\n");
    let said = scratch.run_wat(OBJECTS, &["run", "--invoke", "fail", "@"]);
    said.traps_with("unreachable");
    assert!(said.stderr.contains("fail (objects!"), "{said:?}");
}

#[test]
fn timeouts_end_programs() {
    let scratch = Scratch::new();
    scratch.run_wat(ENDLESS, &["run", "--timeout", "20ms", "--invoke", "loop", "@"]).traps_with("interrupt");
    scratch.run_wat(ENDLESS, &["run", "--timeout", "1m", "--invoke", "nothing", "@"]).prints("");
    scratch.run_wat(ENDLESS, &["run", "--timeout", "soon", "--invoke", "loop", "@"]).fails_with(&["soon", "200ms"]);
}

#[test]
fn timeouts_end_programs_that_wait_for_input() {
    let scratch = Scratch::new();
    scratch.file("endless.wat", ENDLESS);
    let start = Instant::now();
    let mut command = scratch.dolmen();
    command.args(["run", "--timeout", "20ms", "--invoke", "read", "endless.wat"]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Waiting would close it.
    let _open = child.stdin.take();
    assert_eq!(child.wait().unwrap().code(), Some(134));
    assert!(start.elapsed() < Duration::from_secs(60));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    // It has woken: without a backtrace the process would have ended over its head.
    assert!(said.contains("trap: interrupt\n  0: "), "{said}");
}

#[test]
fn hanging_threads_tell_where_they_are() {
    let scratch = Scratch::new();
    scratch.file("hanging.wat", HANGING);
    let mut command = Command::new(env!("CARGO_BIN_EXE_dolmen"));
    command.args(["run", "hanging.wat"]).current_dir(scratch.path("")).env("XDG_CACHE_HOME", scratch.path("cache"));
    let mut program = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _open = program.stdin.take();
    let pid = program.id().to_string();
    let tasks = format!("/proc/{pid}/task");
    let names = || -> Vec<String> {
        let tasks = std::fs::read_dir(&tasks).unwrap().map_while(Result::ok);
        tasks.map(|task| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default()).collect()
    };
    // A signal before its thread is there would end the process.
    while !names().iter().any(|name| name == "sigquit\n") {
        std::thread::sleep(Duration::from_millis(5));
    }
    let said = Arc::new(Mutex::new(String::new()));
    let reader = std::thread::spawn({
        let (said, stderr) = (Arc::clone(&said), program.stderr.take().unwrap());
        move || {
            BufReader::new(stderr)
                .lines()
                .map_while(Result::ok)
                .for_each(|line| *said.lock().unwrap() += &(line + "\n"))
        }
    });
    let signal = |name: &str| assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    let wanted = [
        "thread 0: sleeps",
        "thread 1: runs",
        "thread 2: sleeps",
        "thread 0 is calling:\n  reads (hanging!",
        "thread 1 is calling:\n  spins (hanging!",
        "thread 2 is calling:\n  waits (hanging!",
    ];
    let start = Instant::now();
    while !wanted.iter().all(|wanted| said.lock().unwrap().contains(wanted)) {
        assert!(start.elapsed() < Duration::from_secs(60), "{}", said.lock().unwrap());
        signal("-QUIT");
        std::thread::sleep(Duration::from_millis(50));
    }
    // Ctrl-C.
    signal("-INT");
    assert_eq!(program.wait().unwrap().signal(), Some(2));
    reader.join().unwrap();
    // A time that is over ends them all.
    let mut command = scratch.dolmen();
    command.args(["run", "--timeout", "100ms", "hanging.wat"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut program = command.spawn().unwrap();
    let _open = program.stdin.take();
    assert_eq!(program.wait().unwrap().code(), Some(134));
    let mut said = String::new();
    program.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.starts_with("trap: interrupt\n  0: "), "{said}");
}

#[test]
fn code_without_polls_has_no_timeout() {
    let scratch = Scratch::new();
    scratch.file("endless.wat", ENDLESS);
    scratch.run(["compile", "--no-polls", "endless.wat", "-o", "endless.dolmen"]).prints("");
    scratch.run(["run", "--invoke", "nothing", "endless.dolmen"]).prints("");
    scratch
        .run(["run", "--timeout", "1s", "--invoke", "nothing", "endless.dolmen"])
        .fails_with(&["compiled without polls", "--no-polls"]);
}
