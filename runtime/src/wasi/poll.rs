//! `poll_oneoff`: waits until one of several subscriptions has something to say.
//!
//! A subscription is a clock that reaches a time, or a descriptor that can be read or written. Streams that
//! are no files of the host (buffers, an embedder's readers) are always ready. What is wrong with a single
//! subscription is reported in its own event, and at once.

use super::call::{Call, Failure};
use super::clock::Clock;
use super::ctx::WasiCtx;
use super::descriptor::{Descriptor, Descriptors};
use super::errno::Errno;
use super::guest::Guest;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Size of WASI's `subscription`: user data (u64), tag (u8 at 8), clock or descriptor (at 16).
const SUBSCRIPTION_BYTES: u32 = 48;

/// Size of WASI's `event`: user data (u64), error (u16 at 8), type (u8 at 10), bytes and flags of a descriptor.
const EVENT_BYTES: u32 = 32;

/// Subscriptions of one call; more is a mistake of the guest or an attack on the host's memory.
const MAX_SUBSCRIPTIONS: u32 = 1 << 16;

/// Flag of a clock subscription whose time is not relative to now.
const ABSTIME: u16 = 1;

#[derive(Clone, Copy, Debug)]
struct Subscription {
    user_data: u64,
    tag: u8,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Due after this time.
    Clock(Duration),
    Read(u32),
    Write(u32),
    /// Cannot be waited for.
    Wrong(Errno),
}

/// `poll_oneoff(subscriptions: *subscription, events: *event, count: u32, event_count: *u32)`.
pub fn poll_oneoff(call: &mut Call<'_>) -> Result<(), Failure> {
    let (subscriptions_addr, events_addr, count, out) = (call.u32(0), call.u32(1), call.u32(2), call.u32(3));
    if count == 0 || count > MAX_SUBSCRIPTIONS {
        return Err(Errno::Inval.into());
    }
    // All addresses are checked before the wait.
    call.memory.check(subscriptions_addr, count * SUBSCRIPTION_BYTES)?;
    call.memory.check(events_addr, count * EVENT_BYTES)?;
    call.memory.read_u32(out)?;
    let subscriptions: Vec<Subscription> = (0..count)
        .map(|i| read_subscription(&call.memory, subscriptions_addr + i * SUBSCRIPTION_BYTES, call.ctx))
        .collect::<Result<_, Errno>>()?;
    let mut events = 0;
    for (subscription, error) in wait(&subscriptions, &call.ctx.descriptors)? {
        let addr = events_addr + events * EVENT_BYTES;
        call.memory.write(addr, &event(subscription, error))?;
        events += 1;
    }
    call.memory.write_u32(out, events)?;
    Ok(())
}

fn read_subscription(memory: &Guest<'_>, addr: u32, ctx: &WasiCtx) -> Result<Subscription, Errno> {
    let tag = memory.read_u8(addr + 8)?;
    let kind = match tag {
        0 => clock_wait(memory, addr, ctx).map_or_else(Kind::Wrong, Kind::Clock),
        1 => Kind::Read(memory.read_u32(addr + 16)?),
        2 => Kind::Write(memory.read_u32(addr + 16)?),
        _ => return Err(Errno::Inval),
    };
    Ok(Subscription { user_data: memory.read_u64(addr)?, tag, kind })
}

/// How long a clock subscription waits from now.
fn clock_wait(memory: &Guest<'_>, addr: u32, ctx: &WasiCtx) -> Result<Duration, Errno> {
    let clock = Clock::from_id(memory.read_u32(addr + 16)?)?;
    if !matches!(clock, Clock::Realtime | Clock::Monotonic) {
        return Err(Errno::NotSup);
    }
    let timeout = memory.read_u64(addr + 24)?;
    let absolute = memory.read_u16(addr + 40)? & ABSTIME != 0;
    let nanos = if absolute { timeout.saturating_sub(clock.now(ctx)?) } else { timeout };
    Ok(Duration::from_nanos(nanos))
}

/// Waits, and returns the subscriptions that have an event; at least one.
fn wait<'s>(
    subscriptions: &'s [Subscription],
    descriptors: &Descriptors,
) -> Result<Vec<(&'s Subscription, Option<Errno>)>, Errno> {
    let start = Instant::now();
    let mut ready = Vec::new();
    let mut polled = Vec::new();
    let mut fds = Vec::new();
    for subscription in subscriptions {
        match watched(subscription.kind, descriptors) {
            Ok(Some(fd)) => {
                polled.push(subscription);
                fds.push(fd);
            }
            Ok(None) if matches!(subscription.kind, Kind::Clock(_)) => {}
            Ok(None) => ready.push((subscription, None)),
            Err(error) => ready.push((subscription, Some(error))),
        }
    }
    let due = |s: &Subscription| if let Kind::Clock(wait) = s.kind { Some(wait) } else { None };
    let timeout = if ready.is_empty() { subscriptions.iter().filter_map(due).min() } else { Some(Duration::ZERO) };
    poll_until(&mut fds, timeout.map(|timeout| (start, timeout)))?;
    let elapsed = start.elapsed();
    ready.extend(polled.iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty()).map(|(&s, _)| (s, None)));
    ready.extend(subscriptions.iter().filter(|s| due(s).is_some_and(|wait| wait <= elapsed)).map(|s| (s, None)));
    Ok(ready)
}

/// What to poll for a subscription; nothing for a clock and for a stream that is always ready.
fn watched(kind: Kind, descriptors: &Descriptors) -> Result<Option<PollFd<'_>>, Errno> {
    let (file, flags) = match kind {
        Kind::Wrong(error) => return Err(error),
        Kind::Clock(_) => return Ok(None),
        Kind::Read(fd) => match descriptors.get(fd)? {
            Descriptor::Input(stream) => (stream.file(), PollFlags::IN),
            Descriptor::Output(_) => return Err(Errno::NotCapable),
        },
        Kind::Write(fd) => match descriptors.get(fd)? {
            Descriptor::Output(stream) => (stream.file(), PollFlags::OUT),
            Descriptor::Input(_) => return Err(Errno::NotCapable),
        },
    };
    Ok(file.map(|file| PollFd::from_borrowed_fd(file.as_fd(), flags)))
}

/// Polls until something happens or the timeout (from a start) has passed; without one, for ever.
fn poll_until(fds: &mut [PollFd<'_>], timeout: Option<(Instant, Duration)>) -> Result<(), Errno> {
    loop {
        let rest = timeout.map(|(start, timeout)| timeout.saturating_sub(start.elapsed()));
        let timespec = rest.map(|rest| Timespec {
            tv_sec: i64::try_from(rest.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: rest.subsec_nanos().into(),
        });
        match poll(fds, timespec.as_ref()) {
            // The kernel's clock may be a little ahead of ours.
            Ok(0) if rest.is_some_and(|rest| !rest.is_zero()) => {}
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Err(Errno::Io),
        }
    }
}

fn event(subscription: &Subscription, error: Option<Errno>) -> [u8; EVENT_BYTES as usize] {
    let mut event = [0; EVENT_BYTES as usize];
    event[..8].copy_from_slice(&subscription.user_data.to_le_bytes());
    let code = error.map_or(0, |errno| errno as u16);
    event[8..10].copy_from_slice(&code.to_le_bytes());
    event[10] = subscription.tag;
    // How many bytes are there is not known without reading them; guests must cope with fewer.
    let available = u64::from(subscription.tag != 0 && error.is_none());
    event[16..24].copy_from_slice(&available.to_le_bytes());
    event
}
