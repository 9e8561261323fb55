//! Programs: modules of shapes that compilers of object-oriented languages make, one for each seed.
//!
//! wasm-smith ([`generate`](crate::generate)) makes what nobody thought of, but little of what every real program has:
//! classes with method tables, arrays whose elements are never null, functions with one call, loops that count, throws
//! that meet their handler after inlining. Optimisations that look at a whole module do nothing for its modules, which
//! export references or functions of all types. The modules made here are mostly *closed*: only numbers go in and out.
//!
//! | part | what |
//! |---|---|
//! | types | a root class, two subclasses, their method tables (with mutable and nullable fields or without), arrays of all widths, cells |
//! | functions | methods of two signatures, plain functions, and functions with exactly one call; all may recurse |
//! | probes | exported functions that call some of these, and tell what is in globals, arrays and memory afterwards |
//! | knobs | exported mutable globals, which the harness sets before each probe ([`is_knob`]) |
//!
//! Every function that calls burns fuel at its entry, and every loop that does not count does so in each round: without
//! fuel they return, or end. So all programs end soon. Traps are rare, so that most code is executed.

mod body;
mod cells;
mod expressions;
mod lanes;
mod loops;
mod shapes;
mod simd;
mod statements;

use crate::generate::{FUEL, Rng};
use body::Signature;
use lanes::LANES;
use std::fmt::Write as _;

/// Functions that only the runtime of the probes calls.
const HASH: &str = include_str!("hash.wat");

/// Functions with more references as arguments and results than fit registers; they make objects, too.
const MANY_REFERENCES: &str = include_str!("many_references.wat");

/// Probes that call functions.
const PROBES: usize = 4;

/// Functions without a purpose after each other one, which make several partitions of a module.
const FILLERS: usize = 100;

/// Lengths of arrays over which loops take several rounds with the widest vectors, or more rounds than stand between polls.
const LONGER: [usize; 3] = [500, 4096, 9000];

/// What the names of knobs start with.
const KNOB: &str = "knob ";

/// Whether an export of this name is a global of type `i32` that is to be set before each call.
#[must_use]
pub fn is_knob(name: &str) -> bool {
    name.starts_with(KNOB)
}

/// What a knob is set to before the call with a number; `v8.mjs` knows it, too.
#[must_use]
pub fn knob_value(call: usize) -> i32 {
    (call * call) as i32 * 7 - 3
}

/// The module of a seed, in the binary format.
///
/// # Errors
///
/// In words, if the text is wrong or the module invalid: a bug of this generator.
pub fn module(seed: u64) -> Result<Vec<u8>, String> {
    let wasm = wat::parse_str(text(seed)).map_err(|error| error.to_string())?;
    let mut validator = wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all());
    validator.validate_all(&wasm).map_err(|error| error.to_string())?;
    Ok(wasm)
}

/// The module of a seed, as text.
#[must_use]
pub fn text(seed: u64) -> String {
    let mut program = Program::new(Rng::new(seed));
    program.define();
    format!("(module\n{})", program.text)
}

/// Which references cross the boundary of a module.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Boundary {
    None,
    /// Those of the host.
    Host,
    Any,
}

/// What is drawn before anything is written, and what is still to be written.
struct Program {
    rng: Rng,
    text: String,
    boundary: Boundary,
    /// Whether tags carry references.
    references_in_tags: bool,
    /// Whether some elements of each kind of array may be null.
    null_elements: bool,
    null_methods: bool,
    mutable_tables: bool,
    /// Whether no two classes have a method table in common.
    own_tables: bool,
    /// Whether there are vectors of 128 bits.
    vectors: bool,
    /// Whether references are converted to those of the host and back.
    converts: bool,
    /// Methods of both signatures, and plain functions.
    methods: [usize; 2],
    plain: Vec<Signature>,
    /// Functions with one call, of which the bodies are not written yet: name, signature and depth.
    pending: Vec<(String, Signature, usize)>,
    once: usize,
    /// By how many elements shared arrays of numbers are longer than usual.
    longer: usize,
    /// Functions without a purpose after each other one.
    fillers: usize,
}

impl Program {
    fn new(mut rng: Rng) -> Self {
        let boundary = match rng.below(8) {
            0 => Boundary::Any,
            1 => Boundary::Host,
            _ => Boundary::None,
        };
        let vectors = rng.one_in(3);
        let plain = (0..2 + rng.below(4)).map(|_| Signature::draw(&mut rng, vectors)).collect();
        Self {
            text: String::new(),
            boundary,
            references_in_tags: boundary == Boundary::Any && rng.one_in(2),
            null_elements: rng.one_in(2),
            null_methods: rng.one_in(8),
            mutable_tables: rng.one_in(2),
            own_tables: rng.one_in(2),
            vectors,
            converts: rng.one_in(6),
            methods: [3 + rng.below(4) as usize, 2 + rng.below(3) as usize],
            plain,
            pending: Vec::new(),
            once: 0,
            longer: if rng.one_in(5) { rng.one_of(&LONGER) } else { 0 },
            fillers: if rng.one_in(8) { FILLERS } else { 0 },
            rng,
        }
    }

