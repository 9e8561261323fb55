//! Dolmen as an engine: compiles a module, loads the artifact, calls the probes.

use crate::outcome::{Comparison, End, REFUSED, compare};
use crate::setups::{Setup, Way};
use crate::{artifacts, probes, programs};
use dolmen::{Config, Engine, Error, Instance, Module, Profile, Store, TrapCode, Val};
use dolmen_aotc::{Options, ProfileMode};
use std::slice;

/// What Dolmen says of a module.
#[must_use]
pub fn record(wasm: &[u8], setup: Setup) -> Vec<String> {
    run(wasm, setup).unwrap_or_else(|reason| vec![format!("{REFUSED} {}", reason.replace('\n', " "))])
}

fn run(wasm: &[u8], setup: Setup) -> Result<Vec<String>, String> {
    let options = artifacts::options(setup);
    match setup.way {
        Way::Plain => Ok(call_probes(&artifacts::compile(wasm, &options)?, setup)?.0),
        Way::Cached => Ok(call_probes(&artifacts::compile_cached(wasm, &options)?, setup)?.0),
        Way::Profiled | Way::Misled => profiled(wasm, options, setup),
    }
}

/// Runs code that counts, then code made with the counts; they must say the same.
fn profiled(wasm: &[u8], options: Options, setup: Setup) -> Result<Vec<String>, String> {
    let counting = Options { profile: ProfileMode::Count, ..options.clone() };
    let (counted, profile) = call_probes(&artifacts::compile(wasm, &counting)?, setup)?;
    let Some(mut profile) = profile else { return Ok(counted) };
    if setup.way == Way::Misled {
        artifacts::mislead(&mut profile);
    }
    let profile = profile.to_bytes().map_err(|error| error.to_string())?;
    let using = Options { profile: ProfileMode::Use(profile), ..options };
    let record = call_probes(&artifacts::compile(wasm, &using)?, setup)?.0;
    match compare(&counted, &record) {
        Comparison::Different(one, other) => Err(format!("code that counts says {one:?}, code with counts {other:?}")),
        Comparison::Same | Comparison::Undecided => Ok(record),
    }
}

/// Calls all probes of a module, twice if there is room: the record, and what was counted.
fn call_probes(artifact: &[u8], setup: Setup) -> Result<(Vec<String>, Option<Profile>), String> {
    let engine = Engine::new(&config(setup)).map_err(|error| error.to_string())?;
    let module = Module::deserialize(&engine, artifact).map_err(|error| error.to_string())?;
    let mut store = Store::new(&engine, ()).map_err(|error| error.to_string())?;
    let instance = match Instance::new(&mut store, &module, &[]) {
        Ok(instance) => instance,
        Err(error) => return Ok((vec![format!("instantiate {}", end(&error)?.word())], None)),
    };
    let mut lines = vec![format!("instantiate {}", End::Ok.word())];
    let names: Vec<String> = module.exports().map(|export| export.name().to_owned()).collect();
    let mut twin = twin(&mut store, &module)?;
    for (number, name) in names.iter().filter(|name| probes::is_probe(name)).enumerate() {
        turn_knobs(&mut store, &instance, &names, number)?;
        let line = call(&mut store, &instance, name)?;
        if let Some(other) = &twin {
            turn_knobs(&mut store, other, &names, number)?;
            let other = call(&mut store, other, name)?;
            match compare(slice::from_ref(&line), slice::from_ref(&other)) {
                Comparison::Same => {}
                // From here on they may do different things.
                Comparison::Undecided => twin = None,
                Comparison::Different(..) => {
                    return Err(format!("one instance says {line:?}, another one {other:?}"));
                }
            }
        }
        lines.push(line);
    }
    Ok((lines, store.profiles().pop()))
}

fn config(setup: Setup) -> Config {
    let mut config = Config::new();
    config.collector(setup.collector).heap_max_bytes(setup.heap_max_bytes);
    config.gc_stress(setup.gc_stress).gc_verify(setup.gc_stress.is_some());
    if let Some(time) = setup.minor_pause {
        config.heap_minor_pause(time);
    }
    config
}

/// An instance that does the same in turns with the first, since nothing of either must reach the other; none if there is
/// no room for it.
fn twin(store: &mut Store<()>, module: &Module) -> Result<Option<Instance>, String> {
    match Instance::new(store, module, &[]) {
        Ok(instance) => Ok(Some(instance)),
        Err(error) if end(&error)? == End::Resource => Ok(None),
        Err(error) => Err(format!("a second instance: {error}")),
    }
}

/// Sets the globals that programs have for it.
fn turn_knobs(store: &mut Store<()>, instance: &Instance, names: &[String], number: usize) -> Result<(), String> {
    for name in names.iter().filter(|name| programs::is_knob(name)) {
        let knob = instance.get_global(&mut *store, name).ok_or("a knob is missing")?;
        knob.set(&mut *store, Val::I32(programs::knob_value(number))).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn call(store: &mut Store<()>, instance: &Instance, name: &str) -> Result<String, String> {
    let func = instance.get_func(&mut *store, name).ok_or("a probe is missing")?;
    let mut results = vec![Val::I64(0); func.ty(&*store).results().len()];
    let mut line = name.replace(' ', "_");
    match func.call(&mut *store, &[], &mut results) {
        Ok(()) => {
            line += &format!(" {}", End::Ok.word());
            for result in &results {
                line += &format!(" {}", result.i64().ok_or("a probe returned no integer")?);
            }
        }
        Err(error) => line += &format!(" {}", end(&error)?.word()),
    }
    Ok(line)
}

/// The class of an error; in words what it is if it is none that wasm may end with.
fn end(error: &Error) -> Result<End, String> {
    Ok(match error {
        Error::Exception(_) => End::Exception,
        Error::Resource(_) => End::Resource,
        Error::Trap(trap) => match trap.code {
            TrapCode::Unreachable => End::Unreachable,
            TrapCode::MemoryOutOfBounds => End::Memory,
            TrapCode::TableOutOfBounds | TrapCode::UndefinedElement => End::Table,
            TrapCode::ArrayOutOfBounds => End::Array,
            TrapCode::IntegerDivideByZero => End::Division,
            TrapCode::IntegerOverflow | TrapCode::InvalidConversion => End::Integer,
            TrapCode::UninitializedElement | TrapCode::IndirectCallTypeMismatch => End::Indirect,
            TrapCode::NullReference
            | TrapCode::NullFunctionReference
            | TrapCode::NullStructReference
            | TrapCode::NullArrayReference
            | TrapCode::NullI31Reference
            | TrapCode::NullExceptionReference => End::Null,
            TrapCode::CastFailure => End::Cast,
            TrapCode::StackOverflow | TrapCode::AllocationTooLarge | TrapCode::OutOfMemory => End::Resource,
            other => return Err(format!("an unexpected trap: {}", other.message())),
        },
        other => return Err(format!("an unexpected error: {other}")),
    })
}
