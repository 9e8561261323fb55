//! Numbers for tests that differ in each run, and can be had again: `DOLMEN_TEST_SEED`.

use std::time::{SystemTime, UNIX_EPOCH};

/// Numbers that look random; made from a seed, or from the number that an earlier run printed.
pub struct Random(pub u64);

impl Random {
    /// With the seed that the environment gives, or one that the clock does.
    pub fn seeded() -> Self {
        let given = std::env::var("DOLMEN_TEST_SEED").ok().map(|seed| seed.parse().expect("a number"));
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_micros() as u64);
        Self(given.unwrap_or_else(now))
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
