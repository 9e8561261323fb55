//! Links `dolmenc` at addresses of its own choice.
//!
//! Most of what a small module takes is to start the compiler. A program that may be anywhere has the dynamic linker
//! write 70,000 addresses into LLVM's tables first, 200 pages of which then belong to each process alone.
//!
//! What only start-up executes lies in one place, not between what it belongs to, so that it is 70 pages less.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-bin=dolmenc=-no-pie");
    println!("cargo::rustc-link-arg-bin=dolmenc=-Wl,-z,keep-text-section-prefix");
}
