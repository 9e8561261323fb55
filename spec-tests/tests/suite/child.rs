//! The process that runs scripts: `--child OPTIONS NAME...`.
//!
//! It compiles in its own process, so that a script costs no process of its own, and writes the events of
//! `dolmen_spec_tests::progress` on standard output. What else LLVM or a panic has to say goes to standard
//! error.

use crate::matrix::{Arguments, Configuration};
use crate::scripts;
use dolmen::Config;
use dolmen_aotc::{CompileError, Features, OptLevel, Options, UnknownFeature};
use dolmen_spec_tests::progress::Event;
use dolmen_spec_tests::{CompileFailure, CompileOptions, RunOptions, run_script};
use std::io::Write as _;
use std::process::ExitCode;

/// First argument of a child.
pub const CHILD_ARG: &str = "--child";

/// The arguments of a child that runs these scripts.
pub fn arguments(configuration: Configuration, names: &[String]) -> Vec<String> {
    let options = format!("{CHILD_ARG} {configuration}");
    options.split_whitespace().map(str::to_owned).chain(names.iter().cloned()).collect()
}

/// Runs the scripts that the arguments after [`CHILD_ARG`] name.
pub fn run(args: &[String]) -> ExitCode {
    match run_scripts(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run_scripts(args: &[String]) -> Result<(), String> {
    let arguments = Arguments::parse(args)?;
    let run = arguments.runs().next().ok_or("no configuration")?;
    let Configuration { opt_level, collector, gc_threads, gc_stress } = run.configuration;
    for name in arguments.names() {
        let text = scripts::text(name)?;
        let gc_stress = gc_stress.map(|wanted| scripts::stress(name, wanted));
        let mut config = Config::new();
        config.collector(collector).gc_stress(gc_stress).gc_verify(gc_stress.is_some());
        gc_threads.map(|threads| config.gc_threads(threads));
        let options = RunOptions { compiler: &compile, opt_level, features: scripts::features(name), config };
        tell(&Event::Begin(name.clone()))?;
        let report = run_script(name, &text, &options);
        Event::of_report(&report).try_for_each(|event| tell(&event))?;
    }
    Ok(())
}

/// Writes an event at once: the next directive may end the process.
fn tell(event: &Event) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{event}").and_then(|()| out.flush()).map_err(|error| format!("the parent is gone: {error}"))
}

fn compile(wasm: &[u8], options: CompileOptions<'_>) -> Result<Vec<u8>, CompileFailure> {
    let features = match options.features {
        "" => Features::default(),
        list => list.parse().map_err(|error: UnknownFeature| CompileFailure::Other(error.to_string()))?,
    };
    let options = Options {
        opt_level: OptLevel::from_number(options.opt_level).unwrap_or_default(),
        collector: options.collector,
        // The parent runs as many children as there are processors.
        jobs: 1,
        features,
        ..Options::default()
    };
    dolmen_aotc::compile(wasm, &options).map_err(|error| match error {
        CompileError::Invalid { .. } => CompileFailure::Invalid(error.to_string()),
        error => CompileFailure::Other(error.to_string()),
    })
}
