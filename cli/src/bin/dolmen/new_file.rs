//! Files that appear as a whole or not at all.
//!
//! What is written goes to a temporary file beside the place, which takes it with one rename: whoever uses an old file of
//! that name keeps it, and nobody sees half a new one, be the disk full. What is no regular file (a device, a pipe) is
//! written to.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process;

/// A file that is being written.
#[derive(Debug)]
pub struct NewFile {
    file: BufWriter<File>,
    /// The temporary file, until it is in its place; none for what is written to directly.
    temporary: Option<PathBuf>,
    path: PathBuf,
}

impl NewFile {
    /// Begins a file with this path.
    ///
    /// # Errors
    ///
    /// When there is no such folder, or no file can be made there.
    pub fn create(path: &Path) -> io::Result<Self> {
        let path = path.to_owned();
        if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            return Ok(Self { file: BufWriter::new(File::create(&path)?), temporary: None, path });
        }
        let mut name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?.to_owned();
        name.push(format!(".{}.tmp", process::id()));
        let temporary = path.with_file_name(name);
        Ok(Self { file: BufWriter::new(File::create(&temporary)?), temporary: Some(temporary), path })
    }

    /// Puts the file, which is complete, in its place.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.flush()?;
        if let Some(temporary) = &self.temporary {
            fs::rename(temporary, &self.path)?;
        }
        self.temporary = None;
        Ok(())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    /// Removes what is not complete.
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // There was an error before, which is the one to report.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// Writes a file with this content.
///
/// # Errors
///
/// When that is not possible; then a file that was there is what it was.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = NewFile::create(path)?;
    file.write_all(bytes)?;
    file.finish()
}
