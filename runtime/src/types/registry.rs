//! Canonical types: one number for each type that is the same, in whichever module it was written.
//!
//! WebAssembly's types are equal if their rec groups are equal up to the numbering of types ("iso-recursive").
//! So the unit of comparison is the rec group: references into the group itself are made relative to its start,
//! references out of it are replaced by canonical numbers, and what results is a key in a hash table. A new key
//! gets the next numbers; a known one the numbers it got the first time.
//!
//! In comes a rec group with a module's type indices, out go canonical indices, and the descriptors that casts
//! and the collector read. Types are never removed: they live as long as their engine.
//!
//! Invariants: an entry's supertypes precede it; a type's descriptor is complete before its index is known to
//! anyone; entries are read without a lock.

use super::append_vec::AppendVec;
use super::group_hash::BuildGroupHasher;
use crate::vm::type_region::TypeRegion;
use dolmen_abi::layout::{descriptor_place, exception_layout, struct_layout};
use dolmen_abi::object::{ARRAY_ELEMENTS_OFFSET, EXTERN_BYTES, FUNC_BYTES};
use dolmen_abi::signature::MachineSignature;
use dolmen_abi::type_desc::{Kind, MAX_SUBTYPING_DEPTH, MIN_DISPLAY, TypeDesc};
use dolmen_abi::types::{
    CompositeType, FieldType, FuncType, HeapType, RecGroup, RefType, StorageType, SubType, TypeIdx, ValType,
};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Most fields of a struct, parameters of a function or results of a function (limits of the JavaScript
/// embedding, which producers keep to).
pub(crate) const MAX_FIELDS: usize = 10_000;

/// In the key of a rec group: marks an index that counts from the group's start.
const IN_GROUP: u32 = 1 << 31;

/// [`TypeDesc::canonical`] of types that no module defines.
const NO_CANONICAL: u32 = u32::MAX;

/// Why a type cannot be registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TypeError {
    #[error("type {index} is not defined")]
    UnknownType { index: u32 },
    #[error("type {index} cannot be a subtype of its supertype")]
    Supertype { index: u32 },
    #[error("type {index} has {depth} supertypes, more than {MAX_SUBTYPING_DEPTH}")]
    TooDeep { index: u32, depth: usize },
    #[error("type {index} has {count} fields, parameters or results, more than {MAX_FIELDS}")]
    TooManyFields { index: u32, count: usize },
    #[error("the engine has no room for more {what}")]
    Full { what: &'static str },
    #[error("the type belongs to another engine")]
    WrongEngine,
}

/// A canonical type.
#[derive(Debug)]
pub(crate) struct TypeEntry {
    /// The type, with canonical indices.
    pub(crate) sub: SubType,
    /// Canonical indices of the supertypes from the root down, the type itself last.
    pub(crate) supers: Box<[u32]>,
    pub(crate) type_word: u32,
    /// Of a struct type: in front of which field the custom descriptor lies, if there is one.
    pub(crate) descriptor_at: Option<usize>,
    /// Of a function type: the number of its machine signature.
    pub(crate) signature: Option<SignatureId>,
    /// Of a function type: the type word of exceptions whose tag has it.
    exn_type_word: OnceLock<u32>,
}

/// Number of a machine signature in an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SignatureId(u32);

/// The canonical types of an engine.
#[derive(Debug)]
pub(crate) struct TypeRegistry {
    entries: AppendVec<TypeEntry>,
    region: Arc<TypeRegion>,
    extern_type_word: u32,
    state: Mutex<State>,
}

type Signatures = HashMap<MachineSignature, SignatureId, BuildGroupHasher>;

#[derive(Debug, Default)]
struct State {
    groups: HashMap<RecGroup, u32, BuildGroupHasher>,
    signatures: Signatures,
    /// Number of canonical types.
    len: u32,
}

impl TypeRegistry {
    pub(crate) fn new() -> std::io::Result<Self> {
        let region = TypeRegion::new()?;
        let desc = TypeDesc { fixed_bytes: EXTERN_BYTES, ..blank_descriptor(NO_CANONICAL) };
        let extern_type_word = region.add(Kind::Extern, desc, &[], &[]).ok_or(std::io::ErrorKind::OutOfMemory)?;
        Ok(Self { entries: AppendVec::new(), region: Arc::new(region), extern_type_word, state: Mutex::default() })
    }

    /// Canonicalises a rec group and appends the canonical index of each of its types to `types`, which holds
    /// those of the module's earlier types.
    ///
    /// # Errors
    ///
    /// If the group refers to types after it, breaks a limit, or the engine is full.
    pub(crate) fn add_group(&self, group: &RecGroup, types: &mut Vec<u32>) -> Result<(), TypeError> {
        let first = self.add_key(group_key(group, types)?)?;
        types.extend(first..first + group.types.len() as u32);
        Ok(())
    }

    /// Canonical index of a type that stands alone: final, without supertype. Its types are canonical.
    ///
    /// # Errors
    ///
    /// As of [`add_group`](Self::add_group).
    pub(crate) fn add_simple(&self, composite: CompositeType) -> Result<u32, TypeError> {
        let sub = SubType { is_final: true, supertype: None, descriptor: None, describes: None, composite };
        check_fields(&sub, 0)?;
        let known = self.lock().len;
        let key = map_sub_type(&sub, &mut |index| {
            if index < known { Ok(index) } else { Err(TypeError::UnknownType { index }) }
        })?;
        self.add_key(RecGroup { types: vec![key] })
    }

    /// The type with this canonical index.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub(crate) fn entry(&self, canonical: u32) -> &TypeEntry {
        self.entries.get(canonical).expect("canonical indices come from the registry")
    }

    /// The function type with this canonical index, if it is one.
    pub(crate) fn func_type(&self, canonical: u32) -> Option<&FuncType> {
        match &self.entries.get(canonical)?.sub.composite {
            CompositeType::Func(func) => Some(func),
            _ => None,
        }
    }

    /// Type word of objects that stand for host values.
    pub(crate) fn extern_type_word(&self) -> u32 {
        self.extern_type_word
    }

    /// Type word of the exceptions of tags with this function type.
    ///
    /// # Errors
    ///
    /// If the engine is full, or the type is no function type.
    pub(crate) fn exn_type_word(&self, canonical: u32) -> Result<u32, TypeError> {
        let entry = self.entry(canonical);
        if let Some(&word) = entry.exn_type_word.get() {
            return Ok(word);
        }
        let CompositeType::Func(func) = &entry.sub.composite else {
            return Err(TypeError::UnknownType { index: canonical });
        };
        // The lock keeps two threads from adding it twice.
        let state = self.lock();
        if let Some(&word) = entry.exn_type_word.get() {
            return Ok(word);
        }
        let layout = exception_layout(&func.params);
        let desc = TypeDesc { fixed_bytes: layout.size_bytes, ..blank_descriptor(canonical) };
        let word = self.region.add(Kind::Exn, desc, &[], &layout.ref_offsets);
        let word = word.ok_or(TypeError::Full { what: "tags" })?;
        entry.exn_type_word.get_or_init(|| word);
        drop(state);
        Ok(word)
    }

    /// Number of a machine signature.
    pub(crate) fn signature_id(&self, signature: &MachineSignature) -> SignatureId {
        intern(&mut self.lock().signatures, signature)
    }

    /// Canonical index of the type that objects with this type word have; `None` for host objects. Of an
    /// exception it is that of its tag's function type.
    pub(crate) fn canonical_of_word(&self, type_word: u32) -> Option<u32> {
        let canonical = self.region.descriptor(type_word)?.canonical;
        (canonical != NO_CANONICAL).then_some(canonical)
    }

    /// The descriptors, for thread contexts and heaps.
    pub(crate) fn region(&self) -> &Arc<TypeRegion> {
        &self.region
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held leaves the tables as they were: a group is added in one go at the end.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first canonical index of a rec group in key form, which is added if it is new.
    fn add_key(&self, key: RecGroup) -> Result<u32, TypeError> {
        let mut state = self.lock();
        if let Some(&first) = state.groups.get(&key) {
            return Ok(first);
        }
        let first = state.len;
        let end = u64::from(first) + key.types.len() as u64;
        let end = u32::try_from(end).ok().filter(|&end| end < IN_GROUP).ok_or(TypeError::Full { what: "types" })?;
        let members = self.members(&key, first)?;
        let mut entries: Vec<TypeEntry> = Vec::with_capacity(members.len());
        for (sub, supers) in members {
            let entry = self.make_entry(&mut state.signatures, sub, supers, |canonical| {
                if canonical < first { self.entry(canonical) } else { &entries[(canonical - first) as usize] }
            })?;
            entries.push(entry);
        }
        for (index, entry) in (first..).zip(entries) {
            self.entries.set(index, entry);
        }
        state.len = end;
        state.groups.insert(key, first);
        Ok(first)
    }

    /// The types of a group that starts at `first` with canonical indices, and the supertypes of each from the
    /// root down, itself last. All checks happen here, before anything is added.
    fn members(&self, key: &RecGroup, first: u32) -> Result<Vec<(SubType, Vec<u32>)>, TypeError> {
        let mut members: Vec<(SubType, Vec<u32>)> = Vec::with_capacity(key.types.len());
        for (sub, index) in key.types.iter().zip(first..) {
            let sub = map_sub_type(sub, &mut |index| {
                Ok(if index & IN_GROUP == 0 { index } else { first + (index & !IN_GROUP) })
            })?;
            let mut supers = match sub.supertype {
                None => Vec::new(),
                Some(TypeIdx(parent)) => {
                    let (parent, supers) = if parent < first {
                        let entry = self.entry(parent);
                        (&entry.sub, entry.supers.as_ref())
                    } else {
                        let member = members.get((parent - first) as usize);
                        let (sub, supers) = member.ok_or(TypeError::Supertype { index })?;
                        (sub, supers.as_slice())
                    };
                    if parent.is_final || kind_of(&parent.composite) != kind_of(&sub.composite) {
                        return Err(TypeError::Supertype { index });
                    }
                    supers.to_vec()
                }
            };
            if supers.len() > MAX_SUBTYPING_DEPTH {
                return Err(TypeError::TooDeep { index, depth: supers.len() });
            }
            supers.push(index);
            members.push((sub, supers));
        }
        Ok(members)
    }

    /// Makes an entry and its descriptor. `supers` ends with the type itself.
    fn make_entry<'e>(
        &'e self,
        signatures: &mut Signatures,
        sub: SubType,
        supers: Vec<u32>,
        supertype: impl Fn(u32) -> &'e TypeEntry,
    ) -> Result<TypeEntry, TypeError> {
        let (&canonical, parents) = supers.split_last().expect("a type is among its own supertypes");
        let parent = parents.last().map(|&parent| supertype(parent));
        let descriptor_at = descriptor_place(&sub, parent.map(|p| (field_count(&p.sub.composite), p.descriptor_at)));
        let parents: Vec<u32> = parents.iter().map(|&parent| supertype(parent).type_word).collect();
        let (desc, refs) = describe(&sub.composite, descriptor_at, canonical, parents.len());
        let type_word = self.region.add(kind_of(&sub.composite), desc, &parents, &refs);
        let type_word = type_word.ok_or(TypeError::Full { what: "types" })?;
        let signature = match &sub.composite {
            CompositeType::Func(func) => Some(intern(signatures, &MachineSignature::from(func))),
            _ => None,
        };
        let supers = supers.into();
        Ok(TypeEntry { sub, supers, type_word, descriptor_at, signature, exn_type_word: OnceLock::new() })
    }
}

