//! The stages of compilation, in order.
//!
//! A module is cut into partitions of consecutive functions, of about one size ([`partitions`]). What comes once per
//! module is one more. Each partition is translated, optimised and emitted in an LLVM context of its own, so partitions
//! compile in parallel and the output does not depend on how many threads there are. Small functions of other partitions
//! are translated along to be inlined. Where one partition has all functions, it is divided for code generation
//! ([`codegen`]). Text and object files are one partition if one has all functions.

use crate::artifact::{self, ArtifactInput};
use crate::bonuses;
use crate::cache::{CacheStore, Made, Obstacle, Slot};
use crate::codegen::{self, Generation};
use crate::cpu::{Arch, Cpu};
use crate::error::CompileError;
use crate::frameless;
use crate::gc;
use crate::heap_bases;
use crate::instances;
use crate::llvm::{Context, LlvmError, Module as LlvmModule, OptLevel as CodegenLevel, TargetMachine, Value};
use crate::module::call_trees::{self, CallTrees, Calls};
use crate::module::merged::Merged;
use crate::module::nests::Nests;
use crate::module::values::{self, StoredValues, Stores};
use crate::module::{InitStep, Module, partitions, private};
use crate::object::{Partition, SymbolNumbers};
use crate::observer::{Observer, Stage};
use crate::options::{Emit, IMPORT_BODY_BYTES, IMPORT_FORWARDER_BYTES, INIT_STEPS_PER_FUNCTION, OptLevel, Options};
use crate::partial;
use crate::pipeline;
use crate::profile::Profiling;
use crate::sums;
use crate::tail_calls;
use crate::throws;
use crate::translate::function::FunctionTranslator;
use crate::translate::numbers::{Naming, Numbers};
use crate::translate::unit::{Unit, final_symbol};
use crate::translate::{init, trampolines};
use dolmen_abi::artifact::Header;
use dolmen_abi::collector::Protocol;
use dolmen_abi::meta::Trampolines;
use dolmen_abi::signature::MachineSignature;
use std::ffi::CString;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use wasmparser::FuncValidatorAllocations;

/// The options, resolved.
pub(crate) struct Settings {
    pub(crate) opt_level: OptLevel,
    pub(crate) cpu: Cpu,
    pub(crate) protocol: Protocol,
    pub(crate) polls: bool,
    pub(crate) emit: Emit,
    pub(crate) jobs: usize,
    pub(crate) cache: Option<Arc<dyn CacheStore>>,
}

/// Everything that partitions share.
struct Job<'j> {
    module: &'j Module<'j>,
    settings: &'j Settings,
    signatures: &'j [MachineSignature],
    init: &'j [&'j [InitStep<'j>]],
    /// By position: whether only the function's own partition can call it.
    private: &'j [bool],
    observer: &'j dyn Observer,
    finished: AtomicUsize,
}

/// Compiles a binary module.
///
/// # Errors
///
/// See [`CompileError`]. Of several errors in function bodies the one with the least offset is reported.
pub fn compile(wasm: &[u8], options: &Options) -> Result<Vec<u8>, CompileError> {
    compile_observed(wasm, options, &())
}

/// Like [`compile`], and tells `observer` how far it is and where the time goes.
///
/// # Errors
///
/// See [`compile`].
pub fn compile_observed(wasm: &[u8], options: &Options, observer: &dyn Observer) -> Result<Vec<u8>, CompileError> {
    std::thread::scope(|scope| {
        let compile = || compile_on_this_thread(wasm, options, observer);
        match deep_thread().spawn_scoped(scope, compile) {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(_) => compile(),
        }
    })
}

/// A thread for LLVM, which recurses deeply on large functions. Address space is cheap.
pub(crate) fn deep_thread() -> std::thread::Builder {
    const STACK_BYTES: usize = 256 << 20;
    std::thread::Builder::new().stack_size(STACK_BYTES)
}

