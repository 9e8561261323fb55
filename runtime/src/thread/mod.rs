//! A thread of wasm code: its context, its stacks, and how Rust calls into it.
//!
//! Compiled code is entered from Rust, calls builtins, which may run host functions, which may call wasm again,
//! and it can stop anywhere: by a trap, an exception, an error or a panic of a host function. A [`Thread`] is
//! the record that makes this orderly: [`Thread::call`] is the only way in, and the only way out is its return,
//! with the value [`Raised`] if the code did not get to its end.
//!
//! ```text
//! Thread::call ─► entry::enter ─► entry trampoline ─► wasm ─► gate ─► builtin ─► host function ─► Thread::call …
//!      ▲              ▲                                │        │
//!      └── Raised ────┴──────── entry::raise ◄─────────┴────────┘
//! ```
//!
//! Invariants:
//! - A thread does not move: its context and the record itself are reached by address from compiled code.
//! - All activations of a thread are on native stacks of its own, so a guard of these is what they hit ([`activation`]).
//! - No Rust value is alive on a stack that is left by a raise.
//!
//! A store is made with one thread, the *first*, which whoever owns the store uses. When code of the store spawns
//! others ([`spawn`]), all of them follow the protocol of [`world`]: compiled code runs in parallel, Rust code that
//! uses the store has it alone ([`Thread::take_store`], [`Thread::release_store`]).

mod activation;
pub(crate) mod blocking;
pub(crate) mod control;
#[cfg(target_arch = "x86_64")]
#[path = "entry_x86_64.rs"]
pub(crate) mod entry;
pub(crate) mod interrupt;
pub(crate) mod list;
pub(crate) mod report;
mod scope;
mod seat;
mod signals;
pub(crate) mod spawn;
mod stack;
mod sync;
pub(crate) mod unlocked;
#[cfg(target_arch = "x86_64")]
#[path = "vectors_x86_64.rs"]
pub(crate) mod vectors;
pub(crate) mod world;

#[cfg(test)]
pub(crate) mod tests;

pub use control::{StoppedWorld, Suspended, ThreadControl, ThreadState};
pub use interrupt::InterruptHandle;
pub use scope::Scope;
pub use seat::Seat;
pub use spawn::{JoinHandle, ThreadId};

use crate::error::StoreError;
use crate::store::StoreInner;
use crate::trap::{Raised, RawTrap, StoreCode};
use crate::unwind::SiteCache;
use crate::vm::waiters::{self, Expected, WaitResult, Waiter};
use activation::Activation;
use dolmen_abi::collector::AllocBuffer;
use dolmen_abi::context::{ThreadContext, ValueSlot};
use dolmen_abi::reference::NULL_REF;
use dolmen_abi::trap::TrapCode;
use dolmen_gc_heap::{Assistant, ObjRef, Stock};
use entry::{enter, status};
use smallvec::SmallVec;
use stack::Stacks;
use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::io;
use std::ops::{Deref, DerefMut, Range};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use world::{MemberId, Poll, StoreAddress, WaitsAt, World};

/// What [`Thread::call`] calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Callee {
    /// Address of the entry trampoline of the code's machine signature.
    pub(crate) entry: u64,
    /// Address of the code, in the wasm calling convention.
    pub(crate) code: u64,
    /// Address that the code takes as its instance.
    pub(crate) instance: u64,
}

/// Addresses that never change while a thread lives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreadBases {
    /// [`ThreadContext::heap_base`].
    pub(crate) heap: u64,
    /// [`ThreadContext::type_base`].
    pub(crate) types: u64,
    /// [`ThreadContext::card_base`].
    pub(crate) cards: u64,
    /// [`ThreadContext::builtins`].
    pub(crate) builtins: u64,
}

