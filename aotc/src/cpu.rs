//! Which CPU features code may use.
//!
//! The artifact records them and the loader checks each, so only features that a program can ask its CPU for are
//! ever used. A CPU name gives a *level* of the x86-64 architecture (its psABI's v1 to v4) and what to tune for;
//! `native` is the features of this machine.

use crate::error::CompileError;
use crate::llvm;
use crate::options::TargetCpu;
use std::ffi::CStr;

/// The architecture that code is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arch {
    /// This machine's.
    X86_64,
    AArch64,
}

impl Arch {
    /// The target's name for LLVM; none for this machine's.
    pub(crate) fn triple(self) -> Option<&'static CStr> {
        match self {
            Self::X86_64 => None,
            Self::AArch64 => Some(c"aarch64-unknown-linux-gnu"),
        }
    }

    /// Whether other cores see one core's stores in their order.
    pub(crate) fn keeps_store_order(self) -> bool {
        self == Self::X86_64
    }
}

/// What LLVM is told of the target.
#[derive(Clone, Debug)]
pub(crate) struct Cpu {
    pub(crate) arch: Arch,
    /// LLVM's CPU whose instructions are the baseline.
    pub(crate) base: &'static str,
    /// LLVM's CPU to tune for.
    pub(crate) tune: String,
    /// Features beyond the baseline, sorted.
    pub(crate) features: Vec<String>,
}

const V2: &[&str] = &["cx16", "popcnt", "sse3", "sse4.1", "sse4.2", "ssse3"];
const V3: &[&str] = &["avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"];
const V4: &[&str] = &["avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"];

/// CPU names with the level that they have at least.
const NAMES: &[(&str, usize)] = &[
    ("x86-64", 1),
    ("x86-64-v2", 2),
    ("x86-64-v3", 3),
    ("x86-64-v4", 4),
    ("nehalem", 2),
    ("westmere", 2),
    ("sandybridge", 2),
    ("ivybridge", 2),
    ("haswell", 3),
    ("broadwell", 3),
    ("skylake", 3),
    ("alderlake", 3),
    ("raptorlake", 3),
    ("meteorlake", 3),
    ("skylake-avx512", 4),
    ("cascadelake", 4),
    ("icelake-client", 4),
    ("icelake-server", 4),
    ("tigerlake", 4),
    ("sapphirerapids", 4),
    ("graniterapids", 4),
    ("znver1", 3),
    ("znver2", 3),
    ("znver3", 3),
    ("znver4", 4),
    ("znver5", 4),
];

impl Cpu {
    /// What an option stands for.
    ///
    /// # Errors
    ///
    /// The name is none of an x86-64 CPU.
    pub(crate) fn resolve(target: &TargetCpu) -> Result<Self, CompileError> {
        match target {
            TargetCpu::Native => Ok(Self::native()),
            TargetCpu::Generic => Ok(Self::of_level(2, "generic")),
            TargetCpu::AArch64 => {
                Ok(Self { arch: Arch::AArch64, base: "generic", tune: "generic".to_owned(), features: vec![] })
            }
            TargetCpu::Named(name) => match NAMES.iter().find(|(known, _)| known == name) {
                Some(&(_, level)) => {
                    Ok(Self::of_level(level, if name.starts_with("x86-64") { "generic" } else { name }))
                }
                None => Err(CompileError::UnknownCpu(name.clone())),
            },
        }
    }

    fn of_level(level: usize, tune: &str) -> Self {
        let features = [V2, V3, V4][..level - 1].concat();
        Self::new(tune.to_owned(), features.into_iter().map(str::to_owned).collect())
    }

    fn native() -> Self {
        let host = llvm::host_features();
        let enabled: Vec<_> = host.split(',').filter_map(|f| f.strip_prefix('+')).collect();
        let usable = [V2, V3, V4].concat().into_iter().filter(|f| enabled.contains(f));
        Self::new(llvm::host_cpu(), usable.map(str::to_owned).collect())
    }

    fn new(tune: String, mut features: Vec<String>) -> Self {
        features.sort_unstable();
        Self { arch: Arch::X86_64, base: "x86-64", tune, features }
    }

    /// Whether code may use a feature beyond the baseline, by LLVM's name.
    pub(crate) fn has_feature(&self, name: &str) -> bool {
        self.features.iter().any(|feature| feature == name)
    }

    /// The features in LLVM's notation.
    pub(crate) fn feature_string(&self) -> String {
        self.features.iter().map(|f| format!("+{f}")).collect::<Vec<_>>().join(",")
    }
}
