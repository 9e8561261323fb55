//! `poll_oneoff`: waits until one of several subscriptions has something to say.
//!
//! A subscription is a clock that reaches a time, or a descriptor that can be read or written. Streams that
//! are no files of the host (buffers, an embedder's readers) are always ready. What is wrong with a single
//! subscription is reported in its own event, and at once. As long as there is nothing to say, the function fails with
//! what it waits for ([`Wait`]).

use super::call::{Call, Failure};
use super::clock::Clock;
use super::ctx::WasiCtx;
use super::descriptor::{Descriptor, Descriptors};
use super::errno::Errno;
use super::guest::Guest;
use super::wait::{Wait, poll_once};
use rustix::event::{PollFd, PollFlags};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
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
    /// Due at this time; never, if the clock does not go so far.
    Clock(Option<Instant>),
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
    let since = call.since.unwrap_or_else(Instant::now);
    let subscriptions: Vec<Subscription> = (0..count)
        .map(|i| read_subscription(&call.memory, subscriptions_addr + i * SUBSCRIPTION_BYTES, call.ctx, since))
        .collect::<Result<_, Errno>>()?;
    let mut events = 0;
    for (subscription, error) in ready(&subscriptions, &call.ctx.descriptors, since)? {
        let addr = events_addr + events * EVENT_BYTES;
        call.memory.write(addr, &event(subscription, error))?;
        events += 1;
    }
    call.memory.write_u32(out, events)?;
    Ok(())
}

fn read_subscription(memory: &Guest<'_>, addr: u32, ctx: &WasiCtx, since: Instant) -> Result<Subscription, Errno> {
    let tag = memory.read_u8(addr + 8)?;
    let kind = match tag {
        0 => due(memory, addr, ctx, since).map_or_else(Kind::Wrong, Kind::Clock),
        1 => Kind::Read(memory.read_u32(addr + 16)?),
        2 => Kind::Write(memory.read_u32(addr + 16)?),
        _ => return Err(Errno::Inval),
    };
    Ok(Subscription { user_data: memory.read_u64(addr)?, tag, kind })
}

/// When a clock subscription of a call that was made `since` is due.
fn due(memory: &Guest<'_>, addr: u32, ctx: &WasiCtx, since: Instant) -> Result<Option<Instant>, Errno> {
    let clock = Clock::from_id(memory.read_u32(addr + 16)?)?;
    if !matches!(clock, Clock::Realtime | Clock::Monotonic) {
        return Err(Errno::NotSup);
    }
    let timeout = memory.read_u64(addr + 24)?;
    if memory.read_u16(addr + 40)? & ABSTIME == 0 {
        return Ok(since.checked_add(Duration::from_nanos(timeout)));
    }
    let rest = Duration::from_nanos(timeout.saturating_sub(clock.now(ctx)?));
    Ok(Instant::now().checked_add(rest))
}

/// The subscriptions that have an event; at least one.
fn ready<'s>(
    subscriptions: &'s [Subscription],
    descriptors: &Descriptors,
    since: Instant,
) -> Result<Vec<(&'s Subscription, Option<Errno>)>, Failure> {
    let mut ready = Vec::new();
    let mut files = Files::default();
    let mut polled = Vec::new();
    for subscription in subscriptions {
        match watched(subscription.kind, descriptors) {
            Ok(Some((file, flags))) => polled.push((subscription, files.place(file, flags))),
            Ok(None) if matches!(subscription.kind, Kind::Clock(_)) => {}
            Ok(None) => ready.push((subscription, None)),
            Err(error) => ready.push((subscription, Some(error))),
        }
    }
    let mut fds = files.to_poll();
    if !fds.is_empty() {
        poll_once(&mut fds, Some(Duration::ZERO))?;
    }
    let now = Instant::now();
    let due = |s: &Subscription| if let Kind::Clock(due) = s.kind { due } else { None };
    ready.extend(polled.iter().filter(|(_, place)| !fds[*place].revents().is_empty()).map(|&(s, _)| (s, None)));
    ready.extend(subscriptions.iter().filter(|s| due(s).is_some_and(|due| due <= now)).map(|s| (s, None)));
    if ready.is_empty() {
        let until = subscriptions.iter().filter_map(due).min();
        return Err(files.blocked(since, until));
    }
    Ok(ready)
}

/// What subscriptions watch: each file once for each of reading and writing, however often it is subscribed to.
#[derive(Default)]
struct Files<'d> {
    list: Vec<(BorrowedFd<'d>, PollFlags)>,
    places: HashMap<(RawFd, u16), usize>,
}

impl<'d> Files<'d> {
    /// Where a file is in the list, to which it is added if it is not there.
    fn place(&mut self, file: BorrowedFd<'d>, flags: PollFlags) -> usize {
        *self.places.entry((file.as_raw_fd(), flags.bits())).or_insert_with(|| {
            self.list.push((file, flags));
            self.list.len() - 1
        })
    }

    fn to_poll(&self) -> Vec<PollFd<'d>> {
        self.list.iter().map(|&(file, flags)| PollFd::from_borrowed_fd(file, flags)).collect()
    }

    /// What to wait for.
    fn blocked(&self, since: Instant, until: Option<Instant>) -> Failure {
        let files = self.list.iter().map(|&(file, flags)| Ok((file.try_clone_to_owned()?, flags)));
        match files.collect::<io::Result<_>>() {
            Ok(files) => Failure::Blocked(Wait { since, until, files }),
            Err(error) => Errno::from(error).into(),
        }
    }
}

/// What to poll for a subscription; nothing for a clock and for a stream that is always ready.
fn watched(kind: Kind, descriptors: &Descriptors) -> Result<Option<(BorrowedFd<'_>, PollFlags)>, Errno> {
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
    Ok(file.map(|file| (file.as_fd(), flags)))
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
