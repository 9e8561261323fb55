//! Profiles in the compiler: which places of a module count, and what they have counted.
//!
//! Places are found from the module alone, in one pass over its bodies, and numbered in order: functions, branches, calls
//! through references ([`ProfileLayout`]). Code compiled to count ([`Profiling::Count`]) adds to the counters with those
//! numbers; a later compilation of the same module ([`Profiling::Use`]) finds the counts by them. What the counts are
//! used for is in `translate/profile.rs`.

use crate::error::CompileError;
use crate::module::Module;
use crate::options::{IMPORT_HOT_FACTOR, ProfileMode};
use dolmen_abi::profile::{CallProfile, CallSite, Profile, ProfileError, ProfileLayout};
use wasmparser::Operator;

/// What the code does about profiles.
#[derive(Debug, Default)]
pub(crate) enum Profiling {
    #[default]
    Off,
    Count(Sites),
    Use(Box<Guide>),
}

/// The places in a module's bodies that count.
#[derive(Debug, Default)]
pub(crate) struct Sites {
    branches: Numbering,
    calls: Numbering,
}

/// Operators of one kind: by body their offsets, ascending, and the number of the first.
#[derive(Debug, Default)]
struct Numbering {
    bodies: Vec<(u32, Vec<u32>)>,
    total: u32,
}

/// What was counted, by place.
#[derive(Debug)]
pub(crate) struct Guide {
    sites: Sites,
    profile: Profile,
    /// All counts, greatest first.
    counts: Vec<u64>,
    /// Counts from this one on make up nearly all of what was executed.
    hot_count: u64,
}

/// Share of all counts that hot places have, in millionths: LLVM's notion, too.
const HOT_SHARE: u64 = 990_000;

impl Profiling {
    /// What the options ask for.
    pub(crate) fn new(mode: &ProfileMode, wasm: &[u8], module: &Module<'_>) -> Result<Self, CompileError> {
        Ok(match mode {
            ProfileMode::Off => Self::Off,
            ProfileMode::Count => Self::Count(Sites::find(module)?),
            ProfileMode::Use(file) => Self::Use(Box::new(Guide::new(file, wasm, module)?)),
        })
    }

    /// Greatest size in bytes of the body at a position for it to be translated along in partitions that call it, where
    /// `usual` is that of a function of which nothing is known.
    pub(crate) fn import_limit(&self, position: usize, usual: usize) -> usize {
        match self {
            Self::Use(guide) => match guide.entries(position) {
                0 => 0,
                count if count >= guide.hot_count => usual * IMPORT_HOT_FACTOR,
                _ => usual,
            },
            Self::Off | Self::Count(_) => usual,
        }
    }
}

impl Numbering {
    fn add_body(&mut self, offsets: Vec<u32>) {
        let first = self.total;
        self.total += offsets.len() as u32;
        self.bodies.push((first, offsets));
    }

    /// The number of the operator at an offset in the body at a position.
    fn number(&self, position: usize, offset: u64) -> Option<u32> {
        let (first, offsets) = self.bodies.get(position)?;
        let place = offsets.binary_search_by_key(&offset, |&offset| offset.into()).ok()?;
        Some(first + place as u32)
    }
}

impl Sites {
    fn find(module: &Module<'_>) -> Result<Self, CompileError> {
        let mut sites = Self::default();
        for body in &module.bodies {
            let (mut branches, mut calls) = (Vec::new(), Vec::new());
            let mut reader = body.body.get_operators_reader()?;
            while !reader.eof() {
                let offset = (reader.original_position() - body.body.range().start) as u32;
                match reader.read()? {
                    Operator::If { .. }
                    | Operator::BrIf { .. }
                    | Operator::BrOnNull { .. }
                    | Operator::BrOnNonNull { .. }
                    | Operator::BrOnCast { .. }
                    | Operator::BrOnCastFail { .. }
                    | Operator::BrOnCastDescEq { .. }
                    | Operator::BrOnCastDescEqFail { .. } => branches.push(offset),
                    Operator::CallRef { .. }
                    | Operator::ReturnCallRef { .. }
                    | Operator::CallIndirect { .. }
                    | Operator::ReturnCallIndirect { .. } => calls.push(offset),
                    _ => {}
                }
            }
            sites.branches.add_body(branches);
            sites.calls.add_body(calls);
        }
        Ok(sites)
    }

    /// The number of a branch, by the position of its function among the defined ones.
    pub(crate) fn branch(&self, position: usize, offset: u64) -> Option<u32> {
        self.branches.number(position, offset)
    }

    /// The number of a call through a reference.
    pub(crate) fn call(&self, position: usize, offset: u64) -> Option<u32> {
        self.calls.number(position, offset)
    }

    /// What the module counts.
    pub(crate) fn layout(&self, module: &Module<'_>) -> ProfileLayout {
        let imported = module.meta.imported_funcs() as u32;
        let calls = self.calls.bodies.iter().enumerate().flat_map(|(position, (_, offsets))| {
            offsets.iter().map(move |&offset| CallSite { func: imported + position as u32, offset })
        });
        ProfileLayout { funcs: module.bodies.len() as u32, branches: self.branches.total, calls: calls.collect() }
    }
}

impl Guide {
    fn new(file: &[u8], wasm: &[u8], module: &Module<'_>) -> Result<Self, CompileError> {
        let profile = Profile::from_bytes(file)?;
        if profile.source_hash != *blake3::hash(wasm).as_bytes() {
            return Err(ProfileError::WrongModule.into());
        }
        let sites = Sites::find(module)?;
        let layout = sites.layout(module);
        let counted = ProfileLayout {
            funcs: profile.funcs.len() as u32,
            branches: profile.branches.len() as u32,
            calls: profile.calls.iter().map(|call| call.site).collect(),
        };
        if layout != counted {
            return Err(ProfileError::WrongModule.into());
        }
        let mut counts: Vec<u64> = profile.funcs.iter().chain(profile.branches.iter().flatten()).copied().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let mut guide = Self { sites, profile, counts, hot_count: 0 };
        guide.hot_count = guide.summary(HOT_SHARE).0.max(1);
        Ok(guide)
    }

    /// How often the function at a position was entered.
    pub(crate) fn entries(&self, position: usize) -> u64 {
        self.profile.funcs[position]
    }

    /// How often a branch's condition held, and did not.
    pub(crate) fn branch(&self, position: usize, offset: u64) -> Option<[u64; 2]> {
        Some(self.profile.branches[self.sites.branch(position, offset)? as usize])
    }

    /// What a call through a reference has called.
    pub(crate) fn call(&self, position: usize, offset: u64) -> Option<&CallProfile> {
        Some(&self.profile.calls[self.sites.call(position, offset)? as usize])
    }

    /// All counts, greatest first.
    pub(crate) fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// The greatest of the counts of functions.
    pub(crate) fn max_entries(&self) -> u64 {
        self.profile.funcs.iter().copied().max().unwrap_or(0)
    }

    /// Of the fewest places that have this share of all counts, in millionths: the least count, and their number.
    pub(crate) fn summary(&self, share: u64) -> (u64, usize) {
        let total: u128 = self.counts.iter().map(|&count| u128::from(count)).sum();
        let wanted = total * u128::from(share) / 1_000_000;
        let mut sum = 0;
        for (place, &count) in self.counts.iter().enumerate() {
            sum += u128::from(count);
            if sum >= wanted {
                return (count, place + 1);
            }
        }
        (0, self.counts.len())
    }
}
