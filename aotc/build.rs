//! Links LLVM: its archives, or where there are none its shared library.
//!
//! The compiler calls a small part of LLVM. The shared library has all targets and needs ten other libraries; to load it
//! takes a process 12 ms, half of what a small module takes to compile. Programs with what they need of the archives start
//! in 2 ms, if the C++ library comes from its archive, too: each of LLVM's 4,000 descriptions of a class refers to it.
//!
//! `llvm-sys` would copy the archives into its own, so it links nothing (`no-llvm-linking`), and whoever links a program
//! finds them where LLVM is installed (`-bundle`).

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Variable that names LLVM's installation; `.cargo/config.toml` holds its default.
const PREFIX_VARIABLE: &str = "LLVM_SYS_221_PREFIX";

/// What the compiler calls of LLVM; `llvm-config` adds what that needs.
const COMPONENTS: &[&str] = &["passes", "x86codegen", "x86asmparser", "aarch64codegen"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={PREFIX_VARIABLE}");
    let config =
        env::var_os(PREFIX_VARIABLE).map_or_else(|| "llvm-config".into(), |p| PathBuf::from(p).join("bin/llvm-config"));
    // The compiler can be checked, but not linked, without LLVM.
    let Some(folder) = ask(&config, &["--libdir"]) else {
        println!("cargo::warning={} does not run", config.display());
        return;
    };
    println!("cargo::rerun-if-changed={folder}");
    println!("cargo::rustc-link-search=native={folder}");
    let components = |kind| ask(&config, &[&[kind, "--libs"], COMPONENTS].concat());
    if let Some(libraries) = components("--link-static").filter(|_| Path::new(&folder).join("libLLVMCore.a").exists()) {
        link("static:-bundle", &libraries);
        let system = ask(&config, &["--link-static", "--system-libs"]).unwrap_or_default();
        system.split_whitespace().chain(["-lstdc++"]).for_each(link_system_library);
    } else {
        link("dylib", &components("--link-shared").unwrap_or_default());
        link("dylib", "-lstdc++");
    }
}

/// Has a library linked that LLVM's archives need: its archive if there is one, but for parts of the C library, of which a
/// process must not have two.
fn link_system_library(word: &str) {
    const OF_C_LIBRARY: &[&str] = &["-lc", "-ldl", "-lm", "-lpthread", "-lrt"];
    let archive = word.strip_prefix("-l").filter(|_| !OF_C_LIBRARY.contains(&word)).and_then(archive_of);
    match archive {
        Some(archive) => link("static:-bundle", &archive),
        None => link("dylib", word),
    }
}

/// The path of a library's archive, if the C++ compiler knows one.
fn archive_of(library: &str) -> Option<String> {
    let compiler = env::var_os("CXX").unwrap_or_else(|| "c++".into());
    let path = ask(Path::new(&compiler), &[&format!("-print-file-name=lib{library}.a")])?;
    Path::new(&path).is_absolute().then_some(path)
}

/// Has libraries linked that are listed as `-lNAME` or as paths.
fn link(kind: &str, libraries: &str) {
    for word in libraries.split_whitespace() {
        let path = Path::new(word);
        if let Some(name) = word.strip_prefix("-l") {
            println!("cargo::rustc-link-lib={kind}={name}");
        } else if let (Some(folder), Some(stem)) = (path.parent(), path.file_stem().and_then(|stem| stem.to_str())) {
            println!("cargo::rustc-link-search=native={}", folder.display());
            println!("cargo::rustc-link-lib={kind}={}", stem.strip_prefix("lib").unwrap_or(stem));
        }
    }
}

/// What a program prints, if it can do that.
fn ask(program: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
}
