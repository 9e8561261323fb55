//! Units of LLVM's text, for tests of what is done with one, and what modules store.

use crate::compile::{Settings, data_layout};
use crate::features::Features;
use crate::llvm::{Context, Module as LlvmModule};
use crate::module::Module;
use crate::module::values::{self, Interest, StoredValues, Stores};
use crate::options::{Options, TargetCpu};
use crate::translate::numbers::Numbers;
use crate::translate::unit::Unit;
use wasmparser::FuncValidatorAllocations;

/// A module without anything in it.
const EMPTY: &[u8] = b"\0asm\x01\0\0\0";

/// Does something with the unit of a text, which is of a module without anything in it, for a CPU with AVX2 and without
/// polls.
pub(crate) fn with_unit<R>(text: &str, numbers: Numbers, run: impl FnOnce(&Unit<'_, '_>) -> R) -> R {
    let options = Options { target_cpu: TargetCpu::Named("x86-64-v3".into()), polls: false, ..Options::default() };
    let settings = Settings::resolve(&options).expect("a known CPU");
    let module = Module::decode(EMPTY, options.features).expect("valid");
    let target = settings.target_machine().expect("this machine");
    let context = Context::new();
    let llvm = LlvmModule::parse(&context, text).expect("parses");
    llvm.set_data_layout(&data_layout(&target));
    let unit = Unit::new(&context, &llvm, &module, &settings, numbers, 0..0);
    llvm.verify().expect("the text is valid");
    run(&unit)
}

/// Does something with what the bodies of a module with these fields store.
pub(crate) fn with_stored_values<R>(fields: &str, run: impl FnOnce(&Module<'_>, StoredValues) -> R) -> R {
    let wasm = wat::parse_str(format!("(module {fields})")).expect("the text is right");
    let module = Module::decode(&wasm, Features::default()).expect("the module is valid");
    let mut stores = Stores::default();
    if let Some(interest) = Interest::of(&module) {
        for body in &module.bodies {
            let allocations = FuncValidatorAllocations::default();
            values::scan(&module, body, interest, allocations, &mut stores).expect("the body is valid");
        }
    }
    let values = StoredValues::new(&module, vec![stores]);
    run(&module, values)
}
