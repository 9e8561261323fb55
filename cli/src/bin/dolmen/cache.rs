//! Compiled modules that `dolmen run` keeps.
//!
//! The cache is a folder of artifacts, each named by the BLAKE3 hash of all that its content depends on: the
//! module, the options of its compilation, the compiler and the processor. An entry never changes; writers put
//! a complete file in place with one rename, so that readers and further writers need no lock: who comes second
//! replaces the file by an equal one. A reader that has opened an entry keeps it though it be removed.
//!
//! The artifact's own hash tells whether an entry is damaged; the caller then removes it and compiles anew.
//! The size is bounded: after an insertion the entries used longest ago go first. Times of use are the files'
//! modification times, which a hit renews.
//!
//! A cache that cannot be used (no home directory, a read-only or full disk) costs time, never a run.

use crate::size;
use blake3::Hasher;
use dolmen_abi::artifact::FORMAT_VERSION;
use dolmen_cli::protocol::{Request, VERSION};
use std::env;
use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, SystemTime};

/// The variable that bounds the cache.
const MAX_BYTES_VARIABLE: &str = "DOLMEN_CACHE_MAX";

const DEFAULT_MAX_BYTES: u64 = 1 << 30;

/// Where processors are described; the first paragraph is the first processor.
const CPU_INFO: &str = "/proc/cpuinfo";

/// Enough of [`CPU_INFO`] for its first paragraph.
const CPU_INFO_BYTES: u64 = 8 << 10;

/// A temporary file that is older than this has no writer any more.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);

const ENTRY_EXTENSION: &str = "dolmen";
const TEMPORARY_EXTENSION: &str = "tmp";

/// Names the result of a compilation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

/// The folder of compiled modules.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    max_bytes: u64,
}

impl Key {
    /// The key of `input` compiled as `request` says by the program `compiler`.
    ///
    /// # Errors
    ///
    /// When the compiler cannot be looked at.
    pub fn new(request: &Request, input: &[u8], compiler: &Path) -> io::Result<Self> {
        let compiler = fs::metadata(compiler)?;
        // How many threads compile makes no difference to the result.
        let request = postcard::to_stdvec(&Request { jobs: 0, ..request.clone() }).map_err(io::Error::other)?;
        let mut hasher = Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        part(VERSION.as_bytes());
        part(&FORMAT_VERSION.to_le_bytes());
        part(&compiler.len().to_le_bytes());
        part(&compiler.mtime().to_le_bytes());
        part(&compiler.mtime_nsec().to_le_bytes());
        part(processor().as_bytes());
        part(&request);
        part(input);
        Ok(Self(hasher.finalize().to_hex().to_string()))
    }
}

impl Cache {
    /// The user's cache; nothing if there is no place for one.
    #[must_use]
    pub fn of_user() -> Option<Self> {
        let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
        let max_bytes = env::var(MAX_BYTES_VARIABLE).ok().and_then(|text| size::parse(&text).ok());
        Self::at(base.join("dolmen").join("artifacts"), max_bytes.unwrap_or(DEFAULT_MAX_BYTES)).ok()
    }

    /// The cache in this folder, which is made if it is missing. What is in it is run, so only its owner may
    /// write there.
    fn at(folder: PathBuf, max_bytes: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        Ok(Self { folder, max_bytes })
    }

    /// The file of an entry, if there is one; counts as a use.
    #[must_use]
    pub fn lookup(&self, key: &Key) -> Option<PathBuf> {
        let path = self.path(key);
        let file = File::open(&path).ok()?;
        // An entry that seems unused for longer than it is only goes earlier.
        let _ = file.set_modified(SystemTime::now());
        Some(path)
    }

    /// Adds an entry, then removes old ones as the bound demands.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn insert(&self, key: &Key, artifact: &[u8]) -> io::Result<PathBuf> {
        let path = self.path(key);
        let temporary = path.with_extension(format!("{}.{TEMPORARY_EXTENSION}", process::id()));
        let written = File::create(&temporary)
            .and_then(|mut file| file.write_all(artifact))
            .and_then(|()| fs::rename(&temporary, &path));
        if let Err(error) = written {
            // What is left of it is removed as abandoned later.
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        self.evict(&path);
        Ok(path)
    }

    /// Removes an entry that is damaged.
    pub fn remove(&self, key: &Key) {
        // Another process may have been faster.
        let _ = fs::remove_file(self.path(key));
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.folder.join(&key.0).with_extension(ENTRY_EXTENSION)
    }

