//! Object code of parts of modules, in the user's cache.

use dolmen_aotc::{CacheKey, CacheStore};
use dolmen_cli::cache_folder::CacheFolder;
use std::io::Read;

/// The folder of compiled parts.
#[derive(Debug)]
pub struct Parts(CacheFolder);

impl Parts {
    /// The user's folder, if there is a place for one.
    #[must_use]
    pub fn of_user() -> Option<Self> {
        CacheFolder::of_user("parts", "part").map(Self)
    }

    /// Brings the folder below its bound.
    pub fn trim(&self) {
        self.0.trim();
    }
}

impl CacheStore for Parts {
    fn get(&self, key: &CacheKey) -> Option<Vec<u8>> {
        let (_, mut file) = self.0.lookup(&name(key))?;
        let mut content = Vec::new();
        file.read_to_end(&mut content).ok()?;
        Some(content)
    }

    fn insert(&self, key: &CacheKey, content: &[u8]) {
        // A full disk costs time, later.
        let _ = self.0.insert(&name(key), content);
    }
}

fn name(key: &CacheKey) -> String {
    blake3::Hash::from_bytes(*key).to_hex().to_string()
}