    fn line(&mut self, text: &str) {
        // Writing to a string cannot fail.
        _ = writeln!(self.text, "  {text}");
    }

    fn define(&mut self) {
        self.define_types();
        self.define_globals();
        self.define_segments();
        self.text += HASH;
        LANES.iter().for_each(|lane| self.line(&lane.hash()));
        self.line(cells::HASH);
        self.define_functions();
        self.define_probes();
    }

    fn define_types(&mut self) {
        let (null, mutable) = (if self.null_methods { "null " } else { "" }, self.mutable_tables);
        let method = |name: &str| {
            let ty = format!("(ref {null}${name})");
            if mutable { format!("(field (mut {ty}))") } else { format!("(field {ty})") }
        };
        let (m0, m1) = (method("m0"), method("m1"));
        let table = format!("{m0} {m1} {m0}");
        let obj = "(field (ref $vt)) (field (mut i32)) (field (mut (ref null $obj)))";
        let c1 = format!("{} (field (mut i64)) (field (mut anyref))", obj.replacen("$vt", "$vt1", 1));
        let last = if self.rng.one_in(2) { "final " } else { "" };
        self.line("(rec");
        self.line("  (type $m0 (func (param (ref $obj) i32) (result i32)))");
        self.line("  (type $m1 (func (param (ref $obj) i64 (ref null $obj)) (result i64)))");
        self.line(&format!("  (type $vt (sub (struct {table})))"));
        self.line(&format!("  (type $vt1 (sub $vt (struct {table} {m0})))"));
        self.line(&format!("  (type $obj (sub (struct {obj})))"));
        self.line(&format!("  (type $c1 (sub $obj (struct {c1})))"));
        self.line(&format!("  (type $c2 (sub {last}$c1 (struct {c1} (field f64) (field (mut (ref null $objs))))))"));
        self.line("  (type $objs (array (mut (ref null $obj)))))");
        self.line(cells::TYPE);
        self.line("(type $anys (array (mut anyref)))");
        self.line("(type $funcs (array (mut (ref null $m0))))");
        let payload = if self.references_in_tags { " (ref null $obj)" } else { " i64" };
        self.line("(tag $small (param i32))");
        self.line(&format!("(tag $large (param i32{payload}))"));
    }

    fn method(&mut self, kind: usize) -> String {
        format!("$m{kind}_{}", self.rng.below(self.methods[kind] as u64))
    }

    /// The operands that make a method table.
    fn table_of(&mut self, methods: usize) -> String {
        (0..methods)
            .map(|index| {
                let kind = usize::from(index == 1);
                if self.null_methods && self.rng.one_in(12) {
                    return format!(" (ref.null $m{kind})");
                }
                format!(" (ref.func {})", self.method(kind))
            })
            .collect()
    }

    fn define_globals(&mut self) {
        for (global, ty, methods) in
            [("$vt_a", "$vt", 3), ("$vt_b", "$vt", 3), ("$vt_c", "$vt1", 4), ("$vt_d", "$vt1", 4)]
        {
            let table = self.table_of(methods);
            self.line(&format!("(global {global} (ref {ty}) (struct.new {ty}{table}))"));
        }
        let mutable_table = self.table_of(3);
        self.line(&format!("(global $vt_mut (mut (ref $vt)) (struct.new $vt{mutable_table}))"));
        self.line(&format!("(global $knob0 (export \"{KNOB}0\") (mut i32) (i32.const 1))"));
        self.line(&format!("(global $knob1 (export \"{KNOB}1\") (mut i32) (i32.const 2))"));
        self.line("(global $fuel (mut i32) (i32.const 0))");
        self.line("(global $wide (mut i64) (i64.const 5))");
        self.line("(global $root (mut (ref null $obj)) (ref.null $obj))");
        self.line("(global $kept (mut anyref) (ref.i31 (i32.const 3)))");
        self.line("(global $hook (mut (ref null $m0)) (ref.func $m0_0))");
        LANES.iter().for_each(|lane| self.line(&lane.type_and_global(self.longer)));
        self.line("(global $shared_objs (mut (ref null $objs)) (ref.null $objs))");
        self.line("(global $shared_anys (mut (ref null $anys)) (ref.null $anys))");
        match self.boundary {
            Boundary::None => {}
            Boundary::Host => self.line("(func (export \"host\") (param externref) (result externref) (local.get 0))"),
            Boundary::Any => self.line("(global (export \"any\") (mut anyref) (ref.null any))"),
        }
        self.line("(memory (export \"memory\") 1 1)");
    }

