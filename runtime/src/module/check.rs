//! Checks of a module's description: every index within what it counts, every code offset within the code.

use super::IndexSpaces;
use crate::artifact::LoadError;
use crate::engine::Engine;
use crate::store::TrampolineCode;
use crate::types::registry::SignatureId;
use crate::vm::table::MAX_TABLE_ELEMENTS;
use dolmen_abi::meta::{ElemItems, ExternIdx, ModuleMeta, NO_CODE};
use dolmen_abi::prototype::{Prototype, PrototypeWord};
use dolmen_abi::signature::{MAX_VALUES, MachineSignature};
use dolmen_abi::types::{CompositeType, ExternType, GlobalType, ValType};
use std::collections::{HashMap, HashSet};

/// Most entries of an index space: keeps the size of an instance context within 32 bits.
const MAX_INDEX_SPACE: usize = 1 << 24;

/// Checks everything that needs no canonical types.
///
/// # Errors
///
/// The first index or offset that is out of range.
pub(super) fn check_meta(meta: &ModuleMeta, text_bytes: usize, data_bytes: usize) -> Result<(), LoadError> {
    check_spaces(meta)?;
    check_func_refs(meta)?;
    check_code(meta, text_bytes)?;
    check_prototypes(meta)?;
    let countable = meta.profile.as_ref().is_none_or(|profile| profile.words().is_some());
    ensure(countable, || "too many counters".into())?;
    let mut names = HashSet::new();
    for export in &meta.exports {
        ensure(names.insert(&export.name), || format!("two exports {:?}", export.name))?;
        let (index, count) = match export.index {
            ExternIdx::Func(index) => (index, meta.funcs.len()),
            ExternIdx::Table(index) => (index, meta.tables.len()),
            ExternIdx::Memory(index) => (index, meta.memories.len()),
            ExternIdx::Global(index) => (index, meta.globals.len()),
            ExternIdx::Tag(index) => (index, meta.tags.len()),
        };
        ensure((index as usize) < count, || format!("export {:?} of {:?}", export.name, export.index))?;
        if let ExternIdx::Func(func) = export.index {
            ensure(has_func_ref(meta, func), || format!("export {:?} without function reference", export.name))?;
        }
    }
    for segment in &meta.data {
        let end = segment.offset.checked_add(segment.len_bytes);
        ensure(end.is_some_and(|end| end <= data_bytes as u64), || "data segment outside its section".into())?;
    }
    for segment in &meta.elems {
        let valid = match &segment.items {
            ElemItems::Funcs(funcs) => funcs.iter().all(|&func| has_func_ref(meta, func)),
            ElemItems::Exprs(count) => u64::from(*count) <= MAX_TABLE_ELEMENTS,
        };
        ensure(valid, || "element segment with unknown functions or too many elements".into())?;
    }
    Ok(())
}

/// Checks that there are trampolines for every function type, and that the start function fits its purpose.
///
/// # Errors
///
/// What is missing.
pub(super) fn check_trampolines(
    engine: &Engine,
    meta: &ModuleMeta,
    spaces: &IndexSpaces,
    trampolines: &HashMap<SignatureId, TrampolineCode>,
) -> Result<(), LoadError> {
    for &canonical in &spaces.types {
        let entry = engine.types().entry(canonical);
        let CompositeType::Func(func) = &entry.sub.composite else { continue };
        let known = entry.signature.is_some_and(|signature| trampolines.contains_key(&signature));
        ensure(known, || format!("no trampolines for type {canonical}"))?;
        let count = func.params.len().max(func.results.len());
        ensure(count <= MAX_VALUES, || format!("function type with {count} values"))?;
    }
    let nothing = MachineSignature { params: Vec::new(), results: Vec::new() };
    let nothing = engine.types().signature_id(&nothing);
    ensure(meta.init_funcs.is_empty() || trampolines.contains_key(&nothing), || {
        "initialisation without an entry trampoline".into()
    })?;
    let Some(start) = meta.start else { return Ok(()) };
    let ty = spaces.funcs.get(start as usize).map(|&ty| engine.types().entry(ty));
    ensure(ty.is_some_and(|ty| ty.signature == Some(nothing)), || format!("start function {start}"))
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), LoadError> {
    if holds { Ok(()) } else { Err(LoadError::Malformed { what: what() }) }
}

