//! What a module never stores in fields and elements: null, or anything at all once the object is made.
//!
//! The problem: producers declare most references as nullable and most fields as mutable, also those of objects that are
//! complete once they are made. Each access then has a check that cannot fail, and a value that was loaded before a call is
//! loaded again behind it. That costs little by itself, but a loop with checks is too large to be unrolled, and nothing in
//! it becomes a vector.
//!
//! So all stores of the module are looked at. A place, a field or the elements of an array type, is *never null* if
//! whatever is stored there has a static type without null, and no object is made whose places start as null. A field is
//! *never written* if only objects that are made store there. These are facts, not guesses, which needs two things:
//!
//! 1. Nobody else stores. The module is *closed*: no reference crosses its boundary in either direction, but such as it
//!    cannot look into (`externref`, if it never converts any). So no other module or host has one of its objects,
//!    whatever types it may have in common with it, and it has none of theirs.
//! 2. Nobody reads before the first store, not even another thread that has got the reference by a race: allocation
//!    itself stores what may not be found null ([`crate::translate`], structs and arrays).
//!
//! Subtypes have the places of their supertypes, so a place is named by the topmost type that has it. Constant expressions
//! are not looked into: all places of the types that they make may be null.

use super::{InitStep, Module};
use dolmen_abi::meta::ExternIdx;
use dolmen_abi::types::{CompositeType, ExternType, HeapType, RefType, TypeIdx, ValType};
use std::collections::BTreeSet;
use wasmparser::{ConstExpr, Operator};

/// Where values are stored, by the canonical index of the topmost type that has the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Field(u32, u32),
    Element(u32),
}

/// What operators of bodies do to places.
#[derive(Debug, Default)]
pub(crate) struct PlaceStores {
    may_be_null: BTreeSet<Place>,
    /// Fields that are stored to after their objects were made.
    written: BTreeSet<Place>,
    /// Whether references are converted from those that the module cannot look into, or to them.
    converts: bool,
}

/// What is certain of the places of a closed module; nothing of those of others.
#[derive(Debug, Default)]
pub(crate) struct Places(Option<PlaceStores>);

/// Whether references cross the boundary of a module, but for those that it cannot look into.
pub(crate) fn is_closed(module: &Module<'_>) -> bool {
    let meta = &module.meta;
    let is_inside = |ty: &ValType| match ty {
        ValType::Ref(RefType { heap, .. }) => !matches!(heap, HeapType::Extern | HeapType::NoExtern),
        _ => false,
    };
    let of_func = |ty: TypeIdx| {
        let ty = module.func_type(ty);
        ty.params.iter().chain(&ty.results).any(is_inside)
    };
    let imports = meta.imports.iter().any(|import| match import.ty {
        ExternType::Func(ty) | ExternType::Tag(ty) => of_func(ty),
        ExternType::Table(ty) => is_inside(&ValType::Ref(ty.element)),
        ExternType::Global(ty) => is_inside(&ty.value),
        ExternType::Memory(_) => false,
    });
    let exports = meta.exports.iter().any(|export| match export.index {
        ExternIdx::Func(func) => of_func(meta.funcs[func as usize]),
        ExternIdx::Table(table) => is_inside(&ValType::Ref(meta.tables[table as usize].element)),
        ExternIdx::Global(global) => is_inside(&meta.globals[global as usize].value),
        ExternIdx::Memory(_) | ExternIdx::Tag(_) => false,
    });
    // Any exception may leave the module, and the host can look into it.
    let exceptions = meta.tags.iter().any(|&tag| of_func(tag));
    !(imports || exports || exceptions)
}

impl PlaceStores {
    pub(crate) fn merge(&mut self, other: Self) {
        self.may_be_null.extend(other.may_be_null);
        self.written.extend(other.written);
        self.converts |= other.converts;
    }

