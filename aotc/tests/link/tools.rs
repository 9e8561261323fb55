//! Runs LLVM's and the system's tools on the test inputs beside this file.

use dolmen_abi::builtin::LIBCALLS;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where LLVM 22 is unless the environment says otherwise.
const LLVM_PREFIX: &str = "/usr/lib/llvm-22";

/// Options with which the compiler generates code.
const CODE_OPTIONS: [&str; 2] = ["--relocation-model=pic", "--filetype=obj"];

/// What each optimisation level is to be tested with.
pub const OPT_LEVELS: [&str; 3] = ["-O0", "-O1", "-O3"];

/// Path of a test input.
pub fn input(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/link").join(name)
}

/// A file name that no other test uses.
pub fn scratch(name: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{count}-{name}", std::process::id()))
}

/// The object file of a test input: LLVM IR (`.ll`, with options for `llc`) or assembly (`.s`).
pub fn compile(name: &str, options: &[&str]) -> Vec<u8> {
    let is_assembly = name.ends_with(".s");
    let mut command = llvm(if is_assembly { "llvm-mc" } else { "llc" });
    if is_assembly {
        command.args(["--triple=x86_64-unknown-linux-gnu", "--filetype=obj"]);
    } else {
        command.args(CODE_OPTIONS);
    }
    let object = scratch("object.o");
    run(command.args(options).arg(input(name)).arg("-o").arg(&object));
    let bytes = std::fs::read(&object).expect("the tool wrote it");
    std::fs::remove_file(&object).expect("it was there");
    bytes
}

/// What a tool of LLVM prints.
pub fn llvm_output(tool: &str, args: &[&str], file: &Path) -> String {
    run(llvm(tool).args(args).arg(file))
}

/// Calls functions of an artifact file in a process of their own, see `driver.c`; returns what it prints.
pub fn drive(args: &[String], file: &Path) -> String {
    static DRIVER: OnceLock<PathBuf> = OnceLock::new();
    let driver = DRIVER.get_or_init(build_driver);
    run(Command::new(driver).arg(file).args(args)).trim_end().to_owned()
}

fn build_driver() -> PathBuf {
    let (driver, includes) = (scratch("driver"), scratch("include"));
    std::fs::create_dir_all(&includes).expect("scratch directory is writable");
    let table: String = LIBCALLS.iter().map(|name| format!("    (void *){name},\n")).collect();
    std::fs::write(includes.join("libcalls.inc"), table).expect("scratch directory is writable");
    run(Command::new("cc")
        .args(["-O1", "-Wall", "-Werror"])
        .arg("-I")
        .arg(&includes)
        .arg(input("driver.c"))
        .arg("-o")
        .arg(&driver)
        .arg("-lm"));
    driver
}

fn llvm(tool: &str) -> Command {
    let prefix = std::env::var_os("LLVM_SYS_221_PREFIX").map_or_else(|| PathBuf::from(LLVM_PREFIX), PathBuf::from);
    Command::new(prefix.join("bin").join(tool))
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed with {}: {stderr}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
