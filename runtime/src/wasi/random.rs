//! `random_get`: bytes of the operating system's generator, written straight into the guest's memory.

use super::call::{Call, Failure};
use super::errno::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

/// `random_get(buffer: *u8, length: u32)`.
pub fn random_get(call: &mut Call<'_>) -> Result<(), Failure> {
    let (addr, len_bytes) = (call.u32(0), call.u32(1));
    let mut rest = call.memory.slice_mut(addr, len_bytes)?;
    while !rest.is_empty() {
        match getrandom(&mut *rest, GetRandomFlags::empty()) {
            Ok(filled) => rest = &mut rest[filled..],
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Err(Errno::Io.into()),
        }
    }
    Ok(())
}