    /// Notes what an operator stores; `operand` is the static type of the operand below so many others, if it is known.
    pub(crate) fn step(
        &mut self,
        module: &Module<'_>,
        operator: &Operator<'_>,
        operand: impl Fn(usize) -> Option<wasmparser::ValType>,
    ) {
        let is_null =
            |depth: usize| operand(depth).is_none_or(|ty| ty.as_reference_type().is_some_and(|ty| ty.is_nullable()));
        match *operator {
            Operator::StructNew { struct_type_index: ty } => self.create(module, ty, is_null),
            Operator::StructNewDesc { struct_type_index: ty } => self.create(module, ty, |above| is_null(above + 1)),
            Operator::StructSet { struct_type_index: ty, field_index } => {
                let place = field(module, TypeIdx(ty), field_index);
                self.written.insert(place);
                if is_null(0) {
                    self.insert(place);
                }
            }
            Operator::ArrayNewFixed { array_type_index: ty, array_size } if (0..array_size as usize).any(is_null) => {
                self.insert(element(module, TypeIdx(ty)));
            }
            Operator::ArraySet { array_type_index: ty } if is_null(0) => self.insert(element(module, TypeIdx(ty))),
            Operator::ArrayNew { array_type_index: ty } | Operator::ArrayFill { array_type_index: ty }
                if is_null(1) =>
            {
                self.insert(element(module, TypeIdx(ty)));
            }
            Operator::ArrayCopy { array_type_index_dst: dst, array_type_index_src: src } => {
                let [dst, src] = [dst, src].map(|ty| element(module, TypeIdx(ty)));
                if dst != src {
                    self.insert(dst);
                }
            }
            Operator::AnyConvertExtern | Operator::ExternConvertAny => self.converts = true,
            _ => self.store_unknown(module, operator),
        }
    }

    /// Notes what operators store of which nothing is known.
    fn store_unknown(&mut self, module: &Module<'_>, operator: &Operator<'_>) {
        match *operator {
            Operator::StructNewDefault { struct_type_index: ty }
            | Operator::StructNewDefaultDesc { struct_type_index: ty } => {
                self.create(module, ty, |_| true);
            }
            Operator::StructAtomicSet { struct_type_index: ty, field_index, .. }
            | Operator::StructAtomicRmwAdd { struct_type_index: ty, field_index, .. }
            | Operator::StructAtomicRmwSub { struct_type_index: ty, field_index, .. }
            | Operator::StructAtomicRmwAnd { struct_type_index: ty, field_index, .. }
            | Operator::StructAtomicRmwOr { struct_type_index: ty, field_index, .. }
            | Operator::StructAtomicRmwXor { struct_type_index: ty, field_index, .. }
            | Operator::StructAtomicRmwXchg { struct_type_index: ty, field_index, .. }
            | Operator::StructAtomicRmwCmpxchg { struct_type_index: ty, field_index, .. } => {
                let place = field(module, TypeIdx(ty), field_index);
                self.written.insert(place);
                self.insert(place);
            }
            Operator::ArrayNewDefault { array_type_index: ty }
            | Operator::ArrayNewElem { array_type_index: ty, .. }
            | Operator::ArrayInitElem { array_type_index: ty, .. }
            | Operator::ArrayAtomicSet { array_type_index: ty, .. }
            | Operator::ArrayAtomicRmwXchg { array_type_index: ty, .. }
            | Operator::ArrayAtomicRmwCmpxchg { array_type_index: ty, .. } => self.insert(element(module, TypeIdx(ty))),
            _ => {}
        }
    }

    /// Notes that an object is made; `is_null` tells whether the field's value may be null that has so many above it.
    fn create(&mut self, module: &Module<'_>, ty: u32, is_null: impl Fn(usize) -> bool) {
        let CompositeType::Struct(fields) = &module.types[ty as usize].composite else { return };
        for (index, _) in fields.iter().enumerate().filter(|(_, field)| field.storage.is_ref()) {
            if is_null(fields.len() - 1 - index) {
                self.insert(field(module, TypeIdx(ty), index as u32));
            }
        }
    }

    fn insert(&mut self, place: Place) {
        self.may_be_null.insert(place);
    }

    /// Notes what a constant expression may make: nothing is known of its operands.
    fn constant_expression(&mut self, module: &Module<'_>, expression: &ConstExpr<'_>) {
        for operator in expression.get_operators_reader().into_iter().flatten() {
            self.step(module, &operator, |_| None);
        }
    }
}

