//! The guest's file descriptors.
//!
//! Small numbers chosen by us, never the host's: a guest cannot name a descriptor it was not given. Today they
//! are the three standard streams; directories and files will be further variants of [`Descriptor`], and the
//! functions on paths already find their way here to learn that a descriptor is no directory.

use super::errno::Errno;
use super::stream::{FileType, InputStream, OutputStream};

/// Something that a descriptor names.
#[derive(Debug)]
pub enum Descriptor {
    Input(InputStream),
    Output(OutputStream),
}

/// The descriptors of a guest, by number; a closed one leaves a gap.
#[derive(Debug)]
pub struct Descriptors {
    entries: Vec<Option<Descriptor>>,
}

const STDIN: usize = 0;
const STDOUT: usize = 1;
const STDERR: usize = 2;

/// Rights of WASI's `rights` flags that streams have.
pub mod rights {
    pub const FD_READ: u64 = 1 << 1;
    pub const FD_FDSTAT_SET_FLAGS: u64 = 1 << 3;
    pub const FD_WRITE: u64 = 1 << 6;
    pub const FD_FILESTAT_GET: u64 = 1 << 21;
    pub const POLL_FD_READWRITE: u64 = 1 << 27;
}

impl Descriptor {
    /// What the descriptor names, for the guest.
    pub fn file_type(&self) -> FileType {
        match self {
            Self::Input(stream) => stream.file_type(),
            Self::Output(stream) => stream.file_type(),
        }
    }

    /// What the guest may do with it. Never seeking or telling: that is how guests know a terminal.
    pub const fn rights(&self) -> u64 {
        let direction = match self {
            Self::Input(_) => rights::FD_READ,
            Self::Output(_) => rights::FD_WRITE,
        };
        direction | rights::FD_FDSTAT_SET_FLAGS | rights::FD_FILESTAT_GET | rights::POLL_FD_READWRITE
    }
}

impl Descriptors {
    /// The three standard streams.
    pub fn new(stdin: InputStream, stdout: OutputStream, stderr: OutputStream) -> Self {
        let entries = [Descriptor::Input(stdin), Descriptor::Output(stdout), Descriptor::Output(stderr)];
        Self { entries: entries.into_iter().map(Some).collect() }
    }

    pub fn set_stdin(&mut self, stream: InputStream) {
        self.entries[STDIN] = Some(Descriptor::Input(stream));
    }

    pub fn set_stdout(&mut self, stream: OutputStream) {
        self.entries[STDOUT] = Some(Descriptor::Output(stream));
    }

    pub fn set_stderr(&mut self, stream: OutputStream) {
        self.entries[STDERR] = Some(Descriptor::Output(stream));
    }

    /// The descriptor of that number.
    ///
    /// # Errors
    ///
    /// [`Errno::BadF`] if it is not open.
    pub fn get(&self, fd: u32) -> Result<&Descriptor, Errno> {
        self.entries.get(fd as usize).and_then(Option::as_ref).ok_or(Errno::BadF)
    }

    /// The descriptor of that number.
    ///
    /// # Errors
    ///
    /// [`Errno::BadF`] if it is not open.
    pub fn get_mut(&mut self, fd: u32) -> Result<&mut Descriptor, Errno> {
        self.entries.get_mut(fd as usize).and_then(Option::as_mut).ok_or(Errno::BadF)
    }

    /// Closes a descriptor.
    ///
    /// # Errors
    ///
    /// [`Errno::BadF`] if it is not open.
    pub fn close(&mut self, fd: u32) -> Result<(), Errno> {
        self.get(fd)?;
        self.entries[fd as usize] = None;
        Ok(())
    }

    /// Moves the descriptor `from` to the number `to`, closing what was there.
    ///
    /// # Errors
    ///
    /// [`Errno::BadF`] if either is not open.
    pub fn renumber(&mut self, from: u32, to: u32) -> Result<(), Errno> {
        self.get(from)?;
        self.get(to)?;
        if from != to {
            self.entries[to as usize] = self.entries[from as usize].take();
        }
        Ok(())
    }
}
