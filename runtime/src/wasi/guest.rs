//! The guest's memory as WASI functions see it.
//!
//! All structured arguments of WASI preview 1 are 32-bit addresses in the memory that the calling instance
//! exports as `memory`. Nothing that the guest passes is trusted: each access is checked against the memory's
//! size, and one outside is the error [`Errno::Fault`], never a panic or a trap. Numbers are little endian;
//! unaligned addresses are allowed, as no host access depends on alignment.
//!
//! Memory that other threads may write to at the same time is never borrowed, but copied.

use super::errno::Errno;
use crate::externals::SharedMemory;
use std::borrow::Cow;
use std::ops::Range;

/// A guest memory.
#[derive(Debug)]
pub enum Guest<'a> {
    /// The guest's alone, and borrowed.
    Own(&'a mut [u8]),
    Shared(SharedMemory),
}

/// A buffer that the guest names by address and length, as in its `iovec` and `ciovec` arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    pub addr: u32,
    pub len_bytes: u32,
}

/// Buffers of one call that are used; reading and writing less than was asked for is always allowed.
const MAX_BUFFERS: usize = 1024;

/// Bytes of a shared memory of which a call has copies at a time; transferring less than was asked for is always allowed.
const MAX_COPIED_BYTES: u32 = 1 << 20;

/// Size of an `iovec` in the guest's memory, in bytes.
const IOVEC_BYTES: u32 = 8;

impl<'a> Guest<'a> {
    /// Wraps the bytes of a memory.
    pub const fn new(bytes: &'a mut [u8]) -> Self {
        Self::Own(bytes)
    }

    /// Checks that all bytes of a range are inside the memory.
    ///
    /// # Errors
    ///
    /// [`Errno::Fault`] if not.
    pub fn check(&self, addr: u32, len_bytes: u32) -> Result<(), Errno> {
        let size = match self {
            Self::Own(bytes) => bytes.len(),
            Self::Shared(memory) => memory.data_size(),
        };
        if range(addr, len_bytes)?.end <= size { Ok(()) } else { Err(Errno::Fault) }
    }

    /// How many bytes one call may have read at a time: those of a shared memory are copies.
    pub const fn max_borrowed_bytes(&self) -> usize {
        match self {
            Self::Own(_) => usize::MAX,
            Self::Shared(_) => MAX_COPIED_BYTES as usize,
        }
    }

