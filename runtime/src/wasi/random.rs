//! `random_get`: bytes of the operating system's generator, written straight into the guest's memory.

use super::call::{Call, Failure};
use super::errno::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

/// Bytes after which others have a turn, and interruptions their effect.
const MAX_FILLED_BYTES: u32 = 1 << 20;

/// `random_get(buffer: *u8, length: u32)`.
pub fn random_get(call: &mut Call<'_>) -> Result<(), Failure> {
    let (addr, len_bytes) = (call.u32(0), call.u32(1));
    call.memory.check(addr, len_bytes)?;
    let rest = len_bytes - call.done;
    let filled = call.memory.fill(addr + call.done, rest.min(MAX_FILLED_BYTES), |bytes| {
        match getrandom(bytes, GetRandomFlags::empty()) {
            Ok(filled) => Ok(filled),
            Err(rustix::io::Errno::INTR) => Ok(0),
            Err(_) => Err(Errno::Io),
        }
    })?;
    // At most what is left, so it fits.
    let filled = filled as u32;
    if filled == rest { Ok(()) } else { Err(Failure::Unfinished { done: call.done + filled }) }
}
