//! One call of a WASI function: its arguments, and how it can end.

use super::ctx::WasiCtx;
use super::errno::Errno;
use super::guest::Guest;
use super::wait::Wait;
use std::fmt;
use std::time::Instant;

/// What a function works with.
#[derive(Debug)]
pub struct Call<'a> {
    pub ctx: &'a mut WasiCtx,
    pub memory: Guest<'a>,
    /// The arguments; those of 32 bits zero-extended.
    pub args: &'a [u64],
    /// Whether the function must not block, but fail with [`Failure::Blocked`]: somebody may want the store, or want
    /// the guest to stop.
    pub is_watched: bool,
    /// [`Wait::since`], if this is not the first call.
    pub since: Option<Instant>,
    /// How far earlier calls have come, see [`Failure::Unfinished`]; 0 if this is the first one.
    pub done: u32,
}

/// Why a function did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// It has done nothing yet, and is to be called again when this is over.
    Blocked(Wait),
    /// It has come so far, and is to be called again: others are to run in between, and interruptions to end it.
    Unfinished { done: u32 },
    /// It has succeeded, but others are to run now.
    Yield,
    /// The guest is told.
    Errno(Errno),
    /// The guest does not go on.
    Exit(Exit),
}

/// Why a guest ended itself. It is the source of the error that the embedder's call returns; downcast to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It called `proc_exit` with this status.
    Status(u32),
    /// It wrote to a standard stream without a reader, and
    /// [`BrokenPipe::End`](super::BrokenPipe::End) was set.
    Closed,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "exit with status {status}"),
            Self::Closed => f.write_str("standard stream closed by its reader"),
        }
    }
}

impl std::error::Error for Exit {}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl Call<'_> {
    /// The 32-bit argument at `index`.
    pub fn u32(&self, index: usize) -> u32 {
        self.args[index] as u32
    }

    /// The 64-bit argument at `index`.
    pub fn u64(&self, index: usize) -> u64 {
        self.args[index]
    }
}
