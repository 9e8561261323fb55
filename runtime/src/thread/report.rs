//! Threads that tell what they are calling.
//!
//! The problem: a store with one thread follows no protocol, so nobody can stop its thread to look at its stack. But
//! its code polls. So whoever wants to know leaves a [`Request`] and sets a bit of the poll word; at its next poll the
//! thread itself walks its stack, answers, and goes on. A thread that does not poll, because it waits or is in a host
//! function, does not answer.
//!
//! Requests are rare, so those of all stores are in one list.

use super::world::{MemberId, World};
use super::{Thread, world};
use crate::error::Frame;
use crate::trap;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Somebody who waits for an answer.
struct Request {
    id: u64,
    world: Arc<World>,
    member: MemberId,
    answer: Sender<Vec<Frame>>,
}

static REQUESTS: Mutex<Vec<Request>> = Mutex::new(Vec::new());

/// The number of the next request; none is used again.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// Asks a member what it is calling, innermost first; waits no longer than `patience`.
pub(super) fn ask(world: &Arc<World>, member: MemberId, patience: Duration) -> Option<Vec<Frame>> {
    let (answer, answered) = channel();
    // Relaxed: only uniqueness matters.
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    requests().push(Request { id, world: Arc::clone(world), member, answer });
    let frames = if world.request_report(member) { answered.recv_timeout(patience).ok() } else { None };
    if frames.is_none() {
        // Others may be more patient.
        requests().retain(|request| request.id != id);
    }
    frames
}

/// Answers if the thread was asked.
///
/// # Safety
///
/// The thread must be the running one, in a builtin, and live; no exclusive reference to it may be alive.
pub(crate) unsafe fn answer(thread: NonNull<Thread>) {
    // SAFETY: as the caller promises.
    let thread = unsafe { thread.as_ref() };
    if !thread.take_request(world::REPORT) {
        return;
    }
    // SAFETY: the thread is in a builtin.
    let addresses = unsafe { trap::backtrace(thread) };
    let frames = trap::resolve_frames(thread.code(), &addresses);
    for request in take(thread.world(), thread.member()) {
        // Who has lost patience is not there any more.
        let _ = request.answer.send(frames.clone());
    }
}

/// Takes the requests to a member off the list.
fn take(world: &Arc<World>, member: MemberId) -> Vec<Request> {
    let is_to = |request: &mut Request| Arc::ptr_eq(&request.world, world) && request.member == member;
    requests().extract_if(.., is_to).collect()
}

fn requests() -> MutexGuard<'static, Vec<Request>> {
    REQUESTS.lock().unwrap_or_else(PoisonError::into_inner)
}
