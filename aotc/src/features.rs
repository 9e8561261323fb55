//! Which language modules may be written in.
//!
//! A version of the specification or everything that this compiler knows, with proposals added or taken away. Who
//! must refuse what an older engine refuses, and the test suites of older versions, need less than everything.

use std::fmt;
use std::str::FromStr;
use wasmparser::WasmFeatures;

/// A set of language features.
///
/// It is written as a list with commas: a version first (`1.0`, `2.0`, `3.0` or `all`, which is also meant if there is
/// none), then names of proposals to add, or with `-` in front to take away: `3.0,custom-page-sizes`,
/// `all,-multi-memory`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Features(WasmFeatures);

/// Proposals beyond 3.0 that this compiler knows.
const BEYOND: WasmFeatures = WasmFeatures::LEGACY_EXCEPTIONS
    .union(WasmFeatures::THREADS)
    .union(WasmFeatures::WIDE_ARITHMETIC)
    .union(WasmFeatures::CUSTOM_PAGE_SIZES)
    .union(WasmFeatures::COMPACT_IMPORTS)
    .union(WasmFeatures::CUSTOM_DESCRIPTORS);

/// Proposals that this compiler knows, but that change still: they must be asked for by name.
const EXPERIMENTAL: WasmFeatures = WasmFeatures::SHARED_EVERYTHING_THREADS;

/// A text that names no set of features.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown language feature `{0}`")]
pub struct UnknownFeature(pub String);

impl Features {
    /// WebAssembly 1.0.
    pub const V1: Self = Self(WasmFeatures::WASM1);
    /// WebAssembly 2.0.
    pub const V2: Self = Self(WasmFeatures::WASM2);
    /// WebAssembly 3.0.
    pub const V3: Self = Self(WasmFeatures::WASM3);
    /// WebAssembly 3.0 and all proposals beyond it that this compiler knows, but for those that change still
    /// (`shared-everything-threads`).
    pub const ALL: Self = Self(WasmFeatures::WASM3.union(BEYOND));

    /// What validation goes by.
    pub(crate) fn wasm(self) -> WasmFeatures {
        self.0
    }

    fn of_version(name: &str) -> Option<Self> {
        match name {
            "1.0" => Some(Self::V1),
            "2.0" => Some(Self::V2),
            "3.0" => Some(Self::V3),
            "all" => Some(Self::ALL),
            _ => None,
        }
    }
}

impl Default for Features {
    fn default() -> Self {
        Self::ALL
    }
}

impl FromStr for Features {
    type Err = UnknownFeature;

    fn from_str(list: &str) -> Result<Self, UnknownFeature> {
        let mut features = Self::default();
        for (place, item) in list.split(',').enumerate() {
            if let Some(version) = Self::of_version(item).filter(|_| place == 0) {
                features = version;
                continue;
            }
            let (name, wanted) = item.strip_prefix('-').map_or((item, true), |name| (name, false));
            let feature = WasmFeatures::from_name(&name.to_uppercase().replace('-', "_"));
            let known = feature.filter(|&feature| Self::ALL.0.union(EXPERIMENTAL).contains(feature));
            features.0.set(known.ok_or_else(|| UnknownFeature(name.to_owned()))?, wanted);
        }
        Ok(features)
    }
}

impl fmt::Debug for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter_names().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_start_with_a_version() {
        assert_eq!("2.0".parse(), Ok(Features::V2));
        assert_eq!("all".parse(), Ok(Features::ALL));
        let without: Features = "-multi-memory,-gc".parse().unwrap();
        assert!(!without.wasm().multi_memory() && !without.wasm().gc() && without.wasm().tail_call());
        let with: Features = "1.0,custom-page-sizes".parse().unwrap();
        assert!(with.wasm().custom_page_sizes() && !with.wasm().simd());
        let shared: Features = "all,shared-everything-threads".parse().unwrap();
        assert!(shared.wasm().shared_everything_threads() && !Features::ALL.wasm().shared_everything_threads());
    }

    #[test]
    fn what_is_not_compiled_cannot_be_asked_for() {
        for list in ["stack-switching", "component-model", "", "3.0,2.0", "gc,", "1.0,nothing"] {
            assert!(list.parse::<Features>().is_err(), "{list:?}");
        }
    }
}
