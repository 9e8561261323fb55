//! Which references fields can hold: the whole module's stores, gathered before anything is translated.
//!
//! Dynamic dispatch in WebAssembly GC is a chain of loads: object, method table, function. For each struct type and
//! field the pass over all bodies and constant expressions collects what is stored there, as far as it is a constant
//! ([`Constant`]): the operands of `struct.new` and of `struct.set`. A field with few possible values is one whose
//! loads have few outcomes, and a call through them few targets.
//!
//! Mutable globals of functions are as fields are.
//!
//! The result is a *guess* all the same: another module, or the host, can make objects of equal types. So a value set
//! may only choose what code compares with; see [`crate::translate::devirtualise`]. What is certain is in
//! [`makers`](super::makers) and [`elements`].
//!
//! The pass also notes which types direct calls pass for each parameter of more general type, through parameters that
//! are passed on, and what [`elements`] wants to know.
//!
//! It follows the validator beside a stack of its own, of what is known about each operand. Locals are not followed:
//! of what goes through one only the local's type is known.

use super::constants::{Constant, plain_constant};
use super::elements::{ElementStores, Elements};
use super::makers::Makers;
use super::types::{heap_type, val_type};
use super::{Body, InitStep, Module, elements, prototypes};
use crate::error::CompileError;
use dolmen_abi::prototype::Prototype;
use dolmen_abi::types::{CompositeType, HeapType, RefType, StorageType, TypeIdx, ValType};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use wasmparser::{FuncValidatorAllocations, Operator};

/// More values than this are as good as unknown.
const MAX_VALUES: usize = 64;

/// The constants that a place can hold, other than null.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ValueSet {
    values: BTreeSet<Constant>,
    /// Whether something else is stored there, too.
    has_unknown: bool,
}

