//! Folders of files that can be made again: what `dolmen run` and `dolmenc` keep of compilations.
//!
//! An entry has the name of all that its content depends on, so it never changes; writers put a complete file in place with
//! one rename, so that readers and further writers need no lock: who comes second replaces the file by an equal one. A
//! reader that has opened an entry keeps it though it be removed.
//!
//! The size is bounded: the entries used longest ago go first. Times of use are the files' modification times, which a hit
//! renews.
//!
//! A folder that cannot be used (no home directory, a read-only or full disk) costs time, never a run.

use crate::size;
use std::env;
use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// The variable that bounds each folder.
const MAX_BYTES_VARIABLE: &str = "DOLMEN_CACHE_MAX";

const DEFAULT_MAX_BYTES: u64 = 1 << 30;

/// A temporary file that is older than this has no writer any more.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);

const TEMPORARY_EXTENSION: &str = "tmp";

/// The mode of a folder that is its owner's alone.
const PRIVATE: u32 = 0o700;

/// Bits of a mode that let the group or anybody write.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// A folder whose files have one extension.
#[derive(Debug)]
pub struct CacheFolder {
    path: PathBuf,
    extension: &'static str,
    max_bytes: u64,
}

impl CacheFolder {
    /// The user's folder of this name; nothing if there is no place for one.
    #[must_use]
    pub fn of_user(name: &str, extension: &'static str) -> Option<Self> {
        let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
        let max_bytes = env::var(MAX_BYTES_VARIABLE).ok().and_then(|text| size::parse(&text).ok());
        Self::at(base.join("dolmen").join(name), extension, max_bytes.unwrap_or(DEFAULT_MAX_BYTES)).ok()
    }

    /// The folder with this path, which is made if it is missing. What is in it is run, so it must be the user's, and
    /// nobody else may write there.
    fn at(path: PathBuf, extension: &'static str, max_bytes: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(PRIVATE).create(&path)?;
        let metadata = fs::metadata(&path)?;
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::from(io::ErrorKind::PermissionDenied));
        }
        if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
            fs::set_permissions(&path, Permissions::from_mode(PRIVATE))?;
        }
        Ok(Self { path, extension, max_bytes })
    }

    /// The file of an entry, open, if there is one; counts as a use.
    #[must_use]
    pub fn lookup(&self, name: &str) -> Option<(PathBuf, File)> {
        let path = self.entry(name);
        let file = File::open(&path).ok()?;
        // An entry that seems unused for longer than it is only goes earlier.
        let _ = file.set_modified(SystemTime::now());
        Some((path, file))
    }

    /// Adds an entry.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn insert(&self, name: &str, content: &[u8]) -> io::Result<PathBuf> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let path = self.entry(name);
        // Relaxed: it only tells the threads' files apart.
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_extension(format!("{}.{number}.{TEMPORARY_EXTENSION}", process::id()));
        let written = File::create(&temporary)
            .and_then(|mut file| file.write_all(content))
            .and_then(|()| fs::rename(&temporary, &path));
        if let Err(error) = written {
            // What is left of it is removed as abandoned later.
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        Ok(path)
    }

    /// Removes an entry that is damaged.
    pub fn remove(&self, name: &str) {
        // Another process may have been faster.
        let _ = fs::remove_file(self.entry(name));
    }

    /// Brings the folder below its bound, by which the entry that was used last may be the only one left.
    pub fn trim(&self) {
        let mut entries = self.entries();
        let mut total: u64 = entries.iter().map(|(_, metadata)| metadata.len()).sum();
        entries.sort_by_key(|(_, metadata)| metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH));
        entries.pop();
        for (path, metadata) in &entries {
            if total <= self.max_bytes {
                break;
            }
            if fs::remove_file(path).is_ok() {
                total -= metadata.len();
            }
        }
    }

    fn entry(&self, name: &str) -> PathBuf {
        self.path.join(name).with_extension(self.extension)
    }

    /// All entries; removes abandoned temporary files on the way.
    fn entries(&self) -> Vec<(PathBuf, Metadata)> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let (path, Ok(metadata)) = (entry.path(), entry.metadata()) else { continue };
            let extension = path.extension().unwrap_or_default();
            if extension == self.extension {
                entries.push((path, metadata));
            } else if extension == TEMPORARY_EXTENSION && is_abandoned(&metadata) {
                // It may be removed by another process at the same time.
                let _ = fs::remove_file(path);
            }
        }
        entries
    }
}

