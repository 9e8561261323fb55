//! What compiled code leaves to the runtime.
//!
//! Compiled code calls a builtin through the table of [`dolmen_abi::builtin`]. Each call passes three layers:
//!
//! | layer | what it does |
//! |---|---|
//! | [`gates`], assembly | records the call, checks the stack, raises what the builtin returned |
//! | [`shims`], C convention | takes the store, catches panics, turns a `Result` into an [`Outcome`] |
//! | one file per family, Rust | the work: takes the store and plain numbers, returns a `Result` |
//!
//! `trap` and `throw` are gates alone: there is nothing to do but to raise.
//!
//! Invariants: indices and type words come from compiled code, which validation has checked; a builtin panics on
//! wrong ones rather than to go on. References among the arguments are of the types that the signature of the
//! instruction says, and are rooted by the caller or not used after an allocation.

mod array;
mod gc;
mod host;
mod instance;
mod memory;
mod profile;
mod table;
#[cfg(test)]
mod tests;
mod wait;

use crate::error::{Error, StoreError};
use crate::store::StoreInner;
use crate::thread::Thread;
use crate::thread::entry::{Outcome, reason};
use crate::thread::vectors;
use crate::trap::Raised;
use dolmen_abi::builtin::Builtin;
use dolmen_abi::context::ThreadContext;
use dolmen_abi::reference::NULL_REF;
use dolmen_abi::trap::TrapCode;
use dolmen_gc_heap::AllocError;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

/// Why a builtin does not return to compiled code.
#[derive(Debug)]
pub(crate) enum Raise {
    /// A trap.
    Trap(TrapCode),
    /// An exception, by its reference; not rooted.
    Exception(u32),
    /// An error that ends the activation.
    Error(Box<Error>),
    /// A panic that goes on where the activation was entered.
    Panic(Box<dyn Any + Send>),
}

/// What a builtin returns, or why it does not.
type Result<T> = std::result::Result<T, Raise>;

/// A result of a builtin in a register.
trait Word {
    const IS_REFERENCE: bool = false;

    fn word(self) -> u64;
}

/// A result that is a reference word.
#[derive(Clone, Copy, Debug)]
struct Reference(u32);

impl Word for Reference {
    const IS_REFERENCE: bool = true;

    fn word(self) -> u64 {
        self.0.into()
    }
}

impl Word for () {
    fn word(self) -> u64 {
        0
    }
}

impl Word for u32 {
    fn word(self) -> u64 {
        self.into()
    }
}

impl Word for u64 {
    fn word(self) -> u64 {
        self
    }
}

impl From<AllocError> for Raise {
    fn from(error: AllocError) -> Self {
        match error {
            AllocError::TooLarge { .. } => Self::Trap(TrapCode::AllocationTooLarge),
            AllocError::OutOfMemory { .. } | AllocError::Reserve { .. } => Self::Trap(TrapCode::OutOfMemory),
            // Bugs, of this library or of the compiler: no trap of the program's.
            error @ (AllocError::Corrupt(_) | AllocError::NoSuchType { .. }) => {
                Self::Error(Box::new(StoreError::Heap(error).into()))
            }
        }
    }
}

/// Address of the table of builtins for [`ThreadContext::builtins`]. Its gates know then which registers there are.
pub(crate) fn table_address() -> u64 {
    vectors::detect();
    gates::TABLE.as_ptr() as u64
}

/// Runs a builtin for the thread of this context, which uses the store meanwhile. `arguments` may be references,
/// and the result is one if the type says so: they are rooted while the thread waits.
///
/// # Safety
///
/// To be called by a gate: the context must be that of the running thread, in a [`Thread::call`].
unsafe fn run<T: Word>(
    context: *mut ThreadContext,
    arguments: &[u32],
    builtin: impl FnOnce(*mut StoreInner) -> Result<T>,
) -> Outcome {
    let thread = thread_of(context);
    // SAFETY: a context is the start of its thread's record, which has the store that `Thread::call` was given.
    let store = unsafe { Thread::take_store(thread, arguments) };
    // SAFETY: as the caller promises.
    let outcome = unsafe { run_storeless(context, || builtin(store)) };
    let result = if T::IS_REFERENCE { outcome.value as u32 } else { NULL_REF };
    // SAFETY: as above; the builtin has ended.
    unsafe { Thread::release_store(thread, store, &[result]) };
    outcome
}

