//! Loops of the shapes that optimisers know, and throws with their handlers.

use super::body::{BURN, Body, Ty};

impl Body<'_> {
    pub(super) fn some_loop(&mut self, depth: u32) -> String {
        match self.below(10) {
            9 => self.chained(),
            0..=2 => self.counted(|this| this.statements(depth)),
            3 => self.meeting(),
            4 => self.sum(),
            5 => self.search(),
            6 => self.walk(depth),
            7 => self.of_objects(),
            _ => self.fuelled(depth),
        }
    }

    /// A loop that counts up or down, a few rounds.
    pub(super) fn counted(&mut self, emit: impl FnOnce(&mut Self) -> String) -> String {
        let (name, counter, bound) =
            (self.name("loop"), self.hidden_local("i", Ty::I32), self.hidden_local("n", Ty::I32));
        // Everything inside is executed as often as the product of all rounds around it.
        let most = if self.counters.is_empty() { 10 } else { 3 };
        let rounds = match self.one_in(2) {
            true => format!("(i32.const {})", 1 + self.below(most)),
            false => format!("(i32.add (i32.const 1) (i32.rem_u {} (i32.const {most})))", self.int(1)),
        };
        self.counters.push(counter.clone());
        let body = emit(self);
        self.counters.pop();
        match self.one_in(3) {
            true => format!(
                "(local.set {counter} {rounds}) (loop {name} {body} (br_if {name} (local.tee {counter} (i32.sub (local.get {counter}) (i32.const 1)))))"
            ),
            false => format!(
                "(local.set {counter} (i32.const 0)) (local.set {bound} {rounds}) (loop {name} {body} (br_if {name} (i32.lt_s (local.tee {counter} (i32.add (local.get {counter}) (i32.const 1))) (local.get {bound}))))"
            ),
        }
    }

    /// Two short loops, of which the second one counts to what the first one leaves.
    fn chained(&mut self) -> String {
        let [counter, sum, other] = ["i", "s", "t"].map(|name| self.hidden_local(name, Ty::I32));
        let (bound, mask, added) = (self.below(20), 1 + self.below(15), self.int(0));
        let mut code = format!("(local.set {sum} (i32.const 0)) (local.set {other} {added})");
        let bound = format!("(i32.const {bound})");
        for (bound, changed, mask) in [(&*bound, &sum, mask), (&*format!("(local.get {sum})"), &other, u64::MAX >> 33)]
        {
            let name = self.name("chain");
            let step = format!("(i32.add (i32.mul (local.get {changed}) (i32.const 5)) (local.get {counter}))");
            let body = format!("(local.set {changed} (i32.and {step} (i32.const {mask})))");
            let next = format!("(local.tee {counter} (i32.add (local.get {counter}) (i32.const 1)))");
            code += &if self.one_in(3) { String::new() } else { format!("(local.set {counter} (i32.const 0))") };
            code += &match self.one_in(2) {
                true => format!("(loop {name} {body} (br_if {name} (i32.lt_s {next} {bound})))"),
                false => format!(
                    "(block {name}_end (loop {name} (br_if {name}_end (i32.ge_s (local.get {counter}) {bound})) {body} (drop {next}) (br {name})))"
                ),
            };
        }
        code + &format!("(global.set $knob0 (i32.xor (global.get $knob0) (local.get {other})))")
    }

    /// Two counters that meet, and what stands there changes places.
    fn meeting(&mut self) -> String {
        let (name, low, high) =
            (self.name("meet"), self.hidden_local("low", Ty::I32), self.hidden_local("high", Ty::I32));
        let (ty, kind, get) =
            self.one_of(&[(Ty::Ints, "ints", ""), (Ty::Objs, "objs", ""), (Ty::Bytes, "bytes", "_u")]);
        let array = self.hidden_local("array", ty);
        let element = self.hidden_local(
            "element",
            match ty {
                Ty::Objs => Ty::Obj,
                _ => Ty::I32,
            },
        );
        let value = self.expression(ty, 1);
        let at = |index: &str| format!("(array.get{get} ${kind} (local.get {array}) (local.get {index}))");
        let (first, last) = (at(&low), at(&high));
        format!(
            "(local.set {array} {value}) (local.set {low} (i32.const 0)) (local.set {high} (i32.sub (array.len (local.get {array})) (i32.const 1)))
    (block {name}_end (loop {name}
      (br_if {name}_end (i32.ge_s (local.get {low}) (local.get {high})))
      (local.set {element} {first})
      (array.set ${kind} (local.get {array}) (local.get {low}) {last_value})
      (array.set ${kind} (local.get {array}) (local.get {high}) {kept})
      (local.set {low} (i32.add (local.get {low}) (i32.const 1)))
      (local.set {high} (i32.sub (local.get {high}) (i32.const 1)))
      (br {name})))",
            last_value = self.never_null(ty, &last),
            kept = self.never_null(ty, &format!("(local.get {element})")),
        )
    }

    /// An element to store again: not null, where elements must not become null.
    fn never_null(&self, array: Ty, element: &str) -> String {
        match array {
            Ty::Objs if !self.program.null_elements => format!("(ref.as_non_null {element})"),
            _ => element.to_owned(),
        }
    }

    /// Sums up an array, in one of a few ways.
    fn sum(&mut self) -> String {
        let (name, index, sum) = (self.name("sum"), self.hidden_local("i", Ty::I32), self.hidden_local("sum", Ty::I32));
        let (ty, get) = if self.one_in(2) { (Ty::Ints, "array.get $ints") } else { (Ty::Bytes, "array.get_s $bytes") };
        let (array, value) = (self.hidden_local("array", ty), self.expression(ty, 1));
        let operator = self.one_of(&["add", "xor", "sub", "mul"]);
        let factor = self.int(0);
        let result = self.some_local(Ty::I32).unwrap_or_else(|| sum.clone());
        format!(
            "(local.set {array} {value}) (local.set {sum} (i32.const 0)) (local.set {index} (i32.const 0))
    (block {name}_end (loop {name}
      (br_if {name}_end (i32.ge_u (local.get {index}) (array.len (local.get {array}))))
      (local.set {sum} (i32.{operator} (local.get {sum}) (i32.mul {factor} ({get} (local.get {array}) (local.get {index})))))
      (local.set {index} (i32.add (local.get {index}) (i32.const 1)))
      (br {name})))
    (local.set {result} (local.get {sum}))"
        )
    }

    /// Looks for an element and leaves early.
    fn search(&mut self) -> String {
        let (name, index) = (self.name("search"), self.hidden_local("i", Ty::I32));
        let (array, value, wanted) = (self.hidden_local("array", Ty::Ints), self.expression(Ty::Ints, 1), self.int(0));
        let result = self.some_local(Ty::I32).unwrap_or_else(|| index.clone());
        format!(
            "(local.set {array} {value}) (local.set {index} (array.len (local.get {array})))
    (block {name}_end (loop {name}
      (br_if {name}_end (i32.eqz (local.get {index})))
      (local.set {index} (i32.sub (local.get {index}) (i32.const 1)))
      (br_if {name}_end (i32.eq {wanted} (array.get $ints (local.get {array}) (local.get {index}))))
      (br {name})))
    (local.set {result} (local.get {index}))"
        )
    }

    /// Follows a list, which may be a ring.
    fn walk(&mut self, depth: u32) -> String {
        let (name, object) = (self.name("walk"), self.hidden_local("at", Ty::Obj));
        let (first, some, body) =
            (self.expression(Ty::Obj, 2), self.hidden_local("some", Ty::This), self.statements(depth.min(1)));
        format!(
            "(local.set {object} {first})
    (block {name}_end (loop {name}
      (br_if {name}_end (i32.eqz (global.get $fuel))) {BURN}
      (local.set {some} (br_on_null {name}_end (local.get {object})))
      (struct.set $obj 1 (local.get {some}) (i32.add (i32.const 1) (struct.get $obj 1 (local.get {some}))))
      (local.set {object} (struct.get $obj 2 (local.get {some})))
      {body}
      (br {name})))"
        )
    }

    /// Adds up a field of all objects of an array, and makes new ones.
    fn of_objects(&mut self) -> String {
        let (name, index, sum) =
            (self.name("objects"), self.hidden_local("i", Ty::I32), self.hidden_local("sum", Ty::I32));
        let (array, value) = (self.hidden_local("array", Ty::Objs), self.expression(Ty::Objs, 1));
        let result = self.some_local(Ty::I32).unwrap_or_else(|| sum.clone());
        let new = self.expression(Ty::This, 1);
        let element = format!("(array.get $objs (local.get {array}) (local.get {index}))");
        let object = match self.program.null_elements {
            true => format!("(br_on_null {name}_skip {element})"),
            false => format!("(ref.as_non_null {element})"),
        };
        format!(
            "(local.set {array} {value}) (local.set {sum} (i32.const 0)) (local.set {index} (i32.const 0))
    (block {name}_end (loop {name}
      (br_if {name}_end (i32.ge_u (local.get {index}) (array.len (local.get {array}))))
      (block {name}_skip
        (local.set {sum} (i32.add (local.get {sum}) (struct.get $obj 1 {object})))
        (array.set $objs (local.get {array}) (local.get {index}) {new}))
      (local.set {index} (i32.add (local.get {index}) (i32.const 1)))
      (br {name})))
    (local.set {result} (local.get {sum}))"
        )
    }

    /// A loop with any condition, that burns fuel.
    fn fuelled(&mut self, depth: u32) -> String {
        let (name, body, condition) = (self.name("loop"), self.statements(depth), self.condition(2));
        format!(
            "(loop {name} {body} (br_if {name} (if (result i32) (global.get $fuel) (then {BURN} {condition}) (else (i32.const 0)))))"
        )
    }

    pub(super) fn throw(&mut self) -> String {
        let condition = self.condition(1);
        let throw = match (self.below(3), self.some_local(Ty::Exception)) {
            // A null exception traps: only what was caught is thrown again.
            (0, Some(local)) => {
                format!("(if (i32.eqz (ref.is_null (local.get {local}))) (then (throw_ref (local.get {local}))))")
            }
            (1, _) => format!("(throw $small {})", self.expression(Ty::I32, 1)),
            _ => {
                let payload = if self.program.references_in_tags { Ty::Obj } else { Ty::I64 };
                format!("(throw $large{})", self.values(&[Ty::I32, payload], 1))
            }
        };
        format!("(if {condition} (then {throw}))")
    }

    pub(super) fn try_catch(&mut self, depth: u32) -> String {
        self.guarded(|this| format!("{}{}{}", this.statements(depth), this.throw(), this.statements(depth.min(1))))
    }

    /// Something with a handler around it: for one tag, both, or all, with the exception or without.
    pub(super) fn guarded(&mut self, emit: impl FnOnce(&mut Self) -> String) -> String {
        let body = emit(self);
        let name = self.name("try");
        let keep = self.one_in(2);
        let (with, exn) = if keep { ("_ref", " exnref") } else { ("", "") };
        let exception = self.some_local(Ty::Exception).unwrap_or_default();
        let number = self.some_local(Ty::I32).unwrap_or_else(|| self.hidden_local("caught", Ty::I32));
        let kept = if keep { format!("(local.set {exception}) ") } else { String::new() };
        let again = match keep && self.one_in(3) {
            true => format!("(if {} (then (throw_ref (local.get {exception}))))", self.condition(1)),
            false => String::new(),
        };
        match self.below(3) {
            0 => format!(
                "(block {name}_end (block {name} (result i32{exn}) (try_table (catch{with} $small {name}) {body}) (br {name}_end)) {kept}(local.set {number}) {again})"
            ),
            1 => {
                let result = if keep { "(result exnref)" } else { "" };
                format!(
                    "(block {name}_end (block {name} {result} (try_table (catch_all{with} {name}) {body}) (br {name}_end)) {kept}{again})"
                )
            }
            _ => {
                let (payload, local) = match self.program.references_in_tags {
                    true => ("(ref null $obj)", self.some_local(Ty::Obj)),
                    false => ("i64", self.some_local(Ty::I64)),
                };
                let payload_set = local.map_or("(drop)".to_owned(), |local| format!("(local.set {local})"));
                format!(
                    "(block {name}_end (block {name} (result i32{exn}) (block {name}_large (result i32 {payload}{exn}) (try_table (catch{with} $small {name}) (catch{with} $large {name}_large) {body}) (br {name}_end)) {kept}{payload_set} (local.set {number}) (br {name}_end)) {kept}(local.set {number}) {again})"
                )
            }
        }
    }
}