impl ValueSet {
    fn insert(&mut self, value: Option<Constant>) {
        match value {
            Some(Constant::Null) => {}
            Some(value) if !self.has_unknown && (self.values.len() < MAX_VALUES || self.values.contains(&value)) => {
                self.values.insert(value);
            }
            _ => {
                self.has_unknown = true;
                self.values.clear();
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        if other.has_unknown {
            self.insert(None);
        }
        other.values.iter().for_each(|&value| self.insert(Some(value)));
    }

    /// The values that are known.
    pub(super) fn values(&self) -> &BTreeSet<Constant> {
        &self.values
    }

    pub(super) fn has_unknown(&self) -> bool {
        self.has_unknown
    }

    /// The values, if they are all there is and at least one.
    pub(crate) fn complete(&self) -> Option<&BTreeSet<Constant>> {
        (!self.has_unknown && !self.values.is_empty()).then_some(&self.values)
    }
}

/// A field, by the canonical index of a struct type.
pub(super) type FieldKey = (u32, u32);

/// What one pass over some of the bodies found.
#[derive(Debug, Default)]
pub(crate) struct Stores {
    /// By the type that is made.
    created: HashMap<FieldKey, ValueSet>,
    /// By the type that the store names, of which the object is, or of a subtype.
    written: HashMap<FieldKey, ValueSet>,
    /// What bodies store in globals of functions.
    globals: HashMap<u32, ValueSet>,
    /// Functions, and globals of functions in which they store.
    replaced: BTreeSet<(u32, u32)>,
    funcs: BTreeSet<u32>,
    /// Types that are passed for parameters.
    passed: HashMap<Param, BTreeSet<TypeIdx>>,
    /// Parameters that are passed on as other ones.
    passed_on: BTreeSet<(Param, Param)>,
    elements: ElementStores,
}

/// A parameter: a function and a position.
type Param = (u32, u32);

/// Types that are passed for one parameter and remembered, at most.
const MAX_PASSED: usize = 4;

impl Stores {
    fn merge(&mut self, other: Self) {
        for (into, from) in [(&mut self.created, other.created), (&mut self.written, other.written)] {
            merge_sets(into, from);
        }
        merge_sets(&mut self.globals, other.globals);
        self.replaced.extend(other.replaced);
        self.funcs.extend(other.funcs);
        for (param, types) in other.passed {
            extend_passed(self.passed.entry(param).or_default(), &types);
        }
        self.passed_on.extend(other.passed_on);
        self.elements.merge(other.elements);
    }
}

fn merge_sets<K: Eq + Hash>(into: &mut HashMap<K, ValueSet>, from: HashMap<K, ValueSet>) {
    for (key, set) in from {
        into.entry(key).or_default().merge(&set);
    }
}

/// Adds types up to the maximum; the result is whether there were new ones.
fn extend_passed(into: &mut BTreeSet<TypeIdx>, types: &BTreeSet<TypeIdx>) -> bool {
    let before = into.len();
    for &ty in types {
        if into.len() < MAX_PASSED {
            into.insert(ty);
        }
    }
    into.len() > before
}

/// What the whole module stores in fields and elements of references, and which functions it refers to.
#[derive(Debug, Default)]
pub(crate) struct StoredValues {
    /// By struct type: what its objects and those of its subtypes hold.
    fields: HashMap<FieldKey, ValueSet>,
    /// What globals of functions hold.
    globals: HashMap<u32, ValueSet>,
    /// Functions that references are made of, by the canonical index of their type.
    funcs: BTreeMap<u32, Vec<u32>>,
    passed: HashMap<Param, BTreeSet<TypeIdx>>,
    pub(crate) elements: Elements,
    pub(crate) makers: Makers,
    /// What objects that bodies make begin with.
    pub(crate) prototypes: Vec<Prototype>,
    /// Whether every function reference that the module can come by is to a function of the instance that has it.
    pub(crate) functions_are_own: bool,
}

/// What to look for in bodies.
#[derive(Clone, Copy)]
pub(crate) struct Interest {
    /// References that fields can hold.
    values: bool,
    /// Elements that are never null.
    elements: bool,
}

impl Interest {
    /// What is of interest in a module, if anything is.
    pub(crate) fn of(module: &Module<'_>) -> Option<Self> {
        let has_functions = has_functions_in_structs(module) || has_functions_in_variables(module);
        let interest = Self { values: has_functions, elements: elements::is_worthwhile(module) };
        (interest.values || interest.elements).then_some(interest)
    }
}

fn has_functions_in_structs(module: &Module<'_>) -> bool {
    module.types.iter().any(|ty| match &ty.composite {
        CompositeType::Struct(fields) => fields.iter().any(|field| is_function(module, field.storage)),
        CompositeType::Func(_) | CompositeType::Array(_) => false,
    })
}

fn has_functions_in_variables(module: &Module<'_>) -> bool {
    (0..module.meta.globals.len()).any(|global| is_variable_function(module, global as u32))
}

/// Whether a global holds functions, now this one and then another.
fn is_variable_function(module: &Module<'_>, global: u32) -> bool {
    let ty = module.meta.globals[global as usize];
    ty.mutable && is_function(module, StorageType::Val(ty.value))
}

fn is_function(module: &Module<'_>, storage: StorageType) -> bool {
    let StorageType::Val(ValType::Ref(RefType { heap, .. })) = storage else { return false };
    match heap {
        HeapType::Func => true,
        HeapType::Concrete(ty) | HeapType::Exact(ty) => {
            matches!(module.sub_type(ty).composite, CompositeType::Func(_))
        }
        _ => false,
    }
}

impl StoredValues {
    /// Sums up what passes over all bodies found.
    pub(crate) fn new(module: &Module<'_>, parts: Vec<Stores>) -> Self {
        let mut all = Stores::default();
        parts.into_iter().for_each(|part| all.merge(part));
        let prototypes = prototypes::find(module, &all.created);
        all.merge(constant_stores(module));
        add_initial_values(module, &mut all);
        let mut fields = HashMap::new();
        spread(module, &all.created, &mut fields);
        let mut written = HashMap::new();
        spread(module, &all.written, &mut written);
        for (&(ty, field), set) in &mut fields {
            if let Some(written) = written.get(&(ty, field)) {
                set.merge(written);
            }
            // What is stored through a supertype may be stored in an object of this type.
            for ty in ancestors(module, ty, field).skip(1) {
                if let Some(written) = all.written.get(&(ty, field)) {
                    set.merge(written);
                }
            }
        }
        let mut funcs: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for func in all.funcs {
            let ty = module.canonical[module.meta.funcs[func as usize].0 as usize];
            funcs.entry(ty).or_default().push(func);
        }
        let mut passed = all.passed;
        pass_on(&mut passed, &all.passed_on);
        let elements = Elements::new(module, all.elements);
        let functions_are_own =
            elements.are_inside() && module.meta.func_refs.iter().all(|&func| module.defined_position(func).is_some());
        // Bodies were looked through for what they store.
        let is_known = elements.are_inside() && has_functions_in_structs(module);
        let makers = Makers::new(module, &all.created, is_known);
        Self { fields, globals: all.globals, funcs, passed, elements, makers, prototypes, functions_are_own }
    }

    /// What a field of objects of a type, or of its subtypes, can hold.
    pub(crate) fn field(&self, module: &Module<'_>, ty: TypeIdx, field: u32) -> Option<&BTreeSet<Constant>> {
        self.fields.get(&(module.canonical[ty.0 as usize], field))?.complete()
    }

    /// What a mutable global of functions holds when it is called; not the initialiser of a class that replaces itself, for
    /// that is called once.
    pub(crate) fn global(&self, global: u32) -> Option<&BTreeSet<Constant>> {
        self.globals.get(&global)?.complete()
    }

    /// Struct types that direct calls pass for a parameter whose own type is more general; not all of them.
    pub(crate) fn passed(&self, func: u32, param: u32) -> impl Iterator<Item = TypeIdx> {
        self.passed.get(&(func, param)).into_iter().flatten().copied()
    }

    /// Functions of exactly this type that references are made of.
    pub(crate) fn funcs_of_type(&self, module: &Module<'_>, ty: TypeIdx) -> &[u32] {
        self.funcs.get(&module.canonical[ty.0 as usize]).map_or(&[], Vec::as_slice)
    }
}

/// What is passed for a parameter is passed for those that it is passed on as, until nothing changes: each round adds
/// types, of which there is a maximum.
fn pass_on(passed: &mut HashMap<Param, BTreeSet<TypeIdx>>, passed_on: &BTreeSet<(Param, Param)>) {
    let mut changed = true;
    while changed {
        changed = false;
        for (from, to) in passed_on {
            if let Some(types) = passed.get(from).cloned() {
                changed |= extend_passed(passed.entry(*to).or_default(), &types);
            }
        }
    }
}

/// Adds what the objects of each type hold to what those of its supertypes do.
fn spread(module: &Module<'_>, sets: &HashMap<FieldKey, ValueSet>, fields: &mut HashMap<FieldKey, ValueSet>) {
    for (&(ty, field), set) in sets {
        for ty in ancestors(module, ty, field) {
            fields.entry((ty, field)).or_default().merge(set);
        }
    }
}

/// A type and its supertypes that have a field, by their canonical indices.
fn ancestors(module: &Module<'_>, ty: u32, field: u32) -> impl Iterator<Item = u32> {
    let types = module.supertypes(TypeIdx(ty)).take_while(move |&ty| (field as usize) < module.field_count(ty));
    types.map(|ty| module.canonical[ty.0 as usize])
}

/// Adds what globals of functions hold at first, but for functions that put another one there.
fn add_initial_values(module: &Module<'_>, stores: &mut Stores) {
    let initial = |step: &InitStep<'_>| match step {
        InitStep::Global { global, value } => {
            let first = value.get_operators_reader().into_iter().next()?.ok()?;
            Some((*global, plain_constant(&first)))
        }
        _ => None,
    };
    let initial: HashMap<_, _> = module.init.iter().filter_map(initial).collect();
    for (&global, set) in &mut stores.globals {
        match initial.get(&global) {
            Some(&Some(Constant::Func(func))) if stores.replaced.contains(&(func, global)) => {}
            // Imported ones have none.
            value => set.insert(value.copied().flatten()),
        }
    }
}

/// What constant expressions store and refer to.
fn constant_stores(module: &Module<'_>) -> Stores {
    let mut stores = Stores::default();
    for object in module.constants.objects() {
        let CompositeType::Struct(fields) = &module.sub_type(object.ty).composite else { continue };
        let canonical = module.canonical[object.ty.0 as usize];
        for (index, value) in object.values().enumerate().filter(|&(index, _)| fields[index].storage.is_ref()) {
            stores.created.entry((canonical, index as u32)).or_default().insert(value);
        }
    }
    // Exported functions and the start function are among them, which does no harm.
    stores.funcs.extend(&module.meta.func_refs);
    stores
}

/// What is known about an operand.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    constant: Option<Constant>,
    /// Its static type, if that is a struct type.
    ty: Option<TypeIdx>,
    /// The parameter that it is.
    param: Option<u32>,
}

