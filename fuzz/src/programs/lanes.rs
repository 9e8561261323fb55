//! Arrays of numbers of every width: loops over them that vectors can do, with ordinary bounds and with odd ones.

use super::body::{Body, Ty};

/// Arrays of numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lane {
    pub(super) array: Ty,
    pub(super) name: &'static str,
    /// The array's field, as its type is declared.
    pub(super) field: &'static str,
    /// Values of elements.
    pub(super) element: Ty,
    /// What follows `array.get`.
    get: &'static str,
    /// Elements of the array that all functions share.
    shared: usize,
}

const fn lane(array: Ty, name: &'static str, field: &'static str, element: Ty, shared: usize) -> Lane {
    let get = if matches!(array, Ty::Bytes | Ty::Shorts) { "_s" } else { "" };
    Lane { array, name, field, element, get, shared }
}

/// All of them: those that are shared have lengths that no vector divides.
pub(super) const LANES: [Lane; 5] = [
    lane(Ty::Bytes, "bytes", "i8", Ty::I32, 77),
    lane(Ty::Shorts, "shorts", "i16", Ty::I32, 51),
    lane(Ty::Ints, "ints", "i32", Ty::I32, 39),
    lane(Ty::Longs, "longs", "i64", Ty::I64, 23),
    lane(Ty::Floats, "floats", "f32", Ty::F32, 35),
];

/// Bounds that loops should not have.
const ODD_BOUNDS: [i32; 8] = [-1, i32::MIN, i32::MAX, i32::MIN + 3, i32::MAX - 2, -7, 60, 1000];

impl Lane {
    /// The array's type, and the array that all functions share, longer than others by so many elements.
    pub(super) fn type_and_global(self, longer: usize) -> String {
        let Self { name, field, element, shared, .. } = self;
        let shared = shared + longer;
        let number = element.text();
        format!(
            "(type ${name} (array (mut {field})))\n  (global $shared_{name} (ref ${name}) (array.new ${name} ({number}.const 3) (i32.const {shared})))"
        )
    }

    /// A function that tells what is in an array of this type.
    pub(super) fn hash(self) -> String {
        let Self { name, get, .. } = self;
        let element = self.as_long(&format!("(array.get{get} ${name} (local.get $array) (local.get $index))"));
        format!(
            "(func $hash_{name} (param $array (ref ${name})) (result i64) (local $index i32) (local $hash i64)
    (loop $next
      (if (i32.lt_u (local.get $index) (array.len (local.get $array)))
        (then
          (local.set $hash (call $mix (local.get $hash) {element}))
          (local.set $index (i32.add (local.get $index) (i32.const 1)))
          (br $next))))
    (local.get $hash))"
        )
    }

    /// An element as an `i64`. Of what is no number only that it is none.
    fn as_long(self, element: &str) -> String {
        match self.element {
            Ty::I32 => format!("(i64.extend_i32_s {element})"),
            Ty::F32 => format!("(i64.trunc_sat_f32_s {element})"),
            _ => element.to_owned(),
        }
    }
}

/// A loop under construction: two arrays, one of which is written to, and an index into both.
struct Rounds {
    name: String,
    lane: Lane,
    to: String,
    from: String,
    index: String,
    sum: String,
}

