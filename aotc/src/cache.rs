//! Object code that is kept from one compilation to the next.
//!
//! A module that was edited is mostly what it was, and nearly all time of a compilation goes into what LLVM does to one
//! partition after the other. So what is made of a partition, an object file or two, can be kept in a [`CacheStore`], under
//! a key that is the hash of all that it depends on:
//!
//! - the partition as it was translated, as LLVM's bitcode: its functions, what it may inline of others, and what the
//!   translation knew of the whole module (layouts, types, targets of calls, counts of a profile);
//! - the facts about the whole module that stages after translation ask for: which functions only their own partition
//!   can call ([`private`](crate::module::private)), which become part of their callers
//!   ([`merged`](crate::module::merged)), how functions in circles of calls rank
//!   ([`call_trees`](crate::module::call_trees)) and which functions do little
//!   ([`through`]), and for a module of one partition what its references are made of
//!   ([`instances`](crate::instances)). An edit elsewhere seldom changes them;
//! - the options that those stages look at, the versions of compiler and LLVM, and the program that contains them.
//!
//! An edit that adds something leaves the others' partitions alone: where they start the text says
//! ([`partitions`](crate::module::partitions)), what they refer to has numbers that linking replaces
//! ([`numbers`](crate::translate::numbers)), and what comes once per module is a partition of its own. Not so if the
//! number of partitions changes, every 256 kB or so: then most boundaries move. Code that is not optimised contains real
//! offsets, and code made from a profile is for one module only. A partition that has all functions is compiled again as a
//! whole.
//!
//! A store may lose entries and may hand out damaged ones: an entry ends with the hash of its key and its content, and one
//! that does not is none.

use crate::compile::Settings;
use crate::gc::through;
use crate::llvm;
use crate::options::Emit;
use crate::translate::unit::Unit;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Names an entry of a [`CacheStore`].
pub type CacheKey = [u8; blake3::OUT_LEN];

/// Where object code is kept between compilations. It is used by several threads, and may be by several processes.
///
/// What a store hands out becomes code that is run, so only who may decide that may write to it.
pub trait CacheStore: fmt::Debug + Send + Sync {
    /// The content of an entry, if there is one. Whether it is whole is checked by the caller.
    fn get(&self, key: &CacheKey) -> Option<Vec<u8>>;

    /// Adds an entry, or replaces one. A store that cannot keep it does not: that costs time, later.
    fn insert(&self, key: &CacheKey, content: &[u8]);
}

/// Keeps all entries in memory.
impl CacheStore for Mutex<HashMap<CacheKey, Vec<u8>>> {
    fn get(&self, key: &CacheKey) -> Option<Vec<u8>> {
        self.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn insert(&self, key: &CacheKey, content: &[u8]) {
        self.lock().unwrap_or_else(PoisonError::into_inner).insert(*key, content.to_vec());
    }
}

/// Object code, or what is in the way of making it.
pub(crate) type Made = Result<Vec<u8>, Obstacle>;

/// Why a partition must be compiled in another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// Something would stand behind a tail call ([`tail_calls`](crate::tail_calls)).
    TailCalls,
    /// There are made-up offsets where they are not recognised ([`places`](crate::places)).
    Places,
}

/// The byte behind an entry's object code: what the entry says.
const MADE: u8 = 0;
const TAIL_CALLS: u8 = 1;
const PLACES: u8 = 2;

/// A place in a store for what is made of one partition.
pub(crate) struct Slot<'s> {
    store: &'s dyn CacheStore,
    key: CacheKey,
}

impl<'s> Slot<'s> {
    /// The place for a partition of functions (by position) that has just been translated. Nothing if no cache is
    /// used: without a store, and for text.
    pub(crate) fn of(
        unit: &Unit<'_, '_>,
        settings: &'s Settings,
        range: &Range<usize>,
        is_private: &[bool],
    ) -> Option<Self> {
        let store = settings.cache.as_deref().filter(|_| matches!(settings.emit, Emit::Artifact | Emit::Obj))?;
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        part(build());
        part(options(settings).as_bytes());
        part(facts(unit, range, is_private).as_bytes());
        part(&unit.llvm.bitcode());
        Some(Self { store, key: *hasher.finalize().as_bytes() })
    }

