//! Cells: small objects with fields of every width, most of which never leave their function.

use super::body::{Body, Ty};

/// Fields that are numbers: their place, what their values are, what follows `struct.get`.
const FIELDS: [(usize, Ty, &str); 6] = [
    (0, Ty::I32, "_s"),
    (0, Ty::I32, "_u"),
    (1, Ty::I32, "_s"),
    (1, Ty::I32, "_u"),
    (2, Ty::I64, ""),
    (3, Ty::F32, ""),
];

/// Place of the field with another cell.
const NEXT: usize = 4;

pub(super) const TYPE: &str = "(type $cell (struct (field (mut i8)) (field (mut i16)) (field (mut i64)) (field (mut f32)) (field (mut (ref null $cell)))))";

/// A function that tells what is in a cell.
pub(super) const HASH: &str = "(func $hash_cell (param $cell (ref $cell)) (result i64)
    (call $mix
      (call $mix (i64.extend_i32_s (struct.get_s $cell 0 (local.get $cell))) (i64.extend_i32_u (struct.get_u $cell 1 (local.get $cell))))
      (call $mix (struct.get $cell 2 (local.get $cell)) (i64.trunc_sat_f32_s (struct.get $cell 3 (local.get $cell))))))";

impl Body<'_> {
    pub(super) fn cell(&mut self, depth: u32) -> String {
        if depth > 0 && self.one_in(4) {
            return self.choice(Ty::Cell, depth);
        }
        let numbers = self.values(&[Ty::I32, Ty::I32, Ty::I64, Ty::F32], depth.min(1));
        let next = self.some_local(Ty::Cell).filter(|_| self.one_in(2));
        let next = next.map_or_else(|| "(ref.null $cell)".to_owned(), |local| format!("(local.get {local})"));
        format!("(struct.new $cell{numbers} {next})")
    }

    /// A number of a cell.
    pub(super) fn of_cell(&mut self, ty: Ty, depth: u32) -> String {
        let fields: Vec<_> = FIELDS.into_iter().filter(|field| field.1 == ty).collect();
        let (place, _, get) = self.one_of(&fields);
        format!("(struct.get{get} $cell {place}{})", self.values(&[Ty::Cell], depth))
    }

    /// Changes a cell, in a loop perhaps, or lets it leave the function under some condition.
    pub(super) fn change_cell(&mut self) -> String {
        let cell = self.expression(Ty::Cell, 1);
        match self.below(5) {
            0 => {
                let name = self.name("next");
                format!(
                    "(block {name} (struct.set $cell {NEXT} (br_on_null {name} (struct.get $cell {NEXT} {cell})) {}))",
                    self.expression(Ty::Cell, 1)
                )
            }
            1 => format!("(if {} (then (global.set $kept {cell})))", self.condition(1)),
            2 => format!("(struct.set $cell {NEXT} {cell}{})", self.values(&[Ty::Cell], 1)),
            _ => {
                let (place, ty, _) = self.one_of(&FIELDS);
                format!("(struct.set $cell {place} {cell} {})", self.expression(ty, 2))
            }
        }
    }
}