    /// The bytes at `addr`; of a shared memory a copy, of the beginning of a long range.
    ///
    /// # Errors
    ///
    /// [`Errno::Fault`] if they are not all inside the memory.
    pub fn read(&self, addr: u32, len_bytes: u32) -> Result<Cow<'_, [u8]>, Errno> {
        self.check(addr, len_bytes)?;
        match self {
            Self::Own(bytes) => bytes.get(range(addr, len_bytes)?).map(Cow::Borrowed).ok_or(Errno::Fault),
            Self::Shared(memory) => {
                let mut copy = vec![0; len_bytes.min(MAX_COPIED_BYTES) as usize];
                memory.read(addr.into(), &mut copy).map_err(|_| Errno::Fault)?;
                Ok(Cow::Owned(copy))
            }
        }
    }

    /// Has bytes at `addr`, or the beginning of a long range in a shared memory, written by `fill`, which says how
    /// many it wrote.
    ///
    /// # Errors
    ///
    /// [`Errno::Fault`] if the range is not inside the memory; those of `fill`.
    pub fn fill(
        &mut self,
        addr: u32,
        len_bytes: u32,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        self.check(addr, len_bytes)?;
        match self {
            Self::Own(bytes) => fill(bytes.get_mut(range(addr, len_bytes)?).ok_or(Errno::Fault)?),
            Self::Shared(memory) => {
                let mut copy = vec![0; len_bytes.min(MAX_COPIED_BYTES) as usize];
                let filled = fill(&mut copy)?.min(copy.len());
                memory.write(addr.into(), &copy[..filled]).map_err(|_| Errno::Fault)?;
                Ok(filled)
            }
        }
    }

    /// Copies `data` to `addr`.
    ///
    /// # Errors
    ///
    /// [`Errno::Fault`] if it does not fit into the memory.
    pub fn write(&mut self, addr: u32, data: &[u8]) -> Result<(), Errno> {
        let len_bytes = u32::try_from(data.len()).map_err(|_| Errno::Fault)?;
        match self {
            Self::Own(bytes) => {
                bytes.get_mut(range(addr, len_bytes)?).ok_or(Errno::Fault)?.copy_from_slice(data);
                Ok(())
            }
            Self::Shared(memory) => memory.write(addr.into(), data).map_err(|_| Errno::Fault),
        }
    }

    /// Reads a number of `N` bytes.
    fn number<const N: usize>(&self, addr: u32) -> Result<[u8; N], Errno> {
        let bytes = self.read(addr, N as u32)?;
        (*bytes).try_into().map_err(|_| Errno::Fault)
    }

    /// Reads an 8-bit number.
    ///
    /// # Errors
    ///
    /// [`Errno::Fault`] outside the memory.
    pub fn read_u8(&self, addr: u32) -> Result<u8, Errno> {
        self.number::<1>(addr).map(|[byte]| byte)
    }

    /// Reads a 16-bit number.
    ///
    /// # Errors
    ///
    /// [`Errno::Fault`] outside the memory.
    pub fn read_u16(&self, addr: u32) -> Result<u16, Errno> {
        self.number(addr).map(u16::from_le_bytes)
    }

    /// Reads a 32-bit number.
    ///
    /// # Errors
    ///
    /// [`Errno::Fault`] outside the memory.
    pub fn read_u32(&self, addr: u32) -> Result<u32, Errno> {
        self.number(addr).map(u32::from_le_bytes)
    }

    /// Reads a 64-bit number.
    ///
    /// # Errors
    ///
    /// [`Errno::Fault`] outside the memory.
    pub fn read_u64(&self, addr: u32) -> Result<u64, Errno> {
        self.number(addr).map(u64::from_le_bytes)
    }

    /// Writes a 32-bit number.
    ///
    /// # Errors
    ///
    /// [`Errno::Fault`] outside the memory.
    pub fn write_u32(&mut self, addr: u32, value: u32) -> Result<(), Errno> {
        self.write(addr, &value.to_le_bytes())
    }

    /// Writes a 64-bit number.
    ///
    /// # Errors
    ///
    /// [`Errno::Fault`] outside the memory.
    pub fn write_u64(&mut self, addr: u32, value: u64) -> Result<(), Errno> {
        self.write(addr, &value.to_le_bytes())
    }

    /// Reads an array of `count` buffers and checks that each lies inside the memory. Of a very long array the
    /// beginning is returned.
    ///
    /// # Errors
    ///
    /// [`Errno::Fault`] if the array or a buffer is outside, [`Errno::Inval`] if the lengths add up to more
    /// than the 32 bits in which the guest is told how many bytes were transferred.
    pub fn buffers(&self, addr: u32, count: u32) -> Result<Vec<Buffer>, Errno> {
        self.check(addr, count.checked_mul(IOVEC_BYTES).ok_or(Errno::Fault)?)?;
        let array = self.read(addr, count.min(MAX_BUFFERS as u32) * IOVEC_BYTES)?;
        let word = |chunk: &[u8]| chunk.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte));
        let mut total: u32 = 0;
        let mut buffers = Vec::with_capacity((count as usize).min(MAX_BUFFERS));
        for entry in array.chunks_exact(IOVEC_BYTES as usize) {
            let (addr, len_bytes) = entry.split_at(4);
            let buffer = Buffer { addr: word(addr), len_bytes: word(len_bytes) };
            self.check(buffer.addr, buffer.len_bytes)?;
            total = total.checked_add(buffer.len_bytes).ok_or(Errno::Inval)?;
            buffers.push(buffer);
        }
        Ok(buffers)
    }
}

fn range(addr: u32, len_bytes: u32) -> Result<Range<usize>, Errno> {
    let start = addr as usize;
    let end = start.checked_add(len_bytes as usize).ok_or(Errno::Fault)?;
    Ok(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accesses_at_the_end_are_checked() {
        let mut bytes = [0; 16];
        let mut guest = Guest::new(&mut bytes);
        assert_eq!(guest.write_u32(12, 0x0102_0304), Ok(()));
        assert_eq!(guest.read_u32(12), Ok(0x0102_0304));
        assert_eq!(guest.read_u16(12), Ok(0x0304));
        assert_eq!(guest.read_u8(15), Ok(1));
        assert_eq!(guest.write_u32(13, 0), Err(Errno::Fault));
        assert_eq!(guest.read_u64(u32::MAX), Err(Errno::Fault));
        assert_eq!(guest.read(16, 0).as_deref(), Ok(&[][..]));
        assert_eq!(guest.read(17, 0), Err(Errno::Fault));
    }

    #[test]
    fn buffers_are_checked_before_use() {
        let mut bytes = [0; 32];
        let mut guest = Guest::new(&mut bytes);
        guest.write_u32(0, 20).unwrap();
        guest.write_u32(4, 12).unwrap();
        assert_eq!(guest.buffers(0, 1), Ok(vec![Buffer { addr: 20, len_bytes: 12 }]));
        guest.write_u32(4, 13).unwrap();
        assert_eq!(guest.buffers(0, 1), Err(Errno::Fault));
        assert_eq!(guest.buffers(0, u32::MAX), Err(Errno::Fault));
        assert_eq!(guest.buffers(28, 1), Err(Errno::Fault));
        assert_eq!(guest.buffers(32, 0), Ok(vec![]));
        let mut bytes = vec![0; 8 * 2 * MAX_BUFFERS];
        let many = Guest::new(&mut bytes).buffers(0, 2 * MAX_BUFFERS as u32).unwrap();
        assert_eq!(many.len(), MAX_BUFFERS);
    }
}