/// Runs a builtin that does not use the store.
///
/// # Safety
///
/// As for [`run`].
unsafe fn run_storeless<T: Word>(context: *mut ThreadContext, builtin: impl FnOnce() -> Result<T>) -> Outcome {
    // A panic leaves nothing half-done in sight: the activation ends, and the panic goes on behind it.
    let result = catch_unwind(AssertUnwindSafe(builtin));
    match result.unwrap_or_else(|payload| Err(Raise::Panic(payload))) {
        Ok(value) => Outcome { value: value.word(), reason: reason::NONE },
        // SAFETY: a context is the start of its thread's record; the builtin has ended, so nobody else uses it.
        Err(raise) => unsafe { raise.record(thread_of(context).as_mut()) },
    }
}

/// The thread of a context.
fn thread_of(context: *mut ThreadContext) -> NonNull<Thread> {
    NonNull::new(context.cast()).expect("a gate passes a context")
}

impl Raise {
    /// Notes what the thread needs to know until the activation has ended.
    fn record(self, thread: &mut Thread) -> Outcome {
        let reason = match self {
            Self::Trap(code) => code as u32,
            Self::Exception(word) => {
                thread.context_mut().pending_exception = word;
                reason::EXCEPTION
            }
            Self::Error(error) => {
                thread.set_raised(Raised::Error(*error));
                reason::RECORDED
            }
            Self::Panic(payload) => {
                thread.set_raised(Raised::Panic(payload));
                reason::RECORDED
            }
        };
        Outcome { value: 0, reason }
    }
}

/// The functions that gates call.
mod shims {
    use super::{
        Outcome, StoreInner, ThreadContext, array, gc, host, instance, memory, profile, reason, run, run_storeless,
        table, thread_of, wait,
    };
    use dolmen_abi::context::ValueSlot;
    use dolmen_abi::reference::NULL_REF;

    macro_rules! rust_type {
        (Ptr) => {
            u64
        };
        (I32) => {
            u32
        };
        (I64) => {
            u64
        };
        (Ref) => {
            u32
        };
    }

    /// The word to root of an argument.
    macro_rules! reference_word {
        (Ref, $arg:ident) => {
            $arg
        };
        ($other:ident, $arg:ident) => {
            NULL_REF
        };
    }

    /// A builtin that uses the store.
    macro_rules! shim {
        ($family:ident $name:ident($($arg:ident: $param:ident),*)) => {
            pub(super) unsafe extern "C" fn $name(
                context: *mut ThreadContext,
                $($arg: rust_type!($param)),*
            ) -> Outcome {
                let arguments = [$(reference_word!($param, $arg)),*];
                let builtin = |store: *mut StoreInner| {
                    // SAFETY: the store of a running thread is live, and while a builtin runs, nobody else uses it:
                    // whoever entered compiled code waits for it to return, and other threads for the store.
                    $family::$name(unsafe { &mut *store }, $($arg),*)
                };
                // SAFETY: a gate passes the context of the running thread.
                unsafe { run(context, &arguments, builtin) }
            }
        };
    }

    /// A builtin that needs nothing of the store.
    macro_rules! storeless {
        ($family:ident $name:ident($($arg:ident: $param:ident),*)) => {
            pub(super) unsafe extern "C" fn $name(
                context: *mut ThreadContext,
                $($arg: rust_type!($param)),*
            ) -> Outcome {
                // SAFETY: a gate passes the context of the running thread.
                unsafe { run_storeless(context, || $family::$name($($arg),*)) }
            }
        };
    }

    /// A builtin that needs nothing but the thread.
    macro_rules! threaded {
        ($family:ident $name:ident($($arg:ident: $param:ident),*)) => {
            pub(super) unsafe extern "C" fn $name(
                context: *mut ThreadContext,
                $($arg: rust_type!($param)),*
            ) -> Outcome {
                // SAFETY: a gate passes the context of the running thread.
                unsafe { run_storeless(context, || $family::$name(thread_of(context), $($arg),*)) }
            }
        };
    }

    /// A builtin that allocates; it needs no store if the thread has memory in stock.
    macro_rules! alloc {
        ($name:ident($($arg:ident),*)) => {
            pub(super) unsafe extern "C" fn $name(context: *mut ThreadContext, $($arg: u32),*) -> Outcome {
                // SAFETY: a gate passes the context of the running thread, which nobody else uses while it runs.
                let thread = unsafe { thread_of(context).as_mut() };
                // SAFETY: the store of a running thread lives, and with it the heap.
                let stocked = thread.alloc_from_stock(|stock, buffer| unsafe { stock.$name(buffer, $($arg),*) });
                if let Some(object) = stocked {
                    return Outcome { value: object.word().into(), reason: reason::NONE };
                }
                let builtin = |store: *mut StoreInner| {
                    // SAFETY: as in `shim`.
                    gc::$name(unsafe { &mut *store }, $($arg),*)
                };
                // SAFETY: as above.
                unsafe { run(context, &[], builtin) }
            }
        };
    }

