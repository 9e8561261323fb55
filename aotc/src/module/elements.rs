//! Which elements a module never makes null.
//!
//! The problem: producers declare most references as nullable, also the elements of arrays that are complete once they
//! are made. Each access then has a check that cannot fail. That costs little by itself, but a loop with checks is too
//! large to be unrolled, and nothing in it becomes a vector.
//!
//! So all stores of the module are looked at. The elements of an array type are *never null* if whatever is stored there
//! has a static type without null, and no array is made whose elements start as null. This is a fact, not a guess, which
//! needs two things:
//!
//! 1. Nobody else stores. The module is closed ([`Boundary`]), so no other module or host has one of its arrays, whatever
//!    types it may have in common with it, and it has none of theirs.
//! 2. Nobody reads before the first store, not even another thread that has got the reference by a race: elements of a
//!    fresh array that may not be found null are followed by a fence ([`crate::translate`], arrays).
//!
//! An array may be used as one of a supertype, so elements are named by the topmost type. Constant expressions are not
//! looked into: elements of the types that they make may be null.

use super::boundary::Boundary;
use super::{InitStep, Module};
use dolmen_abi::types::{CompositeType, StorageType, TypeIdx, ValType};
use std::collections::BTreeSet;
use wasmparser::{ConstExpr, Operator};

/// What operators of bodies do to elements.
#[derive(Debug, Default)]
pub(crate) struct ElementStores {
    /// By the canonical index of the topmost array type.
    may_be_null: BTreeSet<u32>,
    /// Whether references are converted from those that the module cannot look into, or to them.
    converts: bool,
}

/// What is certain of the elements in a closed module; nothing of those in others.
#[derive(Debug, Default)]
pub(crate) struct Elements(Option<ElementStores>);

/// Whether bodies have to be looked through: those of a module that may be closed and has arrays of nullable references.
pub(crate) fn is_worthwhile(module: &Module<'_>) -> bool {
    has_nullable_elements(module) && Boundary::of(module) != Boundary::Open
}

fn has_nullable_elements(module: &Module<'_>) -> bool {
    let is_nullable = |storage: StorageType| matches!(storage, StorageType::Val(ValType::Ref(ty)) if ty.nullable);
    let is_array = |composite: &CompositeType| matches!(composite, CompositeType::Array(ty) if is_nullable(ty.storage));
    module.types.iter().any(|ty| is_array(&ty.composite))
}

impl ElementStores {
    pub(crate) fn merge(&mut self, other: Self) {
        self.may_be_null.extend(other.may_be_null);
        self.converts |= other.converts;
    }

    /// Notes what an operator stores; `operand` is the static type of the operand below so many others, if it is known.
    pub(crate) fn step(
        &mut self,
        module: &Module<'_>,
        operator: &Operator<'_>,
        operand: impl Fn(usize) -> Option<wasmparser::ValType>,
    ) {
        let may_be_null =
            |depth: usize| operand(depth).is_none_or(|ty| ty.as_reference_type().is_some_and(|ty| ty.is_nullable()));
        let ty = match *operator {
            Operator::ArrayNewFixed { array_type_index: ty, array_size } => {
                (0..array_size as usize).any(may_be_null).then_some(ty)
            }
            Operator::ArraySet { array_type_index: ty } => may_be_null(0).then_some(ty),
            Operator::ArrayNew { array_type_index: ty } | Operator::ArrayFill { array_type_index: ty } => {
                may_be_null(1).then_some(ty)
            }
            Operator::ArrayCopy { array_type_index_dst: to, array_type_index_src: from } => {
                (topmost(module, TypeIdx(to)) != topmost(module, TypeIdx(from))).then_some(to)
            }
            Operator::ArrayNewDefault { array_type_index: ty }
            | Operator::ArrayNewElem { array_type_index: ty, .. }
            | Operator::ArrayInitElem { array_type_index: ty, .. }
            | Operator::ArrayAtomicSet { array_type_index: ty, .. }
            | Operator::ArrayAtomicRmwXchg { array_type_index: ty, .. }
            | Operator::ArrayAtomicRmwCmpxchg { array_type_index: ty, .. } => Some(ty),
            Operator::AnyConvertExtern | Operator::ExternConvertAny => {
                self.converts = true;
                None
            }
            _ => None,
        };
        self.may_be_null.extend(ty.map(|ty| topmost(module, TypeIdx(ty))));
    }

    /// Notes what a constant expression may make: nothing is known of its operands.
    fn constant_expression(&mut self, module: &Module<'_>, expression: &ConstExpr<'_>) {
        for operator in expression.get_operators_reader().into_iter().flatten() {
            self.step(module, &operator, |_| None);
        }
    }
}

