//! `--gc-report`: the file is made before the program starts, and filled after it.
//!
//! A program may run for hours: that its report cannot be written is said first. So only files are accepted, not
//! pipes, which may have no reader at the end, nor standard output, which is the program's.

use anyhow::{Context, Result, bail};
use dolmen::Store;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file that waits for its report.
#[derive(Debug)]
pub struct ReportFile {
    path: PathBuf,
    file: File,
}

impl ReportFile {
    /// Makes the file, or empties it.
    ///
    /// # Errors
    ///
    /// When it cannot be written, or is none.
    pub fn create(path: &Path) -> Result<Self> {
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            bail!("--gc-report {}: not a regular file", path.display());
        }
        if path == Path::new("-") {
            bail!("--gc-report -: standard output is the program's; name a file");
        }
        let file = File::create(path).with_context(|| format!("--gc-report {}", path.display()))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Writes the page.
    ///
    /// # Errors
    ///
    /// When the disk is full, or the heap is found corrupt.
    pub fn write<T>(self, store: &mut Store<T>, program: &str) -> Result<()> {
        let Some(report) = store.gc_report()? else { return Ok(()) };
        let mut out = BufWriter::new(self.file);
        let written = report.write_html(program, &mut out).and_then(|()| out.flush());
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }
}
