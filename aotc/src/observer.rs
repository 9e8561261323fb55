//! What a compilation tells while it works: how far it is, and where the time goes.

use std::time::{Duration, Instant};

/// The stages whose time is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Sections other than the code.
    Decode,
    /// Validation of function bodies.
    Validate,
    /// What function bodies tell of the whole module.
    Scan,
    /// From operators to LLVM's IR, verified unless nothing optimises it.
    Translate,
    /// Looking for object code in the cache.
    Cache,
    /// LLVM's optimiser.
    Optimise,
    /// References become roots and addresses.
    Lower,
    /// LLVM's verifier on what was lowered.
    Verify,
    /// LLVM's optimiser on what was lowered.
    CleanUp,
    /// LLVM's code generator.
    Emit,
    /// From object files to the artifact.
    Link,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Self; 11] = [
        Self::Decode,
        Self::Validate,
        Self::Scan,
        Self::Translate,
        Self::Cache,
        Self::Optimise,
        Self::Lower,
        Self::Verify,
        Self::CleanUp,
        Self::Emit,
        Self::Link,
    ];

    /// What people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Validate => "validate",
            Self::Scan => "scan",
            Self::Translate => "translate",
            Self::Cache => "cache",
            Self::Optimise => "optimise",
            Self::Lower => "lower",
            Self::Verify => "verify",
            Self::CleanUp => "clean up",
            Self::Emit => "emit",
            Self::Link => "link",
        }
    }
}

/// Listens to a compilation; called from several threads.
pub trait Observer: Sync {
    /// Functions were finished: so many of so many by now.
    fn progress(&self, _finished: usize, _total: usize) {}

    /// A partition was finished: compiled, or taken from the cache.
    fn partition(&self, _is_cached: bool) {}

    /// A thread worked on a stage for so long.
    fn stage(&self, _stage: Stage, _time: Duration) {}
}

/// Nobody listens.
impl Observer for () {}

impl dyn Observer + '_ {
    /// Does some work of a stage and tells how long it took.
    pub(crate) fn timed<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.stage(stage, start.elapsed());
        result
    }
}
