//! The store: everything that running code owns.
//!
//! Instances, memories, tables, globals, the heap and the thread that runs compiled code live and die with
//! their [`Store`]. Handles such as [`Func`](crate::Func) or [`Memory`](crate::Memory) are numbers: to use one,
//! its store must be at hand, borrowed, through [`AsContext`] or [`AsContextMut`].

mod context;
mod host_object;
mod inner;
mod snapshot;

pub use context::{AsContext, AsContextMut, Caller, StoreContext, StoreContextMut};
pub(crate) use host_object::HostObjects;
pub(crate) use inner::{StoreData, StoreId, StoreInner, StoreRuntime, TrampolineCode};
pub use snapshot::{HeapSnapshot, TypeCensus};
pub(crate) use snapshot::{by_name, census};

use crate::engine::Engine;
use crate::error::{Error, StoreError};
use crate::gc_report::GcReport;
use crate::instance::InstanceData;
use crate::thread::{self, InterruptHandle, ThreadControl};
use dolmen_abi::profile::Profile;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// Instances and what they consist of, with the embedder's own data of type `T`.
///
/// A store that is no longer needed is dropped as a whole; nothing in it is freed before but objects in its
/// garbage-collected heap.
///
/// Host functions are made for exactly this `T`. So a store whose data may have a shorter lifetime is another type:
///
/// ```compile_fail
/// fn shorten<'a>(store: dolmen::Store<&'static u64>) -> dolmen::Store<&'a u64> {
///     store
/// }
/// ```
pub struct Store<T> {
    data: Box<StoreData<T>>,
}

/// What the collector of a store did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GcStats {
    /// All collections.
    pub collections: u64,
    /// Collections of young objects only.
    pub minor: u64,
    /// Collections of the whole heap.
    pub major: u64,
    /// Sum of all pauses.
    pub total: Duration,
    /// The longest pause.
    pub max_pause: Duration,
    /// Bytes of all objects allocated so far.
    pub allocated_bytes: u64,
    /// Bytes of the objects that survived the last collection.
    pub live_bytes: u64,
    /// Bytes of the heap that hold objects or are kept for them.
    pub heap_bytes: u64,
    /// Bytes of all objects that collections of the whole heap have moved, to make it compact.
    pub moved_bytes: u64,
}

impl<T> Store<T> {
    /// Makes an empty store.
    ///
    /// # Errors
    ///
    /// If the system refuses memory or address space for its heap or its stacks.
    pub fn new(engine: &Engine, data: T) -> Result<Self, StoreError> {
        Ok(Self { data: Box::new(StoreData { inner: StoreInner::new(engine)?, data, invariant: PhantomData }) })
    }

    /// The engine that the store belongs to.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.data.inner.engine
    }

    /// The embedder's data.
    #[must_use]
    pub fn data(&self) -> &T {
        &self.data.data
    }

    /// The embedder's data.
    pub fn data_mut(&mut self) -> &mut T {
        &mut self.data.data
    }

    /// Drops everything but the embedder's data.
    #[must_use]
    pub fn into_data(mut self) -> T {
        // The threads use the data.
        thread::unlocked::end_all(&mut self.data.inner);
        self.data.data
    }

    /// A handle that ends the code that this store runs, from another thread.
    ///
    /// # Errors
    ///
    /// If some of the code was compiled without polls. From now on no such code can be loaded.
    pub fn interrupt_handle(&mut self) -> Result<InterruptHandle, StoreError> {
        self.data.inner.threads.require_polls()?;
        Ok(InterruptHandle::new(self.data.inner.threads.world()))
    }

    /// Collects the whole heap.
    ///
    /// # Errors
    ///
    /// If the heap is verified and found corrupt, which is a bug of this library.
    pub fn gc(&mut self) -> Result<(), Error> {
        self.data.inner.gc()
    }

    /// Replaces the soft limit of this store's heap ([`Config::heap_soft_max_bytes`](crate::Config::heap_soft_max_bytes)),
    /// for instance when the process has little memory left. A heap that is above the new limit is collected as a whole
    /// when it is due next, at once with [`Store::gc`].
    pub fn set_heap_soft_max_bytes(&mut self, bytes: u64) {
        self.data.inner.heap.set_soft_max_bytes(bytes);
    }

    /// Every reachable object of the heap with its references. Takes memory in proportion.
    ///
    /// # Errors
    ///
    /// If the heap is found corrupt, which is a bug of this library.
    pub fn heap_snapshot(&mut self) -> Result<HeapSnapshot, Error> {
        HeapSnapshot::take(&mut self.data.inner)
    }

    /// What the collector did so far, collection by collection, and what lives now. `None` unless the engine was told
    /// to keep records ([`Config::gc_record`](crate::Config::gc_record)).
    ///
    /// # Errors
    ///
    /// If the heap is found corrupt, which is a bug of this library.
    pub fn gc_report(&mut self) -> Result<Option<GcReport>, Error> {
        GcReport::of(&mut self.data.inner)
    }

    /// What the collector did so far.
    #[must_use]
    pub fn gc_stats(&self) -> GcStats {
        self.data.inner.gc_stats()
    }

    /// What the code of each module has counted that was compiled to count, in all its instances. The counts of
    /// threads that run meanwhile may be missing.
    #[must_use]
    pub fn profiles(&self) -> Vec<Profile> {
        let mut profiles: Vec<Profile> = Vec::new();
        for found in self.data.inner.instances.iter().filter_map(InstanceData::profile) {
            // Of several instances of one module the counts add up; they have the same places.
            if !profiles.iter_mut().any(|profile| profile.merge(&found).is_ok()) {
                profiles.push(found);
            }
        }
        profiles
    }

    /// Stops and resumes the threads of this store, from other OS threads.
    #[must_use]
    pub fn thread_control(&self) -> ThreadControl {
        ThreadControl::new(self.data.inner.threads.world())
    }

    pub(crate) fn into_boxed_data(self) -> Box<StoreData<T>> {
        self.data
    }

    pub(crate) fn context(&self) -> &StoreData<T> {
        &self.data
    }

    pub(crate) fn context_mut(&mut self) -> &mut StoreData<T> {
        &mut self.data
    }
}

impl<T> fmt::Debug for Store<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("inner", &self.data.inner).finish_non_exhaustive()
    }
}