fn compile_on_this_thread(wasm: &[u8], options: &Options, observer: &dyn Observer) -> Result<Vec<u8>, CompileError> {
    let settings = Settings::resolve(options)?;
    let mut module = observer.timed(Stage::Decode, || Module::decode(wasm, options.features))?;
    validate_bodies(&module, settings.jobs, observer)?;
    if settings.opt_level != OptLevel::O0 {
        module.stored_values = StoredValues::new(&module, scan_bodies(&module, settings.jobs, observer)?);
        let prototypes = std::mem::take(&mut module.stored_values.prototypes);
        module.add_prototypes(prototypes);
    }
    let mut calls = vec![];
    if settings.polls || settings.opt_level != OptLevel::O0 {
        calls = scan_calls(&module, settings.jobs, observer)?;
        module.call_trees = CallTrees::new(&module, &calls);
    }
    module.profiling = Profiling::new(&options.profile, wasm, &module)?;
    if let Profiling::Count(sites) = &module.profiling {
        let layout = sites.layout(&module);
        if layout.words().is_none() {
            return Err(CompileError::Limit("too many places to count".into()));
        }
        module.meta.profile = Some(layout);
    }
    let signatures = trampolines::signatures(&module);
    let init_steps = std::mem::take(&mut module.init);
    let init: Vec<_> = init_steps.chunks(INIT_STEPS_PER_FUNCTION).collect();
    let mut partitions = partitions::find(&module)?;
    let mut private = vec![];
    if settings.opt_level != OptLevel::O0 {
        private = private::find(&module, &calls, &partitions, |position| module.is_small(position));
        module.merged = Merged::new(&module, &calls, &private);
        module.nests = Nests::new(&module, &calls);
    }
    let job = Job {
        module: &module,
        settings: &settings,
        signatures: &signatures,
        init: &init,
        private: &private,
        observer,
        finished: AtomicUsize::new(0),
    };
    if partitions.len() > 1 || settings.emit == Emit::Artifact && !module.bodies.is_empty() {
        // What comes once per module changes with every edit that adds something, and is what a second thread can do
        // while the first one optimises the functions of a small module.
        partitions.push(0..0);
    }
    let last = partitions.len() - 1;
    let compile = |index: usize| compile_partition(&job, index == last, &partitions[index]);
    let objects = in_parallel(partitions.len(), settings.jobs, compile)?;
    match settings.emit {
        Emit::Artifact => {
            let objects = objects.into_iter().map(Compiled::objects).collect::<Result<Vec<_>, _>>()?.concat();
            observer.timed(Stage::Link, || assemble(wasm, module, settings, signatures, init.len(), objects))
        }
        Emit::LlvmIr | Emit::Asm => Ok(objects.into_iter().flat_map(|partition| partition.output).collect()),
        Emit::Obj => match <[_; 1]>::try_from(objects) {
            Ok([partition]) => Ok(partition.output),
            Err(objects) => Err(CompileError::Limit(format!(
                "the module is compiled in {} parts, so there is no single object file",
                objects.len()
            ))),
        },
    }
}

impl Settings {
    pub(crate) fn resolve(options: &Options) -> Result<Self, CompileError> {
        let cpu = Cpu::resolve(&options.target_cpu)?;
        if cpu.arch != Arch::X86_64 && matches!(options.emit, Emit::Artifact | Emit::Obj) {
            return Err(CompileError::TextOnly("AArch64"));
        }
        Ok(Self {
            opt_level: options.opt_level,
            cpu,
            protocol: Protocol { motion: gc::MOTION, ..options.collector.protocol() },
            polls: options.polls,
            emit: options.emit,
            jobs: options.jobs.max(1),
            cache: options.cache.clone(),
        })
    }

    pub(crate) fn target_machine(&self) -> Result<TargetMachine, CompileError> {
        let level = match self.opt_level {
            OptLevel::O0 => CodegenLevel::None,
            OptLevel::O1 => CodegenLevel::Less,
            OptLevel::O2 => CodegenLevel::Default,
            OptLevel::O3 => CodegenLevel::Aggressive,
        };
        Ok(TargetMachine::new(self.cpu.arch.triple(), self.cpu.base, &self.cpu.feature_string(), level)?)
    }
}

/// Bodies that one task validates or looks through.
const BODIES_PER_CHUNK: usize = 64;

