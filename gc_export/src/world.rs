//! Threads of an instance seen from outside, and how to stop them: the last part of `dolmen.h`.

use crate::backtrace::Backtrace;
use crate::border::guard;
use crate::deadline;
use crate::entered::{self, Entrance};
use crate::exec_env::{ExecEnv, exec_env};
use crate::failure::Failure;
use crate::instance::{InstanceRecord, StoreShared, record};
use runtime::{InterruptHandle, StoppedWorld, Suspended, ThreadControl, ThreadId, ThreadState};
use std::ffi::{c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A `dolmen_threads_t`.
pub(crate) struct Threads {
    shared: Arc<StoreShared>,
}

/// `dolmen_thread_info_t`.
#[repr(C)]
pub struct CThreadInfo {
    id: u64,
    state: c_int,
}

/// A `dolmen_stopped_t`: what was found when the threads were stopped.
pub(crate) struct Stopped {
    /// Keeps the threads stopped; `None` if somebody else does.
    hold: Option<Hold>,
    threads: Vec<(u64, Backtrace)>,
    roots: usize,
}

/// The threads of a store, stopped, with the control that has done it.
struct Hold {
    /// Of the control below, which it must not outlive.
    suspended: ManuallyDrop<Suspended<'static>>,
    control: *mut ThreadControl,
}

impl Drop for Hold {
    fn drop(&mut self) {
        // SAFETY: dropped once, here, and before the control that it borrows, which `new` has leaked.
        unsafe {
            ManuallyDrop::drop(&mut self.suspended);
            drop(Box::from_raw(self.control));
        }
    }
}

impl Hold {
    fn new(control: &ThreadControl) -> Option<Self> {
        let control = Box::into_raw(Box::new(control.clone()));
        // SAFETY: the box was just leaked; it is freed after what borrows it.
        match unsafe { &*control }.suspend_all() {
            Some(suspended) => Some(Self { suspended: ManuallyDrop::new(suspended), control }),
            None => {
                // SAFETY: as above; nothing borrows it.
                drop(unsafe { Box::from_raw(control) });
                None
            }
        }
    }
}

impl Stopped {
    fn new(world: &mut StoppedWorld<'_>) -> Self {
        let backtraces = world.backtraces();
        let threads = backtraces.iter().map(|(thread, frames)| (thread.number(), Backtrace::new(frames))).collect();
        let mut roots = 0;
        world.for_each_root(&mut |_, _| roots += 1);
        Self { hold: None, threads, roots }
    }
}

impl Threads {
    /// The thread with a number.
    fn find(&self, number: u64) -> Option<ThreadId> {
        self.shared.control.threads().into_iter().find(|thread| thread.number() == number)
    }
}

/// The state of a thread, as in `enum dolmen_thread_state`.
fn number_of(state: ThreadState) -> c_int {
    match state {
        ThreadState::Runs => 0,
        ThreadState::Waits => 1,
        ThreadState::InHost => 2,
        ThreadState::UsesStore => 3,
        ThreadState::Suspended => 4,
    }
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_threads_new(instance: *const InstanceRecord) -> *mut Threads {
    guard(ptr::null_mut(), || {
        // SAFETY: null, or an instance by the header.
        let Some(record) = (unsafe { record(instance) }) else { return ptr::null_mut() };
        // A store follows the protocol of several threads from its second seat on.
        let seat = record.with(|mut context| context.seat());
        if record.check(seat.and_then(|seat| seat.map_err(Failure::from))).is_none() {
            return ptr::null_mut();
        }
        Box::into_raw(Box::new(Threads { shared: Arc::clone(&record.shared) }))
    })
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_threads_delete(threads: *mut Threads) {
    guard((), || {
        if !threads.is_null() {
            // SAFETY: `dolmen_threads_new` has leaked the box, and C gives it up.
            drop(unsafe { Box::from_raw(threads) });
        }
    });
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_threads_list(threads: *const Threads, infos: *mut CThreadInfo, room: usize) -> usize {
    guard(0, || {
        // SAFETY: null, or threads by the header.
        let Some(threads) = (unsafe { threads.as_ref() }) else { return 0 };
        let states = threads.shared.control.states();
        for (index, (thread, state)) in states.iter().enumerate().take(if infos.is_null() { 0 } else { room }) {
            // SAFETY: there is that much room, by the header.
            unsafe { infos.add(index).write(CThreadInfo { id: thread.number(), state: number_of(*state) }) };
        }
        states.len()
    })
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_suspend(threads: *const Threads, thread: u64) -> bool {
    guard(false, || {
        // SAFETY: null, or threads by the header.
        let Some(threads) = (unsafe { threads.as_ref() }) else { return false };
        threads.find(thread).is_some_and(|thread| threads.shared.control.suspend(thread))
    })
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_resume(threads: *const Threads, thread: u64) -> bool {
    guard(false, || {
        // SAFETY: null, or threads by the header.
        let Some(threads) = (unsafe { threads.as_ref() }) else { return false };
        threads.find(thread).is_some_and(|thread| threads.shared.control.resume(thread))
    })
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_interrupt_thread(threads: *const Threads, thread: u64) -> bool {
    guard(false, || {
        // SAFETY: null, or threads by the header.
        let Some(threads) = (unsafe { threads.as_ref() }) else { return false };
        threads.find(thread).is_some_and(|thread| threads.shared.control.interrupt(thread))
    })
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_thread_backtrace(
    threads: *const Threads,
    thread: u64,
    patience_ns: u64,
) -> *mut Backtrace {
    guard(ptr::null_mut(), || {
        // SAFETY: null, or threads by the header.
        let Some(threads) = (unsafe { threads.as_ref() }) else { return ptr::null_mut() };
        let Some(thread) = threads.find(thread) else { return ptr::null_mut() };
        let frames = threads.shared.control.backtrace(thread, Duration::from_nanos(patience_ns));
        frames.map_or(ptr::null_mut(), |frames| Box::into_raw(Box::new(Backtrace::new(&frames))))
    })
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_suspend_all(threads: *const Threads) -> *mut Stopped {
    guard(ptr::null_mut(), || {
        // SAFETY: null, or threads by the header.
        let Some(threads) = (unsafe { threads.as_ref() }) else { return ptr::null_mut() };
        // Who has the store would wait for itself.
        if !matches!(entered::entrance(&threads.shared), Entrance::Outside) {
            return ptr::null_mut();
        }
        let Some(mut hold) = Hold::new(&threads.shared.control) else { return ptr::null_mut() };
        let found = Stopped::new(&mut hold.suspended.world());
        Box::into_raw(Box::new(Stopped { hold: Some(hold), ..found }))
    })
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_resume_all(stopped: *mut Stopped) {
    guard((), || {
        // SAFETY: null, or by the header what `dolmen_suspend_all` has leaked, which C gives up.
        if unsafe { stopped.as_ref() }.is_some_and(|stopped| stopped.hold.is_some()) {
            // SAFETY: as above.
            drop(unsafe { Box::from_raw(stopped) });
        }
    });
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_with_world_stopped(
    env: *const ExecEnv,
    work: Option<unsafe extern "C" fn(*const Stopped, *mut c_void)>,
    argument: *mut c_void,
) -> bool {
    guard(false, || {
        // SAFETY: null, or an environment by the header.
        let (Some(env), Some(work)) = (unsafe { (exec_env(env), work) }) else { return false };
        let record = env.record();
        let done = record.with(|mut context| {
            context.with_world_stopped(|world| {
                let stopped = Stopped::new(world);
                // SAFETY: the function takes this and the argument, by the header, and does not unwind.
                unsafe { work(&raw const stopped, argument) };
            });
        });
        record.check(done).is_some()
    })
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_stopped_count(stopped: *const Stopped) -> usize {
    // SAFETY: null, or by the header.
    guard(0, || unsafe { stopped.as_ref() }.map_or(0, |stopped| stopped.threads.len()))
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_stopped_thread(stopped: *const Stopped, index: usize) -> u64 {
    // SAFETY: null, or by the header.
    let found = || unsafe { stopped.as_ref() }.and_then(|stopped| stopped.threads.get(index));
    guard(u64::MAX, || found().map_or(u64::MAX, |(thread, _)| *thread))
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_stopped_backtrace(stopped: *const Stopped, index: usize) -> *const Backtrace {
    // SAFETY: null, or by the header.
    let found = || unsafe { stopped.as_ref() }.and_then(|stopped| stopped.threads.get(index));
    guard(ptr::null(), || found().map_or(ptr::null(), |(_, backtrace)| ptr::from_ref(backtrace)))
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_stopped_roots(stopped: *const Stopped) -> usize {
    // SAFETY: null, or by the header.
    guard(0, || unsafe { stopped.as_ref() }.map_or(0, |stopped| stopped.roots))
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_thread_id(env: *const ExecEnv) -> u64 {
    // SAFETY: null, or an environment by the header.
    let thread = || unsafe { exec_env(env) }.and_then(|env| env.record().thread);
    guard(u64::MAX, || thread().map_or(u64::MAX, ThreadId::number))
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_unlocked(
    env: *const ExecEnv,
    work: Option<unsafe extern "C" fn(*mut c_void)>,
    argument: *mut c_void,
) -> bool {
    guard(false, || {
        // SAFETY: null, or an environment by the header.
        let (Some(env), Some(work)) = (unsafe { (exec_env(env), work) }) else { return false };
        let record = env.record();
        // SAFETY: the function takes the argument, by the header, and does not unwind.
        record.check(record.unlocked(|| unsafe { work(argument) })).is_some()
    })
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_set_timeout(env: *const ExecEnv, timeout_ns: u64) -> bool {
    guard(false, || {
        // SAFETY: null, or an environment by the header.
        let Some(env) = (unsafe { exec_env(env) }) else { return false };
        let can_end = env.record().shared.interrupt.is_some() && env.record().thread.is_some();
        if !can_end || !deadline::can_be_watched() {
            return false;
        }
        env.timeout_ns.store(timeout_ns, Ordering::Relaxed);
        true
    })
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_interrupt_handle_new(instance: *const InstanceRecord) -> *mut InterruptHandle {
    guard(ptr::null_mut(), || {
        // SAFETY: null, or an instance by the header.
        let handle = unsafe { record(instance) }.and_then(|record| record.shared.interrupt.clone());
        handle.map_or(ptr::null_mut(), |handle| Box::into_raw(Box::new(handle)))
    })
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_interrupt(handle: *const InterruptHandle) {
    // SAFETY: null, or a handle by the header.
    guard((), || unsafe { handle.as_ref() }.into_iter().for_each(InterruptHandle::interrupt));
}

/// See `dolmen.h`.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dolmen_interrupt_handle_delete(handle: *mut InterruptHandle) {
    guard((), || {
        if !handle.is_null() {
            // SAFETY: `dolmen_interrupt_handle_new` has leaked the box, and C gives it up.
            drop(unsafe { Box::from_raw(handle) });
        }
    });
}