/// What a body that was found valid stores and passes.
pub(crate) fn scan(
    module: &Module<'_>,
    body: &Body<'_>,
    interest: Interest,
    allocations: FuncValidatorAllocations,
    stores: &mut Stores,
) -> Result<FuncValidatorAllocations, CompileError> {
    let to_validate = body.to_validate();
    let func = to_validate.index;
    let mut validator = to_validate.into_validator(allocations);
    validator.read_locals(&mut body.body.get_binary_reader())?;
    let locals = local_types(module, func, body)?;
    let mut stack: Vec<Known> = Vec::new();
    let mut reader = body.body.get_operators_reader()?;
    while !reader.eof() {
        let offset = reader.original_position();
        let operator = reader.read()?;
        let pushed = operator.operator_arity(&validator.visitor(offset)).map_or(0, |(_, pushed)| pushed as usize);
        let mut value = Known::default();
        if interest.values {
            value = Scanner { module, func, locals: &locals, stack: &stack, stores }.step(&operator);
        }
        if interest.elements {
            stores.elements.step(module, &operator, |depth| validator.get_operand_type(depth).flatten());
        }
        validator.op(offset, &operator)?;
        let height = validator.operand_stack_height() as usize;
        stack.resize(height.saturating_sub(pushed), Known::default());
        stack.resize(height, Known::default());
        if let (Some(top), true) = (stack.last_mut(), pushed == 1) {
            *top = value;
        }
    }
    Ok(validator.into_allocations())
}

