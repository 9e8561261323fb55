//! Who runs, who waits, who stops: the protocol between the threads of one store.
//!
//! The problem: compiled code of many threads runs at once and touches the heap without locks, but whoever changes
//! the store (a builtin, a host function, the embedder) needs it alone, and a collector needs everybody else to
//! stand still. Each *member* of a store's world is in one of these states:
//!
//! ```text
//!            acquire (waits until the store is free)
//!     ┌──────────────────────────────────────────────┐
//!     │              leave_code                      ▼
//!  running ────────────────────────────► host ──► holder ── stop ──► holder, and nobody runs
//!     ▲ ▲            enter_code           ▲ ▲        │ │  ◄─ resume ─┘
//!     │ └──────── (waits for resume) ─────┘ └────────┘ │
//!     │                                     give_up    │
//!     └────────────────────────────────────────────────┘
//!                         run
//! ```
//!
//! - **running**: in compiled code. It can be stopped only when it gets to a safepoint: a poll, or any builtin
//!   that may collect.
//! - **host**: in Rust code that does not use the store: blocked in `memory.atomic.wait` or for a descriptor, in an
//!   unlocked part of a host function, or waiting for the store. It comes back through a gate ([`World::enter_code`] or
//!   [`World::acquire`]), where it waits as long as the world is stopped. Members that wait there are *stopped*.
//! - **holder**: in Rust code that uses the store. There is at most one; it is what makes `&mut StoreInner` unique.
//!
//! To **stop the world** one must be the holder, so two requests never meet: the second waits for the first to end.
//! The holder sets [`STOP`] in the poll word of each member and waits until nobody runs; only then does
//! [`World::stop`] return. Requests nest: the world goes on after the last [`World::resume`], or when the
//! holder gives the store up (see [`World::stop_until_release`]). A member that joins meanwhile joins in the state
//! host; one that leaves counts no more. A trap or a panic leaves compiled code through a gate like any return.
//!
//! A single member can be **suspended** by anybody: [`World::suspend`] returns when the member does not run, and it
//! does not run, nor use the store, until as many [`World::resume_member`] follow.
//!
//! **Interruption** is a bit of the same poll word: it asks a member to trap.
//!
//! Ordering: all state is behind one mutex, so that whatever a member wrote before it stopped is seen by who
//! stopped it, and the other way round. Poll words are atomics that compiled code reads without order; a late read
//! only delays the stop.
//!
//! Waking costs a call of the operating system even if nobody sleeps, and a thread that is woken for nothing takes a
//! core from those who are awaited. So sleepers are counted, a stop is woken by the last member that stops, and who
//! finds the store taken looks again for as long as refilling a buffer takes before it sleeps.
//!
//! To be woken takes longer than most stops. So if there is a core for everybody who is awake, nobody sleeps at once: who
//! stops the world looks for running members to stop, and a member that is stopped *stands by*, which may be of use to
//! who has stopped it.
//!
//! As long as a store has one thread, it is the holder for ever and none of this is called.

use super::sync::{Assistant, AtomicU32, Condvar, Mutex, MutexGuard, Ordering, SPINS, STOP_SPINS, cores, spin};
use std::ptr::NonNull;

/// Bit of a poll word: the world is to stop.
pub(crate) const STOP: u32 = 1;

/// Bit of a poll word: this member is suspended.
pub(crate) const SUSPEND: u32 = 2;

/// Bit of a poll word: the member is to trap.
pub(crate) const INTERRUPT: u32 = 4;

/// Bit of a poll word: the member is to tell where it is.
pub(crate) const REPORT: u32 = 8;

/// Bit of a poll word: the member is to trap, because its time is over. Who has set the time takes it back when that does not
/// matter any more, and must not take an interruption back that has come meanwhile.
pub(crate) const TIMEOUT: u32 = 16;

/// Bits of a poll word for which the member is to trap.
pub(crate) const ENDS: u32 = INTERRUPT | TIMEOUT;

