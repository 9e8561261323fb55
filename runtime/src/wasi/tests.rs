//! The functions on a memory of their own, without an instance.

use super::call::{Call, Exit, Failure};
use super::ctx::{BrokenPipe, WasiCtx};
use super::errno::Errno;
use super::fd::fd_write;
use super::functions::{FUNCTIONS, Param};
use super::guest::Guest;
use super::stream::{InputStream, OutputBuffer, OutputStream};
use crate::{Config, Engine, MemoryType, SharedMemory};
use std::io::{self, Write};

/// How a function ends that neither succeeds nor waits.
#[derive(Debug, PartialEq, Eq)]
enum Ending {
    Errno(Errno),
    Exit(Exit),
}

impl From<Errno> for Ending {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

/// Calls a function by name, and waits as long as it wants to.
fn call(ctx: &mut WasiCtx, memory: &mut [u8], name: &str, args: &[u64]) -> Result<(), Ending> {
    let function = FUNCTIONS.iter().find(|function| function.name == name).expect("a function of the list");
    assert_eq!(function.params.len(), args.len(), "{name}");
    let (mut since, mut done) = (None, 0);
    loop {
        let mut call = Call { ctx, memory: Guest::new(memory), args, is_watched: true, since, done };
        match (function.run)(&mut call) {
            Ok(()) | Err(Failure::Yield) => return Ok(()),
            Err(Failure::Errno(errno)) => return Err(errno.into()),
            Err(Failure::Exit(exit)) => return Err(Ending::Exit(exit)),
            Err(Failure::Unfinished { done: so_far }) => done = so_far,
            Err(Failure::Blocked(wait)) => {
                wait.sleep(None)?;
                since = Some(wait.since);
            }
        }
    }
}

fn word(memory: &[u8], addr: usize) -> u32 {
    u32::from_le_bytes(memory[addr..addr + 4].try_into().expect("four bytes"))
}

fn long(memory: &[u8], addr: usize) -> u64 {
    u64::from_le_bytes(memory[addr..addr + 8].try_into().expect("eight bytes"))
}

fn put(memory: &mut [u8], addr: usize, words: &[u32]) {
    for (i, word) in words.iter().enumerate() {
        memory[addr + 4 * i..addr + 4 * i + 4].copy_from_slice(&word.to_le_bytes());
    }
}

#[test]
fn arguments_and_environment_are_lists_of_strings() {
    let mut ctx = WasiCtx::new().arg("prog").arg("a b").arg("").env("KEY", "value");
    let mut memory = [0xff; 128];
    assert_eq!(call(&mut ctx, &mut memory, "args_sizes_get", &[0, 4]), Ok(()));
    assert_eq!((word(&memory, 0), word(&memory, 4)), (3, 10));
    assert_eq!(call(&mut ctx, &mut memory, "args_get", &[8, 32]), Ok(()));
    assert_eq!([word(&memory, 8), word(&memory, 12), word(&memory, 16)], [32, 37, 41]);
    assert_eq!(&memory[32..42], b"prog\0a b\0\0");
    assert_eq!(memory[42], 0xff);
    assert_eq!(call(&mut ctx, &mut memory, "environ_sizes_get", &[0, 4]), Ok(()));
    assert_eq!((word(&memory, 0), word(&memory, 4)), (1, 10));
    assert_eq!(call(&mut ctx, &mut memory, "environ_get", &[0, 118]), Ok(()));
    assert_eq!(&memory[118..], b"KEY=value\0");
    assert_eq!(call(&mut ctx, &mut memory, "environ_get", &[0, 119]), Err(Errno::Fault.into()));
    assert_eq!(call(&mut ctx, &mut memory, "args_get", &[u64::from(u32::MAX), 0]), Err(Errno::Fault.into()));
}

#[test]
fn strings_end_at_a_zero_byte() {
    let ctx = WasiCtx::new().arg("a\0b").env("k\0x", "v\0y");
    assert_eq!(ctx.args, [b"a"]);
    assert_eq!(ctx.env, [b"k=v"]);
}

#[test]
fn writes_gather_and_reads_scatter() {
    let output = OutputBuffer::default();
    let mut ctx = WasiCtx::new()
        .stdin(InputStream::Reader(Box::new(io::Cursor::new(b"input".to_vec()))))
        .stdout(OutputStream::Buffer(output.clone()));
    let mut memory = [0; 64];
    memory[48..].copy_from_slice(b"hello, world....");
    put(&mut memory, 0, &[48, 5, 53, 7]);
    assert_eq!(call(&mut ctx, &mut memory, "fd_write", &[1, 0, 2, 16]), Ok(()));
    assert_eq!(word(&memory, 16), 12);
    assert_eq!(output.contents(), b"hello, world");
    put(&mut memory, 0, &[48, 2, 60, 4]);
    assert_eq!(call(&mut ctx, &mut memory, "fd_read", &[0, 0, 2, 16]), Ok(()));
    assert_eq!(word(&memory, 16), 5);
    assert_eq!((&memory[48..50], &memory[60..63]), (&b"in"[..], &b"put"[..]));
    assert_eq!(call(&mut ctx, &mut memory, "fd_read", &[0, 0, 2, 16]), Ok(()));
    assert_eq!(word(&memory, 16), 0);
}

#[test]
fn misuse_of_descriptors_is_an_error() {
    let mut ctx = WasiCtx::new();
    let mut memory = [0; 64];
    let mut errno = |name: &str, args: &[u64]| call(&mut ctx, &mut memory, name, args);
    assert_eq!(errno("fd_write", &[0, 0, 0, 8]), Err(Errno::NotCapable.into()));
    assert_eq!(errno("fd_read", &[1, 0, 0, 8]), Err(Errno::NotCapable.into()));
    assert_eq!(errno("fd_write", &[7, 0, 0, 8]), Err(Errno::BadF.into()));
    assert_eq!(errno("fd_seek", &[1, 0, 0, 8]), Err(Errno::SPipe.into()));
    assert_eq!(errno("fd_prestat_get", &[3, 0]), Err(Errno::BadF.into()));
    assert_eq!(errno("path_open", &[3, 0, 0, 0, 0, 0, 0, 0, 0]), Err(Errno::BadF.into()));
    assert_eq!(errno("path_open", &[0, 0, 0, 0, 0, 0, 0, 0, 0]), Err(Errno::NotDir.into()));
    assert_eq!(errno("fd_close", &[2]), Ok(()));
    assert_eq!(errno("fd_close", &[2]), Err(Errno::BadF.into()));
    assert_eq!(errno("fd_renumber", &[1, 2]), Err(Errno::BadF.into()));
    assert_eq!(errno("fd_renumber", &[1, 0]), Ok(()));
    assert_eq!(errno("fd_read", &[0, 0, 0, 8]), Err(Errno::NotCapable.into()));
    assert_eq!(errno("fd_fdstat_get", &[1, 0]), Err(Errno::BadF.into()));
    assert_eq!(errno("fd_fdstat_get", &[0, 60]), Err(Errno::Fault.into()));
}

#[test]
fn exit_and_broken_pipe_end_the_guest() {
    struct Broken;
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut memory = [0; 64];
    put(&mut memory, 0, &[32, 4]);
    let mut ctx = WasiCtx::new().stdout(OutputStream::Writer(Box::new(Broken)));
    assert_eq!(call(&mut ctx, &mut memory, "fd_write", &[1, 0, 1, 8]), Err(Errno::Pipe.into()));
    let mut ctx = ctx.on_broken_pipe(BrokenPipe::End);
    assert_eq!(call(&mut ctx, &mut memory, "fd_write", &[1, 0, 1, 8]), Err(Ending::Exit(Exit::Closed)));
    assert_eq!(call(&mut ctx, &mut memory, "proc_exit", &[7]), Err(Ending::Exit(Exit::Status(7))));
}

#[test]
fn clocks_advance_and_random_bytes_differ() {
    let mut ctx = WasiCtx::new();
    let mut memory = [0; 64];
    for clock in 0..4 {
        assert_eq!(call(&mut ctx, &mut memory, "clock_time_get", &[clock, 0, 0]), Ok(()));
        assert_eq!(call(&mut ctx, &mut memory, "clock_res_get", &[clock, 16]), Ok(()));
        assert!((1..1_000_000_000).contains(&long(&memory, 16)));
        for _ in 0..10_000 {
            std::hint::black_box(clock);
        }
        assert_eq!(call(&mut ctx, &mut memory, "clock_time_get", &[clock, 0, 8]), Ok(()));
        assert!(long(&memory, 8) >= long(&memory, 0));
    }
    assert_eq!(call(&mut ctx, &mut memory, "clock_time_get", &[4, 0, 0]), Err(Errno::Inval.into()));
    assert_eq!(call(&mut ctx, &mut memory, "random_get", &[0, 32]), Ok(()));
    assert_ne!(memory[..16], memory[16..32]);
    assert_eq!(call(&mut ctx, &mut memory, "random_get", &[33, 32]), Err(Errno::Fault.into()));
}

#[test]
fn long_fillings_take_several_turns() {
    const LEN_BYTES: usize = (5 << 20) / 2;
    let mut memory = vec![0; LEN_BYTES];
    let args = [0, LEN_BYTES as u64];
    let (mut done, mut turns) = (0, 1);
    loop {
        let memory = Guest::new(&mut memory);
        let mut call = Call { ctx: &mut WasiCtx::new(), memory, args: &args, is_watched: true, since: None, done };
        match super::random::random_get(&mut call) {
            Ok(()) => break,
            Err(Failure::Unfinished { done: so_far }) => done = so_far,
            Err(other) => panic!("{other:?}"),
        }
        turns += 1;
    }
    assert!(turns >= 3, "{turns}");
    assert!(memory.chunks(64).all(|bytes| bytes.iter().any(|&byte| byte != 0)));
}

#[test]
fn of_a_shared_memory_a_call_copies_little() {
    const MIB: u32 = 1 << 20;
    let engine = Engine::new(&Config::new()).expect("an engine");
    let shared = SharedMemory::new(&engine, MemoryType::shared(32, 32)).expect("a memory");
    // Four times the same mebibyte.
    for i in 0..4 {
        shared.write(8 * i + 4, &MIB.to_le_bytes()).expect("it is in the memory");
    }
    let output = OutputBuffer::default();
    let mut ctx = WasiCtx::new().stdout(OutputStream::Buffer(output.clone()));
    let args = [1, 0, 4, 64];
    let memory = Guest::Shared(shared.clone());
    fd_write(&mut Call { ctx: &mut ctx, memory, args: &args, is_watched: false, since: None, done: 0 })
        .expect("it writes");
    let mut written = [0; 4];
    shared.read(64, &mut written).expect("it is in the memory");
    assert_eq!((u32::from_le_bytes(written), output.contents().len()), (MIB, MIB as usize));
}

#[test]
fn polling_waits_for_the_first_clock() {
    let mut ctx = WasiCtx::new();
    let mut memory = [0; 256];
    let (millis, hour) = (5_000_000_u64, 3_600_000_000_000_u64);
    for (i, (user_data, timeout)) in [(1_u64, hour), (2, millis)].into_iter().enumerate() {
        let at = 48 * i;
        memory[at..at + 8].copy_from_slice(&user_data.to_le_bytes());
        memory[at + 16] = 1;
        memory[at + 24..at + 32].copy_from_slice(&timeout.to_le_bytes());
    }
    let start = std::time::Instant::now();
    assert_eq!(call(&mut ctx, &mut memory, "poll_oneoff", &[0, 128, 2, 250]), Ok(()));
    assert!(start.elapsed().as_nanos() >= u128::from(millis));
    assert_eq!((word(&memory, 250), long(&memory, 128), word(&memory, 136)), (1, 2, 0));
}

#[test]
fn polling_reports_descriptors() {
    let mut ctx = WasiCtx::new();
    let mut memory = [0; 256];
    for (i, (tag, fd)) in [(1, 0), (2, 1), (1, 1), (2, 9)].into_iter().enumerate() {
        let at = 48 * i;
        memory[at + 8] = tag;
        memory[at + 16] = fd;
    }
    let (first, second) = memory.split_at_mut(192);
    assert_eq!(second.len(), 64);
    assert_eq!(call(&mut ctx, first, "poll_oneoff", &[0, 0, 4, 188]), Ok(()));
    let errors: Vec<u16> = (0..4).map(|i| u16::from_le_bytes([first[32 * i + 8], first[32 * i + 9]])).collect();
    assert_eq!((word(first, 188), errors), (4, vec![0, 0, 76, 8]));
    assert_eq!(call(&mut ctx, &mut memory, "poll_oneoff", &[0, 0, 0, 188]), Err(Errno::Inval.into()));
    let many = u64::from(u32::MAX);
    assert_eq!(call(&mut ctx, &mut memory, "poll_oneoff", &[0, 0, many, 188]), Err(Errno::Inval.into()));
}

#[test]
fn no_argument_makes_a_function_panic() {
    let values = [0, 1, 3, 8, 63, 64, 0x7fff_ffff, 0x8000_0000, 0xffff_fff8, 0xffff_ffff];
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for function in FUNCTIONS {
        for _ in 0..200 {
            let mut ctx = WasiCtx::new().arg("prog").env("K", "V");
            let mut memory = [0; 64];
            let args: Vec<u64> = function
                .params
                .iter()
                .map(|param| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let value = values[(seed >> 33) as usize % values.len()];
                    if *param == Param::I64 { value << 32 | value } else { value }
                })
                .collect();
            // Any outcome will do. An endless wait is impossible: the zeroed subscriptions are clocks that are due.
            let _ = call(&mut ctx, &mut memory, function.name, &args);
        }
    }
}