/// Looks through all function bodies, which are valid, if they can hold something of interest.
fn scan_bodies(module: &Module<'_>, jobs: usize, observer: &dyn Observer) -> Result<Vec<Stores>, CompileError> {
    let Some(interest) = values::Interest::of(module) else { return Ok(vec![]) };
    let chunks: Vec<_> = module.bodies.chunks(BODIES_PER_CHUNK).collect();
    in_parallel(chunks.len(), jobs, |chunk| {
        observer.timed(Stage::Scan, || {
            let mut allocations = FuncValidatorAllocations::default();
            let mut stores = Stores::default();
            for body in chunks[chunk] {
                allocations = values::scan(module, body, interest, allocations, &mut stores)?;
            }
            Ok(stores)
        })
    })
}

/// What all function bodies, which are valid, call.
fn scan_calls(module: &Module<'_>, jobs: usize, observer: &dyn Observer) -> Result<Vec<Calls>, CompileError> {
    let chunks = module.bodies.len().div_ceil(BODIES_PER_CHUNK);
    let calls = in_parallel(chunks, jobs, |chunk| {
        observer.timed(Stage::Scan, || {
            let first = chunk * BODIES_PER_CHUNK;
            let positions = first..module.bodies.len().min(first + BODIES_PER_CHUNK);
            positions.map(|position| call_trees::scan(module, position)).collect::<Result<Vec<_>, _>>()
        })
    })?;
    Ok(calls.into_iter().flatten().collect())
}

/// Validates all function bodies.
fn validate_bodies(module: &Module<'_>, jobs: usize, observer: &dyn Observer) -> Result<(), CompileError> {
    let chunks: Vec<_> = module.bodies.chunks(BODIES_PER_CHUNK).collect();
    in_parallel(chunks.len(), jobs, |chunk| {
        observer.timed(Stage::Validate, || {
            let mut allocations = FuncValidatorAllocations::default();
            for body in chunks[chunk] {
                let mut validator = body.to_validate().into_validator(allocations);
                validator.validate(&body.body)?;
                allocations = validator.into_allocations();
            }
            Ok(())
        })
    })?;
    Ok(())
}

/// Runs `work` for each index on this thread and others; results in order, or the error with the least offset.
fn in_parallel<T: Send>(
    count: usize,
    jobs: usize,
    work: impl Fn(usize) -> Result<T, CompileError> + Sync,
) -> Result<Vec<T>, CompileError> {
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<Result<T, CompileError>>>> = (0..count).map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        let worker = || {
            // Relaxed: the counter only hands out indices; the scope's join publishes the results.
            let take = || next.fetch_add(1, Ordering::Relaxed);
            for index in std::iter::repeat_with(take).take_while(|&i| i < count) {
                *results[index].lock().unwrap_or_else(|e| e.into_inner()) = Some(work(index));
            }
        };
        // Without one of these threads the others have more to do.
        let others: Vec<_> = (1..jobs.min(count)).flat_map(|_| deep_thread().spawn_scoped(scope, worker)).collect();
        worker();
        for other in others {
            // The scope would tell of a panic, but not of which.
            other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    let mut first_error: Option<CompileError> = None;
    let mut values = Vec::with_capacity(count);
    for result in results {
        match result.into_inner().unwrap_or_else(|e| e.into_inner()).expect("every index was worked on") {
            Ok(value) => values.push(value),
            Err(error) if first_error.as_ref().is_none_or(|first| error.offset() < first.offset()) => {
                first_error = Some(error);
            }
            Err(_) => {}
        }
    }
    first_error.map_or(Ok(values), Err)
}

/// What a partition became.
struct Compiled {
    /// Object files, one behind the other ([`codegen::unpack`]), or what else was asked for.
    output: Vec<u8>,
    numbers: Arc<SymbolNumbers>,
}

impl Compiled {
    fn objects(self) -> Result<Vec<Partition>, CompileError> {
        let partition = |object| Partition { object, numbers: Arc::clone(&self.numbers) };
        Ok(codegen::unpack(&self.output)?.into_iter().map(partition).collect())
    }
}

/// How a partition is compiled.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Attempt {
    /// Whether LLVM may make loops of tail calls ([`tail_calls`]).
    loops: bool,
    /// Whether linking puts in offsets and indices ([`places`](crate::places)).
    values: bool,
}

