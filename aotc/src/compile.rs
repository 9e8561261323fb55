//! The stages of compilation, in order.
//!
//! A module is cut into partitions of consecutive functions, by size alone. Each partition is translated,
//! optimised and emitted in an LLVM context of its own, so partitions compile in parallel and the output does
//! not depend on how many threads there are. Small functions of other partitions are translated along to be
//! inlined.

use crate::artifact::{self, ArtifactInput};
use crate::convention;
use crate::cpu::Cpu;
use crate::error::CompileError;
use crate::gc;
use crate::llvm::{CodegenFile, Context, Module as LlvmModule, OptLevel as CodegenLevel, TargetMachine, Value};
use crate::module::values::{self, FieldValues, Stores};
use crate::module::{InitStep, Module};
use crate::options::{
    Emit, IMPORT_BODY_BYTES, INIT_STEPS_PER_FUNCTION, OptLevel, Options, PARTITION_BODY_BYTES, PARTITION_FUNCS,
    Progress,
};
use crate::pipeline;
use crate::translate::function::FunctionTranslator;
use crate::translate::unit::Unit;
use crate::translate::{init, trampolines};
use dolmen_abi::artifact::Header;
use dolmen_abi::collector::Protocol;
use dolmen_abi::meta::Trampolines;
use dolmen_abi::signature::MachineSignature;
use std::ffi::CString;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use wasmparser::FuncValidatorAllocations;

/// The options, resolved.
pub(crate) struct Settings {
    opt_level: OptLevel,
    pub(crate) cpu: Cpu,
    pub(crate) protocol: Protocol,
    pub(crate) polls: bool,
    emit: Emit,
    jobs: usize,
}

/// Everything that partitions share.
struct Job<'j> {
    module: &'j Module<'j>,
    settings: &'j Settings,
    signatures: &'j [MachineSignature],
    init: &'j [&'j [InitStep<'j>]],
    progress: Progress<'j>,
    finished: AtomicUsize,
}

/// Compiles a binary module.
///
/// # Errors
///
/// See [`CompileError`]. Of several errors in function bodies the one with the least offset is reported.
pub fn compile(wasm: &[u8], options: &Options) -> Result<Vec<u8>, CompileError> {
    compile_with_progress(wasm, options, &|_, _| {})
}

/// Like [`compile`], and tells `progress` of each function that is finished.
///
/// # Errors
///
/// See [`compile`].
pub fn compile_with_progress(wasm: &[u8], options: &Options, progress: Progress<'_>) -> Result<Vec<u8>, CompileError> {
    let settings = Settings::resolve(options)?;
    let mut module = Module::decode(wasm, options.features)?;
    validate_bodies(&module, settings.jobs)?;
    if settings.opt_level != OptLevel::O0 {
        module.field_values = FieldValues::new(&module, scan_bodies(&module, settings.jobs)?);
    }
    let signatures = trampolines::signatures(&module);
    let init_steps = std::mem::take(&mut module.init);
    let init: Vec<_> = init_steps.chunks(INIT_STEPS_PER_FUNCTION).collect();
    let partitions = partition(&module);
    let job = Job {
        module: &module,
        settings: &settings,
        signatures: &signatures,
        init: &init,
        progress,
        finished: AtomicUsize::new(0),
    };
    let objects = in_parallel(partitions.len(), settings.jobs, |i| compile_partition(&job, i, &partitions[i]))?;
    match settings.emit {
        Emit::Artifact => assemble(wasm, module, settings, signatures, init.len(), objects),
        Emit::LlvmIr | Emit::Asm => Ok(objects.concat()),
        Emit::Obj => match <[_; 1]>::try_from(objects) {
            Ok([object]) => Ok(object),
            Err(objects) => Err(CompileError::Limit(format!(
                "the module is compiled in {} parts, so there is no single object file",
                objects.len()
            ))),
        },
    }
}

impl Settings {
    pub(crate) fn resolve(options: &Options) -> Result<Self, CompileError> {
        Ok(Self {
            opt_level: options.opt_level,
            cpu: Cpu::resolve(&options.target_cpu)?,
            protocol: Protocol { motion: gc::MOTION, ..options.collector.protocol() },
            polls: options.polls,
            emit: options.emit,
            jobs: options.jobs.max(1),
        })
    }

    pub(crate) fn target_machine(&self) -> Result<TargetMachine, CompileError> {
        let level = match self.opt_level {
            OptLevel::O0 => CodegenLevel::None,
            OptLevel::O1 => CodegenLevel::Less,
            OptLevel::O2 => CodegenLevel::Default,
            OptLevel::O3 => CodegenLevel::Aggressive,
        };
        Ok(TargetMachine::new(self.cpu.base, &self.cpu.feature_string(), level)?)
    }
}

/// Bodies that one task validates or looks through.
const BODIES_PER_CHUNK: usize = 64;

