//! Profiles: what code that counts has counted, so that the next compilation knows what is hot.
//!
//! Code compiled to count has *counters* in its instance's context: one for each defined function, two for each
//! conditional branch (condition held, did not hold), and for each call through a reference a [`CallCounts`], which
//! remembers the few functions that are called most. The compiler numbers them from the module alone, so that the
//! next compilation of the same module finds them again:
//!
//! ```text
//! functions [u64; funcs] | branches [[u64; 2]; branches] | calls [CallCounts; calls]
//! ```
//!
//! Threads count without synchronisation: now and then a count is lost.
//!
//! The runtime reads the counters of an instance into a [`Profile`], which is what files hold. A file is postcard
//! behind `MAGIC` and `FILE_VERSION`, and ends with the BLAKE3 hash of all bytes before; it says of which module it
//! is.

use crate::artifact::HASH_BYTES;
use serde::{Deserialize, Serialize};

/// The functions that a call remembers.
pub const CALL_TARGETS: usize = 4;

/// Start of a file.
const MAGIC: &[u8; 8] = b"dolmprof";

/// Version of the file's content.
const FILE_VERSION: u32 = 1;

/// A function and how often it was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct TargetCount {
    /// The function's index plus one; 0 while the place is free.
    pub key: u64,
    pub count: u64,
}

/// What a call through a reference counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct CallCounts {
    pub targets: [TargetCount; CALL_TARGETS],
    /// Calls of anything else.
    pub others: u64,
}

impl CallCounts {
    /// Counts a call of the function with this key; 0 for one of another instance.
    ///
    /// A function that finds no place takes one from the least frequent, whose count went down by one each time it was
    /// asked: a function of more than a fifth of all calls keeps its place (Misra and Gries, "Finding repeated
    /// elements", 1982).
    pub fn count(&mut self, key: u64) {
        if key == 0 {
            self.others = self.others.wrapping_add(1);
            return;
        }
        if let Some(target) = self.targets.iter_mut().find(|target| target.key == key) {
            target.count = target.count.wrapping_add(1);
            return;
        }
        let least = self.targets.iter_mut().min_by_key(|target| target.count).expect("a call has places");
        if least.count == 0 {
            *least = TargetCount { key, count: 1 };
        } else {
            least.count -= 1;
            self.others = self.others.wrapping_add(2);
        }
    }
}

/// A call through a reference: the function index, and the operator's offset from the start of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CallSite {
    pub func: u32,
    pub offset: u32,
}

/// What a module's code counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileLayout {
    /// Defined functions.
    pub funcs: u32,
    pub branches: u32,
    /// Ascending.
    pub calls: Vec<CallSite>,
}

impl ProfileLayout {
    /// Byte offset of the counter of a defined function from the first counter.
    #[must_use]
    pub const fn func_offset(&self, func: u32) -> u32 {
        8 * func
    }

    /// Byte offset of the two counters of a branch.
    #[must_use]
    pub const fn branch_offset(&self, branch: u32) -> u32 {
        8 * self.funcs + 16 * branch
    }

    /// Byte offset of the [`CallCounts`] of a call.
    #[must_use]
    pub const fn call_offset(&self, call: u32) -> u32 {
        self.branch_offset(self.branches) + size_of::<CallCounts>() as u32 * call
    }

    /// Size of all counters in 64-bit words; `None` if that is too much for an instance's context.
    #[must_use]
    pub fn words(&self) -> Option<u32> {
        const MAX_WORDS: u64 = 1 << 27;
        let call_words = (size_of::<CallCounts>() / 8) as u64;
        let words = u64::from(self.funcs) + 2 * u64::from(self.branches) + call_words * self.calls.len() as u64;
        (words <= MAX_WORDS).then_some(words as u32)
    }
}

/// What a call through a reference has called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallProfile {
    pub site: CallSite,
    /// Functions of the module and how often each was called, most frequent first.
    pub targets: Vec<(u32, u64)>,
    /// Calls of anything else.
    pub others: u64,
}

