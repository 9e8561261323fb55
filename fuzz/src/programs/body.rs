//! A function under construction: its signature, its locals, its text.

use super::Program;
use crate::generate::Rng;

/// Types of values that bodies work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ty {
    I32,
    I64,
    F64,
    /// An object of the root class, or null.
    Obj,
    /// The same, not null.
    This,
    Any,
    Ints,
    Bytes,
    Objs,
    Anys,
    F32,
    Shorts,
    Longs,
    Floats,
    /// An object that mostly stays in its function.
    Cell,
    Method,
    Exception,
    V128,
}

impl Ty {
    /// Types of parameters and results; the last one only in programs with vectors.
    const PASSED: [Self; 15] = [
        Self::I32,
        Self::I64,
        Self::F64,
        Self::Obj,
        Self::This,
        Self::Any,
        Self::Ints,
        Self::Bytes,
        Self::Objs,
        Self::Anys,
        Self::F32,
        Self::Shorts,
        Self::Longs,
        Self::Cell,
        Self::V128,
    ];

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F64 => "f64",
            Self::Obj => "(ref null $obj)",
            Self::This => "(ref $obj)",
            Self::Any => "anyref",
            Self::Ints => "(ref $ints)",
            Self::Bytes => "(ref $bytes)",
            Self::Objs => "(ref $objs)",
            Self::Anys => "(ref $anys)",
            Self::F32 => "f32",
            Self::Shorts => "(ref $shorts)",
            Self::Longs => "(ref $longs)",
            Self::Floats => "(ref $floats)",
            Self::Cell => "(ref $cell)",
            Self::V128 => "v128",
            Self::Method => "(ref null $m0)",
            Self::Exception => "exnref",
        }
    }
}

/// Parameters and results of a function.
#[derive(Clone, Debug)]
pub(super) struct Signature {
    /// The name of the type in which methods have it.
    pub(super) named: Option<&'static str>,
    pub(super) params: Vec<Ty>,
    pub(super) results: Vec<Ty>,
}

impl Signature {
    /// That of the methods in the table at an even place, or at an odd one.
    pub(super) fn method(kind: usize) -> Self {
        match kind {
            0 => Self { named: Some("$m0"), params: vec![Ty::This, Ty::I32], results: vec![Ty::I32] },
            _ => Self { named: Some("$m1"), params: vec![Ty::This, Ty::I64, Ty::Obj], results: vec![Ty::I64] },
        }
    }

    pub(super) fn entry() -> Self {
        Self { named: None, params: vec![Ty::I32, Ty::I64], results: vec![Ty::I64] }
    }

    /// Mostly few parameters and one result; now and then more than fit registers.
    pub(super) fn draw(rng: &mut Rng, vectors: bool) -> Self {
        let passed = if vectors { &Ty::PASSED[..] } else { &Ty::PASSED[..Ty::PASSED.len() - 1] };
        let mut types = |most: u64| -> Vec<Ty> {
            let count = if rng.one_in(10) { 8 } else { 1 + rng.below(most) };
            (0..count).map(|_| rng.one_of(passed)).collect()
        };
        Self { named: None, params: types(4), results: types(3) }
    }

    pub(super) fn result_text(&self) -> String {
        self.results.iter().map(|ty| format!(" {}", ty.text())).collect()
    }
}

/// A function under construction.
pub(super) struct Body<'p> {
    pub(super) program: &'p mut Program,
    pub(super) signature: Signature,
    /// What may be assigned to: names and types.
    pub(super) locals: Vec<(String, Ty)>,
    /// Counters of the loops around, which only these assign to.
    pub(super) counters: Vec<String>,
    declarations: String,
    names: usize,
    /// How deep functions with one call may still be nested.
    pub(super) depth: usize,
    /// Whether the function calls others.
    pub(super) calls: bool,
}

impl Program {
    /// Writes a function with a random body.
    pub(super) fn function(&mut self, name: &str, signature: &Signature, depth: usize) {
        if signature.named.is_some() && self.rng.one_in(3) {
            return self.getter(name, signature);
        }
        let is_leaf = depth == 0 || depth < 2 && self.rng.one_in(2);
        let mut body = Body {
            program: self,
            signature: signature.clone(),
            locals: Vec::new(),
            counters: Vec::new(),
            declarations: String::new(),
            names: 0,
            depth,
            calls: !is_leaf,
        };
        let params: String = signature.params.iter().map(|&ty| body.param(ty)).collect();
        let early = if body.one_in(3) { body.leave_early() } else { String::new() };
        let receiver = if signature.named.is_some() && body.one_in(2) { body.cast_receiver() } else { String::new() };
        let fuel = if is_leaf { String::new() } else { body.return_without_fuel() };
        let prologue = body.prologue();
        let statements = body.statements(3);
        let end = body.end();
        let declarations = std::mem::take(&mut body.declarations);
        let results = signature.result_text();
        let ty = signature.named.map_or(String::new(), |name| format!(" (type {name})"));
        self.line(&format!(
            "(func {name}{ty}{params} (result{results}){declarations}\n    {early}{receiver}{fuel}{prologue}\n    {statements}\n    {end})"
        ));
        (0..self.fillers).for_each(|_| self.line("(func)"));
    }