    /// Brings the cache below its bound, sparing the entry that was just made.
    fn evict(&self, newest: &Path) {
        let mut entries = self.entries();
        let mut total: u64 = entries.iter().map(|(_, metadata)| metadata.len()).sum();
        entries.sort_by_key(|(_, metadata)| metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH));
        for (path, metadata) in &entries {
            if total <= self.max_bytes {
                break;
            }
            if path != newest && fs::remove_file(path).is_ok() {
                total -= metadata.len();
            }
        }
    }

    /// All entries; removes abandoned temporary files on the way.
    fn entries(&self) -> Vec<(PathBuf, Metadata)> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let (path, Ok(metadata)) = (entry.path(), entry.metadata()) else { continue };
            let extension = path.extension().unwrap_or_default();
            if extension == ENTRY_EXTENSION {
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

/// Model and features of the processor: code that was compiled for it may not be the best, or not run at all,
/// on another one that shares the home directory.
fn processor() -> String {
    let mut text = Vec::new();
    // Without a description all processors count as one; the loader still refuses what cannot run.
    if let Ok(file) = File::open(CPU_INFO) {
        let _ = file.take(CPU_INFO_BYTES).read_to_end(&mut text);
    }
    let text = String::from_utf8_lossy(&text);
    let facts = ["vendor_id", "cpu family", "model", "stepping", "flags"];
    let first = text.lines().take_while(|line| !line.is_empty());
    first.filter(|line| facts.iter().any(|fact| line.starts_with(fact))).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use dolmen_abi::collector::Collector;
    use dolmen_cli::protocol::{Emit, ProfileMode, Source};

    /// A folder for one test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let folder = env::temp_dir().join(format!("dolmen-cache-{name}-{}", process::id()));
            let _ = fs::remove_dir_all(&folder);
            Self(folder)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn request() -> Request {
        Request {
            opt_level: 2,
            emit: Emit::Artifact,
            target_cpu: "native".into(),
            jobs: 1,
            collector: Collector::DEFAULT,
            polls: false,
            features: String::new(),
            source: Source::Binary,
            profile: ProfileMode::Off,
        }
    }

    fn key(input: &[u8]) -> Key {
        Key::new(&request(), input, &env::current_exe().unwrap()).unwrap()
    }

    #[test]
    fn a_key_depends_on_all_that_matters() {
        let program = env::current_exe().unwrap();
        let with = |request: Request| Key::new(&request, b"m", &program).unwrap();
        let plain = with(request());
        assert_eq!(plain, with(Request { jobs: 7, ..request() }));
        assert_ne!(plain, key(b"n"));
        assert_ne!(plain, with(Request { opt_level: 1, ..request() }));
        assert_ne!(plain, with(Request { collector: Collector::Null, ..request() }));
        assert_ne!(plain, with(Request { source: Source::Text, ..request() }));
        assert_ne!(plain, Key::new(&request(), b"m", Path::new("/proc/self/maps")).unwrap());
    }

    #[test]
    fn entries_are_found_until_removed() {
        let scratch = Scratch::new("found");
        let cache = Cache::at(scratch.0.clone(), 1000).unwrap();
        assert_eq!(cache.lookup(&key(b"a")), None);
        let path = cache.insert(&key(b"a"), b"artifact").unwrap();
        assert_eq!(cache.lookup(&key(b"a")), Some(path.clone()));
        assert_eq!(fs::read(&path).unwrap(), b"artifact");
        cache.remove(&key(b"a"));
        assert_eq!(cache.lookup(&key(b"a")), None);
        assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 0);
    }

    #[test]
    fn entries_used_longest_ago_go_first() {
        let scratch = Scratch::new("bound");
        let cache = Cache::at(scratch.0.clone(), 100).unwrap();
        let age = |name: &[u8], seconds| {
            let file = File::open(cache.path(&key(name))).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
        };
        for (name, seconds) in [(b"a", 30), (b"b", 20), (b"c", 10)] {
            cache.insert(&key(name), &[0; 30]).unwrap();
            age(name, seconds);
        }
        assert!(cache.lookup(&key(b"a")).is_some());
        cache.insert(&key(b"d"), &[0; 30]).unwrap();
        let present = [b"a", b"b", b"c", b"d"].map(|name| cache.path(&key(name)).exists());
        assert_eq!(present, [true, false, true, true]);
        cache.insert(&key(b"e"), &[0; 200]).unwrap();
        assert_eq!(cache.entries().len(), 1);
    }

    #[test]
    fn writers_do_not_disturb_each_other() {
        let scratch = Scratch::new("writers");
        let cache = Cache::at(scratch.0.clone(), 1 << 20).unwrap();
        let content = vec![7; 100_000];
        let path = cache.insert(&key(b"a"), &content).unwrap();
        std::thread::scope(|scope| {
            // Each thread stands for a process, so each has its own temporary file.
            for i in 0..4 {
                let (content, path) = (&content, &path);
                scope.spawn(move || {
                    for _ in 0..50 {
                        let temporary = path.with_extension(format!("{i}.tmp"));
                        fs::write(&temporary, content).unwrap();
                        fs::rename(&temporary, path).unwrap();
                    }
                });
            }
            for _ in 0..200 {
                assert_eq!(fs::read(&path).unwrap(), content);
            }
        });
    }
}