    alloc!(alloc_struct(type_word));
    alloc!(alloc_array(type_word, length));
    threaded!(gc safepoint_poll());
    shim!(memory memory_grow(instance: Ptr, memory: I32, delta: I64));
    threaded!(memory memory_fill(memory: Ptr, dst: I64, value: I32, len: I64));
    threaded!(memory memory_copy(dst_memory: Ptr, src_memory: Ptr, dst: I64, src: I64, len: I64));
    threaded!(memory memory_init(memory: Ptr, segment: Ptr, dst: I64, src: I32, len: I32));
    storeless!(memory data_drop(segment: Ptr));
    storeless!(wait memory_atomic_notify(address: Ptr, count: I32));
    threaded!(wait memory_atomic_wait32(address: Ptr, expected: I32, timeout: I64));
    threaded!(wait memory_atomic_wait64(address: Ptr, expected: I64, timeout: I64));
    shim!(table table_grow(instance: Ptr, table: I32, init: Ref, delta: I64));
    shim!(table table_fill(instance: Ptr, table: I32, dst: I64, value: Ref, len: I64));
    shim!(table table_copy(instance: Ptr, dst_table: I32, src_table: I32, dst: I64, src: I64, len: I64));
    shim!(table table_init(instance: Ptr, table: I32, segment: I32, dst: I64, src: I32, len: I32));
    shim!(table elem_drop(instance: Ptr, segment: I32));
    shim!(table elem_set(instance: Ptr, segment: I32, index: I32, value: Ref));
    shim!(instance fill_prototypes(instance: Ptr));
    shim!(array array_new_data(instance: Ptr, type_word: I32, segment: I32, offset: I32, length: I32));
    shim!(array array_new_elem(instance: Ptr, type_word: I32, segment: I32, offset: I32, length: I32));
    shim!(array array_init_data(instance: Ptr, array: Ref, segment: I32, dst: I32, src: I32, len: I32));
    storeless!(profile count_call(counts: Ptr, key: I64));
    shim!(array array_init_elem(instance: Ptr, array: Ref, segment: I32, dst: I32, src: I32, len: I32));

    /// The host function may enter compiled code and with it the store: no reference to the store is alive while
    /// it runs but its own.
    pub(super) unsafe extern "C" fn host_call(
        context: *mut ThreadContext,
        func: u64,
        slots: *mut ValueSlot,
    ) -> Outcome {
        // SAFETY: the trampoline passes the record that the function's object names, and slots for all its
        // arguments and results; while a builtin runs, nobody else uses the store.
        // Also, a gate passes the context of the running thread.
        unsafe { host::run_host_call(context, func, slots) }
    }
}

/// The functions that compiled code calls.
mod gates {
    use super::Builtin;
    use crate::thread::entry::{throw_gate as throw, trap_gate as trap};
    use dolmen_abi::builtin::Convention;

    /// Gates in the C convention.
    mod plain {
        use crate::thread::entry::gate;

        macro_rules! gate_for {
            (trap, $($result:ident)?) => {};
            (throw, $($result:ident)?) => {};
            ($name:ident, $($result:ident)?) => { gate!($name => crate::builtins::shims::$name); };
        }
        macro_rules! define_gates {
            ($($variant:ident $name:ident($($arg:ident: $param:ident),*) $(-> $result:ident)?;)*) => {
                $(gate_for!($name, $($result)?);)*
                pub(super) use super::{throw, trap};
            };
        }
        dolmen_abi::for_each_builtin!(define_gates);
    }

    /// Gates that keep registers.
    mod preserving {
        use crate::thread::entry::preserving_gate;

        macro_rules! gate_for {
            (trap, $($result:ident)?) => {};
            (throw, $($result:ident)?) => {};
            ($name:ident,) => { preserving_gate!($name => crate::builtins::shims::$name, keeping "rax"); };
            ($name:ident, $result:ident) => {
                preserving_gate!($name => crate::builtins::shims::$name, keeping "r11");
            };
        }
        macro_rules! define_gates {
            ($($variant:ident $name:ident($($arg:ident: $param:ident),*) $(-> $result:ident)?;)*) => {
                $(gate_for!($name, $($result)?);)*
                pub(super) use super::{throw, trap};
            };
        }
        dolmen_abi::for_each_builtin!(define_gates);
    }

    macro_rules! define_table {
        ($($variant:ident $name:ident($($arg:ident: $param:ident),*) $(-> $result:ident)?;)*) => {
            /// All gates in the order of [`Builtin`].
            pub(super) static TABLE: [unsafe extern "C" fn(); Builtin::ALL.len()] = [$(
                match Builtin::$variant.convention() {
                    Convention::C => plain::$name,
                    Convention::PreserveAll => preserving::$name,
                },
            )*];
        };
    }
    dolmen_abi::for_each_builtin!(define_table);
}