/// The struct types of a function's locals.
fn local_types(module: &Module<'_>, func: u32, body: &Body<'_>) -> Result<Vec<Option<TypeIdx>>, CompileError> {
    let mut types: Vec<_> = module.type_of_func(func).params.iter().map(|&ty| struct_type(module, ty)).collect();
    for group in body.body.get_locals_reader()? {
        let (count, ty) = group?;
        let ty = struct_type(module, val_type(ty, body.body.range().start)?);
        types.extend(std::iter::repeat_n(ty, count as usize));
    }
    Ok(types)
}

fn struct_type(module: &Module<'_>, ty: ValType) -> Option<TypeIdx> {
    let ValType::Ref(RefType { heap: HeapType::Concrete(ty) | HeapType::Exact(ty), .. }) = ty else { return None };
    matches!(module.sub_type(ty).composite, CompositeType::Struct(_)).then_some(ty)
}

/// One operator and the operands in front of it.
struct Scanner<'s, 'm> {
    module: &'s Module<'m>,
    func: u32,
    locals: &'s [Option<TypeIdx>],
    stack: &'s [Known],
    stores: &'s mut Stores,
}

impl Scanner<'_, '_> {
    /// Notes what an operator stores and passes; the result is what is known about its result, if it has one.
    fn step(&mut self, operator: &Operator<'_>) -> Known {
        let module = self.module;
        match *operator {
            Operator::GlobalGet { global_index } => Known {
                constant: module.constants.global(global_index),
                ty: struct_type(module, module.meta.globals[global_index as usize].value),
                param: None,
            },
            Operator::LocalGet { local_index } => {
                let is_param = (local_index as usize) < module.type_of_func(self.func).params.len();
                Known { ty: self.locals[local_index as usize], param: is_param.then_some(local_index), constant: None }
            }
            Operator::LocalTee { .. } | Operator::RefAsNonNull => self.operand(0),
            Operator::RefCastNonNull { hty } | Operator::RefCastNullable { hty } => {
                let heap = heap_type(hty, 0).ok();
                let ty = heap.and_then(|heap| struct_type(module, ValType::Ref(RefType { nullable: true, heap })));
                Known { ty, ..Known::default() }
            }
            Operator::StructGet { struct_type_index, field_index } => self.load(struct_type_index, field_index),
            Operator::StructNew { struct_type_index } => self.create(struct_type_index, 0),
            Operator::StructNewDesc { struct_type_index } => self.create(struct_type_index, 1),
            Operator::StructSet { struct_type_index, field_index } => self.write(struct_type_index, field_index),
            Operator::GlobalSet { global_index } => self.write_global(global_index),
            Operator::Call { function_index } | Operator::ReturnCall { function_index } => self.call(function_index),
            _ => Known { constant: plain_constant(operator), ..Known::default() },
        }
    }

