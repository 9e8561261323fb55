//! Which prototypes an instance has ([`dolmen_abi::prototype`]).
//!
//! A struct type has one if all code of the module gives its objects the same constant in a field that lies there: a
//! reference that the instance keeps where it is. That is a guess in so far as an object need not be made so everywhere. Each
//! allocation is compared with the prototype when it is lowered ([`crate::gc::lower`]).

use super::constants::Constant;
use super::types::is_non_null;
use super::values::{FieldKey, ValueSet};
use super::{InitStep, Module};
use dolmen_abi::layout::struct_layout;
use dolmen_abi::prototype::{PROTOTYPE_BYTES, PROTOTYPE_WORD_OFFSETS, Prototype, PrototypeWord};
use dolmen_abi::types::{CompositeType, FieldType, TypeIdx};
use std::collections::{BTreeSet, HashMap};

/// The prototypes for what bodies make objects with, by canonical index of the type, ascending.
pub(super) fn find(module: &Module<'_>, created: &HashMap<FieldKey, ValueSet>) -> Vec<Prototype> {
    let types: BTreeSet<u32> = created.keys().map(|&(ty, _)| ty).collect();
    types.into_iter().filter_map(|ty| prototype(module, created, TypeIdx(ty))).collect()
}

fn prototype(module: &Module<'_>, created: &HashMap<FieldKey, ValueSet>, ty: TypeIdx) -> Option<Prototype> {
    let CompositeType::Struct(fields) = &module.sub_type(ty).composite else { return None };
    let layout = struct_layout(fields, module.descriptor_at(ty));
    if layout.size_bytes < PROTOTYPE_BYTES {
        return None;
    }
    let words = PROTOTYPE_WORD_OFFSETS.map(|offset| {
        let field =
            layout.offsets.iter().position(|&at| at == offset).filter(|&field| is_set_by_allocation(fields[field]));
        let values = field.and_then(|field| created.get(&(ty.0, field as u32))?.complete());
        values.filter(|values| values.len() == 1).and_then(|values| word(module, *values.first()?))
    });
    let words = words.map(|word| word.unwrap_or(PrototypeWord::Zero));
    words.iter().any(|&word| word != PrototypeWord::Zero).then_some(Prototype { ty, words })
}

fn word(module: &Module<'_>, constant: Constant) -> Option<PrototypeWord> {
    match constant {
        Constant::Func(func) => Some(PrototypeWord::Func(func)),
        Constant::Object(object) => module.constants.object(object).global.map(PrototypeWord::Global),
        _ => None,
    }
}

/// Whether no reader may find a field zero, even one in another thread that has got the reference by a race, so that the
/// allocation sets it: what is loaded as invariant, and references that are never null.
pub(crate) fn is_set_by_allocation(field: FieldType) -> bool {
    !field.mutable || is_non_null(field.storage)
}

impl Module<'_> {
    /// Lets instances have prototypes, which they fill once globals have their values.
    pub(crate) fn add_prototypes(&mut self, prototypes: Vec<Prototype>) {
        if prototypes.is_empty() {
            return;
        }
        self.meta.prototypes = prototypes;
        let globals = self.init.iter().take_while(|step| matches!(step, InitStep::Global { .. })).count();
        self.init.insert(globals, InitStep::Prototypes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::with_stored_values;

    /// The prototypes of a module in which type 2, `$s`, has fields of the methods `$m` and of these, and objects are made
    /// so. Globals 0 and 1 are tables.
    fn prototypes(fields: &str, objects: &str) -> Vec<Prototype> {
        let text = format!(
            "(type $method (func)) (type $m (struct (field (ref $method))))
            (type $s (struct (field (ref null $m)) {fields}))
            (global $a (ref $m) (struct.new $m (ref.func $f)))
            (global $b (ref $m) (struct.new $m (ref.func $f)))
            (func $f (type $method)) (func (param (ref $m)) {objects})"
        );
        with_stored_values(&text, |_, values| values.prototypes)
    }

    fn words(fields: &str, objects: &str) -> Option<[PrototypeWord; 3]> {
        match prototypes(fields, objects)[..] {
            [] => None,
            [Prototype { ty: TypeIdx(2), words }] => Some(words),
            ref others => panic!("{others:?}"),
        }
    }

    #[test]
    fn prototypes_have_what_all_objects_begin_with() {
        use PrototypeWord::{Func, Global, Zero};
        let new = |operands: &str| format!("(drop (struct.new $s {operands}))");
        let a = "(global.get $a)";
        let f64 = new(&format!("{a} (f64.const 1)"));
        assert_eq!(words("(field f64)", &f64), Some([Global(0), Zero, Zero]));
        let two = "(field i32) (field (ref func))";
        let made = new(&format!("{a} (i32.const 1) (ref.func $f)"));
        assert_eq!(words(two, &made), Some([Global(0), Zero, Func(0)]));
        // Null at one place, a value at another: allocations are compared with the prototype.
        assert_eq!(words(two, &(made.clone() + &new("(ref.null $m) (i32.const 1) (ref.func $f)"))), words(two, &made));
        // Two values, or an unknown one.
        for other in ["(global.get $b)", "(local.get 0)"] {
            let other = new(&format!("{other} (i32.const 1) (ref.func $f)"));
            assert_eq!(words(two, &(made.clone() + &other)), Some([Zero, Zero, Func(0)]), "{other}");
        }
        // Nothing is known, the object is too small, or other code sets the field.
        assert_eq!(words("(field f64)", &new("(local.get 0) (f64.const 1)")), None);
        assert_eq!(words("", &new(a)), None);
        let late = new(&format!("(local.get 0) {a} (i32.const 1)"));
        assert_eq!(words("(field (mut (ref null $m))) (field i32)", &late), None);
        assert_eq!(words("(field (mut (ref $m))) (field i32)", &late), Some([Zero, Global(0), Zero]));
    }

    #[test]
    fn what_only_constant_expressions_make_has_none() {
        let object = ") (global (ref $s) (struct.new $s (global.get $a) (f64.const 1))";
        assert_eq!(prototypes("(field f64)", object), []);
    }
}