/// The record of a thread. Starts with its context, so that the address of one is the address of the other.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Thread {
    context: ThreadContext,
    /// Memory for later buffers, if there are several threads.
    stock: Stock,
    /// Where code that unwinds has its stack; read by [`entry::raise`].
    raise_stack: u64,
    stacks: Stacks,
    /// Stacks of calls that could not run on it; of these, only the native one is used.
    other_stacks: Vec<Stacks>,
    /// The innermost call that has not ended; null if there is none.
    activation: *const Activation,
    /// The code that this thread can run. Replaced only while the thread does not run.
    code: Arc<StoreCode>,
    sites: SiteCache,
    /// The threads of the store, and which of them this is.
    world: Arc<World>,
    member: MemberId,
    /// Whether the store has other threads, so that the protocol is to be followed.
    is_shared: bool,
    /// Reference words that are rooted while the thread waits for the store.
    held: SmallVec<[u32; HELD_WORDS]>,
    /// Why the innermost activation ends, from the raise to the return of [`Thread::call`].
    raised: Option<Raised>,
    /// The store, while code of the thread runs.
    store: *mut StoreInner,
}

/// A [`Thread`] at a fixed address.
#[derive(Debug)]
pub(crate) struct OwnedThread(NonNull<Thread>);

// SAFETY: the record is exclusively owned, and nothing in it is tied to an OS thread between calls.
unsafe impl Send for OwnedThread {}

// SAFETY: shared access only reads.
unsafe impl Sync for OwnedThread {}

/// Words that a thread holds without an allocation.
const HELD_WORDS: usize = 4;

const _: () = assert!(std::mem::offset_of!(Thread, context) == 0);

impl OwnedThread {
    /// The first thread of a store, with empty stacks of which the native one has `stack_bytes`.
    ///
    /// # Errors
    ///
    /// The operating system's, if it has no memory left or refuses the signal handler.
    pub(crate) fn new(stack_bytes: usize, bases: ThreadBases, assistant: Assistant) -> io::Result<Self> {
        Self::in_world(stack_bytes, bases, |poll| {
            let (world, member) = World::new(poll, assistant);
            (Arc::new(world), member)
        })
    }

    /// Another thread of the store that this one belongs to, which from now on is shared. It does not hold the store.
    ///
    /// # Errors
    ///
    /// As of [`OwnedThread::new`].
    pub(crate) fn another(&self, stack_bytes: usize) -> io::Result<Self> {
        let context = &self.context;
        let bases = ThreadBases {
            heap: context.heap_base,
            types: context.type_base,
            cards: context.card_base,
            builtins: context.builtins,
        };
        let world = &self.world;
        let mut thread = Self::in_world(stack_bytes, bases, |poll| (Arc::clone(world), world.join(poll)))?;
        thread.is_shared = true;
        thread.code = Arc::clone(&self.code);
        Ok(thread)
    }

    fn in_world(
        stack_bytes: usize,
        bases: ThreadBases,
        join: impl FnOnce(Poll) -> (Arc<World>, MemberId),
    ) -> io::Result<Self> {
        signals::install()?;
        let stacks = Stacks::new(stack_bytes)?;
        let layout = Layout::new::<Thread>();
        // SAFETY: the layout has a size.
        let allocated = unsafe { alloc_zeroed(layout) }.cast::<Thread>();
        let thread = NonNull::new(allocated).unwrap_or_else(|| handle_alloc_error(layout));
        let record = thread.as_ptr();
        // SAFETY: the record is ours and zeroed, which is a valid context; each other field is written once, in
        // place, because a context is too large to be moved around.
        unsafe {
            (*record).context.heap_base = bases.heap;
            (*record).context.type_base = bases.types;
            (*record).context.card_base = bases.cards;
            (*record).context.builtins = bases.builtins;
            (*record).context.shadow_top = stacks.shadow().start;
            (*record).context.stack_limit = stacks.native_limit();
            (*record).context.runtime = record as u64;
            (*record).raise_stack = stacks.raise_top();
            ptr::write(&raw mut (*record).stock, Stock::default());
            ptr::write(&raw mut (*record).stacks, stacks);
            ptr::write(&raw mut (*record).other_stacks, Vec::new());
            ptr::write(&raw mut (*record).activation, ptr::null());
            ptr::write(&raw mut (*record).code, Arc::default());
            ptr::write(&raw mut (*record).held, SmallVec::new());
            // An `AtomicU32` has the layout of a `u32`; the word lives until the member has left, in `drop`.
            let poll = Poll::new(NonNull::new_unchecked(&raw mut (*record).context.poll_request).cast());
            let (world, member) = join(poll);
            ptr::write(&raw mut (*record).world, world);
            ptr::write(&raw mut (*record).member, member);
            ptr::write(&raw mut (*record).sites, SiteCache::new());
            ptr::write(&raw mut (*record).raised, None);
            ptr::write(&raw mut (*record).store, ptr::null_mut());
        }
        Ok(Self(thread))
    }

