//! The engine: what all stores and modules of a program share.
//!
//! Types must be the same number everywhere for a cast to be one compare, so their registry belongs to the
//! engine, and with it everything that mentions types: modules, stores, function types.

use crate::error::EngineError;
use crate::options::Config;
use crate::types::registry::TypeRegistry;
use dolmen_abi::collector::Collector;
use dolmen_abi::reference::MAX_HEAP_BYTES;
use std::fmt;
use std::sync::Arc;

/// Smallest native stack that leaves room for the runtime's own functions, in bytes.
const MIN_STACK_BYTES: usize = 512 << 10;

/// Largest native stack, in bytes.
const MAX_STACK_BYTES: usize = 1 << 34;

/// Most threads that mark a heap; each has a queue in every store.
const MAX_GC_THREADS: u32 = 1024;

/// Options and types that stores and modules share. Cheap to clone: all clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    types: TypeRegistry,
}

impl Engine {
    /// Makes an engine.
    ///
    /// # Errors
    ///
    /// If an option is out of range, or the system refuses the address space for types.
    pub fn new(config: &Config) -> Result<Self, EngineError> {
        check(config)?;
        let bytes = dolmen_abi::type_desc::TYPE_REGION_BYTES;
        let types = TypeRegistry::new().map_err(|source| EngineError::Reserve { bytes, source })?;
        Ok(Self { inner: Arc::new(Inner { config: config.clone(), types }) })
    }

    /// The options that the engine was made with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The collector that the engine's stores use.
    #[must_use]
    pub fn collector(&self) -> Collector {
        self.inner.config.collector
    }

    /// Whether both are clones of one engine.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    pub(crate) fn types(&self) -> &TypeRegistry {
        &self.inner.types
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

fn check(config: &Config) -> Result<(), EngineError> {
    let error = |option, reason| Err(EngineError::Option { option, reason });
    if !(MIN_STACK_BYTES..=MAX_STACK_BYTES).contains(&config.max_stack_bytes) {
        return error("max_stack_bytes", "must be from 512 KiB to 16 GiB");
    }
    if config.heap_max_bytes == 0 || config.heap_max_bytes > MAX_HEAP_BYTES {
        return error("heap_max_bytes", "must be from 1 byte to 16 GiB");
    }
    if config.heap_initial_bytes.is_some_and(|initial| initial > config.heap_max_bytes) {
        return error("heap_initial_bytes", "must not exceed heap_max_bytes");
    }
    if config.gc_threads.is_some_and(|threads| threads.get() > MAX_GC_THREADS) {
        return error("gc_threads", "must be from 1 to 1024");
    }
    Ok(())
}
