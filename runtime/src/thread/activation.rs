//! Calls of compiled code that have not ended, and the stacks that they run on.
//!
//! The problem: a thread can be entered again while it is in a host function, and not only by that function: a host function
//! of another store may do so that this one has called, or another OS thread to which this one has lent its
//! [`Caller`](crate::Caller). Compiled code needs a stack whose end is known, below which nobody has a frame.
//!
//! | entered from | runs on |
//! |---|---|
//! | outside | the thread's own native stack |
//! | a stack of the thread's | the same, below the caller |
//! | another store's code, on the same OS thread | the thread's stack where that code was entered, below the frame that did |
//! | elsewhere: another OS thread, a coroutine's stack | a stack that is made for the call |
//!
//! An [`Activation`] is the record of one call, in the frame of [`Thread::call`]. Records are linked twice: those of an OS
//! thread, of whatever threads, from [`signals`](super::signals); and the innermost one of each thread
//! from the thread.
//!
//! Invariants: the record of a call is changed by the OS thread that runs the call, but for `entries`. Host functions have
//! their store alone, so the calls of one thread are nested in time, on whatever OS threads they are.

use super::Thread;
use super::stack::Stacks;
use dolmen_abi::context::ThreadContext;
use std::cell::Cell;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering, fence};

/// How far below a Rust frame of [`Thread::call`] its own calls reach, generously.
const CALL_FRAME_BYTES: u64 = 4096;

/// One call of compiled code.
#[derive(Debug)]
pub(super) struct Activation {
    thread: NonNull<Thread>,
    /// The stack that it runs on.
    native: Range<u64>,
    /// What may not be touched below that stack.
    guard: Range<u64>,
    /// What this OS thread ran before; null if nothing.
    outer: Cell<*const Activation>,
    /// While code of another thread runs on top of this one, on the same OS thread: the first free address of the stack,
    /// or 0 if that was not entered from the stack.
    parked_sp: Cell<u64>,
    /// Counts the beginnings and ends of calls of the same thread directly inside of this one: odd during a call.
    entries: AtomicU32,
}

impl Activation {
    /// A call of code of `thread` on one of its stacks.
    pub(super) fn new(thread: NonNull<Thread>, stacks: &Stacks) -> Self {
        Self {
            thread,
            native: stacks.native(),
            guard: stacks.native_guard(),
            outer: Cell::new(ptr::null()),
            parked_sp: Cell::new(0),
            entries: AtomicU32::new(0),
        }
    }

    /// Notes what the OS thread ran before, and that its stack is free below a frame at `here`, if that is on it.
    ///
    /// # Safety
    ///
    /// `outer` must be null or live until [`Activation::end_on`] is called.
    pub(super) unsafe fn begin_on(&self, outer: *const Self, here: u64) {
        self.outer.set(outer);
        // SAFETY: as the caller promises.
        if let Some(outer) = unsafe { outer.as_ref() }
            && outer.native.contains(&here)
        {
            outer.parked_sp.set((here - CALL_FRAME_BYTES) & !15);
        }
    }

    /// Takes [`Activation::begin_on`] back.
    pub(super) fn end_on(&self) {
        // SAFETY: `begin_on` was promised that it lives.
        if let Some(outer) = unsafe { self.outer.get().as_ref() } {
            outer.parked_sp.set(0);
        }
    }

    /// Where the stack of `thread` is free, if code of the thread was running on this OS thread when this activation, or
    /// one outside of it, entered another thread's.
    pub(super) fn free_stack_of(&self, thread: *const Thread) -> Option<u64> {
        let mut activation = Some(self);
        while let Some(at) = activation {
            if ptr::eq(at.thread.as_ptr(), thread) {
                return Some(at.parked_sp.get()).filter(|&sp| sp != 0);
            }
            // SAFETY: what an OS thread ran before lives as long as what it runs now.
            activation = unsafe { at.outer.get().as_ref() };
        }
        None
    }

    /// Notes that a call of the same thread begins inside of this one.
    pub(super) fn begin_entry(&self) {
        // Relaxed, then a fence: there is one writer at a time, and whoever sees what the call does to the thread must see
        // the number, too.
        self.entries.store(self.entries.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
    }

    /// Notes that it has ended.
    pub(super) fn end_entry(&self) {
        // Release: whoever sees the number sees the thread as the call has left it.
        self.entries.store(self.entries.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    }

    /// Address of the context of the thread whose code it is.
    pub(super) fn context(&self) -> *mut ThreadContext {
        // A thread's record starts with its context.
        self.thread.as_ptr().cast()
    }

    /// Whether compiled code, or a C function that it calls, runs in this activation. For its OS thread, also in a signal
    /// handler: other OS threads that the thread is lent to may change it meanwhile.
    pub(super) fn runs_compiled_code(&self) -> bool {
        // Acquire, and a fence before the second look: what is read between them is of the same moment, or the numbers differ.
        let before = self.entries.load(Ordering::Acquire);
        // SAFETY: a thread lives while its code is entered.
        let runs = unsafe { Thread::runs_compiled_code(self.thread.as_ptr()) };
        fence(Ordering::Acquire);
        runs && before.is_multiple_of(2) && self.entries.load(Ordering::Relaxed) == before
    }

    /// Whether an access to this address means that a stack is used up.
    pub(super) fn is_guard(&self, address: u64) -> bool {
        // SAFETY: a thread lives while its code is entered, and its own stacks never change.
        let stacks = unsafe { &(*self.thread.as_ptr()).stacks };
        self.guard.contains(&address) || stacks.is_guard(address)
    }
}
