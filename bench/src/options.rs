//! The command line.

use crate::programs::{Size, Variant};
use crate::results::Settings;
use clap::Parser;
use std::path::PathBuf;

/// Time the workloads on Dolmen and on other engines, in turns.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask bench",
    max_term_width = 110,
    after_help = "Peers: base (another dolmen), node, bun, wasmtime, wasmtime-256m (heap of that size from the start), wamr, \
                  java, c. Each is found where NAME=PATH or the variable DOLMEN_BENCH_NAME says (such as \
                  DOLMEN_BENCH_NODE=/opt/node/bin/node), else on PATH; those that are missing are left out. For wasmtime, a path to a \
                  Python interpreter means its package.\n\nExit status: 0; 1 after failures or regressions; 3 when --budget ended it before \
                  all was measured: the same command with the same --json FILE goes on."
)]
pub struct Options {
    /// Peers to compare with: all, or a list of NAME or NAME=PATH with commas
    #[arg(long, value_name = "PEERS", value_delimiter = ',')]
    pub against: Vec<String>,
    /// Programs, those of ts-workloads and hello [default: all]
    #[arg(short, long = "workload", value_name = "NAME", value_delimiter = ',', num_args = 1..)]
    pub workloads: Vec<String>,
    /// Which binaries
    #[arg(long, value_enum, default_value_t)]
    pub variant: Variant,
    /// How much work a call does
    #[arg(long, value_enum, default_value_t)]
    pub size: Size,
    /// Turns of each engine; in each, one process with one call and one with more
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,
    /// Calls after the first in the second process
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub calls: u32,
    /// Before each process, touch and free so much memory, so that all find as much at hand; 0: none
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    pub warm_memory: u32,
    /// Keep every figure in FILE; if it exists, go on from there
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a page with tables and charts
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Tell what became slower than in OLD, an earlier --json file, by more than the noise
    #[arg(long, value_name = "OLD")]
    pub compare: Option<PathBuf>,
    /// Count instructions, too: of one process with one call of size small at most
    #[arg(long)]
    pub instructions: bool,
    /// Begin nothing that would end later than after this many seconds
    #[arg(long, value_name = "SECONDS")]
    pub budget: Option<f64>,
    /// Measure something else: what calls take when the heap may be 1.1, 1.25, 1.5, 2, 3 and 5 times as large as what
    /// lives in it at most [default programs: those that collect]
    #[arg(long, conflicts_with_all = ["against", "html", "compare", "instructions", "budget"])]
    pub heap_curve: bool,
    /// Draw the curves of --heap-curve
    #[arg(long, value_name = "FILE", requires = "heap_curve")]
    pub svg: Option<PathBuf>,
    /// Measure nothing: show what FILE of --json holds
    #[arg(long, requires = "json")]
    pub show: bool,
    /// The command to measure [default: the one beside this program]
    #[arg(long, value_name = "PATH")]
    pub dolmen: Option<PathBuf>,
    /// Do nothing but that; see the module `memory`
    #[arg(long, value_name = "MIB", hide = true)]
    pub touch_memory: Option<u32>,
    /// Pass to dolmen run (repeatable)
    #[arg(long = "dolmen-option", value_name = "OPTION", allow_hyphen_values = true)]
    pub run_options: Vec<String>,
    /// Pass to dolmen compile (repeatable)
    #[arg(long = "compile-option", value_name = "OPTION", allow_hyphen_values = true)]
    pub compile_options: Vec<String>,
}

impl Options {
    /// What figures depend on.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings { variant: self.variant, size: self.size, calls: self.calls, warm_mib: self.warm_memory }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn lists_have_commas_or_spaces() {
        let line = "bench --against node,java=/opt/java -w nbody script,hello --size tiny --dolmen-option --gc-log";
        let options = Options::try_parse_from(line.split(' ')).unwrap();
        assert_eq!(options.against, ["node", "java=/opt/java"]);
        assert_eq!(options.workloads, ["nbody", "script", "hello"]);
        assert_eq!((options.size, options.variant, options.runs), (Size::Tiny, Variant::Opt, 5));
        assert_eq!(options.run_options, ["--gc-log"]);
    }

    #[test]
    fn nonsense_is_refused() {
        for line in ["bench --runs 0", "bench --size huge", "bench --show", "bench nbody", "bench --svg x"] {
            assert!(Options::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
