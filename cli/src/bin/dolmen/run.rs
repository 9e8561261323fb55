//! `dolmen run`.

use crate::args::{self, RunArgs, UnknownImports};
use crate::ending;
use crate::load::{Loader, timed};
use crate::new_file::NewFile;
use crate::output;
use crate::profile;
use crate::quit;
use crate::report::ReportFile;
use crate::stats::{self, Times};
use crate::timeout::Timeout;
use crate::values;
use anyhow::{Context, Result, bail};
use dolmen::wasi::{self, BrokenPipe, ProgramThreads, WasiCtx};
use dolmen::{Config, Engine, Extern, Func, Instance, Linker, Module, Store, Val};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// What is called unless `--invoke` names something: the entry of commands.
const START: &str = "_start";

/// The entry of libraries of WASI, to be called once before everything else; some producers make it a command's.
const INITIALIZE: &str = "_initialize";

/// The data of the store.
#[derive(Debug)]
struct Host {
    wasi: WasiCtx,
}

/// Runs a module.
///
/// # Errors
///
/// When it cannot be loaded, linked or called; a trap is an outcome, not an error.
pub fn run(args: &RunArgs) -> Result<ExitCode> {
    if let Some(dir) = args.dir.first() {
        bail!("--dir {dir}: this version gives programs no access to directories");
    }
    let report = args.report.as_deref().map(ReportFile::create).transpose()?;
    let engine = Engine::new(&config(args)?)?;
    let mut times = Times::default();
    let mut loader = Loader::new(&engine, args);
    let module = loader.load(&args.file, &mut times)?;
    let preloads: Vec<(&str, Module)> = args
        .preload
        .iter()
        .map(|preload| Ok((preload.name.as_str(), loader.load(&preload.file, &mut times)?)))
        .collect::<Result<_>>()?;
    // The compiler has nothing to do any more.
    drop(loader);
    let mut store = timed(&mut times.instantiate, || Store::new(&engine, Host { wasi: wasi_ctx(args) }))?;
    quit::watch(&store, program_name(&args.file)).context("cannot watch for SIGQUIT")?;
    let timeout = args.timeout.map(|timeout| Timeout::start(&mut store, timeout)).transpose()?;
    let mut threads = None;
    let outcome = link_and_call(args, &mut store, &module, &preloads, &mut times, &mut threads);
    drop(timeout);
    // A thread that fails interrupts the others, which then report no more than that.
    let failure = threads.as_ref().and_then(ProgramThreads::take_failure);
    let outcome = outcome.map_err(|error| failure.map_or(error, anyhow::Error::new));
    let status = match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ending::of_error(&mut store, error, &program_name(&args.file))?,
    };
    write_files(args, &mut store, &module, report)?;
    if args.stats {
        output::say(stats::json(&times, &store.gc_stats()));
    }
    Ok(status)
}

/// Writes what was asked for of the run. That one file cannot be written, which is the error then, does not lose another.
fn write_files(args: &RunArgs, store: &mut Store<Host>, module: &Module, report: Option<ReportFile>) -> Result<()> {
    let report = report.map_or(Ok(()), |report| report.write(store, &program_name(&args.file)));
    let counts = module.counts() || args.profile_out.is_some();
    let profile = if counts { profile::write(args, store, module) } else { Ok(()) };
    let snapshot = args
        .snapshot
        .as_ref()
        .map_or(Ok(()), |file| write_snapshot(store, file).with_context(|| format!("cannot write {}", file.display())));
    report.and(profile).and(snapshot)
}

/// Writes a snapshot of the heap.
fn write_snapshot(store: &mut Store<Host>, file: &Path) -> Result<()> {
    let snapshot = store.heap_snapshot()?;
    let mut out = NewFile::create(file)?;
    snapshot.write_to(&mut out)?;
    Ok(out.finish()?)
}

/// The options of the engine.
fn config(args: &RunArgs) -> Result<Config> {
    let mut config = args::engine_config(&args.gc);
    config.gc_record(args.report.is_some());
    config.max_stack_bytes(usize::try_from(args.max_stack).context("--max-stack is too large")?);
    Ok(config)
}