/// The address of the store, which goes from holder to holder: each gets it from the one before, so that no compiler
/// takes what the others do for impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoreAddress(pub(crate) *mut ());

// SAFETY: it is used by one holder at a time.
unsafe impl Send for StoreAddress {}

/// Where a member sleeps, and so how it is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitsAt {
    /// In `memory.atomic.wait`: the queue's address, and which entry of the queue is the member's.
    Address { address: u64, token: usize },
    /// In a host function that waits for descriptors: the one to be written to, by the system's number.
    Descriptor(i32),
}

/// What a member is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemberState {
    Running,
    Host,
    Holder,
    /// In the state host, asleep where an interruption wakes it.
    Waiting,
    /// Stopped until it is resumed.
    Suspended,
}

/// A member by its number; numbers are not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct MemberId(u64);

/// The threads of a store.
#[derive(Debug)]
pub(crate) struct World {
    state: Mutex<State>,
    /// By [`Event`].
    events: [Condvar; EVENTS],
    /// Whether there is a holder, for those who do not have the mutex.
    is_held: AtomicU32,
    /// Number of members that run, for the same.
    running: AtomicU32,
    /// Whether the world is stopped, or to stop, for the same.
    is_stopped: AtomicU32,
    /// Whether members have gone whose records are there still, for the same.
    has_gone: AtomicU32,
    assistant: Assistant,
}

/// What members sleep for.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// The store may be free.
    Free,
    /// Nobody runs any more.
    Quiet,
    /// A member that is to be suspended may have stopped running.
    Stopped,
    /// A stop or suspension has ended.
    Resumed,
}

/// Number of [`Event`]s.
const EVENTS: usize = 4;

#[derive(Debug)]
struct State {
    members: Vec<Member>,
    next_id: u64,
    holder: Option<MemberId>,
    /// As the last holder left it.
    store: StoreAddress,
    /// Number of members that run.
    running: usize,
    /// Members that stand by.
    standing_by: usize,
    /// Stops of the holder that have not ended.
    stops: usize,
    /// Whether one of them ends when the holder gives up the store.
    until_release: bool,
    /// Whether the protocol is followed: a second thread has joined.
    is_shared: bool,
    /// Whether the store is gone or going.
    is_closed: bool,
    /// Members that have left before their records were removed from the store's list.
    gone: Vec<MemberId>,
    /// How many sleep, by [`Event`]; one that was woken counts until it goes on.
    sleepers: [usize; EVENTS],
}

#[derive(Debug)]
struct Member {
    id: MemberId,
    poll: Poll,
    runs: bool,
    /// Suspensions that have not ended.
    suspended: usize,
    /// Whom to wake if the member is interrupted while it sleeps.
    waits_at: Option<WaitsAt>,
}

/// The poll word of a member.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Poll(NonNull<AtomicU32>);

// SAFETY: a poll word is an atomic that lives as long as its member.
unsafe impl Send for Poll {}

impl MemberId {
    /// The number: 0 for the first member.
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

impl Poll {
    /// # Safety
    ///
    /// The word must live until the member has left.
    pub(crate) unsafe fn new(word: NonNull<AtomicU32>) -> Self {
        Self(word)
    }

    fn set(self, bit: u32) {
        // SAFETY: the word lives, by the promise of `new`. SeqCst: who is interrupted while it goes to wait must see
        // the bit or be seen waiting.
        unsafe { self.0.as_ref() }.fetch_or(bit, Ordering::SeqCst);
    }

    fn clear(self, bit: u32) {
        // SAFETY: as above. Relaxed: a bit that is seen too long costs a call of the poll's slow path.
        unsafe { self.0.as_ref() }.fetch_and(!bit, Ordering::Relaxed);
    }
}

impl State {
    fn member(&mut self, id: MemberId) -> &mut Member {
        let index = self.members.binary_search_by_key(&id, |member| member.id);
        &mut self.members[index.expect("a member that has not left")]
    }