    /// Writes a method that is short enough to be inlined wherever it is called, for objects of its class.
    fn getter(&mut self, name: &str, signature: &Signature) {
        let params: String = signature.params.iter().map(|ty| format!(" (param {})", ty.text())).collect();
        let (ty, results) = (signature.named.unwrap_or_default(), signature.result_text());
        let (cast, usual) = (RECEIVER_FIELD, "(i64.extend_i32_s (struct.get $obj 1 (local.get 0)))");
        let convert = if signature.results == [Ty::I32] { "i32.wrap_i64" } else { "i64.clz" };
        let bit = 1 + self.rng.below(2);
        self.line(&format!(
            "(func {name} (type {ty}){params} (result{results}) ({convert} (if (result i64) \
             (i32.and (global.get $knob1) (i32.const {bit})) (then {cast}) (else {usual}))))"
        ));
    }
}

/// A field of the object that a method is called for, which it casts to its class; that fails for others.
const RECEIVER_FIELD: &str = "(struct.get $c1 3 (ref.cast (ref $c1) (local.get 0)))";

/// Burns fuel, of which there must be some.
pub(super) const BURN: &str = "(global.set $fuel (i32.sub (global.get $fuel) (i32.const 1)))";

impl Body<'_> {
    /// What methods begin with.
    fn cast_receiver(&mut self) -> String {
        let number = self.below(4);
        format!("(if (i32.eq (global.get $knob1) (i32.const {number})) (then (global.set $wide {RECEIVER_FIELD})))")
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.program.rng.below(end)
    }

    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.program.rng.one_in(n)
    }

    pub(super) fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        self.program.rng.one_of(items)
    }

    /// A name that nothing in the function has yet.
    pub(super) fn name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("${prefix}{}", self.names)
    }

    fn param(&mut self, ty: Ty) -> String {
        let name = self.name("p");
        self.locals.push((name.clone(), ty));
        format!(" (param {name} {})", ty.text())
    }

    /// A new local that [`locals`](Self::locals) does not have.
    pub(super) fn hidden_local(&mut self, prefix: &str, ty: Ty) -> String {
        let name = self.name(prefix);
        self.declarations += &format!(" (local {name} {})", ty.text());
        name
    }

    /// A new local to assign to; a reference that is not null must be assigned first.
    fn local(&mut self, ty: Ty) -> String {
        let name = self.hidden_local("l", ty);
        self.locals.push((name.clone(), ty));
        name
    }

    /// Returns at once if there is no fuel, and burns some if there is.
    fn return_without_fuel(&mut self) -> String {
        let results = self.signature.results.clone();
        format!("(if (i32.eqz (global.get $fuel)) (then (return{}))) {BURN} ", self.values(&results, 0))
    }

    /// Declares locals; the text assigns those that are not null.
    fn prologue(&mut self) -> String {
        for ty in [Ty::I32, Ty::I32, Ty::I64, Ty::F64, Ty::Obj, Ty::Any, Ty::Exception, Ty::F32] {
            self.local(ty);
        }
        let mut text = String::new();
        if self.program.vectors {
            self.local(Ty::V128);
        }
        for ty in [Ty::This, Ty::Cell, Ty::Shorts, Ty::Longs, Ty::Floats, Ty::Ints, Ty::Bytes, Ty::Objs, Ty::Anys] {
            if self.one_in(3) {
                let value = self.expression(ty, 1);
                text += &format!("(local.set {} {value}) ", self.local(ty));
            }
        }
        text
    }

    /// A local of a type.
    pub(super) fn some_local(&mut self, ty: Ty) -> Option<String> {
        let indices: Vec<usize> = (0..self.locals.len()).filter(|&index| self.locals[index].1 == ty).collect();
        (!indices.is_empty()).then(|| {
            let index = self.one_of(&indices);
            self.locals[index].0.clone()
        })
    }

    /// Values of these types, one after the other.
    pub(super) fn values(&mut self, types: &[Ty], depth: u32) -> String {
        types.iter().map(|&ty| format!(" {}", self.expression(ty, depth))).collect()
    }

    /// What the function returns, or calls instead.
    fn end(&mut self) -> String {
        if self.calls
            && self.one_in(5)
            && let Some(call) = self.tail_call()
        {
            return call;
        }
        let results = self.signature.results.clone();
        self.values(&results, 2)
    }
}
