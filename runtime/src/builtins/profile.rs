//! What code that counts leaves to the runtime: see [`dolmen_abi::profile`].

use super::Result;
use dolmen_abi::profile::CallCounts;

/// Counts a call of the function with this key.
pub(super) fn count_call(counts: u64, key: u64) -> Result<()> {
    let counts = counts as *mut CallCounts;
    // SAFETY: compiled code passes the address of counters in its instance's context, which lives as long as the store
    // and is aligned to more than this. Any bits are valid.
    let mut updated = unsafe { counts.read_volatile() };
    updated.count(key);
    // SAFETY: as above. Other threads may have counted meanwhile; their counts are lost, as the agreement allows.
    unsafe { counts.write_volatile(updated) };
    Ok(())
}