/// Imports must be the first entries of their index spaces.
fn check_spaces(meta: &ModuleMeta) -> Result<(), LoadError> {
    let (mut funcs, mut tables, mut memories, mut globals, mut tags) = (0, 0, 0, 0, 0);
    for import in &meta.imports {
        let take = |count: &mut usize| {
            *count += 1;
            *count - 1
        };
        let same = match import.ty {
            ExternType::Func(ty) => meta.funcs.get(take(&mut funcs)) == Some(&ty),
            ExternType::Table(ty) => meta.tables.get(take(&mut tables)) == Some(&ty),
            ExternType::Memory(ty) => meta.memories.get(take(&mut memories)) == Some(&ty),
            ExternType::Global(ty) => meta.globals.get(take(&mut globals)) == Some(&ty),
            ExternType::Tag(ty) => meta.tags.get(take(&mut tags)) == Some(&ty),
        };
        ensure(same, || format!("import {:?} {:?} is not in its index space", import.module, import.name))?;
    }
    let lens = [
        meta.type_count(),
        meta.funcs.len(),
        meta.tables.len(),
        meta.memories.len(),
        meta.globals.len(),
        meta.tags.len(),
        meta.data.len(),
        meta.elems.len(),
        meta.prototypes.len(),
    ];
    ensure(lens.iter().all(|&len| len <= MAX_INDEX_SPACE), || "an index space is too large".into())?;
    let page_fits = meta.memories.iter().all(|memory| memory.log_page_bytes <= 16);
    ensure(page_fits, || "page size of a memory".into())
}

fn check_func_refs(meta: &ModuleMeta) -> Result<(), LoadError> {
    let ascending = meta.func_refs.is_sorted_by(|a, b| a < b);
    let in_range = meta.func_refs.last().is_none_or(|&last| (last as usize) < meta.funcs.len());
    ensure(ascending && in_range, || "function references".into())
}

/// Prototypes must copy references that the instance keeps where they are.
fn check_prototypes(meta: &ModuleMeta) -> Result<(), LoadError> {
    let defined = meta.imported_globals()..meta.globals.len();
    let is_kept = |word| match word {
        PrototypeWord::Zero => true,
        PrototypeWord::Func(func) => has_func_ref(meta, func),
        PrototypeWord::Global(global) => {
            let is_reference = |ty: GlobalType| matches!(ty.value, ValType::Ref(_)) && !ty.mutable;
            defined.contains(&(global as usize)) && is_reference(meta.globals[global as usize])
        }
    };
    let types = meta.type_count();
    let is_valid =
        |prototype: &Prototype| (prototype.ty.0 as usize) < types && prototype.words.into_iter().all(is_kept);
    ensure(meta.prototypes.iter().all(is_valid), || "prototypes of what the module does not have".into())
}

fn check_code(meta: &ModuleMeta, text_bytes: usize) -> Result<(), LoadError> {
    let defined = meta.funcs.len() - meta.imported_funcs();
    ensure(meta.code_offsets.len() == defined, || {
        format!("code of {} functions, expected {defined}", meta.code_offsets.len())
    })?;
    let entered = meta.func_refs.iter().copied().chain(meta.start);
    let mut defined = entered.filter_map(|func| (func as usize).checked_sub(meta.imported_funcs()));
    ensure(defined.all(|func| meta.code_offsets.get(func) != Some(&NO_CODE)), || {
        "a function that can be entered has no code".into()
    })?;
    let trampolines = meta.trampolines.iter().flat_map(|t| [t.entry, t.host_call]);
    let code_offsets = meta.code_offsets.iter().copied().filter(|&offset| offset != NO_CODE);
    let mut offsets = code_offsets.chain(meta.init_funcs.iter().copied()).chain(trampolines);
    match offsets.find(|&offset| offset as usize >= text_bytes) {
        Some(offset) => Err(LoadError::Malformed { what: format!("code offset {offset:#x} outside the code") }),
        None => Ok(()),
    }
}

fn has_func_ref(meta: &ModuleMeta, func: u32) -> bool {
    meta.func_refs.binary_search(&func).is_ok()
}
