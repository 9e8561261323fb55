//! Address ranges from the operating system.
//!
//! Several parts of the runtime need memory that stays where it is while it grows, that fits a page exactly, or
//! that may be executed: type descriptors, linear memories, code. A [`Mapping`] is such a range: reserved as a
//! whole, released when dropped, its pages made accessible piece by piece. It hands out addresses, not
//! references: what lies in the range is its owner's business.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

/// Size of a page in bytes.
pub(crate) const PAGE_BYTES: usize = dolmen_abi::artifact::PAGE_BYTES as usize;

/// What a page allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    None,
    Read,
    ReadWrite,
    ReadExecute,
}

/// A range of pages that belongs to its owner alone.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len_bytes: usize,
}

// SAFETY: a mapping is an address range, not tied to the thread that made it.
unsafe impl Send for Mapping {}
// SAFETY: through a shared reference a mapping gives away only its address.
unsafe impl Sync for Mapping {}

impl Protection {
    fn flags(self) -> libc::c_int {
        match self {
            Self::None => libc::PROT_NONE,
            Self::Read => libc::PROT_READ,
            Self::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
            Self::ReadExecute => libc::PROT_READ | libc::PROT_EXEC,
        }
    }
}

impl Mapping {
    /// Reserves `len_bytes`, rounded up to pages, that take memory only when they are first written to.
    ///
    /// # Errors
    ///
    /// Those of `mmap`.
    pub(crate) fn reserve(len_bytes: usize, protection: Protection) -> io::Result<Self> {
        let len_bytes = round_up(len_bytes.max(1)).ok_or(io::ErrorKind::OutOfMemory)?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new anonymous mapping at an address of the system's choice touches no existing memory.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len_bytes, protection.flags(), flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, len_bytes })
    }

    /// Replaces the pages from `offset` by the first `len_bytes` of a file, read-only and private.
    ///
    /// # Errors
    ///
    /// Those of `mmap`; `InvalidInput` if the range is not inside the mapping.
    pub(crate) fn map_file(&mut self, offset: usize, file: &File, len_bytes: usize) -> io::Result<()> {
        let address = self.page_range(offset, len_bytes)?;
        let flags = libc::MAP_PRIVATE | libc::MAP_FIXED;
        // SAFETY: page_range checked that the range lies in this mapping, which we own exclusively, so nothing
        // else can be overlaid.
        let mapped = unsafe { libc::mmap(address.cast(), len_bytes, libc::PROT_READ, flags, file.as_raw_fd(), 0) };
        if mapped == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Changes what the pages of a range allow.
    ///
    /// # Errors
    ///
    /// Those of `mprotect`; `InvalidInput` if the range is not inside the mapping.
    pub(crate) fn protect(&mut self, offset: usize, len_bytes: usize, protection: Protection) -> io::Result<()> {
        if len_bytes == 0 {
            return Ok(());
        }
        let address = self.page_range(offset, len_bytes)?;
        // SAFETY: page_range checked that the range lies in this mapping, which we own exclusively.
        let result = unsafe { libc::mprotect(address.cast(), len_bytes, protection.flags()) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Address of the first byte.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Size in bytes, whole pages.
    pub(crate) fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    fn page_range(&self, offset: usize, len_bytes: usize) -> io::Result<*mut u8> {
        let end = offset.checked_add(len_bytes).and_then(round_up);
        if !offset.is_multiple_of(PAGE_BYTES) || end.is_none_or(|end| end > self.len_bytes) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(self.base.as_ptr().wrapping_add(offset))
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: base and length are those of the range that reserve() mapped, and nobody else unmaps it.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len_bytes) };
    }
}

/// The next multiple of the page size, if it is representable.
pub(crate) fn round_up(len_bytes: usize) -> Option<usize> {
    len_bytes.checked_next_multiple_of(PAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_outside_are_refused() {
        let mut mapping = Mapping::reserve(3 * PAGE_BYTES, Protection::None).unwrap();
        assert!(mapping.protect(PAGE_BYTES, 2 * PAGE_BYTES, Protection::ReadWrite).is_ok());
        assert!(mapping.protect(PAGE_BYTES, 3 * PAGE_BYTES, Protection::ReadWrite).is_err());
        assert!(mapping.protect(1, PAGE_BYTES, Protection::ReadWrite).is_err());
        assert!(mapping.protect(PAGE_BYTES, usize::MAX, Protection::ReadWrite).is_err());
    }
}
