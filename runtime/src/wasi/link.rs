//! From the list of functions to host functions of a linker.

use super::call::{Call, Failure};
use super::ctx::WasiCtx;
use super::errno::{Errno, SUCCESS};
use super::functions::{FUNCTIONS, Function, MODULE, Param, Returns};
use super::guest::Guest;
use crate::{AsContext, AsContextMut, Caller, Engine, Error, Extern, FuncType, Linker, Val, ValType};
use std::time::Instant;

/// The export that holds a guest's memory.
const MEMORY_EXPORT: &str = "memory";

/// More parameters than any function has.
const MAX_PARAMS: usize = 9;

/// Defines all functions of WASI preview 1 in `linker`; `context` finds their state in the data of a store.
///
/// A guest that ends itself makes the embedder's call fail with an [`Error`] from which [`Exit`](super::Exit) can
/// be downcast.
///
/// # Errors
///
/// If one of them is defined already.
pub fn add_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    context: impl Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    for function in FUNCTIONS {
        let ty = func_type(linker.engine(), function);
        linker.func_new(MODULE, function.name, ty, move |mut caller, args, results| {
            let outcome = call(function, &mut caller, context, args)?;
            if let [result] = results {
                *result = Val::I32(outcome.map_or_else(Errno::code, |()| SUCCESS));
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn func_type(engine: &Engine, function: &Function) -> FuncType {
    let params = function.params.iter().map(|param| match param {
        Param::I32 => ValType::I32,
        Param::I64 => ValType::I64,
    });
    let results = (function.returns == Returns::Errno).then_some(ValType::I32);
    FuncType::new(engine, params, results)
}

/// What earlier calls of a function leave to the next one.
#[derive(Clone, Copy, Default)]
struct Resumption {
    since: Option<Instant>,
    done: u32,
}

/// Calls a function, as often as it has to wait, or does a part.
fn call<T: 'static>(
    function: &Function,
    caller: &mut Caller<'_, T>,
    context: impl Fn(&mut T) -> &mut WasiCtx + Copy,
    args: &[Val],
) -> Result<Result<(), Errno>, Error> {
    let mut words = [0; MAX_PARAMS];
    for (word, arg) in words.iter_mut().zip(args) {
        *word = match arg {
            Val::I32(value) => value.cast_unsigned().into(),
            Val::I64(value) => value.cast_unsigned(),
            // The types of the arguments were checked against the function's.
            _ => 0,
        };
    }
    let args = &words[..function.params.len()];
    let mut resumption = Resumption::default();
    loop {
        match call_once(function, caller, context, args, resumption) {
            Ok(()) => return Ok(Ok(())),
            Err(Failure::Errno(errno)) => return Ok(Err(errno)),
            Err(Failure::Exit(exit)) => return Err(Error::host(exit)),
            Err(Failure::Yield) => {
                caller.unlocked(std::thread::yield_now);
                return Ok(Ok(()));
            }
            Err(Failure::Unfinished { done }) => {
                caller.unlocked_until_interrupted(|_| std::thread::yield_now())?;
                resumption.done = done;
            }
            Err(Failure::Blocked(wait)) => {
                if let Err(errno) = caller.unlocked_until_interrupted(|wakeup| wait.sleep(Some(wakeup)))? {
                    return Ok(Err(errno));
                }
                resumption.since = Some(wait.since);
            }
        }
    }
}

/// Calls a function on the memory of the calling instance; without one, every address is outside of it.
fn call_once<T: 'static>(
    function: &Function,
    caller: &mut Caller<'_, T>,
    context: impl Fn(&mut T) -> &mut WasiCtx,
    args: &[u64],
    Resumption { since, done }: Resumption,
) -> Result<(), Failure> {
    let is_watched = caller.as_context().inner().threads.may_have_to_stop();
    match caller.get_export(MEMORY_EXPORT) {
        Some(Extern::Memory(memory)) => {
            if let Some(shared) = memory.as_shared(&mut *caller) {
                let memory = Guest::Shared(shared);
                let ctx = context(caller.data_mut());
                return (function.run)(&mut Call { ctx, memory, args, is_watched, since, done });
            }
            let (bytes, data) = memory.data_and_store_mut(caller.as_context_mut());
            let memory = Guest::new(bytes);
            (function.run)(&mut Call { ctx: context(data), memory, args, is_watched, since, done })
        }
        _ => {
            let memory = Guest::new(&mut []);
            (function.run)(&mut Call { ctx: context(caller.data_mut()), memory, args, is_watched, since, done })
        }
    }
}