    /// The record's address.
    pub(crate) fn as_ptr(&self) -> NonNull<Thread> {
        self.0
    }
}

impl Deref for OwnedThread {
    type Target = Thread;

    fn deref(&self) -> &Thread {
        // SAFETY: the record lives as long as its owner, which is borrowed.
        unsafe { self.0.as_ref() }
    }
}

impl DerefMut for OwnedThread {
    fn deref_mut(&mut self) -> &mut Thread {
        // SAFETY: the record lives as long as its owner, which is exclusively borrowed.
        unsafe { self.0.as_mut() }
    }
}

impl Drop for OwnedThread {
    fn drop(&mut self) {
        self.world.leave(self.member);
        // SAFETY: `new` has made a valid record with this layout, and this is its only owner.
        unsafe {
            ptr::drop_in_place(self.0.as_ptr());
            std::alloc::dealloc(self.0.as_ptr().cast(), Layout::new::<Thread>());
        }
    }
}

impl Thread {
    /// Runs compiled code until it returns or raises. The slots hold the arguments, then the results.
    ///
    /// References among the results, and the one of [`Raised::Exception`], are rooted by nothing: the caller
    /// roots them before anything is allocated.
    ///
    /// # Errors
    ///
    /// Why the code did not get to its end. Its frames are gone.
    ///
    /// # Safety
    ///
    /// - `thread` must be live, and must be the thread of `*store`.
    /// - `callee` must be consistent, its code loaded into the store and its instance live.
    /// - `slots` must be valid for the arguments and results of the code's signature, arguments filled in.
    /// - Builtins reach the store through `store` and the thread through `thread`: no reference to either may be
    ///   used across the call unless both pointers were derived from it.
    pub(crate) unsafe fn call(
        thread: NonNull<Self>,
        store: *mut StoreInner,
        callee: Callee,
        slots: *mut ValueSlot,
    ) -> Result<(), Raised> {
        signals::ensure_signal_stack().map_err(|e| Raised::Error(StoreError::Thread(e).into()))?;
        let record = thread.as_ptr();
        let here = (&raw const callee) as u64;
        // SAFETY: the thread is live, here and below.
        let other_stacks = unsafe { (*record).other_stacks.len() };
        // SAFETY: as above.
        let (stacks, stack_top) = match unsafe { (*record).stacks_from(here) } {
            Some(found) => found,
            // SAFETY: as above.
            None => unsafe { (*record).add_stacks() }.map_err(|e| Raised::Error(StoreError::Thread(e).into()))?,
        };
        let activation = Activation::new(thread, stacks);
        let stack_limit = stacks.native_limit();
        let outer = signals::set_current(&raw const activation);
        // SAFETY: what this OS thread runs is below on its stacks, and ends later.
        unsafe { activation.begin_on(outer, here) };
        // SAFETY: the thread is live, and so is its innermost activation, in which this one is nested.
        let (around, outer_store, outer_limit) = unsafe {
            let around = ptr::replace(&raw mut (*record).activation, &raw const activation);
            around.as_ref().into_iter().for_each(Activation::begin_entry);
            let store = ptr::replace(&raw mut (*record).store, store);
            (around, store, ptr::replace(&raw mut (*record).context.stack_limit, stack_limit))
        };
        // SAFETY: the caller vouches for callee and slots; `stack_top` is 0 or free native stack.
        let status =
            unsafe { enter(&raw mut (*record).context, callee.instance, callee.code, slots, callee.entry, stack_top) };
        // SAFETY: as above; both are live still.
        unsafe {
            (*record).context.stack_limit = outer_limit;
            (*record).store = outer_store;
            (*record).activation = around;
            around.as_ref().into_iter().for_each(Activation::end_entry);
        }
        activation.end_on();
        signals::set_current(outer);
        // SAFETY: the thread is live and its code does not run.
        unsafe {
            (*record).other_stacks.truncate(other_stacks);
            (*record).take_result(status)
        }
    }

