//! What the loader refuses, and how it says so.

use super::image::Image;
use crate::{Config, Engine, LoadError, Module};
use dolmen_abi::artifact::{
    CUSTOM_SECTION, DATA_SECTION, FORMAT_VERSION, HASH_BYTES, HEADER_SECTION, META_SECTION, NAMES_SECTION, PAGE_BYTES,
    TEXT_SECTION, UNWIND_SECTION,
};
use dolmen_abi::collector::{Barrier, Motion};
use dolmen_abi::meta::{DataSegment, ElemItems, ElemSegment, Export, ExternIdx, NO_CODE};
use dolmen_abi::prototype::PrototypeWord;
use dolmen_abi::types::{ExternType, GlobalType, HeapType, Limits, MemoryType, RefType, TypeIdx, ValType};

fn engine() -> Engine {
    Engine::new(&Config::new()).unwrap()
}

/// What loading says; the image is changed first.
fn message(change: impl FnOnce(&mut Image)) -> String {
    let mut image = Image::inc();
    change(&mut image);
    error(&image.build()).to_string()
}

fn error(file: &[u8]) -> LoadError {
    match Module::deserialize(&engine(), file) {
        Ok(_) => panic!("loaded"),
        Err(error) => error,
    }
}

#[test]
fn a_good_file_loads_from_memory_and_disk() {
    let file = Image::inc().build();
    let engine = engine();
    let path = std::env::temp_dir().join(format!("dolmen-load-{}.dolmen", std::process::id()));
    std::fs::write(&path, &file).unwrap();
    let from_disk = Module::deserialize_file(&engine, &path);
    std::fs::remove_file(&path).unwrap();
    for module in [Module::deserialize(&engine, &file).unwrap(), from_disk.unwrap()] {
        let exports: Vec<String> = module.exports().map(|e| format!("{} {}", e.name(), e.ty())).collect();
        assert_eq!(exports, ["inc (func (param i32) (result i32))"]);
        assert_eq!((module.name(), module.func_name(0)), (Some("m".into()), Some("increment".into())));
        assert_eq!(module.func_name(1), None);
        assert_eq!(module.custom_sections("greeting").collect::<Vec<_>>(), [b"hello"]);
        assert_eq!(module.custom_sections("farewell").count(), 0);
    }
}

#[test]
fn missing_files_are_named() {
    let error = Module::deserialize_file(&engine(), "/nonexistent/x.dolmen").unwrap_err();
    assert!(matches!(&error, LoadError::Io { path, .. } if path.ends_with("x.dolmen")));
    assert!(error.to_string().starts_with("cannot read /nonexistent/x.dolmen: "));
    assert!(matches!(Module::deserialize_file(&engine(), "/"), Err(LoadError::Io { .. })));
}

#[test]
fn other_files_are_told_apart() {
    let reason = |file: &[u8]| match error(file) {
        LoadError::NotAnArtifact { reason } => reason,
        other => panic!("{other}"),
    };
    let object = Image { flags: 0, ..Image::inc() }.build();
    let program = Image { elf_type: 2, ..Image::inc() }.build();
    assert_eq!(reason(b""), "the file is empty");
    assert!(reason(b"\0asm\x01\0\0\0").contains("must be compiled first"));
    assert_eq!(reason(b"(module)"), "it is no 64-bit ELF file");
    assert_eq!(reason(&object[..20]), "its ELF header is cut off");
    assert_eq!(reason(&program), "it is an ELF file of another kind");
    assert_eq!(reason(&object), "it is an ELF object without the mark of an artifact");
}

#[test]
fn other_versions_are_refused_before_anything_is_trusted() {
    let mut file = Image { flags: FORMAT_VERSION + 1, ..Image::inc() }.build();
    file.truncate(100);
    assert!(
        matches!(error(&file), LoadError::Version { expected: FORMAT_VERSION, found } if found == FORMAT_VERSION + 1)
    );
}

#[test]
fn damage_is_found_at_every_place() {
    let file = Image::inc().build();
    for place in (64..file.len()).step_by(7) {
        let mut damaged = file.clone();
        damaged[place] ^= 0x10;
        assert!(matches!(error(&damaged), LoadError::Hash { .. }), "byte {place}");
    }
    for len in [64, 1000, PAGE_BYTES as usize, file.len() - HASH_BYTES, file.len() - 1] {
        assert!(matches!(error(&file[..len]), LoadError::Hash { .. }), "{len} bytes");
    }
}

#[test]
fn other_machines_are_refused() {
    assert!(message(|image| image.machine = 183).starts_with("artifact for ELF machine 183, expected x86_64"));
    for triple in ["aarch64-unknown-linux-gnu", "x86_64-pc-windows-msvc", ""] {
        let expected = format!("artifact for {triple}, expected x86_64 linux");
        assert_eq!(message(|image| image.header.target_triple = triple.into()), expected);
    }
    let features = ["sse2", "hyperdrive", "x-ray"].map(String::from);
    assert_eq!(
        message(|image| image.header.cpu_features = features.to_vec()),
        "artifact needs CPU features that this machine lacks: hyperdrive, x-ray"
    );
}

