//! Dolmen as an engine: compiles a module, loads the artifact, calls the probes.

use crate::outcome::{Comparison, End, REFUSED, compare};
use crate::{probes, programs};
use dolmen::{Config, Engine, Error, Instance, Module, Store, TrapCode, Val};
use dolmen_aotc::{OptLevel, Options};
use std::fmt;
use std::num::NonZeroU64;
use std::slice;
use std::str::FromStr;

/// Most that a heap may grow to, in bytes: modules that want more are told apart as such.
const HEAP_MAX_BYTES: u64 = 256 << 20;

/// How a module is compiled and run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    pub opt_level: OptLevel,
    /// Collect at every N-th allocation, with the heap verified.
    pub gc_stress: Option<NonZeroU64>,
}

impl Setup {
    /// The setups that all must agree.
    pub const ALL: [Self; 3] = [
        Self { opt_level: OptLevel::O3, gc_stress: None },
        Self { opt_level: OptLevel::O0, gc_stress: None },
        Self { opt_level: OptLevel::O2, gc_stress: NonZeroU64::new(1) },
    ];
}

/// `LEVEL` or `LEVEL/STRESS`.
impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.opt_level as u8)?;
        self.gc_stress.map_or(Ok(()), |stress| write!(f, "/{stress}"))
    }
}

impl FromStr for Setup {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("not a setup: {text}");
        let (level, stress) = text.split_once('/').map_or((text, None), |(level, stress)| (level, Some(stress)));
        let level = level.parse().ok().and_then(OptLevel::from_number).ok_or_else(error)?;
        let stress = stress.map(|stress| stress.parse().map_err(|_| error())).transpose()?;
        Ok(Self { opt_level: level, gc_stress: stress })
    }
}

/// What Dolmen says of a module.
#[must_use]
pub fn record(wasm: &[u8], setup: Setup) -> Vec<String> {
    run(wasm, setup).unwrap_or_else(|reason| vec![format!("{REFUSED} {}", reason.replace('\n', " "))])
}

fn run(wasm: &[u8], setup: Setup) -> Result<Vec<String>, String> {
    let options = Options { opt_level: setup.opt_level, jobs: 1, ..Options::default() };
    let artifact = dolmen_aotc::compile(wasm, &options).map_err(|error| error.to_string())?;
    let mut config = Config::new();
    config.gc_stress(setup.gc_stress).gc_verify(setup.gc_stress.is_some()).heap_max_bytes(HEAP_MAX_BYTES);
    let engine = Engine::new(&config).map_err(|error| error.to_string())?;
    let module = Module::deserialize(&engine, &artifact).map_err(|error| error.to_string())?;
    let mut store = Store::new(&engine, ()).map_err(|error| error.to_string())?;
    let instance = match Instance::new(&mut store, &module, &[]) {
        Ok(instance) => instance,
        Err(error) => return Ok(vec![format!("instantiate {}", end(&error)?.word())]),
    };
    let mut lines = vec![format!("instantiate {}", End::Ok.word())];
    let names: Vec<String> = module.exports().map(|export| export.name().to_owned()).collect();
    let twin = twin(&mut store, &module)?;
    for (number, name) in names.iter().filter(|name| probes::is_probe(name)).enumerate() {
        turn_knobs(&mut store, &instance, &names, number)?;
        let line = call(&mut store, &instance, name)?;
        if let Some(twin) = &twin {
            turn_knobs(&mut store, twin, &names, number)?;
            let other = call(&mut store, twin, name)?;
            if let Comparison::Different(..) = compare(slice::from_ref(&line), slice::from_ref(&other)) {
                return Err(format!("one instance says {line:?}, another one {other:?}"));
            }
        }
        lines.push(line);
    }
    Ok(lines)
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
