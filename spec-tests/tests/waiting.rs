//! Functions of WASI that wait: other threads run meanwhile, and interruptions end them.

#![forbid(unsafe_code)]

use dolmen::wasi::{self, InputStream, OutputStream, WasiCtx};
use dolmen::{
    Config, Engine, Error, Func, Instance, InterruptHandle, Linker, Module, Store, ThreadState, TrapCode, Val,
};
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
use wast::Wat;
use wast::parser::{self, ParseBuffer};

/// Every function that waits returns what it has transferred, or the number of its error times -1.
const PROGRAM: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (memory (export "memory") 4)
  (type $node (struct (field (mut (ref null $node)))))
  (global $flag (mut i32) (i32.const 0))
  ;; Each place in memory is one thread's: a vector at it, what was transferred, and the bytes behind.
  (func (export "read") (param $at i32) (result i32) (local $errno i32)
    (i32.store (local.get $at) (i32.add (local.get $at) (i32.const 16)))
    (i32.store offset=4 (local.get $at) (i32.const 1))
    (local.set $errno (call $read (i32.const 0) (local.get $at) (i32.const 1) (i32.add (local.get $at) (i32.const 8))))
    (if (result i32) (local.get $errno)
      (then (i32.sub (i32.const 0) (local.get $errno))) (else (i32.load offset=8 (local.get $at)))))
  (func (export "write") (param $at i32) (result i32) (local $errno i32) (local $left i32)
    (local.set $left (i32.const 150000))
    (loop $more
      (i32.store (local.get $at) (i32.const 1024))
      (i32.store offset=4 (local.get $at) (local.get $left))
      (local.set $errno
        (call $write (i32.const 1) (local.get $at) (i32.const 1) (i32.add (local.get $at) (i32.const 8))))
      (if (local.get $errno) (then (return (i32.sub (i32.const 0) (local.get $errno)))))
      (br_if $more (local.tee $left (i32.sub (local.get $left) (i32.load offset=8 (local.get $at))))))
    (i32.const 150000))
  ;; Waits for an hour.
  (func (export "sleep") (param $at i32) (result i32)
    (i32.store offset=16 (local.get $at) (i32.const 1))
    (i64.store offset=24 (local.get $at) (i64.const 3600000000000))
    (call $poll (local.get $at) (i32.add (local.get $at) (i32.const 48)) (i32.const 1)
                (i32.add (local.get $at) (i32.const 88))))
  ;; Waits for standard input; twice, which is allowed.
  (func (export "poll") (param $at i32) (result i32)
    (i32.store8 offset=8 (local.get $at) (i32.const 1))
    (i32.store8 offset=56 (local.get $at) (i32.const 1))
    (if (call $poll (local.get $at) (i32.add (local.get $at) (i32.const 96)) (i32.const 2)
                    (i32.add (local.get $at) (i32.const 168)))
      (then (unreachable)))
    (i32.load offset=168 (local.get $at)))
  (func (export "yield") (param i32) (result i32)
    (loop $l (drop (call $yield)) (br_if $l (i32.eqz (global.get $flag))))
    (global.get $flag))
  (func (export "raise") (param i32) (result i32) (global.set $flag (i32.const 1)) (i32.const 0))
  (func (export "close") (param i32) (result i32) (call $close (i32.const 0)))
  (func (export "allocate") (param i32) (result i32) (local $n (ref null $node)) (local $i i32)
    (loop $l (local.set $n (struct.new $node (local.get $n)))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10000))))
    (local.get $i)))"#;

/// WASI's error for a descriptor that is not open.
const EBADF: i32 = 8;

struct Fixture {
    store: Store<WasiCtx>,
    instance: Instance,
    handle: InterruptHandle,
    input: Option<PipeWriter>,
    output: PipeReader,
}

impl Fixture {
    fn new(config: &Config) -> Self {
        let engine = Engine::new(config).unwrap();
        let buffer = ParseBuffer::new(PROGRAM).unwrap();
        let wasm = parser::parse::<Wat<'_>>(&buffer).unwrap().encode().unwrap();
        let options = dolmen_aotc::Options { collector: engine.collector(), ..dolmen_aotc::Options::default() };
        let artifact = dolmen_aotc::compile(&wasm, &options).unwrap_or_else(|error| panic!("{error}"));
        let module = Module::deserialize(&engine, &artifact).unwrap();
        let ((stdin, input), (output, stdout)) = (pipe().unwrap(), pipe().unwrap());
        let ctx = WasiCtx::new()
            .stdin(InputStream::File(File::from(OwnedFd::from(stdin))))
            .stdout(OutputStream::File(File::from(OwnedFd::from(stdout))));
        let mut store = Store::new(&engine, ctx).unwrap();
        let mut linker = Linker::new(&engine);
        wasi::add_to_linker(&mut linker, |ctx| ctx).unwrap();
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let handle = store.interrupt_handle().unwrap();
        Self { store, instance, handle, input: Some(input), output }
    }

    fn func(&mut self, name: &str) -> Func {
        self.instance.get_func(&mut self.store, name).unwrap_or_else(|| panic!("no function {name}"))
    }

    fn spawn(&mut self, name: &str, at: i32) -> dolmen::JoinHandle {
        let func = self.func(name);
        self.store.spawn(func, &[Val::I32(at)]).unwrap()
    }

    fn call(&mut self, name: &str, at: i32) -> Result<i32, Error> {
        let mut results = [Val::I32(0)];
        self.func(name).call(&mut self.store, &[Val::I32(at)], &mut results)?;
        Ok(number(&results))
    }

    fn join(&mut self, handle: dolmen::JoinHandle) -> Result<i32, Error> {
        handle.join(&mut self.store).map(|results| number(&results))
    }

