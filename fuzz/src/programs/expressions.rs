//! Expressions: text that leaves a value of a type on the stack.

use super::body::{Body, Signature, Ty};

/// Arithmetic that never traps.
const ARITHMETIC: [&str; 11] = ["add", "sub", "mul", "and", "or", "xor", "shl", "shr_u", "shr_s", "rotl", "add"];

/// Operators with one operand.
const UNARY: [&str; 5] = ["clz", "ctz", "popcnt", "extend8_s", "extend16_s"];

/// Divisions, of which the divisor must not be zero, and a quotient may be out of range.
const DIVISIONS: [&str; 4] = ["rem_u", "rem_s", "div_u", "div_s"];

const FLOAT_UNARY: [&str; 5] = ["floor", "ceil", "trunc", "nearest", "sqrt"];

const FLOAT_COMPARISONS: [&str; 6] = ["eq", "ne", "lt", "gt", "le", "ge"];

const COMPARISONS: [&str; 10] = ["eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"];

const FLOAT_ARITHMETIC: [&str; 6] = ["add", "sub", "mul", "min", "max", "add"];

/// Nearly all arrays are longer than indices of this mask.
const INDEX_MASK: u32 = 7;

impl Body<'_> {
    /// A value of a type, made with at most `depth` levels of operators.
    pub(super) fn expression(&mut self, ty: Ty, depth: u32) -> String {
        if (depth == 0 || self.one_in(4))
            && let Some(local) = self.some_local(ty)
        {
            return format!("(local.get {local})");
        }
        let depth = depth.saturating_sub(1);
        match ty {
            Ty::I32 => self.int(depth),
            Ty::I64 => self.long(depth),
            Ty::F64 => self.float(depth),
            Ty::Obj => self.object_or_null(depth),
            Ty::This => self.object(depth),
            Ty::Any => self.any(depth),
            Ty::Ints => self.ints(depth),
            Ty::Bytes => self.bytes(depth),
            Ty::Objs => self.objs(depth),
            Ty::Anys => self.anys(depth),
            Ty::F32 => self.single(depth),
            Ty::Shorts => self.numbers("shorts", "(i32.const 5)"),
            Ty::Longs => self.numbers("longs", "(global.get $wide)"),
            Ty::Floats => self.numbers("floats", "(f32.const 2.5)"),
            Ty::Cell => self.cell(depth),
            Ty::V128 => self.vector(depth),
            Ty::Method => self.function_reference(depth),
            Ty::Exception => "(ref.null exn)".into(),
        }
    }

    pub(super) fn int(&mut self, depth: u32) -> String {
        if depth == 0 {
            return match self.below(4) {
                0 => format!("(global.get $knob{})", self.below(2)),
                1 if !self.counters.is_empty() => {
                    let index = self.below(self.counters.len() as u64) as usize;
                    format!("(local.get {})", self.counters[index])
                }
                _ => format!("(i32.const {})", self.program.small()),
            };
        }
        match self.below(27) {
            26 => format!("(i32.{}{})", self.one_of(&UNARY), self.values(&[Ty::I32], depth)),
            20 => self.ladder(depth),
            21 => self.tried(depth),
            22 => self.of_cell(Ty::I32, depth),
            23 => format!("(array.get_u $shorts {} {})", self.expression(Ty::Shorts, depth), self.index(depth)),
            24 => format!("(i32.trunc_sat_f32_s{})", self.values(&[Ty::F32], depth)),
            25 if self.program.vectors => self.of_vector(depth),
            0..=3 => {
                let operator = self.one_of(&ARITHMETIC);
                format!("(i32.{operator}{})", self.values(&[Ty::I32, Ty::I32], depth))
            }
            4 | 5 => self.condition(depth),
            6 => format!("(i32.wrap_i64{})", self.values(&[Ty::I64], depth)),
            7 => format!("(struct.get $obj 1{})", self.values(&[Ty::This], depth)),
            8 => format!("(array.get $ints {} {})", self.expression(Ty::Ints, depth), self.index(depth)),
            9 => {
                let sign = if self.one_in(2) { "s" } else { "u" };
                format!("(array.get_{sign} $bytes {} {})", self.expression(Ty::Bytes, depth), self.index(depth))
            }
            10 => format!(
                "(i32.{} {} (i32.or (i32.const 1){}))",
                self.one_of(&DIVISIONS),
                self.expression(Ty::I32, depth),
                self.values(&[Ty::I32], 0)
            ),
            11 => format!("(i32.trunc_sat_f64_s{})", self.values(&[Ty::F64], depth)),
            12 => format!("(i32.load8_u {})", self.address(depth)),
            13 => self.unboxed(depth),
            14..=16 if self.calls => self.method_call(depth, false),
            17 => {
                let array = self.one_of(&[Ty::Ints, Ty::Bytes, Ty::Objs, Ty::Anys, Ty::Shorts, Ty::Floats]);
                format!("(array.len {})", self.expression(array, depth))
            }
            18 => self.choice(Ty::I32, depth),
            _ => format!("(i32.const {})", self.program.small()),
        }
    }

    /// A number that is zero or one.
    pub(super) fn condition(&mut self, depth: u32) -> String {
        let depth = depth.saturating_sub(1);
        match self.below(8) {
            7 => {
                let comparison = self.one_of(&FLOAT_COMPARISONS);
                format!("(f64.{comparison}{})", self.values(&[Ty::F64, Ty::F64], depth))
            }
            0 | 1 => {
                let comparison = self.one_of(&COMPARISONS);
                format!("(i32.{comparison}{})", self.values(&[Ty::I32, Ty::I32], depth))
            }
            2 => format!("(i64.lt_s{})", self.values(&[Ty::I64, Ty::I64], depth)),
            3 => format!("(ref.eq{})", self.values(&[Ty::Obj, Ty::Obj], depth)),
            4 => format!("(ref.is_null{})", self.values(&[Ty::Obj], depth)),
            5 => format!("(ref.test (ref $c1){})", self.values(&[Ty::Obj], depth)),
            _ => {
                let ty = self.one_of(&["i31", "$obj", "$c2", "$ints", "array", "struct"]);
                format!("(ref.test (ref {ty}){})", self.values(&[Ty::Any], depth))
            }
        }
    }

    pub(super) fn long(&mut self, depth: u32) -> String {
        if depth == 0 {
            return if self.one_in(3) {
                "(global.get $wide)".into()
            } else {
                format!("(i64.const {})", self.program.small())
            };
        }
        match self.below(15) {
            12 => format!("(i64.{}{})", self.one_of(&UNARY), self.values(&[Ty::I64], depth)),
            13 => format!(
                "(i64.{} {} (i64.or (i64.const 1){}))",
                self.one_of(&DIVISIONS),
                self.expression(Ty::I64, depth),
                self.values(&[Ty::I64], 0)
            ),
            14 => format!("(i64.trunc_sat_f64_u{})", self.values(&[Ty::F64], depth)),
            9 => self.of_cell(Ty::I64, depth),
            10 => format!("(array.get $longs {} {})", self.expression(Ty::Longs, depth), self.index(depth)),
            11 if self.program.vectors => format!("(i64x2.extract_lane 1{})", self.values(&[Ty::V128], depth)),
            0..=2 => {
                let operator = self.one_of(&ARITHMETIC);
                format!("(i64.{operator}{})", self.values(&[Ty::I64, Ty::I64], depth))
            }
            3 => format!("(i64.extend_i32_s{})", self.values(&[Ty::I32], depth)),
            4 => format!("(i64.load {})", self.address(depth)),
            5 => {
                let (name, object) = (self.name("c1_"), self.expression(Ty::Obj, depth));
                let otherwise = self.long(0);
                format!(
                    "(block {name} (result i64) (block {name}_no (result (ref null $obj)) (br {name} (struct.get $c1 3 (br_on_cast_fail {name}_no (ref null $obj) (ref $c1) {object})))) (drop) {otherwise})"
                )
            }
            6 if self.calls => self.method_call(depth, true),
            7 => self.choice(Ty::I64, depth),
            _ => format!("(i64.const {})", self.program.rng.bits() as i64),
        }
    }

    fn float(&mut self, depth: u32) -> String {
        if depth == 0 {
            return format!("(f64.const {}.5)", self.program.small());
        }
        match self.below(6) {
            0 => format!("(f64.convert_i32_s{})", self.values(&[Ty::I32], depth)),
            1 => self.choice(Ty::F64, depth),
            2 => format!("(f64.{}{})", self.one_of(&FLOAT_UNARY), self.values(&[Ty::F64], depth)),
            3 => format!("(f64.promote_f32{})", self.values(&[Ty::F32], depth)),
            _ => {
                let operator = self.one_of(&FLOAT_ARITHMETIC);
                format!("(f64.{operator}{})", self.values(&[Ty::F64, Ty::F64], depth))
            }
        }
    }

    fn single(&mut self, depth: u32) -> String {
        if depth == 0 {
            return format!("(f32.const {}.25)", self.program.small());
        }
        match self.below(6) {
            0 => format!("(f32.convert_i32_s{})", self.values(&[Ty::I32], depth)),
            1 => format!("(f32.demote_f64{})", self.values(&[Ty::F64], depth)),
            2 => format!("(array.get $floats {} {})", self.expression(Ty::Floats, depth), self.index(depth)),
            3 => self.of_cell(Ty::F32, depth),
            _ => {
                let operator = self.one_of(&FLOAT_ARITHMETIC);
                format!("(f32.{operator}{})", self.values(&[Ty::F32, Ty::F32], depth))
            }
        }
    }

    /// An array of numbers: the one that all share, or a new one.
    fn numbers(&mut self, name: &str, first: &str) -> String {
        match self.one_in(3) {
            true => format!("(array.new ${name} {first} {})", self.length()),
            false => format!("(global.get $shared_{name})"),
        }
    }

    /// One of two values, by branches or without.
    pub(super) fn choice(&mut self, ty: Ty, depth: u32) -> String {
        let (condition, values) = (self.condition(depth), [self.expression(ty, depth), self.expression(ty, depth)]);
        let result = ty.text();
        match self.one_in(2) {
            true => format!("(select (result {result}) {} {} {condition})", values[0], values[1]),
            false => format!("(if (result {result}) {condition} (then {}) (else {}))", values[0], values[1]),
        }
    }

    fn object_or_null(&mut self, depth: u32) -> String {
        match self.below(8) {
            0 => "(ref.null $obj)".into(),
            1 => "(global.get $root)".into(),
            2 if depth > 0 => format!("(struct.get $obj 2{})", self.values(&[Ty::This], depth)),
            3 if depth > 0 => format!("(array.get $objs {} {})", self.expression(Ty::Objs, depth), self.index(depth)),
            4 if depth > 0 => self.choice(Ty::Obj, depth),
            5 if depth > 0 => {
                let (name, any) = (self.name("cast"), self.expression(Ty::Any, depth));
                format!(
                    "(block {name} (result (ref null $obj)) (drop (br_on_cast {name} anyref (ref $obj) {any})) (ref.null $obj))"
                )
            }
            _ => self.object(depth),
        }
    }

    fn object(&mut self, depth: u32) -> String {
        if self.one_in(3)
            && let Some(local) = self.some_local(Ty::This)
        {
            return format!("(local.get {local})");
        }
        match self.below(8) {
            0 if depth > 0 => {
                let (name, object) = (self.name("some"), self.expression(Ty::Obj, depth));
                let new = self.new_object(0);
                format!("(block {name} (result (ref $obj)) (br_on_non_null {name} {object}) {new})")
            }
            1 if depth > 0 => self.choice(Ty::This, depth),
            2 if depth > 0 && self.one_in(4) => format!("(ref.as_non_null{})", self.values(&[Ty::Obj], depth)),
            3 if depth > 0 && self.one_in(4) => format!("(ref.cast (ref $obj){})", self.values(&[Ty::Any], depth)),
            4 if depth > 0 && self.one_in(8) => format!("(ref.cast (ref $c1){})", self.values(&[Ty::Obj], depth)),
            _ => self.new_object(depth),
        }
    }

    fn new_object(&mut self, depth: u32) -> String {
        let next = if depth == 0 { " (ref.null $obj)".into() } else { self.values(&[Ty::Obj], depth) };
        let value = self.int(depth.min(1));
        let own = self.program.own_tables;
        let wide_tables = if own { ["$vt_c", "$vt_d"] } else { [if self.one_in(2) { "$vt_c" } else { "$vt_d" }; 2] };
        match self.below(4) {
            0 => format!(
                "(struct.new $c1 (global.get {}) {value}{next} {} {})",
                wide_tables[0],
                self.long(0),
                self.any(0)
            ),
            1 => format!(
                "(struct.new $c2 (global.get {}) {value}{next} {} {} {} (ref.null $objs))",
                wide_tables[1],
                self.long(0),
                self.any(0),
                self.float(0)
            ),
            _ => {
                let tables = ["$vt_a", "$vt_b", "$vt_mut", "$vt_c"];
                let table = self.one_of(if own { &tables[..2] } else { &tables });
                format!("(struct.new $obj (global.get {table}) {value}{next})")
            }
        }
    }

    fn any(&mut self, depth: u32) -> String {
        if depth == 0 {
            return match self.below(4) {
                0 => "(global.get $kept)".into(),
                1 if self.program.null_elements => "(ref.null any)".into(),
                _ => format!("(ref.i31 {})", self.int(0)),
            };
        }
        match self.below(9) {
            0..=2 => format!("(ref.i31{})", self.values(&[Ty::I32], depth)),
            3 => self.expression(Ty::Obj, depth),
            4 => format!("(array.get $anys {} {})", self.expression(Ty::Anys, depth), self.index(depth)),
            5 => {
                let array = self.one_of(&[Ty::Ints, Ty::Objs, Ty::Anys, Ty::Cell, Ty::Shorts, Ty::Bytes]);
                self.expression(array, depth)
            }
            6 if self.program.converts => {
                format!("(any.convert_extern (extern.convert_any{}))", self.values(&[Ty::Any], depth))
            }
            7 => self.choice(Ty::Any, depth),
            _ => self.object(depth),
        }
    }

    /// The number in a box, or what there is instead.
    fn unboxed(&mut self, depth: u32) -> String {
        let (name, any, no) = (self.name("box"), self.expression(Ty::Any, depth), self.int(0));
        let sign = if self.one_in(2) { "s" } else { "u" };
        format!(
            "(block {name} (result i32) (block {name}_no (result anyref) (br {name} (i31.get_{sign} (br_on_cast_fail {name}_no anyref (ref i31) {any})))) (drop) {no})"
        )
    }

    /// A length of a new array.
    fn length(&mut self) -> String {
        let shortest = if self.one_in(40) { 0 } else { INDEX_MASK + 1 };
        match self.one_in(4) {
            true => format!("(i32.add (i32.const {shortest}) (i32.and (i32.const 15) {}))", self.int(0)),
            false => format!("(i32.const {})", u64::from(shortest) + self.below(12)),
        }
    }

    fn ints(&mut self, depth: u32) -> String {
        match self.below(4) {
            0 | 1 => "(global.get $shared_ints)".into(),
            2 => format!("(array.new_data $ints $data (i32.const {}) (i32.const 8))", self.below(3)),
            _ => format!("(array.new $ints {} {})", self.int(depth), self.length()),
        }
    }

    fn bytes(&mut self, depth: u32) -> String {
        match self.below(4) {
            0 | 1 => "(global.get $shared_bytes)".into(),
            2 => format!(
                "(array.new_data $bytes $data (i32.const {}) (i32.const {}))",
                self.below(5),
                8 + self.below(20)
            ),
            _ => format!("(array.new $bytes {} {})", self.int(depth), self.length()),
        }
    }

    fn objs(&mut self, depth: u32) -> String {
        match self.below(8) {
            0..=2 => "(ref.as_non_null (global.get $shared_objs))".into(),
            3 => format!("(array.new_fixed $objs 8{})", self.elements(Ty::This, 8)),
            4 if self.program.null_elements => format!("(array.new_default $objs {})", self.length()),
            5 if self.program.null_elements => {
                format!("(array.new $objs {} {})", self.expression(Ty::Obj, depth), self.length())
            }
            _ => format!("(array.new $objs {} {})", self.object(depth), self.length()),
        }
    }

    fn anys(&mut self, depth: u32) -> String {
        match self.below(8) {
            0..=3 => "(ref.as_non_null (global.get $shared_anys))".into(),
            4 if self.program.null_elements => format!("(array.new_default $anys {})", self.length()),
            5 if self.program.null_elements => {
                format!("(array.new_elem $anys $boxes (i32.const {}) (i32.const {}))", self.below(3), self.below(2))
            }
            6 => format!("(array.new_fixed $anys 8{})", self.elements(Ty::This, 8)),
            _ => {
                let box_or_object = match self.one_in(2) {
                    true => format!("(ref.i31 {})", self.int(depth)),
                    false => self.object(depth),
                };
                format!("(array.new $anys {box_or_object} {})", self.length())
            }
        }
    }

    fn elements(&mut self, ty: Ty, count: usize) -> String {
        self.values(&vec![ty; count], 0)
    }

    /// An index, nearly always of an element.
    pub(super) fn index(&mut self, depth: u32) -> String {
        match self.below(60) {
            0 => self.int(depth),
            1..=15 => format!("(i32.const {})", self.below(u64::from(INDEX_MASK) + 1)),
            _ => format!("(i32.and (i32.const {INDEX_MASK}) {})", self.int(depth)),
        }
    }

    /// An address in the first page.
    pub(super) fn address(&mut self, depth: u32) -> String {
        format!("(i32.and (i32.const 255) {})", self.int(depth))
    }

    fn function_reference(&mut self, depth: u32) -> String {
        match self.below(7) {
            6 => "(global.get $hook)".into(),
            0 => format!("(table.get $typed (i32.const {}))", self.below(6)),
            1 => format!(
                "(array.get $funcs (array.new_elem $funcs $methods (i32.const 0) (i32.const 6)) (i32.rem_u {} (i32.const 6)))",
                self.int(depth)
            ),
            2 | 3 => format!("(ref.func {})", self.program.method(0)),
            _ => {
                let place = if self.one_in(2) { 0 } else { 2 };
                format!("(struct.get $vt {place} (struct.get $obj 0{}))", self.values(&[Ty::This], depth))
            }
        }
    }

    /// A call of a method of one of the two signatures, through its table or otherwise.
    pub(super) fn method_call(&mut self, depth: u32, is_wide: bool) -> String {
        let kind = usize::from(is_wide);
        let params = Signature::method(kind).params;
        let this = self.some_local(Ty::This);
        match (this, self.below(6)) {
            (Some(this), 0..=2) => {
                let rest = self.values(&params[1..], depth.min(1));
                let place = if is_wide { 1 } else { 2 * self.below(2) };
                format!(
                    "(call_ref $m{kind} (local.get {this}){rest} (struct.get $vt {place} (struct.get $obj 0 (local.get {this}))))"
                )
            }
            (_, 3) if !is_wide => {
                let operands = self.values(&params, depth.min(1));
                format!("(call_ref $m0{operands} {})", self.function_reference(depth.min(1)))
            }
            (_, 4) => {
                let operands = self.values(&params, depth.min(1));
                let element = if is_wide { 3 + 4 * self.below(2) } else { self.below(3) };
                format!("(call_indirect $table (type $m{kind}){operands} (i32.const {element}))")
            }
            _ => {
                let operands = self.values(&params, depth.min(1));
                format!("(call {}{operands})", self.program.method(kind))
            }
        }
    }

    /// A call in place of the function's frame, if one fits its results.
    pub(super) fn tail_call(&mut self) -> Option<String> {
        let kind = (0..2).find(|&kind| Signature::method(kind).results == self.signature.results);
        if let Some(kind) = kind {
            let operands = self.values(&Signature::method(kind).params, 1);
            return Some(match self.below(3) {
                0 if kind == 0 => format!("(return_call_ref $m0{operands} {})", self.function_reference(1)),
                1 => format!(
                    "(return_call_indirect $table (type $m{kind}){operands} (i32.const {}))",
                    if kind == 0 { 1 } else { 3 }
                ),
                _ => format!("(return_call {}{operands})", self.program.method(kind)),
            });
        }
        let index = self.program.plain.iter().position(|plain| plain.results == self.signature.results)?;
        let params = self.program.plain[index].params.clone();
        Some(format!("(return_call $plain_{index}{})", self.values(&params, 1)))
    }
}
