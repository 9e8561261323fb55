//! Random valid modules, one for each seed.
//!
//! wasm-smith makes the module; what it may contain is drawn from the seed as well, so that small features meet
//! each other and large modules do not hide them. Whatever could differ between two correct engines is
//! excluded: NaN patterns are made canonical, memories and tables have small maxima that both can reach, every
//! loop and call burns [`FUEL`], and there are no imports. [`probes`] then adds the functions
//! that the engines are asked to call.

use crate::probes;
use arbitrary::Unstructured;
use wasm_smith::{Config, Module};

/// Loop iterations and calls of one probe, after which the module itself traps.
pub const FUEL: u32 = 600;

/// Largest memory, in bytes: probes hash all of it.
const MAX_MEMORY_BYTES: u64 = 2 << 16;

/// What is drawn from a seed.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits (SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
    /// 2014).
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which must not be 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    /// One of several, at least one.
    pub fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// The module of a seed, in the binary format.
///
/// # Errors
///
/// In words, if wasm-smith cannot make one from the seed, or made an invalid one.
pub fn module(seed: u64) -> Result<Vec<u8>, String> {
    let mut rng = Rng::new(seed);
    let config = config(&mut rng);
    let mut bytes = vec![0; 1 << (11 + rng.below(5))];
    for chunk in bytes.chunks_exact_mut(8) {
        chunk.copy_from_slice(&rng.bits().to_le_bytes());
    }
    let mut module = Module::new(config, &mut Unstructured::new(&bytes)).map_err(|error| error.to_string())?;
    let fuel_global = module.ensure_termination(FUEL).map_err(|error| error.to_string())?;
    probes::add(&module.to_bytes(), fuel_global, &mut rng)
}

fn config(rng: &mut Rng) -> Config {
    let up_to = |rng: &mut Rng, max: u64| 1 + rng.below(max) as usize;
    Config {
        min_types: 4,
        max_types: 4 + up_to(rng, 30),
        max_funcs: 3 + up_to(rng, 9),
        min_funcs: 3,
        max_instructions: up_to(rng, 400),
        max_globals: up_to(rng, 6),
        max_tables: up_to(rng, 3),
        max_memories: up_to(rng, 2),
        max_tags: up_to(rng, 4),
        max_type_size: 40,
        max_imports: 0,
        max_element_segments: up_to(rng, 4),
        max_elements: up_to(rng, 8),
        max_data_segments: up_to(rng, 4),
        max_memory32_bytes: MAX_MEMORY_BYTES,
        max_memory64_bytes: MAX_MEMORY_BYTES.into(),
        memory_max_size_required: true,
        max_table_elements: 40,
        table_max_size_required: true,
        canonicalize_nans: true,
        disallow_traps: rng.one_in(2),
        simd_enabled: rng.one_in(2),
        exceptions_enabled: !rng.one_in(4),
        gc_enabled: !rng.one_in(4),
        tail_call_enabled: !rng.one_in(4),
        memory64_enabled: rng.one_in(2),
        allow_floats: !rng.one_in(4),
        // Results of relaxed instructions may differ.
        relaxed_simd_enabled: false,
        // Not in V8 without flags.
        wide_arithmetic_enabled: false,
        compact_imports_enabled: false,
        custom_page_sizes_enabled: false,
        threads_enabled: false,
        ..Config::default()
    }
}
