//! Which types objects can be of that hold a constant in a field.
//!
//! The problem: a method is called with an object in which its class's method table was found, and first of all casts the
//! object to the class, for its type says only that a receiver is some object. The table has told already.
//!
//! In a closed module ([`boundary`](super::boundary)), whoever holds a constant of the instance in an immutable field was made with it, by
//! an operator or a constant expression that says of which type. So the types are counted that are made with a constant,
//! and those that are made with something unknown. This is a fact, unlike what else is known of fields
//! ([`values`](super::values)).

use super::constants::Constant;
use super::types::heap_type;
use super::values::{FieldKey, ValueSet};
use super::{InitStep, Module};
use dolmen_abi::types::{CompositeType, HeapType, TypeIdx};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use wasmparser::Operator;

/// Types by canonical index.
type Types = BTreeSet<u32>;

/// More types that are made with something unknown are as good as any.
const MAX_TYPES: usize = 64;

/// What objects are made with, by the index of a field.
#[derive(Debug, Default)]
pub(crate) struct Makers {
    with: HashMap<(u32, Constant), Types>,
    with_unknown: HashMap<u32, Types>,
}

impl Makers {
    /// From what all bodies and constant expressions make objects with, by their types; `is_closed` if nobody else makes
    /// any.
    pub(super) fn new(module: &Module<'_>, created: &HashMap<FieldKey, ValueSet>, is_closed: bool) -> Self {
        let mut makers = Self::default();
        if !is_closed {
            return makers;
        }
        for (&(ty, field), set) in created {
            for &value in set.values() {
                makers.with.entry((field, value)).or_default().insert(ty);
            }
            if set.has_unknown() {
                makers.with_unknown.entry(field).or_default().insert(ty);
            }
        }
        for ty in types_of_unknown_constants(module) {
            if let CompositeType::Struct(fields) = &module.sub_type(TypeIdx(ty)).composite {
                for field in 0..fields.len() as u32 {
                    makers.with_unknown.entry(field).or_default().insert(ty);
                }
            }
        }
        makers
    }

    /// Whether all objects of a struct type that hold a constant in this immutable field are of another type.
    pub(crate) fn are_all(
        &self,
        module: &Module<'_>,
        (ty, field): (TypeIdx, u32),
        constant: Constant,
        class: TypeIdx,
    ) -> bool {
        let CompositeType::Struct(fields) = &module.sub_type(ty).composite else { return false };
        let none = Types::new();
        let [with, with_unknown] = [self.with.get(&(field, constant)), self.with_unknown.get(&field)];
        let with_unknown = with_unknown.unwrap_or(&none);
        if fields[field as usize].mutable || with_unknown.len() > MAX_TYPES {
            return false;
        }
        let is_of = |made: TypeIdx, ty| module.is_subtype(HeapType::Concrete(made), HeapType::Concrete(ty));
        let made = with.unwrap_or(&none).union(with_unknown).map(|&made| TypeIdx(made));
        let mut of_type = made.filter(|&made| is_of(made, ty)).peekable();
        of_type.peek().is_some() && of_type.all(|made| is_of(made, class))
    }
}

/// Types of structs that constant expressions make without [`Constants`](super::constants::Constants) telling with what.
fn types_of_unknown_constants(module: &Module<'_>) -> Types {
    let mut unknown: BTreeMap<u32, usize> = BTreeMap::new();
    for step in &module.init {
        let (InitStep::Global { value, .. } | InitStep::Table { value, .. } | InitStep::ElemItem { value, .. }) = step
        else {
            continue;
        };
        for operator in value.get_operators_reader().into_iter().flatten() {
            if let Operator::StructNew { struct_type_index: ty }
            | Operator::StructNewDefault { struct_type_index: ty }
            | Operator::StructNewDesc { struct_type_index: ty }
            | Operator::StructNewDefaultDesc { struct_type_index: ty } = operator
            {
                *unknown.entry(module.canonical[ty as usize]).or_default() += 1;
            }
        }
    }
    for object in module.constants.objects() {
        if let Some(count) = unknown.get_mut(&module.canonical[object.ty.0 as usize]) {
            *count = count.saturating_sub(1);
        }
    }
    unknown.into_iter().filter(|&(_, count)| count > 0).map(|(ty, _)| ty).collect()
}

