//! Which scripts run in which configurations.

use dolmen::Collector;
use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;

/// How scripts are compiled and run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configuration {
    pub opt_level: u8,
    pub collector: Collector,
    /// Threads that mark at most.
    pub gc_threads: Option<NonZeroU32>,
    /// Collect at every N-th allocation; the heap is verified then, too.
    pub gc_stress: Option<NonZeroU64>,
}

/// A set of scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// WebAssembly 3.0, and our own scripts.
    Core,
    /// Scripts about references, and our own.
    References,
    /// All that there are.
    All,
}

/// A pass over scripts.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub selection: Selection,
    pub configuration: Configuration,
}

/// The command line.
#[derive(Debug)]
pub struct Arguments {
    filters: Vec<String>,
    runs: Vec<Run>,
    pub jobs: usize,
}

/// Variable that asks for the long tests, too.
const ALL_TESTS_VARIABLE: &str = "DOLMEN_TEST_ALL";

const PLAIN: Configuration =
    Configuration { opt_level: 2, collector: Collector::DEFAULT, gc_threads: None, gc_stress: None };

/// Threads of a heap that several mark, whatever the machine has.
const SEVERAL_THREADS: u32 = 3;

/// The runs that every change must pass.
pub fn usual() -> Vec<Run> {
    let stress = Configuration { gc_stress: NonZeroU64::new(1), ..PLAIN };
    vec![
        Run { selection: Selection::Core, configuration: PLAIN },
        Run { selection: Selection::Core, configuration: Configuration { opt_level: 0, ..PLAIN } },
        Run { selection: Selection::References, configuration: stress },
    ]
}

/// Every selection in every configuration.
fn all() -> Vec<Run> {
    let mut runs = Vec::new();
    for opt_level in [0, 3] {
        for &(_, collector) in Collector::NAMES {
            runs.push(Configuration { opt_level, collector, ..PLAIN });
        }
        for gc_threads in [None, NonZeroU32::new(SEVERAL_THREADS)] {
            runs.push(Configuration { opt_level, gc_threads, gc_stress: NonZeroU64::new(1), ..PLAIN });
        }
    }
    runs.into_iter().map(|configuration| Run { selection: Selection::All, configuration }).collect()
}

impl Arguments {
    /// Reads the command line.
    pub fn parse(args: &[String]) -> Result<Self, String> {
        let (mut filters, mut chosen, mut everything) =
            (Vec::new(), None, std::env::var_os(ALL_TESTS_VARIABLE).is_some());
        let mut jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            let configuration = || chosen.unwrap_or(PLAIN);
            match arg.as_str() {
                "--all" => everything = true,
                "--jobs" => jobs = number(value()?)?,
                "--opt" => chosen = Some(Configuration { opt_level: number(value()?)?, ..configuration() }),
                "--gc" => chosen = Some(Configuration { collector: collector(value()?)?, ..configuration() }),
                "--gc-threads" => {
                    chosen = Some(Configuration { gc_threads: Some(number(value()?)?), ..configuration() })
                }
                "--stress" => chosen = Some(Configuration { gc_stress: Some(number(value()?)?), ..configuration() }),
                // Cargo passes libtest's options to every runner.
                option if option.starts_with('-') => eprintln!("{option} has no meaning here"),
                filter => filters.push(filter.to_owned()),
            }
        }
        let runs = match (chosen, everything) {
            (Some(configuration), all) => {
                let selection = if all || !filters.is_empty() { Selection::All } else { Selection::Core };
                vec![Run { selection, configuration }]
            }
            (None, true) => all(),
            (None, false) => usual(),
        };
        Ok(Self { filters, runs, jobs })
    }

    /// The filters, taken as names.
    pub fn names(&self) -> &[String] {
        &self.filters
    }

    /// The runs that were asked for.
    pub fn runs(&self) -> impl Iterator<Item = Run> {
        self.runs.iter().copied()
    }

    /// Whether a script of this name was asked for.
    pub fn wants(&self, name: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter.as_str()))
    }
}

fn number<T: FromStr>(text: &String) -> Result<T, String> {
    text.parse().map_err(|_| format!("not a number of the right size: {text}"))
}

fn collector(name: &String) -> Result<Collector, String> {
    Collector::from_name(name).ok_or_else(|| format!("no such collector: {name}"))
}

/// The options that choose the configuration, as they are written on the command line.
impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--opt {} --gc {}", self.opt_level, self.collector.name())?;
        if let Some(threads) = self.gc_threads {
            write!(f, " --gc-threads {threads}")?;
        }
        self.gc_stress.map_or(Ok(()), |stress| write!(f, " --stress {stress}"))
    }
}