fn is_abandoned(metadata: &Metadata) -> bool {
    let age = metadata.modified().ok().and_then(|modified| modified.elapsed().ok());
    age.is_some_and(|age| age > ABANDONED_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder for one test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let folder = env::temp_dir().join(format!("dolmen-cache-{name}-{}", process::id()));
            let _ = fs::remove_dir_all(&folder);
            Self(folder)
        }

        fn folder(&self, max_bytes: u64) -> CacheFolder {
            CacheFolder::at(self.0.clone(), "entry", max_bytes).unwrap()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn entries_are_found_until_removed() {
        let scratch = Scratch::new("found");
        let folder = scratch.folder(1000);
        assert!(folder.lookup("a").is_none());
        let path = folder.insert("a", b"content").unwrap();
        assert_eq!(folder.lookup("a").unwrap().0, path);
        assert_eq!(fs::read(&path).unwrap(), b"content");
        folder.remove("a");
        assert!(folder.lookup("a").is_none());
        assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 0);
    }

    #[test]
    fn nobody_else_may_write() {
        let scratch = Scratch::new("private");
        let mode = || fs::metadata(&scratch.0).unwrap().mode() & 0o777;
        scratch.folder(1000);
        assert_eq!(mode(), PRIVATE);
        fs::set_permissions(&scratch.0, Permissions::from_mode(0o777)).unwrap();
        scratch.folder(1000);
        assert_eq!(mode(), PRIVATE);
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&scratch.0, Some(1), None).unwrap();
            assert!(CacheFolder::at(scratch.0.clone(), "entry", 1000).is_err(), "it is another user's");
        }
    }

    #[test]
    fn entries_used_longest_ago_go_first() {
        let scratch = Scratch::new("bound");
        let folder = scratch.folder(100);
        let age = |name: &str, seconds| {
            let file = File::open(folder.entry(name)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
        };
        for (name, seconds) in [("a", 30), ("b", 20), ("c", 10)] {
            folder.insert(name, &[0; 30]).unwrap();
            age(name, seconds);
        }
        folder.trim();
        assert!(folder.lookup("a").is_some());
        folder.insert("d", &[0; 30]).unwrap();
        folder.trim();
        assert_eq!(["a", "b", "c", "d"].map(|name| folder.entry(name).exists()), [true, false, true, true]);
        folder.insert("e", &[0; 200]).unwrap();
        folder.trim();
        assert_eq!(["a", "c", "d", "e"].map(|name| folder.entry(name).exists()), [false, false, false, true]);
    }

    #[test]
    fn only_abandoned_temporary_files_go() {
        let scratch = Scratch::new("abandoned");
        let folder = scratch.folder(100);
        let [old, new] = ["old.1.0.tmp", "new.1.1.tmp"].map(|name| scratch.0.join(name));
        let long_ago = SystemTime::now() - 2 * ABANDONED_AFTER;
        File::create(&old).unwrap().set_modified(long_ago).unwrap();
        File::create(&new).unwrap();
        folder.trim();
        assert_eq!((old.exists(), new.exists()), (false, true));
    }

    #[test]
    fn writers_do_not_disturb_each_other() {
        let scratch = Scratch::new("writers");
        let folder = scratch.folder(1 << 20);
        let content = vec![7; 100_000];
        folder.insert("a", &content).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..50).for_each(|_| drop(folder.insert("a", &content).unwrap())));
            }
            for _ in 0..200 {
                assert_eq!(fs::read(folder.entry("a")).unwrap(), content);
            }
        });
        assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1);
    }
}