/// From a range of functions to object files, which an earlier compilation may have made, or to the text that was asked
/// for.
fn compile_partition(job: &Job<'_>, is_last: bool, range: &Range<usize>) -> Result<Compiled, CompileError> {
    // Every edit is one of a partition that is all of the module.
    let values = job.settings.opt_level != OptLevel::O0 && !job.module.is_whole(range);
    let mut attempt = Attempt { loops: true, values };
    let compiled = loop {
        match try_partition(job, is_last, range, attempt)? {
            Ok(compiled) => break compiled,
            Err(Obstacle::TailCalls) if attempt.loops => attempt.loops = false,
            Err(Obstacle::Places) if attempt.values => attempt.values = false,
            Err(obstacle) => return Err(LlvmError(format!("{obstacle:?} are in the way again")).into()),
        }
    };
    // Relaxed: a count for display.
    let finished = job.finished.fetch_add(range.len(), Ordering::Relaxed) + range.len();
    job.observer.progress(finished, job.module.bodies.len());
    Ok(compiled)
}

/// What is made of a partition, or what is in the way of that.
fn try_partition(
    job: &Job<'_>,
    is_last: bool,
    range: &Range<usize>,
    attempt: Attempt,
) -> Result<Result<Compiled, Obstacle>, CompileError> {
    let (settings, observer) = (job.settings, job.observer);
    let target = settings.target_machine()?;
    let context = Context::new();
    if matches!(settings.emit, Emit::Artifact | Emit::Obj) {
        context.discard_names();
    }
    let llvm = LlvmModule::new(&context, "partition", &target);
    llvm.set_data_layout(&data_layout(&target));
    let naming = if settings.emit == Emit::Artifact { Naming::Local } else { Naming::Final };
    let unit = Unit::new(&context, &llvm, job.module, settings, Numbers::new(naming, attempt.values), range.clone());
    observer.timed(Stage::Translate, || translate_partition(job, &unit, is_last, range))?;
    if !attempt.loops {
        tail_calls::keep(&unit);
    }
    let (slot, cached) = observer.timed(Stage::Cache, || {
        let slot = Slot::of(&unit, settings, range, job.private);
        let cached = slot.as_ref().and_then(Slot::get);
        (slot, cached)
    });
    let is_cached = cached.is_some();
    let made = match cached {
        Some(made) => made,
        None => {
            let made = generate(job, &unit, range, &target)?;
            if let Some(slot) = slot {
                observer.timed(Stage::Cache, || slot.insert(&made));
            }
            made
        }
    };
    Ok(made.map(|output| {
        observer.partition(is_cached);
        let numbers = Arc::new(unit.numbers.symbols(|func| final_symbol(job.module, func)));
        Compiled { output, numbers }
    }))
}

/// What LLVM makes of a translated partition.
fn generate(
    job: &Job<'_>,
    unit: &Unit<'_, '_>,
    range: &Range<usize>,
    target: &TargetMachine,
) -> Result<Made, CompileError> {
    let (settings, observer) = (job.settings, job.observer);
    if !observer.timed(Stage::Optimise, || optimise(job, unit, range, target))? {
        return Ok(Err(Obstacle::TailCalls));
    }
    unit.forget_assumptions();
    gc::initial::drop_zeros(unit);
    observer.timed(Stage::Lower, || gc::lower::lower(unit))?;
    // What translation got wrong, or lowering.
    observer.timed(Stage::Verify, || unit.llvm.verify())?;
    let is_whole = job.module.is_whole(range);
    if is_whole {
        instances::forget(unit);
    }
    heap_bases::forget(unit);
    Generation { settings, observer }.generate(unit, range, is_whole, target)
}

