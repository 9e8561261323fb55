//! Memory that the system has at hand.
//!
//! A virtual machine hands free memory back to its host, within seconds on some, and getting it again takes the host many
//! times what the kernel takes for a page of its own (1 to 2 ms for a mebibyte, where the kernel takes 0.1). Whoever
//! allocates first after such a pause pays. That is the machine's doing and no engine's, it depends on who ran seconds
//! before, and it falls on the first call of those programs that need the most memory. So a process of its own touches
//! and frees more memory than any engine uses before each process that is measured: all find the machine in the same
//! state. With 0 MiB nobody does, which shows what a machine costs that has just given its memory back.

use crate::process;
use anyhow::{Context as _, Result};
use memmap2::{Advice, MmapMut};
use std::hint::black_box;
use std::path::PathBuf;
use std::process::Command;

/// The option of this program that makes it [`touch`] memory and end.
pub const TOUCH: &str = "--touch-memory";

/// Page size of the machines that are measured, in bytes; where pages are larger, each is written more than once.
const PAGE_BYTES: usize = 4096;

/// Provides memory before each process that is measured.
#[derive(Clone, Debug)]
pub struct Provider {
    program: PathBuf,
    mebibytes: u32,
}

impl Provider {
    /// Provides so much memory each time, by running `program` with [`TOUCH`].
    #[must_use]
    pub fn new(program: PathBuf, mebibytes: u32) -> Self {
        Self { program, mebibytes }
    }

    /// Touches the memory in a process of its own, so that it is free again when this returns.
    ///
    /// # Errors
    ///
    /// If the process cannot be started or fails.
    pub fn provide(&self) -> Result<()> {
        if self.mebibytes > 0 {
            process::run(Command::new(&self.program).args([TOUCH, &self.mebibytes.to_string()]))?;
        }
        Ok(())
    }
}

/// Writes to every page of so much memory, huge pages where the system has them, and frees it.
///
/// # Errors
///
/// If the system refuses that much.
pub fn touch(mebibytes: u32) -> Result<()> {
    let bytes = (mebibytes as usize) << 20;
    let mut memory = MmapMut::map_anon(bytes).with_context(|| format!("no {mebibytes} MiB to touch"))?;
    // Without huge pages it only takes longer.
    _ = memory.advise(Advice::HugePage);
    memory.iter_mut().step_by(PAGE_BYTES).for_each(|byte| *byte = 1);
    black_box(&memory);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_touched_by_another_process_or_not_at_all() {
        touch(1).unwrap();
        Provider::new("/nowhere/bench".into(), 0).provide().unwrap();
        let error = Provider::new("/nowhere/bench".into(), 1).provide().unwrap_err();
        assert!(error.to_string().contains("cannot start /nowhere/bench"), "{error}");
        Provider::new("true".into(), 1).provide().unwrap();
    }
}
