//! What can go wrong between a WebAssembly module and its artifact.

use crate::llvm::LlvmError;

/// Why a module could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The module is malformed or invalid.
    #[error("invalid module: {message} (at offset {offset:#x})")]
    Invalid {
        /// Byte offset into the module.
        offset: u64,
        message: String,
    },
    /// The text format does not parse.
    #[error("{0}")]
    Text(String),
    /// The module is valid, but uses something that this version does not compile.
    #[error("unsupported: {what} (at offset {offset:#x})")]
    Unsupported {
        /// Byte offset into the module.
        offset: u64,
        what: String,
    },
    /// The module exceeds a limit of this implementation.
    #[error("implementation limit: {0}")]
    Limit(String),
    /// The target CPU is unknown or not of this machine's architecture.
    #[error("unknown target CPU `{0}`")]
    UnknownCpu(String),
    /// Code for the target can be shown, but not run.
    #[error("{0} is no target of artifacts and objects, only of text")]
    TextOnly(&'static str),
    /// The profile cannot be used.
    #[error("{0}")]
    Profile(#[from] dolmen_abi::profile::ProfileError),
    /// A bug of this compiler: LLVM rejected its output.
    #[error("compiler bug: {0}")]
    Llvm(#[from] LlvmError),
    /// A bug of this compiler: its object code could not be made an artifact.
    #[error("compiler bug: {0}")]
    Artifact(#[from] crate::artifact::ArtifactError),
}

impl From<wasmparser::Error> for CompileError {
    fn from(error: wasmparser::Error) -> Self {
        Self::Invalid { offset: error.offset(), message: error.message().to_owned() }
    }
}

impl CompileError {
    /// An operator or declaration that this version does not compile.
    pub(crate) fn unsupported(offset: u64, what: impl Into<String>) -> Self {
        Self::Unsupported { offset, what: what.into() }
    }

    /// Byte offset into the module, where there is one; the earliest error of a module is the one reported.
    pub(crate) fn offset(&self) -> u64 {
        match self {
            Self::Invalid { offset, .. } | Self::Unsupported { offset, .. } => *offset,
            _ => u64::MAX,
        }
    }
}