/// Translates what a partition has: its functions, what comes once per module if it is the last one, and what it may
/// inline.
fn translate_partition(
    job: &Job<'_>,
    unit: &Unit<'_, '_>,
    is_last: bool,
    range: &Range<usize>,
) -> Result<(), CompileError> {
    for position in range.clone() {
        translate_function(unit, position)?;
    }
    if is_last {
        for (number, signature) in job.signatures.iter().enumerate() {
            trampolines::define(unit, number, signature);
        }
        for (number, steps) in job.init.iter().enumerate() {
            init::define(unit, number, steps)?;
        }
    }
    unit.add_profile_summary();
    if job.settings.opt_level != OptLevel::O0 {
        import_small_callees(unit)?;
        // The optimiser trusts its input.
        unit.llvm.verify()?;
    }
    Ok(())
}

/// From translated functions to those whose references can be lowered; whether their tail calls are whole.
fn optimise(
    job: &Job<'_>,
    unit: &Unit<'_, '_>,
    range: &Range<usize>,
    target: &TargetMachine,
) -> Result<bool, CompileError> {
    let level = job.settings.opt_level;
    if level != OptLevel::O0 {
        merge(unit, range, target)?;
        bonuses::limit(unit);
    }
    unit.llvm.run_passes(pipeline::simplify(level), target)?;
    gc::through::settle(unit);
    if level != OptLevel::O0 {
        if !tail_calls::are_whole(unit) {
            return Ok(false);
        }
        let private = range.clone().filter(|&position| job.private[position]);
        run_internally(unit, private, "globaldce", target)?;
    }
    if let Some(pipeline) = pipeline::optimise(level) {
        let callers = partial::run(unit, target)?;
        throws::run(unit, target)?;
        gc::scalar_replacement::run(unit, target)?;
        gc::initial::drop_zeros(unit);
        let hint = sums::hint_loops(unit);
        unit.llvm.run_passes(&pipeline, target)?;
        if let Some(hint) = hint {
            sums::take_back(unit, hint);
        }
        gc::loops::run(unit, target)?;
        frameless::run(unit, &callers);
        return Ok(tail_calls::are_whole(unit));
    }
    Ok(true)
}

/// Makes functions part of their only callers, see [`merged`](crate::module::merged).
fn merge(unit: &Unit<'_, '_>, range: &Range<usize>, target: &TargetMachine) -> Result<(), CompileError> {
    let merged: Vec<_> = range.clone().filter(|&position| unit.module.merged.contains(position)).collect();
    if merged.is_empty() {
        return Ok(());
    }
    run_internally(unit, merged.into_iter(), pipeline::merge(), target)
}

/// Runs passes that remove those of the functions at some positions, private ones, of which no call is left.
fn run_internally(
    unit: &Unit<'_, '_>,
    positions: impl Iterator<Item = usize>,
    passes: &str,
    target: &TargetMachine,
) -> Result<(), CompileError> {
    let imported = unit.module.meta.imported_funcs();
    let funcs: Vec<_> = positions.map(|position| (imported + position) as u32).collect();
    let remaining = || funcs.iter().filter_map(|&func| unit.known_function(func));
    remaining().for_each(Value::set_internal);
    unit.llvm.run_passes(passes, target)?;
    // Code generation and the artifact treat all functions alike.
    remaining().for_each(Value::set_hidden);
    Ok(())
}

/// The data layout of partitions: references are non-integral pointers, with whose bits LLVM must not compute.
pub(crate) fn data_layout(target: &TargetMachine) -> CString {
    let layout = format!("{}-ni:{}", target.data_layout(), crate::llvm::REF_ADDRESS_SPACE);
    CString::new(layout).unwrap_or_default()
}

/// Translates the defined function at a position; its index follows those of the imported ones.
fn translate_function(unit: &Unit<'_, '_>, position: usize) -> Result<Value, CompileError> {
    let index = (unit.module.meta.imported_funcs() + position) as u32;
    let ty = unit.module.type_of_func(index);
    let function = unit.function(index);
    let mut translator = FunctionTranslator::new(unit, function, ty.results.clone());
    translator.translate_body(index, &unit.module.bodies[position].body)?;
    Ok(function)
}

