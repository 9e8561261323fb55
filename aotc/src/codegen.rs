//! Clean-up and code generation of a partition, in two parts at a time where it is all of the module.
//!
//! The problem: half of the time goes into code generation, function by function, and a small module is one partition:
//! a second processor idles. Smaller partitions would cost what LLVM's inliner does between them. So the functions are
//! divided when all of them are lowered and nothing has to see several of them any more, into two halves of about the same
//! number of instructions:
//!
//! 1. the module is written as bitcode, and read again in a context of its own, on a thread of its own;
//! 2. in each of the two, the functions of the other half become declarations;
//! 3. each of the two is cleaned up and becomes an object file. Functions have hidden symbols, so linking joins them like
//!    partitions.
//!
//! The halves depend on the module alone: with one thread, they are generated one after the other, to the same bytes.
//! Internal functions and LLVM's tables are in both, if both use them.
//!
//! The other half has a [`Unit`] of its own, which knows nothing of what the first one has numbered: neither alias classes
//! nor functions may be asked for behind the division.
//!
//! What comes out is a byte string for a partition, whatever it consists of: its object files, each behind its length
//! ([`pack`], [`unpack`]).

use crate::cache::{Made, Obstacle};
use crate::compile::{Settings, deep_thread};
use crate::convention;
use crate::error::CompileError;
use crate::llvm::{CodegenFile, Context, LlvmError, Module, Opcode, TargetMachine, Value};
use crate::observer::{Observer, Stage};
use crate::options::{Emit, MIN_HALF_INSTRUCTIONS};
use crate::pipeline;
use crate::places;
use crate::translate::numbers::{Naming, Numbers};
use crate::translate::unit::Unit;
use std::cmp::Reverse;
use std::collections::HashSet;
use std::ops::Range;

/// How a partition's code is generated.
pub(crate) struct Generation<'g> {
    pub(crate) settings: &'g Settings,
    pub(crate) observer: &'g dyn Observer,
}

impl Generation<'_> {
    /// What was asked for, of lowered functions at these positions; `is_whole` if they are all of the module.
    pub(crate) fn generate(
        &self,
        unit: &Unit<'_, '_>,
        range: &Range<usize>,
        is_whole: bool,
        target: &TargetMachine,
    ) -> Result<Made, CompileError> {
        if self.settings.emit == Emit::Artifact
            && is_whole
            && let Some(halves) = halves(unit.llvm)
        {
            return Ok(Ok(pack(&self.halves(unit, range, target, halves)?)));
        }
        if !self.prepare(unit, target)? {
            return Ok(Err(Obstacle::Places));
        }
        Ok(Ok(match self.settings.emit {
            Emit::LlvmIr => unit.llvm.print().into_bytes(),
            Emit::Asm => self.emit(unit, target, CodegenFile::Assembly)?,
            Emit::Obj => self.emit(unit, target, CodegenFile::Object)?,
            Emit::Artifact => pack(&[self.emit(unit, target, CodegenFile::Object)?]),
        }))
    }

    /// The last changes to a partition, or to a half; whether all made-up offsets were found.
    fn prepare(&self, unit: &Unit<'_, '_>, target: &TargetMachine) -> Result<bool, CompileError> {
        let clean_up = || unit.llvm.run_passes(pipeline::clean_up(self.settings.opt_level), target);
        self.observer.timed(Stage::CleanUp, clean_up)?;
        if self.settings.emit != Emit::LlvmIr {
            self.observer.timed(Stage::Emit, || convention::apply(unit));
        }
        Ok(self.observer.timed(Stage::Emit, || places::resolve(unit)))
    }

    fn emit(&self, unit: &Unit<'_, '_>, target: &TargetMachine, file: CodegenFile) -> Result<Vec<u8>, CompileError> {
        Ok(self.observer.timed(Stage::Emit, || target.emit(unit.llvm, file))?)
    }

    /// The object files of two halves. Offsets are real in a partition that is all of its module.
    fn halves(
        &self,
        unit: &Unit<'_, '_>,
        range: &Range<usize>,
        target: &TargetMachine,
        [near, far]: [HashSet<String>; 2],
    ) -> Result<[Vec<u8>; 2], CompileError> {
        let half = |unit: &Unit<'_, '_>, others: &HashSet<String>, target: &TargetMachine| {
            drop_bodies(unit.llvm, others, target)?;
            self.prepare(unit, target)?;
            self.emit(unit, target, CodegenFile::Object)
        };
        let bitcode = self.observer.timed(Stage::Emit, || unit.llvm.bitcode());
        let module = unit.module;
        let make_far = || {
            let target = self.settings.target_machine()?;
            let context = Context::new();
            context.discard_names();
            let llvm = self.observer.timed(Stage::Emit, || Module::parse_bitcode(&context, &bitcode))?;
            let numbers = Numbers::new(Naming::Local, false);
            half(&Unit::new(&context, &llvm, module, self.settings, numbers, range.clone()), &near, &target)
        };
        let (near, far) = std::thread::scope(|scope| {
            let thread = (self.settings.jobs > 1).then(|| deep_thread().spawn_scoped(scope, make_far).ok()).flatten();
            let near = half(unit, &far, target);
            let far = match thread {
                Some(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                None => make_far(),
            };
            (near, far)
        });
        Ok([near?, far?])
    }
}

/// Object files as one string of bytes, each behind its length (64 bits, little endian).
fn pack(objects: &[Vec<u8>]) -> Vec<u8> {
    let with_length = |object: &Vec<u8>| [&(object.len() as u64).to_le_bytes()[..], object].concat();
    objects.iter().flat_map(with_length).collect()
}