fn intern(signatures: &mut Signatures, signature: &MachineSignature) -> SignatureId {
    if let Some(&id) = signatures.get(signature) {
        return id;
    }
    let id = SignatureId(signatures.len() as u32);
    signatures.insert(signature.clone(), id);
    id
}

/// The group as a key: indices of its own types relative and marked, others canonical.
fn group_key(group: &RecGroup, types: &[u32]) -> Result<RecGroup, TypeError> {
    let start = types.len() as u32;
    let count = group.types.len() as u32;
    let mut resolve = |index: u32| match types.get(index as usize) {
        Some(&canonical) => Ok(canonical),
        None if index - start < count => Ok((index - start) | IN_GROUP),
        None => Err(TypeError::UnknownType { index }),
    };
    let mut member = |(sub, index): (&SubType, u32)| {
        check_fields(sub, index)?;
        map_sub_type(sub, &mut resolve)
    };
    Ok(RecGroup { types: group.types.iter().zip(start..).map(&mut member).collect::<Result<_, _>>()? })
}

fn check_fields(sub: &SubType, index: u32) -> Result<(), TypeError> {
    let count = field_count(&sub.composite);
    if count > MAX_FIELDS { Err(TypeError::TooManyFields { index, count }) } else { Ok(()) }
}

/// Fields of a struct, elements that an array's type names, parameters or results of a function.
fn field_count(composite: &CompositeType) -> usize {
    match composite {
        CompositeType::Func(func) => func.params.len().max(func.results.len()),
        CompositeType::Struct(fields) => fields.len(),
        CompositeType::Array(_) => 1,
    }
}