    /// What is known about the operand with `above` others on top of it.
    fn operand(&self, above: usize) -> Known {
        let position = self.stack.len().checked_sub(above + 1);
        position.map_or(Known::default(), |position| self.stack[position])
    }

    fn load(&self, ty: u32, field: u32) -> Known {
        let constant = match self.operand(0).constant {
            Some(Constant::Object(object)) => self.module.constants.field(self.module, object, field),
            _ => None,
        };
        let ty = match &self.module.types[ty as usize].composite {
            CompositeType::Struct(fields) => struct_type(self.module, fields[field as usize].storage.unpacked()),
            CompositeType::Func(_) | CompositeType::Array(_) => None,
        };
        Known { constant, ty, param: None }
    }

    /// An object of the type is made of the operands, below `above` others.
    fn create(&mut self, ty: u32, above: usize) -> Known {
        if let CompositeType::Struct(fields) = &self.module.types[ty as usize].composite {
            let canonical = self.module.canonical[ty as usize];
            for (index, _) in fields.iter().enumerate().filter(|(_, field)| field.storage.is_ref()) {
                let value = self.operand(above + fields.len() - 1 - index).constant;
                self.stores.created.entry((canonical, index as u32)).or_default().insert(value);
            }
        }
        Known { ty: Some(TypeIdx(ty)), ..Known::default() }
    }

    fn write(&mut self, ty: u32, field: u32) -> Known {
        let value = self.operand(0).constant;
        self.stores.written.entry((self.module.canonical[ty as usize], field)).or_default().insert(value);
        Known::default()
    }

    fn write_global(&mut self, global: u32) -> Known {
        if is_variable_function(self.module, global) {
            let value = self.operand(0).constant;
            self.stores.globals.entry(global).or_default().insert(value);
            self.stores.replaced.insert((self.func, global));
        }
        Known::default()
    }

