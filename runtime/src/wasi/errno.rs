//! Error numbers of WASI preview 1.
//!
//! Every function of the interface but `proc_exit` returns one of these numbers as its only WebAssembly
//! result. They are not the host's `errno` values: the mapping from the host's is [`Errno::from`].

use std::io;

macro_rules! errnos {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        /// An error number; success is not one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub enum Errno {
            $($(#[$doc])* $name = $code,)*
        }
    };
}

errnos! {
    Access = 2;
    Again = 6;
    /// Bad file descriptor.
    BadF = 8;
    /// An address outside the guest's memory.
    Fault = 21;
    Intr = 27;
    Inval = 28;
    Io = 29;
    NoEnt = 44;
    NoSpc = 51;
    NoSys = 52;
    NotDir = 54;
    NotSock = 57;
    NotSup = 58;
    Overflow = 61;
    Pipe = 64;
    SPipe = 70;
    /// The descriptor lacks the right that the operation needs.
    NotCapable = 76;
}

/// What functions return on success.
pub const SUCCESS: i32 = 0;

impl Errno {
    /// The number as the guest sees it.
    #[must_use]
    pub const fn code(self) -> i32 {
        self as i32
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Pipe,
            io::ErrorKind::Interrupted => Self::Intr,
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Self::Inval,
            io::ErrorKind::NotFound => Self::NoEnt,
            io::ErrorKind::PermissionDenied => Self::Access,
            io::ErrorKind::StorageFull => Self::NoSpc,
            io::ErrorKind::Unsupported => Self::NotSup,
            io::ErrorKind::WouldBlock => Self::Again,
            _ => Self::Io,
        }
    }
}