/// What the program sees of this process: streams, arguments and the variables it was given.
fn wasi_ctx(args: &RunArgs) -> WasiCtx {
    let mut ctx = WasiCtx::new().inherit_stdio().on_broken_pipe(BrokenPipe::End);
    ctx = ctx.arg(args.file.as_os_str().as_bytes());
    // With --invoke they are arguments of the function.
    if args.invoke.is_none() {
        ctx = args.args.iter().fold(ctx, |ctx, arg| ctx.arg(arg.as_bytes()));
    }
    args.env.iter().fold(ctx, |ctx, (key, value)| ctx.env(key.as_str(), value.as_str()))
}

fn link_and_call(
    args: &RunArgs,
    store: &mut Store<Host>,
    module: &Module,
    preloads: &[(&str, Module)],
    times: &mut Times,
    threads: &mut Option<ProgramThreads<Host>>,
) -> Result<()> {
    let instance = timed(&mut times.instantiate, || instantiate(args, store, module, preloads, threads))?;
    let Some(name) = &args.invoke else {
        let entry = entry(store, instance)?;
        if entry.ty(&*store).params().len() != 0 {
            bail!("the module's entry takes arguments: call it with --invoke");
        }
        return call(args, store, entry, &[], times).map(|_| ());
    };
    let function = function(store, instance, name)?;
    if let Some(Extern::Func(initialize)) = instance.get_export(&mut *store, INITIALIZE)
        && name != INITIALIZE
    {
        initialize.call(&mut *store, &[], &mut [])?;
    }
    let ty = function.ty(&*store);
    let arguments = values::parse_args(&mut *store, name, &ty, &args.args)?;
    let results = call(args, store, function, &arguments, times)?;
    let mut text = String::new();
    for value in &results {
        text += &values::format_value(&*store, value)?;
        text.push('\n');
    }
    output::write(text.as_bytes())
}

fn instantiate(
    args: &RunArgs,
    store: &mut Store<Host>,
    module: &Module,
    preloads: &[(&str, Module)],
    threads: &mut Option<ProgramThreads<Host>>,
) -> Result<Instance> {
    let mut linker = Linker::new(store.engine());
    wasi::add_to_linker(&mut linker, |host: &mut Host| &mut host.wasi)?;
    for (name, preload) in preloads {
        complete(args, &mut linker, store, preload)?;
        let instance = linker.instantiate(&mut *store, preload)?;
        linker.instance(&mut *store, name, instance)?;
    }
    if ProgramThreads::<Host>::are_wanted(module) {
        *threads = Some(ProgramThreads::define(&mut linker, store, module)?);
    }
    complete(args, &mut linker, store, module)?;
    Ok(linker.instantiate(&mut *store, module)?)
}

/// Defines what the module imports and nobody provides, if that was asked for.
fn complete(args: &RunArgs, linker: &mut Linker<Host>, store: &mut Store<Host>, module: &Module) -> Result<()> {
    match args.unknown_imports {
        UnknownImports::Error => {}
        UnknownImports::Trap => linker.define_unknown_imports_as_traps(&mut *store, module)?,
        UnknownImports::Default => linker.define_unknown_imports_as_default_values(&mut *store, module)?,
    }
    Ok(())
}

/// The function that makes the module a program.
fn entry(store: &mut Store<Host>, instance: Instance) -> Result<Func> {
    for name in [START, INITIALIZE] {
        if let Some(Extern::Func(function)) = instance.get_export(&mut *store, name) {
            return Ok(function);
        }
    }
    bail!("the module has no {START:?} to run: name an export with --invoke")
}

fn function(store: &mut Store<Host>, instance: Instance, name: &str) -> Result<Func> {
    match instance.get_export(&mut *store, name) {
        Some(Extern::Func(function)) => Ok(function),
        Some(_) => bail!("the export {name:?} is no function"),
        None => bail!("the module has no export {name:?}"),
    }
}

/// Calls a function as often as was asked for; the results are those of the last call.
fn call(
    args: &RunArgs,
    store: &mut Store<Host>,
    function: Func,
    arguments: &[Val],
    times: &mut Times,
) -> Result<Vec<Val>> {
    let count = function.ty(&*store).results().len();
    let mut results = vec![Val::I32(0); count];
    for i in 1..=args.repeat.unwrap_or(1) {
        let mut time = Duration::ZERO;
        let outcome =
            timed(&mut time, || function.call(&mut *store, arguments, &mut results).map_err(anyhow::Error::new));
        times.calls.push(time);
        if args.repeat.is_some() {
            output::say(format_args!("call {i}: {:.3} ms", stats::millis(time)));
        }
        outcome?;
    }
    Ok(results)
}

fn program_name(file: &Path) -> String {
    file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}
