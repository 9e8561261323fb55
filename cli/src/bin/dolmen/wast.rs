//! `dolmen wast`: runs scripts of the specification's test suite.
//!
//! The runner is a library that knows no compiler; it gets the child process as one. What does not hold is told
//! on standard error; standard output has one line per script.

use crate::args::{self, WastArgs};
use crate::compiler_process::{CompileFailure as ChildFailure, Compiler};
use crate::output;
use anyhow::{Context, Result};
use dolmen_cli::protocol::{Emit, ProfileMode, Request, Source};
use dolmen_spec_tests::{CompileFailure, CompileOptions, RunOptions, run_file};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

/// Runs scripts; the status tells whether everything in them holds.
///
/// # Errors
///
/// When a script cannot be read or there is no compiler.
pub fn wast(args: &WastArgs) -> Result<ExitCode> {
    let child = Mutex::new(Compiler::find()?);
    let compiler = |wasm: &[u8], options: CompileOptions<'_>| {
        let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
        child.compile(&request(options), wasm, |_| ()).map(|(artifact, _)| artifact).map_err(|failure| match failure {
            ChildFailure::Invalid(message) => CompileFailure::Invalid(message),
            other => CompileFailure::Other(output::one_line(&anyhow::Error::new(other))),
        })
    };
    let options = RunOptions {
        opt_level: args.level.opt_level,
        features: &args.language.features,
        config: args::engine_config(&args.gc),
        compiler: &compiler,
    };
    let mut failed = 0;
    for file in &args.files {
        let report = run_file(file, &options).with_context(|| format!("cannot read {}", file.display()))?;
        output::write(format!("{report}\n").as_bytes())?;
        for failure in &report.failures {
            output::say(format_args!("{}:{failure}", file.display()));
        }
        failed += report.failed();
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The runner has turned text into the binary format already, as that is part of what scripts test.
fn request(options: CompileOptions<'_>) -> Request {
    Request {
        opt_level: options.opt_level,
        emit: Emit::Artifact,
        target_cpu: "native".into(),
        jobs: 1,
        collector: options.collector,
        polls: true,
        features: options.features.to_owned(),
        source: Source::Binary,
        profile: ProfileMode::Off,
        incremental: false,
    }
}
