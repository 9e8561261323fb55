//! What a runtime may ask of a heap.
//!
//! One [`Heap`] belongs to one store. Compiled code allocates from its thread's
//! [`AllocBuffer`] without a call; everything else goes through the methods
//! here: the slow path of allocation, collection, enumeration, verification, statistics, the card table.
//!
//! ```text
//! compiled code ── buffer full ──► alloc_struct / alloc_array ──► refill, collect if due, retry
//! ```
//!
//! **Several mutators.** Threads of one store share its heap so:
//!
//! - What a mutator owns is an [`AllocBuffer`], in its thread context. It bumps through it without a lock, and
//!   dirties cards without one. Buffers of different mutators never share a line. A [`Stock`](crate::Stock) beside it fills the
//!   buffer again without a lock, until it is empty.
//! - Every method with `&mut self` is called under one lock of the runtime's, so a lock is taken only when a buffer
//!   ends (some holes or blocks later) and for what is rare anyway. The [`Runtime`] that is passed along speaks for the
//!   thread that calls: [`Runtime::current_buffer`] is its buffer, [`Runtime::visit_buffers`] visits everybody's.
//! - A collection happens inside such a call, on the thread that made it. [`Runtime::stop_mutators`] must return only
//!   when all other threads are at a safepoint or in host code. One that waits for the runtime's lock counts as
//!   stopped, or the two wait for each other; when it gets the lock it finds its buffer empty, and refills it.
//! - Methods with `&self` need no lock; [`Heap::base`] and [`Heap::card_base`] may be cached, but for
//!   [`Heap::ensure_card_table`].
//! - Memory is handed out zeroed. A reference becomes visible to other threads by a store of compiled code; it is
//!   the runtime's part that no thread sees one before the header that was stored before it (nothing to do on
//!   x86-64).
//!
//! A method that takes a [`Runtime`] may collect; references that the caller holds outside the runtime's pinned roots
//! are dead afterwards. No method panics for lack of memory or for anything a program does.

use crate::address::ObjRef;
use crate::alloc::{self, Allocator};
use crate::barrier::CardTable;
use crate::block::BLOCK_BYTES;
use crate::collectors::{self, Collect};
use crate::host_objects::HostObjects;
use crate::interface::to_runtime::{Runtime, TypeTable};
use crate::line::LINE_BYTES;
use crate::object::{self, Object};
use crate::options::{HeapOptions, LARGEST_MAX_BYTES};
use crate::os::System;
use crate::space::Space;
use crate::state::HeapState;
use crate::stats::{Cause, Stats};
use crate::trace::{Assistant, MarkStack, team_of};
use crate::verify::{Verifier, VerifyError};
use dolmen_abi::collector::{AllocBuffer, Barrier, MAX_INLINE_ALLOC_BYTES, Protocol};
use dolmen_abi::layout::array_size_bytes;
use dolmen_abi::object::{ARRAY_LENGTH_OFFSET, EXTERN_BYTES, MAX_OBJECT_BYTES, TYPE_WORD_OFFSET};
use dolmen_abi::reference::{OBJECT_ALIGN_BYTES, REF_UNIT_BYTES, is_object};
use dolmen_abi::type_desc::{Kind, TypeDesc};
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
    /// The type word names no type of the kind that the allocation makes.
    #[error("type word {type_word:#x} names no type that can be allocated here")]
    NoSuchType { type_word: u32 },
    /// The verifier found the heap corrupt; it must not be used any more.
    #[error("heap corrupt: {0}")]
    Corrupt(#[from] Box<VerifyError>),
    /// The system did not give address space for the heap.
    #[error("cannot reserve {bytes} bytes of address space: {source}")]
    Reserve { bytes: u64, source: std::io::Error },
}

/// The garbage-collected heap of a store.
pub struct Heap {
    pub(crate) state: HeapState,
    pub(crate) collector: Box<dyn Collect>,
    stress: Option<Stress>,
    /// Collections in a row that were caused by exhaustion and left next to nothing free.
    starved: u32,
}

/// Allocation stress: all allocation goes through a buffer that compiled code does not see.
struct Stress {
    interval: u64,
    until_next: u64,
    buffer: AllocBuffer,
}

