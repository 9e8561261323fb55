//! Address space and memory from the operating system.
//!
//! A heap wants its whole region at one address from the start, because references are relative to it, but
//! memory only for what it uses. So the region is *reserved* without access, *committed* piece by piece, *populated*
//! where it will be needed soon, and *released* when a collection leaves it empty. Side tables are reserved with access: their pages are zero and
//! cost nothing until they are touched.
//!
//! Invariants: a [`Mapping`] owns its addresses until it is dropped; released memory reads as zero. Every request
//! can fail, and a [`System`] can be told to refuse some, so that tests see what happens then.

#![allow(unsafe_code, reason = "system calls")]

use crate::options::Refused;
use std::io;
use std::ptr::{self, NonNull};

/// Size of a huge page, in bytes; where the system's are of another size, steps of this do no harm.
pub const HUGE_PAGE_BYTES: u64 = 2 << 20;

/// Counts requests to the operating system, to refuse those that a test has chosen.
#[derive(Debug)]
pub struct System {
    requests: u64,
    refused: Refused,
}

/// A range of addresses that belongs to the heap.
#[derive(Debug)]
pub struct Mapping {
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a mapping is plain memory without ties to the thread that made it; all access goes through raw
// pointers whose users state their own exclusion.
unsafe impl Send for Mapping {}
// SAFETY: as above; the methods only read the address and call the system, which synchronises itself.
unsafe impl Sync for Mapping {}

impl System {
    /// A system that refuses these requests.
    pub fn new(refused: Refused) -> Self {
        Self { requests: 0, refused }
    }

    /// Reserves addresses without access, aligned to pages.
    pub fn reserve(&mut self, bytes: u64) -> io::Result<Mapping> {
        self.map(bytes, libc::PROT_NONE)
    }

    /// Maps zeroed memory that is taken from the system page by page as it is touched.
    pub fn map_table(&mut self, bytes: u64) -> io::Result<Mapping> {
        self.map(bytes, libc::PROT_READ | libc::PROT_WRITE)
    }

    /// Makes a part of a reserved mapping accessible.
    ///
    /// # Panics
    ///
    /// If the part is not inside the mapping.
    pub fn commit(&mut self, mapping: &Mapping, start: u64, bytes: u64) -> io::Result<()> {
        self.count()?;
        let address = mapping.part(start, bytes);
        // SAFETY: the range lies inside a mapping of ours (`part` checks).
        let failed = unsafe { libc::mprotect(address, bytes as usize, libc::PROT_READ | libc::PROT_WRITE) } != 0;
        if failed { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Maps addresses. They are not aligned to huge pages: neighbouring mappings of one kind can then be one for the
    /// system, which allows a process 65,530 of them, and the first and last huge page of a mapping are all that is
    /// lost.
    fn map(&mut self, bytes: u64, protection: libc::c_int) -> io::Result<Mapping> {
        self.count()?;
        let bytes = usize::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new anonymous mapping at an address of the system's choice touches no existing memory.
        let address = unsafe { libc::mmap(ptr::null_mut(), bytes, protection, flags, -1, 0) };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(address.cast()).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        Ok(Mapping { base, bytes })
    }

    fn count(&mut self) -> io::Result<()> {
        self.requests += 1;
        let Refused { from, to } = self.refused;
        if (from..to).contains(&self.requests) { Err(io::Error::from(io::ErrorKind::OutOfMemory)) } else { Ok(()) }
    }
}

impl Mapping {
    /// Address of the first byte.
    pub fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes as u64
    }

    /// Asks for huge pages behind the first `start` bytes, where such a page is wholly accessible. If the system
    /// has none, nothing is lost but speed.
    pub fn prefer_huge_pages_from(&self, start: u64) {
        if let Some(bytes) = self.bytes().checked_sub(start) {
            let address = self.part(start, bytes);
            // SAFETY: the range lies inside a mapping of ours (`part` checks); the advice changes no content.
            unsafe { libc::madvise(address, bytes as usize, libc::MADV_HUGEPAGE) };
        }
    }

    /// The first place at `offset` or behind it at which a huge page ends, or the mapping.
    pub fn huge_page_end(&self, offset: u64) -> u64 {
        let base = self.base() as u64;
        ((base + offset).next_multiple_of(HUGE_PAGE_BYTES) - base).min(self.bytes())
    }

    /// Takes memory for an accessible part now that would otherwise be taken when it is touched. Its content stays.
    /// False if the system refuses.
    ///
    /// # Panics
    ///
    /// If the part is not inside the mapping.
    pub fn populate(&self, start: u64, bytes: u64) -> bool {
        let address = self.part(start, bytes);
        // SAFETY: the range lies inside a mapping of ours (`part` checks); the advice changes no content.
        unsafe { libc::madvise(address, bytes as usize, libc::MADV_POPULATE_WRITE) == 0 }
    }

    /// Gives the memory behind a part back, whose content nobody relies on; it reads as zero afterwards. Returns false if
    /// the system refuses, and then nothing has changed.
    ///
    /// # Panics
    ///
    /// If the part is not inside the mapping.
    pub fn release(&self, start: u64, bytes: u64) -> bool {
        let address = self.part(start, bytes);
        // SAFETY: the range lies inside a private anonymous mapping of ours (`part` checks), which nothing in Rust refers to.
        unsafe { libc::madvise(address, bytes as usize, libc::MADV_DONTNEED) == 0 }
    }

    fn part(&self, start: u64, bytes: u64) -> *mut libc::c_void {
        let end = start.checked_add(bytes);
        assert!(end.is_some_and(|end| end <= self.bytes()), "part {start}+{bytes} of {} bytes", self.bytes);
        self.base().wrapping_add(start as usize).cast()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is a mapping of ours, and its owner is going away.
        unsafe { libc::munmap(self.base().cast(), self.bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_memory_reads_as_zero() {
        let mut system = System::new(Refused::NONE);
        let mapping = system.reserve(1 << 20).unwrap();
        system.commit(&mapping, 4096, 8192).unwrap();
        let at = mapping.base().wrapping_add(4096);
        // SAFETY: the byte was committed above.
        unsafe { at.write(7) };
        assert!(mapping.release(4096, 8192));
        // SAFETY: as above.
        assert_eq!(unsafe { at.read() }, 0);
    }

    #[test]
    fn populated_memory_keeps_its_content() {
        let mut system = System::new(Refused::NONE);
        let mapping = system.map_table(1 << 20).unwrap();
        // SAFETY: the table is accessible.
        unsafe { mapping.base().write(7) };
        mapping.populate(0, 1 << 20);
        // SAFETY: as above.
        assert_eq!(unsafe { mapping.base().read() }, 7);
        let reserved = system.reserve(1 << 20).unwrap();
        assert!(!reserved.populate(0, 1 << 20), "it is not accessible");
    }

    #[test]
    fn refuses_the_chosen_requests() {
        let mut system = System::new(Refused { from: 2, to: 4 });
        let mapping = system.reserve(1 << 20).unwrap();
        assert!(system.commit(&mapping, 0, 4096).is_err());
        assert!(system.map_table(4096).is_err());
        assert!(system.map_table(4096).is_ok());
    }
}
