//! Functions that would block.
//!
//! A function works with the store borrowed, and whoever sleeps with the store stops all other threads, and is not
//! ended by an interruption. So a function does not sleep: it fails with a [`Wait`], before it has changed anything.
//! [`link`](super::link) then sleeps without the store and calls the function again.
//!
//! The files are duplicates, since other threads may close the guest's descriptors meanwhile. A file that is ready for
//! reading may be no more when the store is taken again, if another thread of the guest was faster; then the function
//! fails anew. Only if another process takes what was there to be read, or fills the pipe that was to be written to,
//! can a function block with the store.

use super::errno::Errno;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// What is written at once to a file that may be full: a pipe or socket that is ready has room for so much.
pub const READY_BYTES: usize = 4096;

/// What a function waits for.
#[derive(Debug)]
pub struct Wait {
    /// When the function was called for the first time.
    pub since: Instant,
    /// When it need not wait any longer; without it, never.
    pub until: Option<Instant>,
    pub files: Vec<(OwnedFd, PollFlags)>,
}

impl Wait {
    /// For one file.
    ///
    /// # Errors
    ///
    /// If the system has no descriptor left.
    pub fn for_file(file: &File, flags: PollFlags) -> io::Result<Self> {
        let files = vec![(file.as_fd().try_clone_to_owned()?, flags)];
        Ok(Self { since: Instant::now(), until: None, files })
    }

    /// Sleeps until a file is ready, the time has come, or `wakeup` can be read.
    ///
    /// # Errors
    ///
    /// [`Errno::Io`] if the system refuses.
    pub fn sleep(&self, wakeup: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
        let own = self.files.iter().map(|(file, flags)| PollFd::from_borrowed_fd(file.as_fd(), *flags));
        let wakeup = wakeup.map(|wakeup| PollFd::from_borrowed_fd(wakeup, PollFlags::IN));
        let mut fds: Vec<_> = own.chain(wakeup).collect();
        loop {
            let rest = self.until.map(|until| until.saturating_duration_since(Instant::now()));
            // The kernel's clock may be a little ahead of ours.
            if poll_once(&mut fds, rest)? > 0 || rest.is_some_and(|rest| rest.is_zero()) {
                return Ok(());
            }
        }
    }
}

/// Whether a file can be read or written, or has failed: then the next operation does not wait.
///
/// # Errors
///
/// [`Errno::Io`] if the system refuses.
pub fn is_ready(file: &File, flags: PollFlags) -> Result<bool, Errno> {
    poll_once(&mut [PollFd::from_borrowed_fd(file.as_fd(), flags)], Some(Duration::ZERO)).map(|ready| ready > 0)
}

/// Polls no longer than `timeout`, perhaps less; returns how many are ready.
///
/// # Errors
///
/// [`Errno::Io`] if the system refuses.
pub fn poll_once(fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> Result<usize, Errno> {
    let timeout = timeout.map(|timeout| Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    match poll(fds, timeout.as_ref()) {
        Err(rustix::io::Errno::INTR) => Ok(0),
        other => other.map_err(|_| Errno::Io),
    }
}
