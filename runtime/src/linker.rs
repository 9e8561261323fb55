//! Finding the imports of modules by name.

use crate::call::{self, HostClosure};
use crate::engine::Engine;
use crate::error::{Error, LinkError, Trap};
use crate::externals::{Extern, Global, Memory, Table, Tag};
use crate::instance::Instance;
use crate::module::Module;
use crate::store::{AsContextMut, Caller, StoreData};
use crate::types::{ExternType, FuncType, ImportType};
use crate::value::Val;
use dolmen_abi::trap::TrapCode;
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

/// Items by module name and name, from which the imports of modules are taken.
///
/// Host functions that are defined here belong to no store: each instantiation makes them anew. They are made for
/// exactly this `T`, so a linker for shorter or longer lifetimes is another type:
///
/// ```compile_fail
/// fn lengthen<'a>(linker: dolmen::Linker<&'a u64>) -> dolmen::Linker<&'static u64> {
///     linker
/// }
/// ```
pub struct Linker<T> {
    engine: Engine,
    items: HashMap<String, HashMap<String, Item>>,
    allow_shadowing: bool,
    invariant: PhantomData<fn(T) -> T>,
}

#[derive(Clone, Debug)]
enum Item {
    Extern(Extern),
    Host { ty: FuncType, closure: HostClosure },
}

