//! Units of LLVM's text, for tests of what is done with one.

use crate::compile::{Settings, data_layout};
use crate::llvm::{Context, Module as LlvmModule};
use crate::module::Module;
use crate::options::{Options, TargetCpu};
use crate::translate::numbers::Numbers;
use crate::translate::unit::Unit;

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
