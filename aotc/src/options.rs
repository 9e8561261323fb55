//! All knobs of the compiler.

use crate::cache::CacheStore;
use crate::features::Features;
use dolmen_abi::collector::Collector;
use std::sync::Arc;

/// How much LLVM optimises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OptLevel {
    /// Locals in registers, nothing else: fast compilation.
    O0,
    O1,
    O2,
    #[default]
    O3,
}

impl OptLevel {
    /// The level with this number, 0 to 3.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::O0),
            1 => Some(Self::O1),
            2 => Some(Self::O2),
            3 => Some(Self::O3),
            _ => None,
        }
    }

    /// The level's number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// Which CPU the code is for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum TargetCpu {
    /// This machine's.
    #[default]
    Native,
    /// Any of the architecture that is not older than about 2009 (`x86-64-v2`).
    Generic,
    /// The one with this LLVM name.
    Named(String),
    /// Any AArch64. Its code is there to be looked at ([`Emit::LlvmIr`], [`Emit::Asm`]): the runtime does not run on it,
    /// so nothing else is made.
    AArch64,
}

/// What to make of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Emit {
    /// An artifact that the runtime loads.
    #[default]
    Artifact,
    /// The optimised LLVM IR of all partitions, as text.
    LlvmIr,
    /// Assembly of all partitions, as text.
    Asm,
    /// The ELF object of the module; only if it has one partition.
    Obj,
}

/// What to do about profiles of the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProfileMode {
    #[default]
    Off,
    /// Code that counts what it does, slower than other code.
    Count,
    /// Code made from what was counted: the content of a profile of this very module.
    Use(Vec<u8>),
}

/// How to compile.
#[derive(Clone, Debug)]
pub struct Options {
    pub opt_level: OptLevel,
    pub target_cpu: TargetCpu,
    /// Threads to compile with; it has no influence on the output. At least 1.
    pub jobs: usize,
    /// The collector whose barriers the code gets.
    pub collector: Collector,
    /// Whether loops poll for requests to stop.
    pub polls: bool,
    /// The language that modules may be written in.
    pub features: Features,
    pub emit: Emit,
    pub profile: ProfileMode,
    /// Where object code of earlier compilations is looked for and that of this one kept; it has no influence on the
    /// output.
    pub cache: Option<Arc<dyn CacheStore>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            opt_level: OptLevel::default(),
            target_cpu: TargetCpu::default(),
            jobs: std::thread::available_parallelism().map_or(1, Into::into),
            collector: Collector::DEFAULT,
            polls: true,
            features: Features::default(),
            emit: Emit::default(),
            profile: ProfileMode::default(),
            cache: None,
        }
    }
}

/// Bytes of function bodies for which one partition is enough. Partitions depend on the module alone, so that the
/// number of threads does not change the output.
pub(crate) const PARTITION_BODY_BYTES: u64 = 128 << 10;

/// Functions for which one partition is enough: LLVM's passes over the call graph take more than linear time in them.
pub(crate) const PARTITION_FUNCS: u64 = 1000;

/// How far a partition may start from where it would have the weight of the others: one part in so many of its weight.
pub(crate) const PARTITION_PLAY: u128 = 16;

/// A module of one partition has two halves for code generation if each has so many of LLVM's instructions: a thread of its
/// own pays for what it takes to start it.
pub(crate) const MIN_HALF_INSTRUCTIONS: usize = 200;

/// Copies of calls with a bonus for inlining that a function can hold, at most, if it is to gain by them
/// ([`crate::bonuses`]).
pub(crate) const MAX_BONUSES: u64 = 1024;

/// A function of another partition whose body has at most this many bytes is imported to be inlined.
pub(crate) const IMPORT_BODY_BYTES: usize = 96;

/// What an imported function calls is imported, too, if its body has at most this many bytes: a field's value, a cast
/// and a call.
pub(crate) const IMPORT_FORWARDER_BYTES: usize = 32;

/// A function with one call becomes part of its caller if both bodies together have at most this many bytes: LLVM takes
/// more than linear time in large functions.
pub(crate) const MERGED_BODY_BYTES: usize = 4096;

/// How much larger imported functions may be that a profile says are hot.
pub(crate) const IMPORT_HOT_FACTOR: usize = 12;

/// A call is compared with a function that a profile has seen there if it had one of so many calls.
pub(crate) const MIN_GUARD_SHARE: u64 = 10;

/// References that a call through a reference is compared with at most, where a field tells what it can hold.
pub(crate) const MAX_GUARDS: usize = 4;

/// The same where only the type of the function is known.
pub(crate) const MAX_GUARDS_BY_TYPE: usize = 3;

/// Constant expressions that one init function evaluates.
pub(crate) const INIT_STEPS_PER_FUNCTION: usize = 256;
