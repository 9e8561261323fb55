//! V8 as an engine: `node` with a small script.

use crate::server::Server;
use std::path::Path;
use std::process::Command;

/// The script; it says what it says in the form of [`outcome`](crate::outcome).
const SCRIPT: &str = include_str!("v8.mjs");

/// Starts `node`; it answers modules in hexadecimal digits with their records.
///
/// # Errors
///
/// If `node` cannot be started.
pub fn start(node: &Path) -> anyhow::Result<Server> {
    Server::start(Command::new(node).args(["--input-type=module", "--eval", SCRIPT]))
        .map_err(|error| error.context(format!("cannot start {}", node.display())))
}
