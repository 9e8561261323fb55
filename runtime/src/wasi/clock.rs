//! `clock_*`: the clocks of the host.
//!
//! The monotonic clock counts from the creation of the context, so that a guest learns nothing of the host's
//! uptime.

use super::call::{Call, Failure};
use super::ctx::WasiCtx;
use super::errno::Errno;
use rustix::time::{ClockId, clock_getres, clock_gettime};
use std::time::{SystemTime, UNIX_EPOCH};

/// A clock of WASI's `clockid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    Realtime,
    Monotonic,
    ProcessCpu,
    ThreadCpu,
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;

impl Clock {
    /// The clock of that number.
    ///
    /// # Errors
    ///
    /// [`Errno::Inval`] if there is none.
    pub const fn from_id(id: u32) -> Result<Self, Errno> {
        match id {
            0 => Ok(Self::Realtime),
            1 => Ok(Self::Monotonic),
            2 => Ok(Self::ProcessCpu),
            3 => Ok(Self::ThreadCpu),
            _ => Err(Errno::Inval),
        }
    }

    /// The clock's time in nanoseconds.
    ///
    /// # Errors
    ///
    /// [`Errno::Overflow`] if 64 bits do not hold it.
    pub fn now(self, ctx: &WasiCtx) -> Result<u64, Errno> {
        let nanos = match self {
            Self::Realtime => SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| Errno::Overflow)?.as_nanos(),
            Self::Monotonic => ctx.started.elapsed().as_nanos(),
            Self::ProcessCpu | Self::ThreadCpu => return nanos(clock_gettime(self.host())),
        };
        u64::try_from(nanos).map_err(|_| Errno::Overflow)
    }

    const fn host(self) -> ClockId {
        match self {
            Self::Realtime => ClockId::Realtime,
            Self::Monotonic => ClockId::Monotonic,
            Self::ProcessCpu => ClockId::ProcessCPUTime,
            Self::ThreadCpu => ClockId::ThreadCPUTime,
        }
    }
}

/// `clock_res_get(id: u32, resolution: *u64)`.
pub fn clock_res_get(call: &mut Call<'_>) -> Result<(), Failure> {
    let clock = Clock::from_id(call.u32(0))?;
    let resolution = nanos(clock_getres(clock.host()))?;
    call.memory.write_u64(call.u32(1), resolution)?;
    Ok(())
}

/// `clock_time_get(id: u32, precision: u64, time: *u64)`.
pub fn clock_time_get(call: &mut Call<'_>) -> Result<(), Failure> {
    let time = Clock::from_id(call.u32(0))?.now(call.ctx)?;
    call.memory.write_u64(call.u32(2), time)?;
    Ok(())
}

fn nanos(time: rustix::time::Timespec) -> Result<u64, Errno> {
    let seconds = u64::try_from(time.tv_sec).map_err(|_| Errno::Overflow)?;
    let nanos = u64::try_from(time.tv_nsec).map_err(|_| Errno::Overflow)?;
    seconds.checked_mul(NANOS_PER_SECOND).and_then(|total| total.checked_add(nanos)).ok_or(Errno::Overflow)
}