    fn take_result(&mut self, status: u32) -> Result<(), Raised> {
        match status {
            status::RETURNED => {
                // What was caught last need not live on.
                self.context.pending_exception = NULL_REF;
                Ok(())
            }
            status::EXCEPTION => Err(Raised::Exception(std::mem::take(&mut self.context.pending_exception))),
            _ => Err(self.take_raised().unwrap_or(Raised::Trap(RawTrap::new(TrapCode::Unreachable)))),
        }
    }

    /// The stacks of the next activation if it is entered from a frame at `here`, and where it starts on the native one: 0
    /// if below that frame, on the current stack. `None` if it needs a stack of its own.
    fn stacks_from(&self, here: u64) -> Option<(&Stacks, u64)> {
        if self.context.entry_frame == 0 {
            return Some((&self.stacks, self.stacks.native().end));
        }
        if let Some(stacks) = self.stacks_at(here) {
            return Some((stacks, 0));
        }
        // SAFETY: what this OS thread runs lives.
        let top = unsafe { signals::current().as_ref() }?.free_stack_of(self)?;
        Some((self.stacks_at(top)?, top))
    }

    /// Stacks for a call that has none, and where it starts on the native one of them.
    ///
    /// # Errors
    ///
    /// If the system has no room for them.
    #[cold]
    fn add_stacks(&mut self) -> io::Result<(&Stacks, u64)> {
        let native = self.stacks.native();
        let stacks = Stacks::new((native.end - native.start) as usize)?;
        let top = stacks.native().end;
        self.other_stacks.push(stacks);
        Ok((self.other_stacks.last().unwrap_or(&self.stacks), top))
    }

    /// The stacks among which is the native one that an address lies in, or runs out of.
    fn stacks_at(&self, address: u64) -> Option<&Stacks> {
        let all = std::iter::once(&self.stacks).chain(&self.other_stacks);
        all.into_iter().find(|stacks| (stacks.native_guard().start..stacks.native().end).contains(&address))
    }

    /// Addresses of the native stack that a frame with this stack pointer is on.
    pub(crate) fn native_stack_at(&self, sp: u64) -> Range<u64> {
        self.stacks_at(sp).unwrap_or(&self.stacks).native()
    }

    /// Address of the context.
    pub(crate) fn context(&self) -> *mut ThreadContext {
        (&raw const self.context).cast_mut()
    }

    /// The context.
    pub(crate) fn context_mut(&mut self) -> &mut ThreadContext {
        &mut self.context
    }

    /// The code that the thread can run.
    pub(crate) fn code(&self) -> &StoreCode {
        &self.code
    }

    /// Replaces the code that the thread can run by more of it. The thread must not be running.
    pub(crate) fn set_code(&mut self, code: Arc<StoreCode>) {
        self.code = code;
    }

    /// The code and the cache of its call sites.
    pub(crate) fn code_and_sites(&mut self) -> (&StoreCode, &mut SiteCache) {
        (&self.code, &mut self.sites)
    }

    /// The threads of the store.
    pub(crate) fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// The thread's number among them.
    pub(crate) fn member(&self) -> MemberId {
        self.member
    }