/// Translates small functions that this partition calls but does not define, for LLVM to inline; of what they call in
/// turn only the smallest, which forward: a chain of small functions would bring the whole module into each partition.
fn import_small_callees(unit: &Unit<'_, '_>) -> Result<(), CompileError> {
    import_callees(unit, IMPORT_BODY_BYTES)?;
    import_callees(unit, IMPORT_FORWARDER_BYTES)
}

fn import_callees(unit: &Unit<'_, '_>, max_bytes: usize) -> Result<(), CompileError> {
    let imported = unit.module.meta.imported_funcs();
    let is_small = |&position: &usize| unit.module.is_importable(position, max_bytes);
    let is_called = |&position: &usize| {
        let function = unit.known_function((imported + position) as u32);
        function.is_some_and(|f| !f.is_definition())
    };
    let callees: Vec<_> = (0..unit.module.bodies.len()).filter(is_small).filter(is_called).collect();
    for position in callees {
        translate_function(unit, position)?.set_available_externally();
    }
    Ok(())
}

/// From object files to the artifact.
fn assemble(
    wasm: &[u8],
    module: Module<'_>,
    settings: Settings,
    signatures: Vec<MachineSignature>,
    init_funcs: usize,
    partitions: Vec<Partition>,
) -> Result<Vec<u8>, CompileError> {
    let mut meta = module.meta;
    let trampolines = signatures.into_iter().map(|signature| Trampolines { signature, entry: 0, host_call: 0 });
    meta.trampolines = trampolines.collect();
    meta.init_funcs = vec![0; init_funcs];
    meta.code_offsets = vec![0; module.bodies.len()];
    let header = Header {
        compiler_version: env!("CARGO_PKG_VERSION").to_owned(),
        target_triple: settings.target_machine()?.triple().to_string_lossy().into_owned(),
        cpu_features: settings.cpu.features,
        protocol: settings.protocol,
        opt_level: settings.opt_level.number(),
        polls: settings.polls,
        source_hash: *blake3::hash(wasm).as_bytes(),
    };
    let input =
        ArtifactInput { meta, names: module.names, custom: module.custom, data: module.data, header, partitions };
    Ok(artifact::write(input)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::TargetCpu;

    /// Whether the functions of a module have code at this level.
    fn have_code(text: &str, opt_level: OptLevel) -> Vec<bool> {
        let wasm = wat::parse_str(text).expect("the text is right");
        let options = Options { opt_level, emit: Emit::LlvmIr, ..Options::default() };
        let ir = String::from_utf8(compile(&wasm, &options).expect("it compiles")).expect("text");
        let definitions: Vec<_> = ir.lines().filter(|line| line.starts_with("define")).collect();
        let funcs = 0..text.matches("(func ").count();
        funcs.map(|func| definitions.iter().any(|line| line.contains(&format!("wasm[{func}]")))).collect()
    }

    #[test]
    fn functions_of_which_no_call_is_left_have_no_code() {
        let text = r#"(module (memory 1)
            (func $inlined (i32.store (i32.const 0) (i32.const 1)))
            (func $and_its_caller (call $inlined))
            (func $exported (export "a") (call $and_its_caller))
            (func $recursive (param i32) (call $recursive (i32.load (local.get 0))))
            (func $never_called (call $recursive (i32.const 4)) (call $exported)))"#;
        assert_eq!(have_code(text, OptLevel::O0), [true; 5]);
        for level in [OptLevel::O1, OptLevel::O2, OptLevel::O3] {
            assert_eq!(have_code(text, level), [false, false, true, true, true], "{level:?}");
        }
    }

    #[test]
    fn code_for_another_machine_is_text() {
        let options = |emit| Options { emit, target_cpu: TargetCpu::AArch64, ..Options::default() };
        let wasm = wat::parse_str(r#"(module (func (export "f")))"#).expect("the text is right");
        assert!(compile(&wasm, &options(Emit::Asm)).is_ok());
        for emit in [Emit::Artifact, Emit::Obj] {
            assert!(matches!(compile(&wasm, &options(emit)), Err(CompileError::TextOnly(_))));
        }
    }
}
