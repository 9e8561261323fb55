//! Statements: text that changes locals, objects, arrays, globals and memory.

use super::body::{Body, Signature, Ty};

/// What locals are assigned to, mostly.
const ASSIGNED: [Ty; 14] = [
    Ty::I32,
    Ty::I32,
    Ty::I64,
    Ty::F64,
    Ty::Obj,
    Ty::Obj,
    Ty::This,
    Ty::Any,
    Ty::Ints,
    Ty::Objs,
    Ty::F32,
    Ty::Cell,
    Ty::Cell,
    Ty::V128,
];

/// Arrays: their type, its name, what their elements are.
const ARRAYS: [(Ty, &str, Ty); 7] = [
    (Ty::Shorts, "shorts", Ty::I32),
    (Ty::Longs, "longs", Ty::I64),
    (Ty::Floats, "floats", Ty::F32),
    (Ty::Ints, "ints", Ty::I32),
    (Ty::Bytes, "bytes", Ty::I32),
    (Ty::Objs, "objs", Ty::Obj),
    (Ty::Anys, "anys", Ty::Any),
];

impl Body<'_> {
    /// Some statements with at most `depth` levels of others inside.
    pub(super) fn statements(&mut self, depth: u32) -> String {
        let count = 1 + self.below(3);
        (0..count).map(|_| format!("{}\n    ", self.statement(depth))).collect()
    }

    fn statement(&mut self, depth: u32) -> String {
        let nested = depth > 0;
        match self.below(39) {
            26 | 27 => self.over_lanes(),
            28 | 29 => self.change_cell(),
            30 | 31 if nested => self.carried(depth - 1),
            32 if nested => self.switch(depth - 1),
            33 => self.leave(),
            34 if self.calls && nested => self.guarded(|this| this.call() + &this.leave()),
            35 => format!("(global.set $hook {})", self.expression(Ty::Method, 1)),
            36 if self.program.vectors => format!("(v128.store {} {})", self.address(1), self.expression(Ty::V128, 2)),
            37 | 38 => self.seldom_needed(),
            0..=2 => self.assign(),
            3 | 4 => self.set_field(),
            5 | 6 => self.set_element(),
            7 => self.set_global(),
            8 => self.copy_or_fill(),
            9 if nested => format!(
                "(if {} (then {}) (else {}))",
                self.condition(2),
                self.statements(depth - 1),
                self.statements(depth - 1)
            ),
            10 if nested => {
                let name = self.name("b");
                let (before, condition) = (self.statements(depth - 1), self.condition(1));
                format!("(block {name} {before}(br_if {name} {condition}) {})", self.statements(depth - 1))
            }
            11..=14 if nested => self.some_loop(depth - 1),
            15 | 16 if nested => self.try_catch(depth - 1),
            17 if self.one_in(3) => self.throw(),
            18 | 19 if self.calls => self.call(),
            20..=22 if self.depth > 0 => self.call_once(depth),
            23 => self.change_table_or_segment(),
            24 => format!("(i32.store8 {} {})", self.address(1), self.expression(Ty::I32, 2)),
            25 => format!("(i64.store {} {})", self.address(1), self.expression(Ty::I64, 2)),
            _ => self.assign(),
        }
    }

    fn assign(&mut self) -> String {
        let ty = self.one_of(&ASSIGNED);
        match self.some_local(ty) {
            Some(local) => format!("(local.set {local} {})", self.expression(ty, 3)),
            None => self.set_global(),
        }
    }

    fn set_field(&mut self) -> String {
        let object = self.expression(Ty::This, 1);
        match self.below(5) {
            0 => format!("(struct.set $obj 1 {object} {})", self.expression(Ty::I32, 3)),
            1 | 2 => format!("(struct.set $obj 2 {object} {})", self.expression(Ty::Obj, 2)),
            3 => {
                let (name, value) = (self.name("set"), self.expression(Ty::I64, 2));
                format!(
                    "(block {name} (result (ref null $obj)) (struct.set $c1 3 (br_on_cast_fail {name} (ref null $obj) (ref $c1) {object}) {value}) (ref.null $obj)) (drop)"
                )
            }
            _ if self.program.mutable_tables => {
                let place = if self.one_in(2) { 0 } else { 2 };
                let table = if self.one_in(2) && !self.program.own_tables {
                    "(global.get $vt_mut)"
                } else {
                    "(global.get $vt_a)"
                };
                format!("(struct.set $vt {place} {table} (ref.func {}))", self.program.method(0))
            }
            _ => {
                let (name, value) = (self.name("set"), self.expression(Ty::Any, 2));
                format!(
                    "(block {name} (result (ref null $obj)) (struct.set $c1 4 (br_on_cast_fail {name} (ref null $obj) (ref $c1) {object}) {value}) (ref.null $obj)) (drop)"
                )
            }
        }
    }

    /// Elements that may be null only if the program has such.
    fn element_value(&mut self, ty: Ty) -> String {
        match ty {
            Ty::Obj if !self.program.null_elements => self.expression(Ty::This, 2),
            Ty::Any if !self.program.null_elements => match self.one_in(2) {
                true => format!("(ref.i31 {})", self.expression(Ty::I32, 2)),
                false => self.expression(Ty::This, 2),
            },
            _ => self.expression(ty, 2),
        }
    }

    fn set_element(&mut self) -> String {
        let (array, name, element) = self.one_of(&ARRAYS);
        let array = self.expression(array, 1);
        format!("(array.set ${name} {array} {} {})", self.index(1), self.element_value(element))
    }

    fn set_global(&mut self) -> String {
        match self.below(6) {
            0 => format!("(global.set $knob{} {})", self.below(2), self.expression(Ty::I32, 2)),
            1 => format!("(global.set $wide {})", self.expression(Ty::I64, 2)),
            2 => format!("(global.set $root {})", self.expression(Ty::Obj, 2)),
            3 => format!("(global.set $kept {})", self.expression(Ty::Any, 2)),
            4 => format!("(global.set $shared_objs {})", self.expression(Ty::Objs, 2)),
            _ => format!("(global.set $shared_anys {})", self.expression(Ty::Anys, 2)),
        }
    }

    /// Copies within arrays and between them, in either direction; fills.
    fn copy_or_fill(&mut self) -> String {
        let (ty, name, element) = self.one_of(&ARRAYS);
        let (to, at) = (self.expression(ty, 1), self.below(5));
        let count =
            if self.one_in(2) { format!("(i32.and (i32.const 3) {})", self.int(1)) } else { "(i32.const 3)".into() };
        match self.below(3) {
            0 => format!("(array.fill ${name} {to} (i32.const {at}) {} {count})", self.element_value(element)),
            1 => format!(
                "(array.copy ${name} ${name} {to} (i32.const {at}) {} (i32.const {}) {count})",
                self.expression(ty, 1),
                self.below(5)
            ),
            _ => {
                // The same array, so that the ranges overlap.
                let local = self.hidden_local("same", ty);
                let from = self.below(5);
                format!(
                    "(local.set {local} {to}) (array.copy ${name} ${name} (local.get {local}) (i32.const {at}) (local.get {local}) (i32.const {from}) {count})"
                )
            }
        }
    }

    fn change_table_or_segment(&mut self) -> String {
        match self.below(28) {
            24 | 25 => format!(
                "(memory.copy {} {} (i32.and (i32.const 63) {}))",
                self.address(1),
                self.address(1),
                self.int(1)
            ),
            26 => format!("(memory.fill {} {} (i32.and (i32.const 63) {}))", self.address(1), self.int(1), self.int(1)),
            27 => format!(
                "(memory.init $data {} (i32.const {}) (i32.const {}))",
                self.address(1),
                self.below(9),
                self.below(9)
            ),
            0 if self.one_in(8) => {
                self.one_of(&["(data.drop $data)", "(elem.drop $methods)", "(elem.drop $boxes)"]).into()
            }
            3 => format!("(drop (table.grow $table (ref.func {}) (i32.const 1)))", self.program.method(0)),
            4..=8 => format!("(table.set $table (i32.const {}) (ref.func {}))", self.below(3), self.program.method(0)),
            9..=12 => format!("(table.set $typed (i32.const {}) {})", self.below(6), self.expression(Ty::Method, 1)),
            13 => "(table.copy $typed $typed (i32.const 1) (i32.const 0) (i32.const 4))".into(),
            14 => "(table.init $typed $methods (i32.const 2) (i32.const 1) (i32.const 3))".into(),
            15..=18 => format!(
                "(array.init_data $bytes $data {} (i32.const 1) (i32.const 2) (i32.const 4))",
                self.expression(Ty::Bytes, 1)
            ),
            19 if self.program.null_elements => {
                format!(
                    "(array.init_elem $anys $boxes {} (i32.const 2) (i32.const 0) (i32.const 3))",
                    self.expression(Ty::Anys, 1)
                )
            }
            _ => self.set_element(),
        }
    }

    /// A call of a method or of a plain function.
    fn call(&mut self) -> String {
        if self.one_in(2) {
            let is_wide = self.one_in(2);
            return format!("(drop {})", self.method_call(2, is_wide));
        }
        let index = self.below(self.program.plain.len() as u64) as usize;
        let signature = self.program.plain[index].clone();
        self.call_of(&format!("$plain_{index}"), &signature)
    }

    /// A call of a function that has no other, mostly in a loop.
    fn call_once(&mut self, depth: u32) -> String {
        let name = format!("$once_{}", self.program.once);
        self.program.once += 1;
        let signature = Signature::draw(&mut self.program.rng, self.program.vectors);
        self.program.pending.push((name.clone(), signature.clone(), self.depth - 1));
        match self.below(4) {
            0 => self.call_of(&name, &signature),
            1 if depth > 0 => self.guarded(|this| this.call_of(&name, &signature)),
            _ => self.counted(|this| this.call_of(&name, &signature)),
        }
    }

    /// Calls, and assigns results to locals of their types or drops them.
    fn call_of(&mut self, name: &str, signature: &Signature) -> String {
        format!("(call {name}{})", self.values(&signature.params, 1)) + &self.taken(&signature.results)
    }

    /// Takes values of these types from the stack: assigns them to locals, or drops them.
    pub(super) fn taken(&mut self, types: &[Ty]) -> String {
        let take = |&ty| match self.some_local(ty) {
            Some(local) => format!(" (local.set {local})"),
            None => " (drop)".to_owned(),
        };
        types.iter().rev().map(take).collect()
    }
}
