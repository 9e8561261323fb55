//! The command line: what can be said, and its help texts.
//!
//! Scripts rely on names and meaning of everything here. An error of usage is one line on standard error and
//! status 1, as every other error.

use crate::output;
use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use dolmen::Config;
use dolmen_abi::collector::Collector;
use dolmen_cli::protocol::Emit;
use dolmen_cli::size;
use std::ffi::OsString;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Compiles WebAssembly modules that use garbage collection to native code, and runs them.
#[derive(Debug, Parser)]
#[command(name = "dolmen", version, max_term_width = 110, subcommand_required = true)]
pub struct CommandLine {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Compile(CompileArgs),
    Run(Box<RunArgs>),
    Wast(WastArgs),
    Profile(ProfileArgs),
    Inspect(InspectArgs),
}

/// Look into profiles
#[derive(Debug, Args)]
pub struct ProfileArgs {
    #[command(subcommand)]
    pub command: ProfileCommand,
}

#[derive(Debug, Subcommand)]
pub enum ProfileCommand {
    /// Show the functions and calls that were executed most
    Show {
        /// The profile
        file: PathBuf,
    },
}

/// Compile a module ahead of time
#[derive(Debug, Args)]
#[command(
    after_help = "The compiler is the program dolmenc: the one that DOLMENC names, else the one beside dolmen, else \
                        the one on PATH. What --incremental keeps is in $XDG_CACHE_HOME/dolmen (~/.cache/dolmen), up to \
                        DOLMEN_CACHE_MAX bytes (1G)."
)]
pub struct CompileArgs {
    /// The module, binary or text; - for standard input
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// Where to write the result; - for standard output
    #[arg(short, long, value_name = "OUT")]
    pub output: PathBuf,
    #[command(flatten)]
    pub level: OptLevelArg,
    /// What to write
    #[arg(long, value_enum, default_value_t, value_name = "KIND")]
    pub emit: EmitArg,
    /// The processor to compile for: native, generic, or a name that LLVM knows
    #[arg(long, value_name = "NAME", default_value = "native")]
    pub target_cpu: String,
    #[command(flatten)]
    pub language: LanguageArg,
    /// Threads to compile with [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub jobs: Option<u32>,
    /// The collector that the code must work with
    #[arg(long, value_name = "NAME", default_value = Collector::DEFAULT.name(), value_parser = collectors())]
    pub gc: String,
    /// Leave out the polls in loops and recursions: such code is a little faster, but cannot be stopped, so it runs
    /// neither with several threads nor with a timeout
    #[arg(long)]
    pub no_polls: bool,
    /// Make code that counts what it does: dolmen run then writes a profile
    #[arg(long)]
    pub profile_generate: bool,
    /// Use the profile that runs of code made with --profile-generate have written
    #[arg(long, value_name = "FILE", conflicts_with = "profile_generate")]
    pub profile_use: Option<PathBuf>,
    #[command(flatten)]
    pub reuse: IncrementalArg,
    /// Print where the time went, and sizes, on standard error
    #[arg(long)]
    pub time: bool,
}