impl CallProfile {
    /// All calls.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.targets.iter().fold(self.others, |sum, &(_, count)| sum.saturating_add(count))
    }

    fn merge(&mut self, other: &Self) {
        self.others = self.others.saturating_add(other.others);
        for &(func, count) in &other.targets {
            match self.targets.iter_mut().find(|target| target.0 == func) {
                Some(target) => target.1 = target.1.saturating_add(count),
                None => self.targets.push((func, count)),
            }
        }
        self.targets.sort_by_key(|&(func, count)| (std::cmp::Reverse(count), func));
    }
}

/// The counts of one or more runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// BLAKE3 hash of the WebAssembly module.
    pub source_hash: [u8; HASH_BYTES],
    /// Imported functions: what the indices of defined ones start with.
    pub imported_funcs: u32,
    /// How often each defined function was entered.
    pub funcs: Vec<u64>,
    /// How often the condition of each branch held, and did not.
    pub branches: Vec<[u64; 2]>,
    /// By site.
    pub calls: Vec<CallProfile>,
    /// Names of functions, for people.
    pub names: Vec<(u32, String)>,
}

/// Why a profile cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileError {
    /// The file does not start as a profile does.
    NotAProfile,
    /// The file is of another version of this program.
    Version(u32),
    /// The file is truncated or changed.
    Corrupted,
    /// The profile is of another module, or of another version of it.
    WrongModule,
}

impl std::fmt::Display for ProfileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotAProfile => f.write_str("not a profile"),
            Self::Version(found) => write!(f, "profile of version {found}; this program reads version {FILE_VERSION}"),
            Self::Corrupted => f.write_str("the profile is damaged: its hash does not match its content"),
            Self::WrongModule => f.write_str("the profile belongs to another module or another version of this one"),
        }
    }
}

impl std::error::Error for ProfileError {}

impl Profile {
    /// The profile from the words of an instance's counters.
    ///
    /// # Panics
    ///
    /// There are fewer words than the layout says.
    #[must_use]
    pub fn from_counters(layout: &ProfileLayout, word: impl Fn(u32) -> u64) -> Self {
        let funcs = (0..layout.funcs).map(|func| word(layout.func_offset(func) / 8)).collect();
        let branches = (0..layout.branches).map(|branch| {
            let first = layout.branch_offset(branch) / 8;
            [word(first), word(first + 1)]
        });
        let calls = layout.calls.iter().enumerate().map(|(call, &site)| {
            let first = layout.call_offset(call as u32) / 8;
            let target = |target: u32| (word(first + 2 * target), word(first + 2 * target + 1));
            let mut called = CallProfile { site, targets: vec![], others: word(first + 2 * CALL_TARGETS as u32) };
            for (key, count) in (0..CALL_TARGETS as u32).map(target).filter(|&(key, count)| key != 0 && count != 0) {
                // Two threads that take places at the same time may both take one for the same function.
                called.merge(&CallProfile { site, targets: vec![((key - 1) as u32, count)], others: 0 });
            }
            called
        });
        let (branches, calls) = (branches.collect(), calls.collect());
        Self { funcs, branches, calls, ..Self::default() }
    }

    /// Adds the counts of another run of the same module.
    ///
    /// # Errors
    ///
    /// [`ProfileError::WrongModule`].
    pub fn merge(&mut self, other: &Self) -> Result<(), ProfileError> {
        let sites = |profile: &Self| profile.calls.iter().map(|call| call.site).collect::<Vec<_>>();
        if (self.source_hash, self.funcs.len(), self.branches.len())
            != (other.source_hash, other.funcs.len(), other.branches.len())
            || sites(self) != sites(other)
        {
            return Err(ProfileError::WrongModule);
        }
        for (count, more) in self.funcs.iter_mut().zip(&other.funcs) {
            *count = count.saturating_add(*more);
        }
        for (counts, more) in self.branches.iter_mut().flatten().zip(other.branches.iter().flatten()) {
            *counts = counts.saturating_add(*more);
        }
        self.calls.iter_mut().zip(&other.calls).for_each(|(call, more)| call.merge(more));
        Ok(())
    }

