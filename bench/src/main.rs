//! The command behind `cargo xtask bench`; see the library's documentation.

#![forbid(unsafe_code)]

use anyhow::{Context as _, Result};
use clap::Parser as _;
use dolmen_bench::engines::{self, Engine, PEERS};
use dolmen_bench::measure::{Budget, Plan, TempFolder, measure};
use dolmen_bench::memory::{self, Provider};
use dolmen_bench::options::Options;
use dolmen_bench::programs::{Program, programs};
use dolmen_bench::results::{Machine, Results, Settings};
use dolmen_bench::{compare, heap_curve, instructions, page, text};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Dolmen's key in the results.
const DOLMEN: &str = "dolmen";

/// The status when the budget ended the measurement.
const INCOMPLETE: u8 = 3;

fn main() -> ExitCode {
    match act(&Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn act(options: &Options) -> Result<ExitCode> {
    match options.touch_memory {
        Some(mebibytes) => memory::touch(mebibytes).map(|()| ExitCode::SUCCESS),
        None if options.heap_curve => heap_curves(options),
        None => bench(options),
    }
}

fn bench(options: &Options) -> Result<ExitCode> {
    let old = options.compare.as_deref().map(Results::load).transpose()?;
    let mut results = match &options.json {
        Some(file) if file.exists() || options.show => Results::load(file)?,
        _ => Results::new(Machine::this(), options.settings()),
    };
    let complete = options.show || measure_all(options, &mut results)?;
    println!("{}", text::report(&results));
    if let Some(file) = &options.html {
        std::fs::write(file, page::page(&results, old.as_ref()))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let Some(old) = &old {
        println!("\n{}", compare::report(old, &results, DOLMEN).trim_end());
    }
    let failed = results.programs.iter().any(|(_, engines)| engines.get(DOLMEN).is_some_and(|f| f.failure.is_some()));
    let slower = old.as_ref().is_some_and(|old| compare::has_regressions(old, &results, DOLMEN));
    Ok(match (complete, failed || slower) {
        // What failed is told again at the end.
        (false, _) => ExitCode::from(INCOMPLETE),
        (true, true) => ExitCode::FAILURE,
        (true, false) => ExitCode::SUCCESS,
    })
}

fn heap_curves(options: &Options) -> Result<ExitCode> {
    let curves = match &options.json {
        Some(file) if options.show => heap_curve::Curves::load(file)?,
        _ => measure_curves(options)?,
    };
    println!("{}", heap_curve::show::report(&curves));
    if let Some(file) = &options.svg {
        std::fs::write(file, heap_curve::show::svg(&curves))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let failed = curves.programs.iter().any(|curve| curve.sizes.iter().any(|size| size.failure.is_some()));
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn measure_curves(options: &Options) -> Result<heap_curve::Curves> {
    let dolmen = options.dolmen.clone().map_or_else(|| beside_this_program(DOLMEN), Ok)?;
    let names = match &options.workloads[..] {
        [] => heap_curve::COLLECTING.map(str::to_owned).to_vec(),
        names => names.to_vec(),
    };
    let subject = heap_curve::Subject {
        dolmen: &dolmen,
        run_options: &options.run_options,
        compile_options: &options.compile_options,
        // Calls after the first, which do not need it.
        settings: Settings { warm_mib: 0, ..options.settings() },
        turns: options.runs,
    };
    let curves = heap_curve::measure(subject, &programs(&names, options.variant, options.size)?)?;
    if let Some(file) = &options.json {
        curves.save(file)?;
    }
    Ok(curves)
}

/// Measures what the results lack. Whether the budget was enough.
fn measure_all(options: &Options, results: &mut Results) -> Result<bool> {
    anyhow::ensure!(results.settings == options.settings(), "the file has other settings: begin a new one");
    let mut budget = Budget::new(options.budget);
    let dolmen = options.dolmen.clone().map_or_else(|| beside_this_program(DOLMEN), Ok)?;
    let chosen = programs(&options.workloads, options.variant, options.size)?;
    let mut all = vec![engines::dolmen(&dolmen, &options.run_options, &options.compile_options)?];
    all.extend(peers(&options.against)?);
    for engine in &all {
        results.join(engine.identity().clone())?;
    }
    let keep = |results: &Results| options.json.as_deref().map_or(Ok(()), |file| results.save(file));
    let this = std::env::current_exe().context("this program does not know where it is")?;
    let memory = Provider::new(this, options.warm_memory);
    let plan = Plan { engines: &all, programs: &chosen, runs: options.runs, memory: &memory };
    let complete = measure(plan, &mut budget, results, keep)?;
    if complete && options.instructions {
        count(&dolmen, options, &chosen, results)?;
    }
    keep(results)?;
    if !complete {
        eprintln!("the budget is used up: the same command goes on");
    }
    Ok(complete)
}

fn count(dolmen: &Path, options: &Options, chosen: &[Program], results: &mut Results) -> Result<()> {
    let folder = TempFolder::new()?;
    instructions::count(dolmen, &options.run_options, chosen, &folder.0, results)
}

/// The peers of the list that are on this machine; the others are named.
fn peers(list: &[String]) -> Result<Vec<Box<dyn Engine>>> {
    let all = list.iter().any(|item| item == "all");
    // Other engines, not Dolmen again.
    let every = PEERS.iter().filter(|peer| !["base", "raw"].contains(*peer)).map(|peer| ((*peer).to_owned(), None));
    let listed = list.iter().filter(|item| *item != "all").map(|item| match item.split_once('=') {
        Some((name, path)) => (name.to_owned(), Some(PathBuf::from(path))),
        None => (item.clone(), None),
    });
    let wanted: Vec<(String, Option<PathBuf>)> = if all { every.chain(listed).collect() } else { listed.collect() };
    let mut found = Vec::new();
    for (name, path) in wanted {
        anyhow::ensure!(PEERS.contains(&name.as_str()), "no peer {name:?}: there are all, {}", PEERS.join(", "));
        match engines::peer(&name, path.as_deref()) {
            Ok(peer) => found.push(peer),
            Err(error) => eprintln!("without {name}: {error:#}"),
        }
    }
    Ok(found)
}

fn beside_this_program(name: &str) -> Result<PathBuf> {
    let this = std::env::current_exe().context("this program does not know where it is")?;
    let path = this.with_file_name(name);
    anyhow::ensure!(path.is_file(), "no {name} beside this program: `cargo xtask bench` builds both");
    Ok(path)
}