impl Elements {
    /// Sums up what all bodies of a module store.
    pub(crate) fn new(module: &Module<'_>, mut stores: ElementStores) -> Self {
        for step in &module.init {
            match step {
                InitStep::Global { value, .. } | InitStep::Table { value, .. } | InitStep::ElemItem { value, .. } => {
                    stores.constant_expression(module, value);
                }
                InitStep::Prototypes
                | InitStep::ActiveElem { .. }
                | InitStep::ActiveData { .. }
                | InitStep::ElemDrop { .. } => {}
            }
        }
        let is_closed = match Boundary::of(module) {
            Boundary::Sealed => true,
            // Bodies were looked through for conversions.
            Boundary::Opaque => has_nullable_elements(module) && !stores.converts,
            Boundary::Open => false,
        };
        Self(is_closed.then_some(stores))
    }

    /// Whether the module is known to be closed.
    pub(crate) fn are_inside(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the elements of an array type are never null; of use only if they are references.
    pub(crate) fn are_never_null(&self, module: &Module<'_>, ty: TypeIdx) -> bool {
        self.0.as_ref().is_some_and(|stores| !stores.may_be_null.contains(&topmost(module, ty)))
    }
}

/// Canonical index of the topmost supertype.
fn topmost(module: &Module<'_>, ty: TypeIdx) -> u32 {
    module.canonical[module.supertypes(ty).last().unwrap_or(ty).0 as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::with_stored_values;

    /// Whether the elements of a module's first type are never null.
    fn are_never_null(fields: &str) -> bool {
        with_stored_values(fields, |module, values| values.elements.are_never_null(module, TypeIdx(0)))
    }

    const ARRAY: &str = "(type $a (array (mut anyref)))";

    #[test]
    fn nothing_is_known_if_references_cross_the_boundary() {
        let closed = [
            r#"(func (export "f") (param i32 externref) (result i64) unreachable)"#,
            r#"(import "m" "f" (func (param externref f64)))"#,
            r#"(table 1 anyref) (global (mut anyref) (ref.null any)) (memory (export "m") 1)"#,
            "(tag (param i32))",
            "(func (param externref) (drop (any.convert_extern (local.get 0))))",
        ];
        for text in closed {
            assert!(are_never_null(&format!("{ARRAY} {text}")), "{text}");
        }
        let open = [
            r#"(func (export "f") (param anyref))"#,
            r#"(func (export "f") (result (ref null $a)) unreachable)"#,
            r#"(func (export "f") (param funcref))"#,
            r#"(import "m" "f" (func (result eqref)))"#,
            r#"(import "m" "g" (global structref))"#,
            r#"(global (export "g") (ref null $a) (ref.null $a))"#,
            r#"(import "m" "t" (table 1 funcref))"#,
            r#"(table (export "t") 1 anyref)"#,
            r#"(import "m" "t" (tag (param anyref)))"#,
            "(tag (param (ref null $a)))",
            r#"(func (export "f") (param externref) (drop (any.convert_extern (local.get 0))))"#,
            r#"(func (result externref) (extern.convert_any (ref.null any))) (tag (param externref))"#,
        ];
        for text in open {
            assert!(!are_never_null(&format!("{ARRAY} {text}")), "{text}");
        }
    }

    #[test]
    fn functions_are_own_unless_a_reference_comes_from_elsewhere() {
        let own = |fields: &str| with_stored_values(fields, |_, values| values.functions_are_own);
        let table = "(table 1 funcref) (elem (i32.const 0) $f) (func $f)";
        assert!(own(table));
        assert!(own(&format!(r#"(import "m" "g" (func $g)) {table} (func (call $g))"#)));
        assert!(!own(r#"(import "m" "g" (func $g)) (table 1 funcref) (elem (i32.const 0) $g)"#));
        assert!(!own(r#"(import "m" "g" (func $g)) (global funcref (ref.func $g))"#));
        assert!(!own(&format!("{table} (tag (param funcref))")));
        assert!(!own(&format!(r#"{table} (export "t" (table 0))"#)));
        // Nobody has looked for conversions here, but in the second module.
        assert!(!own(&format!(r#"(import "m" "g" (func (result externref))) {table}"#)));
        assert!(own(&format!(r#"(import "m" "g" (func (result externref))) {table} {ARRAY}"#)));
    }

    #[test]
    fn constant_expressions_may_make_any_element_null() {
        assert!(!are_never_null(&format!("{ARRAY} (global (ref $a) (array.new_fixed $a 1 (ref.i31 (i32.const 1))))")));
    }

    #[test]
    fn elements_are_stored_in_many_ways() {
        let never_null = |body: &str| {
            let types = "(type $a (sub (array (mut anyref)))) (type $b (sub $a (array (mut anyref))))
                (type $other (array (mut anyref))) (elem $e anyref (ref.null any))";
            are_never_null(&format!("{types} (func (param (ref $a) (ref $b) (ref $other) (ref any) anyref) {body})"))
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
