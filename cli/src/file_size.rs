//! Limits of the size of files (`ulimit -f`).
//!
//! Who writes beyond one gets `SIGXFSZ`, which ends the process, with half a file left behind, unless it has a handler.
//! Then the write fails, as on a full disk.

use signal_hook::consts::SIGXFSZ;
use std::sync::Arc;

/// Turns writes beyond the limit into errors.
pub fn limit_is_an_error() {
    // Nobody looks at the flag: that there is a handler is enough. Without one, the limit ends the process.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
}
