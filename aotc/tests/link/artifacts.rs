//! Artifacts read back as they were written.

use crate::reader;
use crate::tools::{OPT_LEVELS, compile, llvm_output, scratch};
use dolmen_abi::artifact::{Header, NO_FUNC_INDEX};
use dolmen_abi::collector::Collector;
use dolmen_abi::meta::{ModuleMeta, NO_CODE, Names, Trampolines};
use dolmen_abi::signature::{MachineSignature, MachineType};
use dolmen_abi::types::TypeIdx;
use dolmen_aotc::artifact::{self, ArtifactError, ArtifactInput};

/// A module made of test inputs, without imports, with one machine signature.
pub struct TestModule<'a> {
    pub partitions: &'a [&'a str],
    pub funcs: u32,
    pub inits: usize,
}

/// What the artifact of a test module is made of.
fn artifact_input(module: &TestModule<'_>, options: &[&str]) -> ArtifactInput<'static> {
    let signature = MachineSignature { params: vec![MachineType::I64], results: vec![MachineType::I64] };
    let meta = ModuleMeta {
        funcs: vec![TypeIdx(0); module.funcs as usize],
        trampolines: vec![Trampolines { signature, entry: 0, host_call: 0 }],
        init_funcs: vec![0; module.inits],
        func_refs: (0..module.funcs).collect(),
        ..ModuleMeta::default()
    };
    let header = Header {
        compiler_version: "test".to_owned(),
        target_triple: "x86_64-unknown-linux-gnu".to_owned(),
        cpu_features: vec!["avx2".to_owned()],
        protocol: Collector::MarkSweep.protocol(),
        opt_level: 2,
        polls: true,
        source_hash: [7; 32],
    };
    ArtifactInput {
        meta,
        names: Names { module: Some("m".to_owned()), funcs: vec![(0, "thrower".to_owned())], ..Names::default() },
        custom: vec![("greeting", b"hello")],
        data: b"segment".to_vec(),
        header,
        partitions: module.partitions.iter().map(|p| compile(p, options).into()).collect(),
    }
}

/// The artifact of a test module.
pub fn build(module: &TestModule<'_>, options: &[&str]) -> Vec<u8> {
    artifact::write(artifact_input(module, options)).unwrap_or_else(|e| panic!("{:?}: {e}", module.partitions))
}

const FRAMES: TestModule<'_> = TestModule { partitions: &["frames.ll", "thrower.ll"], funcs: 12, inits: 1 };

#[test]
fn sections_read_back() {
    let input = artifact_input(&FRAMES, &["-O2"]);
    let (header, names, data) = (input.header.clone(), input.names.clone(), input.data.clone());
    let read = reader::read(&artifact::write(input).expect("is complete"));
    assert_eq!((read.header, read.names, read.data), (header, names, data));
    assert_eq!(read.meta.code_offsets.len(), 12);
    assert_eq!(u64::from(read.meta.code_offsets[0]), read.symbols["wasm[0]::thrower"]);
    assert_eq!(u64::from(read.meta.code_offsets[11]), read.symbols["wasm[11]::catch_rethrown"]);
    assert_eq!(u64::from(read.meta.trampolines[0].entry), read.symbols["entry[0]"]);
    assert_eq!(u64::from(read.meta.trampolines[0].host_call), read.symbols["host_call[0]"]);
    assert_eq!(u64::from(read.meta.init_funcs[0]), read.symbols["init[0]"]);
}

#[test]
fn functions_are_found_by_address() {
    let read = reader::read(&build(&FRAMES, &["-O2"]));
    assert_eq!(read.unwind.funcs.len(), read.symbols.len());
    for (name, &offset) in &read.symbols {
        let index = name.strip_prefix("wasm[").and_then(|n| n.split_once(']')?.0.parse().ok());
        let func = (offset as u32, index.unwrap_or(NO_FUNC_INDEX));
        assert!(read.unwind.funcs.contains(&func), "{name}: {func:?}");
    }
}

#[test]
fn the_same_objects_give_the_same_bytes() {
    for opt_level in OPT_LEVELS {
        assert!(build(&FRAMES, &[opt_level]) == build(&FRAMES, &[opt_level]));
    }
}

#[test]
fn other_tools_read_the_file() {
    let path = scratch("tools.dolmen");
    std::fs::write(&path, build(&FRAMES, &["-O2"])).expect("scratch directory is writable");
    let code = llvm_output("llvm-objdump", &["-d", "--disassemble-symbols=wasm[0]::thrower"], &path);
    assert!(code.contains("<wasm[0]::thrower>:") && code.contains("retq"), "{code}");
    let sections = llvm_output("llvm-readelf", &["-S", "--elf-output-style=GNU"], &path);
    assert!(sections.contains(".dolmen.unwind") && !sections.contains("warning"), "{sections}");
    std::fs::remove_file(&path).expect("it was there");
}

#[test]
fn partitions_share_what_only_the_unwinder_names() {
    // Both name a personality routine, through data that both define.
    let module = TestModule { partitions: &["frames.ll", "thrower.ll", "catcher.ll"], funcs: 13, inits: 1 };
    assert_eq!(reader::read(&build(&module, &["-O2"])).meta.code_offsets.len(), 13);
}

#[test]
fn libcalls_are_stubs() {
    let module = TestModule { partitions: &["data.ll", "thrower.ll"], funcs: 5, inits: 0 };
    let read = reader::read(&build(&module, &["-O2"]));
    let stubs: Vec<_> = read.symbols.keys().filter(|s| s.starts_with("libcall[")).map(String::as_str).collect();
    assert_eq!(stubs, ["libcall[floor]", "libcall[memcmp]", "libcall[memcpy]", "libcall[roundeven]"]);
}

#[test]
fn a_function_without_code_is_an_error() {
    let missing = |module: TestModule<'_>| match artifact::write(artifact_input(&module, &["-O2"])) {
        Err(ArtifactError::MissingFunction { symbol }) => symbol,
        other => panic!("{other:?}"),
    };
    assert_eq!(missing(TestModule { funcs: 13, ..FRAMES }), "wasm[12]");
    assert_eq!(missing(TestModule { inits: 2, ..FRAMES }), "init[1]");
}

#[test]
fn a_function_that_nothing_refers_to_needs_no_code() {
    let with_start = |start| {
        let mut input = artifact_input(&TestModule { funcs: 14, ..FRAMES }, &["-O2"]);
        input.meta.func_refs.truncate(12);
        input.meta.start = start;
        artifact::write(input)
    };
    let read = reader::read(&with_start(None).expect("is complete"));
    assert_eq!(read.meta.code_offsets[12..], [NO_CODE; 2]);
    let error = with_start(Some(13)).expect_err("it is called").to_string();
    assert_eq!(error, "no global function is named `wasm[13]`");
}