    /// Makes the thread follow the protocol of stores with several threads. It must hold the store.
    pub(crate) fn set_shared(&mut self) {
        self.is_shared = true;
    }

    /// Whether the store has, or had, other threads.
    pub(crate) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Goes from compiled code, or from Rust code without the store, to Rust code that uses the store; waits for
    /// it if other threads use it. The words are roots meanwhile. Returns the store.
    ///
    /// # Safety
    ///
    /// The thread must be the running one, and live, with a store; no reference to it may be alive.
    pub(crate) unsafe fn take_store(thread: NonNull<Self>, words: &[u32]) -> *mut StoreInner {
        let record = thread.as_ptr();
        // SAFETY: the thread is live. The collector reads the words only while this thread waits, below.
        unsafe {
            if (*record).is_shared {
                (*record).held.extend_from_slice(words);
                let store = (*record).world.acquire((*record).member).0.cast::<StoreInner>();
                (*record).held.clear();
                (*record).store = store;
                (*store).threads.set_current(thread);
            }
            (*record).store
        }
    }

    /// Notes where the store is that the thread has been given.
    ///
    /// # Safety
    ///
    /// The thread must be live, and its store taken for it; no reference to it may be alive.
    pub(crate) unsafe fn set_store(thread: NonNull<Self>, store: *mut StoreInner) {
        // SAFETY: as the caller promises.
        unsafe { (*thread.as_ptr()).store = store };
    }

    /// Goes from Rust code that uses the store to compiled code; waits if the thread is suspended. The words are
    /// roots meanwhile.
    ///
    /// # Safety
    ///
    /// As for [`Thread::take_store`]. Nobody may use the store afterwards.
    pub(crate) unsafe fn release_store(thread: NonNull<Self>, store: *mut StoreInner, words: &[u32]) {
        let record = thread.as_ptr();
        // SAFETY: as in `take_store`.
        unsafe {
            if (*record).is_shared {
                (*record).held.extend_from_slice(words);
                (*record).world.run((*record).member, StoreAddress(store.cast()));
                (*record).held.clear();
            }
        }
    }

    /// Goes to sleep at an address ([`waiters::wait`]); others may stop the world meanwhile.
    ///
    /// # Safety
    ///
    /// As for [`Thread::release_store`] and [`waiters::wait`].
    pub(crate) unsafe fn wait(
        thread: NonNull<Self>,
        address: u64,
        expected: Expected,
        timeout: Option<Duration>,
    ) -> WaitResult {
        // SAFETY: the thread is live; what changes in it meanwhile is atomic.
        let (world, member, is_shared, poll) = unsafe {
            let record = thread.as_ptr();
            let poll = AtomicU32::from_ptr(&raw mut (*record).context.poll_request);
            (Arc::clone(&(*record).world), (*record).member, (*record).is_shared, poll)
        };
        let token = thread.as_ptr() as usize;
        world.set_waits_at(member, Some(WaitsAt::Address { address, token }));
        if is_shared {
            world.leave_code(member);
        }
        // SeqCst: see `World::interrupt`.
        let is_interrupted = &|| poll.load(Ordering::SeqCst) & world::ENDS != 0;
        // SAFETY: as the caller promises.
        let outcome = unsafe { waiters::wait(address, expected, timeout, &Waiter { token, is_interrupted }) };
        world.set_waits_at(member, None);
        if is_shared {
            world.enter_code(member);
        }
        outcome
    }

    /// Stops as long as somebody wants it, in compiled code.
    ///
    /// # Safety
    ///
    /// As for [`Thread::release_store`].
    pub(crate) unsafe fn pause(thread: NonNull<Self>) {
        // SAFETY: as the caller promises.
        unsafe {
            if (*thread.as_ptr()).is_shared {
                (*thread.as_ptr()).world.pause((*thread.as_ptr()).member);
            }
        }
    }

    /// Whether the thread was interrupted; it is no longer afterwards.
    pub(crate) fn take_interrupt(&mut self) -> bool {
        self.take_request(world::ENDS)
    }

