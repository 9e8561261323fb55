//! What setups make of a module: artifacts, with whatever must not change what they do.

use crate::setups::Setup;
use dolmen::Profile;
use dolmen_aotc::{CacheKey, CacheStore, Options, TargetCpu};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use wasm_encoder::{CodeSection, Encode, Function, Module, RawSection};
use wasmparser::{BinaryReader, Parser, Payload};

/// Entries that are kept of earlier modules.
const MAX_KEPT: usize = 256;

/// Object code of all modules of this process, as in the cache of a user.
static KEPT: LazyLock<Arc<Kept>> = LazyLock::new(Arc::default);

#[derive(Debug, Default)]
struct Kept(Mutex<HashMap<CacheKey, Vec<u8>>>);

impl CacheStore for Kept {
    fn get(&self, key: &CacheKey) -> Option<Vec<u8>> {
        self.0.get(key)
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
/// kept of earlier modules, of this one and of edits of it.
///
/// # Errors
///
/// In words, if artifacts differ or there is none.
pub fn compile_cached(wasm: &[u8], options: &Options) -> Result<Vec<u8>, String> {
    let cached = Options { jobs: 2, cache: Some(Arc::<Kept>::clone(&KEPT)), ..options.clone() };
    let artifact = compile(wasm, options)?;
    let check = |module: &[u8], expected: &[u8], what: &str| match compile(module, &cached)? == expected {
        true => Ok(()),
        false => Err(format!("an artifact is another one with a cache and two threads ({what})")),
    };
    check(wasm, &artifact, "without an entry")?;
    let edited = edited(wasm)?;
    check(&edited, &compile(&edited, options)?, "of an edited module")?;
    if let Some(more) = with_additions(wasm)? {
        check(&more, &compile(&more, options)?, "of a module with additions")?;
    }
    check(wasm, &artifact, "with all entries")?;
    Ok(artifact)
}

/// The module with a type and a global more, which moves most of what its instance context holds; nothing for modules that
/// are too small for several partitions.
fn with_additions(wasm: &[u8]) -> Result<Option<Vec<u8>>, String> {
    const SEVERAL_PARTITIONS: u32 = 1000;
    let (mut module, mut functions) = (Module::new(), 0);
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(|error| error.to_string())?;
        if let Payload::CodeSectionStart { count, .. } = payload {
            functions = count;
        }
        let Some((id, range)) = payload.as_section() else { continue };
        let section = &wasm[range.start as usize..range.end as usize];
        match ADDITIONS.iter().find(|(to, _)| *to == id) {
            Some((_, entry)) => module.section(&RawSection { id, data: &with_entry(section, entry)? }),
            None => module.section(&RawSection { id, data: section }),
        };
    }
    Ok((functions >= SEVERAL_PARTITIONS).then(|| module.finish()))
}

/// Entries for sections of these numbers: a structure type, and a mutable global.
const ADDITIONS: [(u8, &[u8]); 2] = [(1, &[0x5f, 1, 0x7e, 0]), (6, &[0x7f, 1, 0x41, 5, 0x0b])];

/// A section with one entry more.
fn with_entry(section: &[u8], entry: &[u8]) -> Result<Vec<u8>, String> {
    let mut reader = BinaryReader::new(section, 0);
    let count = reader.read_var_u32().map_err(|error| error.to_string())?;
    let mut with = Vec::new();
    (count + 1).encode(&mut with);
    with.extend_from_slice(&section[reader.current_position()..]);
    with.extend_from_slice(entry);
    Ok(with)
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
