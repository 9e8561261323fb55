//! `proc_*` and `sched_yield`.

use super::call::{Call, Exit, Failure};
use super::errno::Errno;

/// `proc_exit(status: u32)`; does not return to the guest.
pub fn proc_exit(call: &mut Call<'_>) -> Result<(), Failure> {
    Err(Failure::Exit(Exit::Status(call.u32(0))))
}

/// `proc_raise(signal: u8)`: guests have no signals.
pub fn proc_raise(_call: &mut Call<'_>) -> Result<(), Failure> {
    Err(Errno::NoSys.into())
}

/// `sched_yield()`.
pub fn sched_yield(_call: &mut Call<'_>) -> Result<(), Failure> {
    Err(Failure::Yield)
}
