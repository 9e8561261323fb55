//! What the collector of a store did, collection by collection, and a page that shows it.
//!
//! Totals hide what hurts: one long pause among a thousand short ones, a heap that grows step by step, a type that
//! nobody thought was allocated so often. An engine that was told to ([`Config::gc_record`](crate::Config::gc_record))
//! keeps a record of each collection and samples which types are allocated; [`Store::gc_report`](crate::Store::gc_report)
//! adds a census of what lives, and [`GcReport::write_html`] makes a page of it: plots, percentiles, tables, in one
//! file that needs neither a network nor a server.
//!
//! | module | what it does |
//! |---|---|
//! | `recorder` | keeps the records while the program runs |
//! | `analysis` | percentiles, rates, utilisation |
//! | `plot` | curves and dots as SVG |
//! | `page` | the page |

mod analysis;
mod page;
mod plot;
mod recorder;

pub(crate) use recorder::Recorder;

use crate::error::Error;
use crate::store::{self, GcStats, StoreInner, TypeCensus};
use std::io::{self, Write};
use std::time::Duration;

/// One collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GcCollection {
    /// When its pause began, from when the store was made.
    pub start: Duration,
    /// Whether it looked at the whole heap.
    pub is_major: bool,
    /// Why it happened.
    pub cause: &'static str,
    /// The parts of the pause, in order.
    pub phases: Vec<(&'static str, Duration)>,
    /// Bytes in use when it began.
    pub before_bytes: u64,
    /// Bytes handed out since the collection before.
    pub allocated_bytes: u64,
    /// Bytes of the survivors.
    pub live_bytes: u64,
    /// Bytes of the heap that hold objects or are kept for them.
    pub heap_bytes: u64,
    /// Bytes of the survivors that were moved, to make the heap compact.
    pub moved_bytes: u64,
}

impl GcCollection {
    /// How long the program stood still.
    #[must_use]
    pub fn pause(&self) -> Duration {
        self.phases.iter().map(|(_, time)| *time).sum()
    }
}

/// Everything that was recorded of a store.
#[derive(Clone, Debug)]
pub struct GcReport {
    pub(crate) collections: Vec<GcCollection>,
    /// Collections beyond the number that is kept.
    pub(crate) omitted: u64,
    pub(crate) allocation: Vec<TypeCensus>,
    pub(crate) live: Vec<TypeCensus>,
    pub(crate) run: Duration,
    pub(crate) stats: GcStats,
    pub(crate) collector: &'static str,
}

impl GcReport {
    /// What a store's recorder holds, if it has one, with a census.
    pub(crate) fn of(store: &mut StoreInner) -> Result<Option<Self>, Error> {
        let Some(recorder) = &store.recorder else { return Ok(None) };
        // The census is no part of the run.
        let run = recorder.elapsed();
        let (collections, omitted, samples) = recorder.parts();
        let allocation = store::by_name(store, samples);
        let stats = store.gc_stats();
        let collector = store.engine.config().collector.name();
        let live = store::census(store)?;
        Ok(Some(Self { collections, omitted, allocation, live, run, stats, collector }))
    }

    /// The collections in order, up to a number beyond which only totals are kept.
    #[must_use]
    pub fn collections(&self) -> &[GcCollection] {
        &self.collections
    }

    /// What was allocated by type, estimated: each time a thread has used up its piece of memory, the next piece is
    /// counted for the type whose allocation did not fit any more. Large objects do not fit more often, in proportion to
    /// their size, so the sums are right on average; `objects` is the number of samples.
    #[must_use]
    pub fn allocation(&self) -> &[TypeCensus] {
        &self.allocation
    }

    /// What is reachable now, by type.
    #[must_use]
    pub fn live(&self) -> &[TypeCensus] {
        &self.live
    }

    /// The least share of any window of this length, since the store was made, in which the program could run
    /// ("minimum mutator utilisation").
    #[must_use]
    pub fn min_utilisation(&self, window: Duration) -> f64 {
        analysis::Pauses::of(self).min_utilisation(window.as_secs_f64())
    }

    /// Writes a page with all of it.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn write_html(&self, title: &str, out: &mut dyn Write) -> io::Result<()> {
        page::write(self, title, out)
    }
}
