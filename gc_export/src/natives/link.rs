//! From registered C functions to what a module imports.
//!
//! Functions that nobody has registered are not missed before they are called: then they trap. What else a module
//! imports must be there.

use super::invoke::Arguments;
use super::registry::{self, Native};
use super::signature::{Param, Signature};
use crate::entered;
use crate::exec_env::ExecEnv;
use crate::failure::{Failure, FailureKind, NativeException};
use crate::instance::{HostState, InstanceRecord, StoreShared};
use crate::values::{from_bits, to_bits};
use runtime::wasi;
use runtime::{Caller, Error, ExternType, FuncType, Linker, Module, Trap, TrapCode, Val, ValType};
use std::cell::RefCell;
use std::ffi::c_void;
use std::sync::Arc;

/// Where the functions of WASI preview 1 are.
const WASI_MODULE: &str = "wasi_snapshot_preview1";

thread_local! {
    /// Environments for C functions that a thread of a program's own calls, with their stores.
    static OWN_ENVS: RefCell<Vec<Arc<ExecEnv>>> = const { RefCell::new(Vec::new()) };
}

/// A linker with all that is known of what a module imports.
pub(crate) fn linker(module: &Module, shared: &Arc<StoreShared>) -> Result<Linker<HostState>, Failure> {
    let mut linker = Linker::new(module.engine());
    linker.allow_shadowing(true);
    if is_wasi(module) {
        wasi::add_to_linker(&mut linker, |state: &mut HostState| &mut state.wasi)?;
    }
    for import in module.imports() {
        let ExternType::Func(ty) = import.ty() else { continue };
        let (module, name) = (import.module(), import.name());
        match registry::find(module, name) {
            Some(native) => define(&mut linker, (module, name), ty, native, shared)?,
            // Of what WASI does not have, the linker tells.
            None if module == WASI_MODULE || wasi_threads(module, name) => {}
            None => define_missing(&mut linker, (module, name), ty)?,
        }
    }
    Ok(linker)
}

/// Whether an imported function would be found now.
pub(crate) fn is_known(module: &str, name: &str) -> bool {
    registry::find(module, name).is_some() || module == WASI_MODULE || wasi_threads(module, name)
}

/// Whether a module's imports are those of WASI.
pub(crate) fn is_wasi(module: &Module) -> bool {
    module.imports().any(|import| import.module() == WASI_MODULE)
}

/// Whether it is a function that starts threads, which is defined otherwise.
fn wasi_threads(module: &str, name: &str) -> bool {
    name == "thread-spawn" && (module == "wasi" || module == "dolmen")
}

fn define(
    linker: &mut Linker<HostState>,
    (module, name): (&str, &str),
    ty: FuncType,
    native: Native,
    shared: &Arc<StoreShared>,
) -> Result<(), Failure> {
    let signature = native.signature.clone().unwrap_or_else(|| Signature::of(&ty));
    let has_vector = ty.params().chain(ty.results()).any(|ty| ty == ValType::V128);
    if !signature.fits(&ty) || (has_vector && !native.is_raw) {
        let what = if has_vector { "has vectors, which only raw functions take" } else { "does not fit" };
        return Err(Failure::new(
            FailureKind::Link,
            format!("the signature of native function {module:?} {name:?} {what}: the import is {ty}"),
        ));
    }
    let function = Function { native, signature, ty: ty.clone(), shared: Arc::clone(shared) };
    linker.func_new(module, name, ty, move |caller, args, results| function.run(caller, args, results))?;
    Ok(())
}

fn define_missing(linker: &mut Linker<HostState>, (module, name): (&str, &str), ty: FuncType) -> Result<(), Failure> {
    let message = format!("{}: {module:?} {name:?}", TrapCode::MissingImport.message());
    linker.func_new(module, name, ty, move |_, _, _| {
        Err(Error::Trap(Trap { message: message.clone(), ..Trap::new(TrapCode::MissingImport) }))
    })?;
    Ok(())
}

/// A C function in a linker.
struct Function {
    native: Native,
    signature: Signature,
    ty: FuncType,
    shared: Arc<StoreShared>,
}

impl Function {
    fn run(&self, mut caller: Caller<'_, HostState>, args: &[Val], results: &mut [Val]) -> Result<(), Error> {
        if let Some(instance) = caller.instance() {
            let _ = self.shared.instance.set(instance);
        }
        let env = self.caller();
        // SAFETY: who calls keeps its environment, and an environment of the thread's own stays until that ends.
        let env = unsafe { &*env };
        let mark = env.handles.mark();
        let outcome = self.call(env, &mut caller, args, results);
        env.handles.release(mark);
        outcome
    }

    /// The environment that calls.
    fn caller(&self) -> *const ExecEnv {
        let env = entered::caller_of(&self.shared);
        if !env.is_null() {
            return env;
        }
        OWN_ENVS.with_borrow_mut(|envs| {
            if let Some(env) = envs.iter().find(|env| Arc::ptr_eq(&env.record().shared, &self.shared)) {
                // What an earlier function has left has ended that call.
                env.record().clear();
                return Arc::as_ptr(env);
            }
            let record = InstanceRecord::without_seat(Arc::clone(&self.shared));
            envs.push(Arc::new(ExecEnv::owning(record)));
            Arc::as_ptr(envs.last().expect("one was pushed"))
        })
    }