    fn call(&mut self, callee: u32) -> Known {
        let ty = self.module.type_of_func(callee);
        for (index, &param) in ty.params.iter().enumerate().filter(|(_, ty)| ty.is_ref()) {
            let arg = self.operand(ty.params.len() - 1 - index);
            let to = (callee, index as u32);
            if let Some(param) = arg.param {
                self.stores.passed_on.insert(((self.func, param), to));
            }
            if let Some(passed) = arg.ty.filter(|&passed| struct_type(self.module, param) != Some(passed)) {
                extend_passed(self.stores.passed.entry(to).or_default(), &BTreeSet::from([passed]));
            }
        }
        let result = ty.results.first().and_then(|&result| struct_type(self.module, result));
        Known { ty: result, ..Known::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::with_stored_values;

    /// Method tables of which `$b` is an `$a` and `$c` is not, and bodies' stores; functions 0 to 3 are methods.
    fn with_tables<R>(stores: &str, run: impl FnOnce(&Module<'_>, StoredValues) -> R) -> R {
        let text = format!(
            "(type $m (func))
            (type $object (sub (struct (field $f (mut (ref null $m))))))
            (type $a (sub $object (struct (field $f (mut (ref null $m))) (field i32))))
            (type $b (sub $a (struct (field $f (mut (ref null $m))) (field i32) (field i32))))
            (type $c (sub $object (struct (field $f (mut (ref null $m))) (field i64))))
            (func $0 (type $m)) (func $1 (type $m)) (func $2 (type $m)) (func $3 (type $m))
            (elem declare func $0 $1 $2 $3)
            (global (ref $a) (struct.new_default $a)) (global (ref $b) (struct.new_default $b))
            (global (ref $c) (struct.new_default $c))
            (global $late (mut (ref null $m)) (ref.func $0)) (global $number (mut i32) (i32.const 0))
            (func (param $o (ref $object)) (param $a (ref $a)) (param $b (ref $b)) (param $c (ref $c)) {stores})"
        );
        with_stored_values(&text, run)
    }

    fn funcs(values: Option<&BTreeSet<Constant>>) -> Option<Vec<u32>> {
        let func = |value: &Constant| match *value {
            Constant::Func(func) => func,
            other => panic!("{other:?}"),
        };
        values.map(|values| values.iter().map(func).collect())
    }

    #[test]
    fn a_field_holds_what_is_stored_through_related_types() {
        let set = |ty: &str, func: u32| format!("(struct.set ${ty} $f (local.get ${ty}) (ref.func ${func}))");
        let fields = |stores: &str| {
            with_tables(stores, |module, values| [1, 2, 3, 4].map(|ty| funcs(values.field(module, TypeIdx(ty), 0))))
        };
        assert_eq!(fields(""), [None, None, None, None], "null alone is no function");
        let own = set("a", 1) + &set("b", 2) + &set("c", 3);
        let [of_object, of_a, of_b, of_c] = fields(&own);
        assert_eq!(of_object, Some(vec![1, 2, 3]));
        assert_eq!(of_a, Some(vec![1, 2]));
        assert_eq!(of_b, Some(vec![1, 2]), "an object that is an $a may be a $b");
        assert_eq!(of_c, Some(vec![3]), "types beside each other share nothing");
        let through_object = own.clone() + &set("o", 0).replace("$o $f", "$object $f");
        assert_eq!(fields(&through_object)[3], Some(vec![0, 3]));
        let unknown = own + "(struct.set $b $f (local.get $b) (struct.get $c $f (local.get $c)))";
        assert_eq!(fields(&unknown), [None, None, None, Some(vec![3])]);
    }

    #[test]
    fn a_global_holds_what_bodies_put_there() {
        let global = |stores: &str| with_tables(stores, |_, values| funcs(values.global(3)));
        assert_eq!(global("(global.set $number (i32.const 1))"), None);
        assert_eq!(global("(global.set $late (ref.func $1))"), Some(vec![0, 1]));
        assert_eq!(global("(global.set $late (ref.func $1)) (global.set $late (ref.null $m))"), Some(vec![0, 1]));
        assert_eq!(global("(global.set $late (struct.get $c $f (local.get $c)))"), None);
        with_tables("(global.set $number (i32.const 1))", |_, values| assert!(values.global(4).is_none()));
        let initialiser =
            "(type $m (func)) (global $ready (mut (ref $m)) (ref.func $initialise)) (func $nothing (type $m))
            (elem declare func $nothing) (func $initialise (type $m) (global.set $ready (ref.func $nothing)))";
        with_stored_values(initialiser, |_, values| {
            assert_eq!(funcs(values.global(0)), Some(vec![0]), "what replaces itself is called once");
        });
        let imported = "(type $m (func)) (import \"m\" \"g\" (global $g (mut (ref $m)))) (func $f (type $m))
            (elem declare func $f) (func (global.set $g (ref.func $f)))";
        with_stored_values(imported, |_, values| assert!(values.global(0).is_none()));
    }
}
