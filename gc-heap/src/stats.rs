//! What a heap counts, and the record of one collection.
//!
//! Users tune by numbers, tests check by them. [`Stats`] are totals since the heap was made, [`Collection`] is
//! what the log prints. Counting costs nothing per object: bytes are counted when memory is handed out to a
//! mutator and corrected when its buffer comes back.

use std::fmt;
use std::time::Duration;

/// Why a collection happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The bytes allocated since the last collection reached the budget.
    Budget,
    /// Memory for an object could not be found otherwise.
    Exhausted,
    /// Allocation stress.
    Stress,
    /// The embedder or the program asked for it.
    Requested,
}

/// How much of the heap a collection looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    Minor,
    Major,
}

/// Totals since the heap was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Collections of the young objects only.
    pub minor: u64,
    /// Collections of the whole heap.
    pub major: u64,
    /// Sum of all pauses.
    pub total_pause: Duration,
    /// Longest pause.
    pub max_pause: Duration,
    /// Bytes of all objects allocated so far. What is left of a mutator's current buffer counts as allocated.
    pub allocated_bytes: u64,
    /// Bytes of the objects that survived the last collection.
    pub live_bytes: u64,
    /// Bytes of the heap region that hold objects or are kept for them; not what was given back to the system.
    pub heap_bytes: u64,
    /// Bytes of the objects that collections have moved.
    pub moved_bytes: u64,
    /// Greatest `heap_bytes` so far.
    pub peak_heap_bytes: u64,
}

/// One collection, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collection {
    /// Number of the collection in its heap, from 1.
    pub number: u64,
    pub scope: Scope,
    pub cause: Cause,
    /// False if a minor collection stopped early: it has freed nothing, and the next one goes on.
    pub is_finished: bool,
    /// Bytes in use when it began: survivors of the collection before and what was allocated since.
    pub before_bytes: u64,
    /// Bytes handed out since the last finished collection.
    pub allocated_bytes: u64,
    /// Bytes of the survivors.
    pub live_bytes: u64,
    /// See [`Stats::heap_bytes`].
    pub heap_bytes: u64,
    /// Bytes of the survivors that were moved.
    pub moved_bytes: u64,
    /// The parts of the pause.
    pub phases: Phases,
}

/// The parts of a pause, in their order; the verifier's time is in none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// Until all mutators were stopped.
    pub stop: Duration,
    /// Clearing marks and cards, or visiting what dirty cards remember.
    pub prepare: Duration,
    /// Visiting the roots.
    pub roots: Duration,
    /// Tracing from there.
    pub trace: Duration,
    /// Finding dead host objects and free memory.
    pub sweep: Duration,
    /// Moving objects out of sparse blocks.
    pub evacuate: Duration,
    /// Giving memory back to the system.
    pub release: Duration,
}

impl Phases {
    /// Names and times in order.
    #[must_use]
    pub fn list(&self) -> [(&'static str, Duration); 7] {
        let Self { stop, prepare, roots, trace, sweep, evacuate, release } = *self;
        [
            ("stop", stop),
            ("prepare", prepare),
            ("roots", roots),
            ("trace", trace),
            ("sweep", sweep),
            ("evacuate", evacuate),
            ("release", release),
        ]
    }

    /// The whole pause, from stop to resume.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.list().iter().map(|(_, time)| *time).sum()
    }
}

impl Stats {
    /// Counts a collection, and numbers it.
    pub(crate) fn count(&mut self, collection: &mut Collection) {
        match collection.scope {
            Scope::Minor => self.minor += 1,
            Scope::Major => self.major += 1,
        }
        collection.number = self.collections();
        self.moved_bytes += collection.moved_bytes;
        let pause = collection.phases.total();
        self.total_pause += pause;
        self.max_pause = self.max_pause.max(pause);
    }

    /// Number of collections of any scope.
    #[must_use]
    pub fn collections(&self) -> u64 {
        self.minor + self.major
    }
}

impl Scope {
    /// The word that the log prints.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Minor => "minor",
            Self::Major => "major",
        }
    }
}

impl Cause {
    /// The word that the log prints.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Exhausted => "exhausted",
            Self::Stress => "stress",
            Self::Requested => "requested",
        }
    }
}

impl fmt::Display for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        write!(
            f,
            "gc {} {}{} ({}): {} -> {} KiB, heap {} KiB, moved {} KiB, pause {:.3} ms (",
            self.number,
            self.scope.name(),
            if self.is_finished { "" } else { " part" },
            self.cause.name(),
            self.before_bytes >> 10,
            self.live_bytes >> 10,
            self.heap_bytes >> 10,
            self.moved_bytes >> 10,
            ms(self.phases.total()),
        )?;
        for (index, (name, time)) in self.phases.list().into_iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{name} {:.3}", ms(time))?;
        }
        f.write_str(")")
    }
}