    fn define_segments(&mut self) {
        self.line("(table $table 8 12 funcref)");
        self.line("(table $typed 6 6 (ref null $m0))");
        // What bodies refer to must be named outside of them.
        let methods: String = (0..self.methods[0]).map(|index| format!(" $m0_{index}")).collect();
        self.line(&format!("(elem declare func{methods})"));
        let of_table: String = (0..8).map(|index| format!(" {}", self.method(usize::from(index % 4 == 3)))).collect();
        self.line(&format!("(elem (table $table) (i32.const 0) func{of_table})"));
        let items =
            |this: &mut Self| (0..6).map(|_| format!(" (item (ref.func {}))", this.method(0))).collect::<String>();
        let (typed, passive) = (items(self), items(self));
        self.line(&format!("(elem (table $typed) (i32.const 0) (ref null $m0){typed})"));
        self.line(&format!("(elem $methods (ref null $m0){passive})"));
        self.line("(elem $boxes anyref (item (ref.i31 (i32.const 7))) (item (ref.i31 (i32.const -1)))");
        self.line("  (item (array.new_fixed $ints 2 (i32.const 1) (i32.const 2))) (item (ref.i31 (i32.const 9))))");
        self.line("(data $data \"\\00\\01\\02\\03\\fe\\ff\\10\\20\\30\\40\\50\\60\\70\\80\\90\\a0\\b0\\c0\\d0\\e0 some more text\")");
    }

    fn define_functions(&mut self) {
        self.text += MANY_REFERENCES;
        for kind in 0..2 {
            for index in 0..self.methods[kind] {
                self.function(&format!("$m{kind}_{index}"), &Signature::method(kind), 2);
            }
        }
        for index in 0..self.plain.len() {
            let signature = self.plain[index].clone();
            self.function(&format!("$plain_{index}"), &signature, 2);
        }
        while let Some((name, signature, depth)) = self.pending.pop() {
            self.function(&name, &signature, depth);
        }
    }

    fn define_probes(&mut self) {
        self.line("(func $set_up");
        self.line("  (global.set $shared_objs (array.new $objs (struct.new $obj (global.get $vt_a) (i32.const 4) (ref.null $obj)) (i32.const 16)))");
        self.line("  (global.set $shared_anys (array.new $anys (ref.i31 (i32.const 5)) (i32.const 16))))");
        self.line("(start $set_up)");
        for probe in 0..PROBES {
            self.probe_calls(probe);
            self.line(&format!("(func (export \"probe state {probe}\") (result i64 i64 i64 i64 i64)"));
            self.line("  (call $mix (call $hash_obj (global.get $root) (i32.const 4)) (call $hash_any (global.get $kept) (i32.const 3)))");
            self.line("  (call $mix (call $hash_ints (global.get $shared_ints)) (call $hash_bytes (global.get $shared_bytes)))");
            self.line("  (call $mix (call $mix (call $hash_shorts (global.get $shared_shorts)) (call $hash_longs (global.get $shared_longs))) (call $hash_floats (global.get $shared_floats)))");
            self.line("  (call $mix (call $hash_any (global.get $shared_objs) (i32.const 3)) (call $hash_any (global.get $shared_anys) (i32.const 3)))");
            self.line("  (call $mix (call $hash_memory) (i64.add (global.get $wide) (i64.extend_i32_u (i32.add (global.get $knob0) (table.size $table))))))");
        }
        while let Some((name, signature, depth)) = self.pending.pop() {
            self.function(&name, &signature, depth);
        }
    }

    /// An exported function without parameters whose body is that of a function with a result.
    fn probe_calls(&mut self, probe: usize) {
        let name = format!("$entry_{probe}");
        self.function(&name, &Signature::entry(), 2);
        self.line(&format!("(func (export \"probe call {probe}\") (result i64)"));
        self.line(&format!("  (global.set $fuel (i32.const {FUEL}))"));
        let (int, long) = (self.small(), self.small());
        self.line(&format!("  (call {name} (i32.const {int}) (i64.const {long})))"));
    }

    fn small(&mut self) -> i64 {
        self.rng.below(40) as i64 - 10
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_makes_a_valid_module() {
        for seed in 0..1000 {
            if let Err(error) = module(seed) {
                panic!("seed {seed}: {error}\n{}", text(seed));
            }
        }
    }
}