impl Places {
    /// Sums up what all bodies of a module store.
    pub(crate) fn new(module: &Module<'_>, mut stores: PlaceStores) -> Self {
        for step in &module.init {
            match step {
                InitStep::Global { value, .. } | InitStep::Table { value, .. } | InitStep::ElemItem { value, .. } => {
                    stores.constant_expression(module, value);
                }
                InitStep::ActiveElem { .. } | InitStep::ActiveData { .. } | InitStep::ElemDrop { .. } => {}
            }
        }
        Self((!stores.converts && is_closed(module)).then_some(stores))
    }

    /// Whether a field never holds null; of use only if it holds references.
    pub(crate) fn is_never_null_field(&self, module: &Module<'_>, ty: TypeIdx, index: u32) -> bool {
        self.0.as_ref().is_some_and(|stores| !stores.may_be_null.contains(&field(module, ty, index)))
    }

    /// Whether elements are never null; of use only if they are references.
    pub(crate) fn is_never_null_element(&self, module: &Module<'_>, ty: TypeIdx) -> bool {
        self.0.as_ref().is_some_and(|stores| !stores.may_be_null.contains(&element(module, ty)))
    }

    /// Whether a field keeps what it held when its object was made.
    pub(crate) fn is_never_written(&self, module: &Module<'_>, ty: TypeIdx, index: u32) -> bool {
        self.0.as_ref().is_some_and(|stores| !stores.written.contains(&field(module, ty, index)))
    }
}

fn field(module: &Module<'_>, ty: TypeIdx, index: u32) -> Place {
    Place::Field(module.canonical[module.declaring_type(ty, index as usize).0 as usize], index)
}

fn element(module: &Module<'_>, ty: TypeIdx) -> Place {
    let supertypes = std::iter::successors(Some(ty), |&ty| module.sub_type(ty).supertype);
    Place::Element(module.canonical[supertypes.last().unwrap_or(ty).0 as usize])
}

#[cfg(test)]
mod tests {
    use super::super::values::{self, FieldValues, Interest};
    use super::*;
    use crate::features::Features;
    use wasmparser::FuncValidatorAllocations;

    /// What is known of a module's only struct or array type, by field: whether it is never null, and never written.
    fn facts_of(fields: &str) -> Vec<(bool, bool)> {
        let wasm = wat::parse_str(format!("(module {fields})")).expect("the text is right");
        let module = Module::decode(&wasm, Features::default()).expect("the module is valid");
        let mut stores = values::Stores::default();
        if let Some(interest) = Interest::of(&module) {
            for body in &module.bodies {
                let allocations = FuncValidatorAllocations::default();
                values::scan(&module, body, interest, allocations, &mut stores).expect("the body is valid");
            }
        }
        let places = FieldValues::new(&module, vec![stores]).places;
        let ty = TypeIdx(0);
        match &module.sub_type(ty).composite {
            CompositeType::Struct(fields) => (0..fields.len() as u32)
                .map(|i| (places.is_never_null_field(&module, ty, i), places.is_never_written(&module, ty, i)))
                .collect(),
            _ => vec![(places.is_never_null_element(&module, ty), false)],
        }
    }

    const ONE: &str = "(type $one (struct (field (mut anyref))))";

    const PAIR: &str = "(type $pair (sub (struct (field (mut anyref)) (field (mut anyref)))))
        (type $triple (sub $pair (struct (field (mut anyref)) (field (mut anyref)) (field (mut i32)))))";