/// A copy of a type with each of its type indices replaced.
fn map_sub_type(sub: &SubType, map: &mut dyn FnMut(u32) -> Result<u32, TypeError>) -> Result<SubType, TypeError> {
    let mut index = |index: Option<TypeIdx>| index.map(|TypeIdx(index)| map(index).map(TypeIdx)).transpose();
    let (supertype, descriptor, describes) = (index(sub.supertype)?, index(sub.descriptor)?, index(sub.describes)?);
    let composite = match &sub.composite {
        CompositeType::Func(func) => CompositeType::Func(FuncType {
            params: func.params.iter().map(|&ty| map_val_type(ty, map)).collect::<Result<_, _>>()?,
            results: func.results.iter().map(|&ty| map_val_type(ty, map)).collect::<Result<_, _>>()?,
        }),
        CompositeType::Struct(fields) => {
            CompositeType::Struct(fields.iter().map(|&field| map_field(field, map)).collect::<Result<_, _>>()?)
        }
        CompositeType::Array(field) => CompositeType::Array(map_field(*field, map)?),
    };
    Ok(SubType { is_final: sub.is_final, supertype, descriptor, describes, composite })
}

fn map_field(field: FieldType, map: &mut dyn FnMut(u32) -> Result<u32, TypeError>) -> Result<FieldType, TypeError> {
    let storage = match field.storage {
        StorageType::Val(ty) => StorageType::Val(map_val_type(ty, map)?),
        packed => packed,
    };
    Ok(FieldType { storage, ..field })
}

