//! Programs give their known results when their code counts, and when it is made from what was counted.

use anyhow::{Context as _, Result, ensure};
use dolmen::wasi::{self, WasiCtx};
use dolmen::{Config, Engine, Linker, Module, Profile, Store, Val};
use dolmen_aotc::{Options, ProfileMode, compile};
use dolmen_workloads::programs::{Benchmark, Size, Variant, benchmarks};
use std::num::NonZeroU64;

/// Collections happen at every N-th allocation; the heap is verified then.
const STRESS: u64 = 97;

/// Calls a benchmark once; what was counted, if its code counts.
fn run(benchmark: &Benchmark, wasm: &[u8], profile: ProfileMode) -> Result<Option<Profile>> {
    let artifact = compile(wasm, &Options { profile, jobs: 1, ..Options::default() })?;
    let mut config = Config::new();
    config.gc_stress(NonZeroU64::new(STRESS)).gc_verify(true);
    let engine = Engine::new(&config)?;
    let module = Module::deserialize(&engine, &artifact)?;
    let mut store = Store::new(&engine, WasiCtx::new())?;
    let mut linker = Linker::new(&engine);
    wasi::add_to_linker(&mut linker, |context: &mut WasiCtx| context)?;
    let instance = linker.instantiate(&mut store, &module)?;
    let run = instance.get_func(&mut store, "run").context("no `run`")?;
    let mut results = [Val::I64(0)];
    run.call(&mut store, &[Val::I32(benchmark.argument(Size::Tiny))], &mut results)?;
    ensure!(matches!(results, [Val::I64(sum)] if sum == benchmark.checksum(Size::Tiny)), "wrong result: {results:?}");
    Ok(store.profiles().pop())
}

fn count_and_use(benchmark: &Benchmark, variant: Variant) -> Result<()> {
    let wasm = std::fs::read(benchmark.wasm_path(variant))?;
    let profile = run(benchmark, &wasm, ProfileMode::Count)?.context("nothing was counted")?;
    ensure!(profile.funcs.iter().any(|&count| count != 0), "no function was entered");
    let file = profile.to_bytes()?;
    ensure!(run(benchmark, &wasm, ProfileMode::Use(file))?.is_none(), "code made from counts does not count");
    Ok(())
}

#[test]
fn results_do_not_depend_on_profiles() {
    let mut failures = Vec::new();
    for benchmark in benchmarks().iter().filter(|benchmark| benchmark.name != "big_heap") {
        for variant in Variant::ALL {
            if let Err(error) = count_and_use(benchmark, variant) {
                failures.push(format!("{} {}: {error:#}", benchmark.name, variant.name()));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
