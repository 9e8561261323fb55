//! `--gc-report`: the file is begun before the program starts, and written after it.
//!
//! A program may run for hours: that its report cannot be written is said first. So only files are accepted, not
//! pipes, which may have no reader at the end, nor standard output, which is the program's.

use crate::new_file::NewFile;
use anyhow::{Context, Result, bail};
use dolmen::Store;
use std::fs;
use std::path::{Path, PathBuf};

/// A file that waits for its report.
#[derive(Debug)]
pub struct ReportFile {
    path: PathBuf,
    file: NewFile,
}

impl ReportFile {
    /// Begins the file.
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
        let file = NewFile::create(path).with_context(|| format!("--gc-report {}", path.display()))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Writes the page.
    ///
    /// # Errors
    ///
    /// When the disk is full, or the heap is found corrupt.
    pub fn write<T>(self, store: &mut Store<T>, program: &str) -> Result<()> {
        let Some(report) = store.gc_report()? else { return Ok(()) };
        let mut file = self.file;
        let written = report.write_html(program, &mut file).and_then(|()| file.finish());
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }
}
