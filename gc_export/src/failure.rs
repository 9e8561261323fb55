//! Why something did not succeed, inside of the library.

use runtime::wasi::Exit;
use runtime::{Error, Exception, Frame, TrapCode};

/// Why a call or an operation did not succeed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    /// One line, lower case.
    pub(crate) message: String,
    /// The functions that were running, innermost first, if known.
    pub(crate) backtrace: Vec<Frame>,
}

/// The kinds of failures, with what is known of each.
#[derive(Debug)]
pub(crate) enum FailureKind {
    Trap(TrapCode),
    Exception(Exception),
    /// The program has ended itself with this status.
    Exit(u32),
    /// A C function has set an exception.
    Native,
    Link,
    Argument,
    Resource,
    /// The artifact could not be loaded.
    Load,
    /// The store is gone, or this thread cannot use it now.
    Unavailable,
    /// A bug of this library.
    Internal,
}

/// What a C function that a module has called leaves as exception.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NativeException(pub(crate) String);

impl Failure {
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), backtrace: Vec::new() }
    }

    /// An argument that does not fit.
    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Argument, message)
    }

    /// The store cannot be used by this thread.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Unavailable, message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Trap(trap) => {
                Self { kind: FailureKind::Trap(trap.code), message: trap.message, backtrace: trap.backtrace }
            }
            Error::Exception(exception) => Self::new(FailureKind::Exception(exception), message),
            Error::Link(_) => Self::new(FailureKind::Link, message),
            Error::Argument(_) => Self::new(FailureKind::Argument, message),
            Error::Resource(_) => Self::new(FailureKind::Resource, message),
            other => match other.downcast_ref::<Exit>() {
                Some(Exit::Status(status)) => Self::new(FailureKind::Exit(*status), "wasi proc exit"),
                _ => Self::new(FailureKind::Native, message),
            },
        }
    }
}

impl From<runtime::ArgumentError> for Failure {
    fn from(error: runtime::ArgumentError) -> Self {
        Self::argument(error.to_string())
    }
}

impl From<runtime::StoreError> for Failure {
    fn from(error: runtime::StoreError) -> Self {
        Self::new(FailureKind::Resource, error.to_string())
    }
}