    fn call(
        &self,
        env: &ExecEnv,
        caller: &mut Caller<'_, HostState>,
        args: &[Val],
        results: &mut [Val],
    ) -> Result<(), Error> {
        let returned =
            if self.native.is_raw { self.call_raw(env, caller, args)? } else { self.call_typed(env, caller, args)? };
        if let (Some(result), Some(value)) = (results.first_mut(), returned) {
            *result = value;
        }
        Ok(())
    }

    /// Calls a function that takes an array with a word for each argument (two for a vector), and leaves its result
    /// there.
    fn call_raw(&self, env: &ExecEnv, caller: &mut Caller<'_, HostState>, args: &[Val]) -> Result<Option<Val>, Error> {
        let mut words = Vec::with_capacity(args.len() + 2);
        for arg in args {
            let bits = to_bits(env, arg.clone());
            words.push(bits as u64);
            if matches!(arg, Val::V128(_)) {
                words.push((bits >> u64::BITS) as u64);
            }
        }
        // Room for the result.
        words.resize(words.len().max(2), 0);
        let mut arguments = Arguments::default();
        arguments.int(std::ptr::from_ref(env).expose_provenance() as u64);
        arguments.int(words.as_mut_ptr().expose_provenance() as u64);
        // SAFETY: raw functions take the environment and the array, by the header.
        unsafe { self.enter(env, caller, &arguments, |_| u128::from(words[0]) | u128::from(words[1]) << u64::BITS) }
    }

    /// Calls a function with a parameter for each argument.
    fn call_typed(
        &self,
        env: &ExecEnv,
        caller: &mut Caller<'_, HostState>,
        args: &[Val],
    ) -> Result<Option<Val>, Error> {
        let mut arguments = Arguments::default();
        arguments.int(std::ptr::from_ref(env).expose_provenance() as u64);
        let memory = GuestMemory::of(caller);
        for (index, (arg, param)) in args.iter().zip(&self.signature.params).enumerate() {
            match (param, arg) {
                (Param::Pointer { with_length }, _) => {
                    let count = if *with_length { address(&args[index + 1]) } else { 1 };
                    arguments.int(memory.pointer(address(arg), count)?);
                }
                (Param::String, _) => arguments.int(memory.string(address(arg))?),
                (_, Val::F32(bits)) => arguments.float((*bits).into()),
                (_, Val::F64(bits)) => arguments.float(*bits),
                _ => arguments.int(to_bits(env, arg.clone()) as u64),
            }
        }
        let is_float = self.ty.results().next().is_some_and(|ty| matches!(ty, ValType::F32 | ValType::F64));
        let pick = |(int, float): (u64, u64)| u128::from(if is_float { float } else { int });
        // SAFETY: the function's signature fits the import's type, whose arguments these are; that it is the
        // function's, C has said.
        unsafe { self.enter(env, caller, &arguments, pick) }
    }

    /// Calls the function; what it returns is picked from its registers, or from where it has left it.
    ///
    /// # Safety
    ///
    /// The arguments must be those that the function takes.
    unsafe fn enter(
        &self,
        env: &ExecEnv,
        caller: &mut Caller<'_, HostState>,
        arguments: &Arguments,
        pick: impl FnOnce((u64, u64)) -> u128,
    ) -> Result<Option<Val>, Error> {
        let function: *const c_void = self.native.function;
        let outcome = entered::native(&self.shared, env, caller, || {
            // SAFETY: as the caller promises; C functions do not unwind, by the header.
            let registers = env.with_attachment(self.native.attachment, || unsafe { arguments.call(function) });
            if env.record().message().is_some() {
                return Ok(None);
            }
            // SAFETY: the function has returned a reference of its scope, if any, by the header.
            self.ty.results().next().map(|ty| unsafe { from_bits(pick(registers), &ty) }).transpose()
        });
        match env.record().message() {
            Some(message) => Err(Error::host(NativeException(message))),
            None => outcome.map_err(|failure| Error::host(NativeException(failure.message))),
        }
    }
}

/// The number that an argument is, for addresses and lengths.
fn address(arg: &Val) -> u64 {
    match arg {
        Val::I32(value) => value.cast_unsigned().into(),
        Val::I64(value) => value.cast_unsigned(),
        // The signature fits the type.
        _ => 0,
    }
}

/// The memory of the instance that calls.
struct GuestMemory {
    base: *mut u8,
    len: u64,
}

impl GuestMemory {
    /// Without a memory, every address is outside of it.
    fn of(caller: &mut Caller<'_, HostState>) -> Self {
        match caller.instance().and_then(|instance| instance.default_memory(&*caller)) {
            Some(memory) => Self { base: memory.data_ptr(&*caller), len: memory.data_size(&*caller) },
            None => Self { base: std::ptr::null_mut(), len: 0 },
        }
    }

    /// The address of `count` bytes.
    fn pointer(&self, offset: u64, count: u64) -> Result<u64, Error> {
        match offset.checked_add(count) {
            Some(end) if end <= self.len => Ok((self.base.expose_provenance() as u64).wrapping_add(offset)),
            _ => Err(Error::Trap(Trap::new(TrapCode::MemoryOutOfBounds))),
        }
    }

    /// The address of bytes with a zero at their end.
    fn string(&self, offset: u64) -> Result<u64, Error> {
        let start = self.pointer(offset, 1)?;
        // SAFETY: the bytes up to the memory's end are accessible; a volatile read, since others may write them.
        let is_zero = |at: u64| unsafe { self.base.add(at as usize).read_volatile() } == 0;
        if (offset..self.len).any(is_zero) {
            Ok(start)
        } else {
            Err(Error::Trap(Trap::new(TrapCode::MemoryOutOfBounds)))
        }
    }
}
