//! Setups: ways to compile and run a module, which must all do the same.
//!
//! Each optimisation is at home in one of them: what whole-module analyses and inlining do wrong shows at `o3`, roots that
//! are missing under stress, what trusts counts too much with profiles, what a key of the cache forgets with `cache`. One
//! module is not run in all of them: a seed has `o3`, or V8, and a few others that its number tells ([`Setup::of_seed`]).

use dolmen::Collector;
use dolmen_aotc::OptLevel;
use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

/// Most that a heap may grow to, in bytes: modules that want more are told apart as such.
const HEAP_MAX_BYTES: u64 = 256 << 20;

/// A heap that few programs fit in without collections, and most with them.
const SMALL_HEAP_BYTES: u64 = 64 << 10;

/// How artifacts are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Plain,
    /// By two threads, with and without object code that is kept of earlier modules and of edits: artifacts are the same.
    Cached,
    /// With the profile of a first run, which must say the same.
    Profiled,
    /// With a profile that is wrong.
    Misled,
}

/// How a module is compiled and run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// What it is called by users.
    pub name: &'static str,
    pub opt_level: OptLevel,
    /// Code for any CPU rather than for this machine's, which has wider vectors.
    pub generic_cpu: bool,
    pub way: Way,
    pub collector: Collector,
    /// Collect at every N-th allocation, with the heap verified.
    pub gc_stress: Option<NonZeroU64>,
    pub heap_max_bytes: u64,
    pub minor_pause: Option<Duration>,
}

impl Setup {
    /// What users have who ask for nothing else.
    pub const DEFAULT: Self = Self {
        name: "o3",
        opt_level: OptLevel::O3,
        generic_cpu: false,
        way: Way::Plain,
        collector: Collector::DEFAULT,
        gc_stress: None,
        heap_max_bytes: HEAP_MAX_BYTES,
        minor_pause: None,
    };

    /// All of them, the default first.
    pub const ALL: [Self; 13] = [
        Self::DEFAULT,
        Self { name: "o0", opt_level: OptLevel::O0, ..Self::DEFAULT },
        Self { name: "o3-stress", gc_stress: NonZeroU64::new(1), ..Self::DEFAULT },
        Self { name: "profile", way: Way::Profiled, ..Self::DEFAULT },
        Self { name: "marksweep", collector: Collector::MarkSweep, gc_stress: NonZeroU64::new(3), ..Self::DEFAULT },
        Self { name: "cache", way: Way::Cached, ..Self::DEFAULT },
        Self { name: "o1", opt_level: OptLevel::O1, ..Self::DEFAULT },
        Self { name: "small-heap", heap_max_bytes: SMALL_HEAP_BYTES, ..Self::DEFAULT },
        Self { name: "misled", way: Way::Misled, gc_stress: NonZeroU64::new(5), ..Self::DEFAULT },
        Self { name: "generic-cpu", generic_cpu: true, ..Self::DEFAULT },
        Self { name: "o2-stress", opt_level: OptLevel::O2, gc_stress: NonZeroU64::new(1), ..Self::DEFAULT },
        Self { name: "null", collector: Collector::Null, ..Self::DEFAULT },
        Self {
            name: "short-pauses",
            opt_level: OptLevel::O1,
            gc_stress: NonZeroU64::new(4),
            minor_pause: Some(Duration::from_nanos(1)),
            ..Self::DEFAULT
        },
    ];

    /// The first `count` of the setups that a seed is compared in: another seed, other ones.
    pub fn of_seed(seed: u64, count: usize) -> impl Iterator<Item = Self> {
        let all = Self::ALL.len() as u64;
        (0..count as u64).map(move |index| Self::ALL[((seed % all + index * (all / 2)) % all) as usize])
    }
}

/// The name, which is enough to find the setup.
impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl FromStr for Setup {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|setup| setup.name == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|setup| setup.name).collect();
            format!("not one of the setups: {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_tell_setups_apart() {
        for setup in Setup::ALL {
            assert_eq!(setup.name.parse(), Ok(setup));
        }
    }

    #[test]
    fn seeds_in_a_row_have_all_setups() {
        let all: BTreeSet<_> = Setup::ALL.iter().map(|setup| setup.name).collect();
        for count in 1..=2 {
            let seeds = 100..100 + Setup::ALL.len() as u64;
            let names: Vec<_> = seeds.flat_map(|seed| Setup::of_seed(seed, count)).map(|setup| setup.name).collect();
            assert_eq!(names.len(), count * all.len());
            assert_eq!(names.iter().copied().collect::<BTreeSet<_>>(), all);
        }
    }
}
