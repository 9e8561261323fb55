//! Where a guest's standard input, output and error lead.
//!
//! A command hands its own streams on; an embedder or a test would rather give the guest bytes and keep what
//! it writes. [`InputStream`] and [`OutputStream`] are either. The process's own streams are used without a
//! buffer of ours: a guest has its own, and expects a write to be a write.

use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice, IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::sync::{Arc, Mutex, PoisonError};

/// What a stream is, in the numbers of WASI's `filetype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FileType {
    Unknown = 0,
    BlockDevice = 1,
    CharacterDevice = 2,
    Directory = 3,
    RegularFile = 4,
}

/// A source of bytes for the guest.
pub enum InputStream {
    /// Always at its end.
    Empty,
    File(File),
    Reader(Box<dyn Read + Send + Sync>),
}

/// A sink for bytes of the guest.
pub enum OutputStream {
    /// Forgets what is written.
    Discard,
    File(File),
    Writer(Box<dyn Write + Send + Sync>),
    Buffer(OutputBuffer),
}

/// What a guest wrote: a handle to a growing byte string, for embedders that want to look at it.
#[derive(Clone, Debug, Default)]
pub struct OutputBuffer {
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl OutputBuffer {
    /// What has been written so far.
    #[must_use]
    pub fn contents(&self) -> Vec<u8> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn append(&self, slices: &[IoSlice<'_>]) -> usize {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let before = bytes.len();
        slices.iter().for_each(|slice| bytes.extend_from_slice(slice));
        bytes.len() - before
    }
}

impl InputStream {
    /// The standard input of this process.
    ///
    /// # Errors
    ///
    /// When the descriptor cannot be duplicated, for example because it is closed.
    pub fn inherit() -> io::Result<Self> {
        duplicate(io::stdin().as_fd()).map(Self::File)
    }

    /// Reads once into `buffer`; 0 bytes at the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Empty => Ok(0),
            Self::File(file) => file.read(buffer),
            Self::Reader(reader) => reader.read(buffer),
        }
    }

    pub(super) fn file_type(&self) -> FileType {
        self.file().map_or(FileType::Unknown, file_type)
    }

    /// The host's file behind the stream, if there is one.
    pub(super) const fn file(&self) -> Option<&File> {
        match self {
            Self::File(file) => Some(file),
            Self::Empty | Self::Reader(_) => None,
        }
    }
}

impl OutputStream {
    /// The standard output of this process.
    ///
    /// # Errors
    ///
    /// When the descriptor cannot be duplicated, for example because it is closed.
    pub fn inherit_stdout() -> io::Result<Self> {
        duplicate(io::stdout().as_fd()).map(Self::File)
    }

    /// The standard error of this process.
    ///
    /// # Errors
    ///
    /// When the descriptor cannot be duplicated, for example because it is closed.
    pub fn inherit_stderr() -> io::Result<Self> {
        duplicate(io::stderr().as_fd()).map(Self::File)
    }

    /// Writes some of the bytes of `slices`, in order.
    pub(super) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Discard => Ok(slices.iter().map(|slice| slice.len()).sum()),
            Self::File(file) => file.write_vectored(slices),
            Self::Writer(writer) => writer.write_vectored(slices),
            Self::Buffer(buffer) => Ok(buffer.append(slices)),
        }
    }

    pub(super) fn file_type(&self) -> FileType {
        self.file().map_or(FileType::Unknown, file_type)
    }

    /// The host's file behind the stream, if there is one.
    pub(super) const fn file(&self) -> Option<&File> {
        match self {
            Self::File(file) => Some(file),
            Self::Discard | Self::Writer(_) | Self::Buffer(_) => None,
        }
    }
}

impl fmt::Debug for InputStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::File(_) => "File",
            Self::Reader(_) => "Reader",
        })
    }
}

impl fmt::Debug for OutputStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discard => "Discard",
            Self::File(_) => "File",
            Self::Writer(_) => "Writer",
            Self::Buffer(_) => "Buffer",
        })
    }
}

fn duplicate(fd: BorrowedFd<'_>) -> io::Result<File> {
    fd.try_clone_to_owned().map(File::from)
}

fn file_type(file: &File) -> FileType {
    if file.is_terminal() {
        return FileType::CharacterDevice;
    }
    let Ok(kind) = file.metadata().map(|metadata| metadata.file_type()) else {
        return FileType::Unknown;
    };
    if kind.is_file() {
        FileType::RegularFile
    } else if kind.is_char_device() {
        FileType::CharacterDevice
    } else if kind.is_block_device() {
        FileType::BlockDevice
    } else if kind.is_dir() {
        FileType::Directory
    } else {
        FileType::Unknown
    }
}
