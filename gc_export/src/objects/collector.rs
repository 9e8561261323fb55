//! Collections and statistics of the heap.

use crate::border::{exported, set};
use crate::failure::Failure;
use crate::instance::{InstanceRecord, record};
use std::time::Duration;

/// `dolmen_gc_stats_t`.
#[repr(C)]
pub struct CGcStats {
    collections: u64,
    minor: u64,
    major: u64,
    total_pause_ns: u64,
    max_pause_ns: u64,
    allocated_bytes: u64,
    live_bytes: u64,
    heap_bytes: u64,
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn stats_of(record: &InstanceRecord) -> Result<CGcStats, Failure> {
    let stats = record.with(|context| runtime::AsContext::as_context(&context).gc_stats())?;
    Ok(CGcStats {
        collections: stats.collections,
        minor: stats.minor,
        major: stats.major,
        total_pause_ns: nanoseconds(stats.total),
        max_pause_ns: nanoseconds(stats.max_pause),
        allocated_bytes: stats.allocated_bytes,
        live_bytes: stats.live_bytes,
        heap_bytes: stats.heap_bytes,
    })
}

/// # Safety
///
/// As the header says.
unsafe fn stats_for_c(instance: *const InstanceRecord, stats: *mut CGcStats) -> bool {
    // SAFETY: as the caller promises.
    let found = unsafe { record(instance) }.and_then(|record| record.check(stats_of(record)));
    let is_found = found.is_some();
    // SAFETY: as the caller promises.
    found.into_iter().for_each(|found| unsafe { set(stats, found) });
    is_found
}

fn collect(record: &InstanceRecord) -> Result<(), Failure> {
    Ok(record.with(|mut context| context.gc())??)
}

exported! {
    fn dolmen_gc(instance: *const InstanceRecord) -> bool = false,
        record(instance).and_then(|record| record.check(collect(record))).is_some();
    fn dolmen_gc_stats(instance: *const InstanceRecord, stats: *mut CGcStats) -> bool = false,
        stats_for_c(instance, stats);
}
