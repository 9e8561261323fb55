//! The team: how the threads that mark a heap share work, and how they know that none is left.
//!
//! One thread *leads*: the one that collects. *Helpers* join when they come, and leave when there is nothing to do; the
//! leader never waits for one that has not come, since on a busy machine it may come late or not at all. Each member
//! works on what it has for itself, without locks; a member that has plenty *offers* a parcel when another is hungry.
//!
//! ```text
//! session:  closed ──open──► open ──close──► closing ──(no helper is left)──► closed
//!
//! member:              ┌──────── take: a parcel ─────────┐
//!                      ▼                                 │
//!   (away) ──join──► busy ──────────── take ─────────► hungry ──(helper: impatient, or closing)──► (away)
//!           leader: ──open──►                            │
//!                      ▲                                 │
//!                      └─ leader: nobody else is busy, ──┘
//!                         no parcel is left: *all is done*
//! ```
//!
//! **Nothing is lost.** A member becomes hungry only when it has no work, parcels are made by busy members only, and
//! all of this happens under one lock. So when nobody is busy and there is no parcel, there is no work anywhere, and
//! none can arise. That is found by whoever becomes hungry last, and told to the leader, who alone is busy again then:
//! it may make new work, or close. What members did before they became hungry happened before that.
//!
//! **Nothing outlives the session.** A helper has the job only between `join` and the end of the `take` that returns
//! nothing; [`Team::close`] returns when no helper is in between.
//!
//! **Standing by.** Who has nothing to do but to wait for the end of the collection keeps a place and watches for a session
//! ([`Team::stand_by`]). It joins sooner than one that must be woken.
//!
//! **Waiting.** Hungry members look at a counter of news without the lock. A helper that has looked [`PATIENCE`] times
//! leaves; the leader sleeps, and is woken by parcels, by the end of all work, and by helpers that leave.
//!
//! The hints that busy members read ([`Team::wants`], [`Team::has_places`]) may be late. An offer is checked under the
//! lock, so there are never more parcels than hungry members when one is made; when they have left, parcels wait for the
//! next hungry member, at the latest the leader.
//!
//! `tests/team_model.rs` checks all this under `loom`.

use super::sync::{AtomicU32, Condvar, Mutex, MutexGuard, Ordering, PATIENCE, spin};

/// Threads that work on jobs `J` (copied to each member) and share them as parcels `T`.
pub struct Team<J, T> {
    /// Helpers at most.
    places: u32,
    /// Whether hungry helpers wait for the end of the session: so tests have many threads at work in small heaps.
    is_patient: bool,
    state: Mutex<State<J, T>>,
    /// Where the leader sleeps.
    leader: Condvar,
    /// Changes when a hungry member may find something new.
    news: AtomicU32,
    /// Hungry members for whom there is no parcel.
    hungry: AtomicU32,
    /// Helpers that were called and have not left, and those that stand by.
    called: AtomicU32,
    /// Those that stand by.
    standing_by: AtomicU32,
    /// 1 while a session is open.
    is_open: AtomicU32,
}

struct State<J, T> {
    job: Option<J>,
    is_closing: bool,
    parcels: Vec<T>,
    busy: u32,
    hungry: u32,
    /// Helpers among the busy and the hungry.
    helpers: u32,
}

/// What a member does with nothing in its hands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Leader,
    Helper,
}

impl<J: Copy, T> Team<J, T> {
    /// A team with room for so many helpers. Patient ones stay to the end of a session.
    pub fn new(places: u32, is_patient: bool) -> Self {
        let parcels = Vec::with_capacity(places as usize + 1);
        let state = State { job: None, is_closing: false, parcels, busy: 0, hungry: 0, helpers: 0 };
        Self {
            places,
            is_patient,
            state: Mutex::new(state),
            leader: Condvar::new(),
            news: AtomicU32::new(0),
            hungry: AtomicU32::new(0),
            called: AtomicU32::new(0),
            standing_by: AtomicU32::new(0),
            is_open: AtomicU32::new(0),
        }
    }

    /// Helpers at most.
    pub fn places(&self) -> u32 {
        self.places
    }

    /// Whether hungry helpers wait for the end of the session.
    pub fn is_patient(&self) -> bool {
        self.is_patient
    }

    /// Begins a session; the calling thread leads it and is busy.
    pub fn open(&self, job: J) {
        let mut state = self.lock();
        debug_assert!(state.job.is_none() && state.helpers == 0);
        state.job = Some(job);
        state.busy = 1;
        // A hint: who joins takes the lock.
        self.is_open.store(1, Ordering::Relaxed);
    }

    /// Becomes a busy helper, if a session is open. The job must not be used after [`Team::take`] returned nothing.
    pub fn join(&self) -> Option<J> {
        let mut state = self.lock();
        let job = state.job.filter(|_| !state.is_closing)?;
        state.busy += 1;
        state.helpers += 1;
        Some(job)
    }

    /// Keeps a place for the caller, which watches for a session; false if all are taken. It must be followed by
    /// [`Team::stand_down`].
    pub fn stand_by(&self) -> bool {
        let has_place = self.reserve_place();
        // A hint for who would call others.
        self.standing_by.fetch_add(has_place.into(), Ordering::Relaxed);
        has_place
    }