    fn is_suspended(&self, id: MemberId) -> bool {
        let index = self.members.binary_search_by_key(&id, |member| member.id);
        index.is_ok_and(|index| self.members[index].suspended > 0)
    }

    fn add(&mut self, poll: Poll) -> MemberId {
        let id = MemberId(self.next_id);
        self.next_id += 1;
        self.members.push(Member { id, poll, runs: false, suspended: 0, waits_at: None });
        id
    }

    /// Whether there is a core for so many more than those that run and stand by.
    fn has_cores(&self, more: usize) -> bool {
        self.running + self.standing_by + more <= cores()
    }
}

impl World {
    /// A world whose first member holds the store.
    pub(crate) fn new(poll: Poll, assistant: Assistant) -> (Self, MemberId) {
        let id = MemberId(0);
        let first = Member { id, poll, runs: false, suspended: 0, waits_at: None };
        let state = State {
            members: vec![first],
            next_id: 1,
            holder: Some(id),
            store: StoreAddress(std::ptr::null_mut()),
            running: 0,
            standing_by: 0,
            stops: 0,
            until_release: false,
            is_shared: false,
            is_closed: false,
            gone: Vec::new(),
            sleepers: [0; EVENTS],
        };
        let events = std::array::from_fn(|_| Condvar::new());
        let hint = AtomicU32::new;
        let (is_held, running, is_stopped, has_gone) = (hint(1), hint(0), hint(0), hint(0));
        (Self { state: Mutex::new(state), events, is_held, running, is_stopped, has_gone, assistant }, id)
    }

    /// Adds a member in the state host.
    pub(crate) fn join(&self, poll: Poll) -> MemberId {
        let mut state = self.lock();
        state.is_shared = true;
        state.add(poll)
    }

    /// Adds a member that is no thread of the store, unless the store is closed or its only thread follows no
    /// protocol.
    pub(crate) fn join_shared(&self, poll: Poll) -> Option<MemberId> {
        let mut state = self.lock();
        (state.is_shared && !state.is_closed).then(|| state.add(poll))
    }

    /// [`World::acquire`] from the state host, unless the store is closed before it is free.
    pub(crate) fn acquire_unless_closed(&self, id: MemberId) -> Option<StoreAddress> {
        let mut state = self.lock();
        loop {
            if state.is_closed {
                // The wake-up may have been meant for a thread that the store still waits for.
                self.wake_one(&state, Event::Free);
                return None;
            }
            if state.is_suspended(id) {
                // As above.
                self.wake_one(&state, Event::Free);
                state = self.sleep(state, Event::Resumed);
            } else if state.holder.is_none() {
                self.set_holder(&mut state, Some(id));
                return Some(state.store);
            } else {
                state = self.sleep(state, Event::Free);
            }
        }
    }

    /// Takes the store for a member that is to leave, from the state host, if it is free. If not, the member leaves, and its
    /// record is left to whoever has the store ([`World::take_gone`]): that may be the same OS thread, by another member.
    pub(crate) fn acquire_or_leave(&self, id: MemberId) -> Option<StoreAddress> {
        let mut state = self.lock();
        if state.is_closed {
            // The store that goes removes all records.
            return None;
        }
        if state.holder.is_none() {
            self.set_holder(&mut state, Some(id));
            return Some(state.store);
        }
        self.remove(&mut state, id);
        state.gone.push(id);
        // Relaxed: a hint, which the mutex backs.
        self.has_gone.store(1, Ordering::Relaxed);
        None
    }

    /// Members that have left without the store since the last call. For the holder, who removes their records.
    pub(crate) fn take_gone(&self) -> Vec<MemberId> {
        // Relaxed: a member that is not seen yet is next time.
        if self.has_gone.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        let mut state = self.lock();
        // Relaxed: as above.
        self.has_gone.store(0, Ordering::Relaxed);
        std::mem::take(&mut state.gone)
    }