/// Run a module: _start, or the export that --invoke names
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: that of the program's proc_exit, else 0; 1 when the module cannot be loaded or linked \
                        or the command line is wrong; 134 after a trap. Options go before FILE: what follows it belongs to \
                        the program.\n\nArguments of an export: numbers as in the text format, null, vectors as 0x… (all \
                        bits) or lane by lane (i32x4:1,-2,3,4 or f64x2:0.5,nan).\n\nCompiled modules are kept in $XDG_CACHE_HOME/dolmen (~/.cache/dolmen), up to \
                        DOLMEN_CACHE_MAX bytes (1G); with --incremental as much again for parts of modules."
)]
pub struct RunArgs {
    /// The module: WebAssembly, binary or text, or the result of dolmen compile
    pub file: PathBuf,
    /// Arguments of the program, or with --invoke of the function
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub args: Vec<OsString>,
    /// Call this export with ARGS, parsed by its type, and print its results
    #[arg(long, value_name = "NAME")]
    pub invoke: Option<String>,
    /// Call it N times in the same instance and print each call's time on standard error
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub repeat: Option<u64>,
    /// Where to write what code made with --profile-generate counts; a file of earlier runs is added to [default: FILE
    /// with the extension dolmenprof]
    #[arg(long, value_name = "PROFILE")]
    pub profile_out: Option<PathBuf>,
    /// Write what is in the heap at the end, after the program or its trap, to FILE, which Chrome's developer tools open (Memory, Load)
    #[arg(long = "gc-snapshot", value_name = "FILE", help_heading = "Heap")]
    pub snapshot: Option<PathBuf>,
    /// Write a page with plots of heap, pauses and allocation to FILE at the end, after the program or its trap
    #[arg(long = "gc-report", value_name = "FILE", help_heading = "Heap")]
    pub report: Option<PathBuf>,
    /// Print times and figures of the collector as one JSON object on standard error at the end
    #[arg(long)]
    pub stats: bool,
    /// What to do about imports that nothing provides: refuse to run, trap when one is called, or give
    /// functions that return zeros and empty memories, tables and globals
    #[arg(long, value_enum, default_value_t, value_name = "ACTION")]
    pub unknown_imports: UnknownImports,
    /// Instantiate FILE first and link against its exports under this module name (repeatable)
    #[arg(long, value_name = "NAME=FILE", value_parser = parse_preload)]
    pub preload: Vec<Preload>,
    #[command(flatten)]
    pub level: OptLevelArg,
    /// Give the program access to a directory
    #[arg(long, value_name = "HOST[::GUEST]")]
    pub dir: Vec<String>,
    /// Set a variable of the program's environment (repeatable)
    #[arg(long, value_name = "K=V", value_parser = parse_env)]
    pub env: Vec<(String, String)>,
    /// End the program with a trap after this time, such as 200ms, 1.5s or 2m
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub timeout: Option<Duration>,
    /// Stack that the program may use
    #[arg(long, value_name = "SIZE", value_parser = size::parse, default_value = "8M")]
    pub max_stack: u64,
    /// Compile anew and keep nothing
    #[arg(long, conflicts_with = "incremental")]
    pub no_cache: bool,
    #[command(flatten)]
    pub reuse: IncrementalArg,
    #[command(flatten)]
    pub gc: GcArgs,
}

/// Run scripts of the WebAssembly specification's test suite
#[derive(Debug, Args)]
pub struct WastArgs {
    /// The scripts
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub level: OptLevelArg,
    #[command(flatten)]
    pub language: LanguageArg,
    #[command(flatten)]
    pub gc: GcArgs,
}