impl Body<'_> {
    /// A loop over arrays of numbers.
    pub(super) fn over_lanes(&mut self) -> String {
        let lane = self.one_of(&LANES);
        let rounds = Rounds {
            name: self.name("lanes"),
            lane,
            to: self.hidden_local("to", lane.array),
            from: self.hidden_local("from", lane.array),
            index: self.hidden_local("at", Ty::I32),
            sum: self.hidden_local("sum", lane.element),
        };
        let (to, from) = (self.expression(lane.array, 1), self.expression(lane.array, 1));
        let from = if self.one_in(3) { format!("(local.get {})", rounds.to) } else { from };
        let mut text = format!("(local.set {} {to}) (local.set {} {from})\n    ", rounds.to, rounds.from);
        text += &format!("(local.set {} {})\n    ", rounds.sum, self.expression(lane.element, 1));
        let work: String = (0..1 + self.below(2)).map(|_| self.round(&rounds)).collect();
        text += &self.all_rounds(&rounds, &work);
        if let Some(result) = self.some_local(lane.element) {
            text += &format!(" (local.set {result} (local.get {}))", rounds.sum);
        }
        text
    }

    /// The loop around one round's work, upwards or downwards.
    fn all_rounds(&mut self, rounds: &Rounds, work: &str) -> String {
        let Rounds { name, to, from, index, .. } = rounds;
        let bound = self.hidden_local("bound", Ty::I32);
        let is_odd = self.one_in(10);
        let (first, last) = (self.bound(is_odd), self.bound(is_odd));
        let length = format!(
            "(select (array.len (local.get {to})) (array.len (local.get {from})) (i32.lt_u (array.len (local.get {to})) (array.len (local.get {from}))))"
        );
        let bound_value = if is_odd { last } else { format!("(i32.sub {length} (i32.const {}))", self.below(4)) };
        let sign = if self.one_in(2) { "s" } else { "u" };
        let step = 1 + if self.one_in(3) { self.below(4) } else { 0 };
        let text = format!("(local.set {index} {first}) (local.set {bound} {bound_value})\n    ");
        let (get_index, get_bound) = (format!("(local.get {index})"), format!("(local.get {bound})"));
        // Without an odd bound, no index leaves the arrays, or the first one does.
        text + &match self.below(4) {
            0 => format!(
                "(block {name}_end (loop {name} (br_if {name}_end (i32.ge_{sign} {get_index} {get_bound})) {work} (local.set {index} (i32.add {get_index} (i32.const {step}))) (br {name})))"
            ),
            1 => format!(
                "(if (i32.lt_s {get_index} {get_bound}) (then (loop {name} {work} (br_if {name} (i32.ne (local.tee {index} (i32.add {get_index} (i32.const 1))) {get_bound})))))"
            ),
            2 => format!(
                "(loop {name} (if (i32.lt_{sign} {get_index} {get_bound}) (then {work} (local.set {index} (i32.add (i32.const {step}) {get_index})) (br {name}))))"
            ),
            _ => format!(
                "(block {name}_end (loop {name} (br_if {name}_end (i32.le_s {get_bound} {get_index})) (local.set {bound} (i32.sub {get_bound} (i32.const 1))) {} (br {name})))",
                work.replace(&get_index, &get_bound)
            ),
        }
    }

    fn bound(&mut self, is_odd: bool) -> String {
        match (is_odd, self.below(4)) {
            (true, 0..=1) => format!("(i32.const {})", self.one_of(&ODD_BOUNDS)),
            (true, 2) => self.int(1),
            (false, 0) => format!("(i32.and (i32.const 7) {})", self.int(1)),
            (_, kind) => format!("(i32.const {})", if kind == 1 { self.below(9) } else { 0 }),
        }
    }

    /// What a round does with the elements at its index.
    fn round(&mut self, rounds: &Rounds) -> String {
        let Rounds { name, lane, to, from, index, sum } = rounds;
        let ty = lane.element;
        let at =
            |array: &str, index: &str| format!("(array.get{} ${} (local.get {array}) {index})", lane.get, lane.name);
        let index = format!("(local.get {index})");
        let set = |index: &str, value: &str| format!("(array.set ${} (local.get {to}) {index} {value})", lane.name);
        let (here, there) = (at(to, &index), at(from, &index));
        // Values from outside of the loop, mostly.
        let value = self.some_local(ty).map_or_else(|| self.expression(ty, 0), |local| format!("(local.get {local})"));
        let get_sum = format!("(local.get {sum})");
        let text = match self.below(9) {
            0 => set(&index, &self.combined(ty, &there, &value)),
            1 => set(&index, &self.combined(ty, &here, &there)),
            2 => format!("(local.set {sum} {})", self.combined(ty, &get_sum, &here)),
            3 => format!("(if {} (then {}))", self.compared(ty, &there, &value), set(&index, &value)),
            4 => {
                let one = converted(ty, &self.compared(ty, &here, &there));
                format!("(local.set {sum} ({}.add {get_sum} {one}))", ty.text())
            }
            5 => self.shifted(rounds, &here),
            6 => set(&index, &converted(ty, &format!("(i32.mul {index} (i32.const {}))", self.below(300)))),
            7 => format!("(br_if {name}_out {})", self.compared(ty, &there, &value)),
            _ => {
                let address = format!("(i32.and (i32.const 255) {index})");
                set(&index, &converted(ty, &format!("(i32.load8_s {address})")))
                    + &format!(" (i32.store8 offset=256 {address} (i32.load8_u {address}))")
            }
        };
        // Who leaves a round goes on with the next.
        if text.contains("_out") { format!("(block {name}_out {text} {}) ", set(&index, &value)) } else { text + " " }
    }

    /// An element stored some places further, in either direction, of the same array perhaps.
    fn shifted(&mut self, rounds: &Rounds, here: &str) -> String {
        let Rounds { lane, from, index, sum, .. } = rounds;
        let is_guarded = !self.one_in(4);
        let distance = if is_guarded { 1 + self.below(9) } else { 1 };
        let other = format!("(i32.{} (local.get {index}) (i32.const {distance}))", self.one_of(&["add", "sub"]));
        let set = format!("(array.set ${} (local.get {from}) {other} (local.get {sum}))", lane.name);
        let set = match is_guarded {
            true => format!("(if (i32.lt_u {other} (array.len (local.get {from}))) (then {set}))"),
            false => set,
        };
        format!("(local.set {sum} {here}) {set}")
    }

    /// Two numbers in one.
    fn combined(&mut self, ty: Ty, one: &str, other: &str) -> String {
        let operators: &[&str] = match ty {
            Ty::F32 => &["add", "sub", "mul", "min", "max"],
            _ => &["add", "sub", "mul", "and", "or", "xor", "shl", "shr_u", "shr_s", "rotl"],
        };
        format!("({}.{} {one} {other})", ty.text(), self.one_of(operators))
    }

    /// How two numbers compare, as an `i32`.
    fn compared(&mut self, ty: Ty, one: &str, other: &str) -> String {
        let operators: &[&str] = match ty {
            Ty::F32 => &["eq", "ne", "lt", "gt", "le", "ge"],
            _ => &["eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"],
        };
        format!("({}.{} {one} {other})", ty.text(), self.one_of(operators))
    }
}

/// An `i32` as a number of another type.
fn converted(ty: Ty, int: &str) -> String {
    match ty {
        Ty::I64 => format!("(i64.extend_i32_s {int})"),
        Ty::F32 => format!("(f32.convert_i32_s {int})"),
        _ => int.to_owned(),
    }
}
