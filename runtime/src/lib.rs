//! Runs WebAssembly GC modules that `dolmenc` has compiled ahead of time.
//!
//! This is the embedding API of Dolmen. It loads artifacts, links and instantiates them, calls functions in
//! both directions, and owns the garbage-collected heap in which modules and host share objects. It contains
//! no compiler.
//!
//! ```no_run
//! use dolmen::{Config, Engine, Error, Linker, Module, Store, Val};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::new(&Config::new())?;
//! let module = Module::deserialize_file(&engine, "fib.dolmen")?;
//! let mut store = Store::new(&engine, ())?;
//! let instance = Linker::new(&engine).instantiate(&mut store, &module)?;
//! let fib = instance.get_func(&mut store, "fib").ok_or("no function fib")?;
//! let mut results = [Val::I32(0)];
//! fib.call(&mut store, &[Val::I32(30)], &mut results)?;
//! println!("{:?}", results[0].i32());
//! # Ok(())
//! # }
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | `engine`, `options` | what is shared by all stores, and the knobs |
//! | `types` | canonical types, subtyping |
//! | `artifact`, `code_memory`, `module` | from a file to code that can be called |
//! | `store`, `instance`, `externals`, `linker` | what running code consists of |
//! | `gc_report` | records of the collector, as a page |
//! | `value` | values and rooted references |
//! | `call` | functions in both directions |
//! | `vm` | memory that compiled code shares with the runtime |
//! | `thread`, `trap`, `unwind`, `builtins`, `roots` | running compiled code |
//! | [`wasi`] | WASI preview 1 for command-line programs |
//! | `os` | pages |

#![deny(unsafe_code)]

mod artifact;
#[allow(unsafe_code, reason = "entry points of compiled code")]
mod builtins;
#[allow(unsafe_code, reason = "calls compiled code and host functions by address")]
mod call;
#[allow(unsafe_code, reason = "maps code")]
mod code_memory;
#[cfg(feature = "compiler")]
mod compiler;
mod cpu;
mod engine;
mod error;
mod externals;
mod gc_report;
mod instance;
mod linker;
mod module;
mod options;
#[allow(unsafe_code, reason = "system calls for memory")]
mod os;
mod roots;
mod store;
#[cfg(test)]
mod tests;
#[allow(unsafe_code, reason = "switches stacks and handles signals")]
mod thread;
#[allow(unsafe_code, reason = "raises out of compiled code")]
mod trap;
mod types;
#[allow(unsafe_code, reason = "walks native stacks")]
mod unwind;
mod value;
#[allow(unsafe_code, reason = "memory shared with compiled code")]
mod vm;
pub mod wasi;

pub use artifact::LoadError;
#[cfg(feature = "compiler")]
pub use compiler::BuildError;
pub use dolmen_abi::collector::Collector;
pub use dolmen_abi::profile::{CallProfile, Profile, ProfileError};
pub use dolmen_abi::trap::TrapCode;
pub use dolmen_gc_heap::RootKind;
pub use engine::Engine;
pub use error::{ArgumentError, EngineError, Error, Exception, Frame, HostError, LinkError, Place, StoreError, Trap};
pub use externals::{Extern, Func, Global, Memory, SharedMemory, Table, Tag};
pub use gc_report::{GcCollection, GcReport};
pub use instance::Instance;
pub use linker::Linker;
pub use module::Module;
pub use options::{Config, DEFAULT_HEAP_MAX_BYTES, DEFAULT_MAX_STACK_BYTES};
pub use store::{
    AsContext, AsContextMut, Caller, GcStats, HeapSnapshot, Store, StoreContext, StoreContextMut, TypeCensus,
};
pub use thread::{
    InterruptHandle, JoinHandle, Scope, Seat, StoppedWorld, Suspended, ThreadControl, ThreadId, ThreadState,
};
pub use types::{
    ArrayType, ExportType, ExternType, FieldType, FuncType, GlobalType, HeapType, ImportType, MemoryType, RefType,
    StorageType, StructType, TableType, TagType, TypeError, ValType,
};
pub use value::{AnyRef, ExnRef, ExternRef, V128, Val, WeakRef};
pub use vm::waiters::WaitResult;