impl<T: 'static> Linker<T> {
    /// Makes an empty linker.
    #[must_use]
    pub fn new(engine: &Engine) -> Self {
        Self { engine: engine.clone(), items: HashMap::new(), allow_shadowing: false, invariant: PhantomData }
    }

    /// The engine that the linker's types belong to.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Whether a definition may replace an earlier one of the same name; otherwise that is an error.
    pub fn allow_shadowing(&mut self, allow: bool) -> &mut Self {
        self.allow_shadowing = allow;
        self
    }

    /// Defines a function of the host's.
    ///
    /// # Errors
    ///
    /// If the name is taken, or the type belongs to another engine.
    pub fn func_new(
        &mut self,
        module: &str,
        name: &str,
        ty: FuncType,
        closure: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Result<&mut Self, Error> {
        if !ty.engine().same(&self.engine) {
            return Err(LinkError::WrongEngine.into());
        }
        self.insert(module, name, Item::Host { ty, closure: HostClosure::new(closure) })
    }

    /// Defines an item of a store, which must be the one that is instantiated into.
    ///
    /// # Errors
    ///
    /// If the name is taken.
    pub fn define(
        &mut self,
        _store: impl AsContextMut<Data = T>,
        module: &str,
        name: &str,
        item: impl Into<Extern>,
    ) -> Result<&mut Self, Error> {
        self.insert(module, name, Item::Extern(item.into()))
    }

    /// Defines all exports of an instance under a module name.
    ///
    /// # Errors
    ///
    /// If a name is taken.
    pub fn instance(
        &mut self,
        mut store: impl AsContextMut<Data = T>,
        module: &str,
        instance: Instance,
    ) -> Result<&mut Self, Error> {
        for (name, item) in instance.exports(store.as_context_mut()) {
            self.insert(module, &name, Item::Extern(item))?;
        }
        // So that even an instance without exports is known.
        self.items.entry(module.to_owned()).or_default();
        Ok(self)
    }

    /// The item with this name, made in the store if it is a host function.
    pub fn get(&self, mut store: impl AsContextMut<Data = T>, module: &str, name: &str) -> Option<Extern> {
        let item = self.items.get(module)?.get(name)?;
        self.realise(store.as_context_mut().0, item).ok()
    }

    /// Makes an instance of a module, with its imports found by their names.
    ///
    /// # Errors
    ///
    /// If an import is unknown or of the wrong type, or as of [`Instance::new`].
    pub fn instantiate(&self, mut store: impl AsContextMut<Data = T>, module: &Module) -> Result<Instance, Error> {
        if !module.engine().same(&self.engine) {
            return Err(LinkError::WrongEngine.into());
        }
        let mut items = Vec::with_capacity(module.imports().len());
        for import in module.imports() {
            let item = self.find(&import).ok_or_else(|| unknown(&import))?;
            // A host function of the wrong type is refused before any is made.
            if let Item::Host { ty, .. } = item {
                check(&import, ExternType::Func(ty.clone()))?;
            }
            items.push(item);
        }
        let mut context = store.as_context_mut();
        let imports: Vec<Extern> =
            items.into_iter().map(|item| self.realise(context.0, item)).collect::<Result<_, _>>()?;
        Instance::new(&mut context, module, &imports)
    }

    /// Defines each import of the module that is unknown: as a function that traps when it is called, or as
    /// something empty of the right type.
    ///
    /// # Errors
    ///
    /// If something of the type cannot be made.
    pub fn define_unknown_imports_as_traps(
        &mut self,
        store: impl AsContextMut<Data = T>,
        module: &Module,
    ) -> Result<(), Error> {
        self.define_unknown(store, module, |import| {
            let message = format!("{}: {:?} {:?}", TrapCode::MissingImport.message(), import.module(), import.name());
            HostClosure::new::<T>(move |_, _, _| {
                Err(Error::Trap(Trap { message: message.clone(), ..Trap::new(TrapCode::MissingImport) }))
            })
        })
    }

    /// Defines each import of the module that is unknown: as a function that returns zeros and nulls, or as
    /// something empty of the right type.
    ///
    /// # Errors
    ///
    /// If the type has no default value.
    pub fn define_unknown_imports_as_default_values(
        &mut self,
        store: impl AsContextMut<Data = T>,
        module: &Module,
    ) -> Result<(), Error> {
        for import in module.imports().filter(|import| self.find(import).is_none()) {
            if let ExternType::Func(ty) = import.ty()
                && ty.results().any(|result| !result.is_defaultable())
            {
                return Err(no_default(&import).into());
            }
        }
        // The results are zero and null already when the closure is called.
        self.define_unknown(store, module, |_| HostClosure::new::<T>(|_, _, _| Ok(())))
    }

    fn define_unknown(
        &mut self,
        mut store: impl AsContextMut<Data = T>,
        module: &Module,
        closure: impl Fn(&ImportType<'_>) -> HostClosure,
    ) -> Result<(), Error> {
        let mut context = store.as_context_mut();
        for import in module.imports() {
            if self.find(&import).is_some() {
                continue;
            }
            let item = match import.ty() {
                ExternType::Func(ty) => Item::Host { ty, closure: closure(&import) },
                ExternType::Global(ty) => {
                    let value = Val::default_for(ty.content()).ok_or_else(|| no_default(&import))?;
                    Item::Extern(Global::new(&mut context, ty, value)?.into())
                }
                ExternType::Table(ty) => {
                    let element = crate::ValType::Ref(ty.element().clone());
                    let value = Val::default_for(&element).ok_or_else(|| no_default(&import))?;
                    Item::Extern(Table::new(&mut context, ty, value)?.into())
                }
                ExternType::Memory(ty) => Item::Extern(Memory::new(&mut context, ty)?.into()),
                ExternType::Tag(ty) => Item::Extern(Tag::new(&mut context, &ty)?.into()),
            };
            self.insert(import.module(), import.name(), item)?;
        }
        Ok(())
    }

    fn insert(&mut self, module: &str, name: &str, item: Item) -> Result<&mut Self, Error> {
        let items = self.items.entry(module.to_owned()).or_default();
        if items.contains_key(name) && !self.allow_shadowing {
            return Err(LinkError::Duplicate { module: module.to_owned(), name: name.to_owned() }.into());
        }
        items.insert(name.to_owned(), item);
        Ok(self)
    }

    fn find(&self, import: &ImportType<'_>) -> Option<&Item> {
        self.items.get(import.module())?.get(import.name())
    }

    fn realise(&self, store: &mut StoreData<T>, item: &Item) -> Result<Extern, Error> {
        match item {
            Item::Extern(item) => Ok(*item),
            Item::Host { ty, closure } => call::new_host_func(store, ty.clone(), closure.clone()).map(Extern::Func),
        }
    }
}

fn check(import: &ImportType<'_>, found: ExternType) -> Result<(), LinkError> {
    let expected = import.ty();
    if found.matches(&expected) {
        return Ok(());
    }
    let (module, name) = (import.module().to_owned(), import.name().to_owned());
    Err(LinkError::IncompatibleImport { module, name, expected: expected.into(), found: found.into() })
}

fn unknown(import: &ImportType<'_>) -> LinkError {
    let (module, name) = (import.module().to_owned(), import.name().to_owned());
    LinkError::UnknownImport { module, name, expected: import.ty().into() }
}

fn no_default(import: &ImportType<'_>) -> LinkError {
    let (module, name) = (import.module().to_owned(), import.name().to_owned());
    LinkError::NoDefault { module, name, expected: import.ty().into() }
}

impl<T> Clone for Linker<T> {
    fn clone(&self) -> Self {
        Self {
            engine: self.engine.clone(),
            items: self.items.clone(),
            allow_shadowing: self.allow_shadowing,
            invariant: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Linker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Linker").field("items", &self.items).finish_non_exhaustive()
    }
}
