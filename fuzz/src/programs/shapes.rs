//! Control flow of unusual shapes: early returns, switches, chains of casts, blocks that take and leave several values.

use super::body::{BURN, Body, Ty};

/// Types of what blocks take and leave.
const CARRIED: [Ty; 6] = [Ty::I32, Ty::I64, Ty::F64, Ty::Obj, Ty::This, Ty::Any];

/// Cases of a switch.
const CASES: usize = 4;

/// What a chain of casts asks for: a type, and how the reference on the stack becomes a number.
const CASTS: [(&str, &str); 8] = [
    ("(ref $c2)", "(i32.trunc_sat_f64_s (struct.get $c2 5))"),
    ("(ref $c1)", "(i32.wrap_i64 (struct.get $c1 3))"),
    ("(ref $obj)", "(struct.get $obj 1)"),
    ("(ref $cell)", "(struct.get_u $cell 1)"),
    ("(ref $ints)", "(array.len)"),
    ("(ref array)", "(array.len)"),
    ("(ref i31)", "(i31.get_s)"),
    ("(ref null struct)", "(ref.is_null)"),
];

impl Body<'_> {
    /// Leaves the function under some condition: returns, throws, or calls another one instead, also out of handlers.
    pub(super) fn leave(&mut self) -> String {
        if self.one_in(4) {
            return self.throw();
        }
        let condition = self.condition(1);
        let call = if self.calls && self.one_in(2) { self.tail_call() } else { None };
        let results = self.signature.results.clone();
        let leave = call.unwrap_or_else(|| format!("(return{})", self.values(&results, 1)));
        format!("(if {condition} (then {leave}))")
    }

    /// Returns, or throws, before anything else is done.
    pub(super) fn leave_early(&mut self) -> String {
        let (condition, results) = (self.condition(1), self.signature.results.clone());
        let leave = match self.one_in(4) {
            true => format!("(throw $small {})", self.int(0)),
            false => format!("(return{})", self.values(&results, 0)),
        };
        format!("(if {condition} (then {leave})) ")
    }

    /// Cases that fall through, or do not.
    pub(super) fn switch(&mut self, depth: u32) -> String {
        let name = self.name("switch");
        let labels: String = (0..CASES + 2).map(|_| format!(" {name}_{}", self.below(CASES as u64 + 1))).collect();
        let mut text = format!("(br_table{labels} {})", self.int(2));
        for case in 0..CASES {
            let (statements, out) = (self.statements(depth), self.one_in(2));
            let out = if out { format!("(br {name}_{CASES})") } else { String::new() };
            text = format!("(block {name}_{case} {text}) {statements}{out}\n    ");
        }
        format!("(block {name}_{CASES} {text})")
    }

    /// A number that depends on what a reference refers to, by one cast after the other.
    pub(super) fn ladder(&mut self, depth: u32) -> String {
        let name = self.name("ladder");
        let (mut text, mut from) = (self.expression(Ty::Any, depth), "anyref");
        let (first, count) = (self.below(8) as usize, 1 + self.below(4) as usize);
        // Each at most once: three steps lead to all of eight.
        let casts: Vec<_> = (0..count).map(|rung| CASTS[(first + 3 * rung) % CASTS.len()]).collect();
        for (rung, (ty, _)) in casts.iter().enumerate() {
            text += &format!(" (br_on_cast {name}_{rung} {from} {ty})");
            // Nothing that is left after that is null.
            from = if ty.contains("null") { "(ref any)" } else { from };
        }
        text += &format!(" (drop) (br {name} {})", self.int(0));
        for (rung, (ty, number)) in casts.iter().enumerate() {
            text = format!("(block {name}_{rung} (result {ty}) {text}) {number}");
            text += &if rung + 1 < casts.len() { format!(" (br {name})") } else { String::new() };
        }
        format!("(block {name} (result i32) {text})")
    }

    /// A block, a loop or a conditional with parameters and results.
    pub(super) fn carried(&mut self, depth: u32) -> String {
        let types: Vec<Ty> = (0..2 + self.below(3)).map(|_| self.one_of(&CARRIED)).collect();
        let name = self.name("carried");
        let locals: Vec<_> = types.iter().map(|&ty| self.hidden_local("carried", ty)).collect();
        let taken: String = locals.iter().rev().map(|local| format!("(local.set {local})")).collect();
        let given: String = locals.iter().map(|local| format!("(local.get {local})")).collect();
        let list: String = types.iter().map(|ty| format!(" {}", ty.text())).collect();
        let signature = format!("(param{list}) (result{list})");
        let (before, after) = (self.values(&types, 2), self.values(&types, 1));
        let body = self.statements(depth);
        let drops = "(drop)".repeat(types.len());
        let condition = self.condition(1);
        let block = match self.below(3) {
            0 => {
                format!("(block {name} {signature} {taken} {body} {given} (br_if {name} {condition}) {drops} {after})")
            }
            1 => format!(
                "(loop {name} {signature} {taken} {body} {given} (br_if {name} (if (result i32) (global.get $fuel) (then {BURN} {condition}) (else (i32.const 0)))))"
            ),
            _ => format!("{condition} (if {name} {signature} (then) (else {taken} {body} {after}))"),
        };
        format!("{before} {block} {}", self.taken(&types))
    }

    /// An object of which mostly no more than a field is needed, and on one path all: as an argument beside more references
    /// than fit registers, or as an element.
    pub(super) fn seldom_needed(&mut self) -> String {
        let object = self.hidden_local("seldom", Ty::Obj);
        let fresh = format!("(struct.new $obj (global.get $vt_a) {} {})", self.int(1), self.expression(Ty::Obj, 0));
        let (get, at) = (format!("(local.get {object})"), self.below(16));
        let given = format!("(ref.as_non_null {get})");
        let needed = match self.below(4) {
            0 => format!("(array.fill $objs {} (i32.const {at}) {given} (i32.const 1))", self.expression(Ty::Objs, 0)),
            1 => {
                let others = self.values(&[Ty::This; 7], 0);
                format!("(global.set $shared_objs (array.new_fixed $objs 8{others} {given}))")
            }
            2 => format!(
                "(call $three {} {given}) (global.set $root) (drop) (global.set $kept)",
                self.expression(Ty::This, 0)
            ),
            _ => {
                let others = self.values(&[Ty::Obj; 5], 0);
                let number = format!("(call $many (i32.const 3) {get}{others})");
                format!("(global.set $wide (i64.add (global.get $wide) (i64.extend_i32_s {number})))")
            }
        };
        let field = format!("(i64.extend_i32_s (struct.get $obj 1 {get}))");
        let otherwise = format!("(global.set $wide (i64.add (global.get $wide) {field}))");
        let condition = self.condition(1);
        format!("(local.set {object} {fresh}) (if {condition} (then {needed}) (else {otherwise}))")
    }

    /// A number, or what an exception of it carries.
    pub(super) fn tried(&mut self, depth: u32) -> String {
        let name = self.name("tried");
        let (throw, value) = (self.throw(), self.expression(Ty::I32, depth));
        format!("(block {name} (result i32) (try_table (result i32) (catch $small {name}) {throw} {value}))")
    }
}