    /// Lets the spawned threads run until so many of them sleep.
    fn await_sleepers(&mut self, count: usize) {
        let control = self.store.thread_control();
        let asleep = || control.states().iter().filter(|(_, state)| *state == ThreadState::Waits).count();
        self.store.unlocked(|| {
            while asleep() < count {
                std::thread::yield_now();
            }
        });
    }
}

fn number(results: &[Val]) -> i32 {
    match results {
        [Val::I32(number)] => *number,
        other => panic!("{other:?}"),
    }
}

/// Threads that wait hold up neither host calls nor collections of the others; then they get what they wait for.
#[test]
fn others_run_and_collect_while_a_thread_waits() {
    let mut config = Config::new();
    config.gc_stress(NonZeroU64::new(50)).gc_verify(true);
    let mut fixture = Fixture::new(&config);
    let waiting = [("read", 0), ("poll", 256), ("write", 512)].map(|(name, at)| fixture.spawn(name, at));
    fixture.await_sleepers(3);
    for _ in 0..3 {
        assert_eq!(fixture.call("allocate", 0).unwrap(), 10_000);
    }
    assert!(fixture.store.gc_stats().collections > 100);
    assert_eq!(fixture.store.with_world_stopped(|world| world.backtraces().len()), 4);
    assert!(waiting.iter().all(|handle| !handle.is_finished()));
    fixture.input.as_mut().unwrap().write_all(b"xyz").unwrap();
    let mut output = fixture.output.try_clone().unwrap();
    let reader = std::thread::spawn(move || {
        let mut bytes = vec![0; 150_000];
        output.read_exact(&mut bytes).unwrap();
    });
    let found = waiting.map(|handle| fixture.join(handle).unwrap());
    assert_eq!(found, [1, 2, 150_000]);
    reader.join().unwrap();
}

/// What is there for one of two readers is no reason for the other to block with the store.
#[test]
fn two_threads_read_what_comes_for_one() {
    for _ in 0..20 {
        let mut fixture = Fixture::new(&Config::new());
        let readers = [0, 64].map(|at| fixture.spawn("read", at));
        fixture.await_sleepers(2);
        fixture.input.as_mut().unwrap().write_all(b"x").unwrap();
        let is_one_done = || readers.iter().filter(|reader| reader.is_finished()).count() == 1;
        fixture.store.unlocked(|| {
            while !is_one_done() {
                std::thread::yield_now();
            }
        });
        assert_eq!(fixture.call("allocate", 0).unwrap(), 10_000);
        // The end of the input.
        fixture.input = None;
        let total: i32 = readers.map(|reader| fixture.join(reader).unwrap()).iter().sum();
        assert_eq!(total, 1);
    }
}

#[test]
fn a_descriptor_is_closed_while_somebody_waits_for_it() {
    let mut fixture = Fixture::new(&Config::new());
    let reader = fixture.spawn("read", 0);
    fixture.await_sleepers(1);
    assert_eq!(fixture.call("close", 0).unwrap(), 0);
    fixture.input.as_mut().unwrap().write_all(b"x").unwrap();
    assert_eq!(fixture.join(reader).unwrap(), -EBADF);
}

#[test]
fn yielding_lets_others_use_the_store() {
    let mut fixture = Fixture::new(&Config::new());
    let raise = fixture.spawn("raise", 0);
    // It begins when the store is given up, which only yielding does.
    assert_eq!(fixture.call("yield", 0).unwrap(), 1);
    fixture.join(raise).unwrap();
}

/// In a store with one thread and in one with several: interrupted at once, and soon.
#[test]
fn interruptions_end_whatever_waits() {
    const TIMES: usize = 21;
    const BOUND: Duration = Duration::from_millis(10);
    let mut fixture = Fixture::new(&Config::new());
    // The pipe is full from now on.
    let filling = interrupt_in(&fixture.handle, Duration::from_millis(50));
    assert!(matches!(fixture.call("write", 512), Err(Error::Trap(trap)) if trap.code == TrapCode::Interrupt));
    filling.join().unwrap();
    for is_shared in [false, true] {
        let other = is_shared.then(|| fixture.spawn("sleep", 1024));
        for (name, at) in [("read", 0), ("write", 64), ("sleep", 128), ("poll", 256)] {
            let mut times: Vec<_> = (0..TIMES)
                .map(|_| {
                    let interrupter = interrupt_in(&fixture.handle, Duration::from_millis(2));
                    let result = fixture.call(name, at);
                    let end = Instant::now();
                    assert!(matches!(result, Err(Error::Trap(trap)) if trap.code == TrapCode::Interrupt), "{name}");
                    end.saturating_duration_since(interrupter.join().unwrap())
                })
                .collect();
            times.sort();
            assert!(times[TIMES / 2] < BOUND, "{name}: {times:?}");
        }
        if let Some(other) = other {
            assert!(matches!(fixture.join(other), Err(Error::Trap(trap)) if trap.code == TrapCode::Interrupt));
        }
    }
    // An interruption before the wait is not forgotten.
    fixture.handle.interrupt();
    assert!(fixture.call("sleep", 128).is_err());
    fixture.input.as_mut().unwrap().write_all(b"x").unwrap();
    assert_eq!(fixture.call("read", 0).unwrap(), 1);
}

/// Interrupts after some time, and returns when that was.
fn interrupt_in(handle: &InterruptHandle, time: Duration) -> std::thread::JoinHandle<Instant> {
    let handle = handle.clone();
    std::thread::spawn(move || {
        std::thread::sleep(time);
        let now = Instant::now();
        handle.interrupt();
        now
    })
}