/// The class that a function casts its receiver to, the first parameter, if that is among the first things it does.
pub(crate) fn receiver_class(module: &Module<'_>, func: u32) -> Option<TypeIdx> {
    /// Producers cast where a method starts, optimisers where the object is first used.
    const MAX_OPERATORS: usize = 64;
    let body = &module.bodies[module.defined_position(func)?].body;
    let mut is_receiver = false;
    for operator in body.get_operators_reader().ok()?.into_iter().take(MAX_OPERATORS) {
        is_receiver = match operator.ok()? {
            Operator::RefCastNonNull { hty } | Operator::RefCastNullable { hty } if is_receiver => {
                return match heap_type(hty, 0).ok()? {
                    HeapType::Concrete(ty) => Some(ty),
                    _ => None,
                };
            }
            Operator::LocalGet { local_index: 0 } => true,
            Operator::LocalSet { local_index: 0 } | Operator::LocalTee { local_index: 0 } => return None,
            _ => false,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::Features;
    use crate::testing::with_stored_values;

    /// Whether all objects of type `$base` that hold the constant of global 0 are of type `$a`, in a module of these types
    /// and of what is added.
    fn are_all_of_a(fields: &str) -> bool {
        let text = format!(
            r#"(type $method (func)) (type $table (struct (field (ref $method))))
            (type $base (sub (struct (field (ref null $table)))))
            (type $a (sub $base (struct (field (ref null $table)) (field i32))))
            (type $aa (sub $a (struct (field (ref null $table)) (field i32))))
            (type $b (sub $base (struct (field (ref null $table)) (field f32))))
            (global $t (ref $table) (struct.new $table (ref.func $run)))
            (global $other (ref $table) (struct.new $table (ref.func $run)))
            (func $run (type $method))
            (func (drop (struct.new $a (global.get $t) (i32.const 1))))
            {fields}"#
        );
        with_stored_values(&text, |module, values| {
            let constant = module.constants.global(0).expect("a constant");
            let [base, a] = [2, 3].map(TypeIdx);
            values.makers.are_all(module, (base, 0), constant, a)
        })
    }

    #[test]
    fn objects_are_of_the_types_that_are_made_with_the_constant() {
        let all = [
            "",
            "(func (drop (struct.new $aa (global.get $t) (i32.const 1))))",
            "(func (drop (struct.new $b (global.get $other) (f32.const 1))))",
            "(func (drop (struct.new_default $b)))",
            "(global (ref $a) (struct.new $a (global.get $t) (i32.const 1)))",
            "(global (ref $b) (struct.new $b (global.get $other) (f32.const 1)))",
            // It is no `$base`.
            "(type $c (struct (field (ref null $table)))) (func (param (ref $table)) (drop (struct.new $c (local.get 0))))",
            // It may hold anything, but is an `$a`.
            "(func (param (ref $table)) (drop (struct.new $aa (local.get 0) (i32.const 1))))",
        ];
        for fields in all {
            assert!(are_all_of_a(fields), "{fields}");
        }
        let others = [
            "(func (drop (struct.new $b (global.get $t) (f32.const 1))))",
            "(func (drop (struct.new $base (global.get $t))))",
            "(func (param (ref $table)) (drop (struct.new $b (local.get 0) (f32.const 1))))",
            "(global (ref $b) (struct.new $b (global.get $t) (f32.const 1)))",
            // What is in mutable globals and segments is not evaluated.
            "(global (mut (ref $b)) (struct.new $b (global.get $other) (f32.const 1)))",
            "(elem (ref $b) (item (struct.new $b (global.get $t) (f32.const 1))))",
            "(table 1 (ref $b) (struct.new $b (struct.new $table (ref.func $run)) (f32.const 1)))",
            // Others may make such objects.
            r#"(func (export "f") (result (ref null $base)) (ref.null $base))"#,
            r#"(func (export "f") (param anyref))"#,
        ];
        for fields in others {
            assert!(!are_all_of_a(fields), "{fields}");
        }
    }

    #[test]
    fn a_receiver_has_the_class_that_it_is_cast_to() {
        let class = |body: &str| {
            let text = format!(
                "(module (type $a (struct)) (type $b (struct (field i32)))
                (func (param (ref null struct) (ref null struct)) {body}))"
            );
            let wasm = wat::parse_str(text).expect("the text is right");
            let module = Module::decode(&wasm, Features::default()).expect("the module is valid");
            receiver_class(&module, 0).map(|TypeIdx(ty)| ty)
        };
        assert_eq!(class("(drop (ref.cast (ref $b) (local.get 0)))"), Some(1));
        assert_eq!(class("(nop) (drop (ref.cast (ref null $a) (local.get 0)))"), Some(0));
        assert_eq!(class("(drop (ref.cast (ref $b) (local.get 1))) (drop (ref.cast (ref $a) (local.get 0)))"), Some(0));
        assert_eq!(class("(local.set 0 (local.get 1)) (drop (ref.cast (ref $b) (local.get 0)))"), None);
        assert_eq!(class("(drop (ref.cast arrayref (local.get 0)))"), None);
        assert_eq!(class(""), None);
    }
}
