//! Programs in C that use the library as its users do.
//!
//! Each `tests/NAME.c` is compiled with all warnings as errors and linked with `-ldolmen`; `tests/NAME.wat`, if it
//! exists, is compiled to the artifact that it loads. A program that prints `passed` and ends with 0 has passed. All
//! run with a collection at every allocation and the heap verified as well, and once under AddressSanitizer, which also
//! finds what is not freed. What headers and library must have in common is compared.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Warnings that C users have switched on.
const C_FLAGS: [&str; 6] = ["-Wall", "-Wextra", "-Werror", "-std=c11", "-D_GNU_SOURCE", "-g"];

/// What `libdolmen.a` needs besides.
const STATIC_LIBRARIES: [&str; 5] = ["-lgcc_s", "-lpthread", "-lm", "-ldl", "-lc"];

/// How a program is built.
#[derive(Clone, Copy, PartialEq)]
enum Build {
    Shared,
    Static,
    /// With AddressSanitizer, and the shared library as it is.
    Sanitized,
}

/// Largest size of `libdolmen.so` in an optimised build, in bytes.
const MAX_LIBRARY_BYTES: u64 = 2 << 20;

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn scratch() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("c_programs");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The folder with the library. Cargo builds libraries for other languages not for tests, but when it is asked to.
fn library_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let folder = test.parent().unwrap().parent().unwrap();
        let profile = match folder.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            profile => profile,
        };
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", env!("CARGO_PKG_NAME"), "--lib", "--profile", profile]);
        run(cargo.arg("--target-dir").arg(folder.parent().unwrap()).current_dir(package()));
        folder.to_owned()
    })
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Compiles `tests/NAME.wat`, once, if there is one; returns the folder of artifacts.
fn artifacts() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = scratch().join("artifacts");
        std::fs::create_dir_all(&folder).unwrap();
        for entry in std::fs::read_dir(package().join("tests")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "wat") {
                let artifact = folder.join(path.file_stem().unwrap()).with_extension("dolmen");
                std::fs::write(artifact, compile_module(&path)).unwrap();
            }
        }
        folder
    })
}

fn compile_module(path: &Path) -> Vec<u8> {
    let text = std::fs::read_to_string(path).unwrap();
    let buffer = wast::parser::ParseBuffer::new(&text).unwrap();
    let mut module = wast::parser::parse::<wast::Wat<'_>>(&buffer).unwrap();
    let wasm = module.encode().unwrap();
    // Atomic accesses to globals, so that threads see each other's.
    let features = "all,shared-everything-threads".parse().unwrap();
    dolmen_aotc::compile(&wasm, &dolmen_aotc::Options { features, ..dolmen_aotc::Options::default() }).unwrap()
}

