//! Runs the binary `dolmen` as a user would, in a folder and with a cache of its own.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// No command of a test takes nearly as long, on however busy a machine.
const MAX_SECONDS: &str = "120";

/// A folder that is removed with the test.
pub struct Scratch(PathBuf);

/// What a command said.
#[derive(Debug)]
pub struct Said {
    /// Nothing after a signal.
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Scratch {
    /// A new folder.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("dolmen-cli-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder for the test");
        Self(folder)
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("a file for the test");
        path
    }

    /// Writes a shell script that can be run.
    pub fn script(&self, name: &str, commands: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let text = self.file(&format!("{name}.sh"), format!("#!/bin/sh\n{commands}\n"));
        fs::set_permissions(&text, fs::Permissions::from_mode(0o755)).expect("permissions for the test");
        self.executable(name, &text)
    }

    /// Copies a file that can be run, in a process of its own: what this process has open for writing, commands that other
    /// tests start meanwhile have open, too, and the system does not run a file that is open for writing ("text file busy").
    pub fn executable(&self, name: &str, from: &Path) -> PathBuf {
        let path = self.path(name);
        let copied = Command::new("cp").arg(from).arg(&path).status().expect("cp");
        assert!(copied.success(), "{} is copied", from.display());
        path
    }

    /// The command, with the folder as place of the cache. One that hangs is ended with status 124.
    pub fn dolmen(&self) -> Command {
        let mut command = Command::new("timeout");
        command.args([MAX_SECONDS, env!("CARGO_BIN_EXE_dolmen")]);
        command.env("XDG_CACHE_HOME", self.path("cache")).env_remove("DOLMENC").env_remove("DOLMEN_CACHE_MAX");
        command.current_dir(&self.0).stdin(Stdio::null());
        command
    }

    /// Runs the command.
    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Said {
        said(self.dolmen().args(args))
    }

    /// Runs the command with a file of this content, whose name replaces `@`.
    pub fn run_wat(&self, wat: &str, args: &[&str]) -> Said {
        self.file("test.wat", wat);
        self.run(args.iter().map(|&arg| if arg == "@" { "test.wat" } else { arg }))
    }

    /// The files of the modules in the cache.
    pub fn cached(&self) -> Vec<PathBuf> {
        self.cached_in("artifacts")
    }

    /// The files of parts of modules in the cache.
    pub fn cached_parts(&self) -> Vec<PathBuf> {
        self.cached_in("parts")
    }

    fn cached_in(&self, folder: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("cache/dolmen").join(folder)).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a command to its end.
pub fn said(command: &mut Command) -> Said {
    let output = command.output().expect("the command starts");
    Said {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("text on standard output"),
        stderr: String::from_utf8(output.stderr).expect("text on standard error"),
    }
}

impl Said {
    /// Checks that the command failed with one line that holds all of `parts`, and said nothing else.
    #[track_caller]
    pub fn fails_with(&self, parts: &[&str]) {
        assert_eq!(self.status, Some(1), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert!(self.stderr.starts_with("error: "), "{self:?}");
        assert_eq!(self.stderr.matches('\n').count(), 1, "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in {self:?}");
        }
    }

    /// Checks that the command trapped for `reason`.
    #[track_caller]
    pub fn traps_with(&self, reason: &str) {
        assert_eq!(self.status, Some(134), "{self:?}");
        assert_eq!(self.stderr.lines().next(), Some(&*format!("trap: {reason}")), "{self:?}");
    }

    /// Checks that the command succeeded and printed `stdout`.
    #[track_caller]
    pub fn prints(&self, stdout: &str) {
        assert_eq!((self.status, &*self.stdout), (Some(0), stdout), "{self:?}");
    }
}

/// The path of a file as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}
