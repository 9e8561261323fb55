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
//!   ([`call_trees`](crate::module::call_trees)), and for a module of one partition what its references are made of
//!   ([`instances`](crate::instances)). An edit elsewhere seldom changes them;
//! - the options that those stages look at, the versions of compiler and LLVM, and the program that contains them.
//!
//! Partitions have about equal weight, so an edit that makes a function a little longer seldom moves their boundaries.
//! New functions, types or globals in front of others change the others' numbers, hence all partitions that use them.
//!
//! A store may lose entries and may hand out damaged ones: an entry ends with the hash of its key and its content, and one
//! that does not is none.

use crate::compile::Settings;
use crate::llvm;
use crate::options::Emit;
use crate::translate::unit::{Unit, func_of_symbol};
use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

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
    pub(crate) fn get(&self) -> Option<Vec<u8>> {
        let mut content = self.store.get(&self.key)?;
        let object_bytes = content.len().checked_sub(blake3::OUT_LEN)?;
        let (object, hash) = content.split_at(object_bytes);
        if hash != self.hash(object) {
            return None;
        }
        content.truncate(object_bytes);
        Some(content)
    }

    /// Leaves an object file here.
    pub(crate) fn insert(&self, object: &[u8]) {
        self.store.insert(&self.key, &[object, &self.hash(object)].concat());
    }

    fn hash(&self, object: &[u8]) -> [u8; blake3::OUT_LEN] {
        *blake3::keyed_hash(&self.key, object).as_bytes()
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

/// What stages after translation ask about the functions of a partition, and about those that it calls.
fn facts(unit: &Unit<'_, '_>, range: &Range<usize>, is_private: &[bool]) -> String {
    let module = unit.module;
    let private: Vec<_> = range.clone().filter(|&position| is_private.get(position) == Some(&true)).collect();
    let merged: Vec<_> = range.clone().filter(|&position| module.merged.contains(position)).collect();
    let funcs = unit.llvm.functions().into_iter().filter_map(|function| func_of_symbol(&function.name()));
    let positions: Vec<_> = funcs.filter_map(|func| module.defined_position(func)).collect();
    let orders = module.call_trees.orders_in_circles(&positions);
    let references = module.is_whole(range).then_some((module.stored_values.functions_are_own, &module.meta.func_refs));
    format!("{private:?} {merged:?} {orders:?} {references:?}")
}
