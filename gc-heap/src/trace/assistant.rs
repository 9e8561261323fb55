//! Assistants: mutators that stand still, and mark meanwhile.
//!
//! A minor collection mostly takes some tenths of a millisecond. A helper of the [`crew`] that is woken for it
//! comes when it is over; and a mutator that sleeps until it is over loses as much again, since to be woken takes longer
//! than to be stopped. So a mutator that was stopped, and has a core, *stands by* for a while: it watches for a session of
//! the heap's team, takes part, and sees at once when the world goes on.

use super::crew;
use super::sync::spin;
use super::{MarkStack, MarkTeam};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an assistant watches with nothing to do: some times what waking it takes.
const STAND_BY_TIME: Duration = Duration::from_micros(300);

/// A mutator's part in the collections of its heap.
#[derive(Clone)]
pub struct Assistant {
    team: Arc<MarkTeam>,
}

impl Assistant {
    /// One of the heap with this team.
    pub fn new(team: &Arc<MarkTeam>) -> Self {
        Self { team: Arc::clone(team) }
    }

    /// Takes part in collections until `is_over`, or there was nothing to do for long. The calling mutator is stopped.
    pub fn stand_by(&self, is_over: impl Fn() -> bool) {
        let has_place = self.team.stand_by();
        let mut stack = MarkStack::new(0);
        let mut last_work = Instant::now();
        let mut looks = 0;
        while !is_over() && last_work.elapsed() < STAND_BY_TIME {
            if has_place && self.team.is_open() && crew::take_part(&self.team, &mut stack) > 0 {
                last_work = Instant::now();
            }
            spin(looks);
            looks += 1;
        }
        if has_place {
            self.team.stand_down();
        }
    }
}

impl Default for Assistant {
    /// One of no heap, which only waits.
    fn default() -> Self {
        Self { team: Arc::new(MarkTeam::new(0, false)) }
    }
}

impl fmt::Debug for Assistant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Assistant")
    }
}
