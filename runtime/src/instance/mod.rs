//! Instances: modules that have got their imports, and state of their own.

mod instantiate;

use crate::error::Error;
use crate::externals::{Extern, Func, Global, Memory, Stored, Table, Tag};
use crate::module::Module;
use crate::store::{AsContext, AsContextMut, StoreInner};
use crate::vm::context::InstanceContext;
use dolmen_abi::meta::ExternIdx;
use dolmen_abi::profile::Profile;
use dolmen_abi::prototype::PrototypeWord;

/// An instance of a module in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Instance(Stored);

/// The runtime's record of an instance.
///
/// The lists have the length of the module's index spaces, and hold numbers of the store.
#[derive(Debug)]
pub(crate) struct InstanceData {
    pub(crate) module: Module,
    pub(crate) context: InstanceContext,
    /// References of the imported functions.
    pub(crate) imported_funcs: Box<[u32]>,
    pub(crate) tables: Box<[u32]>,
    pub(crate) memories: Box<[u32]>,
    pub(crate) globals: Box<[u32]>,
    pub(crate) tags: Box<[u32]>,
    /// The references in each element segment; dropped segments are empty.
    pub(crate) elems: Box<[Vec<u32>]>,
}

impl Instance {
    /// Makes an instance from its imports in the module's order, and runs its initialisers and its start
    /// function.
    ///
    /// # Errors
    ///
    /// If an import does not fit, memory runs out, or the code does not get to its end. What it has written into
    /// imported tables and memories before stays there.
    pub fn new(mut store: impl AsContextMut, module: &Module, imports: &[Extern]) -> Result<Self, Error> {
        instantiate::instantiate(store.as_context_mut().0, module, imports)
    }

    /// The export with this name.
    ///
    /// # Panics
    ///
    /// If the instance belongs to another store.
    pub fn get_export(&self, mut store: impl AsContextMut, name: &str) -> Option<Extern> {
        let mut context = store.as_context_mut();
        let inner = context.inner_mut();
        let instance = &inner.instances[self.0.index(inner)];
        let index = instance.module.export_index(name)?;
        Some(instance.extern_at(inner, index))
    }

    /// The exported function with this name.
    ///
    /// # Panics
    ///
    /// If the instance belongs to another store.
    pub fn get_func(&self, store: impl AsContextMut, name: &str) -> Option<Func> {
        self.get_export(store, name)?.into_func()
    }

    /// The exported global with this name.
    ///
    /// # Panics
    ///
    /// If the instance belongs to another store.
    pub fn get_global(&self, store: impl AsContextMut, name: &str) -> Option<Global> {
        self.get_export(store, name)?.into_global()
    }

    /// The exported table with this name.
    ///
    /// # Panics
    ///
    /// If the instance belongs to another store.
    pub fn get_table(&self, store: impl AsContextMut, name: &str) -> Option<Table> {
        self.get_export(store, name)?.into_table()
    }

    /// The exported memory with this name.
    ///
    /// # Panics
    ///
    /// If the instance belongs to another store.
    pub fn get_memory(&self, store: impl AsContextMut, name: &str) -> Option<Memory> {
        self.get_export(store, name)?.into_memory()
    }

    /// The memory with index 0, exported or not: the one that interfaces mean which pass addresses.
    ///
    /// # Panics
    ///
    /// If the instance belongs to another store.
    #[must_use]
    pub fn default_memory(&self, store: impl AsContext) -> Option<Memory> {
        let context = store.as_context();
        let inner = context.inner();
        let number = inner.instances[self.0.index(inner)].memories.first()?;
        Some(Memory(Stored::new(inner, *number as usize)))
    }

    /// The exported tag with this name.
    ///
    /// # Panics
    ///
    /// If the instance belongs to another store.
    pub fn get_tag(&self, store: impl AsContextMut, name: &str) -> Option<Tag> {
        self.get_export(store, name)?.into_tag()
    }

    /// All exports with their names, in the module's order.
    ///
    /// # Panics
    ///
    /// If the instance belongs to another store.
    #[must_use]
    pub fn exports(&self, store: impl AsContext) -> Vec<(String, Extern)> {
        let context = store.as_context();
        let inner = context.inner();
        let instance = &inner.instances[self.0.index(inner)];
        let exports = instance.module.meta().exports.iter();
        exports.map(|export| (export.name.clone(), instance.extern_at(inner, export.index))).collect()
    }

    /// The module that it is an instance of.
    ///
    /// # Panics
    ///
    /// If the instance belongs to another store.
    #[must_use]
    pub fn module(&self, store: impl AsContext) -> Module {
        let context = store.as_context();
        let inner = context.inner();
        inner.instances[self.0.index(inner)].module.clone()
    }

    pub(crate) fn from_number(store: &StoreInner, number: u32) -> Self {
        Self(Stored::new(store, number as usize))
    }
}

impl InstanceData {
    /// The item at an index of one of the index spaces. A function must be among the module's `func_refs`.
    fn extern_at(&self, store: &StoreInner, index: ExternIdx) -> Extern {
        let stored = |numbers: &[u32], index: u32| Stored::new(store, numbers[index as usize] as usize);
        match index {
            ExternIdx::Func(func) => match Func::from_word(store, self.func_ref(func)) {
                Some(func) => Extern::Func(func),
                None => unreachable!("instantiation made an object of each function reference"),
            },
            ExternIdx::Table(index) => Extern::Table(Table(stored(&self.tables, index))),
            ExternIdx::Memory(index) => Extern::Memory(Memory(stored(&self.memories, index))),
            ExternIdx::Global(index) => Extern::Global(Global(stored(&self.globals, index))),
            ExternIdx::Tag(index) => Extern::Tag(Tag(stored(&self.tags, index))),
        }
    }

    /// What the instance's code has counted, if it was compiled to.
    pub(crate) fn profile(&self) -> Option<Profile> {
        let meta = self.module.meta();
        let counts = Profile::from_counters(meta.profile.as_ref()?, |word| self.context.counter(word));
        Some(Profile {
            source_hash: *self.module.source_hash(),
            imported_funcs: meta.imported_funcs() as u32,
            names: (0..meta.funcs.len() as u32).filter_map(|func| Some((func, self.module.func_name(func)?))).collect(),
            ..counts
        })
    }

    /// Fills the prototypes of the context, once globals have their values.
    pub(crate) fn fill_prototypes(&mut self) {
        let module = self.module.clone();
        let imported_globals = module.meta().imported_globals();
        for (position, prototype) in module.meta().prototypes.iter().enumerate() {
            let words = prototype.words.map(|word| match word {
                PrototypeWord::Zero => 0,
                PrototypeWord::Global(global) => self.context.global_reference(global as usize - imported_globals),
                PrototypeWord::Func(func) => self.func_ref(func),
            });
            self.context.set_prototype(position, prototype.ty, words);
        }
    }

    /// The reference of a function that is among the module's `func_refs`; null of any other.
    pub(crate) fn func_ref(&self, func: u32) -> u32 {
        match self.module.meta().func_refs.binary_search(&func) {
            Ok(position) => self.context.func_ref(position),
            Err(_) => 0,
        }
    }
}
