//! Every knob of an engine, in one place.
//!
//! An embedder states its wishes once, in a [`Config`]; the engine keeps them, and every store that is made in
//! it follows them. Sizes are in bytes.

use dolmen_abi::collector::Collector;
use dolmen_gc_heap::options::Refused;
use std::num::{NonZeroU32, NonZeroU64};
use std::ops::Range;
use std::time::Duration;

/// Native stack of a thread that runs compiled code, unless another size is asked for.
pub const DEFAULT_MAX_STACK_BYTES: usize = 8 << 20;

/// Most that a heap grows to, unless another size is asked for.
pub const DEFAULT_HEAP_MAX_BYTES: u64 = 4 << 30;

/// How an [`Engine`](crate::Engine) and its stores behave.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) collector: Collector,
    pub(crate) heap_max_bytes: u64,
    pub(crate) heap_initial_bytes: Option<u64>,
    pub(crate) heap_soft_max_bytes: Option<u64>,
    pub(crate) heap_minor_pause: Option<Duration>,
    pub(crate) refused_heap_requests: Refused,
    pub(crate) gc_threads: Option<NonZeroU32>,
    pub(crate) gc_stress: Option<NonZeroU64>,
    pub(crate) gc_verify: bool,
    pub(crate) gc_log: bool,
    pub(crate) gc_record: bool,
    pub(crate) max_stack_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            collector: Collector::DEFAULT,
            heap_max_bytes: DEFAULT_HEAP_MAX_BYTES,
            heap_initial_bytes: None,
            heap_soft_max_bytes: None,
            heap_minor_pause: None,
            refused_heap_requests: Refused::NONE,
            gc_threads: None,
            gc_stress: None,
            gc_verify: false,
            gc_log: false,
            gc_record: false,
            max_stack_bytes: DEFAULT_MAX_STACK_BYTES,
        }
    }
}

impl Config {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Which collector the stores use.
    pub fn collector(&mut self, collector: Collector) -> &mut Self {
        self.collector = collector;
        self
    }

    /// The most that the heap of a store grows to.
    pub fn heap_max_bytes(&mut self, bytes: u64) -> &mut Self {
        self.heap_max_bytes = bytes;
        self
    }

    /// How much a store allocates before its first collection. Without it, the collector decides.
    pub fn heap_initial_bytes(&mut self, bytes: u64) -> &mut Self {
        self.heap_initial_bytes = Some(bytes);
        self
    }

    /// The size above which the heap of a store is collected earlier and compacted rather than to grow. It still grows
    /// up to [`Config::heap_max_bytes`] if the live objects need it.
    pub fn heap_soft_max_bytes(&mut self, bytes: u64) -> &mut Self {
        self.heap_soft_max_bytes = Some(bytes);
        self
    }

    /// The time after which a minor collection stops early, to go on a little later: shorter pauses, of which there are
    /// more, and more time in them altogether. Without it, each one takes as long as what survives it needs.
    pub fn heap_minor_pause(&mut self, time: Duration) -> &mut Self {
        self.heap_minor_pause = Some(time);
        self
    }

    /// Behave as if the operating system refused these of a store's requests for heap memory, which are numbered from 1:
    /// `n..n + 1` for one, `n..u64::MAX` for all from there on. For tests: whatever `n` is, what follows must be an error
    /// or a trap, not the end of the process.
    pub fn refuse_heap_requests(&mut self, numbers: Range<u64>) -> &mut Self {
        self.refused_heap_requests = Refused { from: numbers.start, to: numbers.end };
        self
    }

    /// How many threads mark a heap at most: the one that collects, and others of which the process keeps so many asleep,
    /// for all stores together, once a collection was long enough to want them. Without it, as many as there are
    /// processors, but no more than 16. With one thread there are no others, and more than 1024 are refused.
    pub fn gc_threads(&mut self, n: NonZeroU32) -> &mut Self {
        self.gc_threads = Some(n);
        self
    }

    /// Collect at every `n`-th allocation. For tests: it finds references that are not rooted. With
    /// [`Config::gc_threads`], all threads take part in each collection, however small.
    pub fn gc_stress(&mut self, n: Option<NonZeroU64>) -> &mut Self {
        self.gc_stress = n;
        self
    }

    /// Verify the whole heap before and after each collection.
    pub fn gc_verify(&mut self, verify: bool) -> &mut Self {
        self.gc_verify = verify;
        self
    }

    /// Print one line per collection on standard error.
    pub fn gc_log(&mut self, log: bool) -> &mut Self {
        self.gc_log = log;
        self
    }

    /// Keep a record of each collection and sample allocations, for [`Store::gc_report`](crate::Store::gc_report).
    pub fn gc_record(&mut self, record: bool) -> &mut Self {
        self.gc_record = record;
        self
    }

    /// Size of the native stack that compiled code, and the host functions it calls, run on.
    pub fn max_stack_bytes(&mut self, bytes: usize) -> &mut Self {
        self.max_stack_bytes = bytes;
        self
    }
}