    /// What an earlier compilation has left here, if it is whole.
    pub(crate) fn get(&self) -> Option<Made> {
        let mut content = self.store.get(&self.key)?;
        let (made, hash) = content.split_at(content.len().checked_sub(blake3::OUT_LEN)?);
        if hash != self.hash(made) {
            return None;
        }
        content.truncate(made.len());
        match content.pop()? {
            MADE => Some(Ok(content)),
            TAIL_CALLS => Some(Err(Obstacle::TailCalls)),
            PLACES => Some(Err(Obstacle::Places)),
            _ => None,
        }
    }

    /// Leaves something here.
    pub(crate) fn insert(&self, made: &Made) {
        let (object, kind) = match made {
            Ok(object) => (object.as_slice(), MADE),
            Err(Obstacle::TailCalls) => (&[][..], TAIL_CALLS),
            Err(Obstacle::Places) => (&[][..], PLACES),
        };
        let mut content = Vec::with_capacity(object.len() + 1 + blake3::OUT_LEN);
        content.extend_from_slice(object);
        content.push(kind);
        content.extend_from_slice(&self.hash(&content));
        self.store.insert(&self.key, &content);
    }

    fn hash(&self, content: &[u8]) -> [u8; blake3::OUT_LEN] {
        *blake3::keyed_hash(&self.key, content).as_bytes()
    }
}

/// What tells builds of the compiler apart: versions, and size and time of the program that contains it, for those who
/// work on the compiler.
fn build() -> &'static [u8] {
    static BUILD: OnceLock<Vec<u8>> = OnceLock::new();
    BUILD.get_or_init(|| {
        let program = std::env::current_exe().and_then(|path| path.metadata()).ok();
        let file = program.map(|file| (file.len(), file.modified().ok()));
        format!("{} {:?} {file:?}", env!("CARGO_PKG_VERSION"), llvm::version()).into_bytes()
    })
}

/// The options that matter after translation; those that matter before are in what it makes.
fn options(settings: &Settings) -> String {
    let Settings { opt_level, cpu, protocol, polls, emit, jobs: _, cache: _ } = settings;
    format!("{opt_level:?} {cpu:?} {protocol:?} {polls} {emit:?}")
}

/// What stages after translation ask about the functions of a partition, and about those that it calls; by the partition's
/// own numbers.
fn facts(unit: &Unit<'_, '_>, range: &Range<usize>, is_private: &[bool]) -> String {
    let module = unit.module;
    let number = |position: usize| unit.numbers.func((module.meta.imported_funcs() + position) as u32);
    let private = range.clone().filter(|&position| is_private.get(position) == Some(&true)).map(number);
    let merged = range.clone().filter(|&position| module.merged.contains(position)).map(number);
    let (private, merged): (Vec<_>, Vec<_>) = (private.collect(), merged.collect());
    let funcs = unit.llvm.functions().into_iter().filter_map(|function| unit.func_of(function));
    let positions: Vec<_> = funcs.filter_map(|func| module.defined_position(func)).collect();
    let orders = module.call_trees.orders_in_circles(&positions);
    let orders: Vec<Vec<_>> = orders.into_iter().map(|circle| circle.into_iter().map(number).collect()).collect();
    let light: Vec<_> = through::light(unit, &positions).into_iter().map(number).collect();
    let references = module.is_whole(range).then_some((module.stored_values.functions_are_own, &module.meta.func_refs));
    let prototypes = &unit.prototypes;
    format!("{private:?} {merged:?} {orders:?} {light:?} {references:?} {prototypes:?}")
}
