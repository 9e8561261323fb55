//! What setups make of a module: artifacts, with whatever must not change what they do.

use crate::setups::Setup;
use dolmen::Profile;
use dolmen_aotc::{CacheKey, CacheStore, Options, TargetCpu};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use wasm_encoder::{CodeSection, Function, Module, RawSection};
use wasmparser::{Parser, Payload};

/// Entries that are kept of earlier modules.
const MAX_KEPT: usize = 256;

/// Object code of all modules of this process, as in the cache of a user.
static KEPT: LazyLock<Arc<Kept>> = LazyLock::new(Arc::default);

#[derive(Debug, Default)]
struct Kept(Mutex<HashMap<CacheKey, Vec<u8>>>);

impl CacheStore for Kept {
    fn get(&self, key: &CacheKey) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn insert(&self, key: &CacheKey, content: &[u8]) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MAX_KEPT {
            entries.clear();
        }
        entries.insert(*key, content.to_vec());
    }
}

/// The compiler's options in a setup.
#[must_use]
pub fn options(setup: Setup) -> Options {
    let target_cpu = if setup.generic_cpu { TargetCpu::Generic } else { TargetCpu::Native };
    Options { opt_level: setup.opt_level, target_cpu, collector: setup.collector, jobs: 1, ..Options::default() }
}

/// The artifact of a module.
///
/// # Errors
///
/// In the compiler's words.
pub fn compile(wasm: &[u8], options: &Options) -> Result<Vec<u8>, String> {
    dolmen_aotc::compile(wasm, options).map_err(|error| error.to_string())
}

/// The artifact of a module, of which every way to it makes the same: with two threads, and with object code that was
/// kept of earlier modules, of this one and of an edit of it.
///
/// # Errors
///
/// In words, if artifacts differ or there is none.
pub fn compile_cached(wasm: &[u8], options: &Options) -> Result<Vec<u8>, String> {
    let cached = Options { jobs: 2, cache: Some(Arc::<Kept>::clone(&KEPT)), ..options.clone() };
    let artifact = compile(wasm, options)?;
    let edited = edited(wasm)?;
    let of_edited = compile(&edited, options)?;
    for (module, expected, what) in [
        (wasm, &artifact, "without an entry"),
        (&edited, &of_edited, "of an edited module"),
        (wasm, &artifact, "with all entries"),
    ] {
        if compile(module, &cached)? != *expected {
            return Err(format!("an artifact is another one with a cache and two threads ({what})"));
        }
    }
    Ok(artifact)
}

/// The module with another body for its middle function, which now traps: facts about the whole module change.
fn edited(wasm: &[u8]) -> Result<Vec<u8>, String> {
    let (mut module, mut code, mut functions) = (Module::new(), CodeSection::new(), 0);
    let mut trap = Function::new([]);
    trap.instructions().unreachable().end();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(|error| error.to_string())?;
        match &payload {
            Payload::CodeSectionStart { count, .. } => functions = *count,
            Payload::CodeSectionEntry(body) => {
                _ = if code.len() == functions / 2 { code.function(&trap) } else { code.raw(body.as_bytes()) };
                if code.len() == functions {
                    module.section(&code);
                }
            }
            _ => {
                if let Some((id, range)) = payload.as_section() {
                    module.section(&RawSection { id, data: &wasm[range.start as usize..range.end as usize] });
                }
            }
        }
    }
    Ok(module.finish())
}

/// Makes a profile wrong: what happened most did not happen at all, and calls called what others did.
pub fn mislead(profile: &mut Profile) {
    profile.funcs.reverse();
    profile.branches.iter_mut().for_each(|counts| counts.reverse());
    let mut targets: Vec<_> = profile.calls.iter_mut().map(|call| std::mem::take(&mut call.targets)).collect();
    if let Some(first) = targets.pop() {
        targets.insert(0, first);
    }
    profile.calls.iter_mut().zip(targets).for_each(|(call, targets)| call.targets = targets);
}