    /// Lets nobody stop anything any more but the store's threads, and ends all suspensions. For the holder.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        for member in &mut state.members {
            member.suspended = 0;
            member.poll.clear(SUSPEND);
        }
        self.wake_all(&state, Event::Free);
        self.wake_all(&state, Event::Resumed);
    }

    /// Removes a member that does not run, unless it has left. If it holds the store, nobody can take it any more: the store
    /// is gone.
    pub(crate) fn leave(&self, id: MemberId) {
        let mut state = self.lock();
        self.remove(&mut state, id);
    }

    /// Takes the store, from the states running or host; waits until it is free and the member not suspended.
    pub(crate) fn acquire(&self, id: MemberId) -> StoreAddress {
        let mut state = self.lock();
        self.stop_running(&mut state, id);
        let (mut may_spin, mut may_stand_by) = (true, true);
        loop {
            if state.is_suspended(id) {
                // The wake-up that came here may have been meant for whoever can use it.
                self.wake_one(&state, Event::Free);
                state = self.sleep(state, Event::Resumed);
            } else if state.holder.is_none() {
                self.set_holder(&mut state, Some(id));
                return state.store;
            } else if std::mem::take(&mut may_spin) && state.stops == 0 {
                drop(state);
                Self::spin_while(&self.is_held, SPINS);
                state = self.lock();
            } else if std::mem::take(&mut may_stand_by) && state.stops > 0 && state.has_cores(2) {
                state = self.stand_by(state);
            } else {
                state = self.sleep(state, Event::Free);
            }
        }
    }

    /// Gives up the store and enters compiled code; waits if the member is suspended.
    pub(crate) fn run(&self, id: MemberId, store: StoreAddress) {
        let mut state = self.lock();
        self.release(&mut state, id, store);
        let state = self.start_running(state, id);
        self.wake_one(&state, Event::Free);
    }

    /// Gives up the store and stays in host code.
    pub(crate) fn give_up(&self, id: MemberId, store: StoreAddress) {
        let mut state = self.lock();
        self.release(&mut state, id, store);
        self.wake_one(&state, Event::Free);
    }

    /// From running to host, without the store.
    pub(crate) fn leave_code(&self, id: MemberId) {
        let mut state = self.lock();
        self.stop_running(&mut state, id);
    }

    /// From host to running; waits while the world is stopped or the member suspended.
    pub(crate) fn enter_code(&self, id: MemberId) {
        let state = self.lock();
        drop(self.start_running(state, id));
    }

    /// Answers a poll: stops until the world goes on and the member is not suspended.
    pub(crate) fn pause(&self, id: MemberId) {
        let mut state = self.lock();
        self.stop_running(&mut state, id);
        drop(self.start_running(state, id));
    }

    /// Stops the world; returns when no member runs. For the holder only.
    pub(crate) fn stop(&self, id: MemberId) {
        let state = self.lock();
        self.stop_locked(state, id);
    }

    /// Stops the world, unless it stands still already, until the holder gives the store up.
    pub(crate) fn stop_until_release(&self, id: MemberId) {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.until_release, true) {
            self.stop_locked(state, id);
        }
    }

    /// Ends a [`World::stop`].
    pub(crate) fn resume(&self, id: MemberId) {
        let mut state = self.lock();
        assert!(state.holder == Some(id), "the holder resumes");
        self.end_stop(&mut state);
    }

    /// Suspends a member; returns when it does not run. `false` if it has left, the store is closed, or its only thread follows
    /// no protocol: that one looks at no gate.
    pub(crate) fn suspend(&self, id: MemberId) -> bool {
        let mut state = self.lock();
        if state.is_closed || !state.is_shared || !state.members.iter().any(|member| member.id == id) {
            return false;
        }
        let member = state.member(id);
        member.suspended += 1;
        member.poll.set(SUSPEND);
        loop {
            match state.members.iter().find(|member| member.id == id) {
                None => return false,
                Some(member) if !member.runs => return true,
                Some(_) => state = self.sleep(state, Event::Stopped),
            }
        }
    }

    /// Ends a [`World::suspend`]; `false` if the member was not suspended, or has left.
    pub(crate) fn resume_member(&self, id: MemberId) -> bool {
        let mut state = self.lock();
        let Some(member) = state.members.iter_mut().find(|member| member.id == id && member.suspended > 0) else {
            return false;
        };
        member.suspended -= 1;
        if member.suspended == 0 {
            member.poll.clear(SUSPEND);
        }
        self.wake_all(&state, Event::Resumed);
        true
    }

    /// Asks all members to trap; tells of each that sleeps where, so that it can be woken.
    pub(crate) fn interrupt(&self, wake: &mut dyn FnMut(WaitsAt)) {
        let state = self.lock();
        for member in &state.members {
            member.poll.set(INTERRUPT);
            member.waits_at.iter().for_each(|&waits_at| wake(waits_at));
        }
    }

    /// [`World::interrupt`] for one member; `false` if it has left.
    pub(crate) fn interrupt_member(&self, id: MemberId, wake: &mut dyn FnMut(WaitsAt)) -> bool {
        self.end_member(id, INTERRUPT, wake)
    }

    /// Asks a member to trap because its time is over; `false` if it has left.
    pub(crate) fn time_out_member(&self, id: MemberId, wake: &mut dyn FnMut(WaitsAt)) -> bool {
        self.end_member(id, TIMEOUT, wake)
    }

    fn end_member(&self, id: MemberId, request: u32, wake: &mut dyn FnMut(WaitsAt)) -> bool {
        let state = self.lock();
        let Some(member) = state.members.iter().find(|member| member.id == id) else { return false };
        member.poll.set(request);
        member.waits_at.iter().for_each(|&waits_at| wake(waits_at));
        true
    }

    /// Notes where a member is going to sleep, or that it is awake. It must look at its poll word between this and
    /// sleeping, under the lock that waking takes.
    pub(crate) fn set_waits_at(&self, id: MemberId, waits_at: Option<WaitsAt>) {
        self.lock().member(id).waits_at = waits_at;
    }

    /// Asks a member to tell where it is; `false` if it has left.
    pub(crate) fn request_report(&self, id: MemberId) -> bool {
        let state = self.lock();
        let member = state.members.iter().find(|member| member.id == id);
        member.inspect(|member| member.poll.set(REPORT)).is_some()
    }

    /// All members with what they are doing, oldest first. The only member of a world is its holder all the time.
    pub(crate) fn states(&self) -> Vec<(MemberId, MemberState)> {
        let state = self.lock();
        let of = |member: &Member| match member {
            _ if member.waits_at.is_some() => MemberState::Waiting,
            _ if state.holder == Some(member.id) => MemberState::Holder,
            _ if member.runs => MemberState::Running,
            _ if member.suspended > 0 => MemberState::Suspended,
            _ => MemberState::Host,
        };
        state.members.iter().map(|member| (member.id, of(member))).collect()
    }

    /// All members, oldest first.
    pub(crate) fn members(&self) -> Vec<MemberId> {
        self.lock().members.iter().map(|member| member.id).collect()
    }

    fn remove(&self, state: &mut State, id: MemberId) {
        state.members.retain(|member| {
            assert!(member.id != id || !member.runs, "a member leaves that does not run");
            member.id != id
        });
        // Who waits for it to stop need not wait any longer.
        self.wake_all(state, Event::Stopped);
    }

    fn release(&self, state: &mut State, id: MemberId, store: StoreAddress) {
        assert!(state.holder == Some(id), "the holder gives up the store");
        if std::mem::take(&mut state.until_release) {
            self.end_stop(state);
        }
        assert!(state.stops == 0, "the world is resumed before the store is given up");
        self.set_holder(state, None);
        state.store = store;
    }

    fn stop_running(&self, state: &mut State, id: MemberId) {
        if state.member(id).runs {
            self.set_runs(state, id, false);
            self.wake_all(state, Event::Stopped);
            if state.running == 0 {
                self.wake_all(state, Event::Quiet);
            }
        }
    }

    fn start_running<'s>(&'s self, mut state: MutexGuard<'s, State>, id: MemberId) -> MutexGuard<'s, State> {
        let mut may_stand_by = true;
        while state.stops > 0 || state.is_suspended(id) {
            // The store was given up before the wait: somebody else may take it.
            self.wake_one(&state, Event::Free);
            // One core is the holder's, who has stopped the world.
            if std::mem::take(&mut may_stand_by) && !state.is_suspended(id) && state.has_cores(2) {
                state = self.stand_by(state);
            } else {
                state = self.sleep(state, Event::Resumed);
            }
        }
        self.set_runs(&mut state, id, true);
        state
    }

    /// Waits for the stopped world to go on, but not for long.
    fn stand_by<'s>(&'s self, mut state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        state.standing_by += 1;
        drop(state);
        // Relaxed: a hint, which the mutex backs.
        self.assistant.stand_by(|| self.is_stopped.load(Ordering::Relaxed) == 0);
        let mut state = self.lock();
        state.standing_by -= 1;
        state
    }

    fn stop_locked<'s>(&'s self, mut state: MutexGuard<'s, State>, id: MemberId) {
        assert!(state.holder == Some(id), "the holder stops the world");
        state.stops += 1;
        if state.stops == 1 {
            state.members.iter().filter(|member| member.id != id).for_each(|member| member.poll.set(STOP));
            // Relaxed: see `stand_by`.
            self.is_stopped.store(1, Ordering::Relaxed);
        }
        if state.running > 0 && state.has_cores(1) {
            drop(state);
            Self::spin_while(&self.running, STOP_SPINS);
            state = self.lock();
        }
        while state.running > 0 {
            state = self.sleep(state, Event::Quiet);
        }
    }

    /// Ends one stop.
    fn end_stop(&self, state: &mut State) {
        state.stops = state.stops.checked_sub(1).expect("a stop to end");
        if state.stops == 0 {
            state.members.iter().for_each(|member| member.poll.clear(STOP));
            // Relaxed: see `stand_by`.
            self.is_stopped.store(0, Ordering::Relaxed);
            self.wake_all(state, Event::Resumed);
        }
    }

    fn set_runs(&self, state: &mut State, id: MemberId, runs: bool) {
        let member = state.member(id);
        if std::mem::replace(&mut member.runs, runs) != runs {
            state.running = if runs { state.running + 1 } else { state.running - 1 };
            // Relaxed: a hint, which the mutex backs.
            self.running.store(state.running as u32, Ordering::Relaxed);
        }
    }

    fn set_holder(&self, state: &mut State, holder: Option<MemberId>) {
        state.holder = holder;
        // Relaxed: a hint, which the mutex backs.
        self.is_held.store(holder.is_some().into(), Ordering::Relaxed);
    }

    /// Waits until a hint is 0, but not for long.
    fn spin_while(hint: &AtomicU32, spins: u32) {
        for n in 0..spins {
            // Relaxed: see `set_holder`, `set_runs`.
            if hint.load(Ordering::Relaxed) == 0 {
                break;
            }
            spin(n);
        }
    }

    fn sleep<'s>(&self, mut state: MutexGuard<'s, State>, event: Event) -> MutexGuard<'s, State> {
        state.sleepers[event as usize] += 1;
        let slept = self.events[event as usize].wait(state);
        let mut state = slept.unwrap_or_else(|poisoned| poisoned.into_inner());
        state.sleepers[event as usize] -= 1;
        state
    }

    fn wake_one(&self, state: &State, event: Event) {
        if state.sleepers[event as usize] > 0 {
            self.events[event as usize].notify_one();
        }
    }

    fn wake_all(&self, state: &State, event: Event) {
        if state.sleepers[event as usize] > 0 {
            self.events[event as usize].notify_all();
        }
    }

    /// The mutex is poisoned only by a failed assertion above, which is a bug already reported.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