/// A value type with its type index replaced, if it has one.
pub(crate) fn map_val_type(
    ty: ValType,
    map: &mut dyn FnMut(u32) -> Result<u32, TypeError>,
) -> Result<ValType, TypeError> {
    match ty {
        ValType::Ref(ty) => map_ref_type(ty, map).map(ValType::Ref),
        other => Ok(other),
    }
}

/// A reference type with its type index replaced, if it has one.
pub(crate) fn map_ref_type(
    ty: RefType,
    map: &mut dyn FnMut(u32) -> Result<u32, TypeError>,
) -> Result<RefType, TypeError> {
    match ty.heap {
        HeapType::Concrete(TypeIdx(index)) => Ok(RefType { heap: HeapType::Concrete(TypeIdx(map(index)?)), ..ty }),
        HeapType::Exact(TypeIdx(index)) => Ok(RefType { heap: HeapType::Exact(TypeIdx(map(index)?)), ..ty }),
        _ => Ok(ty),
    }
}

fn kind_of(composite: &CompositeType) -> Kind {
    match composite {
        CompositeType::Func(_) => Kind::Func,
        CompositeType::Struct(_) => Kind::Struct,
        CompositeType::Array(_) => Kind::Array,
    }
}

/// The descriptor of a type, but for display and references, and where its objects hold references.
fn describe(
    composite: &CompositeType,
    descriptor_at: Option<usize>,
    canonical: u32,
    depth: usize,
) -> (TypeDesc, Vec<u32>) {
    let blank = TypeDesc { depth: depth as u16, ..blank_descriptor(canonical) };
    match composite {
        CompositeType::Func(_) => (TypeDesc { fixed_bytes: FUNC_BYTES, ..blank }, Vec::new()),
        CompositeType::Struct(fields) => {
            let layout = struct_layout(fields, descriptor_at);
            (TypeDesc { fixed_bytes: layout.size_bytes, ..blank }, layout.ref_offsets)
        }
        CompositeType::Array(field) => {
            let desc = TypeDesc {
                fixed_bytes: ARRAY_ELEMENTS_OFFSET,
                log_elem_bytes: field.storage.log_bytes() as u8,
                elem_is_ref: u8::from(field.storage.is_ref()),
                ..blank
            };
            (desc, Vec::new())
        }
    }
}

fn blank_descriptor(canonical: u32) -> TypeDesc {
    TypeDesc {
        ref_map: 0,
        fixed_bytes: 0,
        ref_list_len: 0,
        ref_list_start: 0,
        canonical,
        depth: 0,
        kind: 0,
        log_elem_bytes: 0,
        elem_is_ref: 0,
        reserved: [0; 3],
        display: [0; MIN_DISPLAY],
    }
}