/// Looks through all function bodies, which are valid, if they can hold something of interest.
fn scan_bodies(module: &Module<'_>, jobs: usize) -> Result<Vec<Stores>, CompileError> {
    if !values::is_worthwhile(module) {
        return Ok(vec![]);
    }
    let chunks: Vec<_> = module.bodies.chunks(BODIES_PER_CHUNK).collect();
    in_parallel(chunks.len(), jobs, |chunk| {
        let mut allocations = FuncValidatorAllocations::default();
        let mut stores = Stores::default();
        for body in chunks[chunk] {
            allocations = values::scan(module, body, allocations, &mut stores)?;
        }
        Ok(stores)
    })
}

/// Validates all function bodies.
fn validate_bodies(module: &Module<'_>, jobs: usize) -> Result<(), CompileError> {
    let chunks: Vec<_> = module.bodies.chunks(BODIES_PER_CHUNK).collect();
    in_parallel(chunks.len(), jobs, |chunk| {
        let mut allocations = FuncValidatorAllocations::default();
        for body in chunks[chunk] {
            let mut validator = body.to_validate().into_validator(allocations);
            validator.validate(&body.body)?;
            allocations = validator.into_allocations();
        }
        Ok(())
    })?;
    Ok(())
}

/// Ranges of defined functions (by position) that make up the partitions; at least one.
fn partition(module: &Module<'_>) -> Vec<Range<usize>> {
    let mut partitions = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (position, body) in module.bodies.iter().enumerate() {
        bytes += body.body.as_bytes().len();
        if bytes >= PARTITION_BODY_BYTES || position + 1 - start >= PARTITION_FUNCS {
            partitions.push(start..position + 1);
            (start, bytes) = (position + 1, 0);
        }
    }
    if start < module.bodies.len() || partitions.is_empty() {
        partitions.push(start..module.bodies.len());
    }
    partitions
}

/// Runs `work` for each index on several threads; results in order, or the error with the least offset.
fn in_parallel<T: Send>(
    count: usize,
    jobs: usize,
    work: impl Fn(usize) -> Result<T, CompileError> + Sync,
) -> Result<Vec<T>, CompileError> {
    // LLVM recurses deeply on large functions. Address space is cheap.
    const STACK_BYTES: usize = 256 << 20;
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
        let spawn = |_| std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, worker).is_ok();
        if (0..jobs.min(count)).map(spawn).filter(|&ok| ok).count() == 0 {
            worker();
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

/// From a range of functions to an object file, or to the text that was asked for.
fn compile_partition(job: &Job<'_>, index: usize, range: &Range<usize>) -> Result<Vec<u8>, CompileError> {
    let target = job.settings.target_machine()?;
    let context = Context::new();
    let llvm = LlvmModule::new(&context, &format!("partition{index}"), &target);
    llvm.set_data_layout(&data_layout(&target));
    let unit = Unit::new(&context, &llvm, job.module, job.settings);
    for position in range.clone() {
        translate_function(&unit, position)?;
    }
    if index == 0 {
        for (number, signature) in job.signatures.iter().enumerate() {
            trampolines::define(&unit, number, signature);
        }
        for (number, steps) in job.init.iter().enumerate() {
            init::define(&unit, number, steps)?;
        }
    }
    if job.settings.opt_level != OptLevel::O0 {
        import_small_callees(&unit)?;
    }
    llvm.verify()?;
    optimise(&unit, job.settings.opt_level, &target)?;
    gc::lower::lower(&unit)?;
    llvm.verify()?;
    llvm.run_passes(pipeline::clean_up(job.settings.opt_level), &target)?;
    let output = match job.settings.emit {
        Emit::LlvmIr => llvm.print().into_bytes(),
        Emit::Asm => emit(&unit, &target, CodegenFile::Assembly)?,
        Emit::Artifact | Emit::Obj => emit(&unit, &target, CodegenFile::Object)?,
    };
    // Relaxed: a count for display.
    let finished = job.finished.fetch_add(range.len(), Ordering::Relaxed) + range.len();
    (job.progress)(finished, job.module.bodies.len());
    Ok(output)
}

fn emit(unit: &Unit<'_, '_>, target: &TargetMachine, file: CodegenFile) -> Result<Vec<u8>, CompileError> {
    convention::apply(unit);
    Ok(target.emit(unit.llvm, file)?)
}

/// From translated functions to those whose references can be lowered.
fn optimise(unit: &Unit<'_, '_>, level: OptLevel, target: &TargetMachine) -> Result<(), CompileError> {
    unit.llvm.run_passes(pipeline::simplify(level), target)?;
    if let Some(pipeline) = pipeline::optimise(level) {
        gc::scalar_replacement::run(unit, target)?;
        unit.llvm.run_passes(&pipeline, target)?;
    }
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

/// Translates small functions that this partition calls but does not define, for LLVM to inline. What they call
/// in turn is not translated: a chain of small functions would bring the whole module into each partition.
fn import_small_callees(unit: &Unit<'_, '_>) -> Result<(), CompileError> {
    let imported = unit.module.meta.imported_funcs();
    let is_small = |&position: &usize| unit.module.bodies[position].body.as_bytes().len() <= IMPORT_BODY_BYTES;
    let is_called = |&position: &usize| {
        let function = unit.llvm.function(&unit.symbol((imported + position) as u32));
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
    partitions: Vec<Vec<u8>>,
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