    /// The content of a file.
    ///
    /// # Errors
    ///
    /// When memory runs out.
    pub fn to_bytes(&self) -> Result<Vec<u8>, postcard::Error> {
        let mut bytes = [&MAGIC[..], &FILE_VERSION.to_le_bytes()].concat();
        bytes.extend(postcard::to_stdvec(self)?);
        let hash = blake3::hash(&bytes);
        bytes.extend(hash.as_bytes());
        Ok(bytes)
    }

    /// The profile in a file.
    ///
    /// # Errors
    ///
    /// The file is no profile, of another version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProfileError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(ProfileError::NotAProfile)?;
        let (version, _) = rest.split_first_chunk::<4>().ok_or(ProfileError::Corrupted)?;
        let version = u32::from_le_bytes(*version);
        if version != FILE_VERSION {
            return Err(ProfileError::Version(version));
        }
        let (content, hash) = bytes.split_last_chunk::<HASH_BYTES>().ok_or(ProfileError::Corrupted)?;
        let payload = content.get(MAGIC.len() + size_of::<u32>()..).ok_or(ProfileError::Corrupted)?;
        if blake3::hash(content) != *hash {
            return Err(ProfileError::Corrupted);
        }
        postcard::from_bytes(payload).map_err(|_| ProfileError::Corrupted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> ProfileLayout {
        ProfileLayout { funcs: 2, branches: 1, calls: vec![CallSite { func: 3, offset: 7 }] }
    }

    fn profile() -> Profile {
        let mut counts = CallCounts::default();
        for key in [5, 5, 6, 0] {
            counts.count(key);
        }
        let words = [10, 20, 1, 2].into_iter().chain(counts.targets.iter().flat_map(|t| [t.key, t.count]));
        let words: Vec<u64> = words.chain([counts.others]).collect();
        assert_eq!(layout().words(), Some(words.len() as u32));
        Profile::from_counters(&layout(), |index| words[index as usize])
    }

    #[test]
    fn counters_become_a_profile() {
        let profile = profile();
        assert_eq!((&*profile.funcs, &*profile.branches), (&[10, 20][..], &[[1, 2]][..]));
        assert_eq!((&*profile.calls[0].targets, profile.calls[0].others), (&[(4, 2), (5, 1)][..], 1));
        assert_eq!(profile.calls[0].total(), 4);
    }

    #[test]
    fn frequent_targets_keep_their_places() {
        let mut counts = CallCounts::default();
        for i in 0..10_000_u64 {
            counts.count(if i % 3 == 0 { 1 } else { 2 + i % 100 });
        }
        let most = counts.targets.iter().max_by_key(|target| target.count).unwrap();
        assert_eq!(most.key, 1);
        assert!(most.count > 2000, "{counts:?}");
    }

    #[test]
    fn files_hold_profiles() {
        let bytes = profile().to_bytes().unwrap();
        assert_eq!(Profile::from_bytes(&bytes), Ok(profile()));
        for len in 0..bytes.len() {
            assert!(Profile::from_bytes(&bytes[..len]).is_err(), "{len} bytes");
        }
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 4;
            assert!(Profile::from_bytes(&changed).is_err(), "byte {place}");
        }
        assert_eq!(Profile::from_bytes(b"\0asm\x01\0\0\0"), Err(ProfileError::NotAProfile));
    }

    #[test]
    fn runs_of_one_module_add_up() {
        let mut sum = profile();
        sum.merge(&profile()).unwrap();
        assert_eq!((&*sum.funcs, &*sum.branches), (&[20, 40][..], &[[2, 4]][..]));
        assert_eq!((&*sum.calls[0].targets, sum.calls[0].others), (&[(4, 4), (5, 2)][..], 2));
        let other = Profile { source_hash: [1; HASH_BYTES], ..profile() };
        assert_eq!(sum.merge(&other), Err(ProfileError::WrongModule));
    }
}
