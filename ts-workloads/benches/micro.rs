//! What single operations cost: `cargo bench -p dolmen-workloads [-- FILTER]`.
//!
//! Each kernel of `micro.wat` does one thing as often as it is told, in compiled code; criterion chooses how often and
//! shows the time of one, with confidence intervals and the change since the run before. Loops cost about as much as the
//! cheapest operations: `array_get_ref` is the loop of the casts without a cast. Kernels return the count, which is
//! checked.

use criterion::{Bencher, Criterion, criterion_group, criterion_main};
use dolmen::{Config, Engine, Func, FuncType, Instance, Linker, Module, Store, Val, ValType};
use std::time::{Duration, Instant};

/// The exports of `micro.wat` that are kernels.
const KERNELS: [&str; 18] = [
    "alloc_struct_16",
    "alloc_array_24",
    "array_get_ref",
    "cast_final",
    "cast_open",
    "cast_failing",
    "field_get_chain",
    "field_set_i64",
    "array_get_i32",
    "array_set_i32",
    "barrier_struct",
    "barrier_array",
    "call_ref",
    "host_call_out",
    "try_enter",
    "throw_0_frames",
    "throw_1_frame",
    "throw_8_frames",
];

struct Program {
    store: Store<()>,
    instance: Instance,
}

impl Program {
    fn new() -> Self {
        let wasm = wat::parse_str(include_str!("micro.wat")).expect("the kernels are well-formed");
        let artifact = dolmen_aotc::compile(&wasm, &dolmen_aotc::Options::default()).expect("the kernels compile");
        let engine = Engine::new(&Config::new()).expect("an engine");
        let module = Module::deserialize(&engine, &artifact).expect("the artifact is for this machine");
        let mut linker = Linker::new(&engine);
        let ty = FuncType::new(&engine, [ValType::I64], [ValType::I64]);
        linker
            .func_new("host", "count", ty, |_, arguments, results| {
                if let [Val::I64(count)] = arguments {
                    results[0] = Val::I64(count + 1);
                }
                Ok(())
            })
            .expect("a host function");
        let mut store = Store::new(&engine, ()).expect("a store");
        let instance = linker.instantiate(&mut store, &module).expect("an instance");
        // Everything that was set up is old, as in a program that has run for a while.
        store.gc().expect("a collection");
        Self { store, instance }
    }

    fn func(&mut self, name: &str) -> Func {
        self.instance.get_func(&mut self.store, name).expect("an export of micro.wat")
    }

    /// Calls a kernel and checks that it did what it was told.
    fn run(&mut self, kernel: Func, count: u64) -> Duration {
        let mut results = [Val::I64(0)];
        let argument = i64::try_from(count).expect("criterion asks for less");
        let start = Instant::now();
        kernel.call(&mut self.store, &[Val::I64(argument)], &mut results).expect("kernels do not trap");
        let time = start.elapsed();
        assert!(matches!(results, [Val::I64(done)] if done == argument), "{results:?}, expected {argument}");
        time
    }
}

fn kernels(criterion: &mut Criterion) {
    let mut program = Program::new();
    for name in KERNELS {
        let kernel = program.func(name);
        criterion.bench_function(name, |b: &mut Bencher<'_>| b.iter_custom(|count| program.run(kernel, count)));
    }
    let increment = program.func("increment");
    criterion.bench_function("host_call_in", |b| {
        let mut results = [Val::I64(0)];
        b.iter(|| {
            increment.call(&mut program.store, &[Val::I64(1)], &mut results).expect("it does not trap");
            assert!(matches!(results, [Val::I64(2)]));
        });
    });
}

criterion_group! {
    name = micro;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = kernels
}
criterion_main!(micro);
