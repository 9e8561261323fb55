//! Compiles a program and runs it, in this process, as an embedder would.
//!
//! In: a program of the list and a [`Setup`]. Out: its checksum or what it printed. Each run has an engine, a
//! store and an instance of its own, so that runs in parallel threads do not meet.

use crate::programs::{Benchmark, Command, Size, Variant};
use anyhow::{Context as _, Result, ensure};
use dolmen::wasi::{self, OutputBuffer, OutputStream, WasiCtx};
use dolmen::{Collector, Config, Engine, Func, Instance, Linker, Module, Store, Val};
use dolmen_abi::collector::Protocol;
use dolmen_aotc::{OptLevel, Options};
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

/// The knobs that tests turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    pub opt_level: OptLevel,
    pub collector: Collector,
    /// Threads that mark at most.
    pub gc_threads: Option<NonZeroU32>,
    /// Collect at every N-th allocation.
    pub gc_stress: Option<NonZeroU64>,
    /// Verify the heap before and after each collection.
    pub gc_verify: bool,
}

impl Setup {
    /// An engine for runs with this set-up.
    pub(crate) fn engine(self) -> Result<Engine> {
        let mut config = Config::new();
        config.collector(self.collector).gc_stress(self.gc_stress).gc_verify(self.gc_verify);
        if let Some(threads) = self.gc_threads {
            config.gc_threads(threads);
        }
        Ok(Engine::new(&config)?)
    }
}

impl Default for Setup {
    /// What a user gets who asks for nothing.
    fn default() -> Self {
        Self {
            opt_level: OptLevel::default(),
            collector: Collector::DEFAULT,
            gc_threads: None,
            gc_stress: None,
            gc_verify: false,
        }
    }
}

/// Compiles a binary to the bytes of an artifact.
///
/// # Errors
///
/// If the file cannot be read or does not compile.
pub fn compile(wasm: &Path, setup: Setup) -> Result<Vec<u8>> {
    let bytes = std::fs::read(wasm).with_context(|| format!("cannot read {}", wasm.display()))?;
    // Tests run in as many threads as there are processors already.
    let options = Options { opt_level: setup.opt_level, collector: setup.collector, jobs: 1, ..Options::default() };
    dolmen_aotc::compile(&bytes, &options).with_context(|| format!("cannot compile {}", wasm.display()))
}

/// What an artifact depends on.
#[derive(Clone, PartialEq)]
struct ArtifactKey {
    wasm: PathBuf,
    opt_level: OptLevel,
    protocol: Protocol,
}

/// An artifact, or why there is none; empty until the first test that wants it has compiled it.
type CachedArtifact = Arc<OnceLock<Result<Arc<[u8]>, String>>>;

/// Compiles a binary, once in this process for all setups that give the same artifact.
pub(crate) fn artifact(wasm: PathBuf, setup: Setup) -> Result<Arc<[u8]>> {
    static CACHE: Mutex<Vec<(ArtifactKey, CachedArtifact)>> = Mutex::new(Vec::new());
    let key = ArtifactKey { wasm, opt_level: setup.opt_level, protocol: setup.collector.protocol() };
    let entry = {
        let mut cache = CACHE.lock().expect("no holder of the lock panics");
        match cache.iter().find(|(known, _)| *known == key) {
            Some((_, entry)) => Arc::clone(entry),
            None => {
                cache.push((key.clone(), CachedArtifact::default()));
                Arc::clone(&cache[cache.len() - 1].1)
            }
        }
    };
    let compile = || compile(&key.wasm, setup).map(Arc::from).map_err(|error| format!("{error:#}"));
    entry.get_or_init(compile).clone().map_err(anyhow::Error::msg)
}

/// Compiles a benchmark, calls it `calls` times in one instance, and checks each result.
///
/// # Errors
///
/// If a step fails or a checksum is wrong.
pub fn check_benchmark(benchmark: &Benchmark, variant: Variant, size: Size, calls: usize, setup: Setup) -> Result<()> {
    let mut program = Program::new(benchmark.wasm_path(variant), setup)?;
    let run = program.func("run")?;
    for call in 1..=calls {
        let mut results = [Val::I64(0)];
        run.call(&mut program.store, &[Val::I32(benchmark.argument(size))], &mut results)?;
        let [Val::I64(checksum)] = results else { anyhow::bail!("run returns {results:?}, not an i64") };
        let expected = benchmark.checksum(size);
        ensure!(checksum == expected, "call {call}: checksum {checksum}, expected {expected}");
    }
    Ok(())
}

/// Compiles a command, runs it, and checks what it prints.
///
/// # Errors
///
/// If a step fails or the output is not the expected one.
pub fn check_command(command: Command, variant: Variant, setup: Setup) -> Result<()> {
    let mut program = Program::new(command.wasm_path(variant), setup)?;
    program.func("_start")?.call(&mut program.store, &[], &mut [])?;
    let output = String::from_utf8(program.output.contents()).context("the output is not UTF-8")?;
    match first_difference(&output, command.expected) {
        None => Ok(()),
        Some(difference) => Err(anyhow::anyhow!(difference)),
    }
}

/// An instance of a program, ready to be called.
struct Program {
    store: Store<WasiCtx>,
    instance: Instance,
    output: OutputBuffer,
}

impl Program {
    fn new(wasm: PathBuf, setup: Setup) -> Result<Self> {
        let artifact = artifact(wasm, setup)?;
        let engine = setup.engine()?;
        let module = Module::deserialize(&engine, &artifact)?;
        let output = OutputBuffer::default();
        let context = WasiCtx::new().arg("program").stdout(OutputStream::Buffer(output.clone()));
        let mut store = Store::new(&engine, context)?;
        let mut linker = Linker::new(&engine);
        wasi::add_to_linker(&mut linker, |context: &mut WasiCtx| context)?;
        let instance = linker.instantiate(&mut store, &module)?;
        Ok(Self { store, instance, output })
    }

    fn func(&mut self, name: &str) -> Result<Func> {
        self.instance.get_func(&mut self.store, name).with_context(|| format!("no function `{name}` is exported"))
    }
}

/// The first line in which two texts differ, told with its number.
pub(crate) fn first_difference(found: &str, expected: &str) -> Option<String> {
    let (mut found, mut expected) = (found.lines(), expected.lines());
    for number in 1_usize.. {
        match (found.next(), expected.next()) {
            (None, None) => return None,
            (found, expected) if found == expected => {}
            (found, expected) => {
                let line = |line: Option<&str>| line.map_or_else(|| "the end".to_owned(), |line| format!("`{line}`"));
                return Some(format!("line {number} is {}, expected {}", line(found), line(expected)));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_different_line_is_told() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nc\n", "a\nb\n").as_deref(), Some("line 2 is `c`, expected `b`"));
        assert_eq!(first_difference("a\n", "a\nb\n").as_deref(), Some("line 2 is the end, expected `b`"));
        assert_eq!(first_difference("a\nb\n", "a\n").as_deref(), Some("line 2 is `b`, expected the end"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = compile(Path::new("no/such.wasm"), Setup::default()).unwrap_err();
        assert_eq!(error.to_string(), "cannot read no/such.wasm");
    }
}
