//! `dolmen compile`.

use crate::args::{self, CompileArgs};
use crate::compiler_process::Compiler;
use crate::new_file;
use crate::output;
use crate::progress::Reporter;
use crate::source::{self, FileKind};
use anyhow::{Context, Result, bail};
use dolmen_cli::protocol::{ProfileMode, Request, Times};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Compiles a module and writes the result.
///
/// # Errors
///
/// When the input cannot be read, is no module or not a valid one, or the output cannot be written.
pub fn compile(args: &CompileArgs) -> Result<()> {
    let input = source::read(&args.input)?;
    let FileKind::Module(source) = source::kind(&args.input, &input) else {
        bail!("{} is compiled already", args.input.display());
    };
    let request = Request {
        opt_level: args.level.opt_level,
        emit: args.emit.into(),
        target_cpu: args.target_cpu.clone(),
        jobs: args.jobs.unwrap_or(0),
        collector: args::collector(&args.gc),
        polls: !args.no_polls,
        features: args.language.features.clone(),
        source,
        profile: profile_mode(args)?,
        incremental: args.reuse.incremental,
    };
    let start = Instant::now();
    let (compiled, times) = compile_bytes(&mut Compiler::find()?, &request, &input, &args.input)?;
    if args.time {
        output::say(report(&times, start.elapsed(), input.len(), compiled.len()));
    }
    if args.output == Path::new("-") {
        return output::write(&compiled);
    }
    new_file::write(&args.output, &compiled).with_context(|| format!("cannot write {}", args.output.display()))
}

fn profile_mode(args: &CompileArgs) -> Result<ProfileMode> {
    Ok(match &args.profile_use {
        Some(file) => ProfileMode::Use(fs::read(file).with_context(|| format!("cannot read {}", file.display()))?),
        None if args.profile_generate => ProfileMode::Count,
        None => ProfileMode::Off,
    })
}

/// Compiles the bytes of a module that came from `path`, with a progress bar if it takes long.
///
/// # Errors
///
/// When the module cannot be compiled; names the file.
pub fn compile_bytes(
    compiler: &mut Compiler,
    request: &Request,
    input: &[u8],
    path: &Path,
) -> Result<(Vec<u8>, Times)> {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let reporter = Reporter::start(&name);
    compiler
        .compile(request, input, |progress| reporter.update(progress))
        .with_context(|| format!("cannot compile {}", path.display()))
}

/// Where the time went, and sizes.
fn report(times: &Times, elapsed: Duration, input_bytes: usize, output_bytes: usize) -> String {
    let total: u64 = times.stages.iter().map(|(_, nanos)| nanos).sum();
    let seconds = |nanos: u64| Duration::from_nanos(nanos).as_secs_f64();
    let mut text = String::new();
    for (stage, nanos) in &times.stages {
        let share = 100.0 * *nanos as f64 / total.max(1) as f64;
        text += &format!("{stage:<10} {:>9.3} s {share:>5.1} %\n", seconds(*nanos));
    }
    text +=
        &format!("{:<10} {:>9.3} s of all threads, {:.3} s passed\n", "total", seconds(total), elapsed.as_secs_f64());
    if times.cached_parts > 0 {
        text += &format!("{} of {} parts were compiled before\n", times.cached_parts, times.parts);
    }
    let speed = input_bytes as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE) / 1e3;
    text + &format!("{input_bytes} bytes in, {output_bytes} bytes out, {speed:.0} kB/s")
}