impl Heap {
    /// Reserves the region of a heap. Memory is taken from the system as objects need it.
    ///
    /// # Errors
    ///
    /// [`AllocError::Reserve`] if the system refuses the address space.
    pub fn new(mut options: HeapOptions, types: Arc<dyn TypeTable>) -> Result<Self, AllocError> {
        let block = u64::from(BLOCK_BYTES);
        options.max_bytes = options.max_bytes.clamp(block, LARGEST_MAX_BYTES).next_multiple_of(block);
        let bytes = options.max_bytes;
        let system = System::new(options.tuning.refused);
        let reserve_bytes = bytes / 100 * options.tuning.reserve_percent;
        let space = Space::new(system, bytes, reserve_bytes).map_err(|source| AllocError::Reserve { bytes, source })?;
        let state = HeapState {
            types,
            space,
            cards: None,
            allocator: Allocator::new(),
            host_objects: HostObjects::default(),
            mark_stack: MarkStack::new(options.tuning.mark_stack_entries),
            team: team_of(&options),
            verifier: Verifier::default(),
            stats: Stats::default(),
            swept_bytes: 0,
            mutators: 0,
            options,
        };
        let stress = options.stress.map(|interval| Stress {
            interval: interval.get(),
            until_next: interval.get(),
            buffer: AllocBuffer::default(),
        });
        let mut heap = Self { state, collector: collectors::new(options.collector), stress, starved: 0 };
        if heap.protocol().barrier == Barrier::Card {
            heap.ensure_card_table()?;
        }
        Ok(heap)
    }

