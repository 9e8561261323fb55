//! Compiled modules that `dolmen run` keeps: a [`CacheFolder`] of artifacts.
//!
//! Each is named by the BLAKE3 hash of all that its content depends on: the module, the options of its compilation, the
//! compiler and the processor. The artifact's own hash tells whether an entry is damaged; the caller then removes it and
//! compiles anew.

use blake3::Hasher;
use dolmen_abi::artifact::FORMAT_VERSION;
use dolmen_cli::cache_folder::CacheFolder;
use dolmen_cli::protocol::{Request, VERSION};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Where processors are described; the first paragraph is the first processor.
const CPU_INFO: &str = "/proc/cpuinfo";

/// Enough of [`CPU_INFO`] for its first paragraph.
const CPU_INFO_BYTES: u64 = 8 << 10;

/// The folder of compiled modules, if there is a place for one.
#[must_use]
pub fn artifacts() -> Option<CacheFolder> {
    CacheFolder::of_user("artifacts", "dolmen")
}

/// Names the result of a compilation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// The key of `input` compiled as `request` says by the program `compiler`.
    ///
    /// # Errors
    ///
    /// When the compiler cannot be looked at.
    pub fn new(request: &Request, input: &[u8], compiler: &Path) -> io::Result<Self> {
        let compiler = fs::metadata(compiler)?;
        // How many threads compile makes no difference to the result, nor does what earlier compilations have kept.
        let request = Request { jobs: 0, incremental: false, ..request.clone() };
        let request = postcard::to_stdvec(&request).map_err(io::Error::other)?;
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

    /// The key as the name of a file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
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
    use std::env;

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
            incremental: false,
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
        assert_eq!(plain, with(Request { incremental: true, ..request() }));
        assert_ne!(plain, key(b"n"));
        assert_ne!(plain, with(Request { opt_level: 1, ..request() }));
        assert_ne!(plain, with(Request { collector: Collector::Null, ..request() }));
        assert_ne!(plain, with(Request { source: Source::Text, ..request() }));
        assert_ne!(plain, Key::new(&request(), b"m", Path::new("/proc/self/maps")).unwrap());
    }
}