/// Show what is in a module or in the result of dolmen compile
#[derive(Debug, Args)]
pub struct InspectArgs {
    pub file: PathBuf,
    /// As one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, Args)]
pub struct OptLevelArg {
    /// Optimisation level, 0 to 3
    #[arg(short = 'O', value_name = "LEVEL", default_value_t = 3, value_parser = clap::value_parser!(u8).range(0..=3))]
    pub opt_level: u8,
}

#[derive(Clone, Copy, Debug, Args)]
pub struct IncrementalArg {
    /// Keep the code of each part of the module, too, so that only the parts that have changed are compiled next time
    #[arg(long)]
    pub incremental: bool,
}

#[derive(Clone, Debug, Args)]
pub struct LanguageArg {
    /// The language that modules may be written in: 1.0, 2.0, 3.0 or all, then proposals to add or, with - in front,
    /// to take away, as in 3.0,custom-page-sizes
    #[arg(long, value_name = "LIST", default_value = "all", allow_hyphen_values = true)]
    pub features: String,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Heap")]
pub struct GcArgs {
    /// The collector
    #[arg(long = "gc", value_name = "NAME", default_value = Collector::DEFAULT.name(), value_parser = collectors())]
    pub collector: String,
    /// Greatest size of the heap [default: 4G]
    #[arg(long = "gc-heap-max", value_name = "SIZE", value_parser = size::parse)]
    pub heap_max_bytes: Option<u64>,
    /// Size above which the heap is collected earlier and compacted rather than to grow
    #[arg(long = "gc-heap-soft-max", value_name = "SIZE", value_parser = size::parse)]
    pub heap_soft_max_bytes: Option<u64>,
    /// Time after which a minor collection stops early, to go on later
    #[arg(long = "gc-minor-pause", value_name = "TIME", value_parser = parse_time)]
    pub minor_pause: Option<Duration>,
    /// Size that the heap starts with
    #[arg(long = "gc-heap-initial", value_name = "SIZE", value_parser = size::parse)]
    pub heap_initial_bytes: Option<u64>,
    /// Threads that mark a heap at most [default: as many as there are processors, up to 16]
    #[arg(long = "gc-threads", value_name = "N")]
    pub threads: Option<NonZeroU32>,
    /// Collect at every N-th allocation
    #[arg(long = "gc-stress", value_name = "N")]
    pub stress: Option<NonZeroU64>,
    /// Check the whole heap before and after each collection
    #[arg(long = "gc-verify")]
    pub verify: bool,
    /// Print a line for each collection on standard error
    #[arg(long = "gc-log")]
    pub log: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum EmitArg {
    #[default]
    Artifact,
    LlvmIr,
    Asm,
    Obj,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum UnknownImports {
    #[default]
    Error,
    Trap,
    Default,
}

/// A module to link against.
#[derive(Clone, Debug)]
pub struct Preload {
    pub name: String,
    pub file: PathBuf,
}

impl From<EmitArg> for Emit {
    fn from(emit: EmitArg) -> Self {
        match emit {
            EmitArg::Artifact => Self::Artifact,
            EmitArg::LlvmIr => Self::LlvmIr,
            EmitArg::Asm => Self::Asm,
            EmitArg::Obj => Self::Obj,
        }
    }
}

/// Reads the command line; when there is nothing to do but to show help or an error, does that and returns the
/// exit status.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<CommandLine, ExitCode> {
    CommandLine::try_parse_from(args).map_err(|error| {
        let text = error.render();
        if error.use_stderr() {
            output::say(usage_error(&text.to_string()));
            return ExitCode::FAILURE;
        }
        // Whether somebody reads the help does not matter.
        let _ = output::write(text.to_string().as_bytes());
        ExitCode::SUCCESS
    })
}

/// The collector of a name that the parser has let through.
#[must_use]
pub fn collector(name: &str) -> Collector {
    Collector::from_name(name).unwrap_or(Collector::DEFAULT)
}

/// What the options about the heap mean for an engine.
#[must_use]
pub fn engine_config(args: &GcArgs) -> Config {
    let mut config = Config::new();
    config.collector(collector(&args.collector)).gc_stress(args.stress).gc_verify(args.verify).gc_log(args.log);
    if let Some(bytes) = args.heap_max_bytes {
        config.heap_max_bytes(bytes);
    }
    if let Some(bytes) = args.heap_soft_max_bytes {
        config.heap_soft_max_bytes(bytes);
    }
    if let Some(time) = args.minor_pause {
        config.heap_minor_pause(time);
    }
    if let Some(threads) = args.threads {
        config.gc_threads(threads);
    }
    if let Some(bytes) = args.heap_initial_bytes {
        config.heap_initial_bytes(bytes);
    }
    config
}

/// The first paragraph of clap's message on one line: the others repeat the usage.
fn usage_error(text: &str) -> String {
    let paragraph = text.lines().map(str::trim).take_while(|line| !line.is_empty());
    let line = paragraph.collect::<Vec<_>>().join(" ");
    if line.starts_with("error:") { line } else { "error: no command given (see dolmen --help)".into() }
}

fn collectors() -> PossibleValuesParser {
    PossibleValuesParser::new(Collector::NAMES.iter().map(|&(name, _)| name))
}

fn parse_preload(text: &str) -> Result<Preload, String> {
    match text.split_once('=') {
        Some((name, file)) if !file.is_empty() => Ok(Preload { name: name.into(), file: file.into() }),
        _ => Err("expected NAME=FILE".into()),
    }
}

/// A number with a unit of time.
fn parse_time(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, f64); 4] = [("ms", 1e-3), ("us", 1e-6), ("s", 1.0), ("m", 60.0)];
    let wrong = || "expected a time such as 200ms, 1.5s or 2m".to_owned();
    let (number, unit) =
        UNITS.iter().find_map(|&(name, unit)| Some((text.strip_suffix(name)?, unit))).ok_or_else(wrong)?;
    let seconds = number.parse::<f64>().map_err(|_| wrong())? * unit;
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

fn parse_env(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err("expected K=V".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn run(args: &[&str]) -> RunArgs {
        let args = ["dolmen", "run"].iter().chain(args);
        match CommandLine::try_parse_from(args).expect("a right command line").command {
            Command::Run(run) => *run,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn what_follows_the_file_belongs_to_the_program() {
        let args = run(&["--invoke", "f", "-O1", "x.wasm", "-5", "--stats", "--", "-O2"]);
        assert_eq!(args.args, ["-5", "--stats", "--", "-O2"]);
        assert_eq!((args.invoke.as_deref(), args.level.opt_level, args.stats), (Some("f"), 1, false));
    }

    #[test]
    fn times_have_a_unit() {
        assert_eq!(parse_time("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(parse_time("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_time("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "5", "s", "-1s", "1h", "nans", "1e300s"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn errors_of_usage_are_one_line() {
        for args in [&["run"][..], &["run", "--gc", "x", "f"], &["compile", "a"], &[], &["fly"], &["run", "-O9", "f"]] {
            let error = CommandLine::try_parse_from(["dolmen"].iter().chain(args)).expect_err("a wrong command line");
            let line = usage_error(&error.render().to_string());
            assert!(line.starts_with("error: ") && !line.contains('\n'), "{line}");
        }
    }
}
