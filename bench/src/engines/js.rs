//! node (V8) and bun (JavaScriptCore), through `run-v8.mjs`.

use super::{Calls, Engine, Prepared, binary, read_line, runner_args, told_by};
use crate::process::Finished;
use crate::programs::{Program, root};
use crate::results;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What tells the versions of all parts.
const VERSIONS: &str = "const v = process.versions; console.log(v.bun ? `JavaScriptCore (bun ${v.bun})` : \
                        `V8 ${v.v8.split('.').slice(0, 3).join('.')} (node ${v.node})`)";

#[derive(Debug)]
pub struct Js {
    identity: results::Engine,
    command: PathBuf,
}

impl Js {
    /// # Errors
    ///
    /// If the command does not run.
    pub fn new(key: &str, command: PathBuf) -> Result<Self> {
        let title = told_by(&command, &["-e", VERSIONS])?;
        Ok(Self { identity: results::Engine { key: key.into(), build: title.clone(), title }, command })
    }
}

impl Engine for Js {
    fn identity(&self) -> &results::Engine {
        &self.identity
    }

    fn prepare(&self, program: &Program, folder: &Path) -> Result<Prepared> {
        Ok(Prepared { path: binary(program, folder)?, compile_ms: None, artifact_bytes: None })
    }

    fn command(&self, prepared: &Prepared, program: &Program, calls: u32) -> Command {
        let mut command = Command::new(&self.command);
        if self.identity.key == "node" {
            // WASI is called experimental.
            command.arg("--no-warnings");
        }
        command.arg(root().join("ts-workloads/programs/run-v8.mjs")).arg(&prepared.path);
        command.args(runner_args(program, calls));
        command
    }

    fn read(&self, finished: &Finished, program: &Program) -> Result<Calls> {
        read_line(finished, program)
    }
}
