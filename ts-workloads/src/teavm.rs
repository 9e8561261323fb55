//! Runs what TeaVM compiles Java to, on a host that is no JavaScript engine.
//!
//! Such a module has no WASI and exports no function to start with: its start function makes `main` known to the host
//! (`teavmJso.defineFunction`), as it would hand it to JavaScript. Besides it imports what a Java library has from
//! JavaScript: a console that prints one byte at a time, functions of `Math`, and objects of JavaScript, which a program
//! makes, passes on, and does not look into.

use crate::harness::{Setup, artifact, first_difference};
use anyhow::{Context as _, Result};
use dolmen::{Caller, Engine, ExternRef, ExternType, Func, FuncType, ImportType, Linker, Module, Store, Val, ValType};
use std::path::Path;

/// The host's side of a program.
#[derive(Default)]
struct Host {
    printed: Vec<u8>,
    /// What the program made known.
    functions: Vec<Func>,
}

/// Compiles the tour of Java, runs it, and checks what it prints.
///
/// # Errors
///
/// If a step fails or the output is not the expected one.
pub fn check_tour(setup: Setup) -> Result<()> {
    let wasm = Path::new(env!("CARGO_MANIFEST_DIR")).join("teavm/tour.wasm");
    let artifact = artifact(wasm, setup)?;
    let engine = setup.engine()?;
    let module = Module::deserialize(&engine, &artifact)?;
    let mut store = Store::new(&engine, Host::default())?;
    let mut linker = linker(&engine, &module)?;
    linker.define_unknown_imports_as_traps(&mut store, &module)?;
    linker.instantiate(&mut store, &module)?;
    let main = store.data().functions.first().copied().context("the program has made no function known")?;
    main.call(&mut store, &[Val::ExternRef(None)], &mut [])?;
    let printed = std::str::from_utf8(&store.data().printed).context("the output is not UTF-8")?;
    match first_difference(printed, include_str!("../teavm/expected/tour.txt")) {
        None => Ok(()),
        Some(difference) => Err(anyhow::anyhow!(difference)),
    }
}

/// What the module imports, but for what the tour does not call.
fn linker(engine: &Engine, module: &Module) -> Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    for import in module.imports() {
        if let ExternType::Func(ty) = import.ty() {
            define(&mut linker, &import, ty)?;
        }
    }
    Ok(linker)
}

fn define(linker: &mut Linker<Host>, import: &ImportType<'_>, ty: FuncType) -> Result<()> {
    let (module, name) = (import.module(), import.name());
    match (module, name) {
        ("teavmConsole", "putcharStdout") => {
            linker.func_new(module, name, ty, |mut caller: Caller<'_, Host>, arguments, _| {
                if let [Val::I32(byte)] = *arguments {
                    caller.data_mut().printed.push(byte as u8);
                }
                Ok(())
            })?;
        }
        ("teavmJso", "defineFunction") => {
            linker.func_new(module, name, ty, |mut caller: Caller<'_, Host>, arguments, _| {
                if let [Val::FuncRef(Some(function))] = arguments {
                    caller.data_mut().functions.push(*function);
                }
                Ok(())
            })?;
        }
        ("teavmMath", "sqrt") => {
            linker.func_new(module, name, ty, |_, arguments, results| {
                if let [Val::F64(x)] = *arguments {
                    results[0] = Val::F64(f64::from_bits(x).sqrt().to_bits());
                }
                Ok(())
            })?;
        }
        // What a program would miss.
        ("teavmConsole" | "teavmMath", _) => {}
        // Null, zero, or an object of JavaScript, into which nothing looks.
        _ => {
            let objects: Vec<usize> =
                ty.results().enumerate().filter(|(_, ty)| is_object(ty)).map(|(i, _)| i).collect();
            linker.func_new(module, name, ty, move |mut caller: Caller<'_, Host>, _, results| {
                for &index in &objects {
                    results[index] = Val::ExternRef(Some(ExternRef::new(&mut caller, ())?));
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// Whether a value of the type is a reference to something.
fn is_object(ty: &ValType) -> bool {
    matches!(ty, ValType::Ref(reference) if !reference.is_nullable())
}
