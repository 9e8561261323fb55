//! What a runtime may ask of a heap.
//!
//! One [`Heap`] belongs to one store. Compiled code allocates from its thread's
//! [`AllocBuffer`](dolmen_abi::collector::AllocBuffer) without a call; everything else goes through the methods
//! here: the slow path of allocation, collection, enumeration, verification, statistics, the card table.
//!
//! ```text
//! compiled code ── buffer full ──► alloc_struct / alloc_array ──► refill, collect if due, retry
//! ```
//!
//! A method that takes a [`Runtime`] may collect; references that the caller holds outside the runtime's roots
//! are dead afterwards. No method panics for lack of memory or for anything a program does.

use crate::address::ObjRef;
use crate::interface::to_runtime::{Runtime, TypeTable};
use crate::options::HeapOptions;
use crate::stats::{Cause, Stats};
use crate::verify::VerifyError;
use dolmen_abi::collector::Protocol;
use std::sync::Arc;
use thiserror::Error;

/// Why there is no object.
#[derive(Debug, Error)]
pub enum AllocError {
    /// No memory is left, even after a collection of the whole heap.
    #[error("out of memory: no room for {bytes} bytes in a heap of at most {max_bytes} bytes")]
    OutOfMemory { bytes: u64, max_bytes: u64 },
    /// The array is larger than any object can be.
    #[error("allocation size too large: array of {length} elements")]
    TooLarge { length: u32 },
    /// The verifier found the heap corrupt.
    #[error("heap corrupt: {0}")]
    Corrupt(#[from] Box<VerifyError>),
    /// The system did not give address space for the heap.
    #[error("cannot reserve {bytes} bytes of address space: {source}")]
    Reserve { bytes: u64, source: std::io::Error },
}

/// The garbage-collected heap of a store.
pub struct Heap {
    options: HeapOptions,
    types: Arc<dyn TypeTable>,
}

impl Heap {
    /// Reserves the region of a heap. Memory is taken from the system as objects need it.
    ///
    /// # Errors
    ///
    /// [`AllocError::Reserve`] if the system refuses the address space.
    pub fn new(options: HeapOptions, types: Arc<dyn TypeTable>) -> Result<Self, AllocError> {
        Ok(Self { options, types })
    }

    /// Address of reference word 0; never changes.
    #[must_use]
    pub fn base(&self) -> u64 {
        0
    }

    /// What the heap's collector needs of compiled code.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.options.collector.protocol()
    }

    /// Address of the object in memory. Valid until the next call that takes a [`Runtime`], unless the object
    /// is rooted or immortal.
    #[must_use]
    pub fn address(&self, object: ObjRef) -> *mut u8 {
        (self.base() + object.offset()) as *mut u8
    }

    /// Makes a struct or an exception of this type: zero but for its type word.
    ///
    /// The calling thread's buffer is refilled on the way, so that the next allocation is inline again.
    ///
    /// # Errors
    ///
    /// [`AllocError::OutOfMemory`]; the heap stays usable. [`AllocError::Corrupt`] if the verifier is on.
    pub fn alloc_struct(&mut self, runtime: &mut dyn Runtime, type_word: u32) -> Result<ObjRef, AllocError> {
        let _ = (runtime, type_word);
        Err(self.out_of_memory(0))
    }

    /// Makes an array of `length` elements of this array type: zero but for its type word and length.
    ///
    /// # Errors
    ///
    /// [`AllocError::TooLarge`] if no object can be that large, else as [`Heap::alloc_struct`].
    pub fn alloc_array(
        &mut self,
        runtime: &mut dyn Runtime,
        type_word: u32,
        length: u32,
    ) -> Result<ObjRef, AllocError> {
        let _ = (runtime, type_word, length);
        Err(self.out_of_memory(0))
    }

    /// Makes a host object. When it dies, or when [`Heap::drop_host_objects`] is called,
    /// [`Runtime::drop_host_object`] is called with `data`, once.
    ///
    /// # Errors
    ///
    /// As [`Heap::alloc_struct`]; `data` then still belongs to the caller.
    pub fn alloc_extern(&mut self, runtime: &mut dyn Runtime, type_word: u32, data: u64) -> Result<ObjRef, AllocError> {
        let _ = (runtime, type_word, data);
        Err(self.out_of_memory(0))
    }

    /// Makes an object of `bytes` bytes that lives as long as the heap and is never traced: it may hold no
    /// reference but to other immortal objects. Function objects are such. Zero but for its type word; the
    /// caller fills it through [`Heap::address`]. Never collects.
    ///
    /// # Errors
    ///
    /// [`AllocError::OutOfMemory`].
    pub fn alloc_immortal(&mut self, type_word: u32, bytes: u32) -> Result<ObjRef, AllocError> {
        let _ = type_word;
        Err(self.out_of_memory(u64::from(bytes)))
    }

    /// Collects the whole heap now; the `null` collector does nothing.
    ///
    /// # Errors
    ///
    /// What the verifier found, if [`HeapOptions::verify`] is set.
    pub fn collect(&mut self, runtime: &mut dyn Runtime, cause: Cause) -> Result<(), Box<VerifyError>> {
        let _ = (runtime, cause);
        Ok(())
    }

    /// Checks everything reachable and the heap's own tables. Costs a trace of the heap.
    ///
    /// # Errors
    ///
    /// The first thing found wrong.
    pub fn verify(&mut self, runtime: &mut dyn Runtime) -> Result<(), Box<VerifyError>> {
        let _ = runtime;
        Ok(())
    }

    /// Drops all host objects that are left, through [`Runtime::drop_host_object`]. A store calls it before it
    /// drops its heap; the `externref`s that held them must not be used afterwards.
    pub fn drop_host_objects(&mut self, runtime: &mut dyn Runtime) {
        let _ = runtime;
    }

    /// Collects, then visits every live object but the immortal ones: reference, type word, size in bytes. In
    /// address order.
    ///
    /// # Errors
    ///
    /// As [`Heap::collect`].
    pub fn for_each_object(
        &mut self,
        runtime: &mut dyn Runtime,
        visit: &mut dyn FnMut(ObjRef, u32, u64),
    ) -> Result<(), Box<VerifyError>> {
        let _ = (runtime, visit);
        Ok(())
    }

    /// Whether an object may start at this word: for assertions. Never false for an object; true for a dead one
    /// until its memory is used again.
    #[must_use]
    pub fn is_object(&self, word: u32) -> bool {
        ObjRef::from_word(word).is_some()
    }

    /// Makes the card table that code compiled for
    /// [`Barrier::Card`](dolmen_abi::collector::Barrier::Card) writes to, if there is none yet. A heap whose
    /// collector needs the barrier has it from the start; for others the runtime asks before it runs such code.
    ///
    /// # Errors
    ///
    /// [`AllocError::Reserve`] if the system refuses the address space.
    pub fn ensure_card_table(&mut self) -> Result<(), AllocError> {
        Ok(())
    }

    /// Card table address of reference word 0, or 0 if there is no card table.
    #[must_use]
    pub fn card_base(&self) -> u64 {
        0
    }

    /// Totals since the heap was made.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::default()
    }

    /// The options that the heap was made with.
    #[must_use]
    pub fn options(&self) -> &HeapOptions {
        &self.options
    }

    fn out_of_memory(&self, bytes: u64) -> AllocError {
        let _ = &self.types;
        AllocError::OutOfMemory { bytes, max_bytes: self.options.max_bytes }
    }
}