    /// Address of reference word 0; never changes. The first 32 KiB are never accessible.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.state.space.region.base() as u64
    }

    /// What the heap's collector needs of compiled code.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.state.options.collector.protocol()
    }

    /// What a mutator does while a collection has stopped it.
    #[must_use]
    pub fn assistant(&self) -> Assistant {
        Assistant::new(&self.state.team)
    }

    /// Address of the object in memory. Valid until the next call that takes a [`Runtime`], unless the object
    /// is pinned or immortal.
    #[must_use]
    pub fn address(&self, object: ObjRef) -> *mut u8 {
        self.state.space.region.base().wrapping_add(object.offset() as usize)
    }

    /// Makes a struct or an exception of this type: zero but for its type word.
    ///
    /// The calling thread's buffer is refilled on the way, so that the next allocation is inline again.
    ///
    /// # Errors
    ///
    /// [`AllocError::OutOfMemory`]; the heap stays usable. [`AllocError::NoSuchType`]. [`AllocError::Corrupt`] if
    /// the verifier is on.
    pub fn alloc_struct(&mut self, runtime: &mut dyn Runtime, type_word: u32) -> Result<ObjRef, AllocError> {
        let bytes = self.type_desc(type_word, &[Kind::Struct, Kind::Exn])?.fixed_bytes;
        let object = self.alloc(runtime, bytes)?;
        Ok(self.init(object, type_word))
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
        let desc = self.type_desc(type_word, &[Kind::Array])?;
        let bytes = array_size_bytes(u32::from(desc.log_elem_bytes), length).ok_or(AllocError::TooLarge { length })?;
        let object = self.alloc(runtime, bytes)?;
        self.state.space.region.write_u32(object, ARRAY_LENGTH_OFFSET, length);
        Ok(self.init(object, type_word))
    }

    /// Makes a host object. When it dies, or when [`Heap::drop_host_objects`] is called,
    /// [`Runtime::drop_host_object`] is called with `data`, once.
    ///
    /// # Errors
    ///
    /// As [`Heap::alloc_struct`]; `data` then still belongs to the caller.
    pub fn alloc_extern(&mut self, runtime: &mut dyn Runtime, type_word: u32, data: u64) -> Result<ObjRef, AllocError> {
        self.type_desc(type_word, &[Kind::Extern])?;
        if !self.state.host_objects.reserve() {
            return Err(self.out_of_memory(EXTERN_BYTES));
        }
        let object = self.alloc(runtime, EXTERN_BYTES)?;
        self.state.host_objects.add(&mut self.state.space, object, data);
        Ok(self.init(object, type_word))
    }

    /// Makes an object of `bytes` bytes that lives as long as the heap and is never traced: it may hold no
    /// reference but to other immortal objects. Function objects are such. Zero but for its type word; the
    /// caller fills it through [`Heap::address`]. Collects only if there is no memory otherwise.
    ///
    /// # Errors
    ///
    /// [`AllocError::OutOfMemory`], [`AllocError::NoSuchType`].
    pub fn alloc_immortal(
        &mut self,
        runtime: &mut dyn Runtime,
        type_word: u32,
        bytes: u32,
    ) -> Result<ObjRef, AllocError> {
        object::type_desc(&*self.state.types, type_word).ok_or(AllocError::NoSuchType { type_word })?;
        let bytes = bytes.max(OBJECT_ALIGN_BYTES).checked_next_multiple_of(OBJECT_ALIGN_BYTES);
        let bytes = bytes.filter(|&b| u64::from(b) <= MAX_OBJECT_BYTES).ok_or_else(|| self.out_of_memory(u32::MAX))?;
        let take = |HeapState { allocator, space, .. }: &mut HeapState| {
            allocator.alloc_immortal(space, bytes).or_else(|| {
                space.set_reserve_open(true);
                allocator.alloc_immortal(space, bytes)
            })
        };
        let mut object = take(&mut self.state);
        if object.is_none() {
            self.collect(runtime, Cause::Exhausted)?;
            object = take(&mut self.state);
        }
        let object = object.ok_or_else(|| self.out_of_memory(bytes))?;
        Ok(self.init(object, type_word))
    }

    /// Collects the whole heap now; the `null` collector does nothing.
    ///
    /// # Errors
    ///
    /// What the verifier found, if [`HeapOptions::verify`] is set; the heap must not be used any more.
    pub fn collect(&mut self, runtime: &mut dyn Runtime, cause: Cause) -> Result<(), Box<VerifyError>> {
        if let Some(stress) = &mut self.stress {
            self.state.allocator.retire(&mut stress.buffer);
        }
        self.collector.collect(&mut self.state, runtime, cause).map_err(Box::new)?;
        let needed_bytes = self.state.stats.live_bytes + self.collector.expected_bytes(&self.state);
        self.state.look_ahead(needed_bytes.saturating_sub(self.state.space.frontier_bytes()));
        Ok(())
    }

    /// Checks everything reachable. Costs a trace of the heap.
    ///
    /// # Errors
    ///
    /// The first thing found wrong.
    pub fn verify(&mut self, runtime: &mut dyn Runtime) -> Result<(), Box<VerifyError>> {
        runtime.stop_mutators();
        let verified = self.state.verify(runtime);
        runtime.resume_mutators();
        verified.map(|_| ()).map_err(Box::new)
    }

    /// Drops all host objects that are left, through [`Runtime::drop_host_object`]; the `externref`s that held them must
    /// not be used afterwards. For runtimes whose own list of them does not drop what is in it when it is dropped.
    pub fn drop_host_objects(&mut self, runtime: &mut dyn Runtime) {
        self.state.host_objects.kill_all();
        self.state.host_objects.drop_dead(runtime);
    }

    /// Visits every reachable object in address order: reference, type word, size in bytes. Verifies them on the
    /// way and changes nothing.
    ///
    /// # Errors
    ///
    /// As [`Heap::verify`]; then nothing was visited.
    pub fn for_each_object(
        &mut self,
        runtime: &mut dyn Runtime,
        visit: &mut dyn FnMut(ObjRef, u32, u32),
    ) -> Result<(), Box<VerifyError>> {
        runtime.stop_mutators();
        let verified = self.state.verify(runtime);
        if verified.is_ok() {
            self.state.verifier.for_each_visited(&self.state.space, &*self.state.types, visit);
        }
        runtime.resume_mutators();
        verified.map(|_| ()).map_err(Box::new)
    }

    /// As [`Heap::for_each_object`]; before each object visits the references in it: offset in bytes, word.
    ///
    /// # Errors
    ///
    /// As [`Heap::verify`]; then nothing was visited.
    pub fn for_each_reference(
        &mut self,
        runtime: &mut dyn Runtime,
        reference: &mut dyn FnMut(ObjRef, u32, u32),
        object: &mut dyn FnMut(ObjRef, u32, u32),
    ) -> Result<(), Box<VerifyError>> {
        let types = Arc::clone(&self.state.types);
        runtime.stop_mutators();
        let verified = self.state.verify(runtime);
        if verified.is_ok() {
            let HeapState { verifier, space, .. } = &self.state;
            verifier.for_each_visited(space, &*types, &mut |found, type_word, bytes| {
                if let Some(shape) = object::type_desc(&*types, type_word)
                    && let Some(shape) = Object::new(&space.region, found.word(), shape)
                {
                    shape.for_each_ref(&space.region, &*types, |offset, word| reference(found, offset, word));
                }
                object(found, type_word, bytes);
            });
        }
        runtime.resume_mutators();
        verified.map(|_| ()).map_err(Box::new)
    }

    /// Whether an object may start at this word: for assertions. Never false for an object that is not dead;
    /// true for any other place in memory handed out since the last collection.
    #[must_use]
    pub fn is_object(&self, word: u32) -> bool {
        is_object(word) && self.state.space.may_hold_object(word)
    }

    /// Makes the card table that code compiled for [`Barrier::Card`] writes to, if there is none yet. A heap whose
    /// collector needs the barrier has it from the start; for others the runtime asks before it runs such code.
    ///
    /// # Errors
    ///
    /// [`AllocError::Reserve`] if the system refuses the address space.
    pub fn ensure_card_table(&mut self) -> Result<(), AllocError> {
        if self.state.cards.is_none() {
            let bytes = u64::from(BLOCK_BYTES) + self.state.options.max_bytes;
            let blocks = self.state.space.blocks.limit();
            let cards = CardTable::new(self.state.space.system(), blocks);
            self.state.cards = Some(cards.map_err(|source| AllocError::Reserve { bytes, source })?);
        }
        Ok(())
    }

    /// Card table address of reference word 0, or 0 if there is no card table.
    #[must_use]
    pub fn card_base(&self) -> u64 {
        self.state.cards.as_ref().map_or(0, CardTable::base)
    }

    /// The write barrier for stores that are not compiled code's: to call after a reference was stored `offset` bytes
    /// into an object, or `count` references from there on, before the next allocation.
    pub fn post_write_barrier(&self, object: ObjRef, offset: u32, count: u32) {
        let Some(cards) = &self.state.cards else { return };
        if count > 0 {
            let start = object.word() + offset / REF_UNIT_BYTES;
            cards.dirty(start, start + count);
            cards.dirty(object.word(), object.word() + 1);
        }
    }

    /// Totals since the heap was made.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let heap_bytes = self.state.space.heap_bytes();
        Stats {
            allocated_bytes: self.state.allocator.allocated_bytes(),
            heap_bytes,
            peak_heap_bytes: self.state.stats.peak_heap_bytes.max(heap_bytes),
            ..self.state.stats
        }
    }

    /// Bytes of the blocks that hold objects: what the heap would shrink to if all free blocks went back to the
    /// system.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.state.space.used_bytes()
    }

    /// Replaces the soft limit ([`HeapOptions::soft_max_bytes`]). A heap that is above the new one is collected as a whole
    /// when its next collection is due.
    pub fn set_soft_max_bytes(&mut self, bytes: u64) {
        self.state.options.soft_max_bytes = bytes;
        self.collector.soft_limit_changed(&self.state);
    }

    /// The options that the heap was made with; `max_bytes` as it is in force, and the soft limit as it was set last.
    #[must_use]
    pub fn options(&self) -> &HeapOptions {
        &self.state.options
    }

    /// Memory for an object of `bytes` bytes.
    fn alloc(&mut self, runtime: &mut dyn Runtime, bytes: u32) -> Result<u32, AllocError> {
        self.stress(runtime)?;
        if let Some(object) = self.bump(runtime, bytes) {
            return Ok(object);
        }
        if self.collector.is_due(&self.state, u64::from(bytes)) {
            self.collect(runtime, Cause::Budget)?;
            if !self.is_nearly_full() {
                self.starved = 0;
            }
        }
        if let Some(object) = self.take(runtime, bytes) {
            return Ok(object);
        }
        if u64::from(bytes) > self.state.options.max_bytes {
            return Err(self.out_of_memory(bytes));
        }
        self.collect(runtime, Cause::Exhausted)?;
        if self.is_starved() {
            return Err(self.out_of_memory(bytes));
        }
        let object = self.take(runtime, bytes).or_else(|| {
            self.state.space.set_reserve_open(true);
            self.take(runtime, bytes)
        });
        object.ok_or_else(|| self.out_of_memory(bytes))
    }

    /// After a collection because of exhaustion: whether to give up, since such collections follow each other and
    /// free next to nothing.
    fn is_starved(&mut self) -> bool {
        self.starved = if self.is_nearly_full() { self.starved.saturating_add(1) } else { 0 };
        self.starved >= self.state.options.tuning.starved_collections
    }

    fn is_nearly_full(&self) -> bool {
        let HeapOptions { max_bytes, tuning, .. } = self.state.options;
        let live_bytes = self.state.stats.live_bytes;
        live_bytes > 0 && max_bytes.saturating_sub(live_bytes) < max_bytes / tuning.starved_fraction.max(1)
    }

    /// Collects if allocation stress says so.
    fn stress(&mut self, runtime: &mut dyn Runtime) -> Result<(), AllocError> {
        let Some(stress) = &mut self.stress else { return Ok(()) };
        stress.until_next -= 1;
        if stress.until_next == 0 {
            stress.until_next = stress.interval;
            self.collect(runtime, Cause::Stress)?;
        }
        Ok(())
    }

    /// Tries what compiled code has tried; for callers that have not.
    fn bump(&mut self, runtime: &mut dyn Runtime, bytes: u32) -> Option<u32> {
        if bytes > MAX_INLINE_ALLOC_BYTES {
            return None;
        }
        alloc::bump(buffer_of(&mut self.stress, runtime), bytes)
    }

    fn take(&mut self, runtime: &mut dyn Runtime, bytes: u32) -> Option<u32> {
        let HeapState { allocator, space, .. } = &mut self.state;
        let object = allocator.alloc(space, buffer_of(&mut self.stress, runtime), bytes)?;
        if space.has_entered_page() {
            self.state.look_ahead(self.collector.expected_bytes(&self.state));
        }
        if bytes <= LINE_BYTES && self.stress.is_none() {
            self.stock_up(runtime);
        }
        Some(object)
    }

    /// Gives the calling thread memory for buffers to come, but no more than may be handed out before the next collection.
    fn stock_up(&mut self, runtime: &mut dyn Runtime) {
        let Some(stock) = runtime.current_stock() else { return };
        for _ in 0..stock.begin_delivery(&self.state.space.region, &self.state.types) {
            let is_due = self.collector.is_due(&self.state, BLOCK_BYTES.into());
            let HeapState { allocator, space, .. } = &mut self.state;
            if is_due || !allocator.stock_up(space, stock) {
                break;
            }
        }
    }

    fn init(&mut self, object: u32, type_word: u32) -> ObjRef {
        self.state.space.region.write_u32(object, TYPE_WORD_OFFSET, type_word);
        ObjRef::from_word(object).expect("the allocator hands out object words only")
    }

    fn type_desc(&self, type_word: u32, kinds: &[Kind]) -> Result<&TypeDesc, AllocError> {
        let found = object::type_desc(&*self.state.types, type_word).filter(|(kind, _)| kinds.contains(kind));
        found.map(|(_, desc)| desc).ok_or(AllocError::NoSuchType { type_word })
    }

    fn out_of_memory(&self, bytes: u32) -> AllocError {
        AllocError::OutOfMemory { bytes: u64::from(bytes), max_bytes: self.state.options.max_bytes }
    }
}

fn buffer_of<'a>(stress: &'a mut Option<Stress>, runtime: &'a mut dyn Runtime) -> &'a mut AllocBuffer {
    match stress {
        Some(stress) => &mut stress.buffer,
        None => runtime.current_buffer(),
    }
}
