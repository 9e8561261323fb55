//! Which memory accesses cannot touch the same bytes: type-based alias classes.
//!
//! WebAssembly GC keeps its stores apart by construction: a field of one struct type is never another field, nor
//! an array element, linear memory, a global, a table or the shadow stack. LLVM learns it through TBAA tags, one
//! scalar node per class:
//!
//! ```text
//! root ─ context | global | memory | table | surplus | header | shadow | card | field(declaring type, index)… | element(type)…
//! ```
//!
//! A field's class is named by the type that first declares it, since subtypes share it, and by that type's
//! canonical representative ([`Module::canonical`](crate::module::Module::canonical)), since one type may have
//! several indices.

use crate::llvm::{Context, Metadata, Value};
use std::cell::RefCell;
use std::collections::HashMap;

/// An alias class: the tag of an access.
#[derive(Clone, Copy)]
pub(crate) struct AliasClass(Metadata);

/// What a class is of that is made when it is first asked for.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Field(u32, usize),
    Descriptor(u32),
    Element(String),
}

/// The classes of one partition.
pub(crate) struct AliasClasses {
    root: Metadata,
    /// Thread and instance contexts, definitions of tables and memories.
    pub(crate) context: AliasClass,
    pub(crate) global: AliasClass,
    pub(crate) memory: AliasClass,
    pub(crate) table: AliasClass,
    pub(crate) surplus: AliasClass,
    pub(crate) header: AliasClass,
    pub(crate) shadow: AliasClass,
    pub(crate) card: AliasClass,
    pub(crate) exception: AliasClass,
    cache: RefCell<HashMap<Key, AliasClass>>,
}

impl AliasClasses {
    pub(crate) fn new(context: &Context) -> Self {
        let root = context.metadata_node(&[context.metadata_string("dolmen")]);
        let class = |name: &str| make(context, root, name);
        Self {
            root,
            context: class("context"),
            global: class("global"),
            memory: class("memory"),
            table: class("table"),
            surplus: class("surplus"),
            header: class("header"),
            shadow: class("shadow"),
            card: class("card"),
            exception: class("exception"),
            cache: RefCell::default(),
        }
    }

    /// The class of a struct field, by the canonical index of the type that declares it and the field's index.
    pub(crate) fn field(&self, context: &Context, declaring: u32, field: usize) -> AliasClass {
        self.numbered(context, Key::Field(declaring, field), "field")
    }

    /// The class of the references to custom descriptors, by the canonical index of the type that first has them.
    pub(crate) fn descriptor(&self, context: &Context, declaring: u32) -> AliasClass {
        self.numbered(context, Key::Descriptor(declaring), "descriptor")
    }

    /// The class of array elements of a storage type.
    pub(crate) fn element(&self, context: &Context, storage: &str) -> AliasClass {
        self.numbered(context, Key::Element(storage.to_owned()), "element")
    }

    /// A class whose name has the number of classes before it: a type's index is not always the same
    /// ([`numbers`](super::numbers)).
    fn numbered(&self, context: &Context, key: Key, kind: &str) -> AliasClass {
        let mut cache = self.cache.borrow_mut();
        let number = cache.len();
        *cache.entry(key).or_insert_with(|| make(context, self.root, &format!("{kind} {number}")))
    }

    /// Whether an access has this class.
    pub(crate) fn is(&self, access: Value, kind: u32, class: AliasClass) -> bool {
        access.metadata(kind) == Some(class.0)
    }

    /// Gives an access its class.
    pub(crate) fn tag(&self, access: Value, kind: u32, class: AliasClass) {
        access.set_metadata(kind, class.0);
    }
}

fn make(context: &Context, root: Metadata, name: &str) -> AliasClass {
    let zero = context.metadata_int(0, 64);
    let scalar = context.metadata_node(&[context.metadata_string(name), root, zero]);
    AliasClass(context.metadata_node(&[scalar, scalar, zero]))
}
