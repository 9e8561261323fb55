//! Prototypes: the first bytes of a fresh struct, ready to be copied.
//!
//! The problem: producers give each object of a class the same method tables and class description, which lie in immutable
//! globals. A fresh object so begins with words that only the instance knows: its type word, and a reference from each of
//! these globals. Loading and storing them one by one is a large part of an allocation's code.
//!
//! So the instance context has a copy of the first [`PROTOTYPE_BYTES`] of such an object, and an allocation copies that with
//! one load and one store. Prototypes are filled when the globals have their values, before anything else is initialised
//! ([`Builtin::FillPrototypes`](crate::builtin::Builtin::FillPrototypes)). What immutable globals refer to does not move.

use crate::types::TypeIdx;
use serde::{Deserialize, Serialize};

/// Size of a prototype, and the least size of an object that has one.
pub const PROTOTYPE_BYTES: u32 = 16;

/// Where a prototype has its words, behind the type word.
pub const PROTOTYPE_WORD_OFFSETS: [u32; 3] = [4, 8, 12];

/// How objects of a struct type begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prototype {
    pub ty: TypeIdx,
    /// What is at [`PROTOTYPE_WORD_OFFSETS`].
    pub words: [PrototypeWord; 3],
}

/// A word of a prototype.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PrototypeWord {
    /// No part of any field that the prototype sets.
    Zero,
    /// The value of an immutable global that the module defines, by global index.
    Global(u32),
    /// The instance's reference to a function of [`ModuleMeta::func_refs`](crate::meta::ModuleMeta::func_refs).
    Func(u32),
}