/// The object files of a partition.
///
/// # Errors
///
/// The bytes are not what [`pack`] made.
pub(crate) fn unpack(mut packed: &[u8]) -> Result<Vec<Vec<u8>>, CompileError> {
    let mut objects = vec![];
    while let Some((length, rest)) = packed.split_first_chunk() {
        let length = usize::try_from(u64::from_le_bytes(*length)).ok();
        let (object, rest) = length.and_then(|length| rest.split_at_checked(length)).ok_or_else(cut_short)?;
        objects.push(object.to_vec());
        packed = rest;
    }
    if packed.is_empty() { Ok(objects) } else { Err(cut_short()) }
}

fn cut_short() -> CompileError {
    LlvmError("the object files of a partition are cut short".into()).into()
}

/// The names of the functions of two halves, if both are worth a thread; in order of their sizes, each goes where there is
/// less.
fn halves(llvm: &Module<'_>) -> Option<[HashSet<String>; 2]> {
    let mut functions: Vec<_> =
        llvm.functions().into_iter().filter(|f| f.is_definition() && !f.is_internal()).collect();
    functions.sort_by_cached_key(|&function| Reverse(size(function)));
    let mut halves = [(0, HashSet::new()), (0, HashSet::new())];
    for function in functions {
        let lighter = usize::from(halves[1].0 < halves[0].0);
        halves[lighter].0 += size(function);
        halves[lighter].1.insert(function.name());
    }
    let is_worth_it = halves.iter().all(|&(size, _)| size >= MIN_HALF_INSTRUCTIONS);
    is_worth_it.then(|| halves.map(|(_, names)| names))
}

/// Instructions of a function, with those of internal functions that it calls: they become part of it.
fn size(function: Value) -> usize {
    let instructions = function.blocks().into_iter().flat_map(|block| block.instructions());
    let inlined = |call: Value| {
        let callee = call.called_function().filter(|callee| callee.is_definition() && callee.is_internal());
        callee.map_or(0, |callee| callee.blocks().into_iter().map(|block| block.instructions().len()).sum())
    };
    instructions.map(|i| 1 + if i.opcode() == Opcode::Call { inlined(i) } else { 0 }).sum()
}

/// Makes declarations of functions.
fn drop_bodies(llvm: &Module<'_>, names: &HashSet<String>, target: &TargetMachine) -> Result<(), LlvmError> {
    let dropped = llvm.functions().into_iter().filter(|f| f.is_definition() && names.contains(&f.name()));
    dropped.for_each(Value::set_available_externally);
    llvm.run_passes("elim-avail-extern,globaldce", target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Emit, Options, compile, compile_observed};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    /// Counts how often something was emitted.
    #[derive(Default)]
    struct Emissions(AtomicUsize);

    impl Observer for Emissions {
        fn stage(&self, stage: Stage, _: Duration) {
            self.0.fetch_add(usize::from(stage == Stage::Emit), Ordering::Relaxed);
        }
    }

    /// The names of the functions in both halves of a module of functions of these sizes; the internal one is in neither.
    fn halves_of(sizes: &[usize]) -> Option<[Vec<String>; 2]> {
        let body = |size: &usize| "  fence seq_cst\n".repeat(size - 1);
        let define = |(i, size)| format!("define void @f{i}() {{\n{}  ret void\n}}\n", body(size));
        let functions: String = sizes.iter().enumerate().map(define).collect();
        let context = Context::new();
        let text = format!("{functions}\ndefine internal void @i() {{\n{}  ret void\n}}", body(&1000));
        let module = Module::parse(&context, &text).expect("the text is right");
        halves(&module).map(|halves| {
            halves.map(|names| {
                let mut names: Vec<_> = names.into_iter().collect();
                names.sort();
                names
            })
        })
    }

    #[test]
    fn halves_weigh_the_same() {
        const MIN: usize = MIN_HALF_INSTRUCTIONS;
        let names = |names: &[usize]| names.iter().map(|i| format!("f{i}")).collect::<Vec<_>>();
        assert_eq!(halves_of(&[]), None);
        assert_eq!(halves_of(&[10 * MIN]), None);
        assert_eq!(halves_of(&[10 * MIN, MIN - 1]), None);
        assert_eq!(halves_of(&[MIN, MIN]), Some([names(&[0]), names(&[1])]));
        assert_eq!(halves_of(&[MIN, 4 * MIN, 2 * MIN, 2 * MIN]), Some([names(&[0, 1]), names(&[2, 3])]));
    }

    #[test]
    fn threads_do_not_change_what_is_generated() {
        let store = "(i32.store (local.get 0) (call $callee (i32.load (local.get 0))))".repeat(100);
        let text = format!(
            r#"(module (func $callee (import "" "f") (param i32) (result i32)) (memory 1)
                (func (export "a") (param i32) {store}) (func (export "b") (param i32) {store}))"#
        );
        let wasm = wat::parse_str(text).expect("the text is right");
        let artifact_of = |jobs| {
            let emissions = Emissions::default();
            let artifact = compile_observed(&wasm, &Options { jobs, ..Options::default() }, &emissions);
            assert!(emissions.0.into_inner() > 2, "there should be two halves");
            artifact.expect("it compiles")
        };
        assert!(artifact_of(1) == artifact_of(2));
        // What is one object stays one.
        let object = compile(&wasm, &Options { emit: Emit::Obj, ..Options::default() });
        assert!(object.expect("it compiles").starts_with(b"\x7fELF"));
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        for objects in [vec![], vec![vec![]], vec![vec![1, 2, 3], vec![], vec![4]]] {
            assert_eq!(unpack(&pack(&objects)).expect("it is whole"), objects);
        }
        let packed = pack(&[vec![1, 2, 3]]);
        for end in 1..packed.len() {
            assert!(unpack(&packed[..end]).is_err(), "{end}");
        }
        assert!(unpack(&[255; 8]).is_err());
    }
}
