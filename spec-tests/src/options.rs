//! How scripts are run, and what a compiler is here.

use dolmen::{Collector, Config};

/// What the compiler must know besides the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileOptions<'a> {
    /// LLVM's optimisation level, 0 to 3.
    pub opt_level: u8,
    pub collector: Collector,
    /// Language features, in the compiler's notation; empty for all.
    pub features: &'a str,
}

/// Why there is no artifact.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileFailure {
    /// The module is malformed or invalid: what `assert_malformed` and `assert_invalid` wait for.
    #[error("{0}")]
    Invalid(String),
    /// The module may be valid, but is not compiled: a feature is missing, or the compiler failed.
    #[error("{0}")]
    Other(String),
}

/// Compiles modules in the binary format to artifacts.
pub trait Compiler: Sync {
    /// The artifact's bytes.
    ///
    /// # Errors
    ///
    /// When there is none; which kind matters to scripts, see [`CompileFailure`].
    fn compile(&self, wasm: &[u8], options: CompileOptions<'_>) -> Result<Vec<u8>, CompileFailure>;
}

impl<F: Fn(&[u8], CompileOptions<'_>) -> Result<Vec<u8>, CompileFailure> + Sync> Compiler for F {
    fn compile(&self, wasm: &[u8], options: CompileOptions<'_>) -> Result<Vec<u8>, CompileFailure> {
        self(wasm, options)
    }
}

/// How a script is run.
#[derive(Clone)]
pub struct RunOptions<'a> {
    pub compiler: &'a dyn Compiler,
    /// LLVM's optimisation level, 0 to 3.
    pub opt_level: u8,
    /// As [`CompileOptions::features`].
    pub features: &'a str,
    /// What engines of scripts are made with, the collector included.
    pub config: Config,
}

impl<'a> RunOptions<'a> {
    /// The default engine, at the default optimisation level.
    pub fn new(compiler: &'a dyn Compiler) -> Self {
        Self { compiler, opt_level: 2, features: "", config: Config::new() }
    }

    /// What of these the compiler must know, for engines with this collector.
    #[must_use]
    pub fn for_compiler(&self, collector: Collector) -> CompileOptions<'a> {
        CompileOptions { opt_level: self.opt_level, collector, features: self.features }
    }
}