    #[test]
    fn what_is_stored_decides() {
        let made = "(func (param (ref any) anyref)
            (drop (struct.new $pair (local.get 0) (local.get 1))))";
        assert_eq!(facts_of(&format!("{PAIR} {made}")), [(true, true), (false, true)]);
        let written = "(func (param (ref $pair) (ref any) anyref)
            (struct.set $pair 0 (local.get 0) (local.get 1)) (struct.set $pair 1 (local.get 0) (local.get 2)))";
        assert_eq!(facts_of(&format!("{PAIR} {written}")), [(true, false), (false, false)]);
        let by_default = "(func (drop (struct.new_default $triple)))";
        assert_eq!(facts_of(&format!("{PAIR} {by_default}")), [(false, true); 2]);
        let of_subtype = "(func (param (ref $triple) anyref) (struct.set $triple 1 (local.get 0) (local.get 1)))";
        assert_eq!(facts_of(&format!("{PAIR} {of_subtype}")), [(true, true), (false, false)]);
        let in_global = "(global anyref (struct.new $pair (ref.i31 (i32.const 1)) (ref.null any)))";
        assert_eq!(facts_of(&format!("{PAIR} {in_global}")), [(false, true); 2]);
    }

    #[test]
    fn nothing_is_known_if_references_cross_the_boundary() {
        let closed = [
            r#"(func (export "f") (param i32 externref) (result i64) unreachable)"#,
            r#"(import "m" "f" (func (param externref f64)))"#,
            r#"(table 1 anyref) (global (mut anyref) (ref.null any)) (memory (export "m") 1)"#,
            "(tag (param i32))",
        ];
        for text in closed {
            assert_eq!(facts_of(&format!("{ONE} {text}")), [(true, true)], "{text}");
        }
        let open = [
            r#"(func (export "f") (param anyref))"#,
            r#"(func (export "f") (result (ref null $one)) unreachable)"#,
            r#"(func (export "f") (param funcref))"#,
            r#"(import "m" "f" (func (result eqref)))"#,
            r#"(import "m" "g" (global structref))"#,
            r#"(global (export "g") (ref null $one) (ref.null $one))"#,
            r#"(import "m" "t" (table 1 funcref))"#,
            r#"(table (export "t") 1 anyref)"#,
            r#"(import "m" "t" (tag (param anyref)))"#,
            "(tag (param (ref null $one)))",
            "(func (param externref) (drop (any.convert_extern (local.get 0))))",
            "(func (param anyref) (drop (extern.convert_any (local.get 0))))",
        ];
        for text in open {
            assert_eq!(facts_of(&format!("{ONE} {text}")), [(false, false)], "{text}");
        }
    }

    #[test]
    fn elements_of_arrays_are_stored_in_many_ways() {
        let never_null = |body: &str| {
            let types = "(type $a (sub (array (mut anyref)))) (type $b (sub $a (array (mut anyref))))
                (type $other (array (mut anyref))) (elem $e anyref (ref.null any))";
            facts_of(&format!("{types} (func (param (ref $a) (ref $b) (ref $other) (ref any) anyref) {body})"))[0].0
        };
        assert!(never_null("(drop (array.new_fixed $b 2 (local.get 3) (local.get 3)))"));
        assert!(never_null("(drop (array.new $a (local.get 3) (i32.const 7)))"));
        assert!(never_null("(array.set $b (local.get 1) (i32.const 0) (local.get 3))"));
        assert!(never_null("(array.fill $a (local.get 0) (i32.const 0) (local.get 3) (i32.const 2))"));
        assert!(never_null("(array.copy $a $b (local.get 0) (i32.const 0) (local.get 1) (i32.const 0) (i32.const 2))"));
        assert!(!never_null("(drop (array.new_fixed $b 2 (local.get 3) (local.get 4)))"));
        assert!(!never_null("(drop (array.new $a (local.get 4) (i32.const 7)))"));
        assert!(!never_null("(drop (array.new_default $b (i32.const 7)))"));
        assert!(!never_null("(drop (array.new_elem $b $e (i32.const 0) (i32.const 1)))"));
        assert!(!never_null("(array.init_elem $a $e (local.get 0) (i32.const 0) (i32.const 0) (i32.const 1))"));
        assert!(!never_null("(array.set $b (local.get 1) (i32.const 0) (local.get 4))"));
        assert!(!never_null("(array.fill $a (local.get 0) (i32.const 0) (local.get 4) (i32.const 2))"));
        assert!(!never_null(
            "(array.copy $a $other (local.get 0) (i32.const 0) (local.get 2) (i32.const 0) (i32.const 2))"
        ));
    }
}
