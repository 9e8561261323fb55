//! The command `dolmen-fuzz`: runs generated modules in several ways and says where they differ.

#![forbid(unsafe_code)]

use anyhow::Context as _;
use clap::Parser;
use dolmen_fuzz::campaign::{self, Generator, Plan, Totals};
use dolmen_fuzz::server::{END_OF_ANSWER, from_hex};
use dolmen_fuzz::setups::Setup;
use dolmen_fuzz::{dolmen, generate, programs};
use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Compares what generated modules do at several optimisation levels, with several collectors, under GC stress, with
/// profiles, and in V8.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// How many seeds.
    #[arg(long, default_value_t = 1000)]
    count: u64,
    /// Compare with V8: a node of version 26 or later. Without it Dolmen is compared with itself.
    #[arg(long)]
    node: Option<PathBuf>,
    /// Make programs: closed modules of shapes that compilers of object-oriented languages make.
    #[arg(long)]
    programs: bool,
    /// Compile and run all modules in the setup of this name; otherwise, each seed has its own.
    #[arg(long)]
    setup: Option<Setup>,
    /// Processes of each engine at a time.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Save modules on which engines differ in this folder.
    #[arg(long)]
    save: Option<PathBuf>,
    /// Only write the module of the first seed to this file; the text of a program, if its name ends in .wat.
    #[arg(long)]
    emit: Option<PathBuf>,
    /// Answer requests on standard input (used by the command itself).
    #[arg(long, hide = true)]
    serve: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    if arguments.serve {
        return serve().map(|()| ExitCode::SUCCESS);
    }
    let generator: Generator = if arguments.programs { programs::module } else { generate::module };
    if let Some(file) = &arguments.emit {
        let as_text = arguments.programs && file.extension().is_some_and(|extension| extension == "wat");
        let module = match as_text {
            true => programs::text(arguments.first).into_bytes(),
            false => generator(arguments.first).map_err(anyhow::Error::msg)?,
        };
        std::fs::write(file, module).with_context(|| format!("cannot write {}", file.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let start = Instant::now();
    let plan = Plan {
        generator,
        seeds: arguments.first..arguments.first.saturating_add(arguments.count),
        jobs: arguments.jobs,
        program: std::env::current_exe().context("cannot find this program")?,
        node: arguments.node,
        setup: arguments.setup,
        save: arguments.save,
    };
    let totals = campaign::run(&plan)?;
    print(&totals, start.elapsed().as_secs_f64());
    Ok(if totals.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(totals: &Totals, seconds: f64) {
    let Totals { same, undecided, ungenerated, failures, ends } = totals;
    let calls: u64 = ends.values().sum();
    println!("{calls} calls ended:");
    ends.iter().for_each(|(end, count)| println!("  {end:<12} {count}"));
    println!(
        "{same} modules same, {undecided} same until memory or stack ran out, {} different, {ungenerated} not made, {seconds:.0} s",
        failures.len()
    );
}

/// Answers requests `SETUP HEX` with records.
fn serve() -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (setup, hex) = line.split_once(' ').context("not a request")?;
        let setup = setup.parse().map_err(anyhow::Error::msg)?;
        let wasm = from_hex(hex).context("not hexadecimal digits")?;
        for line in dolmen::record(&wasm, setup) {
            writeln!(out, "{line}")?;
        }
        writeln!(out, "{END_OF_ANSWER}")?;
        out.flush()?;
    }
    Ok(())
}
