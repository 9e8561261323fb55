//! What one guest may see of the world: arguments, environment, descriptors, clocks.
//!
//! A [`WasiCtx`] is capability style: it starts with nothing (no arguments, an empty environment, silent
//! streams, no directories), and the embedder adds what the guest may have. It belongs into the data of a
//! store; [`add_to_linker`](super::add_to_linker) is told how to find it there.

use super::descriptor::Descriptors;
use super::stream::{InputStream, OutputStream};
use std::io;
use std::time::Instant;

/// The state of WASI for one guest.
#[derive(Debug)]
pub struct WasiCtx {
    pub(super) args: Vec<Vec<u8>>,
    /// `KEY=VALUE` strings.
    pub(super) env: Vec<Vec<u8>>,
    pub(super) descriptors: Descriptors,
    /// The zero of the monotonic clock.
    pub(super) started: Instant,
    pub(super) broken_pipe: BrokenPipe,
}

/// What happens when the guest writes to a standard stream that nobody reads any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BrokenPipe {
    /// The guest sees the error and goes on.
    #[default]
    Report,
    /// The guest ends, as native programs do by default: the call fails with [`Closed`](super::Exit::Closed).
    End,
}

impl Default for WasiCtx {
    fn default() -> Self {
        Self::new()
    }
}

impl WasiCtx {
    /// A context that gives access to nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            args: Vec::new(),
            env: Vec::new(),
            descriptors: Descriptors::new(InputStream::Empty, OutputStream::Discard, OutputStream::Discard),
            started: Instant::now(),
            broken_pipe: BrokenPipe::default(),
        }
    }

    /// Adds an argument; the first is the program's name.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<Vec<u8>>) -> Self {
        self.args.push(until_nul(arg.into()));
        self
    }

    /// Adds a variable to the environment.
    #[must_use]
    pub fn env(mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        let mut entry = until_nul(key.into());
        entry.push(b'=');
        entry.extend(until_nul(value.into()));
        self.env.push(entry);
        self
    }

    /// Sets the guest's standard input.
    #[must_use]
    pub fn stdin(mut self, stream: InputStream) -> Self {
        self.descriptors.set_stdin(stream);
        self
    }

    /// Sets the guest's standard output.
    #[must_use]
    pub fn stdout(mut self, stream: OutputStream) -> Self {
        self.descriptors.set_stdout(stream);
        self
    }

    /// Sets the guest's standard error.
    #[must_use]
    pub fn stderr(mut self, stream: OutputStream) -> Self {
        self.descriptors.set_stderr(stream);
        self
    }

    /// Gives the guest the standard streams of this process. One that is closed becomes a silent one.
    #[must_use]
    pub fn inherit_stdio(self) -> Self {
        let output = |stream: io::Result<OutputStream>| stream.unwrap_or(OutputStream::Discard);
        self.stdin(InputStream::inherit().unwrap_or(InputStream::Empty))
            .stdout(output(OutputStream::inherit_stdout()))
            .stderr(output(OutputStream::inherit_stderr()))
    }

    /// Sets what happens when a standard stream's reader is gone.
    #[must_use]
    pub const fn on_broken_pipe(mut self, reaction: BrokenPipe) -> Self {
        self.broken_pipe = reaction;
        self
    }
}

/// Strings of the interface end at a zero byte, so they cannot contain one.
fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|&byte| byte == 0) {
        bytes.truncate(end);
    }
    bytes
}
