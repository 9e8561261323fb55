//! A quick hash for rec groups.
//!
//! A large program has thousands of types whose derived `Hash` feeds the hasher word by word, and the standard
//! library's hasher is made to withstand crafted keys at a price that shows when a module is loaded. Whoever
//! crafts an artifact writes native code, so crafted keys are no concern here.

use std::hash::{BuildHasherDefault, Hasher};

/// For hash maps with rec groups or signatures as keys.
pub(super) type BuildGroupHasher = BuildHasherDefault<GroupHasher>;

/// Multiplies and rotates, word by word.
#[derive(Default)]
pub(super) struct GroupHasher {
    state: u64,
}

/// An odd number with well-mixed bits: 2^64 divided by the golden ratio.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

impl GroupHasher {
    fn add(&mut self, word: u64) {
        self.state = (self.state.rotate_left(23) ^ word).wrapping_mul(MULTIPLIER);
    }
}

impl Hasher for GroupHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.add(value.into());
    }

    fn write_u32(&mut self, value: u32) {
        self.add(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        self.add(value);
    }

    fn write_usize(&mut self, value: usize) {
        self.add(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.add(value as u64);
    }

    fn finish(&self) -> u64 {
        // The table takes the upper bits for one purpose and the lower ones for another.
        self.state ^ self.state >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn small_differences_spread() {
        let hash = |words: [u32; 2]| {
            let mut hasher = GroupHasher::default();
            words.iter().for_each(|&word| hasher.write_u32(word));
            hasher.finish()
        };
        let hashes: Vec<u64> = (0..100).flat_map(|a| (0..100).map(move |b| hash([a, b]))).collect();
        assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), hashes.len());
        let low: HashSet<u64> = hashes.iter().map(|hash| hash & 0xffff).collect();
        let high: HashSet<u64> = hashes.iter().map(|hash| hash >> 48).collect();
        assert!(low.len() > 8000 && high.len() > 8000, "{} {}", low.len(), high.len());
    }

    #[test]
    fn bytes_of_any_number_count() {
        let hash = |bytes: &[u8]| {
            let mut hasher = GroupHasher::default();
            hasher.write(bytes);
            hasher.finish()
        };
        assert_ne!(hash(b"123456789"), hash(b"123456780"));
        assert_ne!(hash(b"1"), hash(b"2"));
    }
}