#[test]
fn other_protocols_are_refused() {
    assert_eq!(
        message(|image| image.header.protocol.motion = Motion::None),
        "artifact for another collector: code with card-marking barrier, no object moves, but generational needs \
         card-marking barrier, objects off the shadow stack move"
    );
    assert_eq!(
        message(|image| image.header.protocol.barrier = Barrier::None),
        "artifact for another collector: code with no write barrier, objects off the shadow stack move, but \
         generational needs card-marking barrier, objects off the shadow stack move"
    );
}

#[test]
fn missing_sections_are_named() {
    for name in
        [TEXT_SECTION, HEADER_SECTION, META_SECTION, NAMES_SECTION, CUSTOM_SECTION, DATA_SECTION, UNWIND_SECTION]
    {
        let expected = format!("malformed artifact: section {name} is missing");
        assert_eq!(message(|image| image.without = vec![name]), expected);
    }
}

#[test]
fn code_must_be_alone_on_its_pages() {
    assert!(message(|image| image.shared_page = true).contains("shares pages with the code"));
    assert!(message(|image| image.text_offset = 2 * PAGE_BYTES).contains("is at offset 8192, expected 4096"));
}

#[test]
fn descriptions_are_checked() {
    let check = |change: fn(&mut Image), expected: &str| {
        let message = message(change);
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    };
    check(|i| i.meta.code_offsets[0] = 1 << 20, "code offset 0x100000 outside the code");
    check(|i| i.meta.code_offsets[0] = NO_CODE, "a function that can be entered has no code");
    check(|i| i.meta.init_funcs = vec![u32::MAX], "outside the code");
    check(|i| i.meta.trampolines[0].entry = 4096, "outside the code");
    check(|i| i.meta.code_offsets.clear(), "code of 0 functions, expected 1");
    check(|i| i.meta.exports[0].index = ExternIdx::Func(9), "export \"inc\" of Func(9)");
    check(|i| i.meta.exports[0].index = ExternIdx::Memory(0), "export \"inc\" of Memory(0)");
    check(|i| i.meta.func_refs.clear(), "export \"inc\" without function reference");
    check(|i| i.meta.func_refs = vec![0, 0], "function references");
    check(|i| i.meta.func_refs = vec![0, 1], "function references");
    check(|i| i.meta.funcs[0] = TypeIdx(2), "type 2 is not defined");
    check(|i| i.meta.start = Some(1), "start function 1");
    check(|i| i.meta.start = Some(0), "start function 0");
    check(|i| i.import("f", ExternType::Func(TypeIdx(1))), "import \"env\" \"f\" is not in its index space");
    check(|i| drop(i.meta.trampolines.pop()), "no trampolines for type");
    check(|i| i.meta.exports.push(Export { name: "inc".into(), index: ExternIdx::Func(0) }), "two exports \"inc\"");
    check(|i| i.meta.data = vec![DataSegment { offset: u64::MAX, len_bytes: 2 }], "data segment");
    check(|i| i.meta.data = vec![DataSegment { offset: 5, len_bytes: 5 }], "data segment");
    check(
        |i| {
            let element = RefType { nullable: true, heap: HeapType::Func };
            i.meta.elems = vec![ElemSegment { element, items: ElemItems::Funcs(vec![1]) }];
        },
        "element segment",
    );
    check(
        |i| {
            let limits = Limits { min: 0, max: None };
            i.meta.memories = vec![MemoryType { limits, index64: false, shared: false, log_page_bytes: 17 }];
        },
        "page size",
    );
    check(
        |i| {
            let heap = HeapType::Concrete(TypeIdx(77));
            let value = ValType::Ref(RefType { nullable: true, heap });
            i.meta.globals = vec![GlobalType { value, mutable: false }];
        },
        "type 77 is not defined",
    );
    check(|i| i.add_prototype(TypeIdx(9), PrototypeWord::Zero), "prototypes of what the module does not have");
    check(|i| i.add_prototype(TypeIdx(0), PrototypeWord::Func(1)), "prototypes of what the module does not have");
    for (global, mutable, value) in [
        (1, false, ValType::Ref(RefType { nullable: true, heap: HeapType::Func })),
        (0, true, ValType::Ref(RefType { nullable: true, heap: HeapType::Func })),
        (0, false, ValType::I32),
    ] {
        let message = message(|i| {
            i.meta.globals = vec![GlobalType { value, mutable }];
            i.add_prototype(TypeIdx(0), PrototypeWord::Global(global));
        });
        assert!(message.contains("prototypes of what the module does not have"), "{message}");
    }
    check(|i| i.unwind = vec![1; 8], "unwind section");
    check(|i| i.unwind = vec![0xff; 64], "unwind section");
}

/// Files whose hash is right but whose content is not must not make the loader panic.
#[test]
fn random_damage_with_a_valid_hash_is_survived() {
    let engine = engine();
    let good = Image::importer().build();
    let content = &good[..good.len() - HASH_BYTES];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % limit as u64) as usize
    };
    let mut refused = 0;
    for _ in 0..3000 {
        let mut file = content.to_vec();
        for _ in 0..=random(4) {
            // The first and last parts are dense; the padding of the pages is not.
            let place = if random(4) == 0 { random(64) } else { file.len() - 1 - random(file.len() - 8192) };
            file[place] = random(256) as u8;
        }
        if random(8) == 0 {
            file.truncate(random(file.len()));
        }
        let hash = blake3::hash(&file);
        file.extend_from_slice(hash.as_bytes());
        refused += usize::from(Module::deserialize(&engine, &file).is_err());
    }
    assert!(refused > 1000, "only {refused} refused");
}
