//! Compiling inside the process, for embedders that want to load WebAssembly itself.
//!
//! Behind the cargo feature `compiler`, because it links LLVM. An artifact is made in memory and then loaded
//! like any other. LLVM ends the process when it meets an error of its own: who runs modules of strangers
//! compiles them in another process, as the command `dolmen` does.

use crate::{Engine, LoadError, Module};
use dolmen_aotc::{CompileError, Options};

/// Why a module could not be compiled and loaded.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    Compile(#[from] CompileError),
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl Module {
    /// Compiles a WebAssembly module for this machine and the engine's collector, and loads it.
    ///
    /// # Errors
    ///
    /// If the module is malformed, invalid or unsupported, or cannot be loaded.
    pub fn new(engine: &Engine, wasm: &[u8]) -> Result<Self, BuildError> {
        let options = Options { collector: engine.collector(), ..Options::default() };
        let artifact = dolmen_aotc::compile(wasm, &options)?;
        Ok(Self::deserialize(engine, &artifact)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Instance, Store, Val};

    #[test]
    fn modules_are_compiled_and_run() {
        // (module (func (export "f") (result i32) i32.const 42))
        let wasm = b"\0asm\x01\0\0\0\x01\x05\x01\x60\0\x01\x7f\x03\x02\x01\0\x07\x05\x01\x01f\0\0\x0a\x06\x01\x04\0\x41\x2a\x0b";
        let engine = Engine::new(&Config::new()).unwrap();
        let module = Module::new(&engine, wasm).unwrap();
        let mut store = Store::new(&engine, ()).unwrap();
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let mut results = [Val::I32(0)];
        instance.get_func(&mut store, "f").unwrap().call(&mut store, &[], &mut results).unwrap();
        assert_eq!(results[0].i32(), Some(42));
        assert!(matches!(Module::new(&engine, b"\0asm"), Err(BuildError::Compile(_))));
    }
}