    /// Whether the thread's time was over; it is no longer afterwards.
    pub(crate) fn take_timeout(&mut self) -> bool {
        self.take_request(world::TIMEOUT)
    }

    /// Whether a bit of the poll word is set.
    pub(crate) fn is_requested(&self, bit: u32) -> bool {
        // SeqCst: see `World::interrupt`.
        self.poll_word().load(Ordering::SeqCst) & bit != 0
    }

    /// Whether a poll would have something to do.
    pub(crate) fn is_any_requested(&self) -> bool {
        // Relaxed: as polls of compiled code.
        self.poll_word().load(Ordering::Relaxed) != 0
    }

    fn poll_word(&self) -> &AtomicU32 {
        let word = (&raw const self.context.poll_request).cast_mut();
        // SAFETY: the word is aligned, and all accesses but those of compiled code, which reads it, are atomic.
        unsafe { AtomicU32::from_ptr(word) }
    }

    /// Whether a bit of the poll word is set; it is no longer afterwards.
    pub(crate) fn take_request(&self, bit: u32) -> bool {
        let word = self.poll_word();
        // Relaxed reading first: it is cheap, and a request that comes now may be seen next time.
        let is_set = word.load(Ordering::Relaxed) & bit != 0;
        // SeqCst: see `World::interrupt`.
        is_set && word.fetch_and(!bit, Ordering::SeqCst) & bit != 0
    }

    /// The words that are roots while the thread waits for the store.
    pub(crate) fn held(&self) -> &[u32] {
        &self.held
    }

    /// Says why the activation that is about to end ends.
    pub(crate) fn set_raised(&mut self, raised: Raised) {
        self.raised = Some(raised);
    }

    /// What [`Thread::set_raised`] said last, if nobody took it yet.
    pub(crate) fn take_raised(&mut self) -> Option<Raised> {
        self.raised.take()
    }

    /// Where this thread allocates.
    pub(crate) fn alloc_buffer(&mut self) -> &mut AllocBuffer {
        &mut self.context.alloc
    }

    /// Memory for later buffers.
    pub(crate) fn stock(&mut self) -> &mut Stock {
        &mut self.stock
    }

    /// Allocates without the store, if there is memory in stock and nobody wants anything of the thread.
    pub(crate) fn alloc_from_stock(
        &mut self,
        alloc: impl FnOnce(&mut Stock, &mut AllocBuffer) -> Option<ObjRef>,
    ) -> Option<ObjRef> {
        let may = !self.stock.is_empty() && !self.is_any_requested();
        may.then(|| alloc(&mut self.stock, &mut self.context.alloc)).flatten()
    }

    /// Whether compiled code, or a C function that it calls, runs rather than Rust. Others may run it meanwhile.
    ///
    /// # Safety
    ///
    /// The thread must be live.
    unsafe fn runs_compiled_code(thread: *mut Self) -> bool {
        // SAFETY: as the caller promises; the words are aligned.
        let (entry_frame, exit_pc) = unsafe {
            let context = &raw mut (*thread).context;
            (AtomicU64::from_ptr(&raw mut (*context).entry_frame), AtomicU64::from_ptr(&raw mut (*context).exit_pc))
        };
        // Relaxed: the caller orders what it needs.
        entry_frame.load(Ordering::Relaxed) != 0 && exit_pc.load(Ordering::Relaxed) == 0
    }

    /// The slots of the shadow stack that are in use: references or null.
    pub(crate) fn shadow_slots(&self) -> &[u32] {
        let start = self.stacks.shadow().start;
        let bytes = self.context.shadow_top.saturating_sub(start).min(self.stacks.shadow().end - start);
        // SAFETY: the range lies in the shadow stack, which is readable, and compiled code, which writes to it,
        // does not run while the thread is borrowed.
        unsafe { std::slice::from_raw_parts(start as *const u32, bytes as usize / size_of::<u32>()) }
    }
}