    /// Gives up what [`Team::stand_by`] kept.
    pub fn stand_down(&self) {
        // As above.
        self.standing_by.fetch_sub(1, Ordering::Relaxed);
        self.dismiss();
    }

    /// Whether somebody stands by.
    pub fn has_assistants(&self) -> bool {
        // As above.
        self.standing_by.load(Ordering::Relaxed) > 0
    }

    /// Whether a session may be open.
    #[inline]
    pub fn is_open(&self) -> bool {
        // A hint, as in `open`.
        self.is_open.load(Ordering::Relaxed) != 0
    }

    /// Helpers that are in the session now.
    pub fn helpers(&self) -> u32 {
        self.lock().helpers
    }

    /// Whether an offer may be welcome.
    #[inline]
    pub fn wants(&self) -> bool {
        // A hint: what it leads to is checked under the lock.
        self.hungry.load(Ordering::Relaxed) > 0
    }

    /// Whether another helper may be called.
    #[inline]
    pub fn has_places(&self) -> bool {
        // A hint, as above.
        self.called.load(Ordering::Relaxed) < self.places
    }

    /// Notes that a helper is called; false if all are. It must be followed by [`Team::dismiss`] one day.
    pub fn reserve_place(&self) -> bool {
        // The count guards nothing but itself.
        let added = self
            .called
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |called| (called < self.places).then_some(called + 1));
        added.is_ok()
    }

    /// A helper that was called has come and gone, or will not come.
    pub fn dismiss(&self) {
        // As above.
        self.called.fetch_sub(1, Ordering::Relaxed);
    }

    /// Offers what `make` makes, if a member is hungry. The caller is busy.
    pub fn offer(&self, make: impl FnOnce() -> Option<T>) {
        let mut state = self.lock();
        if state.parcels.len() >= state.hungry as usize {
            return;
        }
        let Some(parcel) = make() else { return };
        state.parcels.push(parcel);
        self.tell(&state);
    }

    /// The leader has no work left: takes a parcel, waiting for one while others are busy. `None` when all is done; the
    /// leader is busy either way.
    pub fn take(&self) -> Option<T> {
        self.take_as(Role::Leader)
    }

    /// A helper has no work left: takes a parcel, or leaves the session.
    pub fn take_or_leave(&self) -> Option<T> {
        self.take_as(Role::Helper)
    }

    /// Ends the session when the last helper has left it. Parcels that are left are dropped: there are none unless the
    /// leader gives up.
    pub fn close(&self) {
        let mut state = self.lock();
        state.is_closing = true;
        // A hint, as in `open`.
        self.is_open.store(0, Ordering::Relaxed);
        self.tell(&state);
        let mut looks = 0;
        while state.helpers > 0 {
            state = self.wait(state, &mut looks);
        }
        (state.job, state.is_closing, state.busy, state.hungry) = (None, false, 0, 0);
        state.parcels.clear();
        self.hint(&state);
    }

    fn take_as(&self, role: Role) -> Option<T> {
        let mut state = self.lock();
        state.busy -= 1;
        state.hungry += 1;
        if state.busy == 0 {
            self.tell(&state);
        }
        let mut looks = 0;
        loop {
            self.hint(&state);
            if !state.is_closing
                && let Some(parcel) = state.parcels.pop()
            {
                state.hungry -= 1;
                state.busy += 1;
                self.hint(&state);
                return Some(parcel);
            }
            let is_impatient = looks >= PATIENCE && !self.is_patient;
            match role {
                Role::Leader if state.busy == 0 => {
                    state.hungry -= 1;
                    state.busy = 1;
                    self.hint(&state);
                    return None;
                }
                Role::Helper if state.is_closing || is_impatient => {
                    state.hungry -= 1;
                    state.helpers -= 1;
                    self.tell(&state);
                    return None;
                }
                Role::Leader => state = self.wait(state, &mut looks),
                Role::Helper => {
                    state = self.look(state, &mut looks);
                    looks %= if self.is_patient { PATIENCE } else { u32::MAX };
                }
            }
        }
    }

    /// Waits for news without the lock, not much longer than patience allows.
    fn look<'a>(&'a self, state: MutexGuard<'a, State<J, T>>, looks: &mut u32) -> MutexGuard<'a, State<J, T>> {
        // The counter is written under the lock, which is taken before anything is done about the news.
        let seen = self.news.load(Ordering::Relaxed);
        drop(state);
        loop {
            spin(*looks);
            *looks += 1;
            if self.news.load(Ordering::Relaxed) != seen || *looks >= PATIENCE {
                return self.lock();
            }
        }
    }

    /// Waits for news, patience or not: looks first, then sleeps.
    fn wait<'a>(&'a self, state: MutexGuard<'a, State<J, T>>, looks: &mut u32) -> MutexGuard<'a, State<J, T>> {
        if *looks < PATIENCE {
            return self.look(state, looks);
        }
        self.leader.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Lets hungry members and the leader know that something has changed.
    fn tell(&self, state: &State<J, T>) {
        // As in `look`.
        self.news.fetch_add(1, Ordering::Relaxed);
        self.hint(state);
        self.leader.notify_one();
    }

    fn hint(&self, state: &State<J, T>) {
        // Hints need no order.
        self.hungry.store(state.hungry.saturating_sub(state.parcels.len() as u32), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State<J, T>> {
        // Counters and lists are whole between any two statements that can panic.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
