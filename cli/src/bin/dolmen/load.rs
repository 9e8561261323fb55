//! From a file to a loaded module: an artifact is mapped, anything else compiled first or taken from the cache.

use crate::args;
use crate::args::RunArgs;
use crate::cache::{self, Key};
use crate::compile;
use crate::compiler_process::Compiler;
use crate::source::{self, FileKind};
use crate::stats::Times;
use anyhow::{Context, Result};
use dolmen::{Engine, Module};
use dolmen_cli::cache_folder::CacheFolder;
use dolmen_cli::protocol::{Emit, ProfileMode, Request, Source};
use std::path::Path;
use std::time::{Duration, Instant};

/// Loads the modules of one run.
#[derive(Debug)]
pub struct Loader<'a> {
    engine: &'a Engine,
    args: &'a RunArgs,
    cache: Option<CacheFolder>,
    compiler: Option<Compiler>,
}

impl<'a> Loader<'a> {
    /// A loader; nothing is opened or started before it is needed.
    #[must_use]
    pub fn new(engine: &'a Engine, args: &'a RunArgs) -> Self {
        Self { engine, args, cache: None, compiler: None }
    }

    /// Loads a module and adds to `times` how long it took.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, compiled or loaded; names the file.
    pub fn load(&mut self, path: &Path, times: &mut Times) -> Result<Module> {
        if path == Path::new("-") {
            let bytes = source::read(path)?;
            return match source::kind(path, &bytes) {
                FileKind::Artifact => self.load_bytes(&bytes, path, times),
                FileKind::Module(source) => self.compile(&bytes, source, path, times),
            };
        }
        match source::kind_of_file(path)? {
            FileKind::Artifact => self.load_file(path, times).with_context(|| cannot_load(path)),
            FileKind::Module(source) => self.compile(&source::read(path)?, source, path, times),
        }
    }

    fn compile(&mut self, input: &[u8], source: Source, path: &Path, times: &mut Times) -> Result<Module> {
        let request = self.request(source);
        let mut compiler = match self.compiler.take() {
            Some(compiler) => compiler,
            None => Compiler::find().with_context(|| format!("cannot compile {}", path.display()))?,
        };
        let key = if self.args.no_cache { None } else { Key::new(&request, input, compiler.path()).ok() };
        if key.is_some() && self.cache.is_none() {
            self.cache = cache::artifacts();
        }
        if let Some(module) = key.as_ref().and_then(|key| self.load_cached(key, times)) {
            self.compiler = Some(compiler);
            return Ok(module);
        }
        let artifact = timed(&mut times.compile, || compile::compile_bytes(&mut compiler, &request, input, path))?.0;
        self.compiler = Some(compiler);
        let kept = self.cache.as_ref().zip(key).and_then(|(cache, key)| {
            let file = cache.insert(key.name(), &artifact).ok();
            cache.trim();
            file
        });
        // Mapping the file shares its pages with other processes. It may be gone already, in a tiny cache.
        if let Some(module) = kept.and_then(|file| self.load_file(&file, times).ok()) {
            return Ok(module);
        }
        self.load_bytes(&artifact, path, times)
    }

    /// A module from the cache. An entry that cannot be loaded is damaged, or for another processor, and is
    /// removed.
    fn load_cached(&self, key: &Key, times: &mut Times) -> Option<Module> {
        let cache = self.cache.as_ref()?;
        let (file, _) = cache.lookup(key.name())?;
        let module = self.load_file(&file, times);
        if module.is_err() {
            cache.remove(key.name());
        }
        module.ok()
    }

    fn load_file(&self, path: &Path, times: &mut Times) -> Result<Module> {
        timed(&mut times.load, || Ok(Module::deserialize_file(self.engine, path)?))
    }

    fn load_bytes(&self, artifact: &[u8], path: &Path, times: &mut Times) -> Result<Module> {
        timed(&mut times.load, || Module::deserialize(self.engine, artifact)).with_context(|| cannot_load(path))
    }

    fn request(&self, source: Source) -> Request {
        Request {
            opt_level: self.args.level.opt_level,
            emit: Emit::Artifact,
            target_cpu: "native".into(),
            jobs: 0,
            collector: args::collector(&self.args.gc.collector),
            polls: true,
            features: String::new(),
            source,
            profile: ProfileMode::Off,
            incremental: self.args.reuse.incremental,
        }
    }
}

/// Adds to `total` how long `work` takes.
pub fn timed<R>(total: &mut Duration, work: impl FnOnce() -> R) -> R {
    let start = Instant::now();
    let result = work();
    *total += start.elapsed();
    result
}

fn cannot_load(path: &Path) -> String {
    format!("cannot load {}", path.display())
}