/// Compiles a C program to an executable.
fn compile_program(source: &Path, program: &Path, build: Build) {
    let library = library_folder();
    let mut gcc = Command::new("gcc");
    gcc.args(C_FLAGS).arg("-I").arg(package().join("include")).arg("-I").arg(package().join("tests"));
    gcc.arg(source).arg("-o").arg(program);
    if build == Build::Static {
        gcc.arg(library.join("libdolmen.a")).args(STATIC_LIBRARIES);
    } else {
        gcc.arg("-L").arg(library).arg("-ldolmen").arg(format!("-Wl,-rpath,{}", library.display()));
        gcc.arg("-lpthread");
    }
    if build == Build::Sanitized {
        gcc.args(["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);
    }
    run(&mut gcc);
}

fn check_program(program: &Path, stress: Option<u32>) {
    let mut command = Command::new(program);
    command.env("DOLMEN_TEST_ARTIFACTS", artifacts());
    if let Some(stress) = stress {
        command.env("DOLMEN_TEST_GC_STRESS", stress.to_string());
    }
    let output = run(&mut command);
    assert!(output.ends_with("passed\n"), "{} printed: {output}", program.display());
}

fn check_build(name: &str, build: Build, stress: &[Option<u32>]) {
    let source = package().join("tests").join(name).with_extension("c");
    let program = match build {
        Build::Shared => scratch().join(name),
        Build::Static => scratch().join(format!("{name}_static")),
        Build::Sanitized => scratch().join(format!("{name}_sanitized")),
    };
    compile_program(&source, &program, build);
    stress.iter().for_each(|&stress| check_program(&program, stress));
}

/// The functions that a header declares to be in the library: `WASM_RUNTIME_API_EXTERN type name(…`.
fn declared(header: &str) -> Vec<String> {
    let text = without_comments(header);
    let after = text.split("WASM_RUNTIME_API_EXTERN ").chain(text.split("WASM_RUNTIME_API_EXTERN\n"));
    let mut found: Vec<String> = after
        .filter_map(|rest| rest.split_once('('))
        .filter_map(|(before, _)| before.rsplit(|c: char| !(c.is_alphanumeric() || c == '_')).next())
        .filter(|name| name.starts_with("wasm_") || name.starts_with("dolmen_"))
        .map(str::to_owned)
        .collect();
    found.sort();
    found.dedup();
    found
}

fn without_comments(text: &str) -> String {
    let mut parts = text.split("/*");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + part.split_once("*/").map_or("", |(_, code)| code))
}

fn headers() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(package().join("include")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn check(name: &str) {
    check_build(name, Build::Shared, &[None, Some(1)]);
    check_build(name, Build::Sanitized, &[None]);
}

#[test]
fn calls() {
    check("calls");
}

#[test]
fn threads() {
    check("threads");
}

#[test]
fn objects() {
    check("objects");
}

#[test]
fn wasi() {
    check("wasi");
}

#[test]
fn the_static_library_links() {
    check_build("calls", Build::Static, &[None]);
}

#[test]
fn headers_are_complete_c_and_cpp() {
    for header in headers() {
        // Each alone, so that none relies on what was included before.
        run(Command::new("gcc").args(C_FLAGS).args(["-fsyntax-only", "-x", "c"]).arg(&header));
        let flags = ["-Wall", "-Wextra", "-Werror", "-std=c++17", "-fsyntax-only", "-x", "c++"];
        run(Command::new("g++").args(flags).arg(&header));
    }
}

#[test]
fn the_library_exports_what_the_headers_declare() {
    let library = library_folder().join("libdolmen.so");
    let symbols = run(Command::new("nm").args(["-D", "--defined-only", "--format=just-symbols"]).arg(&library));
    let mut exported: Vec<String> = symbols.lines().map(str::to_owned).collect();
    exported.sort();
    let mut expected: Vec<String> =
        headers().iter().flat_map(|header| declared(&std::fs::read_to_string(header).unwrap())).collect();
    expected.sort();
    expected.dedup();
    assert_eq!(exported, expected);
}

#[test]
fn the_library_is_small_and_without_compiler() {
    let library = library_folder().join("libdolmen.so");
    if !cfg!(debug_assertions) {
        let bytes = std::fs::metadata(&library).unwrap().len();
        assert!(bytes <= MAX_LIBRARY_BYTES, "libdolmen.so has {bytes} bytes");
    }
    let dynamic = run(Command::new("readelf").arg("-d").arg(&library));
    let needed: Vec<&str> = dynamic.lines().filter(|line| line.contains("(NEEDED)")).collect();
    assert!(
        !needed.is_empty() && !needed.iter().any(|line| line.contains("LLVM") || line.contains("stdc++")),
        "{needed:?}"
    );
}

#[test]
fn the_header_has_the_table_of_traps() {
    let header = std::fs::read_to_string(package().join("include/dolmen.h")).unwrap();
    for code in dolmen_abi::trap::TrapCode::ALL {
        let name: String = format!("{code:?}")
            .chars()
            .enumerate()
            .flat_map(|(at, c)| (at > 0 && c.is_uppercase()).then_some('_').into_iter().chain(c.to_uppercase()))
            .collect();
        let line = format!("    DOLMEN_TRAP_{name} = {}", *code as u32);
        assert!(header.lines().any(|own| own.trim_end_matches(',') == line), "dolmen.h lacks {line:?}");
    }
    let count = header.lines().filter(|line| line.starts_with("    DOLMEN_TRAP_")).count();
    // And none.
    assert_eq!(count, dolmen_abi::trap::TrapCode::ALL.len() + 1);
}

#[test]
fn the_program_of_the_front_page_runs() {
    let readme = std::fs::read_to_string(package().parent().unwrap().join("README.md")).unwrap();
    let (_, from) = readme.split_once("```c\n").expect("a program in C");
    let (text, _) = from.split_once("```").unwrap();
    let (source, program) = (scratch().join("readme.c"), scratch().join("readme"));
    std::fs::write(&source, text).unwrap();
    compile_program(&source, &program, Build::Shared);
    assert_eq!(run(Command::new(&program).current_dir(artifacts())), "the guest says 18\n36\n");
}
