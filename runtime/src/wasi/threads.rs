//! Threads that programs start.
//!
//! Two imports start threads, both in the store of the caller:
//!
//! | import | type | the new thread calls |
//! |---|---|---|
//! | `wasi` `thread-spawn` | `(param i32) (result i32)` | `wasi_thread_start(id, argument)`, in an instance of its own |
//! | `dolmen` `thread-spawn` | `(param funcref anyref) (result i32)` | the function, of type `(param anyref)`, with the argument |
//!
//! Both return the thread's number, from 1 on, or -1 if there is none. The first is the convention of wasi-threads: the
//! module imports its memory, which the embedder makes and each instance gets. The second is for modules of the
//! garbage-collected world, which need no memory: the argument is an object that both threads then share, and so are
//! globals and tables, since there is one instance.
//!
//! A thread that traps, throws, panics in a host function or ends the program ends the whole program: its error is kept, and everything else in
//! the store is interrupted. So does a start function of a thread's instance, which the thread that starts it executes:
//! only a thread for which there is no room, or no function, is one that could not be started.

use super::call::Exit;
use crate::{
    AsContextMut, Caller, Error, ExternType, Func, FuncType, InterruptHandle, Linker, Memory, Module, Store, Val,
    ValType,
};
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

/// Where the imports are that start threads.
const IMPORTS: [(&str, &str); 2] = [("wasi", "thread-spawn"), ("dolmen", "thread-spawn")];

/// What a new thread of wasi-threads calls.
const THREAD_START: &str = "wasi_thread_start";

/// The largest number of a thread that wasi-threads allows.
const MAX_THREADS: u32 = (1 << 29) - 1;

/// The threads of a program. To be kept as long as the program runs: without it no more threads start.
pub struct ProgramThreads<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    /// How a thread makes its instance; set when all is defined.
    template: OnceLock<(Linker<T>, Module)>,
    interrupt: InterruptHandle,
    started: AtomicU32,
    failure: Mutex<Option<Error>>,
}

impl<T: Send + 'static> ProgramThreads<T> {
    /// Whether a module imports one of the functions that start threads.
    #[must_use]
    pub fn are_wanted(module: &Module) -> bool {
        module.imports().any(|import| IMPORTS.contains(&(import.module(), import.name())))
    }

    /// Defines what a program with threads imports: the functions that start them, and its shared memories, as large
    /// as it asks for. Everything else that it imports must be defined in `linker` already.
    ///
    /// # Errors
    ///
    /// If a name is taken, there is no room for a memory, or code in the store cannot be stopped.
    pub fn define(linker: &mut Linker<T>, store: &mut Store<T>, module: &Module) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            template: OnceLock::new(),
            interrupt: store.interrupt_handle()?,
            started: AtomicU32::new(0),
            failure: Mutex::new(None),
        });
        for import in module.imports() {
            if let ExternType::Memory(ty) = import.ty()
                && ty.is_shared()
                && linker.get(&mut *store, import.module(), import.name()).is_none()
            {
                let memory = Memory::new(&mut *store, ty)?;
                linker.define(&mut *store, import.module(), import.name(), memory)?;
            }
        }
        let ty = FuncType::new(linker.engine(), [ValType::I32], [ValType::I32]);
        let weak = Arc::downgrade(&shared);
        linker.func_new(IMPORTS[0].0, IMPORTS[0].1, ty, move |mut caller, args, results| {
            results[0] = number(start(&weak, |shared, id| shared.start_instance(&mut caller, id, &args[0]))?);
            Ok(())
        })?;
        let ty = FuncType::new(linker.engine(), [ValType::FUNCREF, ValType::ANYREF], [ValType::I32]);
        let weak = Arc::downgrade(&shared);
        linker.func_new(IMPORTS[1].0, IMPORTS[1].1, ty, move |mut caller, args, results| {
            let start_thread = |shared: &Arc<Shared<T>>, _| match &args[0] {
                Val::FuncRef(Some(func)) => Ok(shared.start(&mut caller, *func, &args[1..])),
                _ => Ok(None),
            };
            results[0] = number(start(&weak, start_thread)?);
            Ok(())
        })?;
        // Set once: this is the only place.
        let _ = shared.template.set((linker.clone(), module.clone()));
        Ok(Self { shared })
    }

    /// Why a thread has ended the program, if one has: to be looked at when the program's own call fails.
    #[must_use]
    pub fn take_failure(&self) -> Option<Error> {
        self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<T: Send + 'static> Shared<T> {
    /// Starts a thread in an instance of its own. What ends the instance's start function is the caller's error: an
    /// interruption that is meant for the caller, for one, or the end of the program.
    fn start_instance(
        self: &Arc<Self>,
        caller: &mut Caller<'_, T>,
        id: u32,
        argument: &Val,
    ) -> Result<Option<()>, Error> {
        let Some((linker, module)) = self.template.get() else { return Ok(None) };
        let instance = match linker.instantiate(caller.as_context_mut(), module) {
            Ok(instance) => instance,
            Err(Error::Link(_) | Error::Argument(_) | Error::Resource(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let func = instance.get_func(caller.as_context_mut(), THREAD_START);
        Ok(func.and_then(|func| self.start(caller, func, &[Val::I32(id.cast_signed()), argument.clone()])))
    }

    /// Starts a thread whose failure is the program's.
    fn start(self: &Arc<Self>, caller: &mut Caller<'_, T>, func: Func, args: &[Val]) -> Option<()> {
        if func.ty(caller.as_context_mut()).results().len() != 0 {
            return None;
        }
        let shared = Arc::clone(self);
        let on_failure = Box::new(move |error: &Error| shared.fail(error));
        caller.spawn_watched(func, args, on_failure).ok().map(drop)
    }

    /// Keeps the first failure and ends the program.
    fn fail(&self, error: &Error) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.is_none() {
            *failure = Some(copy(error));
        }
        drop(failure);
        self.interrupt.interrupt();
    }
}

/// Does what starts a thread with the next number, which it returns.
fn start<T>(
    shared: &Weak<Shared<T>>,
    work: impl FnOnce(&Arc<Shared<T>>, u32) -> Result<Option<()>, Error>,
) -> Result<Option<u32>, Error> {
    let Some(shared) = shared.upgrade() else { return Ok(None) };
    // Relaxed: only uniqueness matters.
    let id = shared.started.fetch_add(1, Ordering::Relaxed) + 1;
    if id > MAX_THREADS {
        shared.started.store(MAX_THREADS, Ordering::Relaxed);
        return Ok(None);
    }
    Ok(work(&shared, id)?.map(|()| id))
}

fn number(id: Option<u32>) -> Val {
    Val::I32(id.map_or(-1, u32::cast_signed))
}

/// The error as the program's own call would have failed with it.
fn copy(error: &Error) -> Error {
    match error {
        Error::Trap(trap) => Error::Trap(trap.clone()),
        Error::Exception(exception) => Error::Exception(exception.clone()),
        other => match other.downcast_ref::<Exit>() {
            Some(&exit) => Error::host(exit),
            None => Error::host(other.to_string()),
        },
    }
}

impl<T> fmt::Debug for ProgramThreads<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgramThreads").finish_non_exhaustive()
    }
}
